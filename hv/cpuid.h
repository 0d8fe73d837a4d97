/* What CPUID says to a guest. */
#ifndef HV_CPUID_H
#define HV_CPUID_H

#include "hv/arch.h"
#include "hv/vp.h"

/* The answer to CPUID leaf/subleaf for this VP, into *r. The VP is loaded on this processor. */
void cpuid_for(struct vp *vp, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r);

/* Bits of the guest physical address width (CPUID 0x80000008), at most 48. */
uint8_t physical_address_bits(void);

/* The TSC runs at one rate in every power state (CPUID 0x80000007.EDX[8]). */
bool processor_tsc_is_invariant(void);

#endif
