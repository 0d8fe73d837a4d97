/* SPDX-License-Identifier: MIT */
/* Stopping a child on an intercept, and telling its parent. */
#include "hv/model/intercepts.h"

#include "hv/base/string.h"
#include "hv/model/dispatch.h"
#include "hv/model/partition.h"
#include "hv/model/segment.h"
#include "hv/model/statepage.h"
#include "hv/model/translate.h"

#define ACCESS_INFO_GVA_VALID      1
#define ACCESS_INFO_GVA_GPA_VALID  2
#define IO_INFO_STRING             (1 << 3)
#define IO_INFO_REP                (1 << 4)
#define EXCEPTION_INFO_ERROR_VALID 1

static void put_segment(struct hv_segment *to, const struct segment *from)
{
    __builtin_memcpy(to, from, sizeof(*to));
}
_Static_assert(sizeof(struct hv_segment) == sizeof(struct segment), "one layout");

static uint16_t execution_state(const struct vp_state *s)
{
    unsigned state = cpl_of(s);
    state |= s->cr0 & CR0_PE ? HV_EXECUTION_CR0_PE : 0;
    state |= s->cr0 & CR0_AM ? HV_EXECUTION_CR0_AM : 0;
    state |= s->efer & EFER_LMA ? HV_EXECUTION_EFER_LMA : 0;
    state |= s->dr7 & 0xFF ? HV_EXECUTION_DEBUG_ACTIVE : 0;
    state |= s->event.valid ? HV_EXECUTION_INTERRUPTION_PENDING : 0;
    state |= s->interrupt_shadow ? HV_EXECUTION_INTERRUPT_SHADOW : 0;
    return (uint16_t)state;
}

/*
 * Begins a message right in the intercept page, with what every x64 payload
 * begins with; the caller writes every other field. NULL: no page is mapped,
 * nobody wants it. stop() ends it. The parent may look at or write the page
 * meanwhile; nothing is read from it.
 */
static struct hv_message *begin_message(struct vp *vp, uint32_t type, size_t payload_size,
                                        unsigned access, unsigned length)
{
    struct hv_message *m = state_page_message_begin(vp, type, payload_size);
    vp_show(vp);
    if (!m)
        return NULL;
    const struct vp_state *s = &vp->state;
    struct hv_intercept_header *header = &m->payload.intercept;
    header->vp_index = vp->index;
    header->instruction_length = length & 0xF;
    header->cr8 = s->cr8 & 0xF;
    header->access_type = (uint8_t)access;
    header->execution_state = execution_state(s);
    put_segment(&header->cs, &s->seg[SEG_CS]);
    header->rip = s->rip;
    header->rflags = s->rflags;
    return m;
}
static void stop(struct cpu *cpu, struct vp *vp)
{
    vp->intercept_suspend = true;
    state_page_message_end(vp);
    end_dispatch(cpu, HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_INTERCEPT);
}

/* The instruction at rip, zeros behind it: from the processor if it gave it, else through the
   guest's paging. */
static uint8_t instruction_bytes(struct vp *vp, const struct exit *exit, uint8_t bytes[16])
{
    __builtin_memset(bytes, 0, 16);
    if (exit && exit->bytes_count != 0) {
        memcpy(bytes, exit->bytes, exit->bytes_count);
        return exit->bytes_count;
    }
    return (uint8_t)translate_fetch(vp, linear_rip(&vp->state), bytes, LONGEST_INSTRUCTION);
}

static void fill_io(struct vp *vp, const struct exit *e, struct hv_io_message *io)
{
    io->port = e->port;
    io->info = (uint8_t)(e->io_size | e->io_string * IO_INFO_STRING | e->io_rep * IO_INFO_REP);
    io->zero = 0;
    io->rax = vp->state.gpr[RAX];
    /* What a plain IN or OUT does is told above; its bytes cost a walk of the guest's tables. */
    if (e->io_string || e->bytes_count != 0) {
        io->instruction_byte_count = instruction_bytes(vp, e, io->instruction_bytes);
    } else {
        io->instruction_byte_count = 0;
        __builtin_memset(io->instruction_bytes, 0, sizeof(io->instruction_bytes));
    }
    put_segment(&io->ds, &vp->state.seg[SEG_DS]);
    put_segment(&io->es, &vp->state.seg[SEG_ES]);
    io->rcx = vp->state.gpr[RCX];
    io->rsi = vp->state.gpr[RSI];
    io->rdi = vp->state.gpr[RDI];
}

void intercept_io(struct cpu *cpu, struct vp *vp)
{
    const struct exit *e = &cpu->exit;
    struct hv_message *m = begin_message(vp, HV_MESSAGE_IO_PORT, sizeof(struct hv_io_message),
                                         e->access, e->insn_length);
    if (m)
        fill_io(vp, e, &m->payload.io);
    stop(cpu, vp);
}

static void memory_message(struct cpu *cpu, struct vp *vp, gpa_t gpa, unsigned access,
                           const struct exit *exit)
{
    struct mapping mapping = slpt_lookup(&vp->partition->space, gpa >> PAGE_SHIFT);
    bool mapped = mapping.present || mapping.stashed;
    struct hv_message *m =
        begin_message(vp, mapped ? HV_MESSAGE_GPA_INTERCEPT : HV_MESSAGE_UNMAPPED_GPA,
                      sizeof(struct hv_memory_message), access, exit ? exit->insn_length : 3);
    if (m) {
        struct hv_memory_message *memory = &m->payload.memory;
        bool gva_valid = exit && exit->gva_valid;
        memory->cache_type = MEMORY_WB;
        memory->access_info =
            (uint8_t)(gva_valid * ACCESS_INFO_GVA_VALID |
                      (gva_valid && exit->gva_translated) * ACCESS_INFO_GVA_GPA_VALID);
        memory->tpr = (uint8_t)(vp->state.cr8 << 4);
        memory->zero = 0;
        memory->gva = gva_valid ? exit->gva : 0;
        memory->gpa = gpa;
        memory->instruction_byte_count = instruction_bytes(vp, exit, memory->instruction_bytes);
    }
    stop(cpu, vp);
}

void intercept_memory(struct cpu *cpu, struct vp *vp)
{
    memory_message(cpu, vp, cpu->exit.gpa, cpu->exit.access, &cpu->exit);
}

void child_memory_intercept(struct cpu *cpu, struct vp *vp, gpa_t gpa, unsigned access)
{
    memory_message(cpu, vp, gpa, access, NULL);
}

void intercept_msr(struct cpu *cpu, struct vp *vp, bool write)
{
    struct hv_message *m = begin_message(vp, HV_MESSAGE_MSR, sizeof(struct hv_msr_message),
                                         write ? ACCESS_WRITE : ACCESS_READ, cpu->exit.insn_length);
    if (m) {
        m->payload.msr.msr = (uint32_t)vp->state.gpr[RCX];
        m->payload.msr.zero = 0;
        m->payload.msr.rdx = vp->state.gpr[RDX];
        m->payload.msr.rax = vp->state.gpr[RAX];
    }
    stop(cpu, vp);
}

void intercept_cpuid(struct cpu *cpu, struct vp *vp, const struct cpuid_regs *defaults)
{
    struct hv_message *m = begin_message(vp, HV_MESSAGE_CPUID, sizeof(struct hv_cpuid_message),
                                         ACCESS_EXECUTE, cpu->exit.insn_length);
    if (m) {
        struct hv_cpuid_message *c = &m->payload.cpuid;
        c->rax = vp->state.gpr[RAX];
        c->rcx = vp->state.gpr[RCX];
        c->rdx = vp->state.gpr[RDX];
        c->rbx = vp->state.gpr[RBX];
        c->default_rax = defaults->eax;
        c->default_rcx = defaults->ecx;
        c->default_rdx = defaults->edx;
        c->default_rbx = defaults->ebx;
    }
    stop(cpu, vp);
}

void intercept_exception(struct cpu *cpu, struct vp *vp)
{
    const struct exit *e = &cpu->exit;
    struct hv_message *m =
        begin_message(vp, HV_MESSAGE_EXCEPTION, sizeof(struct hv_exception_message), ACCESS_EXECUTE,
                      e->insn_length);
    if (m) {
        struct hv_exception_message *x = &m->payload.exception;
        x->vector = e->vector;
        x->info = e->has_error ? EXCEPTION_INFO_ERROR_VALID : 0;
        x->error_code = e->error;
        x->parameter = e->parameter;
        x->reserved = 0;
        x->instruction_byte_count = instruction_bytes(vp, e, x->instruction_bytes);
        put_segment(&x->ds, &vp->state.seg[SEG_DS]);
        put_segment(&x->ss, &vp->state.seg[SEG_SS]);
        memcpy(&x->rax, vp->state.gpr, sizeof(vp->state.gpr)); /* the same order */
    }
    stop(cpu, vp);
}

void intercept_plain(struct cpu *cpu, struct vp *vp, uint32_t type)
{
    begin_message(vp, type, sizeof(struct hv_intercept_header), ACCESS_EXECUTE,
                  type == HV_MESSAGE_HALT ? cpu->exit.insn_length : 0);
    stop(cpu, vp);
}

void intercept_invalid_registers(struct cpu *cpu, struct vp *vp)
{
    struct hv_message *m = state_page_message_begin(vp, HV_MESSAGE_INVALID_VP_REGISTER_VALUE,
                                                    sizeof(m->payload.invalid_register));
    if (m)
        m->payload.invalid_register = (struct hv_invalid_register_message){.vp_index = vp->index};
    stop(cpu, vp);
}

bool intercept_installed(const struct partition *partition, uint32_t type, uint64_t parameter,
                         uint32_t access)
{
    for (uint32_t i = 0; i < partition->intercept_count; i++) {
        const struct installed_intercept *in = &partition->intercepts[i];
        if (in->type == type && in->parameter == parameter)
            return (in->mask & access) != 0;
    }
    return false;
}
