/* SPDX-License-Identifier: MIT */
/* MSRs and control words that are wrong in every way. */
#include "guests/hostile/hostile.h"

static void expect_write_fault(uint32_t msr, uint64_t value, const char *what)
{
    uint64_t before = 0, after = 0;
    bool readable = rdmsr_safe(msr, &before);
    bool written = wrmsr_safe(msr, value);
    if (readable)
        rdmsr_safe(msr, &after);
    tap_ok(!written && before == after, "WRMSR 0x%x, %s: #GP, nothing changed", msr, what);
}

static void bad_values(void)
{
    uint64_t efer = rdmsr(MSR_EFER), base = rdmsr(MSR_APIC_BASE);
    expect_write_fault(MSR_EFER, efer | EFER_SVME, "EFER.SVME");
    expect_write_fault(MSR_EFER, efer | 1UL << 40, "a reserved bit of EFER");
    expect_write_fault(MSR_EFER, efer & ~(uint64_t)EFER_LME, "clearing EFER.LME under paging");
    expect_write_fault(MSR_APIC_BASE, base | 1UL << 63, "a reserved bit of APIC_BASE");
    if (machine_is_tcg()) {
        tap_skip(
            "values that the processor itself refuses in PAT and LSTAR: QEMU's TCG takes them");
    } else {
        expect_write_fault(MSR_PAT, 0x0202020202020202, "reserved memory types");
        expect_write_fault(MSR_LSTAR, 0x8000000000000000, "a non-canonical address");
    }
    expect_write_fault(HV_MSR_VP_INDEX, 1, "the VP index");
    tap_ok(!wrmsr_safe(HV_MSR_TIME_REF_COUNT, 1), "WRMSR of the reference counter: #GP");
    expect_write_fault(HV_MSR_TSC_FREQUENCY, 1, "the TSC frequency");
    expect_write_fault(HV_MSR_HYPERCALL, ~0UL, "all ones as the hypercall page");
    expect_write_fault(HV_MSR_REFERENCE_TSC, ~0UL, "all ones as the reference TSC page");
    expect_write_fault(0x400001FF, 0, "an unknown synthetic MSR");
    uint64_t value;
    tap_ok(!rdmsr_safe(0x400001FF, &value), "RDMSR of an unknown synthetic MSR: #GP");
}

/* Virtualization's own MSRs: unreadable, or with nothing that could be switched on. */
static void virtualization_msrs(void)
{
    uint64_t value;
    bool ok = true;
    for (uint32_t msr = 0x480; msr <= 0x491 && !machine_is_amd(); msr++) {
        if (rdmsr_safe(msr, &value)) {
            tap_note("MSR 0x%x reads 0x%lx", msr, value);
            ok = false;
        }
    }
    if (machine_is_amd()) /* such a processor has none; emulators of one answer all sorts */
        tap_skip("the VMX capability MSRs: this is an AMD processor");
    else
        tap_ok(ok, "the VMX capability MSRs 0x480..0x491 are #GP");
    tap_ok(!rdmsr_safe(MSR_FEATURE_CONTROL, &value) || (value & 5) != 5,
           "FEATURE_CONTROL does not offer VMX");
    tap_ok(!wrmsr_safe(MSR_FEATURE_CONTROL, 5), "writing FEATURE_CONTROL is #GP");
    tap_ok(!rdmsr_safe(MSR_VM_HSAVE_PA, &value) && !wrmsr_safe(MSR_VM_HSAVE_PA, 0x100000),
           "VM_HSAVE_PA is #GP");
    tap_ok(!rdmsr_safe(MSR_VM_CR, &value) || (value & BIT(4)), "VM_CR says that SVM is disabled");
}

/* Writes the same value, which is fine, and then another: done without #GP, and without effect. */
static bool keeps_value(uint32_t msr, uint64_t other)
{
    uint64_t old, again, after;
    bool ok = rdmsr_safe(msr, &old) && wrmsr_safe(msr, old) && rdmsr_safe(msr, &again) &&
              wrmsr_safe(msr, other) && rdmsr_safe(msr, &after);
    if (!ok)
        tap_note("MSR 0x%x: #GP", msr);
    else if (again != old || after != old)
        tap_note("MSR 0x%x was 0x%lx, is 0x%lx and 0x%lx", msr, old, again, after);
    else
        return true;
    if (ok)
        wrmsr_safe(msr, old);
    return false;
}

/* Memory types stay those at boot, whichever range or default they come from. */
static void memory_types(void)
{
    uint64_t cap;
    if (!(cpuid(1, 0).edx & BIT(12)) || !rdmsr_safe(MSR_MTRRCAP, &cap)) {
        tap_ok(!(cpuid(1, 0).edx & BIT(12)), "MTRRCAP can be read where CPUID promises MTRRs");
        return;
    }
    bool ok = (cap & 0xFF) != 0;
    for (uint32_t msr = MSR_MTRR_PHYSBASE0; msr < MSR_MTRR_PHYSBASE0 + 2 * (cap & 0xFF); msr++)
        ok = keeps_value(msr, rdmsr(msr) ^ BIT(20)) && ok;
    tap_ok(ok, "a write of another value to a variable-range MTRR, of %lu ranges, has no effect",
           cap & 0xFF);
    ok = keeps_value(MSR_MTRR_FIX64K, rdmsr(MSR_MTRR_FIX64K) ^ 6);
    ok = keeps_value(MSR_MTRR_FIX16K, rdmsr(MSR_MTRR_FIX16K) ^ 6) && ok;
    ok = keeps_value(MSR_MTRR_FIX_LAST, rdmsr(MSR_MTRR_FIX_LAST) ^ 6) && ok;
    tap_ok(ok, "the same of a fixed-range MTRR");
    uint64_t type = rdmsr(MSR_MTRR_DEF_TYPE);
    ok = keeps_value(MSR_MTRR_DEF_TYPE, type ^ 6); /* UC and WB */
    ok = keeps_value(MSR_MTRR_DEF_TYPE, type ^ BIT(11)) && ok;
    ok = keeps_value(MSR_MTRR_DEF_TYPE, 0) && ok;
    tap_ok(ok, "the same of MTRR_DEF_TYPE, all MTRRs off included");
}

/* Reads every MSR number of the ranges that have any: some work, some fault, nothing breaks. */
static void sweep(uint32_t from, uint32_t to)
{
    uint32_t readable = 0;
    uint64_t value;
    for (uint32_t msr = from; msr <= to; msr++)
        readable += rdmsr_safe(msr, &value);
    tap_ok(readable <= to - from + 1, "of MSRs 0x%x..0x%x %u can be read and the rest are #GP",
           from, to, readable);
}

void test_msrs(void)
{
    bad_values();
    virtualization_msrs();
    memory_types();
    sweep(0, 0x1FFF);
    sweep(0x40000000, 0x400001FF);
    sweep(0xC0000000, 0xC0000200);
    sweep(0xC0010000, 0xC0010200);
    sweep(0x80000000, 0x80000020);
}

/* Every call code with bad GPAs, and every single control bit on a call that works. */
void test_control_words(void)
{
    bool ok = true;
    uint64_t out = (uint64_t)hv_output_page();
    for (uint64_t code = 0; code <= 0xFFFF; code++) {
        uint64_t result = hypercall(code, ~0UL, ~0UL);
        if (hv_status(result) == HV_STATUS_SUCCESS || result >> 16 != 0) {
            tap_note("code 0x%lx: result 0x%lx", code, result);
            ok = false;
        }
    }
    tap_ok(ok, "all 65536 call codes with input and output at ~0 are refused");
    ok = true;
    for (unsigned bit = 16; bit < 64; bit++) {
        uint64_t result = hypercall(HVCALL_GET_PARTITION_ID | 1UL << bit, 0, out);
        if (hv_status(result) != HV_STATUS_INVALID_HYPERCALL_INPUT) {
            tap_note("bit %u: %s", bit, status_name(result));
            ok = false;
        }
    }
    tap_ok(ok, "GetPartitionId with each single further bit of the control word set: "
               "INVALID_HYPERCALL_INPUT");
}
