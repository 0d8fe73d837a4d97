/* SPDX-License-Identifier: MIT */
/* Queued exceptions that combine, canonical addresses, stepping over an instruction, reset. */
/* unit: hv/model/vp.c */
#include "unit.h"

#include "hv/base/features.h"
#include "hv/model/segment.h"
#include "hv/model/vp.h"

/* What `second` makes of `first`: a vector, or -1 for a triple fault. SDM table 6-5. */
static int combined(uint8_t first, uint8_t second)
{
    struct vp *vp = calloc(1, sizeof(*vp));
    vp_inject_exception(vp, first, false, 0);
    assert_true(vp->state.event.valid);
    assert_int_equal(vp->state.event.vector, first);
    vp_inject_exception(vp, second, true, 0x18);
    int result = vp->triple_fault ? -1 : vp->state.event.vector;
    if (result == VECTOR_DF) {
        assert_true(vp->state.event.has_error);
        assert_int_equal(vp->state.event.error, 0);
    }
    free(vp);
    return result;
}

static void exceptions_combine(void **state)
{
    (void)state;
    static const uint8_t contributory[] = {0, VECTOR_TS, VECTOR_NP, VECTOR_SS, VECTOR_GP};
    for (unsigned i = 0; i < ARRAY_SIZE(contributory); i++) {
        uint8_t first = contributory[i];
        for (unsigned n = 0; n < ARRAY_SIZE(contributory); n++)
            assert_int_equal(combined(first, contributory[n]), VECTOR_DF);
        assert_int_equal(combined(first, VECTOR_PF), VECTOR_PF);
        assert_int_equal(combined(VECTOR_PF, first), VECTOR_DF);
        assert_int_equal(combined(first, VECTOR_UD), VECTOR_UD);
        assert_int_equal(combined(VECTOR_UD, first), first);
        assert_int_equal(combined(VECTOR_DF, first), -1);
    }
    assert_int_equal(combined(VECTOR_PF, VECTOR_PF), VECTOR_DF);
    assert_int_equal(combined(VECTOR_DF, VECTOR_PF), -1);
    assert_int_equal(combined(VECTOR_UD, VECTOR_UD), VECTOR_UD);
}

static void an_interrupt_does_not_combine(void **state)
{
    (void)state;
    struct vp *vp = calloc(1, sizeof(*vp));
    vp->state.event = (struct event){.valid = true, .type = EVENT_INTERRUPT, .vector = VECTOR_GP};
    vp_inject_exception(vp, VECTOR_GP, true, 0);
    assert_int_equal(vp->state.event.vector, VECTOR_GP);
    assert_int_equal(vp->state.event.type, EVENT_EXCEPTION);
    free(vp);
}

static void canonical(void **state)
{
    (void)state;
    assert_true(address_is_canonical(0));
    assert_true(address_is_canonical(0x00007FFFFFFFFFFF));
    assert_true(address_is_canonical(0xFFFF800000000000));
    assert_true(address_is_canonical(UINT64_MAX));
    assert_false(address_is_canonical(0x0000800000000000));
    assert_false(address_is_canonical(0xFFFF7FFFFFFFFFFF));
    assert_false(address_is_canonical(0x8000000000000000));
}

static uint64_t advanced(uint64_t rip, unsigned length, bool long_code)
{
    struct vp *vp = calloc(1, sizeof(*vp));
    vp->state.efer = EFER_LMA;
    vp->state.seg[SEG_CS].attributes = long_code ? SEGMENT_LONG : 0;
    vp->exact = EXACT_ALL;
    vp->state.rip = rip;
    vp->state.rflags = RFLAGS_FIXED | RFLAGS_RF;
    vp->state.interrupt_shadow = true; /* STI came before: it covers what is stepped over */
    vp_advance(vp, length);
    assert_int_equal(vp->state.rflags, RFLAGS_FIXED);
    assert_false(vp->state.interrupt_shadow);
    rip = vp->state.rip;
    free(vp);
    return rip;
}

static void steps_over(void **state)
{
    (void)state;
    assert_int_equal(advanced(0x1000, 3, true), 0x1003);
    assert_int_equal(advanced(0xFFFFFFFE, 3, false), 1);
    assert_int_equal(advanced(0xFFFFFFFE, 3, true), 0x100000001);
}

static void resets(void **state)
{
    (void)state;
    struct vp *vp = calloc(1, sizeof(*vp));
    memset(&vp->state, 0xA5, sizeof(vp->state));
    vp->state.xcr0 = 7;
    vp->state.tsc_offset = 99;
    vp_reset_state(vp);
    assert_int_equal(vp->state.rip, 0xFFF0);
    assert_int_equal(vp->state.rflags, 2);
    assert_int_equal(vp->state.seg[SEG_CS].base, 0xFFFF0000);
    assert_int_equal(vp->state.seg[SEG_CS].selector, 0xF000);
    assert_int_equal(vp->state.gpr[RAX], 0);
    assert_int_equal(vp->state.xcr0, 7); /* INIT leaves it alone */
    assert_int_equal(vp->state.tsc_offset, 99);
    assert_false(vp->state.event.valid);
    assert_true(vp->touched);
    free(vp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exceptions_combine),
        cmocka_unit_test(an_interrupt_does_not_combine),
        cmocka_unit_test(canonical),
        cmocka_unit_test(steps_over),
        cmocka_unit_test(resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
