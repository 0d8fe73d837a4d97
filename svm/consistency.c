/* SPDX-License-Identifier: MIT */
/*
 * Why VMRUN refused: the rules over the VP's state (hv/model/rules.c), and here those over
 * the control half of the VMCB (APM 15.5.1).
 */
#include "svm/svm.h"

#include "hv/base/console.h"
#include "hv/base/features.h"
#include "hv/model/rules.h"

/* Bits that no processor defines: of CR4 13 to 15, 19, 24 and all above. */
#define CR4_NEVER  0xFFFFFFFFFF08E000UL
#define EFER_NEVER 0xFFFFFFFFFFC902FEUL

void svm_find_limits(void)
{
    entry_limits = (struct entry_limits){
        .cr3_may = cr3_defined_bits(),
        .cr4_may = ~CR4_NEVER,
        .efer_may = ~(EFER_NEVER | EFER_SVME),
    };
}

static unsigned refuse(bool violated, const char *rule)
{
    if (violated)
        say_error("VMRUN refused because %s", rule);
    return violated;
}

static unsigned check_control(const struct vmcb *vmcb)
{
    uint64_t end = BIT(cpuid(0x80000008u, 0).eax & 0xFF);
    return refuse(!(vmcb->intercept2 & INTERCEPT2_VMRUN), "VMRUN is not intercepted") +
           refuse(!(vmcb->save.efer & EFER_SVME), "EFER.SVME is clear") +
           refuse(vmcb->asid == 0, "the ASID is 0") +
           refuse(vmcb->asid >= cpuid(0x8000000Au, 0).ebx,
                  "the processor has not that many ASIDs") +
           refuse(vmcb->iopm_spa + 3 * PAGE_SIZE > end,
                  "the I/O permission map is beyond the physical address width") +
           refuse(vmcb->msrpm_spa + 2 * PAGE_SIZE > end,
                  "the MSR permission map is beyond the physical address width") +
           refuse(vmcb->nested_cr3 >= end, "the nested CR3 is beyond the physical address width");
}

void svm_explain_refusal(struct vp *vp)
{
    vp_sync(vp);
    if (rules_broken(&vp->state, ASK_AMDV, true) + check_control(vmcb_of(vp)) == 0)
        say_error("VMRUN refused for a reason that no rule of APM 15.5.1 explains");
}
