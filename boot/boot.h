/* SPDX-License-Identifier: MIT */
/* What the boot code hands to the rest. */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include "hv/base/console.h"

#define MAX_MEMORY_RANGES 128
#define MAX_MODULES       32
#define COMMAND_LINE_SIZE 2048 /* with the zero at its end; a longer one is refused */

enum memory_kind { /* the multiboot and E820 numbers */
                   MEMORY_AVAILABLE = 1,
                   MEMORY_RESERVED = 2,
                   MEMORY_ACPI = 3,
                   MEMORY_NVS = 4,
                   MEMORY_BAD = 5,
};

struct memory_range {
    uint64_t start, end; /* bytes, end exclusive */
    uint32_t kind;
};

/* Sorted, without overlaps, adjacent ranges of one kind merged. */
struct memory_map {
    uint32_t count;
    struct memory_range ranges[MAX_MEMORY_RANGES];
};

struct module {
    spa_t start;   /* page aligned once boot/place.c has moved it */
    uint64_t size; /* bytes */
    char command_line[COMMAND_LINE_SIZE];
};

enum role { ROLE_ROOT, ROLE_LAYERED, ROLE_GUEST };

struct boot_options {
    enum role role;
    uint32_t cpus;      /* cpus=N, default MAX_CPUS */
    uint64_t pool_mib;  /* pool=MiB, default 8 */
    enum log_level log; /* log=error|warn|info|debug, default info */
    enum console_port console;
};

struct boot_info {
    struct memory_map memory; /* as the firmware gave it */
    uint32_t module_count;
    struct module modules[MAX_MODULES];
    char command_line[COMMAND_LINE_SIZE]; /* the hypervisor's own */
    spa_t rsdp;                           /* where the guest finds it; 0: nowhere */
    uint8_t rsdp_copy[36];                /* zero when there is none */
    struct boot_options options;

    /* processors from the MADT, the boot processor first */
    uint32_t cpu_count;
    uint32_t apic_ids[MAX_CPUS];

    /* what the hypervisor keeps: one range below 4 GiB, already split off guest_memory */
    spa_t hv_start, hv_end;
    spa_t pool_start, pool_end;     /* the first partition's pool, inside hv_start..hv_end */
    struct memory_map guest_memory; /* memory less what the hypervisor keeps (shown as reserved) */
    uint64_t frame_count;           /* highest RAM frame + 1 */
    uint64_t first_instruction_tsc; /* TSC when the hypervisor's entry was reached */
};

extern struct boot_info boot_info;

/*
 * How the first VP of the first partition starts: registers for a 32-bit
 * protected-mode, paging-off entry, as Multiboot 1 and the Linux 32-bit boot
 * protocol want them, or for Linux's 64-bit one.
 */
struct first_entry {
    uint32_t eip, eax, ebx, esi, esp;
    uint16_t code_selector, data_selector; /* hidden parts are flat 4 GiB */
    uint32_t gdt_base;                     /* 0: none */
    uint16_t gdt_limit;
    uint32_t cr3; /* page tables: starts in 64-bit mode; 0: in 32-bit mode, without paging */
    bool no_partition_id; /* the kernel does not cope with AccessPartitionId unless it is root */
};

/*
 * Loads module 0 (a Multiboot 1 kernel) into guest memory and builds its boot
 * information. Calls boot_refuse with one line in words when it cannot.
 */
void boot_load_first(struct boot_info *info, struct first_entry *entry);

struct cpu;

/*
 * Starts one application processor (INIT, SIPI, SIPI) through the trampoline:
 * it comes up in long mode on the hypervisor's page tables, with cpu->stack_top
 * as its stack, and calls hv_ap_main(cpu). Waits up to a second for
 * cpu->online. False when it did not come.
 */
bool boot_start_processor(struct cpu *cpu);

/* hv/main.c: called once, on the boot processor, image relocated and boot_info complete. */
_Noreturn void hv_main(void);
/* hv/main.c: each application processor's first C function. */
_Noreturn void hv_ap_main(struct cpu *cpu);

#endif
