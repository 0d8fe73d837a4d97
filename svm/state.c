/* SPDX-License-Identifier: MIT */
/* Register state between struct vp_state and the VMCB's save area. */
#include "svm/segments_fast.h"

#include "hv/model/rules.h"
#include "hv/model/segment.h"

#define VMCB_SEGMENT_LONG (1u << 9) /* in the VMCB's packed layout */

/* The VMCB packs AVL, L, D/B, G right above the low byte. The way back: svm/segments_fast.h. */
static inline struct vmcb_segment to_vmcb(const struct segment *from)
{
    unsigned a = from->attributes;
    uint16_t attributes = (uint16_t)((a & 0xFF) | (a >> 4 & 0xF00));
    return (struct vmcb_segment){from->selector, attributes, from->limit, from->base};
}

void svm_save_shown(struct vp *vp)
{
    const struct vmcb *vmcb = vmcb_of(vp);
    const struct vmcb_save *from = &vmcb->save;
    const struct vmcb_segment *data = &from->es; /* es cs ss ds fs gs, as the ABI has them */
    struct vp_state *s = &vp->state;

    /* A shadow covers one instruction: it is over once somebody has moved rip. */
    s->interrupt_shadow = (vmcb->interrupt_shadow & SHADOW_ACTIVE) && s->rip == from->rip;
    s->cr0 = from->cr0;
    s->cr3 = from->cr3;
    s->cr4 = from->cr4;
    s->cr8 = vp->first ? read_cr8() : vmcb->interrupt_control & V_TPR_MASK;
    s->efer = from->efer & ~(uint64_t)EFER_SVME;
    s->dr7 = from->dr7;
#pragma GCC unroll 6
    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        from_vmcb(&s->seg[i], &data[i]);
    /* SS.DPL is the CPL in the neutral state; the VMCB's may differ (after SYSRET, APM 15.5.1). */
    unsigned ss = s->seg[SEG_SS].attributes & ~(unsigned)SEGMENT_DPL;
    s->seg[SEG_SS].attributes = (uint16_t)(ss | (unsigned)from->cpl << SEGMENT_DPL_SHIFT);
}

void svm_save_rest(struct vp *vp)
{
    const struct vmcb_save *from = &vmcb_of(vp)->save;
    struct vp_state *s = &vp->state;

    from_vmcb(&s->seg[SEG_LDTR], &from->ldtr);
    from_vmcb(&s->seg[SEG_TR], &from->tr);
    s->gdtr = (struct descriptor_table){from->gdtr.base, (uint16_t)from->gdtr.limit};
    s->idtr = (struct descriptor_table){from->idtr.base, (uint16_t)from->idtr.limit};
    s->cr2 = from->cr2;
    s->dr6 = from->dr6;
#define SAVE(member, NAME, check) s->member = from->member;
    VP_MSRS(SAVE);
    if (svm_features.tsc_aux && vp->first) /* a child's writes all exit */
        s->tsc_aux = rdmsr(MSR_TSC_AUX);
}

static void load_segments(const struct vp_state *s, struct vmcb *vmcb)
{
    struct vmcb_segment *data = &vmcb->save.es;
    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        data[i] = to_vmcb(&s->seg[i]);
    vmcb->save.ldtr = to_vmcb(&s->seg[SEG_LDTR]);
    vmcb->save.tr = to_vmcb(&s->seg[SEG_TR]);

    unsigned cpl = cpl_of(s);
    if (!(s->cr0 & CR0_PE))
        cpl = 0;
    else if (s->rflags & RFLAGS_VM)
        cpl = 3;
    vmcb_set_cpl(vmcb, (uint8_t)cpl);
    vmcb_set_gdtr(vmcb, (struct vmcb_segment){.limit = s->gdtr.limit, .base = s->gdtr.base});
    vmcb_set_idtr(vmcb, (struct vmcb_segment){.limit = s->idtr.limit, .base = s->idtr.base});
}

/* EFER as VMRUN wants it: SVME on, and LMA as paging and LME make it. */
static uint64_t efer_to_vmcb(const struct vp_state *s)
{
    uint64_t efer = s->efer & ~(uint64_t)EFER_LMA;
    if ((efer & EFER_LME) && (s->cr0 & CR0_PG))
        efer |= EFER_LMA;
    return efer | EFER_SVME;
}

void svm_load(struct vp *vp)
{
    struct vmcb *vmcb = vmcb_of(vp);
    struct vmcb_save *to = &vmcb->save;
    const struct vp_state *s = &vp->state;

    vp->armed = (uint8_t)((vp->armed & ~ARMED_IMPOSSIBLE) | ARMED_LOADED |
                          (segments_are_possible(s) ? 0 : ARMED_IMPOSSIBLE));
    vmcb->interrupt_shadow = s->interrupt_shadow ? SHADOW_ACTIVE : 0;
    to->rip = s->rip; /* what the shadow belongs to */
    vmcb_set_cr0(vmcb, s->cr0);
    vmcb_set_cr2(vmcb, s->cr2);
    write_cr2(s->cr2); /* not every VMRUN does it */
    vmcb_set_cr3(vmcb, s->cr3);
    vmcb_set_cr4(vmcb, s->cr4);
    vmcb_set_efer(vmcb, efer_to_vmcb(s));
    if (vp->first)
        write_cr8(s->cr8 & 0xF); /* its TPR is the processor's */
    else
        vmcb_set_interrupt_control(vmcb, (vmcb->interrupt_control & ~V_TPR_MASK) | (s->cr8 & 0xF));
    load_segments(s, vmcb);
    vmcb_set_dr6(vmcb, s->dr6);
    vmcb_set_dr7(vmcb, s->dr7);
    vmcb_set_pat(vmcb, s->pat);
    vmcb_set_tsc_offset(vmcb, s->tsc_offset);
#define LOAD(member, NAME, check) to->member = s->member;
    VP_MSRS_SYSENTER(LOAD);
    VP_MSRS_SYSCALL(LOAD);
    VP_MSRS_GS(LOAD);
    if (svm_features.tsc_aux)
        wrmsr(MSR_TSC_AUX, s->tsc_aux);
}

void svm_switch_in(struct vp *vp)
{
    struct vmcb *vmcb = vmcb_of(vp);
    vp->loaded = true;
    if (!vp->first)
        vmcb->clean = 0; /* another processor may have run it since, APM 15.15.2 */
    write_cr2(vmcb->save.cr2);
    if (svm_features.tsc_aux)
        wrmsr(MSR_TSC_AUX, vp->state.tsc_aux);
}

void svm_switch_out(struct vp *vp)
{
    if (!vp->first)
        vp_show(vp);
    else if (svm_features.tsc_aux)
        vp->state.tsc_aux = rdmsr(MSR_TSC_AUX);
    vp->loaded = false;
}

bool svm_in_kernel64(struct vp *vp)
{
    const struct vmcb_save *from = &vmcb_of(vp)->save;
    return from->cpl == 0 && (from->cs.attributes & VMCB_SEGMENT_LONG) && (from->efer & EFER_LMA);
}

uint64_t svm_guest_cr4(struct vp *vp)
{
    return vmcb_of(vp)->save.cr4;
}
