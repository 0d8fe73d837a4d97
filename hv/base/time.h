/* SPDX-License-Identifier: MIT */
/* Time: everything is measured with the TSC, whose frequency is found at boot. */
#ifndef HV_BASE_TIME_H
#define HV_BASE_TIME_H

#include "hv/base/types.h"

extern uint64_t tsc_frequency;   /* Hz */
extern uint64_t tsc_per_50us;    /* ticks; a longer hypercall is continued */
extern uint64_t apic_frequency;  /* Hz of the local APIC timer, undivided */
extern uint64_t reference_scale; /* reference time = (tsc * scale) >> 64, in 100 ns */

/* Measures the TSC and the local APIC timer (by CPUID 0x15/0x16 or the PIT). Boot processor. */
void time_init(void);

/* Spins for that long; after time_init. */
void delay_microseconds(uint64_t microseconds);

/* A TSC value in 100 ns units, rounded down; reference time is a difference of two of them. */
uint64_t tsc_to_100ns(uint64_t tsc);

#endif
