/* SPDX-License-Identifier: MIT */
/*
 * What an exit costs, in TSC ticks. On Bochs, and on QEMU with an instruction
 * count, a tick is one instruction, and two runs agree to the digit. Each
 * figure is printed as "bench: NAME TICKS": one round trip in this guest's
 * view, its loop included. With the word "trace" on its command line it prints
 * "trace: NAME ROUNDS" instead and puts some warm round trips between two
 * XCHG BX, BX, where Bochs's debugger starts and ends its list of instructions.
 */
#include "guests/bench/bench.h"

#define ROUNDS 10000
#define TIMES  1000 /* of what takes longer */
#define WARM   100  /* before what is traced */
#define TRACED 10

static uint64_t per_round(uint64_t ticks, uint64_t rounds)
{
    return (ticks + rounds / 2) / rounds;
}

static void report(const char *name, uint64_t ticks, uint64_t rounds)
{
    print("bench: %s %lu\n", name, per_round(ticks, rounds));
}

/* The first rounds warm up: what is done once is not in the list. */
static void trace(const char *name, void (*rounds)(uint64_t rounds))
{
    rounds(WARM);
    print("trace: %s %u\n", name, TRACED);
    bench_break();
    rounds(TRACED);
    bench_break();
}

static void hypercalls(uint64_t rounds)
{
    bench_hypercalls(rounds, HVCALL_GET_PARTITION_ID, (uint64_t)hv_output_page());
}

static void measure_hypercall(void)
{
    uint64_t start = rdtsc();
    hypercalls(ROUNDS);
    uint64_t ticks = rdtsc() - start;
    tap_ok(*(uint64_t *)hv_output_page() != 0, "GetPartitionId answers");
    report("hypercall", ticks, ROUNDS);
}

static void measure_cpuid(void)
{
    uint64_t start = rdtsc();
    bench_cpuids(ROUNDS);
    report("cpuid", rdtsc() - start, ROUNDS);
}

static void measure_rdmsr(void)
{
    uint64_t start = rdtsc();
    bench_rdmsrs(ROUNDS, MSR_APIC_BASE);
    report("rdmsr", rdtsc() - start, ROUNDS);
}

/* A bare loop around nothing: what the figures above contain beside the exit. */
static void measure_loop(void)
{
    uint64_t start = rdtsc();
    bench_nothing(ROUNDS);
    report("loop", rdtsc() - start, ROUNDS);
}

static void measure_state_page(void)
{
    struct hv_input_map_vp_state_page *map = hv_input_page();
    uint64_t page = (uint64_t)page_alloc();
    uint64_t input = (uint64_t)map, output = (uint64_t)hv_output_page();
    struct hv_input_map_vp_state_page in = {
        .partition_id = HV_PARTITION_ID_SELF,
        .vp_index = HV_VP_INDEX_SELF,
        .type = HV_VP_STATE_PAGE_INTERCEPT_MESSAGE,
        .flags = HV_MAP_LOCATION_PROVIDED,
        .requested_map_location = page >> PAGE_SHIFT,
    };
    uint64_t map_ticks = 0, unmap_ticks = 0;
    bool good = true;
    for (unsigned n = 0; n <= TIMES; n++) { /* the first round splits the large page */
        *map = in;
        uint64_t start = rdtsc();
        uint64_t mapped = hypercall(HVCALL_MAP_VP_STATE_PAGE, input, output);
        uint64_t middle = rdtsc();
        map->flags = 0;
        uint64_t unmapped = hypercall(HVCALL_UNMAP_VP_STATE_PAGE, input, 0);
        uint64_t end = rdtsc();
        good = good && mapped == 0 && unmapped == 0;
        if (n != 0) {
            map_ticks += middle - start;
            unmap_ticks += end - middle;
        }
    }
    tap_ok(good, "0xE1 and 0xE2, %u times", TIMES);
    report("map-state-page", map_ticks, TIMES);
    report("unmap-state-page", unmap_ticks, TIMES);
    report("map-and-unmap", map_ticks + unmap_ticks, TIMES);
}

static uint64_t dispatch_input(const struct child *child)
{
    struct hv_input_dispatch_vp *in = hv_input_page();
    *in = (struct hv_input_dispatch_vp){
        .partition_id = child->id,
        .flags = HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND,
    };
    return (uint64_t)in;
}

/* The input page says whom. */
static void dispatches(uint64_t rounds)
{
    uint64_t input = (uint64_t)hv_input_page(), output = (uint64_t)hv_output_page();
    for (uint64_t n = 0; n < rounds; n++)
        hypercall(HVCALL_DISPATCH_VP, input, output);
}

/* The child sits on an OUT that nobody steps over. */
static void prepare_dispatch(struct child *child)
{
    child_load(child, CHILD_CODE, bench_out, bench_out_end);
    child_enter_long(child, 0, CHILD_CODE);
    tap_equal(child_run(child, 0), HV_MESSAGE_IO_PORT, "the child stops at its OUT");
    dispatch_input(child);
}

static void check_dispatch(void)
{
    const struct hv_output_dispatch_vp *out = hv_output_page();
    tap_equal(out->event, HV_DISPATCH_EVENT_INTERCEPT, "and each dispatch ends there");
}

static void measure_dispatch(struct child *child)
{
    prepare_dispatch(child);
    uint64_t start = rdtsc();
    dispatches(TIMES);
    uint64_t ticks = rdtsc() - start;
    check_dispatch();
    report("dispatch-io", ticks, TIMES);
}

/* The parent has written rip into the register page each time. */
static void measure_dirty_dispatch(struct child *child)
{
    prepare_dispatch(child);
    uint64_t input = (uint64_t)hv_input_page(), output = (uint64_t)hv_output_page();
    struct hv_register_page *page = child->vps[0].registers;
    uint64_t start = rdtsc();
    for (unsigned n = 0; n < TIMES; n++) {
        page->rip = CHILD_CODE;
        page->dirty = HV_DIRTY_RIP;
        hypercall(HVCALL_DISPATCH_VP, input, output);
    }
    uint64_t ticks = rdtsc() - start;
    check_dispatch();
    report("dispatch-dirty", ticks, TIMES);
}

static void trace_all(void)
{
    struct child child;
    child_open(&child, 1, CHILD_MAP_ALL);
    trace("hypercall", hypercalls);
    trace("cpuid", bench_cpuids);
    prepare_dispatch(&child);
    trace("dispatch-io", dispatches);
    check_dispatch();
    tap_ok(child_close(&child), "the child is gone");
}

/* The child reads the TSC, then an unmapped page; the parent reads the TSC when it is told. */
static void measure_touch(struct child *child)
{
    child_load(child, CHILD_CODE, bench_touch, bench_touch_end);
    child_enter_long(child, 0, CHILD_CODE);
    uint64_t input = dispatch_input(child), output = (uint64_t)hv_output_page();
    struct hv_register_page *page = child->vps[0].registers;
    uint64_t ticks = 0;
    bool good = true;
    for (unsigned n = 0; n < TIMES; n++) {
        hypercall(HVCALL_DISPATCH_VP, input, output);
        uint64_t now = rdtsc();
        struct hv_message *message = child->vps[0].message;
        good = good && message->header.type == HV_MESSAGE_UNMAPPED_GPA &&
               message->payload.memory.gpa == BENCH_UNMAPPED;
        ticks += now - (page->gpr[HV_RDX] << 32 | (uint32_t)page->gpr[HV_RAX]);
        page->rip = CHILD_CODE;
        page->dirty = HV_DIRTY_RIP;
    }
    tap_ok(good, "%u first touches of an unmapped page", TIMES);
    report("touch", ticks, TIMES);
}

void guest_main(void)
{
    hypercall_init();
    if (option_word("trace")) {
        trace_all();
        return;
    }
    if (!option_word("children-only")) {
        measure_loop();
        measure_hypercall();
        measure_cpuid();
        measure_rdmsr();
        measure_state_page();
    }
    if (hypervisor_role() == ROLE_IS_GUEST) {
        tap_skip("children: the role \"guest\" may not create any");
        return;
    }
    struct child child;
    child_open(&child, 1, CHILD_MAP_ALL);
    measure_dispatch(&child);
    measure_dirty_dispatch(&child);
    measure_touch(&child);
    tap_ok(child_close(&child), "the child is gone");
}
