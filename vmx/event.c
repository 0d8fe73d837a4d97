/* SPDX-License-Identifier: MIT */
/*
 * VT-x: what is rare about an entry or an exit: injecting an event, waiting for
 * the moment when an interrupt or an NMI can be taken, and taking back what was
 * not delivered.
 */
#include "vmx/vmx.h"

#include "hv/base/apic.h"
#include "hv/model/events.h"

void vmx_ask_for_windows(struct vp *vp)
{
    struct vmx_vp *v = vmx_of(vp);
    uint32_t primary = v->primary & ~(uint32_t)(PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW);
    if (vp->want_interrupt_window)
        primary |= PRIMARY_INTERRUPT_WINDOW;
    if (vp->want_nmi_window)
        primary |= PRIMARY_NMI_WINDOW;
    if (primary != v->primary)
        vmwrite(VMCS_PRIMARY_CONTROLS, primary);
    v->primary = primary;
}

/* Programs vp->state.event (SDM 27.2.1.3, 27.6). An error code goes with exactly those exceptions
   that have one, and in protected mode alone. */
void vmx_inject(struct vp *vp)
{
    const struct event *event = &vp->state.event;
    uint64_t info = EVENT_VALID | (uint64_t)event->type << EVENT_TYPE_SHIFT | event->vector;
    if (event->type == EVENT_EXCEPTION && exception_has_error_code(event->vector) &&
        vmread(VMCS_GUEST_CR0) & CR0_PE) {
        info |= EVENT_HAS_ERROR;
        vmwrite(VMCS_ENTRY_INTR_ERROR, event->error & UINT16_MAX);
    }
    if (event->type >= EVENT_SOFT_INTERRUPT)
        vmwrite(VMCS_ENTRY_INSN_LENGTH, event->insn_length);
    vmwrite(VMCS_ENTRY_INTR_INFO, info);
    if (vmread(VMCS_GUEST_ACTIVITY) != ACTIVITY_ACTIVE)
        vmwrite(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
}

/* An event whose delivery the exit interrupted goes back into vp->state.event (SDM 28.2.4). */
void vmx_take_back_event(struct vp *vp)
{
    uint64_t info = vmread(VMCS_IDT_VECTORING_INFO);
    if (!(info & EVENT_VALID))
        return;
    struct event *event = &vp->state.event;
    *event = event_of_word(info);
    if (event->has_error)
        event->error = (uint32_t)vmread(VMCS_IDT_VECTORING_ERROR);
    if (event->type >= EVENT_SOFT_INTERRUPT)
        event->insn_length = (uint8_t)vmread(VMCS_EXIT_INSN_LENGTH);
    if (event->type == EVENT_NMI) /* it will be delivered again, which must not be blocked */
        vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
                vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)BLOCKING_NMI);
}

/* An IRET that faulted had already ended the blocking of NMIs; it is to run again (SDM 28.2.3). */
void vmx_block_nmis_again(struct vp *vp)
{
    if (!vp->state.event.valid)
        vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) | BLOCKING_NMI);
}

/* The exit left NMIs blocked; the interrupt instruction takes the host's NMI handler, whose IRET
   unblocks them. A VP that was halted is still halted. */
void vmx_nmi_exit(struct vp *vp, struct exit *exit)
{
    __asm__ volatile("int $2" : : : "memory");
    exit->kind = EXIT_NMI;
    if (vmread(VMCS_GUEST_ACTIVITY) == ACTIVITY_HLT) {
        vmx_of(vp)->halted = true;
        vmx_of(vp)->windows = WINDOWS_UNKNOWN;
    }
}

/* #DB and #AC of a child are taken only so that their delivery cannot go on for ever. */
void vmx_reinject(struct vp *vp, struct exit *exit)
{
    if (exit->vector == VECTOR_DB) {
        enum { DR6_CAUSES = 0xF00F };
        write_dr6((read_dr6() & ~(uint64_t)0xF) | (exit->parameter & DR6_CAUSES));
        vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~BIT(13)); /* GD */
    }
    vp_inject_exception(vp, exit->vector, exit->has_error, exit->error);
    exit->kind = EXIT_NOTHING;
}

/*
 * External interrupts and children. A pending one exits at once, whatever IF
 * is; but an emulator has been seen that forgets this when it enters with IF
 * clear, until the guest changes IF. So a child's preemption timer, too, looks
 * whether one waits: now and then, and at once when the last child left by one
 * and the first partition has not run since. A processor does not notice.
 */
void vmx_external_interrupt(struct exit *exit)
{
    vmx_cpu_here()->left_by_interrupt = true;
    exit->kind = EXIT_INTERRUPT;
}

void vmx_timer_exit(struct exit *exit)
{
    vmx_set_timer(TIMER_TICKS);
    exit->kind = EXIT_NOTHING;
    if (apic_interrupt_waits())
        vmx_external_interrupt(exit);
}

void vmx_set_timer(uint32_t ticks)
{
    if (vmx_caps.controls[VMX_PIN][false] & PIN_PREEMPTION_TIMER)
        vmwrite(VMCS_PREEMPTION_TIMER, ticks >> vmx_caps.timer_rate);
}
