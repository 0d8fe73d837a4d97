/* SPDX-License-Identifier: MIT */
/*
 * Processors of a bundled guest: per-processor data, traps that a test can
 * survive, starting the others and running functions on them.
 */
#ifndef GUESTS_LIB_CPU_H
#define GUESTS_LIB_CPU_H

#include "hv/base/arch.h"
#include "hv/base/types.h"

/*
 * Each processor owns one aligned area, found from its stack pointer alone, so
 * that no segment register or MSR has to be right for it:
 *   +0      struct cpu        +24 KiB  stack of traps from CPL 3 (top)
 *   +16 KiB user stack (top)  +64 KiB  stack (top)
 * All areas are below 4 GiB, so that 32-bit code can use the stack.
 */
#define CPU_AREA_SIZE   0x10000UL
#define CPU_USER_STACK  0x4000UL
#define CPU_TRAP_STACK  0x6000UL
#define CPU_FAULT_STACK 0x8000UL /* double fault and NMI */

enum selector {
    SELECTOR_CODE64 = 0x08,
    SELECTOR_DATA = 0x10,
    SELECTOR_CODE32 = 0x18,
    SELECTOR_USER_DATA = 0x20 | 3,
    SELECTOR_USER_CODE = 0x28 | 3,
    SELECTOR_CODE16 = 0x30,
    SELECTOR_DATA16 = 0x38,
    SELECTOR_TSS = 0x40,
};

/* What the trap stubs push. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct trap_frame) == 22 * 8, "pushed by traps.asm");

/* An exception that try_call caught. */
struct trap {
    uint8_t vector;
    uint32_t error;
    uint64_t rip;
    uint64_t address; /* CR2 of a page fault */
};

struct tss {
    uint32_t zero;
    uint64_t rsp[3];
    uint64_t zero2;
    uint64_t ist[7];
    uint64_t zero3;
    uint16_t zero4, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "SDM 8.7");

struct cpu {
    uint32_t index; /* 0 is the boot processor */
    uint32_t apic_id;
    volatile bool online;

    /* work for cpu_run; function is written last and cleared when it is done */
    void (*volatile function)(void *);
    void *volatile argument;

    uint64_t recovery_rsp; /* try_call is active when not 0 */
    struct trap trap;

    uint64_t gdt[10];
    struct tss tss;
};

extern struct cpu *cpus[MAX_CPUS];
extern uint32_t cpu_count; /* 1 until cpu_start_all */

static inline struct cpu *this_cpu(void)
{
    uint64_t rsp;
    __asm__ volatile("mov %%rsp, %0" : "=r"(rsp));
    return (struct cpu *)(rsp & ~(CPU_AREA_SIZE - 1));
}

/* Descriptor tables, SSE and XSAVE of the calling processor. */
void cpu_init(struct cpu *cpu);

/*
 * Runs function(argument). True when it returned; false when it raised an
 * exception, which is then in *trap (may be NULL). May be nested. A try_call in
 * progress also catches exceptions of CPL 3 and of 32-bit code.
 */
bool try_call(void (*function)(void *), void *argument, struct trap *trap);

/*
 * Runs function(argument) at CPL 3 on a stack of its own (not nested). Returns
 * the trap that ended it: vector 0x80 when it returned.
 */
struct trap user_call(void (*function)(void *), void *argument);

/* Handler of an interrupt vector (32 and up); NULL: unexpected. Interrupts are off unless a guest
   turns them on with interrupts_enable. The handler sends its own EOI. */
void trap_set_handler(uint8_t vector, void (*handler)(struct trap_frame *));

static inline void interrupts_enable(void)
{
    __asm__ volatile("sti; nop" : : : "memory");
}

static inline void interrupts_disable(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/* "#GP", "#UD", ... or "vector" */
const char *trap_name(uint8_t vector);

/*
 * Starts the other processors: those in the ACPI MADT, or `cpus=N` of the
 * command line (which also limits), by INIT and start-up IPIs. Returns how many
 * run now, the caller's included. Those that did not come are left out.
 */
uint32_t cpu_start_all(void);

/* Starts function(argument) on another, idle processor, and returns at once. */
void cpu_run(uint32_t cpu, void (*function)(void *), void *argument);
/* Waits until it has returned. */
void cpu_wait(uint32_t cpu);
/* cpu_run and cpu_wait; also for the calling processor itself. */
void cpu_call(uint32_t cpu, void (*function)(void *), void *argument);
/* Runs it on every processor at once, the caller's included, and waits for all. */
void cpu_call_all(void (*function)(void *), void *argument);

/* All `count` participants wait for each other; usable again straight away. Starts as {0}. */
struct barrier {
    volatile uint32_t arrived, round;
};
void barrier_wait(struct barrier *barrier, uint32_t count);

/* Local APIC, in whichever mode (xAPIC or x2APIC) it is in. Registers by their xAPIC offset. */
uint32_t apic_read(uint32_t offset);
void apic_write(uint32_t offset, uint32_t value);
void apic_send(uint32_t apic_id, uint32_t icr_low); /* waits for delivery */
void apic_enable(void);                             /* software enable, spurious vector 0xFF */
void apic_eoi(void);
bool apic_is_x2(void);

enum { /* interrupt commands that tests send */
       APIC_ICR_FIXED = ICR_OF_MODE(MODE_FIXED) | ICR_ASSERT,
       APIC_ICR_NMI = ICR_OF_MODE(MODE_NMI) | ICR_ASSERT,
       APIC_ICR_INIT = ICR_OF_MODE(MODE_INIT) | ICR_ASSERT,
       APIC_ICR_STARTUP = ICR_OF_MODE(MODE_STARTUP) | ICR_ASSERT,
};

/* Busy waiting by the PIT, good to a few microseconds. */
void delay_microseconds(uint32_t microseconds);

/* wrmsr_safe and rdmsr_safe of hv/base/arch.h work in guests as well: false means #GP. */

#endif
