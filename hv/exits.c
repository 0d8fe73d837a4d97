/* SPDX-License-Identifier: MIT */
/* What happens after an exit. */
#include "hv/exits.h"

#include "hv/base/console.h"
#include "hv/base/panic.h"
#include "hv/machine/apic.h"
#include "hv/machine/device.h"
#include "hv/machine/machine.h"
#include "hv/model/dispatch.h"
#include "hv/model/fpu.h"
#include "hv/model/intercepts.h"
#include "hv/model/partition.h"
#include "hv/model/segment.h"
#include "hv/msr.h"
#include "hv/report.h"
#include "hv/synthetic/cpuid.h"
#include "hypercalls/hypercalls.h"

static void inject_gp(struct vp *vp)
{
    vp_inject_exception(vp, VECTOR_GP, true, 0);
}

static void on_cpuid(struct cpu *cpu, struct vp *vp)
{
    uint64_t *gpr = vp->state.gpr;
    uint32_t leaf = (uint32_t)gpr[RAX];
    struct cpuid_regs r;
    cpuid_for(vp, leaf, (uint32_t)gpr[RCX], &r);
    if (vp->partition->intercept_count != 0 &&
        intercept_installed(vp->partition, HV_INTERCEPT_CPUID, leaf, 4)) {
        intercept_cpuid(cpu, vp, &r);
        return;
    }
    gpr[RAX] = r.eax;
    gpr[RBX] = r.ebx;
    gpr[RCX] = r.ecx;
    gpr[RDX] = r.edx;
    vp_advance(vp, cpu->exit.insn_length);
}

/* Tells the parent if it has asked for the MSR; write: the instruction is WRMSR. */
static bool msr_is_intercepted(struct cpu *cpu, struct vp *vp, uint32_t msr, bool write)
{
    if (!vp->partition->intercepts_msrs ||
        !intercept_installed(vp->partition, HV_INTERCEPT_MSR, msr, write ? 2 : 1))
        return false;
    intercept_msr(cpu, vp, write);
    return true;
}

static void on_rdmsr(struct cpu *cpu, struct vp *vp)
{
    uint64_t *gpr = vp->state.gpr;
    uint32_t msr = (uint32_t)gpr[RCX];
    if (msr_is_intercepted(cpu, vp, msr, false))
        return;
    uint64_t value;
    if (!msr_read(vp, msr, &value)) {
        inject_gp(vp);
        return;
    }
    gpr[RAX] = (uint32_t)value;
    gpr[RDX] = value >> 32;
    vp_advance(vp, cpu->exit.insn_length);
}

static void on_wrmsr(struct cpu *cpu, struct vp *vp)
{
    const uint64_t *gpr = vp->state.gpr;
    uint32_t msr = (uint32_t)gpr[RCX];
    if (msr_is_intercepted(cpu, vp, msr, true))
        return;
    enum msr_result result = msr_write(vp, msr, gpr[RDX] << 32 | (uint32_t)gpr[RAX]);
    if (result == MSR_FAULT)
        inject_gp(vp);
    else if (result == MSR_DONE)
        vp_advance(vp, cpu->exit.insn_length);
}

static void on_memory(struct cpu *cpu, struct vp *vp)
{
    const struct exit *e = &cpu->exit;
    gpn_t gpn = e->gpa >> PAGE_SHIFT;
    if (vp->first) {
        if (gpn == APIC_PAGE_GPN && apic_page_access(vp, e->gpa))
            return;
        if (gpn != APIC_PAGE_GPN && device_map(e->gpa))
            return;
        if (gpn != APIC_PAGE_GPN) {
            vp_sync(vp);
            static const char *const words[] = {"read", "write to", "execution of"};
            say_warn_of_guest("VP %u: %s GPA %lx at rip %lx: not the partition's own: #GP",
                              vp->index, words[e->access], e->gpa, vp->state.rip);
        }
        inject_gp(vp);
        return;
    }
    if (e->access == ACCESS_WRITE && vp->partition->hypercall_page.space &&
        vp->partition->hypercall_page.gpn == gpn) {
        inject_gp(vp);
        return;
    }
    intercept_memory(cpu, vp);
}

static void on_xsetbv(struct cpu *cpu, struct vp *vp)
{
    uint64_t value = vp->state.gpr[RDX] << 32 | (uint32_t)vp->state.gpr[RAX];
    uint64_t features = vp->first ? xsave_features_first : xsave_features_child;
    if (!(backend->guest_cr4(vp) & CR4_OSXSAVE)) {
        vp_inject_exception(vp, VECTOR_UD, false, 0);
        return;
    }
    vp_show(vp);
    if (cpl_of(&vp->state) != 0 || (uint32_t)vp->state.gpr[RCX] != 0 ||
        !xcr0_valid(value, features) || !xsetbv_safe(value)) {
        inject_gp(vp);
        return;
    }
    vp_advance(vp, cpu->exit.insn_length);
}

/* A real processor would shut down, and most boards then reset. */
void triple_fault(struct cpu *cpu, struct vp *vp)
{
    vp->triple_fault = false;
    vp->state.event.valid = false;
    if (!vp->first) {
        intercept_plain(cpu, vp, HV_MESSAGE_UNRECOVERABLE_EXCEPTION);
        return;
    }
    vp_sync(vp);
    say_error("the first partition's VP %u shut down (triple fault); resetting the machine",
              vp->index);
    vp_print(vp);
    machine_reset();
}

static void on_entry_failed(struct cpu *cpu, struct vp *vp)
{
    if (vp->first)
        panic("the processor refused to enter VP %u of the first partition: %s", vp->index,
              backend->exit_name(cpu->exit.reason));
    if (worth_a_line(&vp->partition->lines))
        say_warn("the processor refused to enter VP %u of partition %lu: %s", vp->index,
                 vp->partition->id, backend->exit_name(cpu->exit.reason));
    if (log_level >= LOG_DEBUG)
        backend->dump(vp);
    vp->state.event.valid = false;
    vp_touch(vp); /* write everything again before the next try */
    intercept_invalid_registers(cpu, vp);
}

/* A physical interrupt waits for the first partition: back to it, through every dispatch. */
static void on_interrupt(struct cpu *cpu, struct vp *vp)
{
    do /* it would end each dispatch below in its turn, before a single instruction */
        end_dispatch(cpu, HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_NONE);
    while (!cpu->current->first);
}

static void on_wbinvd(struct cpu *cpu, struct vp *vp)
{
    if (vp->first)
        __asm__ volatile("wbinvd" : : : "memory");
    vp_advance(vp, cpu->exit.insn_length);
}

static void on_hlt(struct cpu *cpu, struct vp *vp)
{
    intercept_plain(cpu, vp, HV_MESSAGE_HALT);
}

static void on_nmi_window(struct cpu *cpu, struct vp *vp)
{
    vp->want_nmi_window = false;
    cpu->kicked = 1; /* the NMI is still in vp->requests */
}

static void on_undefined(struct cpu *cpu, struct vp *vp)
{
    vp_inject_exception(vp, VECTOR_UD, false, 0);
}

static void on_gp(struct cpu *cpu, struct vp *vp)
{
    inject_gp(vp);
}

/* An NMI: the host's handler has seen it. An interrupt window: it is open, nobody waits for it. */
static void nothing(struct cpu *cpu, struct vp *vp)
{
}

static void unexpected(struct cpu *cpu, struct vp *vp)
{
    panic("unexpected exit: %s (0x%x, detail %lx)", backend->exit_name(cpu->exit.reason),
          cpu->exit.reason, cpu->exit.detail);
}

/* A tail call each: handle_exit saves no register for them. */
static void (*const handlers[EXIT_KIND_COUNT])(struct cpu *cpu, struct vp *vp) = {
    [EXIT_NOTHING] = nothing,
    [EXIT_INTERRUPT] = on_interrupt,
    [EXIT_NMI] = nothing,
    [EXIT_HYPERCALL] = hypercall,
    [EXIT_CPUID] = on_cpuid,
    [EXIT_RDMSR] = on_rdmsr,
    [EXIT_WRMSR] = on_wrmsr,
    [EXIT_IO] = intercept_io,
    [EXIT_MEMORY] = on_memory,
    [EXIT_HLT] = on_hlt,
    [EXIT_EXCEPTION] = intercept_exception,
    [EXIT_TRIPLE_FAULT] = triple_fault,
    [EXIT_XSETBV] = on_xsetbv,
    [EXIT_UNDEFINED] = on_undefined,
    [EXIT_WBINVD] = on_wbinvd,
    [EXIT_INTERRUPT_WINDOW] = nothing,
    [EXIT_NMI_WINDOW] = on_nmi_window,
    [EXIT_GP] = on_gp,
    [EXIT_ENTRY_FAILED] = on_entry_failed,
    [EXIT_UNEXPECTED] = unexpected,
};

void handle_exit(struct cpu *cpu, struct vp *vp)
{
    struct exit_record *last = cpu->ring_last;
    unsigned kind = cpu->exit.kind;
    cpu->exit_counts[kind]++;
    if (kind == EXIT_NOTHING)
        return;
    /* For the diagnosis: the same exit at the same place, again and again, takes one record. */
    if (last->rip != vp->state.rip || last->reason != cpu->exit.reason) {
        if (++last == cpu->ring + EXIT_RING)
            last = cpu->ring;
        *last = (struct exit_record){vp->state.rip, cpu->exit.detail, cpu->exit.reason, 0};
        cpu->ring_last = last;
    }
    last->count++;
    handlers[kind](cpu, vp);
}
