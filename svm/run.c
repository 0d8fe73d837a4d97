/* SPDX-License-Identifier: MIT */
/*
 * Entering the guest, and turning an exit into a struct exit.
 *
 * What only saves instructions here, and how many in a dispatch that ends in an I/O
 * intercept, which is two exits: __builtin_expect 30; svm_world_switch going on in
 * svm_exited by a jump 32; rarely_exited as a call of its own, for which what is hot saves no
 * register, 16; one look at vp->attention instead of four 17; decode_hot before decode 15.
 */
#include "svm/svm.h"

#include "hv/base/apic.h"
#include "hv/base/console.h"
#include "hv/base/string.h"
#include "hv/model/events.h"

/* Page-fault style error code in EXITINFO1, APM 15.25.6. */
#define NPF_WRITE    BIT(1)
#define NPF_RESERVED BIT(3)
#define NPF_EXECUTE  BIT(4)
#define NPF_FINAL    BIT(32)

/* EXITINFO1 of an I/O exit, APM 15.10.2. */
#define IO_IN         BIT(0)
#define IO_STRING     BIT(2)
#define IO_REP        BIT(3)
#define IO_SIZE_SHIFT 4
#define IO_PORT_SHIFT 16

/*
 * The field is 0 on a processor that does not know the next RIP; then the
 * instruction's plain encoding counts, a prefix before it would not be seen.
 */
static inline uint8_t length(const struct vmcb *vmcb, unsigned plain)
{
    uint64_t distance = vmcb->next_rip - vmcb->save.rip;
    return (uint8_t)(distance - 1 < LONGEST_INSTRUCTION ? distance : plain);
}

static void decode_io(const struct vmcb *vmcb, struct exit *exit)
{
    uint64_t info = vmcb->exit_info1;
    uint64_t distance = vmcb->exit_info2 - vmcb->save.rip; /* EXITINFO2: the next RIP */
    exit->kind = EXIT_IO;
    exit->insn_length = distance <= LONGEST_INSTRUCTION ? (uint8_t)distance : 0;
    exit->access = info & IO_IN ? ACCESS_READ : ACCESS_WRITE;
    exit->io_string = info & IO_STRING;
    exit->io_rep = info & IO_REP;
    exit->io_size = info >> IO_SIZE_SHIFT & 7;
    exit->port = (uint16_t)(info >> IO_PORT_SHIFT);
    exit->bytes_count = 0;
}

static void decode_memory(const struct vmcb *vmcb, struct exit *exit)
{
    uint64_t info = vmcb->exit_info1;
    exit->kind = info & NPF_RESERVED ? EXIT_UNEXPECTED : EXIT_MEMORY;
    exit->insn_length = 0;
    exit->access = ACCESS_READ;
    if (info & NPF_EXECUTE)
        exit->access = ACCESS_EXECUTE;
    else if (info & NPF_WRITE)
        exit->access = ACCESS_WRITE;
    exit->gva_valid = false;
    exit->gva = 0;
    exit->gva_translated = info & NPF_FINAL;
    exit->gpa = vmcb->exit_info2;
    exit->bytes_count = 0;
    if (svm_features.decode_assists && vmcb->bytes_count <= sizeof(exit->bytes)) {
        exit->bytes_count = vmcb->bytes_count;
        memcpy(exit->bytes, vmcb->bytes, sizeof(exit->bytes));
    }
}

static void decode_exception(const struct vmcb *vmcb, struct exit *exit, unsigned vector)
{
    exit->kind = EXIT_EXCEPTION;
    exit->vector = (uint8_t)vector;
    exit->has_error = exception_has_error_code((uint8_t)vector);
    exit->error = exit->has_error ? (uint32_t)vmcb->exit_info1 : 0;
    exit->parameter = 0;
    if (vector == VECTOR_PF)
        exit->parameter = vmcb->exit_info2;
    else if (vector == VECTOR_DB)
        exit->parameter = vmcb->save.dr6;
    exit->insn_length = vector == VECTOR_BP ? length(vmcb, 1) : 0;
    exit->bytes_count = 0;
}

/* Nobody asked for a #DB or #AC of a child but we (svm_update_intercepts): on to the guest. */
static void exception(struct vp *vp, const struct vmcb *vmcb, struct exit *exit, unsigned vector)
{
    decode_exception(vmcb, exit, vector);
    if (vp->exception_bitmap & BIT(vector))
        return;
    vp_inject_exception(vp, (uint8_t)vector, exit->has_error, exit->error);
    exit->kind = EXIT_NOTHING;
}

static inline void step_over(const struct vmcb *vmcb, struct exit *exit, enum exit_kind kind,
                             unsigned plain)
{
    exit->kind = (uint8_t)kind;
    exit->insn_length = length(vmcb, plain);
}

/* Exits of which nothing more is wanted, and the plain length of those that are stepped over. */
static const struct {
    uint8_t kind, plain;
} simple_exits[] = {
    [SVM_EXIT_INTR] = {EXIT_INTERRUPT, 0},
    [SVM_EXIT_NMI] = {EXIT_NMI, 0}, /* STGI has let it through to our handler */
    [SVM_EXIT_VINTR] = {EXIT_INTERRUPT_WINDOW, 0},
    [SVM_EXIT_RDPMC] = {EXIT_GP, 0},
    [SVM_EXIT_INVD] = {EXIT_WBINVD, 2},
    [SVM_EXIT_HLT] = {EXIT_HLT, 1},
    [SVM_EXIT_INVLPGA] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_SHUTDOWN] = {EXIT_TRIPLE_FAULT, 0},
    [SVM_EXIT_VMRUN] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_VMLOAD] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_VMSAVE] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_STGI] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_CLGI] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_SKINIT] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_WBINVD] = {EXIT_WBINVD, 2},
    [SVM_EXIT_MONITOR] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_MWAIT] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_MWAIT_ARMED] = {EXIT_UNDEFINED, 0},
    [SVM_EXIT_XSETBV] = {EXIT_XSETBV, 3},
    [SVM_EXIT_RDPRU] = {EXIT_UNDEFINED, 0},
};

static void decode(struct vp *vp, const struct vmcb *vmcb, struct exit *exit, uint32_t code)
{
    exit->kind = EXIT_NOTHING;
    if (code == SVM_EXIT_IO)
        decode_io(vmcb, exit);
    else if (code == SVM_EXIT_NPF)
        decode_memory(vmcb, exit);
    else if (code < ARRAY_SIZE(simple_exits) && simple_exits[code].kind != EXIT_NOTHING)
        step_over(vmcb, exit, simple_exits[code].kind, simple_exits[code].plain);
    else if (code >= SVM_EXIT_EXCEPTION && code <= SVM_EXIT_EXCEPTION_LAST)
        exception(vp, vmcb, exit, code - SVM_EXIT_EXCEPTION);
    else if (code == SVM_EXIT_PAUSE) /* it is executed again, with the filter's count anew */
        exit->kind = apic_interrupt_waits() ? EXIT_INTERRUPT : EXIT_NOTHING;
    else if (code == SVM_EXIT_IRET)
        svm_iret_reached(vp);
    else if (code == SVM_EXIT_INIT)
        say_warn_of_guest("a physical INIT reached a processor inside a guest");
    else
        exit->kind = EXIT_UNEXPECTED;
}

static inline void read_hot(struct vp *vp)
{
    const struct vmcb_save *save = &vmcb_of(vp)->save;
    struct vp_state *s = &vp->state;
    s->gpr[RAX] = save->rax;
    s->gpr[RSP] = save->rsp;
    s->rip = save->rip;
    s->rflags = save->rflags;
}

/*
 * QEMU's emulation gives the same exit code in the middle of a guest that sets
 * a reserved bit of CR4, for which a processor raises #GP. Then the save area
 * has the guest's registers as they have become; after a refused entry that
 * emulation leaves the host's there. It tells itself by the code's upper half.
 */
static bool ran_into_it(const struct vp *vp)
{
    const struct vmcb_save *save = &vmcb_of(vp)->save;
    return vmcb_of(vp)->exit_code >> 32 == 0 && save->cr3 != svm_features.host_cr3;
}

/*
 * The processor refused the state, which then is what svm_load wrote. Some save
 * the host's registers over it, so it is written once more, to be dumped and
 * for a parent to look at.
 */
static void entry_failed(struct vp *vp, struct exit *exit)
{
    if (ran_into_it(vp)) {
        vmcb_of(vp)->clean = 0;
        read_hot(vp);
        svm_after_exit(vp);
        exit->kind = EXIT_GP;
        return;
    }
    exit->kind = EXIT_ENTRY_FAILED;
    svm_entry_cancelled(vp);
    if (vp->armed & ARMED_LOADED) {
        svm_load(vp);
        vp->exact = EXACT_ALL;
    }
    vmcb_of(vp)->clean = 0;
}

void svm_not_entered(struct vp *vp, struct exit *exit)
{
    svm_entry_cancelled(vp);
    exit->kind = EXIT_NOTHING;
}

/* Whether event.c has to see to this entry and to what comes of it. */
static inline bool is_rare(const struct vp *vp)
{
    return __builtin_expect(vp->attention | vp->state.event.valid, 0);
}

static inline void decode_hot(struct vp *vp, const struct vmcb *vmcb, struct exit *exit,
                              uint32_t code)
{
    if (code == SVM_EXIT_VMMCALL)
        step_over(vmcb, exit, EXIT_HYPERCALL, 3);
    else if (code == SVM_EXIT_CPUID)
        step_over(vmcb, exit, EXIT_CPUID, 2);
    else if (code == SVM_EXIT_MSR)
        step_over(vmcb, exit, vmcb->exit_info1 & 1 ? EXIT_WRMSR : EXIT_RDMSR, 2);
    else
        decode(vp, vmcb, exit, code);
}

static __attribute__((noinline)) void rarely_exited(struct vp *vp, struct exit *exit)
{
    if (svm_after_exit(vp))
        exit->kind = EXIT_NOTHING;
    else
        decode_hot(vp, vmcb_of(vp), exit, exit->reason);
}

/* Hot, as svm_run. */
void svm_exited(struct vp *vp, struct exit *exit)
{
    struct vmcb *vmcb = vmcb_of(vp);
    uint32_t code = (uint32_t)vmcb->exit_code;
    exit->reason = code;
    exit->detail = vmcb->exit_info1;
    if (__builtin_expect(code == SVM_EXIT_INVALID, 0)) {
        entry_failed(vp, exit);
        return;
    }
    vmcb->clean = CLEAN_ALL; /* a processor without clean bits does not look */
    read_hot(vp);
    if (is_rare(vp) || __builtin_expect(vmcb->exit_int_info & EVENT_VALID, 0))
        rarely_exited(vp, exit);
    else
        decode_hot(vp, vmcb, exit, code);
}

/*
 * Hot: a hypercall's way through here counts every instruction. The world
 * switch goes on in svm_exited by a jump, so that neither of the two saves a register.
 */
void svm_run(struct vp *vp, struct exit *exit)
{
    struct vmcb *vmcb = vmcb_of(vp);
    struct vmcb_save *save = &vmcb->save;
    const struct vp_state *s = &vp->state;

    if (__builtin_expect(vmcb->interrupt_shadow & SHADOW_ACTIVE, 0) && s->rip != save->rip)
        vmcb->interrupt_shadow = 0; /* it covers one instruction, and that was stepped over */
    save->rax = s->gpr[RAX];
    save->rsp = s->gpr[RSP];
    save->rip = s->rip;
    save->rflags = s->rflags;
    if (is_rare(vp) && !svm_before_entry(vp, exit))
        return;
    svm_world_switch(vp, exit, vp->control_spa);
}
