/* SPDX-License-Identifier: MIT */
/* The hypervisor's own page tables (SDM 4.5): see boot/paging.h. */
#include "boot/paging.h"

#include "boot/memmap.h"
#include "hv/base/arch.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "mm/boot_memory.h"

/* Set beforehand, so that the processor never has to write a table. */
#define PTE_LEAF (PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY)

#define IMAGE_BASE 0x40000000UL

extern uint64_t early_direct_pdpt[512]; /* boot/entry.asm */

static uint64_t *final_pml4;

bool paging_early_map(spa_t spa, uint64_t size)
{
    static uint64_t windows[2][512] __attribute__((aligned(PAGE_SIZE)));
    static uint64_t mapped; /* the first of the two GiBs that the windows show */
    uint64_t first = spa >> 30, last = (spa + size - 1) >> 30;
    if (size == 0 || last < 4)
        return true;
    if (spa + size < spa || last >= 512 || last - first > 1)
        return false;
    if (mapped == first)
        return true;
    for (uint64_t i = 4; i < 512; i++)
        early_direct_pdpt[i] = 0;
    for (unsigned w = 0; w < 2 && first + w < 512; w++) {
        if (first + w < 4)
            continue; /* mapped anyway */
        for (uint64_t i = 0; i < 512; i++)
            windows[w][i] = ((first + w) << 30 | i << 21) | PTE_LEAF | PTE_LARGE;
        /* The early tables map the image linearly, 2 MiB at 1 GiB. */
        early_direct_pdpt[first + w] =
            ((uint64_t)windows[w] - IMAGE_BASE + MIB(2)) | PTE_PRESENT | PTE_WRITABLE;
    }
    mapped = first;
    write_cr3(read_cr3());
    return true;
}

static uint64_t direct_map_top(void)
{
    return max_u64(GIB(4), memory_map_top(&boot_info.memory));
}

uint64_t paging_size(void)
{
    uint64_t top = direct_map_top();
    uint64_t directories = (top >> 30) + 1, pointer_tables = (top >> 39) + 1;
    uint64_t image_tables = (uint64_t)(image_end - image_start) / MIB(2) + 1;
    uint64_t roots = 2, low_tables = 2 * 2 + 1; /* the trampoline has its own */
    return (directories + pointer_tables + image_tables + roots + low_tables) * PAGE_SIZE;
}

/* The entry for `va` at `level` (0: 4 KiB, 1: 2 MiB), tables made as needed. */
static uint64_t *entry_for(uint64_t *pml4, uint64_t va, unsigned level)
{
    uint64_t *table = pml4;
    for (unsigned l = 3; l > level; l--) {
        uint64_t *entry = &table[va >> (12 + 9 * l) & 511];
        if (*entry == 0)
            *entry = ptr_phys(boot_alloc(PAGE_SIZE)) | PTE_PRESENT | PTE_WRITABLE | PTE_ACCESSED;
        table = phys_ptr(*entry & PTE_ADDRESS);
    }
    return &table[va >> (12 + 9 * level) & 511];
}

static void map_part(uint64_t *pml4, spa_t image_spa, const char *start, const char *end,
                     uint64_t flags)
{
    for (uint64_t va = (uint64_t)start; va < (uint64_t)end; va += PAGE_SIZE)
        *entry_for(pml4, va, 0) = (image_spa + (va - (uint64_t)image_start)) | PTE_LEAF | flags;
}

/* The direct map of [start, end), rounded out to 2 MiB; the MTRRs say what is uncached. */
static void map_direct(uint64_t *pml4, spa_t start, spa_t end)
{
    for (spa_t spa = align_down(start, MIB(2)); spa < end; spa += MIB(2))
        *entry_for(pml4, DIRECT_MAP_BASE + spa, 1) =
            spa | PTE_LEAF | PTE_LARGE | PTE_WRITABLE | PTE_NX;
}

uint64_t paging_build(spa_t image_spa)
{
    uint64_t *pml4 = boot_alloc(PAGE_SIZE);
    map_part(pml4, image_spa, image_start, text_start, PTE_NX);
    map_part(pml4, image_spa, text_start, rodata_start, 0);
    map_part(pml4, image_spa, rodata_start, data_start, PTE_NX);
    map_part(pml4, image_spa, data_start, image_end, PTE_NX | PTE_WRITABLE);

    /* Types may differ inside the first 2 MiB, where a large page will not do (SDM 12.11.9). */
    for (spa_t spa = 0; spa < MIB(2); spa += PAGE_SIZE)
        *entry_for(pml4, DIRECT_MAP_BASE + spa, 0) = spa | PTE_LEAF | PTE_WRITABLE | PTE_NX;
    map_direct(pml4, MIB(2), GIB(4));
    for (uint32_t i = 0; i < boot_info.memory.count; i++) {
        const struct memory_range *r = &boot_info.memory.ranges[i];
        if (r->kind == MEMORY_AVAILABLE && r->end > GIB(4))
            map_direct(pml4, max_u64(r->start, GIB(4)), r->end);
    }
    final_pml4 = pml4;
    return ptr_phys(pml4);
}

uint64_t paging_trampoline(void)
{
    static uint64_t *pml4;
    if (pml4 == NULL) {
        pml4 = boot_alloc(PAGE_SIZE);
        memcpy(pml4, final_pml4, PAGE_SIZE);
        /* Slot 0 holds the image: give it a table of its own beside the identity map. */
        uint64_t *low = boot_alloc(PAGE_SIZE);
        memcpy(low, phys_ptr(final_pml4[0] & PTE_ADDRESS), PAGE_SIZE);
        pml4[0] = ptr_phys(low) | PTE_PRESENT | PTE_WRITABLE | PTE_ACCESSED;
        *entry_for(pml4, 0, 1) = PTE_LEAF | PTE_LARGE | PTE_WRITABLE;
    }
    return ptr_phys(pml4);
}
