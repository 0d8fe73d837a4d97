/* SPDX-License-Identifier: MIT */
/*
 * InstallIntercept (0x4D): what of a child its parent wants to see. An access
 * mask of 0 takes an intercept away again.
 *
 * Decisions: I/O ports and MSRs have read and write, CPUID leaves and exception
 * vectors execute; another mask bit, type or a parameter out of range:
 * INVALID_PARAMETER. I/O ports always intercept, whatever is installed. A full
 * table (one page): NO_RESOURCES.
 */
#include "hypercalls/table.h"

#include "hv/base/phys.h"
#include "hv/model/dispatch.h"

enum { MASK_READ_WRITE = 3, MASK_EXECUTE = 4, VECTOR_COUNT = 32 };

/* Of each type: the bits that a mask may have, and the largest parameter. */
static const struct {
    uint32_t mask, most;
} types[] = {
    [HV_INTERCEPT_IO_PORT] = {MASK_READ_WRITE, UINT16_MAX},
    [HV_INTERCEPT_MSR] = {MASK_READ_WRITE, UINT32_MAX},
    [HV_INTERCEPT_CPUID] = {MASK_EXECUTE, UINT32_MAX},
    [HV_INTERCEPT_EXCEPTION] = {MASK_EXECUTE, VECTOR_COUNT - 1},
};

_Static_assert(MAX_INTERCEPTS * sizeof(struct installed_intercept) <= PAGE_SIZE, "one page");

static bool input_is_good(const struct hv_input_install_intercept *in)
{
    return in->type < ARRAY_SIZE(types) && !(in->access_mask & ~types[in->type].mask) &&
           in->parameter <= types[in->type].most;
}

static uint32_t install(struct partition *p, const struct hv_input_install_intercept *in)
{
    struct installed_intercept *table = p->intercepts;
    uint32_t i = 0;
    while (i < p->intercept_count &&
           (table[i].type != in->type || table[i].parameter != in->parameter))
        i++;
    if (in->access_mask == 0) {
        if (i < p->intercept_count)
            table[i] = table[--p->intercept_count];
        return HV_STATUS_SUCCESS;
    }
    if (i == MAX_INTERCEPTS)
        return HV_STATUS_NO_RESOURCES;
    if (table == NULL) {
        spn_t spn = pool_alloc(&p->pool, FRAME_OTHER);
        if (spn == SPN_NONE)
            return HV_STATUS_INSUFFICIENT_MEMORY;
        p->intercepts = table = page_ptr(spn);
    }
    table[i] = (struct installed_intercept){in->type, in->access_mask, in->parameter};
    if (i == p->intercept_count)
        p->intercept_count++;
    return HV_STATUS_SUCCESS;
}

/* Puts the table into force: for a running VP at its next exit, which this brings about. */
static void apply(struct partition *p)
{
    uint32_t exceptions = 0;
    bool msrs = false;
    for (uint32_t i = 0; i < p->intercept_count; i++) {
        if (p->intercepts[i].type == HV_INTERCEPT_EXCEPTION)
            exceptions |= 1u << p->intercepts[i].parameter;
        if (p->intercepts[i].type == HV_INTERCEPT_MSR)
            msrs = true;
    }
    p->exception_bitmap = exceptions;
    p->intercepts_msrs = msrs;
    for (unsigned i = 0; i < MAX_CPUS; i++) {
        struct vp *vp = p->vps[i];
        if (vp == NULL || (vp->exception_bitmap == exceptions && vp->intercept_all_msrs == msrs))
            continue;
        vp->exception_bitmap = exceptions;
        vp->intercept_all_msrs = msrs;
        vp_request(vp, REQUEST_INTERCEPTS);
    }
}

uint32_t call_install_intercept(struct call *call)
{
    const struct hv_input_install_intercept *in = (const void *)call->input;
    struct partition *p = call->target;
    if (!input_is_good(in))
        return HV_STATUS_INVALID_PARAMETER;
    uint32_t status = install(p, in);
    if (status == HV_STATUS_SUCCESS)
        apply(p);
    return status;
}
