/* Time: everything is measured with the TSC, whose frequency is found at boot. */
#include "hv/time.h"

#include "hv/apic.h"
#include "hv/arch.h"

uint64_t tsc_frequency, tsc_per_50us, apic_frequency, reference_scale;

#define PIT_FREQUENCY 1193182UL
#define PIT_CHANNEL2  0x42
#define PIT_COMMAND   0x43
#define PORT_B        0x61   /* speaker gate; bit 5 is the output of channel 2 */
#define SAMPLE_TICKS  4773UL /* 4 ms */
#define SAMPLES       5

struct sample {
    uint64_t tsc, apic;
};

/*
 * Counts TSC and APIC timer ticks over 4 ms of PIT channel 2 in one-shot mode.
 * The time is kept short: on Bochs it costs as many instructions.
 */
static struct sample measure(void)
{
    uint8_t gate = in8(PORT_B);
    out8(PORT_B, (uint8_t)((gate & ~2u) | 1u));
    out8(PIT_COMMAND, 0xB0); /* channel 2, low then high byte, mode 0 */
    out8(PIT_CHANNEL2, SAMPLE_TICKS & 0xFF);
    apic_timer_start(UINT32_MAX);
    out8(PIT_CHANNEL2, SAMPLE_TICKS >> 8);
    uint64_t start = rdtsc();
    /* A machine without a PIT (its gate reads as all ones or never rises) must not hang us. */
    uint64_t polls = 0;
    while (!(in8(PORT_B) & 0x20) && polls < 10000000)
        polls++;
    struct sample sample = {.tsc = rdtsc() - start};
    sample.apic = UINT32_MAX - apic_timer_stop();
    out8(PORT_B, gate);
    return sample;
}

/* The middle one of a few samples: an emulator's host may be busy at either end of one. */
static struct sample measure_well(void)
{
    struct sample sorted[SAMPLES];
    for (unsigned n = 0; n < SAMPLES; n++) {
        struct sample sample = measure();
        unsigned at = n;
        for (; at > 0 && sorted[at - 1].tsc > sample.tsc; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = sample;
    }
    return sorted[SAMPLES / 2];
}

void time_init(void)
{
    struct sample sample = measure_well();
    tsc_frequency = sample.tsc * PIT_FREQUENCY / SAMPLE_TICKS;
    apic_frequency = sample.apic * PIT_FREQUENCY / SAMPLE_TICKS;

    struct cpuid_regs max = cpuid(0, 0);
    if (max.eax >= 0x15) {
        struct cpuid_regs r = cpuid(0x15, 0);
        if (r.eax && r.ebx && r.ecx)
            tsc_frequency = (uint64_t)r.ecx * r.ebx / r.eax;
    }
    if (tsc_frequency <= 10000000)
        tsc_frequency = 1000000000; /* no usable timer: say 1 GHz */
    tsc_per_50us = tsc_frequency / 20000;
    /* 10^7 * 2^64 / frequency, by two 64-bit steps: frequency is above 10^7 on any real machine. */
    uint64_t hertz = tsc_frequency, remainder = 10000000;
    reference_scale = 0;
    for (int bit = 63; bit >= 0; bit--) {
        bool carry = remainder >> 63;
        remainder <<= 1;
        if (carry || remainder >= hertz) {
            remainder -= hertz;
            reference_scale |= 1UL << bit;
        }
    }
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
