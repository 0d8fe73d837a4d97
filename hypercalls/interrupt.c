/* SPDX-License-Identifier: MIT */
/*
 * The root's device interrupts: MapDeviceInterrupt (0x7C), UnmapDeviceInterrupt
 * (0x7D). Devices are the first partition's own and their interrupts go straight to
 * its processors, so that mapping one means to say what the device (MSI) or the I/O
 * APIC is to be programmed with: nothing is kept here, and unmapping checks what
 * it is given.
 *
 * Decisions: PCI devices and I/O APICs only, one fixed vector from 16 on, one target:
 * the lowest VP of the set. An MSI is an edge. Everything else is INVALID_PARAMETER;
 * a set without a VP that exists is INVALID_VP_INDEX, a VP whose APIC id needs
 * more than the 8 bits of an interrupt message is OPERATION_FAILED.
 */
#include "hypercalls/table.h"

#include "hv/base/string.h"

#define DEVICE_TYPE(id) ((id) >> 62)

#define MSI_ADDRESS       0xFEE00000UL /* SDM 11.11.1; bits 12..19: APIC id */
#define MSI_ID_SHIFT      12
#define MSI_DATA_SHIFT    32
#define RTE_LEVEL         BIT(15) /* of an I/O APIC's redirection entry */
#define RTE_ID_SHIFT      56
#define MESSAGE_ID_MAX    0xFF
#define FIRST_VECTOR      0x10
#define LAST_VECTOR       0xFF
#define SET_FORMAT_SPARSE 0

/* VPs 0..63 of the target, or an error. */
static uint32_t target_vps(const struct call *call, const struct hv_input_map_device_interrupt *in,
                           uint64_t *vps)
{
    *vps = in->mask_or_format;
    if (in->target_flags == 0 && call->variable == 0)
        return HV_STATUS_SUCCESS;
    /* A sparse set: the mask of valid banks of 64 VPs each, and the banks. */
    if (in->target_flags != HV_INTERRUPT_TARGET_SET || in->mask_or_format != SET_FORMAT_SPARSE ||
        call->variable == 0 || in->bank_mask > 1 || call->variable != 1 + in->bank_mask)
        return HV_STATUS_INVALID_PARAMETER;
    *vps = in->bank_mask ? in->banks[0] : 0;
    return HV_STATUS_SUCCESS;
}

static bool is_supported_device(uint64_t device)
{
    return DEVICE_TYPE(device) == HV_DEVICE_PCI || DEVICE_TYPE(device) == HV_DEVICE_IOAPIC;
}

static bool is_supported(const struct hv_input_map_device_interrupt *in)
{
    bool msi = DEVICE_TYPE(in->device_id) == HV_DEVICE_PCI;
    return is_supported_device(in->device_id) && in->flags == 0 && in->base_index == 0 &&
           in->logical.source == 0 && in->logical.zero == 0 && in->logical.value == 0 &&
           in->zero == 0 && in->type == HV_INTERRUPT_FIXED &&
           in->trigger <= (msi ? HV_TRIGGER_EDGE : HV_TRIGGER_LEVEL) && in->vector_count == 1 &&
           in->vector >= FIRST_VECTOR && in->vector <= LAST_VECTOR;
}

/* What the device, or the I/O APIC, is to be programmed with. level: of an I/O APIC's. */
static struct hv_interrupt_entry entry_for(uint64_t device, uint64_t apic_id, uint64_t vector,
                                           bool level)
{
    if (DEVICE_TYPE(device) == HV_DEVICE_PCI)
        return (struct hv_interrupt_entry){.source = HV_INTERRUPT_SOURCE_MSI,
                                           .value = MSI_ADDRESS | apic_id << MSI_ID_SHIFT |
                                                    vector << MSI_DATA_SHIFT};
    return (struct hv_interrupt_entry){.source = HV_INTERRUPT_SOURCE_IOAPIC,
                                       .value = vector | (level ? RTE_LEVEL : 0) |
                                                apic_id << RTE_ID_SHIFT};
}

uint32_t call_map_device_interrupt(struct call *call)
{
    const struct hv_input_map_device_interrupt *in = (const void *)call->input;
    struct hv_output_map_device_interrupt *out = (void *)call->output;
    if (!is_supported(in))
        return HV_STATUS_INVALID_PARAMETER;
    uint64_t vps;
    uint32_t status = target_vps(call, in, &vps);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (vps == 0 || (uint32_t)__builtin_ctzl(vps) >= cpu_count)
        return HV_STATUS_INVALID_VP_INDEX;
    uint64_t apic_id = cpus[__builtin_ctzl(vps)]->apic_id;
    if (apic_id > MESSAGE_ID_MAX)
        return HV_STATUS_OPERATION_FAILED;
    *out = (struct hv_output_map_device_interrupt){
        .entry = entry_for(in->device_id, apic_id, in->vector, in->trigger == HV_TRIGGER_LEVEL)};
    return HV_STATUS_SUCCESS;
}

/* Whether the entry is one that mapping gives for such a device. */
static bool is_mapped(uint64_t device, const struct hv_interrupt_entry *entry)
{
    bool msi = DEVICE_TYPE(device) == HV_DEVICE_PCI, exists = false;
    uint64_t apic_id = entry->value >> (msi ? MSI_ID_SHIFT : RTE_ID_SHIFT) & MESSAGE_ID_MAX;
    uint64_t vector = entry->value >> (msi ? MSI_DATA_SHIFT : 0) & LAST_VECTOR;
    struct hv_interrupt_entry made = entry_for(device, apic_id, vector, entry->value & RTE_LEVEL);
    for (uint32_t i = 0; i < cpu_count; i++)
        exists |= cpus[i]->apic_id == apic_id;
    return is_supported_device(device) && exists && vector >= FIRST_VECTOR &&
           memcmp(entry, &made, sizeof(made)) == 0;
}

uint32_t call_unmap_device_interrupt(struct call *call)
{
    const struct hv_input_unmap_device_interrupt *in = (const void *)call->input;
    return is_mapped(in->device_id, &in->entry) ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER;
}
