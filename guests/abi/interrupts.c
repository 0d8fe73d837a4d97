/* SPDX-License-Identifier: MIT */
/* Section 7: a root's device interrupts, 0x7C and 0x7D. */
#include "guests/abi/abi.h"
#include "hv/base/arch.h"

#define IOAPIC           0xFEC00000UL
#define IOAPIC_TIMER_PIN 2 /* ISA's IRQ 0, on every board with an override for it */
#define IOAPIC_TABLE     0x10
#define IOAPIC_MASKED    BIT(16)
#define PCI_DEVICE       ((uint64_t)HV_DEVICE_PCI << 62 | 8)
#define IOAPIC_DEVICE    ((uint64_t)HV_DEVICE_IOAPIC << 62)
#define VARIABLE(qwords) ((uint64_t)(qwords) << HV_CONTROL_VARIABLE_SHIFT)
#define TEST_VECTOR      0x60

static volatile uint32_t arrived;

static struct hv_input_map_device_interrupt request(uint64_t device, uint32_t vp)
{
    return (struct hv_input_map_device_interrupt){.partition_id = HV_PARTITION_ID_SELF,
                                                  .device_id = device,
                                                  .vector_count = 1,
                                                  .vector = TEST_VECTOR,
                                                  .target_flags = HV_INTERRUPT_TARGET_SET,
                                                  .bank_mask = 1,
                                                  .banks = {1UL << vp}};
}

static uint16_t map(const struct hv_input_map_device_interrupt *in, unsigned variable,
                    struct hv_interrupt_entry *entry)
{
    const struct hv_output_map_device_interrupt *out = hv_output_page();
    memcpy(hv_input_page(), in, sizeof(*in));
    memset(hv_output_page(), 0xCC, PAGE_SIZE);
    uint64_t result =
        hypercall(HVCALL_MAP_DEVICE_INTERRUPT | VARIABLE(variable), input_gpa(), output_gpa());
    *entry = out->entry;
    return (uint16_t)result;
}

static uint16_t unmap(uint64_t device, struct hv_interrupt_entry entry)
{
    struct hv_input_unmap_device_interrupt in = {
        .partition_id = HV_PARTITION_ID_SELF, .device_id = device, .entry = entry};
    return hv_call(HVCALL_UNMAP_DEVICE_INTERRUPT, &in, sizeof(in), NULL, 0);
}

static void refused(void)
{
    struct hv_interrupt_entry entry;
#define REFUSED(field, bad, status)                                                                \
    do {                                                                                           \
        struct hv_input_map_device_interrupt in = request(PCI_DEVICE, 0);                          \
        in.field = (bad);                                                                          \
        tap_status(map(&in, 2, &entry), status, "7: 0x7C with " #field " = " #bad);                \
    } while (0)
    REFUSED(device_id, 8, HV_STATUS_INVALID_PARAMETER);
    REFUSED(device_id, 3UL << 62, HV_STATUS_INVALID_PARAMETER);
    REFUSED(flags, 1, HV_STATUS_INVALID_PARAMETER);
    REFUSED(base_index, 1, HV_STATUS_INVALID_PARAMETER);
    REFUSED(logical.source, 1, HV_STATUS_INVALID_PARAMETER);
    REFUSED(logical.value, 1, HV_STATUS_INVALID_PARAMETER);
    REFUSED(logical.zero, 1, HV_STATUS_INVALID_PARAMETER);
    REFUSED(zero, 1, HV_STATUS_INVALID_PARAMETER);
    REFUSED(type, 1, HV_STATUS_INVALID_PARAMETER);
    REFUSED(trigger, HV_TRIGGER_LEVEL, HV_STATUS_INVALID_PARAMETER);
    REFUSED(vector_count, 0, HV_STATUS_INVALID_PARAMETER);
    REFUSED(vector_count, 2, HV_STATUS_INVALID_PARAMETER);
    REFUSED(vector, 15, HV_STATUS_INVALID_PARAMETER);
    REFUSED(vector, 256, HV_STATUS_INVALID_PARAMETER);
    REFUSED(target_flags, 3, HV_STATUS_INVALID_PARAMETER);
    REFUSED(mask_or_format, 1, HV_STATUS_INVALID_PARAMETER);
    REFUSED(bank_mask, 2, HV_STATUS_INVALID_PARAMETER);
    REFUSED(bank_mask, 0, HV_STATUS_INVALID_PARAMETER);
    REFUSED(banks[0], 0, HV_STATUS_INVALID_VP_INDEX);
    REFUSED(banks[0], 1UL << cpu_count, HV_STATUS_INVALID_VP_INDEX);
    struct hv_input_map_device_interrupt in = request(PCI_DEVICE, 0);
    tap_status(map(&in, 0, &entry), HV_STATUS_INVALID_PARAMETER, "7: 0x7C, a set and no bank");
    tap_status(map(&in, 1, &entry), HV_STATUS_INVALID_PARAMETER, "7: 0x7C, its bank missing");
    tap_status(map(&in, 3, &entry), HV_STATUS_INVALID_HYPERCALL_INPUT,
               "1: 0x7C, a variable header longer than the call knows");
    in.target_flags = 0;
    tap_status(map(&in, 2, &entry), HV_STATUS_INVALID_PARAMETER, "7: 0x7C, a mask and banks");
    in.partition_id = 0x7FFFFFFF;
    tap_status(map(&in, 2, &entry), HV_STATUS_INVALID_PARTITION_ID,
               "7: 0x7C of a partition that does not exist");
}

static void messages(void)
{
    struct hv_interrupt_entry entry = {0};
    bool right = true;
    for (uint32_t vp = 0; vp < cpu_count; vp++) {
        struct hv_input_map_device_interrupt in = request(PCI_DEVICE, vp);
        uint64_t value = 0xFEE00000UL | cpus[vp]->apic_id << 12 | (uint64_t)TEST_VECTOR << 32;
        right &= map(&in, 2, &entry) == HV_STATUS_SUCCESS && entry.value == value &&
                 entry.source == HV_INTERRUPT_SOURCE_MSI && entry.zero == 0;
        in.target_flags = 0;
        in.mask_or_format = 1UL << vp;
        right &= map(&in, 0, &entry) == HV_STATUS_SUCCESS && entry.value == value;
    }
    tap_ok(right, "7: 0x7C says by which address and data an MSI reaches each VP");
    tap_status(unmap(PCI_DEVICE, entry), HV_STATUS_SUCCESS, "7: 0x7D of such an MSI");
    tap_status(unmap(IOAPIC_DEVICE, entry), HV_STATUS_INVALID_PARAMETER,
               "7: 0x7D of an MSI of an I/O APIC");
    struct hv_interrupt_entry bad[] = {entry, entry, entry, entry, entry};
    bad[0].value |= 1;
    bad[1].source = HV_INTERRUPT_SOURCE_IOAPIC;
    bad[2].value = 0xFEE00000UL | 0xFEUL << 12 | (uint64_t)TEST_VECTOR << 32; /* nobody's id */
    bad[3].value = (uint32_t)entry.value;                                     /* vector 0 */
    bad[4].zero = 1;
    for (unsigned n = 0; n < ARRAY_SIZE(bad); n++)
        tap_status(unmap(PCI_DEVICE, bad[n]), HV_STATUS_INVALID_PARAMETER,
                   "7: 0x7D of an entry that 0x7C does not give: %u", n);
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
    volatile uint32_t *ioapic = (void *)IOAPIC;
    ioapic[0] = reg;
    ioapic[4] = value;
}

static void on_timer(struct trap_frame *frame)
{
    (void)frame;
    arrived++;
    apic_eoi();
}

static void wait_for_timer(void *argument)
{
    (void)argument;
    apic_enable();
    interrupts_enable();
    for (unsigned n = 0; n < 1000 && arrived == 0; n++)
        delay_microseconds(1000);
    interrupts_disable();
}

/* The interval timer's interrupt, by the entry that the hypervisor gave, on the last VP. */
static void delivered(void)
{
    struct hv_interrupt_entry entry;
    struct hv_input_map_device_interrupt in = request(IOAPIC_DEVICE, cpu_count - 1);
    in.trigger = HV_TRIGGER_LEVEL;
    tap_status(map(&in, 2, &entry), HV_STATUS_SUCCESS, "7: 0x7C of a level interrupt");
    tap_equal(entry.value, (uint64_t)cpus[cpu_count - 1]->apic_id << 56 | BIT(15) | TEST_VECTOR,
              "7: its redirection entry");
    in.trigger = HV_TRIGGER_EDGE;
    tap_status(map(&in, 2, &entry), HV_STATUS_SUCCESS, "7: 0x7C of the I/O APIC's timer");
    trap_set_handler(TEST_VECTOR, on_timer);
    out8(0x21, 0xFF); /* not through the 8259 */
    out8(0xA1, 0xFF);
    out8(0x43, 0x34); /* channel 0, a pulse each 10 ms */
    out8(0x40, 0x9C);
    out8(0x40, 0x2E);
    ioapic_write(IOAPIC_TABLE + 2 * IOAPIC_TIMER_PIN + 1, (uint32_t)(entry.value >> 32));
    ioapic_write(IOAPIC_TABLE + 2 * IOAPIC_TIMER_PIN, (uint32_t)entry.value);
    cpu_call(cpu_count - 1, wait_for_timer, NULL);
    ioapic_write(IOAPIC_TABLE + 2 * IOAPIC_TIMER_PIN, IOAPIC_MASKED);
    tap_ok(arrived > 0, "7: it arrives on VP %u, and nothing exits for it", cpu_count - 1);
    tap_status(unmap(IOAPIC_DEVICE, entry), HV_STATUS_SUCCESS, "7: 0x7D of it");
    trap_set_handler(TEST_VECTOR, NULL);
}

void test_interrupts(void)
{
    struct hv_interrupt_entry entry = {0};
    struct hv_input_map_device_interrupt in = request(PCI_DEVICE, 0);
    if (hypervisor_role() != ROLE_IS_ROOT) {
        tap_status(map(&in, 2, &entry), HV_STATUS_ACCESS_DENIED, "7: 0x7C is for the root");
        tap_status(unmap(PCI_DEVICE, entry), HV_STATUS_ACCESS_DENIED, "7: as is 0x7D");
        return;
    }
    refused();
    messages();
    delivered();
}
