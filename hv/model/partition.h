/* SPDX-License-Identifier: MIT */
/* A partition: privileges, memory, VPs, children. */
#ifndef HV_MODEL_PARTITION_H
#define HV_MODEL_PARTITION_H

#include "hv/model/vp.h"

#define MAX_PARTITIONS 256 /* alive at once */

/* Bits, so that a call can name those that it takes. FINALIZING: 0x42 goes on later. */
enum partition_state {
    PARTITION_CREATED = 1 << 4,
    PARTITION_INITIALIZED = 1 << 5,
    PARTITION_FINALIZING = 1 << 6,
    PARTITION_FINALIZED = 1 << 7,
};

/* Bits of the privilege mask, TLFS HV_PARTITION_PRIVILEGE_MASK. */
#define PRIVILEGE_VP_RUNTIME        BIT(0)
#define PRIVILEGE_TIME_REF_COUNT    BIT(1)
#define PRIVILEGE_APIC_MSRS         BIT(4) /* and the VP assist page */
#define PRIVILEGE_HYPERCALL_MSRS    BIT(5)
#define PRIVILEGE_VP_INDEX          BIT(6)
#define PRIVILEGE_RESET             BIT(7)
#define PRIVILEGE_REFERENCE_TSC     BIT(9)
#define PRIVILEGE_FREQUENCY_MSRS    BIT(11)
#define PRIVILEGE_TSC_INVARIANT     BIT(15) /* to show CPUID's bit for it by an MSR */
#define PRIVILEGE_CREATE_PARTITIONS BIT(32)
#define PRIVILEGE_PARTITION_ID      BIT(33)
#define PRIVILEGE_MEMORY_POOL       BIT(34)
#define PRIVILEGE_CPU_MANAGEMENT    BIT(44)
#define PRIVILEGE_VP_REGISTERS      BIT(49)

#define PRIVILEGES_MSR                                                                             \
    (PRIVILEGE_VP_RUNTIME | PRIVILEGE_TIME_REF_COUNT | PRIVILEGE_HYPERCALL_MSRS |                  \
     PRIVILEGE_VP_INDEX | PRIVILEGE_RESET | PRIVILEGE_REFERENCE_TSC | PRIVILEGE_FREQUENCY_MSRS)
/* Only the first partition has a local APIC. */
#define PRIVILEGES_GUEST                                                                           \
    (PRIVILEGES_MSR | PRIVILEGE_APIC_MSRS | PRIVILEGE_PARTITION_ID | PRIVILEGE_VP_REGISTERS)
#define PRIVILEGES_LAYERED (PRIVILEGES_GUEST | PRIVILEGE_CREATE_PARTITIONS | PRIVILEGE_MEMORY_POOL)
#define PRIVILEGES_ROOT    (PRIVILEGES_LAYERED | PRIVILEGE_CPU_MANAGEMENT)
#define PRIVILEGES_CHILD   (PRIVILEGES_MSR | PRIVILEGE_PARTITION_ID)

#define MAX_INTERCEPTS 170 /* in one page of the pool */

struct installed_intercept {
    uint32_t type; /* enum hv_intercept_type */
    uint32_t mask; /* read 1, write 2, execute 4 */
    uint64_t parameter;
};

struct partition {
    uint64_t id;   /* never used again; the first partition's is 1 */
    uint32_t slot; /* in the partition table; the `owner` of its frames */
    enum partition_state state;
    struct partition *parent; /* NULL for the first */
    struct partition *children, *sibling;
    uint32_t depth; /* 0 for the first partition */
    spn_t spn;      /* the frame of this record, from the parent's pool; 0 for the first */

    uint64_t privileges;

    struct pool pool;
    struct space space; /* exists (root != 0) from initialization to finalization */
    struct vp *vps[MAX_CPUS];
    uint32_t vp_count;

    /* synthetic MSRs of the partition */
    uint64_t guest_os_id, hypercall_msr, reference_tsc_msr;
    uint32_t lines;     /* on the console for crashes and bad registers */
    bool tsc_invariant; /* CPUID says so: it has asked for it */
    struct overlay hypercall_page, tsc_page;
    spn_t hypercall_page_spn, tsc_page_spn; /* frames of its pool, allocated on first use */
    uint64_t reference_start_tsc;           /* TSC when the partition's reference time was 0 */

    struct installed_intercept *intercepts; /* a page of its pool, NULL until first used */
    uint32_t intercept_count;
    uint32_t exception_bitmap;
    bool intercepts_msrs;
};
_Static_assert(sizeof(struct partition) <= PAGE_SIZE, "a partition is one page of a pool");

extern struct partition *first_partition;

/*
 * Makes the first partition at boot, initialized: its pool of pool_pages frames from
 * pool_start on, and an empty map of gpa_bits.
 */
struct partition *partition_create_first(uint64_t privileges, spn_t pool_start, uint64_t pool_pages,
                                         uint8_t gpa_bits);

/*
 * A new child of `parent`, created, with a child's privileges; its record comes from the
 * parent's pool. NO_RESOURCES: MAX_PARTITIONS are alive; INSUFFICIENT_MEMORY. Lock: hv_lock.
 */
uint32_t partition_create(struct partition *parent, struct partition **created);

/* Unlinks and frees one without children, whose pool is empty. Lock: hv_lock. */
void partition_remove(struct partition *p);

/* The partition with that id, or NULL. Lock: hv_lock. */
struct partition *partition_find(uint64_t id);
/* The next child of `parent` after id `previous` (0 for the first one), or NULL. Lock: hv_lock. */
struct partition *partition_next_child(const struct partition *parent, uint64_t previous);
/* The next partition below `top` in depth-first order (begin with top), or NULL at the end. */
struct partition *partition_next_below(const struct partition *top, struct partition *p);

#endif
