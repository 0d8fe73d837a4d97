/* SPDX-License-Identifier: MIT */
/*
 * TranslateVirtualAddress (0x52).
 *
 * Decisions: the VP is a child's and stopped (INVALID_VP_STATE). Unknown control
 * flags: INVALID_PARAMETER. A page that may not be executed in the second-level map
 * is GPA_NO_READ for an execute access. The cache type is always write-back.
 */
#include "hypercalls/table.h"

#include "hv/model/dispatch.h"
#include "hv/model/translate.h"

#define CACHE_TYPE_WRITE_BACK 6UL
#define RESULT_CACHE_SHIFT    32
#define RESULT_OVERLAY        BIT(40)

/* What lies at the translated page, for the access. */
static uint32_t check_page(const struct vp *vp, gpn_t gpn, unsigned access)
{
    struct mapping m = slpt_lookup(&vp->partition->space, gpn);
    if (!m.present)
        return HV_TRANSLATE_GPA_UNMAPPED;
    if ((access & TRANSLATE_READ) && !(m.prot & MAP_READ))
        return HV_TRANSLATE_GPA_NO_READ;
    if ((access & TRANSLATE_WRITE) && !(m.prot & MAP_WRITE))
        return HV_TRANSLATE_GPA_NO_WRITE;
    if ((access & TRANSLATE_EXECUTE) && !(m.prot & MAP_EXECUTE))
        return HV_TRANSLATE_GPA_NO_READ;
    return HV_TRANSLATE_SUCCESS;
}

uint32_t call_translate_virtual_address(struct call *call)
{
    const struct hv_input_translate *in = (const void *)call->input;
    struct hv_output_translate *out = (struct hv_output_translate *)call->output;
    const uint64_t known =
        TRANSLATE_READ | TRANSLATE_WRITE | TRANSLATE_EXECUTE | TRANSLATE_PRIVILEGE_EXEMPT;
    struct vp *vp = call->target_vp;
    if (in->zero || (in->control_flags & ~known))
        return HV_STATUS_INVALID_PARAMETER;
    if (!vp_stopped(vp))
        return HV_STATUS_INVALID_VP_STATE;
    unsigned access = (unsigned)in->control_flags;
    gpa_t gpa = 0;
    uint32_t result = translate_linear(vp, in->gva_page << PAGE_SHIFT, access, &gpa);
    gpn_t gpn = gpa >> PAGE_SHIFT;
    if (result == HV_TRANSLATE_SUCCESS)
        result = check_page(vp, gpn, access);
    out->result = result;
    out->gpn = 0;
    if (result == HV_TRANSLATE_SUCCESS) {
        out->result |= CACHE_TYPE_WRITE_BACK << RESULT_CACHE_SHIFT;
        if (overlay_at(&vp->partition->space, gpn))
            out->result |= RESULT_OVERLAY;
        out->gpn = gpn;
    }
    return HV_STATUS_SUCCESS;
}
