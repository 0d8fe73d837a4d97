/* SPDX-License-Identifier: MIT */
/* A child at depth 2 that runs while something happens to those below it. */
#include "guests/nested/tests.h"

#define TIMER_VECTOR 0x60
#define COUNTER      (NODE_SPARE + 0x1000) /* of the child */
#define FLAG         (NODE_SPARE + 0x2000) /* of the child: ends the counting */
#define PLAY         (NODE_SPARE + 221 * PAGE_SIZE)
#define CHILD_GPA    0x800000UL

static volatile uint32_t timer_fired;

static void on_timer(struct trap_frame *frame)
{
    (void)frame;
    timer_fired++;
    apic_eoi();
}

static void take_interrupts(void)
{
    interrupts_enable();
    __asm__ volatile("nop; nop");
    interrupts_disable();
}

static volatile uint64_t *word(const struct node *n, uint64_t gpa)
{
    return (volatile uint64_t *)(n->memory + gpa);
}

/* The child is to count and the middle to dispatch it: the middle's next dispatch starts all. */
static void prepare(struct node *middle, struct node *child, uint64_t counter)
{
    struct hv_input_dispatch_vp input = {.partition_id = child->id,
                                         .flags = HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND};
    *word(child, COUNTER) = 0;
    *word(child, FLAG) = 0;
    node_give(child, OP_COUNT, counter, FLAG, 0);
    memcpy(middle->memory + NODE_INPUT, &input, sizeof(input));
    memset(middle->memory + NODE_OUTPUT, 0xFF, sizeof(struct hv_output_dispatch_vp));
    node_give(middle, OP_HYPERCALL, HVCALL_DISPATCH_VP, NODE_INPUT, NODE_OUTPUT);
}

static const struct hv_output_dispatch_vp *middle_output(const struct node *middle)
{
    return (const struct hv_output_dispatch_vp *)(middle->memory + NODE_OUTPUT);
}

/* Lets the child stop by itself, so that the next test finds everything at rest. */
static void finish(struct node *child)
{
    *word(child, FLAG) = 1;
    uint32_t type = node_run(child);
    tap_ok(node_stopped_itself(child, type), "the child goes on from there and ends by itself");
}

static void interrupt(struct node *middle, struct node *child)
{
    struct hv_output_dispatch_vp output = {0};
    trap_set_handler(TIMER_VECTOR, on_timer);
    apic_enable();
    prepare(middle, child, COUNTER);
    apic_write(APIC_TIMER_DIVIDE, 0xB);
    apic_write(APIC_LVT_TIMER, TIMER_VECTOR);
    uint16_t status = HV_STATUS_SUCCESS;
    /* a slow machine is interrupted before the child has begun: then a longer time */
    for (uint32_t ticks = 1000000; ticks < 1u << 30 && *word(child, COUNTER) == 0; ticks *= 2) {
        take_interrupts();
        timer_fired = 0;
        apic_write(APIC_TIMER_INITIAL, ticks);
        status = node_dispatch(middle, &output);
    }
    if (status != HV_STATUS_SUCCESS || output.state != HV_DISPATCH_STATE_READY ||
        output.event != HV_DISPATCH_EVENT_NONE)
        tap_note("%s, state %u, event %u", status_name(status), output.state, output.event);
    tap_ok(status == HV_STATUS_SUCCESS && output.state == HV_DISPATCH_STATE_READY &&
               output.event == HV_DISPATCH_EVENT_NONE && *word(child, COUNTER) > 0,
           "\"a physical interrupt ends the dispatch\": the middle's, from inside the child's "
           "(counted to %lu)",
           *word(child, COUNTER));
    tap_equal(timer_fired, 0, "nobody above has taken it");
    take_interrupts();
    tap_equal(timer_fired, 1, "the first partition takes it natively");
    trap_set_handler(TIMER_VECTOR, NULL);
    uint32_t type = node_run(middle);
    tap_ok(node_stopped_itself(middle, type) &&
               hv_status(node_result(middle)) == HV_STATUS_SUCCESS &&
               middle_output(middle)->state == HV_DISPATCH_STATE_READY &&
               middle_output(middle)->event == HV_DISPATCH_EVENT_NONE,
           "dispatched again, the middle sees its own dispatch ended: SUCCESS, ready, no event");
    finish(child);
}

struct runner {
    struct node *node;
    volatile uint32_t type;
};

static void run(void *argument)
{
    struct runner *r = argument;
    r->type = node_run(r->node);
}

static bool wait_for_progress(struct node *child, uint64_t from)
{
    for (uint64_t i = 0; i < 2000000; i++) {
        if (*word(child, COUNTER) > from + 100)
            return true;
        cpu_relax();
    }
    return false;
}

/* The middle's VP is suspended from another processor while the child runs on top of it. */
static void suspend(struct node *middle, struct node *child)
{
    struct runner runner = {middle, 0};
    struct hv_output_dispatch_vp output;
    prepare(middle, child, COUNTER);
    cpu_run(1, run, &runner);
    tap_ok(wait_for_progress(child, 0), "the child runs on another processor");
    tap_status(node_dispatch(middle, &output), HV_STATUS_INVALID_VP_STATE,
               "the middle is \"already being dispatched elsewhere\"");
    tap_status(node_set(middle, HV_REGISTER_EXPLICIT_SUSPEND, 1, 0), HV_STATUS_SUCCESS,
               "the middle's explicit-suspend register is set");
    cpu_wait(1);
    tap_equal(runner.type, CHILD_STOP_SUSPENDED,
              "both dispatches end; the first partition's with blocked, suspend");
    uint64_t count = *word(child, COUNTER);
    delay_microseconds(1000);
    tap_equal(*word(child, COUNTER), count, "the child does not run any more");
    node_set(middle, HV_REGISTER_EXPLICIT_SUSPEND, 0, 0);
    uint32_t type = node_run(middle);
    tap_ok(node_stopped_itself(middle, type) &&
               middle_output(middle)->state == HV_DISPATCH_STATE_READY,
           "the middle sees its dispatch ended: ready, no event");
    finish(child);
}

/* The page that the running child writes is taken from the middle by the first partition. */
static void revoked_while_running(struct node *middle, struct node *child)
{
    struct runner runner = {middle, 0};
    struct hv_message m;
    volatile uint64_t *page = (volatile uint64_t *)(middle->memory + PLAY);
    gpn_t gpn = PLAY >> PAGE_SHIFT;
    *page = 0;
    node_map(child, CHILD_GPA >> PAGE_SHIFT, gpn, 1, CHILD_MAP_ALL);
    prepare(middle, child, CHILD_GPA);
    cpu_run(1, run, &runner);
    while (*page < 1000)
        cpu_relax();
    uint16_t status = child_unmap(middle->id, gpn, 1);
    uint64_t at_return = *page;
    delay_microseconds(500);
    uint64_t later = *page;
    cpu_wait(1);
    tap_status(status, HV_STATUS_SUCCESS,
               "the first partition unmaps the page that the child counts in just now");
    tap_equal(later, at_return, "when the call has returned nobody writes it any more");
    tap_ok(node_stopped_itself(middle, runner.type) &&
               middle_output(middle)->event == HV_DISPATCH_EVENT_INTERCEPT,
           "the child's dispatch ended on an intercept, the middle's did not");
    node_message(child, &m);
    tap_ok(m.header.type == HV_MESSAGE_UNMAPPED_GPA && m.header.sender == child->id &&
               m.payload.memory.gpa == CHILD_GPA,
           "it is the unmapped GPA, told to the middle");
    child_map(middle->id, gpn, page_of((void *)page), 1, CHILD_MAP_ALL);
}

void test_running(struct node *middle, struct node *child)
{
    interrupt(middle, child);
    if (cpu_count < 2) {
        tap_skip("a running child seen from another processor: one processor here");
        return;
    }
    suspend(middle, child);
    revoked_while_running(middle, child);
}
