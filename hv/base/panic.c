/* SPDX-License-Identifier: MIT */
/* The end of the road: see hv/base/panic.h. */
#include "hv/base/panic.h"

#include "hv/base/arch.h"
#include "hv/base/backtrace.h"
#include "hv/base/console.h"
#include "hv/base/smp.h"

static volatile uint32_t panicking; /* 1 + index of the processor that panics */

static _Noreturn void stop_here(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

void panic_stop_if_asked(struct cpu *cpu)
{
    if (panicking != 0 && panicking != cpu->index + 1) {
        cpu->halted = true;
        stop_here();
    }
}

static void stop_others(struct cpu *self)
{
    for (uint32_t i = 0; i < cpu_count; i++) {
        if (!cpus[i] || cpus[i] == self || !cpus[i]->online)
            continue;
        cpu_kick(cpus[i]);
        for (uint32_t spin = 0; spin < 1000000 && !cpus[i]->halted; spin++)
            cpu_relax();
    }
}

void (*panic_report)(struct cpu *self);

_Noreturn void panic(const char *format, ...)
{
    struct cpu *self = this_cpu();
    uint32_t nobody = 0;
    if (!__atomic_compare_exchange_n(&panicking, &nobody, self->index + 1, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        if (nobody != self->index + 1)
            stop_here(); /* somebody else is at it */
        say_error("panic within a panic");
        say_error("stopped");
        stop_here();
    }
    stop_others(self);
    console_break_lock();

    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vformat_text(text, sizeof(text), format, arguments);
    va_end(arguments);
    say_error("panic: %s (processor %u)", text, self->index);
    backtrace_print((uint64_t)__builtin_frame_address(0) + 8, (uint64_t)panic);

    if (panic_report)
        panic_report(self);
    say_error("stopped");
    stop_here();
}

_Noreturn void boot_refuse(const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vformat_text(text, sizeof(text), format, arguments);
    va_end(arguments);
    say_error("%s", text);
    say_error("stopped");
    stop_here();
}
