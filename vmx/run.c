/* SPDX-License-Identifier: MIT */
/* VT-x: one run of a VP: entry, exit, and the exit's decoding into struct exit. */
#include "vmx/fast.h"

#include "hv/base/console.h"
#include "hv/model/events.h"
#include "hv/model/partition.h"

#define NOINLINE __attribute__((noinline)) /* so that what is hot saves no register for it */

/* Instructions that exit and of which only the length is wanted. */
static const uint8_t instruction_kinds[VMX_EXIT_COUNT] = {
    [VMX_EXIT_CPUID] = EXIT_CPUID,
    [VMX_EXIT_GETSEC] = EXIT_UNDEFINED,
    [VMX_EXIT_HLT] = EXIT_HLT,
    [VMX_EXIT_INVD] = EXIT_WBINVD,
    [VMX_EXIT_RDPMC] = EXIT_GP,
    [VMX_EXIT_RSM] = EXIT_UNDEFINED,
    [VMX_EXIT_VMCALL] = EXIT_HYPERCALL,
    [VMX_EXIT_VMCLEAR... VMX_EXIT_VMXON] = EXIT_UNDEFINED, /* VMX itself exists for nobody */
    [VMX_EXIT_RDMSR] = EXIT_RDMSR,
    [VMX_EXIT_MWAIT] = EXIT_UNDEFINED,
    [VMX_EXIT_MONITOR] = EXIT_UNDEFINED,
    [VMX_EXIT_INVEPT] = EXIT_UNDEFINED,
    [VMX_EXIT_INVVPID] = EXIT_UNDEFINED,
    [VMX_EXIT_WBINVD] = EXIT_WBINVD,
    [VMX_EXIT_XSETBV] = EXIT_XSETBV,
    [VMX_EXIT_VMFUNC] = EXIT_UNDEFINED,
    [VMX_EXIT_ENCLS] = EXIT_UNDEFINED,
    [VMX_EXIT_PCONFIG] = EXIT_UNDEFINED,
    [VMX_EXIT_LOADIWKEY] = EXIT_UNDEFINED,
    [VMX_EXIT_ENCLV] = EXIT_UNDEFINED,
    [VMX_EXIT_SEAMCALL] = EXIT_UNDEFINED,
    [VMX_EXIT_TDCALL] = EXIT_UNDEFINED,
};
_Static_assert(EXIT_NOTHING == 0, "an exit that is not in the table");

/* INVEPT and INVVPID descriptors, SDM 31.3. */
struct invalidation {
    uint64_t context, address;
};

enum { INVALIDATE_SINGLE = 1, INVALIDATE_ALL = 2 };

static void flush(struct vp *vp)
{
    uint64_t single = vmx_caps.ept_vpid & EPT_CAP_INVEPT_SINGLE;
    struct invalidation ept = {vmx_eptp(vp), 0}, linear = {vp->slot + 1, 0};
    uint64_t type = single ? INVALIDATE_SINGLE : INVALIDATE_ALL;
    __asm__ volatile("invept %0, %1" : : "m"(ept), "r"(type) : "cc", "memory");
    if (vmx_caps.vpid) { /* without VPIDs each entry flushes */
        single = vmx_caps.ept_vpid & VPID_CAP_INVVPID_SINGLE;
        type = single ? INVALIDATE_SINGLE : INVALIDATE_ALL;
        __asm__ volatile("invvpid %0, %1" : : "m"(linear), "r"(type) : "cc", "memory");
    }
    vp->flush = false;
}

/* RIP is not where the guest left it: the instruction there is done, and with it the interrupt
   shadow that it was in; a single step over it is due. */
static inline void rip_moved(struct vp *vp)
{
    struct vmx_vp *v = vmx_of(vp);
    uint64_t blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    if (blocking & (BLOCKING_STI | BLOCKING_MOV_SS))
        vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~(BLOCKING_STI | BLOCKING_MOV_SS));
    if (vp->state.rflags & RFLAGS_TF && vp->state.rip - v->last_rip <= LONGEST_INSTRUCTION)
        vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
}

static void decode_exception(struct vp *vp, struct exit *exit)
{
    uint64_t info = vmread(VMCS_EXIT_INTR_INFO);
    struct event event = event_of_word(info);
    vmx_take_back_event(vp);
    if (event.type == EVENT_NMI) {
        vmx_nmi_exit(vp, exit);
        return;
    }
    exit->kind = EXIT_EXCEPTION;
    exit->bytes_count = 0;
    exit->vector = event.vector;
    exit->has_error = event.has_error;
    exit->error = exit->has_error ? (uint32_t)vmread(VMCS_EXIT_INTR_ERROR) : 0;
    exit->detail = exit->parameter = vmread(VMCS_QUALIFICATION);
    if (event.type >= EVENT_SOFT_INTERRUPT)
        exit->insn_length = (uint8_t)vmread(VMCS_EXIT_INSN_LENGTH);
    if (info & INTR_NMI_UNBLOCKED && exit->vector != VECTOR_DF)
        vmx_block_nmis_again(vp);
    if (!(vp->exception_bitmap >> exit->vector & 1))
        vmx_reinject(vp, exit);
}

static void decode_memory(struct vp *vp, struct exit *exit)
{
    uint64_t qualification = vmread(VMCS_QUALIFICATION); /* SDM table 28-7 */
    exit->kind = EXIT_MEMORY;
    exit->detail = qualification;
    exit->insn_length = 0;
    exit->bytes_count = 0;
    exit->access = qualification & 2   ? ACCESS_WRITE
                   : qualification & 4 ? ACCESS_EXECUTE
                                       : ACCESS_READ;
    exit->gva_valid = qualification & BIT(7);
    exit->gva_translated = qualification & BIT(8);
    vmread_to(VMCS_GUEST_PHYSICAL_ADDRESS, &exit->gpa);
    vmread_to(VMCS_GUEST_LINEAR_ADDRESS, &exit->gva);
    vmx_take_back_event(vp);
    if (qualification & EPT_NMI_UNBLOCKED)
        vmx_block_nmis_again(vp);
}

static void decode_io(struct exit *exit)
{
    uint64_t qualification = vmread(VMCS_QUALIFICATION); /* SDM table 28-5 */
    exit->kind = EXIT_IO;
    exit->detail = qualification;
    exit->insn_length = (uint8_t)vmread(VMCS_EXIT_INSN_LENGTH);
    exit->bytes_count = 0;
    exit->io_size = (uint8_t)((qualification & 7) + 1);
    exit->access = qualification & 8 ? ACCESS_READ : ACCESS_WRITE;
    exit->io_string = qualification & BIT(4);
    exit->io_rep = qualification & BIT(5);
    exit->port = (uint16_t)(qualification >> 16);
}

/*
 * A MOV to or from a control register that is not the guest's alone.
 * CR0: the masked bits may be anything the guest likes, it only sees them; with
 * the shadow changed the instruction runs again and the processor does the
 * rest. CR4: only bits that must not be set make a difference. CR8: a child's.
 */
static void decode_cr(struct vp *vp, struct exit *exit)
{
    enum { MOV_TO = 0, MOV_FROM = 1 };
    uint64_t qualification = vmread(VMCS_QUALIFICATION); /* SDM table 28-3 */
    unsigned number = qualification & 0xF, type = qualification >> 4 & 3;
    uint64_t *gpr = &vp->state.gpr[qualification >> 8 & 0xF];
    bool to = type == MOV_TO;

    exit->kind = EXIT_NOTHING;
    exit->detail = qualification;
    exit->insn_length = (uint8_t)vmread(VMCS_EXIT_INSN_LENGTH);
    if (number == 0 && to) {
        if ((*gpr & (CR0_NW | CR0_CD)) == CR0_NW || *gpr >> 32)
            exit->kind = EXIT_GP;
        else
            vmwrite(VMCS_CR0_SHADOW, *gpr | CR0_ET);
    } else if (number == 4 && to) {
        exit->kind = EXIT_GP;
    } else if (number == 8 && type <= MOV_FROM) {
        if (to && *gpr > 0xF) {
            exit->kind = EXIT_GP;
            return;
        }
        if (to)
            vp->state.cr8 = *gpr;
        else
            *gpr = vp->state.cr8;
        vp_advance(vp, exit->insn_length);
    } else {
        exit->kind = EXIT_UNEXPECTED;
    }
}

/* Writes of MSRs that are switched exit so that switching need not read them. */
static void decode_wrmsr(struct vp *vp, struct exit *exit)
{
    uint32_t msr = (uint32_t)vp->state.gpr[RCX];
    uint64_t value = vp->state.gpr[RDX] << 32 | (uint32_t)vp->state.gpr[RAX];
    exit->kind = EXIT_WRMSR;
    exit->detail = 0;
    exit->insn_length = (uint8_t)vmread(VMCS_EXIT_INSN_LENGTH);
    if (vp->intercept_all_msrs)
        return;
    enum msr_result result = vmx_write_switched_msr(vp, msr, value);
    if (result == MSR_RETRY) /* none of them */
        return;
    exit->kind = result == MSR_DONE ? EXIT_NOTHING : EXIT_GP;
    if (result == MSR_DONE)
        vp_advance(vp, exit->insn_length);
}

static NOINLINE void decode(struct vp *vp, struct exit *exit, uint32_t reason)
{
    exit->insn_length = 0;
    switch (reason) {
    case VMX_EXIT_WRMSR:
        decode_wrmsr(vp, exit);
        break;
    case VMX_EXIT_EXCEPTION_OR_NMI:
        decode_exception(vp, exit);
        break;
    case VMX_EXIT_EXTERNAL_INTERRUPT:
        vmx_external_interrupt(exit);
        break;
    case VMX_EXIT_PREEMPTION_TIMER:
        vmx_timer_exit(exit);
        break;
    case VMX_EXIT_TRIPLE_FAULT:
        exit->kind = EXIT_TRIPLE_FAULT;
        break;
    case VMX_EXIT_INTERRUPT_WINDOW:
        exit->kind = vp->want_interrupt_window ? EXIT_INTERRUPT_WINDOW : EXIT_NOTHING;
        break;
    case VMX_EXIT_NMI_WINDOW:
        exit->kind = vp->want_nmi_window ? EXIT_NMI_WINDOW : EXIT_NOTHING;
        break;
    case VMX_EXIT_INIT:
        say_warn_of_guest("an INIT signal reached a processor that runs a guest; ignored");
        exit->kind = EXIT_NOTHING;
        break;
    case VMX_EXIT_TASK_SWITCH: /* not emulated; an event through a task gate is lost */
        say_warn_of_guest("a guest switched tasks by hardware, which is not supported: #GP");
        exit->detail = vmread(VMCS_QUALIFICATION);
        exit->kind = EXIT_GP;
        break;
    case VMX_EXIT_CR_ACCESS:
        decode_cr(vp, exit);
        break;
    default:
        exit->detail = vmread(VMCS_QUALIFICATION);
        exit->kind = EXIT_UNEXPECTED;
    }
}

/* The guest did not run: what prepare() took for done is not. */
void vmx_not_entered(struct vp *vp, struct exit *exit, unsigned how)
{
    struct vmx_vp *v = vmx_of(vp);
    if (v->attempt & ATTEMPT_EVENT) {
        vmwrite(VMCS_ENTRY_INTR_INFO, 0);
        vp->state.event.valid = true;
    }
    if (v->attempt & ATTEMPT_LAUNCH)
        vp->launched = false;
    v->halted = v->attempt & ATTEMPT_HALTED;
    v->attempt = 0;
    v->windows = WINDOWS_UNKNOWN;
    exit->kind = EXIT_NOTHING;
    exit->insn_length = 0;
    if (how == VMX_KICKED)
        return;
    if (how == VMX_FAILED) {
        exit->reason = VMX_REASON_VMFAIL | (uint32_t)vmread(VMCS_INSTRUCTION_ERROR);
    } else {
        exit->detail = vmread(VMCS_QUALIFICATION);
        if (vmx_fix_pending_debug(vp->state.rflags))
            return; /* TF was changed from outside; once more */
        if (!vp->first && log_level >= LOG_DEBUG)
            vmx_explain_guest_state(vp);
    }
    exit->kind = EXIT_ENTRY_FAILED;
}

/*
 * vmx_run and vmx_exited are hot: a hypercall's way through them counts every
 * instruction, so they leave no call behind them that would need a register
 * saved, and what is rare is prepare()'s.
 */
void vmx_exited(struct vp *vp, struct exit *exit)
{
    struct vp_state *state = &vp->state;
    uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON);
    exit->reason = reason;
    vmread_to(VMCS_GUEST_RSP, &state->gpr[RSP]);
    vmread_to(VMCS_GUEST_RFLAGS, &state->rflags);
    vmx_of(vp)->last_rip = state->rip = vmread(VMCS_GUEST_RIP);
    if (reason < VMX_EXIT_COUNT && instruction_kinds[reason] != EXIT_NOTHING) {
        exit->kind = instruction_kinds[reason];
        exit->insn_length = (uint8_t)vmread(VMCS_EXIT_INSN_LENGTH);
        exit->detail = 0;
        return;
    }
    if (reason == VMX_EXIT_IO)
        decode_io(exit);
    else if (reason == VMX_EXIT_EPT_VIOLATION)
        decode_memory(vp, exit);
    else if (reason & VMX_REASON_FAILED)
        vmx_not_entered(vp, exit, VMX_ENTERED);
    else
        decode(vp, exit, reason & VMX_REASON_BASIC_MASK);
}

static inline void write_hot(struct vp *vp)
{
    if (vp->state.rip != vmx_of(vp)->last_rip)
        rip_moved(vp);
    vmwrite(VMCS_GUEST_RIP, vp->state.rip);
    vmwrite(VMCS_GUEST_RSP, vp->state.gpr[RSP]);
    vmwrite(VMCS_GUEST_RFLAGS, vp->state.rflags);
}

/*
 * An entry at which something else than the registers changes. It takes what it
 * does for done; vmx_not_entered knows from v->attempt what is to be taken
 * back. The next run comes here again, to find that it was right.
 */
static NOINLINE void prepare(struct vp *vp, struct exit *exit)
{
    struct vmx_vp *v = vmx_of(vp);
    bool launched = vp->launched;
    v->attempt = 0;
    if (vp->flush)
        flush(vp);
    vmx_ask_for_windows(vp);
    v->windows = windows_wanted(vp);
    if (v->halted && vp->state.rip != v->last_rip)
        vmwrite(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
    else if (v->halted)
        v->attempt |= ATTEMPT_HALTED;
    v->halted = false;
    if (vp->state.event.valid) {
        vmx_inject(vp);
        vp->state.event.valid = false;
        v->attempt |= ATTEMPT_EVENT;
    }
    if (!launched) {
        vp->launched = true;
        v->attempt |= ATTEMPT_LAUNCH;
    }
    if (v->attempt)
        v->windows = WINDOWS_UNKNOWN;
    write_hot(vp);
    if (launched)
        vmx_resume(vp, exit);
    else
        vmx_launch(vp, exit);
}

void vmx_run(struct vp *vp, struct exit *exit)
{
    bool plain = !vp->flush && !vp->state.event.valid;
    if (plain && windows_wanted(vp) == vmx_of(vp)->windows) {
        write_hot(vp);
        vmx_resume(vp, exit);
    } else if (plain && begin_plain_launch(vp)) {
        write_hot(vp);
        vmx_launch(vp, exit);
    } else {
        prepare(vp, exit);
    }
}
