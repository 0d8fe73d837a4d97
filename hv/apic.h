/* The local APIC: the hypervisor's own accesses, and the guest's that are trapped. */
#ifndef HV_APIC_H
#define HV_APIC_H

#include "hv/cpu.h"
#include "hv/vp.h"

#define APIC_PAGE_GPN 0xFEE00UL

/*
 * Sends an interrupt command from this processor: xAPIC or x2APIC, whichever
 * mode it is in. low: ICR bits 31:0. Waits for delivery; an xAPIC's upper half
 * is put back to what the guest last wrote. apic_id: the destination.
 */
void apic_send(uint32_t apic_id, uint32_t low);
/* This processor's APIC id. */
uint32_t apic_id_here(void);

/* Boot, for measuring: counts this processor's APIC timer down, masked, divided by 1. */
void apic_timer_start(uint32_t count);
uint32_t apic_timer_stop(void); /* what is left */

#endif
