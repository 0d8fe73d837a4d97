/* VT-x: the parts of a VMCS that are written once: controls, MSR bitmaps, host state. */
#include "vmx/vmx.h"

#include "hv/base/arch.h"
#include "hv/base/cpu.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "hv/model/partition.h"
#include "mm/boot_memory.h"

/* SDM 25.6.9: reads, then writes; each of MSRs 0.. and 0xC0000000... A 1 exits. */
struct msr_bitmap {
    uint8_t read_low[1024], read_high[1024];
    uint8_t write_low[1024], write_high[1024];
};
_Static_assert(sizeof(struct msr_bitmap) == PAGE_SIZE, "MSR bitmap");

static struct msr_bitmap bitmap_first __attribute__((aligned(4096)));
static struct msr_bitmap bitmap_child __attribute__((aligned(4096)));

enum { HIGH_MSRS = 0xC0000000 };

static void set_exit(struct msr_bitmap *bitmap, uint32_t msr, bool read, bool write)
{
    bool high = msr >= HIGH_MSRS;
    uint32_t number = msr & 0x1FFF;
    uint8_t bit = (uint8_t)(1 << number % 8);
    uint8_t *reads = high ? bitmap->read_high : bitmap->read_low;
    uint8_t *writes = high ? bitmap->write_high : bitmap->write_low;
    reads[number / 8] = (uint8_t)(read ? reads[number / 8] | bit : reads[number / 8] & ~bit);
    writes[number / 8] = (uint8_t)(write ? writes[number / 8] | bit : writes[number / 8] & ~bit);
}

static void set_exit_range(struct msr_bitmap *bitmap, uint32_t first, uint32_t last, bool read,
                           bool write)
{
    for (uint32_t msr = first; msr <= last; msr++)
        set_exit(bitmap, msr, read, write);
}

/* The first partition reaches every MSR but those whose value the hypervisor must see or hide. */
static void fill_first(struct msr_bitmap *bitmap)
{
    enum { MSR_BIOS_UPDT_TRIG = 0x79, MSR_MTRR_LAST_PAIR = 0x21F, MSR_MTRR_FIX4K_LAST = 0x26F };

    set_exit(bitmap, MSR_APIC_BASE, true, true);
    set_exit(bitmap, MSR_FEATURE_CONTROL, true, true);
    set_exit(bitmap, MSR_PERF_CAPABILITIES, true, true);
    set_exit_range(bitmap, MSR_VMX_BASIC, MSR_VMX_LAST, true, true);
    set_exit(bitmap, MSR_BIOS_UPDT_TRIG, false, true);
    set_exit(bitmap, MSR_X2APIC_ICR, false, true);
    set_exit_range(bitmap, MSR_MTRR_PHYSBASE0, MSR_MTRR_LAST_PAIR, false, true);
    set_exit_range(bitmap, MSR_MTRR_FIX64K, MSR_MTRR_FIX4K_LAST, false, true);
    set_exit(bitmap, MSR_MTRR_DEF_TYPE, false, true);
    set_exit_range(bitmap, MSR_STAR, MSR_SFMASK, false, true);
    set_exit(bitmap, MSR_TSC_AUX, false, true);
}

/* A child reaches only MSRs that are switched with it. Those that are seldom written may only be
   read, so that saving the VP need not look at them. */
static void fill_child(struct msr_bitmap *bitmap)
{
    static const uint32_t own[] = {MSR_EFER, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};
    static const uint32_t readable[] = {
        MSR_TSC, /* it is the TSC plus the offset */
        MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT,
        MSR_STAR,        MSR_LSTAR,        MSR_CSTAR,        MSR_SFMASK,
    };
    memset(bitmap, 0xFF, sizeof(*bitmap));
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        set_exit(bitmap, own[i], false, false);
    for (size_t i = 0; i < ARRAY_SIZE(readable); i++)
        set_exit(bitmap, readable[i], false, true);
    if (vmx_caps.rdtscp)
        set_exit(bitmap, MSR_TSC_AUX, false, true);
}

void vmx_fill_msr_bitmaps(void)
{
    fill_first(&bitmap_first);
    fill_child(&bitmap_child);
}

/* Only memory: VMX need not be on. The controls are written at the first switch_in. */
void vmx_vp_init(struct vp *vp)
{
    memset(vp->vendor, 0, sizeof(vp->vendor));
    *(uint32_t *)phys_ptr(vp->control_spa) = vmx_caps.revision;
    vp->launched = false;
}

/* Endless delivery of #DB or #AC would never leave the guest: a child must not hold the processor
   that way. */
static uint32_t exceptions_of(const struct vp *vp)
{
    return vp->exception_bitmap | (vp->first ? 0 : 1U << VECTOR_DB | 1U << VECTOR_AC);
}

static void write_intercepts(struct vp *vp)
{
    struct vmx_vp *v = vmx_of(vp);
    if (vp->intercept_all_msrs)
        v->primary &= ~(uint32_t)PRIMARY_MSR_BITMAPS;
    else
        v->primary |= PRIMARY_MSR_BITMAPS;
    vmwrite(VMCS_EXCEPTION_BITMAP, exceptions_of(vp));
    vmwrite(VMCS_PRIMARY_CONTROLS, v->primary);
}

/* What changes while the VP is not loaded is asked for again before its next run. */
void vmx_update_intercepts(struct vp *vp)
{
    if (vp->loaded)
        write_intercepts(vp);
}

void vmx_configure(struct vp *vp)
{
    struct vmx_vp *v = vmx_of(vp);
    static const enum vmcs_field zero[] = {
        VMCS_PAGE_FAULT_MASK,      VMCS_PAGE_FAULT_MATCH,       VMCS_CR3_TARGET_COUNT,
        VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_LOAD_COUNT,    VMCS_ENTRY_MSR_LOAD_COUNT,
        VMCS_ENTRY_INTR_INFO,      VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_ACTIVITY,
        VMCS_GUEST_PENDING_DEBUG,  VMCS_EXCEPTION_BITMAP,       VMCS_GUEST_PDPTE0,
        VMCS_GUEST_PDPTE1,         VMCS_GUEST_PDPTE2,           VMCS_GUEST_PDPTE3,
    };
    for (size_t i = 0; i < ARRAY_SIZE(zero); i++)
        vmwrite(zero[i], 0);

    v->primary = vmx_caps.primary[vp->first];
    v->windows = WINDOWS_UNKNOWN;
    vmwrite(VMCS_PIN_CONTROLS, vmx_caps.pin[vp->first]);
    vmwrite(VMCS_SECONDARY_CONTROLS, vmx_caps.secondary[vp->first]);
    vmwrite(VMCS_EXIT_CONTROLS, vmx_caps.exit);
    vmwrite(VMCS_ENTRY_CONTROLS, vmx_caps.entry);
    vmwrite(VMCS_MSR_BITMAP, image_phys(vp->first ? &bitmap_first : &bitmap_child));
    vmwrite(VMCS_VMCS_LINK, ~0UL);
    vmwrite(VMCS_EPTP, vmx_eptp(vp));
    if (vmx_caps.secondary[vp->first] & SECONDARY_VPID)
        vmwrite(VMCS_VPID, vp->slot + 1);
    if (vmx_caps.secondary[vp->first] & SECONDARY_XSAVES)
        vmwrite(VMCS_XSS_EXIT_BITMAP, 0);
    vmwrite(VMCS_CR0_MASK, vmx_cr0_mask(vp));
    vmwrite(VMCS_CR4_MASK, vmx_cr4_mask(vp));
    vmx_set_timer();
    write_intercepts(vp);
    v->configured = true;
}

uint64_t vmx_eptp(const struct vp *vp)
{
    uint64_t flags = EPTP_WRITE_BACK | EPTP_4_LEVELS;
    if (vmx_caps.ept_vpid & EPT_CAP_ACCESSED_DIRTY)
        flags |= EPTP_ACCESSED_DIRTY;
    return vp->partition->space.root << PAGE_SHIFT | flags;
}

void vmx_write_host(struct vp *vp)
{
    struct cpu *cpu = this_cpu();
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr;
    __asm__ volatile("sidt %0" : "=m"(idtr));

    vmwrite(VMCS_HOST_CR0, read_cr0());
    vmwrite(VMCS_HOST_CR3, read_cr3());
    vmwrite(VMCS_HOST_CR4, read_cr4());
    vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmwrite(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
    vmwrite(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
    vmwrite(VMCS_HOST_DS_SELECTOR, SELECTOR_DATA);
    vmwrite(VMCS_HOST_ES_SELECTOR, SELECTOR_DATA);
    vmwrite(VMCS_HOST_FS_SELECTOR, 0);
    vmwrite(VMCS_HOST_GS_SELECTOR, 0);
    vmwrite(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
    vmwrite(VMCS_HOST_FS_BASE, 0);
    vmwrite(VMCS_HOST_GS_BASE, (uintptr_t)cpu);
    vmwrite(VMCS_HOST_TR_BASE, (uintptr_t)cpu->tss);
    vmwrite(VMCS_HOST_GDTR_BASE, (uintptr_t)cpu->gdt);
    vmwrite(VMCS_HOST_IDTR_BASE, idtr.base);
    vmwrite(VMCS_HOST_SYSENTER_CS, 0);
    vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
    vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
    vmwrite(VMCS_HOST_RIP, (uintptr_t)vmx_exit_point);
    vmx_of(vp)->host_cpu = vmx_cpu_here();
}
