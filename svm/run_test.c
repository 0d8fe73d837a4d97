/* SPDX-License-Identifier: MIT */
/*
 * Entries and exits against a scripted processor: flushes, events, interrupt
 * shadows, windows, the end of an NMI, what is made of a refused entry.
 */
/* unit: svm/run.c svm/event.c svm/control.c svm/state.c hv/model/vp.c */
/* unit: hv/model/rules.c hv/model/events.c hv/base/features.c */
#define _GNU_SOURCE /* REG_RIP */
#include "unit.h"

#include <signal.h>
#include <ucontext.h>

#include "svm/svm.h"

#include "hv/base/apic.h"
#include "hv/model/msr.h"
#include "hv/model/partition.h"
#include "hv/model/segment.h"

#define VMCB_SPA 0x1000UL

struct svm_features svm_features;
static struct partition partition;
static struct vp *vp;
static struct vmcb *vmcb;
static struct exit last;

/* What the processor was given, and what it does. */
static struct {
    unsigned entries;
    uint64_t rip, rflags, event;
    uint8_t tlb_control;
    uint32_t exceptions;
    uint64_t shadow;
} entered;
static void (*processor)(struct vmcb *);
static bool kicked;

void svm_world_switch(struct vp *entering, struct exit *exit, spa_t spa)
{
    if (kicked) {
        svm_not_entered(entering, exit);
        return;
    }
    assert_ptr_equal(entering, vp);
    assert_int_equal(spa, VMCB_SPA);
    entered.entries++;
    entered.rip = vmcb->save.rip;
    entered.rflags = vmcb->save.rflags;
    entered.event = vmcb->event_injection;
    entered.exceptions = vmcb->intercept_exceptions;
    entered.tlb_control = vmcb->tlb_control;
    entered.shadow = vmcb->interrupt_shadow;
    vmcb->exit_int_info = 0;
    processor(vmcb);
    svm_exited(entering, exit);
}

const struct msr_policy msrs_of_first, msrs_of_child;
void msr_fill_map(uint8_t *map, size_t size, int all, const struct msr_policy *policy,
                  msr_map_set *set)
{
}

spa_t image_phys(const void *p)
{
    return (uintptr_t)p & 0xFFFFF000;
}

bool apic_interrupt_waits(void)
{
    return false;
}

static void hypercalls(struct vmcb *v)
{
    v->exit_code = SVM_EXIT_VMMCALL;
}

static void steps(struct vmcb *v)
{
    v->save.rip += 2;
    v->save.rflags = RFLAGS_FIXED; /* from the stack */
    v->save.dr6 |= BIT(14);
    v->exit_code = SVM_EXIT_EXCEPTION + VECTOR_DB;
}

static void reaches_iret(struct vmcb *v)
{
    v->exit_code = SVM_EXIT_IRET;
}

static void refuses(struct vmcb *v)
{
    v->exit_code = SVM_EXIT_INVALID; /* the high half as in software emulation: 0 */
    v->save.rip = 0xBAD;
    v->save.cr3 = svm_features.host_cr3 = 0xBAD;
    v->save.rax = 0xBAD;
}

static void enter(void (*does)(struct vmcb *))
{
    processor = does;
    entered.entries = 0;
    svm_run(vp, &last);
}

/* Moves to and from control registers do nothing here: 0F 20 and 0F 22, maybe behind a prefix. */
static void step_over_control_register(int number, siginfo_t *info, void *context)
{
    (void)info;
    greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    const uint8_t *code = (const uint8_t *)*rip;
    unsigned prefix = (code[0] & 0xF0) == 0x40;
    if (code[prefix] == 0x0F && (code[prefix + 1] == 0x20 || code[prefix + 1] == 0x22))
        *rip += prefix + 3;
    else
        signal(number, SIG_DFL);
}

static void allow_control_registers(void)
{
    struct sigaction action = {.sa_sigaction = step_over_control_register, .sa_flags = SA_SIGINFO};
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

static void load(void)
{
    allow_control_registers();
    svm_load(vp);
}

static int set_up(void **state)
{
    unit_ram(16);
    memset(phys_ptr(VMCB_SPA), 0, PAGE_SIZE);
    free(vp);
    vp = calloc(1, sizeof(*vp));
    vp->partition = &partition;
    vp->control_spa = VMCB_SPA;
    vp->slot = SLOT_CHILD;
    vp->loaded = true;
    vmcb = vmcb_of(vp);
    svm_features = (struct svm_features){.flush_command = TLB_FLUSH_ASID};
    memset(&entered, 0, sizeof(entered));
    kicked = false;
    svm_vp_init(vp);
    vp->state.seg[SEG_CS].attributes = 0x9B;
    vp->state.seg[SEG_SS].attributes = 0x93;
    vp->state.rip = 0x1000;
    vp->state.rflags = RFLAGS_FIXED;
    load();
    return 0;
}

static void flushes_once(void **state)
{
    vp->flush = true;
    kicked = true;
    enter(hypercalls);
    assert_int_equal(last.kind, EXIT_NOTHING);
    assert_true(vp->flush); /* it has not happened yet */
    kicked = false;
    enter(hypercalls);
    assert_int_equal(entered.tlb_control, TLB_FLUSH_ASID);
    assert_false(vp->flush);
    enter(hypercalls);
    assert_int_equal(entered.tlb_control, TLB_KEEP);
    svm_features.flush_command = TLB_FLUSH_ALL;
    vp->flush = true;
    enter(refuses);
    assert_int_equal(entered.tlb_control, TLB_FLUSH_ALL);
    assert_true(vp->flush);
}

static void clean_bits_follow_changes(void **state)
{
    assert_int_equal(vmcb->clean, 0);
    enter(hypercalls);
    assert_int_equal(vmcb->clean, CLEAN_ALL);
    vp->exception_bitmap = BIT(VECTOR_DB);
    svm_update_intercepts(vp);
    assert_int_equal(vmcb->clean & CLEAN_INTERCEPTS, 0);
    assert_int_equal(vmcb->clean & CLEAN_NESTED, CLEAN_NESTED);
    vmcb->clean = CLEAN_ALL;
    load();
    assert_int_equal(vmcb->clean & (CLEAN_CR | CLEAN_DR | CLEAN_TABLES | CLEAN_SEGMENTS |
                                    CLEAN_CR2 | CLEAN_NESTED | CLEAN_INTERRUPT),
                     0);
    allow_control_registers();
    svm_switch_in(vp);
    assert_int_equal(vmcb->clean, 0);
}

static void lengths(void **state)
{
    enter(hypercalls);
    assert_int_equal(last.kind, EXIT_HYPERCALL);
    assert_int_equal(last.insn_length, 3); /* no next RIP: as it is encoded */
    vmcb->next_rip = 0x1004;
    enter(hypercalls);
    assert_int_equal(last.insn_length, 4);
    vmcb->next_rip = 0x1010; /* longer than any instruction */
    enter(hypercalls);
    assert_int_equal(last.insn_length, 3);
}

static void shadow_ends_with_its_instruction(void **state)
{
    enter(hypercalls);
    vmcb->interrupt_shadow = SHADOW_ACTIVE;
    enter(hypercalls);
    assert_int_equal(entered.shadow, SHADOW_ACTIVE);
    svm_save_shown(vp);
    svm_save_rest(vp);
    assert_true(vp->state.interrupt_shadow);
    vp->state.rip += 3;
    svm_save_shown(vp);
    svm_save_rest(vp);
    assert_false(vp->state.interrupt_shadow);
    enter(hypercalls);
    assert_int_equal(entered.shadow, 0);
    /* One that was set together with a new rip stays. */
    vp->state.rip = 0x2000;
    vp->state.interrupt_shadow = true;
    load();
    enter(hypercalls);
    assert_int_equal(entered.shadow, SHADOW_ACTIVE);
}

static void event_is_injected_once(void **state)
{
    vp->state.event = (struct event){
        .valid = true, .type = EVENT_EXCEPTION, .vector = 14, .has_error = true, .error = 0x15};
    kicked = true;
    enter(hypercalls);
    assert_true(vp->state.event.valid);
    kicked = false;
    enter(hypercalls);
    assert_int_equal(entered.event, 0x1580000B0EUL | 0x15UL << 32);
    assert_false(vp->state.event.valid);
    enter(hypercalls);
    assert_int_equal(entered.event, 0);
}

static void interrupts_own_delivery(struct vmcb *v)
{
    v->exit_int_info = v->event_injection;
    v->exit_code = SVM_EXIT_NPF;
}

static void interrupted_event_comes_back(void **state)
{
    const struct event event = {
        .valid = true, .type = EVENT_SOFT_INTERRUPT, .vector = 0x80, .insn_length = 2};
    vp->state.event = event;
    enter(interrupts_own_delivery);
    assert_int_equal(entered.rip, 0x1002); /* what the handler returns to */
    assert_int_equal(vp->state.rip, 0x1000);
    assert_memory_equal(&vp->state.event, &event, sizeof(event));
    assert_int_equal(last.kind, EXIT_MEMORY);
}

/* The guest's own INT n is simply executed again; a device's interrupt must not be lost. */
static uint64_t own_delivery;
static void interrupts_guests_delivery(struct vmcb *v)
{
    v->exit_int_info = own_delivery;
    v->exit_code = SVM_EXIT_NPF;
}

static void guests_delivery_is_interrupted(void **state)
{
    own_delivery = EVENT_VALID | EVENT_SOFT_INTERRUPT << EVENT_TYPE_SHIFT | 0x80;
    enter(interrupts_guests_delivery);
    assert_false(vp->state.event.valid);
    own_delivery = EVENT_VALID | EVENT_EXCEPTION << EVENT_TYPE_SHIFT | VECTOR_BP;
    enter(interrupts_guests_delivery);
    assert_false(vp->state.event.valid);
    own_delivery = EVENT_VALID | EVENT_INTERRUPT << EVENT_TYPE_SHIFT | 0x31;
    enter(interrupts_guests_delivery);
    assert_true(vp->state.event.valid);
    assert_int_equal(vp->state.event.vector, 0x31);
    own_delivery = EVENT_EXCEPTION << EVENT_TYPE_SHIFT | VECTOR_GP; /* stale: not valid */
    vp->state.event.valid = false;
    enter(interrupts_guests_delivery);
    assert_false(vp->state.event.valid);
}

/* Hypervisors beneath this one, and maybe processors, leave 0 as the vector of an NMI. */
static void interrupted_nmi_comes_back(void **state)
{
    own_delivery = EVENT_VALID | EVENT_NMI << EVENT_TYPE_SHIFT;
    vp->state.event = (struct event){.valid = true, .type = EVENT_NMI, .vector = VECTOR_NMI};
    enter(interrupts_guests_delivery);
    enter(hypercalls);
    assert_int_equal(last.kind, EXIT_HYPERCALL);
    assert_int_equal(entered.event, EVENT_VALID | EVENT_NMI << EVENT_TYPE_SHIFT | VECTOR_NMI);
}

static void impossible_event_is_refused(void **state)
{
    static const struct event impossible[] = {
        {.valid = true, .type = 1, .vector = 3},
        {.valid = true, .type = 7},
        {.valid = true, .type = EVENT_EXCEPTION, .vector = 32},
        {.valid = true, .type = EVENT_EXCEPTION, .vector = VECTOR_NMI},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(impossible); i++) {
        vp->state.event = impossible[i];
        enter(hypercalls);
        assert_int_equal(last.kind, EXIT_ENTRY_FAILED);
        assert_int_equal(entered.entries, 0);
    }
}

static void inject_nmi(void)
{
    vp->state.event = (struct event){.valid = true, .type = EVENT_NMI, .vector = VECTOR_NMI};
    enter(hypercalls);
    assert_true(vp->state.nmi_masked);
    assert_true(vmcb->intercept1 & INTERCEPT1_IRET);
}

static void nmi_ends_behind_its_iret(void **state)
{
    uint32_t before = vmcb->intercept1;
    inject_nmi();
    vp->want_nmi_window = true;
    enter(reaches_iret);
    assert_int_equal(last.kind, EXIT_NOTHING);
    assert_true(vp->state.nmi_masked);
    enter(steps);
    assert_true(entered.rflags & RFLAGS_TF);
    assert_int_equal(entered.exceptions, UINT32_MAX);
    assert_int_equal(last.kind, EXIT_NOTHING);
    assert_false(vp->state.nmi_masked);
    assert_int_equal(vmcb->save.dr6, 0); /* as the guest left it */
    assert_false(vp->state.event.valid);
    assert_int_equal(vmcb->intercept1, before);
    assert_int_equal(vmcb->intercept_exceptions,
                     BIT(VECTOR_DB) | BIT(VECTOR_AC)); /* a child's always */
    enter(hypercalls);
    assert_int_equal(last.kind, EXIT_NMI_WINDOW);
    assert_int_equal(entered.entries, 0);
    vp->want_nmi_window = false;
    enter(hypercalls);
    assert_false(entered.rflags & RFLAGS_TF);
}

static void interrupted_before_iret(struct vmcb *v)
{
    v->exit_code = SVM_EXIT_NPF;
}

static void stopped_step_begins_again(void **state)
{
    inject_nmi();
    enter(reaches_iret);
    enter(interrupted_before_iret); /* the stack that IRET reads is not there */
    assert_int_equal(last.kind, EXIT_MEMORY);
    assert_false(vp->state.rflags & RFLAGS_TF);
    assert_true(vp->state.nmi_masked);
    assert_true(vmcb->intercept1 & INTERCEPT1_IRET);
    enter(reaches_iret);
    enter(steps);
    assert_false(vp->state.nmi_masked);
}

static void kicked_nmi_is_undone(void **state)
{
    vp->state.event = (struct event){.valid = true, .type = EVENT_NMI, .vector = VECTOR_NMI};
    kicked = true;
    enter(hypercalls);
    assert_false(vp->state.nmi_masked);
    assert_true(vp->state.event.valid);
    assert_false(vmcb->intercept1 & INTERCEPT1_IRET);
}

static void opens_window(struct vmcb *v)
{
    v->exit_code = SVM_EXIT_VINTR;
    v->save.rflags |= RFLAGS_IF;
}

static void interrupt_window(void **state)
{
    vp->want_interrupt_window = true;
    enter(opens_window);
    assert_int_equal(last.kind, EXIT_INTERRUPT_WINDOW);
    assert_true(vmcb->interrupt_control & V_IRQ);
    enter(hypercalls); /* open now */
    assert_int_equal(last.kind, EXIT_INTERRUPT_WINDOW);
    assert_int_equal(entered.entries, 0);
    vp->want_interrupt_window = false;
    enter(hypercalls);
    assert_int_equal(entered.entries, 1);
    assert_false(vmcb->interrupt_control & V_IRQ);
    assert_false(vmcb->intercept1 & INTERCEPT1_VINTR);
}

static void refused_state_is_kept(void **state)
{
    vp->state.cr3 = 0x5000;
    load();
    enter(refuses);
    assert_int_equal(last.kind, EXIT_ENTRY_FAILED);
    assert_int_equal(vp->state.rip, 0x1000);
    assert_int_equal(vp->state.gpr[RAX], 0);
    assert_int_equal(vmcb->save.cr3, 0x5000);
    assert_int_equal(vp->exact, EXACT_ALL);
    assert_int_equal(vmcb->clean, 0);
}

static void fails_inside(struct vmcb *v)
{
    v->exit_code = SVM_EXIT_INVALID;
    v->save.rip = 0x1234;
    v->save.rsp = 0x5678;
}

/* Software emulation: the code of a refused entry, but the guest has run. */
static void failure_inside_is_gp(void **state)
{
    svm_features.host_cr3 = 0xBAD;
    enter(fails_inside);
    assert_int_equal(last.kind, EXIT_GP);
    assert_int_equal(vp->state.rip, 0x1234);
    assert_int_equal(vp->state.gpr[RSP], 0x5678);
}

/* What VT-x refuses is refused, though VMRUN would take it. */
static void impossible_segments(void **state)
{
    static const struct {
        uint16_t cs, ss;
        bool protected, good;
    } cases[] = {
        {0x9B, 0x93, true, true},  {0x9B, 0x00, true, true},  {0x93, 0x93, true, false},
        {0x9B, 0x91, true, false}, {0x9B, 0x9B, true, false}, {0x9B, 0x83, true, false},
        {0x1B, 0x93, true, false}, {0x93, 0x93, false, true}, {0x9B, 0x13, false, false},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        vp->state.cr0 = cases[i].protected ? CR0_PE : 0;
        vp->state.seg[SEG_CS].attributes = cases[i].cs;
        vp->state.seg[SEG_SS].attributes = cases[i].ss;
        load();
        enter(hypercalls);
        assert_int_equal(last.kind, cases[i].good ? EXIT_HYPERCALL : EXIT_ENTRY_FAILED);
        assert_int_equal(entered.entries, cases[i].good);
    }
}

static void segments_survive(void **state)
{
    vp->state.cr0 = CR0_PE;
    vp->state.seg[SEG_CS] = (struct segment){0, UINT32_MAX, 0x33, 0xA0FB};
    vp->state.seg[SEG_SS] = (struct segment){0, UINT32_MAX, 0x2B, 0xC0F3};
    vp->state.seg[SEG_TR] = (struct segment){0x1234, 0x67, 0x40, 0x8B};
    struct vp_state before = vp->state;
    load();
    assert_int_equal(vmcb->save.cs.attributes, 0xAFB);
    assert_int_equal(vmcb->save.cpl, 3);
    assert_true(vmcb->save.efer & EFER_SVME);
    memset(vp->state.seg, 0xEE, sizeof(vp->state.seg));
    svm_save_shown(vp);
    svm_save_rest(vp);
    assert_memory_equal(vp->state.seg, before.seg, sizeof(before.seg));
    assert_int_equal(vp->state.efer, 0);
    assert_int_equal(cpl_of(&vp->state), 3);
    assert_true(is_protected_mode(&vp->state) && !is_code64(&vp->state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(flushes_once, set_up),
        cmocka_unit_test_setup(clean_bits_follow_changes, set_up),
        cmocka_unit_test_setup(lengths, set_up),
        cmocka_unit_test_setup(shadow_ends_with_its_instruction, set_up),
        cmocka_unit_test_setup(event_is_injected_once, set_up),
        cmocka_unit_test_setup(interrupted_event_comes_back, set_up),
        cmocka_unit_test_setup(interrupted_nmi_comes_back, set_up),
        cmocka_unit_test_setup(guests_delivery_is_interrupted, set_up),
        cmocka_unit_test_setup(impossible_event_is_refused, set_up),
        cmocka_unit_test_setup(nmi_ends_behind_its_iret, set_up),
        cmocka_unit_test_setup(stopped_step_begins_again, set_up),
        cmocka_unit_test_setup(kicked_nmi_is_undone, set_up),
        cmocka_unit_test_setup(interrupt_window, set_up),
        cmocka_unit_test_setup(refused_state_is_kept, set_up),
        cmocka_unit_test_setup(failure_inside_is_gp, set_up),
        cmocka_unit_test_setup(impossible_segments, set_up),
        cmocka_unit_test_setup(segments_survive, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
