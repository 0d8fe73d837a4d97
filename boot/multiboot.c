/* SPDX-License-Identifier: MIT */
/* What the loader hands over, Multiboot 1 and 2: see boot/multiboot.h. */
#include "boot/multiboot.h"

#include "hv/base/string.h"

static const char too_many_ranges[] = "the memory map has too many ranges";
static const char bad_module[] = "a module ends before it begins";
static const char long_line[] = "a command line is longer than 2047 characters";
_Static_assert(COMMAND_LINE_SIZE == 2048 && MAX_MODULES == 32, "named in messages");

/* Copies a structure out of memory. */
static bool fetch(phys_reader read, spa_t spa, void *to, uint64_t size)
{
    const void *from = read(spa, size);
    if (from != NULL)
        memcpy(to, from, size);
    return from != NULL;
}

/* Copies a command line. NULL, or what is wrong with it; it is a string all the same. */
static const char *fetch_line(phys_reader read, spa_t spa, char to[COMMAND_LINE_SIZE])
{
    for (uint32_t i = 0; i < COMMAND_LINE_SIZE; i++) {
        to[i] = 0;
        const char *c = read(spa + i, 1);
        if (c == NULL)
            return "a command line lies outside memory";
        if (*c == 0)
            return NULL;
        if (i < COMMAND_LINE_SIZE - 1)
            to[i] = *c;
    }
    return long_line;
}

/* A machine that tells only two sizes: from 0, and from 1 MiB. */
static const char *take_sizes(struct boot_info *info, uint64_t lower_kib, uint64_t upper_kib)
{
    if (!memory_map_add(&info->memory, 0, KIB(min_u64(lower_kib, 640)), MEMORY_AVAILABLE) ||
        !memory_map_add(&info->memory, MIB(1), KIB(upper_kib), MEMORY_AVAILABLE))
        return too_many_ranges;
    return NULL;
}

static const char *add_module(struct boot_info *info, uint64_t start, uint64_t end,
                              struct module **module)
{
    if (info->module_count == MAX_MODULES)
        return "there are more than 32 modules";
    if (end < start)
        return bad_module;
    *module = &info->modules[info->module_count++];
    (*module)->start = start;
    (*module)->size = end - start;
    return NULL;
}

static const char *take_map1(phys_reader read, uint64_t at, uint64_t length, struct boot_info *info)
{
    uint64_t end = at + length;
    while (end - at >= sizeof(struct multiboot1_map_entry)) {
        struct multiboot1_map_entry entry;
        if (!fetch(read, at, &entry, sizeof(entry)))
            return "the memory map lies outside memory";
        if (entry.size < sizeof(entry) - sizeof(entry.size))
            return "the memory map has an entry that is too short";
        if (!memory_map_add(&info->memory, entry.base, entry.length, entry.kind))
            return too_many_ranges;
        uint64_t step = (uint64_t)entry.size + sizeof(entry.size);
        if (step > end - at)
            break;
        at += step;
    }
    return NULL;
}

static const char *take_modules1(phys_reader read, spa_t at, uint32_t count, struct boot_info *info)
{
    for (uint32_t i = 0; i < count; i++) {
        struct multiboot1_module entry;
        if (!fetch(read, at + (uint64_t)i * sizeof(entry), &entry, sizeof(entry)))
            return "the module list lies outside memory";
        struct module *module;
        const char *problem = add_module(info, entry.start, entry.end, &module);
        if (problem == NULL && entry.command_line != 0)
            problem = fetch_line(read, entry.command_line, module->command_line);
        if (problem != NULL)
            return problem;
    }
    return NULL;
}

const char *multiboot1_parse(phys_reader read, spa_t address, struct boot_info *info)
{
    struct multiboot1_info mbi;
    if (!fetch(read, address, &mbi, sizeof(mbi)))
        return "the information structure lies outside memory";
    const char *problem = NULL;
    if (mbi.flags & MULTIBOOT1_HAS_COMMAND_LINE)
        problem = fetch_line(read, mbi.command_line, info->command_line);
    if (problem != NULL)
        return problem;

    if (mbi.flags & MULTIBOOT1_HAS_MEMORY_MAP)
        problem = take_map1(read, mbi.map, mbi.map_length, info);
    else if (mbi.flags & MULTIBOOT1_HAS_MEMORY)
        problem = take_sizes(info, mbi.mem_lower, mbi.mem_upper);
    else
        problem = "it tells nothing about memory";
    if (problem == NULL && (mbi.flags & MULTIBOOT1_HAS_MODULES))
        problem = take_modules1(read, mbi.modules, mbi.module_count, info);
    return problem;
}

enum multiboot2_tag {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_MODULE = 3,
    TAG_MEMORY_SIZES = 4,
    TAG_MEMORY_MAP = 6,
    TAG_RSDP_1 = 14, /* ACPI 1.0, 20 bytes */
    TAG_RSDP_2 = 15, /* ACPI 2.0 and later, 36 bytes */
};

struct tag_header {
    uint32_t type, size; /* size with this header, without padding */
};

struct map2_entry {
    uint64_t base, length;
    uint32_t kind, reserved;
};
_Static_assert(sizeof(struct map2_entry) == 24, "Multiboot 2 memory map entry");

static uint32_t get32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* The command line that fills the rest of a tag. NULL, or what is wrong with it. */
static const char *take_line(char to[COMMAND_LINE_SIZE], const uint8_t *bytes, uint64_t size)
{
    uint64_t i = 0;
    for (; i < size && i < COMMAND_LINE_SIZE - 1 && bytes[i] != 0; i++)
        to[i] = (char)bytes[i];
    to[i] = 0;
    return i < size && bytes[i] != 0 ? long_line : NULL;
}

static const char *take_map2(const uint8_t *body, uint64_t size, struct boot_info *info)
{
    if (size < 8)
        return "the memory map tag is too short";
    uint32_t entry_size = get32(body);
    if (entry_size < sizeof(struct map2_entry))
        return "the memory map has entries that are too short";
    for (uint64_t at = 8; size - at >= sizeof(struct map2_entry); at += entry_size) {
        struct map2_entry entry;
        memcpy(&entry, body + at, sizeof(entry));
        if (!memory_map_add(&info->memory, entry.base, entry.length, entry.kind))
            return too_many_ranges;
        if (size - at < entry_size)
            break;
    }
    return NULL;
}

static const char *take_module2(const uint8_t *body, uint64_t size, struct boot_info *info)
{
    if (size < 8)
        return "a module tag is too short";
    struct module *module;
    const char *problem = add_module(info, get32(body), get32(body + 4), &module);
    if (problem == NULL)
        problem = take_line(module->command_line, body + 8, size - 8);
    return problem;
}

/* The newer RSDP wins; it carries the older one's fields too. */
static void take_rsdp(const uint8_t *body, uint64_t size, uint32_t type, struct boot_info *info)
{
    uint64_t wanted = type == TAG_RSDP_2 ? 36 : 20;
    if (size < wanted || (type == TAG_RSDP_1 && info->rsdp_copy[0] != 0))
        return;
    memset(info->rsdp_copy, 0, sizeof(info->rsdp_copy));
    memcpy(info->rsdp_copy, body, wanted);
}

const char *multiboot2_parse(const uint8_t *bytes, uint64_t size, struct boot_info *info)
{
    const char *problem = NULL;
    uint64_t lower = 0, upper = 0;
    bool ended = false;
    uint64_t at = 8; /* total size and a reserved word */
    while (problem == NULL && !ended && at + sizeof(struct tag_header) <= size) {
        struct tag_header tag;
        memcpy(&tag, bytes + at, sizeof(tag));
        if (tag.size < sizeof(tag) || tag.size > size - at)
            return "a tag is longer than the information structure";
        const uint8_t *body = bytes + at + sizeof(tag);
        uint64_t body_size = tag.size - sizeof(tag);
        switch (tag.type) {
        case TAG_END:
            ended = true;
            break;
        case TAG_COMMAND_LINE:
            problem = take_line(info->command_line, body, body_size);
            break;
        case TAG_MODULE:
            problem = take_module2(body, body_size, info);
            break;
        case TAG_MEMORY_SIZES:
            if (body_size >= 8) {
                lower = get32(body);
                upper = get32(body + 4);
            }
            break;
        case TAG_MEMORY_MAP:
            problem = take_map2(body, body_size, info);
            break;
        case TAG_RSDP_1:
        case TAG_RSDP_2:
            take_rsdp(body, body_size, tag.type, info);
            break;
        default:
            break;
        }
        at = align_up(at + tag.size, 8);
    }
    if (problem == NULL && !ended)
        problem = "the information structure has no end tag";
    if (problem == NULL && info->memory.count == 0)
        problem = take_sizes(info, lower, upper);
    return problem;
}
