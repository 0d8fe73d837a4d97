/* MSRs that exit. */
#ifndef HV_MSR_H
#define HV_MSR_H

#include "hv/vp.h"

enum msr_result {
    MSR_DONE,
    MSR_FAULT, /* #GP(0) */
    MSR_RETRY, /* nothing done: leave rip and go back to the main loop (lock_or_yield) */
};

/* RDMSR and WRMSR of a VP that is loaded here. False: #GP(0). No lock held. */
bool msr_read(struct vp *vp, uint32_t msr, uint64_t *value);
enum msr_result msr_write(struct vp *vp, uint32_t msr, uint64_t value);

/* hv/synthetic.c: the hypervisor's own MSRs, 0x40000000 on. */
bool synthetic_msr_read(struct vp *vp, uint32_t msr, uint64_t *value);
enum msr_result synthetic_msr_write(struct vp *vp, uint32_t msr, uint64_t value);

/* Takes the VP's assist page off the space and gives its frame back. Lock: hv_lock. */
void synthetic_vp_pages_remove(struct vp *vp);

/* Takes the hypercall page and the reference TSC page off the space (finalizing). Lock: hv_lock. */
void synthetic_pages_remove(struct partition *partition);

#endif
