/* SPDX-License-Identifier: MIT */
/* The life of a child's register page: published, dirty classes, refused values. */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

static void first_contents(void)
{
    struct child c;
    child_open(&c, 1, CHILD_MAP_ALL);
    struct hv_register_page *page = c.vps[0].registers;
    START(&c, 0, START_LONG, stops);
    child_put(&c, 0, HV_REGISTER_RAX + R9, 0x9999);
    matches = true;
    match("version", page->version, 1);
    match("is-valid", page->is_valid, 1);
    match("zero", page->zero, 0);
    match("dirty", page->dirty, 0);
    match("rip", page->rip, CHILD_CODE);
    match("r9", page->gpr[R9], 0x9999);
    match("rflags", page->rflags, RFLAGS_FIXED);
    match("cr0", page->cr0, child_register(c.id, 0, HV_REGISTER_CR0));
    match("cr3", page->cr3, CHILD_TABLES);
    match("cr4", page->cr4, CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT);
    match("cr8", page->cr8, 0);
    match("efer", page->efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
    match("dr7", page->dr7 & 0xFF, 0);
    match("cs selector", page->segment[SEG_CS].selector, 8);
    match("cs attributes", page->segment[SEG_CS].attributes & 0xF0FF, 0xA09B);
    match("pending interruption", page->pending_interruption & 1, 0);
    match("interrupt state", page->interrupt_state, 0);
    tap_ok(matches, "after SetVpRegisters and before the first run: version 1, is-valid 1, "
                    "dirty 0, the registers that were set");
    tap_ok(child_close(&c), "that child is gone");
}

/* Other values in every field of the page, of all classes and of none. */
static void scribble(struct hv_register_page *page)
{
    for (unsigned n = 0; n < GPR_COUNT; n++)
        page->gpr[n] = 0x4700 + n;
    page->rip = PLACE(stops, stops_third);
    for (unsigned n = 0; n < sizeof(page->xmm); n++)
        ((uint8_t *)page->xmm)[n] = (uint8_t)(0x80 + n);
    page->segment[4] = (struct hv_segment){0x123456, 0xFFFFF, 0x10, 0x4093}; /* fs */
    page->segment[5].base = 0x654321;                                        /* gs */
    page->rflags = RFLAGS_FIXED | RFLAGS_CF;
    page->cr0 ^= CR0_WP;
    page->cr3 = 0x5000;
    page->cr4 ^= CR4_PGE;
    page->cr8 = 3;
    page->efer ^= EFER_NXE;
    page->dr7 = 0x455;
}

static void match_class(const struct hv_register_page *page, const struct hv_register_page *old,
                        uint32_t dirty)
{
    bool general = dirty & HV_DIRTY_GENERAL, xmm = dirty & HV_DIRTY_XMM;
    bool segments = dirty & HV_DIRTY_SEGMENTS;
    for (unsigned n = 0; n < GPR_COUNT; n++)
        match("general register", page->gpr[n], general ? 0x4700 + n : old->gpr[n]);
    for (unsigned n = 0; n < sizeof(page->xmm); n++)
        match("xmm byte", ((const uint8_t *)page->xmm)[n],
              xmm ? (uint8_t)(0x80 + n) : ((const uint8_t *)old->xmm)[n]);
    match("rip", page->rip, CHILD_CODE + (dirty & HV_DIRTY_RIP ? 4 : 0));
    match("rflags carry", page->rflags & RFLAGS_CF, dirty & HV_DIRTY_RFLAGS ? RFLAGS_CF : 0);
    match("fs base", page->segment[4].base, segments ? 0x123456 : old->segment[4].base);
    match("fs limit", page->segment[4].limit, segments ? 0xFFFFF : old->segment[4].limit);
    match("gs base", page->segment[5].base, segments ? 0x654321 : old->segment[5].base);
    match("cr0", page->cr0, old->cr0);
    match("cr3", page->cr3, old->cr3);
    match("cr4", page->cr4, old->cr4);
    match("cr8", page->cr8, old->cr8);
    match("efer", page->efer, old->efer);
    match("dr7", page->dr7, old->dr7);
    match("dirty", page->dirty, 0);
    match("is-valid", page->is_valid, 1);
}

static void dirty_classes(struct child *c)
{
    static const struct {
        uint32_t mask;
        const char *name;
    } cases[] = {
        {0, "nothing"},
        {HV_DIRTY_GENERAL, "the general registers"},
        {HV_DIRTY_RIP, "rip"},
        {HV_DIRTY_XMM, "xmm0..5"},
        {HV_DIRTY_SEGMENTS, "the segments"},
        {HV_DIRTY_RFLAGS, "rflags"},
        {0x1F, "all five classes"},
    };
    struct hv_register_page *page = c->vps[0].registers;
    for (unsigned n = 0; n < ARRAY_SIZE(cases); n++) {
        struct hv_register_page old;
        START(c, 0, START_LONG, stops);
        memcpy(&old, page, sizeof(old));
        scribble(page);
        page->dirty = cases[n].mask;
        matches = true;
        match("stop", child_run(c, 0), HV_MESSAGE_IO_PORT);
        match_class(page, &old, cases[n].mask);
        tap_ok(matches, "dirty mask 0x%x: the next run takes %s, control registers never",
               cases[n].mask, cases[n].name);
    }
    START(c, 0, START_LONG, stops);
    memset(page->xmm, 0, sizeof(page->xmm));
    page->dirty = HV_DIRTY_XMM;
    child_run(c, 0);
}

/* The known behaviour: on an I/O intercept the parent writes rip and dirty bit 1, and runs. */
static void move_rip(struct child *c)
{
    struct hv_register_page *page = c->vps[0].registers;
    START(c, 0, START_LONG, stops);
    stops_with(c, 0, HV_MESSAGE_IO_PORT, "first OUT");
    page->rip = PLACE(stops, stops_third);
    page->dirty = HV_DIRTY_RIP;
    stops_with(c, 0, HV_MESSAGE_IO_PORT, "rip moved by the page");
    tap_ok(c->vps[0].message->payload.io.port == STOP_PORT + 2 &&
               page->rip == PLACE(stops, stops_third),
           "execution goes on at the rip that the parent wrote");
}

struct refusal {
    const char *what;
    enum start mode;
    uint32_t dirty;
    uint64_t rip, rflags;
    uint16_t fs_attributes;
};

/* The VP is not entered; the page is published again with the true registers. */
static void refuse(struct child *c, const struct refusal *r)
{
    struct hv_register_page *page = c->vps[0].registers, old;
    const struct hv_message *m = c->vps[0].message;
    if (r->mode == START_LONG)
        START(c, 0, START_LONG, stops);
    else
        START(c, 0, START_PROTECTED, protected_io);
    memcpy(&old, page, sizeof(old));
    page->rip = r->rip;
    page->rflags = r->rflags;
    page->segment[4].attributes = r->fs_attributes;
    page->gpr[R15] = 0x1515;
    page->dirty = r->dirty;
    matches = true;
    match("stop", child_run(c, 0), HV_MESSAGE_INVALID_VP_REGISTER_VALUE);
    match("payload size", m->header.payload_size, 8);
    match("sender", m->header.sender, c->id);
    match("VP index", m->payload.invalid_register.vp_index, 0);
    match("zero", m->payload.invalid_register.zero, 0);
    match("rip", page->rip, old.rip);
    match("rflags", page->rflags, old.rflags);
    match("r15", page->gpr[R15], old.gpr[R15]);
    match("fs attributes", page->segment[4].attributes, old.segment[4].attributes);
    match("is-valid", page->is_valid, 1);
    match("dirty", page->dirty, 0);
    tap_ok(matches,
           "%s: message 0x80000020, the VP is where it was, the page has its true registers",
           r->what);
    matches = true;
    match("stop", child_run(c, 0), HV_MESSAGE_IO_PORT);
    match("rip", page->rip, r->mode == START_LONG ? CHILD_CODE : CHILD_CODE + 10);
    tap_ok(matches, "the stop is cleared like any intercept and the VP runs on");
}

static void refused_values(struct child *c)
{
    static const struct refusal refusals[] = {
        {"non-canonical rip", START_LONG, 0x1F, 0x0000800000000000, 2, 0xC093},
        {"rflags with reserved bit 3", START_LONG, 0x1F, CHILD_CODE, 2 | 8, 0xC093},
        {"rflags without bit 1", START_LONG, 0x1F, CHILD_CODE, 0, 0xC093},
        {"rflags with a bit above 31", START_LONG, 0x1F, CHILD_CODE, 2 | 1UL << 40, 0xC093},
        {"reserved segment attribute bits", START_LONG, 0x1F, CHILD_CODE, 2, 0xC093 | 0x400},
        {"rip above 4 GiB outside 64-bit mode", START_PROTECTED, 0x1F, GIB(4) + CHILD_CODE, 2,
         0xC093},
    };
    for (unsigned n = 0; n < ARRAY_SIZE(refusals); n++)
        refuse(c, &refusals[n]);
}

/* GetVpRegisters and SetVpRegisters of a stopped VP first take in the dirty classes. */
static void taken_by_calls(struct child *c)
{
    struct hv_register_page *page = c->vps[0].registers;
    START(c, 0, START_LONG, stops);
    page->gpr[R10] = 0x1010;
    page->dirty = HV_DIRTY_GENERAL;
    tap_equal(child_register(c->id, 0, HV_REGISTER_RAX + R10), 0x1010,
              "GetVpRegisters sees what the page says is dirty");
    tap_equal(page->dirty, 0, "... and publishes the page with dirty 0");
    page->gpr[R10] = 0x1011;
    page->gpr[R11] = 0x1111;
    page->dirty = HV_DIRTY_GENERAL;
    child_put(c, 0, HV_REGISTER_RAX + R11, 0x2222);
    tap_ok(page->gpr[R10] == 0x1011 && page->gpr[R11] == 0x2222 && page->dirty == 0,
           "SetVpRegisters takes the page in first, then acts, then publishes");
    struct hv_register_value value;
    page->rip = 0x8000000000000000;
    page->gpr[R10] = 0x3333;
    page->dirty = HV_DIRTY_RIP | HV_DIRTY_GENERAL;
    tap_status(child_get(c->id, 0, HV_REGISTER_RIP, &value), HV_STATUS_INVALID_REGISTER_VALUE,
               "GetVpRegisters while the page holds a refused value");
    page->rip = 0x8000000000000000;
    page->dirty = HV_DIRTY_RIP | HV_DIRTY_GENERAL;
    tap_status(child_set(c->id, 0, HV_REGISTER_RAX + R12, 1, 0), HV_STATUS_INVALID_REGISTER_VALUE,
               "SetVpRegisters likewise");
    page->dirty = 0;
    tap_equal(child_register(c->id, 0, HV_REGISTER_RAX + R10), 0x1011, "nothing was changed");
    tap_ok(page->rip == CHILD_CODE, "the page is published with the true rip");
}

static void mapped_again(struct child *c)
{
    void *where = NULL;
    START(c, 0, START_LONG, stops);
    child_put(c, 0, HV_REGISTER_RAX + RDI, 0xD1);
    tap_status(state_page_unmap_call(c->id, 0, HV_VP_STATE_PAGE_REGISTERS), HV_STATUS_SUCCESS,
               "UnmapVpStatePage of the register page");
    child_put(c, 0, HV_REGISTER_RAX + RSI, 0x51);
    tap_status(state_page_unmap_call(c->id, 0, HV_VP_STATE_PAGE_REGISTERS), HV_STATUS_NOT_FOUND,
               "and once more");
    tap_status(state_page_show(c->id, 0, HV_VP_STATE_PAGE_REGISTERS, &where), HV_STATUS_SUCCESS,
               "mapped again");
    struct hv_register_page *page = c->vps[0].registers = where;
    tap_ok(page->is_valid == 1 && page->dirty == 0 && page->gpr[RDI] == 0xD1 &&
               page->gpr[RSI] == 0x51,
           "the page has the current state at once, because the VP is not running");
    tap_status(state_page_map(c->id, 0, HV_VP_STATE_PAGE_REGISTERS, HV_MAP_LOCATION_PROVIDED,
                              page_of(c->memory), NULL),
               HV_STATUS_OPERATION_DENIED, "a page that is mapped already");
}

void test_page(void)
{
    struct child c;
    first_contents();
    child_open(&c, 1, CHILD_MAP_ALL);
    dirty_classes(&c);
    move_rip(&c);
    refused_values(&c);
    taken_by_calls(&c);
    mapped_again(&c);
    tap_ok(child_close(&c), "the child of the page tests is gone, every page zeroed");
}
