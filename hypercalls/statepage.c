/* SPDX-License-Identifier: MIT */
/*
 * State pages: HvCallMapVpStatePage (0xE1), HvCallUnmapVpStatePage (0xE2). A page is a
 * frame of the target's pool that shows through one or two overlays; its life in
 * between is hv/model/statepage.c.
 *
 * Decisions: bad input is told in this order: target (ACCESS_DENIED,
 * INVALID_PARTITION_ID), its state (INVALID_PARTITION_STATE), VP
 * (INVALID_VP_INDEX), reserved bits, type and VTL (INVALID_PARAMETER), already
 * mapped (OPERATION_DENIED), the place (INVALID_PARAMETER), the pools
 * (INSUFFICIENT_MEMORY for the target's, INSUFFICIENT_ROOT_MEMORY for table
 * pages of the caller's own map). A layered host that leaves the place of a
 * child's page open is told so with the place. Without a free GPN in the
 * overlay window: NO_RESOURCES. A register page that is mapped while its VP runs
 * on another processor holds only the version until the VP stops.
 */
#include "hypercalls/table.h"

#include "hv/base/apic.h"
#include "hv/base/console.h"
#include "hv/base/phys.h"
#include "hv/model/statepage.h"
#include "hypercalls/statepage_fast.h"

#define VTL_TARGET_MASK 0x0F
#define VTL_USE_TARGET  0x10
#define VTL_RESERVED    0xE0

_Static_assert((int)STATE_PAGE_REGISTERS == (int)HV_VP_STATE_PAGE_REGISTERS, "page types");
_Static_assert((int)STATE_PAGE_INTERCEPT == (int)HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, "page types");

/* Where a page goes: one or two spaces, and the GPN. */
struct plan {
    struct {
        struct space *space;
        uint8_t prot;
    } place[2];
    unsigned count;
    gpn_t gpn;
};

static bool location_is_good(const struct space *space, gpn_t gpn)
{
    return gpn >> (space->gpa_bits - PAGE_SHIFT) == 0 && gpn != APIC_PAGE_GPN &&
           overlay_at(space, gpn) == NULL;
}

/*
 * Where a page goes. One's own: into one's own map, read-write. A child's: into
 * the child's map, read-only, when the caller is root, and into the caller's as
 * well, at the same GPN, when the hypervisor chooses it; a layered host names a
 * page of its own.
 */
static uint32_t make_plan(const struct call *call, struct partition *target,
                          const struct hv_input_map_vp_state_page *in, struct plan *plan)
{
    struct partition *caller = call->caller;
    struct space *own = &caller->space;
    bool self = target == caller;
    bool root = (caller->privileges & PRIVILEGE_CPU_MANAGEMENT) != 0;
    plan->count = 1;
    plan->place[0].space = own;
    plan->place[0].prot = MAP_READ | MAP_WRITE;
    if (!self && root) {
        plan->place[0].space = &target->space;
        plan->place[0].prot = MAP_READ;
    }
    if (in->flags & HV_MAP_LOCATION_PROVIDED) {
        plan->gpn = in->requested_map_location;
        return location_is_good(plan->place[0].space, plan->gpn) ? HV_STATUS_SUCCESS
                                                                 : HV_STATUS_INVALID_PARAMETER;
    }
    if (!self && !root)
        return HV_STATUS_INVALID_PARAMETER;
    if (!self) {
        plan->count = 2;
        plan->place[1].space = own;
        plan->place[1].prot = MAP_READ | MAP_WRITE;
    }
    plan->gpn = overlay_choose(plan->place[0].space, self ? NULL : own);
    return plan->gpn == GPN_NONE ? HV_STATUS_NO_RESOURCES : HV_STATUS_SUCCESS;
}

/*
 * Row 8, before anything is changed: the page itself and the table pages of the
 * target's map come from the target's pool, those of the caller's from its own.
 */
static uint32_t check_memory(const struct plan *plan, const struct partition *target,
                             const struct partition *caller)
{
    if (has_plenty(&target->pool) && has_plenty(&caller->pool))
        return HV_STATUS_SUCCESS;
    const struct space *first = plan->place[0].space; /* the target's, or the only one */
    const struct space *last = plan->place[plan->count - 1].space;
    uint64_t of_target = 1;
    if (first == &target->space)
        of_target += slpt_missing_tables(first, plan->gpn);
    if (!pool_has(&target->pool, of_target, 0))
        return HV_STATUS_INSUFFICIENT_MEMORY;
    if (last != &target->space &&
        !pool_has(last->pool, slpt_missing_tables(last, plan->gpn), of_target))
        return HV_STATUS_INSUFFICIENT_ROOT_MEMORY;
    return HV_STATUS_SUCCESS;
}

/* Puts the page into place, or leaves everything as it was. */
static uint32_t place(const struct plan *plan, struct vp *vp, enum state_page_type type)
{
    struct state_page *page = &vp->pages[type];
    for (unsigned i = 0; i < plan->count; i++) {
        struct overlay *o = &page->places[i];
        o->gpn = plan->gpn;
        o->spn = page->spn;
        o->prot = plan->place[i].prot;
        o->owner = vp;
        o->kind = OVERLAY_STATE_PAGE;
        o->index = (uint8_t)type;
        enum overlay_result result = overlay_map(o, plan->place[i].space);
        if (result == OVERLAY_OK)
            continue;
        state_page_unmap(vp, type);
        if (result == OVERLAY_BAD_GPN)
            return HV_STATUS_INVALID_PARAMETER;
        return plan->place[i].space == &vp->partition->space ? HV_STATUS_INSUFFICIENT_MEMORY
                                                             : HV_STATUS_INSUFFICIENT_ROOT_MEMORY;
    }
    return HV_STATUS_SUCCESS;
}

/* Type 2 (GHCB) is SEV-SNP's, which there is not. */
static bool page_input_is_good(uint16_t type, uint8_t input_vtl)
{
    if (type >= STATE_PAGE_COUNT || (input_vtl & VTL_RESERVED))
        return false;
    return !(input_vtl & VTL_USE_TARGET) || !(input_vtl & VTL_TARGET_MASK);
}

uint32_t call_map_vp_state_page(struct call *call)
{
    const struct hv_input_map_vp_state_page *in = (const void *)call->input;
    struct vp *vp = call->target_vp;
    if (in->flags & ~HV_MAP_LOCATION_PROVIDED) {
        static bool said;
        if (!said)
            say_info("MapVpStatePage: reserved flag bits %x, refused (older Linux left stale bytes "
                     "there)",
                     in->flags);
        said = true;
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (!page_input_is_good(in->type, in->input_vtl))
        return HV_STATUS_INVALID_PARAMETER;
    enum state_page_type type = (enum state_page_type)in->type;
    if (vp->pages[type].spn != SPN_NONE)
        return HV_STATUS_OPERATION_DENIED;
    struct plan plan;
    uint32_t status = make_plan(call, vp->partition, in, &plan);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status = check_memory(&plan, vp->partition, call->caller);
    if (status != HV_STATUS_SUCCESS)
        return status;
    spn_t spn = pool_alloc(&vp->partition->pool, FRAME_OVERLAY);
    if (spn == SPN_NONE)
        return HV_STATUS_INSUFFICIENT_MEMORY;
    state_page_begin(vp, type, spn, vp == call->vp);
    call->output[0] = plan.gpn;
    return place(&plan, vp, type);
}

uint32_t call_unmap_vp_state_page(struct call *call)
{
    const struct hv_input_unmap_vp_state_page *in = (const void *)call->input;
    struct vp *vp = call->target_vp;
    if (in->reserved || !page_input_is_good(in->type, in->input_vtl))
        return HV_STATUS_INVALID_PARAMETER;
    enum state_page_type type = (enum state_page_type)in->type;
    if (vp->pages[type].spn == SPN_NONE)
        return HV_STATUS_NOT_FOUND;
    state_page_unmap(vp, type);
    return HV_STATUS_SUCCESS;
}
