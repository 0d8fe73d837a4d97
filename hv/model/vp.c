/* SPDX-License-Identifier: MIT */
/* Things done to a VP's neutral state. */
#include "hv/model/vp.h"

#include "hv/base/cpu.h"
#include "hv/base/string.h"
#include "hv/model/segment.h"

static const struct segment reset_data = {0, 0xFFFF, 0, 0x93};

/* SDM table 10-1, column INIT; what INIT leaves alone is not part of struct vp_state but XCR0. */
void vp_reset_state(struct vp *vp)
{
    struct vp_state *s = &vp->state;
    uint64_t xcr0 = s->xcr0 ? s->xcr0 : 1, tsc_offset = s->tsc_offset;
    memset(s, 0, sizeof(*s));
    s->xcr0 = xcr0;
    s->tsc_offset = tsc_offset;
    s->rip = 0xFFF0;
    s->rflags = RFLAGS_FIXED;
    s->gpr[RDX] = cpuid(1, 0).eax;
    s->cr0 = CR0_ET | CR0_CD | CR0_NW;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        s->seg[i] = reset_data;
    s->seg[SEG_CS] = (struct segment){0xFFFF0000, 0xFFFF, 0xF000, 0x9B};
    s->seg[SEG_LDTR].attributes = 0x82;
    s->seg[SEG_TR].attributes = 0x8B;
    s->gdtr.limit = s->idtr.limit = 0xFFFF;
    s->dr6 = DR6_RESET;
    s->dr7 = DR7_RESET;
    s->pat = PAT_RESET;
    vp->exact = EXACT_ALL;
    vp->touched = true;
}

void vp_wrap_rip(struct vp *vp)
{
    if (vp->state.rip >> 32 != 1)
        return;
    vp_show(vp);
    if (!is_code64(&vp->state))
        vp->state.rip &= UINT32_MAX;
}

/* SDM table 6-4: which exceptions combine to a double fault. */
static bool is_contributory(uint8_t vector)
{
    return vector == 0 || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

void vp_inject_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error)
{
    struct event *event = &vp->state.event;
    if (event->valid && event->type == EVENT_EXCEPTION) {
        bool to_double =
            (is_contributory(event->vector) && is_contributory(vector)) ||
            (event->vector == VECTOR_PF && (is_contributory(vector) || vector == VECTOR_PF));
        if (event->vector == VECTOR_DF) {
            vp->triple_fault = true;
            if (vp->cpu)
                vp->cpu->kicked = 1; /* the main loop looks */
            return;
        }
        if (to_double) {
            *event = (struct event){
                .valid = true, .type = EVENT_EXCEPTION, .vector = VECTOR_DF, .has_error = true};
            return;
        }
    }
    *event = (struct event){.valid = true,
                            .type = EVENT_EXCEPTION,
                            .vector = vector,
                            .has_error = has_error,
                            .error = error};
}
