/* SPDX-License-Identifier: MIT */
/* Section 1: the GPAs of slow calls, and the fast form's limits. */
#include "guests/abi/abi.h"

#define SENTINEL 0xCCCCCCCCCCCCCCCCUL

/* An 0xE2 that is all right and finds nothing mapped: its input has been read. */
static const struct hv_input_unmap_vp_state_page nothing_mapped = {.partition_id =
                                                                       HV_PARTITION_ID_SELF};

static uint64_t e2_at(uint64_t gpa)
{
    return hypercall(HVCALL_UNMAP_VP_STATE_PAGE, gpa, SENTINEL);
}

static void alignment(void)
{
    memcpy(hv_input_page(), &nothing_mapped, sizeof(nothing_mapped));
    for (unsigned off = 1; off < 8; off++)
        tap_status(e2_at(input_gpa() + off), HV_STATUS_INVALID_ALIGNMENT,
                   "1: input GPA + %u is not 8-byte aligned", off);
    for (unsigned off = 1; off < 8; off++)
        tap_status(hypercall(HVCALL_GET_PARTITION_ID, 0, output_gpa() + off),
                   HV_STATUS_INVALID_ALIGNMENT, "1: output GPA + %u is not 8-byte aligned", off);
    tap_status(e2_at(input_gpa()), HV_STATUS_NOT_FOUND, "1: the aligned one is read");
    tap_status(e2_at(1UL << gpa_bits), HV_STATUS_INVALID_ALIGNMENT,
               "1: input GPA beyond the partition's space");
    tap_status(e2_at(1UL << 63), HV_STATUS_INVALID_ALIGNMENT, "1: input GPA with bit 63");
    tap_status(hypercall(HVCALL_GET_PARTITION_ID, 0, 1UL << gpa_bits), HV_STATUS_INVALID_ALIGNMENT,
               "1: output GPA beyond the partition's space");
}

static void page_crossing(void)
{
    uint8_t *pages = pages_alloc(2, PAGE_SIZE);
    uint8_t *end = pages + PAGE_SIZE;
    struct hv_input_map_vp_state_page in = {.partition_id = HV_PARTITION_ID_SELF, .type = 9};
    memcpy(end - sizeof(nothing_mapped), &nothing_mapped, sizeof(nothing_mapped));
    tap_status(e2_at((uint64_t)end - 16), HV_STATUS_NOT_FOUND,
               "1: input that ends with its page is read");
    memcpy(end - 8, &nothing_mapped, sizeof(nothing_mapped));
    tap_status(e2_at((uint64_t)end - 8), HV_STATUS_INVALID_ALIGNMENT, "1: input crosses a page");
    memcpy(end - 16, &in, sizeof(in));
    tap_status(hypercall(HVCALL_MAP_VP_STATE_PAGE, (uint64_t)end - 16, output_gpa()),
               HV_STATUS_INVALID_ALIGNMENT,
               "2: 0xE1's list is 24 bytes for the page-crossing check also without a location");
    tap_status(hypercall(HVCALL_GET_PARTITION_ID, 0, (uint64_t)end - 8), HV_STATUS_SUCCESS,
               "1: output that ends with its page");
    struct hv_input_vp_registers header = {.partition_id = HV_PARTITION_ID_SELF,
                                           .vp_index = HV_VP_INDEX_SELF};
    memcpy(pages, &header, sizeof(header));
    uint32_t *names = (uint32_t *)(pages + sizeof(header));
    for (unsigned n = 0; n < 2; n++)
        names[n] = HV_REGISTER_VP_INDEX;
    tap_status(hypercall(hv_rep_control(HVCALL_GET_VP_REGISTERS, 2, 0), (uint64_t)pages,
                         (uint64_t)end - 16),
               HV_STATUS_INVALID_ALIGNMENT, "1: a rep call's output list crosses a page");
    memcpy(end - 24, &header, sizeof(header));
    tap_status(
        hypercall(hv_rep_control(HVCALL_GET_VP_REGISTERS, 3, 0), (uint64_t)end - 24, output_gpa()),
        HV_STATUS_INVALID_ALIGNMENT, "1: a rep call's input list crosses a page");
    tap_status(
        hypercall(hv_rep_control(HVCALL_GET_VP_REGISTERS, 3, 2), (uint64_t)end - 24, output_gpa()),
        HV_STATUS_INVALID_ALIGNMENT, "1: also when the rep start is beyond the crossing");
    pages_free(pages, 2);
}

static void overlap(void)
{
    uint8_t *page = page_alloc();
    uint64_t gpa = (uint64_t)page;
    struct hv_input_vp_registers header = {.partition_id = HV_PARTITION_ID_SELF,
                                           .vp_index = HV_VP_INDEX_SELF};
    const uint64_t one = hv_rep_control(HVCALL_GET_VP_REGISTERS, 1, 0); /* 20 bytes in, 16 out */
    const uint32_t name = HV_REGISTER_VP_INDEX;
    memcpy(page, &header, sizeof(header));
    memcpy(page + sizeof(header), &name, sizeof(name));
    tap_status(hypercall(one, gpa, gpa), HV_STATUS_INVALID_ALIGNMENT,
               "1: output over the beginning of the input");
    tap_status(hypercall(one, gpa, gpa + 16), HV_STATUS_INVALID_ALIGNMENT,
               "1: output over the end of the input");
    tap_status(hypercall(one, gpa, gpa + 24), HV_STATUS_SUCCESS,
               "1: input and output in one page without overlap");
    memcpy(page + 16, &header, sizeof(header));
    memcpy(page + 16 + sizeof(header), &name, sizeof(name));
    tap_status(hypercall(one, gpa + 16, gpa + 8), HV_STATUS_INVALID_ALIGNMENT,
               "1: the end of the output over the input");
    tap_status(hypercall(one, gpa + 16, gpa), HV_STATUS_SUCCESS,
               "1: output that ends where the input begins");
    page_free(page);
}

static void unused_and_unreachable(void)
{
    uint64_t *out = hv_output_page();
    struct hv_input_map_vp_state_page in = {.partition_id = HV_PARTITION_ID_SELF};
    tap_status(hypercall(HVCALL_GET_PARTITION_ID, 0xFFFFFFFFFFFFFFFF, output_gpa()),
               HV_STATUS_SUCCESS, "1: an input GPA that the call does not use is ignored");
    memcpy(hv_input_page(), &nothing_mapped, sizeof(nothing_mapped));
    tap_status(e2_at(input_gpa()), HV_STATUS_NOT_FOUND,
               "1: an output GPA that the call does not use is ignored");
    tap_status(e2_at(no_memory), HV_STATUS_INVALID_PARAMETER,
               "1: input GPA with nothing behind it");
    tap_status(hypercall(HVCALL_GET_PARTITION_ID, 0, no_memory), HV_STATUS_INVALID_PARAMETER,
               "1: output GPA with nothing behind it");
    tap_status(hypercall(HVCALL_GET_PARTITION_ID, 0, (uint64_t)hypercall_page),
               HV_STATUS_INVALID_PARAMETER, "1: output into a read-only page (the hypercall page)");
    memcpy(hv_input_page(), &in, sizeof(in));
    tap_status(hypercall(HVCALL_MAP_VP_STATE_PAGE, input_gpa(), no_memory),
               HV_STATUS_INVALID_PARAMETER, "1: 0xE1 with an output page that is not there");
    tap_status(hypercall(HVCALL_MAP_VP_STATE_PAGE, input_gpa(), (uint64_t)hypercall_page),
               HV_STATUS_INVALID_PARAMETER, "1: 0xE1 with an output page that is read-only");
    tap_status(unmap_own(0), HV_STATUS_NOT_FOUND, "1: which was found before anything changed");
    in.type = 9;
    memcpy(hv_input_page(), &in, sizeof(in));
    *out = SENTINEL;
    tap_status(hypercall(HVCALL_MAP_VP_STATE_PAGE, input_gpa(), output_gpa()),
               HV_STATUS_INVALID_PARAMETER, "1: a call that fails");
    tap_equal(*out, SENTINEL, "1: output is written only on success");
    tap_status(hypercall(HVCALL_MAP_VP_STATE_PAGE, input_gpa() + 4, output_gpa()),
               HV_STATUS_INVALID_ALIGNMENT, "1: GPAs before the call itself");
}

static void fast_limits(void)
{
    tap_status(hypercall(HVCALL_UNMAP_VP_STATE_PAGE | HV_CONTROL_FAST, HV_PARTITION_ID_SELF, 0),
               HV_STATUS_NOT_FOUND, "1: 16 bytes of input by a fast call");
    tap_status(hypercall(HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_CONTROL_FAST, 1000, 0),
               HV_STATUS_SUCCESS, "5: NotifyLongSpinWait, fast");
    *(uint64_t *)hv_input_page() = 1000;
    tap_status(hypercall(HVCALL_NOTIFY_LONG_SPIN_WAIT, input_gpa(), 0), HV_STATUS_SUCCESS,
               "5: NotifyLongSpinWait, slow");
    if (cpuid(0x40000003, 0).edx & (BIT(4) | BIT(15))) {
        tap_skip("limits of fast calls: XMM input or output is advertised");
        return;
    }
    tap_status(hypercall(HVCALL_MAP_VP_STATE_PAGE | HV_CONTROL_FAST, HV_PARTITION_ID_SELF, 0),
               HV_STATUS_INVALID_HYPERCALL_INPUT,
               "1: a fast call whose input and output do not fit the registers");
    tap_status(hypercall(HVCALL_GET_PARTITION_ID | HV_CONTROL_FAST, 0, 0),
               HV_STATUS_INVALID_HYPERCALL_INPUT, "1: a fast call with output");
    tap_status(hypercall(hv_rep_control(HVCALL_GET_VP_REGISTERS, 1, 0) | HV_CONTROL_FAST,
                         HV_PARTITION_ID_SELF, HV_VP_INDEX_SELF),
               HV_STATUS_INVALID_HYPERCALL_INPUT, "1: a fast rep call whose list does not fit");
}

void test_gpas(void)
{
    alignment();
    page_crossing();
    overlap();
    unused_and_unreachable();
    fast_limits();
}
