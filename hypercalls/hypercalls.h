/* What the rest of the hypervisor asks of the hypercall code. */
#ifndef HYPERCALLS_HYPERCALLS_H
#define HYPERCALLS_HYPERCALLS_H

#include "hypercalls/abi.h"
#include "hv/partition.h"

struct cpu;

/*
 * Answers the hypercall of the VP that just exited with EXIT_HYPERCALL: checks
 * in abi order, runs the handler, writes the result into RAX (EDX:EAX) and
 * steps over the instruction. Three other outcomes: #UD is queued; a rep call
 * goes on later (rip unmoved, rep start advanced); DispatchVp has changed
 * cpu->current to the child, and vp_end_dispatch will finish the call. No lock held.
 */
void hypercall(struct cpu *cpu, struct vp *vp, unsigned insn_length);

/* hypercalls/statepage.c. Lock: vp->page_lock is taken inside. */

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
 * Begins a message in the intercept page: header, and zeros for what is left of
 * the last one behind the payload. NULL when no page is mapped. Either way
 * vp->page_lock is held until state_page_message_end.
 */
struct hv_message *state_page_message_begin(struct vp *vp, uint32_t type, size_t payload_size);
static inline void state_page_message_end(struct vp *vp)
{
    unlock(&vp->page_lock);
}

/* Unmaps a mapped state page (hv_lock held): every place, shoot down, free. */
void state_page_unmap(struct vp *vp, enum state_page_type type);

/* hypercalls/partition.c. Creates the first partition's record at boot (pool and space set up). */
struct partition *partition_create_first(uint64_t privileges, spn_t pool_start, uint64_t pool_pages,
                                         uint8_t gpa_bits);

#endif
