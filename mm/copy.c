/* SPDX-License-Identifier: MIT */
/*
 * Copies between guest memory and the hypervisor, page by page. What each processor
 * remembers of the pages that it used last is mm/copy_fast.c's.
 */
#include "mm/copy_fast.h"

#include "hv/base/phys.h"
#include "hv/base/string.h"

#define COPYABLE (BIT(FRAME_RAM) | BIT(FRAME_OVERLAY))

void *copy_translate(const struct space *space, gpa_t gpa, uint8_t prot)
{
    struct mapping m = slpt_lookup(space, gpa >> PAGE_SHIFT);
    if (!m.present || (prot & ~m.prot) || !(COPYABLE >> frame_type_of(m.spn) & 1))
        return NULL;
    return (uint8_t *)page_ptr(m.spn) + (gpa & PAGE_MASK);
}

static inline size_t in_page(gpa_t gpa, size_t size)
{
    return min_u64(size, PAGE_SIZE - (gpa & PAGE_MASK));
}

bool copy_pages(const struct space *space, gpa_t gpa, uint8_t *buffer, size_t size, bool write)
{
    struct cpu *cpu = this_cpu();
    while (size != 0) {
        size_t part = in_page(gpa, size);
        tlb_begin_copy(cpu);
        void *at = copy_find(space, gpa, write ? MAP_READ | MAP_WRITE : MAP_READ);
        if (at)
            memcpy(write ? at : buffer, write ? buffer : at, part);
        tlb_end_copy(cpu);
        if (!at)
            return false;
        gpa += part;
        buffer += part;
        size -= part;
    }
    return true;
}

bool guest_accessible(const struct space *space, gpa_t gpa, size_t size, uint8_t prot)
{
    prot |= MAP_READ;
    while (size != 0) {
        size_t part = in_page(gpa, size);
        if (!copy_find(space, gpa, prot))
            return false;
        gpa += part;
        size -= part;
    }
    return true;
}
