/* SPDX-License-Identifier: MIT */
/* Extended page tables, SDM 29.3.2 "EPT Translation Mechanism". */
#include "mm/slpt.h"

enum ept_bit {
    EPT_READ = 1 << 0,
    EPT_WRITE = 1 << 1,
    EPT_EXECUTE = 1 << 2,
    EPT_TYPE_SHIFT = 3, /* 5:3; bit 6 clear: the guest's PAT has its say (SDM 29.3.7.2) */
    EPT_LARGE = 1 << 7,
    EPT_ACCESSED = 1 << 8,
    EPT_DIRTY = 1 << 9,
};
#define EPT_RIGHTS (EPT_READ | EPT_WRITE | EPT_EXECUTE)

_Static_assert(EPT_RIGHTS == (int)MAP_ALL && EPT_WRITE == (int)MAP_WRITE &&
                   EPT_EXECUTE == (int)MAP_EXECUTE,
               "the rights of an EPT entry are MAP_* themselves");
_Static_assert(EPT_LARGE == SLPT_LEAF, "the walker looks at it");

static uint64_t make_leaf(spn_t spn, uint8_t prot, uint8_t type, unsigned level)
{
    /* Writable but not readable is a misconfiguration (SDM 29.3.3.1); execute-only is one
       where the processor lacks it. */
    if (prot & MAP_WRITE || !slpt_execute_only)
        prot |= MAP_READ;
    return spn << PAGE_SHIFT | (level ? EPT_LARGE : 0) | (uint64_t)type << EPT_TYPE_SHIFT |
           (prot & EPT_RIGHTS);
}

static uint64_t make_table(spn_t table)
{
    return table << PAGE_SHIFT | EPT_RIGHTS;
}

static uint8_t prot_of(uint64_t entry)
{
    return entry & EPT_RIGHTS;
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
    .present_mask = EPT_RIGHTS,
    .accessed_bit = EPT_ACCESSED,
    .dirty_bit = EPT_DIRTY,
};
