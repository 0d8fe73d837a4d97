/* SPDX-License-Identifier: MIT */
/* Sections 1 and 5: who may call what. */
#include "guests/abi/abi.h"

#define NO_PARTITION 0x7FFFFFFFFFFFUL

struct row {
    uint16_t code;
    bool rep;
    const char *name;
};

static const struct row creators[] = {
    {HVCALL_CREATE_PARTITION, false, "CreatePartition"},
    {HVCALL_INITIALIZE_PARTITION, false, "InitializePartition"},
    {HVCALL_FINALIZE_PARTITION, false, "FinalizePartition"},
    {HVCALL_DELETE_PARTITION, false, "DeletePartition"},
    {HVCALL_GET_PARTITION_PROPERTY, false, "GetPartitionProperty"},
    {HVCALL_SET_PARTITION_PROPERTY, false, "SetPartitionProperty"},
    {HVCALL_GET_NEXT_CHILD_PARTITION, false, "GetNextChildPartition"},
    {HVCALL_DEPOSIT_MEMORY, true, "DepositMemory"},
    {HVCALL_WITHDRAW_MEMORY, true, "WithdrawMemory"},
    {HVCALL_GET_MEMORY_BALANCE, false, "GetMemoryBalance"},
    {HVCALL_MAP_GPA_PAGES, true, "MapGpaPages"},
    {HVCALL_UNMAP_GPA_PAGES, true, "UnmapGpaPages"},
    {HVCALL_INSTALL_INTERCEPT, false, "InstallIntercept"},
    {HVCALL_CREATE_VP, false, "CreateVp"},
    {HVCALL_DELETE_VP, false, "DeleteVp"},
    {HVCALL_TRANSLATE_VIRTUAL_ADDRESS, false, "TranslateVirtualAddress"},
    {HVCALL_DISPATCH_VP, false, "DispatchVp"},
};

static const struct row targeted[] = {
    {HVCALL_GET_VP_REGISTERS, true, "GetVpRegisters"},
    {HVCALL_SET_VP_REGISTERS, true, "SetVpRegisters"},
    {HVCALL_MAP_VP_STATE_PAGE, false, "MapVpStatePage"},
    {HVCALL_UNMAP_VP_STATE_PAGE, false, "UnmapVpStatePage"},
};

/* The call with a zeroed input but for the partition id. */
static uint64_t call_about(const struct row *row, uint64_t id)
{
    memset(hv_input_page(), 0, PAGE_SIZE);
    *(uint64_t *)hv_input_page() = id;
    return hypercall(row->rep ? hv_rep_control(row->code, 1, 0) : row->code, input_gpa(),
                     output_gpa());
}

static void guest_may_not(void)
{
    for (size_t n = 0; n < ARRAY_SIZE(creators); n++) {
        const struct row *row = &creators[n];
        tap_status(call_about(row, NO_PARTITION), HV_STATUS_ACCESS_DENIED, "5: a guest may not %s",
                   row->name);
        tap_status(hypercall(row->code | HV_CONTROL_RESERVED, 1, 1), HV_STATUS_ACCESS_DENIED,
                   "1: %s: privilege before control word and GPAs", row->name);
    }
    for (size_t n = 0; n < ARRAY_SIZE(targeted); n++)
        tap_status(call_about(&targeted[n], NO_PARTITION), HV_STATUS_ACCESS_DENIED,
                   "2: %s does not tell a guest whether a partition exists", targeted[n].name);
}

/* Calls whose input names a partition, and what they say of one that does not exist. */
static void host_is_told(void)
{
    for (size_t n = 0; n < ARRAY_SIZE(targeted); n++) {
        tap_status(call_about(&targeted[n], NO_PARTITION), HV_STATUS_INVALID_PARTITION_ID,
                   "2: %s of a partition that does not exist", targeted[n].name);
        tap_status(call_about(&targeted[n], 0), HV_STATUS_INVALID_PARTITION_ID,
                   "1: %s of partition id 0 (invalid)", targeted[n].name);
    }
    for (size_t n = 1; n < ARRAY_SIZE(creators); n++) /* CreatePartition names none */
        tap_status(call_about(&creators[n], NO_PARTITION), HV_STATUS_INVALID_PARTITION_ID,
                   "5: %s of a partition that does not exist", creators[n].name);
}

void test_privileges(void)
{
    uint64_t *out = hv_output_page();
    tap_status(hypercall(HVCALL_GET_PARTITION_ID, 0, output_gpa()), HV_STATUS_SUCCESS,
               "5: GetPartitionId");
    tap_ok(*out != 0 && *out != HV_PARTITION_ID_SELF, "5: the id is %lu", *out);
    if (may_create())
        host_is_told();
    else
        guest_may_not();
}
