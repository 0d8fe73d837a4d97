/* SPDX-License-Identifier: MIT */
/* AMD-V: is it there, is it complete, switching it on. */
#include "svm/svm.h"

#include "hv/base/console.h"

struct svm_features svm_features;

#define CPUID_EXTENDED    0x80000001u
#define CPUID_SVM         0x8000000Au
#define EXTENDED_ECX_SVM  BIT(2)
#define EXTENDED_EDX_1G   BIT(26)
#define EXTENDED_EDX_TSCP BIT(27)

static bool present(void)
{
    return cpuid(0x80000000u, 0).eax >= CPUID_SVM &&
           cpuid(CPUID_EXTENDED, 0).ecx & EXTENDED_ECX_SVM;
}

/* APM 15.4: SVMDIS can be cleared unless it is locked; the key, if any, is the firmware's. */
static bool enabled_by_firmware(uint32_t svm_edx)
{
    uint64_t control = 0;
    if (!rdmsr_safe(MSR_VM_CR, &control) || !(control & VM_CR_SVM_DISABLED))
        return true;
    if (!(control & VM_CR_LOCK) && wrmsr_safe(MSR_VM_CR, control & ~(uint64_t)VM_CR_SVM_DISABLED) &&
        rdmsr_safe(MSR_VM_CR, &control) && !(control & VM_CR_SVM_DISABLED))
        return true;
    say_error("AMD-V (SVM) is disabled by the firmware%s; switch it on in the firmware's set-up",
              svm_edx & SVM_CPUID_LOCK ? " and locked with a key" : "");
    return false;
}

static bool check(struct backend_features *features)
{
    struct cpuid_regs extended = cpuid(CPUID_EXTENDED, 0);
    struct cpuid_regs svm = cpuid(CPUID_SVM, 0);
    bool good = enabled_by_firmware(svm.edx);

    if (!(svm.edx & SVM_CPUID_NESTED_PAGING)) {
        say_error("the processor has no nested paging, which every guest's memory needs");
        good = false;
    }
    if (svm.ebx < SLOT_COUNT + 1) {
        say_error("the processor has %u address space identifiers; the host, the first "
                  "partition and its children need %d",
                  svm.ebx, SLOT_COUNT + 1);
        good = false;
    }
    svm_features = (struct svm_features){
        .host_cr3 = read_cr3(),
        .next_rip = svm.edx & SVM_CPUID_NEXT_RIP,
        .decode_assists = svm.edx & SVM_CPUID_DECODE_ASSISTS,
        .pause_filter = svm.edx & SVM_CPUID_PAUSE_FILTER,
        .tsc_aux = extended.edx & EXTENDED_EDX_TSCP,
        .flush_command = svm.edx & SVM_CPUID_FLUSH_BY_ASID ? TLB_FLUSH_ASID : TLB_FLUSH_ALL,
    };
    *features = (struct backend_features){
        .accessed_dirty = true,
        .max_level = extended.edx & EXTENDED_EDX_1G ? 2 : 1,
    };
    return good;
}

/*
 * Nested tables are walked with the host's EFER.NXE and the host's PAT (APM
 * 15.25.5, 15.25.8), so both get their expected values here.
 */
static void cpu_enable(struct cpu *cpu)
{
    if (cpu->index == 0)
        svm_control_init();
    svm_find_limits();
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME | EFER_NXE);
    wrmsr(MSR_PAT, PAT_RESET);
    wrmsr(MSR_VM_HSAVE_PA, cpu->vendor_page_spa);
    __asm__ volatile("vmsave" : : "a"(cpu->host_save_spa) : "memory");
}

const struct backend svm_backend = {
    .name = "AMD-V",
    .format = &npt_format,
    .hypercall_instruction = {0x0F, 0x01, 0xD9},
    .present = present,
    .check = check,
    .cpu_enable = cpu_enable,
    .vp_init = svm_vp_init,
    .switch_in = svm_switch_in,
    .switch_out = svm_switch_out,
    .save_shown = svm_save_shown,
    .save_rest = svm_save_rest,
    .load = svm_load,
    .in_kernel64 = svm_in_kernel64,
    .guest_cr4 = svm_guest_cr4,
    .update_intercepts = svm_update_intercepts,
    .run = svm_run,
    .dump = svm_dump,
    .exit_name = svm_exit_name,
};
