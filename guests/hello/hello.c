/* SPDX-License-Identifier: MIT */
/*
 * The smallest bundled guest: says where it is, counts its processors, survives
 * an exception. Needs no hypervisor, so it also shows that a machine or an
 * emulator works at all.
 */
#include "guests/lib/guest.h"

static void undefined(void *argument)
{
    (void)argument;
    __asm__ volatile("ud2");
}

static void check_in(void *argument)
{
    __atomic_add_fetch((uint32_t *)argument, 1, __ATOMIC_SEQ_CST);
}

static void nothing(void *argument)
{
    (void)argument;
}

static void say_where(void)
{
    struct cpuid_regs r = cpuid(0, 0);
    tap_note("processor vendor %.4s%.4s%.4s, loader %s, command line \"%s\"", (char *)&r.ebx,
             (char *)&r.edx, (char *)&r.ecx, machine.loader, machine.command_line);
    for (uint32_t n = 0; n < machine.range_count; n++)
        tap_note("memory %016lx..%016lx type %u", machine.ranges[n].start, machine.ranges[n].end,
                 machine.ranges[n].type);
    for (uint32_t n = 0; n < machine.module_count; n++)
        tap_note("module %u: %lu bytes, \"%s\"", n, machine.modules[n].size,
                 machine.modules[n].command_line);
    if (hypervisor_present())
        tap_note("on a hypervisor with the Microsoft interface, as %s",
                 role_name(hypervisor_role()));
    else
        tap_note("no hypervisor with the Microsoft interface");
}

void guest_main(void)
{
    say_where();
    uint64_t first = pages_available();
    void *page = page_alloc();
    tap_ok(page != NULL && first > 0, "%lu pages of memory to use", first);
    page_free(page);

    struct trap trap = {0};
    bool returned = try_call(undefined, NULL, &trap);
    tap_ok(!returned && trap.vector == VECTOR_UD, "UD2 raises #UD and the run goes on");
    trap = user_call(nothing, NULL);
    tap_equal(trap.vector, 0x80, "a function runs at CPL 3 and comes back");
    if (read_cr4() & CR4_OSXSAVE)
        tap_ok(!xsetbv_safe(0), "XCR0 without x87 raises #GP");

    uint32_t count = cpu_start_all(), arrived = 0;
    cpu_call_all(check_in, &arrived);
    tap_equal(arrived, count, "%u processor%s took part", count, count == 1 ? "" : "s");
    uint64_t wanted = option_number("expect", count);
    tap_equal(count, wanted, "as many processors as expected");
}
