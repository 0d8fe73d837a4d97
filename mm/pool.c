/* SPDX-License-Identifier: MIT */
/* Pools: a free list through the frame records, so that free frames are never touched. */
#include "mm/pool.h"

#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "mm/zero_fast.h"

int64_t pool_fail_after = -1;

static void push(struct pool *pool, spn_t spn, struct frame *frame)
{
    frame->type = FRAME_FREE;
    frame->next = (uint32_t)pool->head;
    pool->head = spn;
    pool->free++;
}

void pool_init(struct pool *pool, uint32_t owner)
{
    *pool = (struct pool){.head = SPN_NONE, .owner = owner};
}

void pool_add(struct pool *pool, spn_t spn, gpn_t depositor_gpn, bool self_deposited)
{
    struct frame *frame = frame_get(spn);
    must(frame && spn != SPN_NONE && spn <= UINT32_MAX);
    must(frame->type != FRAME_FREE);
    frame->gpn = depositor_gpn & GPN_NONE;
    frame->self_deposited = self_deposited;
    frame->owner = pool->owner & 0xFFFF;
    push(pool, spn, frame);
}

bool pool_has(const struct pool *pool, uint64_t count, uint64_t before)
{
    if (pool_fail_after >= 0 && (uint64_t)pool_fail_after < count + before) {
        pool_fail_after = -1;
        return false;
    }
    return pool->free >= count;
}

spn_t pool_alloc(struct pool *pool, enum frame_type type)
{
    if (pool_fail_after >= 0 && pool_fail_after-- == 0)
        return SPN_NONE;
    spn_t spn = pool->head;
    if (spn == SPN_NONE)
        return SPN_NONE;
    struct frame *frame = frame_get(spn);
    must(frame && frame->type == FRAME_FREE && frame->owner == pool->owner);
    pool->head = frame->next;
    pool->free--;
    pool->used++;
    frame->type = type & 0x7F;
    frame->next = 0;
    zero_page(page_ptr(spn));
    return spn;
}

void pool_free(struct pool *pool, spn_t spn)
{
    struct frame *frame = frame_get(spn);
    must(frame && frame->owner == pool->owner);
    must(frame->type > FRAME_FREE && pool->used > 0);
    pool->used--;
    push(pool, spn, frame);
}

spn_t pool_withdraw(struct pool *pool, bool self_deposited)
{
    struct frame *previous = NULL;
    for (spn_t spn = pool->head; spn != SPN_NONE;) {
        struct frame *frame = frame_get(spn);
        must(frame && frame->type == FRAME_FREE);
        if (frame->gpn != GPN_NONE && frame->self_deposited == self_deposited) {
            if (previous)
                previous->next = frame->next;
            else
                pool->head = frame->next;
            frame->next = 0;
            pool->free--;
            zero_page(page_ptr(spn));
            return spn;
        }
        previous = frame;
        spn = frame->next;
    }
    return SPN_NONE;
}
