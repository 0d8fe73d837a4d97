/* SPDX-License-Identifier: MIT */
/*
 * Loads the first partition's kernel and leaves it what a Multiboot 1 loader
 * leaves (Multiboot Specification 0.6.96, 3.2 and 3.3).
 */
#include "boot/kernel.h"
#include "boot/linux.h"
#include "boot/multiboot.h"
#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"

/* Selectors that a guest without a GDT of its own may find in its segment registers. */
#define GUEST_CODE_SELECTOR 0x08
#define GUEST_DATA_SELECTOR 0x10

/* Boot information goes below the BIOS's own memory, and not into its data area. */
#define INFORMATION_LOW  KIB(4)
#define INFORMATION_HIGH KIB(636)

static const char loader_name[] = "Vellum";

/* The guest's boot information in the making: one piece of guest memory, filled from the start. */
struct information {
    spa_t start;
    uint64_t size, used;
};

static spa_t put(struct information *out, const void *from, uint64_t size)
{
    must(size <= out->size - out->used);
    spa_t at = out->start + out->used;
    memcpy(phys_ptr(at), from, size);
    out->used = align_up(out->used + size, 8);
    return at;
}

static uint64_t string_size(const char *text)
{
    return strlen(text) + 1;
}

static uint64_t information_size(const struct boot_info *info)
{
    uint64_t size = sizeof(struct multiboot1_info) + sizeof(loader_name) +
                    info->guest_memory.count * sizeof(struct multiboot1_map_entry) +
                    info->module_count * sizeof(struct multiboot1_module);
    for (uint32_t i = 0; i < info->module_count; i++)
        size += string_size(info->modules[i].command_line) + 8;
    return size + 5 * 8; /* each piece is rounded up to 8 bytes */
}

/* Sizes in KiB from 0 (640 at most) and from 1 MiB up to the first hole. */
static void fill_sizes(const struct memory_map *map, struct multiboot1_info *mbi)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memory_range *r = &map->ranges[i];
        if (r->kind != MEMORY_AVAILABLE)
            continue;
        if (r->start == 0)
            mbi->mem_lower = (uint32_t)(min_u64(r->end, KIB(640)) >> 10);
        if (r->start <= MIB(1) && r->end > MIB(1))
            mbi->mem_upper = (uint32_t)((min_u64(r->end, GIB(4)) - MIB(1)) >> 10);
    }
}

static spa_t put_map(struct information *out, const struct memory_map *map)
{
    spa_t start = out->start + out->used;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memory_range *r = &map->ranges[i];
        struct multiboot1_map_entry entry = {
            .size = sizeof(entry) - sizeof(entry.size),
            .base = r->start,
            .length = r->end - r->start,
            .kind = r->kind,
        };
        put(out, &entry, sizeof(entry));
    }
    return start;
}

/* Modules but the first, which is the kernel itself. */
static spa_t put_modules(struct information *out, const struct boot_info *info)
{
    struct multiboot1_module list[MAX_MODULES] = {0};
    for (uint32_t i = 1; i < info->module_count; i++) {
        const struct module *m = &info->modules[i];
        list[i - 1] = (struct multiboot1_module){
            .start = (uint32_t)m->start,
            .end = (uint32_t)(m->start + m->size),
            .command_line = (uint32_t)put(out, m->command_line, string_size(m->command_line)),
        };
    }
    return put(out, list, (info->module_count - 1) * sizeof(list[0]));
}

static spa_t build_information(const struct boot_info *info, struct information *out)
{
    struct multiboot1_info mbi = {
        .flags = MULTIBOOT1_HAS_MEMORY | MULTIBOOT1_HAS_COMMAND_LINE | MULTIBOOT1_HAS_MODULES |
                 MULTIBOOT1_HAS_MEMORY_MAP | MULTIBOOT1_HAS_LOADER_NAME,
    };
    const char *command_line = info->modules[0].command_line;
    spa_t at = put(out, &mbi, sizeof(mbi));
    fill_sizes(&info->guest_memory, &mbi);
    mbi.command_line = (uint32_t)put(out, command_line, string_size(command_line));
    mbi.loader_name = (uint32_t)put(out, loader_name, sizeof(loader_name));
    mbi.map_length = info->guest_memory.count * (uint32_t)sizeof(struct multiboot1_map_entry);
    mbi.map = (uint32_t)put_map(out, &info->guest_memory);
    mbi.module_count = info->module_count - 1;
    mbi.modules = (uint32_t)put_modules(out, info);
    memcpy(phys_ptr(at), &mbi, sizeof(mbi));
    return at;
}

/* Modules to be handed on, from number `first` on. */
static uint32_t list_modules(const struct boot_info *info, uint32_t first, struct byte_range *list)
{
    uint32_t count = 0;
    for (uint32_t i = first; i < info->module_count; i++)
        if (info->modules[i].size != 0)
            list[count++] = (struct byte_range){
                info->modules[i].start,
                align_up(info->modules[i].start + info->modules[i].size, PAGE_SIZE)};
    return count;
}

static void load_segments(const struct kernel *kernel, const uint8_t *file)
{
    for (uint32_t i = 0; i < kernel->count; i++) {
        const struct kernel_segment *s = &kernel->segments[i];
        uint8_t *to = phys_ptr(s->address);
        memcpy(to, file + s->file_offset, s->file_size);
        memset(to + s->file_size, 0, s->memory_size - s->file_size);
    }
}

/* A place for `size` bytes that neither the kernel nor a module uses. */
static spa_t find_information_place(const struct boot_info *info, const struct kernel *kernel,
                                    uint64_t size)
{
    struct byte_range avoid[MAX_MODULES + MAX_KERNEL_SEGMENTS];
    uint32_t count = list_modules(info, 1, avoid);
    for (uint32_t i = 0; i < kernel->count; i++)
        avoid[count++] =
            (struct byte_range){kernel->segments[i].address,
                                kernel->segments[i].address + kernel->segments[i].memory_size};
    spa_t place = memory_map_find(&info->guest_memory, size, PAGE_SIZE, INFORMATION_LOW,
                                  INFORMATION_HIGH, avoid, count);
    if (place == NO_PLACE)
        place = memory_map_find(&info->guest_memory, size, PAGE_SIZE, MIB(1), GIB(4), avoid, count);
    if (place == NO_PLACE)
        boot_refuse("too little memory: no room for the first partition's boot information");
    return place;
}

void boot_load_first(struct boot_info *info, struct first_entry *entry)
{
    static struct kernel kernel;
    if (info->module_count == 0)
        boot_refuse("there is no module: the first one must be the first partition's kernel "
                    "(qemu: -initrd KERNEL; GRUB: module2 KERNEL)");

    const uint8_t *file = phys_ptr(info->modules[0].start);
    if (linux_recognize(file, info->modules[0].size)) {
        linux_load(info, entry);
        return;
    }
    const char *problem = kernel_parse(file, info->modules[0].size, &kernel);
    if (problem != NULL)
        boot_refuse("the first module cannot be started: %s", problem);
    struct byte_range avoid[MAX_MODULES];
    uint32_t count = list_modules(info, 0, avoid);
    uint64_t culprit;
    problem = kernel_check(&kernel, &info->guest_memory, avoid, count, &culprit);
    if (problem != NULL)
        boot_refuse("the first module cannot be started: %s (address 0x%lx)", problem, culprit);
    load_segments(&kernel, file);

    uint64_t size = align_up(information_size(info), PAGE_SIZE);
    struct information information = {find_information_place(info, &kernel, size), size, 0};
    *entry = (struct first_entry){
        .eip = (uint32_t)kernel.entry,
        .eax = MULTIBOOT1_LOADER_MAGIC,
        .ebx = (uint32_t)build_information(info, &information),
        .code_selector = GUEST_CODE_SELECTOR,
        .data_selector = GUEST_DATA_SELECTOR,
    };
    say_debug("first partition: entry 0x%x, boot information at 0x%x", entry->eip, entry->ebx);
}
