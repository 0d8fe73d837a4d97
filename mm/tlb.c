/* Generations: who may still hold which translations, and getting rid of them. */
#include "mm/tlb.h"
#include "hv/arch.h"
#include "hv/partition.h"
#include "hv/smp.h"

/* A kick is repeated after this many turns, in case one got lost on its way. */
#define SPINS_PER_KICK (1U << 20)

static bool may_hold_old(const struct cpu *cpu, const struct space *space, uint64_t generation)
{
    return cpu->running == space && cpu->running_generation < generation;
}

void tlb_shootdown(struct space *space)
{
    /* Locked, so also the barrier between the caller's change and what is read below. */
    uint64_t generation = __atomic_add_fetch(&space->generation, 1, __ATOMIC_SEQ_CST);
    const struct cpu *self = this_cpu();
    for (uint32_t i = 0; i < cpu_count; i++) {
        struct cpu *cpu = cpus[i];
        if (!cpu || cpu == self || !cpu->online || cpu->halted)
            continue;
        for (uint32_t spins = 0; may_hold_old(cpu, space, generation); spins++) {
            if (spins % SPINS_PER_KICK == 0)
                cpu_kick(cpu);
            cpu_relax();
        }
        /* A copy that begins from here on finds the new entry (mm/copy.c). */
        while (cpu->copying)
            cpu_relax();
    }
}

void tlb_enter(struct cpu *cpu, struct vp *vp)
{
    struct space *space = &vp->partition->space;
    struct tlb_slot *slot = &cpu->slots[vp->slot];
    /* Not the number of another space that ran here before: tlb_shootdown must not take it for
       one of this space. */
    cpu->running_generation = 0;
    (void)__atomic_exchange_n(&cpu->running, space, __ATOMIC_SEQ_CST);
    uint64_t generation = space->generation;
    cpu->running_generation = generation;
    if (slot->vp_id == vp->id && slot->generation == generation && slot->space_id == space->id)
        return;
    slot->vp_id = vp->id;
    slot->space_id = space->id;
    slot->generation = generation;
    vp->flush = true;
}

void tlb_leave(struct cpu *cpu)
{
    /* The guest was not entered: the flush is still to come, so the slot is not this VP's yet.
       It may run on another processor in between and have its flag cleared there. */
    if (cpu->current->flush)
        cpu->slots[cpu->current->slot].vp_id = 0;
    __atomic_store_n(&cpu->running, NULL, __ATOMIC_RELEASE);
}
