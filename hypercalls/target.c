/* SPDX-License-Identifier: MIT */
/*
 * What a call is aimed at, as its row in hypercalls/calls.h says: a partition in a state,
 * a VP of it.
 *
 * Decisions: told in this order: the partition (ACCESS_DENIED, INVALID_PARTITION_ID), its
 * state (INVALID_PARTITION_STATE), the VP (INVALID_VP_INDEX). Whether there is a partition
 * that is not the caller's is told only to one that may create partitions.
 */
#include "hypercalls/table.h"

static uint32_t find_partition(struct call *call, uint64_t id, unsigned how)
{
    struct partition *caller = call->caller, *p = caller->children;
    if (id == HV_PARTITION_ID_SELF || id == caller->id) {
        bool allowed = !(how & VP) || (caller->privileges & PRIVILEGE_VP_REGISTERS);
        call->target = caller;
        return allowed && (how & SELF) ? HV_STATUS_SUCCESS : HV_STATUS_ACCESS_DENIED;
    }
    if (!(caller->privileges & PRIVILEGE_CREATE_PARTITIONS))
        return HV_STATUS_ACCESS_DENIED;
    while (p && p->id != id)
        p = p->sibling;
    if (p == NULL)
        return partition_find(id) ? HV_STATUS_ACCESS_DENIED : HV_STATUS_INVALID_PARTITION_ID;
    call->target = p;
    return how & CHILD ? HV_STATUS_SUCCESS : HV_STATUS_ACCESS_DENIED;
}

static uint32_t find_vp(struct call *call, uint32_t index)
{
    const struct partition *p = call->target;
    if (index == HV_VP_INDEX_SELF && p == call->caller)
        call->target_vp = call->vp;
    else if (index >= MAX_CPUS || p->vps[index] == NULL)
        return HV_STATUS_INVALID_VP_INDEX;
    else
        call->target_vp = p->vps[index];
    return HV_STATUS_SUCCESS;
}

uint32_t call_find_target(struct call *call)
{
    unsigned how = call->row->how;
    const struct hv_input_vp *in = (const void *)call->input; /* the beginning of all of them */
    if (!(how & (SELF | CHILD)))
        return HV_STATUS_SUCCESS;
    uint32_t status = find_partition(call, in->partition_id, how);
    if (status == HV_STATUS_SUCCESS && !(how & call->target->state))
        status = HV_STATUS_INVALID_PARTITION_STATE;
    if (status == HV_STATUS_SUCCESS && (how & VP))
        status = find_vp(call, in->vp_index);
    return status;
}
