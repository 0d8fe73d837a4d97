/* SPDX-License-Identifier: MIT */
/*
 * A short look at a pool for check_memory of hypercalls/statepage.c, which without it
 * looks at the maps each time and comes to the same (hypercalls/starve_test.c).
 */
#ifndef HYPERCALLS_STATEPAGE_FAST_H
#define HYPERCALLS_STATEPAGE_FAST_H

#include "mm/pool.h"

#define MOST_FRAMES 4 /* that one map can take: the page, and a table of each level */

/* Enough for a state page wherever it goes, as there mostly is. Saves 100 in 0xE1. */
static inline bool has_plenty(const struct pool *pool)
{
    return pool_fail_after < 0 && pool->free > MOST_FRAMES;
}

#endif
