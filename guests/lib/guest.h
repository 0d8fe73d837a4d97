/* SPDX-License-Identifier: MIT */
/*
 * The library of the bundled guests in one include. A guest is a folder of
 * guests/ with C and assembly files; it defines guest_main(), prints TAP and
 * returns (tap_finish) or exits (guest_exit). It runs identity mapped at CPL 0
 * in long mode with interrupts off, as a Multiboot 1 kernel: on Vellum, or on a
 * bare machine as far as it makes no hypercalls.
 */
#ifndef GUESTS_LIB_GUEST_H
#define GUESTS_LIB_GUEST_H

#include "guests/lib/child.h"
#include "guests/lib/cpu.h"
#include "guests/lib/hypercall.h"
#include "guests/lib/machine.h"
#include "guests/lib/tap.h"
#include "hv/base/string.h"

void guest_main(void);

#endif
