/* SPDX-License-Identifier: MIT */
/* The hypervisor's own MSRs, from 0x40000000 on. */
#ifndef HV_SYNTHETIC_MSRS_H
#define HV_SYNTHETIC_MSRS_H

#include "hv/model/msr.h"
#include "hv/model/partition.h"

#define SYNTHETIC_MSR_FIRST 0x40000000u
#define SYNTHETIC_MSR_LAST  0x40000FFFu

/* Rows of hv/msr.c for both kinds of VP. Unknown, or without its privilege: #GP. */
msr_reader synthetic_read;
msr_writer synthetic_write;

/* Takes the VP's assist page off the space and gives its frame back. Lock: hv_lock. */
void synthetic_vp_pages_remove(struct vp *vp);

/* Takes the hypercall page and the reference TSC page off the space (finalizing). Lock: hv_lock. */
void synthetic_pages_remove(struct partition *partition);

#endif
