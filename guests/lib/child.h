/* SPDX-License-Identifier: MIT */
/*
 * Children of a bundled guest. First the single calls with deposits made as
 * Linux's driver makes them, then a whole child that is ready to run.
 */
#ifndef GUESTS_LIB_CHILD_H
#define GUESTS_LIB_CHILD_H

#include "hv/base/types.h"
#include "hypercalls/abi.h"

/*
 * Single calls; each returns the hypercall's status. `id` is the partition's.
 * Where it says "feeds", INSUFFICIENT_MEMORY is answered by depositing one page
 * more and calling again (INSUFFICIENT_ROOT_MEMORY: one for the caller itself).
 */
bool child_feed(uint64_t id, uint16_t status);       /* that answer: true, call again */
uint16_t child_create(uint64_t flags, uint64_t *id); /* feeds the caller's own pool */
uint16_t child_initialize(uint64_t id);              /* feeds */
uint16_t child_finalize(uint64_t id);
uint16_t child_delete(uint64_t id);

/* Pages come from page_alloc. Those that were not taken go back there. */
uint16_t child_deposit(uint64_t id, uint32_t count);
/*
 * Withdraws until nothing is left and gives the pages back to page_alloc.
 * Returns how many; *dirty (may be NULL) counts those that were not all zero.
 */
uint32_t child_withdraw_all(uint64_t id, uint32_t *dirty);
uint16_t child_balance(uint64_t id, struct hv_output_memory_balance *balance);

uint16_t child_create_vp(uint64_t id, uint32_t vp); /* feeds */
uint16_t child_delete_vp(uint64_t id, uint32_t vp);

/* count 4 KiB pages; with HV_MAP_LARGE_PAGE all three are multiples of 512. Feeds. */
uint16_t child_map(uint64_t id, gpn_t gpn, gpn_t source, uint64_t count, uint32_t flags);
uint16_t child_unmap(uint64_t id, gpn_t gpn, uint64_t count);

uint16_t child_get(uint64_t id, uint32_t vp, uint32_t name, struct hv_register_value *value);
uint16_t child_set(uint64_t id, uint32_t vp, uint32_t name, uint64_t low, uint64_t high);
/* The low half of a register; a failed test when it cannot be read. */
uint64_t child_register(uint64_t id, uint32_t vp, uint32_t name);
uint16_t child_set_segment(uint64_t id, uint32_t vp, uint32_t name, uint64_t base, uint32_t limit,
                           uint16_t selector, uint16_t attributes);

uint16_t child_install_intercept(uint64_t id, uint32_t type, uint32_t mask, uint64_t parameter);
uint16_t child_dispatch(uint64_t id, uint32_t vp, uint32_t flags,
                        struct hv_output_dispatch_vp *output);

/* 0xE1 as it is (flags: HV_MAP_LOCATION_PROVIDED), 0xE2 as it is. */
uint16_t state_page_map(uint64_t id, uint32_t vp, uint16_t type, uint8_t flags, gpn_t wanted,
                        gpn_t *location);
uint16_t state_page_unmap_call(uint64_t id, uint32_t vp, uint16_t type);
/*
 * Makes a child's state page visible to the caller in the way that the caller's
 * role has (root: the hypervisor chooses the place; layered: a page of the
 * caller's own). Feeds. *page is where to read it.
 */
uint16_t state_page_show(uint64_t id, uint32_t vp, uint16_t type, void **page);

#define CHILD_MAX_VPS 8
#define CHILD_PAGES   512 /* of memory, from GPA 0 */

/* Where things are in a child's memory. The rest is free for the test. */
enum child_layout {
    CHILD_CODE = 0x1000,    /* up to 0xF000 */
    CHILD_TABLES = 0x10000, /* PML4, PDPT, PD: the first GiB, identity, 2 MiB pages */
    CHILD_GDT = 0x13000,    /* null, code64 08, data 10, code32 18, code16 20, TSS64 28 */
    CHILD_IDT = 0x14000,
    CHILD_TSS = 0x15000,
    CHILD_STACKS = 0x80000, /* the stack of VP n begins at CHILD_STACKS - n * 0x1000 */
    CHILD_DATA = 0x100000,  /* up to the end */
};

struct child_vp {
    struct hv_register_page *registers; /* NULL: not mapped */
    struct hv_message *message;
};

struct child {
    uint64_t id;
    uint8_t *memory; /* 2 MiB aligned, CHILD_PAGES pages, what the child sees at GPA 0 */
    uint32_t vp_count;
    struct child_vp vps[CHILD_MAX_VPS];
};

/*
 * Creates, deposits, initializes, gives it memory (map_flags: HV_MAP_*, and
 * HV_MAP_LARGE_PAGE for one 2 MiB page) and VPs with both state pages shown,
 * none of them suspended. Bails out when that is impossible.
 */
void child_open(struct child *child, uint32_t vp_count, uint32_t map_flags);
#define CHILD_MAP_ALL                                                                              \
    (HV_MAP_READABLE | HV_MAP_WRITABLE | HV_MAP_KERNEL_EXECUTE | HV_MAP_USER_EXECUTE)

/*
 * Unmaps what is shown, finalizes, withdraws, deletes, frees the memory. True
 * when every step succeeded and every page came back zeroed.
 */
bool child_close(struct child *child);

/* Copies code or data into its memory. */
void child_load(struct child *child, uint64_t gpa, const void *from, const void *end);

/*
 * Registers for a start at that place, by SetVpRegisters: all general
 * registers 0, interrupts off, the stack of the layout.
 */
void child_enter_real(struct child *child, uint32_t vp, uint16_t cs, uint16_t ip);
void child_enter_protected(struct child *child, uint32_t vp, uint32_t eip);
void child_enter_long(struct child *child, uint32_t vp, uint64_t rip);

/* Sets registers of a stopped VP; a failed test when one is refused. */
void child_put(struct child *child, uint32_t vp, uint32_t name, uint64_t value);

/*
 * Runs the VP (clearing its intercept first) until it stops. Returns the type
 * of its intercept message; CHILD_STOP_* otherwise.
 */
uint32_t child_run(struct child *child, uint32_t vp);
enum {
    CHILD_STOP_BLOCKED = 1, /* blocked, no event */
    CHILD_STOP_SUSPENDED = 2,
    CHILD_STOP_ENDLESS = 3, /* a million dispatches came back without an event */
    CHILD_STOP_FAILED = 4,  /* the call failed (noted) */
};

/* "an I/O intercept", ... of a message type or CHILD_STOP_*. */
const char *message_name(uint32_t type);

#endif
