/* SPDX-License-Identifier: MIT */
/* What the files of the lifetime guest share. */
#ifndef GUESTS_LIFETIME_LIFETIME_H
#define GUESTS_LIFETIME_LIFETIME_H

#include "guests/lib/child.h"
#include "guests/lib/guest.h"

void test_rounds(void); /* rounds.c */

#endif
