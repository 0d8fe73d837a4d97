/* SPDX-License-Identifier: MIT */
/* What the two files of the fuzz guest share. */
#ifndef GUESTS_FUZZ_FUZZ_H
#define GUESTS_FUZZ_FUZZ_H

#include "guests/lib/child.h"
#include "guests/lib/guest.h"

#define ARENA_PAGES    1024
#define KNOWN_CHILDREN 6
#define FUZZ_STATUSES  0x80

/* The only memory of ours that calls are let loose on: it is never used for anything else. */
struct arena {
    uint8_t *start; /* 2 MiB aligned, ARENA_PAGES pages */
};
extern struct arena arena;

struct fuzzer {
    uint64_t state; /* of the random numbers */
    uint64_t calls, made;
    uint8_t *input, *output; /* pages */
    uint64_t statuses[FUZZ_STATUSES];
    uint64_t bad_results;
};

struct fuzz_call {
    uint64_t control, input, output;
    uint16_t code;
    bool spoiled;
    uint64_t partition; /* the one it is about */
};

uint64_t fuzz_random(struct fuzzer *f);
uint64_t fuzz_below(struct fuzzer *f, uint64_t limit);
bool fuzz_one_in(struct fuzzer *f, uint64_t n);
uint64_t fuzz_wild(struct fuzzer *f);

void fuzz_make_call(struct fuzzer *f, struct fuzz_call *call); /* calls.c */
/* Remembers partitions that were created and deleted. */
void fuzz_learn(struct fuzzer *f, const struct fuzz_call *call, uint32_t status);

void touch_page(void *page);

#endif
