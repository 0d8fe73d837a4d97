/* SPDX-License-Identifier: MIT */
/*
 * What is rare about an entry: a flush, injecting an event, waiting for the moment when
 * an interrupt or an NMI can be taken, and knowing when an NMI has ended.
 *
 * NMIs without help from the processor: after an NMI was injected, IRET exits;
 * the mask must stay until that IRET has completed, so the guest makes one
 * single step over it. The step is hidden: every exception and interrupt exits
 * meanwhile, so nothing pushes an RFLAGS with our TF in it.
 */
#include "svm/svm.h"

#include "hv/model/events.h"
#include "hv/model/rules.h"

#define DR6_STEP   BIT(14)
#define DR6_BREAKS 0xFUL

static void step_begin(struct vp *vp, enum svm_armed kind)
{
    struct svm_vp *svm = svm_of(vp);
    svm->step_tf = vp->state.rflags & RFLAGS_TF;
    svm->step_dr6 = vmcb_of(vp)->save.dr6;
    svm->step_rip = vp->state.rip;
    svm_arm(vp, (uint8_t)kind, ARMED_STEP | ARMED_IRET);
}

/* INT3, INTO, INT1 and INT n return behind the instruction. */
static bool is_software(const struct event *event)
{
    return event->type >= EVENT_SOFT_INTERRUPT;
}

/*
 * A software event pushes the address behind its instruction. Whether the
 * processor takes that from rip or from the next-rip field (APM 15.20) depends
 * on it having the latter, so both say the same. INT1, INT3 and INTO are
 * injected as exceptions: SVM's event types end at 4.
 */
static bool inject(struct vp *vp, struct vmcb *vmcb)
{
    struct svm_vp *svm = svm_of(vp);
    const struct event *event = &vp->state.event;
    uint64_t type = event->type;

    if (!event_is_possible(event))
        return false;
    svm->injected = *event;
    svm->injected_rip = vp->state.rip;
    if (is_software(event)) {
        vmcb->save.rip = vp->state.rip + event->insn_length;
        if (svm_features.next_rip)
            vmcb->next_rip = vmcb->save.rip;
        if (type > EVENT_SOFT_INTERRUPT)
            type = EVENT_EXCEPTION;
    }
    uint64_t value = EVENT_VALID | type << EVENT_TYPE_SHIFT | event->vector;
    if (event->has_error)
        value |= EVENT_HAS_ERROR | (uint64_t)event->error << 32;
    vmcb->event_injection = value;
    vmcb->interrupt_shadow = 0; /* it ends with the event's delivery */
    if (event->type == EVENT_NMI) {
        vp->state.nmi_masked = true;
        svm_arm(vp, ARMED_IRET, ARMED_STEP);
    }
    return true;
}

static void nmi_undone(struct vp *vp)
{
    vp->state.nmi_masked = false;
    svm_arm(vp, 0, ARMED_IRET);
}

/* False in an interrupt shadow, out of which a step then leads. */
static bool out_of_shadow(struct vp *vp, const struct vmcb *vmcb)
{
    if (!(vmcb->interrupt_shadow & SHADOW_ACTIVE))
        return true;
    if (!(vp->armed & ARMED_STEP))
        step_begin(vp, ARMED_STEP_SHADOW);
    return false;
}

/* True when an NMI can be taken this instant; otherwise an exit is armed for when it can. */
static bool nmi_window(struct vp *vp, const struct vmcb *vmcb)
{
    if (vp->state.event.valid) {
        svm_arm(vp, ARMED_IRET, 0); /* the handler's end at the latest */
        return false;
    }
    /* Masked: IRET is intercepted, or being stepped over. */
    return !vp->state.nmi_masked && out_of_shadow(vp, vmcb);
}

/* Likewise for an interrupt. A virtual interrupt (APM 15.21.4) is dummy: it only exits. Not every
   processor looks at it when only the shadow ends. */
static bool interrupt_window(struct vp *vp, const struct vmcb *vmcb)
{
    if (!vp->state.event.valid && (vp->state.rflags & RFLAGS_IF))
        return out_of_shadow(vp, vmcb);
    svm_arm(vp, ARMED_WINDOW, 0);
    return false;
}

/* As VMRUN would. */
static bool refuse(struct vmcb *vmcb, struct exit *exit)
{
    vmcb->exit_code = SVM_EXIT_INVALID;
    exit->kind = EXIT_ENTRY_FAILED;
    exit->reason = SVM_EXIT_INVALID;
    return false;
}

bool svm_before_entry(struct vp *vp, struct exit *exit)
{
    struct vmcb *vmcb = vmcb_of(vp);

    vmcb->tlb_control = vp->flush ? svm_features.flush_command : TLB_KEEP;
    vmcb->event_injection = 0;
    if (vp->armed & ARMED_IMPOSSIBLE)
        return refuse(vmcb, exit);
    if (vp->want_nmi_window && nmi_window(vp, vmcb)) {
        exit->kind = EXIT_NMI_WINDOW;
        return false;
    }
    if (vp->want_interrupt_window && interrupt_window(vp, vmcb)) {
        exit->kind = EXIT_INTERRUPT_WINDOW;
        return false;
    }
    if (!vp->want_interrupt_window && (vp->armed & ARMED_WINDOW))
        svm_arm(vp, 0, ARMED_WINDOW);
    if (vp->state.event.valid) {
        /* An event's delivery cannot be stepped; a masked NMI then waits for the next IRET. */
        if (vp->armed & ARMED_STEP)
            svm_arm(vp, vp->state.nmi_masked ? ARMED_IRET : 0, ARMED_STEP);
        if (!inject(vp, vmcb))
            return refuse(vmcb, exit);
    }
    if (vp->armed & ARMED_STEP)
        vmcb->save.rflags |= RFLAGS_TF;
    return true;
}

void svm_entry_cancelled(struct vp *vp)
{
    struct vmcb *vmcb = vmcb_of(vp);
    struct svm_vp *svm = svm_of(vp);
    if (svm->injected.valid && svm->injected.type == EVENT_NMI)
        nmi_undone(vp);
    svm->injected.valid = false;
    /* What hangs on rip, the shadow, is measured against the VMCB's. */
    vmcb->save.rip = vp->state.rip;
}

void svm_iret_reached(struct vp *vp)
{
    if (vp->state.nmi_masked)
        step_begin(vp, ARMED_STEP_IRET);
    else
        svm_arm(vp, 0, ARMED_IRET);
}

/* The exit came in the middle of an event's delivery, APM 15.7.2. */
static void take_back_event(struct vp *vp, uint64_t info)
{
    const struct event *injected = &svm_of(vp)->injected;
    struct event event = event_of_word(info);
    event.error = (uint32_t)(info >> 32);
    if (event.type == EVENT_NMI) { /* its vector is ignored, and need not be 2 */
        event.vector = VECTOR_NMI;
        nmi_undone(vp);
    }
    if (injected->valid && injected->vector == event.vector) {
        vp->state.event = *injected;
        if (is_software(injected))
            vp->state.rip = svm_of(vp)->injected_rip;
        return;
    }
    /* The guest's own INT n, INT3 or INTO: rip is still at it, and it will be executed again. */
    bool own_trap =
        event.type == EVENT_EXCEPTION && (event.vector == VECTOR_BP || event.vector == VECTOR_OF);
    if (event.type != EVENT_SOFT_INTERRUPT && !own_trap)
        vp->state.event = event;
}

/* The step is over: what was the guest's is put back. True when nobody else need know. */
static bool step_end(struct vp *vp, struct vmcb *vmcb)
{
    struct svm_vp *svm = svm_of(vp);
    bool over_iret = vp->armed & ARMED_STEP_IRET;
    uint64_t dr6 = vmcb->save.dr6;
    uint32_t code = (uint32_t)vmcb->exit_code;
    /* DR6 ought to say that it was a step (APM 15.12.2); where it does not, rip tells. */
    bool stepped = code == SVM_EXIT_EXCEPTION + VECTOR_DB &&
                   ((dr6 & DR6_STEP) || vp->state.rip != svm->step_rip);

    /* Over IRET, RFLAGS come from the guest's stack, and TF with them. */
    if (!(stepped && over_iret))
        vp->state.rflags =
            (vp->state.rflags & ~(uint64_t)RFLAGS_TF) | (svm->step_tf ? (uint64_t)RFLAGS_TF : 0);
    if (stepped) {
        svm_arm(vp, 0, ARMED_STEP);
        if (over_iret)
            vp->state.nmi_masked = false;
        if (svm->step_tf || (dr6 & DR6_BREAKS & ~svm->step_dr6)) {
            vp_inject_exception(vp, VECTOR_DB, false, 0);
            vmcb_set_dr6(vmcb, svm->step_tf ? dr6 | DR6_STEP : dr6 & ~DR6_STEP);
        } else {
            vmcb_set_dr6(vmcb, svm->step_dr6);
        }
        return true;
    }
    /* It stopped short of the instruction, which will be tried again; but an IRET that faults
       has ended the NMI as well (SDM 6.7.1). */
    bool fault = code >= SVM_EXIT_EXCEPTION && code <= SVM_EXIT_EXCEPTION_LAST;
    if (over_iret && fault)
        vp->state.nmi_masked = false;
    svm_arm(vp, over_iret && !fault ? ARMED_IRET : 0, ARMED_STEP);
    if (!fault)
        return code == SVM_EXIT_INTR && vp->first;
    uint8_t vector = (uint8_t)(code - SVM_EXIT_EXCEPTION);
    if (vp->exception_bitmap & BIT(vector))
        return false;
    /* Again, and this time into the guest. Until then an NMI waits: it must not come between. */
    if (vector != VECTOR_BP && vector != VECTOR_OF)
        vp_inject_exception(vp, vector, exception_has_error_code(vector),
                            (uint32_t)vmcb->exit_info1);
    if (vector == VECTOR_PF)
        vmcb_set_cr2(vmcb, vmcb->exit_info2);
    return true;
}

bool svm_after_exit(struct vp *vp)
{
    struct vmcb *vmcb = vmcb_of(vp);
    struct svm_vp *svm = svm_of(vp);

    vp->armed &= (uint8_t)~ARMED_LOADED;
    vmcb->tlb_control = TLB_KEEP;
    vp->flush = false;
    vmcb->event_injection = 0;
    if (svm->injected.valid)
        vp->state.event.valid = false;
    if (vmcb->exit_int_info & EVENT_VALID)
        take_back_event(vp, vmcb->exit_int_info);
    svm->injected.valid = false;
    return (vp->armed & ARMED_STEP) && step_end(vp, vmcb);
}
