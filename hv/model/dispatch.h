/* SPDX-License-Identifier: MIT */
/* Dispatching a child's VP, and stopping VPs. */
#ifndef HV_MODEL_DISPATCH_H
#define HV_MODEL_DISPATCH_H

#include "hv/base/cpu.h"
#include "hv/model/vp.h"

/* The VP becomes this processor's: cpu->current, with its registers. now: the TSC. */
void vp_switch_in(struct cpu *cpu, struct vp *vp, uint64_t now);

/*
 * DispatchVp, after all checks: `child` becomes this processor's VP. Its output
 * will be written to `output` (GPA of the parent, 8-byte aligned), and the parent's hypercall,
 * made in 64-bit mode or not (code64),
 * finished, by end_dispatch. child->running was set by the caller under hv_lock.
 */
void begin_dispatch(struct cpu *cpu, struct vp *parent, struct vp *child, gpa_t output,
                    bool code64);

/*
 * Ends the dispatch of cpu->current: switches back to the dispatcher, publishes
 * the child's state page, writes {state, event}, finishes the parent's call
 * with success.
 */
void end_dispatch(struct cpu *cpu, uint32_t state, uint32_t event);

/*
 * Takes hv_lock for something that cpu->current asked for. False, not taken,
 * when somebody wants a VP of this processor to stop: the holder may be waiting
 * for just that. Then leave the instruction undone (rip unmoved) and go back to
 * the main loop; the guest will execute it again.
 */
bool lock_or_yield(const struct cpu *cpu);

/* Sets bits in vp->requests and kicks the processor that runs it, if any. Does not wait. */
void vp_request(struct vp *vp, uint32_t requests);

/*
 * Asks for the VP to stop (REQUEST_STOP for a child's VP, REQUEST_SUSPEND for
 * one of the first partition) and waits until it is in no processor
 * (!vp->running, or vp->parked). Lock: hv_lock held; vp is not the caller's own.
 */
void vp_stop_and_wait(struct vp *vp);

/* Whether the VP's registers can be looked at by another processor now. */
static inline bool vp_stopped(const struct vp *vp)
{
    return vp->first ? vp->parked : !vp->running;
}

#endif
