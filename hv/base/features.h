/* SPDX-License-Identifier: MIT */
/* What CPUID says of this machine's processors, where more than one place wants to know. */
#ifndef HV_BASE_FEATURES_H
#define HV_BASE_FEATURES_H

#include "hv/base/arch.h"

/* Bits of the physical address width (CPUID 0x80000008), at most 48: what four levels address. */
uint8_t physical_address_bits(void);

/* Bits of CR3 that mean something: an address of the processor's full width, and LAM's controls. */
uint64_t cr3_defined_bits(void);

/* The TSC runs at one rate in every power state (CPUID 0x80000007.EDX[8]). */
bool processor_tsc_is_invariant(void);

bool processor_has_x2apic(void);
/* Control-flow enforcement: shadow stacks or indirect branch tracking, and with them #CP. */
bool processor_has_cet(void);

/* Bits 63:47 are all the same: 48-bit linear addresses. */
static inline bool address_is_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

#endif
