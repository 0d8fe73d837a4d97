/* SPDX-License-Identifier: MIT */
/*
 * A Linux bzImage as the first partition's kernel, started by the 64-bit boot
 * protocol when it has an entry for that, otherwise by the 32-bit one (Linux
 * documentation, "The Linux/x86 Boot Protocol"). All but linux_load are pure functions.
 */
#ifndef BOOT_LINUX_H
#define BOOT_LINUX_H

#include "boot/memmap.h"

struct linux_image {
    uint16_t protocol;             /* 0x020A is 2.10 */
    uint32_t version;              /* major << 16 | minor; 0: the file does not say */
    uint32_t header_size;          /* bytes of the setup header, from LINUX_HEADER on */
    uint64_t file_offset, size;    /* the protected-mode part; inside the file */
    uint64_t memory_size;          /* that it needs from its load address on, at least `size` */
    uint64_t preferred, alignment; /* physical; alignment is a power of two */
    bool relocatable;
    bool long_mode;          /* has a 64-bit entry, LINUX_ENTRY_64 bytes behind the 32-bit one */
    uint64_t initrd_end_max; /* an initrd ends there or below */
    uint64_t command_line_max;
};

#define LINUX_VERSION(major, minor) ((uint32_t)(major) << 16 | (uint32_t)(minor))

#define LINUX_ENTRY_64 0x200u
#define LINUX_HEADER   0x1F1u /* the setup header's offset in the file and in struct linux_params */

/* The "zero page". Only what a boot loader fills in has names. */
struct linux_params {
    /* screen_info: the text mode that the firmware left */
    uint8_t cursor_column, cursor_row;
    uint16_t extended_memory; /* KiB above 1 MiB */
    uint16_t page;
    uint8_t video_mode, columns;
    uint8_t free0[6];
    uint8_t rows, is_vga;
    uint16_t character_height;
    uint8_t free1[0x70 - 0x12];
    uint64_t rsdp;
    uint8_t free2[0x1E0 - 0x78];
    uint32_t alternative_memory; /* KiB above 1 MiB */
    uint8_t free3[0x1E8 - 0x1E4];
    uint8_t map_count;
    uint8_t free4[0x210 - 0x1E9];
    uint8_t loader_type, load_flags; /* the setup header began at LINUX_HEADER */
    uint16_t move_size;
    uint32_t code32_start, ramdisk_image, ramdisk_size;
    uint8_t free5[0x228 - 0x220];
    uint32_t command_line;
    uint8_t free6[0x2D0 - 0x22C];
    struct {
        uint64_t start, size;
        uint32_t kind;
    } __attribute__((packed)) map[128];
    uint8_t free7[0x1000 - 0xCD0];
} __attribute__((packed));
_Static_assert(sizeof(struct linux_params) == 4096, "boot_params");
_Static_assert(offsetof(struct linux_params, rsdp) == 0x70, "boot_params");
_Static_assert(offsetof(struct linux_params, map_count) == 0x1E8, "boot_params");
_Static_assert(offsetof(struct linux_params, ramdisk_image) == 0x218, "boot_params");
_Static_assert(offsetof(struct linux_params, map) == 0x2D0, "boot_params");
_Static_assert(ARRAY_SIZE(((struct linux_params *)0)->map) == MAX_MEMORY_RANGES, "boot_params");

/* Whether a file of `size` bytes has the marks of a Linux kernel. */
bool linux_recognize(const uint8_t *file, uint64_t size);

/* Reads the setup header. NULL, or in words what is wrong. */
const char *linux_parse(const uint8_t *file, uint64_t size, struct linux_image *image);

/*
 * Where the protected-mode part goes: below 4 GiB, in available memory of the
 * map, clear of the ranges to avoid. NO_PLACE when there is none.
 */
uint64_t linux_place(const struct linux_image *image, const struct memory_map *map,
                     const struct byte_range *avoid, uint32_t avoid_count);

/*
 * The kernel's command line out of a module's: loaders put the file's name
 * before it, which becomes the word that Linux expects it in. `out` has
 * LINUX_COMMAND_LINE_SIZE bytes.
 */
#define LINUX_COMMAND_LINE_SIZE (COMMAND_LINE_SIZE + 16)
void linux_command_line(const char *module_line, char *out);

/* What linux_fill_params writes of, beside the image: physical addresses, 0 for none. */
struct linux_start {
    uint64_t kernel, command_line, initrd, initrd_size, rsdp;
};

/*
 * Fills the zeroed parameters: the file's setup header, the map, `start`, and
 * the text mode that `bios_data`, the 256 bytes at 0x400, tells of.
 */
void linux_fill_params(struct linux_params *params, const uint8_t *file,
                       const struct linux_image *image, const struct memory_map *map,
                       const struct linux_start *start, const uint8_t *bios_data);

/*
 * Loads module 0, a Linux kernel, with the further modules as its initrd (one
 * after the other), and says how it starts. boot_refuse when it cannot.
 */
void linux_load(const struct boot_info *info, struct first_entry *entry);

#endif
