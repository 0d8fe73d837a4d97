/* SPDX-License-Identifier: MIT */
/*
 * All RAM (and the first 4 GiB) is mapped at DIRECT_MAP_BASE in the
 * hypervisor's own address space. Unit tests build with another base and put
 * an array there.
 */
#ifndef HV_BASE_PHYS_H
#define HV_BASE_PHYS_H

#include "hv/base/types.h"

#ifndef DIRECT_MAP_BASE
#define DIRECT_MAP_BASE 0xFFFF800000000000UL
#endif

/* spa: a byte address inside RAM or below 4 GiB. */
static inline void *phys_ptr(spa_t spa)
{
    return (void *)(DIRECT_MAP_BASE + spa);
}

/* spn: a page number inside RAM or below 4 GiB. */
static inline void *page_ptr(spn_t spn)
{
    return phys_ptr(spn << PAGE_SHIFT);
}

/* p must have come from phys_ptr or page_ptr. */
static inline spa_t ptr_phys(const void *p)
{
    return (spa_t)((uintptr_t)p - DIRECT_MAP_BASE);
}

#endif
