/* SPDX-License-Identifier: MIT */
/*
 * Private to hypercalls/: what one call looks like to its handler, and the
 * rows of the table of all calls (hypercalls/calls.c).
 */
#ifndef HYPERCALLS_TABLE_H
#define HYPERCALLS_TABLE_H

#include "hv/base/cpu.h"
#include "hv/model/partition.h"
#include "hypercalls/calls.h"

/* Elements of a rep call that are copied in, handled and written out together. */
#define CALL_BATCH 32

#define CALL_INPUT 11 /* qwords of the longest header */

/* Parts of the control word. */
#define CONTROL_CODE      0xFFFFUL
#define CONTROL_VARIABLE  (0x3FFUL << HV_CONTROL_VARIABLE_SHIFT)
#define CONTROL_REP_COUNT (0xFFFUL << HV_CONTROL_REP_COUNT_SHIFT)
#define CONTROL_REP_START (0xFFFUL << HV_CONTROL_REP_START_SHIFT)

/* Outcomes of a handler that are no status of the ABI. */
enum call_outcome {
    CALL_CONTINUE = 0x10000, /* back to the guest, RIP unmoved: the call is made again */
    CALL_FAULT,              /* fault_gpa was not accessible: the parent's business */
    CALL_DISPATCH,           /* target_vp runs next; its end finishes the call */
};

/* How a call runs and what it is aimed at; columns of hypercalls/calls.h. */
enum call_how {
    LOCKED = 1,                  /* under hv_lock */
    SELF = 2,                    /* it may be aimed at the caller's own partition */
    CHILD = 4,                   /* at a child of it */
    VP = 8,                      /* at a VP there. Oneself needs AccessVpRegisters then */
    CREATED = PARTITION_CREATED, /* the partition must be in one of these states */
    INITIALIZED = PARTITION_INITIALIZED,
    FINALIZING = PARTITION_FINALIZING,
    FINALIZED = PARTITION_FINALIZED,
    ANY_STATE = CREATED | INITIALIZED | FINALIZING | FINALIZED,
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
    uint32_t count;    /* elements in the whole list */
    uint32_t position; /* index in the list of the batch's first element */
    uint32_t batch;    /* elements in the batch */
    uint32_t done;     /* set by the handler: how many of them are complete. Fewer than batch with
                          HV_STATUS_SUCCESS: go on later */

    gpa_t fault_gpa; /* CALL_FAULT */
    unsigned fault_access;

    struct partition *target; /* where the row names one */
    struct vp *target_vp;

    /* The only copy of the input, and what will be written out. Not cleared beforehand. */
    uint64_t input[CALL_INPUT];
    uint64_t elements[CALL_BATCH * 4];
    uint64_t output[CALL_BATCH * 2];
};

/* Returns an enum hv_status or an enum call_outcome. Lock: hv_lock when the row says so. */
typedef uint32_t call_handler(struct call *call);

/* A field of a call's structure, for the debug line. */
struct call_field {
    const char *name; /* NULL after the last one */
    uint16_t offset, size;
};

/* A row of hypercalls/calls.h, as the dispatcher reads it. */
struct call_row {
    const char *name;
    call_handler *handler;
    const struct call_field *(*fields)(void);
    uint64_t privilege; /* the caller must have all of these bits */
    uint64_t refused;   /* bits of the control word that it does not take */
    uint16_t header;    /* bytes of input before any list */
    uint8_t variable;   /* most qwords of a variable header behind it; then `refused` lets it in */
    uint16_t output;    /* bytes of output of a simple call */
    uint8_t in_element; /* bytes per rep of input and of output */
    uint8_t out_element;
    bool rep;
    uint16_t how; /* enum call_how */
};

#define CALL_CODES 0x100
extern const struct call_row call_table[CALL_CODES]; /* no handler: no such call */

/* Whether the call has lasted its 50 us since start_tsc. */
bool call_expired(const struct call *call);

/* hypercalls/names.c: the debug line; a status or outcome in words, "?" when it has none. */
void call_print(const struct call *call, uint32_t outcome);
const char *outcome_name(uint32_t outcome);

/* hypercalls/dispatch.c, the plain way; hypercalls/fast.c is before it. */

/* Answers the hypercall of a VP that has just exited, as hypercall() in hypercalls.h. No lock. */
void answer(struct cpu *cpu, struct vp *vp, unsigned insn_length);
/* The same when the caller may make hypercalls, which is for the caller of this to know. */
void answer_at_length(struct cpu *cpu, struct vp *vp, bool code64, unsigned insn_length);

/* hypercalls/target.c: fills call->target and target_vp as the row says. hv_lock. */
uint32_t call_find_target(struct call *call);

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

/* The handlers: call_NAME. */
#define CALL_PROTOTYPE(code, call, ...) call_handler call_##call;
HYPERCALLS(CALL_PROTOTYPE, CALL_PROTOTYPE, CALL_PROTOTYPE)

#endif
