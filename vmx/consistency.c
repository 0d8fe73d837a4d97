/* SPDX-License-Identifier: MIT */
/*
 * Why a VM entry was refused: the rules over the VP's state (hv/model/rules.c), and
 * here those over what only a VMCS has (SDM 27.3.1).
 */
#include "vmx/vmx.h"

#include "hv/base/console.h"
#include "hv/base/features.h"
#include "hv/model/rules.h"
#include "hv/model/segment.h"

#define EFER_MAY      ((uint64_t)EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define PENDING_NEVER (~0x1500FUL & ~BIT(11))

void vmx_find_limits(void)
{
    entry_limits = (struct entry_limits){
        .cr3_may = cr3_defined_bits(),
        .cr4_may = vmx_caps.cr4_fixed1,
        .efer_may = EFER_MAY,
    };
}

static unsigned refuse(bool violated, const char *rule)
{
    if (violated)
        say_error("guest state: %s", rule);
    return violated;
}

/* What vmx_load writes beside the VP's own. */
static unsigned check_controls(void)
{
    uint64_t cr0 = vmread(VMCS_GUEST_CR0), cr4 = vmread(VMCS_GUEST_CR4);
    uint64_t must = vmx_caps.cr0_fixed0 & ~(CR0_PE | CR0_PG); /* free with "unrestricted guest" */
    bool long_entry = vmread(VMCS_ENTRY_CONTROLS) & ENTRYC_IA32E_GUEST;
    bool lma = vmread(VMCS_GUEST_EFER) & EFER_LMA;
    return refuse((cr0 & must) != must, "CR0: a bit that must be 1 in VMX operation is 0") +
           refuse(cr0 & ~vmx_caps.cr0_fixed1, "CR0: a reserved bit is set") +
           refuse(~cr4 & vmx_caps.cr4_fixed0, "CR4: a bit that must be 1 is 0") +
           refuse(lma != long_entry, "EFER: LMA differs from the entry's 64-bit control") +
           refuse(vmread(VMCS_VMCS_LINK) != ~0UL, "VMCS link pointer: not all ones");
}

/* SDM 27.3.1.5 */
static unsigned check_activity(const struct vp_state *s)
{
    uint64_t blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY), activity = vmread(VMCS_GUEST_ACTIVITY);
    uint64_t pending = vmread(VMCS_GUEST_PENDING_DEBUG);
    uint64_t shadow = blocking & (BLOCKING_STI | BLOCKING_MOV_SS);
    bool step = s->rflags & RFLAGS_TF && !(s->debugctl & DEBUGCTL_BTF);
    bool checked = shadow != 0 || activity == ACTIVITY_HLT;
    return refuse(activity > ACTIVITY_WAIT_SIPI, "activity state: no such one") +
           refuse(activity != ACTIVITY_ACTIVE && shadow != 0,
                  "activity state: halted in an interrupt shadow") +
           refuse(activity == ACTIVITY_HLT && cpl_of(s) != 0,
                  "activity state: halted outside CPL 0") +
           refuse(blocking & ~0x1FUL, "interruptibility: a reserved bit is set") +
           refuse(shadow == (BLOCKING_STI | BLOCKING_MOV_SS),
                  "interruptibility: blocked by STI and by MOV SS at once") +
           refuse(blocking & BLOCKING_STI && !(s->rflags & RFLAGS_IF),
                  "interruptibility: blocked by STI with IF clear") +
           refuse(s->event.valid && s->event.type == EVENT_NMI && blocking & BLOCKING_MOV_SS,
                  "interruptibility: an NMI is injected while blocked by MOV SS") +
           refuse(pending & PENDING_NEVER, "pending debug exceptions: a reserved bit is set") +
           refuse(checked && step != !!(pending & PENDING_DEBUG_BS),
                  "pending debug exceptions: single step is not as TF says");
}

unsigned vmx_explain_guest_state(struct vp *vp)
{
    vp_sync(vp);
    return rules_broken(&vp->state, ASK_VTX, true) + check_controls() + check_activity(&vp->state);
}
