/* SPDX-License-Identifier: MIT */
/*
 * VPs of a child: CreateVp (0x4E), DeleteVp (0x4F), DispatchVp (0xC2). And the
 * root's own processors: AddLogicalProcessor (0x76), CreateVp for itself.
 *
 * Decisions: a VP costs three pages of its partition's pool (the VP, its VMCS
 * or VMCB, its XSAVE area). Index taken or 64 and above: INVALID_VP_INDEX, told
 * before flags or reserved bytes (INVALID_PARAMETER); subnode and proximity are
 * hints that mean nothing here. DeleteVp ends a dispatch that is under way.
 * DispatchVp: unknown flags, a time slice, a speculation control value and the
 * scan for interrupts of the register page (there is no local APIC for
 * children) are INVALID_PARAMETER; flag 1 acts even when the VP is explicitly
 * suspended. The root has all processors, and a VP on each, from boot: adding or
 * creating what is there, and has not been started up yet, succeeds and changes
 * nothing. No such processor: INVALID_LP_INDEX; another APIC id than its own:
 * INVALID_PARAMETER.
 */
#include "hypercalls/table.h"

#include "hv/base/phys.h"
#include "hv/model/dispatch.h"
#include "hv/model/fpu.h"
#include "hv/model/statepage.h"
#include "hv/synthetic/msrs.h"

static uint64_t next_vp_id = MAX_CPUS + 1; /* those of the first partition are index + 1 */

void vp_delete(struct vp *vp)
{
    struct partition *p = vp->partition;
    if (!vp_stopped(vp))
        vp_stop_and_wait(vp);
    for (unsigned i = 0; i < STATE_PAGE_COUNT; i++)
        if (vp->pages[i].spn != SPN_NONE)
            state_page_unmap(vp, (enum state_page_type)i);
    synthetic_vp_pages_remove(vp);
    p->vps[vp->index] = NULL;
    p->vp_count--;
    pool_free(&p->pool, vp->xsave_spn);
    pool_free(&p->pool, vp->control_spa >> PAGE_SHIFT);
    pool_free(&p->pool, ptr_phys(vp) >> PAGE_SHIFT);
}

/* The three pages, or none. */
static struct vp *allocate(struct pool *pool)
{
    if (!pool_has(pool, 3, 0))
        return NULL;
    struct vp *vp = page_ptr(pool_alloc(pool, FRAME_VP));
    vp->control_spa = pool_alloc(pool, FRAME_VP) << PAGE_SHIFT;
    vp->xsave_spn = pool_alloc(pool, FRAME_VP);
    vp->xsave = page_ptr(vp->xsave_spn);
    return vp;
}

uint32_t call_add_logical_processor(struct call *call)
{
    const struct hv_input_add_logical_processor *in = (const void *)call->input;
    struct hv_output_add_logical_processor *out = (void *)call->output;
    if (in->lp_index >= cpu_count)
        return HV_STATUS_INVALID_LP_INDEX;
    if (cpus[in->lp_index]->apic_id != in->apic_id)
        return HV_STATUS_INVALID_PARAMETER;
    *out = (struct hv_output_add_logical_processor){0};
    return HV_STATUS_SUCCESS;
}

static uint32_t create_own_vp(const struct partition *p, const struct hv_input_create_vp *in)
{
    if (in->vp_index >= MAX_CPUS || !p->vps[in->vp_index] || !p->vps[in->vp_index]->wait_for_sipi)
        return HV_STATUS_INVALID_VP_INDEX;
    /* Linux names the processor in flags, and leaves the last call's input in reserved bytes. */
    if (in->flags && in->flags != in->vp_index)
        return HV_STATUS_INVALID_PARAMETER;
    return HV_STATUS_SUCCESS;
}

uint32_t call_create_vp(struct call *call)
{
    const struct hv_input_create_vp *in = (const void *)call->input;
    struct partition *p = call->target;
    if (p == call->caller)
        return p->privileges & PRIVILEGE_CPU_MANAGEMENT ? create_own_vp(p, in)
                                                        : HV_STATUS_ACCESS_DENIED;
    if (in->vp_index >= MAX_CPUS || p->vps[in->vp_index])
        return HV_STATUS_INVALID_VP_INDEX;
    if (in->flags || in->zero[0] || in->zero[1] || in->zero[2])
        return HV_STATUS_INVALID_PARAMETER;
    struct vp *vp = allocate(&p->pool);
    if (vp == NULL)
        return HV_STATUS_INSUFFICIENT_MEMORY;
    vp->id = next_vp_id++;
    vp->partition = p;
    vp->index = in->vp_index;
    vp->slot = SLOT_CHILD;
    vp->exception_bitmap = p->exception_bitmap;
    vp->intercept_all_msrs = p->intercepts_msrs;
    vp->explicit_suspend = true;
    vp_reset_state(vp);
    fpu_reset(vp);
    backend->vp_init(vp);
    p->vps[vp->index] = vp;
    p->vp_count++;
    state_page_publish(vp, false);
    return HV_STATUS_SUCCESS;
}

uint32_t call_delete_vp(struct call *call)
{
    const struct hv_input_vp *in = (const void *)call->input;
    struct vp *vp = call->target_vp;
    if (in->zero)
        return HV_STATUS_INVALID_PARAMETER;
    vp_delete(vp);
    return HV_STATUS_SUCCESS;
}

uint32_t call_dispatch_vp(struct call *call)
{
    const struct hv_input_dispatch_vp *in = (const void *)call->input;
    struct hv_output_dispatch_vp *out = (struct hv_output_dispatch_vp *)call->output;
    struct vp *vp = call->target_vp;
    if ((in->flags & ~(uint32_t)HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND) || in->time_slice ||
        in->spec_ctrl)
        return HV_STATUS_INVALID_PARAMETER;
    if (vp->running)
        return HV_STATUS_INVALID_VP_STATE;
    if (in->flags & HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND)
        vp->intercept_suspend = false;
    out->state = HV_DISPATCH_STATE_BLOCKED;
    if (vp->explicit_suspend || vp->intercept_suspend) {
        out->event = vp->explicit_suspend ? HV_DISPATCH_EVENT_SUSPEND : HV_DISPATCH_EVENT_INTERCEPT;
        return HV_STATUS_SUCCESS;
    }
    vp->dispatcher = call->vp;
    vp->cpu = call->cpu;
    __atomic_store_n(&vp->running, true, __ATOMIC_SEQ_CST);
    return CALL_DISPATCH;
}
