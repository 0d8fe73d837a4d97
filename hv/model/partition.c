/* SPDX-License-Identifier: MIT */
/* The tree of partitions. */
#include "hv/model/partition.h"

#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hypercalls/abi.h"

#define FIRST_ID 1

struct partition *first_partition;

static struct partition first;
static struct partition *partitions[MAX_PARTITIONS]; /* by slot - OWNER_FIRST */
static uint32_t slots_used;                          /* slots above were never taken */
static uint64_t next_id = FIRST_ID + 1;

struct partition *partition_find(uint64_t id)
{
    for (uint32_t i = 0; i < slots_used; i++)
        if (partitions[i] && partitions[i]->id == id)
            return partitions[i];
    return NULL;
}

/* Children are kept in the order of their ids: each new one goes to the end. */
struct partition *partition_next_child(const struct partition *parent, uint64_t previous)
{
    struct partition *child = parent->children;
    while (child && child->id <= previous)
        child = child->sibling;
    return child;
}

struct partition *partition_next_below(const struct partition *top, struct partition *p)
{
    if (p->children)
        return p->children;
    while (p != top && p->sibling == NULL)
        p = p->parent;
    return p == top ? NULL : p->sibling;
}

struct partition *partition_create_first(uint64_t privileges, spn_t pool_start, uint64_t pool_pages,
                                         uint8_t gpa_bits)
{
    first.id = FIRST_ID;
    first.slot = OWNER_FIRST;
    first.state = PARTITION_INITIALIZED;
    first.privileges = privileges;
    first.reference_start_tsc = rdtsc();
    pool_init(&first.pool, first.slot);
    for (uint64_t i = 0; i < pool_pages; i++)
        pool_add(&first.pool, pool_start + i, GPN_NONE, false);
    bool has_root =
        slpt_init(&first.space, backend->format, &first.pool, gpa_bits, backend_features.max_level);
    must(has_root);
    partitions[0] = &first;
    slots_used = 1;
    first_partition = &first;
    return &first;
}

uint32_t partition_create(struct partition *parent, struct partition **created)
{
    uint32_t slot = 0;
    while (slot < slots_used && partitions[slot])
        slot++;
    if (slot == MAX_PARTITIONS)
        return HV_STATUS_NO_RESOURCES;
    spn_t spn = pool_alloc(&parent->pool, FRAME_PARTITION);
    if (spn == SPN_NONE)
        return HV_STATUS_INSUFFICIENT_MEMORY;

    struct partition *p = page_ptr(spn);
    p->id = next_id++;
    p->slot = OWNER_FIRST + slot;
    p->state = PARTITION_CREATED;
    p->parent = parent;
    p->depth = parent->depth + 1;
    p->spn = spn;
    p->privileges = PRIVILEGES_CHILD & parent->privileges;
    pool_init(&p->pool, p->slot);
    struct partition **end = &parent->children;
    while (*end)
        end = &(*end)->sibling;
    *end = p;
    partitions[slot] = p;
    slots_used = (uint32_t)max_u64(slots_used, slot + 1);
    *created = p;
    return HV_STATUS_SUCCESS;
}

void partition_remove(struct partition *p)
{
    must(p->children == NULL && p->pool.free == 0 && p->pool.used == 0);
    struct partition **link = &p->parent->children;
    while (*link != p)
        link = &(*link)->sibling;
    *link = p->sibling;
    partitions[p->slot - OWNER_FIRST] = NULL;
    pool_free(&p->parent->pool, p->spn);
}
