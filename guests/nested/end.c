/* SPDX-License-Identifier: MIT */
/* The end of a middle partition that has children, and how deep the tree may grow. */
#include "guests/nested/tests.h"
#include "hv/model/partition.h"

#define PATTERN 0x77

struct runner {
    struct node *node;
    volatile uint32_t type;
};

static void run(void *argument)
{
    struct runner *r = argument;
    r->type = node_run(r->node);
}

/* The pages of NODE_SPARE: those the middle deposited come back zero, the others as they were. */
static void check_spare(const struct node *middle, uint32_t from)
{
    unsigned unreachable = 0, wrong = 0;
    for (unsigned i = from; i < SPARE_PAGES; i++) {
        const uint8_t *page = middle->memory + NODE_SPARE + i * PAGE_SIZE;
        uint8_t expected = i < middle->spare_used ? 0 : PATTERN;
        if (!first_can_touch(page)) {
            unreachable++;
            continue;
        }
        for (unsigned at = 0; at < PAGE_SIZE; at++) {
            if (page[at] != expected) {
                wrong++;
                break;
            }
        }
    }
    tap_equal(unreachable, 0,
              "the first partition reaches every page of the middle's memory again");
    tap_equal(wrong, 0, "those that the middle had deposited are zeroed, the others unchanged");
}

static uint64_t next_child(uint64_t parent, uint64_t previous)
{
    struct hv_input_next_child input = {parent, previous};
    uint64_t id = ~0UL;
    hv_call(HVCALL_GET_NEXT_CHILD_PARTITION, &input, sizeof(input), &id, sizeof(id));
    return id;
}

/*
 * Finalizes a middle whose child has memory, deposits and state pages, and runs
 * at that moment when there is a processor for it.
 */
void test_end(struct node *middle)
{
    struct node child;
    struct runner runner = {middle, 0};
    uint32_t from = middle->spare_used;
    struct hv_output_dispatch_vp output;
    for (unsigned i = from; i < SPARE_PAGES; i++)
        memset(middle->memory + NODE_SPARE + i * PAGE_SIZE, PATTERN, PAGE_SIZE);
    node_open(&child, middle, middle->pages / 2, PRIVILEGES_CHILD, CHILD_MAP_ALL);
    tap_equal(next_child(middle->id, 0), child.id,
              "GetNextChildPartition finds the middle's child");
    uint64_t counter = NODE_SPARE, flag = NODE_SPARE + 8;
    volatile uint64_t *count = (volatile uint64_t *)(child.memory + counter);
    count[0] = count[1] = 0;
    node_give(&child, OP_COUNT, counter, flag, 0);
    struct hv_input_dispatch_vp input = {.partition_id = child.id,
                                         .flags = HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND};
    memcpy(middle->memory + NODE_INPUT, &input, sizeof(input));
    node_give(middle, OP_HYPERCALL, HVCALL_DISPATCH_VP, NODE_INPUT, NODE_OUTPUT);
    if (cpu_count > 1) {
        cpu_run(1, run, &runner);
        while (count[0] < 1000)
            cpu_relax();
    }
    tap_status(child_delete(middle->id), HV_STATUS_INVALID_PARTITION_STATE,
               "DeletePartition of an initialized partition");
    tap_status(child_finalize(middle->id), HV_STATUS_SUCCESS, "FinalizePartition of the middle%s",
               cpu_count > 1 ? " while its child runs on another processor" : "");
    uint64_t counted = count[0];
    if (cpu_count > 1) {
        cpu_wait(1);
        tap_equal(runner.type, CHILD_STOP_FAILED, "the dispatch of the middle ended");
    }
    tap_equal(count[0], counted, "nothing of it runs any more");
    node_forget_state_pages(middle);
    middle->finalized = true;
    tap_status(node_dispatch(middle, &output), HV_STATUS_INVALID_PARTITION_STATE,
               "a finalized partition is not dispatched");
    tap_equal(next_child(middle->id, 0), 0, "the middle has no child any more");
    tap_status(child_delete(child.id), HV_STATUS_INVALID_PARTITION_ID,
               "the child went with it: no such partition");
    check_spare(middle, from);
    tap_status(child_finalize(middle->id), HV_STATUS_INVALID_PARTITION_STATE, "finalized twice");
}

/* "to any depth": as deep as the memory of the first child can be halved. */
void test_depth(void)
{
    struct node nodes[3];
    struct hv_output_memory_balance before, after;
    uint64_t pages = pages_available();
    struct hv_message m;
    node_balance(&root, &before);
    uint32_t used = root.spare_used;
    node_open(&nodes[0], &root, 2048, root.privileges, CHILD_MAP_ALL);
    node_open(&nodes[1], &nodes[0], 1024, root.privileges, CHILD_MAP_ALL);
    node_open(&nodes[2], &nodes[1], 512, PRIVILEGES_CHILD, CHILD_MAP_ALL);
    uint64_t id = 0;
    tap_status(node_call(&nodes[2], HVCALL_GET_PARTITION_ID, NULL, 0, &id, sizeof(id)),
               HV_STATUS_SUCCESS, "a child of a child of a child makes a hypercall");
    tap_equal(id, nodes[2].id, "and is partition %lu, under %lu, under %lu", nodes[2].id,
              nodes[1].id, nodes[0].id);
    uint32_t type = node_command(&nodes[2], OP_OUT, 0x80, 7, 0);
    node_message(&nodes[2], &m);
    tap_ok(type == HV_MESSAGE_IO_PORT && m.header.sender == nodes[2].id &&
               m.payload.io.port == 0x80,
           "its intercept arrives at the third partition down, its parent");
    const uint8_t *deposited = nodes[1].memory + NODE_SPARE;
    tap_ok(nodes[1].spare_used > 0 && !first_can_touch(deposited),
           "a page deposited at depth 2 has left all maps up to the first partition's");
    uint32_t gone = node_touch(&nodes[0], deposited - nodes[0].memory);
    tap_ok(message_is(&nodes[0], gone, HV_MESSAGE_GPA_INTERCEPT,
                      (uint64_t)(deposited - nodes[0].memory)),
           "and the one's between as well");
    uint64_t shared = 0x30000;
    tap_status(child_unmap(nodes[0].id, (2 * NODE_CHILD + shared) >> PAGE_SHIFT, 1),
               HV_STATUS_SUCCESS, "the first partition takes a page that all three share");
    tap_ok(message_is(&nodes[2], node_touch(&nodes[2], shared), HV_MESSAGE_UNMAPPED_GPA, shared),
           "the lowest has lost it, too, and its parent gets the message");
    tap_ok(node_close(&nodes[0]), "finalizing the first child takes all below it along, zeroed");
    tap_ok(first_can_touch(deposited) && *deposited == 0, "the deposited page is back, zeroed");
    node_free(&nodes[0]);
    node_balance(&root, &after);
    tap_ok(after.available + after.in_use ==
               before.available + before.in_use + root.spare_used - used,
           "the first partition's pool has as many pages as before");
    tap_equal(pages_available() + root.spare_used, pages + used, "and its memory all its pages");
}
