/* The end of the road: see hv/panic.h. */
#include "hv/panic.h"

#include "hv/arch.h"
#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/exits.h"
#include "hv/smp.h"
#include "hv/vp.h"

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

static void print_ring(const struct cpu *cpu)
{
    say_error("last exits of this processor, oldest first:");
    for (uint32_t i = 0; i < EXIT_RING; i++) {
        size_t newest = (size_t)(cpu->ring_last - cpu->ring);
        const struct exit_record *record = &cpu->ring[(newest + 1 + i) % EXIT_RING];
        if (record->count == 0)
            continue;
        say_error("  %s (0x%x) at %016lx, detail %lx, %u times", backend->exit_name(record->reason),
                  record->reason, record->rip, record->detail, record->count);
    }
}

void vp_print(struct vp *vp)
{
    const struct vp_state *s = &vp->state;
    const uint64_t *r = s->gpr;
    say_error("VP %u of partition %lu:", vp->index, vp_partition_id(vp));
    say_error("  rip %016lx  rflags %016lx", s->rip, s->rflags);
    say_error("  rax %016lx  rcx %016lx  rdx %016lx  rbx %016lx", r[RAX], r[RCX], r[RDX], r[RBX]);
    say_error("  rsp %016lx  rbp %016lx  rsi %016lx  rdi %016lx", r[RSP], r[RBP], r[RSI], r[RDI]);
    say_error("  r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx", r[R8], r[R9], r[R10], r[R11]);
    say_error("  r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx", r[R12], r[R13], r[R14], r[R15]);
    say_error("  cr0 %016lx  cr3 %016lx  cr4 %016lx  efer %016lx", s->cr0, s->cr3, s->cr4, s->efer);
    say_error("  cr2 %016lx  cr8 %016lx  dr6 %016lx  dr7 %016lx", s->cr2, s->cr8, s->dr6, s->dr7);
    static const char *const names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    for (unsigned i = 0; i < SEG_COUNT; i++)
        say_error("  %-4s %04x  base %016lx  limit %08x  attributes %04x", names[i],
                  s->seg[i].selector, s->seg[i].base, s->seg[i].limit, s->seg[i].attributes);
    say_error("  gdtr %016lx/%04x  idtr %016lx/%04x", s->gdtr.base, s->gdtr.limit, s->idtr.base,
              s->idtr.limit);
}

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

    struct vp *vp = self->current;
    if (vp && vp->loaded && backend) {
        backend->save_shown(vp);
        backend->save_rest(vp);
        vp_print(vp);
        backend->dump(vp);
        print_ring(self);
    }
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
