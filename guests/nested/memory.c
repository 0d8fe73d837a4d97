/* SPDX-License-Identifier: MIT */
/* Deposits that pass up the chain, and what a child loses when its parent loses it. */
#include "guests/nested/tests.h"

#define PLAY       (NODE_SPARE + 220 * PAGE_SIZE) /* a page of the middle's */
#define CHILD_GPA  0x800000UL                     /* where the child sees it */
#define LARGE      0x600000UL                     /* 2 MiB of the middle's that the child has not */
#define LARGE_HOLE 0x5000UL

static void read_byte(void *address)
{
    (void)*(volatile uint8_t *)address;
}

bool first_can_touch(const void *address)
{
    struct trap trap;
    if (try_call(read_byte, (void *)address, &trap))
        return true;
    if (trap.vector != VECTOR_GP || trap.error != 0)
        tap_ok(false, "%s(0x%x) instead of #GP(0)", trap_name(trap.vector), trap.error);
    return false;
}

static bool zero(const uint8_t *page)
{
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        if (page[i] != 0)
            return false;
    return true;
}

static void deposits(struct node *middle, struct node *child)
{
    uint8_t *page = middle->memory + PLAY;
    gpn_t gpn = PLAY >> PAGE_SHIFT, first_gpn = page_of(page);
    memset(page, 0xA5, PAGE_SIZE);
    tap_status(
        node_call_rep(middle, HVCALL_DEPOSIT_MEMORY, &child->id, 8, &gpn, 8, 1, NULL, 0, NULL),
        HV_STATUS_SUCCESS, "the middle deposits a page of its own to the child");
    tap_ok(message_is(middle, node_touch(middle, PLAY), HV_MESSAGE_GPA_INTERCEPT, PLAY),
           "\"no longer accessible to the depositor\": its access is an intercept");
    tap_ok(!first_can_touch(page), "it has left the first partition's map as well: #GP(0) there");
    tap_status(child_map(middle->id, gpn + 0x1000, first_gpn, 1, CHILD_MAP_ALL),
               HV_STATUS_INVALID_PARAMETER, "which cannot map it anywhere");
    tap_status(hv_call_rep(HVCALL_DEPOSIT_MEMORY, &middle->id, 8, &first_gpn, 8, 1, NULL, 0, NULL),
               HV_STATUS_INVALID_PARAMETER, "nor deposit it (\"not deposited already\")");
    tap_status(child_unmap(middle->id, gpn, 1), HV_STATUS_INVALID_PARAMETER,
               "nor unmap it from the middle");
    tap_status(node_map(child, gpn + 0x1000, gpn, 1, CHILD_MAP_ALL), HV_STATUS_INVALID_PARAMETER,
               "the middle cannot map it into the child");
    tap_status(
        node_call_rep(middle, HVCALL_DEPOSIT_MEMORY, &child->id, 8, &gpn, 8, 1, NULL, 0, NULL),
        HV_STATUS_INVALID_PARAMETER, "nor deposit it twice");
    node_withdraw_all(child);
    uint32_t type = node_touch(middle, PLAY);
    tap_ok(node_stopped_itself(middle, type) && node_result(middle) == 0,
           "withdrawn, the middle reads it again, zero");
    tap_ok(first_can_touch(page) && zero(page),
           "the first partition has it back as well, all zeroed");
}

/* Puts the play page into the child. */
static uint16_t give(struct node *child, uint32_t flags)
{
    return node_map(child, CHILD_GPA >> PAGE_SHIFT, PLAY >> PAGE_SHIFT, 1, flags);
}

static bool child_reads(struct node *child, uint64_t gpa, uint64_t value)
{
    uint32_t type = node_touch(child, gpa);
    return node_stopped_itself(child, type) && node_result(child) == value;
}

static bool is_lost(struct node *n, uint64_t gpa)
{
    return message_is(n, node_touch(n, gpa), HV_MESSAGE_UNMAPPED_GPA, gpa);
}

static void revocation(struct node *middle, struct node *child)
{
    uint64_t *page = (uint64_t *)(middle->memory + PLAY), other_value = 0x0BAD;
    gpn_t gpn = PLAY >> PAGE_SHIFT;
    uint64_t *other = page_alloc();
    *page = 0xCAFE;
    tap_status(give(child, CHILD_MAP_ALL), HV_STATUS_SUCCESS,
               "the middle maps a page into the child");
    tap_ok(child_reads(child, CHILD_GPA, 0xCAFE), "the child reads it");
    tap_status(
        node_call_rep(middle, HVCALL_DEPOSIT_MEMORY, &child->id, 8, &gpn, 8, 1, NULL, 0, NULL),
        HV_STATUS_INVALID_PARAMETER, "a page \"mapped into a child\" cannot be deposited");
    tap_status(child_unmap(middle->id, gpn, 1), HV_STATUS_SUCCESS,
               "the first partition unmaps it from the middle");
    tap_ok(is_lost(child, CHILD_GPA),
           "it is gone from the child too (the middle gets the message)");
    tap_ok(is_lost(middle, PLAY), "and from the middle (the first partition gets the message)");
    child_map(middle->id, gpn, page_of(page), 1, CHILD_MAP_ALL);
    uint32_t type = node_touch(middle, PLAY);
    tap_ok(node_stopped_itself(middle, type) && node_result(middle) == 0xCAFE,
           "mapped again, the middle reads it");
    tap_ok(is_lost(child, CHILD_GPA), "the child only when the middle has mapped it again");
    tap_ok(give(child, CHILD_MAP_ALL) == 0 && child_reads(child, CHILD_GPA, 0xCAFE),
           "... which it does");

    *other = other_value;
    tap_status(child_map(middle->id, gpn, page_of(other), 1, CHILD_MAP_ALL), HV_STATUS_SUCCESS,
               "the first partition puts another page in its place");
    tap_ok(is_lost(child, CHILD_GPA), "the child loses the old one");
    tap_ok(give(child, CHILD_MAP_ALL) == 0 && child_reads(child, CHILD_GPA, other_value),
           "and gets the new one from the middle");
    child_map(middle->id, gpn, page_of(page), 1, HV_MAP_READABLE);
    tap_status(give(child, CHILD_MAP_ALL), HV_STATUS_INVALID_PARAMETER,
               "a middle that may only read cannot map for writing");
    tap_ok(give(child, HV_MAP_READABLE) == 0 && child_reads(child, CHILD_GPA, 0xCAFE),
           "but for reading");
    type = node_command(child, OP_WRITE, CHILD_GPA, 1, 0);
    tap_ok(message_is(child, type, HV_MESSAGE_GPA_INTERCEPT, CHILD_GPA) && *page == 0xCAFE,
           "the child's write is denied, a message to the middle");
    node_unmap(child, CHILD_GPA >> PAGE_SHIFT, 1);
    child_map(middle->id, gpn, page_of(page), 1, CHILD_MAP_ALL);
    page_free(other);
}

/* 2 MiB that are one large page at each level; then the first partition cuts a hole. */
static void large(struct node *middle, struct node *child)
{
    uint32_t flags = CHILD_MAP_ALL | HV_MAP_LARGE_PAGE;
    uint8_t *memory = middle->memory + LARGE;
    gpn_t hole = (LARGE + LARGE_HOLE) >> PAGE_SHIFT;
    *(uint64_t *)(memory + LARGE_HOLE) = 0x1111;
    *(uint64_t *)(memory + LARGE_HOLE + PAGE_SIZE) = 0x2222;
    tap_status(child_map(middle->id, LARGE >> PAGE_SHIFT, page_of(memory), PAGES_2M, flags),
               HV_STATUS_SUCCESS, "2 MiB of the middle become one large page");
    tap_status(node_map(child, CHILD_GPA >> PAGE_SHIFT, LARGE >> PAGE_SHIFT, PAGES_2M, flags),
               HV_STATUS_SUCCESS, "and of the child as well");
    tap_ok(child_reads(child, CHILD_GPA + LARGE_HOLE, 0x1111), "the child reads it");
    tap_status(child_unmap(middle->id, hole, 1), HV_STATUS_SUCCESS,
               "the first partition takes 4 KiB out of the middle of it");
    tap_ok(is_lost(child, CHILD_GPA + LARGE_HOLE), "they are gone from the child");
    tap_ok(is_lost(middle, LARGE + LARGE_HOLE), "and from the middle");
    tap_ok(child_reads(child, CHILD_GPA + LARGE_HOLE + PAGE_SIZE, 0x2222),
           "the page beside them is still there");
    node_unmap(child, CHILD_GPA >> PAGE_SHIFT, PAGES_2M);
    child_map(middle->id, hole, page_of(memory + LARGE_HOLE), 1, CHILD_MAP_ALL);
}

void test_memory(struct node *middle, struct node *child)
{
    deposits(middle, child);
    revocation(middle, child);
    large(middle, child);
}
