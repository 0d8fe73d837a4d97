/* SPDX-License-Identifier: MIT */
/*
 * Proves that the first partition has the machine: every processor, all memory
 * but the hypervisor's, modules and command lines as they were given, device
 * interrupts, and the ways in which a machine ends. Needs no hypervisor.
 *
 *   expect=N      processors that must run (those of the ACPI tables)
 *   role=NAME     root, layered or guest
 *   hole=A-B      bytes that must not be RAM (hexadecimal)
 *   end=HOW       see end.c
 *   quick         no checks
 */
#include "guests/machine/machine.h"

#include "guests/lib/guest.h"

#define MADT_FIRST_ENTRY 44
#define MADT_LAPIC       0

/* Enabled processors in the firmware's tables; 1 when there are no tables. */
static uint32_t processors_found(void)
{
    const uint8_t *madt = acpi_find("APIC");
    uint32_t length, count = 0;
    if (madt == NULL)
        return 1;
    memcpy(&length, madt + 4, sizeof(length));
    for (uint32_t at = MADT_FIRST_ENTRY; at + 2 <= length && madt[at + 1] >= 2; at += madt[at + 1])
        count += madt[at] == MADT_LAPIC && (madt[at + 4] & 1);
    return count;
}

static void note_apic_id(void *ids)
{
    uint32_t id = apic_read(APIC_ID);
    ((volatile uint32_t *)ids)[this_cpu()->index] = apic_is_x2() ? id : id >> 24;
}

static void check_processors(void)
{
    static uint32_t ids[MAX_CPUS];
    uint32_t found = processors_found(), started = cpu_start_all();
    uint64_t expected = option_number("expect", found);
    tap_equal(started, expected, "%u processor%s of %u in the ACPI tables started", started,
              started == 1 ? "" : "s", found);
    cpu_call_all(note_apic_id, ids);
    bool same = true;
    for (uint32_t n = 0; n < started; n++)
        same = same && ids[n] == cpus[n]->apic_id;
    tap_ok(same, "each processor's local APIC has the id that the tables give");
}

static void check_role(void)
{
    char wanted[16];
    if (!option_text("role", wanted, sizeof(wanted)))
        return;
    const char *name = !hypervisor_present()                  ? "none"
                       : hypervisor_role() == ROLE_IS_ROOT    ? "root"
                       : hypervisor_role() == ROLE_IS_LAYERED ? "layered"
                                                              : "guest";
    tap_ok(strcmp(name, wanted) == 0, "the role is %s", name);
}

static uint32_t crc32(const uint8_t *bytes, uint64_t size)
{
    uint32_t crc = ~0u;
    for (uint64_t n = 0; n < size; n++) {
        crc ^= bytes[n];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

/* For a reader outside, who knows what was given. */
static void say_what_was_given(void)
{
    tap_note("loader \"%s\"", machine.loader);
    tap_note("command line \"%s\"", machine.command_line);
    for (uint32_t n = 0; n < machine.range_count; n++)
        tap_note("memory %016lx..%016lx type %u", machine.ranges[n].start, machine.ranges[n].end,
                 machine.ranges[n].type);
    for (uint32_t n = 0; n < machine.module_count; n++)
        tap_note("module %u: %lu bytes, crc %08x, \"%s\"", n, machine.modules[n].size,
                 crc32(machine.modules[n].start, machine.modules[n].size),
                 machine.modules[n].command_line);
}

void guest_main(void)
{
    finish_after_reset();
    if (!option_word("quick")) {
        say_what_was_given();
        check_role();
        check_memory();
        check_processors();
        check_memory_everywhere();
        check_interrupts();
    }
    end_as_told();
}
