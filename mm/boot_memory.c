/* SPDX-License-Identifier: MIT */
/* Memory that is handed out once, at boot, and never given back. */
#include "mm/boot_memory.h"

#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"

static spa_t image_spa;
static uint64_t image_va;
static spa_t next, limit;

void boot_memory_init(spa_t image_start, const void *image_base, spa_t start, spa_t end)
{
    image_spa = image_start;
    image_va = (uint64_t)image_base;
    next = start;
    limit = end;
}

spa_t image_phys(const void *p)
{
    return image_spa + ((uint64_t)p - image_va);
}

void *boot_alloc(uint64_t size)
{
    size = align_up(size, PAGE_SIZE);
    if (size > limit - next)
        boot_refuse("the memory set aside at boot is used up: %lu KiB more are wanted", size >> 10);
    void *memory = phys_ptr(next);
    next += size;
    return memset(memory, 0, size);
}
