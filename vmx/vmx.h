/* SPDX-License-Identifier: MIT */
/*
 * VT-x: numbers and structures of the SDM, volume 3 chapters 25 to 31 and
 * appendices A to C, and what the files of this folder share.
 */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "hv/base/cpu.h"
#include "hv/model/msr.h"
#include "vmx/vmcs.h"

/* Capability MSRs, SDM appendix A. */
enum vmx_msr {
    MSR_VMX_BASIC = MSR_VMX_FIRST,
    MSR_VMX_MISC = 0x485,
    MSR_VMX_CR0_FIXED0 = 0x486,
    MSR_VMX_CR0_FIXED1 = 0x487,
    MSR_VMX_CR4_FIXED0 = 0x488,
    MSR_VMX_CR4_FIXED1 = 0x489,
    MSR_VMX_PROCBASED2 = 0x48B,
    MSR_VMX_EPT_VPID_CAP = 0x48C,
    MSR_VMX_TRUE_PINBASED = 0x48D,
    MSR_VMX_TRUE_PROCBASED = 0x48E,
    MSR_VMX_TRUE_EXIT = 0x48F,
    MSR_VMX_TRUE_ENTRY = 0x490,
};

#define VMX_BASIC_REVISION_MASK 0x7FFFFFFFUL
#define VMX_BASIC_TRUE_CONTROLS BIT(55)
#define VMX_MISC_TIMER_RATE     0x1FUL

enum { /* IA32_VMX_EPT_VPID_CAP, SDM A.10 */
       EPT_CAP_EXECUTE_ONLY = 1 << 0,
       EPT_CAP_4_LEVELS = 1 << 6,
       EPT_CAP_WRITE_BACK = 1 << 14,
       EPT_CAP_2M = 1 << 16,
       EPT_CAP_1G = 1 << 17,
       EPT_CAP_INVEPT = 1 << 20,
       EPT_CAP_ACCESSED_DIRTY = 1 << 21,
       EPT_CAP_INVEPT_SINGLE = 1 << 25,
       EPT_CAP_INVEPT_ALL = 1 << 26,
};
#define VPID_CAP_INVVPID        BIT(32)
#define VPID_CAP_INVVPID_SINGLE BIT(41)
#define VPID_CAP_INVVPID_ALL    BIT(42)

/* Controls, SDM 25.6 to 25.8. The words in the order in which their controls are asked for. */
enum vmx_word { VMX_PIN, VMX_PRIMARY, VMX_EXIT, VMX_ENTRY, VMX_SECONDARY, VMX_WORDS };
enum vmx_pin_controls {
    PIN_EXTERNAL_INTERRUPT = 1 << 0,
    PIN_NMI = 1 << 3,
    PIN_VIRTUAL_NMIS = 1 << 5,
    PIN_PREEMPTION_TIMER = 1 << 6,
};
enum vmx_primary_controls {
    PRIMARY_INTERRUPT_WINDOW = 1 << 2,
    PRIMARY_TSC_OFFSET = 1 << 3,
    PRIMARY_HLT = 1 << 7,
    PRIMARY_MWAIT = 1 << 10,
    PRIMARY_RDPMC = 1 << 11,
    PRIMARY_CR8_LOAD = 1 << 19,
    PRIMARY_CR8_STORE = 1 << 20,
    PRIMARY_NMI_WINDOW = 1 << 22,
    PRIMARY_IO = 1 << 24,
    PRIMARY_MSR_BITMAPS = 1 << 28,
    PRIMARY_MONITOR = 1 << 29,
};
#define PRIMARY_SECONDARY (1U << 31)
enum vmx_secondary_controls {
    SECONDARY_EPT = 1 << 1,
    SECONDARY_RDTSCP = 1 << 3,
    SECONDARY_VPID = 1 << 5,
    SECONDARY_WBINVD = 1 << 6,
    SECONDARY_UNRESTRICTED_GUEST = 1 << 7,
    SECONDARY_INVPCID = 1 << 12,
    SECONDARY_XSAVES = 1 << 20,
    SECONDARY_USER_WAIT = 1 << 26,
};
enum vmx_exit_controls {
    EXITC_SAVE_DEBUG = 1 << 2,
    EXITC_HOST_64 = 1 << 9,
    EXITC_SAVE_PAT = 1 << 18,
    EXITC_LOAD_PAT = 1 << 19,
    EXITC_SAVE_EFER = 1 << 20,
    EXITC_LOAD_EFER = 1 << 21,
};
enum vmx_entry_controls {
    ENTRYC_LOAD_DEBUG = 1 << 2,
    ENTRYC_IA32E_GUEST = 1 << 9,
    ENTRYC_LOAD_PAT = 1 << 14,
    ENTRYC_LOAD_EFER = 1 << 15,
};

enum vmx_interruptibility {
    BLOCKING_STI = 1 << 0,
    BLOCKING_MOV_SS = 1 << 1,
    BLOCKING_NMI = 1 << 3,
};
enum vmx_activity { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_SIPI };

#define INTR_NMI_UNBLOCKED  BIT(12) /* beside an event's EVENT_*, SDM 25.9.2 */
#define EPT_NMI_UNBLOCKED   BIT(12) /* in the qualification, SDM table 28-7 */
#define PENDING_DEBUG_BS    BIT(14)
#define DEBUGCTL_BTF        BIT(1)
#define SEGMENT_UNUSABLE    (1U << 16)
#define SEGMENT_AR_MASK     0xF0FFU
#define EPTP_WRITE_BACK     6UL
#define EPTP_4_LEVELS       (3UL << 3)
#define EPTP_ACCESSED_DIRTY BIT(6)

#define VMX_REASON_FAILED     (1U << 31) /* exit reason: the entry failed */
#define VMX_REASON_BASIC_MASK 0xFFFFU
/* Our own in exit->reason: VMLAUNCH or VMRESUME failed; the VM-instruction error is below. */
#define VMX_REASON_VMFAIL (1U << 30)

/* What check() found out; the same on every processor. */
struct vmx_capabilities {
    uint32_t revision;
    uint64_t ept_vpid;
    uint32_t controls[VMX_WORDS][2]; /* [0] of children, [1] of the first partition */
    uint32_t timer_rate;             /* the preemption timer counts once in 2^rate TSC ticks */
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    bool vpid, rdtscp;
};
extern struct vmx_capabilities vmx_caps;

/* What the last entry took for done, until it is known to have succeeded. */
enum vmx_attempt { ATTEMPT_LAUNCH = 1, ATTEMPT_EVENT = 2, ATTEMPT_HALTED = 4 };
/* No values of the two bools: the next entry is not a hot one; it is a plain VMLAUNCH. */
#define WINDOWS_UNKNOWN UINT16_MAX
#define WINDOWS_LAUNCH  (UINT16_MAX - 1)

/*
 * MSRs that are neither in the VMCS nor swapped by hv/model/fpu.c. All but the last
 * are written by WRMSR alone, which exits: vp->state has them exactly, always.
 */
#define SW_NAME(member, NAME, check) SW_##NAME,
enum switched { VP_MSRS_SYSCALL(SW_NAME) SW_TSC_AUX, VP_MSRS_GS(SW_NAME) SW_COUNT };
#define MSR_SET_UNKNOWN UINT64_MAX

/* cpu->vendor as this backend uses it. */
struct vmx_cpu {
    uint64_t msrs[SW_COUNT]; /* what the processor holds: two VPs often agree */
    uint64_t msr_set;        /* a number for all but the last of them, as in struct vmx_vp */
    bool left_by_interrupt;  /* the last child did, and the first partition has not run since */
};
_Static_assert(sizeof(struct vmx_cpu) <= sizeof(((struct cpu *)0)->vendor), "cpu->vendor");

static inline struct vmx_cpu *vmx_cpu_here(void)
{
    return (struct vmx_cpu *)this_cpu()->vendor;
}

/* vp->vendor as this backend uses it. */
struct vmx_vp {
    const struct vmx_cpu *host_cpu; /* whose host state the VMCS has */
    uint64_t last_rip; /* state.rip of the last exit or load: it differs when it was moved */
    uint64_t msr_set;  /* VPs with one number agree in the switched MSRs; 0: all of them are 0 */
    uint32_t primary;  /* PRIMARY_CONTROLS as the VMCS has them */
    uint16_t windows;  /* want_interrupt_window and want_nmi_window as `primary` has them */
    uint8_t attempt;   /* enum vmx_attempt */
    bool configured;   /* the controls have been written once */
    bool halted;       /* by HLT, when it left by an NMI: so is the activity state */
};
_Static_assert(sizeof(struct vmx_vp) <= sizeof(((struct vp *)0)->vendor), "vp->vendor");

static inline struct vmx_vp *vmx_of(struct vp *vp)
{
    return (struct vmx_vp *)vp->vendor;
}

static inline uint64_t vmread(enum vmcs_field field)
{
    uint64_t value;
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
    return value;
}

/* As vmread, straight to memory. */
static inline void vmread_to(enum vmcs_field field, uint64_t *to)
{
    __asm__ volatile("vmread %1, %0" : "=m"(*to) : "r"((uint64_t)field) : "cc");
}

static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
    __asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "rm"(value) : "cc");
}

/*
 * Bits of CR0 and CR4 that the guest sees through the read shadow. NE must be 1
 * in VMX operation and VMXE is ours. A child does not reach the processor's
 * caches, nor CR4 bits whose state nobody switches.
 */
#define CR4_SMXE      BIT(14)
#define CR4_CHILD_MAY 0x00771FFFUL /* VME to LA57, FSGSBASE to OSXSAVE, SMEP, SMAP, PKE */
static inline uint64_t vmx_cr0_mask(const struct vp *vp)
{
    return vp->first ? CR0_NE : CR0_NE | CR0_CD | CR0_NW;
}
static inline uint64_t vmx_cr4_mask(const struct vp *vp)
{
    return vp->first ? CR4_VMXE | CR4_SMXE : ~CR4_CHILD_MAY;
}

/* How long a child runs before it is looked whether an interrupt waits, in TSC ticks. */
#define TIMER_TICKS (1U << 20)

/* capabilities.c */
/* Says what this processor lacks, when it is not there. */
bool vmx_require(bool there, const char *what);
/* A word's capability MSR: bits that must be 1 below, bits that may be 1 above (SDM A.3 to A.5).
   Says each control that is needed and may not be 1; false when there is one. */
bool vmx_require_controls(enum vmx_word word, uint64_t capability);
/* The control word of a VP at its start: what its kind wants and may be 1, and what must be. */
uint32_t vmx_settle_controls(enum vmx_word word, uint64_t capability, bool first);

/* control.c */
void vmx_vp_init(struct vp *vp);
void vmx_update_intercepts(struct vp *vp);
/* Writes every control and what else is always the same, once; the VMCS is current. */
void vmx_configure(struct vp *vp);
/* The EPT pointer of the VP's space (SDM 25.6.11). */
uint64_t vmx_eptp(const struct vp *vp);
/* Writes the host state of this processor, as far as it is not 0; the VMCS is current. */
void vmx_write_host(struct vp *vp);
/* Fills the two MSR bitmaps; boot, before the first VP. May be called again. */
void vmx_fill_msr_bitmaps(void);

/* state.c */
void vmx_switch_in(struct vp *vp);
void vmx_switch_out(struct vp *vp);
void vmx_save_shown(struct vp *vp);
void vmx_save_rest(struct vp *vp);
void vmx_load(struct vp *vp);
/* Makes the pending single step agree with RFLAGS.TF where the entry checks it; true when it had
   to be changed. The VMCS is current. */
bool vmx_fix_pending_debug(uint64_t rflags);

bool vmx_in_kernel64(struct vp *vp);
uint64_t vmx_guest_cr4(struct vp *vp);
/* A guest's WRMSR of one of the switched MSRs; the VP is loaded. MSR_RETRY: it is none of them. */
enum msr_result vmx_write_switched_msr(struct vp *vp, uint32_t msr, uint64_t value);
/* Finds out what is in this processor. Boot. */
void vmx_read_switched_msrs(void);

/* event.c; the VP is loaded. */
void vmx_ask_for_windows(struct vp *vp);
void vmx_inject(struct vp *vp);
void vmx_take_back_event(struct vp *vp);
void vmx_block_nmis_again(struct vp *vp);
void vmx_nmi_exit(struct vp *vp, struct exit *exit);
void vmx_reinject(struct vp *vp, struct exit *exit);
void vmx_external_interrupt(struct exit *exit);
void vmx_timer_exit(struct exit *exit);
/* The current VMCS's guest exits by its timer after so many TSC ticks; 0: at once. */
void vmx_set_timer(uint32_t ticks);

/* run.c */
void vmx_run(struct vp *vp, struct exit *exit);

/* dump.c and consistency.c */
void vmx_dump(struct vp *vp);
const char *vmx_exit_name(uint32_t reason);
/* Prints each rule of SDM 27.3.1 that the VP, whose VMCS is current, breaks; returns how many. */
unsigned vmx_explain_guest_state(struct vp *vp);
/* Fills entry_limits from vmx_caps. Boot. */
void vmx_find_limits(void);

/* entry.asm: enters, and ends in one of the two of run.c. The VMCS is current. */
enum vmx_entered { VMX_ENTERED, VMX_KICKED, VMX_FAILED };
void vmx_launch(struct vp *vp, struct exit *exit);
void vmx_resume(struct vp *vp, struct exit *exit);
void vmx_exited(struct vp *vp, struct exit *exit);
void vmx_not_entered(struct vp *vp, struct exit *exit, unsigned how);
extern char vmx_exit_point[];

#endif
