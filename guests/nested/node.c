/* SPDX-License-Identifier: MIT */
/* Commands to a node and hypercalls in its name. */
#include "guests/nested/node.h"

#include "hv/model/vp.h"

#define ENDLESS     1000000
#define PDPT_WINDOW (NODE_TABLES + 3 * PAGE_SIZE)
#define PD_WINDOW   (NODE_TABLES + 4 * PAGE_SIZE)

struct node root;

static uint64_t *command(const struct node *n)
{
    return (uint64_t *)(n->memory + NODE_COMMAND);
}

uint64_t node_result(const struct node *n)
{
    return command(n)[4];
}

static bool is_first(const struct node *n)
{
    return n->parent == NULL;
}

/* A hypercall whose input lies at NODE_INPUT already; must stop by itself. */
static uint64_t raw_call(struct node *n, uint64_t control)
{
    uint32_t type = node_command(n, OP_HYPERCALL, control, NODE_INPUT, NODE_OUTPUT);
    if (!node_stopped_itself(n, type))
        tap_bail_out("partition %lu, hypercall 0x%lx: %s", n->id, control, message_name(type));
    return node_result(n);
}

uint16_t node_call(struct node *n, uint16_t code, const void *input, size_t input_size,
                   void *output, size_t output_size)
{
    if (is_first(n))
        return hv_call(code, input, input_size, output, output_size);
    memcpy(n->memory + NODE_INPUT, input, input_size);
    uint16_t status = hv_status(raw_call(n, code));
    if (status == HV_STATUS_SUCCESS)
        memcpy(output, n->memory + NODE_OUTPUT, output_size);
    return status;
}

uint16_t node_call_rep(struct node *n, uint16_t code, const void *header, size_t header_size,
                       const void *list, size_t element_size, uint32_t count, void *output,
                       size_t output_element_size, uint32_t *completed)
{
    if (is_first(n))
        return hv_call_rep(code, header, header_size, list, element_size, count, output,
                           output_element_size, completed);
    memcpy(n->memory + NODE_INPUT, header, header_size);
    if (list != NULL)
        memcpy(n->memory + NODE_INPUT + header_size, list, element_size * count);
    uint64_t result = raw_call(n, hv_rep_control(code, count, 0));
    if (output != NULL)
        memcpy(output, n->memory + NODE_OUTPUT, output_element_size * hv_reps(result));
    if (completed != NULL)
        *completed = hv_reps(result);
    return hv_status(result);
}

/* ---- commands */

static void move_rip(struct node *n, uint64_t rip)
{
    uint64_t page = n->state_pages[HV_VP_STATE_PAGE_REGISTERS];
    uint32_t dirty = HV_DIRTY_RIP;
    if (page == 0) {
        node_set(n, HV_REGISTER_RIP, rip, 0);
        return;
    }
    node_write(n->parent, page + offsetof(struct hv_register_page, rip), &rip, sizeof(rip));
    node_write(n->parent, page + offsetof(struct hv_register_page, dirty), &dirty, sizeof(dirty));
}

void node_give(struct node *n, enum operation operation, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t *words = command(n);
    words[0] = operation;
    words[1] = a;
    words[2] = b;
    words[3] = c;
    words[4] = ~0UL;
    move_rip(n, NODE_CODE + (uint64_t)(server_take - server));
}

uint16_t node_dispatch(struct node *n, struct hv_output_dispatch_vp *output)
{
    struct hv_input_dispatch_vp input = {.partition_id = n->id,
                                         .flags = HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND};
    return node_call(n->parent, HVCALL_DISPATCH_VP, &input, sizeof(input), output, sizeof(*output));
}

uint32_t node_run(struct node *n)
{
    for (uint32_t i = 0; i < ENDLESS; i++) {
        struct hv_output_dispatch_vp output = {0};
        uint16_t status = node_dispatch(n, &output);
        if (status != HV_STATUS_SUCCESS) {
            tap_note("DispatchVp of partition %lu: %s", n->id, status_name(status));
            return CHILD_STOP_FAILED;
        }
        if (output.event == HV_DISPATCH_EVENT_INTERCEPT) {
            struct hv_message message;
            node_message(n, &message);
            return message.header.type;
        }
        if (output.state == HV_DISPATCH_STATE_BLOCKED)
            return output.event == HV_DISPATCH_EVENT_SUSPEND ? CHILD_STOP_SUSPENDED
                                                             : CHILD_STOP_BLOCKED;
    }
    return CHILD_STOP_ENDLESS;
}

uint32_t node_command(struct node *n, enum operation operation, uint64_t a, uint64_t b, uint64_t c)
{
    node_give(n, operation, a, b, c);
    return node_run(n);
}

bool node_stopped_itself(struct node *n, uint32_t type)
{
    struct hv_message message;
    if (type != HV_MESSAGE_IO_PORT)
        return false;
    node_message(n, &message);
    return message.payload.io.port == STOP_PORT && message.header.sender == n->id;
}

/* ---- memory as a node sees it */

static void copy(struct node *n, uint64_t to, uint64_t from, size_t size)
{
    uint32_t type = node_command(n, OP_COPY, to, from, size);
    if (!node_stopped_itself(n, type))
        tap_bail_out("partition %lu, copy from 0x%lx to 0x%lx: %s", n->id, from, to,
                     message_name(type));
}

void node_read(struct node *n, uint64_t gpa, void *to, size_t size)
{
    if (is_first(n)) {
        memcpy(to, (void *)gpa, size);
        return;
    }
    copy(n, NODE_SCRATCH, gpa, size);
    memcpy(to, n->memory + NODE_SCRATCH, size);
}

void node_write(struct node *n, uint64_t gpa, const void *from, size_t size)
{
    if (is_first(n)) {
        memcpy((void *)gpa, from, size);
        return;
    }
    memcpy(n->memory + NODE_SCRATCH, from, size);
    copy(n, gpa, NODE_SCRATCH, size);
}

void node_reach(struct node *n, uint64_t gpa)
{
    if (is_first(n)) {
        identity_map(gpa, PAGE_SIZE);
        return;
    }
    uint64_t *pml4 = (uint64_t *)(n->memory + NODE_TABLES);
    uint64_t *pdpt = pml4 + 512, pdpt_gpa = NODE_TABLES + PAGE_SIZE;
    uint64_t *pd = (uint64_t *)(n->memory + PD_WINDOW);
    if (gpa >> 30 == 0)
        return;
    if (gpa >> 39 != 0) {
        pdpt = (uint64_t *)(n->memory + PDPT_WINDOW);
        pdpt_gpa = PDPT_WINDOW;
    }
    pml4[gpa >> 39 & 511] = pdpt_gpa | 7;
    pdpt[gpa >> 30 & 511] = PD_WINDOW | 7;
    pd[gpa >> 21 & 511] = align_down(gpa, MIB(2)) | 0x87;
}

void node_message(struct node *n, struct hv_message *message)
{
    node_read(n->parent, n->state_pages[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE], message,
              sizeof(*message));
}

void node_registers(struct node *n, struct hv_register_page *page)
{
    node_read(n->parent, n->state_pages[HV_VP_STATE_PAGE_REGISTERS], page, sizeof(*page));
}
