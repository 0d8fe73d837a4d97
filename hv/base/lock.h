/* SPDX-License-Identifier: MIT */
/*
 * A spin lock. The hypervisor runs with interrupts off, so a holder is never
 * preempted; an NMI handler takes no lock.
 */
#ifndef HV_BASE_LOCK_H
#define HV_BASE_LOCK_H

#include "hv/base/types.h"

struct spinlock {
    volatile uint32_t held;
};

static inline void lock(struct spinlock *l)
{
    while (__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE) != 0)
        while (l->held != 0)
            __builtin_ia32_pause();
}

static inline void unlock(struct spinlock *l)
{
    __atomic_store_n(&l->held, 0, __ATOMIC_RELEASE);
}

/*
 * The lock over the shape of things: the partition tree, VP tables, pools,
 * second-level tables, overlays, frame records. Every hypercall that looks at
 * or changes one of them runs under it. Running a VP needs no lock.
 */
extern struct spinlock hv_lock;

#endif
