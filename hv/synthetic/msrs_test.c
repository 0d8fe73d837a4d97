/* SPDX-License-Identifier: MIT */
/* The hypervisor's own MSRs: the privilege of each, what is read and written, what is refused. */
/* unit: hv/synthetic/msrs.c hv/synthetic/diagnostics.c mm/copy.c mm/copy_fast.c */
/* unit: mm/overlay.c mm/tlb.c mm/slpt.c mm/ept.c mm/npt.c mm/pool.c mm/frame.c */
#include "unit.h"

#include "hv/base/arch.h"
#include "hv/base/console.h"
#include "hv/base/panic.h"
#include "hv/base/time.h"
#include "hv/machine/apic.h"
#include "hv/machine/machine.h"
#include "hv/model/dispatch.h"
#include "hv/synthetic/msrs.h"
#include "hypercalls/abi.h"

enum { POOL_PAGES = 100, GPA_BITS = 36, RAM_GPN = 16 };
#define ENABLE  1UL
#define AT(gpn) ((gpn) << PAGE_SHIFT | ENABLE)
#define MARK    0x5555UL
#define ALL_PRIVILEGES                                                                             \
    (PRIVILEGES_ROOT | PRIVILEGE_RESET | PRIVILEGE_TSC_INVARIANT | PRIVILEGE_APIC_MSRS)

static struct partition partition;
static struct vp vp;
static struct cpu *cpu;
static unsigned apic_calls, resets, lines;
static bool must_yield;

/* ---- what the two files call ---- */

uint64_t tsc_frequency = 2000000000, apic_frequency = 100000000, reference_scale = 77;

uint64_t tsc_to_100ns(uint64_t tsc)
{
    return tsc / 200;
}

bool apic_synthetic_read(struct vp *of, uint32_t msr, uint64_t *value)
{
    apic_calls++;
    *value = MARK;
    return of->first;
}

enum msr_result apic_synthetic_write(struct vp *of, uint32_t msr, uint64_t value)
{
    apic_calls++;
    return of->first ? MSR_DONE : MSR_FAULT;
}

void machine_reset(void)
{
    resets++;
    panic("the machine is reset");
}

bool lock_or_yield(const struct cpu *here)
{
    assert_ptr_equal(here, cpu);
    if (!must_yield)
        lock(&hv_lock);
    return !must_yield;
}

size_t format_text(char *buffer, size_t size, const char *format, ...)
{
    buffer[0] = 0;
    return 0;
}

void say(enum log_level level, const char *format, ...)
{
    lines++;
}

/* ---- a partition ---- */

static int set_up(void **state)
{
    (void)state;
    static const struct backend fake = {.hypercall_instruction = {0x0F, 0x01, 0xD9}};
    backend = &fake;
    unit_ram(POOL_PAGES + 1);
    unit_cpus(1);
    cpu = cpus[0];
    pool_fail_after = -1;
    memset(&partition, 0, sizeof(partition));
    memset(&vp, 0, sizeof(vp));
    unit_pool(&partition.pool, OWNER_FIRST, 1, POOL_PAGES);
    assert_true(slpt_init(&partition.space, &ept_format, &partition.pool, GPA_BITS, 1));
    partition.id = 1;
    partition.privileges = ALL_PRIVILEGES;
    partition.hypercall_page_spn = partition.tsc_page_spn = vp.assist_page_spn = SPN_NONE;
    vp.partition = &partition;
    vp.first = true;
    vp.index = 3;
    vp.cpu = cpu;
    apic_calls = resets = lines = 0;
    must_yield = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    synthetic_vp_pages_remove(&vp);
    synthetic_pages_remove(&partition);
    assert_null(partition.space.overlays);
    slpt_destroy(&partition.space);
    assert_int_equal(partition.pool.free, POOL_PAGES);
    assert_int_equal(hv_lock.held, 0);
    return 0;
}

static bool reads(uint32_t msr)
{
    uint64_t value;
    return synthetic_read(&vp, msr, &value);
}

static uint64_t value_of(uint32_t msr)
{
    uint64_t value;
    assert_true(synthetic_read(&vp, msr, &value));
    return value;
}

static bool writes(uint32_t msr, uint64_t value)
{
    enum msr_result result = synthetic_write(&vp, msr, value);
    assert_true(result == MSR_DONE || result == MSR_FAULT);
    return result == MSR_DONE;
}

/* #GP, and nothing is another afterwards. */
static bool refuses(uint32_t msr, uint64_t value)
{
    static struct partition before;
    static struct vp vp_before;
    before = partition;
    vp_before = vp;
    bool written = writes(msr, value);
    assert_memory_equal(&before, &partition, sizeof(before));
    assert_memory_equal(&vp_before, &vp, sizeof(vp));
    return !written;
}

/* ---- which there are, and for whom ---- */

enum { R = 1, W = 2, RW = 3 };
static const struct expected {
    uint32_t first, last;
    unsigned bit;    /* of the privilege, TLFS HV_PARTITION_PRIVILEGE_MASK */
    unsigned access; /* of the first partition */
    unsigned child;  /* and of others that have the privilege */
} all[] = {
    {0x40000000, 0x40000001, 5, RW, RW},  /* GUEST_OS_ID, HYPERCALL */
    {0x40000002, 0x40000002, 6, R, R},    /* VP_INDEX */
    {0x40000003, 0x40000003, 7, RW, RW},  /* RESET */
    {0x40000010, 0x40000010, 0, R, R},    /* VP_RUNTIME */
    {0x40000020, 0x40000020, 1, R, R},    /* TIME_REF_COUNT */
    {0x40000021, 0x40000021, 9, RW, RW},  /* REFERENCE_TSC */
    {0x40000022, 0x40000022, 11, R, R},   /* TSC_FREQUENCY */
    {0x40000023, 0x40000023, 11, R, 0},   /* APIC_FREQUENCY: a child has no local APIC */
    {0x40000070, 0x40000072, 4, RW, 0},   /* EOI, ICR, TPR: as hv/machine/apic.c says */
    {0x40000073, 0x40000073, 4, RW, RW},  /* VP_ASSIST_PAGE */
    {0x40000100, 0x40000105, 64, RW, RW}, /* CRASH_P0..P4, CRASH_CTL: none is needed */
    {0x40000118, 0x40000118, 15, RW, RW}, /* TSC_INVARIANT */
    {0x40000F00, 0x40000F01, 64, RW, 0},  /* log level, exits */
    {0x40000F10, 0x40000F10 + EXIT_KIND_COUNT - 1, 64, R, 0},
};

static const struct expected *expected_of(uint32_t msr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        if (msr >= all[i].first && msr <= all[i].last)
            return &all[i];
    return NULL;
}

static uint64_t privilege_of(const struct expected *e)
{
    return e->bit < 64 ? BIT(e->bit) : 0;
}

/* With these privileges each MSR of the range can be read and written, or is #GP. */
static void sweep(bool first, uint64_t privileges)
{
    vp.first = first;
    partition.privileges = privileges;
    for (uint32_t msr = SYNTHETIC_MSR_FIRST; msr <= SYNTHETIC_MSR_LAST; msr++) {
        const struct expected *e = expected_of(msr);
        bool may = e && !(privilege_of(e) & ~privileges);
        unsigned want = !may ? 0 : first ? e->access : e->child;
        unsigned got = (reads(msr) ? R : 0) | (writes(msr, 0) ? W : 0);
        if (got != want)
            fail_msg("MSR 0x%x with privileges 0x%lx: access %u, not %u", msr, privileges, got,
                     want);
    }
    log_level = LOG_WARN; /* the write of 0 reached that */
}

static void privileges(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        sweep(first, 0);
        sweep(first, ~0UL);
        for (unsigned bit = 0; bit < 64; bit++) {
            sweep(first, BIT(bit));
            sweep(first, ~BIT(bit));
        }
    }
}

/* Without it even a good value changes nothing. */
static void refused_without_effect(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        partition.privileges = ~privilege_of(&all[i]);
        for (uint32_t msr = all[i].first; msr <= all[i].last && all[i].bit < 64; msr++)
            assert_true(!reads(msr) && refuses(msr, AT(RAM_GPN)));
    }
    assert_int_equal(apic_calls + resets + lines, 0);
    assert_int_equal(partition.pool.free, POOL_PAGES - 1); /* the map's root */
}

/* ---- what they do ---- */

static void values(void **state)
{
    (void)state;
    assert_int_equal(value_of(HV_MSR_VP_INDEX), 3);
    assert_int_equal(value_of(HV_MSR_RESET), 0);
    assert_int_equal(value_of(HV_MSR_TSC_FREQUENCY), tsc_frequency);
    assert_int_equal(value_of(HV_MSR_APIC_FREQUENCY), apic_frequency);
    assert_int_equal(value_of(HV_MSR_TPR), MARK);
    uint64_t before = rdtsc();
    vp.entered_tsc = before;
    vp.runtime_tsc = 2000;
    uint64_t ran = value_of(HV_MSR_VP_RUNTIME);
    assert_in_range(ran, 10, 10 + (rdtsc() - before) / 200);
    partition.reference_start_tsc = before;
    uint64_t passed = value_of(HV_MSR_TIME_REF_COUNT);
    assert_in_range(passed, 0, 1 + (rdtsc() - before) / 200);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(writes(HV_MSR_CRASH_P0 + i, ~0UL - i));
        assert_int_equal(value_of(HV_MSR_CRASH_P0 + i), ~0UL - i);
        assert_int_equal(vp.crash_parameters[i], ~0UL - i);
    }
    assert_int_equal(value_of(HV_MSR_CRASH_CTL), 3UL << 62);
    assert_true(writes(HV_MSR_CRASH_CTL, 0));
    assert_int_equal(lines, 0);
    assert_true(writes(HV_MSR_CRASH_CTL, HV_CRASH_CTL_NOTIFY));
    assert_int_equal(lines, 1);
}

static void tsc_invariant(void **state)
{
    (void)state;
    assert_true(writes(HV_MSR_TSC_INVARIANT, 0));
    assert_true(refuses(HV_MSR_TSC_INVARIANT, 2) && refuses(HV_MSR_TSC_INVARIANT, BIT(63)));
    assert_true(writes(HV_MSR_TSC_INVARIANT, 1));
    assert_true(refuses(HV_MSR_TSC_INVARIANT, 0)); /* it stays */
    assert_true(writes(HV_MSR_TSC_INVARIANT, 1));
    assert_int_equal(value_of(HV_MSR_TSC_INVARIANT), 1);
}

static void resetting(void **state)
{
    (void)state;
    assert_true(writes(HV_MSR_RESET, 2)); /* bit 0 is what asks for it */
    assert_int_equal(resets, 0);
    expect_assert_failure(synthetic_write(&vp, HV_MSR_RESET, 1));
    assert_int_equal(resets, 1);
    vp.first = false;
    assert_true(writes(HV_MSR_RESET, 1));
    assert_int_equal(resets, 1);
    assert_true(vp.triple_fault && cpu->kicked); /* the parent's to carry out */
}

/* #GP; what shows, and where, is as before. (A page of the pool is kept from the first use on.) */
static bool refuses_page(uint32_t msr, uint64_t value)
{
    uint64_t before = value_of(msr);
    const struct overlay *shown = partition.space.overlays;
    gpn_t gpn = shown ? shown->gpn : 0;
    return !writes(msr, value) && value_of(msr) == before && partition.space.overlays == shown &&
           (!shown || (shown->gpn == gpn && slpt_lookup(&partition.space, gpn).spn == shown->spn));
}

/* The page shows where the MSR says, with those rights; beyond the map
   and over the local APIC's page it is refused. */
static void one_page(uint32_t msr, uint8_t prot)
{
    const struct space *space = &partition.space;
    assert_int_equal(value_of(msr), 0);
    assert_true(refuses_page(msr, BIT(GPA_BITS) | ENABLE) && refuses_page(msr, BIT(63)));
    assert_true(refuses_page(msr, AT(0xFEE00UL)));
    assert_true(writes(msr, AT(RAM_GPN)));
    assert_int_equal(value_of(msr), AT(RAM_GPN));
    struct mapping m = slpt_lookup(space, RAM_GPN);
    assert_true(m.present && m.prot == prot);
    uint64_t generation = space->generation;
    assert_true(writes(msr, AT(RAM_GPN))); /* nothing moves */
    assert_int_equal(space->generation, generation);
    assert_true(refuses_page(msr, BIT(GPA_BITS) | ENABLE)); /* it stays where it was */
    assert_true(refuses_page(msr, AT(0xFEE00UL)));
    assert_int_equal(slpt_lookup(space, RAM_GPN).spn, m.spn);
    assert_true(writes(msr, AT(RAM_GPN + 1UL)));
    assert_false(slpt_lookup(space, RAM_GPN).present);
    assert_int_equal(slpt_lookup(space, RAM_GPN + 1).spn, m.spn);
    assert_true(writes(msr, 0));
    assert_null(space->overlays);
}

static void pages(void **state)
{
    (void)state;
    assert_true(writes(HV_MSR_HYPERCALL, AT(RAM_GPN))); /* no identity yet */
    assert_int_equal(value_of(HV_MSR_HYPERCALL), RAM_GPN << PAGE_SHIFT);
    assert_null(partition.space.overlays);
    assert_true(writes(HV_MSR_HYPERCALL, 0) && writes(HV_MSR_GUEST_OS_ID, MARK));
    assert_int_equal(value_of(HV_MSR_GUEST_OS_ID), MARK);
    one_page(HV_MSR_HYPERCALL, MAP_READ | MAP_EXECUTE);
    one_page(HV_MSR_REFERENCE_TSC, MAP_READ);
    one_page(HV_MSR_VP_ASSIST_PAGE, MAP_READ | MAP_WRITE);
    assert_memory_equal(page_ptr(partition.hypercall_page_spn), "\x0F\x01\xD9\xC3", 4);
    const struct hv_reference_tsc_page *page = page_ptr(partition.tsc_page_spn);
    assert_true(page->sequence == 1 && page->scale == reference_scale);

    assert_true(writes(HV_MSR_HYPERCALL, AT(RAM_GPN)) && writes(HV_MSR_GUEST_OS_ID, 0));
    assert_null(partition.space.overlays); /* without an identity it goes */
    assert_true(writes(HV_MSR_GUEST_OS_ID, MARK));
    uint64_t locked = AT(RAM_GPN) | HV_HYPERCALL_MSR_LOCKED;
    assert_true(writes(HV_MSR_HYPERCALL, locked) && writes(HV_MSR_HYPERCALL, locked));
    assert_true(refuses(HV_MSR_HYPERCALL, 0) && refuses(HV_MSR_HYPERCALL, AT(RAM_GPN)));
    assert_true(writes(HV_MSR_GUEST_OS_ID, 0));
    assert_int_equal(value_of(HV_MSR_HYPERCALL), locked);
}

static void no_memory(void **state)
{
    (void)state;
    pool_fail_after = 0;
    assert_true(refuses(HV_MSR_REFERENCE_TSC, AT(RAM_GPN)));
    pool_fail_after = 0;
    assert_true(refuses(HV_MSR_VP_ASSIST_PAGE, AT(RAM_GPN)));
    assert_true(writes(HV_MSR_REFERENCE_TSC, AT(RAM_GPN)));
    pool_fail_after = 0; /* no table page to move it that far: it stays */
    assert_true(refuses_page(HV_MSR_REFERENCE_TSC, AT(BIT(20))));
    assert_true(writes(HV_MSR_REFERENCE_TSC, AT(BIT(20))));
}

/* Somebody waits for this VP to stop: nothing is done, and the guest tries again. */
static void yields(void **state)
{
    (void)state;
    must_yield = true;
    assert_int_equal(synthetic_write(&vp, HV_MSR_GUEST_OS_ID, MARK), MSR_RETRY);
    assert_int_equal(synthetic_write(&vp, HV_MSR_REFERENCE_TSC, AT(RAM_GPN)), MSR_RETRY);
    assert_int_equal(partition.guest_os_id, 0);
    assert_null(partition.space.overlays);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(privileges), TEST(refused_without_effect),
        TEST(values),     TEST(tsc_invariant),
        TEST(resetting),  TEST(pages),
        TEST(no_memory),  TEST(yields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
