/* SPDX-License-Identifier: MIT */
/* Dispatching on several processors: what one has cached of a child's VP. */
/* unit: +hypercalls */
/* unit: hypercalls/fake/calls.c */
#include "unit.h"

#include "hypercalls/fake/calls.h"

static int start(void **state)
{
    start_with_child(PRIVILEGES_ROOT, &npt_format);
    assert_int_equal(set_register(child, 0, HV_REGISTER_EXPLICIT_SUSPEND, 0), HV_STATUS_SUCCESS);
    return 0;
}

static int end(void **state)
{
    fake_end();
    return 0;
}

static void dispatch_on(unsigned cpu)
{
    const struct hv_input_dispatch_vp in = {.partition_id = child};
    fake_on_cpu(cpu);
    call(HVCALL_DISPATCH_VP, &in, sizeof(in));
    assert_int_equal(fake_vp()->partition->id, child);
}

static void stays(void **state)
{
    dispatch_on(0);
    fake_touch(0);
    fake_exit(FAKE_EXIT_INTERRUPT, 0);
    dispatch_on(0);
    assert_true(fake_remembers(0)); /* nothing has changed: no flush */
    fake_exit(FAKE_EXIT_INTERRUPT, 0);
}

/* INVLPG of the guest reaches the processor that it runs on, and no other (SDM 4.10.4.1). */
static void moves_and_comes_back(void **state)
{
    dispatch_on(0);
    fake_touch(0);
    fake_exit(FAKE_EXIT_INTERRUPT, 0);
    dispatch_on(1);
    assert_false(fake_remembers(0));
    fake_exit(FAKE_EXIT_INTERRUPT, 0);
    dispatch_on(0);
    assert_false(fake_remembers(0));
    fake_exit(FAKE_EXIT_INTERRUPT, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(stays), TEST(moves_and_comes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
