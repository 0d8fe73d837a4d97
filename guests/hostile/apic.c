/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's page by instructions that a driver would not use, and storms of
 * INIT, start-up and NMI commands between the processors. Ends the use of all
 * processors but the first.
 */
#include "guests/hostile/hostile.h"

#define APIC_PAGE   0xFEE00000UL
#define STUB        0x9000UL /* page of a real-mode program: a start-up IPI's vector 9 */
#define STUB_COUNT  0x80     /* its counter */
#define NMI_ROUNDS  100
#define INIT_ROUNDS 50
#define WAIT_ROUNDS 20000 /* of half a millisecond: only something that hangs takes so long */

static volatile uint32_t *apic_at(uint32_t offset)
{
    return (volatile uint32_t *)(APIC_PAGE + offset);
}

/* ---- accesses */

static void write8(void *at)
{
    *(volatile uint8_t *)at = 0x20;
}

static void write16(void *at)
{
    *(volatile uint16_t *)at = 0x20;
}

static void write64(void *at)
{
    *(volatile uint64_t *)at = 0x20;
}

static void write32(void *at)
{
    *(volatile uint32_t *)at = 0x20;
}

static void string_store(void *at)
{
    uint64_t count = 1;
    __asm__ volatile("rep stosl" : "+D"(at), "+c"(count) : "a"(0x20) : "memory");
}

static void string_move(void *at)
{
    static const uint32_t value = 0x20;
    const uint32_t *from = &value;
    __asm__ volatile("movsl" : "+D"(at), "+S"(from) : : "memory");
}

static void sse_store(void *at)
{
    __asm__ volatile("movups %%xmm0, (%0)" : : "r"(at) : "memory");
}

static void compare_exchange(void *at)
{
    uint32_t old = 0;
    __asm__ volatile("lock cmpxchgl %2, (%1)" : "+a"(old) : "r"(at), "r"(0x20) : "memory");
}

static void push_there(void *at)
{
    __asm__ volatile("pushq %0; popq (%1)" : : "r"(0x20UL), "r"(at) : "memory");
}

static void call_there(void *at)
{
    __asm__ volatile("call *%0" : : "r"(at) : "memory");
}

static void accesses(void)
{
    static const struct {
        void (*access)(void *);
        uint32_t offset;
        const char *name;
    } list[] = {
        {write8, APIC_TPR, "an 8-bit write"},
        {write16, APIC_TPR, "a 16-bit write"},
        {write64, APIC_TPR, "a 64-bit write"},
        {string_store, APIC_TPR, "REP STOS"},
        {string_move, APIC_TPR, "MOVS"},
        {sse_store, APIC_TPR, "a 16-byte store"},
        {compare_exchange, APIC_TPR, "LOCK CMPXCHG"},
        {push_there, APIC_TPR, "POP to memory"},
        {write32, APIC_TPR + 2, "a write that is not aligned"},
        {write32, APIC_TPR + 4, "a write beside the register"},
        {write32, 0xFFE, "a write across the end of the page"},
        {write16, APIC_ICR_LOW, "a 16-bit write of the interrupt command"},
        {write64, APIC_ICR_LOW, "a 64-bit write of the interrupt command"},
        {call_there, APIC_TPR, "execution"},
    };
    for (unsigned n = 0; n < ARRAY_SIZE(list); n++) {
        struct trap trap = {0};
        uint32_t before = *apic_at(APIC_TPR);
        bool went = try_call(list[n].access, (void *)(APIC_PAGE + list[n].offset), &trap);
        uint32_t after = *apic_at(APIC_TPR);
        if (went || trap.vector != VECTOR_GP || trap.error != 0)
            tap_note("%s, TPR 0x%x", went ? "went through" : trap_name(trap.vector), after);
        tap_ok(!went && trap.vector == VECTOR_GP && trap.error == 0 && before == after,
               "the local APIC's page: %s is #GP(0), the register unchanged", list[n].name);
    }
    try_call(write32, (void *)(APIC_PAGE - 2), NULL); /* across its beginning: nobody's register */
    tap_equal(*apic_at(APIC_TPR), 0,
              "a write across the beginning of the page changes no register");
    try_call(write32, (void *)(APIC_PAGE + APIC_TPR), NULL);
    tap_equal(*apic_at(APIC_TPR), 0x20, "a plain 32-bit write is carried out");
    *apic_at(APIC_TPR) = 0;
}

/* ---- storms */

static volatile uint32_t nmis[MAX_CPUS];

static void on_nmi(struct trap_frame *frame)
{
    (void)frame;
    __atomic_add_fetch(&nmis[this_cpu()->index], 1, __ATOMIC_SEQ_CST);
}

static void send_nmis(void *argument)
{
    (void)argument;
    uint32_t self = this_cpu()->index;
    for (unsigned n = 0; n < NMI_ROUNDS; n++)
        for (uint32_t other = 0; other < cpu_count; other++)
            if (other != self)
                apic_send(cpus[other]->apic_id, APIC_ICR_NMI);
}

static void nmi_storm(void)
{
    bool all = true;
    trap_set_handler(VECTOR_NMI, on_nmi);
    cpu_call_all(send_nmis, NULL);
    for (unsigned n = 0; n < 100000; n++)
        cpu_relax();
    for (uint32_t n = 0; n < cpu_count; n++) {
        uint32_t most = NMI_ROUNDS * (cpu_count - 1);
        all &= nmis[n] > 0 && nmis[n] <= most;
        tap_note("processor %u: %u NMIs of %u sent", n, nmis[n], most);
    }
    tap_ok(all, "%u processors send each other NMIs: every one got some, none got more than sent",
           cpu_count);
}

static struct child c;
static volatile uint64_t dispatches;

static void spin_child(void *argument)
{
    (void)argument;
    struct hv_output_dispatch_vp output;
    for (;;) {
        if (child_dispatch(c.id, 0, HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND, &output) != 0)
            break;
        dispatches++;
    }
}

static volatile uint64_t *child_counter(void)
{
    return (volatile uint64_t *)(c.memory + CHILD_DATA);
}

static void open_spinning_child(void)
{
    static const uint8_t code[] = {0xF3, 0x90, 0x48, 0xFF, 0x04, 0x25,
                                   0,    0,    0x10, 0,    0xEB, 0xF4}; /* pause, inc, jmp */
    child_open(&c, 1, CHILD_MAP_ALL);
    child_load(&c, CHILD_CODE, code, code + sizeof(code));
    child_enter_long(&c, 0, CHILD_CODE);
    *child_counter() = 0;
}

/* NMIs at a processor that runs a child: each ends the dispatch and is the parent's. */
static void nmis_under_a_child(void)
{
    uint32_t before = nmis[1];
    for (unsigned n = 0; n < NMI_ROUNDS; n++) {
        uint64_t count = *child_counter();
        while (*child_counter() == count)
            cpu_relax();
        uint32_t seen = nmis[1];
        apic_send(cpus[1]->apic_id, APIC_ICR_NMI);
        while (nmis[1] == seen)
            cpu_relax();
    }
    while (dispatches < NMI_ROUNDS) /* the handler runs before the dispatch is counted */
        cpu_relax();
    tap_ok(nmis[1] == before + NMI_ROUNDS && dispatches >= NMI_ROUNDS,
           "%u NMIs at a processor that runs a child: all delivered to the parent, %lu dispatches "
           "ended",
           nmis[1] - before, dispatches);
}

/* Real mode: lock inc word cs:[0x80]; cli; hlt; jmp to the hlt. */
static void place_stub(void)
{
    static const uint8_t code[] = {0xF0, 0x2E, 0xFF, 0x06, STUB_COUNT, 0, 0xFA, 0xF4, 0xEB, 0xFD};
    uint8_t *page = (uint8_t *)STUB;
    __asm__("" : "+r"(page));
    memset(page, 0, 0x100);
    memcpy(page, code, sizeof(code));
}

static volatile uint16_t *stub_count(void)
{
    volatile uint16_t *count = (volatile uint16_t *)(STUB + STUB_COUNT);
    __asm__("" : "+r"(count));
    return count;
}

static bool wait_for_count(uint16_t wanted)
{
    for (unsigned n = 0; n < WAIT_ROUNDS && *stub_count() < wanted; n++)
        delay_microseconds(500);
    delay_microseconds(100); /* for those that come too often */
    return *stub_count() == wanted;
}

/* An INIT takes the processor out of its child's dispatch; the child can go on elsewhere. */
static void init_under_a_child(void)
{
    struct hv_output_dispatch_vp output;
    apic_send(cpus[1]->apic_id, APIC_ICR_INIT);
    apic_send(cpus[1]->apic_id, APIC_ICR_STARTUP | STUB >> PAGE_SHIFT);
    tap_ok(wait_for_count(1), "INIT and start-up IPI at a processor that runs a child: it starts");
    uint64_t count = *child_counter();
    delay_microseconds(500);
    tap_equal(*child_counter(), count, "its child runs no more");
    child_put(&c, 0, HV_REGISTER_EXPLICIT_SUSPEND, 1);
    tap_ok(child_dispatch(c.id, 0, 0, &output) == HV_STATUS_SUCCESS &&
               output.state == HV_DISPATCH_STATE_BLOCKED,
           "and is not \"being dispatched elsewhere\": this processor could go on with it");
    tap_ok(child_close(&c), "the child is gone, every page zeroed");
}

static void init_storm(void)
{
    uint32_t others = cpu_count - 1;
    bool all = true;
    *stub_count() = 0;
    for (unsigned n = 1; n <= INIT_ROUNDS && all; n++) {
        for (uint32_t other = 1; other < cpu_count; other++)
            for (unsigned again = 0; again < 3; again++)
                apic_send(cpus[other]->apic_id, APIC_ICR_INIT);
        for (unsigned again = 0; again < 3; again++) /* only the first counts */
            for (uint32_t other = 1; other < cpu_count; other++)
                apic_send(cpus[other]->apic_id, APIC_ICR_STARTUP | STUB >> PAGE_SHIFT);
        all = wait_for_count((uint16_t)(n * others));
    }
    tap_ok(all,
           "%u rounds of INIT and start-up IPIs, three of each: every processor started once "
           "in each (%u)",
           INIT_ROUNDS, *stub_count());
    apic_write(APIC_ICR_LOW, APIC_ICR_INIT | 3 << 18);
    apic_write(APIC_ICR_LOW, APIC_ICR_STARTUP | 3 << 18 | STUB >> PAGE_SHIFT);
    tap_ok(wait_for_count((uint16_t)((INIT_ROUNDS + 1) * others)),
           "the same by the shorthand \"all excluding self\"");
    apic_write(APIC_ICR_LOW, 0x4200 | 3 << 18);
    tap_ok(true, "an SMI command is dropped and the run goes on");
}

void test_apic(void)
{
    if (apic_is_x2()) {
        tap_skip("the local APIC's page: it is in x2APIC mode");
        return;
    }
    *apic_at(APIC_TPR) = 0;
    accesses();
    if (cpu_count < 2) {
        tap_skip("storms between processors: one processor here");
        return;
    }
    nmi_storm();
    place_stub();
    if (hypervisor_role() != ROLE_IS_GUEST) {
        open_spinning_child();
        cpu_run(1, spin_child, NULL);
        nmis_under_a_child();
        init_under_a_child();
    }
    init_storm();
}
