/* SPDX-License-Identifier: MIT */
/*
 * HvCallMapVpStatePage and its counterpart: the placement table, and what bad
 * input gets, in which order.
 */
/* unit: +hypercalls */
/* unit: hypercalls/fake/calls.c */
#include "unit.h"

#include "hypercalls/fake/calls.h"

enum { PLACE = 8 }; /* a page of the caller's */

static int start(void **state)
{
    (void)state;
    start_with_child(PRIVILEGES_ROOT, &npt_format);
    return 0;
}

static int start_ept(void **state)
{
    (void)state;
    start_with_child(PRIVILEGES_ROOT, &ept_format);
    return 0;
}

static int start_layered(void **state)
{
    (void)state;
    start_with_child(PRIVILEGES_LAYERED, &npt_format);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

static struct hv_input_map_vp_state_page map_input(uint64_t id)
{
    return (struct hv_input_map_vp_state_page){.partition_id = id};
}

/* ---- the placement table ---- */

static void assert_shows(struct space *space, gpn_t gpn, const struct vp *vp, unsigned type,
                         uint8_t prot)
{
    struct mapping m = slpt_lookup(space, gpn);
    assert_true(m.present);
    assert_int_equal(m.spn, vp->pages[type].spn);
    assert_int_equal(m.prot, prot);
}

static void place_of_ones_own(void **state)
{
    (void)state;
    struct vp *vp = fake_vp();
    uint8_t *page = fake_page(PLACE);
    memset(page, 0x5A, PAGE_SIZE);
    assert_int_equal(map_at(HV_PARTITION_ID_SELF, 0, PLACE), HV_STATUS_SUCCESS);
    assert_int_equal(output(), PLACE);
    assert_shows(&first_partition->space, PLACE, vp, 0, MAP_READ | MAP_WRITE);
    assert_int_equal(map_anywhere(1, 1), HV_STATUS_SUCCESS);
    gpn_t chosen = output();
    assert_true(chosen >= FAKE_WINDOW && chosen < 2 * FAKE_WINDOW);
    assert_shows(&first_partition->space, chosen, vp, 1, MAP_READ | MAP_WRITE);
    assert_int_equal(unmap(1, 0), HV_STATUS_SUCCESS);
    assert_int_equal(unmap(HV_PARTITION_ID_SELF, 1), HV_STATUS_SUCCESS);
    assert_ptr_equal(fake_page(PLACE), page);
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(page[i], 0x5A);
    assert_null(fake_page(chosen));
}

static void place_of_a_child_for_root(void **state)
{
    (void)state;
    struct partition *p = child_partition();
    assert_int_equal(map_at(child, 0, 5), HV_STATUS_SUCCESS);
    assert_int_equal(output(), 5);
    assert_shows(&p->space, 5, p->vps[0], 0, MAP_READ);
    assert_int_equal(slpt_lookup(&first_partition->space, 5).spn, 5);
    assert_int_equal(map_anywhere(child, 1), HV_STATUS_SUCCESS);
    gpn_t chosen = output();
    assert_shows(&p->space, chosen, p->vps[0], 1, MAP_READ);
    assert_shows(&first_partition->space, chosen, p->vps[0], 1, MAP_READ | MAP_WRITE);
    assert_int_equal(unmap(child, 1), HV_STATUS_SUCCESS);
    assert_false(slpt_lookup(&p->space, chosen).present);
    assert_false(slpt_lookup(&first_partition->space, chosen).present);
    assert_int_equal(unmap(child, 0), HV_STATUS_SUCCESS);
    assert_int_equal(slpt_lookup(&p->space, 5).spn, CHILD_RAM + 5);
    assert_int_equal(slpt_lookup(&p->space, 5).prot, MAP_ALL);
}

static void place_of_a_child_for_a_layered_host(void **state)
{
    (void)state;
    struct partition *p = child_partition();
    assert_int_equal(map_anywhere(child, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(map_at(child, 0, PLACE), HV_STATUS_SUCCESS);
    assert_int_equal(output(), PLACE);
    assert_shows(&first_partition->space, PLACE, p->vps[0], 0, MAP_READ | MAP_WRITE);
    assert_int_equal(slpt_lookup(&p->space, PLACE).spn, CHILD_RAM + PLACE);
    assert_int_equal(unmap(child, 0), HV_STATUS_SUCCESS);
    assert_int_equal(slpt_lookup(&first_partition->space, PLACE).spn, PLACE);
}

/* ---- bad input ---- */

/* Each row spoils the input in its own way; when several do, the first one is told. */
struct row {
    uint32_t status;
    void (*spoil)(struct hv_input_map_vp_state_page *in);
};

static uint64_t uninitialized;

static void spoil_target(struct hv_input_map_vp_state_page *in)
{
    in->partition_id = 0x7777;
}

static void spoil_state(struct hv_input_map_vp_state_page *in)
{
    if (in->partition_id == child)
        in->partition_id = uninitialized;
}

static void spoil_vp(struct hv_input_map_vp_state_page *in)
{
    in->vp_index = 9;
}

static void spoil_vtl(struct hv_input_map_vp_state_page *in)
{
    in->input_vtl = 0x11;
}

static void spoil_mapped(struct hv_input_map_vp_state_page *in)
{
    in->type = 1; /* mapped already */
}

static void spoil_location(struct hv_input_map_vp_state_page *in)
{
    in->requested_map_location = 1UL << (FAKE_GPA_BITS - PAGE_SHIFT);
}

static const struct row rows[] = {
    {HV_STATUS_INVALID_PARTITION_ID, spoil_target},
    {HV_STATUS_INVALID_PARTITION_STATE, spoil_state},
    {HV_STATUS_INVALID_VP_INDEX, spoil_vp},
    {HV_STATUS_INVALID_PARAMETER, spoil_vtl},
    {HV_STATUS_OPERATION_DENIED, spoil_mapped},
    {HV_STATUS_INVALID_PARAMETER, spoil_location},
};

static void bad_input_in_its_order(void **state)
{
    (void)state;
    uninitialized = create();
    assert_int_equal(map_at(child, 1, 6), HV_STATUS_SUCCESS);
    for (unsigned set = 0; set < 1u << ARRAY_SIZE(rows); set++) {
        struct hv_input_map_vp_state_page in = map_input(child);
        in.flags = HV_MAP_LOCATION_PROVIDED;
        in.requested_map_location = 5;
        uint32_t expected = HV_STATUS_INSUFFICIENT_MEMORY; /* the last row: the pool fails */
        for (unsigned i = ARRAY_SIZE(rows); i-- > 0;)
            if (set & 1u << i) {
                rows[i].spoil(&in);
                expected = rows[i].status;
            }
        pool_fail_after = 0;
        uint32_t status = call(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in));
        pool_fail_after = -1;
        if (status != expected)
            fail_msg("rows %x: status %x, expected %x", set, status, expected);
    }
}

static void told_to_whom(void **state)
{
    (void)state;
    /* A child's id is nothing to those who may not create partitions, whether it exists or not. */
    first_partition->privileges = PRIVILEGES_GUEST;
    assert_int_equal(map_at(child, 0, 5), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(map_at(0x7777, 0, 5), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(map_at(0, 0, 5), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(map_at(HV_PARTITION_ID_SELF, 0, PLACE), HV_STATUS_SUCCESS);
    first_partition->privileges = PRIVILEGES_GUEST & ~PRIVILEGE_VP_REGISTERS;
    assert_int_equal(map_at(HV_PARTITION_ID_SELF, 1, PLACE + 1), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(map_at(1, 1, PLACE + 1), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(unmap(1, 0), HV_STATUS_ACCESS_DENIED);
    first_partition->privileges = PRIVILEGES_ROOT;
    assert_int_equal(map_at(0x7777, 0, 5), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(unmap(0x7777, 0), HV_STATUS_INVALID_PARTITION_ID);
}

static void vp_indexes(void **state)
{
    (void)state;
    struct hv_input_map_vp_state_page in = map_input(child);
    static const uint32_t bad[] = {1, 63, 64, 65, HV_VP_INDEX_SELF, HV_VP_INDEX_ANY, 0x80000000};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        in.vp_index = bad[i];
        assert_int_equal(call(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in)),
                         HV_STATUS_INVALID_VP_INDEX);
    }
    in.partition_id = HV_PARTITION_ID_SELF;
    in.vp_index = HV_VP_INDEX_SELF;
    fake_on_cpu(1);
    assert_int_equal(call(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in)), HV_STATUS_SUCCESS);
    assert_true(first_partition->vps[1]->pages[0].spn != SPN_NONE);
    assert_int_equal(first_partition->vps[0]->pages[0].spn, SPN_NONE);
    in.partition_id = 1;
    in.vp_index = 1;
    assert_int_equal(call(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in)), HV_STATUS_OPERATION_DENIED);
}

static void fields(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        struct hv_input_map_vp_state_page in = map_input(child);
        in.flags = (uint8_t)flags;
        in.requested_map_location = 5;
        uint32_t status = call(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in));
        assert_int_equal(status, flags <= 1 ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER);
        if (flags <= 1)
            assert_int_equal(unmap(child, 0), HV_STATUS_SUCCESS);
    }
    for (unsigned vtl = 0; vtl < 256; vtl++) {
        struct hv_input_map_vp_state_page in = map_input(child);
        in.input_vtl = (uint8_t)vtl;
        bool good = !(vtl & 0xE0) && (!(vtl & 0x10) || !(vtl & 0xF));
        uint32_t status = call(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in));
        assert_int_equal(status, good ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER);
        struct hv_input_unmap_vp_state_page out = {.partition_id = child,
                                                   .input_vtl = (uint8_t)vtl};
        status = call(HVCALL_UNMAP_VP_STATE_PAGE, &out, sizeof(out));
        assert_int_equal(status, good ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER);
    }
    for (unsigned type = 2; type < 0x10000; type = type * 2 + 1)
        assert_int_equal(map_at(child, (uint16_t)type, 5), HV_STATUS_INVALID_PARAMETER);
    struct hv_input_unmap_vp_state_page out = {.partition_id = child, .reserved = 1};
    assert_int_equal(call(HVCALL_UNMAP_VP_STATE_PAGE, &out, sizeof(out)),
                     HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(unmap(child, 0), HV_STATUS_NOT_FOUND);
}

static void locations(void **state)
{
    (void)state;
    const gpn_t limit = 1UL << (FAKE_GPA_BITS - PAGE_SHIFT);
    static const gpn_t far[] = {1UL << 40, 1UL << 52, 1UL << 63, ~0UL};
    for (unsigned i = 0; i < ARRAY_SIZE(far); i++)
        assert_int_equal(map_at(child, 0, far[i]), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(map_at(child, 0, limit), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(map_at(child, 0, 0xFEE00), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(map_at(1, 0, 0xFEE00), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(map_at(child, 1, 5), HV_STATUS_SUCCESS);
    assert_int_equal(map_at(child, 0, 5), HV_STATUS_INVALID_PARAMETER); /* covered */
    assert_int_equal(map_at(1, 0, 5), HV_STATUS_SUCCESS);               /* another map */
    assert_int_equal(map_at(child, 0, limit - 1), HV_STATUS_SUCCESS);
}

/* Without the flag the list is 24 bytes long for the check, and its end is not looked at. */
static void short_input(void **state)
{
    (void)state;
    gpa_t at = INPUT + PAGE_SIZE - 16;
    struct hv_input_map_vp_state_page in = map_input(child);
    memcpy((uint8_t *)fake_page(INPUT_PAGE) + PAGE_SIZE - 16, &in, 16);
    assert_int_equal(fake_call(HVCALL_MAP_VP_STATE_PAGE, at, OUTPUT) & 0xFFFF,
                     HV_STATUS_INVALID_ALIGNMENT);
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, start, end)
#define TEST_EPT(name) cmocka_unit_test_setup_teardown(name, start_ept, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(place_of_ones_own),
        TEST_EPT(place_of_ones_own),
        TEST(place_of_a_child_for_root),
        TEST_EPT(place_of_a_child_for_root),
        cmocka_unit_test_setup_teardown(place_of_a_child_for_a_layered_host, start_layered, end),
        TEST(bad_input_in_its_order),
        TEST(told_to_whom),
        TEST(vp_indexes),
        TEST(fields),
        TEST(locations),
        TEST(short_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
