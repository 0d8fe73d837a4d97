/* SPDX-License-Identifier: MIT */
/*
 * The main loop: what each processor does all day. It runs cpu->current, acts on its
 * exit, and serves what others have asked of its VPs meanwhile.
 */
#include "hv/run.h"

#include "hv/base/smp.h"
#include "hv/exits.h"
#include "hv/machine/apic.h"
#include "hv/model/dispatch.h"
#include "hv/model/fpu.h"
#include "hv/model/partition.h"
#include "hv/model/statepage.h"
#include "mm/tlb.h"

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

/* An NMI that was no kick is for this processor's VP of the first partition. */
static void take_guest_nmi(struct cpu *cpu)
{
    if (!cpu->guest_nmi)
        return;
    cpu->guest_nmi = false;
    __atomic_fetch_or(&first_partition->vps[cpu->index]->requests, REQUEST_NMI, __ATOMIC_SEQ_CST);
}

static void serve_first(struct cpu *cpu, struct vp *vp)
{
    do {
        cpu->kicked = 0;
        full_barrier();
        /* Both at once: an INIT that comes now is later than a start-up IPI that is here. */
        uint32_t taken = take_requests(vp, REQUEST_INIT | REQUEST_SIPI);
        if (taken & REQUEST_INIT)
            take_init(vp);
        if ((taken & REQUEST_SIPI) && vp->wait_for_sipi)
            start_up(vp);
        if (take_requests(vp, REQUEST_SUSPEND) && vp->explicit_suspend)
            park(cpu, vp);
        uint32_t waking = REQUEST_INIT | REQUEST_SIPI | REQUEST_SUSPEND; /* an NMI stays pending */
        if (vp->wait_for_sipi && !(vp->requests & waking))
            cpu_wait(cpu);
    } while (vp->wait_for_sipi);
    take_guest_nmi(cpu);
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
    vp_switch_in(cpu, first, rdtsc());
    cpu->guest_nmi = false; /* one that came before there was a guest is nobody's */
    cpu->kicked = 1;        /* a VP that waits for its start-up IPI does so in serve_requests */
    for (;;) {
        /* Whoever makes a request kicks; what stays pending is looked at after the next kick. */
        if (__builtin_expect(cpu->kicked, 0)) {
            cpu->kicked = 0;
            full_barrier();
            take_guest_nmi(cpu);
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
        if (tlb_enter(cpu, vp->slot, vp->id, &vp->partition->space))
            vp->flush = true;
        backend->run(vp, &cpu->exit);
        tlb_leave(cpu, vp->slot, vp->flush);
        handle_exit(cpu, vp);
    }
}
