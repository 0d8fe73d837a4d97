/* SPDX-License-Identifier: MIT */
/* Section 5: depositing, withdrawing, mapping. */
#include "guests/abi/abi.h"

#define APIC_GPN 0xFEE00

static uint64_t id;

static uint16_t deposit(const gpn_t *list, uint32_t count, uint32_t *completed)
{
    return hv_call_rep(HVCALL_DEPOSIT_MEMORY, &id, sizeof(id), list, sizeof(*list), count, NULL, 0,
                       completed);
}

static uint16_t map(gpn_t gpn, const gpn_t *list, uint32_t count, uint32_t flags,
                    uint32_t *completed)
{
    struct hv_input_map_gpa in = {.partition_id = id, .base_gpn = gpn, .flags = flags};
    uint16_t status;
    do
        status = hv_call_rep(HVCALL_MAP_GPA_PAGES, &in, sizeof(in), list, sizeof(*list), count,
                             NULL, 0, completed);
    while (status == HV_STATUS_INSUFFICIENT_MEMORY && child_deposit(id, 1) == 0);
    return status;
}

static uint16_t withdraw(uint32_t count, gpn_t *list, uint32_t *completed)
{
    struct hv_input_withdraw in = {.partition_id = id};
    return hv_call_rep(HVCALL_WITHDRAW_MEMORY, &in, sizeof(in), NULL, 0, count, list, sizeof(*list),
                       completed);
}

/* A list of a good page and a bad one: the good one is taken, the bad one named by the count. */
static void bad_deposit(gpn_t bad, const char *what)
{
    void *page = page_alloc();
    gpn_t list[2] = {page_of(page), bad}, got[2];
    uint32_t completed = 9;
    tap_status(deposit(list, 2, &completed), HV_STATUS_INVALID_PARAMETER, "5: deposit of %s", what);
    tap_equal(completed, 1, "5: with the completed count");
    withdraw(1, got, &completed);
    page_free(page);
}

static void touch(void *argument)
{
    (void)*(volatile uint64_t *)argument;
}

static void deposits(void)
{
    struct hv_output_memory_balance before = {0}, after = {0};
    uint8_t *page = page_alloc();
    gpn_t gpn = page_of(page), got[4] = {0};
    uint32_t completed = 0;
    struct trap trap = {0};
    uint64_t *covered = page_alloc();
    struct hv_input_map_vp_state_page in = {.partition_id = HV_PARTITION_ID_SELF,
                                            .flags = HV_MAP_LOCATION_PROVIDED,
                                            .requested_map_location = page_of(covered)};

    child_balance(id, &before);
    memset(page, 0x77, PAGE_SIZE);
    tap_status(deposit(&gpn, 1, &completed), HV_STATUS_SUCCESS, "5: DepositMemory of one page");
    child_balance(id, &after);
    tap_ok(after.available == before.available + 1 && after.in_use == before.in_use,
           "5: the balance says so");
    tap_ok(!try_call(touch, page, &trap) && trap.vector == VECTOR_GP && trap.error == 0,
           "5: a deposited page is #GP(0) to the depositor");
    bad_deposit(gpn, "a page that is deposited already");
    bad_deposit(APIC_GPN, "the local APIC's page");
    bad_deposit(no_memory >> 12, "a GPN with nothing behind it");
    bad_deposit(~0UL, "a GPN beyond the space");
    bad_deposit(page_of(hypercall_page), "a page under the hypercall page");
    if (map_page_call(&in, NULL) == HV_STATUS_SUCCESS) {
        bad_deposit(page_of(covered), "a page under a state page");
        unmap_own(0);
    }
    tap_status(withdraw(4, got, &completed), HV_STATUS_NO_RESOURCES,
               "5: WithdrawMemory of more than there is");
    tap_equal(completed, 1, "5: gives those there are");
    tap_equal(got[0], gpn, "5: the page that was deposited");
    bool zero = true;
    for (unsigned n = 0; n < PAGE_SIZE; n++)
        zero &= page[n] == 0;
    tap_ok(zero, "5: every page comes back zeroed");
    page_free(page);
    page_free(covered);
}

static void mappings(void)
{
    uint8_t *page = page_alloc();
    const gpn_t good = page_of(page);
    const uint32_t all = CHILD_MAP_ALL;
    const struct {
        gpn_t gpn;
        const char *what;
    } bad[] = {
        {APIC_GPN, "the local APIC's page"},
        {no_memory >> 12, "a GPN with nothing behind it"},
        {~0UL, "a GPN beyond the space"},
        {page_of(hypercall_page), "a page under the hypercall page"},
    };
    uint32_t completed = 9;
    for (size_t n = 0; n < ARRAY_SIZE(bad); n++) {
        gpn_t list[2] = {good, bad[n].gpn};
        tap_status(map(0, list, 2, all, &completed), HV_STATUS_INVALID_PARAMETER,
                   "5: MapGpaPages of %s", bad[n].what);
        tap_equal(completed, 1, "5: with the completed count");
    }
    gpn_t twice[2] = {good, good};
    tap_status(map(0x10, twice, 2, all, &completed), HV_STATUS_SUCCESS,
               "5: one page may be mapped several times");
    tap_equal(completed, 2, "5: both are");
    bad_deposit(good, "a page that is mapped into a child");
    tap_status(map(1UL << (gpa_bits - 12), &good, 1, all, &completed), HV_STATUS_INVALID_PARAMETER,
               "5: MapGpaPages beyond the child's space");
    tap_status(map(0, &good, 1, all | 1u << 30, &completed), HV_STATUS_INVALID_PARAMETER,
               "5: MapGpaPages with an unknown flag");
    tap_status(child_unmap(id, 0, 1), HV_STATUS_SUCCESS, "5: UnmapGpaPages");
    tap_status(child_unmap(id, 0x10, 2), HV_STATUS_SUCCESS, "5: UnmapGpaPages of both");
    uint32_t taken = 0;
    gpn_t got[1];
    tap_status(deposit(&good, 1, &taken), HV_STATUS_SUCCESS,
               "5: once it is in no child any more it can be deposited");
    withdraw(1, got, &taken);
    page_free(page);
}

void test_memory_calls(void)
{
    tap_status(child_create(0, &id), HV_STATUS_SUCCESS, "5: a child for the memory calls");
    uint32_t completed = 9;
    gpn_t got[1];
    tap_status(withdraw(1, got, &completed), HV_STATUS_NO_RESOURCES, "5: an empty pool");
    tap_equal(completed, 0, "5: gives nothing");
    deposits();
    child_initialize(id);
    child_withdraw_all(id, NULL);
    mappings();
    child_finalize(id);
    child_withdraw_all(id, NULL);
    tap_status(child_delete(id), HV_STATUS_SUCCESS, "5: and it is gone");
}
