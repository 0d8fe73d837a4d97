/* SPDX-License-Identifier: MIT */
/* The loops that are measured, and the child's programs (guests/bench/loops.asm). */
#ifndef GUESTS_BENCH_BENCH_H
#define GUESTS_BENCH_BENCH_H

#include "guests/lib/guest.h"

#define BENCH_UNMAPPED 0x10000000UL /* in the child: mapped linearly, no memory behind it */

/* `rounds` times: one hypercall through the hypercall page; CPUID 0; RDMSR; nothing. */
void bench_hypercalls(uint64_t rounds, uint64_t control, uint64_t output);
void bench_cpuids(uint64_t rounds);
void bench_rdmsrs(uint64_t rounds, uint32_t msr);
void bench_nothing(uint64_t rounds);

/* XCHG BX, BX: a breakpoint for Bochs (boot.sh --trace), nothing elsewhere. */
void bench_break(void);

/* The child's: OUT for ever; RDTSC and then a read of BENCH_UNMAPPED. */
extern const char bench_out[], bench_out_end[], bench_touch[], bench_touch_end[];

#endif
