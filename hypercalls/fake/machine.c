/* SPDX-License-Identifier: MIT */
/* A small machine for tests: see hypercalls/fake/machine.h. */
#define _GNU_SOURCE
#include "hypercalls/fake/machine.h"

#include <asm/prctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hv/base/time.h"
#include "hv/exits.h"
#include "hv/machine/apic.h"
#include "hv/machine/machine.h"
#include "hv/model/dispatch.h"
#include "hv/model/fpu.h"
#include "hv/model/intercepts.h"
#include "hv/model/rules.h"
#include "hv/model/segment.h"
#include "hv/model/statepage.h"
#include "hv/msr.h"
#include "hypercalls/hypercalls.h"
#include "mm/tlb.h"

#define TLB_ENTRIES 16

struct fake_mode fake_mode;
struct cpu *cpus[MAX_CPUS];
uint32_t cpu_count;
struct spinlock hv_lock;

static struct cpu storage[FAKE_CPUS];
static struct vp first_vps[FAKE_CPUS];
static struct frame frames[FAKE_FRAMES];
static uint8_t xsave_areas[FAKE_CPUS][4 * PAGE_SIZE] __attribute__((aligned(64)));

/* What a processor may still translate by; one set for each context slot. */
static struct translation {
    bool valid;
    gpn_t gpn;
    spn_t spn;
    uint8_t prot;
} tlb[FAKE_CPUS][SLOT_COUNT][TLB_ENTRIES];
static unsigned tlb_next;

/* ---- the backend ---- */

static void vp_nothing(struct vp *vp)
{
}

static bool in_kernel64(struct vp *vp)
{
    return fake_mode.code64 && fake_mode.cpl == 0;
}

static uint64_t guest_cr4(struct vp *vp)
{
    return vp->state.cr4;
}

static struct backend fake_backend = {
    .name = "fake",
    .hypercall_instruction = {0x0F, 0x01, 0xC1},
    .vp_init = vp_nothing,
    .switch_in = vp_nothing,
    .switch_out = vp_nothing,
    .save_shown = vp_nothing,
    .save_rest = vp_nothing,
    .load = vp_nothing,
    .in_kernel64 = in_kernel64,
    .guest_cr4 = guest_cr4,
    .update_intercepts = vp_nothing,
};
const struct backend *backend = &fake_backend;
struct backend_features backend_features;

/* ---- processors ---- */

static void become(struct cpu *cpu)
{
    syscall(SYS_arch_prctl, ARCH_SET_GS, cpu);
}

static void leave_guest(struct cpu *cpu)
{
    if (cpu->running)
        tlb_leave(cpu, cpu->current->slot, cpu->current->flush);
    cpu->current->exact = EXACT_HOT;
}

static void enter_guest(struct cpu *cpu)
{
    struct vp *vp = cpu->current;
    if (vp->parked)
        return;
    vp->touched = false;
    if (tlb_enter(cpu, vp->slot, vp->id, &vp->partition->space) || vp->flush)
        memset(tlb[cpu->index][vp->slot], 0, sizeof(tlb[cpu->index][vp->slot]));
    vp->flush = false;
}

static void publish_parked(struct vp *vp)
{
    state_page_publish(vp, false);
    vp->parked = true;
}

static void take_suspend(struct vp *vp)
{
    __atomic_fetch_and(&vp->requests, ~(uint32_t)REQUEST_SUSPEND, __ATOMIC_SEQ_CST);
    if (vp->explicit_suspend && !vp->parked)
        publish_parked(vp);
}

/* The lowest VP of the stack that has to do something itself, or NULL. */
static struct vp *wanted(const struct cpu *cpu)
{
    struct vp *found = NULL;
    for (struct vp *vp = cpu->current; vp; vp = vp->dispatcher)
        if ((vp->requests & ~(uint32_t)REQUEST_INTERCEPTS) || vp->triple_fault)
            found = vp;
    return found;
}

/* What the main loop of hv/run.c does about requests, on the processor in GS. */
static void serve(struct cpu *cpu)
{
    cpu->kicked = 0;
    for (struct vp *vp; (vp = wanted(cpu)) != NULL;) {
        if (vp != cpu->current) {
            end_dispatch(cpu, HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_NONE);
        } else if (vp->triple_fault) {
            triple_fault(cpu, vp);
        } else if (vp->first) {
            take_suspend(vp);
        } else if (vp->requests & REQUEST_STOP) {
            vp->requests &= ~(uint32_t)REQUEST_STOP;
            end_dispatch(cpu, HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_NONE);
        } else {
            vp->requests &= ~(uint32_t)REQUEST_SUSPEND;
            if (vp->explicit_suspend)
                end_dispatch(cpu, HV_DISPATCH_STATE_BLOCKED, HV_DISPATCH_EVENT_SUSPEND);
        }
    }
}

void cpu_kick(struct cpu *cpu)
{
    cpu->kicked = 1;
    struct cpu *here = this_cpu();
    if (cpu == here)
        return;
    become(cpu);
    leave_guest(cpu);
    serve(cpu);
    enter_guest(cpu);
    become(here);
}

bool fake_on_cpu(unsigned index)
{
    struct cpu *cpu = cpus[index];
    struct vp *vp = cpu->current;
    become(cpu);
    if (!vp->parked)
        return true;
    if (vp->explicit_suspend)
        return false;
    vp->parked = false;
    if (state_page_consume(vp)) {
        enter_guest(cpu);
        return true;
    }
    vp->explicit_suspend = true;
    publish_parked(vp);
    return false;
}

struct vp *fake_vp(void)
{
    return this_cpu()->current;
}

/* ---- what the rest of the hypervisor would be ---- */

uint64_t tsc_frequency = 1000000000, tsc_per_50us = UINT64_MAX / 2;
uint64_t apic_frequency = 1000000000, reference_scale = 1;

uint64_t tsc_to_100ns(uint64_t tsc)
{
    return tsc / 100;
}

void apic_reset_here(struct vp *vp)
{
}

void cpu_wait(struct cpu *cpu)
{
    panic("the main loop does not run here");
}

void handle_exit(struct cpu *cpu, struct vp *vp)
{
    panic("the main loop does not run here");
}

void triple_fault(struct cpu *cpu, struct vp *vp)
{
    vp->triple_fault = false; /* of the first partition: the machine would be reset */
    if (!vp->first)
        intercept_plain(cpu, vp, HV_MESSAGE_UNRECOVERABLE_EXCEPTION);
}

bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
    return false;
}

bool apic_synthetic_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    return false;
}

enum msr_result apic_synthetic_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    return MSR_FAULT;
}

enum msr_result apic_write_base(struct vp *vp, uint32_t msr, uint64_t value)
{
    return MSR_FAULT;
}

enum msr_result apic_write_x2apic_icr(struct vp *vp, uint32_t msr, uint64_t value)
{
    return MSR_FAULT;
}

void machine_reset(void)
{
    panic("a guest reset the machine");
}

/* ---- starting ---- */

static void fresh_ram(void)
{
    static bool mapped;
    size_t size = FAKE_FRAMES * PAGE_SIZE;
    if (mapped) {
        madvise(phys_ptr(0), size, MADV_DONTNEED);
        return;
    }
    mapped = true;
    if (mmap(phys_ptr(0), size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != phys_ptr(0))
        abort();
}

static void start_vp(struct partition *p, unsigned index)
{
    struct vp *vp = &first_vps[index];
    memset(vp, 0, sizeof(*vp));
    vp->id = index + 1;
    vp->partition = p;
    vp->index = index;
    vp->first = true;
    vp->slot = SLOT_FIRST;
    vp->xsave = xsave_areas[index];
    vp->loaded = true;
    vp->running = true;
    vp->cpu = cpus[index];
    fpu_reset(vp);
    vp_reset_state(vp);
    p->vps[index] = vp;
    p->vp_count++;
    cpus[index]->current = cpus[index]->loaded = vp;
}

static void map_first(struct space *space)
{
    static const struct {
        gpn_t start, end;
        uint8_t type;
    } parts[] = {{0, FAKE_HV, MEMORY_WB},
                 {FAKE_RAM_HIGH, FAKE_FRAMES, MEMORY_WB},
                 {FAKE_FRAMES, FAKE_DEVICE_END, MEMORY_UC}};
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
        slpt_map(space, parts[i].start, parts[i].start, parts[i].end - parts[i].start, MAP_ALL,
                 parts[i].type, 2);
}

void fake_start(const struct slpt_format *format, uint64_t privileges)
{
    fresh_ram();
    if (xsave_first_size == 0)
        fpu_init(); /* once: CPUID is slow on a virtual build machine */
    memset(frames, 0, sizeof(frames));
    memset(storage, 0, sizeof(storage));
    memset(tlb, 0, sizeof(tlb));
    frame_table_init(frames, FAKE_FRAMES);
    frame_set_range(0, FAKE_FRAMES, FRAME_RAM, OWNER_FIRST);
    frame_set_range(FAKE_HV, FAKE_RAM_HIGH - FAKE_HV, FRAME_HV, OWNER_HYPERVISOR);
    fake_mode = (struct fake_mode){.protected_mode = true, .code64 = true};
    fake_backend.format = format;
    backend_features = (struct backend_features){.max_level = 1, .accessed_dirty = true};
    slpt_accessed_dirty = true;
    entry_limits = (struct entry_limits){UINT64_MAX, UINT64_MAX, UINT64_MAX};
    overlay_window_base = FAKE_WINDOW;
    pool_fail_after = -1;
    tsc_per_50us = UINT64_MAX / 2;
    hv_lock.held = 0;

    cpu_count = FAKE_CPUS;
    for (unsigned i = 0; i < FAKE_CPUS; i++) {
        storage[i].self = &storage[i];
        storage[i].index = storage[i].apic_id = i;
        storage[i].online = true;
        cpus[i] = &storage[i];
    }
    become(cpus[0]);
    if (first_partition)
        memset(first_partition, 0, sizeof(*first_partition));
    struct partition *p =
        partition_create_first(privileges, FAKE_POOL, FAKE_RAM_HIGH - FAKE_POOL, FAKE_GPA_BITS);
    map_first(&p->space);
    p->guest_os_id = 1;
    for (unsigned i = 0; i < FAKE_CPUS; i++)
        start_vp(p, i);
    for (unsigned i = 0; i < FAKE_CPUS; i++)
        enter_guest(cpus[i]);
}

/* ---- guests ---- */

static const struct space *space_here(void)
{
    return &fake_vp()->partition->space;
}

void *fake_page(gpn_t gpn)
{
    struct mapping m = slpt_lookup(space_here(), gpn);
    if (!m.present || !(m.prot & MAP_READ) || frame_type_of(m.spn) == FRAME_DEVICE)
        return NULL;
    return page_ptr(m.spn);
}

void fake_touch(gpn_t gpn)
{
    struct cpu *cpu = this_cpu();
    struct mapping m = slpt_lookup(space_here(), gpn);
    if (m.present && !cpu->current->parked)
        tlb[cpu->index][cpu->current->slot][tlb_next++ % TLB_ENTRIES] =
            (struct translation){true, gpn, m.spn, m.prot};
}

bool fake_remembers(gpn_t gpn)
{
    const struct translation *t = tlb[this_cpu()->index][fake_vp()->slot];
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        if (t[i].valid && t[i].gpn == gpn)
            return true;
    return false;
}

void fake_check_tlb(unsigned cpu)
{
    const struct vp *vp = cpus[cpu]->current;
    if (cpus[cpu]->running == 0)
        return;
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        const struct translation *t = &tlb[cpu][vp->slot][i];
        if (!t->valid)
            continue;
        struct mapping m = slpt_lookup(&vp->partition->space, t->gpn);
        must(m.present && m.spn == t->spn && (t->prot & ~m.prot) == 0);
    }
}

/* What tells how a VP executes. */
struct mode_bits {
    uint64_t cr0, efer;
    uint32_t cs, ss; /* no padding: compared as a whole */
};

static struct mode_bits mode_bits_of(const struct vp_state *s)
{
    return (struct mode_bits){s->cr0, s->efer, s->seg[SEG_CS].attributes,
                              s->seg[SEG_SS].attributes};
}

static void set_mode_bits(struct vp_state *s, const struct mode_bits *bits)
{
    s->cr0 = bits->cr0;
    s->efer = bits->efer;
    s->seg[SEG_CS].attributes = (uint16_t)bits->cs;
    s->seg[SEG_SS].attributes = (uint16_t)bits->ss;
}

/* The VP executes as fake_mode says, until its call is over. Returns what it was before. */
static struct mode_bits enter_fake_mode(struct vp_state *s)
{
    struct mode_bits before = mode_bits_of(s), now = before;
    now.cr0 = (now.cr0 & ~(uint64_t)CR0_PE) | (fake_mode.protected_mode ? CR0_PE : 0);
    now.efer = (now.efer & ~(uint64_t)EFER_LMA) | (fake_mode.code64 ? EFER_LMA : 0);
    now.cs = (now.cs & ~(uint32_t)SEGMENT_LONG) | (fake_mode.code64 ? SEGMENT_LONG : 0);
    now.ss = (now.ss & ~(uint32_t)SEGMENT_DPL) | (uint32_t)fake_mode.cpl << SEGMENT_DPL_SHIFT;
    set_mode_bits(s, &now);
    return before;
}

bool fake_instruction(void)
{
    struct cpu *cpu = this_cpu();
    struct vp *vp = cpu->current;
    uint64_t rip = vp->state.rip;
    struct vp_state before = vp->state;
    leave_guest(cpu);
    struct mode_bits mode = enter_fake_mode(&vp->state), fake = mode_bits_of(&vp->state);
    cpu->exit.insn_length = sizeof(backend->hypercall_instruction);
    hypercall(cpu, vp);
    struct mode_bits after = mode_bits_of(&vp->state);
    if (memcmp(&after, &fake, sizeof(after)) == 0)
        set_mode_bits(&vp->state, &mode);
    bool switched = cpu->current != vp;
    bool done = vp->state.rip != rip;
    bool sets = (uint16_t)before.gpr[fake_mode.code64 ? RCX : RAX] == HVCALL_SET_VP_REGISTERS;
    for (unsigned i = 0; i < GPR_COUNT && !switched && !sets; i++)
        must(i == RAX || (i == RDX && !fake_mode.code64) || (i == RCX && !done) ||
             vp->state.gpr[i] == before.gpr[i]);
    serve(cpu);
    enter_guest(cpu);
    return done || switched;
}

uint64_t fake_call(uint64_t control, uint64_t input, uint64_t output)
{
    struct vp *vp = fake_vp();
    vp->state.gpr[RCX] = control;
    vp->state.gpr[RDX] = input;
    vp->state.gpr[R8] = output;
    vp->state.gpr[RAX] = 0xDEAD;
    while (!fake_instruction() && !vp->state.event.valid && fake_vp() == vp)
        ;
    fake_check();
    return vp->state.gpr[RAX];
}

void fake_exit(enum fake_exit kind, gpa_t gpa)
{
    struct cpu *cpu = this_cpu();
    struct vp *vp = cpu->current;
    if (!vp->dispatcher)
        return;
    leave_guest(cpu);
    cpu->exit = (struct exit){.insn_length = 2,
                              .access = ACCESS_WRITE,
                              .io_size = 1,
                              .port = 0x3F8,
                              .gpa = gpa,
                              .gva = gpa,
                              .gva_valid = true};
    switch (kind) {
    case FAKE_EXIT_IO:
        intercept_io(cpu, vp);
        break;
    case FAKE_EXIT_MEMORY:
        intercept_memory(cpu, vp);
        break;
    case FAKE_EXIT_HALT:
        intercept_plain(cpu, vp, HV_MESSAGE_HALT);
        break;
    default:
        end_dispatch(cpu, HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_NONE);
        break;
    }
    serve(cpu);
    enter_guest(cpu);
    fake_check();
}

bool fake_write_msr(uint32_t msr, uint64_t value)
{
    struct cpu *cpu = this_cpu();
    leave_guest(cpu);
    bool taken = msr_write(cpu->current, msr, value) == MSR_DONE;
    serve(cpu);
    enter_guest(cpu);
    fake_check();
    return taken;
}
