/* SPDX-License-Identifier: MIT */
/* The address of an instruction that the processor has just fetched by itself. */
#ifndef HV_MODEL_TRANSLATE_FAST_H
#define HV_MODEL_TRANSLATE_FAST_H

#include "hv/model/partition.h"
#include "hv/model/translate.h"
#include "hypercalls/abi.h"
#include "mm/copy.h"

/*
 * As translate_linear, asked for nothing but the address, where the tables are good: the
 * processor has found no fault in them, so with four levels it is enough to follow them.
 * False: not to be found. Saves 206 in a first touch.
 */
static inline bool translate_fetched(const struct vp *vp, uint64_t linear, gpa_t *gpa)
{
    const struct vp_state *s = &vp->state;
    if (!(s->efer & EFER_LMA) || (s->cr4 & CR4_LA57))
        return translate_linear(vp, linear, 0, gpa) == HV_TRANSLATE_SUCCESS;
    uint64_t entry = s->cr3;
    unsigned shift = PAGE_SHIFT + 4 * 9;
    do {
        shift -= 9;
        gpa_t at = (entry & PTE_ADDRESS) + (linear >> shift & 0x1FF) * sizeof(entry);
        if (!guest_read(&vp->partition->space, at, &entry, sizeof(entry)) || !(entry & PTE_PRESENT))
            return false;
    } while (shift > PAGE_SHIFT && !(entry & PTE_LARGE));
    uint64_t offset = BIT(shift) - 1;
    *gpa = (entry & PTE_ADDRESS & ~offset) | (linear & offset);
    return true;
}

#endif
