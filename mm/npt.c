/* SPDX-License-Identifier: MIT */
/*
 * Nested page tables, APM volume 2, 15.25: long-mode page tables of the host.
 * Needs EFER.NXE on in the host. Every entry is a user one, because a guest's
 * accesses count as user accesses (15.25.6).
 */
#include "mm/slpt.h"

static uint64_t make_leaf(spn_t spn, uint8_t prot, uint8_t type, unsigned level)
{
    /* PCD and PWT choose UC in the host's PAT; otherwise the host's MTRRs decide alone. */
    return spn << PAGE_SHIFT | PTE_PRESENT | PTE_USER | (prot & MAP_WRITE ? PTE_WRITABLE : 0) |
           (prot & MAP_EXECUTE ? 0 : PTE_NX) | (type == MEMORY_UC ? PTE_PCD | PTE_PWT : 0) |
           (level ? PTE_LARGE : 0);
}

static uint64_t make_table(spn_t table)
{
    return table << PAGE_SHIFT | PTE_PRESENT | PTE_WRITABLE | PTE_USER;
}

static uint8_t prot_of(uint64_t entry)
{
    return (uint8_t)(MAP_READ | (entry & PTE_WRITABLE ? MAP_WRITE : 0) |
                     (entry & PTE_NX ? 0 : MAP_EXECUTE));
}

static uint8_t type_of(uint64_t entry)
{
    return entry & PTE_PCD ? MEMORY_UC : MEMORY_WB;
}

const struct slpt_format npt_format = {
    .make_leaf = make_leaf,
    .make_table = make_table,
    .prot = prot_of,
    .type = type_of,
    .present_mask = PTE_PRESENT,
    .accessed_bit = PTE_ACCESSED,
    .dirty_bit = PTE_DIRTY,
};
