/* SPDX-License-Identifier: MIT */
/*
 * What every unit test needs: cmocka, fake RAM behind the direct map, fake
 * processors, random numbers that repeat. A panic is an assertion of cmocka's:
 * expect_assert_failure(call) says that it must happen.
 *
 * A test x_test.c names the sources it links in a line of its own:
 *     unit: x.c mm/pool.c        (as a comment; scripts/unit.mk reads it)
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/base/cpu.h"
#include "hv/base/phys.h"
#include "hv/base/types.h"
#include "mm/frame.h"
#include "mm/pool.h"

/*
 * Frames 0 .. pages-1, zeroed, each FRAME_RAM and the first partition's. Called
 * again it starts over. Their bytes are at page_ptr(spn).
 */
void unit_ram(uint64_t pages);

/* A pool that owns frames [spn, spn+count) of unit_ram, as the first partition's does at boot. */
void unit_pool(struct pool *pool, uint32_t owner, spn_t spn, uint64_t count);

/* cpus[0 .. count-1], zeroed and online; the calling thread is processor 0. */
void unit_cpus(uint32_t count);

/* The calling thread is this processor from now on. */
void unit_become(struct cpu *cpu);

/* Random numbers. A test begins with unit_seed; the environment's UNIT_SEED replaces the number. */
void unit_seed(uint64_t seed);
uint64_t unit_random(void);
/* 0 .. limit-1 */
uint64_t unit_below(uint64_t limit);

#endif
