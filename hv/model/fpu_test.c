/* SPDX-License-Identifier: MIT */
/* XSAVE area sizes, what fits a page, XCR0 values, XMM registers in the area. */
/* unit: hv/model/fpu.c hv/model/fpu_fast.c */
#include "unit.h"

#include <cpuid.h>

#include "hv/base/arch.h"
#include "hv/model/fpu.h"

bool xsetbv_safe(uint64_t value)
{
    (void)value;
    fail_msg("no test of this changes XCR0");
    return false;
}

static bool have_xsave(void)
{
    return (cpuid(1, 0).ecx & BIT(26)) != 0;
}

/* This machine's features, and where the processor says that each part of the area ends. */
static uint64_t features_here(void)
{
    uint32_t eax, ebx, ecx, edx;
    if (!have_xsave() || !__get_cpuid_count(0xD, 0, &eax, &ebx, &ecx, &edx))
        return 3;
    return (uint64_t)edx << 32 | eax;
}

static uint64_t end_of(unsigned feature)
{
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid_count(0xD, feature, &eax, &ebx, &ecx, &edx))
        return 0;
    return (uint64_t)ebx + eax;
}

static void sizes(void **state)
{
    (void)state;
    if (!have_xsave())
        skip();
    uint64_t features = features_here();
    assert_int_equal(xsave_size(1), 576);
    assert_int_equal(xsave_size(3), 576);
    uint64_t expected = 576;
    for (unsigned i = 2; i < 63; i++)
        if ((features & BIT(i)) && end_of(i) > expected)
            expected = end_of(i);
    assert_int_equal(xsave_size(features), expected);
    assert_int_equal(xsave_size(features), cpuid(0xD, 0).ecx); /* SDM: the most it can be */
    if (features & 4)
        assert_int_equal(xsave_size(7), 832);
    /* What is enabled here and now is what the processor would write. */
    if (cpuid(1, 0).ecx & BIT(27))
        assert_int_equal(xsave_size(xgetbv0()), cpuid(0xD, 0).ebx);
}

static void fits(void **state)
{
    (void)state;
    if (!have_xsave())
        skip();
    uint64_t features = features_here(), whole = xsave_size(features);
    assert_int_equal(xsave_fit(features, whole), features);
    assert_int_equal(xsave_fit(features, 576), 3);
    for (uint64_t limit = 576; limit <= whole; limit += 8) {
        uint64_t fit = xsave_fit(features, limit);
        assert_true(xsave_size(fit) <= limit);
        assert_int_equal(fit & ~features, 0);
        assert_true(xcr0_valid(fit, features)); /* never half of AVX-512 or AMX */
        if ((features & 4) && limit >= 832)
            assert_true(fit & 4);
    }
}

static void decided_at_boot(void **state)
{
    (void)state;
    fpu_init();
    assert_int_equal(xsave_features_first, features_here());
    if (!have_xsave()) {
        assert_int_equal(xsave_first_size, 512);
        return;
    }
    assert_int_equal(xsave_first_size, xsave_size(xsave_features_first));
    assert_true(xsave_size(xsave_features_child) <= PAGE_SIZE);
    assert_int_equal(xsave_features_child & 3, 3);
}

static void xcr0_values(void **state)
{
    (void)state;
    const uint64_t all = 0x602FFUL;
    static const uint64_t good[] = {1, 3, 7, 0xE7, 0x1B, 0x1F, 0xFF, 0x60003, 0x602FF};
    static const uint64_t bad[] = {
        0,    2,       4,       5,     6,     0x9,  0x13, 0x23,          0x27, 0x67, 0xE3,
        0xE1, 0x20003, 0x40003, 0x400, 0x107, 0xFE, ~0UL, 1UL << 63 | 1, 0x63, 0xA7};
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
        if (!xcr0_valid(good[i], all))
            fail_msg("%lx is refused", good[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        if (xcr0_valid(bad[i], all))
            fail_msg("%lx is taken", bad[i]);
    assert_false(xcr0_valid(7, 3));
    assert_true(xcr0_valid(3, 3));
}

static void xmm_registers(void **state)
{
    (void)state;
    fpu_init();
    struct vp *vp = calloc(1, sizeof(*vp));
    vp->xsave = aligned_alloc(64, PAGE_SIZE);
    memset(vp->xsave, 0, PAGE_SIZE);
    fpu_reset(vp);
    assert_int_equal(vp->state.xcr0, 1);
    uint8_t *area = vp->xsave;
    assert_int_equal(area[0] | area[1] << 8, 0x37F);
    assert_int_equal(area[24] | area[25] << 8, 0x1F80);

    uint8_t value[16], got[16], zero[16] = {0};
    for (unsigned n = 0; n < 16; n++) {
        memset(value, 0x30 + (int)n, sizeof(value));
        fpu_set_xmm(vp, n, value);
        assert_memory_equal(area + 160 + 16 * n, value, 16);
        fpu_get_xmm(vp, n, got);
        assert_memory_equal(got, value, 16);
    }
    if (have_xsave()) {
        area[512] &= (uint8_t)~2; /* as XSAVE leaves SSE in its initial state */
        fpu_get_xmm(vp, 3, got);
        assert_memory_equal(got, zero, 16);
        fpu_set_xmm(vp, 4, value);
        fpu_get_xmm(vp, 3, got);
        assert_memory_equal(got, zero, 16); /* not what lay there before */
        fpu_get_xmm(vp, 4, got);
        assert_memory_equal(got, value, 16);
    }
    free(vp->xsave);
    free(vp);
}

/* Straight from the processor as out of what it has put into the area. */
static void low_xmm_registers(void **state)
{
    (void)state;
    enum { LOW = 6 };
    uint64_t values[LOW][2], stored[LOW][2], live[LOW][2];
    struct vp *vp = calloc(1, sizeof(*vp));
    fpu_init();
    vp->xsave = aligned_alloc(64, PAGE_SIZE);
    memset(vp->xsave, 0, PAGE_SIZE);
    fpu_reset(vp);
    unit_seed(1);
    for (unsigned n = 0; n < 100; n++) {
        for (unsigned i = 0; i < LOW * 2; i++)
            values[i / 2][i % 2] = unit_random();
        __asm__ volatile("movups (%0), %%xmm0\n\t"
                         "movups 16(%0), %%xmm1\n\t"
                         "movups 32(%0), %%xmm2\n\t"
                         "movups 48(%0), %%xmm3\n\t"
                         "movups 64(%0), %%xmm4\n\t"
                         "movups 80(%0), %%xmm5"
                         :
                         : "r"(values)
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5");
        fpu_read_low_xmm(live);
        __asm__ volatile("fxsave64 (%0)" : : "r"(vp->xsave) : "memory");
        fpu_get_low_xmm(vp, stored);
        assert_memory_equal(live, values, sizeof(values));
        assert_memory_equal(live, stored, sizeof(stored));
    }
    free(vp->xsave);
    free(vp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),           cmocka_unit_test(fits),
        cmocka_unit_test(decided_at_boot), cmocka_unit_test(xcr0_values),
        cmocka_unit_test(xmm_registers),   cmocka_unit_test(low_xmm_registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
