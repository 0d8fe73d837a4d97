/* SPDX-License-Identifier: MIT */
/* What happens after an exit. */
#ifndef HV_EXITS_H
#define HV_EXITS_H

#include "hv/base/cpu.h"
#include "hv/model/vp.h"

/* Acts on cpu->exit of cpu->current. Called by the main loop only. */
void handle_exit(struct cpu *cpu, struct vp *vp);

/*
 * A VP has shut down. A child's parent is told; of the first partition's VP the
 * registers are printed and the machine is reset, as a board would.
 */
void triple_fault(struct cpu *cpu, struct vp *vp);

#endif
