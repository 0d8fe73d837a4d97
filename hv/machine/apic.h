/* SPDX-License-Identifier: MIT */
/*
 * The local APIC as the first partition's own: what of its accesses is trapped.
 * Its VP n is on processor n, so all of these act on this processor's APIC.
 */
#ifndef HV_MACHINE_APIC_H
#define HV_MACHINE_APIC_H

#include "hv/base/apic.h"
#include "hv/model/msr.h"

/* Puts this processor's APIC into the state after INIT, as the VP on it expects. */
void apic_reset_here(struct vp *vp);

/*
 * An access to the APIC's page that exited: decodes the instruction at rip, carries
 * it out and steps over it. False, nothing done, one line logged: #GP. The VP is on this processor.
 */
bool apic_page_access(struct vp *vp, gpa_t gpa);

/* Rows of hv/msr.c: WRMSR of IA32_APIC_BASE, and of the x2APIC's interrupt command register. */
msr_writer apic_write_base, apic_write_x2apic_icr;

/*
 * The synthetic MSRs of the local APIC: EOI (write only), ICR, TPR (TLFS
 * "Virtual interrupt controller"). #GP for a child, which has none.
 */
msr_reader apic_synthetic_read;
msr_writer apic_synthetic_write;

#endif
