/* SPDX-License-Identifier: MIT */
/*
 * Interrupts, and the ends that a run can have:
 *
 *   end=code:N    N to the debug-exit port, nothing else printed
 *   end=s5        ACPI power-off           end=keyboard  reset by the keyboard controller
 *   end=cf9       reset control register   end=triple    triple fault
 *   end=msr       the hypervisor's reset MSR
 *   end=spin      never
 *   from=N        on processor N
 *
 * A machine that starts again after a reset is recognized by a byte of CMOS memory.
 */
#include "guests/lib/guest.h"
#include "guests/machine/machine.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71
#define CMOS_BYTE  0x7D /* used by no BIOS of the emulators */
#define CMOS_MARK  0x5A

/* ---- interrupts */

#define TIMER_VECTOR 0x40
#define PIC_VECTOR   0x20
#define LVT_LINT0    0x350
#define LVT_EXTINT   0x700
#define TICKS        5
#define PATIENCE     200 /* times 10 ms */

static uint32_t timer_ticks[MAX_CPUS];
static volatile uint32_t pit_ticks;

static void on_timer(struct trap_frame *frame)
{
    (void)frame;
    timer_ticks[this_cpu()->index]++;
    apic_eoi();
}

static void on_pit(struct trap_frame *frame)
{
    (void)frame;
    pit_ticks++;
    out8(0x20, 0x20);
}

static void run_timer(void *unused)
{
    volatile uint32_t *ticks = &timer_ticks[this_cpu()->index];
    (void)unused;
    apic_enable();
    apic_write(APIC_TIMER_DIVIDE, 0xB); /* by 1 */
    apic_write(APIC_LVT_TIMER, TIMER_VECTOR | 1 << 17);
    apic_write(APIC_TIMER_INITIAL, 100000);
    interrupts_enable();
    for (uint64_t spin = 0; spin < 2000000000UL && *ticks < TICKS; spin++)
        cpu_relax();
    interrupts_disable();
    apic_write(APIC_LVT_TIMER, 1 << 16);
    apic_write(APIC_TIMER_INITIAL, 0);
}

/* The 8259 in virtual wire mode: IRQ 0 is the PIT's channel 0. */
static void check_pit(void)
{
    static const uint8_t init[][2] = {
        {0x20, 0x11}, {0xA0, 0x11}, {0x21, PIC_VECTOR}, {0xA1, PIC_VECTOR + 8}, {0x21, 4},
        {0xA1, 2},    {0x21, 1},    {0xA1, 1},          {0xA1, 0xFF},           {0x21, 0xFE}};
    trap_set_handler(PIC_VECTOR, on_pit);
    apic_enable();
    apic_write(LVT_LINT0, LVT_EXTINT);
    for (unsigned n = 0; n < ARRAY_SIZE(init); n++)
        out8(init[n][0], init[n][1]);
    out8(0x43, 0x34); /* channel 0, mode 2, 1 kHz */
    out8(0x40, 1193 & 0xFF);
    out8(0x40, 1193 >> 8);
    interrupts_enable();
    for (unsigned n = 0; n < PATIENCE && pit_ticks < TICKS; n++)
        delay_microseconds(10000);
    interrupts_disable();
    out8(0x21, 0xFF);
    tap_ok(pit_ticks >= TICKS, "the PIT interrupts through the 8259");
}

void check_interrupts(void)
{
    bool all = true;
    trap_set_handler(TIMER_VECTOR, on_timer);
    cpu_call_all(run_timer, NULL);
    for (uint32_t n = 0; n < cpu_count; n++)
        all = all && timer_ticks[n] >= TICKS;
    tap_ok(all, "each processor's APIC timer interrupts it");
    check_pit();
}

/* ---- ends */

static uint8_t cmos_read(uint8_t index)
{
    out8(CMOS_INDEX, index);
    return in8(CMOS_DATA);
}

static void cmos_write(uint8_t index, uint8_t value)
{
    out8(CMOS_INDEX, index);
    out8(CMOS_DATA, value);
}

void finish_after_reset(void)
{
    if (cmos_read(CMOS_BYTE) != CMOS_MARK)
        return;
    cmos_write(CMOS_BYTE, 0);
    tap_ok(true, "the machine started again after the reset");
    tap_finish();
}

static void end_triple_fault(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) empty = {0, 0};
    __asm__ volatile("mov $0x1234567890, %%rax; lidt %0; int3" : : "m"(empty) : "rax");
}

static void end_here(void *argument)
{
    const char *how = argument;
    if (strcmp(how, "s5") == 0)
        acpi_power_off();
    else if (strcmp(how, "keyboard") == 0)
        out8(0x64, 0xFE);
    else if (strcmp(how, "cf9") == 0)
        out8(0xCF9, 0x06);
    else if (strcmp(how, "triple") == 0)
        end_triple_fault();
    else if (strcmp(how, "msr") == 0)
        wrmsr(HV_MSR_RESET, 1);
    else if (strcmp(how, "spin") != 0)
        tap_bail_out("end=%s is not known", how);
    for (;;)
        cpu_relax();
}

void end_as_told(void)
{
    char how[16];
    if (!option_text("end", how, sizeof(how)))
        return;
    print("# ends by %s\n", how);
    serial_drain();
    if (strncmp(how, "code:", 5) == 0) {
        uint32_t code = 0;
        for (const char *digit = how + 5; *digit != 0; digit++)
            code = code * 10 + (uint32_t)(*digit - '0');
        guest_exit((uint8_t)code);
    }
    if (strcmp(how, "s5") != 0 && strcmp(how, "spin") != 0)
        cmos_write(CMOS_BYTE, CMOS_MARK);
    uint32_t from = (uint32_t)option_number("from", 0);
    if (from != 0)
        cpu_start_all();
    cpu_call(from, end_here, how);
}
