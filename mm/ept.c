/* SPDX-License-Identifier: MIT */
/* Extended page tables, SDM 29.3.2 "EPT Translation Mechanism". */
#include "mm/slpt.h"

/* The rights of an entry, bits 2:0, are MAP_* themselves. */
enum ept_bit {
    EPT_TYPE_SHIFT = 3, /* 5:3; bit 6 clear: the guest's PAT has its say (SDM 29.3.7.2) */
    EPT_ACCESSED = 1 << 8,
    EPT_DIRTY = 1 << 9,
};

static uint64_t make_leaf(spn_t spn, uint8_t prot, uint8_t type, unsigned level)
{
    /* Writable but not readable is a misconfiguration (SDM 29.3.3.1); execute-only is one
       where the processor lacks it. */
    if (prot & MAP_WRITE || !slpt_execute_only)
        prot |= MAP_READ;
    return spn << PAGE_SHIFT | (level ? SLPT_LEAF : 0) | (uint64_t)type << EPT_TYPE_SHIFT |
           (prot & MAP_ALL);
}

static uint64_t make_table(spn_t table)
{
    return table << PAGE_SHIFT | MAP_ALL;
}

static uint8_t prot_of(uint64_t entry)
{
    return entry & MAP_ALL;
}

static uint8_t type_of(uint64_t entry)
{
    return entry >> EPT_TYPE_SHIFT & 7;
}

const struct slpt_format ept_format = {
    .make_leaf = make_leaf,
    .make_table = make_table,
    .prot = prot_of,
    .type = type_of,
    .present_mask = MAP_ALL,
    .accessed_bit = EPT_ACCESSED,
    .dirty_bit = EPT_DIRTY,
};
