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
#include "hypercalls/table.h"

#include "hv/arch.h"
#include "hv/console.h"
#include "hv/intercepts.h"
#include "hv/partition.h"
#include "hv/run.h"
#include "hv/string.h"
#include "hv/time.h"
#include "mm/copy.h"

#define CONTROL_CODE      0xFFFFUL
#define CONTROL_VARIABLE  (0x3FFUL << HV_CONTROL_VARIABLE_SHIFT)
#define CONTROL_REP_COUNT (0xFFFUL << HV_CONTROL_REP_COUNT_SHIFT)
#define CONTROL_REP_START (0xFFFUL << HV_CONTROL_REP_START_SHIFT)
#define FAST_INPUT_SIZE   16

#define CREATE PRIVILEGE_CREATE_PARTITIONS
#define MEMORY PRIVILEGE_MEMORY_POOL

/* privilege 0: the handler checks it, because it depends on the target. */
const struct call_row call_table[0x100] = {
    [HVCALL_NOTIFY_LONG_SPIN_WAIT] = {.name = "NotifyLongSpinWait",
                                      .handler = call_notify_long_spin_wait,
                                      .fields = "spins:8",
                                      .header = 8,
                                      .pure = true},
    [HVCALL_CREATE_PARTITION] = {.name = "CreatePartition",
                                 .handler = call_create_partition,
                                 .privilege = CREATE,
                                 .fields = "flags:8 proximity:8 compatibility:4",
                                 .header = sizeof(struct hv_input_create_partition),
                                 .output = 8,
                                 .locked = true},
    [HVCALL_INITIALIZE_PARTITION] = {.name = "InitializePartition",
                                     .handler = call_initialize_partition,
                                     .privilege = CREATE,
                                     .fields = "partition:8",
                                     .header = sizeof(struct hv_input_partition),
                                     .locked = true},
    [HVCALL_FINALIZE_PARTITION] = {.name = "FinalizePartition",
                                   .handler = call_finalize_partition,
                                   .privilege = CREATE,
                                   .fields = "partition:8",
                                   .header = sizeof(struct hv_input_partition),
                                   .locked = true},
    [HVCALL_DELETE_PARTITION] = {.name = "DeletePartition",
                                 .handler = call_delete_partition,
                                 .privilege = CREATE,
                                 .fields = "partition:8",
                                 .header = sizeof(struct hv_input_partition),
                                 .locked = true},
    [HVCALL_GET_PARTITION_PROPERTY] = {.name = "GetPartitionProperty",
                                       .handler = call_get_partition_property,
                                       .privilege = CREATE,
                                       .fields = "partition:8 property:4",
                                       .header = sizeof(struct hv_input_get_partition_property),
                                       .output = 8,
                                       .locked = true,
                                       .pure = true},
    [HVCALL_SET_PARTITION_PROPERTY] = {.name = "SetPartitionProperty",
                                       .handler = call_set_partition_property,
                                       .privilege = CREATE,
                                       .fields = "partition:8 property:4 zero:4 value:8",
                                       .header = sizeof(struct hv_input_set_partition_property),
                                       .locked = true},
    [HVCALL_GET_PARTITION_ID] = {.name = "GetPartitionId",
                                 .handler = call_get_partition_id,
                                 .privilege = PRIVILEGE_PARTITION_ID,
                                 .fields = "",
                                 .output = 8,
                                 .pure = true},
    [HVCALL_GET_NEXT_CHILD_PARTITION] = {.name = "GetNextChildPartition",
                                         .handler = call_get_next_child_partition,
                                         .privilege = CREATE,
                                         .fields = "parent:8 previous:8",
                                         .header = sizeof(struct hv_input_next_child),
                                         .output = 8,
                                         .locked = true,
                                         .pure = true},
    [HVCALL_DEPOSIT_MEMORY] = {.name = "DepositMemory",
                               .handler = call_deposit_memory,
                               .privilege = MEMORY,
                               .fields = "partition:8",
                               .header = sizeof(struct hv_input_deposit),
                               .in_element = 8,
                               .rep = true,
                               .locked = true},
    [HVCALL_WITHDRAW_MEMORY] = {.name = "WithdrawMemory",
                                .handler = call_withdraw_memory,
                                .privilege = MEMORY,
                                .fields = "partition:8 proximity:8",
                                .header = sizeof(struct hv_input_withdraw),
                                .out_element = 8,
                                .rep = true,
                                .locked = true},
    [HVCALL_GET_MEMORY_BALANCE] = {.name = "GetMemoryBalance",
                                   .handler = call_get_memory_balance,
                                   .privilege = MEMORY,
                                   .fields = "partition:8 proximity:8",
                                   .header = sizeof(struct hv_input_withdraw),
                                   .output = sizeof(struct hv_output_memory_balance),
                                   .locked = true,
                                   .pure = true},
    [HVCALL_MAP_GPA_PAGES] = {.name = "MapGpaPages",
                              .handler = call_map_gpa_pages,
                              .privilege = CREATE,
                              .fields = "partition:8 gpn:8 flags:4",
                              .header = sizeof(struct hv_input_map_gpa),
                              .in_element = 8,
                              .rep = true,
                              .locked = true},
    [HVCALL_UNMAP_GPA_PAGES] = {.name = "UnmapGpaPages",
                                .handler = call_unmap_gpa_pages,
                                .privilege = CREATE,
                                .fields = "partition:8 gpn:8 flags:4",
                                .header = sizeof(struct hv_input_unmap_gpa),
                                .rep = true,
                                .locked = true},
    [HVCALL_INSTALL_INTERCEPT] = {.name = "InstallIntercept",
                                  .handler = call_install_intercept,
                                  .privilege = CREATE,
                                  .fields = "partition:8 mask:4 type:4 parameter:8",
                                  .header = sizeof(struct hv_input_install_intercept),
                                  .locked = true},
    [HVCALL_CREATE_VP] = {.name = "CreateVp",
                          .handler = call_create_vp,
                          .privilege = CREATE,
                          .fields = "partition:8 vp:4 zero:4 subnode:8 proximity:8 flags:8",
                          .header = sizeof(struct hv_input_create_vp),
                          .locked = true},
    [HVCALL_DELETE_VP] = {.name = "DeleteVp",
                          .handler = call_delete_vp,
                          .privilege = CREATE,
                          .fields = "partition:8 vp:4",
                          .header = sizeof(struct hv_input_vp),
                          .locked = true},
    [HVCALL_GET_VP_REGISTERS] = {.name = "GetVpRegisters",
                                 .handler = call_get_vp_registers,
                                 .fields = "partition:8 vp:4 vtl:1",
                                 .header = sizeof(struct hv_input_vp_registers),
                                 .in_element = 4,
                                 .out_element = sizeof(struct hv_register_value),
                                 .rep = true,
                                 .locked = true},
    [HVCALL_SET_VP_REGISTERS] = {.name = "SetVpRegisters",
                                 .handler = call_set_vp_registers,
                                 .fields = "partition:8 vp:4 vtl:1",
                                 .header = sizeof(struct hv_input_vp_registers),
                                 .in_element = sizeof(struct hv_register_assignment),
                                 .rep = true,
                                 .locked = true},
    [HVCALL_TRANSLATE_VIRTUAL_ADDRESS] = {.name = "TranslateVirtualAddress",
                                          .handler = call_translate_virtual_address,
                                          .privilege = CREATE,
                                          .fields = "partition:8 vp:4 zero:4 flags:8 page:8",
                                          .header = sizeof(struct hv_input_translate),
                                          .output = sizeof(struct hv_output_translate),
                                          .locked = true,
                                          .pure = true},
    [HVCALL_DISPATCH_VP] = {.name = "DispatchVp",
                            .handler = call_dispatch_vp,
                            .privilege = CREATE,
                            .fields = "partition:8 vp:4 flags:4 slice:8 spec:8",
                            .header = sizeof(struct hv_input_dispatch_vp),
                            .output = sizeof(struct hv_output_dispatch_vp),
                            .locked = true},
    [HVCALL_GET_GPA_PAGES_ACCESS_STATES] = {.name = "GetGpaPagesAccessStates",
                                            .handler = call_get_gpa_pages_access_states,
                                            .privilege = CREATE,
                                            .fields = "partition:8 flags:8 gpn:8",
                                            .header = sizeof(struct hv_input_access_states),
                                            .out_element = 1,
                                            .rep = true,
                                            .locked = true},
    [HVCALL_MAP_VP_STATE_PAGE] = {.name = "MapVpStatePage",
                                  .handler = call_map_vp_state_page,
                                  .fields = "partition:8 vp:4 type:2 vtl:1 flags:1 gpn:8",
                                  .header = sizeof(struct hv_input_map_vp_state_page),
                                  .output = 8,
                                  .locked = true},
    [HVCALL_UNMAP_VP_STATE_PAGE] = {.name = "UnmapVpStatePage",
                                    .handler = call_unmap_vp_state_page,
                                    .fields = "partition:8 vp:4 type:2 vtl:1 zero:1",
                                    .header = sizeof(struct hv_input_unmap_vp_state_page),
                                    .locked = true},
};

bool call_expired(const struct call *call)
{
    return rdtsc() - call->start_tsc > tsc_per_50us;
}

/* Only says that the caller spins; there is nobody to run instead. */
uint32_t call_notify_long_spin_wait(struct call *call)
{
    (void)call;
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

/* 8-byte aligned, inside the GPA space, and not across a page. size is not 0. */
static bool range_is_good(const struct call *call, gpa_t gpa, uint64_t size)
{
    return (gpa & 7) == 0 && (gpa & PAGE_MASK) + size <= PAGE_SIZE &&
           gpa >> call->caller->space.gpa_bits == 0;
}

static uint32_t check_gpas(const struct call *call, uint64_t input, uint64_t output)
{
    if (call->control & HV_CONTROL_FAST)
        return input > FAST_INPUT_SIZE || output ? HV_STATUS_INVALID_HYPERCALL_INPUT
                                                 : HV_STATUS_SUCCESS;
    if (input && !range_is_good(call, call->input_gpa, input))
        return HV_STATUS_INVALID_ALIGNMENT;
    if (output == 0)
        return HV_STATUS_SUCCESS;
    if (!range_is_good(call, call->output_gpa, output))
        return HV_STATUS_INVALID_ALIGNMENT;
    if (input && call->input_gpa < call->output_gpa + output &&
        call->output_gpa < call->input_gpa + input)
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

static uint32_t run_simple(struct call *call)
{
    const struct call_row *row = call->row;
    const struct space *space = &call->caller->space;
    if (row->header && !read_input(call, 0, call->input, row->header))
        return fault(call, call->input_gpa, ACCESS_READ);
    call->copied = true;
    if (row->output && !row->pure &&
        !guest_accessible(space, call->output_gpa, row->output, MAP_WRITE))
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
static uint32_t answer(struct call *call)
{
    uint32_t code = call->control & CONTROL_CODE;
    call->position = 0;
    call->copied = false;
    call->row = NULL;
    if (code >= ARRAY_SIZE(call_table) || call_table[code].handler == NULL)
        return HV_STATUS_INVALID_HYPERCALL_CODE;
    const struct call_row *row = call->row = &call_table[code];
    if (row->privilege & ~call->caller->privileges)
        return HV_STATUS_ACCESS_DENIED;
    uint64_t refused = HV_CONTROL_RESERVED;
    if (!row->variable_header)
        refused |= CONTROL_VARIABLE;
    uint64_t input = row->header, output = row->output;
    if (row->rep) {
        uint32_t count = rep_count(call);
        uint32_t start = (uint32_t)(call->control >> HV_CONTROL_REP_START_SHIFT) & 0xFFF;
        if ((call->control & refused) || start >= count)
            return HV_STATUS_INVALID_HYPERCALL_INPUT;
        call->position = start;
        input += (uint64_t)count * row->in_element;
        output = (uint64_t)count * row->out_element;
    } else if (call->control & (refused | CONTROL_REP_COUNT | CONTROL_REP_START)) {
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    uint32_t status = check_gpas(call, input, output);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (!row->locked)
        return run_simple(call);
    if (!lock_or_yield(call->cpu))
        return CALL_CONTINUE;
    status = row->rep ? run_rep(call) : run_simple(call);
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

void hypercall(struct cpu *cpu, struct vp *vp, unsigned insn_length)
{
    struct vp_mode mode = backend->mode(vp);
    struct call call;
    call.caller = vp->partition;
    if (!mode.protected_mode || mode.cpl != 0 || call.caller->guest_os_id == 0) {
        vp_inject_exception(vp, VECTOR_UD, false, 0);
        return;
    }
    call.cpu = cpu;
    call.vp = vp;
    const uint64_t *gpr = vp->state.gpr;
    if (mode.code64) {
        call.control = gpr[RCX];
        call.input_gpa = gpr[RDX];
        call.output_gpa = gpr[R8];
    } else {
        call.control = pair(gpr, RDX, RAX);
        call.input_gpa = pair(gpr, RBX, RCX);
        call.output_gpa = pair(gpr, RDI, RSI);
    }
    uint32_t outcome = answer(&call);
    if (log_level >= LOG_DEBUG)
        call_print(&call, outcome);
    if (outcome == CALL_DISPATCH)
        begin_dispatch(cpu, vp, call.child, call.output_gpa);
    else if (outcome == CALL_FAULT)
        child_memory_intercept(cpu, vp, call.fault_gpa, call.fault_access);
    else
        put_back(&call, outcome, mode.code64, insn_length);
}
