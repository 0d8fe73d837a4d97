/* VT-x: is it there, is it enough, turn it on; and the backend's table. */
#include "vmx/vmx.h"

#include "hv/base/arch.h"
#include "hv/base/console.h"
#include "hv/base/cpu.h"
#include "hv/base/panic.h"
#include "hv/base/phys.h"

struct vmx_capabilities vmx_caps;

enum { CPUID_1_ECX_VMX = 1 << 5 };

static bool vmx_present(void)
{
    return cpuid(1, 0).ecx & CPUID_1_ECX_VMX;
}

static bool require(bool there, const char *what)
{
    if (!there)
        say_error("VT-x: this processor lacks %s", what);
    return there;
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

/* A control: the bit in its word, and what needs it. */
struct needed_control {
    uint32_t bit;
    const char *what;
};

static const struct needed_control needed_pin[] = {
    {PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting: interrupts end the dispatch of a child"},
    {PIN_NMI, "NMI exiting: processors are kicked out of their guests by NMIs"},
    {PIN_VIRTUAL_NMIS, "virtual NMIs: a guest's own NMI blocking is kept apart from ours"},
};
static const struct needed_control needed_primary[] = {
    {PRIMARY_INTERRUPT_WINDOW, "interrupt-window exiting: pending interrupts of a guest"},
    {PRIMARY_NMI_WINDOW, "NMI-window exiting: pending NMIs of a guest"},
    {PRIMARY_TSC_OFFSET, "TSC offsetting: each partition has its own time"},
    {PRIMARY_HLT, "HLT exiting: a child's HLT is an intercept"},
    {PRIMARY_MWAIT, "MWAIT exiting: children do not stop the processor"},
    {PRIMARY_MONITOR, "MONITOR exiting: children do not stop the processor"},
    {PRIMARY_RDPMC, "RDPMC exiting: children do not see the performance counters"},
    {PRIMARY_CR8_LOAD, "CR8-load exiting: children do not reach the task priority"},
    {PRIMARY_CR8_STORE, "CR8-store exiting: children do not reach the task priority"},
    {PRIMARY_IO, "unconditional I/O exiting: a child's ports are its parent's"},
    {PRIMARY_MSR_BITMAPS, "MSR bitmaps: most MSRs are reached without an exit"},
    {PRIMARY_SECONDARY, "secondary controls: EPT is one of them"},
};
static const struct needed_control needed_secondary[] = {
    {SECONDARY_EPT, "EPT: guest memory is second-level page tables"},
    {SECONDARY_UNRESTRICTED_GUEST, "unrestricted guest: real mode runs on the processor itself"},
    {SECONDARY_WBINVD, "WBINVD exiting: children do not flush the processor's caches"},
};
static const struct needed_control needed_exit[] = {
    {EXITC_HOST_64, "a 64-bit host"},
    {EXITC_SAVE_DEBUG, "saving debug controls on exit"},
    {EXITC_SAVE_EFER, "saving EFER on exit: the guest owns its EFER"},
    {EXITC_LOAD_EFER, "loading EFER on exit: the guest owns its EFER"},
    {EXITC_SAVE_PAT, "saving PAT on exit: the guest owns its PAT"},
    {EXITC_LOAD_PAT, "loading PAT on exit: the guest owns its PAT"},
};
static const struct needed_control needed_entry[] = {
    {ENTRYC_LOAD_DEBUG, "loading debug controls on entry"},
    {ENTRYC_IA32E_GUEST, "64-bit guests"},
    {ENTRYC_LOAD_EFER, "loading EFER on entry: the guest owns its EFER"},
    {ENTRYC_LOAD_PAT, "loading PAT on entry: the guest owns its PAT"},
};

/* The capability MSR: bits that must be 1 below, bits that may be 1 above (SDM A.3 to A.5). */
static bool require_controls(uint64_t capability, const struct needed_control *needed, size_t count)
{
    bool good = true;
    for (size_t i = 0; i < count; i++)
        good &= require(capability >> 32 & needed[i].bit, needed[i].what);
    return good;
}

/* The control word: what is wanted, of `optional` what there is, and what must be 1. */
static uint32_t settle(uint64_t capability, uint32_t wanted, uint32_t optional)
{
    uint32_t may = (uint32_t)(capability >> 32);
    return wanted | (optional & may) | (uint32_t)capability;
}

static void settle_controls(uint64_t pin, uint64_t primary, uint64_t secondary)
{
    uint32_t common = PRIMARY_TSC_OFFSET | PRIMARY_MSR_BITMAPS | PRIMARY_SECONDARY;
    uint32_t child = PRIMARY_HLT | PRIMARY_MWAIT | PRIMARY_MONITOR | PRIMARY_RDPMC | PRIMARY_IO |
                     PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE;
    uint32_t translation = SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST;
    uint32_t optional = (vmx_caps.vpid ? SECONDARY_VPID : 0) | SECONDARY_RDTSCP | SECONDARY_INVPCID;

    vmx_caps.pin[true] = settle(pin, PIN_NMI | PIN_VIRTUAL_NMIS, 0);
    vmx_caps.pin[false] =
        settle(pin, PIN_NMI | PIN_VIRTUAL_NMIS | PIN_EXTERNAL_INTERRUPT, PIN_PREEMPTION_TIMER);
    vmx_caps.primary[true] = settle(primary, common, 0);
    vmx_caps.primary[false] = settle(primary, common | child, 0);
    vmx_caps.secondary[true] =
        settle(secondary, translation, optional | SECONDARY_XSAVES | SECONDARY_USER_WAIT);
    vmx_caps.secondary[false] = settle(secondary, translation | SECONDARY_WBINVD, optional);
    vmx_caps.exit = settle(rdmsr(MSR_VMX_TRUE_EXIT),
                           EXITC_HOST_64 | EXITC_SAVE_DEBUG | EXITC_SAVE_EFER | EXITC_LOAD_EFER |
                               EXITC_SAVE_PAT | EXITC_LOAD_PAT,
                           0);
    vmx_caps.entry = settle(rdmsr(MSR_VMX_TRUE_ENTRY),
                            ENTRYC_LOAD_DEBUG | ENTRYC_LOAD_EFER | ENTRYC_LOAD_PAT, 0);
    vmx_caps.timer_rate = (uint32_t)(rdmsr(MSR_VMX_MISC) & VMX_MISC_TIMER_RATE);
    vmx_caps.rdtscp = vmx_caps.secondary[true] & SECONDARY_RDTSCP;
}

static bool check_ept(uint64_t cap)
{
    bool good = require(cap & EPT_CAP_4_LEVELS, "4-level EPT");
    good &= require(cap & EPT_CAP_WRITE_BACK, "write-back EPT tables");
    good &= require(cap & EPT_CAP_2M, "2 MiB EPT pages: guest memory is mapped by them");
    good &= require(cap & EPT_CAP_INVEPT && cap & (EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL),
                    "INVEPT: a page taken away must be unreachable");
    return good;
}

static bool vmx_check(struct backend_features *features)
{
    if (!unlock_feature_control())
        return false;
    uint64_t basic = rdmsr(MSR_VMX_BASIC);
    /* Without them CR3 accesses would always exit; all processors with unrestricted guest have
       them. */
    if (!require(basic & VMX_BASIC_TRUE_CONTROLS, "the TRUE control MSRs: CR3 access without exit"))
        return false;
    uint64_t pin = rdmsr(MSR_VMX_TRUE_PINBASED), primary = rdmsr(MSR_VMX_TRUE_PROCBASED);
    bool good = require_controls(pin, needed_pin, ARRAY_SIZE(needed_pin));
    good &= require_controls(primary, needed_primary, ARRAY_SIZE(needed_primary));
    good &= require_controls(rdmsr(MSR_VMX_TRUE_EXIT), needed_exit, ARRAY_SIZE(needed_exit));
    good &= require_controls(rdmsr(MSR_VMX_TRUE_ENTRY), needed_entry, ARRAY_SIZE(needed_entry));
    if (!(primary >> 32 & PRIMARY_SECONDARY))
        return false;
    uint64_t secondary = rdmsr(MSR_VMX_PROCBASED2);
    good &= require_controls(secondary, needed_secondary, ARRAY_SIZE(needed_secondary));
    if (!(secondary >> 32 & SECONDARY_EPT))
        return false;
    uint64_t cap = rdmsr(MSR_VMX_EPT_VPID_CAP);
    good &= check_ept(cap);

    vmx_caps.revision = (uint32_t)(basic & VMX_BASIC_REVISION_MASK);
    vmx_caps.ept_vpid = cap;
    vmx_caps.vpid = secondary >> 32 & SECONDARY_VPID && cap & VPID_CAP_INVVPID &&
                    cap & (VPID_CAP_INVVPID_SINGLE | VPID_CAP_INVVPID_ALL);
    vmx_caps.cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0);
    vmx_caps.cr0_fixed1 = rdmsr(MSR_VMX_CR0_FIXED1);
    vmx_caps.cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0);
    vmx_caps.cr4_fixed1 = rdmsr(MSR_VMX_CR4_FIXED1);
    settle_controls(pin, primary, secondary);
    *features = (struct backend_features){
        .next_rip = true,
        .vpid = vmx_caps.vpid,
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
    .mode = vmx_mode,
    .in_kernel64 = vmx_in_kernel64,
    .guest_cr4 = vmx_guest_cr4,
    .update_intercepts = vmx_update_intercepts,
    .run = vmx_run,
    .dump = vmx_dump,
    .exit_name = vmx_exit_name,
};
