/* SPDX-License-Identifier: MIT */
/* The life of state pages between HvCallMapVpStatePage and HvCallUnmapVpStatePage. */
#ifndef HV_MODEL_STATEPAGE_H
#define HV_MODEL_STATEPAGE_H

#include "hv/model/vp.h"
#include "hypercalls/abi.h"

/*
 * The first contents of a state page, frame spn of the pool of the VP's partition. From
 * here on a stop of the VP writes to it. own: the VP is the calling one, whose page
 * shows the state at the call, not valid. Of a VP that runs on another processor it has only the
 * version until that stops. Lock: hv_lock; the page is not mapped yet.
 */
void state_page_begin(struct vp *vp, enum state_page_type type, spn_t spn, bool own);

/* The VP has stopped: write its state into the register page (if mapped), valid, not dirty. live:
   its XMM registers are still in this processor. State: vp_show. */
void state_page_publish(struct vp *vp, bool live);

/*
 * The VP is about to run: take the dirty classes of the register page into
 * vp->state (one copy) and clear is-valid. False when a value was refused: then
 * nothing was taken, the page is published anew, and the VP must not run.
 */
bool state_page_consume(struct vp *vp);

/*
 * Takes in the dirty classes of a stopped VP's register page, if it has one.
 * False: a value was refused, nothing taken. Lock: hv_lock.
 */
bool state_page_take(struct vp *vp);

/*
 * Takes these dirty classes (HV_DIRTY_*) out of a page; the second is hv/model/statepage_fast.c's,
 * where the most frequent ones have a short way, and could be the first. False: a value was
 * refused, nothing taken. Lock: page_lock.
 */
bool state_page_take_all(struct vp *vp, const struct hv_register_page *page, uint32_t dirty);
bool state_page_take_classes(struct vp *vp, const struct hv_register_page *page, uint32_t dirty);

/*
 * Begins a message in the intercept page: header, and zeros for what is left of
 * the last one behind the payload. NULL when no page is mapped. Either way
 * vp->page_lock is held until state_page_message_end.
 */
struct hv_message *state_page_message_begin(struct vp *vp, uint32_t type, size_t payload_size);
static inline void state_page_message_end(struct vp *vp)
{
    unlock(&vp->page_lock);
}

/* Unmaps a mapped state page: every place, shoot down, free. Lock: hv_lock. */
void state_page_unmap(struct vp *vp, enum state_page_type type);

#endif
