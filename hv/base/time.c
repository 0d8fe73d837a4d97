/* SPDX-License-Identifier: MIT */
/* Time: everything is measured with the TSC, whose frequency is found at boot. */
#include "hv/base/time.h"

#include "hv/base/apic.h"

uint64_t tsc_frequency, tsc_per_50us, apic_frequency, reference_scale;

#define PIT_FREQUENCY  1193182UL
#define PIT_CHANNEL2   0x42
#define PIT_COMMAND    0x43
#define PORT_B         0x61   /* speaker gate */
#define PORT_B_OUTPUT  0x20   /* of channel 2: high when the count has run out */
#define INTERVAL_TICKS 23864U /* 20 ms; on Bochs it costs as many instructions */
#define MEASUREMENTS   5
#define TRIES          8
#define LATCH_CHANNEL2 0x80
#define MODE_COUNTDOWN 0xB0 /* channel 2, low then high byte, mode 0 */

/* The counters at one moment. */
struct moment {
    uint64_t tsc;
    uint32_t pit, apic; /* both count down */
};

/*
 * Reads all three as closely as it can: the best of a few tries, because an
 * emulator's host may be busy with something else between two instructions.
 */
static struct moment read_moment(void)
{
    struct moment best = {0};
    uint64_t shortest = UINT64_MAX;
    for (unsigned n = 0; n < TRIES; n++) {
        uint64_t start = rdtsc();
        out8(PIT_COMMAND, LATCH_CHANNEL2);
        uint64_t took = rdtsc() - start;
        uint32_t apic = apic_timer_read();
        uint32_t low = in8(PIT_CHANNEL2);
        uint32_t pit = low | (uint32_t)in8(PIT_CHANNEL2) << 8;
        if (took >= shortest)
            continue;
        shortest = took;
        best = (struct moment){start, pit, apic};
    }
    return best;
}

/* False: the count ran out in between (the host was busy for 35 ms), so it tells nothing. */
static bool measure(void)
{
    uint8_t gate = in8(PORT_B);
    out8(PORT_B, (uint8_t)((gate & ~2u) | 1u));
    out8(PIT_COMMAND, MODE_COUNTDOWN);
    out8(PIT_CHANNEL2, 0xFF);
    out8(PIT_CHANNEL2, 0xFF);
    apic_timer_start(UINT32_MAX);

    struct moment start = read_moment(), end = start;
    /* A machine without a PIT, whose count stands still, must not hang us. */
    for (unsigned polls = 0; polls < 1000000 && start.pit - end.pit < INTERVAL_TICKS; polls++) {
        out8(PIT_COMMAND, LATCH_CHANNEL2);
        uint32_t low = in8(PIT_CHANNEL2);
        end.pit = low | (uint32_t)in8(PIT_CHANNEL2) << 8;
    }
    end = read_moment();
    bool ran_out = (in8(PORT_B) & PORT_B_OUTPUT) != 0;
    apic_timer_stop();
    out8(PORT_B, gate);

    uint64_t ticks = (start.pit - end.pit) & 0xFFFF;
    if (ticks == 0 || ran_out)
        return false;
    tsc_frequency = (end.tsc - start.tsc) * PIT_FREQUENCY / ticks;
    apic_frequency = (uint64_t)(start.apic - end.apic) * PIT_FREQUENCY / ticks;
    return true;
}

void time_init(void)
{
    for (unsigned n = 0; n < MEASUREMENTS && !measure(); n++)
        continue;
    struct cpuid_regs max = cpuid(0, 0);
    if (max.eax >= 0x15) {
        struct cpuid_regs r = cpuid(0x15, 0);
        if (r.eax && r.ebx && r.ecx)
            tsc_frequency = (uint64_t)r.ecx * r.ebx / r.eax;
    }
    if (tsc_frequency <= 10000000)
        tsc_frequency = 1000000000; /* no usable timer: say 1 GHz */
    tsc_per_50us = tsc_frequency / 20000;
    /* 10^7 * 2^64 / frequency: below 2^64, as the frequency is above 10^7. */
    uint64_t remainder;
    __asm__("div %4"
            : "=a"(reference_scale), "=d"(remainder)
            : "0"(0UL), "1"(10000000UL), "r"(tsc_frequency)
            : "cc");
}

void delay_microseconds(uint64_t microseconds)
{
    uint64_t ticks = tsc_frequency / 1000000 * microseconds, start = rdtsc();
    while (rdtsc() - start < ticks)
        cpu_relax();
}

uint64_t tsc_to_100ns(uint64_t tsc)
{
    return (uint64_t)(((unsigned __int128)tsc * reference_scale) >> 64);
}
