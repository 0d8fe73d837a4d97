/*
 * What CPUID says to a guest. The first partition sees the processor itself,
 * less virtualization; a child sees what it can use. Both see the hypervisor's
 * leaves (TLFS "Feature and Interface Discovery"): exactly what works.
 */
#include "hv/synthetic/cpuid.h"

#include "hv/base/features.h"
#include "hv/model/fpu.h"
#include "hv/model/partition.h"
#include "hv/synthetic/diagnostics.h"

enum { /* leaf 1 ECX */
       ECX1_MONITOR = 1 << 3,
       ECX1_VMX = 1 << 5,
       ECX1_SMX = 1 << 6,
       ECX1_PDCM = 1 << 15,
       ECX1_X2APIC = 1 << 21,
       ECX1_TSC_DEADLINE = 1 << 24,
       ECX1_XSAVE = 1 << 26,
       ECX1_OSXSAVE = 1 << 27,
       ECX1_AVX = 1 << 28,
};
#define ECX1_HYPERVISOR (1u << 31)
enum {
    EDX1_APIC = 1 << 9,
    EDX1_MCE = 1 << 7,
    EDX1_MCA = 1 << 14,
    EDX1_MTRR = 1 << 12,
    EDX1_DS = 1 << 21,
    EDX1_ACPI = 1 << 22,
    EDX1_TM = 1 << 29
};
enum { ECX_81_SVM = 1 << 2, ECX_81_SKINIT = 1 << 12, ECX_81_PERF = 1 << 23 };

#define EDX_87_INVARIANT_TSC (1u << 8)

enum hypervisor_leaf {
    LEAF_VENDOR = 0x40000000,
    LEAF_INTERFACE = 0x40000001,
    LEAF_VERSION = 0x40000002,
    LEAF_FEATURES = 0x40000003,
    LEAF_RECOMMENDATIONS = 0x40000004,
    LEAF_LIMITS = 0x40000005,
    LEAF_NESTED = 0x4000000A,
    LEAF_LAST = LEAF_NESTED,
};

/* Linux's driver for this interface was tested with builds 27744 to 27751 and warns outside. */
#define VERSION_BUILD 27751
#define VERSION_10_0  (10u << 16)

#define FEATURE_EDX_FREQUENCY_MSRS (1u << 8)
#define FEATURE_EDX_CRASH_MSRS     (1u << 10)
/* An xAPIC's registers cost a decoded instruction each; those of an x2APIC cost no exit at all. */
#define RECOMMEND_APIC_MSRS (1u << 3)
#define SPIN_RETRIES        0xFFFu

static struct cpuid_regs hypervisor_leaf(const struct vp *vp, uint32_t leaf)
{
    struct cpuid_regs r = {0};
    uint64_t privileges = vp->partition->privileges;
    switch (leaf) {
    case LEAF_VENDOR: /* "Microsoft Hv" */
        return (struct cpuid_regs){LEAF_LAST, 0x7263694D, 0x666F736F, 0x76482074};
    case LEAF_INTERFACE: /* "Hv#1" */
        r.eax = 0x31237648;
        break;
    case LEAF_VERSION:
        r.eax = VERSION_BUILD;
        r.ebx = VERSION_10_0;
        break;
    case LEAF_FEATURES:
        r.eax = (uint32_t)privileges;
        r.ebx = (uint32_t)(privileges >> 32);
        r.edx = FEATURE_EDX_FREQUENCY_MSRS | FEATURE_EDX_CRASH_MSRS;
        break;
    case LEAF_RECOMMENDATIONS:
        if (vp->first && (privileges & PRIVILEGE_APIC_MSRS) && !processor_has_x2apic())
            r.eax |= RECOMMEND_APIC_MSRS;
        r.ebx = SPIN_RETRIES;
        break;
    case LEAF_LIMITS:
        r.eax = MAX_CPUS;
        r.ebx = MAX_CPUS;
        break;
    default:
        break;
    }
    return r;
}

/* The sub-leaves of 0xD for a child: only features of xsave_features_child. */
static struct cpuid_regs child_xsave_leaf(struct vp *vp, uint32_t subleaf)
{
    struct cpuid_regs r = cpuid(0xD, subleaf);
    if (subleaf == 0) {
        r.eax = (uint32_t)xsave_features_child;
        r.edx = (uint32_t)(xsave_features_child >> 32);
        r.ebx = (uint32_t)xsave_size(xgetbv0());
        r.ecx = (uint32_t)xsave_size(xsave_features_child);
    } else if (subleaf == 1) {
        r.eax &= 1; /* XSAVEOPT; neither XSAVEC nor XSAVES */
        r.ebx = r.ecx = r.edx = 0;
    } else if (subleaf > 63 || !(xsave_features_child & BIT(subleaf))) {
        r = (struct cpuid_regs){0};
    }
    return r;
}

static struct cpuid_regs child_leaf(struct vp *vp, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r = cpuid(leaf, subleaf);
    bool avx = (xsave_features_child & 4) != 0, avx512 = (xsave_features_child & 0xE0) != 0;
    switch (leaf) {
    case 1:
        r.ecx &= ~(uint32_t)(ECX1_MONITOR | ECX1_X2APIC | ECX1_TSC_DEADLINE);
        if (!avx)
            r.ecx &= ~(uint32_t)(ECX1_AVX | 1 << 12 | 1 << 29); /* FMA, F16C */
        r.edx &= ~(uint32_t)(EDX1_APIC | EDX1_MCE | EDX1_MCA | EDX1_MTRR | EDX1_DS | EDX1_ACPI |
                             EDX1_TM);
        r.ebx = (r.ebx & 0xFFFF) | vp->index << 24 | 1 << 16;
        break;
    case 4:
        r.eax &= 0x3FFF; /* one core, one thread a cache */
        break;
    case 5:
    case 6:
    case 9:
    case 0xA:
    case 0xB:
    case 0xF:
    case 0x10:
    case 0x12:
    case 0x14:
    case 0x17:
    case 0x18:
    case 0x19:
    case 0x1A:
    case 0x1B:
    case 0x1F:
    case 0x8000000A:
    case 0x8000001B:
    case 0x8000001C:
    case 0x8000001F:
        return (struct cpuid_regs){0};
    case 7:
        if (subleaf != 0)
            return (struct cpuid_regs){0};
        r.eax = 0;
        /* FSGSBASE, BMI1, AVX2, SMEP, BMI2, ERMS, RDSEED, ADX, SMAP, CLFLUSHOPT, CLWB, SHA */
        r.ebx &= 0x219C03A9u & ~(1u << 25 | (avx ? 0 : 1u << 5));
        r.ebx |= avx512 ? cpuid(7, 0).ebx & 0xD0230000u : 0;
        r.ecx &= 0x00000004u; /* UMIP */
        r.edx = 0;
        break;
    case 0xD:
        return child_xsave_leaf(vp, subleaf);
    case 0x80000001:
        r.ecx &= ~(uint32_t)(ECX_81_PERF | 1 << 24 | 1 << 28 | 1 << 10 | 1 << 15);
        r.edx &= ~(uint32_t)EDX1_APIC;
        break;
    case 0x80000008:
        r.ecx = 0;
        break;
    default:
        break;
    }
    return r;
}

/* Leaves that are not the processor's own answer. */
static __attribute__((noinline)) void special_leaf(struct vp *vp, uint32_t leaf, uint32_t subleaf,
                                                   struct cpuid_regs *r)
{
    if (leaf >= 0x40000000 && leaf <= 0x400000FF) {
        *r = hypervisor_leaf(vp, leaf);
        return;
    }
    if (leaf >= VELLUM_LEAF && leaf <= VELLUM_LEAF + 0xFF && vp->first) {
        *r = diagnostics_leaf(leaf);
        return;
    }
    *r = vp->first ? cpuid(leaf, subleaf) : child_leaf(vp, leaf, subleaf);
    switch (leaf) {
    case 1:
        r->ecx &= ~(uint32_t)(ECX1_VMX | ECX1_SMX | ECX1_PDCM | ECX1_OSXSAVE);
        r->ecx |= ECX1_HYPERVISOR;
        if (backend->guest_cr4(vp) & CR4_OSXSAVE)
            r->ecx |= ECX1_OSXSAVE;
        break;
    case 0x80000001:
        r->ecx &= ~(uint32_t)(ECX_81_SVM | ECX_81_SKINIT);
        break;
    case 0x80000007:
        if ((vp->partition->privileges & PRIVILEGE_TSC_INVARIANT) && !vp->partition->tsc_invariant)
            r->edx &= ~EDX_87_INVARIANT_TSC;
        break;
    case 0x8000000A:
        *r = (struct cpuid_regs){0};
        break;
    default:
        break;
    }
}

void cpuid_for(struct vp *vp, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
    /* Leaf 0 and the plain leaves from 2 on are the processor's own. */
    if (vp->first && (leaf == 0 || leaf - 2 < 0x40000000 - 2))
        *r = cpuid(leaf, subleaf);
    else
        special_leaf(vp, leaf, subleaf, r);
}
