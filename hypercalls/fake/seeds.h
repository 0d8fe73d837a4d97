/* SPDX-License-Identifier: MIT */
/* What the bytes of hypercalls/dispatch_fuzz.c mean, and good sequences of them. */
#ifndef HYPERCALLS_FAKE_SEEDS_H
#define HYPERCALLS_FAKE_SEEDS_H

/* The first byte of an operation, modulo OPERATIONS. */
enum operation {
    OP_CALL,     /* a hypercall, its input built by kinds of values */
    OP_RAW_CALL, /* the registers as they come */
    OP_WRITE,    /* guest memory */
    OP_TOUCH,    /* a translation gets into the TLB */
    OP_MSR,      /* a synthetic MSR is written */
    OP_EXIT,     /* a child exits */
    OP_CPU,      /* go on on the other processor */
    OP_STARVE,   /* an allocation is going to fail */
    OP_TIME,     /* rep calls are continued after each batch, or not */
    OP_MODE,     /* another environment for the next calls */
    OPERATIONS
};

/* Writes them into that folder; nothing when it is none. */
void write_seeds(const char *folder);

#endif
