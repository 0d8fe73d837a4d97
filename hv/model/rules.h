/* What the processor would refuse (SDM 27.3.1, APM 15.5.1). */
#ifndef HV_MODEL_RULES_H
#define HV_MODEL_RULES_H

#include "hv/model/vp_state.h"

bool rflags_are_valid(uint64_t rflags);
/* CR0 and CR4 by themselves; bits that are set in `old` are taken again. */
bool cr0_is_valid(uint64_t cr0, uint64_t old);
bool cr4_is_valid(uint64_t cr4, uint64_t old);
bool efer_is_valid(uint64_t efer, uint64_t old);
bool pat_is_valid(uint64_t pat);
/* RIP for the mode of `state`: canonical in 64-bit mode, below 4 GiB elsewhere. */
bool rip_is_valid(const struct vp_state *state, uint64_t rip);
/* A segment by itself, as the register `index` (enum segment_index). */
bool segment_is_valid(const struct segment *segment, unsigned index);
/* Whether the state as a whole could be entered. */
bool state_is_valid(const struct vp_state *state);

#endif
