/* SPDX-License-Identifier: MIT */
/* The processors of the machine, from the firmware's ACPI tables (ACPI 6.5, section 5.2). */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include "boot/multiboot.h"

/* Looks for the RSDP where a PC's firmware puts it (5.2.5.1); its address, or 0. */
spa_t acpi_find_rsdp(phys_reader read);

/*
 * Adds the APIC ids of the enabled processors in the MADT to ids, in its order,
 * leaving out those already there (count of them) and those above max_id.
 * rsdp: at least 20 bytes, 36 when its revision is 2 or more. Returns the new
 * count, never above limit. Tables that are damaged count as missing.
 */
uint32_t acpi_processors(phys_reader read, const uint8_t rsdp[36], uint32_t max_id, uint32_t *ids,
                         uint32_t count, uint32_t limit);

#endif
