/* SPDX-License-Identifier: MIT */
/*
 * Every access to an entry of a second-level table that a processor may be
 * walking. One 64-bit access each: a guest on another processor sees the value
 * before or the value after. The unit tests put a header of the same name
 * first in the include path, which records every write.
 */
#ifndef MM_SLPT_STORE_H
#define MM_SLPT_STORE_H

#include "hv/base/types.h"

static inline uint64_t slpt_load(const uint64_t *entry)
{
    return *(const volatile uint64_t *)entry;
}

static inline void slpt_store(uint64_t *entry, uint64_t value)
{
    *(volatile uint64_t *)entry = value;
}

/* Stores and returns what was there, with every accessed or dirty bit set until then. */
static inline uint64_t slpt_swap(uint64_t *entry, uint64_t value)
{
    return __atomic_exchange_n(entry, value, __ATOMIC_SEQ_CST);
}

static inline void slpt_set_bits(uint64_t *entry, uint64_t bits)
{
    __atomic_fetch_or(entry, bits, __ATOMIC_SEQ_CST);
}

/* Returns the entry as it was. */
static inline uint64_t slpt_clear_bits(uint64_t *entry, uint64_t bits)
{
    return __atomic_fetch_and(entry, ~bits, __ATOMIC_SEQ_CST);
}

#endif
