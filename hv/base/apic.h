/*
 * The local APIC of this processor, as the hypervisor itself uses it: to send its
 * kicks, to measure time, to see whether an interrupt waits. Registers are named by
 * their offset in the xAPIC's page (SDM 11.4.1); an x2APIC has them as MSRs.
 */
#ifndef HV_BASE_APIC_H
#define HV_BASE_APIC_H

#include "hv/base/arch.h"

#define APIC_BASE_ADDRESS 0xFEE00000UL
#define APIC_PAGE_GPN     (APIC_BASE_ADDRESS >> PAGE_SHIFT)

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

bool apic_in_x2apic_mode(void);
/* A register of the xAPIC's page, whatever the mode. */
volatile uint32_t *apic_page_register(uint32_t offset);
/* A register by the mode that the APIC is in. */
uint32_t apic_read(uint32_t offset);
void apic_write(uint32_t offset, uint32_t value);

/*
 * Sends an interrupt command from this processor: xAPIC or x2APIC, whichever
 * mode it is in. low: ICR bits 31:0. Waits for delivery; an xAPIC's upper half
 * is put back to what the guest last wrote. apic_id: the destination.
 */
void apic_send(uint32_t apic_id, uint32_t low);

/* Whether this processor's APIC has an interrupt that it would deliver now (SDM 11.8.4). */
bool apic_interrupt_waits(void);

/* Boot, for measuring: counts this processor's APIC timer down, masked, divided by 1. */
void apic_timer_start(uint32_t count);
uint32_t apic_timer_read(void); /* what is left */
void apic_timer_stop(void);

#endif
