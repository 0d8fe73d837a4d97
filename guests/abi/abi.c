/* SPDX-License-Identifier: MIT */
/*
 * Every generic check and every status of the hypercall ABI, seen from a guest
 * of each role. Where two things are wrong at once, the earlier check's status
 * must win.
 */
#include "guests/abi/abi.h"

enum guest_role role;
unsigned gpa_bits;
uint64_t no_memory;

uint16_t map_page_call(const struct hv_input_map_vp_state_page *in, gpn_t *location)
{
    uint64_t out = 0;
    uint16_t status = hv_call(HVCALL_MAP_VP_STATE_PAGE, in, sizeof(*in), &out, sizeof(out));
    if (status == HV_STATUS_SUCCESS && location != NULL)
        *location = out;
    return status;
}

uint16_t unmap_page_call(const struct hv_input_unmap_vp_state_page *in)
{
    return hv_call(HVCALL_UNMAP_VP_STATE_PAGE, in, sizeof(*in), NULL, 0);
}

uint16_t unmap_own(uint16_t type)
{
    struct hv_input_unmap_vp_state_page in = {
        .partition_id = HV_PARTITION_ID_SELF, .vp_index = 0, .type = type};
    return unmap_page_call(&in);
}

void guest_main(void)
{
    hypercall_init();
    role = hypervisor_role();
    gpa_bits = cpuid(0x80000008, 0).eax & 0xFF;
    no_memory = 3UL << (gpa_bits - 2);
    tap_note("role %s, %u-bit guest physical addresses", role_name(role), gpa_bits);

    if (may_create())
        test_own_pool();
    test_discovery(); /* starts the other processors */
    test_control_word();
    test_gpas();
    test_forms();
    test_environment();
    test_privileges();
    test_map_own();
    test_unmap();
    if (may_create()) {
        test_map_child();
        test_partition_calls();
        test_memory_calls();
        test_vp_calls();
    } else {
        tap_skip("sections 2 and 5 about children: this partition may not create any");
    }
    test_msrs();
    test_diagnostics();
    test_interrupts();
    test_msr_lock();
}
