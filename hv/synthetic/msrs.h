/* The hypervisor's own MSRs, from 0x40000000 on. */
#ifndef HV_SYNTHETIC_MSRS_H
#define HV_SYNTHETIC_MSRS_H

#include "hv/model/msr.h"
#include "hv/model/partition.h"

bool synthetic_msr_read(struct vp *vp, uint32_t msr, uint64_t *value);
enum msr_result synthetic_msr_write(struct vp *vp, uint32_t msr, uint64_t value);

/* Takes the VP's assist page off the space and gives its frame back. Lock: hv_lock. */
void synthetic_vp_pages_remove(struct vp *vp);

/* Takes the hypercall page and the reference TSC page off the space (finalizing). Lock: hv_lock. */
void synthetic_pages_remove(struct partition *partition);

#endif
