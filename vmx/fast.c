/* SPDX-License-Identifier: MIT */
/* What the short ways of vmx/fast.h leave for rare cases. */
#include "vmx/fast.h"

#include "hv/model/segment.h"

void vmx_number_msrs(struct vp *vp)
{
    static uint64_t last;
    const struct vp_state *s = &vp->state;
    uint64_t any = s->tsc_aux;
#define OR(member, NAME, check) any |= s->member;
    VP_MSRS_SYSCALL(OR)
    vmx_of(vp)->msr_set = any == 0 ? 0 : __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

void vmx_read_unusable(struct vp_state *s)
{
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (vmread(VMCS_GUEST_ES_AR + 2 * i) & SEGMENT_UNUSABLE)
            s->seg[i].attributes &= (uint16_t) ~(SEGMENT_PRESENT | ~SEGMENT_AR_MASK);
}
