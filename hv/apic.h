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

/* Puts this processor's APIC into the state after INIT, as the guest on it expects. */
void apic_reset_here(struct vp *vp);

/* The first partition writes or reads an xAPIC register; offset: bytes, a multiple of 16. */
void apic_guest_write(struct vp *vp, uint32_t offset, uint32_t value);
uint32_t apic_guest_read(uint32_t offset);
/* It writes the x2APIC's interrupt command register, or IA32_APIC_BASE. False: #GP. */
bool apic_guest_command(uint64_t icr);
bool apic_guest_set_base(struct vp *vp, uint64_t value);

/*
 * The synthetic MSRs of the local APIC: EOI (write only), ICR, TPR (TLFS
 * "Virtual interrupt controller"). The first partition's. False: #GP.
 */
bool apic_synthetic_read(uint32_t msr, uint64_t *value);
bool apic_synthetic_write(struct vp *vp, uint32_t msr, uint64_t value);

/* Whether this processor's APIC has an interrupt that it would deliver now (SDM 11.8.4). */
bool apic_interrupt_waits(void);

/* Boot, for measuring: counts this processor's APIC timer down, masked, divided by 1. */
void apic_timer_start(uint32_t count);
uint32_t apic_timer_read(void); /* what is left */
void apic_timer_stop(void);

#endif
