/* SPDX-License-Identifier: MIT */
/*
 * No stale translation: while one processor reads a page without ever leaving
 * its guest, another maps over it, unmaps and remaps. After such a call has
 * returned nobody sees the old page. Then several map and unmap one state page
 * at once. Command line: loops=N (10000), seconds=N (60): a part ends after that
 * time with fewer loops, which happens where an emulator has fewer host
 * processors than it shows.
 */
#include "guests/lib/child.h"
#include "guests/lib/guest.h"

#define MARK_OFFSET 0xF00 /* zero in every state page */
#define MARK        0xA5A5F00DA5A5F00DUL

/* A reader that is not given a processor by the emulator is not waited for longer than this. */
#define LET_READ_SPINS 2000

/*
 * What mapper and readers share. The mapper makes `phase` odd before a change
 * and even after it; bit 1 of an even phase says which of the two pages shows.
 * A reader that sees one even phase on both sides of its read must have read
 * that page.
 */
struct shared {
    volatile uint64_t phase;
    volatile uint64_t *place;
    uint64_t expected[2];
    volatile bool stop;
    struct reader {
        volatile uint64_t reads, checked, wrong, wrong_value;
    } readers[MAX_CPUS];
};
static struct shared shared;

static uint64_t deadline; /* reference time, in 100 ns */

static void begin_part(void)
{
    deadline = rdmsr(HV_MSR_TIME_REF_COUNT) + option_number("seconds", 60) * 10000000;
}

static bool time_left(void)
{
    return rdmsr(HV_MSR_TIME_REF_COUNT) < deadline;
}

static void read_forever(void *argument)
{
    struct reader *r = argument;
    while (!shared.stop) {
        uint64_t before = shared.phase;
        uint64_t value = *shared.place;
        uint64_t after = shared.phase;
        r->reads++;
        if (before != after || (before & 1))
            continue;
        r->checked++;
        if (value != shared.expected[before >> 1 & 1]) {
            r->wrong++;
            r->wrong_value = value;
        }
    }
}

static void start_readers(void)
{
    for (uint32_t n = 1; n < cpu_count; n++) {
        shared.readers[n] = (struct reader){0};
        cpu_run(n, read_forever, &shared.readers[n]);
    }
    for (uint32_t n = 1; n < cpu_count; n++) {
        while (shared.readers[n].checked < 10)
            cpu_relax();
    }
}

static void stop_readers(const char *what, uint64_t loops)
{
    shared.stop = true;
    for (uint32_t n = 1; n < cpu_count; n++)
        cpu_wait(n);
    shared.stop = false;
    uint64_t checked = 0, wrong = 0;
    for (uint32_t n = 1; n < cpu_count; n++) {
        checked += shared.readers[n].checked;
        wrong += shared.readers[n].wrong;
        if (shared.readers[n].wrong != 0)
            tap_note("processor %u read 0x%lx", n, shared.readers[n].wrong_value);
    }
    tap_equal(wrong, 0, "%s %lu times: no read of %lu saw the page that was not there any more",
              what, loops, checked);
}

/* Lets every reader do a few reads in this phase. */
static void let_read(void)
{
    for (uint32_t n = 1; n < cpu_count; n++) {
        uint64_t seen = shared.readers[n].checked;
        for (unsigned spins = 0; spins < LET_READ_SPINS && shared.readers[n].checked < seen + 2;
             spins++)
            cpu_relax();
    }
}

static bool change(uint16_t status, uint64_t next)
{
    shared.phase = next;
    let_read();
    return status == HV_STATUS_SUCCESS;
}

/* A state page of the calling VP over a page of RAM and away again. */
static void overlay_over_ram(uint64_t loops)
{
    uint64_t *ram = page_alloc();
    bool ok = true;
    ram[MARK_OFFSET / 8] = MARK;
    shared.phase = 0;
    shared.place = &ram[MARK_OFFSET / 8];
    shared.expected[0] = MARK;
    shared.expected[1] = 0;
    start_readers();
    uint64_t n;
    begin_part();
    for (n = 0; n < loops && ok && time_left(); n++) {
        shared.phase = 1;
        ok = change(state_page_map(HV_PARTITION_ID_SELF, 0, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE,
                                   HV_MAP_LOCATION_PROVIDED, page_of(ram), NULL),
                    2);
        shared.phase = 3;
        ok &= change(
            state_page_unmap_call(HV_PARTITION_ID_SELF, 0, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE), 0);
    }
    tap_ok(ok, "every MapVpStatePage and UnmapVpStatePage succeeded");
    stop_readers("a state page mapped over RAM and unmapped", n);
    tap_equal(ram[MARK_OFFSET / 8], MARK, "the RAM underneath is back, unchanged");
    page_free(ram);
}

/* The same inside a large page that an overlay splits. */
static void overlay_over_large_page(uint64_t loops)
{
    uint8_t *large = pages_alloc(PAGES_2M, MIB(2));
    uint64_t *ram = (uint64_t *)(large + MIB(1));
    bool ok = true;
    ram[MARK_OFFSET / 8] = MARK + 1;
    shared.phase = 0;
    shared.place = &ram[MARK_OFFSET / 8];
    shared.expected[0] = MARK + 1;
    start_readers();
    uint64_t n;
    begin_part();
    for (n = 0; n < loops && ok && time_left(); n++) {
        shared.phase = 1;
        ok = change(state_page_map(HV_PARTITION_ID_SELF, 0, HV_VP_STATE_PAGE_REGISTERS,
                                   HV_MAP_LOCATION_PROVIDED, page_of(ram), NULL),
                    2);
        shared.phase = 3;
        ok &= change(state_page_unmap_call(HV_PARTITION_ID_SELF, 0, HV_VP_STATE_PAGE_REGISTERS), 0);
    }
    tap_ok(ok, "every call about the page in a large page succeeded");
    stop_readers("a register page mapped into a 2 MiB page and unmapped", n);
    pages_free(large, PAGES_2M);
}

/* The child's loop: the same protocol as read_forever, see spin.asm. */
extern const uint8_t child_reader[], child_reader_end[];
struct child_shared { /* at CHILD_DATA, offsets known to spin.asm */
    volatile uint64_t phase;
    uint64_t expected[2];
    volatile uint64_t checked, wrong_value;
};
#define CHILD_PLACE 0x600000UL

static struct child child;

static void run_child(void *argument)
{
    *(volatile uint32_t *)argument = child_run(&child, 0);
}

/* A child that never exits, while its parent maps now one page and now another at one GPA. */
static void remap_under_child(uint64_t loops)
{
    volatile uint32_t stopped = 0;
    uint64_t *pages[2] = {page_alloc(), page_alloc()};
    bool ok = true;
    child_open(&child, 1, CHILD_MAP_ALL);
    struct child_shared *s = (struct child_shared *)(child.memory + CHILD_DATA);
    for (unsigned which = 0; which < 2; which++)
        pages[which][0] = s->expected[which] = MARK + which;
    child_load(&child, CHILD_CODE, child_reader, child_reader_end);
    child_enter_long(&child, 0, CHILD_CODE);
    child_map(child.id, CHILD_PLACE >> 12, page_of(pages[0]), 1, CHILD_MAP_ALL);
    cpu_run(1, run_child, (void *)&stopped);
    uint64_t n;
    begin_part();
    for (n = 0; n < loops && ok && s->wrong_value == 0 && time_left(); n++) {
        unsigned which = (n + 1) & 1;
        s->phase = which ? 1 : 3;
        ok = child_map(child.id, CHILD_PLACE >> 12, page_of(pages[which]), 1, CHILD_MAP_ALL) ==
             HV_STATUS_SUCCESS;
        s->phase = which ? 2 : 0;
        uint64_t seen = s->checked;
        for (unsigned spins = 0; spins < LET_READ_SPINS && s->checked < seen + 2; spins++)
            cpu_relax();
    }
    uint64_t checked = s->checked;
    child_set(child.id, 0, HV_REGISTER_EXPLICIT_SUSPEND, 1, 0);
    cpu_wait(1);
    tap_ok(ok, "every MapGpaPages under a running child succeeded");
    tap_equal(stopped, CHILD_STOP_SUSPENDED, "the child ran without a stop until it was suspended");
    tap_equal(s->wrong_value, 0,
              "one GPA of a running child mapped anew %lu times: it read %lu times, never the old "
              "page",
              n, checked);
    tap_ok(child_close(&child), "the child is gone, every page zeroed");
    page_free(pages[0]);
    page_free(pages[1]);
}

struct contender {
    uint64_t loops;
    gpn_t places[2];
    volatile uint64_t mapped, unmapped, refused, strange;
    uint32_t seed;
    volatile uint16_t strange_status;
};

/* Maps and unmaps the one page as often as it can; losing the race has two good statuses. */
static void contend(void *argument)
{
    struct contender *c = argument;
    for (uint64_t n = 0; n < c->loops && time_left(); n++) {
        c->seed = c->seed * 1664525 + 1013904223;
        gpn_t place = c->places[c->seed >> 30 & 1];
        uint16_t status = state_page_map(HV_PARTITION_ID_SELF, 0, HV_VP_STATE_PAGE_REGISTERS,
                                         HV_MAP_LOCATION_PROVIDED, place, NULL);
        if (status == HV_STATUS_SUCCESS)
            c->mapped++;
        else if (status == HV_STATUS_OPERATION_DENIED)
            c->refused++;
        else
            c->strange++, c->strange_status = status;
        status = state_page_unmap_call(HV_PARTITION_ID_SELF, 0, HV_VP_STATE_PAGE_REGISTERS);
        if (status == HV_STATUS_SUCCESS)
            c->unmapped++;
        else if (status == HV_STATUS_NOT_FOUND)
            c->refused++;
        else
            c->strange++, c->strange_status = status;
    }
}

static void all_at_once(uint64_t loops)
{
    static struct contender contenders[MAX_CPUS];
    struct hv_output_memory_balance before, after;
    uint64_t *ram[2] = {page_alloc(), page_alloc()}, mapped = 0, unmapped = 0, strange = 0;
    memset(ram[0], 0x11, PAGE_SIZE);
    memset(ram[1], 0x22, PAGE_SIZE);
    child_balance(HV_PARTITION_ID_SELF, &before);
    begin_part();
    for (uint32_t n = 0; n < cpu_count; n++)
        contenders[n] = (struct contender){
            .loops = loops, .places = {page_of(ram[0]), page_of(ram[1])}, .seed = n};
    for (uint32_t n = 1; n < cpu_count; n++)
        cpu_run(n, contend, &contenders[n]);
    contend(&contenders[0]);
    for (uint32_t n = 0; n < cpu_count; n++) {
        if (n != 0)
            cpu_wait(n);
        mapped += contenders[n].mapped;
        unmapped += contenders[n].unmapped;
        strange += contenders[n].strange;
        if (contenders[n].strange)
            tap_note("processor %u got %s", n, status_name(contenders[n].strange_status));
    }
    tap_equal(strange, 0,
              "%u processors map and unmap one page at once: only SUCCESS, "
              "OPERATION_DENIED and NOT_FOUND",
              cpu_count);
    tap_equal(mapped, unmapped, "every page that was mapped was unmapped once");
    child_balance(HV_PARTITION_ID_SELF, &after);
    tap_ok(before.available == after.available && before.in_use == after.in_use,
           "the pool's balance is what it was");
    bool same = true;
    for (unsigned n = 0; n < PAGE_SIZE; n++)
        same &= ((uint8_t *)ram[0])[n] == 0x11 && ((uint8_t *)ram[1])[n] == 0x22;
    tap_ok(same, "the RAM under both places is back, unchanged");
    page_free(ram[0]);
    page_free(ram[1]);
}

void guest_main(void)
{
    uint64_t loops = option_number("loops", 10000);
    hypercall_init();
    if (cpu_start_all() < 2) {
        tap_skip("stale translations: one processor here");
        return;
    }
    tap_note("%u processors", cpu_count);
    overlay_over_ram(loops);
    overlay_over_large_page(loops / 10 + 1);
    if (hypervisor_role() == ROLE_IS_GUEST)
        tap_skip("children: role guest may not create any");
    else
        remap_under_child(loops);
    all_at_once(loops / 5 + 1);
}
