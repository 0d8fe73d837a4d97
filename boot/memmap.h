/* SPDX-License-Identifier: MIT */
/* Memory maps: struct memory_map of boot/boot.h. Pure functions. */
#ifndef BOOT_MEMMAP_H
#define BOOT_MEMMAP_H

#include "boot/boot.h"

/*
 * Adds [start, start + length) of the kind to the map. Where ranges overlap the
 * kind that allows less wins; a kind that is not known counts as reserved; a
 * range that wraps around is cut. False, the map unchanged, when it would have
 * more than MAX_MEMORY_RANGES.
 */
bool memory_map_add(struct memory_map *map, uint64_t start, uint64_t length, uint32_t kind);

/* As memory_map_add, but the new kind wins over whatever was there. */
bool memory_map_set(struct memory_map *map, uint64_t start, uint64_t length, uint32_t kind);

struct byte_range {
    uint64_t start, end; /* end exclusive */
};

#define NO_PLACE UINT64_MAX

/*
 * The highest start of `size` bytes, aligned to `align` (a power of two), in
 * available memory inside [low, high) that touches none of the `avoid` ranges;
 * NO_PLACE when there is none.
 */
uint64_t memory_map_find(const struct memory_map *map, uint64_t size, uint64_t align, uint64_t low,
                         uint64_t high, const struct byte_range *avoid, uint32_t avoid_count);

/* Whether [start, end) is available memory throughout. */
bool memory_map_available(const struct memory_map *map, uint64_t start, uint64_t end);

/* The end of the highest available range, bytes; 0 when there is none. */
uint64_t memory_map_top(const struct memory_map *map);

/* Available bytes in all. */
uint64_t memory_map_total(const struct memory_map *map);

#endif
