/* SPDX-License-Identifier: MIT */
/*
 * Dispatching. Each processor runs one VP at a time, cpu->current. At the bottom
 * is the processor's VP of the first partition; a VP inside HvCallDispatchVp has
 * its child's VP above it, linked by vp->dispatcher, to any depth.
 */
#include "hv/model/dispatch.h"

#include "hv/base/panic.h"
#include "hv/base/smp.h"
#include "hv/model/fpu.h"
#include "hv/model/intercepts.h"
#include "hv/model/partition.h"
#include "hv/model/statepage.h"
#include "mm/copy_fast.h"

static bool anything_requested(const struct vp *vp)
{
    uint32_t requests = 0;
    for (; vp; vp = vp->dispatcher)
        requests |= vp->requests;
    return requests != 0;
}

bool lock_or_yield(const struct cpu *cpu)
{
    while (__atomic_exchange_n(&hv_lock.held, 1, __ATOMIC_ACQUIRE) != 0) {
        if (anything_requested(cpu->current))
            return false;
        cpu_relax();
    }
    return true;
}

void vp_request(struct vp *vp, uint32_t requests)
{
    __atomic_fetch_or(&vp->requests, requests, __ATOMIC_SEQ_CST);
    struct cpu *cpu = vp->cpu;
    if (cpu)
        cpu_kick(cpu);
}

void vp_stop_and_wait(struct vp *vp)
{
    vp_request(vp, vp->first ? REQUEST_SUSPEND : REQUEST_STOP);
    while (!vp_stopped(vp))
        cpu_relax();
    if (!vp->first)
        __atomic_fetch_and(&vp->requests, ~(uint32_t)REQUEST_STOP, __ATOMIC_SEQ_CST);
}

void vp_switch_in(struct cpu *cpu, struct vp *vp, uint64_t now)
{
    backend->switch_in(vp);
    fpu_restore(vp);
    cpu->loaded = vp;
    cpu->current = vp;
    vp->entered_tsc = now;
}

static void switch_from(struct vp *vp, uint64_t now)
{
    vp->runtime_tsc += now - vp->entered_tsc;
    fpu_save(vp);
    backend->switch_out(vp);
}

void begin_dispatch(struct cpu *cpu, struct vp *parent, struct vp *child, gpa_t output, bool code64)
{
    child->dispatch_output = output;
    child->dispatched_by_code64 = code64;
    /* What the guest has invalidated elsewhere since it was here last is still cached here. */
    if (child->last_cpu != cpu)
        child->flush = true;
    child->last_cpu = cpu;
    bool accepted = state_page_consume(child);
    uint64_t now = rdtsc();
    switch_from(parent, now);
    vp_switch_in(cpu, child, now);
    full_barrier(); /* child->cpu was set before: a request from now on kicks us */
    if (child->requests || child->triple_fault)
        cpu->kicked = 1;
    if (!accepted)
        intercept_invalid_registers(cpu, child);
}

void end_dispatch(struct cpu *cpu, uint32_t state, uint32_t event)
{
    struct vp *child = cpu->current, *parent = child->dispatcher;
    must(parent); /* the first partition does not exit for what ends here */
    gpa_t output = child->dispatch_output;
    bool code64 = child->dispatched_by_code64;
    uint64_t now = rdtsc();
    switch_from(child, now);
    state_page_publish(child, true);
    child->dispatcher = NULL;
    child->cpu = NULL;
    __atomic_store_n(&child->running, false, __ATOMIC_RELEASE); /* from here on it may be deleted */

    vp_switch_in(cpu, parent, now);
    /* It could be written when the call began; a parent that has since taken the page away has
       only itself to blame, and is told nothing. */
    union {
        struct hv_output_dispatch_vp fields;
        uint64_t word;
    } out = {{state, event}};
    guest_write_word(&parent->partition->space, output, out.word);
    parent->state.gpr[RAX] = HV_STATUS_SUCCESS;
    if (!code64)
        parent->state.gpr[RDX] = 0;
    vp_advance(parent, sizeof(backend->hypercall_instruction));
}
