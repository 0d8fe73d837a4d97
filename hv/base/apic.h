/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of this processor, as the hypervisor itself uses it: to send its
 * kicks, to measure time, to see whether an interrupt waits. Registers are
 * named by their offset in the xAPIC's page; an x2APIC has them as MSRs.
 */
#ifndef HV_BASE_APIC_H
#define HV_BASE_APIC_H

#include "hv/base/arch.h"

#define APIC_PAGE_GPN (APIC_BASE_ADDRESS >> PAGE_SHIFT)

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
