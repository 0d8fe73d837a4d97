/* SPDX-License-Identifier: MIT */
/* Memory of a bundled guest: free ranges, single pages, identity mapping. */
#include "guests/lib/guest.h"
#include "hv/base/string.h"

#define MAX_FREE_RANGES 512
#define FIRST_BYTE      MIB(1)

struct free_range {
    uint64_t start, end;
};

struct free_page {
    struct free_page *next;
};

extern uint64_t boot_pml4[512];
extern const char guest_image_start[], guest_image_end[];

static struct free_range ranges[MAX_FREE_RANGES]; /* sorted */
static uint32_t range_count;
static struct free_page *free_pages;
static uint64_t available;
static volatile uint32_t memory_lock;

static void lock(void)
{
    while (__atomic_exchange_n(&memory_lock, 1, __ATOMIC_ACQUIRE) != 0)
        cpu_relax();
}

static void unlock(void)
{
    __atomic_store_n(&memory_lock, 0, __ATOMIC_RELEASE);
}

static void remove_range(uint32_t at)
{
    memmove(&ranges[at], &ranges[at + 1], (range_count - at - 1) * sizeof(ranges[0]));
    range_count--;
}

static void insert_range(uint64_t start, uint64_t end)
{
    uint32_t at = 0;
    if (start >= end)
        return;
    while (at < range_count && ranges[at].start < start)
        at++;
    if (at > 0 && ranges[at - 1].end == start) {
        ranges[at - 1].end = end;
        if (at < range_count && ranges[at].start == end) {
            ranges[at - 1].end = ranges[at].end;
            remove_range(at);
        }
        return;
    }
    if (at < range_count && ranges[at].start == end) {
        ranges[at].start = start;
        return;
    }
    if (range_count == MAX_FREE_RANGES)
        return; /* lost, which a test program can bear */
    memmove(&ranges[at + 1], &ranges[at], (range_count - at) * sizeof(ranges[0]));
    ranges[at] = (struct free_range){start, end};
    range_count++;
}

/* Takes [start, end) out of the free ranges, whatever of it is there. */
static void carve(uint64_t start, uint64_t end)
{
    for (uint32_t n = 0; n < range_count;) {
        struct free_range r = ranges[n];
        if (r.end <= start || r.start >= end) {
            n++;
            continue;
        }
        remove_range(n);
        insert_range(r.start, min_u64(r.end, start));
        insert_range(max_u64(r.start, end), r.end);
        n = 0;
    }
}

void memory_init(void)
{
    for (uint32_t n = 0; n < machine.range_count; n++) {
        const struct ram_range *r = &machine.ranges[n];
        uint64_t start = max_u64(align_up(r->start, PAGE_SIZE), FIRST_BYTE);
        if (r->type == 1)
            insert_range(start, align_down(r->end, PAGE_SIZE));
    }
    for (uint32_t n = 0; n < machine.range_count; n++) {
        const struct ram_range *r = &machine.ranges[n];
        if (r->type != 1)
            carve(align_down(r->start, PAGE_SIZE), align_up(r->end, PAGE_SIZE));
    }
    carve((uint64_t)guest_image_start, (uint64_t)guest_image_end);
    for (uint32_t n = 0; n < machine.module_count; n++) {
        uint64_t start = (uint64_t)machine.modules[n].start;
        carve(align_down(start, PAGE_SIZE), align_up(start + machine.modules[n].size, PAGE_SIZE));
    }
    for (uint32_t n = 0; n < range_count; n++)
        available += (ranges[n].end - ranges[n].start) >> PAGE_SHIFT;
    for (uint32_t n = 0; n < range_count; n++) /* RAM below 4 GiB is mapped already */
        identity_map(ranges[n].start, ranges[n].end - ranges[n].start);
}

static void *try_alloc(uint64_t count, uint64_t alignment, uint64_t limit)
{
    uint64_t size = count << PAGE_SHIFT;
    for (uint32_t n = 0; n < range_count; n++) {
        struct free_range r = ranges[n];
        uint64_t start = align_up(r.start, alignment);
        if (start + size > min_u64(r.end, limit))
            continue;
        remove_range(n);
        insert_range(r.start, start);
        insert_range(start + size, r.end);
        available -= count;
        return (void *)start;
    }
    return NULL;
}

static void *alloc(uint64_t count, uint64_t alignment, uint64_t limit)
{
    lock();
    void *pages = try_alloc(count, alignment, limit);
    unlock();
    if (pages == NULL)
        tap_bail_out("out of memory: %lu pages aligned to 0x%lx", count, alignment);
    return memset(pages, 0, count << PAGE_SHIFT);
}

void *pages_alloc(uint64_t count, uint64_t alignment)
{
    return alloc(count, alignment, ~0UL);
}

void *pages_alloc_low(uint64_t count, uint64_t alignment)
{
    return alloc(count, alignment, GIB(4));
}

void pages_free(void *first, uint64_t count)
{
    lock();
    insert_range((uint64_t)first, (uint64_t)first + (count << PAGE_SHIFT));
    available += count;
    unlock();
}

void *page_alloc(void)
{
    lock();
    struct free_page *page = free_pages;
    if (page != NULL) {
        free_pages = page->next;
        available--;
    }
    unlock();
    return page != NULL ? memset(page, 0, PAGE_SIZE) : pages_alloc(1, PAGE_SIZE);
}

void page_free(void *page)
{
    struct free_page *first = page;
    lock();
    first->next = free_pages;
    free_pages = first;
    available++;
    unlock();
}

uint64_t pages_available(void)
{
    return available;
}

bool machine_is_ram(uint64_t gpa, uint64_t size)
{
    for (uint32_t n = 0; n < machine.range_count; n++) {
        const struct ram_range *r = &machine.ranges[n];
        if (r->type == 1 && gpa >= r->start && gpa + size <= r->end)
            return true;
    }
    return false;
}

uint64_t machine_memory_end(void)
{
    uint64_t end = GIB(4);
    for (uint32_t n = 0; n < machine.range_count; n++) {
        const struct ram_range *r = &machine.ranges[n];
        if (r->type == 1)
            end = max_u64(end, r->end);
    }
    return end;
}

/* The entry for `address` at `level` (1: 4 KiB, 2: 2 MiB); missing tables are made. */
static uint64_t *table_entry(uint64_t address, unsigned level)
{
    uint64_t *table = boot_pml4;
    for (unsigned at = 4; at > level; at--) {
        uint64_t *entry = &table[address >> (12 + 9 * (at - 1)) & 511];
        if (!(*entry & PTE_PRESENT))
            *entry = (uint64_t)page_alloc() | PTE_PRESENT | PTE_WRITABLE | PTE_USER;
        table = (uint64_t *)(*entry & PTE_ADDRESS);
    }
    return &table[address >> (12 + 9 * (level - 1)) & 511];
}

void *identity_map(uint64_t gpa, uint64_t size)
{
    uint64_t first = align_down(max_u64(gpa, GIB(4)), MIB(2));
    for (uint64_t at = first; at < gpa + size; at += MIB(2)) {
        uint64_t *entry = table_entry(at, 2);
        if (!(*entry & PTE_PRESENT))
            *entry = at | PTE_LARGE | PTE_PRESENT | PTE_WRITABLE | PTE_USER;
    }
    return (void *)gpa;
}

void map_page(uint64_t gva, uint64_t gpa, uint64_t pte_flags)
{
    *table_entry(gva, 1) = gpa | pte_flags;
    __asm__ volatile("invlpg (%0)" : : "r"(gva) : "memory");
}
