/* SPDX-License-Identifier: MIT */
/*
 * What a processor refuses to run: one list of rules over a VP's state. It answers
 * "may this be set" and "why was the entry refused".
 */
#ifndef HV_MODEL_RULES_H
#define HV_MODEL_RULES_H

#include "hv/model/vp_state.h"

/*
 * Who asks. A rule names the processors that refuse what breaks it (SDM 27.3.1; APM 15.5.1,
 * 15.20). Setting asks all of them on both vendors, so that a VMM meets the same rules
 * everywhere and no state that a guest can write makes an entry fail.
 */
enum rule_asker { ASK_SET = 1, ASK_VTX = 2, ASK_AMDV = 4 };

/* What this machine's processors take, found by the backend at boot. */
struct entry_limits {
    uint64_t cr3_may; /* bits of CR3: the physical address width and what shares the register */
    uint64_t cr4_may; /* bits of CR4 that an entry takes */
    uint64_t efer_may;
};
extern struct entry_limits entry_limits;

/* How many rules the state breaks of those that concern the asker; tell: prints each in words. */
unsigned rules_broken(const struct vp_state *state, enum rule_asker asker, bool tell);

/* Whether the state as a whole could be entered, on either vendor. */
static inline bool state_is_valid(const struct vp_state *state)
{
    return rules_broken(state, ASK_SET, false) == 0;
}

/* What the value of a register must be by itself, before it is part of a state. */
enum value_check {
    CHECK_NONE,
    CHECK_CANONICAL,
    CHECK_32_BITS,
    CHECK_CR8,
    CHECK_PAT,
    CHECK_RFLAGS,
    CHECK_CR0,
    CHECK_CR4,
    CHECK_EFER,
    CHECK_GPA, /* that and the next depend on the VP: the caller's */
    CHECK_XFEM,
    CHECK_NEVER,
};
/* Bits of CR0, CR4 and EFER that are set in `old` are taken again. */
bool value_is_valid(enum value_check check, uint64_t value, uint64_t old);
bool efer_is_valid(uint64_t efer, uint64_t old);
/* RIP for the mode of `state`: canonical in 64-bit mode, below 4 GiB elsewhere. */
bool rip_is_valid(const struct vp_state *state, uint64_t rip);
/* A segment by itself, as the register `index` (enum segment_index). */
bool segment_is_valid(const struct segment *segment, unsigned index);

/*
 * VMRUN takes any descriptor and leaves open what a code segment that is none, or a stack in a
 * segment that cannot be written, will do: such a state is not entered on AMD-V.
 */
bool segments_are_possible(const struct vp_state *state);

/* An event that an entry can inject (SDM 27.2.1.3, APM 15.20), whatever the state. */
bool event_is_possible(const struct event *event);

#endif
