/* What became of a guest's access to an MSR. */
#ifndef HV_MODEL_MSR_H
#define HV_MODEL_MSR_H

#include "hv/model/vp.h"

enum msr_result {
    MSR_DONE,
    MSR_FAULT, /* #GP(0) */
    MSR_RETRY, /* nothing done: leave rip and go back to the main loop (lock_or_yield) */
};

#endif
