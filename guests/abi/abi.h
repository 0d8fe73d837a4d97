/* SPDX-License-Identifier: MIT */
/*
 * Tests of the hypercall ABI, one file for each part of it. The number in a
 * test's text is the section of the contract: 1 calling, 2 MapVpStatePage, 5
 * the calls around it, 6 discovery and MSRs.
 */
#ifndef GUESTS_ABI_ABI_H
#define GUESTS_ABI_ABI_H

#include "guests/lib/child.h"
#include "guests/lib/guest.h"

/* Set before the first test. */
extern enum guest_role role;
extern unsigned gpa_bits;  /* of this partition's map */
extern uint64_t no_memory; /* a GPA inside the space with nothing behind it */

static inline bool may_create(void)
{
    return role != ROLE_IS_GUEST;
}

/* One call with the input page as it is: control word, input GPA, output GPA. */
static inline uint64_t input_gpa(void)
{
    return (uint64_t)hv_input_page();
}

static inline uint64_t output_gpa(void)
{
    return (uint64_t)hv_output_page();
}

/* 0xE1 as a slow call. *location (may be NULL) is written on success. */
uint16_t map_page_call(const struct hv_input_map_vp_state_page *in, gpn_t *location);
uint16_t unmap_page_call(const struct hv_input_unmap_vp_state_page *in);
/* 0xE2 of a page of the caller's own VP 0. */
uint16_t unmap_own(uint16_t type);

void test_control_word(void); /* control.c */
void test_gpas(void);         /* gpas.c */
void test_forms(void);        /* forms.c */
void test_environment(void);
void test_discovery(void);   /* discovery.c */
void test_msrs(void);        /* msrs.c */
void test_interrupts(void);  /* interrupts.c */
void test_diagnostics(void); /* diagnostics.c */
void test_msr_lock(void);    /* last: nothing moves the hypercall page afterwards */
void test_privileges(void);  /* privileges.c */
void test_map_own(void);     /* mappage.c: 0xE1 of oneself */
void test_map_child(void);   /* mapchild.c: 0xE1 of a child */
void test_unmap(void);
void test_own_pool(void); /* ownpool.c: before others use the overlay window, on one processor */
void test_partition_calls(void); /* partitions.c */
void test_memory_calls(void);    /* memory.c */
void test_vp_calls(void);        /* vps.c */

/* forms.asm: the opcode of `entry` in real mode. 1: it returned; 2: #UD; 3: another exception. */
unsigned real_mode_call(bool vmcall);

#endif
