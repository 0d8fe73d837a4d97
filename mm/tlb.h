/*
 * Unmapped means unreachable. Whoever makes a translation of a space narrower
 * calls tlb_shootdown before the frame gets another use; afterwards no
 * processor can reach the old frame, neither a guest through a cached
 * translation nor the hypervisor inside a guest copy (mm/copy.h).
 */
#ifndef MM_TLB_H
#define MM_TLB_H

#include "hv/cpu.h"
#include "hv/partition.h"

/*
 * Gives the space a new generation, kicks every processor that is inside a
 * guest on the old one, and waits until each has left it. Also waits out guest
 * copies under way on other processors. Lock: hv_lock held; the calling
 * processor is not in a guest copy.
 */
void tlb_shootdown(struct space *space);

/*
 * As tlb_shootdown, after a change of the one translation of gpn: what this
 * processor remembers of other pages for its guest copies stays good.
 */
void tlb_shootdown_page(struct space *space, gpn_t gpn);

/*
 * To be called on each way into a guest, interrupts off: marks the processor as
 * inside `vp`'s space and decides whether the entry must flush (vp->flush).
 * First the mark, then a second look at the generation: either this processor
 * sees the new one, or tlb_shootdown sees the mark.
 */
static inline void tlb_enter(struct cpu *cpu, struct vp *vp)
{
    const struct space *space = &vp->partition->space;
    uint64_t generation;
    do {
        generation = space->generation;
        (void)__atomic_exchange_n(&cpu->running, generation, __ATOMIC_SEQ_CST);
    } while (__builtin_expect(space->generation != generation, 0));
    struct tlb_slot *slot = &cpu->slots[vp->slot];
    if (__builtin_expect(slot->vp_id == vp->id && slot->generation == generation, 1))
        return;
    slot->vp_id = vp->id;
    slot->generation = generation;
    vp->flush = true;
}

/* After each exit of `vp`. */
static inline void tlb_leave(struct cpu *cpu, const struct vp *vp)
{
    /* The guest was not entered: the flush is still to come, so the slot is not this VP's yet.
       It may run on another processor in between and have its flag cleared there. */
    if (__builtin_expect(vp->flush, 0))
        cpu->slots[vp->slot].vp_id = 0;
    __atomic_store_n(&cpu->running, 0, __ATOMIC_RELEASE);
}

#endif
