/* SPDX-License-Identifier: MIT */
/* Section 2: 0xE1 and 0xE2 of a child's VP, row by row. */
#include "guests/abi/abi.h"

#define CHILD_GPN 5 /* where a root puts the page in the child's map */

static uint64_t id;
static uint8_t *own_page; /* where a layered host shows it */

static struct hv_input_map_vp_state_page request(void)
{
    return (struct hv_input_map_vp_state_page){
        .partition_id = id,
        .vp_index = 0,
        .flags = HV_MAP_LOCATION_PROVIDED,
        .requested_map_location = role == ROLE_IS_ROOT ? CHILD_GPN : page_of(own_page)};
}

static uint16_t unmap(uint16_t type)
{
    struct hv_input_unmap_vp_state_page in = {.partition_id = id, .vp_index = 0, .type = type};
    return unmap_page_call(&in);
}

static uint64_t free_pages(void)
{
    struct hv_output_memory_balance balance = {0};
    tap_status(child_balance(id, &balance), HV_STATUS_SUCCESS, "5: GetMemoryBalance");
    return balance.available;
}

static void before_initialize(void)
{
    struct hv_input_map_vp_state_page in = request();
    tap_status(child_create(0, &id), HV_STATUS_SUCCESS, "5: a child is created");
    in.partition_id = id;
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARTITION_STATE,
               "2 row 3: created, not initialized");
    tap_status(unmap(0), HV_STATUS_INVALID_PARTITION_STATE, "2 row 3: 0xE2 as well");
    in.vp_index = 1000;
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARTITION_STATE,
               "2: row 3 before row 4 (state, VP index)");
    tap_status(hypercall(HVCALL_MAP_VP_STATE_PAGE, input_gpa() + 4, output_gpa()),
               HV_STATUS_INVALID_ALIGNMENT, "2: row 1 before row 3 (alignment, state)");
    tap_status(child_initialize(id), HV_STATUS_SUCCESS, "5: it is initialized");
}

static void bad_vp(void)
{
    static const uint32_t indices[] = {0, 1, 64, HV_VP_INDEX_SELF, HV_VP_INDEX_ANY};
    for (size_t n = 0; n < ARRAY_SIZE(indices); n++) {
        struct hv_input_map_vp_state_page in = request();
        in.vp_index = indices[n];
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_VP_INDEX,
                   "2 row 4: VP index 0x%x of a child without VPs", indices[n]);
        in.flags = 0xFF;
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_VP_INDEX,
                   "2: row 4 before row 5 (VP index, flags)");
    }
    tap_status(child_create_vp(id, 0), HV_STATUS_SUCCESS, "5: VP 0 is created");
    struct hv_input_map_vp_state_page in = request();
    in.vp_index = HV_VP_INDEX_SELF;
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_VP_INDEX,
               "2 row 4: SELF means the caller's VP, not the child's");
}

static void bad_location(void)
{
    const gpn_t list[] = {1UL << (gpa_bits - 12), ~0UL, 0xFEE00};
    for (size_t n = 0; n < ARRAY_SIZE(list); n++) {
        struct hv_input_map_vp_state_page in = request();
        in.requested_map_location = list[n];
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER,
                   "2 row 7: location 0x%lx for a child's page", list[n]);
    }
    if (role == ROLE_IS_LAYERED) {
        struct hv_input_map_vp_state_page in = request();
        in.flags = 0;
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER,
                   "2: a layered host must name a page of its own");
    }
}

/* Row 8: the child's pool is empty, and it takes as many deposits as it takes. */
static void empty_pool(void)
{
    struct hv_input_map_vp_state_page in = request();
    gpn_t location = 0;
    unsigned deposits = 0;
    uint16_t status;

    child_withdraw_all(id, NULL);
    tap_equal(free_pages(), 0, "2 row 8: the child's pool is empty");
    in.requested_map_location = ~0UL;
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER,
               "2: row 7 before row 8 (location, pool)");
    in = request();
    tap_status(map_page_call(&in, NULL), HV_STATUS_INSUFFICIENT_MEMORY, "2 row 8: empty pool");
    tap_equal(free_pages(), 0, "2 row 8: nothing changed in the pool");
    tap_status(unmap(0), HV_STATUS_NOT_FOUND, "2 row 8: nothing is mapped");
    do {
        status = map_page_call(&in, &location);
        if (status == HV_STATUS_INSUFFICIENT_MEMORY && child_deposit(id, 1) == 0)
            deposits++;
    } while (status == HV_STATUS_INSUFFICIENT_MEMORY && deposits < 10);
    tap_status(status, HV_STATUS_SUCCESS, "2 row 8: the same call works after %u deposits",
               deposits);
    tap_equal(location, in.requested_map_location, "2: MapLocation is the requested GPN");
    tap_equal(free_pages(), 0, "2: it took what it needed, no more");
    tap_status(map_page_call(&in, NULL), HV_STATUS_OPERATION_DENIED,
               "2: row 6 before row 8 (mapped, pool)");
    if (role == ROLE_IS_LAYERED) {
        in.flags = 0;
        tap_status(map_page_call(&in, NULL), HV_STATUS_OPERATION_DENIED,
                   "2: row 6 before row 7 (mapped, no location)");
        tap_equal(*(volatile uint16_t *)own_page, 1, "2: it shows at the host's own page");
    }
}

static void second_type(void)
{
    struct hv_input_map_vp_state_page in = request();
    in.type = HV_VP_STATE_PAGE_INTERCEPT_MESSAGE;
    child_deposit(id, 8);
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER,
               "2 row 7: covered by the child's other state page");
    tap_status(unmap(1), HV_STATUS_NOT_FOUND, "2: the other type is not mapped");
    tap_status(unmap(0), HV_STATUS_SUCCESS, "2: 0xE2 of the child's register page");
    tap_status(unmap(0), HV_STATUS_NOT_FOUND, "2: 0xE2 again");
    tap_status(map_page_call(&in, NULL), HV_STATUS_SUCCESS, "2: now the place is free");
    tap_status(unmap(1), HV_STATUS_SUCCESS, "2: unmapped");
}

static void chosen(void)
{
    if (role != ROLE_IS_ROOT) {
        tap_skip("2: a place of the hypervisor's choice is for the root");
        return;
    }
    struct hv_input_map_vp_state_page in = request();
    gpn_t location = 0;
    in.flags = 0;
    in.requested_map_location = ~0UL;
    tap_status(map_page_call(&in, &location), HV_STATUS_SUCCESS,
               "2: the hypervisor chooses one GPN in both maps");
    tap_ok(location >= machine_memory_end() >> 12 && location < 1UL << (gpa_bits - 12),
           "2: 0x%lx, above RAM and inside the width", location);
    volatile struct hv_register_page *page = identity_map(location << 12, PAGE_SIZE);
    tap_ok(page->version == 1 && page->is_valid == 1 && page->dirty == 0,
           "3: of a VP that does not run the page is valid at once");
    page->gpr[0] = 0x1234;
    tap_equal(page->gpr[0], 0x1234, "2: the root may write to it");
}

void test_map_child(void)
{
    own_page = page_alloc();
    before_initialize();
    bad_vp();
    bad_location();
    empty_pool();
    second_type();
    chosen();

    struct hv_input_map_vp_state_page in = request();
    tap_status(child_finalize(id), HV_STATUS_SUCCESS, "5: finalized, its page still mapped");
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARTITION_STATE, "2 row 3: finalized");
    tap_status(unmap(0), HV_STATUS_INVALID_PARTITION_STATE, "2 row 3: 0xE2 of a finalized child");
    child_withdraw_all(id, NULL);
    tap_equal(free_pages(), 0, "5: all of the child's pages can be withdrawn");
    tap_status(child_delete(id), HV_STATUS_SUCCESS, "5: deleted");
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARTITION_ID,
               "2 row 2: no such partition any more");
    page_free(own_page);
}
