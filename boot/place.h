/* SPDX-License-Identifier: MIT */
/* Where things go: the hypervisor's memory, the modules, the image itself. */
#ifndef BOOT_PLACE_H
#define BOOT_PLACE_H

#include "boot/boot.h"

/*
 * Chooses hv_start..hv_end and the pool, splits them off guest_memory, moves the
 * modules to the top of what is left. Makes the RSDP findable where it is not.
 * Refuses when memory does not suffice.
 */
void place_choose(struct boot_info *info);

/* Copies the image to hv_start and goes on there, on the final page tables. */
void place_relocate(const struct boot_info *info);

#endif
