/* SPDX-License-Identifier: MIT */
/*
 * Stands in for mm/slpt_store.h in unit tests: the same accesses, and a test
 * may look before each read (unit_entry_read) and after each write
 * (unit_entry_written), or play the processor just before an atomic one
 * (unit_before_atomic).
 */
#ifndef MM_SLPT_STORE_H
#define MM_SLPT_STORE_H

#include "hv/base/types.h"

extern void (*unit_entry_read)(void);
extern void (*unit_entry_written)(uint64_t *entry);
extern void (*unit_before_atomic)(uint64_t *entry);

static inline uint64_t slpt_load(const uint64_t *entry)
{
    if (unit_entry_read)
        unit_entry_read();
    return *(const volatile uint64_t *)entry;
}

static inline void slpt_store(uint64_t *entry, uint64_t value)
{
    *(volatile uint64_t *)entry = value;
    if (unit_entry_written)
        unit_entry_written(entry);
}

static inline uint64_t unit_atomic(uint64_t *entry, uint64_t keep, uint64_t set)
{
    if (unit_before_atomic)
        unit_before_atomic(entry);
    uint64_t old = *entry;
    slpt_store(entry, (old & keep) | set);
    return old;
}

static inline uint64_t slpt_swap(uint64_t *entry, uint64_t value)
{
    return unit_atomic(entry, 0, value);
}

static inline void slpt_set_bits(uint64_t *entry, uint64_t bits)
{
    unit_atomic(entry, ~0UL, bits);
}

static inline uint64_t slpt_clear_bits(uint64_t *entry, uint64_t bits)
{
    return unit_atomic(entry, ~bits, 0);
}

#endif
