/*
 * GetVpRegisters (0x50) and SetVpRegisters (0x51): register names and the
 * neutral state of a VP.
 *
 * Decisions: the VP is the calling one, or it is stopped; otherwise
 * INVALID_VP_STATE, except for the explicit-suspend register, which is for
 * running VPs. A value that is wrong by itself is INVALID_REGISTER_VALUE with
 * the completed count, that register unchanged. Whether all registers fit
 * together is looked at when a child's VP is dispatched, but at once for VPs of
 * the first partition, for which there is nobody to tell: then nothing of the
 * batch is changed but vector registers. Setting the explicit-suspend register
 * returns when the VP has stopped. The calling VP's own RIP is that of the call
 * instruction, which is stepped over afterwards. Read-only names (VP index) are
 * INVALID_PARAMETER when written. Of the pending events only the exception
 * (type 0) in register 0x10004 exists; deliverability notifications do not, so
 * that only 0 may be written there. APIC_BASE of a VP of the first partition is
 * that VP's own business and cannot be changed from outside.
 */
#include "hypercalls/table.h"

#include "hv/base/arch.h"
#include "hv/base/features.h"
#include "hv/base/smp.h"
#include "hv/base/string.h"
#include "hv/model/dispatch.h"
#include "hv/model/events.h"
#include "hv/model/fpu.h"
#include "hv/model/partition.h"
#include "hv/model/rules.h"
#include "hv/model/statepage.h"

#define XMM_REGISTERS 16

/* Names that are one 64-bit field, and what its values must be. */
enum check {
    CHECK_NONE,
    CHECK_CANONICAL,
    CHECK_32_BITS,
    CHECK_CR8,
    CHECK_GPA,
    CHECK_PAT,
    CHECK_RFLAGS,
    CHECK_CR0,
    CHECK_CR4,
    CHECK_EFER,
    CHECK_XFEM,
};

#define FIELD(member) offsetof(struct vp_state, member)

static const struct plain {
    uint32_t name;
    uint16_t offset;
    uint8_t check;
} plain_registers[] = {
    {HV_REGISTER_RIP, FIELD(rip), CHECK_CANONICAL},
    {HV_REGISTER_RFLAGS, FIELD(rflags), CHECK_RFLAGS},
    {HV_REGISTER_CR0, FIELD(cr0), CHECK_CR0},
    {HV_REGISTER_CR2, FIELD(cr2), CHECK_NONE},
    {HV_REGISTER_CR3, FIELD(cr3), CHECK_GPA},
    {HV_REGISTER_CR4, FIELD(cr4), CHECK_CR4},
    {HV_REGISTER_CR8, FIELD(cr8), CHECK_CR8},
    {HV_REGISTER_XFEM, FIELD(xcr0), CHECK_XFEM},
    {HV_REGISTER_DR0 + 0, FIELD(dr[0]), CHECK_NONE},
    {HV_REGISTER_DR0 + 1, FIELD(dr[1]), CHECK_NONE},
    {HV_REGISTER_DR0 + 2, FIELD(dr[2]), CHECK_NONE},
    {HV_REGISTER_DR0 + 3, FIELD(dr[3]), CHECK_NONE},
    {HV_REGISTER_DR6, FIELD(dr6), CHECK_32_BITS},
    {HV_REGISTER_DR7, FIELD(dr7), CHECK_32_BITS},
    {HV_REGISTER_EFER, FIELD(efer), CHECK_EFER},
    {HV_REGISTER_KERNEL_GS_BASE, FIELD(kernel_gs_base), CHECK_CANONICAL},
    {HV_REGISTER_PAT, FIELD(pat), CHECK_PAT},
    {HV_REGISTER_SYSENTER_CS, FIELD(sysenter_cs), CHECK_32_BITS},
    {HV_REGISTER_SYSENTER_EIP, FIELD(sysenter_eip), CHECK_CANONICAL},
    {HV_REGISTER_SYSENTER_ESP, FIELD(sysenter_esp), CHECK_CANONICAL},
    {HV_REGISTER_STAR, FIELD(star), CHECK_NONE},
    {HV_REGISTER_LSTAR, FIELD(lstar), CHECK_CANONICAL},
    {HV_REGISTER_CSTAR, FIELD(cstar), CHECK_CANONICAL},
    {HV_REGISTER_SFMASK, FIELD(sfmask), CHECK_32_BITS},
};

static const struct plain *find_plain(uint32_t name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(plain_registers); i++)
        if (plain_registers[i].name == name)
            return &plain_registers[i];
    return NULL;
}

/* What hv/model/fpu.c swaps: in the processor, not in vp->state, while the VP is the calling one. */
static bool is_swapped(uint32_t name)
{
    return (name >= HV_REGISTER_XMM0 && name < HV_REGISTER_XMM0 + XMM_REGISTERS) ||
           name == HV_REGISTER_XFEM || (name >= HV_REGISTER_DR0 && name < HV_REGISTER_DR6);
}

/* Names that are neither a general register nor in plain_registers. False: no such name. */
static bool get_special(const struct vp *vp, uint32_t name, struct hv_register_value *value)
{
    const struct vp_state *s = &vp->state;
    if (name >= HV_REGISTER_XMM0 && name < HV_REGISTER_XMM0 + XMM_REGISTERS) {
        fpu_get_xmm(vp, name - HV_REGISTER_XMM0, value);
        return true;
    }
    if (name >= HV_REGISTER_ES && name < HV_REGISTER_ES + SEG_COUNT) {
        memcpy(value, &s->seg[name - HV_REGISTER_ES], sizeof(*value));
        return true;
    }
    switch (name) {
    case HV_REGISTER_EXPLICIT_SUSPEND:
        value->low = vp->explicit_suspend;
        return true;
    case HV_REGISTER_INTERCEPT_SUSPEND:
        value->low = vp->intercept_suspend;
        return true;
    case HV_REGISTER_PENDING_INTERRUPTION:
        value->low = pending_interruption_of(&s->event);
        return true;
    case HV_REGISTER_INTERRUPT_STATE:
        value->low = interrupt_state_of(s);
        return true;
    case HV_REGISTER_PENDING_EVENT0:
        value->low = vp->pending_event[0];
        value->high = vp->pending_event[1];
        return true;
    case HV_REGISTER_PENDING_EVENT1:
        return true;
    case HV_REGISTER_DELIVERABILITY:
        value->low = vp->deliverability;
        return true;
    case HV_REGISTER_IDTR:
    case HV_REGISTER_GDTR: {
        const struct descriptor_table *table = name == HV_REGISTER_IDTR ? &s->idtr : &s->gdtr;
        value->low = (uint64_t)table->limit << 48;
        value->high = table->base;
        return true;
    }
    case HV_REGISTER_TSC:
        value->low = rdtsc() + s->tsc_offset;
        return true;
    case HV_REGISTER_APIC_BASE:
        value->low = vp->apic_base;
        return true;
    case HV_REGISTER_VP_INDEX:
        value->low = vp->index;
        return true;
    default:
        return false;
    }
}

static bool get_register(const struct vp *vp, uint32_t name, struct hv_register_value *value)
{
    value->low = value->high = 0;
    if (name >= HV_REGISTER_RAX && name < HV_REGISTER_RAX + GPR_COUNT) {
        value->low = vp->state.gpr[name - HV_REGISTER_RAX];
        return true;
    }
    const struct plain *plain = find_plain(name);
    if (plain == NULL)
        return get_special(vp, name, value);
    value->low = *(const uint64_t *)((const uint8_t *)&vp->state + plain->offset);
    return true;
}

static bool plain_is_valid(const struct vp *vp, const struct plain *plain, uint64_t value,
                           uint64_t old)
{
    switch ((enum check)plain->check) {
    case CHECK_NONE:
        return true;
    case CHECK_CANONICAL:
        return address_is_canonical(value);
    case CHECK_32_BITS:
        return value >> 32 == 0;
    case CHECK_CR8:
        return value <= 15;
    case CHECK_GPA:
        return value >> vp->partition->space.gpa_bits == 0;
    case CHECK_PAT:
        return pat_is_valid(value);
    case CHECK_RFLAGS:
        return rflags_are_valid(value);
    case CHECK_CR0:
        return cr0_is_valid(value, old);
    case CHECK_CR4:
        return cr4_is_valid(value, old);
    case CHECK_EFER:
        return efer_is_valid(value, old);
    case CHECK_XFEM:
        return xcr0_valid(value, vp->first ? xsave_features_first : xsave_features_child);
    }
    return false;
}

/*
 * A VP that runs elsewhere has stopped on return. Waiting under hv_lock is safe:
 * a processor that waits for the lock lets itself be stopped (lock_or_yield).
 */
static uint32_t set_explicit_suspend(const struct call *call, struct vp *vp, uint64_t value)
{
    if (value > 1)
        return HV_STATUS_INVALID_REGISTER_VALUE;
    vp->explicit_suspend = value != 0;
    if (value && !vp_stopped(vp)) {
        vp_request(vp, REQUEST_SUSPEND);
        while (vp != call->vp && !vp_stopped(vp))
            cpu_relax();
    } else if (!value && vp->parked) {
        cpu_kick(vp->cpu);
    }
    return HV_STATUS_SUCCESS;
}

static uint32_t set_descriptor_table(struct descriptor_table *table,
                                     const struct hv_register_value *value)
{
    if (value->low << 16 || !address_is_canonical(value->high))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    table->limit = (uint16_t)(value->low >> 48);
    table->base = value->high;
    return HV_STATUS_SUCCESS;
}

static uint32_t set_segment(struct vp *vp, unsigned index, const struct hv_register_value *value)
{
    struct segment segment;
    memcpy(&segment, value, sizeof(segment));
    if (!segment_is_valid(&segment, index))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    vp->state.seg[index] = segment;
    return HV_STATUS_SUCCESS;
}

static uint32_t set_special(struct vp *vp, uint32_t name, const struct hv_register_value *value)
{
    struct vp_state *s = &vp->state;
    if (name >= HV_REGISTER_XMM0 && name < HV_REGISTER_XMM0 + XMM_REGISTERS) {
        fpu_set_xmm(vp, name - HV_REGISTER_XMM0, value);
        return HV_STATUS_SUCCESS;
    }
    if (name >= HV_REGISTER_ES && name < HV_REGISTER_ES + SEG_COUNT)
        return set_segment(vp, name - HV_REGISTER_ES, value);
    switch (name) {
    case HV_REGISTER_INTERCEPT_SUSPEND:
        if (value->low > 1 || (value->low && vp->first))
            return HV_STATUS_INVALID_REGISTER_VALUE;
        vp->intercept_suspend = value->low != 0;
        return HV_STATUS_SUCCESS;
    case HV_REGISTER_PENDING_INTERRUPTION:
        return pending_interruption_set(vp, value->low);
    case HV_REGISTER_INTERRUPT_STATE:
        return interrupt_state_set(s, value->low);
    case HV_REGISTER_PENDING_EVENT0:
        return pending_event_set(vp, value);
    case HV_REGISTER_PENDING_EVENT1:
    case HV_REGISTER_DELIVERABILITY:
        return value->low || value->high ? HV_STATUS_INVALID_REGISTER_VALUE : HV_STATUS_SUCCESS;
    case HV_REGISTER_IDTR:
        return set_descriptor_table(&s->idtr, value);
    case HV_REGISTER_GDTR:
        return set_descriptor_table(&s->gdtr, value);
    case HV_REGISTER_TSC:
        s->tsc_offset = value->low - rdtsc();
        return HV_STATUS_SUCCESS;
    case HV_REGISTER_APIC_BASE:
        if (vp->first && value->low != vp->apic_base)
            return HV_STATUS_INVALID_REGISTER_VALUE;
        vp->apic_base = value->low;
        return HV_STATUS_SUCCESS;
    default: /* unknown, or the VP index */
        return HV_STATUS_INVALID_PARAMETER;
    }
}

/* vp_touch was called; swapped registers of the calling VP are in vp->state. */
static uint32_t set_register(struct vp *vp, uint32_t name, const struct hv_register_value *value)
{
    if (name >= HV_REGISTER_RAX && name < HV_REGISTER_RAX + GPR_COUNT) {
        vp->state.gpr[name - HV_REGISTER_RAX] = value->low;
        return HV_STATUS_SUCCESS;
    }
    const struct plain *plain = find_plain(name);
    if (plain == NULL)
        return set_special(vp, name, value);
    uint64_t *field = (uint64_t *)((uint8_t *)&vp->state + plain->offset);
    if (!plain_is_valid(vp, plain, value->low, *field))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    if (plain->check == CHECK_CR0 || plain->check == CHECK_GPA || plain->check == CHECK_CR4 ||
        plain->check == CHECK_EFER)
        vp->flush = true; /* the processor kept translations of the old paging */
    *field = value->low;
    return HV_STATUS_SUCCESS;
}

/* What both calls begin with, once for each batch. */
static uint32_t open_registers(const struct call *call, struct vp **vp)
{
    const struct hv_input_vp_registers *in = (const void *)call->input;
    uint32_t status = target_vp(call, in->partition_id, in->vp_index, vp);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (in->vtl || in->zero[0] || in->zero[1] || in->zero[2])
        return HV_STATUS_INVALID_PARAMETER;
    if (*vp == call->vp) {
        vp_sync(*vp);
        return HV_STATUS_SUCCESS;
    }
    if (!vp_stopped(*vp))
        return HV_STATUS_SUCCESS;
    vp_sync(*vp);
    if (!state_page_take(*vp))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    return HV_STATUS_SUCCESS;
}

static bool accessible(const struct call *call, const struct vp *vp)
{
    return vp == call->vp || vp_stopped(vp);
}

uint32_t call_get_vp_registers(struct call *call)
{
    const uint32_t *names = (const uint32_t *)call->elements;
    struct hv_register_value *values = (struct hv_register_value *)call->output;
    struct vp *vp;
    uint32_t status = open_registers(call, &vp);
    if (status != HV_STATUS_SUCCESS)
        return status;
    bool fetched = vp != call->vp;
    for (uint32_t i = 0; i < call->batch; i++) {
        if (!fetched && is_swapped(names[i])) {
            fpu_save(vp);
            fpu_restore(vp); /* the guest's XCR0 again */
            fetched = true;
        }
        if (names[i] != HV_REGISTER_EXPLICIT_SUSPEND && !accessible(call, vp))
            status = HV_STATUS_INVALID_VP_STATE;
        else if (!get_register(vp, names[i], &values[i]))
            status = HV_STATUS_INVALID_PARAMETER;
        if (status != HV_STATUS_SUCCESS)
            break;
        call->done++;
    }
    if (vp != call->vp && vp_stopped(vp))
        state_page_publish(vp, false);
    return status;
}

static uint32_t set_one(const struct call *call, struct vp *vp,
                        const struct hv_register_assignment *assignment)
{
    if (assignment->zero[0] || assignment->zero[1] || assignment->zero[2])
        return HV_STATUS_INVALID_PARAMETER;
    if (assignment->name == HV_REGISTER_EXPLICIT_SUSPEND)
        return set_explicit_suspend(call, vp, assignment->value.low);
    if (!accessible(call, vp))
        return HV_STATUS_INVALID_VP_STATE;
    vp_touch(vp);
    if (vp != call->vp || !is_swapped(assignment->name))
        return set_register(vp, assignment->name, &assignment->value);
    fpu_save(vp);
    uint32_t status = set_register(vp, assignment->name, &assignment->value);
    fpu_restore(vp);
    return status;
}

/* The elements of a batch, up to the first that fails or that stops the VP. */
static uint32_t set_batch(struct call *call, struct vp *vp)
{
    const struct hv_register_assignment *list = (const void *)call->elements;
    bool was_accessible = accessible(call, vp);
    while (call->done < call->batch && accessible(call, vp) == was_accessible) {
        uint32_t status = set_one(call, vp, &list[call->done]);
        if (status != HV_STATUS_SUCCESS)
            return status;
        call->done++;
    }
    return HV_STATUS_SUCCESS;
}

uint32_t call_set_vp_registers(struct call *call)
{
    struct vp *vp;
    uint32_t status = open_registers(call, &vp);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (!accessible(call, vp)) {
        status = set_batch(call, vp); /* can only stop it; then go on with what it stopped at */
    } else if (!vp->first) {
        status = set_batch(call, vp);
    } else {
        struct vp_state before = vp->state;
        status = set_batch(call, vp);
        if (!state_is_valid(&vp->state) && state_is_valid(&before)) {
            vp->state = before;
            call->done = 0;
            status = HV_STATUS_INVALID_REGISTER_VALUE;
        }
    }
    if (vp != call->vp && vp_stopped(vp))
        state_page_publish(vp, false);
    return status;
}
