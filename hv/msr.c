/* SPDX-License-Identifier: MIT */
/*
 * MSRs that exit. The first partition reads and writes most MSRs without an exit; what is here
 * is what would show or touch the virtualization beneath it. A child has the few MSRs of its
 * table and no others. Both have the hypervisor's own (hv/synthetic/msrs.c).
 */
#include "hv/msr.h"

#include "hv/base/console.h"
#include "hv/base/string.h"
#include "hv/machine/apic.h"
#include "hv/model/rules.h"
#include "hv/synthetic/msrs.h"

static bool read_apic_base(struct vp *vp, uint32_t msr, uint64_t *value)
{
    *value = vp->apic_base;
    return true;
}

/* As a firmware leaves them that has locked VT-x or SVM off; #GP where they do not exist. */
static bool read_locked(struct vp *vp, uint32_t msr, uint64_t *value)
{
    if (!rdmsr_safe(msr, value))
        return false;
    *value = msr == MSR_FEATURE_CONTROL ? FEATURE_CONTROL_LOCKED : VM_CR_LOCK | VM_CR_SVM_DISABLED;
    return true;
}

static bool read_efer(struct vp *vp, uint32_t msr, uint64_t *value)
{
    vp_sync(vp);
    *value = vp->state.efer;
    return true;
}

static enum msr_result write_efer(struct vp *vp, uint32_t msr, uint64_t value)
{
    vp_sync(vp);
    uint64_t old = vp->state.efer;
    if (!efer_is_valid(value & ~(uint64_t)EFER_LMA, 0) ||
        (((value ^ old) & EFER_LME) && (vp->state.cr0 & CR0_PG)))
        return MSR_FAULT;
    vp_touch(vp);
    vp->state.efer = (value & ~(uint64_t)EFER_LMA) | (old & EFER_LMA);
    return MSR_DONE;
}

static enum msr_result ignore_microcode(struct vp *vp, uint32_t msr, uint64_t value)
{
    say_warn_of_guest("VP %u: a microcode update was ignored", vp->index);
    return MSR_DONE;
}

/* Memory types are those at boot. One line says so: who changes one MTRR changes most of them. */
static enum msr_result ignore_mtrr(struct vp *vp, uint32_t msr, uint64_t value)
{
    static bool told;
    uint64_t old;
    if (!rdmsr_safe(msr, &old))
        return MSR_FAULT;
    /* While it changes others, a system switches all of them off for a moment. */
    bool off = msr == MSR_MTRR_DEF_TYPE && !(value & MTRR_ENABLE);
    if (old != value && !off && !told) {
        told = true;
        say_warn_of_guest(
            "VP %u changes MTRR 0x%x to 0x%lx: memory types stay as they were at boot", vp->index,
            msr, value);
    }
    return MSR_DONE;
}

/* What exits on VT-x, what on AMD-V, and what becomes of it. */
/* clang-format off */
#define ONE(NAME, vtx, amdv, ...)  {MSR_##NAME, MSR_##NAME, vtx, amdv, __VA_ARGS__}
#define HYPERVISORS_OWN \
    {SYNTHETIC_MSR_FIRST, SYNTHETIC_MSR_LAST, MSR_BOTH, MSR_BOTH, \
     .read = synthetic_read, .write = synthetic_write}

static const struct msr_row rows_of_first[] = {
    ONE(APIC_BASE,          MSR_BOTH,  MSR_BOTH,  .read = read_apic_base, .write = apic_write_base),
    HYPERVISORS_OWN,
    ONE(X2APIC_ICR,         MSR_WRITE, MSR_WRITE, .write = apic_write_x2apic_icr),
    ONE(EFER,               0,         MSR_BOTH,  .read = read_efer, .write = write_efer),
    ONE(FEATURE_CONTROL,    MSR_BOTH,  MSR_BOTH,  .read = read_locked),
    ONE(VM_CR,              0,         MSR_BOTH,  .read = read_locked),
    {MSR_IGNNE, MSR_SVM_LAST, 0,       MSR_BOTH,  .read = NULL},
    {MSR_VMX_FIRST, MSR_VMX_LAST, MSR_BOTH, 0,    .read = NULL},
    ONE(PERF_CAPABILITIES,  MSR_BOTH,  MSR_BOTH,  .read = NULL),
    ONE(BIOS_UPDT_TRIG,     MSR_WRITE, MSR_WRITE, .write = ignore_microcode),
    ONE(PATCH_LOADER,       0,         MSR_WRITE, .write = ignore_microcode),
    {MSR_MTRR_PHYSBASE0, MSR_MTRR_PHYS_LAST, MSR_WRITE, MSR_WRITE, .write = ignore_mtrr},
    {MSR_MTRR_FIX64K, MSR_MTRR_FIX_LAST, MSR_WRITE, MSR_WRITE, .write = ignore_mtrr},
    ONE(MTRR_DEF_TYPE,      MSR_WRITE, MSR_WRITE, .write = ignore_mtrr),
    /* VT-x switches these by hand: its decoder carries the writes out (vmx/state.c). */
    {MSR_STAR, MSR_SFMASK,  MSR_WRITE, 0,         .write = NULL},
    ONE(TSC_AUX,            MSR_WRITE, 0,         .write = NULL),
};
/* clang-format on */
const struct msr_policy msrs_of_first = MSR_POLICY(rows_of_first);

static bool read_tsc(struct vp *vp, uint32_t msr, uint64_t *value)
{
    *value = rdtsc() + vp->state.tsc_offset;
    return true;
}

static bool read_zero(struct vp *vp, uint32_t msr, uint64_t *value)
{
    *value = 0;
    return true;
}

/* clang-format off */
#define REGISTER(field, NAME, kind, vtx, amdv) \
    ONE(NAME, vtx, amdv, .check = CHECK_##kind, .member = offsetof(struct vp_state, field))
/* VT-x: seldom written, and written by an exit, so that saving the VP need not look at it. */
#define SELDOM_WRITTEN(field, NAME, kind) REGISTER(field, NAME, kind, MSR_WRITE, 0),
#define WRITTEN(field, NAME, kind)        REGISTER(field, NAME, kind, 0, 0),
#define IN_VMCB(field, NAME, kind)        REGISTER(field, NAME, kind, MSR_WRITE, MSR_BOTH),

static const struct msr_row rows_of_child[] = {
    HYPERVISORS_OWN,
    VP_MSRS_SYSENTER(SELDOM_WRITTEN)
    VP_MSRS_SYSCALL(SELDOM_WRITTEN)
    VP_MSRS_GS(WRITTEN)
    VP_MSRS_PAT(IN_VMCB)
    REGISTER(seg[SEG_FS].base, FS_BASE, CANONICAL, 0, 0),
    REGISTER(seg[SEG_GS].base, GS_BASE, CANONICAL, 0, 0),
    REGISTER(tsc_aux, TSC_AUX, 32_BITS, MSR_BOTH, MSR_BOTH),
    ONE(EFER,         0,         MSR_BOTH, .read = read_efer, .write = write_efer),
    ONE(TSC,          MSR_WRITE, MSR_BOTH, .read = read_tsc),
    ONE(BIOS_SIGN_ID, MSR_BOTH,  MSR_BOTH, .read = read_zero),
};
/* clang-format on */
const struct msr_policy msrs_of_child = MSR_POLICY(rows_of_child);

/* Both vendors' ranges are these (SDM 25.6.9, APM 15.11); a smaller map ends earlier. */
void msr_fill_map(uint8_t *map, size_t size, int all, const struct msr_policy *policy,
                  msr_map_set *set)
{
    static const uint32_t ranges[] = {0, 0xC0000000, 0xC0010000};
    memset(map, all, size);
    for (uint32_t i = 0; i < ARRAY_SIZE(ranges) && i * MSRS_IN_RANGE < size * 4; i++)
        for (const struct msr_row *row = policy->rows; row != policy->end; row++)
            for (uint32_t msr = row->first; msr <= row->last; msr++)
                if (msr - ranges[i] < MSRS_IN_RANGE)
                    set(map, i * MSRS_IN_RANGE + (msr - ranges[i]), row);
}

static uint64_t *register_of(struct vp *vp, const struct msr_row *row)
{
    return (uint64_t *)((uint8_t *)&vp->state + row->member);
}

/* The row for an MSR; one without anything when there is none. */
static inline const struct msr_row *find(const struct vp *vp, uint32_t msr)
{
    static const struct msr_row none;
    const struct msr_policy *policy = vp->first ? &msrs_of_first : &msrs_of_child;
    for (const struct msr_row *row = policy->rows; row != policy->end; row++)
        if (msr - row->first <= row->last - row->first)
            return row;
    return &none;
}

static __attribute__((noinline)) bool read_otherwise(struct vp *vp, uint32_t msr, uint64_t *value,
                                                     const struct msr_row *row)
{
    if (row->member) {
        vp_sync(vp);
        *value = *register_of(vp, row);
        return true;
    }
    say_debug("VP %u of partition %lu read MSR 0x%x: #GP", vp->index, vp->partition->id, msr);
    return false;
}

static __attribute__((noinline)) enum msr_result
write_otherwise(struct vp *vp, uint32_t msr, uint64_t value, const struct msr_row *row)
{
    if (row->member && value_is_valid((enum value_check)row->check, value, 0)) {
        vp_touch(vp);
        *register_of(vp, row) = value;
        return MSR_DONE;
    }
    say_debug("VP %u of partition %lu wrote 0x%lx to MSR 0x%x: #GP", vp->index, vp->partition->id,
              value, msr);
    return MSR_FAULT;
}

bool msr_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    const struct msr_row *row = find(vp, msr);
    return row->read ? row->read(vp, msr, value) : read_otherwise(vp, msr, value, row);
}

enum msr_result msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    const struct msr_row *row = find(vp, msr);
    return row->write ? row->write(vp, msr, value) : write_otherwise(vp, msr, value, row);
}
