/* SPDX-License-Identifier: MIT */
/* Processors: kicks, halting, NMIs. */
#ifndef HV_BASE_SMP_H
#define HV_BASE_SMP_H

#include "hv/base/cpu.h"

/*
 * Gets a processor out of its guest (or out of cpu_wait) soon: sets
 * cpu->kicked, then sends an NMI, because the guest owns every interrupt
 * vector. Does not wait. Kicking oneself only sets the flag.
 */
void cpu_kick(struct cpu *cpu);

/*
 * Called by the NMI handler of the hypervisor and after EXIT_NMI: an NMI
 * arrived that was either one of our kicks or the first partition's, which
 * cpu->guest_nmi then tells the main loop.
 */
void nmi_arrived(struct cpu *cpu);

/* Halts, interrupts off, until cpu->kicked is set (hv/base/traps.asm closes the race with NMIs). */
void cpu_wait(struct cpu *cpu);

#endif
