/* SPDX-License-Identifier: MIT */
/* Section 5: VPs, their registers, dispatching, intercepts. */
#include "guests/abi/abi.h"

static uint64_t id;

static uint16_t create_vp(struct hv_input_create_vp in)
{
    uint16_t status;
    in.partition_id = id;
    do
        status = hv_call(HVCALL_CREATE_VP, &in, sizeof(in), NULL, 0);
    while (status == HV_STATUS_INSUFFICIENT_MEMORY && child_deposit(id, 1) == 0);
    return status;
}

static void creating(void)
{
    struct hv_input_create_vp in = {.vp_index = 1, .flags = 1};
    tap_status(create_vp(in), HV_STATUS_INVALID_PARAMETER, "5: CreateVp with flags");
    in = (struct hv_input_create_vp){.vp_index = 1, .zero = {0, 1, 0}};
    tap_status(create_vp(in), HV_STATUS_INVALID_PARAMETER, "5: CreateVp with reserved bytes");
    in = (struct hv_input_create_vp){.vp_index = 64};
    tap_status(create_vp(in), HV_STATUS_INVALID_VP_INDEX, "5: CreateVp, index over the limit");
    in = (struct hv_input_create_vp){.vp_index = HV_VP_INDEX_SELF};
    tap_status(create_vp(in), HV_STATUS_INVALID_VP_INDEX, "5: CreateVp, index SELF");
    in = (struct hv_input_create_vp){.vp_index = 1};
    tap_status(create_vp(in), HV_STATUS_SUCCESS, "5: CreateVp, index 1");
    tap_status(create_vp(in), HV_STATUS_INVALID_VP_INDEX, "5: CreateVp, index taken");
    tap_status(child_delete_vp(id, 1), HV_STATUS_SUCCESS, "5: DeleteVp");
    tap_status(child_delete_vp(id, 1), HV_STATUS_INVALID_VP_INDEX, "5: DeleteVp of none");
    in = (struct hv_input_create_vp){.vp_index = 0};
    tap_status(create_vp(in), HV_STATUS_SUCCESS, "5: CreateVp, index 0");
}

static void registers(void)
{
    struct hv_register_value value = {0};
    tap_status(child_get(id, 0, HV_REGISTER_EXPLICIT_SUSPEND, &value), HV_STATUS_SUCCESS,
               "5: GetVpRegisters");
    tap_equal(value.low, 1, "5: VPs are created suspended");
    tap_status(child_set(id, 0, HV_REGISTER_RAX + 3, 0x123456789ABCDEF0, 0), HV_STATUS_SUCCESS,
               "5: SetVpRegisters");
    child_get(id, 0, HV_REGISTER_RAX + 3, &value);
    tap_equal(value.low, 0x123456789ABCDEF0, "5: it keeps the value");
    tap_status(child_get(id, 0, 0x00FFFFFF, &value), HV_STATUS_INVALID_PARAMETER,
               "5: unknown register name, get");
    tap_status(child_set(id, 0, 0x00FFFFFF, 0, 0), HV_STATUS_INVALID_PARAMETER,
               "5: unknown register name, set");
    tap_status(child_get(id, 9, HV_REGISTER_RIP, &value), HV_STATUS_INVALID_VP_INDEX,
               "5: registers of a VP that does not exist");
    tap_status(child_get(id, HV_VP_INDEX_SELF, HV_REGISTER_RIP, &value), HV_STATUS_INVALID_VP_INDEX,
               "5: SELF is no VP of a child");
}

static uint16_t dispatch(uint64_t partition, uint32_t vp, uint64_t slice,
                         struct hv_output_dispatch_vp *out)
{
    struct hv_input_dispatch_vp in = {
        .partition_id = partition, .vp_index = vp, .time_slice = slice};
    return hv_call(HVCALL_DISPATCH_VP, &in, sizeof(in), out, sizeof(*out));
}

static void dispatching(void)
{
    struct hv_output_dispatch_vp out = {0};
    tap_status(dispatch(HV_PARTITION_ID_SELF, 0, 0, &out), HV_STATUS_ACCESS_DENIED,
               "5: DispatchVp of a VP that is not a child's");
    tap_status(dispatch(id, 7, 0, &out), HV_STATUS_INVALID_VP_INDEX,
               "5: DispatchVp of a VP that does not exist");
    tap_status(dispatch(id, 0, 100, &out), HV_STATUS_INVALID_PARAMETER,
               "5: DispatchVp with a time slice");
    tap_status(dispatch(id, 0, 0, &out), HV_STATUS_SUCCESS, "5: DispatchVp of a suspended VP");
    tap_ok(out.state == HV_DISPATCH_STATE_BLOCKED && out.event == HV_DISPATCH_EVENT_SUSPEND,
           "5: is blocked, suspend");
    /* Without memory its first instruction is an access to an unmapped GPA. */
    child_set(id, 0, HV_REGISTER_EXPLICIT_SUSPEND, 0, 0);
    tap_status(dispatch(id, 0, 0, &out), HV_STATUS_SUCCESS, "5: DispatchVp that ends at once");
    tap_ok(out.state == HV_DISPATCH_STATE_READY && out.event == HV_DISPATCH_EVENT_INTERCEPT,
           "5: a dispatch that ends on an intercept: ready, intercept");
    tap_status(dispatch(id, 0, 0, &out), HV_STATUS_SUCCESS, "5: DispatchVp without the clear flag");
    tap_ok(out.state == HV_DISPATCH_STATE_BLOCKED && out.event == HV_DISPATCH_EVENT_INTERCEPT,
           "5: still suspended by the intercept: blocked, intercept");
}

static void intercepts(void)
{
    tap_status(child_install_intercept(id, HV_INTERCEPT_CPUID, 4, 0x40000000), HV_STATUS_SUCCESS,
               "5: InstallIntercept of a CPUID leaf");
    tap_status(child_install_intercept(id, HV_INTERCEPT_MSR, 3, 0x10), HV_STATUS_SUCCESS,
               "5: InstallIntercept of an MSR");
    tap_status(child_install_intercept(id, HV_INTERCEPT_IO_PORT, 3, 0x80), HV_STATUS_SUCCESS,
               "5: InstallIntercept of a port");
    tap_status(child_install_intercept(id, HV_INTERCEPT_EXCEPTION, 4, VECTOR_UD), HV_STATUS_SUCCESS,
               "5: InstallIntercept of an exception");
    tap_status(child_install_intercept(id, 99, 1, 0), HV_STATUS_INVALID_PARAMETER,
               "5: InstallIntercept of an unknown type");
    tap_status(child_install_intercept(id, HV_INTERCEPT_EXCEPTION, 4, 300),
               HV_STATUS_INVALID_PARAMETER, "5: InstallIntercept of vector 300");
    tap_status(child_install_intercept(HV_PARTITION_ID_SELF, HV_INTERCEPT_CPUID, 4, 0),
               HV_STATUS_ACCESS_DENIED, "5: InstallIntercept on oneself");
}

void test_vp_calls(void)
{
    tap_status(child_create(0, &id), HV_STATUS_SUCCESS, "5: a child for the VP calls");
    struct hv_input_create_vp in = {.partition_id = id};
    tap_status(hv_call(HVCALL_CREATE_VP, &in, sizeof(in), NULL, 0),
               HV_STATUS_INVALID_PARTITION_STATE, "5: CreateVp before it is initialized");
    child_initialize(id);
    creating();
    registers();
    dispatching();
    intercepts();
    child_finalize(id);
    child_withdraw_all(id, NULL);
    tap_status(child_delete(id), HV_STATUS_SUCCESS, "5: and it is gone");
}
