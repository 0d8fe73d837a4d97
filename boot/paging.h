/* SPDX-License-Identifier: MIT */
/* The hypervisor's own page tables. */
#ifndef BOOT_PAGING_H
#define BOOT_PAGING_H

#include "hv/base/types.h"

/* The ends of the image's parts, from boot/link.ld. */
extern char image_start[], text_start[], rodata_start[], data_start[], image_end[];

/*
 * While the early page tables are in force: makes [spa, spa + size), at most
 * 1 GiB, reachable through phys_ptr when it lies above 4 GiB; an earlier such
 * range may go. False when it is beyond 512 GiB.
 */
bool paging_early_map(spa_t spa, uint64_t size);

/* Bytes of table pages that paging_build takes from boot_alloc, at most. */
uint64_t paging_size(void);

/*
 * Builds the final tables: the image, which is going to lie at image_spa, with
 * no page both writable and executable, and the direct map of the first 4 GiB
 * and of all RAM above. Returns CR3's value.
 */
uint64_t paging_build(spa_t image_spa);

/* As the final tables, and the first 2 MiB identity-mapped as well, for the AP trampoline. */
uint64_t paging_trampoline(void);

#endif
