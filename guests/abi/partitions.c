/* SPDX-License-Identifier: MIT */
/* Section 5: creating partitions, their states and properties. */
#include "guests/abi/abi.h"
#include "hv/model/partition.h"

static uint16_t create(uint64_t flags, uint64_t isolation, uint64_t *id)
{
    struct hv_input_create_partition in = {.flags = flags, .isolation = isolation};
    uint16_t status;
    do
        status = hv_call(HVCALL_CREATE_PARTITION, &in, sizeof(in), id, sizeof(*id));
    while (status == HV_STATUS_INSUFFICIENT_MEMORY &&
           child_deposit(HV_PARTITION_ID_SELF, 1) == HV_STATUS_SUCCESS);
    return status;
}

static uint16_t get_property(uint64_t id, uint32_t code, uint64_t *value)
{
    struct hv_input_get_partition_property in = {.partition_id = id, .code = code};
    return hv_call(HVCALL_GET_PARTITION_PROPERTY, &in, sizeof(in), value, sizeof(*value));
}

static uint16_t set_property(uint64_t id, uint32_t code, uint64_t value)
{
    struct hv_input_set_partition_property in = {.partition_id = id, .code = code, .value = value};
    return hv_call(HVCALL_SET_PARTITION_PROPERTY, &in, sizeof(in), NULL, 0);
}

static uint16_t next_child(uint64_t parent, uint64_t previous, uint64_t *next)
{
    struct hv_input_next_child in = {parent, previous};
    return hv_call(HVCALL_GET_NEXT_CHILD_PARTITION, &in, sizeof(in), next, sizeof(*next));
}

static uint16_t initialize(uint64_t id)
{
    return hv_call(HVCALL_INITIALIZE_PARTITION, &id, sizeof(id), NULL, 0);
}

static void creation_flags(void)
{
    static const uint8_t unsupported[] = {1, 13, 22}, unknown[] = {2, 5, 12, 31, 63};
    static const uint8_t known[] = {0, 4, 8, 19};
    uint64_t id = 0;
    for (size_t n = 0; n < ARRAY_SIZE(unsupported); n++)
        tap_status(create(1UL << unsupported[n], 0, &id), HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED,
                   "5: CreatePartition, flag %u", unsupported[n]);
    for (size_t n = 0; n < ARRAY_SIZE(unknown); n++)
        tap_status(create(1UL << unknown[n], 0, &id), HV_STATUS_INVALID_PARAMETER,
                   "5: CreatePartition, unknown flag %u", unknown[n]);
    for (size_t n = 0; n < ARRAY_SIZE(known); n++) {
        tap_status(create(1UL << known[n], 0, &id), HV_STATUS_SUCCESS,
                   "5: CreatePartition, flag %u", known[n]);
        tap_status(child_delete(id), HV_STATUS_SUCCESS, "5: DeletePartition of a created one");
    }
}

static void states(void)
{
    uint64_t id = 0, second = 0, next = 0;
    tap_status(create(0, 0, &id), HV_STATUS_SUCCESS, "5: created");
    tap_status(initialize(id), HV_STATUS_INSUFFICIENT_MEMORY,
               "5: its tables come from its own pool, which is empty");
    tap_status(child_initialize(id), HV_STATUS_SUCCESS, "5: initialized after deposits");
    tap_status(initialize(id), HV_STATUS_INVALID_PARTITION_STATE, "5: initialized twice");
    tap_status(child_delete(id), HV_STATUS_INVALID_PARTITION_STATE,
               "5: an initialized partition is not deleted");
    tap_status(create(0, 0, &second), HV_STATUS_SUCCESS, "5: another one");
    tap_status(next_child(HV_PARTITION_ID_SELF, 0, &next), HV_STATUS_SUCCESS,
               "5: GetNextChildPartition");
    tap_equal(next, id, "5: the first child");
    next_child(HV_PARTITION_ID_SELF, id, &next);
    tap_equal(next, second, "5: the second child");
    next_child(HV_PARTITION_ID_SELF, second, &next);
    tap_equal(next, 0, "5: no third");
    tap_status(child_finalize(id), HV_STATUS_SUCCESS, "5: finalized");
    tap_status(initialize(id), HV_STATUS_INVALID_PARTITION_STATE, "5: never initialized again");
    tap_status(child_delete(id), HV_STATUS_SUCCESS,
               "5: deleted with pages left: they are the depositor's again");
    tap_status(child_delete(id), HV_STATUS_INVALID_PARTITION_ID, "5: deleted twice");
    tap_status(child_delete(second), HV_STATUS_SUCCESS, "5: the other one deleted");
    tap_status(create(0, 0, &next), HV_STATUS_SUCCESS, "5: a third one");
    tap_ok(next != id && next != second, "5: ids are never used again");
    child_delete(next);
}

static void self_is_no_child(void)
{
    tap_status(initialize(HV_PARTITION_ID_SELF), HV_STATUS_ACCESS_DENIED,
               "5: InitializePartition of oneself");
    tap_status(child_finalize(HV_PARTITION_ID_SELF), HV_STATUS_ACCESS_DENIED,
               "5: FinalizePartition of oneself");
    tap_status(child_delete(HV_PARTITION_ID_SELF), HV_STATUS_ACCESS_DENIED,
               "5: DeletePartition of oneself");
}

static void properties(void)
{
    uint64_t id = 0, value = 0, mine = hypervisor_privileges();
    create(0, 0, &id);
    tap_status(get_property(id, HV_PROPERTY_PRIVILEGE_FLAGS, &value), HV_STATUS_SUCCESS,
               "5: GetPartitionProperty");
    tap_equal(value, PRIVILEGES_CHILD, "5: a child starts with the MSR ones and AccessPartitionId");
    tap_status(get_property(id, 0x12345678, &value), HV_STATUS_UNKNOWN_PROPERTY,
               "5: unknown property, get");
    tap_status(set_property(id, 0x12345678, 0), HV_STATUS_UNKNOWN_PROPERTY,
               "5: unknown property, set");
    tap_status(set_property(id, HV_PROPERTY_PRIVILEGE_FLAGS, mine), HV_STATUS_SUCCESS,
               "5: the parent's own privileges");
    uint16_t status = set_property(id, HV_PROPERTY_PRIVILEGE_FLAGS, mine | 1UL << 63);
    tap_ok(status != HV_STATUS_SUCCESS, "5: more than the parent has is refused: %s",
           status_name(status));
    get_property(id, HV_PROPERTY_PRIVILEGE_FLAGS, &value);
    tap_equal(value, mine, "5: which changes nothing");
    child_initialize(id);
    tap_status(set_property(id, HV_PROPERTY_PRIVILEGE_FLAGS, 0), HV_STATUS_INVALID_PARTITION_STATE,
               "5: not after it was initialized");
    child_finalize(id);
    child_withdraw_all(id, NULL);
    child_delete(id);
}

void test_partition_calls(void)
{
    creation_flags();
    states();
    self_is_no_child();
    properties();
}
