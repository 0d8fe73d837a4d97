/* SPDX-License-Identifier: MIT */
/* What a panic and a first partition that shuts down print: registers, control block, exits. */
#include "hv/report.h"

#include "hv/base/console.h"
#include "hv/model/partition.h"

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
    say_error("VP %u of partition %lu:", vp->index, vp->partition->id);
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

void report_processor(struct cpu *self)
{
    struct vp *vp = self->current;
    if (!vp || !vp->loaded || !backend)
        return;
    backend->save_shown(vp);
    backend->save_rest(vp);
    vp_print(vp);
    backend->dump(vp);
    print_ring(self);
}
