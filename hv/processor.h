/* SPDX-License-Identifier: MIT */
/* Setting up a processor for the hypervisor. */
#ifndef HV_PROCESSOR_H
#define HV_PROCESSOR_H

#include "hv/base/cpu.h"

/* Makes a processor's record, with its stacks, TSS and GDT, and enters it into cpus[]. Boot. */
struct cpu *cpu_allocate(uint32_t index, uint32_t apic_id);

/* On the processor itself: loads GDT, TSS, IDT, GS base, and sets CR0, CR4 and EFER. */
void cpu_activate(struct cpu *cpu);

#endif
