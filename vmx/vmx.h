/*
 * VT-x: numbers and structures of the SDM, volume 3 chapters 25 to 31 and
 * appendices A to C, and what the files of this folder share.
 */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "hv/arch.h"
#include "hv/vp.h"

/* Capability MSRs, SDM appendix A. */
enum vmx_msr {
    MSR_VMX_BASIC = 0x480,
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
    MSR_VMX_LAST = 0x493,
};

#define VMX_BASIC_REVISION_MASK 0x7FFFFFFFUL
#define VMX_BASIC_TRUE_CONTROLS BIT(55)
#define VMX_MISC_TIMER_RATE     0x1FUL

enum { FEATURE_CONTROL_LOCKED = 1 << 0, FEATURE_CONTROL_VMX_OUTSIDE_SMX = 1 << 2 };

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

/* Controls, SDM 25.6 to 25.8. */
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
    BLOCKING_SMI = 1 << 2,
    BLOCKING_NMI = 1 << 3,
};
enum vmx_activity { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_SIPI };

enum { /* interruption information, SDM 25.8.3 and 25.9.2 */
       INTR_VECTOR_MASK = 0xFF,
       INTR_TYPE_SHIFT = 8,
       INTR_TYPE_MASK = 7,
       INTR_ERROR_CODE = 1 << 11,
       INTR_NMI_UNBLOCKED = 1 << 12,
};
#define INTR_VALID (1U << 31)

#define EPT_NMI_UNBLOCKED   BIT(12) /* in the qualification, SDM table 28-7 */
#define PENDING_DEBUG_BS    BIT(14)
#define DEBUGCTL_BTF        BIT(1)
#define SEGMENT_UNUSABLE    (1U << 16)
#define SEGMENT_PRESENT     (1U << 7)
#define SEGMENT_AR_MASK     0xF0FFU
#define EPTP_WRITE_BACK     6UL
#define EPTP_4_LEVELS       (3UL << 3)
#define EPTP_ACCESSED_DIRTY BIT(6)

#define VMX_REASON_FAILED     (1U << 31) /* exit reason: the entry failed */
#define VMX_REASON_BASIC_MASK 0xFFFFU
/* Our own in exit->reason: VMLAUNCH or VMRESUME itself failed; the VM-instruction error below it. */
#define VMX_REASON_VMFAIL (1U << 30)

/* Fields of the VMCS, SDM appendix B: X(name, encoding). */
#define VMCS_FIELDS(X)                                                                             \
    X(VPID, 0x0000)                                                                                \
    X(POSTED_INTERRUPT_VECTOR, 0x0002)                                                             \
    X(EPTP_INDEX, 0x0004)                                                                          \
    X(GUEST_ES_SELECTOR, 0x0800)                                                                   \
    X(GUEST_CS_SELECTOR, 0x0802)                                                                   \
    X(GUEST_SS_SELECTOR, 0x0804)                                                                   \
    X(GUEST_DS_SELECTOR, 0x0806)                                                                   \
    X(GUEST_FS_SELECTOR, 0x0808)                                                                   \
    X(GUEST_GS_SELECTOR, 0x080A)                                                                   \
    X(GUEST_LDTR_SELECTOR, 0x080C)                                                                 \
    X(GUEST_TR_SELECTOR, 0x080E)                                                                   \
    X(GUEST_INTERRUPT_STATUS, 0x0810)                                                              \
    X(PML_INDEX, 0x0812)                                                                           \
    X(HOST_ES_SELECTOR, 0x0C00)                                                                    \
    X(HOST_CS_SELECTOR, 0x0C02)                                                                    \
    X(HOST_SS_SELECTOR, 0x0C04)                                                                    \
    X(HOST_DS_SELECTOR, 0x0C06)                                                                    \
    X(HOST_FS_SELECTOR, 0x0C08)                                                                    \
    X(HOST_GS_SELECTOR, 0x0C0A)                                                                    \
    X(HOST_TR_SELECTOR, 0x0C0C)                                                                    \
    X(IO_BITMAP_A, 0x2000)                                                                         \
    X(IO_BITMAP_B, 0x2002)                                                                         \
    X(MSR_BITMAP, 0x2004)                                                                          \
    X(EXIT_MSR_STORE, 0x2006)                                                                      \
    X(EXIT_MSR_LOAD, 0x2008)                                                                       \
    X(ENTRY_MSR_LOAD, 0x200A)                                                                      \
    X(EXECUTIVE_VMCS, 0x200C)                                                                      \
    X(PML_ADDRESS, 0x200E)                                                                         \
    X(TSC_OFFSET, 0x2010)                                                                          \
    X(VIRTUAL_APIC, 0x2012)                                                                        \
    X(APIC_ACCESS, 0x2014)                                                                         \
    X(POSTED_INTERRUPT_DESCRIPTOR, 0x2016)                                                         \
    X(VM_FUNCTIONS, 0x2018)                                                                        \
    X(EPTP, 0x201A)                                                                                \
    X(EOI_EXIT_BITMAP_0, 0x201C)                                                                   \
    X(EOI_EXIT_BITMAP_1, 0x201E)                                                                   \
    X(EOI_EXIT_BITMAP_2, 0x2020)                                                                   \
    X(EOI_EXIT_BITMAP_3, 0x2022)                                                                   \
    X(EPTP_LIST, 0x2024)                                                                           \
    X(VMREAD_BITMAP, 0x2026)                                                                       \
    X(VMWRITE_BITMAP, 0x2028)                                                                      \
    X(VIRTUALIZATION_EXCEPTION_INFO, 0x202A)                                                       \
    X(XSS_EXIT_BITMAP, 0x202C)                                                                     \
    X(ENCLS_EXIT_BITMAP, 0x202E)                                                                   \
    X(SUB_PAGE_TABLE, 0x2030)                                                                      \
    X(TSC_MULTIPLIER, 0x2032)                                                                      \
    X(GUEST_PHYSICAL_ADDRESS, 0x2400)                                                              \
    X(VMCS_LINK, 0x2800)                                                                           \
    X(GUEST_DEBUGCTL, 0x2802)                                                                      \
    X(GUEST_PAT, 0x2804)                                                                           \
    X(GUEST_EFER, 0x2806)                                                                          \
    X(GUEST_PERF_GLOBAL_CTRL, 0x2808)                                                              \
    X(GUEST_PDPTE0, 0x280A)                                                                        \
    X(GUEST_PDPTE1, 0x280C)                                                                        \
    X(GUEST_PDPTE2, 0x280E)                                                                        \
    X(GUEST_PDPTE3, 0x2810)                                                                        \
    X(GUEST_BNDCFGS, 0x2812)                                                                       \
    X(GUEST_RTIT_CTL, 0x2814)                                                                      \
    X(HOST_PAT, 0x2C00)                                                                            \
    X(HOST_EFER, 0x2C02)                                                                           \
    X(HOST_PERF_GLOBAL_CTRL, 0x2C04)                                                               \
    X(PIN_CONTROLS, 0x4000)                                                                        \
    X(PRIMARY_CONTROLS, 0x4002)                                                                    \
    X(EXCEPTION_BITMAP, 0x4004)                                                                    \
    X(PAGE_FAULT_MASK, 0x4006)                                                                     \
    X(PAGE_FAULT_MATCH, 0x4008)                                                                    \
    X(CR3_TARGET_COUNT, 0x400A)                                                                    \
    X(EXIT_CONTROLS, 0x400C)                                                                       \
    X(EXIT_MSR_STORE_COUNT, 0x400E)                                                                \
    X(EXIT_MSR_LOAD_COUNT, 0x4010)                                                                 \
    X(ENTRY_CONTROLS, 0x4012)                                                                      \
    X(ENTRY_MSR_LOAD_COUNT, 0x4014)                                                                \
    X(ENTRY_INTR_INFO, 0x4016)                                                                     \
    X(ENTRY_INTR_ERROR, 0x4018)                                                                    \
    X(ENTRY_INSN_LENGTH, 0x401A)                                                                   \
    X(TPR_THRESHOLD, 0x401C)                                                                       \
    X(SECONDARY_CONTROLS, 0x401E)                                                                  \
    X(PLE_GAP, 0x4020)                                                                             \
    X(PLE_WINDOW, 0x4022)                                                                          \
    X(INSTRUCTION_ERROR, 0x4400)                                                                   \
    X(EXIT_REASON, 0x4402)                                                                         \
    X(EXIT_INTR_INFO, 0x4404)                                                                      \
    X(EXIT_INTR_ERROR, 0x4406)                                                                     \
    X(IDT_VECTORING_INFO, 0x4408)                                                                  \
    X(IDT_VECTORING_ERROR, 0x440A)                                                                 \
    X(EXIT_INSN_LENGTH, 0x440C)                                                                    \
    X(EXIT_INSN_INFO, 0x440E)                                                                      \
    X(GUEST_ES_LIMIT, 0x4800)                                                                      \
    X(GUEST_CS_LIMIT, 0x4802)                                                                      \
    X(GUEST_SS_LIMIT, 0x4804)                                                                      \
    X(GUEST_DS_LIMIT, 0x4806)                                                                      \
    X(GUEST_FS_LIMIT, 0x4808)                                                                      \
    X(GUEST_GS_LIMIT, 0x480A)                                                                      \
    X(GUEST_LDTR_LIMIT, 0x480C)                                                                    \
    X(GUEST_TR_LIMIT, 0x480E)                                                                      \
    X(GUEST_GDTR_LIMIT, 0x4810)                                                                    \
    X(GUEST_IDTR_LIMIT, 0x4812)                                                                    \
    X(GUEST_ES_AR, 0x4814)                                                                         \
    X(GUEST_CS_AR, 0x4816)                                                                         \
    X(GUEST_SS_AR, 0x4818)                                                                         \
    X(GUEST_DS_AR, 0x481A)                                                                         \
    X(GUEST_FS_AR, 0x481C)                                                                         \
    X(GUEST_GS_AR, 0x481E)                                                                         \
    X(GUEST_LDTR_AR, 0x4820)                                                                       \
    X(GUEST_TR_AR, 0x4822)                                                                         \
    X(GUEST_INTERRUPTIBILITY, 0x4824)                                                              \
    X(GUEST_ACTIVITY, 0x4826)                                                                      \
    X(GUEST_SMBASE, 0x4828)                                                                        \
    X(GUEST_SYSENTER_CS, 0x482A)                                                                   \
    X(PREEMPTION_TIMER, 0x482E)                                                                    \
    X(HOST_SYSENTER_CS, 0x4C00)                                                                    \
    X(CR0_MASK, 0x6000)                                                                            \
    X(CR4_MASK, 0x6002)                                                                            \
    X(CR0_SHADOW, 0x6004)                                                                          \
    X(CR4_SHADOW, 0x6006)                                                                          \
    X(QUALIFICATION, 0x6400)                                                                       \
    X(IO_RCX, 0x6402)                                                                              \
    X(IO_RSI, 0x6404)                                                                              \
    X(IO_RDI, 0x6406)                                                                              \
    X(IO_RIP, 0x6408)                                                                              \
    X(GUEST_LINEAR_ADDRESS, 0x640A)                                                                \
    X(GUEST_CR0, 0x6800)                                                                           \
    X(GUEST_CR3, 0x6802)                                                                           \
    X(GUEST_CR4, 0x6804)                                                                           \
    X(GUEST_ES_BASE, 0x6806)                                                                       \
    X(GUEST_CS_BASE, 0x6808)                                                                       \
    X(GUEST_SS_BASE, 0x680A)                                                                       \
    X(GUEST_DS_BASE, 0x680C)                                                                       \
    X(GUEST_FS_BASE, 0x680E)                                                                       \
    X(GUEST_GS_BASE, 0x6810)                                                                       \
    X(GUEST_LDTR_BASE, 0x6812)                                                                     \
    X(GUEST_TR_BASE, 0x6814)                                                                       \
    X(GUEST_GDTR_BASE, 0x6816)                                                                     \
    X(GUEST_IDTR_BASE, 0x6818)                                                                     \
    X(GUEST_DR7, 0x681A)                                                                           \
    X(GUEST_RSP, 0x681C)                                                                           \
    X(GUEST_RIP, 0x681E)                                                                           \
    X(GUEST_RFLAGS, 0x6820)                                                                        \
    X(GUEST_PENDING_DEBUG, 0x6822)                                                                 \
    X(GUEST_SYSENTER_ESP, 0x6824)                                                                  \
    X(GUEST_SYSENTER_EIP, 0x6826)                                                                  \
    X(HOST_CR0, 0x6C00)                                                                            \
    X(HOST_CR3, 0x6C02)                                                                            \
    X(HOST_CR4, 0x6C04)                                                                            \
    X(HOST_FS_BASE, 0x6C06)                                                                        \
    X(HOST_GS_BASE, 0x6C08)                                                                        \
    X(HOST_TR_BASE, 0x6C0A)                                                                        \
    X(HOST_GDTR_BASE, 0x6C0C)                                                                      \
    X(HOST_IDTR_BASE, 0x6C0E)                                                                      \
    X(HOST_SYSENTER_ESP, 0x6C10)                                                                   \
    X(HOST_SYSENTER_EIP, 0x6C12)                                                                   \
    X(HOST_RSP, 0x6C14)                                                                            \
    X(HOST_RIP, 0x6C16)

#define VMCS_ENUMERATOR(name, encoding) VMCS_##name = encoding,
enum vmcs_field { VMCS_FIELDS(VMCS_ENUMERATOR) };
/* Segment fields lie two apart, in the order of enum segment_index. */
_Static_assert(VMCS_GUEST_TR_SELECTOR == VMCS_GUEST_ES_SELECTOR + 2 * SEG_TR, "segment order");
_Static_assert(VMCS_GUEST_TR_LIMIT == VMCS_GUEST_ES_LIMIT + 2 * SEG_TR, "segment order");
_Static_assert(VMCS_GUEST_TR_AR == VMCS_GUEST_ES_AR + 2 * SEG_TR, "segment order");
_Static_assert(VMCS_GUEST_TR_BASE == VMCS_GUEST_ES_BASE + 2 * SEG_TR, "segment order");

/* Basic exit reasons, SDM appendix C: X(name, number, words). */
#define VMX_EXITS(X)                                                                               \
    X(EXCEPTION_OR_NMI, 0, "exception or NMI")                                                     \
    X(EXTERNAL_INTERRUPT, 1, "external interrupt")                                                 \
    X(TRIPLE_FAULT, 2, "triple fault")                                                             \
    X(INIT, 3, "INIT signal")                                                                      \
    X(SIPI, 4, "start-up IPI")                                                                     \
    X(IO_SMI, 5, "I/O SMI")                                                                        \
    X(OTHER_SMI, 6, "other SMI")                                                                   \
    X(INTERRUPT_WINDOW, 7, "interrupt window")                                                     \
    X(NMI_WINDOW, 8, "NMI window")                                                                 \
    X(TASK_SWITCH, 9, "task switch")                                                               \
    X(CPUID, 10, "CPUID")                                                                          \
    X(GETSEC, 11, "GETSEC")                                                                        \
    X(HLT, 12, "HLT")                                                                              \
    X(INVD, 13, "INVD")                                                                            \
    X(INVLPG, 14, "INVLPG")                                                                        \
    X(RDPMC, 15, "RDPMC")                                                                          \
    X(RDTSC, 16, "RDTSC")                                                                          \
    X(RSM, 17, "RSM")                                                                              \
    X(VMCALL, 18, "VMCALL")                                                                        \
    X(VMCLEAR, 19, "VMCLEAR")                                                                      \
    X(VMLAUNCH, 20, "VMLAUNCH")                                                                    \
    X(VMPTRLD, 21, "VMPTRLD")                                                                      \
    X(VMPTRST, 22, "VMPTRST")                                                                      \
    X(VMREAD, 23, "VMREAD")                                                                        \
    X(VMRESUME, 24, "VMRESUME")                                                                    \
    X(VMWRITE, 25, "VMWRITE")                                                                      \
    X(VMXOFF, 26, "VMXOFF")                                                                        \
    X(VMXON, 27, "VMXON")                                                                          \
    X(CR_ACCESS, 28, "control register access")                                                    \
    X(MOV_DR, 29, "debug register access")                                                         \
    X(IO, 30, "I/O instruction")                                                                   \
    X(RDMSR, 31, "RDMSR")                                                                          \
    X(WRMSR, 32, "WRMSR")                                                                          \
    X(ENTRY_GUEST_STATE, 33, "entry failed: invalid guest state")                                  \
    X(ENTRY_MSR_LOADING, 34, "entry failed: MSR loading")                                          \
    X(MWAIT, 36, "MWAIT")                                                                          \
    X(MONITOR_TRAP, 37, "monitor trap flag")                                                       \
    X(MONITOR, 39, "MONITOR")                                                                      \
    X(PAUSE, 40, "PAUSE")                                                                          \
    X(ENTRY_MACHINE_CHECK, 41, "entry failed: machine check")                                      \
    X(TPR_BELOW_THRESHOLD, 43, "TPR below threshold")                                              \
    X(APIC_ACCESS, 44, "APIC access")                                                              \
    X(VIRTUALIZED_EOI, 45, "virtualized EOI")                                                      \
    X(GDTR_IDTR, 46, "access to GDTR or IDTR")                                                     \
    X(LDTR_TR, 47, "access to LDTR or TR")                                                         \
    X(EPT_VIOLATION, 48, "EPT violation")                                                          \
    X(EPT_MISCONFIGURATION, 49, "EPT misconfiguration")                                            \
    X(INVEPT, 50, "INVEPT")                                                                        \
    X(RDTSCP, 51, "RDTSCP")                                                                        \
    X(PREEMPTION_TIMER, 52, "preemption timer")                                                    \
    X(INVVPID, 53, "INVVPID")                                                                      \
    X(WBINVD, 54, "WBINVD")                                                                        \
    X(XSETBV, 55, "XSETBV")                                                                        \
    X(APIC_WRITE, 56, "APIC write")                                                                \
    X(RDRAND, 57, "RDRAND")                                                                        \
    X(INVPCID, 58, "INVPCID")                                                                      \
    X(VMFUNC, 59, "VMFUNC")                                                                        \
    X(ENCLS, 60, "ENCLS")                                                                          \
    X(RDSEED, 61, "RDSEED")                                                                        \
    X(PML_FULL, 62, "page modification log full")                                                  \
    X(XSAVES, 63, "XSAVES")                                                                        \
    X(XRSTORS, 64, "XRSTORS")                                                                      \
    X(PCONFIG, 65, "PCONFIG")                                                                      \
    X(SPP, 66, "sub-page permission event")                                                        \
    X(UMWAIT, 67, "UMWAIT")                                                                        \
    X(TPAUSE, 68, "TPAUSE")                                                                        \
    X(LOADIWKEY, 69, "LOADIWKEY")                                                                  \
    X(ENCLV, 70, "ENCLV")                                                                          \
    X(ENQCMD_PASID, 72, "ENQCMD PASID translation")                                                \
    X(ENQCMDS_PASID, 73, "ENQCMDS PASID translation")                                              \
    X(BUS_LOCK, 74, "bus lock")                                                                    \
    X(INSTRUCTION_TIMEOUT, 75, "instruction timeout")                                              \
    X(SEAMCALL, 76, "SEAMCALL")                                                                    \
    X(TDCALL, 77, "TDCALL")

#define VMX_EXIT_ENUMERATOR(name, number, words) VMX_EXIT_##name = number,
enum vmx_exit { VMX_EXITS(VMX_EXIT_ENUMERATOR) VMX_EXIT_COUNT };

/* What check() found out; the same on every processor. */
struct vmx_capabilities {
    uint32_t revision;
    uint64_t ept_vpid;
    uint32_t pin[2], primary[2], secondary[2]; /* [0] children, [1] the first partition */
    uint32_t exit, entry;
    uint32_t timer_rate; /* the preemption timer counts once in 2^rate TSC ticks */
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    bool vpid, rdtscp;
};
extern struct vmx_capabilities vmx_caps;

/* What is known of a VP's HLT, until its next exit. */
enum vmx_halt {
    HALT_NOT,
    HALT_HALTED,  /* the activity state is HLT */
    HALT_REWOUND, /* RIP was put before a HLT that had been executed */
};

/* vp->vendor as this backend uses it. */
struct vmx_vp {
    uint64_t last_rip;   /* state.rip of the last exit or load: it differs when it was moved */
    uint32_t primary;    /* PRIMARY_CONTROLS as the VMCS has them */
    uint32_t exceptions; /* EXCEPTION_BITMAP as the VMCS has it */
    uint32_t host_cpu;   /* index + 1 of the processor whose host state the VMCS has */
    uint16_t windows;    /* want_interrupt_window and want_nmi_window as `primary` has them */
    bool configured;     /* the controls have been written once */
    uint8_t halt;        /* enum vmx_halt */
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

/* control.c */
void vmx_vp_init(struct vp *vp);
void vmx_update_intercepts(struct vp *vp);
/* Writes every control, once; the VMCS is current. */
void vmx_configure(struct vp *vp);
/* The EPT pointer of the VP's space (SDM 25.6.11). */
uint64_t vmx_eptp(const struct vp *vp);
/* Writes the host state of this processor; the VMCS is current. */
void vmx_write_host(struct vp *vp);
/* Fills the two MSR bitmaps; boot, before the first VP. May be called again. */
void vmx_fill_msr_bitmaps(void);

/* state.c */
void vmx_switch_in(struct vp *vp);
void vmx_switch_out(struct vp *vp);
void vmx_save(struct vp *vp);
void vmx_load(struct vp *vp);
struct vp_mode vmx_mode(struct vp *vp);
/* Makes the pending single step agree with RFLAGS.TF where the entry checks it; true when it had
   to be changed. The VMCS is current. */
bool vmx_fix_pending_debug(uint64_t rflags);

uint64_t vmx_guest_cr4(struct vp *vp);
bool vmx_is_switched_msr(uint32_t msr);
/* A guest's WRMSR of one of them; the VP is loaded. False: #GP. */
bool vmx_write_switched_msr(struct vp *vp, uint32_t msr, uint64_t value);
/* Finds out what is in this processor. Boot. */
void vmx_read_switched_msrs(void);

/* event.c; the VP is loaded. */
void vmx_ask_for_windows(struct vp *vp, uint16_t windows);
void vmx_inject(struct vp *vp);
void vmx_take_back_event(struct vp *vp);
void vmx_block_nmis_again(struct vp *vp);
void vmx_nmi_exit(struct vp *vp, struct exit *exit);
void vmx_reinject(struct vp *vp, struct exit *exit);
void vmx_external_interrupt(struct exit *exit);
void vmx_timer_exit(struct exit *exit);
/* When a VP is switched in. */
void vmx_set_timer(const struct vp *vp);

/* run.c */
void vmx_run(struct vp *vp, struct exit *exit);

/* dump.c and consistency.c */
void vmx_dump(struct vp *vp);
const char *vmx_exit_name(uint32_t reason);
const char *vmx_instruction_error(uint32_t number);
/* Prints each rule of SDM 27.3.1 that the current VMCS breaks; returns how many. */
unsigned vmx_explain_guest_state(void);

/* entry.asm: 0 after an exit, 1 not entered (kicked), 2 VMLAUNCH or VMRESUME failed. */
enum vmx_entered { VMX_ENTERED, VMX_KICKED, VMX_FAILED };
extern char vmx_exit_point[];

#endif
