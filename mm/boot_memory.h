/* SPDX-License-Identifier: MIT */
/*
 * The range of memory that the hypervisor keeps, while it starts: what is handed out of it,
 * and where the image lies in it.
 */
#ifndef MM_BOOT_MEMORY_H
#define MM_BOOT_MEMORY_H

#include "hv/base/types.h"

/* The image lies at image_start, linked at image_base; [start, end) is to be handed out. */
void boot_memory_init(spa_t image_start, const void *image_base, spa_t start, spa_t end);

/* Zeroed, page-aligned memory; boot only; boot_refuse when it is used up. */
void *boot_alloc(uint64_t size);

/* Physical address of an object of the image itself (code, data, bss), after relocation. */
spa_t image_phys(const void *p);

#endif
