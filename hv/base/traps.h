/* SPDX-License-Identifier: MIT */
/* The hypervisor's own exceptions and NMIs. */
#ifndef HV_BASE_TRAPS_H
#define HV_BASE_TRAPS_H

#include "hv/base/types.h"

struct trap_frame { /* as hv/base/traps.asm pushes it */
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Fills the IDT; once, on the boot processor, before cpu_activate. */
void traps_init(void);

/* The IDT for cpu_load_tables. */
struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));
extern const struct table_pointer idt_pointer;

void cpu_load_tables(const struct table_pointer *gdt, const struct table_pointer *idt);
_Noreturn void call_on_stack(uint64_t stack_top, void (*function)(void *), void *argument);

#endif
