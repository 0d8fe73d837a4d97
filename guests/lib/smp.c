/* SPDX-License-Identifier: MIT */
/* Starting the other processors of a guest and giving them work. */
#include "guests/lib/guest.h"
#include "hv/base/string.h"

#define TRAMPOLINE     0x8000UL
#define MADT_LAPIC     0
#define MADT_X2APIC    9
#define START_ATTEMPTS 200 /* of 5 ms */

extern const char ap_trampoline[], ap_trampoline_end[];
extern uint64_t ap_stack, ap_cr3; /* in the trampoline */
void cpu_start(void);

/* The boot processor's area; start.asm puts its stack there. */
__attribute__((aligned(CPU_AREA_SIZE))) uint8_t boot_cpu_area[CPU_AREA_SIZE];

struct cpu *cpus[MAX_CPUS];
uint32_t cpu_count = 1;

bool apic_is_x2(void)
{
    return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC;
}

static volatile uint32_t *apic_memory(uint32_t offset)
{
    return (volatile uint32_t *)((rdmsr(MSR_APIC_BASE) & 0xFFFFFF000UL) + offset);
}

uint32_t apic_read(uint32_t offset)
{
    return apic_is_x2() ? (uint32_t)rdmsr(0x800 + (offset >> 4)) : *apic_memory(offset);
}

void apic_write(uint32_t offset, uint32_t value)
{
    if (apic_is_x2())
        wrmsr(0x800 + (offset >> 4), value);
    else
        *apic_memory(offset) = value;
}

void apic_send(uint32_t apic_id, uint32_t icr_low)
{
    if (apic_is_x2()) {
        wrmsr(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | icr_low);
        return;
    }
    apic_write(APIC_ICR_HIGH, apic_id << 24);
    apic_write(APIC_ICR_LOW, icr_low);
    while (apic_read(APIC_ICR_LOW) & ICR_BUSY)
        cpu_relax();
}

void apic_enable(void)
{
    apic_write(APIC_SPURIOUS, 0x1FF);
    apic_write(APIC_TPR, 0);
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

/* PIT channel 2, mode 0: its output (port 0x61 bit 5) rises when the count has run out. */
void delay_microseconds(uint32_t microseconds)
{
    while (microseconds > 0) {
        uint32_t step = microseconds < 50000 ? microseconds : 50000;
        uint32_t ticks = step * 1193 / 1000 + 1;
        microseconds -= step;
        out8(0x61, (uint8_t)((in8(0x61) & ~3u) | 1)); /* gate on, speaker off */
        out8(0x43, 0xB0);
        out8(0x42, (uint8_t)ticks);
        out8(0x42, (uint8_t)(ticks >> 8));
        while (!(in8(0x61) & 0x20))
            cpu_relax();
    }
}

/* APIC ids of the enabled processors of the MADT other than this one; how many. */
static uint32_t madt_processors(uint32_t *ids, uint32_t max)
{
    const uint8_t *madt = acpi_find("APIC");
    uint32_t length, count = 0;
    if (madt == NULL)
        return 0;
    memcpy(&length, madt + 4, sizeof(length));
    for (uint32_t at = 44; at + 2 <= length && madt[at + 1] >= 2; at += madt[at + 1]) {
        const uint8_t *entry = madt + at;
        uint32_t id = entry[3], flags = 0;
        if (entry[0] == MADT_LAPIC) {
            memcpy(&flags, entry + 4, sizeof(flags));
        } else if (entry[0] == MADT_X2APIC) {
            memcpy(&id, entry + 4, sizeof(id));
            memcpy(&flags, entry + 8, sizeof(flags));
        }
        if ((flags & 1) && id != cpus[0]->apic_id && count < max)
            ids[count++] = id;
    }
    return count;
}

static struct cpu *start_one(uint32_t apic_id)
{
    char *trampoline = (char *)TRAMPOLINE;
    uint64_t *stack = (uint64_t *)(trampoline + ((const char *)&ap_stack - ap_trampoline));
    uint64_t *cr3 = (uint64_t *)(trampoline + ((const char *)&ap_cr3 - ap_trampoline));
    struct cpu *cpu = pages_alloc_low(CPU_AREA_SIZE / PAGE_SIZE, CPU_AREA_SIZE);

    __asm__("" : "+r"(trampoline), "+r"(stack), "+r"(cr3));
    cpu->apic_id = apic_id;
    cpu->index = cpu_count;
    memcpy(trampoline, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
    *stack = (uint64_t)cpu + CPU_AREA_SIZE;
    *cr3 = read_cr3();
    full_barrier();
    apic_send(apic_id, APIC_ICR_INIT);
    delay_microseconds(10000);
    apic_send(apic_id, APIC_ICR_STARTUP | TRAMPOLINE >> PAGE_SHIFT);
    for (uint32_t n = 0; n < START_ATTEMPTS && !cpu->online; n++) {
        delay_microseconds(n == 0 ? 200 : 5000);
        if (n == 0 && !cpu->online)
            apic_send(apic_id, APIC_ICR_STARTUP | TRAMPOLINE >> PAGE_SHIFT);
    }
    return cpu->online ? cpu : NULL;
}

uint32_t cpu_start_all(void)
{
    uint32_t ids[MAX_CPUS];
    uint32_t limit = (uint32_t)min_u64(option_number("cpus", MAX_CPUS), MAX_CPUS);
    uint32_t count = madt_processors(ids, MAX_CPUS);

    if (cpu_count > 1)
        return cpu_count;
    if (count == 0 && limit != MAX_CPUS) {
        for (; count + 1 < limit; count++)
            ids[count] = count + 1;
    }
    for (uint32_t n = 0; n < count && cpu_count < limit; n++) {
        struct cpu *cpu = start_one(ids[n]);
        if (cpu == NULL) {
            tap_note("processor with APIC id %u did not start", ids[n]);
            continue;
        }
        cpus[cpu_count++] = cpu;
    }
    return cpu_count;
}

/* Another processor's first C function: waits for work for ever. */
void cpu_start(void)
{
    struct cpu *cpu = this_cpu();
    cpu_init(cpu);
    __atomic_store_n(&cpu->online, true, __ATOMIC_RELEASE);
    for (;;) {
        void (*function)(void *) = __atomic_load_n(&cpu->function, __ATOMIC_ACQUIRE);
        if (function == NULL) {
            cpu_relax();
            continue;
        }
        function(cpu->argument);
        __atomic_store_n(&cpu->function, NULL, __ATOMIC_RELEASE);
    }
}

void cpu_run(uint32_t cpu, void (*function)(void *), void *argument)
{
    cpu_wait(cpu);
    cpus[cpu]->argument = argument;
    __atomic_store_n(&cpus[cpu]->function, function, __ATOMIC_RELEASE);
}

void cpu_wait(uint32_t cpu)
{
    while (__atomic_load_n(&cpus[cpu]->function, __ATOMIC_ACQUIRE) != NULL)
        cpu_relax();
}

void cpu_call(uint32_t cpu, void (*function)(void *), void *argument)
{
    if (cpus[cpu] == this_cpu()) {
        function(argument);
        return;
    }
    cpu_run(cpu, function, argument);
    cpu_wait(cpu);
}

void cpu_call_all(void (*function)(void *), void *argument)
{
    struct cpu *self = this_cpu();
    for (uint32_t n = 0; n < cpu_count; n++) {
        if (cpus[n] != self)
            cpu_run(n, function, argument);
    }
    function(argument);
    for (uint32_t n = 0; n < cpu_count; n++) {
        if (cpus[n] != self)
            cpu_wait(n);
    }
}

void barrier_wait(struct barrier *barrier, uint32_t count)
{
    uint32_t round = __atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == count) {
        barrier->arrived = 0;
        __atomic_store_n(&barrier->round, round + 1, __ATOMIC_RELEASE);
        return;
    }
    while (__atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE) == round)
        cpu_relax();
}
