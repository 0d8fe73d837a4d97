/* SPDX-License-Identifier: MIT */
/* The end of the road: reason, exit, registers, control block, last exits, stop. */
#ifndef HV_BASE_PANIC_H
#define HV_BASE_PANIC_H

#include "hv/base/types.h"

/*
 * Prints "vellum: panic: <text>", what this processor was running (registers,
 * the whole VMCS or VMCB, its last exits), then "vellum: stopped", stops every
 * other processor and halts. Needs no state; may be called with any lock held.
 */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * "vellum: <text>" and "vellum: stopped" without a dump: for a machine or a
 * boot configuration that Vellum cannot run on (missing processor feature, too
 * little memory, a module that is no kernel). Only during boot.
 */
_Noreturn void boot_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct cpu;

/* What panic prints besides: the top says what this processor was running. NULL: nothing yet. */
extern void (*panic_report)(struct cpu *self);

/* From the NMI handler: when another processor panics, this one halts here for ever. */
void panic_stop_if_asked(struct cpu *cpu);

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            panic("%s:%d: " #condition " does not hold", __FILE__, __LINE__);                      \
    } while (0)

#endif
