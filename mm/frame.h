/* SPDX-License-Identifier: MIT */
/*
 * Every 4 KiB frame of RAM has one record: who owns it, what it is used for,
 * how many child maps it appears in. Frames without a record (MMIO, holes)
 * read as FRAME_DEVICE, owned by the first partition.
 *
 * Lock: hv_lock for every function, unless it says otherwise.
 */
#ifndef MM_FRAME_H
#define MM_FRAME_H

#include "hv/base/types.h"

enum frame_type {
    FRAME_DEVICE,    /* not RAM: MMIO, a hole, or firmware's (ACPI tables, runtime) */
    FRAME_HV,        /* the hypervisor's own: code, data, frame table; never in any map */
    FRAME_RAM,       /* guest memory; owner is always the first partition */
    FRAME_FREE,      /* in the free list of the owner's pool */
    FRAME_PARTITION, /* in use from a pool: a partition's record */
    FRAME_VP,        /* a VP's structure, VMCS/VMCB or XSAVE area */
    FRAME_TABLE,     /* a second-level table */
    FRAME_OVERLAY,   /* what an overlay shows: state page, hypercall page, TSC page */
    FRAME_OTHER,     /* any other use from a pool (intercept tables) */
};

#define OWNER_NONE       0 /* device space */
#define OWNER_HYPERVISOR 1
#define OWNER_FIRST      2 /* slot of the first partition; further partitions count on */

#define GPN_NONE ((1UL << 40) - 1) /* "no GPN" in struct frame */
#define SPN_NONE 0UL               /* page 0 is never anybody's pool page */

struct frame {
    uint64_t gpn : 40;           /* pool pages: GPN in the depositor's map, or GPN_NONE */
    uint64_t type : 7;           /* enum frame_type */
    uint64_t self_deposited : 1; /* pool pages: the owner deposited it itself, not its parent */
    uint64_t owner : 16;         /* partition slot, see struct partition */
    uint32_t next;               /* FRAME_FREE: the next free SPN, or 0 */
    uint32_t references;         /* FRAME_RAM and deposited: entries for it in maps of children,
                                    at any depth, present or stashed */
};
_Static_assert(sizeof(struct frame) == 16, "frame records are 16 bytes");

/* Takes the zeroed memory at table, struct frame for each of frames 0 .. frame_count-1; every frame
   starts as FRAME_DEVICE, OWNER_NONE. Boot only. */
void frame_table_init(void *table, uint64_t frame_count);

/* Boot only: sets type and owner of count frames from spn on (those inside the table). */
void frame_set_range(spn_t spn, uint64_t count, enum frame_type type, uint32_t owner);

extern struct frame *frame_table;
extern uint64_t frame_table_count;

/* The record of a frame, or NULL when there is none (beyond the table). */
static inline struct frame *frame_get(spn_t spn)
{
    return spn < frame_table_count ? &frame_table[spn] : NULL;
}

/* FRAME_DEVICE when there is no record. No lock: a guest copy asks inside its copy section. */
static inline enum frame_type frame_type_of(spn_t spn)
{
    return spn < frame_table_count ? (enum frame_type)frame_table[spn].type : FRAME_DEVICE;
}

#endif
