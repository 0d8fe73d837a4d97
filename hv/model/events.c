/* SPDX-License-Identifier: MIT */
/*
 * The event registers of a VP: pending interruption (0x10002), interrupt state
 * (0x10003), pending exception event (0x10004). Layouts: TLFS "Virtual
 * processor register formats".
 *
 * A pending interruption is what the next entry injects. A pending event is an
 * exception that has not got that far; it becomes the event when the VP is next
 * resumed. Only one of the two can be pending.
 */
#include "hv/model/events.h"

#include "hv/base/features.h"
#include "hv/model/rules.h"

enum { /* interrupt state */
       INTERRUPT_STATE_SHADOW = 1 << 0,
       INTERRUPT_STATE_NMI_MASKED = 1 << 1,
};

enum { /* pending interruption, 0x10002 */
       INTERRUPTION_PENDING = 1 << 0,
       INTERRUPTION_TYPE_SHIFT = 1,
       INTERRUPTION_ERROR = 1 << 4,
       INTERRUPTION_LENGTH_SHIFT = 5,
       INTERRUPTION_RESERVED = 0xFE00, /* nested event included */
};

enum { /* pending exception event, 0x10004 */
       PENDING_EVENT_PENDING = 1 << 0,
       PENDING_EVENT_TYPE = 7 << 1,
       PENDING_EVENT_ERROR = 1 << 8,
       PENDING_EVENT_RESERVED = 0xFEF0,
};

uint64_t pending_interruption_of(const struct event *event)
{
    if (!event->valid)
        return 0;
    return INTERRUPTION_PENDING | (uint64_t)event->type << INTERRUPTION_TYPE_SHIFT |
           (event->has_error ? INTERRUPTION_ERROR : 0) |
           (uint64_t)event->insn_length << INTERRUPTION_LENGTH_SHIFT |
           (uint64_t)event->vector << 16 | (uint64_t)event->error << 32;
}

uint64_t interrupt_state_of(const struct vp_state *state)
{
    return (state->interrupt_shadow ? INTERRUPT_STATE_SHADOW : 0) |
           (state->nmi_masked ? INTERRUPT_STATE_NMI_MASKED : 0);
}

uint32_t interrupt_state_set(struct vp_state *state, uint64_t value)
{
    if (value & ~(uint64_t)(INTERRUPT_STATE_SHADOW | INTERRUPT_STATE_NMI_MASKED))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    state->interrupt_shadow = (value & INTERRUPT_STATE_SHADOW) != 0;
    state->nmi_masked = (value & INTERRUPT_STATE_NMI_MASKED) != 0;
    return HV_STATUS_SUCCESS;
}

bool exception_has_error_code(uint8_t vector)
{
    return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF) ||
           vector == VECTOR_AC || (vector == VECTOR_CP && processor_has_cet());
}

/*
 * Decodes and checks an event that the processor is to inject (SDM 27.2.1.3).
 * In real mode no exception pushes an error code; elsewhere the vector decides.
 */
static bool make_event(const struct vp_state *s, unsigned type, uint64_t vector, bool has_error,
                       unsigned length, uint32_t error, struct event *event)
{
    bool exception = type == EVENT_EXCEPTION;
    bool soft = type == EVENT_SOFT_INTERRUPT || type == EVENT_PRIVILEGED_SOFT ||
                type == EVENT_SOFT_EXCEPTION;
    *event = (struct event){.valid = true,
                            .type = (uint8_t)type,
                            .vector = (uint8_t)vector,
                            .has_error = has_error,
                            .insn_length = (uint8_t)length,
                            .error = has_error ? error : 0};
    if (vector > 0xFF || !event_is_possible(event))
        return false;
    bool wants_error = exception && (s->cr0 & CR0_PE) && exception_has_error_code(event->vector);
    return has_error == wants_error && !(exception && error >> 15) && !(soft && length == 0);
}

uint32_t pending_interruption_set(struct vp *vp, uint64_t value)
{
    struct event event = {0};
    if (value & INTERRUPTION_RESERVED)
        return HV_STATUS_INVALID_REGISTER_VALUE;
    if ((value & INTERRUPTION_PENDING) &&
        (vp->pending_event[0] ||
         !make_event(&vp->state, (value >> INTERRUPTION_TYPE_SHIFT) & 7, (value >> 16) & 0xFFFF,
                     (value & INTERRUPTION_ERROR) != 0, (value >> INTERRUPTION_LENGTH_SHIFT) & 0xF,
                     (uint32_t)(value >> 32), &event)))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    vp->state.event = event;
    return HV_STATUS_SUCCESS;
}

static bool decode_pending_event(const struct vp *vp, uint64_t value, struct event *event)
{
    return !(value & (PENDING_EVENT_TYPE | PENDING_EVENT_RESERVED)) &&
           make_event(&vp->state, EVENT_EXCEPTION, (value >> 16) & 0xFFFF,
                      (value & PENDING_EVENT_ERROR) != 0, 0, (uint32_t)(value >> 32), event);
}

uint32_t pending_event_set(struct vp *vp, const struct hv_register_value *value)
{
    struct event event;
    if (!(value->low & PENDING_EVENT_PENDING)) {
        vp->pending_event[0] = vp->pending_event[1] = 0;
        return HV_STATUS_SUCCESS;
    }
    if (vp->state.event.valid || !decode_pending_event(vp, value->low, &event))
        return HV_STATUS_INVALID_REGISTER_VALUE;
    vp->pending_event[0] = value->low;
    vp->pending_event[1] = value->high;
    return HV_STATUS_SUCCESS;
}

/*
 * The exception's parameter is what it leaves behind besides the stack frame:
 * CR2 of a page fault, bits of DR6 of a debug exception. A mode that has changed
 * since the register was written makes the event void.
 */
void pending_event_deliver(struct vp *vp)
{
    struct event event;
    if (decode_pending_event(vp, vp->pending_event[0], &event)) {
        vp_touch(vp);
        if (event.vector == VECTOR_PF)
            vp->state.cr2 = vp->pending_event[1];
        if (event.vector == VECTOR_DB)
            vp->state.dr6 |= vp->pending_event[1] & 0xE00F;
        vp->state.event = event;
    }
    vp->pending_event[0] = vp->pending_event[1] = 0;
}
