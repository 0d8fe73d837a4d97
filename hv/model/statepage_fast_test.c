/* SPDX-License-Identifier: MIT */
/*
 * The short ways of state pages give what the plain ones give: random classes of random pages
 * taken in, random states put into a page field by field, messages of every length.
 */
/* unit: +hypercalls hypercalls/fake/calls.c */
#include "unit.h"

#include "hv/base/console.h"
#include "hv/model/events.h"
#include "hv/model/fpu.h"
#include "hv/model/rules.h"
#include "hv/model/statepage.h"
#include "hypercalls/fake/calls.h"

enum { ROUNDS = 20000, XMM_COUNT = 6 };

static struct vp *vp;
static struct vp_state reset; /* as the child's VP has it at first: real mode */

static int start(void **state)
{
    (void)state;
    unit_seed(3);
    start_with_child(PRIVILEGES_ROOT, &npt_format);
    assert_int_equal(map_at(child, STATE_PAGE_REGISTERS, 5), HV_STATUS_SUCCESS);
    assert_int_equal(map_at(child, STATE_PAGE_INTERCEPT, 6), HV_STATUS_SUCCESS);
    vp = child_partition()->vps[0];
    reset = vp->state;
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

static void *page_of(enum state_page_type type)
{
    return page_ptr(vp->pages[type].spn);
}

static bool once_in(unsigned count)
{
    return unit_below(count) == 0;
}

static void randomize(void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)unit_random();
}

/* A good state in real or 64-bit mode. */
static void random_state(void)
{
    struct vp_state *s = &vp->state;
    *s = reset;
    randomize(s->gpr, sizeof(s->gpr));
    s->rip = unit_below(0x10000);
    s->interrupt_shadow = once_in(3);
    if (once_in(2)) {
        s->cr0 |= CR0_PE | CR0_PG;
        s->cr4 |= CR4_PAE;
        s->efer = EFER_LME | EFER_LMA;
        s->seg[SEG_CS].attributes = 0xA09B;
        s->rip = unit_random() >> 17;
    }
    assert_true(state_is_valid(s));
    randomize((uint8_t *)vp->xsave + 160, 16 * XMM_COUNT);
    vp->touched = false;
}

static uint64_t random_rip(void)
{
    return unit_random() >> unit_below(64);
}

/* What a writer may leave in the page, some of it good. */
static void random_page(struct hv_register_page *page)
{
    uint32_t classes = HV_DIRTY_GENERAL | HV_DIRTY_RIP;
    if (once_in(3))
        randomize(page, offsetof(struct hv_register_page, cr0));
    if (once_in(3))
        page->rflags = RFLAGS_FIXED | (unit_random() & 0xCD5);
    page->rip = random_rip();
    randomize(page->gpr, sizeof(page->gpr));
    if (once_in(2))
        classes = ~0U;
    page->dirty = (uint32_t)unit_random() & classes;
}

/* All that taking in changes; whether a load is due is the short way's own to say. */
struct taken {
    struct vp_state state;
    uint8_t xmm[XMM_COUNT][16];
};

static bool take(bool (*way)(struct vp *, const struct hv_register_page *, uint32_t),
                 const struct hv_register_page *page, struct taken *taken)
{
    bool accepted = way(vp, page, page->dirty);
    memset(taken, 0, sizeof(*taken));
    memcpy(&taken->state, &vp->state, sizeof(taken->state));
    fpu_get_low_xmm(vp, taken->xmm);
    assert_true(accepted || !vp->touched);
    return accepted;
}

static void taken_as_plain(void **state)
{
    (void)state;
    static struct taken fast, plain;
    struct hv_register_page *page = page_of(STATE_PAGE_REGISTERS);
    unsigned simple = 0, refused = 0;
    for (unsigned n = 0; n < ROUNDS; n++) {
        random_state();
        random_page(page);
        static struct vp_state before;
        memcpy(&before, &vp->state, sizeof(before));
        uint8_t xmm[16 * XMM_COUNT];
        memcpy(xmm, (uint8_t *)vp->xsave + 160, sizeof(xmm));
        bool accepted = take(state_page_take_classes, page, &fast);
        simple += accepted && !vp->touched;
        refused += !accepted;
        memcpy(&vp->state, &before, sizeof(before));
        memcpy((uint8_t *)vp->xsave + 160, xmm, sizeof(xmm));
        vp->touched = false;
        if (take(state_page_take_all, page, &plain) != accepted)
            fail_msg("dirty %x rip %lx: fast %d", page->dirty, page->rip, accepted);
        assert_memory_equal(&fast, &plain, sizeof(fast));
    }
    assert_in_range(simple, ROUNDS / 20, ROUNDS);
    assert_in_range(refused, ROUNDS / 20, ROUNDS);
}

/* The page of a stopped VP, each field by itself. */
static void put_plainly(struct hv_register_page *page)
{
    const struct vp_state *s = &vp->state;
    page->version = 1;
    page->is_valid = 1;
    page->dirty = 0;
    for (unsigned i = 0; i < GPR_COUNT; i++)
        page->gpr[i] = s->gpr[i];
    page->rip = s->rip;
    page->rflags = s->rflags;
    for (unsigned i = 0; i < XMM_COUNT; i++)
        fpu_get_xmm(vp, i, page->xmm[i]);
    for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
        struct hv_segment *to = &page->segment[i];
        to->base = s->seg[i].base;
        to->limit = s->seg[i].limit;
        to->selector = s->seg[i].selector;
        to->attributes = s->seg[i].attributes;
    }
    page->cr0 = s->cr0;
    page->cr3 = s->cr3;
    page->cr4 = s->cr4;
    page->cr8 = s->cr8;
    page->efer = s->efer;
    page->dr7 = s->dr7;
    page->pending_interruption = s->event.valid ? pending_interruption_of(&s->event) : 0;
    page->interrupt_state = interrupt_state_of(s);
    page->xfem = s->xcr0;
}

static void put_as_plain(void **state)
{
    (void)state;
    struct hv_register_page *page = page_of(STATE_PAGE_REGISTERS), plain;
    for (unsigned n = 0; n < ROUNDS / 10; n++) {
        random_state();
        struct vp_state *s = &vp->state;
        randomize(&s->cr0, 6 * sizeof(s->cr0)); /* any values: nobody looks */
        randomize(s->seg, sizeof(s->seg));
        s->rip = unit_random();
        s->event.valid = once_in(2);
        memset(page, 0, sizeof(*page));
        memset(&plain, 0, sizeof(plain));
        state_page_publish(vp, false);
        put_plainly(&plain);
        assert_memory_equal(page, &plain, sizeof(plain));
    }
    vp->state = reset;
}

static void tail_as_plain(void **state)
{
    (void)state;
    struct hv_message *m = page_of(STATE_PAGE_INTERCEPT), plain = {0};
    for (unsigned n = 0; n < ROUNDS; n++) {
        size_t size = 8 * unit_below(sizeof(m->payload) / 8 + 1);
        assert_ptr_equal(state_page_message_begin(vp, (uint32_t)n, size), m);
        randomize(&m->payload, size);
        state_page_message_end(vp);
        plain.header.type = n;
        plain.header.payload_size = (uint8_t)size;
        plain.header.sender = child;
        memset(&plain.payload, 0, sizeof(plain.payload));
        memcpy(&plain.payload, &m->payload, size);
        assert_memory_equal(m, &plain, sizeof(plain));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(taken_as_plain), TEST(put_as_plain),
                                       TEST(tail_as_plain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
