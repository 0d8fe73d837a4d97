/* SPDX-License-Identifier: MIT */
/*
 * A segment out of the VMCB. Plain, the inverse of to_vmcb in svm/state.c; every stop of a
 * child comes here, six times.
 */
#ifndef SVM_SEGMENTS_FAST_H
#define SVM_SEGMENTS_FAST_H

#include "svm/svm.h"

_Static_assert(offsetof(struct segment, limit) == 8 && offsetof(struct segment, attributes) == 14,
               "the second word");

/*
 * All but the base is one word, whose halves VMCB and ABI have the other way round; in the
 * ABI's attributes four zero bits stand before AVL. Saves 22 in a dispatch, and unrolled, as
 * svm_save_shown has it, 31 more.
 */
static inline void from_vmcb(struct segment *to, const struct vmcb_segment *from)
{
    const uint64_t flags = 0xF00UL << 48;
    uint64_t word;
    __builtin_memcpy(&word, from, sizeof(word));
    word = word >> 32 | word << 32;
    word = (word & UINT64_MAX >> 8) | (word & flags) << 4;
    to->base = from->base;
    __builtin_memcpy(&to->limit, &word, sizeof(word));
}

#endif
