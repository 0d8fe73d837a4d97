/* SPDX-License-Identifier: MIT */
/*
 * What hypercalls take and return. Part of hypercalls/abi.h, which is what to include.
 * A list ("header; ... follow") stands behind its header without a gap.
 */
#ifndef HYPERCALLS_ABI_CALLS_H
#define HYPERCALLS_ABI_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "abi_pages.h"

/* Of the calls 0xE1 and 0xE2 */
enum hv_vp_state_page_type {
    HV_VP_STATE_PAGE_REGISTERS = 0,
    HV_VP_STATE_PAGE_INTERCEPT_MESSAGE = 1,
    HV_VP_STATE_PAGE_GHCB = 2,
};

#define HV_MAP_LOCATION_PROVIDED 1 /* flag of 0xE1 */

/* HvCallMapVpStatePage (0xE1) */
struct hv_input_map_vp_state_page {
    uint64_t partition_id;
    uint32_t vp_index;
    uint16_t type;
    uint8_t input_vtl;
    uint8_t flags;
    uint64_t requested_map_location;
};
HV_ABI_SIZE(hv_input_map_vp_state_page, 24);
HV_ABI_AT(hv_input_map_vp_state_page, partition_id, 0);
HV_ABI_AT(hv_input_map_vp_state_page, vp_index, 8);
HV_ABI_AT(hv_input_map_vp_state_page, type, 12);
HV_ABI_AT(hv_input_map_vp_state_page, input_vtl, 14);
HV_ABI_AT(hv_input_map_vp_state_page, flags, 15);
HV_ABI_AT(hv_input_map_vp_state_page, requested_map_location, 16);

/* HvCallUnmapVpStatePage (0xE2) */
struct hv_input_unmap_vp_state_page {
    uint64_t partition_id;
    uint32_t vp_index;
    uint16_t type;
    uint8_t input_vtl;
    uint8_t reserved;
};
HV_ABI_SIZE(hv_input_unmap_vp_state_page, 16);
HV_ABI_AT(hv_input_unmap_vp_state_page, partition_id, 0);
HV_ABI_AT(hv_input_unmap_vp_state_page, vp_index, 8);
HV_ABI_AT(hv_input_unmap_vp_state_page, type, 12);
HV_ABI_AT(hv_input_unmap_vp_state_page, input_vtl, 14);
HV_ABI_AT(hv_input_unmap_vp_state_page, reserved, 15);

/* Flags of HvCallCreatePartition */
enum {
    HV_CREATE_GPA_SUPER_PAGES = 1 << 4,
    HV_CREATE_EXO_PARTITION = 1 << 8,
    HV_CREATE_LAPIC = 1 << 13,
    HV_CREATE_INTERCEPT_MESSAGE_PAGE = 1 << 19,
    HV_CREATE_X2APIC = 1 << 22,
};

/* HvCallCreatePartition (0x40); it returns the partition's id */
struct hv_input_create_partition {
    uint64_t flags;
    uint64_t proximity;
    uint32_t compatibility;
    uint32_t zero;
    uint64_t disabled_processor_features[2];
    uint64_t disabled_xsave_features;
    uint64_t isolation;
};
HV_ABI_SIZE(hv_input_create_partition, 56);
HV_ABI_AT(hv_input_create_partition, flags, 0);
HV_ABI_AT(hv_input_create_partition, proximity, 8);
HV_ABI_AT(hv_input_create_partition, compatibility, 16);
HV_ABI_AT(hv_input_create_partition, zero, 20);
HV_ABI_AT(hv_input_create_partition, disabled_processor_features, 24);
HV_ABI_AT(hv_input_create_partition, disabled_xsave_features, 40);
HV_ABI_AT(hv_input_create_partition, isolation, 48);

/* HvCallInitializePartition (0x41), HvCallFinalizePartition (0x42), HvCallDeletePartition (0x43) */
struct hv_input_partition {
    uint64_t partition_id;
};
HV_ABI_SIZE(hv_input_partition, 8);
HV_ABI_AT(hv_input_partition, partition_id, 0);

/* HvCallGetPartitionProperty (0x44); it returns the value */
struct hv_input_get_partition_property {
    uint64_t partition_id;
    uint32_t code;
    uint32_t zero;
};
HV_ABI_SIZE(hv_input_get_partition_property, 16);
HV_ABI_AT(hv_input_get_partition_property, partition_id, 0);
HV_ABI_AT(hv_input_get_partition_property, code, 8);
HV_ABI_AT(hv_input_get_partition_property, zero, 12);

/* HvCallSetPartitionProperty (0x45) */
struct hv_input_set_partition_property {
    uint64_t partition_id;
    uint32_t code;
    uint32_t zero;
    uint64_t value;
};
HV_ABI_SIZE(hv_input_set_partition_property, 24);
HV_ABI_AT(hv_input_set_partition_property, partition_id, 0);
HV_ABI_AT(hv_input_set_partition_property, code, 8);
HV_ABI_AT(hv_input_set_partition_property, zero, 12);
HV_ABI_AT(hv_input_set_partition_property, value, 16);

/* Codes of 0x44 and 0x45 */
enum hv_partition_property {
    HV_PROPERTY_PRIVILEGE_FLAGS = 0x00010000,
};

/* HvCallGetNextChildPartition (0x47); it returns the child's id */
struct hv_input_next_child {
    uint64_t parent_id;
    uint64_t previous_id;
};
HV_ABI_SIZE(hv_input_next_child, 16);
HV_ABI_AT(hv_input_next_child, parent_id, 0);
HV_ABI_AT(hv_input_next_child, previous_id, 8);

/* HvCallDepositMemory (0x48), header; GPNs follow */
struct hv_input_deposit {
    uint64_t partition_id;
};
HV_ABI_SIZE(hv_input_deposit, 8);
HV_ABI_AT(hv_input_deposit, partition_id, 0);

/* HvCallWithdrawMemory (0x49), it returns GPNs; HvCallGetMemoryBalance (0x4A) */
struct hv_input_withdraw {
    uint64_t partition_id;
    uint64_t proximity;
};
HV_ABI_SIZE(hv_input_withdraw, 16);
HV_ABI_AT(hv_input_withdraw, partition_id, 0);
HV_ABI_AT(hv_input_withdraw, proximity, 8);

/* HvCallGetMemoryBalance (0x4A), in pages */
struct hv_output_memory_balance {
    uint64_t available;
    uint64_t in_use;
};
HV_ABI_SIZE(hv_output_memory_balance, 16);
HV_ABI_AT(hv_output_memory_balance, available, 0);
HV_ABI_AT(hv_output_memory_balance, in_use, 8);

/* Flags of HvCallMapGpaPages */
enum {
    HV_MAP_READABLE = 1,
    HV_MAP_WRITABLE = 2,
    HV_MAP_KERNEL_EXECUTE = 4,
    HV_MAP_USER_EXECUTE = 8,
    HV_MAP_NO_ACCESS = 0x10000,
    HV_MAP_NOT_CACHED = 0x200000,
};
#define HV_MAP_LARGE_PAGE 0x80000000u /* one more of them; not an int, so no enumerator */

/* HvCallMapGpaPages (0x4B), header; source GPNs follow */
struct hv_input_map_gpa {
    uint64_t partition_id;
    uint64_t base_gpn;
    uint32_t flags;
    uint32_t zero;
};
HV_ABI_SIZE(hv_input_map_gpa, 24);
HV_ABI_AT(hv_input_map_gpa, partition_id, 0);
HV_ABI_AT(hv_input_map_gpa, base_gpn, 8);
HV_ABI_AT(hv_input_map_gpa, flags, 16);
HV_ABI_AT(hv_input_map_gpa, zero, 20);

/* HvCallUnmapGpaPages (0x4C) */
struct hv_input_unmap_gpa {
    uint64_t partition_id;
    uint64_t base_gpn;
    uint32_t flags;
    uint32_t zero;
};
HV_ABI_SIZE(hv_input_unmap_gpa, 24);
HV_ABI_AT(hv_input_unmap_gpa, partition_id, 0);
HV_ABI_AT(hv_input_unmap_gpa, base_gpn, 8);
HV_ABI_AT(hv_input_unmap_gpa, flags, 16);
HV_ABI_AT(hv_input_unmap_gpa, zero, 20);

/* Of HvCallInstallIntercept */
enum hv_intercept_type {
    HV_INTERCEPT_IO_PORT = 0,
    HV_INTERCEPT_MSR = 1,
    HV_INTERCEPT_CPUID = 2,
    HV_INTERCEPT_EXCEPTION = 3,
};

/* HvCallInstallIntercept (0x4D) */
struct hv_input_install_intercept {
    uint64_t partition_id;
    uint32_t access_mask; /* read 1, write 2, execute 4 */
    uint32_t type;
    uint64_t parameter;
};
HV_ABI_SIZE(hv_input_install_intercept, 24);
HV_ABI_AT(hv_input_install_intercept, partition_id, 0);
HV_ABI_AT(hv_input_install_intercept, access_mask, 8);
HV_ABI_AT(hv_input_install_intercept, type, 12);
HV_ABI_AT(hv_input_install_intercept, parameter, 16);

/* HvCallCreateVp (0x4E) */
struct hv_input_create_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t zero[3];
    uint8_t subnode_type;
    uint64_t subnode;
    uint64_t proximity;
    uint64_t flags;
};
HV_ABI_SIZE(hv_input_create_vp, 40);
HV_ABI_AT(hv_input_create_vp, partition_id, 0);
HV_ABI_AT(hv_input_create_vp, vp_index, 8);
HV_ABI_AT(hv_input_create_vp, zero, 12);
HV_ABI_AT(hv_input_create_vp, subnode_type, 15);
HV_ABI_AT(hv_input_create_vp, subnode, 16);
HV_ABI_AT(hv_input_create_vp, proximity, 24);
HV_ABI_AT(hv_input_create_vp, flags, 32);

/* HvCallAddLogicalProcessor (0x76) */
struct hv_input_add_logical_processor {
    uint32_t lp_index;
    uint32_t apic_id;
    uint64_t proximity;
};
HV_ABI_SIZE(hv_input_add_logical_processor, 16);
HV_ABI_AT(hv_input_add_logical_processor, lp_index, 0);
HV_ABI_AT(hv_input_add_logical_processor, apic_id, 4);
HV_ABI_AT(hv_input_add_logical_processor, proximity, 8);

/* HvCallAddLogicalProcessor (0x76) */
struct hv_output_add_logical_processor {
    uint64_t status; /* of the start-up */
    uint64_t substatus[6];
};
HV_ABI_SIZE(hv_output_add_logical_processor, 56);
HV_ABI_AT(hv_output_add_logical_processor, status, 0);
HV_ABI_AT(hv_output_add_logical_processor, substatus, 8);

/* Of HvCallMapDeviceInterrupt and HvCallUnmapDeviceInterrupt */
enum hv_device_type { HV_DEVICE_PCI = 1, HV_DEVICE_IOAPIC = 2 }; /* bits 62, 63 of the device id */
enum hv_interrupt_source { HV_INTERRUPT_SOURCE_MSI = 1, HV_INTERRUPT_SOURCE_IOAPIC = 2 };
enum { HV_INTERRUPT_FIXED = 0, HV_TRIGGER_EDGE = 0, HV_TRIGGER_LEVEL = 1 };
enum { HV_INTERRUPT_TARGET_SET = 2 };

/* In what HvCallMapDeviceInterrupt (0x7C) and HvCallUnmapDeviceInterrupt (0x7D) take and return */
struct hv_interrupt_entry {
    uint32_t source;
    uint32_t zero;
    uint64_t value; /* MSI: address (low half) and data; I/O APIC: redirection entry */
};
HV_ABI_SIZE(hv_interrupt_entry, 16);
HV_ABI_AT(hv_interrupt_entry, source, 0);
HV_ABI_AT(hv_interrupt_entry, zero, 4);
HV_ABI_AT(hv_interrupt_entry, value, 8);

/* HvCallMapDeviceInterrupt (0x7C); the variable header begins at bank_mask */
struct hv_input_map_device_interrupt {
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
HV_ABI_SIZE(hv_input_map_device_interrupt, 88);
HV_ABI_AT(hv_input_map_device_interrupt, partition_id, 0);
HV_ABI_AT(hv_input_map_device_interrupt, device_id, 8);
HV_ABI_AT(hv_input_map_device_interrupt, flags, 16);
HV_ABI_AT(hv_input_map_device_interrupt, base_index, 20);
HV_ABI_AT(hv_input_map_device_interrupt, logical, 24);
HV_ABI_AT(hv_input_map_device_interrupt, type, 40);
HV_ABI_AT(hv_input_map_device_interrupt, trigger, 44);
HV_ABI_AT(hv_input_map_device_interrupt, vector_count, 48);
HV_ABI_AT(hv_input_map_device_interrupt, zero, 52);
HV_ABI_AT(hv_input_map_device_interrupt, vector, 56);
HV_ABI_AT(hv_input_map_device_interrupt, target_flags, 60);
HV_ABI_AT(hv_input_map_device_interrupt, mask_or_format, 64);
HV_ABI_AT(hv_input_map_device_interrupt, bank_mask, 72);
HV_ABI_AT(hv_input_map_device_interrupt, banks, 80);

#define HV_MAP_DEVICE_INTERRUPT_HEADER offsetof(struct hv_input_map_device_interrupt, bank_mask)

/* HvCallMapDeviceInterrupt (0x7C) */
struct hv_output_map_device_interrupt {
    struct hv_interrupt_entry entry;
    uint64_t status[5];
};
HV_ABI_SIZE(hv_output_map_device_interrupt, 56);
HV_ABI_AT(hv_output_map_device_interrupt, entry, 0);
HV_ABI_AT(hv_output_map_device_interrupt, status, 16);

/* HvCallUnmapDeviceInterrupt (0x7D) */
struct hv_input_unmap_device_interrupt {
    uint64_t partition_id;
    uint64_t device_id;
    struct hv_interrupt_entry entry;
};
HV_ABI_SIZE(hv_input_unmap_device_interrupt, 32);
HV_ABI_AT(hv_input_unmap_device_interrupt, partition_id, 0);
HV_ABI_AT(hv_input_unmap_device_interrupt, device_id, 8);
HV_ABI_AT(hv_input_unmap_device_interrupt, entry, 16);

/* HvCallDeleteVp (0x4F) */
struct hv_input_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t zero;
};
HV_ABI_SIZE(hv_input_vp, 16);
HV_ABI_AT(hv_input_vp, partition_id, 0);
HV_ABI_AT(hv_input_vp, vp_index, 8);
HV_ABI_AT(hv_input_vp, zero, 12);

/* HvCallGetVpRegisters (0x50), header; names follow. HvCallSetVpRegisters (0x51), assignments */
struct hv_input_vp_registers {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t vtl;
    uint8_t zero[3];
};
HV_ABI_SIZE(hv_input_vp_registers, 16);
HV_ABI_AT(hv_input_vp_registers, partition_id, 0);
HV_ABI_AT(hv_input_vp_registers, vp_index, 8);
HV_ABI_AT(hv_input_vp_registers, vtl, 12);
HV_ABI_AT(hv_input_vp_registers, zero, 13);

/* HvCallGetVpRegisters (0x50) returns one for each name */
struct hv_register_value {
    uint64_t low, high;
};
HV_ABI_SIZE(hv_register_value, 16);
HV_ABI_AT(hv_register_value, low, 0);
HV_ABI_AT(hv_register_value, high, 8);

/* HvCallSetVpRegisters (0x51), one of its list */
struct hv_register_assignment {
    uint32_t name;
    uint32_t zero[3];
    struct hv_register_value value;
};
HV_ABI_SIZE(hv_register_assignment, 32);
HV_ABI_AT(hv_register_assignment, name, 0);
HV_ABI_AT(hv_register_assignment, zero, 4);
HV_ABI_AT(hv_register_assignment, value, 16);

/* HvCallTranslateVirtualAddress (0x52) */
struct hv_input_translate {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t zero;
    uint64_t control_flags; /* validate read 1, write 2, execute 4, privilege exempt 8 */
    uint64_t gva_page;
};
HV_ABI_SIZE(hv_input_translate, 32);
HV_ABI_AT(hv_input_translate, partition_id, 0);
HV_ABI_AT(hv_input_translate, vp_index, 8);
HV_ABI_AT(hv_input_translate, zero, 12);
HV_ABI_AT(hv_input_translate, control_flags, 16);
HV_ABI_AT(hv_input_translate, gva_page, 24);

/* HvCallTranslateVirtualAddress (0x52) */
struct hv_output_translate {
    uint64_t result; /* result code 31:0, cache type 39:32, overlay page bit 40 */
    uint64_t gpn;
};
HV_ABI_SIZE(hv_output_translate, 16);
HV_ABI_AT(hv_output_translate, result, 0);
HV_ABI_AT(hv_output_translate, gpn, 8);

/* Bits 31:0 of the result of HvCallTranslateVirtualAddress */
enum hv_translate_result {
    HV_TRANSLATE_SUCCESS = 0,
    HV_TRANSLATE_PAGE_NOT_PRESENT = 1,
    HV_TRANSLATE_PRIVILEGE_VIOLATION = 2,
    HV_TRANSLATE_INVALID_PAGE_TABLE_FLAGS = 3,
    HV_TRANSLATE_GPA_UNMAPPED = 4,
    HV_TRANSLATE_GPA_NO_READ = 5,
    HV_TRANSLATE_GPA_NO_WRITE = 6,
};

/* Flags, states and events of HvCallDispatchVp */
enum {
    HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND = 1,
    HV_DISPATCH_SCAN_INTERRUPT_INJECTION = 0x40,
    HV_DISPATCH_STATE_BLOCKED = 1,
    HV_DISPATCH_STATE_READY = 2,
    HV_DISPATCH_EVENT_NONE = 0,
    HV_DISPATCH_EVENT_SUSPEND = 1,
    HV_DISPATCH_EVENT_INTERCEPT = 2,
};

/* HvCallDispatchVp (0xC2) */
struct hv_input_dispatch_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t flags;
    uint64_t time_slice;
    uint64_t spec_ctrl;
};
HV_ABI_SIZE(hv_input_dispatch_vp, 32);
HV_ABI_AT(hv_input_dispatch_vp, partition_id, 0);
HV_ABI_AT(hv_input_dispatch_vp, vp_index, 8);
HV_ABI_AT(hv_input_dispatch_vp, flags, 12);
HV_ABI_AT(hv_input_dispatch_vp, time_slice, 16);
HV_ABI_AT(hv_input_dispatch_vp, spec_ctrl, 24);

/* HvCallDispatchVp (0xC2) */
struct hv_output_dispatch_vp {
    uint32_t state;
    uint32_t event;
};
HV_ABI_SIZE(hv_output_dispatch_vp, 8);
HV_ABI_AT(hv_output_dispatch_vp, state, 0);
HV_ABI_AT(hv_output_dispatch_vp, event, 4);

/* Flags of HvCallGetGpaPagesAccessStates; 2 and 8, "set", are not implemented */
enum {
    HV_ACCESS_STATES_CLEAR_ACCESSED = 1 << 0,
    HV_ACCESS_STATES_CLEAR_DIRTY = 1 << 2,
};

/* What it returns for each page */
enum {
    HV_ACCESS_STATE_ACCESSED = 1 << 0,
    HV_ACCESS_STATE_DIRTY = 1 << 1,
};

/* HvCallGetGpaPagesAccessStates (0xC9), no list; it returns a byte for each page */
struct hv_input_access_states {
    uint64_t partition_id;
    uint64_t flags; /* HV_ACCESS_STATES_* */
    uint64_t base_gpn;
};
HV_ABI_SIZE(hv_input_access_states, 24);
HV_ABI_AT(hv_input_access_states, partition_id, 0);
HV_ABI_AT(hv_input_access_states, flags, 8);
HV_ABI_AT(hv_input_access_states, base_gpn, 16);

#endif
