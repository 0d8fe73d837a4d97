/* SPDX-License-Identifier: MIT */
/*
 * The machine as a bundled guest finds it: Multiboot information, command line,
 * memory to allocate from, identity mapping, ACPI.
 */
#ifndef GUESTS_LIB_MACHINE_H
#define GUESTS_LIB_MACHINE_H

#include "hv/base/types.h"

#define MAX_GUEST_RANGES  64
#define MAX_GUEST_MODULES 16

struct ram_range {
    uint64_t start, end; /* bytes */
    uint32_t type;       /* E820: 1 is RAM */
};

struct guest_module {
    uint8_t *start;
    uint64_t size;
    const char *command_line;
};

struct machine {
    uint32_t range_count;
    struct ram_range ranges[MAX_GUEST_RANGES]; /* as the loader gave them */
    uint32_t module_count;
    struct guest_module modules[MAX_GUEST_MODULES];
    char command_line[512];
    char loader[64];
};
extern struct machine machine;

/* A word `name=value` of the command line: its value as a number (0x allowed), or otherwise. */
uint64_t option_number(const char *name, uint64_t otherwise);
/* Copies the value; false and an empty text when there is no such word. */
bool option_text(const char *name, char *value, size_t size);
/* The plain word is there. */
bool option_word(const char *word);

/* Zeroed 4 KiB page; never NULL (bails out). Physical address = virtual address everywhere. */
void *page_alloc(void);
void page_free(void *page);
/* Zeroed contiguous pages, aligned to `alignment` bytes (a power of two, at least 4096). */
void *pages_alloc(uint64_t count, uint64_t alignment);
void pages_free(void *first, uint64_t count);
/* As pages_alloc(count, alignment), ending below 4 GiB. */
void *pages_alloc_low(uint64_t count, uint64_t alignment);
uint64_t pages_available(void);

static inline gpn_t page_of(const void *address)
{
    return (uint64_t)address >> PAGE_SHIFT;
}

/* True when [gpa, gpa + size) is inside RAM of the loader's memory map. */
bool machine_is_ram(uint64_t gpa, uint64_t size);
/* First byte above all ranges of the memory map, at least 4 GiB. */
uint64_t machine_memory_end(void);

/*
 * Makes the identity mapping reach over [gpa, gpa + size) (2 MiB pages, write
 * back, readable at CPL 3) and returns gpa as a pointer. The first 4 GiB and
 * all RAM are mapped from the start.
 */
void *identity_map(uint64_t gpa, uint64_t size);

/* Maps virtual page `gva` (4 KiB; not one that the identity mapping uses) to gpa. */
void map_page(uint64_t gva, uint64_t gpa, uint64_t pte_flags);

/* The ACPI table with this signature, or NULL. */
const uint8_t *acpi_find(const char *signature);
/* Powers off by ACPI S5; returns when it could not. */
void acpi_power_off(void);

/*
 * Emulators that fall short of a processor in ways that a test has to step
 * around: Bochs (by its port 0xE9), and QEMU's TCG (by the brand string).
 */
bool machine_is_bochs(void);
bool machine_is_tcg(void);
bool machine_is_amd(void); /* the processor's vendor */

/* Called by the start-up code. */
void machine_init(uint32_t magic, uint64_t information);
void memory_init(void);

#endif
