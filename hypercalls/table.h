/*
 * Private to hypercalls/: what one call looks like to its handler, and the
 * rows of the table of all calls (hypercalls/dispatch.c).
 */
#ifndef HYPERCALLS_TABLE_H
#define HYPERCALLS_TABLE_H

#include "hv/base/cpu.h"
#include "hv/model/partition.h"
#include "hypercalls/abi.h"

/* Elements of a rep call that are copied in, handled and written out together. */
#define CALL_BATCH 32

#define CALL_INPUT 11 /* qwords of the longest header */

/* Outcomes of a handler that are no status of the ABI. */
enum call_outcome {
    CALL_CONTINUE = 0x10000, /* back to the guest, RIP unmoved: the call is made again */
    CALL_FAULT,              /* fault_gpa was not accessible: the parent's business */
    CALL_DISPATCH,           /* vp runs next; its end finishes the call */
};

struct call_row;

struct call {
    struct cpu *cpu;
    struct vp *vp; /* the calling VP */
    struct partition *caller;
    const struct call_row *row;
    uint64_t control;
    gpa_t input_gpa, output_gpa; /* fast: the two input words */
    uint64_t start_tsc;          /* when the call began: rep calls, and those that set it */
    bool copied;                 /* input holds the header */
    uint32_t variable;           /* qwords of a variable header, which follows in input */

    /* rep calls */
    uint32_t position; /* index in the list of the batch's first element */
    uint32_t batch;    /* elements in the batch */
    uint32_t done;     /* set by the handler: how many of them are complete. Fewer than batch with
                          HV_STATUS_SUCCESS: go on later */

    gpa_t fault_gpa; /* CALL_FAULT */
    unsigned fault_access;
    struct vp *child; /* CALL_DISPATCH */

    /* The only copy of the input, and what will be written out. Not cleared beforehand. */
    uint64_t input[CALL_INPUT];
    uint64_t elements[CALL_BATCH * 4];
    uint64_t output[CALL_BATCH * 2];
};

/* Returns an enum hv_status or an enum call_outcome. Lock: hv_lock when the row says so. */
typedef uint32_t call_handler(struct call *call);

struct call_row {
    const char *name;
    call_handler *handler;
    uint64_t privilege; /* the caller must have all of these bits */
    uint64_t refused;   /* bits of the control word that it does not take */
    /* Calls without input and lock whose output is one 8-byte field of the caller's struct
       partition: its offset, for the short way (answer_at_once). Only if has_field. */
    uint16_t field;
    bool has_field;
    const char *fields; /* names and sizes of the input, for the debug line */
    uint16_t header;    /* bytes of input before any list */
    uint8_t variable;   /* most qwords of a variable header behind it; then `refused` lets it in */
    uint16_t output;    /* bytes of output of a simple call */
    uint8_t in_element; /* bytes per rep of input and of output */
    uint8_t out_element;
    bool rep;
    bool locked; /* runs under hv_lock */
    bool pure;   /* changes nothing, so that a failing output write needs no forecast */
};

extern const struct call_row call_table[0x100];

/* Whether the call has lasted its 50 us since start_tsc. */
bool call_expired(const struct call *call);

/* hypercalls/names.c: the debug line. */
void call_print(const struct call *call, uint32_t outcome);

/* Which partitions a call may be aimed at. */
enum { TARGET_SELF = 1, TARGET_CHILD = 2 };

/*
 * Finds the partition that a call is aimed at.
 * ACCESS_DENIED: neither of the allowed kind, or not to be told.
 * INVALID_PARTITION_ID: there is none, and the caller may create partitions.
 */
uint32_t target_partition(const struct call *call, uint64_t id, unsigned allowed,
                          struct partition **target);

/*
 * For 0x50, 0x51, 0xE1, 0xE2, in this order: partition, its state, VP. Oneself
 * needs AccessVpRegisters, a child CreatePartitions. Also INVALID_PARTITION_STATE,
 * INVALID_VP_INDEX.
 */
uint32_t target_vp(const struct call *call, uint64_t id, uint32_t index, struct vp **vp);

/* The same of a child's VP only, for a call whose row has the privilege. */
uint32_t target_child_vp(const struct call *call, uint64_t id, uint32_t index, struct vp **vp);

/* hypercalls/vp.c. Stops it, unmaps its state pages, removes and frees it. hv_lock. */
void vp_delete(struct vp *vp);

/* hypercalls/memory.c: a page that leaves a pool becomes guest memory again. hv_lock. */

/*
 * Takes up to `count` free pages out of the pool of p that were deposited by
 * itself (self) or by its parent, and gives each back to the maps of `from` and
 * all its ancestors. gpns (may be NULL) receives where they lie in the
 * depositor's map. Returns how many there were.
 */
uint32_t memory_give_back(struct partition *p, bool self, struct partition *from, uint32_t count,
                          uint64_t *gpns);

/* hypercalls/gpa.c */

/*
 * Takes RAM references back that the entries of a space that is about to be
 * destroyed hold, some thousand leaves a time. False: call again. hv_lock.
 */
bool gpa_release_space(struct partition *p, const struct call *call);

/* Handlers, by file. */
call_handler call_notify_long_spin_wait; /* dispatch.c */

call_handler call_create_partition, call_initialize_partition, call_get_partition_property,
    call_set_partition_property, call_get_next_child_partition;

call_handler call_finalize_partition, call_delete_partition; /* teardown.c */

call_handler call_deposit_memory, call_withdraw_memory, call_get_memory_balance;
call_handler call_map_gpa_pages, call_unmap_gpa_pages, call_get_gpa_pages_access_states;
call_handler call_install_intercept;
call_handler call_create_vp, call_delete_vp, call_dispatch_vp, call_add_logical_processor;
call_handler call_map_device_interrupt, call_unmap_device_interrupt; /* interrupt.c */
call_handler call_get_vp_registers, call_set_vp_registers;
call_handler call_translate_virtual_address;
call_handler call_map_vp_state_page, call_unmap_vp_state_page;

#endif
