/* SPDX-License-Identifier: MIT */
/*
 * Children in real, protected and long mode: every intercept and its message,
 * the register page's life, registers, events, memory, dispatching.
 */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

bool matches;

void match(const char *what, uint64_t got, uint64_t expected)
{
    if (got == expected)
        return;
    tap_note("%s: got 0x%lx, expected 0x%lx", what, got, expected);
    matches = false;
}

void match_header(struct child *c, uint32_t vp, const struct expected_header *expected)
{
    const struct hv_message *m = c->vps[vp].message;
    const struct hv_intercept_header *h = &m->payload.intercept;
    const struct hv_register_page *page = c->vps[vp].registers;
    match("message type", m->header.type, expected->type);
    match("payload size", m->header.payload_size, expected->payload_size);
    match("message flags and the two bytes after them", m->header.flags | m->header.zero, 0);
    match("sender", m->header.sender, c->id);
    match("VP index", h->vp_index, vp);
    if (expected->length != 0xFF)
        match("instruction length", h->instruction_length, expected->length);
    match("CR8", h->cr8, 0);
    match("access type", h->access_type, expected->access);
    match("execution state", h->execution_state, expected->execution_state);
    match("RIP", h->rip, expected->rip);
    match("RFLAGS", h->rflags, page->rflags);
    match("CS", memcmp(&h->cs, &page->segment[SEG_CS], sizeof(h->cs)), 0);
    match("RIP of the register page", page->rip, expected->rip);
    match("is-valid of the register page", page->is_valid, 1);
    match("dirty mask of the register page", page->dirty, 0);
}

void begin(struct child *c, uint32_t vp, enum start mode, const uint8_t *from, const uint8_t *end)
{
    child_load(c, CHILD_CODE, from, end);
    if (mode == START_REAL)
        child_enter_real(c, vp, CHILD_CODE >> 4, 0);
    else if (mode == START_PROTECTED)
        child_enter_protected(c, vp, CHILD_CODE);
    else
        child_enter_long(c, vp, CHILD_CODE);
}

void with_handlers(struct child *c)
{
    uint64_t *gate = (uint64_t *)(c->memory + CHILD_IDT);
    child_load(c, CHILD_STUBS, stubs, stubs_end);
    for (uint64_t n = 0; n < 256; n++) {
        uint64_t at = CHILD_STUBS + 16 * n;
        gate[2 * n] = (at & 0xFFFF) | 0x08UL << 16 | 0x8EUL << 40 | (at >> 16 & 0xFFFF) << 48;
        gate[2 * n + 1] = 0;
    }
}

void spoil_message(struct child *c, uint32_t vp, size_t payload)
{
    memset(c->vps[vp].message, 0xEE, sizeof(struct hv_message_header) + payload);
}

void match_zero_behind(const uint8_t *bytes, unsigned count)
{
    for (unsigned n = count; n < 16; n++)
        match("a byte behind the instruction", bytes[n], 0);
}

bool stops_with(struct child *c, uint32_t vp, uint32_t type, const char *when)
{
    uint32_t got = child_run(c, vp);
    if (got != type) {
        tap_note("stopped by: %s (0x%x) instead of %s; rip 0x%lx", message_name(got), got,
                 message_name(type), c->vps[vp].registers->rip);
        if (got == HV_MESSAGE_UNMAPPED_GPA || got == HV_MESSAGE_GPA_INTERCEPT)
            tap_note("GPA 0x%lx", c->vps[vp].message->payload.memory.gpa);
    }
    return tap_ok(got == type, "%s: the dispatch ends ready with an intercept, message %s", when,
                  message_name(type));
}

void step_over(struct child *c, uint32_t vp, unsigned length)
{
    c->vps[vp].registers->rip += length;
    c->vps[vp].registers->dirty |= HV_DIRTY_RIP;
}

bool is_bochs_amd(void)
{
    return machine_is_bochs() && machine_is_amd();
}

static void test_modes(void)
{
    struct child c;
    child_open(&c, 1, CHILD_MAP_ALL);
    START(&c, 0, START_REAL, real_interrupt);
    stops_with(&c, 0, HV_MESSAGE_HALT, "real mode runs an INT through the table at 0");
    tap_equal(child_register(c.id, 0, HV_REGISTER_RAX + RBX) & 0xFFFF, 0x5151,
              "the real-mode handler ran");
    START(&c, 0, START_PROTECTED, protected_touch);
    stops_with(&c, 0, HV_MESSAGE_UNMAPPED_GPA, "32-bit code without paging");
    tap_equal(c.vps[0].message->payload.memory.gpa, 0x200010,
              "its linear address is the GPA of the message");
    tap_ok(child_close(&c), "the child is gone and every page came back zeroed");
}

void guest_main(void)
{
    hypercall_init();
    if (hypervisor_role() == ROLE_IS_GUEST) {
        tap_skip("role guest: it may not create partitions");
        return;
    }
    cpu_start_all();
    tap_note("%u processors, role %s", cpu_count, role_name(hypervisor_role()));
    test_modes();
    test_io();
    test_intercepts();
    test_memory();
    test_page();
    test_registers();
    test_events();
    test_dispatch();
    test_vectors();
    test_switched();
}
