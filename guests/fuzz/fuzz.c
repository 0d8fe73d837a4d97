/* SPDX-License-Identifier: MIT */
/*
 * Seeded random hypercalls on all processors at once. Most are valid but for a
 * detail, because nonsense is refused too early to reach anything. Command
 * line: seed=N (from the TSC when missing; printed), calls=N (100000, shared out
 * to the processors). What a processor calls depends on the seed, its number and
 * the answers that it got.
 */
#include "guests/fuzz/fuzz.h"

struct arena arena;

#define TIMER_VECTOR 0x60
#define MAX_STATUS   0x80

static struct fuzzer fuzzers[MAX_CPUS];

uint64_t fuzz_random(struct fuzzer *f)
{
    uint64_t x = f->state; /* xorshift64* */
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    f->state = x;
    return x * 0x2545F4914F6CDD1DUL;
}

uint64_t fuzz_below(struct fuzzer *f, uint64_t limit)
{
    return (fuzz_random(f) >> 16) % limit;
}

bool fuzz_one_in(struct fuzzer *f, uint64_t n)
{
    return fuzz_below(f, n) == 0;
}

/* Something that boundary checks are about. */
uint64_t fuzz_wild(struct fuzzer *f)
{
    static const uint64_t edges[] = {
        0,         1,         2,          7,           8,         0xFF,       0xFFF,
        0x1000,    0xFFFF,    0xFFFFFFFF, 0x100000000, 1UL << 39, 1UL << 47,  1UL << 51,
        1UL << 52, 1UL << 62, 1UL << 63,  ~0UL,        ~0UL >> 1, ~0UL >> 12, 0xFEE00,
    };
    switch (fuzz_below(f, 3)) {
    case 0:
        return edges[fuzz_below(f, ARRAY_SIZE(edges))];
    case 1:
        return 1UL << fuzz_below(f, 64);
    default:
        return fuzz_random(f);
    }
}

static void on_timer(struct trap_frame *frame)
{
    (void)frame;
    apic_eoi();
}

static void start_timer(void *argument)
{
    (void)argument;
    apic_enable();
    apic_write(APIC_TIMER_DIVIDE, 0xB);
    apic_write(APIC_LVT_TIMER, TIMER_VECTOR | 1 << 17); /* periodic: a child may spin */
    apic_write(APIC_TIMER_INITIAL, 300000);
}

static void stop_timer(void *argument)
{
    (void)argument;
    apic_write(APIC_LVT_TIMER, 1 << 16);
    apic_write(APIC_TIMER_INITIAL, 0);
    interrupts_enable();
    __asm__ volatile("nop; nop");
    interrupts_disable();
}

static void fuzz(void *argument)
{
    (void)argument;
    struct fuzzer *f = &fuzzers[this_cpu()->index];
    for (f->made = 0; f->made < f->calls; f->made++) {
        struct fuzz_call call;
        fuzz_make_call(f, &call);
        interrupts_enable();
        uint64_t result = hypercall(call.control, call.input, call.output);
        interrupts_disable();
        uint32_t status = (uint32_t)result & 0xFFFF;
        if ((result & 0xFFFFF000FFFF0000UL) != 0 || status >= MAX_STATUS)
            f->bad_results++;
        else
            f->statuses[status]++;
        fuzz_learn(f, &call, status);
    }
}

/* Ends every child of ours, as deep as the tree goes for us: one level. */
static bool end_children(void)
{
    struct hv_input_next_child input = {.parent_id = HV_PARTITION_ID_SELF};
    uint64_t id;
    bool ok = true;
    while (hv_call(HVCALL_GET_NEXT_CHILD_PARTITION, &input, sizeof(input), &id, sizeof(id)) ==
               HV_STATUS_SUCCESS &&
           id != 0) {
        uint32_t dirty;
        child_finalize(id); /* one that was never initialized says INVALID_PARTITION_STATE */
        child_withdraw_all(id, &dirty);
        uint16_t status = child_delete(id);
        if (status != HV_STATUS_SUCCESS || dirty != 0)
            tap_note("partition %lu: %u dirty pages, DeletePartition %s", id, dirty,
                     status_name(status));
        ok &= status == HV_STATUS_SUCCESS && dirty == 0;
        if (status != HV_STATUS_SUCCESS)
            break;
    }
    return ok;
}

/* Pages of the arena that we cannot read and write any more. */
static uint64_t arena_pages_missing(void)
{
    uint64_t missing = 0;
    for (uint64_t n = 0; n < ARENA_PAGES; n++)
        missing += !try_call(touch_page, arena.start + n * PAGE_SIZE, NULL);
    return missing;
}

void touch_page(void *page)
{
    volatile uint64_t *word = page;
    *word = 0x5EED;
    if (*word != 0x5EED)
        __asm__ volatile("ud2");
}

static void print_statuses(void)
{
    for (uint32_t status = 0; status < MAX_STATUS; status++) {
        uint64_t count = 0;
        for (uint32_t n = 0; n < cpu_count; n++)
            count += fuzzers[n].statuses[status];
        if (count != 0)
            tap_note("%lu times %s", count, status_name(status));
    }
}

static void clean_up(const struct hv_output_memory_balance *before)
{
    struct hv_output_memory_balance after;
    uint64_t kept = 0;
    for (uint32_t vp = 0; vp < cpu_count; vp++) {
        state_page_unmap_call(HV_PARTITION_ID_SELF, vp, HV_VP_STATE_PAGE_REGISTERS);
        state_page_unmap_call(HV_PARTITION_ID_SELF, vp, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE);
    }
    if (hypervisor_role() != ROLE_IS_GUEST) {
        tap_ok(end_children(), "every child that is left ends, its pages come back zeroed");
        child_withdraw_all(HV_PARTITION_ID_SELF, NULL);
        child_balance(HV_PARTITION_ID_SELF, &after);
        /* tables that splits needed stay with the map */
        kept = after.available + after.in_use - before->available - before->in_use;
        tap_note("pool of the caller: in use before %lu, after %lu", before->in_use, after.in_use);
    }
    tap_equal(arena_pages_missing(), kept,
              "every page of the arena is the guest's again, but for those that it deposited for "
              "itself and that its tables hold");
    tap_ok(kept < 64, "and those are few: %lu", kept);
}

void guest_main(void)
{
    uint64_t seed = option_number("seed", rdtsc() & 0xFFFFFFFF);
    uint64_t calls = option_number("calls", 100000);
    struct hv_output_memory_balance before = {0};
    hypercall_init();
    cpu_start_all();
    print("# seed=%lu calls=%lu, %u processors\n", seed, calls, cpu_count);
    if (hypervisor_role() != ROLE_IS_GUEST)
        child_balance(HV_PARTITION_ID_SELF, &before);
    arena.start = (uint8_t *)pages_alloc(ARENA_PAGES, MIB(2));
    trap_set_handler(TIMER_VECTOR, on_timer);
    cpu_call_all(start_timer, NULL);
    for (uint32_t n = 0; n < cpu_count; n++) {
        struct fuzzer *f = &fuzzers[n];
        f->state = (seed + 1) * 0x9E3779B97F4A7C15UL + n * 0xD1B54A32D192ED03UL;
        f->calls = calls / cpu_count;
        f->input = page_alloc();
        f->output = page_alloc();
    }
    cpu_call_all(fuzz, NULL);
    cpu_call_all(stop_timer, NULL);
    uint64_t made = 0, bad = 0, good = 0;
    for (uint32_t n = 0; n < cpu_count; n++) {
        made += fuzzers[n].made;
        bad += fuzzers[n].bad_results;
        good += fuzzers[n].statuses[0];
    }
    print_statuses();
    tap_ok(made >= calls - cpu_count, "%lu random hypercalls were answered (seed=%lu)", made, seed);
    tap_equal(bad, 0, "every result word has a known status and zero reserved bits");
    if (hypervisor_role() == ROLE_IS_GUEST)
        tap_skip("role guest: most calls are denied");
    else
        tap_ok(good > made / 10, "more than a tenth of them succeeded (%lu)", good);
    clean_up(&before);
}
