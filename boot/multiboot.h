/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 (Multiboot Specification 0.6.96) and Multiboot 2 (2.0), and the
 * parsers of what a loader hands over. The parsers are pure: they see memory
 * only through what they are given and trust none of it.
 */
#ifndef BOOT_MULTIBOOT_H
#define BOOT_MULTIBOOT_H

#include "boot/memmap.h"

#define MULTIBOOT1_HEADER_MAGIC 0x1BADB002u
#define MULTIBOOT1_LOADER_MAGIC 0x2BADB002u /* in EAX at a kernel's entry */
#define MULTIBOOT2_LOADER_MAGIC 0x36D76289u
#define MULTIBOOT1_SEARCH       8192u /* the header lies in that many bytes of the file */

/* Flags of the Multiboot 1 header. 15:0 must be understood, 31:16 may be ignored. */
enum multiboot1_header_flags {
    MULTIBOOT1_PAGE_ALIGN = 1 << 0,
    MULTIBOOT1_MEMORY_INFO = 1 << 1,
    MULTIBOOT1_VIDEO_MODE = 1 << 2,
    MULTIBOOT1_ADDRESSES = 1 << 16,
};
#define MULTIBOOT1_FLAGS_KNOWN                                                                     \
    (MULTIBOOT1_PAGE_ALIGN | MULTIBOOT1_MEMORY_INFO | MULTIBOOT1_VIDEO_MODE)

struct multiboot1_header {
    uint32_t magic, flags, checksum;
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};
_Static_assert(sizeof(struct multiboot1_header) == 32, "Multiboot 1 header up to its addresses");

enum multiboot1_info_flags {
    MULTIBOOT1_HAS_MEMORY = 1 << 0,
    MULTIBOOT1_HAS_COMMAND_LINE = 1 << 2,
    MULTIBOOT1_HAS_MODULES = 1 << 3,
    MULTIBOOT1_HAS_MEMORY_MAP = 1 << 6,
    MULTIBOOT1_HAS_LOADER_NAME = 1 << 9,
};

struct multiboot1_info {
    uint32_t flags;
    uint32_t mem_lower, mem_upper; /* KiB from 0, KiB from 1 MiB */
    uint32_t boot_device;
    uint32_t command_line;
    uint32_t module_count, modules;
    uint32_t symbols[4];
    uint32_t map_length, map;
    uint32_t drives_length, drives;
    uint32_t config_table, loader_name, apm_table;
    uint32_t vbe[4];
    uint8_t framebuffer[28];
};
_Static_assert(sizeof(struct multiboot1_info) == 116, "Multiboot 1 information");
_Static_assert(offsetof(struct multiboot1_info, map_length) == 44, "Multiboot 1 information");
_Static_assert(offsetof(struct multiboot1_info, loader_name) == 64, "Multiboot 1 information");

struct multiboot1_module {
    uint32_t start, end, command_line, reserved;
};
_Static_assert(sizeof(struct multiboot1_module) == 16, "Multiboot 1 module");

struct multiboot1_map_entry {
    uint32_t size; /* of what follows this field */
    uint64_t base, length;
    uint32_t kind;
} __attribute__((packed));
_Static_assert(sizeof(struct multiboot1_map_entry) == 24, "Multiboot 1 memory map entry");

/*
 * Reads memory that is somewhere: `size` bytes at physical address spa, good
 * until the next call, or NULL when there are not that many there.
 */
typedef const void *(*phys_reader)(spa_t spa, uint64_t size);

/*
 * Take command line, memory map, modules (and the RSDP, Multiboot 2) into the
 * zeroed `info`. NULL, or in words what is wrong. multiboot2_parse is given the
 * whole information structure, `size` as it says in its first field or less.
 */
const char *multiboot1_parse(phys_reader read, spa_t address, struct boot_info *info);
const char *multiboot2_parse(const uint8_t *bytes, uint64_t size, struct boot_info *info);

#endif
