/* SPDX-License-Identifier: MIT */
/* The machine as a whole: reset, memory types. */
#include "hv/machine/machine.h"

#include "hv/base/console.h"
#include "hv/base/features.h"
#include "mm/slpt.h"

#define RESET_CONTROL    0xCF9
#define KEYBOARD_COMMAND 0x64

_Noreturn void machine_reset(void)
{
    console_drain();
    out8(RESET_CONTROL, 0x02);
    out8(RESET_CONTROL, 0x06);
    for (unsigned i = 0; i < 100000; i++)
        cpu_relax();
    out8(KEYBOARD_COMMAND, 0xFE);
    for (unsigned i = 0; i < 100000; i++)
        cpu_relax();
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) empty = {0, 0};
    __asm__ volatile("lidt %0; int3" : : "m"(empty));
    for (;;)
        __asm__ volatile("hlt");
}

/* SDM table 12-9: the fixed ranges, 8 of equal size in each MSR. */
static uint8_t fixed_type(spa_t spa, spa_t *end)
{
    uint32_t msr;
    uint64_t size, first;
    if (spa < 0x80000) {
        msr = MSR_MTRR_FIX64K;
        size = KIB(64);
        first = 0;
    } else if (spa < 0xC0000) {
        msr = MSR_MTRR_FIX16K + (uint32_t)((spa - 0x80000) / KIB(128));
        size = KIB(16);
        first = 0x80000 + (msr - MSR_MTRR_FIX16K) * KIB(128);
    } else {
        msr = MSR_MTRR_FIX4K + (uint32_t)((spa - 0xC0000) / KIB(32));
        size = KIB(4);
        first = 0xC0000 + (msr - MSR_MTRR_FIX4K) * KIB(32);
    }
    uint64_t index = (spa - first) / size;
    *end = first + (index + 1) * size;
    return (uint8_t)(rdmsr(msr) >> (8 * index));
}

/* SDM 12.11.4.1: UC wins, WT wins over WB. */
static uint8_t combine(uint8_t a, uint8_t b)
{
    if (a == MEMORY_UC || b == MEMORY_UC)
        return MEMORY_UC;
    if (a == MEMORY_WT || b == MEMORY_WT)
        return MEMORY_WT;
    return a < b ? a : b;
}

uint8_t mtrr_type(spa_t spa, spa_t *end)
{
    spa_t top = 1UL << physical_address_bits();
    *end = top;
    if (!(cpuid(1, 0).edx & BIT(12)))
        return MEMORY_WB; /* no MTRRs: the guest's PAT decides alone */
    uint64_t capabilities = rdmsr(MSR_MTRRCAP), control = rdmsr(MSR_MTRR_DEF_TYPE);
    if (!(control & MTRR_ENABLE))
        return MEMORY_UC;
    if (spa < MIB(1) && (control & MTRR_FIXED_ENABLE) && (capabilities & MTRR_CAP_FIXED))
        return fixed_type(spa, end);

    bool found = false;
    uint8_t type = (uint8_t)control;
    for (uint32_t i = 0; i < (capabilities & 0xFF); i++) {
        uint64_t base = rdmsr(MSR_MTRR_PHYSBASE0 + 2 * i);
        uint64_t mask = rdmsr(MSR_MTRR_PHYSBASE0 + 2 * i + 1);
        if (!(mask & MTRR_PHYSMASK_VALID))
            continue;
        mask &= (top - 1) & ~PAGE_MASK;
        if (mask == 0)
            continue;
        /* Within a block of the mask's lowest bit the answer does not change. */
        uint64_t block = mask & -mask;
        *end = min_u64(*end, align_down(spa, block) + block);
        if ((spa & mask) == (base & mask)) {
            type = found ? combine(type, (uint8_t)base) : (uint8_t)base;
            found = true;
        }
    }
    return type;
}
