/* SPDX-License-Identifier: MIT */
/* The main loop. */
#ifndef HV_RUN_H
#define HV_RUN_H

#include "hv/base/cpu.h"

/* Runs the VPs of this processor for ever, beginning with its VP of the first partition. */
_Noreturn void run_loop(struct cpu *cpu);

#endif
