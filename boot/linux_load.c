/* SPDX-License-Identifier: MIT */
/*
 * Loads a Linux kernel and its initrd into the first partition's memory and
 * leaves what the boot protocol wants: see boot/linux.h.
 */
#include "boot/linux.h"

#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"

#define TABLE_ENTRIES  512
#define TABLE_WRITABLE 3UL /* a present and writable entry */
#define TABLE_2_MIB    (BIT(7) | TABLE_WRITABLE)

/*
 * What the kernel finds before it has set up anything: parameters, command line,
 * GDT, and for its 64-bit entry page tables that map 4 GiB 1:1.
 */
struct start_pages {
    struct linux_params params;
    char command_line[LINUX_COMMAND_LINE_SIZE];
    uint64_t gdt[4];
    uint64_t pml4[TABLE_ENTRIES] __attribute__((aligned(PAGE_SIZE)));
    uint64_t pdpt[TABLE_ENTRIES];
    uint64_t pd[4 * TABLE_ENTRIES];
};

/* __BOOT_CS and __BOOT_DS of the protocol, and their flat descriptors. */
enum { BOOT_CS = 0x10, BOOT_DS = 0x18 };
#define FLAT_CODE    0x00CF9B000000FFFFUL
#define FLAT_CODE_64 0x00AF9B000000FFFFUL
#define FLAT_DATA    0x00CF93000000FFFFUL

/* Above the real-mode interrupt table and the BIOS's data, below its extended data. */
#define START_LOW  KIB(64)
#define START_HIGH KIB(636)

#define BIOS_DATA_AREA 0x400

/* Earlier ones that may ask for their partition's id without being root store it at address 0. */
#define FIRST_WITH_PARTITION_ID LINUX_VERSION(6, 15)

/* Parts of an initrd begin at multiples of 4. */
#define INITRD_PART_ALIGN 4

static uint32_t list_modules(const struct boot_info *info, struct byte_range *list)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < info->module_count; i++)
        if (info->modules[i].size != 0)
            list[count++] = (struct byte_range){
                info->modules[i].start,
                align_up(info->modules[i].start + info->modules[i].size, PAGE_SIZE)};
    return count;
}

static uint64_t initrd_size(const struct boot_info *info)
{
    uint64_t size = 0;
    for (uint32_t i = 1; i < info->module_count; i++)
        size = align_up(size, INITRD_PART_ALIGN) + info->modules[i].size;
    return size;
}

/*
 * One initrd out of all modules but the kernel. A single one stays where it is
 * when the kernel can reach it there; otherwise it is copied together below the
 * kernel's limit.
 */
static struct byte_range gather_initrd(const struct boot_info *info,
                                       const struct linux_image *image)
{
    uint64_t size = initrd_size(info);
    if (size == 0)
        return (struct byte_range){0, 0};
    const struct module *only = &info->modules[1];
    if (info->module_count == 2 && only->start + only->size <= image->initrd_end_max)
        return (struct byte_range){only->start, only->start + size};

    struct byte_range avoid[MAX_MODULES];
    uint32_t count = list_modules(info, avoid);
    spa_t place = memory_map_find(&info->guest_memory, align_up(size, PAGE_SIZE), PAGE_SIZE, MIB(1),
                                  image->initrd_end_max, avoid, count);
    if (place == NO_PLACE)
        boot_refuse("too little memory: no room for an initrd of %lu KiB below 0x%lx", size >> 10,
                    image->initrd_end_max);
    uint64_t at = place;
    for (uint32_t i = 1; i < info->module_count; i++) {
        spa_t start = align_up(at, INITRD_PART_ALIGN);
        memset(phys_ptr(at), 0, start - at);
        memcpy(phys_ptr(start), phys_ptr(info->modules[i].start), info->modules[i].size);
        at = start + info->modules[i].size;
    }
    return (struct byte_range){place, at};
}

static void map_low_memory(struct start_pages *pages)
{
    pages->pml4[0] = ptr_phys(pages->pdpt) | TABLE_WRITABLE;
    for (unsigned i = 0; i < 4; i++)
        pages->pdpt[i] = ptr_phys(pages->pd + (size_t)i * TABLE_ENTRIES) | TABLE_WRITABLE;
    for (uint64_t i = 0; i < ARRAY_SIZE(pages->pd); i++)
        pages->pd[i] = i * MIB(2) | TABLE_2_MIB;
}

static struct start_pages *build_start(const struct boot_info *info,
                                       const struct linux_image *image, const uint8_t *file,
                                       struct linux_start *start)
{
    spa_t place = memory_map_find(&info->guest_memory, sizeof(struct start_pages), PAGE_SIZE,
                                  START_LOW, START_HIGH, NULL, 0);
    if (place == NO_PLACE)
        boot_refuse("too little memory: no room below 640 KiB for Linux's boot parameters");
    struct start_pages *pages = phys_ptr(place);
    memset(pages, 0, sizeof(*pages));
    linux_command_line(info->modules[0].command_line, pages->command_line);
    if (strlen(pages->command_line) > image->command_line_max)
        boot_refuse("the command line is longer than the %lu characters that this Linux kernel "
                    "takes",
                    image->command_line_max);
    start->command_line = place + offsetof(struct start_pages, command_line);
    start->rsdp = info->rsdp;
    linux_fill_params(&pages->params, file, image, &info->guest_memory, start,
                      phys_ptr(BIOS_DATA_AREA));
    pages->gdt[BOOT_CS / 8] = image->long_mode ? FLAT_CODE_64 : FLAT_CODE;
    pages->gdt[BOOT_DS / 8] = FLAT_DATA;
    map_low_memory(pages);
    return pages;
}

void linux_load(const struct boot_info *info, struct first_entry *entry)
{
    const struct module *kernel = &info->modules[0];
    const uint8_t *file = phys_ptr(kernel->start);
    struct linux_image image;
    const char *problem = linux_parse(file, kernel->size, &image);
    if (problem != NULL)
        boot_refuse("the first module cannot be started: %s", problem);

    struct byte_range initrd = gather_initrd(info, &image);
    struct byte_range avoid[MAX_MODULES + 1];
    uint32_t count = list_modules(info, avoid);
    if (initrd.end != 0)
        avoid[count++] = (struct byte_range){initrd.start, align_up(initrd.end, PAGE_SIZE)};
    spa_t place = linux_place(&image, &info->guest_memory, avoid, count);
    if (place == NO_PLACE)
        boot_refuse("too little memory: no room for this Linux kernel, which needs %lu KiB in one "
                    "piece from 0x%lx%s",
                    image.memory_size >> 10, image.preferred, image.relocatable ? " up" : "");
    memcpy(phys_ptr(place), file + image.file_offset, image.size);
    memset(phys_ptr(place + image.size), 0, image.memory_size - image.size);

    struct linux_start start = {
        .kernel = place, .initrd = initrd.start, .initrd_size = initrd.end - initrd.start};
    spa_t pages = ptr_phys(build_start(info, &image, file, &start));
    *entry = (struct first_entry){
        .eip = (uint32_t)place + (image.long_mode ? LINUX_ENTRY_64 : 0),
        .esi = (uint32_t)pages,
        .code_selector = BOOT_CS,
        .data_selector = BOOT_DS,
        .gdt_base = (uint32_t)(pages + offsetof(struct start_pages, gdt)),
        .gdt_limit = sizeof(((struct start_pages *)0)->gdt) - 1,
        .cr3 = image.long_mode ? (uint32_t)(pages + offsetof(struct start_pages, pml4)) : 0,
        .no_partition_id = image.version < FIRST_WITH_PARTITION_ID,
    };
    say_debug("first partition: Linux %u.%u (boot protocol %u.%02u, %u-bit entry) at 0x%lx, initrd "
              "of %lu KiB at 0x%lx, parameters at 0x%lx",
              image.version >> 16, image.version & UINT16_MAX, image.protocol >> 8,
              image.protocol & 0xFFu, image.long_mode ? 64 : 32, place, start.initrd_size >> 10,
              start.initrd, pages);
}
