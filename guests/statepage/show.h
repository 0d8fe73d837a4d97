/* SPDX-License-Identifier: MIT */
/* Registers read beside registers expected, on the console. */
#ifndef GUESTS_STATEPAGE_SHOW_H
#define GUESTS_STATEPAGE_SHOW_H

#include "guests/lib/tap.h"
#include "hypercalls/abi.h"

/* Patterns for sibling_spin, in its order. */
struct pattern {
    uint64_t gpr[16];
    uint8_t xmm[6][16];
};
void fill_pattern(struct pattern *pattern);

/* A line of words, as a TAP comment. */
#define say(...) tap_note(__VA_ARGS__)

/* Each prints "name  expected  read", and returns whether they are the same. */
bool show_value(const char *name, uint64_t expected, uint64_t got);
bool show_general(const uint64_t expected[16], const uint64_t got[16]);
bool show_system(const struct hv_register_page *page, uint64_t cr0, uint64_t cr3, uint64_t cr4,
                 uint64_t efer);
bool show_segment(const char *name, struct hv_segment segment, uint16_t selector,
                  uint16_t attributes);

#endif
