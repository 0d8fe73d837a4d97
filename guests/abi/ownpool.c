/* SPDX-License-Identifier: MIT */
/*
 * Section 2, row 8, and section 5: what a host is told when its own pool is
 * empty. The pool is used up by mapping a state page at one place after another
 * (the table pages stay with the map), and filled again by a deposit. Runs while
 * there is one processor: thousands of unmaps would each interrupt the others.
 */
#include "guests/abi/abi.h"

#define PLACES        4000u
#define REFILL        64
#define CHILD_DEPOSIT 32

static struct hv_input_map_vp_state_page request(uint64_t id, gpn_t gpn)
{
    return (struct hv_input_map_vp_state_page){
        .partition_id = id, .flags = HV_MAP_LOCATION_PROVIDED, .requested_map_location = gpn};
}

/* Each place is in a 2 MiB region of its own, far above everything else. */
static gpn_t place(uint32_t n)
{
    return (no_memory >> PAGE_SHIFT) + n * PAGES_2M;
}

static bool use_up_tables(void)
{
    for (uint32_t n = 0; n < PLACES; n++) {
        struct hv_input_map_vp_state_page in = request(HV_PARTITION_ID_SELF, place(n));
        uint16_t status = map_page_call(&in, NULL);
        if (status == HV_STATUS_INSUFFICIENT_MEMORY)
            return tap_ok(true, "2 row 8: 0xE1 of oneself with an empty pool, after %u places", n);
        if (status != HV_STATUS_SUCCESS)
            return tap_status(status, HV_STATUS_INSUFFICIENT_MEMORY, "2 row 8: at place %u", n);
        unmap_own(0);
    }
    tap_skip("2 row 8: the pool did not end at %u places", PLACES);
    return false;
}

/* What a page or two is left goes into records of partitions. */
static uint32_t use_up_rest(uint64_t *ids, uint32_t max)
{
    struct hv_input_create_partition in = {0};
    uint32_t count = 0;
    uint16_t status = HV_STATUS_SUCCESS;
    while (count < max) {
        status = hv_call(HVCALL_CREATE_PARTITION, &in, sizeof(in), &ids[count], sizeof(ids[0]));
        if (status != HV_STATUS_SUCCESS)
            break;
        count++;
    }
    tap_status(status, HV_STATUS_INSUFFICIENT_MEMORY, "5: 0x40 with an empty pool of the caller");
    return count;
}

static void with_empty_pool(uint64_t child, uint8_t *unsplit)
{
    struct hv_output_memory_balance before = {0}, after = {0};
    struct hv_input_map_vp_state_page in = request(child, page_of(unsplit));
    struct hv_output_memory_balance own = {0};
    if (role == ROLE_IS_ROOT)
        in.flags = 0; /* shows in both maps */
    child_balance(HV_PARTITION_ID_SELF, &own);
    tap_equal(own.available, 0, "5: GetMemoryBalance: nothing is left");
    child_balance(child, &before);
    tap_status(map_page_call(&in, NULL), HV_STATUS_INSUFFICIENT_ROOT_MEMORY,
               "2 row 8: a child's page needs a table page of the caller's map");
    struct hv_input_unmap_vp_state_page out = {.partition_id = child};
    tap_status(unmap_page_call(&out), HV_STATUS_NOT_FOUND, "2 row 8: nothing is mapped");
    child_balance(child, &after);
    tap_ok(after.available + after.in_use == before.available + before.in_use,
           "2 row 8: the child's pool has every page");
    tap_status(child_deposit(HV_PARTITION_ID_SELF, REFILL), HV_STATUS_SUCCESS,
               "5: DepositMemory to oneself");
    tap_status(map_page_call(&in, NULL), HV_STATUS_SUCCESS, "2 row 8: the same call works then");
    tap_status(unmap_page_call(&out), HV_STATUS_SUCCESS, "2: unmapped");
}

void test_own_pool(void)
{
    uint64_t child = 0, ids[8];
    /* A 2 MiB page of the caller's map that nothing has split yet. */
    uint8_t *unsplit = pages_alloc(PAGES_2M, MIB(2));
    tap_status(child_create(0, &child), HV_STATUS_SUCCESS, "5: a child with a pool of its own");
    child_initialize(child);
    child_create_vp(child, 0);
    child_deposit(child, CHILD_DEPOSIT);
    if (use_up_tables()) {
        uint32_t count = use_up_rest(ids, ARRAY_SIZE(ids));
        with_empty_pool(child, unsplit);
        for (uint32_t n = 0; n < count; n++)
            child_delete(ids[n]);
    }
    child_finalize(child);
    child_withdraw_all(child, NULL);
    child_delete(child);
    pages_free(unsplit, PAGES_2M);
}
