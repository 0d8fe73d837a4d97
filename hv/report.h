/* SPDX-License-Identifier: MIT */
/* What a panic, and a first partition that shuts down, print. */
#ifndef HV_REPORT_H
#define HV_REPORT_H

#include "hv/base/cpu.h"
#include "hv/model/vp.h"

/* Prints a VP's neutral state with say_error. State: synced, or as good as it gets. */
void vp_print(struct vp *vp);

/* For panic_report: what this processor was running, its whole VMCS or VMCB, its last exits. */
void report_processor(struct cpu *self);

#endif
