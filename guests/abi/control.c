/* SPDX-License-Identifier: MIT */
/* Section 1: the control word. */
#include "guests/abi/abi.h"

#define ID_CALL HVCALL_GET_PARTITION_ID

/* GetPartitionId with that control word. */
static uint64_t id_call(uint64_t control)
{
    return hypercall(control, 0, output_gpa());
}

/* GetVpRegisters of the caller: `count` times its VP index. */
static uint64_t registers_call(uint64_t control, uint32_t count)
{
    struct hv_input_vp_registers *in = hv_input_page();
    uint32_t *names = (uint32_t *)(in + 1);
    *in = (struct hv_input_vp_registers){.partition_id = HV_PARTITION_ID_SELF,
                                         .vp_index = HV_VP_INDEX_SELF};
    for (uint32_t n = 0; n < count; n++)
        names[n] = HV_REGISTER_VP_INDEX;
    memset(hv_output_page(), 0xCC, PAGE_SIZE);
    return hypercall(control, input_gpa(), output_gpa());
}

static void unknown_codes(void)
{
    static const uint16_t codes[] = {0x0000, 0x0001, 0x003F, 0x00EE, 0x00FF,
                                     0x0100, 0x0400, 0x7FFF, 0x8001, 0xFFFF};
    for (size_t n = 0; n < ARRAY_SIZE(codes); n++)
        tap_status(hypercall(codes[n], input_gpa(), output_gpa()), HV_STATUS_INVALID_HYPERCALL_CODE,
                   "1: unknown code 0x%04x", codes[n]);
    tap_status(hypercall(0xFFFF | HV_CONTROL_RESERVED, 1, 1), HV_STATUS_INVALID_HYPERCALL_CODE,
               "1: unknown code before reserved bits and bad GPAs");
}

static void reserved_bits(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(HV_CONTROL_RESERVED >> bit & 1))
            continue;
        tap_status(id_call(ID_CALL | 1UL << bit), HV_STATUS_INVALID_HYPERCALL_INPUT,
                   "1: reserved bit %u of the control word%s", bit, bit == 31 ? " (nested)" : "");
    }
    for (unsigned bit = 17; bit <= 26; bit++)
        tap_status(id_call(ID_CALL | 1UL << bit), HV_STATUS_INVALID_HYPERCALL_INPUT,
                   "1: variable header (bit %u) on a call that takes none", bit);
    tap_status(hypercall(ID_CALL | 1UL << 60, 0, 1), HV_STATUS_INVALID_HYPERCALL_INPUT,
               "1: control word before GPAs");
}

static void simple_calls(void)
{
    uint64_t result = id_call(ID_CALL);
    tap_equal(result, 0, "1: a simple call that succeeds has a result word of 0");
    tap_status(id_call(hv_rep_control(ID_CALL, 1, 0)), HV_STATUS_INVALID_HYPERCALL_INPUT,
               "1: simple call, rep count 1");
    tap_status(id_call(hv_rep_control(ID_CALL, 0, 1)), HV_STATUS_INVALID_HYPERCALL_INPUT,
               "1: simple call, rep start 1");
    tap_status(id_call(hv_rep_control(ID_CALL, 0xFFF, 0xFFF)), HV_STATUS_INVALID_HYPERCALL_INPUT,
               "1: simple call, rep count and start 4095");
}

static void rep_calls(void)
{
    const uint16_t code = HVCALL_GET_VP_REGISTERS;
    const struct hv_register_value *out = hv_output_page();
    uint64_t result = registers_call(hv_rep_control(code, 3, 0), 3);
    tap_status(result, HV_STATUS_SUCCESS, "1: rep call of 3");
    tap_equal(result >> 16, 3UL << 16, "1: reps completed 3, the rest of the result word 0");
    tap_status(registers_call(hv_rep_control(code, 0, 0), 1), HV_STATUS_INVALID_HYPERCALL_INPUT,
               "1: rep call, count 0");
    tap_status(registers_call(hv_rep_control(code, 2, 2), 2), HV_STATUS_INVALID_HYPERCALL_INPUT,
               "1: rep call, start = count");
    tap_status(registers_call(hv_rep_control(code, 2, 7), 2), HV_STATUS_INVALID_HYPERCALL_INPUT,
               "1: rep call, start > count");
    result = registers_call(hv_rep_control(code, 3, 2), 3);
    tap_status(result, HV_STATUS_SUCCESS, "1: rep call of 3 that starts at 2");
    tap_equal(hv_reps(result), 3, "1: reps completed counts from the beginning of the list");
    tap_ok(out[1].low == 0xCCCCCCCCCCCCCCCC && out[2].low == 0 && out[2].high == 0,
           "1: only the element from the start on was written");
    tap_status(registers_call(hv_rep_control(code, 3, 0) | 1UL << 44, 3),
               HV_STATUS_INVALID_HYPERCALL_INPUT, "1: rep call with a reserved bit");
}

/* A rep call that meets a bad element writes the completed ones and says how many. */
static void rep_call_stops(void)
{
    struct hv_input_vp_registers header = {.partition_id = HV_PARTITION_ID_SELF,
                                           .vp_index = HV_VP_INDEX_SELF};
    const uint32_t names[3] = {HV_REGISTER_VP_INDEX, 0xDEADBEEF, HV_REGISTER_VP_INDEX};
    const struct hv_register_value *out = hv_output_page();
    uint32_t completed = 99;
    memset(hv_output_page(), 0xCC, PAGE_SIZE);
    uint16_t status = hv_call_rep(HVCALL_GET_VP_REGISTERS, &header, sizeof(header), names,
                                  sizeof(names[0]), 3, NULL, 0, &completed);
    tap_status(status, HV_STATUS_INVALID_PARAMETER, "5: unknown register name");
    tap_equal(completed, 1, "5: with the completed count");
    tap_ok(out[0].low == 0 && out[1].low == 0xCCCCCCCCCCCCCCCC,
           "1: a rep call writes the completed elements and no others");
}

void test_control_word(void)
{
    unknown_codes();
    reserved_bits();
    simple_calls();
    rep_calls();
    rep_call_stops();
}
