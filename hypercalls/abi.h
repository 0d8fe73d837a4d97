/*
 * The Microsoft hypercall ABI as Vellum speaks it: codes, statuses, structures.
 * Self-standing: the hypervisor, the bundled guests and the unit tests share it.
 * From the Hyper-V TLFS; offsets are asserted below each structure.
 */
#ifndef HYPERCALLS_ABI_H
#define HYPERCALLS_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "hypercalls/abi_pages.h"

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
#define HV_CONTROL_FAST            (1UL << 16)
#define HV_CONTROL_VARIABLE_SHIFT  17 /* 10 bits, qwords */
#define HV_CONTROL_NESTED          (1UL << 31)
#define HV_CONTROL_REP_COUNT_SHIFT 32                   /* 12 bits */
#define HV_CONTROL_REP_START_SHIFT 48                   /* 12 bits */
#define HV_CONTROL_RESERVED        0xF000F000F8000000UL /* nested bit included */
#define HV_RESULT_REPS_SHIFT       32

#define HV_PARTITION_ID_SELF (~0UL)
#define HV_VP_INDEX_SELF     0xFFFFFFFEu
#define HV_VP_INDEX_ANY      0xFFFFFFFFu

/* 0xE1 and 0xE2 */
enum hv_vp_state_page_type {
    HV_VP_STATE_PAGE_REGISTERS = 0,
    HV_VP_STATE_PAGE_INTERCEPT_MESSAGE = 1,
    HV_VP_STATE_PAGE_GHCB = 2,
};

#define HV_MAP_LOCATION_PROVIDED 1

struct hv_input_map_vp_state_page {
    uint64_t partition_id;
    uint32_t vp_index;
    uint16_t type;
    uint8_t input_vtl;
    uint8_t flags;
    uint64_t requested_map_location;
};
_Static_assert(sizeof(struct hv_input_map_vp_state_page) == 24, "0xE1 input");
_Static_assert(offsetof(struct hv_input_map_vp_state_page, requested_map_location) == 16, "0xE1");

struct hv_input_unmap_vp_state_page {
    uint64_t partition_id;
    uint32_t vp_index;
    uint16_t type;
    uint8_t input_vtl;
    uint8_t reserved;
};
_Static_assert(sizeof(struct hv_input_unmap_vp_state_page) == 16, "0xE2 input");

/* Partitions */
enum {
    HV_CREATE_GPA_SUPER_PAGES = 1 << 4,
    HV_CREATE_EXO_PARTITION = 1 << 8,
    HV_CREATE_LAPIC = 1 << 13,
    HV_CREATE_INTERCEPT_MESSAGE_PAGE = 1 << 19,
    HV_CREATE_X2APIC = 1 << 22,
};

struct hv_input_create_partition {
    uint64_t flags;
    uint64_t proximity;
    uint32_t compatibility;
    uint32_t zero;
    uint64_t disabled_processor_features[2];
    uint64_t disabled_xsave_features;
    uint64_t isolation;
};
_Static_assert(sizeof(struct hv_input_create_partition) == 56, "0x40 input");
_Static_assert(offsetof(struct hv_input_create_partition, disabled_processor_features) == 24, "");

struct hv_input_partition { /* 0x41, 0x42, 0x43 */
    uint64_t partition_id;
};

struct hv_input_get_partition_property {
    uint64_t partition_id;
    uint32_t code;
    uint32_t zero;
};

struct hv_input_set_partition_property {
    uint64_t partition_id;
    uint32_t code;
    uint32_t zero;
    uint64_t value;
};

enum hv_partition_property {
    HV_PROPERTY_PRIVILEGE_FLAGS = 0x00010000,
};

struct hv_input_next_child {
    uint64_t parent_id;
    uint64_t previous_id;
};

struct hv_input_deposit { /* header; GPNs follow */
    uint64_t partition_id;
};

struct hv_input_withdraw {
    uint64_t partition_id;
    uint64_t proximity;
};

struct hv_output_memory_balance {
    uint64_t available;
    uint64_t in_use;
};

enum {
    HV_MAP_READABLE = 1,
    HV_MAP_WRITABLE = 2,
    HV_MAP_KERNEL_EXECUTE = 4,
    HV_MAP_USER_EXECUTE = 8,
    HV_MAP_NO_ACCESS = 0x10000,
    HV_MAP_NOT_CACHED = 0x200000,
};
#define HV_MAP_LARGE_PAGE 0x80000000u

struct hv_input_map_gpa { /* header; source GPNs follow */
    uint64_t partition_id;
    uint64_t base_gpn;
    uint32_t flags;
    uint32_t zero;
};

struct hv_input_unmap_gpa {
    uint64_t partition_id;
    uint64_t base_gpn;
    uint32_t flags;
    uint32_t zero;
};

enum hv_intercept_type {
    HV_INTERCEPT_IO_PORT = 0,
    HV_INTERCEPT_MSR = 1,
    HV_INTERCEPT_CPUID = 2,
    HV_INTERCEPT_EXCEPTION = 3,
};

struct hv_input_install_intercept {
    uint64_t partition_id;
    uint32_t access_mask; /* read 1, write 2, execute 4 */
    uint32_t type;
    uint64_t parameter;
};

struct hv_input_create_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t zero[3];
    uint8_t subnode_type;
    uint64_t subnode;
    uint64_t proximity;
    uint64_t flags;
};
_Static_assert(sizeof(struct hv_input_create_vp) == 40, "0x4E input");

struct hv_input_add_logical_processor { /* 0x76 */
    uint32_t lp_index;
    uint32_t apic_id;
    uint64_t proximity;
};
_Static_assert(sizeof(struct hv_input_add_logical_processor) == 16, "0x76 input");

struct hv_output_add_logical_processor {
    uint64_t status; /* of the start-up */
    uint64_t substatus[6];
};
_Static_assert(sizeof(struct hv_output_add_logical_processor) == 56, "0x76 output");

enum hv_device_type { HV_DEVICE_PCI = 1, HV_DEVICE_IOAPIC = 2 }; /* bits 62, 63 of the device id */
enum hv_interrupt_source { HV_INTERRUPT_SOURCE_MSI = 1, HV_INTERRUPT_SOURCE_IOAPIC = 2 };
enum { HV_INTERRUPT_FIXED = 0, HV_TRIGGER_EDGE = 0, HV_TRIGGER_LEVEL = 1 };
enum { HV_INTERRUPT_TARGET_SET = 2 };

struct hv_interrupt_entry {
    uint32_t source;
    uint32_t zero;
    uint64_t value; /* MSI: address (low half) and data; I/O APIC: redirection entry */
};

struct hv_input_map_device_interrupt { /* 0x7C; the variable header begins at bank_mask */
    uint64_t partition_id;
    uint64_t device_id;
    uint32_t flags;
    uint32_t base_index;
    struct hv_interrupt_entry logical;
    uint32_t type;
    uint32_t trigger;
    uint32_t vector_count;
    uint32_t zero;
    uint32_t vector;
    uint32_t target_flags;
    uint64_t mask_or_format; /* of VPs 0..63; with HV_INTERRUPT_TARGET_SET the set's format */
    uint64_t bank_mask;
    uint64_t banks[1];
};
#define HV_MAP_DEVICE_INTERRUPT_HEADER offsetof(struct hv_input_map_device_interrupt, bank_mask)
_Static_assert(HV_MAP_DEVICE_INTERRUPT_HEADER == 72, "0x7C input");

struct hv_output_map_device_interrupt {
    struct hv_interrupt_entry entry;
    uint64_t status[5];
};
_Static_assert(sizeof(struct hv_output_map_device_interrupt) == 56, "0x7C output");

struct hv_input_unmap_device_interrupt { /* 0x7D */
    uint64_t partition_id;
    uint64_t device_id;
    struct hv_interrupt_entry entry;
};
_Static_assert(sizeof(struct hv_input_unmap_device_interrupt) == 32, "0x7D input");

struct hv_input_vp { /* 0x4F */
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t zero;
};

struct hv_input_vp_registers { /* 0x50 and 0x51 header; names or assignments follow */
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t vtl;
    uint8_t zero[3];
};

struct hv_register_value {
    uint64_t low, high;
};

struct hv_register_assignment {
    uint32_t name;
    uint32_t zero[3];
    struct hv_register_value value;
};
_Static_assert(sizeof(struct hv_register_assignment) == 32, "0x51 element");

struct hv_input_translate {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t zero;
    uint64_t control_flags; /* validate read 1, write 2, execute 4, privilege exempt 8 */
    uint64_t gva_page;
};

struct hv_output_translate {
    uint64_t result; /* result code 31:0, cache type 39:32, overlay page bit 40 */
    uint64_t gpn;
};

enum hv_translate_result {
    HV_TRANSLATE_SUCCESS = 0,
    HV_TRANSLATE_PAGE_NOT_PRESENT = 1,
    HV_TRANSLATE_PRIVILEGE_VIOLATION = 2,
    HV_TRANSLATE_INVALID_PAGE_TABLE_FLAGS = 3,
    HV_TRANSLATE_GPA_UNMAPPED = 4,
    HV_TRANSLATE_GPA_NO_READ = 5,
    HV_TRANSLATE_GPA_NO_WRITE = 6,
};

enum {
    HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND = 1,
    HV_DISPATCH_SCAN_INTERRUPT_INJECTION = 0x40,
    HV_DISPATCH_STATE_BLOCKED = 1,
    HV_DISPATCH_STATE_READY = 2,
    HV_DISPATCH_EVENT_NONE = 0,
    HV_DISPATCH_EVENT_SUSPEND = 1,
    HV_DISPATCH_EVENT_INTERCEPT = 2,
};

struct hv_input_dispatch_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t flags;
    uint64_t time_slice;
    uint64_t spec_ctrl;
};

struct hv_output_dispatch_vp {
    uint32_t state;
    uint32_t event;
};

enum { /* flags 2 and 8, "set", are not implemented */
       HV_ACCESS_STATES_CLEAR_ACCESSED = 1 << 0,
       HV_ACCESS_STATES_CLEAR_DIRTY = 1 << 2,
};

enum { /* the output, a byte per page */
       HV_ACCESS_STATE_ACCESSED = 1 << 0,
       HV_ACCESS_STATE_DIRTY = 1 << 1,
};

struct hv_input_access_states { /* 0xC9, no list */
    uint64_t partition_id;
    uint64_t flags; /* HV_ACCESS_STATES_* */
    uint64_t base_gpn;
};

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

#define HV_HYPERCALL_MSR_ENABLE (1UL << 0)
#define HV_HYPERCALL_MSR_LOCKED (1UL << 1)
#define HV_CRASH_CTL_NOTIFY     (1UL << 63)
#define HV_CRASH_CTL_MESSAGE    (1UL << 62)

/* Reference TSC page */
struct hv_reference_tsc_page {
    uint32_t sequence; /* 0: do not use */
    uint32_t reserved;
    uint64_t scale;
    int64_t offset;
};

#endif
