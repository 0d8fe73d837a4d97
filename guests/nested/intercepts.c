/* SPDX-License-Identifier: MIT */
/* Intercepts at depth 2 arrive at the child's own parent, and nowhere else. */
#include "guests/nested/tests.h"

#define UNMAPPED_GPA 0x30000000UL
#define PORT         0x3F8
#define LEAF         0x40000003

uint32_t node_touch(struct node *n, uint64_t gpa)
{
    return node_command(n, OP_READ, gpa, 0, 0);
}

bool message_is(struct node *n, uint32_t got, uint32_t type, uint64_t gpa)
{
    struct hv_message m;
    node_message(n, &m);
    bool ok = got == type && m.header.type == type && m.header.sender == n->id &&
              m.payload.memory.gpa == gpa;
    if (!ok)
        tap_note("stopped by %s (0x%x), message 0x%x from %lu, GPA 0x%lx", message_name(got), got,
                 m.header.type, m.header.sender, m.payload.memory.gpa);
    return ok;
}

/* After a stop of the child: the first partition still has the own stop of the middle. */
static bool first_saw_nothing(struct node *middle)
{
    struct hv_message m;
    node_message(middle, &m);
    return m.header.type == HV_MESSAGE_IO_PORT && m.header.sender == middle->id &&
           m.payload.io.port == STOP_PORT;
}

static uint16_t install(struct node *n, uint32_t type, uint32_t mask, uint64_t parameter)
{
    struct hv_input_install_intercept input = {
        .partition_id = n->id, .access_mask = mask, .type = type, .parameter = parameter};
    uint16_t status;
    do
        status = node_call(n->parent, HVCALL_INSTALL_INTERCEPT, &input, sizeof(input), NULL, 0);
    while (status == HV_STATUS_INSUFFICIENT_MEMORY && node_deposit(n, 1) == HV_STATUS_SUCCESS);
    return status;
}

static void ports_and_halt(struct node *middle, struct node *child)
{
    struct hv_message m;
    uint32_t type = node_command(child, OP_OUT, PORT, 0x42, 0);
    node_message(child, &m);
    tap_ok(type == HV_MESSAGE_IO_PORT && m.header.sender == child->id &&
               m.payload.io.port == PORT && (m.payload.io.rax & 0xFF) == 0x42 &&
               m.payload.io.header.access_type == 1,
           "\"every I/O port access\" of the child is a message to the middle, from its id");
    tap_ok(first_saw_nothing(middle), "... and none to the first partition");
    type = node_command(child, OP_HALT, 0, 0, 0);
    node_message(child, &m);
    tap_ok(type == HV_MESSAGE_HALT && m.header.sender == child->id,
           "HLT at depth 2 is a halt message to the middle");
    tap_ok(first_saw_nothing(middle), "... and none to the first partition");
}

static void memory(struct node *middle, struct node *child)
{
    uint32_t type = node_touch(child, UNMAPPED_GPA);
    tap_ok(message_is(child, type, HV_MESSAGE_UNMAPPED_GPA, UNMAPPED_GPA),
           "an unmapped GPA of the child is a message to the middle");
    tap_ok(first_saw_nothing(middle), "... and none to the first partition");
    type = node_touch(middle, UNMAPPED_GPA);
    tap_ok(message_is(middle, type, HV_MESSAGE_UNMAPPED_GPA, UNMAPPED_GPA),
           "one of the middle's is a message to the first partition");

    /* a hypercall whose input cannot be read */
    struct hv_message m;
    struct hv_register_page registers;
    type = node_command(child, OP_HYPERCALL, HVCALL_GET_PARTITION_ID, 0, UNMAPPED_GPA);
    node_message(child, &m);
    node_registers(child, &registers);
    tap_ok(message_is(child, type, HV_MESSAGE_UNMAPPED_GPA, UNMAPPED_GPA) &&
               m.payload.intercept.access_type == 1 &&
               registers.rip - NODE_HYPERCALL_PAGE < PAGE_SIZE,
           "\"for a child, a memory intercept to its parent with RIP unmoved\": output of a call "
           "(RIP 0x%lx, in the hypercall page)",
           registers.rip);
    type = node_command(middle, OP_HYPERCALL, HVCALL_CREATE_PARTITION, UNMAPPED_GPA, NODE_OUTPUT);
    tap_ok(message_is(middle, type, HV_MESSAGE_UNMAPPED_GPA, UNMAPPED_GPA),
           "the same for the middle's input");
}

static void cpuid_leaves(struct node *middle, struct node *child)
{
    struct hv_message m;
    tap_status(install(middle, HV_INTERCEPT_CPUID, 4, LEAF), HV_STATUS_SUCCESS,
               "the first partition installs a CPUID intercept in the middle");
    uint32_t type = node_command(child, OP_CPUID, LEAF, 0, 0);
    tap_ok(node_stopped_itself(child, type) && node_result(child) == child->privileges,
           "it is not one in the child, which gets the hypervisor's answer");
    type = node_command(middle, OP_CPUID, LEAF, 0, 0);
    node_message(middle, &m);
    tap_ok(type == HV_MESSAGE_CPUID && m.header.sender == middle->id &&
               (uint32_t)m.payload.cpuid.rax == LEAF,
           "in the middle it is");
    tap_status(install(child, HV_INTERCEPT_CPUID, 4, LEAF + 1), HV_STATUS_SUCCESS,
               "the middle installs one in the child");
    type = node_command(child, OP_CPUID, LEAF + 1, 0, 0);
    node_message(child, &m);
    tap_ok(type == HV_MESSAGE_CPUID && m.header.sender == child->id &&
               (uint32_t)m.payload.cpuid.rax == LEAF + 1,
           "that one is a message to the middle");
    tap_status(install(middle, HV_INTERCEPT_CPUID, 0, LEAF), HV_STATUS_SUCCESS, "and taken away");
}

static void triple_fault(struct node *child)
{
    bool bochs = in8(0xE9) == 0xE9;
    if (bochs && cpuid(0, 0).ebx == 0x68747541) {
        tap_skip("a triple fault at depth 2: Bochs's AMD models end the run there");
        return;
    }
    uint32_t type = node_command(child, (enum operation)99, 0, 0, 0); /* UD2 without an IDT */
    struct hv_message m;
    node_message(child, &m);
    tap_ok(type == HV_MESSAGE_UNRECOVERABLE_EXCEPTION && m.header.sender == child->id,
           "a triple fault at depth 2 is a message to the middle");
    type = node_command(child, OP_CPUID, LEAF, 0, 0);
    tap_ok(node_stopped_itself(child, type), "which moves its RIP on and goes on with it");
}

void test_intercepts(struct node *middle, struct node *child)
{
    ports_and_halt(middle, child);
    memory(middle, child);
    cpuid_leaves(middle, child);
    triple_fault(child);
}
