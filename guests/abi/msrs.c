/* SPDX-License-Identifier: MIT */
/* Section 6: the synthetic MSRs. */
#include "guests/abi/abi.h"
#include "hv/model/partition.h"

#define PATTERN 0x5Au

static bool reads(uint32_t msr)
{
    uint64_t value;
    return rdmsr_safe(msr, &value);
}

static void read_vp_index(void *argument)
{
    ((uint64_t *)argument)[this_cpu()->index] = rdmsr(HV_MSR_VP_INDEX);
}

static void identity(void)
{
    uint64_t indices[MAX_CPUS] = {0};
    bool right = true;
    tap_equal(rdmsr(HV_MSR_GUEST_OS_ID), GUEST_OS_ID, "6: GUEST_OS_ID reads as written");
    cpu_call_all(read_vp_index, indices);
    for (uint32_t n = 0; n < cpu_count; n++)
        right &= indices[n] == n;
    tap_ok(right, "6: VP n is processor n, on all %u", cpu_count);
    tap_ok(!wrmsr_safe(HV_MSR_VP_INDEX, 0), "6: VP_INDEX is read-only: #GP");
}

static void without_privilege(void)
{
    static const struct {
        uint32_t msr;
        unsigned privilege; /* bit that would make it legal; 63: none */
    } list[] = {
        {0x40000004, 63}, {0x4000000F, 63}, {0x40000024, 63}, {0x40000070, 4},  {0x40000071, 4},
        {0x40000072, 4},  {0x40000073, 4},  {0x40000080, 2},  {0x40000081, 2},  {0x40000082, 2},
        {0x40000083, 2},  {0x40000084, 2},  {0x40000090, 2},  {0x4000009F, 2},  {0x400000B0, 3},
        {0x400000B7, 3},  {0x400000F1, 63}, {0x40000106, 63}, {0x40000117, 63}, {0x400001FF, 63},
    };
    uint64_t mask = hypervisor_privileges();
    for (size_t n = 0; n < ARRAY_SIZE(list); n++) {
        if (list[n].privilege != 63 && (mask >> list[n].privilege & 1))
            continue;
        bool faults = !reads(list[n].msr) && !wrmsr_safe(list[n].msr, 0);
        tap_ok(faults, "6: MSR 0x%x, unknown or without its privilege, is #GP", list[n].msr);
    }
}

static void times(void)
{
    uint64_t count = rdmsr(HV_MSR_TIME_REF_COUNT), runtime = rdmsr(HV_MSR_VP_RUNTIME);
    delay_microseconds(2000);
    uint64_t later = rdmsr(HV_MSR_TIME_REF_COUNT), runtime2 = rdmsr(HV_MSR_VP_RUNTIME);
    tap_ok(later > count, "6: TIME_REF_COUNT goes on: %lu, and 2 ms later %lu (100 ns)", count,
           later);
    tap_ok(runtime2 > runtime, "6: VP_RUNTIME goes on");
    tap_ok(!wrmsr_safe(HV_MSR_TIME_REF_COUNT, 0), "6: TIME_REF_COUNT is read-only: #GP");
    tap_ok(!wrmsr_safe(HV_MSR_VP_RUNTIME, 0), "6: VP_RUNTIME is read-only: #GP");
    uint64_t tsc = rdmsr(HV_MSR_TSC_FREQUENCY), apic = rdmsr(HV_MSR_APIC_FREQUENCY);
    tap_ok(tsc > 1000000 && apic > 1000000, "6: frequencies: TSC %lu Hz, APIC %lu Hz", tsc, apic);
    tap_ok(!wrmsr_safe(HV_MSR_TSC_FREQUENCY, 1), "6: TSC_FREQUENCY is read-only: #GP");
    tap_equal(rdmsr(HV_MSR_RESET), 0, "6: RESET reads 0");
}

static void invariant_tsc(void)
{
    const uint32_t bit = BIT(8); /* CPUID 0x80000007 EDX */
    if (!(hypervisor_privileges() & PRIVILEGE_TSC_INVARIANT)) {
        tap_ok(!reads(HV_MSR_TSC_INVARIANT) && !wrmsr_safe(HV_MSR_TSC_INVARIANT, 1) &&
                   !(cpuid(0x80000007, 0).edx & bit),
               "6: no invariant TSC: no MSR for it, #GP");
        return;
    }
    tap_ok(rdmsr(HV_MSR_TSC_INVARIANT) == 0 && !(cpuid(0x80000007, 0).edx & bit),
           "6: the invariant TSC is not shown before it is asked for");
    tap_ok(!wrmsr_safe(HV_MSR_TSC_INVARIANT, 2), "6: a reserved bit of TSC_INVARIANT is #GP");
    tap_ok(wrmsr_safe(HV_MSR_TSC_INVARIANT, 1) && rdmsr(HV_MSR_TSC_INVARIANT) == 1 &&
               (cpuid(0x80000007, 0).edx & bit),
           "6: asked for by MSR 0x40000118, CPUID shows it");
    tap_ok(!wrmsr_safe(HV_MSR_TSC_INVARIANT, 0) && (cpuid(0x80000007, 0).edx & bit),
           "6: which cannot be taken back: #GP");
}

static uint64_t reference_time(const volatile struct hv_reference_tsc_page *page)
{
    uint64_t low = rdtsc(), high;
    __asm__("mulq %2" : "+a"(low), "=d"(high) : "r"(page->scale));
    return high + (uint64_t)page->offset;
}

static void reference_tsc(void)
{
    uint8_t *page = page_alloc();
    const volatile struct hv_reference_tsc_page *shown = (const volatile void *)page;
    memset(page, PATTERN, PAGE_SIZE);
    tap_ok(wrmsr_safe(HV_MSR_REFERENCE_TSC, (uint64_t)page | 1), "6: the reference TSC page is on");
    tap_ok(shown->sequence != 0x5A5A5A5A && shown->sequence != 0, "6: and says that it is good");
    uint64_t before = rdmsr(HV_MSR_TIME_REF_COUNT);
    uint64_t here = reference_time(shown);
    uint64_t after = rdmsr(HV_MSR_TIME_REF_COUNT);
    tap_ok(here + 1 >= before && here <= after + 1,
           "6: it agrees with TIME_REF_COUNT: %lu..%lu..%lu", before, here, after);
    tap_ok(!wrmsr_safe(HV_MSR_REFERENCE_TSC, 1UL << gpa_bits | 1),
           "6: a GPN beyond the address width in REFERENCE_TSC is #GP");
    tap_equal(rdmsr(HV_MSR_REFERENCE_TSC), (uint64_t)page | 1, "6: which changes nothing");
    wrmsr(HV_MSR_REFERENCE_TSC, 0);
    bool back = true;
    for (unsigned n = 0; n < PAGE_SIZE; n++)
        back &= ((volatile uint8_t *)page)[n] == PATTERN;
    tap_ok(back, "2: the memory under the reference TSC page is back, unchanged");
    page_free(page);
}

static void crash(void)
{
    bool kept = true;
    if (!(cpuid(0x40000003, 0).edx & BIT(10))) {
        tap_skip("6: crash MSRs are not advertised");
        return;
    }
    for (uint32_t n = 0; n < 5; n++)
        wrmsr(HV_MSR_CRASH_P0 + n, 0xC0DE0000 + n);
    for (uint32_t n = 0; n < 5; n++)
        kept &= rdmsr(HV_MSR_CRASH_P0 + n) == 0xC0DE0000 + n;
    tap_ok(kept, "6: the five crash parameters read as written");
    tap_ok(rdmsr(HV_MSR_CRASH_CTL) & HV_CRASH_CTL_NOTIFY, "6: CRASH_CTL says what it can do");
}

static void write_byte(void *argument)
{
    *(volatile uint8_t *)argument = 0;
}

static bool filled(const volatile uint8_t *page)
{
    for (unsigned n = 0; n < PAGE_SIZE; n++) {
        if (page[n] != PATTERN)
            return false;
    }
    return true;
}

static uint64_t call_at(const uint8_t *page)
{
    uint64_t (*entry)(void) = (uint64_t(*)(void))page;
    uint64_t result;
    register uint64_t output __asm__("r8") = output_gpa();
    __asm__ volatile("call *%1"
                     : "=a"(result), "+r"(entry)
                     : "c"(HVCALL_GET_PARTITION_ID), "d"(0), "r"(output)
                     : "memory", "cc");
    return result;
}

static void hypercall_page_msr(void)
{
    const uint8_t *home = hypercall_page;
    uint64_t on = (uint64_t)home | HV_HYPERCALL_MSR_ENABLE;
    uint8_t *other = page_alloc();
    struct trap trap = {0};
    memset(other, PATTERN, PAGE_SIZE);

    tap_equal(rdmsr(HV_MSR_HYPERCALL), on, "6: HYPERCALL reads as written");
    tap_ok(!try_call(write_byte, (void *)home, &trap) && trap.vector == VECTOR_GP,
           "6: a write to the hypercall page is #GP");
    tap_ok(home[0] == 0x0F && home[1] == 0x01, "6: it can be read");
    tap_ok(wrmsr_safe(HV_MSR_HYPERCALL, (uint64_t)other | 1), "6: the page moves");
    tap_equal(call_at(other), 0, "6: and answers at its new place");
    tap_ok(home[0] == 0, "2: the memory at the old place is back");
    tap_ok(!wrmsr_safe(HV_MSR_HYPERCALL, 1UL << gpa_bits | 1),
           "6: a GPN beyond the address width in HYPERCALL is #GP");
    tap_ok(!wrmsr_safe(HV_MSR_HYPERCALL, 1UL << 63 | 1), "6: also with bit 63");
    tap_equal(rdmsr(HV_MSR_HYPERCALL), (uint64_t)other | 1, "6: which changes nothing");
    tap_equal(call_at(other), 0, "6: the page is where it was");
    wrmsr(HV_MSR_HYPERCALL, (uint64_t)other);
    tap_ok(filled(other), "2: disabled, the covered page is back, unchanged");
    wrmsr(HV_MSR_HYPERCALL, (uint64_t)other | 1);
    wrmsr(HV_MSR_GUEST_OS_ID, 0);
    tap_ok(filled(other), "6: clearing GUEST_OS_ID disables the hypercall page");
    tap_ok(!(rdmsr(HV_MSR_HYPERCALL) & 1), "6: and the MSR says so");
    wrmsr(HV_MSR_GUEST_OS_ID, GUEST_OS_ID);
    wrmsr(HV_MSR_HYPERCALL, on);
    tap_equal(call_at(home), 0, "6: back at home");
    page_free(other);
}

/* 7: what the first partition has of its local APIC through MSRs, and the page for hints. */
static void apic_msrs(void)
{
    uint64_t tpr = rdmsr(HV_MSR_TPR);
    tap_ok(wrmsr_safe(HV_MSR_TPR, 0x40) && rdmsr(HV_MSR_TPR) == 0x40 && read_cr8() == 4,
           "7: TPR is the local APIC's, and CR8 shows it");
    tap_ok(!wrmsr_safe(HV_MSR_TPR, 0x100), "7: a TPR of more than 8 bits is #GP");
    wrmsr(HV_MSR_TPR, tpr);
    tap_ok(wrmsr_safe(HV_MSR_EOI, 0) && !reads(HV_MSR_EOI), "7: EOI is written, not read");
    tap_ok(reads(HV_MSR_ICR), "7: ICR is read");

    uint8_t *page = page_alloc();
    memset(page, PATTERN, PAGE_SIZE);
    uint64_t before = rdmsr(HV_MSR_VP_ASSIST_PAGE);
    tap_ok(wrmsr_safe(HV_MSR_VP_ASSIST_PAGE, (uint64_t)page | 1) && page[0] == 0 && page[4095] == 0,
           "7: the VP assist page is on, and zero");
    page[0] = 1;
    tap_equal(page[0], 1, "7: it can be written");
    tap_ok(wrmsr_safe(HV_MSR_VP_ASSIST_PAGE, before) && page[0] == PATTERN && page[4095] == PATTERN,
           "7: off again: the memory below is back");
    tap_ok(!wrmsr_safe(HV_MSR_VP_ASSIST_PAGE, ~PAGE_MASK | 1), "7: beyond the width: #GP");
    page_free(page);
}

/* 7: the processors are there from boot; adding one changes nothing. */
static void logical_processors(void)
{
    bool root = hypervisor_role() == ROLE_IS_ROOT;
    struct hv_input_add_logical_processor in = {.lp_index = 0, .apic_id = UINT32_MAX};
    struct hv_output_add_logical_processor out;
    tap_status(hv_call(HVCALL_ADD_LOGICAL_PROCESSOR, &in, sizeof(in), &out, sizeof(out)),
               root ? HV_STATUS_INVALID_PARAMETER : HV_STATUS_ACCESS_DENIED,
               "7: AddLogicalProcessor with another APIC id than its own");
    in.lp_index = MAX_CPUS;
    tap_status(hv_call(HVCALL_ADD_LOGICAL_PROCESSOR, &in, sizeof(in), &out, sizeof(out)),
               root ? HV_STATUS_INVALID_LP_INDEX : HV_STATUS_ACCESS_DENIED,
               "7: AddLogicalProcessor of one that is not there");
}

void test_msrs(void)
{
    identity();
    without_privilege();
    times();
    invariant_tsc();
    reference_tsc();
    crash();
    hypercall_page_msr();
    apic_msrs();
    logical_processors();
}

void test_msr_lock(void)
{
    uint64_t locked = (uint64_t)hypercall_page | HV_HYPERCALL_MSR_ENABLE | HV_HYPERCALL_MSR_LOCKED;
    tap_ok(wrmsr_safe(HV_MSR_HYPERCALL, locked), "6: the hypercall MSR is locked");
    tap_equal(rdmsr(HV_MSR_HYPERCALL), locked, "6: and shows it");
    tap_ok(!wrmsr_safe(HV_MSR_HYPERCALL, locked & ~HV_HYPERCALL_MSR_LOCKED),
           "6: locked: unlocking is #GP");
    tap_ok(!wrmsr_safe(HV_MSR_HYPERCALL, locked & ~HV_HYPERCALL_MSR_ENABLE),
           "6: locked: disabling is #GP");
    tap_ok(!wrmsr_safe(HV_MSR_HYPERCALL, locked + PAGE_SIZE), "6: locked: moving is #GP");
    tap_ok(wrmsr_safe(HV_MSR_HYPERCALL, locked), "6: locked: writing the same value is not");
    tap_equal(call_at(hypercall_page), 0, "6: the locked page answers");
}
