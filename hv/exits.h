/* What happens after an exit. */
#ifndef HV_EXITS_H
#define HV_EXITS_H

#include "hv/cpu.h"
#include "hv/vp.h"

/* Acts on cpu->exit of cpu->current. Called by the main loop only. */
void handle_exit(struct cpu *cpu, struct vp *vp);

/*
 * A VP has shut down. A child's parent is told; of the first partition's VP the
 * registers are printed and the machine is reset, as a board would.
 */
void triple_fault(struct cpu *cpu, struct vp *vp);

/* Prints a VP's neutral state with say_error. State: synced, or as good as it gets. */
void vp_print(struct vp *vp);

uint64_t vp_partition_id(const struct vp *vp);

#endif
