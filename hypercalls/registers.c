/* SPDX-License-Identifier: MIT */
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

#include "hv/base/features.h"
#include "hv/base/smp.h"
#include "hv/base/string.h"
#include "hv/model/dispatch.h"
#include "hv/model/events.h"
#include "hv/model/fpu.h"
#include "hv/model/rules.h"
#include "hv/model/statepage.h"

/* What hv/model/fpu.c swaps: in the processor, not in vp->state, while the VP is the caller. */
static bool is_swapped(uint32_t name)
{
    return (name >= HV_REGISTER_XMM0 && name < HV_REGISTER_XMM0 + 16) || name == HV_REGISTER_XFEM ||
           (name >= HV_REGISTER_DR0 && name < HV_REGISTER_DR6);
}

/*
 * A name, or `count` names in a row, is a field of struct vp: what there is of it (offset, size in
 * bytes), what a new value must be (check), or who takes it (set). Or it has a function, get.
 * n: which of the names.
 */
struct row {
    uint32_t name;
    uint8_t count;
    uint8_t size;
    uint8_t check; /* enum value_check; CHECK_NEVER: it is read-only */
    uint16_t offset;
    uint32_t (*set)(struct vp *vp, unsigned n, const struct hv_register_value *value);
    void (*get)(const struct vp *vp, unsigned n, struct hv_register_value *value);
};

static uint32_t set_intercept_suspend(struct vp *vp, unsigned n,
                                      const struct hv_register_value *value)
{
    if (value->low > 1 || (value->low && vp->first))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    vp->intercept_suspend = value->low != 0;
    return HV_STATUS_SUCCESS;
}

static void get_interruption(const struct vp *vp, unsigned n, struct hv_register_value *value)
{
    value->low = pending_interruption_of(&vp->state.event);
}

static uint32_t set_interruption(struct vp *vp, unsigned n, const struct hv_register_value *value)
{
    return pending_interruption_set(vp, value->low);
}

static void get_interrupt_state(const struct vp *vp, unsigned n, struct hv_register_value *value)
{
    value->low = interrupt_state_of(&vp->state);
}

static uint32_t set_interrupt_state(struct vp *vp, unsigned n,
                                    const struct hv_register_value *value)
{
    return interrupt_state_set(&vp->state, value->low);
}

static uint32_t set_pending_event(struct vp *vp, unsigned n, const struct hv_register_value *value)
{
    return pending_event_set(vp, value);
}

/* A register that is always zero. */
static uint32_t set_zero(struct vp *vp, unsigned n, const struct hv_register_value *value)
{
    return value->low || value->high ? HV_STATUS_INVALID_REGISTER_VALUE : HV_STATUS_SUCCESS;
}

static void get_xmm(const struct vp *vp, unsigned n, struct hv_register_value *value)
{
    fpu_get_xmm(vp, n, value);
}

static uint32_t set_xmm(struct vp *vp, unsigned n, const struct hv_register_value *value)
{
    fpu_set_xmm(vp, n, value);
    return HV_STATUS_SUCCESS;
}

static uint32_t set_segment(struct vp *vp, unsigned n, const struct hv_register_value *value)
{
    struct segment segment;
    memcpy(&segment, value, sizeof(segment));
    if (!segment_is_valid(&segment, n))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    vp->state.seg[n] = segment;
    return HV_STATUS_SUCCESS;
}

static void get_table(const struct vp *vp, unsigned n, struct hv_register_value *value)
{
    const struct descriptor_table *table = n == 0 ? &vp->state.idtr : &vp->state.gdtr;
    value->low = (uint64_t)table->limit << 48;
    value->high = table->base;
}

static uint32_t set_table(struct vp *vp, unsigned n, const struct hv_register_value *value)
{
    if (value->low << 16 || !address_is_canonical(value->high))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    *(n == 0 ? &vp->state.idtr : &vp->state.gdtr) =
        (struct descriptor_table){value->high, (uint16_t)(value->low >> 48)};
    return HV_STATUS_SUCCESS;
}

static void get_tsc(const struct vp *vp, unsigned n, struct hv_register_value *value)
{
    value->low = rdtsc() + vp->state.tsc_offset;
}

static uint32_t set_tsc(struct vp *vp, unsigned n, const struct hv_register_value *value)
{
    vp->state.tsc_offset = value->low - rdtsc();
    return HV_STATUS_SUCCESS;
}

static uint32_t set_apic_base(struct vp *vp, unsigned n, const struct hv_register_value *value)
{
    if (vp->first && value->low != vp->apic_base)
        return HV_STATUS_INVALID_REGISTER_VALUE;
    vp->apic_base = value->low;
    return HV_STATUS_SUCCESS;
}

/* clang-format off */
#define FIELDS(NAME, n, member, kind, ...) \
    {HV_REGISTER_##NAME, n, sizeof(((struct vp *)0)->member), CHECK_##kind, \
     offsetof(struct vp, member), __VA_ARGS__}
#define FIELD(NAME, member, kind)      FIELDS(NAME, 1, member, kind, NULL, NULL)
#define TAKEN(NAME, member, setter)    FIELDS(NAME, 1, member, NONE, setter, NULL)
#define FUNCTIONS(NAME, n, get, set)   {HV_REGISTER_##NAME, n, 0, CHECK_NONE, 0, set, get}
#define MSR_FIELD(member, NAME, kind)  FIELD(NAME, state.member, kind),
static const struct row rows[] = {
    FIELDS(RAX, GPR_COUNT, state.gpr[0], NONE, NULL, NULL),
    FIELD(RIP, state.rip, CANONICAL),
    FIELD(RFLAGS, state.rflags, RFLAGS),
    FIELD(CR0, state.cr0, CR0),
    FIELD(CR2, state.cr2, NONE),
    FIELD(CR3, state.cr3, GPA),
    FIELD(CR4, state.cr4, CR4),
    FIELD(CR8, state.cr8, CR8),
    FIELD(XFEM, state.xcr0, XFEM),
    FIELDS(DR0, 4, state.dr[0], NONE, NULL, NULL),
    FIELD(DR6, state.dr6, 32_BITS),
    FIELD(DR7, state.dr7, 32_BITS),
    FIELD(EFER, state.efer, EFER),
    VP_MSRS(MSR_FIELD)
    FIELDS(ES, SEG_COUNT, state.seg[0], NONE, set_segment, NULL),
    FUNCTIONS(IDTR, 2, get_table, set_table), /* and GDTR */
    FUNCTIONS(XMM0, 16, get_xmm, set_xmm),
    FIELD(EXPLICIT_SUSPEND, explicit_suspend, NEVER), /* but by set_explicit_suspend, below */
    TAKEN(INTERCEPT_SUSPEND, intercept_suspend, set_intercept_suspend),
    FUNCTIONS(PENDING_INTERRUPTION, 1, get_interruption, set_interruption),
    FUNCTIONS(INTERRUPT_STATE, 1, get_interrupt_state, set_interrupt_state),
    TAKEN(PENDING_EVENT0, pending_event, set_pending_event),
    FUNCTIONS(PENDING_EVENT1, 1, NULL, set_zero),
    FUNCTIONS(DELIVERABILITY, 1, NULL, set_zero),
    FUNCTIONS(TSC, 1, get_tsc, set_tsc),
    TAKEN(APIC_BASE, apic_base, set_apic_base),
    FIELD(VP_INDEX, index, NEVER),
};
/* clang-format on */

static const struct row *find(uint32_t name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (name - rows[i].name < rows[i].count)
            return &rows[i];
    return NULL;
}

static void *field_of(const struct vp *vp, const struct row *row, unsigned n)
{
    return (uint8_t *)vp + row->offset + (size_t)n * row->size;
}

static uint32_t get_register(const struct vp *vp, uint32_t name, struct hv_register_value *value)
{
    const struct row *row = find(name);
    *value = (struct hv_register_value){0};
    if (!row)
        return HV_STATUS_INVALID_PARAMETER;
    if (row->get)
        row->get(vp, name - row->name, value);
    else
        memcpy(value, field_of(vp, row, name - row->name), row->size);
    return HV_STATUS_SUCCESS;
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

static bool field_is_valid(const struct vp *vp, const struct row *row, uint64_t value, uint64_t old)
{
    if (row->check == CHECK_GPA)
        return value >> vp->partition->space.gpa_bits == 0;
    if (row->check == CHECK_XFEM)
        return xcr0_valid(value, vp->first ? xsave_features_first : xsave_features_child);
    return value_is_valid((enum value_check)row->check, value, old);
}

/* vp_touch was called; swapped registers of the calling VP are in vp->state. */
static uint32_t set_register(struct vp *vp, uint32_t name, const struct hv_register_value *value)
{
    const struct row *row = find(name);
    if (!row || row->check == CHECK_NEVER)
        return HV_STATUS_INVALID_PARAMETER;
    unsigned n = name - row->name;
    if (row->set)
        return row->set(vp, n, value);
    uint64_t *field = field_of(vp, row, n);
    if (!field_is_valid(vp, row, value->low, *field))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    if (row->check == CHECK_CR0 || row->check == CHECK_GPA || row->check == CHECK_CR4 ||
        row->check == CHECK_EFER)
        vp->flush = true; /* the processor kept translations of the old paging */
    *field = value->low;
    return HV_STATUS_SUCCESS;
}

static bool accessible(const struct call *call, const struct vp *vp)
{
    return vp == call->vp || vp_stopped(vp);
}

/* What both calls begin with, once for each batch. open: whether the registers can be looked at. */
static uint32_t open_registers(const struct call *call, bool *open)
{
    const struct hv_input_vp_registers *in = (const void *)call->input;
    struct vp *vp = call->target_vp;
    if (in->vtl || in->zero[0] || in->zero[1] || in->zero[2])
        return HV_STATUS_INVALID_PARAMETER;
    *open = accessible(call, vp);
    if (!*open)
        return HV_STATUS_SUCCESS;
    vp_sync(vp);
    return vp == call->vp || state_page_take(vp) ? HV_STATUS_SUCCESS
                                                 : HV_STATUS_INVALID_REGISTER_VALUE;
}

/* And what they end with. */
static void close_registers(const struct call *call, bool open)
{
    if (open && call->target_vp != call->vp)
        state_page_publish(call->target_vp, false);
}

/* One element of a list, which begins with the register's name. */
typedef uint32_t element_function(const struct call *call, struct vp *vp, const void *element);

static uint32_t get_one(const struct call *call, struct vp *vp, const void *element)
{
    uint32_t name = *(const uint32_t *)element;
    if (name != HV_REGISTER_EXPLICIT_SUSPEND && !accessible(call, vp))
        return HV_STATUS_INVALID_VP_STATE;
    return get_register(vp, name, (struct hv_register_value *)call->output + call->done);
}

static uint32_t set_one(const struct call *call, struct vp *vp, const void *element)
{
    const struct hv_register_assignment *assignment = element;
    if (assignment->zero[0] || assignment->zero[1] || assignment->zero[2])
        return HV_STATUS_INVALID_PARAMETER;
    if (assignment->name == HV_REGISTER_EXPLICIT_SUSPEND)
        return set_explicit_suspend(call, vp, assignment->value.low);
    if (!accessible(call, vp))
        return HV_STATUS_INVALID_VP_STATE;
    vp_touch(vp);
    return set_register(vp, assignment->name, &assignment->value);
}

/*
 * The elements of a batch, up to the first that fails. One at whose end the VP has stopped is the
 * last: what was written into its page has to be taken in before any other.
 */
static uint32_t each_register(struct call *call, bool open, element_function *act)
{
    struct vp *vp = call->target_vp;
    while (call->done < call->batch && accessible(call, vp) == open) {
        const uint8_t *element =
            (const uint8_t *)call->elements + call->done * call->row->in_element;
        bool fetch = vp == call->vp && is_swapped(*(const uint32_t *)element);
        if (fetch)
            fpu_save(vp);
        uint32_t status = act(call, vp, element);
        if (fetch)
            fpu_restore(vp); /* the guest's XCR0 again */
        if (status != HV_STATUS_SUCCESS)
            return status;
        call->done++;
    }
    return HV_STATUS_SUCCESS;
}

uint32_t call_get_vp_registers(struct call *call)
{
    bool open;
    uint32_t status = open_registers(call, &open);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status = each_register(call, open, get_one);
    close_registers(call, open);
    return status;
}

uint32_t call_set_vp_registers(struct call *call)
{
    struct vp *vp = call->target_vp;
    bool open;
    uint32_t status = open_registers(call, &open);
    if (status != HV_STATUS_SUCCESS)
        return status;
    bool whole = vp->first && open;
    struct vp_state before = whole ? vp->state : (struct vp_state){0};
    status = each_register(call, open, set_one);
    if (whole && !state_is_valid(&vp->state) && state_is_valid(&before)) {
        vp->state = before;
        call->done = 0;
        status = HV_STATUS_INVALID_REGISTER_VALUE;
    }
    close_registers(call, open);
    return status;
}
