/* SPDX-License-Identifier: MIT */
/*
 * The life of a register page: published when its VP stops, consumed when it
 * runs, refused where the processor would refuse; and the intercept page.
 */
/* unit: +hypercalls */
/* unit: hypercalls/fake/calls.c */
#include "unit.h"

#include "hypercalls/fake/calls.h"

enum { PLACE = 8 }; /* a page of the caller's */

static int start(void **state)
{
    (void)state;
    start_with_child(PRIVILEGES_ROOT, &npt_format);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

static struct hv_register_page *register_page(void)
{
    return page_ptr(child_partition()->vps[0]->pages[0].spn);
}

static struct hv_message *message(void)
{
    return page_ptr(child_partition()->vps[0]->pages[1].spn);
}

static uint32_t dispatch(uint32_t flags)
{
    const struct hv_input_dispatch_vp in = {.partition_id = child, .flags = flags};
    return call(HVCALL_DISPATCH_VP, &in, sizeof(in));
}

static struct hv_output_dispatch_vp dispatched(void)
{
    return *(struct hv_output_dispatch_vp *)fake_page(OUTPUT_PAGE);
}

static void start_child(void)
{
    assert_int_equal(map_at(child, 0, 5), HV_STATUS_SUCCESS);
    assert_int_equal(map_at(child, 1, 6), HV_STATUS_SUCCESS);
    assert_int_equal(set_register(child, 0, HV_REGISTER_EXPLICIT_SUSPEND, 0), HV_STATUS_SUCCESS);
}

static void published_and_consumed(void **state)
{
    (void)state;
    assert_int_equal(map_at(child, 0, 5), HV_STATUS_SUCCESS);
    assert_int_equal(register_page()->version, 1);
    assert_int_equal(register_page()->is_valid, 1); /* its VP is stopped */
    assert_int_equal(register_page()->dirty, 0);
    assert_int_equal(register_page()->rip, 0xFFF0);
    assert_int_equal(unmap(child, 0), HV_STATUS_SUCCESS);
    start_child();
    assert_int_equal(set_register(child, 0, HV_REGISTER_RIP, 0x1234), HV_STATUS_SUCCESS);
    assert_int_equal(register_page()->version, 1);
    assert_int_equal(register_page()->is_valid, 1);
    assert_int_equal(register_page()->dirty, 0);
    assert_int_equal(register_page()->rip, 0x1234);

    dispatch(0);
    assert_int_equal(register_page()->is_valid, 0);
    struct vp *vp = fake_vp();
    assert_int_equal(vp->partition->id, child);
    assert_int_equal(vp->state.rip, 0x1234);
    register_page()->dirty = HV_DIRTY_RIP; /* a write while it runs has no effect */
    register_page()->rip = 0x6666;
    vp->state.gpr[RCX] = 0x99;
    fake_exit(FAKE_EXIT_IO, 0);
    assert_int_equal(dispatched().state, HV_DISPATCH_STATE_READY);
    assert_int_equal(dispatched().event, HV_DISPATCH_EVENT_INTERCEPT);
    assert_int_equal(register_page()->is_valid, 1);
    assert_int_equal(register_page()->dirty, 0);
    assert_int_equal(register_page()->rip, 0x1234);
    assert_int_equal(register_page()->gpr[RCX], 0x99);
    assert_int_equal(message()->header.type, HV_MESSAGE_IO_PORT);
    assert_int_equal(message()->header.payload_size, 128);
    assert_int_equal(message()->header.sender, child);
    assert_int_equal(message()->payload.io.port, 0x3F8);
    assert_int_equal(message()->payload.intercept.rip, 0x1234);
}

static void only_dirty_classes_are_taken(void **state)
{
    (void)state;
    start_child();
    struct hv_register_page *page = register_page();
    for (unsigned i = 0; i < 16; i++)
        page->gpr[i] = 0x100 + i;
    page->rip = 0x2222;
    page->cr3 = 0x9000;
    page->dirty = HV_DIRTY_RIP;
    dispatch(0);
    assert_int_equal(fake_vp()->state.rip, 0x2222);
    assert_int_equal(fake_vp()->state.gpr[RBX], 0);
    assert_int_equal(fake_vp()->state.cr3, 0); /* control registers never */
    fake_exit(FAKE_EXIT_IO, 0);
    memset(page->xmm, 0x77, sizeof(page->xmm));
    for (unsigned i = 0; i < 16; i++)
        page->gpr[i] = 0x100 + i;
    page->dirty = HV_DIRTY_GENERAL | HV_DIRTY_XMM;
    page->rip = 0x3333;
    dispatch(HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND);
    assert_int_equal(fake_vp()->state.rip, 0x2222);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(fake_vp()->state.gpr[i], 0x100 + i);
    fake_exit(FAKE_EXIT_HALT, 0);
    assert_int_equal(page->xmm[5][15], 0x77);
    assert_int_equal(message()->header.type, HV_MESSAGE_HALT);
    assert_int_equal(message()->header.payload_size, 40);

    /* The same where rflags makes the whole state be looked at. */
    for (unsigned i = 0; i < 16; i++)
        page->gpr[i] = 0x200 + i;
    page->rip = 0x4444;
    page->rflags = 0x246;
    page->dirty = HV_DIRTY_RFLAGS;
    dispatch(HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND);
    assert_int_equal(fake_vp()->state.rflags, 0x246);
    assert_int_equal(fake_vp()->state.rip, 0x2222);
    assert_int_equal(fake_vp()->state.gpr[RBX], 0x100 + RBX);
}

static void refused_values(void **state)
{
    (void)state;
    start_child();
    struct hv_register_page *page = register_page();
    for (unsigned round = 0; round < 4; round++) {
        page->dirty = HV_DIRTY_GENERAL | (round == 0 ? HV_DIRTY_RIP : 0) |
                      (round == 1 ? HV_DIRTY_RFLAGS : 0) | (round >= 2 ? HV_DIRTY_SEGMENTS : 0);
        page->gpr[RAX] = 0x4444;
        if (round == 0)
            page->rip = 1UL << 32; /* above 4 GiB in real mode */
        if (round == 1)
            page->rflags = 0; /* bit 1 is always set */
        if (round == 2)
            page->segment[0].attributes |= 0x100; /* reserved */
        if (round == 3)
            page->segment[5].base = 1UL << 63; /* not canonical */
        dispatch(HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND);
        assert_int_equal(fake_vp()->partition->id, 1); /* the child was not entered */
        assert_int_equal(dispatched().event, HV_DISPATCH_EVENT_INTERCEPT);
        assert_int_equal(message()->header.type, HV_MESSAGE_INVALID_VP_REGISTER_VALUE);
        assert_int_equal(message()->header.payload_size, 8);
        assert_int_equal(page->is_valid, 1);
        assert_int_equal(page->dirty, 0);
        assert_int_equal(page->rip, 0xFFF0);
        assert_int_equal(page->rflags, 2);
        assert_int_equal(page->gpr[RAX], 0);
    }
    dispatch(HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND);
    assert_int_equal(fake_vp()->partition->id, child);
}

static void own_page_is_not_valid(void **state)
{
    (void)state;
    struct vp *vp = fake_vp();
    vp->state.gpr[RBX] = 0xB0B;
    assert_int_equal(map_at(HV_PARTITION_ID_SELF, 0, PLACE), HV_STATUS_SUCCESS);
    const struct hv_register_page *page = page_ptr(vp->pages[0].spn);
    assert_int_equal(page->version, 1);
    assert_int_equal(page->is_valid, 0);
    assert_int_equal(page->gpr[RBX], 0xB0B);
    assert_int_equal(page->gpr[RCX], HVCALL_MAP_VP_STATE_PAGE);
}

/* Two processors: one VP is suspended by the other and its page shows it. */
static void sibling_is_suspended(void **state)
{
    (void)state;
    const struct hv_input_map_vp_state_page in = {.partition_id = HV_PARTITION_ID_SELF,
                                                  .vp_index = 1};
    assert_int_equal(call(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in)), HV_STATUS_SUCCESS);
    struct vp *sibling = first_partition->vps[1];
    struct hv_register_page *page = page_ptr(sibling->pages[0].spn);
    assert_int_equal(page->is_valid, 0);
    sibling->state.gpr[RSI] = 0x51;
    assert_int_equal(set_register(1, 1, HV_REGISTER_EXPLICIT_SUSPEND, 1), HV_STATUS_SUCCESS);
    assert_true(sibling->parked);
    assert_false(fake_on_cpu(1));
    assert_true(fake_on_cpu(0));
    assert_int_equal(page->is_valid, 1);
    assert_int_equal(page->gpr[RSI], 0x51);
    page->gpr[RSI] = 0x52;
    page->dirty = HV_DIRTY_GENERAL;
    assert_int_equal(set_register(1, 1, HV_REGISTER_EXPLICIT_SUSPEND, 0), HV_STATUS_SUCCESS);
    assert_true(fake_on_cpu(1));
    assert_int_equal(sibling->state.gpr[RSI], 0x52);
    assert_int_equal(page->is_valid, 0);
    assert_true(fake_on_cpu(0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(published_and_consumed), TEST(only_dirty_classes_are_taken), TEST(refused_values),
        TEST(own_page_is_not_valid),  TEST(sibling_is_suspended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
