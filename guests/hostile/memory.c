/* SPDX-License-Identifier: MIT */
/* Memory that is not ours: the hypervisor's, and what was given away. */
#include "guests/hostile/hostile.h"

#define SAMPLES 12

bool find_hypervisor(uint64_t *start, uint64_t *end)
{
    for (uint32_t n = 0; n < machine.range_count; n++) {
        const struct ram_range *r = &machine.ranges[n];
        if (r->type == 1 || r->start < MIB(1) || r->end > GIB(4) || r->end - r->start < MIB(8))
            continue;
        if (!machine_is_ram(r->start - PAGE_SIZE, PAGE_SIZE))
            continue;
        *start = r->start;
        *end = r->start + MIB(8); /* firmware's own may follow without a gap */
        return r->end >= *end;
    }
    return false;
}

static void read_it(void *at)
{
    (void)*(volatile uint8_t *)at;
}

static void write_it(void *at)
{
    *(volatile uint8_t *)at = 0xCC;
}

static void lock_it(void *at)
{
    __asm__ volatile("lock; incl (%0)" : : "r"(at) : "memory");
}

static void run_it(void *at)
{
    __asm__ volatile("call *%0" : : "r"(at) : "memory");
}

static bool is_refused(void (*access)(void *), uint64_t gpa)
{
    struct trap trap = {0};
    if (try_call(access, (void *)gpa, &trap)) {
        tap_note("an access to 0x%lx went through", gpa);
        return false;
    }
    if (trap.vector != VECTOR_GP || trap.error != 0)
        tap_note("an access to 0x%lx raised %s(0x%x)", gpa, trap_name(trap.vector), trap.error);
    return trap.vector == VECTOR_GP && trap.error == 0;
}

static void hypervisor_memory(uint64_t start, uint64_t end)
{
    static const struct {
        void (*access)(void *);
        const char *name;
    } accesses[] = {{read_it, "reads"},
                    {write_it, "writes"},
                    {lock_it, "locked read-modify-writes"},
                    {run_it, "execution"}};
    uint64_t step = align_down((end - start) / SAMPLES, PAGE_SIZE);
    for (unsigned n = 0; n < ARRAY_SIZE(accesses); n++) {
        bool ok = is_refused(accesses[n].access, end - PAGE_SIZE);
        for (uint64_t at = start; at < end; at += step)
            ok &= is_refused(accesses[n].access, at);
        tap_ok(ok, "%s of the hypervisor's memory, 0x%lx..0x%lx: #GP(0)", accesses[n].name, start,
               end);
    }
    /* a page table of our own that lies there: the processor's walk meets it */
    uint64_t gva = 0x400000000000;
    map_page(gva, start, PTE_PRESENT | PTE_WRITABLE);
    tap_ok(is_refused(read_it, gva), "the same through another linear address: #GP(0)");
}

static void hypervisor_in_calls(uint64_t start)
{
    gpn_t gpn = start >> PAGE_SHIFT;
    uint64_t id = 0;
    tap_status(hv_status(hypercall(HVCALL_GET_PARTITION_ID, 0, start)), HV_STATUS_INVALID_PARAMETER,
               "hypercall output into the hypervisor's memory");
    tap_status(hv_status(hypercall(HVCALL_UNMAP_VP_STATE_PAGE, start, 0)),
               HV_STATUS_INVALID_PARAMETER, "hypercall input from the hypervisor's memory");
    uint64_t self = HV_PARTITION_ID_SELF;
    if (hypervisor_role() == ROLE_IS_GUEST) {
        tap_skip("calls that take pages: role guest");
        return;
    }
    tap_status(hv_call_rep(HVCALL_DEPOSIT_MEMORY, &self, 8, &gpn, 8, 1, NULL, 0, NULL),
               HV_STATUS_INVALID_PARAMETER, "DepositMemory of a page of the hypervisor's");
    child_create(HV_CREATE_EXO_PARTITION, &id);
    child_initialize(id);
    tap_status(child_map(id, 0, gpn, 1, CHILD_MAP_ALL), HV_STATUS_INVALID_PARAMETER,
               "MapGpaPages of a page of the hypervisor's");
    gpn_t large = align_up(gpn, PAGES_2M) - PAGES_2M; /* may begin in our RAM */
    tap_status(child_map(id, 0, large, PAGES_2M, CHILD_MAP_ALL | HV_MAP_LARGE_PAGE),
               (gpn & (PAGES_2M - 1)) == 0 && large + PAGES_2M <= gpn ? HV_STATUS_SUCCESS
                                                                      : HV_STATUS_INVALID_PARAMETER,
               "MapGpaPages of the large page below, or of one that reaches into it");
    child_finalize(id);
    child_withdraw_all(id, NULL);
    child_delete(id);
}

/* A state page there shows our page and nothing of the hypervisor's. */
static void overlay_there(uint64_t start)
{
    uint16_t status = state_page_map(HV_PARTITION_ID_SELF, 0, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE,
                                     HV_MAP_LOCATION_PROVIDED, start >> PAGE_SHIFT, NULL);
    if (status == HV_STATUS_SUCCESS) {
        uint8_t any = 0;
        for (unsigned n = 0; n < PAGE_SIZE; n++)
            any |= ((volatile uint8_t *)start)[n];
        tap_equal(any, 0, "a state page over that range shows the zeroed state page");
        state_page_unmap_call(HV_PARTITION_ID_SELF, 0, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE);
    } else {
        tap_status(status, HV_STATUS_INVALID_PARAMETER, "a state page over that range");
    }
    tap_ok(is_refused(read_it, start), "and afterwards a read there is #GP(0)");
}

/* A deposited page is not reachable until it is withdrawn. */
static void deposited(void)
{
    uint64_t id = 0;
    uint64_t *page = page_alloc();
    gpn_t gpn = page_of(page);
    if (hypervisor_role() == ROLE_IS_GUEST)
        return;
    page[0] = 0x5EC2E7;
    child_create(HV_CREATE_EXO_PARTITION, &id);
    tap_status(hv_call_rep(HVCALL_DEPOSIT_MEMORY, &id, 8, &gpn, 8, 1, NULL, 0, NULL),
               HV_STATUS_SUCCESS, "a page is deposited");
    tap_ok(is_refused(read_it, (uint64_t)page) && is_refused(write_it, (uint64_t)page),
           "a deposited page: reads and writes are #GP(0)");
    tap_status(hv_call_rep(HVCALL_DEPOSIT_MEMORY, &id, 8, &gpn, 8, 1, NULL, 0, NULL),
               HV_STATUS_INVALID_PARAMETER, "deposited once more");
    tap_status(hv_status(hypercall(HVCALL_GET_PARTITION_ID, 0, (uint64_t)page)),
               HV_STATUS_INVALID_PARAMETER, "hypercall output into it");
    child_withdraw_all(id, NULL);
    child_delete(id);
    tap_equal(((volatile uint64_t *)page)[2], 0, "withdrawn, it is zeroed");
}

/* Far above everything: whatever answers, nothing breaks. */
static void beyond(void)
{
    unsigned width = cpuid(0x80000008, 0).eax & 0xFF;
    uint64_t last = (1UL << (width < 47 ? width : 47)) - PAGE_SIZE;
    uint64_t places[] = {align_up(machine_memory_end(), MIB(2)) + GIB(64), last};
    for (unsigned n = 0; n < ARRAY_SIZE(places); n++) {
        identity_map(places[n], PAGE_SIZE);
        bool went = try_call(read_it, (void *)places[n], NULL);
        tap_ok(true, "a read of the hole at 0x%lx %s and the run goes on", places[n],
               went ? "finds nothing there" : "is refused");
    }
}

void test_memory(void)
{
    uint64_t start, end;
    if (find_hypervisor(&start, &end)) {
        hypervisor_memory(start, end);
        hypervisor_in_calls(start);
        overlay_there(start);
    } else {
        tap_ok(false, "the memory map shows the range that the hypervisor keeps");
    }
    deposited();
    beyond();
}
