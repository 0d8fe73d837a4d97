/* SPDX-License-Identifier: MIT */
/* The frame table: records, clipping, what lies beyond. */
/* unit: mm/frame.c */
#include "unit.h"

static void records(void **state)
{
    (void)state;
    static uint64_t table[2 * 1000];
    frame_table_init(table, 1000);
    for (spn_t spn = 0; spn < 1000; spn++) {
        assert_int_equal(frame_type_of(spn), FRAME_DEVICE);
        assert_ptr_equal(frame_get(spn), (struct frame *)table + spn);
        assert_int_equal(frame_get(spn)->owner, OWNER_NONE);
        assert_int_equal(frame_get(spn)->references, 0);
    }
    frame_set_range(10, 5, FRAME_RAM, OWNER_FIRST);
    for (spn_t spn = 0; spn < 1000; spn++) {
        bool inside = spn >= 10 && spn < 15;
        assert_int_equal(frame_type_of(spn), inside ? FRAME_RAM : FRAME_DEVICE);
        assert_int_equal(frame_get(spn)->owner, inside ? OWNER_FIRST : OWNER_NONE);
    }
}

static void beyond_the_table(void **state)
{
    (void)state;
    static uint64_t table[2 * 100];
    frame_table_init(table, 90); /* ten records behind it must stay as they are */
    frame_set_range(80, 1000, FRAME_HV, OWNER_HYPERVISOR);
    frame_set_range(90, 1, FRAME_HV, OWNER_HYPERVISOR);
    frame_set_range(85, ~0UL, FRAME_HV, OWNER_HYPERVISOR);
    frame_set_range(~0UL, 1, FRAME_HV, OWNER_HYPERVISOR);
    for (size_t i = 180; i < 200; i++)
        assert_int_equal(table[i], 0);
    assert_int_equal(frame_type_of(79), FRAME_DEVICE);
    assert_int_equal(frame_type_of(80), FRAME_HV);
    assert_int_equal(frame_type_of(89), FRAME_HV);
    assert_int_equal(frame_type_of(90), FRAME_DEVICE);
    assert_int_equal(frame_type_of(~0UL), FRAME_DEVICE);
    assert_null(frame_get(90));
    assert_null(frame_get(~0UL));
}

static void owner_and_type_leave_the_rest(void **state)
{
    (void)state;
    static uint64_t table[2 * 4];
    frame_table_init(table, 4);
    struct frame *frame = frame_get(2);
    frame->gpn = GPN_NONE;
    frame->references = 7;
    frame->next = 3;
    frame_set_range(2, 1, FRAME_OTHER, 0xFFFF);
    assert_int_equal(frame->type, FRAME_OTHER);
    assert_int_equal(frame->owner, 0xFFFF);
    assert_true(frame->gpn == GPN_NONE);
    assert_int_equal(frame->self_deposited, 0);
    assert_int_equal(frame->references, 7);
    assert_int_equal(frame->next, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),
        cmocka_unit_test(beyond_the_table),
        cmocka_unit_test(owner_and_type_leave_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
