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

/* The VP has stopped: write its state into the register page (if mapped), valid, not dirty. */
void state_page_publish(struct vp *vp);
/*
 * The VP is about to run: take the dirty classes of the register page into
 * vp->state (one copy) and clear is-valid. False when a value was refused: then
 * nothing was taken, the page is published anew, and the VP must not run.
 */
bool state_page_consume(struct vp *vp);
/* Puts the message into the intercept page (if mapped). */
void state_page_message(struct vp *vp, const struct hv_message *message);

/* Unmaps a mapped state page (hv_lock held): every place, shoot down, free. */
void state_page_unmap(struct vp *vp, enum state_page_type type);

/* hypercalls/partition.c. Creates the first partition's record at boot (pool and space set up). */
struct partition *partition_create_first(uint64_t privileges, spn_t pool_start, uint64_t pool_pages,
                                         uint8_t gpa_bits);

#endif
