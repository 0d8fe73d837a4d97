/* SPDX-License-Identifier: MIT */
/*
 * The Microsoft hypercall ABI as Vellum speaks it, from the Hyper-V TLFS: codes, statuses,
 * registers and MSRs here, structures in abi_calls.h and abi_pages.h, each with its size and its
 * offsets asserted below it. The hypervisor, the bundled guests and the tests share these headers.
 *
 * They stand alone: C11 or C++17, freestanding, 32-bit or 64-bit, with nothing but stddef.h and
 * stdint.h. `make install` puts them where a program of yours finds <vellum/abi.h>.
 */
#ifndef HYPERCALLS_ABI_H
#define HYPERCALLS_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "abi_calls.h"
#include "abi_pages.h"

enum hv_status {
    HV_STATUS_SUCCESS = 0x00,
    HV_STATUS_INVALID_HYPERCALL_CODE = 0x02,
    HV_STATUS_INVALID_HYPERCALL_INPUT = 0x03,
    HV_STATUS_INVALID_ALIGNMENT = 0x04,
    HV_STATUS_INVALID_PARAMETER = 0x05,
    HV_STATUS_ACCESS_DENIED = 0x06,
    HV_STATUS_INVALID_PARTITION_STATE = 0x07,
    HV_STATUS_OPERATION_DENIED = 0x08,
    HV_STATUS_UNKNOWN_PROPERTY = 0x09,
    HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE = 0x0A,
    HV_STATUS_INSUFFICIENT_MEMORY = 0x0B,
    HV_STATUS_INVALID_PARTITION_ID = 0x0D,
    HV_STATUS_INVALID_VP_INDEX = 0x0E,
    HV_STATUS_NOT_FOUND = 0x10,
    HV_STATUS_INVALID_VP_STATE = 0x15,
    HV_STATUS_NO_RESOURCES = 0x1D,
    HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED = 0x20,
    HV_STATUS_INVALID_LP_INDEX = 0x41,
    HV_STATUS_INVALID_REGISTER_VALUE = 0x50,
    HV_STATUS_OPERATION_FAILED = 0x71,
    HV_STATUS_INSUFFICIENT_ROOT_MEMORY = 0x73,
};

enum hv_call {
    HVCALL_NOTIFY_LONG_SPIN_WAIT = 0x0008,
    HVCALL_CREATE_PARTITION = 0x0040,
    HVCALL_INITIALIZE_PARTITION = 0x0041,
    HVCALL_FINALIZE_PARTITION = 0x0042,
    HVCALL_DELETE_PARTITION = 0x0043,
    HVCALL_GET_PARTITION_PROPERTY = 0x0044,
    HVCALL_SET_PARTITION_PROPERTY = 0x0045,
    HVCALL_GET_PARTITION_ID = 0x0046,
    HVCALL_GET_NEXT_CHILD_PARTITION = 0x0047,
    HVCALL_DEPOSIT_MEMORY = 0x0048,
    HVCALL_WITHDRAW_MEMORY = 0x0049,
    HVCALL_GET_MEMORY_BALANCE = 0x004A,
    HVCALL_MAP_GPA_PAGES = 0x004B,
    HVCALL_UNMAP_GPA_PAGES = 0x004C,
    HVCALL_INSTALL_INTERCEPT = 0x004D,
    HVCALL_CREATE_VP = 0x004E,
    HVCALL_DELETE_VP = 0x004F,
    HVCALL_GET_VP_REGISTERS = 0x0050,
    HVCALL_SET_VP_REGISTERS = 0x0051,
    HVCALL_TRANSLATE_VIRTUAL_ADDRESS = 0x0052,
    HVCALL_ADD_LOGICAL_PROCESSOR = 0x0076,
    HVCALL_MAP_DEVICE_INTERRUPT = 0x007C,
    HVCALL_UNMAP_DEVICE_INTERRUPT = 0x007D,
    HVCALL_DISPATCH_VP = 0x00C2,
    HVCALL_GET_GPA_PAGES_ACCESS_STATES = 0x00C9,
    HVCALL_MAP_VP_STATE_PAGE = 0x00E1,
    HVCALL_UNMAP_VP_STATE_PAGE = 0x00E2,
};

/* Control word (TLFS "Hypercall Inputs") and result word ("Hypercall Outputs"). */
#define HV_CONTROL_FAST            (UINT64_C(1) << 16)
#define HV_CONTROL_VARIABLE_SHIFT  17 /* 10 bits, qwords */
#define HV_CONTROL_NESTED          (UINT64_C(1) << 31)
#define HV_CONTROL_REP_COUNT_SHIFT 32                           /* 12 bits */
#define HV_CONTROL_REP_START_SHIFT 48                           /* 12 bits */
#define HV_CONTROL_RESERVED        UINT64_C(0xF000F000F8000000) /* nested bit included */
#define HV_RESULT_REPS_SHIFT       32

#define HV_PARTITION_ID_SELF (~UINT64_C(0))
#define HV_VP_INDEX_SELF     0xFFFFFFFEu
#define HV_VP_INDEX_ANY      0xFFFFFFFFu

enum hv_register_name {
    HV_REGISTER_EXPLICIT_SUSPEND = 0x00000000,
    HV_REGISTER_INTERCEPT_SUSPEND = 0x00000001,
    HV_REGISTER_PENDING_INTERRUPTION = 0x00010002,
    HV_REGISTER_INTERRUPT_STATE = 0x00010003,
    HV_REGISTER_PENDING_EVENT0 = 0x00010004,
    HV_REGISTER_PENDING_EVENT1 = 0x00010005,
    HV_REGISTER_DELIVERABILITY = 0x00010006,
    HV_REGISTER_RAX = 0x00020000, /* + gpr number, up to R15 0x2000F */
    HV_REGISTER_RIP = 0x00020010,
    HV_REGISTER_RFLAGS = 0x00020011,
    HV_REGISTER_XMM0 = 0x00030000, /* + n, up to XMM15 */
    HV_REGISTER_CR0 = 0x00040000,
    HV_REGISTER_CR2 = 0x00040001,
    HV_REGISTER_CR3 = 0x00040002,
    HV_REGISTER_CR4 = 0x00040003,
    HV_REGISTER_CR8 = 0x00040004,
    HV_REGISTER_XFEM = 0x00040005,
    HV_REGISTER_DR0 = 0x00050000, /* + n, DR1..3 at 1..3, DR6 at 4, DR7 at 5 */
    HV_REGISTER_DR6 = 0x00050004,
    HV_REGISTER_DR7 = 0x00050005,
    HV_REGISTER_ES = 0x00060000, /* es cs ss ds fs gs ldtr tr */
    HV_REGISTER_IDTR = 0x00070000,
    HV_REGISTER_GDTR = 0x00070001,
    HV_REGISTER_TSC = 0x00080000,
    HV_REGISTER_EFER = 0x00080001,
    HV_REGISTER_KERNEL_GS_BASE = 0x00080002,
    HV_REGISTER_APIC_BASE = 0x00080003,
    HV_REGISTER_PAT = 0x00080004,
    HV_REGISTER_SYSENTER_CS = 0x00080005,
    HV_REGISTER_SYSENTER_EIP = 0x00080006,
    HV_REGISTER_SYSENTER_ESP = 0x00080007,
    HV_REGISTER_STAR = 0x00080008,
    HV_REGISTER_LSTAR = 0x00080009,
    HV_REGISTER_CSTAR = 0x0008000A,
    HV_REGISTER_SFMASK = 0x0008000B,
    HV_REGISTER_VP_INDEX = 0x00090003,
};

/* Synthetic MSRs */
enum hv_msr {
    HV_MSR_GUEST_OS_ID = 0x40000000,
    HV_MSR_HYPERCALL = 0x40000001,
    HV_MSR_VP_INDEX = 0x40000002,
    HV_MSR_RESET = 0x40000003,
    HV_MSR_VP_RUNTIME = 0x40000010,
    HV_MSR_TIME_REF_COUNT = 0x40000020,
    HV_MSR_REFERENCE_TSC = 0x40000021,
    HV_MSR_TSC_FREQUENCY = 0x40000022,
    HV_MSR_APIC_FREQUENCY = 0x40000023,
    HV_MSR_EOI = 0x40000070,
    HV_MSR_ICR = 0x40000071,
    HV_MSR_TPR = 0x40000072,
    HV_MSR_VP_ASSIST_PAGE = 0x40000073,
    HV_MSR_CRASH_P0 = 0x40000100, /* .. P4 at 0x40000104 */
    HV_MSR_CRASH_CTL = 0x40000105,
    HV_MSR_TSC_INVARIANT = 0x40000118,
};

/* Vellum's own, for the first partition: see ABI.md section 8. */
enum vellum_interface {
    VELLUM_MSR_LOG_LEVEL = 0x40000F00,  /* 0 error .. 3 debug */
    VELLUM_MSR_EXITS = 0x40000F01,      /* read: exits of this processor; write: prints them all */
    VELLUM_MSR_EXIT_COUNT = 0x40000F10, /* + kind of exit (enum exit_kind), of this processor */
    VELLUM_LEAF = 0x40000100,           /* CPUID: "VellumVellum", and the last leaf */
    VELLUM_INTERFACE = 1,               /* its version: EAX of the next leaf; EBX: kinds of exit */
};

#define HV_HYPERCALL_MSR_ENABLE (UINT64_C(1) << 0)
#define HV_HYPERCALL_MSR_LOCKED (UINT64_C(1) << 1)
#define HV_CRASH_CTL_NOTIFY     (UINT64_C(1) << 63)
#define HV_CRASH_CTL_MESSAGE    (UINT64_C(1) << 62)

/* Reference TSC page */
struct hv_reference_tsc_page {
    uint32_t sequence; /* 0: do not use */
    uint32_t reserved;
    uint64_t scale;
    int64_t offset;
};
HV_ABI_SIZE(hv_reference_tsc_page, 24);
HV_ABI_AT(hv_reference_tsc_page, sequence, 0);
HV_ABI_AT(hv_reference_tsc_page, reserved, 4);
HV_ABI_AT(hv_reference_tsc_page, scale, 8);
HV_ABI_AT(hv_reference_tsc_page, offset, 16);

#endif
