/* SPDX-License-Identifier: MIT */
/*
 * Vellum's own MSRs, for the first partition alone: what the hypervisor logs, and
 * what its exits cost, while a system runs. CPUID leaf VELLUM_LEAF says that they are there.
 */
#ifndef HV_SYNTHETIC_DIAGNOSTICS_H
#define HV_SYNTHETIC_DIAGNOSTICS_H

#include "hv/model/msr.h"
#include "hypercalls/abi.h"

#define VELLUM_MSR_FIRST VELLUM_MSR_LOG_LEVEL
#define VELLUM_MSR_LAST  (VELLUM_MSR_EXIT_COUNT + EXIT_KIND_COUNT - 1)

/* Leaves from VELLUM_LEAF on; those behind the last one are zero. */
struct cpuid_regs diagnostics_leaf(uint32_t leaf);

/* RDMSR and WRMSR of VELLUM_MSR_*, about the processor that runs it. #GP for a child. */
msr_reader diagnostics_read;
msr_writer diagnostics_write;

/* Prints what a VP tells by its crash MSRs; control: HV_CRASH_CTL_*. Not more than worth_a_line. */
void diagnostics_crash(const struct vp *vp, uint64_t control);

#endif
