/* SPDX-License-Identifier: MIT */
/* MSRs that exit. */
#ifndef HV_MSR_H
#define HV_MSR_H

#include "hv/model/msr.h"

/* RDMSR and WRMSR of a VP that is loaded here. False: #GP(0). No lock held. */
bool msr_read(struct vp *vp, uint32_t msr, uint64_t *value);
enum msr_result msr_write(struct vp *vp, uint32_t msr, uint64_t value);

#endif
