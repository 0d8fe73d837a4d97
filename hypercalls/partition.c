/* SPDX-License-Identifier: MIT */
/*
 * The partition tree, and the calls about a partition as a whole: 0x40, 0x41,
 * 0x44, 0x45, 0x47. (Finalizing and deleting: hypercalls/teardown.c.)
 *
 * Decisions: creation flags other than 0, 4, 8 and 19 are refused (LAPIC,
 * x2APIC and nested: PROCESSOR_FEATURE_NOT_SUPPORTED, others:
 * INVALID_PARAMETER), isolation is INVALID_PARAMETER, any compatibility version
 * is taken, "disabled features" are not enforced. With MAX_PARTITIONS alive
 * 0x40 is NO_RESOURCES. Ids are never used again. 0x44 may be aimed at oneself,
 * 0x45 only at a child that is not initialized yet; a privilege that the caller
 * has not is PROPERTY_VALUE_OUT_OF_RANGE. 0x47 enumerates the children of the
 * caller or of one of its children, in the order of their ids.
 */
#include "hypercalls/table.h"

#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "hv/model/fpu.h"

#define CREATE_NESTED (1UL << 1)
#define CREATE_IMPLEMENTED                                                                         \
    (1UL | HV_CREATE_GPA_SUPER_PAGES | HV_CREATE_EXO_PARTITION | HV_CREATE_INTERCEPT_MESSAGE_PAGE)
#define CREATE_UNSUPPORTED ((uint64_t)HV_CREATE_LAPIC | HV_CREATE_X2APIC | CREATE_NESTED)

uint32_t call_create_partition(struct call *call)
{
    const struct hv_input_create_partition *in = (const void *)call->input;
    if (in->flags & ~(CREATE_IMPLEMENTED | CREATE_UNSUPPORTED) || in->isolation)
        return HV_STATUS_INVALID_PARAMETER;
    if (in->flags & CREATE_UNSUPPORTED)
        return HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED;
    struct partition *p;
    uint32_t status = partition_create(call->caller, &p);
    if (status != HV_STATUS_SUCCESS)
        return status;
    call->output[0] = p->id;
    return HV_STATUS_SUCCESS;
}

uint32_t call_initialize_partition(struct call *call)
{
    struct partition *p = call->target;
    if (!slpt_init(&p->space, backend->format, &p->pool, p->parent->space.gpa_bits,
                   backend_features.max_level))
        return HV_STATUS_INSUFFICIENT_MEMORY;
    p->reference_start_tsc = rdtsc();
    p->state = PARTITION_INITIALIZED;
    return HV_STATUS_SUCCESS;
}

uint32_t call_get_partition_property(struct call *call)
{
    const struct hv_input_get_partition_property *in = (const void *)call->input;
    struct partition *p = call->target;
    if (in->zero)
        return HV_STATUS_INVALID_PARAMETER;
    if (in->code != HV_PROPERTY_PRIVILEGE_FLAGS)
        return HV_STATUS_UNKNOWN_PROPERTY;
    call->output[0] = p->privileges;
    return HV_STATUS_SUCCESS;
}

uint32_t call_set_partition_property(struct call *call)
{
    const struct hv_input_set_partition_property *in = (const void *)call->input;
    struct partition *p = call->target;
    if (in->zero)
        return HV_STATUS_INVALID_PARAMETER;
    if (in->code != HV_PROPERTY_PRIVILEGE_FLAGS)
        return HV_STATUS_UNKNOWN_PROPERTY;
    if (p->state != PARTITION_CREATED)
        return HV_STATUS_INVALID_PARTITION_STATE;
    if (in->value & ~call->caller->privileges)
        return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
    p->privileges = in->value;
    return HV_STATUS_SUCCESS;
}

uint32_t call_get_next_child_partition(struct call *call)
{
    const struct hv_input_next_child *in = (const void *)call->input;
    struct partition *p = call->target;
    const struct partition *child = partition_next_child(p, in->previous_id);
    call->output[0] = child ? child->id : 0;
    return HV_STATUS_SUCCESS;
}
