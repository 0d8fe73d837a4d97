/* SPDX-License-Identifier: MIT */
/* What the files of the hostile guest share. */
#ifndef GUESTS_HOSTILE_HOSTILE_H
#define GUESTS_HOSTILE_HOSTILE_H

#include "guests/lib/child.h"
#include "guests/lib/guest.h"

/* The first 8 MiB of what the hypervisor keeps: reserved, directly above RAM, below 4 GiB. */
bool find_hypervisor(uint64_t *start, uint64_t *end);

void test_memory(void);       /* memory.c */
void test_instructions(void); /* instructions.c */
void test_msrs(void);         /* msrs.c */
void test_control_words(void);
void test_races(void);         /* races.c */
void test_classes(void);       /* classes.c */
void test_hostile_child(void); /* attacker.c */
void test_apic(void);          /* apic.c; the last: other processors are not usable afterwards */

#endif
