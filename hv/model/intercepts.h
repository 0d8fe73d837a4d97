/* SPDX-License-Identifier: MIT */
/* Stopping a child on an intercept, and telling its parent. */
#ifndef HV_MODEL_INTERCEPTS_H
#define HV_MODEL_INTERCEPTS_H

#include "hv/base/cpu.h"
#include "hv/model/vp.h"
#include "hypercalls/abi.h"

/*
 * Each of these stops cpu->current, a child's VP, on an intercept: writes the
 * message, publishes its registers, ends the dispatch (ready, intercept).
 * rip stays on the instruction. cpu->exit describes the exit unless it is said
 * otherwise. No lock held.
 */
void intercept_io(struct cpu *cpu, struct vp *vp);
void intercept_memory(struct cpu *cpu, struct vp *vp);
void intercept_msr(struct cpu *cpu, struct vp *vp, bool write);
void intercept_cpuid(struct cpu *cpu, struct vp *vp, const struct cpuid_regs *defaults);
void intercept_exception(struct cpu *cpu, struct vp *vp);
/* HV_MESSAGE_HALT or HV_MESSAGE_UNRECOVERABLE_EXCEPTION. */
void intercept_plain(struct cpu *cpu, struct vp *vp, uint32_t type);
/* The processor or the hypervisor refused the VP's registers. */
void intercept_invalid_registers(struct cpu *cpu, struct vp *vp);

/* A hypercall of a child named a GPA that it cannot use so. access: ACCESS_*. Not of cpu->exit. */
void child_memory_intercept(struct cpu *cpu, struct vp *vp, gpa_t gpa, unsigned access);

/* Whether the parent asked for this intercept (0x4D); access: read 1, write 2, execute 4. */
bool intercept_installed(const struct partition *partition, uint32_t type, uint64_t parameter,
                         uint32_t access);

#endif
