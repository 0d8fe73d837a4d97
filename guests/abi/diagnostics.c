/* SPDX-License-Identifier: MIT */
/* Section 8: Vellum's own MSRs. */
#include "guests/abi/abi.h"
#include "hv/base/exit.h"

enum { LOG_LEVELS = 4 };

static uint64_t count_of(unsigned kind)
{
    return rdmsr(VELLUM_MSR_EXIT_COUNT + kind);
}

static void leaf(void)
{
    struct cpuid_regs r = cpuid(VELLUM_LEAF, 0), next = cpuid(VELLUM_LEAF + 1, 0);
    char name[13] = {0};
    memcpy(name, &r.ebx, 4);
    memcpy(name + 4, &r.ecx, 4);
    memcpy(name + 8, &r.edx, 4);
    tap_ok(!memcmp(name, "VellumVellum", 13) && r.eax == VELLUM_LEAF + 1,
           "8: CPUID leaf 0x40000100 says %s", name);
    tap_ok(next.eax == VELLUM_INTERFACE && next.ebx == EXIT_KIND_COUNT,
           "8: the next one its version and %u kinds of exit", next.ebx);
    r = cpuid(VELLUM_LEAF + 2, 0);
    tap_ok((r.eax | r.ebx | r.ecx | r.edx) == 0, "8: and one further on nothing");
}

static void counts(void)
{
    uint64_t value, before = count_of(EXIT_CPUID);
    for (unsigned n = 0; n < 10; n++)
        (void)cpuid(1, 0);
    tap_equal(count_of(EXIT_CPUID) - before, 10, "8: ten CPUID exits are ten");
    before = count_of(EXIT_HYPERCALL);
    (void)hv_call_fast(HVCALL_NOTIFY_LONG_SPIN_WAIT, 0, 0);
    tap_equal(count_of(EXIT_HYPERCALL) - before, 1, "8: a hypercall is one");
    before = rdmsr(VELLUM_MSR_EXITS);
    uint64_t reads = count_of(EXIT_RDMSR);
    tap_equal(rdmsr(VELLUM_MSR_EXITS) - before, 2, "8: the sum counts the RDMSRs that read it");
    tap_equal(count_of(EXIT_RDMSR) - reads, 2, "8: as its kind does");
    tap_ok(!rdmsr_safe(VELLUM_MSR_EXIT_COUNT + EXIT_KIND_COUNT, &value),
           "8: the count of a kind that is not there is #GP");
    tap_ok(!wrmsr_safe(VELLUM_MSR_EXIT_COUNT, 0), "8: a count is read-only: #GP");
}

static void logging(void)
{
    uint64_t before = rdmsr(VELLUM_MSR_LOG_LEVEL);
    bool all = true;
    for (uint64_t level = 0; level < LOG_LEVELS; level++)
        all &= wrmsr_safe(VELLUM_MSR_LOG_LEVEL, level) && rdmsr(VELLUM_MSR_LOG_LEVEL) == level;
    tap_ok(all, "8: LOG_LEVEL takes 0 to 3");
    tap_ok(!wrmsr_safe(VELLUM_MSR_LOG_LEVEL, LOG_LEVELS), "8: and nothing else: #GP");
    wrmsr(VELLUM_MSR_LOG_LEVEL, before);
    tap_ok(wrmsr_safe(VELLUM_MSR_EXITS, 0), "8: a write to EXITS prints every processor's");
}

void test_diagnostics(void)
{
    leaf();
    counts();
    logging();
}
