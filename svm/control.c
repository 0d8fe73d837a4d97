/* SPDX-License-Identifier: MIT */
/* The control half of a VMCB: what a VP's guest may do without an exit. */
#include "svm/svm.h"

#include "hv/base/string.h"
#include "hv/model/msr.h"
#include "hv/model/partition.h"
#include "mm/boot_memory.h"

/* MSR permission map, APM 15.11: two bits side by side (read, write) for each MSR. */
#define MSRPM_SIZE 0x2000
#define IOPM_SIZE  0x3000 /* APM 15.10.1: 64 Ki ports and what a wide access at the end hits */

static uint8_t iopm_all[IOPM_SIZE] __attribute__((aligned(4096)));
static uint8_t msrpm_first[MSRPM_SIZE] __attribute__((aligned(4096)));
static uint8_t msrpm_child[MSRPM_SIZE] __attribute__((aligned(4096)));
static uint8_t msrpm_all[MSRPM_SIZE] __attribute__((aligned(4096)));

static void set_access(uint8_t *map, uint32_t number, const struct msr_row *row)
{
    unsigned shift = number % 4 * 2;
    map[number / 4] = (uint8_t)((map[number / 4] & ~(MSR_BOTH << shift)) | row->amdv << shift);
}

void svm_control_init(void)
{
    memset(iopm_all, 0xFF, sizeof(iopm_all));
    memset(msrpm_all, 0xFF, sizeof(msrpm_all));
    msr_fill_map(msrpm_first, MSRPM_SIZE, 0, &msrs_of_first, set_access);
    msr_fill_map(msrpm_child, MSRPM_SIZE, 0xFF, &msrs_of_child, set_access);
}

/* Instructions of SVM itself exist for nobody. An INIT never comes; should one, its line tells. */
#define INTERCEPT1_EVERYBODY                                                                       \
    (INTERCEPT1_NMI | INTERCEPT1_INIT | INTERCEPT1_CPUID | INTERCEPT1_INVD | INTERCEPT1_INVLPGA |  \
     INTERCEPT1_MSR | INTERCEPT1_SHUTDOWN)
#define INTERCEPT2_EVERYBODY                                                                       \
    (INTERCEPT2_VMRUN | INTERCEPT2_VMMCALL | INTERCEPT2_VMLOAD | INTERCEPT2_VMSAVE |               \
     INTERCEPT2_STGI | INTERCEPT2_CLGI | INTERCEPT2_SKINIT)
/* A child shares the processor with its parent and has no devices of its own. */
#define INTERCEPT1_CHILD (INTERCEPT1_INTR | INTERCEPT1_RDPMC | INTERCEPT1_HLT | INTERCEPT1_IO)
#define INTERCEPT2_CHILD                                                                           \
    (INTERCEPT2_WBINVD | INTERCEPT2_MONITOR | INTERCEPT2_MWAIT | INTERCEPT2_MWAIT_ARMED |          \
     INTERCEPT2_XSETBV | INTERCEPT2_RDPRU)
/*
 * A child that spins exits at every so many PAUSEs (APM 15.14.4), to see
 * whether an interrupt waits: an emulator has been seen that forgets to intercept
 * interrupts in an entry with IF clear, until the guest changes IF.
 */
#define PAUSE_COUNT 1000

void svm_update_intercepts(struct vp *vp)
{
    struct vmcb *vmcb = vmcb_of(vp);
    uint8_t armed = vp->armed;

    uint64_t first = INTERCEPT1_EVERYBODY, second = INTERCEPT2_EVERYBODY;
    uint64_t interrupts = vmcb->interrupt_control & V_TPR_MASK;
    uint32_t exceptions = vp_exceptions(vp);
    if (!vp->first) {
        interrupts |= V_INTR_MASKING;
        first |= INTERCEPT1_CHILD | (svm_features.pause_filter ? INTERCEPT1_PAUSE : 0);
        second |= INTERCEPT2_CHILD;
    }
    if (armed & ARMED_IRET)
        first |= INTERCEPT1_IRET;
    if (armed & ARMED_WINDOW) {
        first |= INTERCEPT1_VINTR;
        interrupts |= V_IRQ | V_INTR_PRIORITY | V_IGNORE_TPR;
    }
    if (armed & ARMED_STEP) {
        /* Nothing may push the RFLAGS that carry our TF. */
        first |= INTERCEPT1_INTR;
        exceptions = UINT32_MAX;
    }
    vmcb_set_intercept1(vmcb, (uint32_t)first);
    vmcb_set_intercept2(vmcb, (uint32_t)second);
    vmcb_set_exceptions(vmcb, exceptions);
    vmcb_set_interrupt_control(vmcb, interrupts);

    const uint8_t *msrpm = msrpm_child;
    if (vp->first)
        msrpm = msrpm_first;
    else if (vp->intercept_all_msrs)
        msrpm = msrpm_all;
    vmcb_set_msrpm(vmcb, image_phys(msrpm));
}

void svm_arm(struct vp *vp, uint8_t set, uint8_t clear)
{
    unsigned armed = (vp->armed & ~(unsigned)clear) | set;
    if (armed == vp->armed)
        return;
    vp->armed = (uint8_t)armed;
    svm_update_intercepts(vp);
}

void svm_vp_init(struct vp *vp)
{
    struct vmcb *vmcb = vmcb_of(vp);
    memset(svm_of(vp), 0, sizeof(struct svm_vp));
    vp->armed = 0;
    vmcb_set_iopm(vmcb, image_phys(iopm_all));
    vmcb_set_asid(vmcb, vp->slot + 1);
    vmcb_set_nested_control(vmcb, NESTED_PAGING);
    vmcb_set_nested_cr3(vmcb, vp->partition->space.root << PAGE_SHIFT);
    vmcb_set_pause_count(vmcb, PAUSE_COUNT);
    svm_update_intercepts(vp);
}
