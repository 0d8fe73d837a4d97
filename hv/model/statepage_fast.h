/* SPDX-License-Identifier: MIT */
/*
 * Short ways of hv/model/statepage.c. Each does what is said of it in fewer instructions
 * (hv/model/statepage_fast_test.c) and says how many it saves in a dispatch that ends in an
 * I/O intercept. XMM0..5 straight from the processor: hv/model/fpu_fast.c.
 */
#ifndef HV_MODEL_STATEPAGE_FAST_H
#define HV_MODEL_STATEPAGE_FAST_H

#include "hv/model/vp.h"
#include "hypercalls/abi.h"

_Static_assert(sizeof(struct hv_segment) == sizeof(struct segment), "one layout");
_Static_assert(offsetof(struct hv_register_page, dr7) ==
                       offsetof(struct hv_register_page, cr0) + 5 * 8 &&
                   offsetof(struct vp_state, dr7) == offsetof(struct vp_state, cr0) + 5 * 8,
               "copied as one: cr0 cr3 cr4 cr8 efer dr7");
_Static_assert(SEG_GS == 5 && SEG_ES == 0, "the page has the first six");

/* General registers, segments, cr0, cr3, cr4, cr8, efer and dr7: whole runs of fields at once.
   Saves 23. */
static inline void put_runs(struct hv_register_page *page, const struct vp_state *s)
{
    copy_words(page->gpr, s->gpr, GPR_COUNT);
    copy_words(page->segment, s->seg, sizeof(page->segment) / 8);
    copy_words(&page->cr0, &s->cr0, 6);
}

/*
 * Zeros behind the payload of a message: of what is there only the last message's, which was
 * vp->message_words long, can be anything else. Saves 28. Lock: page_lock.
 */
static inline void clear_tail(struct vp *vp, struct hv_message *m, size_t payload_size)
{
    size_t words = payload_size / 8;
    for (size_t i = words; i < vp->message_words; i++)
        ((uint64_t *)&m->payload)[i] = 0;
    vp->message_words = (uint8_t)words;
}

#endif
