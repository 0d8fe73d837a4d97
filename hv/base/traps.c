/* SPDX-License-Identifier: MIT */
/* The hypervisor's own exceptions and NMIs: see hv/base/traps.asm. */
#include "hv/base/traps.h"

#include "hv/base/arch.h"
#include "hv/base/backtrace.h"
#include "hv/base/console.h"
#include "hv/base/panic.h"
#include "hv/base/smp.h"

struct gate { /* SDM 6.14.1: 64-bit interrupt gate */
    uint16_t offset_low, selector;
    uint8_t stack, attributes;
    uint16_t offset_middle;
    uint32_t offset_high, zero;
};
_Static_assert(sizeof(struct gate) == 16, "IDT gate");

#define GATE_INTERRUPT 0x8E

#define STUB_SIZE 12 /* as in hv/base/traps.asm */

enum { STACK_SAME = 0, STACK_NMI = 1, STACK_FAULT = 2 }; /* IST numbers */

static struct gate idt[256] __attribute__((aligned(16)));
const struct table_pointer idt_pointer = {sizeof(idt) - 1, (uint64_t)idt};

extern char trap_stubs[]; /* of STUB_SIZE bytes each */
extern const uint64_t safe_instructions_start[], safe_instructions_end[]; /* boot/link.ld */
extern char safe_failed[];

/* Code in which an NMI would be lost: where it begins and ends, and where it goes on then. */
struct nmi_window {
    uint64_t start, end, resume;
};
extern const struct nmi_window nmi_windows_start[], nmi_windows_end[]; /* boot/link.ld */

void trap_handler(struct trap_frame *frame);

static void set_gate(unsigned vector, uint64_t handler, uint8_t stack)
{
    idt[vector] = (struct gate){
        .offset_low = (uint16_t)handler,
        .selector = SELECTOR_CODE,
        .stack = stack,
        .attributes = GATE_INTERRUPT,
        .offset_middle = (uint16_t)(handler >> 16),
        .offset_high = (uint32_t)(handler >> 32),
    };
}

void traps_init(void)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        uint8_t stack = STACK_SAME;
        if (vector == VECTOR_NMI)
            stack = STACK_NMI;
        else if (vector == VECTOR_DF || vector == VECTOR_MC || vector == VECTOR_SS)
            stack = STACK_FAULT;
        set_gate(vector, (uint64_t)trap_stubs + (uint64_t)STUB_SIZE * vector, stack);
    }
}

static const char *const exception_names[32] = {
    "divide error",
    "debug exception",
    "NMI",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "no FPU",
    "double fault",
    "coprocessor overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "x87 error",
    "alignment check",
    "machine check",
    "SIMD error",
    "virtualization exception",
    "control protection",
};

static void print_frame(const struct trap_frame *f)
{
    say_error("  rip %016lx  rflags %016lx  cs %04lx  ss %04lx", f->rip, f->rflags, f->cs, f->ss);
    say_error("  rax %016lx  rcx %016lx  rdx %016lx  rbx %016lx", f->rax, f->rcx, f->rdx, f->rbx);
    say_error("  rsp %016lx  rbp %016lx  rsi %016lx  rdi %016lx", f->rsp, f->rbp, f->rsi, f->rdi);
    say_error("  r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx", f->r8, f->r9, f->r10, f->r11);
    say_error("  r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx", f->r12, f->r13, f->r14, f->r15);
    say_error("  cr2 %016lx  cr3 %016lx  cr0 %016lx  cr4 %016lx", read_cr2(), read_cr3(),
              read_cr0(), read_cr4());
}

/*
 * An NMI that hits between a check of cpu->kicked and the instruction that
 * makes the processor wait or enter a guest would leave it there with the kick
 * unseen. Such a RIP is moved to where the check would have gone.
 */
static void close_check_windows(struct trap_frame *frame)
{
    for (const struct nmi_window *w = nmi_windows_start; w < nmi_windows_end; w++)
        if (frame->rip >= w->start && frame->rip < w->end)
            frame->rip = w->resume;
}

static bool is_safe_instruction(uint64_t rip)
{
    for (const uint64_t *safe = safe_instructions_start; safe < safe_instructions_end; safe++)
        if (rip == *safe)
            return true;
    return false;
}

/*
 * Around the entry of a guest gs: is the guest's. The stack tells whose processor
 * this is: makes gs: ours, so that a panic finds what it prints.
 */
static void take_gs_back(const struct trap_frame *frame)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        if (cpus[i] && frame->rsp <= cpus[i]->stack_top &&
            frame->rsp > cpus[i]->stack_top - STACK_SIZE)
            wrmsr(MSR_GS_BASE, (uint64_t)cpus[i]);
}

void trap_handler(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_NMI) {
        close_check_windows(frame);
        nmi_arrived(this_cpu());
        return;
    }
    /* The hypervisor sets no breakpoints; but a guest's single step may come out of its exit, on a
       processor (or an emulation of one) that forgets to drop it. gs: may not be ours then. */
    if (frame->vector == VECTOR_DB)
        return;
    if (frame->vector == VECTOR_GP && is_safe_instruction(frame->rip)) {
        frame->rip = (uint64_t)safe_failed;
        return;
    }
    console_break_lock();
    take_gs_back(frame);
    const char *name = frame->vector < 32 ? exception_names[frame->vector] : NULL;
    say_error("exception in the hypervisor: %s (vector %lu, error code 0x%lx)",
              name ? name : "unexpected interrupt", frame->vector, frame->error);
    print_frame(frame);
    backtrace_print(frame->rsp, frame->rip);
    panic("exception %lu at %016lx", frame->vector, frame->rip);
}
