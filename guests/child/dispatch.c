/* SPDX-License-Identifier: MIT */
/* DispatchVp: its decisions, several VPs on several processors, suspending, interrupts. */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

#define TIMER_VECTOR 0x60
#define COUNT_TO     20000

static uint16_t dispatch(struct child *c, uint32_t vp, uint32_t flags, uint32_t *state,
                         uint32_t *event)
{
    struct hv_output_dispatch_vp output = {0xFF, 0xFF};
    uint16_t status = child_dispatch(c->id, vp, flags, &output);
    *state = output.state;
    *event = output.event;
    return status;
}

static void decisions(void)
{
    struct child c;
    uint32_t state, event;
    struct hv_output_dispatch_vp output;
    child_open(&c, 2, CHILD_MAP_ALL);
    START(&c, 0, START_LONG, stops);

    tap_status(child_dispatch(HV_PARTITION_ID_SELF, 0, 0, &output), HV_STATUS_ACCESS_DENIED,
               "DispatchVp of a VP that is not a child's");
    tap_status(child_dispatch(c.id, 5, 0, &output), HV_STATUS_INVALID_VP_INDEX,
               "DispatchVp of a VP that there is not");
    tap_status(child_dispatch(c.id + 1000, 0, 0, &output), HV_STATUS_INVALID_PARTITION_ID,
               "DispatchVp in a partition that there is not");
    struct hv_input_dispatch_vp slice = {.partition_id = c.id, .time_slice = 1000};
    tap_status(hv_call(HVCALL_DISPATCH_VP, &slice, sizeof(slice), &output, sizeof(output)),
               HV_STATUS_INVALID_PARAMETER, "a time slice other than 0");
    tap_status(child_dispatch(c.id, 0, 0x8000, &output), HV_STATUS_INVALID_PARAMETER,
               "an unknown flag");

    child_put(&c, 0, HV_REGISTER_EXPLICIT_SUSPEND, 1);
    tap_status(dispatch(&c, 0, 0, &state, &event), HV_STATUS_SUCCESS, "an explicitly suspended VP");
    tap_ok(state == HV_DISPATCH_STATE_BLOCKED && event == HV_DISPATCH_EVENT_SUSPEND,
           "... is blocked, event suspend");
    child_put(&c, 0, HV_REGISTER_EXPLICIT_SUSPEND, 0);
    tap_status(dispatch(&c, 0, 0, &state, &event), HV_STATUS_SUCCESS, "no longer suspended");
    tap_ok(state == HV_DISPATCH_STATE_READY && event == HV_DISPATCH_EVENT_INTERCEPT,
           "a dispatch that ends on an intercept returns ready, event intercept");
    tap_equal(child_register(c.id, 0, HV_REGISTER_INTERCEPT_SUSPEND), 1,
              "the intercept-suspend register is 1");
    tap_status(dispatch(&c, 0, 0, &state, &event), HV_STATUS_SUCCESS,
               "still intercept-suspended, without flag 1");
    tap_ok(state == HV_DISPATCH_STATE_BLOCKED && event == HV_DISPATCH_EVENT_INTERCEPT,
           "... is blocked, event intercept");
    step_over(&c, 0, 2);
    dispatch(&c, 0, HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND, &state, &event);
    tap_equal(c.vps[0].registers->rip, PLACE(stops, stops_second),
              "with flag 1 the intercept is cleared and the VP runs on");
    child_put(&c, 0, HV_REGISTER_INTERCEPT_SUSPEND, 0);
    step_over(&c, 0, 2);
    dispatch(&c, 0, 0, &state, &event);
    tap_equal(c.vps[0].registers->rip, PLACE(stops, stops_third),
              "the same by writing the intercept-suspend register");
    tap_ok(child_close(&c), "the child of the decisions is gone");
}

static volatile uint32_t timer_fired;

static void on_timer(struct trap_frame *frame)
{
    (void)frame;
    timer_fired++;
    apic_eoi();
}

#define TIMER_TICKS 2000000
#define TIMER_TRIES 100 /* on a busy emulator the timer may fire before the child has begun */

/* Runs the child under the timer and takes its interrupt; whether the child got to run. */
static bool run_under_timer(struct child *c, uint16_t *status, uint32_t *state, uint32_t *event,
                            uint32_t *early)
{
    uint64_t counted = child_data(c)[8];
    for (unsigned tries = 0; tries < TIMER_TRIES && child_data(c)[8] == counted; tries++) {
        timer_fired = 0;
        apic_write(APIC_TIMER_INITIAL, TIMER_TICKS);
        *status = dispatch(c, 0, 0, state, event);
        *early = timer_fired;
        interrupts_enable();
        __asm__ volatile("nop; nop");
        interrupts_disable();
    }
    return child_data(c)[8] > counted;
}

/* A physical interrupt ends the dispatch: ready, no event; the parent takes it itself. */
static void interrupt_ends(void)
{
    struct child c;
    uint32_t state, event, early;
    uint16_t status;
    child_open(&c, 1, CHILD_MAP_ALL);
    START(&c, 0, START_LONG, spin);
    trap_set_handler(TIMER_VECTOR, on_timer);
    apic_enable();
    apic_write(APIC_TIMER_DIVIDE, 0xB);
    apic_write(APIC_LVT_TIMER, TIMER_VECTOR);
    bool ran = run_under_timer(&c, &status, &state, &event, &early);
    tap_status(status, HV_STATUS_SUCCESS, "a dispatch under a running timer");
    tap_ok(state == HV_DISPATCH_STATE_READY && event == HV_DISPATCH_EVENT_NONE,
           "a physical interrupt ends it: ready, no event");
    tap_ok(early == 0 && timer_fired == 1, "the parent takes the interrupt natively afterwards");
    tap_ok(ran && c.vps[0].registers->is_valid == 1 && c.vps[0].registers->dirty == 0,
           "the child had run, and its register page is published");
    ran = run_under_timer(&c, &status, &state, &event, &early);
    tap_ok(ran && timer_fired == 1, "the next dispatch goes on from there");
    trap_set_handler(TIMER_VECTOR, NULL);
    tap_ok(child_close(&c), "the child of the timer is gone");
}

struct runner {
    struct child *child;
    uint32_t vp;
    volatile uint32_t result;
};

static void run_one(void *argument)
{
    struct runner *r = argument;
    r->result = child_run(r->child, r->vp);
}

/* VPs of one child at once, each from a processor of its own; and all 8 from one. */
static void many(void)
{
    struct child c;
    struct runner runners[CHILD_MAX_VPS];
    uint32_t parallel = cpu_count < CHILD_MAX_VPS ? cpu_count : CHILD_MAX_VPS;
    child_open(&c, CHILD_MAX_VPS, CHILD_MAP_ALL);
    for (uint32_t n = 0; n < CHILD_MAX_VPS; n++) {
        START(&c, n, START_LONG, count_up);
        child_put(&c, n, HV_REGISTER_RAX + RBX, CHILD_DATA + n * 0x1000);
        child_put(&c, n, HV_REGISTER_RAX + RCX, COUNT_TO + n);
        runners[n] = (struct runner){&c, n, 0};
    }
    for (uint32_t n = 1; n < parallel; n++)
        cpu_run(n, run_one, &runners[n]);
    run_one(&runners[0]);
    for (uint32_t n = 1; n < parallel; n++)
        cpu_wait(n);
    for (uint32_t n = parallel; n < CHILD_MAX_VPS; n++)
        run_one(&runners[n]);
    matches = true;
    for (uint32_t n = 0; n < CHILD_MAX_VPS; n++) {
        match("stop", runners[n].result, HV_MESSAGE_HALT);
        match("VP index of the message", c.vps[n].message->payload.intercept.vp_index, n);
        match("count", *(uint64_t *)(c.memory + CHILD_DATA + n * 0x1000), COUNT_TO + n);
    }
    tap_ok(matches, "8 VPs of a child, %u of them at once on %u processors, each did its work",
           parallel, cpu_count);

    /* each VP goes on on another processor than before */
    for (uint32_t n = 0; n < CHILD_MAX_VPS; n++) {
        child_put(&c, n, HV_REGISTER_RAX + RCX, 2 * COUNT_TO);
        child_put(&c, n, HV_REGISTER_RIP, CHILD_CODE);
    }
    for (uint32_t n = 0; n < CHILD_MAX_VPS; n++)
        cpu_call((n + 1) % cpu_count, run_one, &runners[n]);
    matches = true;
    for (uint32_t n = 0; n < CHILD_MAX_VPS; n++) {
        match("stop", runners[n].result, HV_MESSAGE_HALT);
        match("count", *(uint64_t *)(c.memory + CHILD_DATA + n * 0x1000), 2 * COUNT_TO);
    }
    tap_ok(matches, "each VP goes on on another processor");
    tap_ok(child_close(&c), "the child of 8 VPs is gone, every page zeroed");
}

/* Things that need a VP to be running while another processor looks at it. */
static void while_running(void)
{
    struct child c;
    struct hv_output_dispatch_vp output;
    if (cpu_count < 2) {
        tap_skip("a running child seen from another processor: one processor here");
        return;
    }
    child_open(&c, 1, CHILD_MAP_ALL);
    START(&c, 0, START_LONG, spin);
    struct runner runner = {&c, 0, 0};
    volatile uint64_t *counter = &child_data(&c)[8];
    volatile struct hv_register_page *page = c.vps[0].registers;
    cpu_run(1, run_one, &runner);
    while (*counter < 1000)
        cpu_relax();
    tap_equal(page->is_valid, 0, "is-valid is 0 while the VP runs");
    page->gpr[R13] = 0x1313;
    page->dirty = HV_DIRTY_GENERAL;
    tap_status(child_dispatch(c.id, 0, 0, &output), HV_STATUS_INVALID_VP_STATE,
               "DispatchVp of a VP that is being dispatched elsewhere");
    struct hv_register_value value;
    tap_status(child_get(c.id, 0, HV_REGISTER_RIP, &value), HV_STATUS_INVALID_VP_STATE,
               "GetVpRegisters of a running VP");
    tap_status(child_set(c.id, 0, HV_REGISTER_EXPLICIT_SUSPEND, 1, 0), HV_STATUS_SUCCESS,
               "explicit suspend of the running VP");
    cpu_wait(1);
    tap_equal(runner.result, CHILD_STOP_SUSPENDED, "its dispatch ends: blocked, event suspend");
    tap_ok(page->is_valid == 1 && page->dirty == 0 && page->gpr[R13] == 0,
           "the page is published; what was written while is-valid was 0 had no effect");
    uint64_t stopped = *counter;
    delay_microseconds(1000);
    tap_equal(*counter, stopped, "it does not run any more");
    child_put(&c, 0, HV_REGISTER_EXPLICIT_SUSPEND, 0);
    cpu_run(1, run_one, &runner);
    while (*counter < stopped + 1000)
        cpu_relax();
    tap_ok(true, "cleared, it runs on");
    tap_status(child_delete_vp(c.id, 0), HV_STATUS_SUCCESS, "DeleteVp of the running VP");
    c.vp_count = 0;
    cpu_wait(1);
    tap_ok(child_close(&c), "and its partition goes, every page zeroed");
}

void test_dispatch(void)
{
    decisions();
    interrupt_ends();
    many();
    while_running();
}
