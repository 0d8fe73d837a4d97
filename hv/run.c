/*
 * Running VPs. Each processor runs one VP at a time, cpu->current. At the bottom
 * is the processor's VP of the first partition; a VP inside HvCallDispatchVp has
 * its child's VP above it, linked by vp->dispatcher, to any depth.
 */
#include "hv/run.h"

#include "hv/apic.h"
#include "hv/arch.h"
#include "hv/exits.h"
#include "hv/fpu.h"
#include "hv/intercepts.h"
#include "hv/partition.h"
#include "hv/smp.h"
#include "hypercalls/hypercalls.h"
#include "mm/copy.h"
#include "mm/tlb.h"

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

static void switch_to(struct cpu *cpu, struct vp *vp, uint64_t now)
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
    bool accepted = state_page_consume(child);
    uint64_t now = rdtsc();
    switch_from(parent, now);
    switch_to(cpu, child, now);
    full_barrier(); /* child->cpu was set before: a request from now on kicks us */
    if (child->requests || child->triple_fault)
        cpu->kicked = 1;
    if (!accepted)
        intercept_invalid_registers(cpu, child);
}

void end_dispatch(struct cpu *cpu, uint32_t state, uint32_t event)
{
    struct vp *child = cpu->current, *parent = child->dispatcher;
    gpa_t output = child->dispatch_output;
    bool code64 = child->dispatched_by_code64;
    uint64_t now = rdtsc();
    switch_from(child, now);
    state_page_publish(child, true);
    child->dispatcher = NULL;
    child->cpu = NULL;
    __atomic_store_n(&child->running, false, __ATOMIC_RELEASE); /* from here on it may be deleted */

    switch_to(cpu, parent, now);
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

static void start_up(struct vp *vp)
{
    vp_touch(vp);
    uint8_t vector = vp->sipi_vector;
    vp->state.rip = 0;
    vp->state.seg[SEG_CS].selector = (uint16_t)(vector << 8);
    vp->state.seg[SEG_CS].base = (uint64_t)vector << 12;
    vp->wait_for_sipi = false;
}

static uint32_t take_requests(struct vp *vp, uint32_t which)
{
    return __atomic_fetch_and(&vp->requests, ~which, __ATOMIC_SEQ_CST) & which;
}

/* A VP of the first partition whose explicit-suspend register is set stays here while it is. */
static void park(struct cpu *cpu, struct vp *vp)
{
    vp_sync(vp);
    fpu_save(vp);
    state_page_publish(vp, true);
    __atomic_store_n(&vp->parked, true, __ATOMIC_SEQ_CST);
    for (;;) {
        cpu->kicked = 0;
        full_barrier();
        if (!vp->explicit_suspend) {
            /* Under the lock, so that nobody is looking at the registers of a parked VP. */
            lock(&hv_lock);
            bool run = !vp->explicit_suspend;
            if (run)
                vp->parked = false;
            unlock(&hv_lock);
            if (run && state_page_consume(vp))
                break;
            if (run) { /* refused: it stays where it was, and stays suspended */
                vp->explicit_suspend = true;
                state_page_publish(vp, false);
                __atomic_store_n(&vp->parked, true, __ATOMIC_SEQ_CST);
            }
            continue;
        }
        cpu_wait(cpu);
    }
    fpu_restore(vp);
}

/* INIT (SDM 10.1): registers as after reset, and wait for the start-up IPI. */
static void take_init(struct vp *vp)
{
    vp_reset_state(vp);
    vp->wait_for_sipi = true;
    apic_reset_here(vp);
}

static void queue_nmi(struct vp *vp)
{
    vp_sync(vp);
    struct vp_state *s = &vp->state;
    if (s->event.valid || s->nmi_masked || s->interrupt_shadow) {
        __atomic_fetch_or(&vp->requests, REQUEST_NMI, __ATOMIC_SEQ_CST);
        vp->want_nmi_window = true;
        return;
    }
    vp->want_nmi_window = false;
    s->event = (struct event){.valid = true, .type = EVENT_NMI, .vector = VECTOR_NMI};
}

static void serve_first(struct cpu *cpu, struct vp *vp)
{
    do {
        cpu->kicked = 0;
        full_barrier();
        if (take_requests(vp, REQUEST_INIT))
            take_init(vp);
        if (take_requests(vp, REQUEST_SIPI) && vp->wait_for_sipi)
            start_up(vp);
        if (take_requests(vp, REQUEST_SUSPEND) && vp->explicit_suspend)
            park(cpu, vp);
        uint32_t waking = REQUEST_INIT | REQUEST_SIPI | REQUEST_SUSPEND; /* an NMI stays pending */
        if (vp->wait_for_sipi && !(vp->requests & waking))
            cpu_wait(cpu);
    } while (vp->wait_for_sipi);
    if (take_requests(vp, REQUEST_NMI))
        queue_nmi(vp);
}

/*
 * Acts on what was asked of the VPs of this processor's stack. The lowest one
 * that must stop, or that has to do something itself, ends every dispatch above
 * it. False when cpu->current has changed: go round again.
 */
static bool serve_requests(struct cpu *cpu)
{
    struct vp *vp = cpu->current;
    for (struct vp *below = vp->dispatcher; below; below = below->dispatcher) {
        if (below->requests & ~(uint32_t)REQUEST_INTERCEPTS) {
            end_dispatch(cpu, HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_NONE);
            return false;
        }
    }
    if (vp->first) {
        if (vp->triple_fault)
            triple_fault(cpu, vp);
        if (vp->requests & ~(uint32_t)(vp->want_nmi_window ? REQUEST_NMI : 0))
            serve_first(cpu, vp);
        return true;
    }
    if (vp->triple_fault) {
        triple_fault(cpu, vp);
        return false;
    }
    if (take_requests(vp, REQUEST_STOP)) {
        end_dispatch(cpu, HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_NONE);
        return false;
    }
    if (take_requests(vp, REQUEST_SUSPEND) && vp->explicit_suspend) {
        end_dispatch(cpu, HV_DISPATCH_STATE_BLOCKED, HV_DISPATCH_EVENT_SUSPEND);
        return false;
    }
    if (take_requests(vp, REQUEST_INTERCEPTS))
        backend->update_intercepts(vp);
    return true;
}

_Noreturn void run_loop(struct cpu *cpu)
{
    struct vp *first = first_partition->vps[cpu->index];
    first->cpu = cpu;
    first->running = true;
    fpu_enable();
    switch_to(cpu, first, rdtsc());
    cpu->kicked = 1; /* a VP that waits for its start-up IPI does so in serve_requests */
    for (;;) {
        /* Whoever makes a request kicks; what stays pending is looked at after the next kick. */
        if (__builtin_expect(cpu->kicked, 0)) {
            cpu->kicked = 0;
            full_barrier();
            if (!serve_requests(cpu)) {
                cpu->kicked = 1;
                continue;
            }
        }
        struct vp *vp = cpu->current;
        if (__builtin_expect(vp->touched, 0)) {
            backend->load(vp);
            vp->touched = false;
        }
        vp->exact = EXACT_HOT;
        tlb_enter(cpu, vp);
        backend->run(vp, &cpu->exit);
        tlb_leave(cpu, vp);
        handle_exit(cpu, vp);
    }
}
