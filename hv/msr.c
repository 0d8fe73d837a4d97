/*
 * MSRs that exit: the architectural ones. The first partition reads and writes
 * most MSRs without an exit; what comes here is what would show or touch the
 * virtualization beneath it. A child has the few MSRs of this file and no others.
 */
#include "hv/msr.h"

#include "hv/base/arch.h"
#include "hv/base/console.h"
#include "hv/base/features.h"
#include "hv/machine/apic.h"
#include "hv/model/partition.h"
#include "hv/synthetic/diagnostics.h"
#include "hv/synthetic/msrs.h"
#include "hypercalls/abi.h"

#define FEATURE_CONTROL_LOCKED 1UL
#define VM_CR_SVM_LOCKED       (BIT(3) | BIT(4)) /* LOCK and SVMDIS, APM 15.30.1 */
#define MTRR_ENABLE            BIT(11)
#define MSR_UCODE_REVISION     0x8B
#define MSR_UCODE_WRITE        0x79
#define MSR_UCODE_WRITE_AMD    0xC0010020

/* EFER bits that this processor has, less SVME. */
static uint64_t efer_allowed(void)
{
    static uint64_t allowed;
    if (allowed == 0) {
        struct cpuid_regs r = cpuid(0x80000001, 0);
        allowed = EFER_LME | EFER_LMA;
        if (r.edx & BIT(11))
            allowed |= EFER_SCE;
        if (r.edx & BIT(20))
            allowed |= EFER_NXE;
        if (r.edx & BIT(25))
            allowed |= BIT(14); /* FFXSR */
    }
    return allowed;
}

static bool efer_write(struct vp *vp, uint64_t value)
{
    vp_sync(vp);
    uint64_t old = vp->state.efer;
    if (value & ~efer_allowed())
        return false;
    if (((value ^ old) & EFER_LME) && (vp->state.cr0 & CR0_PG))
        return false;
    vp_touch(vp);
    vp->state.efer = (value & ~(uint64_t)EFER_LMA) | (old & EFER_LMA);
    return true;
}

static bool pat_valid(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t type = (uint8_t)(value >> (8 * i));
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static bool is_mtrr(uint32_t msr)
{
    return (msr >= MSR_MTRR_PHYSBASE0 && msr < MSR_MTRR_PHYSBASE0 + 0x20) ||
           (msr >= MSR_MTRR_FIX64K && msr <= 0x26F) || msr == MSR_MTRR_DEF_TYPE;
}

static bool first_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_APIC_BASE:
        *value = vp->apic_base;
        return true;
    case MSR_FEATURE_CONTROL: /* as a firmware leaves it that has locked VT-x off */
        if (!rdmsr_safe(msr, value))
            return false;
        *value = FEATURE_CONTROL_LOCKED;
        return true;
    case MSR_EFER:
        vp_sync(vp);
        *value = vp->state.efer;
        return true;
    case MSR_VM_CR:
        if (!rdmsr_safe(msr, value))
            return false;
        *value = VM_CR_SVM_LOCKED;
        return true;
    default:
        if (is_mtrr(msr))
            return rdmsr_safe(msr, value);
        if (msr >= VELLUM_MSR_FIRST && msr <= VELLUM_MSR_LAST)
            return diagnostics_read(msr, value);
        say_debug("VP %u read the unknown MSR 0x%x: #GP", vp->index, msr);
        return false;
    }
}

static bool first_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_APIC_BASE:
        return apic_guest_set_base(vp, value);
    case MSR_X2APIC_ICR:
        return apic_guest_command(value);
    case MSR_EFER:
        return efer_write(vp, value);
    case MSR_UCODE_WRITE:
    case MSR_UCODE_WRITE_AMD:
        say_warn_of_guest("VP %u: a microcode update was ignored", vp->index);
        return true;
    default:
        break;
    }
    if (msr >= VELLUM_MSR_FIRST && msr <= VELLUM_MSR_LAST)
        return diagnostics_write(msr, value);
    if (is_mtrr(msr)) {
        uint64_t old;
        if (!rdmsr_safe(msr, &old))
            return false;
        /* While it changes others, a system switches all of them off for a moment. */
        bool off = msr == MSR_MTRR_DEF_TYPE && !(value & MTRR_ENABLE);
        if (old != value && !off)
            say_warn_of_guest(
                "VP %u changes MTRR 0x%x to 0x%lx: memory types stay as they were at boot",
                vp->index, msr, value);
        return true;
    }
    say_debug("VP %u wrote 0x%lx to the unknown MSR 0x%x: #GP", vp->index, value, msr);
    return false;
}

/* The MSR's place in the neutral state, for a child; NULL when it is none of those. */
static uint64_t *child_register(struct vp *vp, uint32_t msr)
{
    struct vp_state *s = &vp->state;
    switch (msr) {
    case MSR_SYSENTER_CS:
        return &s->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &s->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &s->sysenter_eip;
    case MSR_STAR:
        return &s->star;
    case MSR_LSTAR:
        return &s->lstar;
    case MSR_CSTAR:
        return &s->cstar;
    case MSR_SFMASK:
        return &s->sfmask;
    case MSR_FS_BASE:
        return &s->seg[SEG_FS].base;
    case MSR_GS_BASE:
        return &s->seg[SEG_GS].base;
    case MSR_KERNEL_GS_BASE:
        return &s->kernel_gs_base;
    case MSR_PAT:
        return &s->pat;
    case MSR_EFER:
        return &s->efer;
    case MSR_TSC_AUX:
        return &s->tsc_aux;
    default:
        return NULL;
    }
}

static bool holds_address(uint32_t msr)
{
    return msr == MSR_LSTAR || msr == MSR_CSTAR || msr == MSR_FS_BASE || msr == MSR_GS_BASE ||
           msr == MSR_KERNEL_GS_BASE || msr == MSR_SYSENTER_ESP || msr == MSR_SYSENTER_EIP;
}

static bool child_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_TSC:
        *value = rdtsc() + vp->state.tsc_offset;
        return true;
    case MSR_UCODE_REVISION:
        *value = 0;
        return true;
    default:
        break;
    }
    vp_sync(vp);
    const uint64_t *place = child_register(vp, msr);
    if (!place)
        return false;
    *value = *place;
    return true;
}

static bool child_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    if (msr == MSR_EFER)
        return efer_write(vp, value);
    if ((msr == MSR_PAT && !pat_valid(value)) ||
        (holds_address(msr) && !address_is_canonical(value)) ||
        (msr == MSR_TSC_AUX && value > UINT32_MAX))
        return false;
    vp_sync(vp);
    uint64_t *place = child_register(vp, msr);
    if (!place)
        return false;
    vp_touch(vp);
    *place = value;
    return true;
}

static bool is_apic_msr(uint32_t msr)
{
    return msr >= HV_MSR_EOI && msr <= HV_MSR_TPR;
}

static bool has_apic_msrs(const struct vp *vp)
{
    return vp->first && (vp->partition->privileges & PRIVILEGE_APIC_MSRS);
}

bool msr_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    if (is_apic_msr(msr))
        return has_apic_msrs(vp) && apic_synthetic_read(msr, value);
    if (msr >= 0x40000000 && msr <= 0x400001FF)
        return synthetic_msr_read(vp, msr, value);
    return vp->first ? first_read(vp, msr, value) : child_read(vp, msr, value);
}

enum msr_result msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    if (is_apic_msr(msr))
        return has_apic_msrs(vp) && apic_synthetic_write(vp, msr, value) ? MSR_DONE : MSR_FAULT;
    if (msr >= 0x40000000 && msr <= 0x400001FF)
        return synthetic_msr_write(vp, msr, value);
    bool ok = vp->first ? first_write(vp, msr, value) : child_write(vp, msr, value);
    return ok ? MSR_DONE : MSR_FAULT;
}
