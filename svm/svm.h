/* SPDX-License-Identifier: MIT */
/*
 * AMD-V: the virtual machine control block (APM volume 2, appendix B), its
 * enumerations, and what the files of this folder share.
 */
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include "hv/base/cpu.h"
#include "hv/base/phys.h"
#include "hv/model/vp.h"

struct vmcb_segment {
    uint16_t selector;
    uint16_t attributes; /* descriptor bits 55:52 and 47:40 packed into 12 */
    uint32_t limit;
    uint64_t base;
};

struct vmcb_save {
    struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved1[0x2B];
    uint8_t cpl;
    uint8_t reserved2[4];
    uint64_t efer;
    uint8_t reserved3[0x70];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved4[0x58];
    uint64_t rsp;
    uint64_t s_cet, ssp, isst_address;
    uint64_t rax;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t cr2;
    uint8_t reserved5[0x20];
    uint64_t pat, debugctl, branch_from, branch_to, exception_from, exception_to;
};

/*
 * Fields that the processor may keep from the last run (clean bits, APM
 * 15.15) are set through the vmcb_set_ functions below and in no other way.
 */
struct vmcb {
    uint16_t intercept_cr_read, intercept_cr_write;
    uint16_t intercept_dr_read, intercept_dr_write;
    uint32_t intercept_exceptions;
    uint32_t intercept1, intercept2, intercept3; /* INTERCEPT1_*, INTERCEPT2_* */
    uint8_t reserved1[0x24];
    uint16_t pause_threshold, pause_count;
    uint64_t iopm_spa, msrpm_spa;
    uint64_t tsc_offset;
    uint32_t asid;
    uint8_t tlb_control; /* enum tlb_control */
    uint8_t reserved2[3];
    uint64_t interrupt_control; /* V_TPR, V_IRQ and their like */
    uint64_t interrupt_shadow;  /* bit 0 */
    uint64_t exit_code, exit_info1, exit_info2;
    uint64_t exit_int_info;
    uint64_t nested_control; /* bit 0: nested paging on */
    uint64_t avic_bar, ghcb;
    uint64_t event_injection; /* as exit_int_info: EVENT_*, error code 63:32 (APM 15.20) */
    uint64_t nested_cr3;
    uint64_t lbr_control;
    uint32_t clean; /* enum vmcb_clean */
    uint32_t reserved3;
    uint64_t next_rip;
    uint8_t bytes_count;
    uint8_t bytes[15];
    uint8_t reserved4[0x320];
    struct vmcb_save save;
};

#define ASSERT_VMCB(member, at) _Static_assert(offsetof(struct vmcb, member) == (at), "VMCB layout")
ASSERT_VMCB(intercept_cr_read, 0x000);
ASSERT_VMCB(intercept_exceptions, 0x008);
ASSERT_VMCB(intercept1, 0x00C);
ASSERT_VMCB(intercept2, 0x010);
ASSERT_VMCB(pause_threshold, 0x03C);
ASSERT_VMCB(iopm_spa, 0x040);
ASSERT_VMCB(msrpm_spa, 0x048);
ASSERT_VMCB(tsc_offset, 0x050);
ASSERT_VMCB(asid, 0x058);
ASSERT_VMCB(tlb_control, 0x05C);
ASSERT_VMCB(interrupt_control, 0x060);
ASSERT_VMCB(interrupt_shadow, 0x068);
ASSERT_VMCB(exit_code, 0x070);
ASSERT_VMCB(exit_info1, 0x078);
ASSERT_VMCB(exit_info2, 0x080);
ASSERT_VMCB(exit_int_info, 0x088);
ASSERT_VMCB(nested_control, 0x090);
ASSERT_VMCB(event_injection, 0x0A8);
ASSERT_VMCB(nested_cr3, 0x0B0);
ASSERT_VMCB(lbr_control, 0x0B8);
ASSERT_VMCB(clean, 0x0C0);
ASSERT_VMCB(next_rip, 0x0C8);
ASSERT_VMCB(bytes_count, 0x0D0);
ASSERT_VMCB(save, 0x400);
ASSERT_VMCB(save.es, 0x400);
ASSERT_VMCB(save.gdtr, 0x460);
ASSERT_VMCB(save.ldtr, 0x470);
ASSERT_VMCB(save.idtr, 0x480);
ASSERT_VMCB(save.tr, 0x490);
ASSERT_VMCB(save.cpl, 0x4CB);
ASSERT_VMCB(save.efer, 0x4D0);
ASSERT_VMCB(save.cr4, 0x548);
ASSERT_VMCB(save.cr3, 0x550);
ASSERT_VMCB(save.cr0, 0x558);
ASSERT_VMCB(save.dr7, 0x560);
ASSERT_VMCB(save.dr6, 0x568);
ASSERT_VMCB(save.rflags, 0x570);
ASSERT_VMCB(save.rip, 0x578);
ASSERT_VMCB(save.rsp, 0x5D8);
ASSERT_VMCB(save.rax, 0x5F8);
ASSERT_VMCB(save.star, 0x600);
ASSERT_VMCB(save.kernel_gs_base, 0x620);
ASSERT_VMCB(save.sysenter_cs, 0x628);
ASSERT_VMCB(save.sysenter_eip, 0x638);
ASSERT_VMCB(save.cr2, 0x640);
ASSERT_VMCB(save.pat, 0x668);
ASSERT_VMCB(save.debugctl, 0x670);
ASSERT_VMCB(save.exception_to, 0x690);
_Static_assert(sizeof(struct vmcb_segment) == 16, "VMCB layout");
_Static_assert(sizeof(struct vmcb) <= PAGE_SIZE, "a VMCB is one page");

#define INTERCEPT1_INTR     BIT(0)
#define INTERCEPT1_NMI      BIT(1)
#define INTERCEPT1_INIT     BIT(3)
#define INTERCEPT1_VINTR    BIT(4)
#define INTERCEPT1_RDPMC    BIT(15)
#define INTERCEPT1_CPUID    BIT(18)
#define INTERCEPT1_IRET     BIT(20)
#define INTERCEPT1_INVD     BIT(22)
#define INTERCEPT1_PAUSE    BIT(23)
#define INTERCEPT1_HLT      BIT(24)
#define INTERCEPT1_INVLPGA  BIT(26)
#define INTERCEPT1_IO       BIT(27)
#define INTERCEPT1_MSR      BIT(28)
#define INTERCEPT1_SHUTDOWN BIT(31)

#define INTERCEPT2_VMRUN       BIT(0)
#define INTERCEPT2_VMMCALL     BIT(1)
#define INTERCEPT2_VMLOAD      BIT(2)
#define INTERCEPT2_VMSAVE      BIT(3)
#define INTERCEPT2_STGI        BIT(4)
#define INTERCEPT2_CLGI        BIT(5)
#define INTERCEPT2_SKINIT      BIT(6)
#define INTERCEPT2_WBINVD      BIT(9)
#define INTERCEPT2_MONITOR     BIT(10)
#define INTERCEPT2_MWAIT       BIT(11)
#define INTERCEPT2_MWAIT_ARMED BIT(12)
#define INTERCEPT2_XSETBV      BIT(13)
#define INTERCEPT2_RDPRU       BIT(14)

enum tlb_control { TLB_KEEP = 0, TLB_FLUSH_ALL = 1, TLB_FLUSH_ASID = 3 };

/* interrupt_control */
#define V_TPR_MASK      0xFFUL
#define V_IRQ           BIT(8)
#define V_INTR_PRIORITY (0xFUL << 16)
#define V_IGNORE_TPR    BIT(20)
#define V_INTR_MASKING  BIT(24)

#define SHADOW_ACTIVE BIT(0)
#define NESTED_PAGING BIT(0)

enum vmcb_clean {
    CLEAN_INTERCEPTS = 1 << 0, /* intercepts, TSC offset, pause filter */
    CLEAN_MAPS = 1 << 1,       /* I/O and MSR permission maps */
    CLEAN_ASID = 1 << 2,
    CLEAN_INTERRUPT = 1 << 3, /* V_TPR and its like */
    CLEAN_NESTED = 1 << 4,    /* nested CR3, guest PAT */
    CLEAN_CR = 1 << 5,        /* CR0, CR3, CR4, EFER */
    CLEAN_DR = 1 << 6,
    CLEAN_TABLES = 1 << 7,   /* GDTR, IDTR */
    CLEAN_SEGMENTS = 1 << 8, /* CS, DS, SS, ES, CPL */
    CLEAN_CR2 = 1 << 9,
    CLEAN_ALL = 0x7FF,
};

#define VMCB_SETTER(name, member, bit)                                                             \
    static inline void vmcb_set_##name(struct vmcb *vmcb,                                          \
                                       __typeof__(((struct vmcb *)0)->member) value)               \
    {                                                                                              \
        vmcb->member = value;                                                                      \
        vmcb->clean &= ~(uint32_t)(bit);                                                           \
    }
VMCB_SETTER(exceptions, intercept_exceptions, CLEAN_INTERCEPTS)
VMCB_SETTER(intercept1, intercept1, CLEAN_INTERCEPTS)
VMCB_SETTER(intercept2, intercept2, CLEAN_INTERCEPTS)
VMCB_SETTER(pause_count, pause_count, CLEAN_INTERCEPTS)
VMCB_SETTER(tsc_offset, tsc_offset, CLEAN_INTERCEPTS)
VMCB_SETTER(iopm, iopm_spa, CLEAN_MAPS)
VMCB_SETTER(msrpm, msrpm_spa, CLEAN_MAPS)
VMCB_SETTER(asid, asid, CLEAN_ASID)
VMCB_SETTER(interrupt_control, interrupt_control, CLEAN_INTERRUPT)
VMCB_SETTER(nested_control, nested_control, CLEAN_NESTED)
VMCB_SETTER(nested_cr3, nested_cr3, CLEAN_NESTED)
VMCB_SETTER(pat, save.pat, CLEAN_NESTED)
VMCB_SETTER(cr0, save.cr0, CLEAN_CR)
VMCB_SETTER(cr3, save.cr3, CLEAN_CR)
VMCB_SETTER(cr4, save.cr4, CLEAN_CR)
VMCB_SETTER(efer, save.efer, CLEAN_CR)
VMCB_SETTER(dr6, save.dr6, CLEAN_DR)
VMCB_SETTER(dr7, save.dr7, CLEAN_DR)
VMCB_SETTER(gdtr, save.gdtr, CLEAN_TABLES)
VMCB_SETTER(idtr, save.idtr, CLEAN_TABLES)
VMCB_SETTER(cpl, save.cpl, CLEAN_SEGMENTS)
VMCB_SETTER(cr2, save.cr2, CLEAN_CR2)

/* Exit codes, APM appendix C. */
enum svm_exit {
    SVM_EXIT_CR_WRITE = 0x10,
    SVM_EXIT_DR_READ = 0x20,
    SVM_EXIT_DR_WRITE = 0x30,
    SVM_EXIT_EXCEPTION = 0x40, /* + vector */
    SVM_EXIT_EXCEPTION_LAST = 0x5F,
    SVM_EXIT_INTR = 0x60,
    SVM_EXIT_NMI = 0x61,
    SVM_EXIT_INIT = 0x63,
    SVM_EXIT_VINTR = 0x64,
    SVM_EXIT_RDPMC = 0x6F,
    SVM_EXIT_CPUID = 0x72,
    SVM_EXIT_IRET = 0x74,
    SVM_EXIT_INVD = 0x76,
    SVM_EXIT_PAUSE = 0x77,
    SVM_EXIT_HLT = 0x78,
    SVM_EXIT_INVLPGA = 0x7A,
    SVM_EXIT_IO = 0x7B,
    SVM_EXIT_MSR = 0x7C,
    SVM_EXIT_SHUTDOWN = 0x7F,
    SVM_EXIT_VMRUN = 0x80,
    SVM_EXIT_VMMCALL = 0x81,
    SVM_EXIT_VMLOAD = 0x82,
    SVM_EXIT_VMSAVE = 0x83,
    SVM_EXIT_STGI = 0x84,
    SVM_EXIT_CLGI = 0x85,
    SVM_EXIT_SKINIT = 0x86,
    SVM_EXIT_WBINVD = 0x89,
    SVM_EXIT_MONITOR = 0x8A,
    SVM_EXIT_MWAIT = 0x8B,
    SVM_EXIT_MWAIT_ARMED = 0x8C,
    SVM_EXIT_XSETBV = 0x8D,
    SVM_EXIT_RDPRU = 0x8E,
    SVM_EXIT_NPF = 0x400,
};
/* The exit code is 64 bits of ones, but software emulation writes 32: only the low half counts. */
#define SVM_EXIT_INVALID 0xFFFFFFFFu

/* What CPUID 0x8000000A EDX says. */
enum {
    SVM_CPUID_NESTED_PAGING = 1 << 0,
    SVM_CPUID_LOCK = 1 << 2,
    SVM_CPUID_NEXT_RIP = 1 << 3,
    SVM_CPUID_FLUSH_BY_ASID = 1 << 6,
    SVM_CPUID_DECODE_ASSISTS = 1 << 7,
    SVM_CPUID_PAUSE_FILTER = 1 << 10,
};

/* Found by check() of svm/svm.c. */
struct svm_features {
    bool next_rip, decode_assists, pause_filter, tsc_aux;
    uint8_t flush_command; /* enum tlb_control: the narrowest flush that the processor has */
    uint64_t host_cr3;     /* every processor has the same */
};
extern struct svm_features svm_features;

/* Conditions that are armed in the VMCB until something happens; bits of vp->armed. */
enum svm_armed {
    ARMED_IRET = 1 << 0,        /* exits at IRET */
    ARMED_WINDOW = 1 << 1,      /* exits when an interrupt could be taken */
    ARMED_STEP_IRET = 1 << 2,   /* single-stepping over the IRET that ends an NMI */
    ARMED_STEP_SHADOW = 1 << 3, /* single-stepping out of an interrupt shadow */
    ARMED_LOADED = 1 << 4,      /* nothing: svm_load was the last to write the save area */
    ARMED_IMPOSSIBLE = 1 << 5,  /* what svm_load wrote is not to be entered */
    ARMED_STEP = ARMED_STEP_IRET | ARMED_STEP_SHADOW,
};

/* struct vp's `vendor` words. */
struct svm_vp {
    bool step_tf;          /* the guest's own RFLAGS.TF under a single step */
    struct event injected; /* by the entry that is under way */
    uint64_t injected_rip; /* rip before a software event moved it */
    uint64_t step_dr6;     /* DR6 and rip before a single step */
    uint64_t step_rip;
};
_Static_assert(sizeof(struct svm_vp) <= sizeof(((struct vp *)0)->vendor), "fits struct vp");

static inline struct svm_vp *svm_of(struct vp *vp)
{
    return (struct svm_vp *)(void *)vp->vendor;
}

static inline struct vmcb *vmcb_of(const struct vp *vp)
{
    return phys_ptr(vp->control_spa);
}

/*
 * entry.asm: enters the guest with entering->state.gpr (RAX and RSP: the VMCB, at spa). At
 * the next exit the guest's are in the same place, and it ends as a call of
 * svm_exited; when cpu->kicked was set, nothing happened, of svm_not_entered.
 * So nothing need be kept for afterwards, which counts: see svm_run.
 */
void svm_world_switch(struct vp *entering, struct exit *exit, spa_t spa);
void svm_exited(struct vp *vp, struct exit *exit);
void svm_not_entered(struct vp *vp, struct exit *exit);

/* control.c: builds the permission maps; boot, once, before any VP runs. */
void svm_control_init(void);
void svm_vp_init(struct vp *vp);
void svm_update_intercepts(struct vp *vp);
/* Changes vp->armed and puts it into force. */
void svm_arm(struct vp *vp, uint8_t set, uint8_t clear);

/* state.c */
void svm_switch_in(struct vp *vp);
void svm_switch_out(struct vp *vp);
void svm_save_shown(struct vp *vp);
void svm_save_rest(struct vp *vp);
void svm_load(struct vp *vp);
bool svm_in_kernel64(struct vp *vp);
uint64_t svm_guest_cr4(struct vp *vp);

/* run.c */
void svm_run(struct vp *vp, struct exit *exit);

/* event.c: all that is rare about an entry. Called with the hot registers already in the VMCB. */
/* False when there is nothing to enter for: a window is open, or the state or event is impossible;
   exit->kind says which. */
bool svm_before_entry(struct vp *vp, struct exit *exit);
/* The entry did not take place after all (kicked). */
void svm_entry_cancelled(struct vp *vp);
/* After svm_before_entry, or when an event's delivery was interrupted. True when that was all
   there is to do about the exit. */
bool svm_after_exit(struct vp *vp);
/* IRET was intercepted. */
void svm_iret_reached(struct vp *vp);

/* dump.c */
void svm_dump(struct vp *vp);
const char *svm_exit_name(uint32_t reason);

/* consistency.c: prints, with say_error, each rule of APM 15.5.1 that the VP or its VMCB breaks. */
void svm_explain_refusal(struct vp *vp);
/* Fills entry_limits. Boot. */
void svm_find_limits(void);

#endif
