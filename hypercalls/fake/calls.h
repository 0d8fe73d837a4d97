/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls as a guest on the fake machine makes them, in slow form, and a child
 * to make them for. Everything by the VP of the processor in charge.
 */
#ifndef HYPERCALLS_FAKE_CALLS_H
#define HYPERCALLS_FAKE_CALLS_H

#include "hypercalls/fake/machine.h"

enum {
    INPUT_PAGE = 3,
    OUTPUT_PAGE = 4,
    CHILD_RAM = 16,             /* .. +15: mapped into the child at 0 */
    CHILD_POOL = FAKE_RAM_HIGH, /* .. +31: deposited for it */
    CHILD_POOL_PAGES = 32,
    CHILD_RAM_PAGES = 16,
};
#define INPUT   ((gpa_t)INPUT_PAGE << PAGE_SHIFT)
#define OUTPUT  ((gpa_t)OUTPUT_PAGE << PAGE_SHIFT)
#define REPS(n) ((uint64_t)(n) << HV_CONTROL_REP_COUNT_SHIFT)

/* Puts the input into guest memory and calls. Returns the status. */
uint32_t call(uint64_t control, const void *input, size_t size);
uint32_t call_words(uint64_t control, uint64_t first, uint64_t second);
/* The first 64 bits of the output. */
uint64_t output(void);

/* Statuses of single calls about one partition. */
uint32_t create_vp(uint64_t id, uint32_t index);
uint32_t set_register(uint64_t id, uint32_t vp, uint32_t name, uint64_t value);
uint32_t map_at(uint64_t id, uint16_t type, gpn_t gpn);
uint32_t map_anywhere(uint64_t id, uint16_t type);
uint32_t unmap(uint64_t id, uint16_t type);
uint32_t deposit(uint64_t id, gpn_t gpn, unsigned count);

/* The new child's id, or 0. */
uint64_t create(void);

extern uint64_t child; /* of start_with_child */
struct partition *child_partition(void);

/* Starts the machine; a child with 32 pages in its pool, 16 pages of memory, VP 0. */
void start_with_child(uint64_t privileges, const struct slpt_format *format);

#endif
