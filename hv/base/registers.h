/* SPDX-License-Identifier: MIT */
/* The processor's numbers by name: registers, their bits, vectors, descriptors, page tables. */
#ifndef HV_BASE_REGISTERS_H
#define HV_BASE_REGISTERS_H

#include "hv/base/types.h"

/* MSR numbers, SDM volume 4 and APM volume 2 appendix A. */
enum msr {
    MSR_TSC = 0x10,
    MSR_APIC_BASE = 0x1B,
    MSR_FEATURE_CONTROL = 0x3A,
    MSR_BIOS_UPDT_TRIG = 0x79,
    MSR_BIOS_SIGN_ID = 0x8B,
    MSR_MTRRCAP = 0xFE,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MTRR_PHYSBASE0 = 0x200,
    MSR_MTRR_PHYS_LAST = 0x21F,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K = 0x258,
    MSR_MTRR_FIX4K = 0x268,
    MSR_MTRR_FIX_LAST = 0x26F,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2FF,
    MSR_PERF_CAPABILITIES = 0x345,
    MSR_VMX_FIRST = 0x480,
    MSR_VMX_LAST = 0x493,
    MSR_X2APIC_ICR = 0x830,
    MSR_EFER = 0xC0000080,
    MSR_STAR = 0xC0000081,
    MSR_LSTAR = 0xC0000082,
    MSR_CSTAR = 0xC0000083,
    MSR_SFMASK = 0xC0000084,
    MSR_FS_BASE = 0xC0000100,
    MSR_GS_BASE = 0xC0000101,
    MSR_KERNEL_GS_BASE = 0xC0000102,
    MSR_TSC_AUX = 0xC0000103,
    MSR_PATCH_LOADER = 0xC0010020,
    MSR_VM_CR = 0xC0010114,
    MSR_IGNNE = 0xC0010115,
    MSR_VM_HSAVE_PA = 0xC0010117,
    MSR_SVM_LAST = 0xC001011F, /* VM_CR and its neighbours belong to SVM and to firmware */
};

enum {
    CR0_PE = 1 << 0,
    CR0_MP = 1 << 1,
    CR0_EM = 1 << 2,
    CR0_TS = 1 << 3,
    CR0_ET = 1 << 4,
    CR0_NE = 1 << 5,
    CR0_WP = 1 << 16,
    CR0_AM = 1 << 18,
    CR0_NW = 1 << 29,
    CR0_CD = 1 << 30,
};
#define CR0_PG (1UL << 31)

enum {
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_PGE = 1 << 7,
    CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10,
    CR4_LA57 = 1 << 12,
    CR4_VMXE = 1 << 13,
    CR4_OSXSAVE = 1 << 18,
    CR4_SMEP = 1 << 20,
    CR4_SMAP = 1 << 21,
};

enum {
    EFER_SCE = 1 << 0,
    EFER_LME = 1 << 8,
    EFER_LMA = 1 << 10,
    EFER_NXE = 1 << 11,
    EFER_SVME = 1 << 12,
    EFER_FFXSR = 1 << 14,
};

enum {
    RFLAGS_CF = 1 << 0,
    RFLAGS_FIXED = 1 << 1,
    RFLAGS_TF = 1 << 8,
    RFLAGS_IF = 1 << 9,
    RFLAGS_RF = 1 << 16,
    RFLAGS_VM = 1 << 17,
};

enum {
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_UD = 6,
    VECTOR_DF = 8,
    VECTOR_TS = 10,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_AC = 17,
    VECTOR_MC = 18,
    VECTOR_CP = 21,
};

/* An event as a VMCS (SDM 25.8.3, 25.9.2) and a VMCB (APM 15.20) have it: vector 7:0, type 10:8. */
#define EVENT_TYPE_SHIFT 8
#define EVENT_HAS_ERROR  BIT(11)
#define EVENT_VALID      BIT(31)

#define LONGEST_INSTRUCTION 15 /* bytes, SDM 2.3.11 */

/* Values after INIT, SDM table 10-1. */
#define DR6_RESET 0xFFFF0FF0UL
#define DR7_RESET 0x400UL
#define PAT_RESET 0x0007040600070406UL

/* MSRs bit by bit: IA32_FEATURE_CONTROL, VM_CR (APM 15.30.1), MTRRs (SDM 12.11). */
enum { FEATURE_CONTROL_LOCKED = 1 << 0, FEATURE_CONTROL_VMX_OUTSIDE_SMX = 1 << 2 };
enum { VM_CR_LOCK = 1 << 3, VM_CR_SVM_DISABLED = 1 << 4 };
enum { MTRR_CAP_FIXED = 1 << 8, MTRR_FIXED_ENABLE = 1 << 10, MTRR_ENABLE = 1 << 11 };
#define MTRR_PHYSMASK_VALID BIT(11)

/* State components, and offsets of the legacy area of FXSAVE and of the header (SDM 13.4). */
#define XFEATURE_X87_SSE 3UL
#define XFEATURE_AVX     BIT(2)
#define XFEATURE_AVX512  (7UL << 5)
#define XFEATURE_AMX     (3UL << 17)
enum { XSAVE_FCW = 0, XSAVE_MXCSR = 24, XSAVE_XMM = 160, XSAVE_XSTATE_BV = 512 };
enum { XSAVE_LEGACY_SIZE = 512, XSAVE_HEADER_SIZE = 64 };

/* Entries of long-mode and PAE page tables, and the shorter ones as far as that goes, SDM 4.5. */
#define PTE_PRESENT  BIT(0)
#define PTE_WRITABLE BIT(1)
#define PTE_USER     BIT(2)
#define PTE_PWT      BIT(3)
#define PTE_PCD      BIT(4)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY    BIT(6)
#define PTE_LARGE    BIT(7)
#define PTE_NX       BIT(63)
#define PTE_ADDRESS  0x000FFFFFFFFFF000UL

/* Segments' attributes as struct segment, the ABI and a VMCS have them (SDM 25.4.1). */
enum segment_attribute {
    SEGMENT_TYPE = 0xF,
    SEGMENT_S = 1 << 4, /* code or data; else a system segment */
    SEGMENT_DPL = 3 << 5,
    SEGMENT_PRESENT = 1 << 7,
    SEGMENT_RESERVED = 0xF00,
    SEGMENT_LONG = 1 << 13,
    SEGMENT_DEFAULT_BIG = 1 << 14,
    SEGMENT_GRANULARITY = 1 << 15,
};
enum segment_type { /* SDM table 3-1 */
                    TYPE_ACCESSED = 1,
                    TYPE_WRITABLE = 2, /* of data */
                    TYPE_READABLE = 2, /* of code */
                    TYPE_CONFORMING = 4,
                    TYPE_CODE = 8,
                    TYPE_DATA_RW_ACCESSED = 3,
                    TYPE_DATA_DOWN_RW_ACCESSED = 7,
                    TYPE_LDT = 2, /* system segments from here on */
                    TYPE_TSS16_BUSY = 3,
                    TYPE_TSS_BUSY = 11,
};
#define SEGMENT_DPL_SHIFT 5
#define SELECTOR_TI       4 /* in the LDT */

/* The local APIC, SDM 11.4.1: IA32_APIC_BASE, registers by their offset in the xAPIC's page. */
#define APIC_BASE_ADDRESS 0xFEE00000UL
#define APIC_BASE_BSP     BIT(8)
#define APIC_BASE_X2APIC  BIT(10)
#define APIC_BASE_ENABLE  BIT(11)
enum apic_register {
    APIC_ID = 0x20,
    APIC_TPR = 0x80,
    APIC_PPR = 0xA0,
    APIC_EOI = 0xB0,
    APIC_LDR = 0xD0,
    APIC_DFR = 0xE0,
    APIC_SPURIOUS = 0xF0,
    APIC_IRR = 0x200,
    APIC_ICR_LOW = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_ERROR = 0x370,
    APIC_TIMER_INITIAL = 0x380,
    APIC_TIMER_CURRENT = 0x390,
    APIC_TIMER_DIVIDE = 0x3E0,
};
#define APIC_LVT_MASKED (1u << 16)

/* The interrupt command register, SDM 11.6.1. */
enum icr_mode { MODE_FIXED, MODE_LOWEST, MODE_SMI, MODE_NMI = 4, MODE_INIT, MODE_STARTUP };
enum icr_shorthand { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };
#define ICR_OF_MODE(mode)  ((uint32_t)(mode) << 8)
#define ICR_MODE(low)      ((low) >> 8 & 7)
#define ICR_LOGICAL        (1u << 11)
#define ICR_BUSY           (1u << 12)
#define ICR_ASSERT         (1u << 14)
#define ICR_LEVEL          (1u << 15)
#define ICR_SHORTHAND(low) ((low) >> 18 & 3)

#endif
