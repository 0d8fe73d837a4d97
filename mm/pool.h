/* SPDX-License-Identifier: MIT */
/*
 * A partition's pool of frames. What the hypervisor needs for a partition (VP
 * structures, second-level tables, state pages) comes from that partition's
 * pool and from nowhere else. Lock: hv_lock.
 */
#ifndef MM_POOL_H
#define MM_POOL_H

#include "mm/frame.h"

struct pool {
    spn_t head;     /* first free frame, SPN_NONE when empty */
    uint64_t free;  /* frames in the free list */
    uint64_t used;  /* frames taken out of it */
    uint32_t owner; /* partition slot that owns the frames */
};

void pool_init(struct pool *pool, uint32_t owner);

/* Puts a frame into the pool: sets its record (owner, FRAME_FREE, gpn, self_deposited). */
void pool_add(struct pool *pool, spn_t spn, gpn_t depositor_gpn, bool self_deposited);

/* A zeroed frame of the given type, or SPN_NONE when the pool is empty (nothing changed). */
spn_t pool_alloc(struct pool *pool, enum frame_type type);

/*
 * Whether `count` allocations would succeed now. A caller that needs several
 * frames asks first, so that a failure leaves nothing behind. before: how many
 * the caller will make of other pools ahead of them (the test hook counts all).
 */
bool pool_has(const struct pool *pool, uint64_t count, uint64_t before);

/* Gives back what pool_alloc returned. No processor may still reach the frame. */
void pool_free(struct pool *pool, spn_t spn);

/*
 * Takes one free frame out for good, zeroed: one that was deposited (GPN known)
 * with the given self_deposited value. SPN_NONE when there is none. The caller
 * sets the record and gives the page back to its depositor.
 */
spn_t pool_withdraw(struct pool *pool, bool self_deposited);

/*
 * Test hook: when >= 0, that many allocations still succeed and then one fails
 * (then off: -1); for pool_has, too.
 */
extern int64_t pool_fail_after;

#endif
