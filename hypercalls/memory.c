/* SPDX-License-Identifier: MIT */
/*
 * The pool calls: DepositMemory (0x48), WithdrawMemory (0x49), GetMemoryBalance
 * (0x4A). A deposited page is stashed in the map of its depositor and of every
 * ancestor through which the depositor has it: not present, but kept in mind.
 *
 * Decisions: a page is deposited only by one who may write it and when it shows
 * exactly once in each of those maps, that is when its reference count is the
 * depositor's depth. A split of a large page that needs a table page and finds
 * the pool of its map empty is INSUFFICIENT_ROOT_MEMORY when that is not the
 * pool deposited to. Deposits to a finalized partition are
 * INVALID_PARTITION_STATE. A partition takes back for itself what it deposited
 * for itself, from a child what it deposited there; the pages that the first
 * partition's pool was given at boot are nobody's to withdraw.
 */
#include "hypercalls/table.h"

#include "hv/base/panic.h"
#include "mm/tlb.h"

struct search {
    spn_t spn;
    gpn_t gpn;
};

static bool visit(struct space *space, gpn_t gpn, const struct mapping *m, void *context)
{
    struct search *search = context;
    if (search->spn < m->spn || search->spn - m->spn >= mapping_pages(m))
        return true;
    search->gpn = gpn + (search->spn - m->spn);
    return false;
}

/* Where RAM frame spn lies in a partition's map (under an overlay, too), or GPN_NONE. */
static gpn_t find_gpn(struct partition *p, spn_t spn)
{
    if (p->parent == NULL)
        return spn; /* the first partition's map is 1:1 */
    for (const struct overlay *o = p->space.overlays; o; o = o->next)
        if ((o->under.present || o->under.stashed) && o->under.spn == spn)
            return o->gpn;
    struct search search = {spn, GPN_NONE};
    slpt_for_each(&p->space, visit, &search);
    return search.gpn;
}

/* Makes the entry for spn in the map of p stashed, or present again. */
static void set_stashed(struct partition *p, gpn_t gpn, bool stashed)
{
    struct mapping m = overlay_lookup_under(&p->space, gpn);
    m.stashed = stashed;
    m.present = !stashed;
    m.level = 0;
    must(overlay_set_under(&p->space, gpn, &m)); /* the table page is there */
}

/*
 * Stashes one page of the caller everywhere. The shootdown is still to come.
 * INVALID_PARAMETER, INSUFFICIENT_MEMORY, INSUFFICIENT_ROOT_MEMORY: nothing changed.
 */
static uint32_t stash(const struct call *call, const struct partition *target, gpn_t gpn,
                      spn_t *spn)
{
    struct partition *caller = call->caller;
    struct mapping m = slpt_lookup(&caller->space, gpn); /* an overlay's frame is not FRAME_RAM */
    if (!m.present || m.spn == SPN_NONE || !(m.prot & MAP_WRITE) ||
        frame_type_of(m.spn) != FRAME_RAM || frame_get(m.spn)->references != caller->depth)
        return HV_STATUS_INVALID_PARAMETER;
    *spn = m.spn;
    for (struct partition *p = caller; p; p = p->parent) {
        gpn_t at = p == caller ? gpn : find_gpn(p, m.spn);
        must(at != GPN_NONE); /* the reference count says that it is there */
        if (!slpt_prepare(&p->space, at, 1, 0))
            return p == target ? HV_STATUS_INSUFFICIENT_MEMORY : HV_STATUS_INSUFFICIENT_ROOT_MEMORY;
    }
    for (struct partition *p = caller; p; p = p->parent)
        set_stashed(p, p == caller ? gpn : find_gpn(p, m.spn), true);
    return HV_STATUS_SUCCESS;
}

uint32_t call_deposit_memory(struct call *call)
{
    struct partition *target = call->target;
    uint32_t status = HV_STATUS_SUCCESS;
    spn_t spn[CALL_BATCH] = {0};
    while (call->done < call->batch) {
        status = stash(call, target, call->elements[call->done], &spn[call->done]);
        if (status != HV_STATUS_SUCCESS)
            break;
        call->done++;
    }
    if (call->done == 0)
        return status;
    for (struct partition *p = call->caller; p; p = p->parent)
        tlb_shootdown(&p->space);
    for (uint32_t i = 0; i < call->done; i++)
        pool_add(&target->pool, spn[i], call->elements[i], target == call->caller);
    return status;
}

/* Guest memory again, in the maps of `from` and its ancestors. */
static void give_back(spn_t spn, struct partition *depositor, struct partition *from, gpn_t gpn)
{
    struct frame *frame = frame_get(spn);
    frame->type = FRAME_RAM;
    frame->owner = OWNER_FIRST;
    frame->references = 0;
    for (struct partition *p = from; p; p = p->parent) {
        gpn_t at = p == depositor ? gpn : find_gpn(p, spn);
        if (at == GPN_NONE)
            continue;
        set_stashed(p, at, false);
        if (p->parent)
            frame->references++;
    }
}

uint32_t memory_give_back(struct partition *p, bool self, struct partition *from, uint32_t count,
                          uint64_t *gpns)
{
    struct partition *depositor = self ? p : p->parent;
    for (uint32_t i = 0; i < count; i++) {
        spn_t spn = pool_withdraw(&p->pool, self);
        if (spn == SPN_NONE)
            return i;
        gpn_t gpn = frame_get(spn)->gpn;
        give_back(spn, depositor, from, gpn);
        if (gpns)
            gpns[i] = gpn;
    }
    return count;
}

uint32_t call_withdraw_memory(struct call *call)
{
    struct partition *target = call->target;
    call->done =
        memory_give_back(target, target == call->caller, call->caller, call->batch, call->output);
    return call->done < call->batch ? HV_STATUS_NO_RESOURCES : HV_STATUS_SUCCESS;
}

uint32_t call_get_memory_balance(struct call *call)
{
    struct hv_output_memory_balance *out = (struct hv_output_memory_balance *)call->output;
    struct partition *target = call->target;
    out->available = target->pool.free;
    out->in_use = target->pool.used;
    return HV_STATUS_SUCCESS;
}
