/*
 * Unmapped means unreachable. Whoever makes a translation of a space narrower
 * calls tlb_shootdown before the frame gets another use; afterwards no
 * processor can reach the old frame, neither a guest through a cached
 * translation nor the hypervisor inside a guest copy (mm/copy.h).
 */
#ifndef MM_TLB_H
#define MM_TLB_H

#include "mm/slpt.h"

struct cpu;
struct vp;

/*
 * Bumps the space's generation, kicks every processor that is inside a guest on
 * this space with an older one, and waits until each has left it. Also waits
 * out guest copies under way on other processors. Lock: hv_lock held; the
 * calling processor is not in a guest copy.
 */
void tlb_shootdown(struct space *space);

/*
 * To be called on each way into a guest, interrupts off: marks the processor as
 * inside `vp`'s space and decides whether the entry must flush (vp->flush).
 * The order is: mark, barrier, read the generation.
 */
void tlb_enter(struct cpu *cpu, struct vp *vp);

/* After each exit. */
void tlb_leave(struct cpu *cpu);

#endif
