/* SPDX-License-Identifier: MIT */
/*
 * Many lives: partitions created, run and destroyed, and state pages mapped and
 * unmapped under a VP that other processors dispatch at that moment. Nothing leaks.
 */
#include "guests/lifetime/lifetime.h"

#define ROUNDS     200
#define MAP_ROUNDS 300
#define RAM_PAGES  24
#define STOP_PORT  0x99
#define REGISTERS  HV_VP_STATE_PAGE_REGISTERS
#define MESSAGE    HV_VP_STATE_PAGE_INTERCEPT_MESSAGE

struct sums {
    struct hv_output_memory_balance pool;
    uint64_t memory;
};

static void take_sums(struct sums *sums)
{
    child_balance(HV_PARTITION_ID_SELF, &sums->pool);
    sums->memory = pages_available();
}

static bool same(const struct sums *a, const struct sums *b)
{
    if (a->pool.in_use == b->pool.in_use && a->pool.available == b->pool.available &&
        a->memory == b->memory)
        return true;
    tap_note("pool %lu used %lu free, %lu pages; then %lu, %lu, %lu", a->pool.in_use,
             a->pool.available, a->memory, b->pool.in_use, b->pool.available, b->memory);
    return false;
}

/* One life on real-mode code: OUT, HLT. True when all of it went as it should. */
static bool live(uint64_t *id)
{
    static const uint8_t code[] = {0xE6, STOP_PORT, 0xF4};
    struct hv_output_dispatch_vp output = {0};
    void *message = NULL, *registers = NULL;
    uint32_t dirty = 1;
    uint8_t *ram = pages_alloc(RAM_PAGES, PAGE_SIZE);
    bool layered = hypervisor_role() == ROLE_IS_LAYERED;
    memcpy(ram + 0x1000, code, sizeof(code));
    bool ok = child_create(HV_CREATE_EXO_PARTITION, id) == 0 && child_deposit(*id, 20) == 0 &&
              child_initialize(*id) == 0 &&
              child_map(*id, 0, page_of(ram), RAM_PAGES, CHILD_MAP_ALL) == 0 &&
              child_create_vp(*id, 0) == 0 && state_page_show(*id, 0, MESSAGE, &message) == 0 &&
              state_page_show(*id, 0, REGISTERS, &registers) == 0 &&
              child_set_segment(*id, 0, HV_REGISTER_ES + 1, 0x1000, 0xFFFF, 0x100, 0x9B) == 0 &&
              child_set(*id, 0, HV_REGISTER_RIP, 0, 0) == 0 &&
              child_set(*id, 0, HV_REGISTER_EXPLICIT_SUSPEND, 0, 0) == 0;
    do /* a physical interrupt may end it first */
        ok = ok && child_dispatch(*id, 0, 1, &output) == 0;
    while (ok && output.event == HV_DISPATCH_EVENT_NONE);
    const struct hv_message *m = message;
    ok = ok && m->header.type == HV_MESSAGE_IO_PORT && m->payload.io.port == STOP_PORT;
    ok = child_finalize(*id) == 0 && ok; /* takes the VP and its pages along */
    child_withdraw_all(*id, &dirty);
    ok = child_delete(*id) == 0 && dirty == 0 && ok;
    if (layered && message != NULL)
        page_free(message);
    if (layered && registers != NULL)
        page_free(registers);
    pages_free(ram, RAM_PAGES);
    return ok;
}

static void lives(void)
{
    struct sums before, after;
    uint64_t id, last = 0;
    unsigned good = 0;
    live(&id); /* leaves tables that our own map needs */
    take_sums(&before);
    for (unsigned n = 0; n < ROUNDS; n++) {
        good += live(&id) && id > last;
        last = id;
    }
    take_sums(&after);
    tap_equal(good, ROUNDS,
              "%u times created, run to its OUT and destroyed, with a new id each time", ROUNDS);
    tap_ok(same(&before, &after), "nothing has leaked: pools and memory are as before");
}

/* ---- state pages that come and go under a VP that is being dispatched */

static struct child c;
static volatile bool stop;
static volatile uint64_t dispatches;

static void dispatch_again_and_again(void *argument)
{
    (void)argument;
    struct hv_output_dispatch_vp output;
    while (!stop && child_dispatch(c.id, 0, 1, &output) == HV_STATUS_SUCCESS)
        dispatches++;
}

static void coming_and_going(void)
{
    static const uint8_t code[] = {0x48, 0xFF, 0xC0, 0xE6,
                                   STOP_PORT}; /* inc rax, OUT: stays there */
    struct hv_output_memory_balance before, after;
    bool ok = true;
    child_open(&c, 1, CHILD_MAP_ALL);
    child_load(&c, CHILD_CODE, code, code + sizeof(code));
    child_enter_long(&c, 0, CHILD_CODE);
    bool layered = hypervisor_role() == ROLE_IS_LAYERED;
    gpn_t places[2] = {page_of(c.vps[0].registers), page_of(c.vps[0].message)}, where;
    uint8_t flags = layered ? HV_MAP_LOCATION_PROVIDED : 0;
    child_balance(c.id, &before);
    stop = false;
    cpu_run(1, dispatch_again_and_again, NULL);
    while (dispatches < 10)
        cpu_relax();
    uint64_t first = dispatches;
    for (unsigned n = 0; n < MAP_ROUNDS; n++) {
        uint16_t type = n & 1;
        ok &= state_page_unmap_call(c.id, 0, type) == HV_STATUS_SUCCESS;
        ok &= state_page_map(c.id, 0, type, flags, places[type], &where) == HV_STATUS_SUCCESS;
        ok &= where == places[type];
    }
    uint64_t during = dispatches - first;
    stop = true;
    cpu_wait(1);
    child_balance(c.id, &after);
    const struct hv_register_page *page = c.vps[0].registers;
    tap_ok(ok,
           "%u times a state page is unmapped and mapped while the VP is dispatched again and "
           "again (%lu times)",
           MAP_ROUNDS, during);
    tap_ok(page->version == 1 && page->is_valid == 1 && page->gpr[0] == 1 &&
               c.vps[0].message->header.type == HV_MESSAGE_IO_PORT,
           "in the end both pages show the stopped VP");
    tap_ok(before.in_use == after.in_use && before.available == after.available,
           "the child's balance is as before");
    tap_ok(child_close(&c), "the child is gone, every page zeroed");
}

/* Another processor creates and destroys at the same time. */
static void live_there(void *argument)
{
    uint64_t id;
    uint32_t *good = argument;
    for (unsigned n = 0; n < ROUNDS / 4; n++)
        *good += live(&id);
}

static uint32_t good_lives[MAX_CPUS];

static void live_on_each(void *argument)
{
    (void)argument;
    live_there(&good_lives[this_cpu()->index]);
}

static void lives_everywhere(void)
{
    struct sums before, after;
    uint32_t good = 0;
    cpu_call_all(live_on_each, NULL); /* each processor's pages and our map's tables */
    memset(good_lives, 0, sizeof(good_lives));
    take_sums(&before);
    cpu_call_all(live_on_each, NULL);
    take_sums(&after);
    for (uint32_t n = 0; n < cpu_count; n++)
        good += good_lives[n];
    tap_equal(good, ROUNDS / 4 * cpu_count, "%u lives on each of %u processors at once", ROUNDS / 4,
              cpu_count);
    tap_ok(before.memory == after.memory &&
               before.pool.in_use + before.pool.available ==
                   after.pool.in_use + after.pool.available &&
               after.pool.in_use <= before.pool.in_use + cpu_count,
           "nothing has leaked but tables for pages that were never split before (%lu)",
           after.pool.in_use - before.pool.in_use);
}

void test_rounds(void)
{
    lives();
    if (cpu_count < 2) {
        tap_skip("lives and state pages under the eyes of another processor: one processor here");
        return;
    }
    lives_everywhere();
    coming_and_going();
}
