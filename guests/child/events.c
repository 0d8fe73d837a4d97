/* SPDX-License-Identifier: MIT */
/* Events that the parent injects: pending interruption and pending event registers. */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

enum { /* bits of the pending interruption register */
       PENDING = 1,
       TYPE_SHIFT = 1,
       DELIVER_ERROR = 1 << 4,
       LENGTH_SHIFT = 5,
       VECTOR_SHIFT = 16,
};

struct injection {
    const char *what;
    uint64_t value; /* of register 0x10002 */
    uint8_t vector;
    bool error;
    uint32_t error_code;
    uint64_t rflags;
    unsigned length; /* of the software instruction: the return address is behind it */
};

/* The child's handler says the vector on a port; its stack has error code and rip. */
static void inject(struct child *c, const struct injection *i)
{
    with_handlers(c);
    START(c, 0, START_LONG, stops);
    child_put(c, 0, HV_REGISTER_RFLAGS, i->rflags);
    child_put(c, 0, HV_REGISTER_PENDING_INTERRUPTION, i->value);
    matches = true;
    match("the register reads back pending",
          child_register(c->id, 0, HV_REGISTER_PENDING_INTERRUPTION) & 1, 1);
    match("stop", child_run(c, 0), HV_MESSAGE_IO_PORT);
    match("port", c->vps[0].message->payload.io.port, VECTOR_PORT);
    match("vector", c->vps[0].registers->gpr[RAX] & 0xFF, i->vector);
    const uint64_t *stack = (const uint64_t *)(c->memory + c->vps[0].registers->gpr[RSP]);
    if (i->error)
        match("error code on the stack", *stack++, i->error_code);
    match("rip on the stack", stack[0], CHILD_CODE + i->length);
    match("cs on the stack", stack[1] & 0xFFFF, 8);
    match("interrupt flag in the saved flags", stack[2] & RFLAGS_IF, i->rflags & RFLAGS_IF);
    match("nothing is pending any more",
          child_register(c->id, 0, HV_REGISTER_PENDING_INTERRUPTION) & 1, 0);
    tap_ok(matches, "injected by the pending interruption register: %s", i->what);
    child_put(c, 0, HV_REGISTER_INTERRUPT_STATE, 0); /* an NMI is not followed by IRET here */
}

#define VALUE(type, vector) (PENDING | (type) << TYPE_SHIFT | (uint64_t)(vector) << VECTOR_SHIFT)

static void interruptions(struct child *c)
{
    static const struct injection list[] = {
        {"external interrupt 0x41", VALUE(EVENT_INTERRUPT, 0x41), 0x41, false, 0,
         RFLAGS_FIXED | RFLAGS_IF, 0},
        {"NMI", VALUE(EVENT_NMI, 2), 2, false, 0, RFLAGS_FIXED, 0},
        {"#UD", VALUE(EVENT_EXCEPTION, VECTOR_UD), VECTOR_UD, false, 0, RFLAGS_FIXED, 0},
        {"#GP with error code 0x50",
         VALUE(EVENT_EXCEPTION, VECTOR_GP) | DELIVER_ERROR | 0x50UL << 32, VECTOR_GP, true, 0x50,
         RFLAGS_FIXED, 0},
        {"#PF with error code 6", VALUE(EVENT_EXCEPTION, VECTOR_PF) | DELIVER_ERROR | 6UL << 32,
         VECTOR_PF, true, 6, RFLAGS_FIXED, 0},
        {"INT 0x80 of two bytes", VALUE(EVENT_SOFT_INTERRUPT, 0x80) | 2 << LENGTH_SHIFT, 0x80,
         false, 0, RFLAGS_FIXED, 2},
    };
    for (unsigned n = 0; n < ARRAY_SIZE(list); n++)
        inject(c, &list[n]);
}

static void pending_event(struct child *c)
{
    with_handlers(c);
    START(c, 0, START_LONG, stops);
    /* pending, exception, error code to be delivered, vector 14, error code 2; address */
    tap_status(child_set(c->id, 0, HV_REGISTER_PENDING_EVENT0,
                         1 | 1 << 8 | (uint64_t)VECTOR_PF << 16 | 2UL << 32, 0xFA117000),
               HV_STATUS_SUCCESS, "the pending event register takes a page fault");
    matches = true;
    match("stop", child_run(c, 0), HV_MESSAGE_IO_PORT);
    match("vector", c->vps[0].registers->gpr[RAX] & 0xFF, VECTOR_PF);
    const uint64_t *stack = (const uint64_t *)(c->memory + c->vps[0].registers->gpr[RSP]);
    match("error code on the stack", stack[0], 2);
    match("rip on the stack", stack[1], CHILD_CODE);
    if (!is_bochs_amd()) /* it does not load CR2 from the control block */
        match("CR2", child_register(c->id, 0, HV_REGISTER_CR2), 0xFA117000);
    match("nothing is pending any more", child_register(c->id, 0, HV_REGISTER_PENDING_EVENT0) & 1,
          0);
    tap_ok(matches, "injected by the pending event register: #PF with CR2 and error code");
}

/* An external interrupt while interrupts are off is what a processor refuses. */
static void impossible(struct child *c)
{
    with_handlers(c);
    START(c, 0, START_LONG, stops);
    child_put(c, 0, HV_REGISTER_PENDING_INTERRUPTION, VALUE(EVENT_INTERRUPT, 0x41));
    stops_with(c, 0, HV_MESSAGE_INVALID_VP_REGISTER_VALUE, "an interrupt with IF 0");
    tap_equal(c->vps[0].registers->rip, CHILD_CODE, "the VP is where it was");
    child_put(c, 0, HV_REGISTER_PENDING_INTERRUPTION, 0);
    stops_with(c, 0, HV_MESSAGE_IO_PORT, "without the interrupt it runs");
}

/* A delivery that faults on the second level goes on after the parent has mapped the page. */
static void fault_in_delivery(struct child *c)
{
    void *page = page_alloc();
    with_handlers(c);
    START(c, 0, START_LONG, stops);
    child_put(c, 0, HV_REGISTER_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
    child_put(c, 0, HV_REGISTER_RAX + RSP, 0x501000); /* no memory there */
    child_put(c, 0, HV_REGISTER_PENDING_INTERRUPTION, VALUE(EVENT_INTERRUPT, 0x42));
    stops_with(c, 0, HV_MESSAGE_UNMAPPED_GPA, "a delivery onto a stack without memory");
    tap_ok(child_register(c->id, 0, HV_REGISTER_PENDING_INTERRUPTION) & 1,
           "the interruption is pending again");
    tap_ok(c->vps[0].message->payload.intercept.execution_state & HV_EXECUTION_INTERRUPTION_PENDING,
           "and the message's execution state says so");
    child_map(c->id, 0x500, page_of(page), 1, CHILD_MAP_ALL);
    stops_with(c, 0, HV_MESSAGE_IO_PORT, "the same with the page mapped");
    tap_equal(c->vps[0].registers->gpr[RAX] & 0xFF, 0x42, "the handler ran, once");
    child_unmap(c->id, 0x500, 1);
    page_free(page);
}

void test_events(void)
{
    struct child c;
    child_open(&c, 1, CHILD_MAP_ALL);
    interruptions(&c);
    pending_event(&c);
    impossible(&c);
    fault_in_delivery(&c);
    tap_ok(child_close(&c), "the child of the events is gone, every page zeroed");
}
