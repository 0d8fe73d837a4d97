/* SPDX-License-Identifier: MIT */
/* The first partition: it owns the machine. */
#ifndef HV_FIRST_H
#define HV_FIRST_H

#include "boot/boot.h"
#include "hv/model/vp.h"

/*
 * Sets up the frame records, the first partition with its memory mapped 1:1 by
 * the largest pages, and its VPs: number 0 starts at `entry`, the others wait
 * for a start-up IPI. Boot, after the backend was chosen.
 */
void first_create(const struct first_entry *entry);

#endif
