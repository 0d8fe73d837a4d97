/*
 * The hypervisor's own MSRs (TLFS "Overview of hypervisor registers"): identity,
 * hypercall page, time, reset, crash report. One without its privilege, or
 * unknown, is #GP.
 */
#include "hv/synthetic/msrs.h"

#include "hv/base/arch.h"
#include "hv/base/console.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "hv/base/time.h"
#include "hv/machine/machine.h"
#include "hv/model/dispatch.h"
#include "hv/model/partition.h"
#include "hypercalls/abi.h"
#include "mm/copy.h"

#define MSR_GPN(value)    ((value) >> PAGE_SHIFT)
#define MSR_PAGE_ENABLE   1UL
#define CRASH_MESSAGE_MAX PAGE_SIZE

static uint64_t privilege_for(uint32_t msr)
{
    switch (msr) {
    case HV_MSR_GUEST_OS_ID:
    case HV_MSR_HYPERCALL:
        return PRIVILEGE_HYPERCALL_MSRS;
    case HV_MSR_VP_ASSIST_PAGE:
        return PRIVILEGE_APIC_MSRS;
    case HV_MSR_VP_INDEX:
        return PRIVILEGE_VP_INDEX;
    case HV_MSR_RESET:
        return PRIVILEGE_RESET;
    case HV_MSR_VP_RUNTIME:
        return PRIVILEGE_VP_RUNTIME;
    case HV_MSR_TIME_REF_COUNT:
        return PRIVILEGE_TIME_REF_COUNT;
    case HV_MSR_REFERENCE_TSC:
        return PRIVILEGE_REFERENCE_TSC;
    case HV_MSR_TSC_FREQUENCY:
    case HV_MSR_APIC_FREQUENCY:
        return PRIVILEGE_FREQUENCY_MSRS;
    case HV_MSR_TSC_INVARIANT:
        return PRIVILEGE_TSC_INVARIANT;
    default:
        return 0; /* crash MSRs: advertised by a feature bit, open to all */
    }
}

bool synthetic_msr_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    const struct partition *p = vp->partition;
    uint64_t privilege = privilege_for(msr);
    if ((p->privileges & privilege) != privilege)
        return false;
    if (msr >= HV_MSR_CRASH_P0 && msr < HV_MSR_CRASH_P0 + 5) {
        *value = vp->crash_parameters[msr - HV_MSR_CRASH_P0];
        return true;
    }
    switch (msr) {
    case HV_MSR_GUEST_OS_ID:
        *value = p->guest_os_id;
        return true;
    case HV_MSR_HYPERCALL:
        *value = p->hypercall_msr;
        return true;
    case HV_MSR_VP_INDEX:
        *value = vp->index;
        return true;
    case HV_MSR_RESET:
        *value = 0;
        return true;
    case HV_MSR_VP_RUNTIME:
        *value = tsc_to_100ns(vp->runtime_tsc + rdtsc() - vp->entered_tsc);
        return true;
    case HV_MSR_TIME_REF_COUNT:
        *value = tsc_to_100ns(rdtsc()) - tsc_to_100ns(p->reference_start_tsc);
        return true;
    case HV_MSR_REFERENCE_TSC:
        *value = p->reference_tsc_msr;
        return true;
    case HV_MSR_VP_ASSIST_PAGE:
        *value = vp->assist_msr;
        return true;
    case HV_MSR_TSC_FREQUENCY:
        *value = tsc_frequency;
        return true;
    case HV_MSR_APIC_FREQUENCY:
        *value = apic_frequency;
        return vp->first; /* a child has no local APIC */
    case HV_MSR_TSC_INVARIANT:
        *value = p->tsc_invariant;
        return true;
    case HV_MSR_CRASH_CTL:
        *value = HV_CRASH_CTL_NOTIFY | HV_CRASH_CTL_MESSAGE;
        return true;
    default:
        return false;
    }
}

/*
 * Moves an overlay that an MSR controls to where `value` says (or away). The
 * page is allocated on first use and kept. False: #GP, nothing changed.
 */
static bool move_page(struct partition *p, struct overlay *overlay, spn_t *page, uint64_t value,
                      uint8_t prot, enum overlay_kind kind)
{
    bool enable = (value & MSR_PAGE_ENABLE) != 0;
    if (overlay->space && enable && overlay->gpn == MSR_GPN(value))
        return true;
    if (MSR_GPN(value) >> (p->space.gpa_bits - PAGE_SHIFT))
        return false;
    if (enable && *page == SPN_NONE) {
        *page = pool_alloc(&p->pool, FRAME_OVERLAY);
        if (*page == SPN_NONE) {
            say_warn_of_guest("partition %lu: no pool page for an overlay", p->id);
            return false;
        }
    }
    bool was_in_place = overlay->space != NULL;
    gpn_t old_gpn = overlay->gpn;
    if (was_in_place)
        overlay_unmap(overlay);
    if (!enable)
        return true;
    overlay->gpn = MSR_GPN(value);
    overlay->spn = *page;
    overlay->prot = prot;
    overlay->kind = (uint8_t)kind;
    if (overlay_map(overlay, &p->space) == OVERLAY_OK)
        return true;
    if (was_in_place) { /* its table pages are still there: this cannot fail */
        overlay->gpn = old_gpn;
        overlay_map(overlay, &p->space);
    }
    return false;
}

static bool write_hypercall_msr(struct partition *p, uint64_t value)
{
    uint64_t old = p->hypercall_msr;
    if (old & HV_HYPERCALL_MSR_LOCKED)
        return value == old;
    if (p->guest_os_id == 0)
        value &= ~HV_HYPERCALL_MSR_ENABLE; /* stays off until there is an identity: TLFS */
    if (!move_page(p, &p->hypercall_page, &p->hypercall_page_spn, value, MAP_READ | MAP_EXECUTE,
                   OVERLAY_HYPERCALL_PAGE))
        return false;
    if (p->hypercall_page_spn != SPN_NONE) {
        uint8_t *code = page_ptr(p->hypercall_page_spn);
        memcpy(code, backend->hypercall_instruction, 3);
        code[3] = 0xC3; /* RET */
    }
    p->hypercall_msr = value;
    return true;
}

static bool write_guest_os_id(struct partition *p, uint64_t value)
{
    p->guest_os_id = value;
    if (value == 0 && !(p->hypercall_msr & HV_HYPERCALL_MSR_LOCKED))
        return write_hypercall_msr(p, p->hypercall_msr & ~HV_HYPERCALL_MSR_ENABLE);
    return true;
}

static bool write_reference_tsc_msr(struct partition *p, uint64_t value)
{
    if (!move_page(p, &p->tsc_page, &p->tsc_page_spn, value, MAP_READ, OVERLAY_TSC_PAGE))
        return false;
    if (p->tsc_page_spn != SPN_NONE) {
        struct hv_reference_tsc_page *page = page_ptr(p->tsc_page_spn);
        page->scale = reference_scale;
        page->offset = -(int64_t)tsc_to_100ns(p->reference_start_tsc);
        page->sequence = 1;
    }
    p->reference_tsc_msr = value;
    return true;
}

/* A page of the VP's own, for what the two would tell each other; there is nothing to tell yet. */
static bool write_assist_msr(struct vp *vp, uint64_t value)
{
    if (!move_page(vp->partition, &vp->assist_page, &vp->assist_page_spn, value,
                   MAP_READ | MAP_WRITE, OVERLAY_ASSIST_PAGE))
        return false;
    vp->assist_msr = value;
    return true;
}

void synthetic_vp_pages_remove(struct vp *vp)
{
    if (vp->assist_page.space)
        overlay_unmap(&vp->assist_page);
    if (vp->assist_page_spn != SPN_NONE)
        pool_free(&vp->partition->pool, vp->assist_page_spn);
    vp->assist_page_spn = SPN_NONE;
    vp->assist_msr = 0;
}

void synthetic_pages_remove(struct partition *p)
{
    if (p->hypercall_page.space)
        overlay_unmap(&p->hypercall_page);
    if (p->tsc_page.space)
        overlay_unmap(&p->tsc_page);
    if (p->hypercall_page_spn != SPN_NONE)
        pool_free(&p->pool, p->hypercall_page_spn);
    if (p->tsc_page_spn != SPN_NONE)
        pool_free(&p->pool, p->tsc_page_spn);
    p->hypercall_page_spn = p->tsc_page_spn = SPN_NONE;
    p->hypercall_msr = p->reference_tsc_msr = 0;
}

/* Prints `text` line by line, what is not printable as '?'. */
static void print_crash_message(const struct vp *vp, char *text, size_t size)
{
    size_t start = 0;
    for (size_t i = 0; i <= size; i++) {
        bool end = i == size || text[i] == '\n' || text[i] == '\0';
        if (!end) {
            if (text[i] < ' ' || text[i] > '~')
                text[i] = '?';
            continue;
        }
        bool last = i == size || text[i] == '\0';
        text[i] = '\0';
        if (i > start)
            say_error("partition %lu VP %u crashed: %s", vp->partition->id, vp->index,
                      text + start);
        start = i + 1;
        if (last)
            break;
    }
}

static void report_crash(const struct vp *vp, uint64_t control)
{
    const uint64_t *p = vp->crash_parameters;
    if (!worth_a_line(&vp->partition->lines))
        return;
    if (control & HV_CRASH_CTL_MESSAGE) {
        char text[CRASH_MESSAGE_MAX + 1];
        size_t size = (size_t)min_u64(p[4], CRASH_MESSAGE_MAX);
        if (guest_read(&vp->partition->space, p[3], text, size)) {
            print_crash_message(vp, text, size);
            return;
        }
    }
    say_error("partition %lu VP %u crashed: parameters %lx %lx %lx %lx %lx", vp->partition->id,
              vp->index, p[0], p[1], p[2], p[3], p[4]);
}

static enum msr_result write_page_msr(struct vp *vp, uint32_t msr, uint64_t value)
{
    bool ok;
    if (!lock_or_yield(this_cpu()))
        return MSR_RETRY;
    if (msr == HV_MSR_GUEST_OS_ID)
        ok = write_guest_os_id(vp->partition, value);
    else if (msr == HV_MSR_HYPERCALL)
        ok = write_hypercall_msr(vp->partition, value);
    else if (msr == HV_MSR_VP_ASSIST_PAGE)
        ok = write_assist_msr(vp, value);
    else
        ok = write_reference_tsc_msr(vp->partition, value);
    unlock(&hv_lock);
    return ok ? MSR_DONE : MSR_FAULT;
}

enum msr_result synthetic_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    uint64_t privilege = privilege_for(msr);
    if ((vp->partition->privileges & privilege) != privilege)
        return MSR_FAULT;
    if (msr >= HV_MSR_CRASH_P0 && msr < HV_MSR_CRASH_P0 + 5) {
        vp->crash_parameters[msr - HV_MSR_CRASH_P0] = value;
        return MSR_DONE;
    }
    switch (msr) {
    case HV_MSR_GUEST_OS_ID:
    case HV_MSR_HYPERCALL:
    case HV_MSR_REFERENCE_TSC:
    case HV_MSR_VP_ASSIST_PAGE:
        return write_page_msr(vp, msr, value);
    case HV_MSR_RESET:
        if (!(value & 1))
            return MSR_DONE;
        if (vp->first)
            machine_reset();
        vp->triple_fault = true; /* a child's reset is its parent's to carry out */
        vp->cpu->kicked = 1;
        return MSR_DONE;
    case HV_MSR_TSC_INVARIANT: /* once asked for, it stays */
        if (value > 1 || (value == 0 && vp->partition->tsc_invariant))
            return MSR_FAULT;
        vp->partition->tsc_invariant = value == 1;
        return MSR_DONE;
    case HV_MSR_CRASH_CTL:
        if (value & HV_CRASH_CTL_NOTIFY)
            report_crash(vp, value);
        return MSR_DONE;
    default:
        return MSR_FAULT;
    }
}
