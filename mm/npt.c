/* SPDX-License-Identifier: MIT */
/*
 * Nested page tables, APM volume 2, 15.25: long-mode page tables of the host.
 * Needs EFER.NXE on in the host. Every entry is a user one, because a guest's
 * accesses count as user accesses (15.25.6).
 */
#include "mm/slpt.h"

enum npt_bit {
    NPT_PRESENT = 1 << 0,
    NPT_WRITE = 1 << 1,
    NPT_USER = 1 << 2,
    NPT_PWT = 1 << 3,
    NPT_PCD = 1 << 4,
    NPT_ACCESSED = 1 << 5,
    NPT_DIRTY = 1 << 6,
    NPT_LARGE = 1 << 7, /* levels 1 and 2; PAT at level 0, never set */
};
#define NPT_NO_EXECUTE BIT(63)

_Static_assert(NPT_LARGE == SLPT_LEAF, "the walker looks at it");

static uint64_t make_leaf(spn_t spn, uint8_t prot, uint8_t type, unsigned level)
{
    /* PCD and PWT choose UC in the host's PAT; otherwise the host's MTRRs decide alone. */
    return spn << PAGE_SHIFT | NPT_PRESENT | NPT_USER | (prot & MAP_WRITE ? NPT_WRITE : 0) |
           (prot & MAP_EXECUTE ? 0 : NPT_NO_EXECUTE) | (type == MEMORY_UC ? NPT_PCD | NPT_PWT : 0) |
           (level ? NPT_LARGE : 0);
}

static uint64_t make_table(spn_t table)
{
    return table << PAGE_SHIFT | NPT_PRESENT | NPT_WRITE | NPT_USER;
}

static uint8_t prot_of(uint64_t entry)
{
    return (uint8_t)(MAP_READ | (entry & NPT_WRITE ? MAP_WRITE : 0) |
                     (entry & NPT_NO_EXECUTE ? 0 : MAP_EXECUTE));
}

static uint8_t type_of(uint64_t entry)
{
    return entry & NPT_PCD ? MEMORY_UC : MEMORY_WB;
}

const struct slpt_format npt_format = {
    .make_leaf = make_leaf,
    .make_table = make_table,
    .prot = prot_of,
    .type = type_of,
    .present_mask = NPT_PRESENT,
    .accessed_bit = NPT_ACCESSED,
    .dirty_bit = NPT_DIRTY,
};
