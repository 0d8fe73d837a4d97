/*
 * The local APIC as the first partition's own: what of its accesses is trapped.
 * Its VP n is on processor n, so all of these act on this processor's APIC.
 */
#ifndef HV_MACHINE_APIC_H
#define HV_MACHINE_APIC_H

#include "hv/base/apic.h"
#include "hv/model/vp.h"

/* Puts this processor's APIC into the state after INIT, as the VP on it expects. */
void apic_reset_here(struct vp *vp);

/*
 * An access to the APIC's page that exited: decodes the instruction at rip, carries
 * it out and steps over it. False, nothing done, one line logged: #GP. The VP is on this processor.
 */
bool apic_page_access(struct vp *vp, gpa_t gpa);

/* WRMSR of the x2APIC's interrupt command register, or of IA32_APIC_BASE. False: #GP. */
bool apic_guest_command(uint64_t icr);
bool apic_guest_set_base(struct vp *vp, uint64_t value);

/*
 * The synthetic MSRs of the local APIC: EOI (write only), ICR, TPR (TLFS
 * "Virtual interrupt controller"). False: #GP.
 */
bool apic_synthetic_read(uint32_t msr, uint64_t *value);
bool apic_synthetic_write(struct vp *vp, uint32_t msr, uint64_t value);

#endif
