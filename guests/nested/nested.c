/* SPDX-License-Identifier: MIT */
/*
 * A child that creates a child of its own, and that one another. Each is
 * long-mode code that makes hypercalls through its own hypercall page, with the
 * privileges that its parent set by property 0x00010000: "A child of a child runs
 * by the same code."
 */
#include "guests/nested/tests.h"
#include "hv/model/partition.h"

#define MIDDLE_PAGES 2048 /* 8 MiB; each child has half of its parent's */

static void set_property(struct node *n, uint64_t value, uint16_t expected, const char *what)
{
    struct hv_input_set_partition_property input = {
        .partition_id = n->id, .code = HV_PROPERTY_PRIVILEGE_FLAGS, .value = value};
    tap_status(node_call(n->parent, HVCALL_SET_PARTITION_PROPERTY, &input, sizeof(input), NULL, 0),
               expected, "%s", what);
}

/* A middle without the privileges of a host. */
static void unprivileged(void)
{
    static const uint16_t codes[] = {
        HVCALL_CREATE_PARTITION,
        HVCALL_INITIALIZE_PARTITION,
        HVCALL_FINALIZE_PARTITION,
        HVCALL_DELETE_PARTITION,
        HVCALL_CREATE_VP,
        HVCALL_DELETE_VP,
        HVCALL_DISPATCH_VP,
        HVCALL_GET_MEMORY_BALANCE,
        HVCALL_GET_PARTITION_PROPERTY,
        HVCALL_SET_PARTITION_PROPERTY,
        HVCALL_GET_NEXT_CHILD_PARTITION,
        HVCALL_INSTALL_INTERCEPT,
        HVCALL_TRANSLATE_VIRTUAL_ADDRESS,
        HVCALL_MAP_VP_STATE_PAGE,
        HVCALL_UNMAP_VP_STATE_PAGE,
    };
    struct node n;
    uint64_t input[8] = {HV_PARTITION_ID_SELF}, output[2], id = 0;
    node_open(&n, &root, MIDDLE_PAGES, PRIVILEGES_CHILD, CHILD_MAP_ALL);
    tap_status(node_call(&n, HVCALL_GET_PARTITION_ID, NULL, 0, &id, sizeof(id)), HV_STATUS_SUCCESS,
               "a child with AccessPartitionId asks for its id through its own hypercall page");
    tap_equal(id, n.id, "... and gets the one that CreatePartition returned");
    unsigned denied = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
        uint16_t status = node_call(&n, codes[i], input, sizeof(input), output, sizeof(output));
        denied += status == HV_STATUS_ACCESS_DENIED;
        if (status != HV_STATUS_ACCESS_DENIED)
            tap_note("call 0x%x: %s", codes[i], status_name(status));
    }
    tap_equal(denied, ARRAY_SIZE(codes),
              "with the MSR privileges alone each call about partitions is ACCESS_DENIED");
    uint32_t type = node_command(&n, OP_CPUID, 0x40000003, 0, 0);
    tap_ok(node_stopped_itself(&n, type) && node_result(&n) == PRIVILEGES_CHILD,
           "CPUID 0x40000003 shows it the privileges that its parent set");
    set_property(&n, PRIVILEGES_CHILD, HV_STATUS_INVALID_PARTITION_STATE,
                 "its parent may set property 0x00010000 before initializing it, not later");
    tap_ok(node_close(&n), "the unprivileged child is gone");
    node_free(&n);
}

/* Privileges only ever shrink on the way down. */
static void subsets(struct node *middle)
{
    struct node n;
    node_create(&n, middle, MIDDLE_PAGES / 2, PRIVILEGES_CHILD);
    set_property(&n, middle->privileges | PRIVILEGE_CPU_MANAGEMENT,
                 node_is_layered(middle) ? HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE
                                         : HV_STATUS_SUCCESS,
                 node_is_layered(middle) ? "a layered middle cannot give its child CpuManagement"
                                         : "a root-like middle can give its child CpuManagement");
    set_property(&n, middle->privileges | BIT(60), HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE,
                 "\"to a subset of its own\": an unknown privilege is refused");
    tap_status(node_call(&root, HVCALL_DELETE_PARTITION, &n.id, 8, NULL, 0),
               HV_STATUS_ACCESS_DENIED,
               "the first partition may not delete it: it is not its child but its grandchild");
    struct hv_output_dispatch_vp output;
    struct hv_input_dispatch_vp input = {.partition_id = n.id};
    tap_status(node_call(&root, HVCALL_DISPATCH_VP, &input, sizeof(input), &output, sizeof(output)),
               HV_STATUS_ACCESS_DENIED, "nor dispatch it");
    tap_status(state_page_map(n.id, 0, HV_VP_STATE_PAGE_REGISTERS, 0, 0, NULL),
               HV_STATUS_ACCESS_DENIED, "nor map its state page");
    tap_status(node_call(middle, HVCALL_DELETE_PARTITION, &n.id, 8, NULL, 0), HV_STATUS_SUCCESS,
               "its parent may (0x43 is allowed when created)");
}

/* A child of the middle that comes and goes leaves the tables behind that splits need. */
static void warm_up(struct node *middle)
{
    struct node child;
    node_open(&child, middle, MIDDLE_PAGES / 2, PRIVILEGES_CHILD, CHILD_MAP_ALL);
    tap_ok(node_close(&child), "the middle partition %lu has created, fed, run and deleted a child",
           middle->id);
}

/* deposited: since then; kept: pages that what was done since then may keep. */
static void check_balance(const struct hv_output_memory_balance *before, struct node *n,
                          uint32_t deposited, uint32_t kept, const char *whose)
{
    struct hv_output_memory_balance now;
    node_balance(n, &now);
    tap_equal(now.in_use, before->in_use + kept, "%s", whose);
    tap_equal(now.available + kept, before->available + deposited, "and as many available");
}

/* The whole tree under a middle partition of the given privileges. */
static void with_middle(uint64_t privileges)
{
    struct hv_output_memory_balance middle_before;
    struct node middle, child;
    node_open(&middle, &root, MIDDLE_PAGES, privileges, CHILD_MAP_ALL);
    tap_note("the middle partition is %s", node_is_layered(&middle) ? "a layered host" : "a root");
    subsets(&middle);
    test_own_page(&middle);
    warm_up(&middle);
    node_balance(&middle, &middle_before);
    node_open(&child, &middle, MIDDLE_PAGES / 2, PRIVILEGES_CHILD, CHILD_MAP_ALL);
    test_placement(&middle, &child);
    test_intercepts(&middle, &child);
    test_memory(&middle, &child);
    test_running(&middle, &child);
    tap_ok(node_close(&child), "the middle takes its child apart, every page zeroed");
    check_balance(&middle_before, &middle, 0, 1,
                  "the middle's pool has as many pages in use as before, and one for the intercept "
                  "that was installed");
    test_end(&middle);
    tap_ok(node_close(&middle), "the first partition takes the middle apart, every page zeroed");
    node_free(&middle);
}

/* Once more on the same pages: now nothing is left behind that was not there before. */
static void leaks(uint64_t privileges)
{
    struct hv_output_memory_balance before;
    struct node middle, child;
    for (unsigned round = 0; round < 2; round++) {
        uint64_t pages = pages_available();
        uint32_t deposited = root.spare_used;
        node_balance(&root, &before);
        node_open(&middle, &root, MIDDLE_PAGES, privileges, CHILD_MAP_ALL);
        node_open(&child, &middle, MIDDLE_PAGES / 2, PRIVILEGES_CHILD, CHILD_MAP_ALL);
        bool closed = node_close(&middle);
        node_free(&middle);
        if (round == 0)
            continue;
        tap_ok(closed, "a middle with a child, finalized at once");
        check_balance(&before, &root, root.spare_used - deposited, 0,
                      "the first partition's pool has as many pages in use as before");
        tap_equal(pages_available() + root.spare_used, pages + deposited,
                  "and the first partition all its memory");
    }
}

void guest_main(void)
{
    hypercall_init();
    if (hypervisor_role() == ROLE_IS_GUEST) {
        tap_skip("role guest: it may not create partitions");
        return;
    }
    cpu_start_all();
    root.privileges = hypervisor_privileges();
    hv_call(HVCALL_GET_PARTITION_ID, NULL, 0, &root.id, sizeof(root.id));
    tap_note("%u processors, role %s", cpu_count, role_name(hypervisor_role()));
    unprivileged();
    if (hypervisor_role() == ROLE_IS_ROOT)
        with_middle(PRIVILEGES_ROOT);
    else
        tap_skip("a root-like middle: the first partition has no CpuManagement to give");
    with_middle(PRIVILEGES_LAYERED);
    leaks(PRIVILEGES_LAYERED);
    test_depth();
}
