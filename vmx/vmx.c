/* SPDX-License-Identifier: MIT */
/* VT-x: is it there, is it enough, turn it on; and the backend's table. */
#include "vmx/vmx.h"

#include "hv/base/console.h"
#include "hv/base/panic.h"
#include "hv/base/phys.h"

struct vmx_capabilities vmx_caps;

enum { CPUID_1_ECX_VMX = 1 << 5 };

static bool vmx_present(void)
{
    return cpuid(1, 0).ecx & CPUID_1_ECX_VMX;
}

/* Sets and locks feature control when the firmware did not (SDM 24.7). */
static bool unlock_feature_control(void)
{
    uint64_t control = rdmsr(MSR_FEATURE_CONTROL);
    if (!(control & FEATURE_CONTROL_LOCKED)) {
        control |= FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
        wrmsr(MSR_FEATURE_CONTROL, control);
    }
    if (control & FEATURE_CONTROL_VMX_OUTSIDE_SMX)
        return true;
    say_error("VT-x is disabled by firmware (IA32_FEATURE_CONTROL is locked without it): "
              "enable virtualization in the firmware's set-up");
    return false;
}

/* Reads the capability MSR of each control word and checks it. Where there are no secondary
   controls there is no such MSR: 0. */
static bool read_controls(uint64_t capability[VMX_WORDS])
{
    static const uint32_t msrs[VMX_WORDS] = {
        [VMX_PIN] = MSR_VMX_TRUE_PINBASED,    [VMX_PRIMARY] = MSR_VMX_TRUE_PROCBASED,
        [VMX_EXIT] = MSR_VMX_TRUE_EXIT,       [VMX_ENTRY] = MSR_VMX_TRUE_ENTRY,
        [VMX_SECONDARY] = MSR_VMX_PROCBASED2,
    };
    bool good = true;
    capability[VMX_SECONDARY] = 0;
    for (enum vmx_word word = 0; word < VMX_WORDS; word++) {
        if (word == VMX_SECONDARY && !(capability[VMX_PRIMARY] >> 32 & PRIMARY_SECONDARY))
            return false;
        capability[word] = rdmsr(msrs[word]);
        good &= vmx_require_controls(word, capability[word]);
    }
    return good;
}

static bool check_ept(uint64_t cap)
{
    bool good = vmx_require(cap & EPT_CAP_4_LEVELS, "4-level EPT");
    good &= vmx_require(cap & EPT_CAP_WRITE_BACK, "write-back EPT tables");
    good &= vmx_require(cap & EPT_CAP_2M, "2 MiB EPT pages: guest memory is mapped by them");
    good &= vmx_require(cap & EPT_CAP_INVEPT && cap & (EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL),
                        "INVEPT: a page taken away must be unreachable");
    return good;
}

/* VPIDs are of use only with an INVVPID that drops what one of them, or all, have cached. */
static bool can_drop_vpid(uint64_t cap)
{
    return cap & VPID_CAP_INVVPID && cap & (VPID_CAP_INVVPID_SINGLE | VPID_CAP_INVVPID_ALL);
}

static void settle_controls(const uint64_t capability[VMX_WORDS])
{
    for (enum vmx_word word = 0; word < VMX_WORDS; word++)
        for (unsigned first = 0; first < 2; first++)
            vmx_caps.controls[word][first] = vmx_settle_controls(word, capability[word], first);
    vmx_caps.vpid = vmx_caps.controls[VMX_SECONDARY][true] & SECONDARY_VPID;
    vmx_caps.rdtscp = vmx_caps.controls[VMX_SECONDARY][true] & SECONDARY_RDTSCP;
}

static bool vmx_check(struct backend_features *features)
{
    if (!unlock_feature_control())
        return false;
    uint64_t basic = rdmsr(MSR_VMX_BASIC);
    /* Without them CR3 accesses would always exit; all processors with unrestricted guest have
       them. */
    if (!vmx_require(basic & VMX_BASIC_TRUE_CONTROLS,
                     "the TRUE control MSRs: CR3 access without exit"))
        return false;
    uint64_t capability[VMX_WORDS];
    bool good = read_controls(capability);
    if (!(capability[VMX_SECONDARY] >> 32 & SECONDARY_EPT))
        return false;
    uint64_t cap = rdmsr(MSR_VMX_EPT_VPID_CAP);
    good &= check_ept(cap);
    if (!can_drop_vpid(cap))
        capability[VMX_SECONDARY] &= ~((uint64_t)SECONDARY_VPID << 32);

    settle_controls(capability);
    vmx_caps.revision = (uint32_t)(basic & VMX_BASIC_REVISION_MASK);
    vmx_caps.ept_vpid = cap;
    vmx_caps.timer_rate = (uint32_t)(rdmsr(MSR_VMX_MISC) & VMX_MISC_TIMER_RATE);
    vmx_caps.cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0);
    vmx_caps.cr0_fixed1 = rdmsr(MSR_VMX_CR0_FIXED1);
    vmx_caps.cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0);
    vmx_caps.cr4_fixed1 = rdmsr(MSR_VMX_CR4_FIXED1);
    *features = (struct backend_features){
        .execute_only = cap & EPT_CAP_EXECUTE_ONLY,
        .accessed_dirty = cap & EPT_CAP_ACCESSED_DIRTY,
        .max_level = cap & EPT_CAP_1G ? 2 : 1,
    };
    return good;
}

static void vmx_cpu_enable(struct cpu *cpu)
{
    vmx_fill_msr_bitmaps();
    vmx_read_switched_msrs();
    vmx_find_limits();
    write_cr0((read_cr0() | vmx_caps.cr0_fixed0) & vmx_caps.cr0_fixed1);
    write_cr4((read_cr4() | vmx_caps.cr4_fixed0) & vmx_caps.cr4_fixed1);
    *(uint32_t *)phys_ptr(cpu->vendor_page_spa) = vmx_caps.revision;
    uint8_t failed;
    __asm__ volatile("vmxon %1; setna %0"
                     : "=qm"(failed)
                     : "m"(cpu->vendor_page_spa)
                     : "cc", "memory");
    if (failed)
        panic("VMXON failed on processor %u", cpu->index);
}

const struct backend vmx_backend = {
    .name = "VT-x",
    .format = &ept_format,
    .hypercall_instruction = {0x0F, 0x01, 0xC1},
    .present = vmx_present,
    .check = vmx_check,
    .cpu_enable = vmx_cpu_enable,
    .vp_init = vmx_vp_init,
    .switch_in = vmx_switch_in,
    .switch_out = vmx_switch_out,
    .save_shown = vmx_save_shown,
    .save_rest = vmx_save_rest,
    .load = vmx_load,
    .in_kernel64 = vmx_in_kernel64,
    .guest_cr4 = vmx_guest_cr4,
    .update_intercepts = vmx_update_intercepts,
    .run = vmx_run,
    .dump = vmx_dump,
    .exit_name = vmx_exit_name,
};
