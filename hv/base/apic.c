/* SPDX-License-Identifier: MIT */
/* The local APIC of this processor, as the hypervisor itself uses it. */
#include "hv/base/apic.h"

#include "hv/base/cpu.h"
#include "hv/base/phys.h"

#define X2APIC_MSR(reg) (0x800u + ((reg) >> 4))
#define SPURIOUS_ENABLE 0x100u
#define DIVIDE_BY_1     0xBu

volatile uint32_t *apic_page_register(uint32_t offset)
{
    return (volatile uint32_t *)phys_ptr(APIC_BASE_ADDRESS + offset);
}

bool apic_in_x2apic_mode(void)
{
    return (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC) != 0;
}

uint32_t apic_read(uint32_t offset)
{
    return apic_in_x2apic_mode() ? (uint32_t)rdmsr(X2APIC_MSR(offset))
                                 : *apic_page_register(offset);
}

void apic_write(uint32_t offset, uint32_t value)
{
    if (apic_in_x2apic_mode())
        wrmsr(X2APIC_MSR(offset), value);
    else
        *apic_page_register(offset) = value;
}

bool apic_interrupt_waits(void)
{
    enum { IRR_WORDS = 8, WORD_STEP = 0x10 };
    uint32_t priority = apic_read(APIC_PPR) >> 4 & 0xF;
    for (uint32_t word = IRR_WORDS; word-- > 0;) {
        uint32_t requested = apic_read(APIC_IRR + WORD_STEP * word);
        if (requested != 0)
            return (word * 32 + 31 - (uint32_t)__builtin_clz(requested)) >> 4 > priority;
    }
    return false;
}

static void wait_until_sent(void)
{
    while (*apic_page_register(APIC_ICR_LOW) & ICR_BUSY)
        cpu_relax();
}

void apic_send(uint32_t apic_id, uint32_t low)
{
    if (apic_in_x2apic_mode()) {
        full_barrier(); /* a WRMSR to the x2APIC does not order earlier stores: SDM 11.12.3 */
        wrmsr(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | low);
        return;
    }
    wait_until_sent();
    *apic_page_register(APIC_ICR_HIGH) = apic_id << 24;
    *apic_page_register(APIC_ICR_LOW) = low;
    wait_until_sent();
    *apic_page_register(APIC_ICR_HIGH) = this_cpu()->apic_icr_high;
}

void apic_timer_start(uint32_t count)
{
    apic_write(APIC_SPURIOUS, apic_read(APIC_SPURIOUS) | SPURIOUS_ENABLE);
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_TIMER_INITIAL, count);
}

uint32_t apic_timer_read(void)
{
    return apic_read(APIC_TIMER_CURRENT);
}

void apic_timer_stop(void)
{
    apic_write(APIC_TIMER_INITIAL, 0);
    apic_write(APIC_TIMER_DIVIDE, 0);
}
