/* SPDX-License-Identifier: MIT */
/* What CPUID says of this machine's processors. */
#include "hv/base/features.h"

#define LEAF_1_ECX_X2APIC    BIT(21)
#define LEAF_7_ECX_SHSTK     BIT(7)
#define LEAF_7_EDX_IBT       BIT(20)
#define LEAF_7_1_EAX_LAM     BIT(26)
#define CR3_LAM              (3UL << 61)
#define LEAF_87_EDX_CONSTANT BIT(8)

static bool has_extended_leaf(uint32_t leaf)
{
    return cpuid(0x80000000, 0).eax >= leaf;
}

/* MAXPHYADDR, SDM 4.1.4. */
static uint8_t widest_address(void)
{
    return has_extended_leaf(0x80000008) ? (uint8_t)cpuid(0x80000008, 0).eax : 36;
}

uint8_t physical_address_bits(void)
{
    return (uint8_t)min_u64(widest_address(), 48);
}

uint64_t cr3_defined_bits(void)
{
    bool lam = cpuid(0, 0).eax >= 7 && (cpuid(7, 1).eax & LEAF_7_1_EAX_LAM);
    return (BIT(widest_address()) - 1) | (lam ? CR3_LAM : 0);
}

bool processor_tsc_is_invariant(void)
{
    return has_extended_leaf(0x80000007) && (cpuid(0x80000007, 0).edx & LEAF_87_EDX_CONSTANT);
}

bool processor_has_x2apic(void)
{
    return (cpuid(1, 0).ecx & LEAF_1_ECX_X2APIC) != 0;
}

bool processor_has_cet(void)
{
    if (cpuid(0, 0).eax < 7)
        return false;
    struct cpuid_regs r = cpuid(7, 0);
    return (r.ecx & LEAF_7_ECX_SHSTK) || (r.edx & LEAF_7_EDX_IBT);
}
