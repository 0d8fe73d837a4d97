/* SPDX-License-Identifier: MIT */
/* The first partition's device space. */
#ifndef HV_MACHINE_DEVICE_H
#define HV_MACHINE_DEVICE_H

#include "hv/base/types.h"

/*
 * The first partition touched a GPA that nothing is mapped at. Device space
 * above what was mapped at boot (64-bit BARs) is mapped now. False when the GPA
 * is not the partition's own. Takes hv_lock.
 */
bool device_map(gpa_t gpa);

#endif
