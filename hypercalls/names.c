/* SPDX-License-Identifier: MIT */
/* The debug line: a hypercall's decoded input and its outcome, in words. */
#include "hypercalls/table.h"

#include "hv/base/console.h"
#include "hv/base/string.h"

#define FIELDS_SIZE 320 /* the longest: 0x7C, each number with all its digits */

static const char *const status_names[] = {
    [HV_STATUS_SUCCESS] = "SUCCESS",
    [HV_STATUS_INVALID_HYPERCALL_CODE] = "INVALID_HYPERCALL_CODE",
    [HV_STATUS_INVALID_HYPERCALL_INPUT] = "INVALID_HYPERCALL_INPUT",
    [HV_STATUS_INVALID_ALIGNMENT] = "INVALID_ALIGNMENT",
    [HV_STATUS_INVALID_PARAMETER] = "INVALID_PARAMETER",
    [HV_STATUS_ACCESS_DENIED] = "ACCESS_DENIED",
    [HV_STATUS_INVALID_PARTITION_STATE] = "INVALID_PARTITION_STATE",
    [HV_STATUS_OPERATION_DENIED] = "OPERATION_DENIED",
    [HV_STATUS_UNKNOWN_PROPERTY] = "UNKNOWN_PROPERTY",
    [HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE] = "PROPERTY_VALUE_OUT_OF_RANGE",
    [HV_STATUS_INSUFFICIENT_MEMORY] = "INSUFFICIENT_MEMORY",
    [HV_STATUS_INVALID_PARTITION_ID] = "INVALID_PARTITION_ID",
    [HV_STATUS_INVALID_VP_INDEX] = "INVALID_VP_INDEX",
    [HV_STATUS_NOT_FOUND] = "NOT_FOUND",
    [HV_STATUS_INVALID_VP_STATE] = "INVALID_VP_STATE",
    [HV_STATUS_NO_RESOURCES] = "NO_RESOURCES",
    [HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED] = "PROCESSOR_FEATURE_NOT_SUPPORTED",
    [HV_STATUS_INVALID_LP_INDEX] = "INVALID_LP_INDEX",
    [HV_STATUS_INVALID_REGISTER_VALUE] = "INVALID_REGISTER_VALUE",
    [HV_STATUS_OPERATION_FAILED] = "OPERATION_FAILED",
    [HV_STATUS_INSUFFICIENT_ROOT_MEMORY] = "INSUFFICIENT_ROOT_MEMORY",
};

const char *outcome_name(uint32_t outcome)
{
    switch (outcome) {
    case CALL_CONTINUE:
        return "goes on later";
    case CALL_FAULT:
        return "memory intercept";
    case CALL_DISPATCH:
        return "dispatched";
    default:
        if (outcome < ARRAY_SIZE(status_names) && status_names[outcome])
            return status_names[outcome];
        return "?";
    }
}

/* " name=value" for each field of the row. */
static void print_fields(const struct call *call, char *text, size_t size)
{
    size_t length = 0;
    for (const struct call_field *field = call->row->fields(); field->name; field++) {
        uint64_t value = 0;
        memcpy(&value, (const uint8_t *)call->input + field->offset, field->size);
        length += format_text(text + length, size - length, " %s=%lx", field->name, value);
    }
}

void call_print(const struct call *call, uint32_t outcome)
{
    char text[FIELDS_SIZE];
    const struct call_row *row = call->row;
    text[0] = '\0';
    if (call->copied)
        print_fields(call, text, sizeof(text));
    say_debug("partition %lu VP %u: hypercall %04lx %s%s%s, rep %u: %s (%x)", call->caller->id,
              call->vp->index, call->control & 0xFFFF, row ? row->name : "unknown",
              call->control & HV_CONTROL_FAST ? " fast" : "", text, call->position,
              outcome_name(outcome), outcome);
}
