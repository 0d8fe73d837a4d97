/* SPDX-License-Identifier: MIT */
/* Starting the application processors: SDM 9.4.4, "MP initialization example". */
#include "boot/memmap.h"
#include "boot/paging.h"
#include "hv/base/apic.h"
#include "hv/base/cpu.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "hv/base/time.h"

/* A start-up IPI names a page below 1 MiB; the BIOS data area and the EBDA stay untouched. */
#define LOWEST_TRAMPOLINE  KIB(4)
#define HIGHEST_TRAMPOLINE KIB(636)

#define STEP_MICROSECONDS  100
#define STEPS_BEFORE_AGAIN 10    /* until the second start-up IPI */
#define STEPS_IN_ALL       10000 /* one second */

struct trampoline_parameters { /* boot/trampoline.asm */
    uint64_t first_cr3;        /* maps the trampoline's page 1:1 */
    uint64_t cr3;
    struct cpu *cpu;
    uint64_t entry;
};
_Static_assert(sizeof(struct trampoline_parameters) == 32, "boot/trampoline.asm");

extern uint8_t trampoline_start[], trampoline_parameters[], trampoline_end[];
extern char trampoline_long_mode[];

static bool wait_online(const struct cpu *cpu, unsigned steps)
{
    for (unsigned i = 0; i < steps && !cpu->online; i++)
        delay_microseconds(STEP_MICROSECONDS);
    return cpu->online;
}

static bool send_and_wait(const struct cpu *cpu, spa_t page)
{
    uint32_t startup = ICR_OF_MODE(MODE_STARTUP) | (uint32_t)(page >> PAGE_SHIFT);
    apic_send(cpu->apic_id, ICR_OF_MODE(MODE_INIT) | ICR_ASSERT);
    delay_microseconds(10000);
    apic_send(cpu->apic_id, startup);
    if (wait_online(cpu, STEPS_BEFORE_AGAIN))
        return true;
    apic_send(cpu->apic_id, startup);
    if (wait_online(cpu, STEPS_IN_ALL))
        return true;
    /* It must not come to life later, in what is the guest's memory then. */
    apic_send(cpu->apic_id, ICR_OF_MODE(MODE_INIT) | ICR_ASSERT);
    delay_microseconds(10000);
    return false;
}

bool boot_start_processor(struct cpu *cpu)
{
    static uint8_t saved[PAGE_SIZE];
    spa_t page = memory_map_find(&boot_info.memory, PAGE_SIZE, PAGE_SIZE, LOWEST_TRAMPOLINE,
                                 HIGHEST_TRAMPOLINE, NULL, 0);
    if (page == NO_PLACE) {
        say_warn("no free page below 640 KiB to start a processor in");
        return false;
    }
    /* The page belongs to the guest: it gets its contents back. */
    uint8_t *copy = phys_ptr(page);
    memcpy(saved, copy, PAGE_SIZE);
    memcpy(copy, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    struct trampoline_parameters parameters = {
        .first_cr3 = paging_trampoline(),
        .cr3 = read_cr3(),
        .cpu = cpu,
        .entry = (uint64_t)trampoline_long_mode,
    };
    memcpy(copy + (trampoline_parameters - trampoline_start), &parameters, sizeof(parameters));
    full_barrier();
    bool started = send_and_wait(cpu, page);
    memcpy(copy, saved, PAGE_SIZE);
    return started;
}
