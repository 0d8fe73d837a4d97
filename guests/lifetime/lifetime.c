/* SPDX-License-Identifier: MIT */
/*
 * VPs, partitions and GPA ranges removed under a mapped state page, in every order, also while
 * the VP runs on another processor; the pools balance before and after.
 */
#include "guests/lifetime/lifetime.h"

#define DEPOSIT   40
#define CHILD_RAM 64   /* pages */
#define STATE_GPN 0x20 /* in the child, where root places a register page */
#define ADDED_GPN 0x30 /* its intercept page */

/* A child with one VP, RAM, and both state pages mapped. */
struct subject {
    uint64_t id;
    uint64_t *ram;
    uint32_t deposited;
    bool layered;
    uint64_t *own[2]; /* layered: pages of ours that the state pages cover */
};

static bool ok; /* of the scenario that is going on */

static void expect(const char *what, uint16_t got, uint16_t expected)
{
    if (got == expected)
        return;
    tap_note("%s: %s instead of %s", what, status_name(got), status_name(expected));
    ok = false;
}

static uint16_t map_page_of_vp(struct subject *s, uint16_t type)
{
    gpn_t where = type == 0 ? STATE_GPN : ADDED_GPN;
    if (s->layered)
        where = page_of(s->own[type]);
    return state_page_map(s->id, 0, type, HV_MAP_LOCATION_PROVIDED, where, NULL);
}

static void set_up(struct subject *s)
{
    *s = (struct subject){.layered = hypervisor_role() == ROLE_IS_LAYERED, .deposited = DEPOSIT};
    s->ram = pages_alloc(CHILD_RAM, PAGE_SIZE);
    for (unsigned n = 0; n < 2; n++) {
        s->own[n] = page_alloc();
        s->own[n][7] = 0xC0DE + n;
    }
    s->ram[STATE_GPN * 512 + 7] = 0xF00D;
    expect("CreatePartition", child_create(HV_CREATE_EXO_PARTITION, &s->id), 0);
    expect("DepositMemory", child_deposit(s->id, DEPOSIT), 0);
    expect("InitializePartition", child_initialize(s->id), 0);
    expect("MapGpaPages", child_map(s->id, 0, page_of(s->ram), CHILD_RAM, CHILD_MAP_ALL), 0);
    expect("CreateVp", child_create_vp(s->id, 0), 0);
    expect("MapVpStatePage 0", map_page_of_vp(s, 0), 0);
    expect("MapVpStatePage 1", map_page_of_vp(s, 1), 0);
}

enum step { UNMAP_REGISTERS, UNMAP_MESSAGE, UNMAP_RANGE, DELETE_VP, FINALIZE, STEP_COUNT };
static const char step_letters[] = "rmgvf"; /* for the description of an order */

/* What has happened, from which each further step's status follows. */
struct history {
    bool page_gone[2], vp_gone, finalized;
};

static void do_step(struct subject *s, struct history *h, enum step step)
{
    uint16_t status = 0;
    if (h->finalized)
        status = HV_STATUS_INVALID_PARTITION_STATE;
    else if (h->vp_gone && step != UNMAP_RANGE && step != FINALIZE)
        status = HV_STATUS_INVALID_VP_INDEX;
    switch (step) {
    case UNMAP_REGISTERS:
    case UNMAP_MESSAGE:
        if (status == 0 && h->page_gone[step])
            status = HV_STATUS_NOT_FOUND;
        expect("UnmapVpStatePage", state_page_unmap_call(s->id, 0, (uint16_t)step), status);
        h->page_gone[step] = true;
        break;
    case UNMAP_RANGE:
        expect("UnmapGpaPages", child_unmap(s->id, 0, CHILD_RAM), status);
        if (!s->layered) /* root's pages lie in that range */
            h->page_gone[0] = h->page_gone[1] = true;
        break;
    case DELETE_VP:
        expect("DeleteVp", child_delete_vp(s->id, 0), status);
        h->vp_gone = true;
        break;
    default:
        expect("FinalizePartition", child_finalize(s->id), status);
        h->finalized = true;
        break;
    }
}

/* Everything that is left goes, and everything that was deposited comes back zeroed. */
static void end_subject(struct subject *s, struct history *h)
{
    uint32_t dirty;
    if (!h->finalized)
        do_step(s, h, FINALIZE);
    uint32_t back = child_withdraw_all(s->id, &dirty);
    if (back != s->deposited || dirty != 0) {
        tap_note("%u pages came back of %u, %u not zeroed", back, s->deposited, dirty);
        ok = false;
    }
    expect("DeletePartition", child_delete(s->id), 0);
    expect("DeletePartition again", child_delete(s->id), HV_STATUS_INVALID_PARTITION_ID);
    for (unsigned n = 0; n < 2; n++) {
        ok &= s->own[n][7] == 0xC0DE + n; /* what lay under a state page is back */
        page_free(s->own[n]);
    }
    ok &= s->ram[STATE_GPN * 512 + 7] == 0xF00D;
    pages_free(s->ram, CHILD_RAM);
}

static void run_order(const enum step *steps, unsigned count, const char *prefix)
{
    struct subject s;
    struct history h = {0};
    struct hv_output_memory_balance before, after;
    char letters[STEP_COUNT + 1] = "";
    child_balance(HV_PARTITION_ID_SELF, &before);
    ok = true;
    set_up(&s);
    for (unsigned n = 0; n < count; n++) {
        letters[n] = step_letters[steps[n]];
        do_step(&s, &h, steps[n]);
    }
    end_subject(&s, &h);
    child_balance(HV_PARTITION_ID_SELF, &after);
    if (before.in_use != after.in_use || before.available != after.available) {
        tap_note("own pool: %lu + %lu before, %lu + %lu after", before.in_use, before.available,
                 after.in_use, after.available);
        ok = false;
    }
    if (prefix != NULL)
        tap_ok(ok, "%s%s: statuses as expected, all %u pages back and zeroed, balance equal",
               prefix, letters, s.deposited);
}

/* All orders of the five steps: registers, message, GPA range, VP, finalize. */
static void every_order(void)
{
    enum step steps[STEP_COUNT];
    for (unsigned code = 0; code < 5 * 5 * 5 * 5 * 5; code++) {
        unsigned rest = code, seen = 0;
        for (unsigned n = 0; n < STEP_COUNT; n++, rest /= STEP_COUNT) {
            steps[n] = rest % STEP_COUNT;
            seen |= 1u << steps[n];
        }
        if (seen == (1u << STEP_COUNT) - 1)
            run_order(steps, STEP_COUNT, "order ");
    }
}

/* Each step alone, and none: finalizing has to find what was left. */
static void each_alone(void)
{
    run_order(NULL, 0, "nothing removed before finalizing");
    for (enum step step = 0; step < STEP_COUNT; step++)
        run_order(&step, 1, "only ");
}

/* The same place again and again costs no more pages. */
static void repeated(void)
{
    struct subject s;
    struct history h = {0};
    struct hv_output_memory_balance before, after;
    ok = true;
    set_up(&s);
    do_step(&s, &h, UNMAP_REGISTERS);
    child_balance(s.id, &before);
    for (unsigned n = 0; n < 100; n++) {
        expect("MapVpStatePage", map_page_of_vp(&s, 0), 0);
        expect("UnmapVpStatePage", state_page_unmap_call(s.id, 0, 0), 0);
    }
    child_balance(s.id, &after);
    tap_ok(ok && before.available == after.available && before.in_use == after.in_use,
           "a state page mapped and unmapped 100 times: the child's balance is unchanged");
    do_step(&s, &h, DELETE_VP);
    child_balance(s.id, &before);
    for (unsigned n = 0; n < 20; n++) {
        expect("CreateVp", child_create_vp(s.id, 0), 0);
        expect("MapVpStatePage", map_page_of_vp(&s, 0), 0);
        expect("DeleteVp", child_delete_vp(s.id, 0), 0);
    }
    child_balance(s.id, &after);
    tap_ok(ok && before.available == after.available && before.in_use == after.in_use,
           "a VP created and deleted 20 times under its mapped page: the balance is unchanged");
    end_subject(&s, &h);
    tap_ok(ok, "and everything came back");
}

/* 0x43 gives pages that are left back to the depositor. */
static void delete_without_withdraw(void)
{
    uint64_t id = 0, pages[8];
    bool zero = true;
    ok = true;
    expect("CreatePartition", child_create(HV_CREATE_EXO_PARTITION, &id), 0);
    for (unsigned n = 0; n < ARRAY_SIZE(pages); n++) {
        uint64_t *page = page_alloc();
        page[5] = 0x5EC3E7;
        pages[n] = page_of(page);
    }
    expect("DepositMemory",
           hv_call_rep(HVCALL_DEPOSIT_MEMORY, &id, 8, pages, 8, ARRAY_SIZE(pages), NULL, 0, NULL),
           0);
    expect("DeletePartition of a created one", child_delete(id), 0);
    for (unsigned n = 0; n < ARRAY_SIZE(pages); n++) {
        zero &= *(volatile uint64_t *)((pages[n] << PAGE_SHIFT) + 40) == 0;
        page_free((void *)(pages[n] << PAGE_SHIFT));
    }
    tap_ok(ok && zero, "DeletePartition gives pages that are left back to the depositor, zeroed");
}

static void states(void)
{
    uint64_t id = 0, next = 0;
    child_create(HV_CREATE_EXO_PARTITION, &id);
    tap_status(child_finalize(id), HV_STATUS_INVALID_PARTITION_STATE,
               "FinalizePartition of a created partition");
    tap_status(child_create_vp(id, 0), HV_STATUS_INVALID_PARTITION_STATE, "CreateVp likewise");
    child_initialize(id);
    tap_status(child_initialize(id), HV_STATUS_INVALID_PARTITION_STATE,
               "InitializePartition a second time");
    tap_status(child_delete(id), HV_STATUS_INVALID_PARTITION_STATE,
               "DeletePartition of an initialized partition");
    child_finalize(id);
    tap_status(child_finalize(id), HV_STATUS_INVALID_PARTITION_STATE,
               "FinalizePartition a second time");
    tap_status(child_initialize(id), HV_STATUS_INVALID_PARTITION_STATE,
               "InitializePartition of a finalized partition");
    child_withdraw_all(id, NULL);
    tap_status(child_delete(id), HV_STATUS_SUCCESS, "DeletePartition of a finalized partition");
    child_create(HV_CREATE_EXO_PARTITION, &next);
    tap_ok(next > id, "an id is never used again");
    child_delete(next);
}

/* A VP that runs on another processor while something is taken away from it. */
static struct child running;
static volatile uint32_t result;

static void run_it(void *argument)
{
    (void)argument;
    result = child_run(&running, 0);
}

static void begin_running(void)
{
    static const uint8_t code[] = {0x48, 0xFF, 0x04, 0x25, 0, 0, 0x10, 0, 0xEB, 0xF6}; /* counts */
    volatile uint64_t *counter;
    child_open(&running, 1, CHILD_MAP_ALL);
    counter = (volatile uint64_t *)(running.memory + CHILD_DATA);
    child_load(&running, CHILD_CODE, code, code + sizeof(code));
    child_enter_long(&running, 0, CHILD_CODE);
    result = 0;
    cpu_run(1, run_it, NULL);
    while (*counter < 100)
        cpu_relax();
}

static void while_running(void)
{
    if (cpu_count < 2) {
        tap_skip("removal under a running VP: one processor here");
        return;
    }
    begin_running();
    volatile uint64_t *counter = (volatile uint64_t *)(running.memory + CHILD_DATA);
    tap_status(state_page_unmap_call(running.id, 0, 0), HV_STATUS_SUCCESS,
               "UnmapVpStatePage of a running VP's register page");
    uint64_t seen = *counter;
    while (*counter < seen + 100)
        cpu_relax();
    tap_ok(result == 0, "the VP runs on");
    running.vps[0].registers = NULL;
    tap_status(child_unmap(running.id, 0, CHILD_PAGES), HV_STATUS_SUCCESS,
               "UnmapGpaPages of all its memory");
    cpu_wait(1);
    tap_equal(result, HV_MESSAGE_UNMAPPED_GPA, "it stops: unmapped GPA");
    seen = *counter;
    delay_microseconds(500);
    tap_ok(*counter == seen, "nothing reaches the memory any more");
    tap_ok(child_close(&running), "gone, every page zeroed");

    begin_running();
    tap_status(child_delete_vp(running.id, 0), HV_STATUS_SUCCESS, "DeleteVp of a running VP");
    cpu_wait(1);
    running.vp_count = 0;
    tap_equal(result, CHILD_STOP_FAILED, "its dispatch ended; there is no such VP any more");
    tap_ok(child_close(&running), "gone, every page zeroed");

    begin_running();
    tap_status(child_finalize(running.id), HV_STATUS_SUCCESS,
               "FinalizePartition under a running VP");
    cpu_wait(1);
    tap_equal(result, CHILD_STOP_FAILED, "its dispatch ended; the partition is finalized");
    uint32_t dirty;
    uint32_t back = child_withdraw_all(running.id, &dirty);
    tap_ok(back > 0 && dirty == 0, "its %u pages came back zeroed", back);
    tap_status(child_delete(running.id), HV_STATUS_SUCCESS, "DeletePartition");
    pages_free(running.memory, CHILD_PAGES);
}

void guest_main(void)
{
    hypercall_init();
    if (hypervisor_role() == ROLE_IS_GUEST) {
        tap_skip("role guest: it may not create partitions");
        return;
    }
    cpu_start_all();
    run_order(NULL, 0, NULL); /* tables that our own map needs stay with it from here on */
    states();
    each_alone();
    every_order();
    repeated();
    delete_without_withdraw();
    while_running();
    test_rounds();
}
