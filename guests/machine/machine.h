/* SPDX-License-Identifier: MIT */
/* The parts of the machine guest. Each prints its own results. */
#ifndef GUESTS_MACHINE_H
#define GUESTS_MACHINE_H

/* The memory map, the RAM in it, what is not RAM, the modules. Before cpu_start_all. */
void check_memory(void);
/* The highest RAM as every processor sees it. After cpu_start_all. */
void check_memory_everywhere(void);

/* Interrupts of devices, on the boot processor, and of each local APIC's timer. */
void check_interrupts(void);

/*
 * The ends that a run can have but for a guest's usual one, by the word end=
 * of the command line. Returns when there is no such word.
 */
void end_as_told(void);
/* After a reset that end= asked for on a machine that starts again: says so and finishes. */
void finish_after_reset(void);

#endif
