/* SPDX-License-Identifier: MIT */
/*
 * The end of a partition: FinalizePartition (0x42), DeletePartition (0x43).
 *
 * Decisions: finalizing a partition finalizes and deletes everything below it,
 * because nobody else could; the pages that these hold go back to the maps that
 * they came from before those maps are taken apart. What the partition had
 * deposited for itself is its parent's plain memory again. A partition that is
 * not initialized cannot be finalized, one that is cannot be deleted:
 * INVALID_PARTITION_STATE. Both calls do some of the work in each 50 us and are
 * made again until it is done; in between the partition is FINALIZING, and no
 * other call gets at it.
 */
#include "hypercalls/table.h"

#include "hv/base/phys.h"
#include "hv/model/dispatch.h"
#include "hv/synthetic/msrs.h"

/* No VP below or in p runs any more, and none will. */
static void stop(struct partition *p)
{
    for (struct partition *q = p; q; q = partition_next_below(p, q)) {
        if (q->state == PARTITION_INITIALIZED)
            q->state = PARTITION_FINALIZING;
        for (unsigned i = 0; i < MAX_CPUS; i++)
            if (q->vps[i] && !vp_stopped(q->vps[i]))
                vp_stop_and_wait(q->vps[i]);
    }
}

/* Gives pages of the pool back, all of them in the end. False: go on later. */
static bool give_back_all(struct partition *p, bool self, const struct call *call)
{
    while (memory_give_back(p, self, p->parent, CALL_BATCH, NULL) == CALL_BATCH)
        if (call_expired(call))
            return false;
    return true;
}

/* Everything that came out of the pool of a stopped partition without children goes back. */
static bool clear(struct partition *p, const struct call *call)
{
    if (p->state != PARTITION_FINALIZING)
        return true;
    if (p->space.root != SPN_NONE) {
        for (unsigned i = 0; i < MAX_CPUS; i++)
            if (p->vps[i])
                vp_delete(p->vps[i]);
        synthetic_pages_remove(p);
        if (p->intercepts)
            pool_free(&p->pool, ptr_phys(p->intercepts) >> PAGE_SHIFT);
        p->intercepts = NULL;
        p->intercept_count = 0;
        if (!gpa_release_space(p, call))
            return false;
        slpt_destroy(&p->space);
    }
    if (!give_back_all(p, true, call))
        return false;
    p->state = PARTITION_FINALIZED;
    return true;
}

static struct partition *deepest(struct partition *p)
{
    while (p->children)
        p = p->children;
    return p;
}

uint32_t call_finalize_partition(struct call *call)
{
    struct partition *p = call->target, *below;
    call->start_tsc = rdtsc();
    stop(p);
    while ((below = deepest(p)) != p) {
        if (!clear(below, call) || !give_back_all(below, false, call))
            return CALL_CONTINUE;
        partition_remove(below);
    }
    return clear(p, call) ? HV_STATUS_SUCCESS : CALL_CONTINUE;
}

uint32_t call_delete_partition(struct call *call)
{
    struct partition *p = call->target;
    call->start_tsc = rdtsc();
    if (!give_back_all(p, false, call))
        return CALL_CONTINUE;
    partition_remove(p);
    return HV_STATUS_SUCCESS;
}
