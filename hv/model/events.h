/* SPDX-License-Identifier: MIT */
/* The event registers of a VP: pending interruption, interrupt state, pending event. */
#ifndef HV_MODEL_EVENTS_H
#define HV_MODEL_EVENTS_H

#include "hv/model/vp.h"
#include "hypercalls/abi.h"

/* The event in a word of a VMCS or VMCB (EVENT_*, hv/base/registers.h), which has neither its error
   code nor its instruction's length. */
static inline struct event event_of_word(uint64_t word)
{
    return (struct event){
        .valid = word & EVENT_VALID,
        .type = word >> EVENT_TYPE_SHIFT & 7,
        .vector = (uint8_t)word,
        .has_error = word & EVENT_HAS_ERROR,
    };
}

/* Registers 0x10002 and 0x10003 of a state. */
uint64_t pending_interruption_of(const struct event *event);
uint64_t interrupt_state_of(const struct vp_state *state);

/* Set them, and register 0x10004. INVALID_REGISTER_VALUE and nothing changed, or SUCCESS. */
uint32_t pending_interruption_set(struct vp *vp, uint64_t value);
uint32_t interrupt_state_set(struct vp_state *state, uint64_t value);
uint32_t pending_event_set(struct vp *vp, const struct hv_register_value *value);

/* The VP is about to run: turns a pending event into the event of the next entry. */
void pending_event_deliver(struct vp *vp);

/* Whether the exception pushes an error code (SDM table 6-1); not in real mode. */
bool exception_has_error_code(uint8_t vector);

#endif
