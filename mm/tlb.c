/* SPDX-License-Identifier: MIT */
/* Generations: who may still hold which translations, and getting rid of them. */
#include "mm/tlb.h"

#include "hv/base/arch.h"
#include "hv/base/smp.h"
#include "mm/copy_fast.h"

/* A kick is repeated after this many turns, in case one got lost on its way. */
#define SPINS_PER_KICK (1U << 20)

/* Shootdowns come one after the other, so whoever is inside the space has its `old` generation. */
void tlb_shootdown(struct space *space)
{
    uint64_t old = space->generation;
    /* Also the barrier between the caller's change and what is read below. */
    (void)__atomic_exchange_n(&space->generation, slpt_new_generation(), __ATOMIC_SEQ_CST);
    const struct cpu *self = this_cpu();
    for (uint32_t i = 0; i < cpu_count; i++) {
        struct cpu *cpu = cpus[i];
        if (!cpu || cpu == self || !cpu->online || cpu->halted)
            continue;
        for (uint32_t spins = 0; cpu->running == old; spins++) {
            if (spins % SPINS_PER_KICK == 0)
                cpu_kick(cpu);
            cpu_relax();
        }
        /* A copy that begins from here on finds the new entry (mm/copy.c). */
        while (cpu->copying)
            cpu_relax();
    }
}

void tlb_shootdown_page(struct space *space, gpn_t gpn)
{
    uint64_t old = space->generation;
    tlb_shootdown(space);
    copy_keep_others(space, old, gpn);
}
