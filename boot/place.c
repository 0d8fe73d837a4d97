/* SPDX-License-Identifier: MIT */
/*
 * Where things go. The hypervisor keeps one range at the top of the RAM below
 * 4 GiB: image, what boot_alloc hands out, the first partition's pool. The
 * modules lie right below, so that low memory is free for the guest's kernel.
 */
#include "boot/place.h"

#include "boot/memmap.h"
#include "boot/paging.h"
#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "mm/boot_memory.h"
#include "mm/frame.h"

#define LOADED_AT     MIB(2)  /* where the loader put the image, boot/link.ld */
#define BYTES_PER_CPU KIB(64) /* record, stacks, vendor pages, first VP with its XSAVE area */
#define SLACK         MIB(1)  /* permission maps, message buffers and the like */
#define LOWEST        MIB(1)  /* nothing of ours goes below */

#define EBDA_POINTER 0x40E /* a word: the EBDA's segment */
#define EBDA_LOW     KIB(512)
#define EBDA_HIGH    KIB(640)

static uint64_t image_size(void)
{
    return (uint64_t)(image_end - image_start);
}

/* What must not be written over: the image where it is now, and the modules but `except`. */
static uint32_t list_obstacles(const struct boot_info *info, const struct module *except,
                               struct byte_range list[MAX_MODULES + 1])
{
    uint32_t count = 0;
    list[count++] = (struct byte_range){LOADED_AT, LOADED_AT + image_size()};
    for (uint32_t i = 0; i < info->module_count; i++) {
        const struct module *m = &info->modules[i];
        if (m != except && m->size != 0)
            list[count++] = (struct byte_range){m->start, m->start + m->size};
    }
    return count;
}

/* RAM below 4 GiB in MiB, for messages. */
static uint64_t low_memory_mib(const struct boot_info *info)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < info->memory.count; i++) {
        const struct memory_range *r = &info->memory.ranges[i];
        if (r->kind == MEMORY_AVAILABLE && r->start < GIB(4))
            total += min_u64(r->end, GIB(4)) - r->start;
    }
    return total >> 20;
}

static void choose_region(struct boot_info *info)
{
    info->frame_count = align_up(memory_map_top(&info->memory), PAGE_SIZE) >> PAGE_SHIFT;
    uint64_t pool = MIB(info->options.pool_mib);
    uint64_t size = image_size() + align_up(info->frame_count * sizeof(struct frame), PAGE_SIZE) +
                    paging_size() + (uint64_t)info->cpu_count * BYTES_PER_CPU + SLACK + pool;

    struct byte_range obstacles[MAX_MODULES + 1];
    uint32_t count = list_obstacles(info, NULL, obstacles);
    /* A page's alignment for the end, 2 MiB for the start: the guest keeps its large pages. */
    spa_t start = memory_map_find(&info->memory, size, PAGE_SIZE, LOWEST, GIB(4), obstacles, count);
    if (start == NO_PLACE)
        boot_refuse("too little memory: Vellum needs %lu MiB in one piece below 4 GiB, and of the "
                    "%lu MiB there no such piece is free; pool=MiB sets the size of the pool",
                    (size >> 20) + 1, low_memory_mib(info));
    info->hv_end = start + size;
    spa_t aligned =
        memory_map_find(&info->memory, info->hv_end - align_down(start, MIB(2)), PAGE_SIZE,
                        align_down(start, MIB(2)), info->hv_end, obstacles, count);
    info->hv_start = aligned == align_down(start, MIB(2)) ? aligned : start;
    info->pool_end = info->hv_end;
    info->pool_start = info->hv_end - pool;

    memcpy(&info->guest_memory, &info->memory, sizeof(info->memory));
    if (!memory_map_set(&info->guest_memory, info->hv_start, info->hv_end - info->hv_start,
                        MEMORY_RESERVED))
        boot_refuse("the machine's memory map has too many ranges");
    boot_memory_init(info->hv_start, image_start, info->hv_start + image_size(), info->pool_start);
}

/*
 * Moves one module up as far as it goes. Its own place is no obstacle: memmove
 * copes. It stays when there is nothing higher, unless its start is no page's.
 */
static void stage_module(struct boot_info *info, struct module *module)
{
    if (module->size == 0)
        return;
    struct byte_range obstacles[MAX_MODULES + 1];
    uint32_t count = list_obstacles(info, module, obstacles);
    uint64_t size = align_up(module->size, PAGE_SIZE);
    spa_t to = memory_map_find(&info->guest_memory, size, PAGE_SIZE, LOWEST, info->hv_start,
                               obstacles, count);
    bool aligned = (module->start & PAGE_MASK) == 0;
    if (to == NO_PLACE && !aligned)
        boot_refuse("too little memory: no room for a module of %lu KiB", size >> 10);
    if (to == NO_PLACE || (aligned && to <= module->start))
        return;
    memmove(phys_ptr(to), phys_ptr(module->start), module->size);
    module->start = to;
}

/*
 * Where UEFI told only the loader of the RSDP, a Multiboot 1 kernel would not
 * find it, and with it no second processor: an EBDA is made for it, the first
 * place where one looks (ACPI 5.2.5.1).
 */
static void publish_rsdp(struct boot_info *info)
{
    if (info->rsdp != 0 || memcmp(info->rsdp_copy, "RSD PTR ", 8) != 0 ||
        !memory_map_available(&info->guest_memory, 0, EBDA_LOW))
        return;
    spa_t ebda =
        memory_map_find(&info->guest_memory, PAGE_SIZE, PAGE_SIZE, EBDA_LOW, EBDA_HIGH, NULL, 0);
    if (ebda == NO_PLACE || !memory_map_set(&info->guest_memory, ebda, PAGE_SIZE, MEMORY_RESERVED))
        return;
    memset(phys_ptr(ebda), 0, PAGE_SIZE);
    *(uint8_t *)phys_ptr(ebda) = PAGE_SIZE >> 10; /* an EBDA begins with its size in KiB */
    uint16_t segment = (uint16_t)(ebda >> 4);
    memcpy(phys_ptr(EBDA_POINTER), &segment, sizeof(segment));
    info->rsdp = ebda + 16;
    memcpy(phys_ptr(info->rsdp), info->rsdp_copy, sizeof(info->rsdp_copy));
}

void place_choose(struct boot_info *info)
{
    choose_region(info);
    for (uint32_t i = 0; i < info->module_count; i++)
        stage_module(info, &info->modules[i]);
    publish_rsdp(info);
}

/* boot/entry.asm: copies the image and switches to the page tables under which the copy shows. */
void boot_relocate(void *to, const void *from, uint64_t qwords, uint64_t cr3);

void place_relocate(const struct boot_info *info)
{
    uint64_t cr3 = paging_build(info->hv_start);
    boot_relocate(phys_ptr(info->hv_start), image_start, image_size() / sizeof(uint64_t), cr3);
}
