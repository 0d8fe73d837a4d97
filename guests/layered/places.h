/* SPDX-License-Identifier: MIT */
/* What the files of the layered guest share. */
#ifndef GUESTS_LAYERED_PLACES_H
#define GUESTS_LAYERED_PLACES_H

#include "guests/lib/child.h"
#include "guests/lib/guest.h"

extern const uint8_t vm_code[], vm_code_end[]; /* vm.asm */

void test_places(void); /* places.c */

#endif
