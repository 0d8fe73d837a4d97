/* SPDX-License-Identifier: MIT */
/* The machine as a whole. */
#ifndef HV_MACHINE_MACHINE_H
#define HV_MACHINE_MACHINE_H

#include "hv/base/types.h"

/* Resets the machine: reset control register, keyboard controller, triple fault. */
_Noreturn void machine_reset(void);

/*
 * The memory type that the MTRRs give to `spa`, and in *end the first byte
 * after it from which another one may hold (SDM 12.11). Boot processor, at boot.
 */
uint8_t mtrr_type(spa_t spa, spa_t *end);

#endif
