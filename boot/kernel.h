/* SPDX-License-Identifier: MIT */
/* A Multiboot 1 kernel in a file: where its parts go. Pure functions. */
#ifndef BOOT_KERNEL_H
#define BOOT_KERNEL_H

#include "boot/memmap.h"

#define MAX_KERNEL_SEGMENTS 64

struct kernel_segment {
    uint64_t file_offset, file_size; /* bytes; inside the file */
    uint64_t address, memory_size;   /* physical; file_size <= memory_size, the rest is zeroed */
};

struct kernel {
    uint32_t count;
    struct kernel_segment segments[MAX_KERNEL_SEGMENTS];
    uint64_t entry; /* physical */
};

/* Finds header and segments in a file of `size` bytes. NULL, or in words what is wrong. */
const char *kernel_parse(const uint8_t *file, uint64_t size, struct kernel *kernel);

/*
 * Whether each segment lies in available memory of the map below 4 GiB and clear
 * of the ranges to avoid, and the entry point in one of them. NULL, or in words
 * what is wrong; *culprit is then the address in question.
 */
const char *kernel_check(const struct kernel *kernel, const struct memory_map *map,
                         const struct byte_range *avoid, uint32_t avoid_count, uint64_t *culprit);

#endif
