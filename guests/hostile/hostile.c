/* SPDX-License-Identifier: MIT */
/*
 * What a malicious guest does: touching memory outside its own, virtualization instructions, bad
 * MSRs and control words, hypercall input and register pages that change while they are read.
 * The test is passed when each is refused and the hypervisor goes on.
 */
#include "guests/hostile/hostile.h"

void guest_main(void)
{
    hypercall_init();
    cpu_start_all();
    test_memory();
    test_instructions();
    test_msrs();
    test_control_words();
    test_races();
    test_classes();
    test_hostile_child();
    test_apic();
    uint64_t id = 0;
    uint64_t result = hypercall(HVCALL_GET_PARTITION_ID, 0, (uint64_t)&id);
    tap_ok(result == HV_STATUS_SUCCESS && id != 0, "after all this the hypervisor still answers");
}
