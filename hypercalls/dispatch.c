/*
 * The hypercall dispatcher (TLFS "Hypercall Interface"): the one table of all
 * calls, and everything that is the same for each of them. A handler sees its
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
#include "hypercalls/hypercalls.h"
#include "hypercalls/table.h"

#include "hv/base/arch.h"
#include "hv/base/console.h"
#include "hv/base/string.h"
#include "hv/base/time.h"
#include "hv/model/dispatch.h"
#include "hv/model/intercepts.h"
#include "hv/model/partition.h"
#include "mm/copy.h"

#define CONTROL_CODE      0xFFFFUL
#define CONTROL_VARIABLE  (0x3FFUL << HV_CONTROL_VARIABLE_SHIFT)
#define CONTROL_REP_COUNT (0xFFFUL << HV_CONTROL_REP_COUNT_SHIFT)
#define CONTROL_REP_START (0xFFFUL << HV_CONTROL_REP_START_SHIFT)
#define FAST_INPUT_SIZE   16

static uint64_t field_of(const struct partition *caller, const struct call_row *row)
{
    return *(const uint64_t *)((const uint8_t *)caller + row->field);
}

/* The long way of a call that has a short one (answer_at_once). */
static uint32_t call_field(struct call *call)
{
    call->output[0] = field_of(call->caller, call->row);
    return HV_STATUS_SUCCESS;
}

/* Bits of the control word that a kind of call refuses. */
#define SIMPLE (~(CONTROL_CODE | HV_CONTROL_FAST))
#define REP    (HV_CONTROL_RESERVED | CONTROL_VARIABLE)

#define CREATE PRIVILEGE_CREATE_PARTITIONS
#define MEMORY PRIVILEGE_MEMORY_POOL
#define NONE   0 /* or the handler looks, because it depends on the target */

#define IN(type) sizeof(struct hv_input_##type)

/*
 * Code, handler, kind, privilege; bytes of input and of output (of a rep call's
 * header and its input and output elements); whether it only looks; the fields
 * of the input for the debug line. Every call but the two in rows of their own
 * runs under hv_lock.
 */
#define SIMPLE_ROW(code, call, bits, in, out, only_looks, names)                                   \
    [code] = {.name = #call,                                                                       \
              .handler = (call),                                                                   \
              .privilege = (bits),                                                                 \
              .fields = (names),                                                                   \
              .refused = SIMPLE,                                                                   \
              .header = (in),                                                                      \
              .output = (out),                                                                     \
              .locked = true,                                                                      \
              .pure = (only_looks)}
#define REP_ROW(code, call, bits, in, in_each, out_each, names)                                    \
    [code] = {.name = #call,                                                                       \
              .handler = (call),                                                                   \
              .privilege = (bits),                                                                 \
              .fields = (names),                                                                   \
              .refused = REP,                                                                      \
              .header = (in),                                                                      \
              .in_element = (in_each),                                                             \
              .out_element = (out_each),                                                           \
              .rep = true,                                                                         \
              .locked = true}

const struct call_row call_table[0x100] = {
    [HVCALL_NOTIFY_LONG_SPIN_WAIT] = {.name = "call_notify_long_spin_wait",
                                      .handler = call_notify_long_spin_wait,
                                      .fields = "spins:8",
                                      .refused = SIMPLE,
                                      .header = 8},
    [HVCALL_GET_PARTITION_ID] = {.name = "call_get_partition_id",
                                 .handler = call_field,
                                 .field = offsetof(struct partition, id),
                                 .has_field = true,
                                 .privilege = PRIVILEGE_PARTITION_ID,
                                 .fields = "",
                                 .refused = SIMPLE,
                                 .output = 8,
                                 .pure = true},
    SIMPLE_ROW(HVCALL_CREATE_PARTITION, call_create_partition, CREATE, IN(create_partition), 8,
               false, "flags:8 proximity:8 compatibility:4"),
    SIMPLE_ROW(HVCALL_INITIALIZE_PARTITION, call_initialize_partition, CREATE, IN(partition), 0,
               false, "partition:8"),
    SIMPLE_ROW(HVCALL_FINALIZE_PARTITION, call_finalize_partition, CREATE, IN(partition), 0, false,
               "partition:8"),
    SIMPLE_ROW(HVCALL_DELETE_PARTITION, call_delete_partition, CREATE, IN(partition), 0, false,
               "partition:8"),
    SIMPLE_ROW(HVCALL_GET_PARTITION_PROPERTY, call_get_partition_property, CREATE,
               IN(get_partition_property), 8, true, "partition:8 property:4"),
    SIMPLE_ROW(HVCALL_SET_PARTITION_PROPERTY, call_set_partition_property, CREATE,
               IN(set_partition_property), 0, false, "partition:8 property:4 zero:4 value:8"),
    SIMPLE_ROW(HVCALL_GET_NEXT_CHILD_PARTITION, call_get_next_child_partition, CREATE,
               IN(next_child), 8, true, "parent:8 previous:8"),
    REP_ROW(HVCALL_DEPOSIT_MEMORY, call_deposit_memory, MEMORY, IN(deposit), 8, 0, "partition:8"),
    REP_ROW(HVCALL_WITHDRAW_MEMORY, call_withdraw_memory, MEMORY, IN(withdraw), 0, 8,
            "partition:8 proximity:8"),
    SIMPLE_ROW(HVCALL_GET_MEMORY_BALANCE, call_get_memory_balance, MEMORY, IN(withdraw),
               sizeof(struct hv_output_memory_balance), true, "partition:8 proximity:8"),
    REP_ROW(HVCALL_MAP_GPA_PAGES, call_map_gpa_pages, CREATE, IN(map_gpa), 8, 0,
            "partition:8 gpn:8 flags:4"),
    REP_ROW(HVCALL_UNMAP_GPA_PAGES, call_unmap_gpa_pages, CREATE, IN(unmap_gpa), 0, 0,
            "partition:8 gpn:8 flags:4"),
    SIMPLE_ROW(HVCALL_INSTALL_INTERCEPT, call_install_intercept, CREATE, IN(install_intercept), 0,
               false, "partition:8 mask:4 type:4 parameter:8"),
    SIMPLE_ROW(HVCALL_CREATE_VP, call_create_vp, CREATE, IN(create_vp), 0, false,
               "partition:8 vp:4 zero:4 subnode:8 proximity:8 flags:8"),
    SIMPLE_ROW(HVCALL_DELETE_VP, call_delete_vp, CREATE, IN(vp), 0, false, "partition:8 vp:4"),
    REP_ROW(HVCALL_GET_VP_REGISTERS, call_get_vp_registers, NONE, IN(vp_registers), 4,
            sizeof(struct hv_register_value), "partition:8 vp:4 vtl:1"),
    REP_ROW(HVCALL_SET_VP_REGISTERS, call_set_vp_registers, NONE, IN(vp_registers),
            sizeof(struct hv_register_assignment), 0, "partition:8 vp:4 vtl:1"),
    SIMPLE_ROW(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, call_translate_virtual_address, CREATE,
               IN(translate), sizeof(struct hv_output_translate), true,
               "partition:8 vp:4 zero:4 flags:8 page:8"),
    SIMPLE_ROW(HVCALL_ADD_LOGICAL_PROCESSOR, call_add_logical_processor, PRIVILEGE_CPU_MANAGEMENT,
               IN(add_logical_processor), sizeof(struct hv_output_add_logical_processor), true,
               "lp:4 apic:4 proximity:8"),
    [HVCALL_MAP_DEVICE_INTERRUPT] = {.name = "call_map_device_interrupt",
                                     .handler = call_map_device_interrupt,
                                     .privilege = PRIVILEGE_CPU_MANAGEMENT,
                                     .fields =
                                         "partition:8 device:8 flags:4 base:4 source:4 zero:4 "
                                         "entry:8 type:4 trigger:4 count:4 zero:4 vector:4 "
                                         "target:4 mask:8",
                                     .refused = SIMPLE & ~CONTROL_VARIABLE,
                                     .header = HV_MAP_DEVICE_INTERRUPT_HEADER,
                                     .variable = 2,
                                     .output = sizeof(struct hv_output_map_device_interrupt),
                                     .locked = true,
                                     .pure = true},
    SIMPLE_ROW(HVCALL_UNMAP_DEVICE_INTERRUPT, call_unmap_device_interrupt, PRIVILEGE_CPU_MANAGEMENT,
               IN(unmap_device_interrupt), 0, true, "partition:8 device:8 source:4 zero:4 entry:8"),
    SIMPLE_ROW(HVCALL_DISPATCH_VP, call_dispatch_vp, CREATE, IN(dispatch_vp),
               sizeof(struct hv_output_dispatch_vp), false,
               "partition:8 vp:4 flags:4 slice:8 spec:8"),
    REP_ROW(HVCALL_GET_GPA_PAGES_ACCESS_STATES, call_get_gpa_pages_access_states, CREATE,
            IN(access_states), 0, 1, "partition:8 flags:8 gpn:8"),
    SIMPLE_ROW(HVCALL_MAP_VP_STATE_PAGE, call_map_vp_state_page, NONE, IN(map_vp_state_page), 8,
               false, "partition:8 vp:4 type:2 vtl:1 flags:1 gpn:8"),
    SIMPLE_ROW(HVCALL_UNMAP_VP_STATE_PAGE, call_unmap_vp_state_page, NONE, IN(unmap_vp_state_page),
               0, false, "partition:8 vp:4 type:2 vtl:1 zero:1"),
};

bool call_expired(const struct call *call)
{
    return rdtsc() - call->start_tsc > tsc_per_50us;
}

/* Only says that the caller spins; there is nobody to run instead. */
uint32_t call_notify_long_spin_wait(struct call *call)
{
    return HV_STATUS_SUCCESS;
}

static uint32_t rep_count(const struct call *call)
{
    return (uint32_t)(call->control >> HV_CONTROL_REP_COUNT_SHIFT) & 0xFFF;
}

static uint32_t fault(struct call *call, gpa_t gpa, unsigned access)
{
    if (call->vp->first)
        return HV_STATUS_INVALID_PARAMETER;
    call->fault_gpa = gpa;
    call->fault_access = access;
    return CALL_FAULT;
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
    gpa_t from = input ? call->input_gpa : 0, to = output ? call->output_gpa : 0;
    bool bad = ((from | to) & 7) != 0 || (from | to) >> call->caller->space.gpa_bits != 0 ||
               (from & PAGE_MASK) + input > PAGE_SIZE || (to & PAGE_MASK) + output > PAGE_SIZE ||
               (output && from < to + output && to < from + input);
    return bad ? HV_STATUS_INVALID_ALIGNMENT : HV_STATUS_SUCCESS;
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

static bool output_writable(const struct call *call, size_t size)
{
    const struct space *space = &call->caller->space;
    if (size == sizeof(uint64_t))
        return guest_word_writable(space, call->output_gpa);
    return guest_accessible(space, call->output_gpa, size, MAP_WRITE);
}

static uint32_t run_simple(struct call *call)
{
    const struct call_row *row = call->row;
    const struct space *space = &call->caller->space;
    size_t size = row->header + call->variable * sizeof(uint64_t);
    if (size && !read_input(call, 0, call->input, size))
        return fault(call, call->input_gpa, ACCESS_READ);
    call->copied = true;
    if (row->output && !row->pure && !output_writable(call, row->output))
        return fault(call, call->output_gpa, ACCESS_WRITE);
    uint32_t outcome = row->handler(call);
    if (outcome == HV_STATUS_SUCCESS && row->output &&
        !guest_write(space, call->output_gpa, call->output, row->output))
        return fault(call, call->output_gpa, ACCESS_WRITE);
    return outcome;
}

static uint32_t run_rep(struct call *call)
{
    const struct call_row *row = call->row;
    const struct space *space = &call->caller->space;
    uint32_t count = rep_count(call);
    if (!read_input(call, 0, call->input, row->header))
        return fault(call, call->input_gpa, ACCESS_READ);
    call->copied = true;
    if (row->out_element &&
        !guest_accessible(space, call->output_gpa, (size_t)count * row->out_element, MAP_WRITE))
        return fault(call, call->output_gpa, ACCESS_WRITE);
    call->start_tsc = rdtsc();
    for (;;) {
        call->batch = (uint32_t)min_u64(count - call->position, CALL_BATCH);
        if (row->in_element &&
            !read_input(call, row->header + (uint64_t)call->position * row->in_element,
                        call->elements, (size_t)call->batch * row->in_element))
            return fault(call, call->input_gpa, ACCESS_READ);
        call->done = 0;
        uint32_t outcome = row->handler(call);
        if (call->done && row->out_element &&
            !guest_write(space, call->output_gpa + (uint64_t)call->position * row->out_element,
                         call->output, (size_t)call->done * row->out_element))
            return fault(call, call->output_gpa, ACCESS_WRITE);
        call->position += call->done;
        if (outcome != HV_STATUS_SUCCESS || call->position == count)
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
        uint32_t count = rep_count(call);
        uint32_t start = (uint32_t)(control >> HV_CONTROL_REP_START_SHIFT) & 0xFFF;
        if (start >= count)
            return HV_STATUS_INVALID_HYPERCALL_INPUT;
        call->position = start;
        input += (uint64_t)count * row->in_element;
        output = (uint64_t)count * row->out_element;
    }
    uint32_t status = check_places(call, input, output);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (row->locked && !lock_or_yield(call->cpu))
        return CALL_CONTINUE;
    status = row->rep ? run_rep(call) : run_simple(call);
    if (row->locked)
        unlock(&hv_lock);
    return status;
}

/* The registers change as little as the ABI says: the result, or a rep call's new start. */
static void put_back(struct call *call, uint32_t outcome, bool code64, unsigned insn_length)
{
    uint64_t *gpr = call->vp->state.gpr;
    if (outcome == CALL_CONTINUE) {
        if (!call->row->rep)
            return;
        uint64_t control = (call->control & ~CONTROL_REP_START) | (uint64_t)call->position
                                                                      << HV_CONTROL_REP_START_SHIFT;
        if (code64) {
            gpr[RCX] = control;
        } else {
            gpr[RAX] = (uint32_t)control;
            gpr[RDX] = control >> 32;
        }
        return;
    }
    uint64_t result = outcome | (uint64_t)call->position << HV_RESULT_REPS_SHIFT;
    gpr[RAX] = result;
    if (!code64) {
        gpr[RAX] = (uint32_t)result;
        gpr[RDX] = result >> 32;
    }
    vp_advance(call->vp, insn_length);
}

static uint64_t pair(const uint64_t *gpr, unsigned high, unsigned low)
{
    return gpr[high] << 32 | (uint32_t)gpr[low];
}

/*
 * The short way for calls with 8 bytes of output and nothing else, that need no
 * lock: the same checks on fewer facts. An aligned word crosses no page, and a
 * page that this processor remembers lies inside the space. False: nothing
 * done, take the long way.
 */
static inline bool answer_at_once(struct vp *vp, unsigned insn_length)
{
    struct vp_state *s = &vp->state;
    const struct partition *caller = vp->partition;
    uint64_t control = s->gpr[RCX], output = s->gpr[R8];
    if (control >= ARRAY_SIZE(call_table) || !call_table[control].has_field)
        return false;
    const struct call_row *row = &call_table[control];
    if (log_level >= LOG_DEBUG || (output & 7) || (row->privilege & ~caller->privileges))
        return false;
    if (!guest_write_word_again(&caller->space, output, field_of(caller, row)))
        return false;
    s->gpr[RAX] = HV_STATUS_SUCCESS;
    vp_advance(vp, insn_length);
    return true;
}

static void answer_at_length(struct cpu *cpu, struct vp *vp, bool code64, unsigned insn_length)
{
    struct call call;
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
        begin_dispatch(cpu, vp, call.child, call.output_gpa, code64);
    else if (outcome == CALL_FAULT)
        child_memory_intercept(cpu, vp, call.fault_gpa, call.fault_access);
    else
        put_back(&call, outcome, code64, insn_length);
}

/* The caller's mode is not the usual one: look closely. */
static __attribute__((noinline)) void answer(struct cpu *cpu, struct vp *vp, unsigned insn_length)
{
    struct vp_mode mode = backend->mode(vp);
    if (!mode.protected_mode || mode.cpl != 0 || vp->partition->guest_os_id == 0)
        vp_inject_exception(vp, VECTOR_UD, false, 0);
    else
        answer_at_length(cpu, vp, mode.code64, insn_length);
}

void hypercall(struct cpu *cpu, struct vp *vp, unsigned insn_length)
{
    if (!backend->in_kernel64(vp) || vp->partition->guest_os_id == 0)
        answer(cpu, vp, insn_length);
    else if (!answer_at_once(vp, insn_length))
        answer_at_length(cpu, vp, true, insn_length);
}
