/* SPDX-License-Identifier: MIT */
/*
 * The hypercall dispatcher (TLFS "Hypercall Interface"): everything that is the
 * same for each call of the table (hypercalls/calls.h). A handler sees its
 * input copied and its privileges checked, and leaves its output in the call.
 *
 * Decisions: the checks come in the order environment (#UD), known code,
 * privilege, control word, GPAs, readable input and writable output, the call
 * itself. There is no XMM fast input: a fast call has at most 16 bytes of input
 * and no output, otherwise INVALID_HYPERCALL_INPUT. Input or output that is not
 * accessible is INVALID_PARAMETER for the first partition and a memory
 * intercept for a child. Reps completed counts from the start of the whole
 * list, also in a call that fails; it is 0 when the control word was refused.
 */
#include "hypercalls/table.h"

#include "hv/base/console.h"
#include "hv/base/string.h"
#include "hv/base/time.h"
#include "hv/model/dispatch.h"
#include "hv/model/intercepts.h"
#include "hv/model/segment.h"
#include "mm/copy_fast.h"

#define FAST_INPUT_SIZE 16

bool call_expired(const struct call *call)
{
    return rdtsc() - call->start_tsc > tsc_per_50us;
}

/* Only says that the caller spins; there is nobody to run instead. */
uint32_t call_notify_long_spin_wait(struct call *call)
{
    return HV_STATUS_SUCCESS;
}

uint32_t call_get_partition_id(struct call *call)
{
    call->output[0] = call->caller->id;
    return HV_STATUS_SUCCESS;
}

static uint32_t fault(struct call *call, gpa_t gpa, unsigned access)
{
    if (call->vp->first)
        return HV_STATUS_INVALID_PARAMETER;
    call->fault_gpa = gpa;
    call->fault_access = access;
    return CALL_FAULT;
}

static bool fits(const struct call *call, gpa_t gpa, uint64_t size)
{
    return !(gpa & 7) && !(gpa >> call->caller->space.gpa_bits) &&
           (gpa & PAGE_MASK) + size <= PAGE_SIZE;
}

/*
 * The bytes of input and output fit where they are said to be: 8-byte aligned,
 * inside the GPA space, not across a page, not over each other. What has no
 * bytes is not looked at.
 */
static uint32_t check_places(const struct call *call, uint64_t input, uint64_t output)
{
    if (call->control & HV_CONTROL_FAST)
        return input > FAST_INPUT_SIZE || output ? HV_STATUS_INVALID_HYPERCALL_INPUT
                                                 : HV_STATUS_SUCCESS;
    gpa_t from = call->input_gpa, to = call->output_gpa;
    if (input && !fits(call, from, input))
        return HV_STATUS_INVALID_ALIGNMENT;
    if (output && !fits(call, to, output))
        return HV_STATUS_INVALID_ALIGNMENT;
    if (input && output && from < to + output && to < from + input)
        return HV_STATUS_INVALID_ALIGNMENT;
    return HV_STATUS_SUCCESS;
}

/* Copies `size` bytes of input from offset `from` on; each byte of it is copied once. */
static bool read_input(const struct call *call, uint64_t from, void *to, size_t size)
{
    if (!(call->control & HV_CONTROL_FAST))
        return guest_read(&call->caller->space, call->input_gpa + from, to, size);
    uint64_t words[FAST_INPUT_SIZE / 8] = {call->input_gpa, call->output_gpa};
    memcpy(to, (uint8_t *)words + from, size);
    return true;
}

/* Before the handler: the header is read, `output` bytes can be written, the target is found. */
static uint32_t prepare(struct call *call, uint64_t output)
{
    size_t size = call->row->header + call->variable * sizeof(uint64_t);
    if (size && !read_input(call, 0, call->input, size))
        return fault(call, call->input_gpa, ACCESS_READ);
    call->copied = true;
    if (output && !guest_output_writable(&call->caller->space, call->output_gpa, output))
        return fault(call, call->output_gpa, ACCESS_WRITE);
    return call_find_target(call);
}

static uint32_t run_simple(struct call *call)
{
    const struct call_row *row = call->row;
    uint32_t outcome = row->handler(call);
    if (outcome == HV_STATUS_SUCCESS && row->output &&
        !guest_write(&call->caller->space, call->output_gpa, call->output, row->output))
        return fault(call, call->output_gpa, ACCESS_WRITE);
    return outcome;
}

static uint32_t run_rep(struct call *call)
{
    const struct call_row *row = call->row;
    call->start_tsc = rdtsc();
    for (;;) {
        call->batch = (uint32_t)min_u64(call->count - call->position, CALL_BATCH);
        if (row->in_element &&
            !read_input(call, row->header + (uint64_t)call->position * row->in_element,
                        call->elements, (size_t)call->batch * row->in_element))
            return fault(call, call->input_gpa, ACCESS_READ);
        call->done = 0;
        uint32_t outcome = row->handler(call);
        if (call->done && row->out_element &&
            !guest_write(&call->caller->space,
                         call->output_gpa + (uint64_t)call->position * row->out_element,
                         call->output, (size_t)call->done * row->out_element))
            return fault(call, call->output_gpa, ACCESS_WRITE);
        call->position += call->done;
        if (outcome != HV_STATUS_SUCCESS || call->position == call->count)
            return outcome;
        if (call->done < call->batch || call_expired(call))
            return CALL_CONTINUE;
    }
}

/* Everything from the known code on. */
static uint32_t check_and_run(struct call *call)
{
    uint64_t control = call->control, code = control & CONTROL_CODE;
    call->position = 0;
    call->copied = false;
    call->row = NULL;
    if (code >= ARRAY_SIZE(call_table) || call_table[code].handler == NULL)
        return HV_STATUS_INVALID_HYPERCALL_CODE;
    const struct call_row *row = call->row = &call_table[code];
    if (row->privilege & ~call->caller->privileges)
        return HV_STATUS_ACCESS_DENIED;
    if (control & row->refused)
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    uint64_t output = row->output;
    call->variable = (uint32_t)(control & CONTROL_VARIABLE) >> HV_CONTROL_VARIABLE_SHIFT;
    if (call->variable > row->variable)
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    uint64_t input = row->header + call->variable * sizeof(uint64_t);
    if (row->rep) {
        call->count = (uint32_t)(control >> HV_CONTROL_REP_COUNT_SHIFT) & 0xFFF;
        uint32_t start = (uint32_t)(control >> HV_CONTROL_REP_START_SHIFT) & 0xFFF;
        if (start >= call->count)
            return HV_STATUS_INVALID_HYPERCALL_INPUT;
        call->position = start;
        input += (uint64_t)call->count * row->in_element;
        output = (uint64_t)call->count * row->out_element;
    }
    uint32_t status = check_places(call, input, output);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if ((row->how & LOCKED) && !lock_or_yield(call->cpu))
        return CALL_CONTINUE;
    status = prepare(call, output);
    if (status == HV_STATUS_SUCCESS)
        status = row->rep ? run_rep(call) : run_simple(call);
    if ((row->how & LOCKED))
        unlock(&hv_lock);
    return status;
}

/* A word goes into a register, or outside 64-bit mode into EDX:EAX. */
static void set_word(uint64_t *gpr, bool code64, unsigned in_64_bit_mode, uint64_t word)
{
    if (code64) {
        gpr[in_64_bit_mode] = word;
    } else {
        gpr[RAX] = (uint32_t)word;
        gpr[RDX] = word >> 32;
    }
}

/* The registers change as little as the ABI says: the result, or a rep call's new start. */
static void put_back(struct call *call, uint32_t outcome, bool code64, unsigned insn_length)
{
    uint64_t *gpr = call->vp->state.gpr;
    uint64_t position = call->position;
    if (outcome != CALL_CONTINUE) {
        set_word(gpr, code64, RAX, outcome | position << HV_RESULT_REPS_SHIFT);
        vp_advance(call->vp, insn_length);
    } else if (call->row->rep) {
        set_word(gpr, code64, RCX,
                 (call->control & ~CONTROL_REP_START) | position << HV_CONTROL_REP_START_SHIFT);
    }
}

static uint64_t pair(const uint64_t *gpr, unsigned high, unsigned low)
{
    return gpr[high] << 32 | (uint32_t)gpr[low];
}

void answer_at_length(struct cpu *cpu, struct vp *vp, bool code64, unsigned insn_length)
{
    struct call call; /* an initializer would clear all of it: 213 instructions */
    call.cpu = cpu;
    call.vp = vp;
    call.caller = vp->partition;
    const uint64_t *gpr = vp->state.gpr;
    if (code64) {
        call.control = gpr[RCX];
        call.input_gpa = gpr[RDX];
        call.output_gpa = gpr[R8];
    } else {
        call.control = pair(gpr, RDX, RAX);
        call.input_gpa = pair(gpr, RBX, RCX);
        call.output_gpa = pair(gpr, RDI, RSI);
    }
    uint32_t outcome = check_and_run(&call);
    if (log_level >= LOG_DEBUG)
        call_print(&call, outcome);
    if (outcome == CALL_DISPATCH)
        begin_dispatch(cpu, vp, call.target_vp, call.output_gpa, code64);
    else if (outcome == CALL_FAULT)
        child_memory_intercept(cpu, vp, call.fault_gpa, call.fault_access);
    else
        put_back(&call, outcome, code64, insn_length);
}

void answer(struct cpu *cpu, struct vp *vp, unsigned insn_length)
{
    const struct vp_state *s = &vp->state;
    vp_show(vp);
    if (!is_protected_mode(s) || cpl_of(s) != 0 || vp->partition->guest_os_id == 0)
        vp_inject_exception(vp, VECTOR_UD, false, 0);
    else
        answer_at_length(cpu, vp, is_code64(s), insn_length);
}
