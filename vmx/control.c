/* SPDX-License-Identifier: MIT */
/* VT-x: the parts of a VMCS that are written once: controls, MSR bitmaps, host state. */
#include "vmx/vmx.h"

#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "hv/base/traps.h"
#include "hv/model/partition.h"
#include "mm/boot_memory.h"

/* MSR bitmaps, SDM 25.6.9: a bit for reads of each MSR, then one for writes of each. A 1 exits. */
enum { FOR_WRITES = 2 * MSRS_IN_RANGE };
static uint8_t bitmap_first[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t bitmap_child[PAGE_SIZE] __attribute__((aligned(4096)));

static void set_bit(uint8_t *map, uint32_t number, bool exits)
{
    unsigned bit = 1u << number % 8, byte = map[number / 8];
    map[number / 8] = (uint8_t)(exits ? byte | bit : byte & ~bit);
}

static void set_access(uint8_t *map, uint32_t number, const struct msr_row *row)
{
    set_bit(map, number, row->vtx & MSR_READ);
    set_bit(map, FOR_WRITES + number, row->vtx & MSR_WRITE);
}

void vmx_fill_msr_bitmaps(void)
{
    msr_fill_map(bitmap_first, PAGE_SIZE, 0, &msrs_of_first, set_access);
    msr_fill_map(bitmap_child, PAGE_SIZE, 0xFF, &msrs_of_child, set_access);
}

/* Only memory: VMX need not be on. The controls are written at the first switch_in. */
void vmx_vp_init(struct vp *vp)
{
    memset(vp->vendor, 0, sizeof(vp->vendor));
    *(uint32_t *)phys_ptr(vp->control_spa) = vmx_caps.revision;
    vp->launched = false;
}

/* What changes while the VP is not loaded is asked for again before its next run. */
void vmx_update_intercepts(struct vp *vp)
{
    struct vmx_vp *v = vmx_of(vp);
    if (!vp->loaded)
        return;
    if (vp->intercept_all_msrs)
        v->primary &= ~(uint32_t)PRIMARY_MSR_BITMAPS;
    else
        v->primary |= PRIMARY_MSR_BITMAPS;
    vmwrite(VMCS_EXCEPTION_BITMAP, vp_exceptions(vp));
    vmwrite(VMCS_PRIMARY_CONTROLS, v->primary);
}

void vmx_configure(struct vp *vp)
{
    struct vmx_vp *v = vmx_of(vp);
    uint32_t secondary = vmx_caps.controls[VMX_SECONDARY][vp->first];
    static const enum vmcs_field zero[] = {
        VMCS_PAGE_FAULT_MASK,      VMCS_PAGE_FAULT_MATCH,       VMCS_CR3_TARGET_COUNT,
        VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_LOAD_COUNT,    VMCS_ENTRY_MSR_LOAD_COUNT,
        VMCS_ENTRY_INTR_INFO,      VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_ACTIVITY,
        VMCS_GUEST_PENDING_DEBUG,  VMCS_EXCEPTION_BITMAP,       VMCS_GUEST_PDPTE0,
        VMCS_GUEST_PDPTE1,         VMCS_GUEST_PDPTE2,           VMCS_GUEST_PDPTE3,
        VMCS_HOST_FS_SELECTOR,     VMCS_HOST_GS_SELECTOR,       VMCS_HOST_FS_BASE,
        VMCS_HOST_SYSENTER_CS,     VMCS_HOST_SYSENTER_ESP,      VMCS_HOST_SYSENTER_EIP,
    };
    for (size_t i = 0; i < ARRAY_SIZE(zero); i++)
        vmwrite(zero[i], 0);

    v->primary = vmx_caps.controls[VMX_PRIMARY][vp->first];
    v->windows = WINDOWS_UNKNOWN;
    vmwrite(VMCS_PIN_CONTROLS, vmx_caps.controls[VMX_PIN][vp->first]);
    vmwrite(VMCS_SECONDARY_CONTROLS, secondary);
    vmwrite(VMCS_EXIT_CONTROLS, vmx_caps.controls[VMX_EXIT][vp->first]);
    vmwrite(VMCS_ENTRY_CONTROLS, vmx_caps.controls[VMX_ENTRY][vp->first]);
    vmwrite(VMCS_MSR_BITMAP, image_phys(vp->first ? bitmap_first : bitmap_child));
    vmwrite(VMCS_VMCS_LINK, ~0UL);
    vmwrite(VMCS_EPTP, vmx_eptp(vp));
    if (secondary & SECONDARY_VPID)
        vmwrite(VMCS_VPID, vp->slot + 1);
    if (secondary & SECONDARY_XSAVES)
        vmwrite(VMCS_XSS_EXIT_BITMAP, 0);
    vmwrite(VMCS_CR0_MASK, vmx_cr0_mask(vp));
    vmwrite(VMCS_CR4_MASK, vmx_cr4_mask(vp));
    vmx_set_timer(TIMER_TICKS);
    vmx_update_intercepts(vp);
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

    vmwrite(VMCS_HOST_CR0, read_cr0());
    vmwrite(VMCS_HOST_CR3, read_cr3());
    vmwrite(VMCS_HOST_CR4, read_cr4());
    vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmwrite(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
    vmwrite(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
    vmwrite(VMCS_HOST_DS_SELECTOR, SELECTOR_DATA);
    vmwrite(VMCS_HOST_ES_SELECTOR, SELECTOR_DATA);
    vmwrite(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
    vmwrite(VMCS_HOST_GS_BASE, (uintptr_t)cpu);
    vmwrite(VMCS_HOST_TR_BASE, (uintptr_t)cpu->tss);
    vmwrite(VMCS_HOST_GDTR_BASE, (uintptr_t)cpu->gdt);
    vmwrite(VMCS_HOST_IDTR_BASE, idt_pointer.base);
    vmwrite(VMCS_HOST_RIP, (uintptr_t)vmx_exit_point);
    vmx_of(vp)->host_cpu = vmx_cpu_here();
}
