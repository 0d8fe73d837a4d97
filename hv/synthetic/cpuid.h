/* SPDX-License-Identifier: MIT */
/* What CPUID says to a guest. */
#ifndef HV_SYNTHETIC_CPUID_H
#define HV_SYNTHETIC_CPUID_H

#include "hv/model/vp.h"

/* The answer to CPUID leaf/subleaf for this VP, into *r. The VP is loaded on this processor. */
void cpuid_for(struct vp *vp, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r);

#endif
