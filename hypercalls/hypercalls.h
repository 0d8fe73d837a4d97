/* SPDX-License-Identifier: MIT */
/* What the rest of the hypervisor asks of the hypercall code. */
#ifndef HYPERCALLS_HYPERCALLS_H
#define HYPERCALLS_HYPERCALLS_H

#include "hv/base/cpu.h"
#include "hv/model/vp.h"

/*
 * Answers the hypercall of the VP that just exited with EXIT_HYPERCALL: checks
 * in abi order, runs the handler, writes the result into RAX (EDX:EAX) and
 * steps over the instruction. Three other outcomes: #UD is queued; a rep call
 * goes on later (rip unmoved, rep start advanced); DispatchVp has changed
 * cpu->current to the child, and end_dispatch will finish the call. No lock held.
 */
void hypercall(struct cpu *cpu, struct vp *vp);

#endif
