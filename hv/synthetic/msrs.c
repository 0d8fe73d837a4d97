/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own MSRs (TLFS "Overview of hypervisor registers"): identity,
 * hypercall page, time, reset, crash report; one row each, with its privilege.
 */
#include "hv/synthetic/msrs.h"

#include "hv/base/console.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "hv/base/time.h"
#include "hv/machine/apic.h"
#include "hv/machine/machine.h"
#include "hv/model/dispatch.h"
#include "hv/synthetic/diagnostics.h"

#define MSR_GPN(value)  ((value) >> PAGE_SHIFT)
#define MSR_PAGE_ENABLE 1UL

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

static enum msr_result write_reset(struct vp *vp, uint32_t msr, uint64_t value)
{
    if (!(value & 1))
        return MSR_DONE;
    if (vp->first)
        machine_reset();
    vp->triple_fault = true; /* a child's reset is its parent's to carry out */
    vp->cpu->kicked = 1;
    return MSR_DONE;
}

/* Once asked for, it stays. */
static enum msr_result write_tsc_invariant(struct vp *vp, uint32_t msr, uint64_t value)
{
    if (value > 1 || (value == 0 && vp->partition->tsc_invariant))
        return MSR_FAULT;
    vp->partition->tsc_invariant = value == 1;
    return MSR_DONE;
}

static enum msr_result write_crash_parameter(struct vp *vp, uint32_t msr, uint64_t value)
{
    vp->crash_parameters[msr - HV_MSR_CRASH_P0] = value;
    return MSR_DONE;
}

static enum msr_result write_crash_control(struct vp *vp, uint32_t msr, uint64_t value)
{
    if (value & HV_CRASH_CTL_NOTIFY)
        diagnostics_crash(vp, value);
    return MSR_DONE;
}

static bool read_apic_frequency(struct vp *vp, uint32_t msr, uint64_t *value)
{
    *value = apic_frequency;
    return vp->first; /* a child has no local APIC */
}

/* A reader whose answer is one expression of `vp` and `msr`. */
#define READS(name, expression)                                                                    \
    static bool read_##name(struct vp *vp, uint32_t msr, uint64_t *value)                          \
    {                                                                                              \
        *value = (expression);                                                                     \
        return true;                                                                               \
    }
READS(guest_os_id, vp->partition->guest_os_id)
READS(hypercall, vp->partition->hypercall_msr)
READS(vp_index, vp->index)
READS(reset, 0)
READS(runtime, tsc_to_100ns(vp->runtime_tsc + rdtsc() - vp->entered_tsc))
READS(time, tsc_to_100ns(rdtsc()) - tsc_to_100ns(vp->partition->reference_start_tsc))
READS(reference_tsc, vp->partition->reference_tsc_msr)
READS(tsc_frequency, tsc_frequency)
READS(assist_page, vp->assist_msr)
READS(crash_parameter, vp->crash_parameters[msr - HV_MSR_CRASH_P0])
READS(crash_control, HV_CRASH_CTL_NOTIFY | HV_CRASH_CTL_MESSAGE)
READS(tsc_invariant, vp->partition->tsc_invariant)

/* clang-format off */
static const struct row {
    uint32_t first, last;
    uint64_t privilege; /* the partition needs it, else #GP */
    msr_reader *read;
    msr_writer *write;
} rows[] = {
#define ONE(NAME, PRIVILEGE, reader, writer) \
    {HV_MSR_##NAME, HV_MSR_##NAME, PRIVILEGE_##PRIVILEGE, reader, writer}
    {HV_MSR_EOI, HV_MSR_TPR, PRIVILEGE_APIC_MSRS, apic_synthetic_read, apic_synthetic_write},
    ONE(GUEST_OS_ID,    HYPERCALL_MSRS, read_guest_os_id,    write_page_msr),
    ONE(HYPERCALL,      HYPERCALL_MSRS, read_hypercall,      write_page_msr),
    ONE(VP_INDEX,       VP_INDEX,       read_vp_index,       NULL),
    ONE(RESET,          RESET,          read_reset,          write_reset),
    ONE(VP_RUNTIME,     VP_RUNTIME,     read_runtime,        NULL),
    ONE(TIME_REF_COUNT, TIME_REF_COUNT, read_time,           NULL),
    ONE(REFERENCE_TSC,  REFERENCE_TSC,  read_reference_tsc,  write_page_msr),
    ONE(TSC_FREQUENCY,  FREQUENCY_MSRS, read_tsc_frequency,  NULL),
    ONE(APIC_FREQUENCY, FREQUENCY_MSRS, read_apic_frequency, NULL),
    ONE(VP_ASSIST_PAGE, APIC_MSRS,      read_assist_page,    write_page_msr),
    ONE(TSC_INVARIANT,  TSC_INVARIANT,  read_tsc_invariant,  write_tsc_invariant),
    /* Advertised by a feature bit and open to all. */
    {HV_MSR_CRASH_P0, HV_MSR_CRASH_CTL - 1, 0, read_crash_parameter, write_crash_parameter},
    {HV_MSR_CRASH_CTL, HV_MSR_CRASH_CTL, 0, read_crash_control, write_crash_control},
    {VELLUM_MSR_FIRST, VELLUM_MSR_LAST, 0, diagnostics_read, diagnostics_write},
};
/* clang-format on */

/* The row for an MSR that the VP may reach, or NULL. */
static const struct row *find(const struct vp *vp, uint32_t msr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (msr - rows[i].first <= rows[i].last - rows[i].first)
            return rows[i].privilege & ~vp->partition->privileges ? NULL : &rows[i];
    return NULL;
}

bool synthetic_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    const struct row *row = find(vp, msr);
    return row && row->read && row->read(vp, msr, value);
}

enum msr_result synthetic_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    const struct row *row = find(vp, msr);
    return row && row->write ? row->write(vp, msr, value) : MSR_FAULT;
}
