/* SPDX-License-Identifier: MIT */
/*
 * What CPUID says to a guest. The first partition sees the processor itself, less
 * virtualization; a child sees what it can use: both by the rows of cpuid_bits.c. Both see
 * the hypervisor's leaves (TLFS "Feature and Interface Discovery"): exactly what works.
 */
#include "hv/synthetic/cpuid.h"

#include "hv/base/features.h"
#include "hv/model/fpu.h"
#include "hv/model/partition.h"
#include "hv/synthetic/cpuid_bits.h"
#include "hv/synthetic/diagnostics.h"

/* Linux's driver for this interface was tested with builds 27744 to 27751 and warns outside. */
#define VERSION_BUILD 27751
#define VERSION_10_0  (10u << 16)
#define SPIN_RETRIES  0xFFFu

#define EXTENDED 0x80000000u

/* The words of the hypervisor's leaves. Their single bits have rows. */
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
        break;
    case LEAF_RECOMMENDATIONS:
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

static uint32_t last_leaf(uint32_t first)
{
    static uint32_t last[2];
    uint32_t *known = &last[first == EXTENDED];
    if (*known == 0) /* asked once: where this hypervisor is a guest, CPUID is an exit */
        *known = cpuid(first, 0).eax;
    return *known;
}

/* What the hypervisor computes for a child, and the processor's own of all else; 0 behind the last
   leaf, where some processors answer with another one's. */
static struct cpuid_regs child_leaf(const struct vp *vp, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r = {0};
    bool xsave = vp->xsave_features != 0;
    if (leaf > last_leaf(leaf & EXTENDED) || (leaf == 0xD && !xsave))
        return r;
    r = cpuid(leaf, subleaf);
    if (leaf == 1) {
        r.ebx = (r.ebx & 0xFFFF) | vp->index << 24 | 1 << 16;
    } else if (leaf == 0xD && subleaf == 0) {
        r.eax = (uint32_t)xsave_features_child;
        r.ebx = (uint32_t)xsave_size(xgetbv0());
        r.ecx = (uint32_t)xsave_size(xsave_features_child);
        r.edx = (uint32_t)(xsave_features_child >> 32);
    } else if (leaf == 0xD && subleaf != 1 &&
               (subleaf > 63 || !(xsave_features_child & BIT(subleaf)))) {
        r = (struct cpuid_regs){0};
    }
    return r;
}

/* Of a row's bits those that are shown; `own` is the register as it would be without the row. */
static uint32_t shown(struct vp *vp, const struct cpuid_row *row, uint32_t own)
{
    uint64_t privileges = vp->partition->privileges;
    bool set = false, passed = false;
    switch ((enum cpuid_rule)row->rule) {
    case HIDDEN:
        break;
    case PASSED:
        passed = true;
        break;
    case WITH_AVX:
        passed = xsave_features_child & XFEATURE_AVX;
        break;
    case WITH_AVX512:
        passed = xsave_features_child & XFEATURE_AVX512;
        break;
    case TSC_ASKED:
        passed = !(privileges & PRIVILEGE_TSC_INVARIANT) || vp->partition->tsc_invariant;
        break;
    case SET:
        set = true;
        break;
    case SET_OSXSAVE:
        set = backend->guest_cr4(vp) & CR4_OSXSAVE;
        break;
    case SET_APIC_MSRS:
        set = (privileges & PRIVILEGE_APIC_MSRS) && !processor_has_x2apic();
        break;
    }
    return set ? row->bits : passed ? own & row->bits : 0;
}

static bool row_is_for(const struct cpuid_row *row, const struct vp *vp, uint32_t subleaf)
{
    if (row->who == FIRST && !vp->first)
        return false;
    return row->subleaf == ANY || (row->subleaf == FROM_2 ? subleaf >= 2 : row->subleaf == subleaf);
}

/* Puts the rows of a leaf into force. A list: what has no row is 0. */
static void apply_rows(struct vp *vp, bool list, uint32_t leaf, uint32_t subleaf,
                       struct cpuid_regs *r)
{
    const uint32_t own[] = {r->eax, r->ebx, r->ecx, r->edx};
    uint32_t to[] = {list ? 0 : r->eax, list ? 0 : r->ebx, list ? 0 : r->ecx, list ? 0 : r->edx};
    for (const struct cpuid_row *row = cpuid_rows; row->name; row++) {
        if (row->who == CHILD && (vp->first || row->leaf > leaf))
            break;
        if (row->leaf != leaf || !row_is_for(row, vp, subleaf))
            continue;
        for (unsigned i = 0; i < ARRAY_SIZE(to); i++)
            if (row->registers & BIT(i))
                to[i] = (to[i] & ~row->bits) | shown(vp, row, own[i]);
    }
    *r = (struct cpuid_regs){to[0], to[1], to[2], to[3]};
}

/* Leaves that are not the processor's own answer. */
static __attribute__((noinline)) void special_leaf(struct vp *vp, uint32_t leaf, uint32_t subleaf,
                                                   struct cpuid_regs *r)
{
    bool hypervisor = leaf >= LEAF_VENDOR && leaf <= LEAF_VENDOR + 0xFF;
    if (leaf >= VELLUM_LEAF && leaf <= VELLUM_LEAF + 0xFF && vp->first) {
        *r = diagnostics_leaf(leaf);
        return;
    }
    if (hypervisor)
        *r = hypervisor_leaf(vp, leaf);
    else
        *r = vp->first ? cpuid(leaf, subleaf) : child_leaf(vp, leaf, subleaf);
    apply_rows(vp, !hypervisor && !vp->first, leaf, subleaf, r);
}

void cpuid_for(struct vp *vp, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
    /* Leaf 0 and the plain leaves from 2 on are the processor's own. */
    if (vp->first && (leaf == 0 || leaf - 2 < 0x40000000 - 2))
        *r = cpuid(leaf, subleaf);
    else
        special_leaf(vp, leaf, subleaf, r);
}
