/* SPDX-License-Identifier: MIT */
/* The placement table of 0xE1 with a middle partition as the caller, root-like or layered. */
#include "guests/nested/tests.h"

#define REGISTERS HV_VP_STATE_PAGE_REGISTERS
#define MESSAGE   HV_VP_STATE_PAGE_INTERCEPT_MESSAGE
#define RUNNING   1 /* the first 8 bytes of the page: version 1, is-valid 0, dirty 0 */
#define STOPPED   0x10001

static uint64_t first_word(struct node *n, uint64_t gpa)
{
    uint64_t value = 0;
    node_read(n, gpa, &value, sizeof(value));
    return value;
}

/* What a child sees of its own register page, which is in its map read-only. */
static void seen_by_child(struct node *child, uint64_t gpa, const char *how)
{
    node_reach(child, gpa);
    uint32_t type = node_touch(child, gpa);
    tap_ok(node_stopped_itself(child, type) && node_result(child) == RUNNING,
           "%s: the child reads its own page there: version 1, is-valid 0 while it runs", how);
    type = node_command(child, OP_WRITE, gpa + 0x88, 0x1234, 0);
    tap_ok(message_is(child, type, HV_MESSAGE_GPA_INTERCEPT, gpa + 0x88),
           "... \"read-only for the child\": its write is an intercept to the middle");
}

static void by_root(struct node *middle, struct node *child)
{
    struct hv_output_memory_balance before, after;
    uint64_t chosen = child->state_pages[REGISTERS];
    gpn_t location = 0, wanted = (NODE_SPARE >> PAGE_SHIFT) + 200;
    uint64_t *under = (uint64_t *)(child->memory + (wanted << PAGE_SHIFT));

    tap_ok(chosen >= GIB(4) && chosen != child->state_pages[MESSAGE],
           "root -> child, no location: \"one GPN free in both\", above 4 GiB (0x%lx)", chosen);
    tap_equal(first_word(middle, chosen), STOPPED,
              "the middle reads the stopped child's page there: version 1, is-valid 1, dirty 0");
    seen_by_child(child, chosen, "no location");

    node_balance(child, &before);
    tap_status(node_unmap_state_page(child, REGISTERS), HV_STATUS_SUCCESS, "UnmapVpStatePage");
    node_balance(child, &after);
    tap_equal(before.in_use - after.in_use, 1, "gives the page back to the child's own pool");
    *under = 0x1122334455667788;
    tap_status(node_map_state_page(child, REGISTERS, HV_MAP_LOCATION_PROVIDED, wanted, &location),
               HV_STATUS_SUCCESS, "root -> child, location provided: over the child's RAM");
    tap_equal(location, wanted, "MapLocation is the requested GPN");
    tap_equal(first_word(middle, child->place + (wanted << PAGE_SHIFT)), 0x1122334455667788,
              "it is in the child's map: the middle still reads the page beneath");
    seen_by_child(child, wanted << PAGE_SHIFT, "location provided");
    tap_status(node_unmap_state_page(child, MESSAGE), HV_STATUS_SUCCESS, "the message page goes");
    tap_status(node_map_state_page(child, MESSAGE, HV_MAP_LOCATION_PROVIDED, wanted, &location),
               HV_STATUS_INVALID_PARAMETER, "\"already covered by another overlay\"");
    tap_status(node_unmap_state_page(child, REGISTERS), HV_STATUS_SUCCESS, "unmapped");
    node_show(child, MESSAGE);
    node_show(child, REGISTERS);
    uint32_t type = node_touch(child, wanted << PAGE_SHIFT);
    tap_ok(node_stopped_itself(child, type) && node_result(child) == 0x1122334455667788,
           "the covered page is back in the child's map, unchanged");
}

static void by_layered(struct node *middle, struct node *child)
{
    uint64_t place = child->state_pages[REGISTERS];
    uint64_t *under = (uint64_t *)(middle->memory + place);
    gpn_t location = 0;

    tap_equal(first_word(middle, place), STOPPED,
              "layered -> child, location provided: the middle reads the page at its own GPN");
    tap_status(node_unmap_state_page(child, REGISTERS), HV_STATUS_SUCCESS, "UnmapVpStatePage");
    *under = 0xC0FFEE;
    tap_status(node_map_state_page(child, REGISTERS, 0, place >> PAGE_SHIFT, &location),
               HV_STATUS_INVALID_PARAMETER, "layered -> child, no location: refused");
    tap_status(node_map_state_page(child, REGISTERS, HV_MAP_LOCATION_PROVIDED,
                                   child->state_pages[MESSAGE] >> PAGE_SHIFT, &location),
               HV_STATUS_INVALID_PARAMETER, "layered -> child, \"already covered\"");
    tap_status(node_map_state_page(child, REGISTERS, HV_MAP_LOCATION_PROVIDED, ~0UL >> PAGE_SHIFT,
                                   &location),
               HV_STATUS_INVALID_PARAMETER, "layered -> child, beyond the middle's width");
    tap_status(node_map_state_page(child, REGISTERS, HV_MAP_LOCATION_PROVIDED, place >> PAGE_SHIFT,
                                   &location),
               HV_STATUS_SUCCESS, "layered -> child, location provided");
    tap_equal(location, place >> PAGE_SHIFT, "MapLocation is the requested GPN");
    child->state_pages[REGISTERS] = place;
    tap_equal(*under, 0xC0FFEE,
              "the page beneath keeps its contents (as the first partition sees)");
    gpn_t covered = place >> PAGE_SHIFT;
    tap_status(
        node_call_rep(middle, HVCALL_DEPOSIT_MEMORY, &child->id, 8, &covered, 8, 1, NULL, 0, NULL),
        HV_STATUS_INVALID_PARAMETER, "a page \"under an overlay\" cannot be deposited");
    uint64_t mark = 0x5151;
    memcpy(child->memory + place, &mark, sizeof(mark));
    uint32_t type = node_touch(child, place);
    tap_ok(node_stopped_itself(child, type) && node_result(child) == mark,
           "the page is in the caller's map alone: at that GPN the child has its own memory");
    tap_status(node_unmap_state_page(child, REGISTERS), HV_STATUS_SUCCESS, "UnmapVpStatePage");
    tap_equal(first_word(middle, place), 0xC0FFEE,
              "the page beneath is back in the middle's map, unchanged");
    node_show(child, REGISTERS);
}

/* A middle's own page: it is an ordinary partition in that. */
void test_own_page(struct node *middle)
{
    struct hv_input_map_vp_state_page in = {
        .partition_id = HV_PARTITION_ID_SELF, .vp_index = HV_VP_INDEX_SELF, .type = REGISTERS};
    gpn_t location = 0;
    tap_status(node_call(middle, HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in), &location, 8),
               HV_STATUS_OPERATION_DENIED,
               "a middle's own register page is its parent's already: OPERATION_DENIED");
    tap_status(node_unmap_state_page(middle, REGISTERS), HV_STATUS_SUCCESS,
               "the first partition unmaps it");
    tap_status(node_call(middle, HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in), &location, 8),
               HV_STATUS_SUCCESS, "the middle maps it for itself");
    node_reach(middle, location << PAGE_SHIFT);
    tap_equal(first_word(middle, location << PAGE_SHIFT), RUNNING,
              "and reads version 1, is-valid 0 (0x%lx)", location);
    tap_status(node_unmap_state_page(middle, REGISTERS), HV_STATUS_SUCCESS,
               "the first partition may unmap that one too");
    node_show(middle, REGISTERS);
}

void test_placement(struct node *middle, struct node *child)
{
    if (node_is_layered(middle))
        by_layered(middle, child);
    else
        by_root(middle, child);
}
