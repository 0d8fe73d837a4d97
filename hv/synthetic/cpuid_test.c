/* SPDX-License-Identifier: MIT */
/* What a child and the first partition are shown of a made-up processor. */
/* unit: hv/synthetic/cpuid_bits.c */
#include "unit.h"

#include "hv/base/arch.h"

static struct cpuid_regs fake_cpuid(uint32_t leaf, uint32_t subleaf);
static uint64_t fake_xcr0(void);
#define cpuid   fake_cpuid
#define xgetbv0 fake_xcr0
#include "hv/synthetic/cpuid.c" /* NOLINT(bugprone-suspicious-include): on a fake processor */

#define FULL    0xE7UL /* x87, SSE, AVX, AVX-512 */
#define PLAIN   0x03UL
#define LAST    0x15u
#define LAST_X  0x80000019u
#define SAMPLES 8

uint64_t xsave_features_child;
static uint32_t last_basic, last_extended;
static bool x2apic;
static uint64_t guest_cr4;
static struct cpuid_regs everywhere; /* the answer in all leaves but 0 and EXTENDED */
static struct partition partition;
static struct vp vp;

static struct cpuid_regs fake_cpuid(uint32_t leaf, uint32_t subleaf)
{
    (void)subleaf;
    if (leaf == 0 || leaf == EXTENDED)
        return (struct cpuid_regs){leaf == 0 ? last_basic : last_extended, 1, 2, 3};
    return everywhere;
}

static uint64_t fake_xcr0(void)
{
    return 1;
}

uint64_t xsave_size(uint64_t features)
{
    return 576 + features;
}

bool processor_has_x2apic(void)
{
    return x2apic;
}

struct cpuid_regs diagnostics_leaf(uint32_t leaf)
{
    return (struct cpuid_regs){leaf, 0, 0, 0};
}

static uint64_t cr4(struct vp *of)
{
    (void)of;
    return guest_cr4;
}
static const struct backend fake_backend = {.guest_cr4 = cr4};

static struct cpuid_regs same(uint32_t value)
{
    return (struct cpuid_regs){value, value, value, value};
}

/* A VP of the first partition or a child, on a processor with every bit set. */
static int become(bool first)
{
    partition = (struct partition){.privileges = first ? PRIVILEGES_ROOT : PRIVILEGES_CHILD};
    vp = (struct vp){.partition = &partition, .index = 5, .first = first, .xsave_features = FULL};
    backend = &fake_backend;
    guest_cr4 = 0;
    x2apic = true;
    xsave_features_child = FULL;
    last_basic = LAST;
    last_extended = LAST_X;
    everywhere = same(UINT32_MAX);
    return 0;
}

static int as_child(void **state)
{
    (void)state;
    return become(false);
}

static int as_first(void **state)
{
    (void)state;
    return become(true);
}

static struct cpuid_regs ask(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r;
    cpuid_for(&vp, leaf, subleaf, &r);
    return r;
}

static void assert_regs(struct cpuid_regs r, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    assert_int_equal(r.eax, eax);
    assert_int_equal(r.ebx, ebx);
    assert_int_equal(r.ecx, ecx);
    assert_int_equal(r.edx, edx);
}

/* Sorted, worded, no bit twice: the table is what cpuid.c and a reader take it for. */
static void table(void **state)
{
    (void)state;
    const struct cpuid_row *row = cpuid_rows;
    for (; row->name; row++) {
        const struct cpuid_row *last = row == cpuid_rows ? row : row - 1;
        assert_true(row->name[0] && row->backing && row->backing[0]);
        assert_true(row->bits && row->registers && row->registers <= ALL);
        assert_false(last->who == CHILD && row->who != CHILD);
        if (last->who == CHILD)
            assert_true(row->leaf >= last->leaf);
        for (const struct cpuid_row *other = cpuid_rows; other < row; other++)
            if (other->leaf == row->leaf && other->subleaf == row->subleaf &&
                (other->registers & row->registers) && (other->bits & row->bits))
                fail_msg("leaf %x: %s and %s share a bit", row->leaf, other->name, row->name);
    }
    assert_true(row - cpuid_rows > 90);
}

/* The union of the rows of a child that name the leaf. */
static struct cpuid_regs named(uint32_t leaf, uint32_t subleaf)
{
    uint32_t bits[4] = {0};
    for (const struct cpuid_row *row = cpuid_rows; row->name; row++)
        for (unsigned i = 0; i < 4; i++)
            if (row->leaf == leaf && row->who != FIRST && row->rule != HIDDEN &&
                (row->subleaf == ANY || row->subleaf == subleaf ||
                 (row->subleaf == FROM_2 && subleaf >= 2)) &&
                (row->registers & BIT(i)))
                bits[i] |= row->bits;
    return (struct cpuid_regs){bits[0], bits[1], bits[2], bits[3]};
}

static void child_sees_only_rows(void **state)
{
    (void)state;
    for (uint32_t leaf = 0; leaf <= 0x30; leaf++)
        for (uint32_t subleaf = 0; subleaf < SAMPLES; subleaf++)
            for (unsigned extended = 0; extended < 2; extended++) {
                uint32_t number = leaf + (extended ? EXTENDED : 0);
                struct cpuid_regs r = ask(number, subleaf), may = named(number, subleaf);
                assert_int_equal(r.eax & ~may.eax, 0);
                assert_int_equal(r.ebx & ~may.ebx, 0);
                assert_int_equal(r.ecx & ~may.ecx, 0);
                assert_int_equal(r.edx & ~may.edx, 0);
            }
    static const uint32_t nowhere[] = {3,          5,          6,           0xB,        0x14,
                                       0x1F,       0x3FFFFFFF, VELLUM_LEAF, 0x8000000A, 0x8000001D,
                                       0x8000001E, 0x8000001F, 0x8FFFFFFF,  0xC0000001, UINT32_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(nowhere); i++)
        assert_regs(ask(nowhere[i], 0), 0, 0, 0, 0);
    assert_regs(ask(7, 1), 0, 0, 0, 0);
}

static void child_past_the_end(void **state)
{
    (void)state;
    const uint32_t all = UINT32_MAX;
    assert_regs(ask(LAST, 0), all, all, all, all);
    assert_regs(ask(LAST + 1, 0), 0, 0, 0, 0); /* it has a row */
    assert_regs(ask(LAST_X, 0), all, all, all, all);
    assert_regs(ask(LAST_X + 1, 0), 0, 0, 0, 0);
}

/* Of a processor with every bit set, each of these leaves written out once more. */
static void child_leaves(void **state)
{
    (void)state;
    assert_regs(ask(1, 0), UINT32_MAX, 5u << 24 | 1 << 16 | 0xFFFF, 0xF6DA3203, 0x0F8BA97F);
    guest_cr4 = CR4_OSXSAVE;
    assert_int_equal(ask(1, 0).ecx, 0xFEDA3203);
    assert_regs(ask(4, 1), 0x3FFF, UINT32_MAX, UINT32_MAX, UINT32_MAX);
    assert_regs(ask(7, 0), 0, 0xF1BF03A9, 4, 0);
    assert_regs(ask(0x80000001, 0), UINT32_MAX, UINT32_MAX, 0x002109F1, 0xEFD3A97F);
    assert_regs(ask(0x80000007, 0), 0, 0, 0, 0x100);
    assert_regs(ask(0x80000008, 0), 0xFFFF, 0x24000205, 0, 0);
    everywhere = same(0);
    guest_cr4 = 0;
    assert_regs(ask(1, 0), 0, 5u << 24 | 1 << 16, 1u << 31, 0);
    assert_regs(ask(7, 0), 0, 0, 0, 0);
}

/* With a smaller area the instructions that need a larger one are gone. */
static void child_without_avx(void **state)
{
    (void)state;
    const uint32_t avx = 1u << 28 | 1u << 29 | 1u << 12;
    xsave_features_child = PLAIN | 4;
    assert_int_equal(ask(7, 0).ebx, 0x219C03A9);
    assert_int_equal(ask(1, 0).ecx & avx, avx);
    xsave_features_child = PLAIN;
    assert_int_equal(ask(7, 0).ebx, 0x219C0389);
    assert_int_equal(ask(1, 0).ecx & avx, 0);
    assert_int_equal(ask(0x80000001, 0).ecx, 0x002001F1); /* neither XOP nor FMA4 */
}

/* The leaf is there on some processors that have no XSAVE, and XGETBV is #UD. */
static void child_without_xsave(void **state)
{
    vp.xsave_features = 0;
    assert_regs(ask(0xD, 0), 0, 0, 0, 0);
    assert_regs(ask(0xD, 1), 0, 0, 0, 0);
    assert_regs(ask(0xD, 2), 0, 0, 0, 0);
}

static void child_xsave(void **state)
{
    (void)state;
    assert_regs(ask(0xD, 0), FULL, 577, 576 + FULL, 0);
    assert_regs(ask(0xD, 1), 1, 0, 0, 0);
    assert_int_equal(ask(0xD, 2).eax, UINT32_MAX);
    assert_int_equal(ask(0xD, 7).eax, UINT32_MAX);
    assert_regs(ask(0xD, 3), 0, 0, 0, 0);
    assert_regs(ask(0xD, 64), 0, 0, 0, 0);
    assert_regs(ask(0xD, 0x102), 0, 0, 0, 0);
}

static void first_sees_the_machine(void **state)
{
    (void)state;
    static const uint32_t plain[] = {2, 4, 5, 6, 7, 0xB, 0xD, 0x1F, 0x3FFFFFFF};
    const uint32_t all = UINT32_MAX;
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
        assert_regs(ask(plain[i], 1), all, all, all, all);
    assert_regs(ask(0, 0), LAST, 1, 2, 3);
    assert_regs(ask(1, 0), all, all, ~(1u << 5 | 1u << 6 | 1u << 15 | 1u << 27), all);
    guest_cr4 = CR4_OSXSAVE;
    assert_regs(ask(1, 0), all, all, ~(1u << 5 | 1u << 6 | 1u << 15), all);
    assert_regs(ask(0x80000001, 0), all, all, ~(1u << 2 | 1u << 12), all);
    assert_regs(ask(0x8000000A, 0), 0, 0, 0, 0);
    for (uint32_t leaf = 0x80000002; leaf <= 0x80000030; leaf++)
        if (leaf != 0x80000007 && leaf != 0x8000000A)
            assert_regs(ask(leaf, 0), all, all, all, all);
    assert_regs(ask(VELLUM_LEAF, 0), VELLUM_LEAF, 0, 0, 0);
    everywhere = same(0);
    assert_regs(ask(1, 0), 0, 0, 1u << 31 | 1u << 27, 0);
}

static void invariant_tsc(void **state)
{
    (void)state;
    assert_int_equal(ask(0x80000007, 0).edx, UINT32_MAX);
    partition.privileges |= PRIVILEGE_TSC_INVARIANT;
    assert_int_equal(ask(0x80000007, 0).edx, ~0x100u);
    partition.tsc_invariant = true;
    assert_regs(ask(0x80000007, 0), UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
}

/* The hypervisor's leaves are its own, whatever the processor says. */
static void hypervisor_leaves(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        become(first);
        uint64_t p = partition.privileges;
        assert_regs(ask(0x40000000, 0), 0x4000000A, 0x7263694D, 0x666F736F, 0x76482074);
        assert_regs(ask(0x40000001, 0), 0x31237648, 0, 0, 0);
        assert_regs(ask(0x40000002, 0), 27751, 10 << 16, 0, 0);
        assert_regs(ask(0x40000003, 0), (uint32_t)p, (uint32_t)(p >> 32), 0, 0x500);
        assert_regs(ask(0x40000004, 0), 0, 0xFFF, 0, 0);
        x2apic = false;
        partition.privileges |= PRIVILEGE_APIC_MSRS;
        assert_regs(ask(0x40000004, 0), first ? 8 : 0, 0xFFF, 0, 0);
        partition.privileges = PRIVILEGES_MSR;
        assert_regs(ask(0x40000004, 0), 0, 0xFFF, 0, 0);
        assert_regs(ask(0x40000005, 0), MAX_CPUS, MAX_CPUS, 0, 0);
        assert_regs(ask(0x40000006, 0), 0, 0, 0, 0);
        assert_regs(ask(0x400000FF, 0), 0, 0, 0, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test_setup(child_sees_only_rows, as_child),
        cmocka_unit_test_setup(child_past_the_end, as_child),
        cmocka_unit_test_setup(child_leaves, as_child),
        cmocka_unit_test_setup(child_without_avx, as_child),
        cmocka_unit_test_setup(child_xsave, as_child),
        cmocka_unit_test_setup(child_without_xsave, as_child),
        cmocka_unit_test_setup(first_sees_the_machine, as_first),
        cmocka_unit_test_setup(invariant_tsc, as_first),
        cmocka_unit_test(hypervisor_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
