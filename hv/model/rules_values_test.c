/* SPDX-License-Identifier: MIT */
/* Values of registers by themselves, as the rules of an entry want them, and events. */
/* unit: hv/model/rules.c */
#include "unit.h"

#include "hv/base/arch.h"
#include "hv/model/rules.h"

static bool event_of(unsigned type, unsigned vector)
{
    struct event event = {.valid = true, .type = (uint8_t)type, .vector = (uint8_t)vector};
    return event_is_possible(&event);
}

static void events(void **state)
{
    (void)state;
    for (unsigned vector = 0; vector < 256; vector++) {
        bool exception = vector < 32 && vector != VECTOR_NMI;
        assert_int_equal(event_of(EVENT_EXCEPTION, vector), exception);
        assert_int_equal(event_of(EVENT_PRIVILEGED_SOFT, vector), exception);
        assert_int_equal(event_of(EVENT_SOFT_EXCEPTION, vector), exception);
        assert_int_equal(event_of(EVENT_NMI, vector), vector == VECTOR_NMI);
        assert_true(event_of(EVENT_INTERRUPT, vector));
        assert_true(event_of(EVENT_SOFT_INTERRUPT, vector));
        assert_false(event_of(1, vector));
        assert_false(event_of(7, vector));
    }
}

static void plain_values(void **state)
{
    (void)state;
    static const struct {
        enum value_check check;
        uint64_t good, bad;
    } values[] = {
        {CHECK_CANONICAL, 0x7FFFFFFFFFFF, 0x800000000000},
        {CHECK_CANONICAL, 0xFFFF800000000000, 0xFFFF7FFFFFFFFFFF},
        {CHECK_32_BITS, UINT32_MAX, BIT(32)},
        {CHECK_32_BITS, 0, BIT(63)},
        {CHECK_CR8, 0, 16},
        {CHECK_CR8, 15, BIT(32)},
        {CHECK_PAT, 0x0007040600070406, 0x0207040600070406},
        {CHECK_PAT, 0x0001040506070000, 0x0001030506070000},
        {CHECK_PAT, 0, 8},
        {CHECK_RFLAGS, 2, 0},
        {CHECK_RFLAGS, 0x3F7FD7, 0x3F7FD5},
        {CHECK_RFLAGS, 2 | RFLAGS_VM, 2 | BIT(3)},
        {CHECK_RFLAGS, 2 | BIT(21), 2 | BIT(22)},
        {CHECK_RFLAGS, 2 | BIT(14), 2 | BIT(15)},
        {CHECK_RFLAGS, 2 | BIT(4), 2 | BIT(5)},
        {CHECK_CR0, 0xE005003F, 0xE0050000 | BIT(6)},
        {CHECK_CR0, CR0_PE | CR0_PG, CR0_PG},
        {CHECK_CR0, CR0_NW | CR0_CD, CR0_NW},
        {CHECK_CR0, CR0_CD, BIT(32)},
        {CHECK_CR4, CR4_PAE | CR4_PSE | CR4_PGE | BIT(8), CR4_VMXE},
        {CHECK_CR4, CR4_OSFXSR | CR4_OSXMMEXCPT, CR4_LA57},
        {CHECK_CR4, 0, BIT(15)},
        {CHECK_CR4, 0x1F, BIT(32)},
        {CHECK_EFER, EFER_LME | EFER_LMA | EFER_SCE, EFER_LMA},
        {CHECK_EFER, EFER_LME, EFER_SVME},
        {CHECK_EFER, EFER_NXE, BIT(9)},
        {CHECK_EFER, 0, BIT(63)},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
        if (!value_is_valid(values[i].check, values[i].good, 0) ||
            value_is_valid(values[i].check, values[i].bad, 0))
            fail_msg("check %u: 0x%lx is good, 0x%lx is bad", (unsigned)values[i].check,
                     values[i].good, values[i].bad);
    static const uint64_t any[] = {0, 1, BIT(32), BIT(48), UINT64_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(any); i++) {
        assert_false(value_is_valid(CHECK_NEVER, any[i], any[i]));
        assert_true(value_is_valid(CHECK_NONE, any[i], 0));
        assert_true(value_is_valid(CHECK_GPA, any[i], 0)); /* the caller's to judge */
        assert_true(value_is_valid(CHECK_XFEM, any[i], 0));
    }
}

/* What the register had is taken again; for all else its old value counts nothing. */
static void old_values(void **state)
{
    (void)state;
    assert_true(value_is_valid(CHECK_CR0, BIT(6), BIT(6)));
    assert_false(value_is_valid(CHECK_CR0, CR0_PG, CR0_PG));
    assert_false(value_is_valid(CHECK_CR0, CR0_NW, CR0_NW));
    assert_true(value_is_valid(CHECK_CR4, CR4_PAE | CR4_LA57, CR4_LA57));
    assert_false(value_is_valid(CHECK_CR4, CR4_VMXE | CR4_LA57, CR4_LA57));
    assert_true(value_is_valid(CHECK_EFER, EFER_LME | BIT(15), BIT(15)));
    assert_false(value_is_valid(CHECK_EFER, EFER_LMA, EFER_LMA));
    assert_false(value_is_valid(CHECK_CANONICAL, BIT(48), BIT(48)));
    assert_false(value_is_valid(CHECK_PAT, 2, 2));
    assert_true(efer_is_valid(EFER_LME | EFER_LMA, 0));
    assert_false(efer_is_valid(EFER_SVME, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),
        cmocka_unit_test(plain_values),
        cmocka_unit_test(old_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
