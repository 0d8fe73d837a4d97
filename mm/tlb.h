/* SPDX-License-Identifier: MIT */
/*
 * Unmapped means unreachable. Whoever makes a translation of a space narrower
 * calls tlb_shootdown before the frame gets another use; afterwards no
 * processor can reach the old frame, neither a guest through a cached
 * translation nor the hypervisor inside a guest copy (mm/copy.h).
 */
#ifndef MM_TLB_H
#define MM_TLB_H

#include "hv/base/cpu.h"
#include "mm/slpt.h"

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
 * inside the space of the VP with that id, which has that context slot. True: the entry must
 * flush the slot. First the mark, then a second look at the generation: either this
 * processor sees the new one, or tlb_shootdown sees the mark.
 */
static inline bool tlb_enter(struct cpu *cpu, uint32_t slot_index, uint64_t vp_id,
                             const struct space *space)
{
    uint64_t generation;
    do {
        generation = space->generation;
        (void)__atomic_exchange_n(&cpu->running, generation, __ATOMIC_SEQ_CST);
    } while (__builtin_expect(space->generation != generation, 0));
    struct tlb_slot *slot = &cpu->slots[slot_index];
    if (__builtin_expect(slot->vp_id == vp_id && slot->generation == generation, 1))
        return false;
    slot->vp_id = vp_id;
    slot->generation = generation;
    return true;
}

/* After each exit. flush_due: the flush that tlb_enter asked for has not been made. */
static inline void tlb_leave(struct cpu *cpu, uint32_t slot_index, bool flush_due)
{
    /* The guest was not entered: the slot is not this VP's yet. It may run on another processor
       in between and be flushed there. */
    if (__builtin_expect(flush_due, 0))
        cpu->slots[slot_index].vp_id = 0;
    __atomic_store_n(&cpu->running, 0, __ATOMIC_RELEASE);
}

/* Around each guest copy, its look-up included: inside tlb_shootdown waits for this processor. */
static inline void tlb_begin_copy(struct cpu *cpu)
{
    (void)__atomic_exchange_n(&cpu->copying, 1, __ATOMIC_SEQ_CST); /* before the look-up */
}

static inline void tlb_end_copy(struct cpu *cpu)
{
    __atomic_store_n(&cpu->copying, 0, __ATOMIC_RELEASE);
}

#endif
