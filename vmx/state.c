/* SPDX-License-Identifier: MIT */
/* VT-x: moving a VP's state between struct vp_state, the VMCS and the processor. */
#include "vmx/fast.h"

#include "hv/base/panic.h"
#include "hv/model/partition.h"
#include "hv/model/segment.h"
#include "mm/copy.h"

static void vmclear(const struct vp *vp)
{
    bool failed;
    __asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vp->control_spa) : "memory");
    must(!failed);
}

static void vmptrld(const struct vp *vp)
{
    bool failed;
    __asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vp->control_spa) : "memory");
    must(!failed);
}

/* Values that the processor refuses were refused when they were set; none may fault here, or leave
   another VP's value in place. */
static void switch_msr(uint64_t *now, uint32_t msr, uint64_t value)
{
    if (*now == value)
        return;
    if (!wrmsr_safe(msr, value))
        wrmsr(msr, value = 0);
    *now = value;
}

static void switch_msrs(struct vp *vp, struct vmx_cpu *cpu)
{
    const struct vp_state *s = &vp->state;
    uint64_t *now = cpu->msrs;
#define SWITCH(member, NAME, check) switch_msr(&now[SW_##NAME], MSR_##NAME, s->member);
    VP_MSRS_SYSCALL(SWITCH);
    VP_MSRS_GS(SWITCH);
    if (vmx_caps.rdtscp)
        switch_msr(&now[SW_TSC_AUX], MSR_TSC_AUX, s->tsc_aux);
    cpu->msr_set = vmx_of(vp)->msr_set;
}

/* The place of an MSR whose writes exit only so that switching need not read it; NULL: none. */
static uint64_t *switched_msr(struct vp_state *s, uint32_t msr, enum switched *which)
{
    switch (msr) {
#define PLACE(member, NAME, check)                                                                 \
    case MSR_##NAME:                                                                               \
        *which = SW_##NAME;                                                                        \
        return &s->member;
        VP_MSRS_SYSCALL(PLACE)
        PLACE(tsc_aux, TSC_AUX, 32_BITS)
    default:
        return NULL;
    }
}

enum msr_result vmx_write_switched_msr(struct vp *vp, uint32_t msr, uint64_t value)
{
    enum switched which;
    struct vmx_cpu *cpu = vmx_cpu_here();
    uint64_t *place = switched_msr(&vp->state, msr, &which);
    if (!place)
        return MSR_RETRY;
    if (!wrmsr_safe(msr, value))
        return MSR_FAULT;
    cpu->msrs[which] = *place = value;
    vmx_number_msrs(vp);
    cpu->msr_set = vmx_of(vp)->msr_set;
    return MSR_DONE;
}

void vmx_read_switched_msrs(void)
{
    struct vmx_cpu *cpu = vmx_cpu_here();
#define READ(member, NAME, check) cpu->msrs[SW_##NAME] = rdmsr(MSR_##NAME);
    VP_MSRS_SYSCALL(READ);
    VP_MSRS_GS(READ);
    cpu->msrs[SW_TSC_AUX] = vmx_caps.rdtscp ? rdmsr(MSR_TSC_AUX) : 0;
    cpu->msr_set = MSR_SET_UNKNOWN;
}

/*
 * What the guest changes without an exit, and the VMCS does not have. CR8 is
 * not among it: a child's is never in the processor.
 */
static void read_unswitched(struct vp *vp)
{
    struct vp_state *s = &vp->state;
    s->cr2 = read_cr2();
    s->dr6 = read_dr6();
    s->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
    vmx_cpu_here()->msrs[SW_KERNEL_GS_BASE] = s->kernel_gs_base;
}

static void write_unswitched(struct vp *vp, struct vmx_cpu *cpu)
{
    const struct vp_state *s = &vp->state;
    write_cr2(s->cr2);
    write_dr6((uint32_t)s->dr6);
    if (switched_msrs_differ(vp, cpu))
        switch_msrs(vp, cpu);
}

/* What is not present is unusable, but for CS and TR, which must be usable: the entry fails. */
static void write_segments(const struct vp_state *s)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        uint32_t ar = s->seg[i].attributes;
        if (!(ar & SEGMENT_PRESENT) && i != SEG_CS && i != SEG_TR)
            ar |= SEGMENT_UNUSABLE;
        vmwrite(VMCS_GUEST_ES_AR + 2 * i, ar);
        vmwrite(VMCS_GUEST_ES_BASE + 2 * i, s->seg[i].base);
        vmwrite(VMCS_GUEST_ES_LIMIT + 2 * i, s->seg[i].limit);
        vmwrite(VMCS_GUEST_ES_SELECTOR + 2 * i, s->seg[i].selector);
    }
}

void vmx_save_shown(struct vp *vp)
{
    struct vp_state *s = &vp->state;
    uint64_t blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    s->interrupt_shadow = blocking & (BLOCKING_STI | BLOCKING_MOV_SS);
    s->nmi_masked = blocking & BLOCKING_NMI;
    uint64_t mask = vmx_cr0_mask(vp);
    s->cr0 = (vmread(VMCS_GUEST_CR0) & ~mask) | (vmread(VMCS_CR0_SHADOW) & mask);
    s->cr4 = vmread(VMCS_GUEST_CR4) & ~vmx_cr4_mask(vp);
    vmread_to(VMCS_GUEST_CR3, &s->cr3);
    vmread_to(VMCS_GUEST_EFER, &s->efer);
    vmread_to(VMCS_GUEST_DR7, &s->dr7);
    if (vp->first)
        s->cr8 = read_cr8();
    read_segments(s, SEG_ES, SEG_GS);
}

_Static_assert(sizeof(struct descriptor_table) == 16, "a limit may be read as 64 bits");
static void read_rest(struct vp *vp)
{
    struct vp_state *s = &vp->state;
    read_segments(s, SEG_LDTR, SEG_TR);
    vmread_to(VMCS_GUEST_GDTR_BASE, &s->gdtr.base);
    vmread_to(VMCS_GUEST_GDTR_LIMIT, (uint64_t *)&s->gdtr.limit); /* and its padding */
    vmread_to(VMCS_GUEST_IDTR_BASE, &s->idtr.base);
    vmread_to(VMCS_GUEST_IDTR_LIMIT, (uint64_t *)&s->idtr.limit);
    if (!vp->first)
        return; /* a child writes none of these without an exit */
    vmread_to(VMCS_GUEST_DEBUGCTL, &s->debugctl);
#define SAVE(member, NAME, check) vmread_to(VMCS_GUEST_##NAME, &s->member);
    VP_MSRS_PAT(SAVE);
    VP_MSRS_SYSENTER(SAVE);
}

/* Of a child's VP that is in no processor, its VMCS is read as one would read a book. */
void vmx_save_rest(struct vp *vp)
{
    if (vp->loaded) {
        read_unswitched(vp);
        read_rest(vp);
        return;
    }
    const struct vp *current = this_cpu()->loaded;
    must(current->loaded);
    vmptrld(vp);
    read_rest(vp);
    vmclear(vp);
    vmptrld(current);
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LMA);
}

/* With EPT and PAE paging the four PDPTEs are registers, filled by whoever loads CR3 (SDM 27.3.2.4,
   4.4.1). An unreadable table is one with nothing present. */
static void load_pdptes(struct vp *vp)
{
    enum { PDPTES = 4 };
    uint64_t pdptes[PDPTES] = {0};
    if (!guest_read(&vp->partition->space, vp->state.cr3 & 0xFFFFFFE0, pdptes, sizeof(pdptes)))
        for (unsigned i = 0; i < PDPTES; i++)
            pdptes[i] = 0;
    for (unsigned i = 0; i < PDPTES; i++)
        vmwrite(VMCS_GUEST_PDPTE0 + 2 * i, pdptes[i]);
}

/* CR0, CR3, CR4, EFER. A change of the way addresses are translated needs a flush that no guest
   instruction makes. */
static void load_paging(struct vp *vp)
{
    const struct vp_state *s = &vp->state;
    uint64_t cr0 = s->cr0 | CR0_ET | CR0_NE, cr4 = s->cr4 & ~vmx_cr4_mask(vp);
    if (!vp->first)
        cr0 &= ~(uint64_t)(CR0_CD | CR0_NW);
    cr4 |= vmx_caps.cr4_fixed0;

    uint64_t old_cr0 = vmread(VMCS_GUEST_CR0), old_cr4 = vmread(VMCS_GUEST_CR4);
    uint64_t old_cr3 = vmread(VMCS_GUEST_CR3), old_efer = vmread(VMCS_GUEST_EFER);
    if (cr0 != old_cr0 || cr4 != old_cr4 || s->cr3 != old_cr3 || s->efer != old_efer) {
        vp->flush = true;
        if (pae_paging(cr0, cr4, s->efer))
            load_pdptes(vp);
    }
    vmwrite(VMCS_GUEST_CR0, cr0);
    vmwrite(VMCS_CR0_SHADOW, s->cr0 | CR0_ET);
    vmwrite(VMCS_GUEST_CR3, s->cr3);
    vmwrite(VMCS_GUEST_CR4, cr4);
    vmwrite(VMCS_CR4_SHADOW, s->cr4 & ~vmx_cr4_mask(vp));
    vmwrite(VMCS_GUEST_EFER, s->efer);
    vmwrite(VMCS_ENTRY_CONTROLS, vmx_caps.controls[VMX_ENTRY][vp->first] |
                                     (s->efer & EFER_LMA ? ENTRYC_IA32E_GUEST : 0));
}

/* The interrupt shadow is blocking by STI, which needs IF, or else by MOV SS (SDM 27.3.1.5). */
static void load_interruptibility(struct vp *vp)
{
    const struct vp_state *s = &vp->state;
    uint64_t blocking = s->nmi_masked ? BLOCKING_NMI : 0;
    if (s->interrupt_shadow) {
        uint64_t old = vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKING_STI | BLOCKING_MOV_SS);
        if (old != 0 && (s->rflags & RFLAGS_IF || old == BLOCKING_MOV_SS))
            blocking |= old;
        else
            blocking |= s->rflags & RFLAGS_IF ? BLOCKING_STI : BLOCKING_MOV_SS;
    }
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking);
    /* Elsewhere, it is neither halted nor in the middle of a single step. */
    if (s->rip != vmx_of(vp)->last_rip) {
        vmwrite(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
        vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
        vmx_of(vp)->halted = false;
        vmx_of(vp)->last_rip = s->rip;
    }
    vmx_fix_pending_debug(s->rflags);
}

/* SDM 27.3.1.5: while blocked by STI or MOV SS, or halted, BS must be as TF says. */
bool vmx_fix_pending_debug(uint64_t rflags)
{
    uint64_t pending = vmread(VMCS_GUEST_PENDING_DEBUG), right = pending;
    uint64_t blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKING_STI | BLOCKING_MOV_SS);
    if (blocking == 0 && vmread(VMCS_GUEST_ACTIVITY) != ACTIVITY_HLT)
        return false;
    if (rflags & RFLAGS_TF && !(vmread(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF))
        right |= PENDING_DEBUG_BS;
    else
        right &= ~PENDING_DEBUG_BS;
    vmwrite(VMCS_GUEST_PENDING_DEBUG, right);
    return right != pending;
}

void vmx_load(struct vp *vp)
{
    const struct vp_state *s = &vp->state;
    load_paging(vp);
    load_interruptibility(vp);
    write_segments(s);
    vmwrite(VMCS_GUEST_GDTR_BASE, s->gdtr.base);
    vmwrite(VMCS_GUEST_GDTR_LIMIT, s->gdtr.limit);
    vmwrite(VMCS_GUEST_IDTR_BASE, s->idtr.base);
    vmwrite(VMCS_GUEST_IDTR_LIMIT, s->idtr.limit);
    vmwrite(VMCS_GUEST_DR7, s->dr7);
    vmwrite(VMCS_GUEST_DEBUGCTL, s->debugctl);
#define LOAD(member, NAME, check) vmwrite(VMCS_GUEST_##NAME, s->member);
    VP_MSRS_PAT(LOAD);
    VP_MSRS_SYSENTER(LOAD);
    vmwrite(VMCS_TSC_OFFSET, s->tsc_offset);
    if (vp->first)
        write_cr8(s->cr8 & 0xF);
    vmx_number_msrs(vp);
    write_unswitched(vp, vmx_cpu_here());
}

static void switch_in_elsewhere(struct vp *vp)
{
    if (vmx_of(vp)->configured) {
        vmptrld(vp);
    } else {
        vmclear(vp);
        vmptrld(vp);
        vmx_configure(vp);
        vp->touched = true;
    }
    vmx_write_host(vp);
}

void vmx_switch_in(struct vp *vp)
{
    struct vmx_cpu *cpu = vmx_cpu_here();
    vp->loaded = true;
    if (vmx_of(vp)->host_cpu == cpu)
        vmptrld(vp);
    else
        switch_in_elsewhere(vp);
    if (vp->first)
        cpu->left_by_interrupt = false;
    else if (cpu->left_by_interrupt)
        vmx_set_timer(0);
    if (!vp->touched) /* vmx_load writes them as well */
        write_unswitched(vp, cpu);
}

/*
 * A VP of the first partition stays where it is: its VMCS remains active on this
 * processor, and what was not asked for is not read. A child's VP leaves the processor.
 */
void vmx_switch_out(struct vp *vp)
{
    struct vmx_vp *v = vmx_of(vp);
    if (vp->exact != EXACT_ALL)
        read_unswitched(vp);
    if (!vp->first) {
        bool plain = !(v->primary & (PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW)) && !v->halted;
        vp_show(vp);
        vmclear(vp);
        vp->launched = false;
        v->windows = plain ? WINDOWS_LAUNCH : WINDOWS_UNKNOWN;
    }
    vp->loaded = false;
}

bool vmx_in_kernel64(struct vp *vp)
{
    return !(vmread(VMCS_GUEST_SS_AR) & SEGMENT_DPL) && (vmread(VMCS_GUEST_CS_AR) & SEGMENT_LONG) &&
           (vmread(VMCS_GUEST_EFER) & EFER_LMA);
}

uint64_t vmx_guest_cr4(struct vp *vp)
{
    if (vp->exact != EXACT_HOT || !vp->loaded)
        return vp->state.cr4;
    return vmread(VMCS_GUEST_CR4) & ~vmx_cr4_mask(vp);
}
