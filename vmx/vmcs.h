/* SPDX-License-Identifier: MIT */
/* VT-x: the fields of the VMCS and the exit reasons, with their names (SDM appendices B and C). */
#ifndef VMX_VMCS_H
#define VMX_VMCS_H

#include "hv/model/vp.h"

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

#define VMCS_ENUMERATOR(name, encoding) VMCS_##name = (encoding),
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

#define VMX_EXIT_ENUMERATOR(name, number, words) VMX_EXIT_##name = (number),
enum vmx_exit { VMX_EXITS(VMX_EXIT_ENUMERATOR) VMX_EXIT_COUNT };

#endif
