/* SPDX-License-Identifier: MIT */
/* Memory maps: see boot/memmap.h. */
#include "boot/memmap.h"

#include "hv/base/string.h"

/* How little a kind allows: where two overlap, the larger wins. */
static unsigned strictness(uint32_t kind)
{
    switch (kind) {
    case MEMORY_AVAILABLE:
        return 0;
    case MEMORY_ACPI:
        return 1;
    case MEMORY_NVS:
        return 2;
    case MEMORY_BAD:
        return 4;
    default:
        return 3;
    }
}

/* Appends a range, merged with the last one where they meet. False when the map is full. */
static bool append(struct memory_map *map, uint64_t start, uint64_t end, uint32_t kind)
{
    if (start >= end)
        return true;
    struct memory_range *last = map->count != 0 ? &map->ranges[map->count - 1] : NULL;
    if (last != NULL && last->end == start && last->kind == kind) {
        last->end = end;
        return true;
    }
    if (map->count == MAX_MEMORY_RANGES)
        return false;
    map->ranges[map->count++] = (struct memory_range){start, end, kind};
    return true;
}

static bool insert(struct memory_map *map, uint64_t start, uint64_t length, uint32_t kind,
                   bool new_wins)
{
    static struct memory_map result; /* boot runs on one processor; too large for the stack */
    uint64_t end = length > UINT64_MAX - start ? UINT64_MAX : start + length;
    if (start >= end)
        return true;
    if (kind < MEMORY_AVAILABLE || kind > MEMORY_BAD)
        kind = MEMORY_RESERVED;

    result.count = 0;
    uint64_t next = start; /* of the new range, what lies before is in the result */
    bool fits = true;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memory_range *r = &map->ranges[i];
        uint64_t overlap_start = max_u64(r->start, start), overlap_end = min_u64(r->end, end);
        if (r->start >= end) {
            fits = fits && append(&result, next, end, kind);
            next = end;
        }
        if (overlap_start >= overlap_end) {
            fits = fits && append(&result, r->start, r->end, r->kind);
            continue;
        }
        uint32_t winner = new_wins || strictness(kind) > strictness(r->kind) ? kind : r->kind;
        fits = fits && append(&result, r->start, overlap_start, r->kind);
        fits = fits && append(&result, next, overlap_start, kind);
        fits = fits && append(&result, overlap_start, overlap_end, winner);
        fits = fits && append(&result, overlap_end, r->end, r->kind);
        next = overlap_end;
    }
    fits = fits && append(&result, next, end, kind);
    if (fits)
        memcpy(map, &result, sizeof(result));
    return fits;
}

bool memory_map_add(struct memory_map *map, uint64_t start, uint64_t length, uint32_t kind)
{
    return insert(map, start, length, kind, false);
}

bool memory_map_set(struct memory_map *map, uint64_t start, uint64_t length, uint32_t kind)
{
    return insert(map, start, length, kind, true);
}

static const struct byte_range *touched(uint64_t start, uint64_t end,
                                        const struct byte_range *avoid, uint32_t avoid_count)
{
    for (uint32_t i = 0; i < avoid_count; i++)
        if (start < avoid[i].end && avoid[i].start < end)
            return &avoid[i];
    return NULL;
}

uint64_t memory_map_find(const struct memory_map *map, uint64_t size, uint64_t align, uint64_t low,
                         uint64_t high, const struct byte_range *avoid, uint32_t avoid_count)
{
    for (uint32_t i = map->count; i-- > 0;) {
        const struct memory_range *r = &map->ranges[i];
        if (r->kind != MEMORY_AVAILABLE)
            continue;
        uint64_t bottom = max_u64(r->start, low), top = min_u64(r->end, high);
        while (top > bottom && top - bottom >= size) {
            uint64_t start = align_down(top - size, align);
            if (start < bottom)
                break;
            const struct byte_range *obstacle = touched(start, start + size, avoid, avoid_count);
            if (obstacle == NULL)
                return start;
            top = obstacle->start; /* less than start + size, so this ends */
        }
    }
    return NO_PLACE;
}

bool memory_map_available(const struct memory_map *map, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memory_range *r = &map->ranges[i];
        if (r->kind == MEMORY_AVAILABLE && r->start <= start && end <= r->end)
            return start <= end;
    }
    return false;
}

uint64_t memory_map_top(const struct memory_map *map)
{
    for (uint32_t i = map->count; i-- > 0;)
        if (map->ranges[i].kind == MEMORY_AVAILABLE)
            return map->ranges[i].end;
    return 0;
}

uint64_t memory_map_total(const struct memory_map *map)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < map->count; i++)
        if (map->ranges[i].kind == MEMORY_AVAILABLE)
            total += map->ranges[i].end - map->ranges[i].start;
    return total;
}
