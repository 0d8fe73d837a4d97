/* SPDX-License-Identifier: MIT */
/*
 * The bits of CPUID by name: who is shown which, and what makes each true. The first
 * partition is shown the machine itself but for the rows of BOTH and FIRST; a child is
 * shown what has a row, and 0 for everything else.
 */
#ifndef HV_SYNTHETIC_CPUID_BITS_H
#define HV_SYNTHETIC_CPUID_BITS_H

#include "hv/base/types.h"

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

enum cpuid_register { EAX = 1, EBX = 2, ECX = 4, EDX = 8, ALL = 15 };
enum cpuid_subleaf { ANY = 0xFF, FROM_2 = 0xFE }; /* as a row's; the others are themselves */
enum cpuid_who { BOTH, FIRST, CHILD };

enum cpuid_rule {
    HIDDEN,       /* never */
    PASSED,       /* where the processor has it */
    WITH_AVX,     /* likewise, and a child's XSAVE area has AVX */
    WITH_AVX512,  /* likewise, AVX-512 */
    TSC_ASKED,    /* likewise, and the partition, if it has an MSR to ask for it, has asked */
    SET,          /* always */
    SET_OSXSAVE,  /* where the guest's CR4.OSXSAVE is */
    SET_APIC_MSRS /* where the partition has them and the processor no x2APIC */
};

struct cpuid_row {
    uint32_t leaf;
    uint8_t subleaf, registers, who, rule;
    uint32_t bits;
    const char *name;
    const char *backing; /* what makes the bits true for who sees them, or why they are hidden */
};

/* Those of BOTH and FIRST come first, then a child's by leaf; the last one has no name. */
extern const struct cpuid_row cpuid_rows[];

#endif
