/* SPDX-License-Identifier: MIT */
/* The child's memory: unmapped and denied GPAs, map, unmap, large pages, A/D. */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

#define HOLE        0x400000UL /* GPA without memory, inside the child's own page tables */
#define MAX_BYTES   15
#define DENIED_BYTE 0xEB /* first of the page that may be read and not executed */

enum { CLEAR_ACCESSED = 1, CLEAR_DIRTY = 4 }; /* flags of 0xC9 */

/* Starts `touch` at a label with RBX at gpa, runs it and compares the memory message. */
static void expect_memory(struct child *c, const char *when, const uint8_t *label, uint64_t gpa,
                          uint32_t type, uint8_t access)
{
    const struct hv_memory_message *m = &c->vps[0].message->payload.memory;
    uint64_t at = PLACE(touch, label), where = access == 1 ? gpa + 8 : gpa;
    START(c, 0, START_LONG, touch);
    child_put(c, 0, HV_REGISTER_RIP, at);
    child_put(c, 0, HV_REGISTER_RAX + RBX, gpa);
    matches = true;
    spoil_message(c, 0, 80);
    match("stop", child_run(c, 0), type);
    match_header(
        c, 0,
        &(struct expected_header){type, 80, access, 0xFF, STATE_LONG, access == 2 ? gpa : at});
    match("GPA", m->gpa, where);
    match("zero", m->zero, 0);
    match("TPR", m->tpr, 0);
    match("cache type", m->cache_type, 6);
    match_zero_behind(m->instruction_bytes, m->instruction_byte_count);
    if (!(m->access_info & 1))
        match("GVA that is not given", m->gva, 0);
    if (m->access_info & 1)
        match("GVA", m->gva, where);
    if (access == 2 && type == HV_MESSAGE_UNMAPPED_GPA)
        match("instruction bytes where none can be read", m->instruction_byte_count, 0);
    else if (access == 2)
        match("instruction bytes", m->instruction_bytes[0], DENIED_BYTE);
    else if (m->instruction_byte_count == 0)
        match("instruction byte count", 0, MAX_BYTES);
    else
        match("instruction bytes", memcmp(m->instruction_bytes, label, 3), 0);
    tap_ok(matches, "%s: message 0x%x, all fields", when, type);
}

static void unmapped(struct child *c)
{
    expect_memory(c, "read of an unmapped GPA", touch_read, HOLE, HV_MESSAGE_UNMAPPED_GPA, 0);
    expect_memory(c, "write of an unmapped GPA", touch_write, HOLE, HV_MESSAGE_UNMAPPED_GPA, 1);
    expect_memory(c, "execution of an unmapped GPA", touch_execute, HOLE, HV_MESSAGE_UNMAPPED_GPA,
                  2);
}

static void denied(struct child *c, uint64_t *page)
{
    gpn_t at = HOLE >> PAGE_SHIFT;
    page[0] = 0xF00 | DENIED_BYTE;
    tap_status(child_map(c->id, at, page_of(page), 1, HV_MAP_READABLE), HV_STATUS_SUCCESS,
               "MapGpaPages read-only");
    expect_memory(c, "write of a read-only GPA", touch_write, HOLE, HV_MESSAGE_GPA_INTERCEPT, 1);
    expect_memory(c, "execution of a GPA without execute", touch_execute, HOLE,
                  HV_MESSAGE_GPA_INTERCEPT, 2);
    START(c, 0, START_LONG, touch);
    child_put(c, 0, HV_REGISTER_RAX + RBX, HOLE);
    stops_with(c, 0, HV_MESSAGE_HALT, "a read-only GPA is read without an intercept");
    tap_equal(child_register(c->id, 0, HV_REGISTER_RAX), 0xF00 | DENIED_BYTE,
              "... and has the page's contents");
    tap_status(child_map(c->id, at, 0, 1, HV_MAP_NO_ACCESS), HV_STATUS_SUCCESS,
               "MapGpaPages no-access");
    expect_memory(c, "read of a no-access GPA", touch_read, HOLE, HV_MESSAGE_GPA_INTERCEPT, 0);
}

/* The child's first touch is answered by mapping, as a VMM that fills memory on demand does. */
static void on_demand(struct child *c, uint64_t *page)
{
    gpn_t at = HOLE >> PAGE_SHIFT;
    tap_status(child_unmap(c->id, at, 1), HV_STATUS_SUCCESS, "UnmapGpaPages");
    START(c, 0, START_LONG, touch);
    child_put(c, 0, HV_REGISTER_RIP, PLACE(touch, touch_write));
    child_put(c, 0, HV_REGISTER_RAX + RBX, HOLE);
    child_put(c, 0, HV_REGISTER_RAX + RCX, 0xFEEDFACE);
    stops_with(c, 0, HV_MESSAGE_UNMAPPED_GPA, "first touch after the unmap");
    child_map(c->id, at, page_of(page), 1, CHILD_MAP_ALL);
    stops_with(c, 0, HV_MESSAGE_HALT, "second try, page mapped meanwhile");
    tap_equal(page[1], 0xFEEDFACE, "the write landed in the parent's page");
    child_unmap(c->id, at, 1);
    expect_memory(c, "read after the second unmap", touch_read, HOLE, HV_MESSAGE_UNMAPPED_GPA, 0);
}

static void wrong_maps(struct child *c, uint64_t *page)
{
    uint32_t all = CHILD_MAP_ALL;
    tap_status(child_map(c->id, 0x800, GIB(1024) >> PAGE_SHIFT, 1, all),
               HV_STATUS_INVALID_PARAMETER, "MapGpaPages of a page that is not the caller's RAM");
    tap_status(child_map(c->id, ~0UL >> 12, page_of(page), 1, all), HV_STATUS_INVALID_PARAMETER,
               "MapGpaPages beyond the child's GPA width");
    tap_status(child_map(c->id, 0x800, page_of(page) + 1, 512, all | HV_MAP_LARGE_PAGE),
               HV_STATUS_INVALID_PARAMETER, "MapGpaPages of a large page that is not aligned");
    tap_status(child_map(c->id, 0x800, page_of(page), 1, all | 0x40000000),
               HV_STATUS_INVALID_PARAMETER, "MapGpaPages with an unknown flag");
}

/* One page several times, and in two children. */
static void shared(struct child *c, uint64_t *page)
{
    struct child other;
    child_open(&other, 1, CHILD_MAP_ALL);
    gpn_t at = HOLE >> PAGE_SHIFT;
    child_map(c->id, at, page_of(page), 1, CHILD_MAP_ALL);
    tap_status(child_map(c->id, at + 1, page_of(page), 1, CHILD_MAP_ALL), HV_STATUS_SUCCESS,
               "one page is mapped twice into one child");
    tap_status(child_map(other.id, at + 7, page_of(page), 1, CHILD_MAP_ALL), HV_STATUS_SUCCESS,
               "and a third time into another child");
    page[0] = 0x7777;
    START(&other, 0, START_LONG, touch);
    child_put(&other, 0, HV_REGISTER_RAX + RBX, HOLE + 7 * PAGE_SIZE);
    stops_with(&other, 0, HV_MESSAGE_HALT, "the other child reads it");
    tap_equal(child_register(other.id, 0, HV_REGISTER_RAX), 0x7777, "both see one page");
    struct hv_output_memory_balance balance;
    gpn_t gpn = page_of(page);
    tap_status(hv_call_rep(HVCALL_DEPOSIT_MEMORY, &c->id, 8, &gpn, 8, 1, NULL, 0, NULL),
               HV_STATUS_INVALID_PARAMETER, "a page that is mapped into a child is not deposited");
    child_unmap(c->id, at, 2);
    tap_ok(child_close(&other), "the other child is gone");
    tap_status(hv_call_rep(HVCALL_DEPOSIT_MEMORY, &c->id, 8, &gpn, 8, 1, NULL, 0, NULL),
               HV_STATUS_SUCCESS, "unmapped everywhere (one map ended with its child), it is");
    tap_status(child_balance(c->id, &balance), HV_STATUS_SUCCESS, "GetMemoryBalance");
}

static uint16_t access_states(struct child *c, gpn_t gpn, uint64_t flags, uint8_t *states,
                              uint32_t count)
{
    struct hv_input_access_states input = {c->id, flags, gpn};
    return hv_call_rep(HVCALL_GET_GPA_PAGES_ACCESS_STATES, &input, sizeof(input), NULL, 0, count,
                       states, 1, NULL);
}

/* What is cleared of one page of a large one is not lost of the others. */
static void accessed_dirty_large(struct child *c, gpn_t at)
{
    uint8_t one = 0, other = 0;
    uint16_t status;
    do
        status = access_states(c, at, CLEAR_ACCESSED | CLEAR_DIRTY, &one, 1);
    while (child_feed(c->id, status));
    if (status == HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED) {
        tap_skip("access states of a large page: no accessed and dirty bits here");
        return;
    }
    tap_ok(status == HV_STATUS_SUCCESS && (one & 1),
           "a page of the large one reads accessed, and is cleared");
    access_states(c, at, 0, &one, 1);
    access_states(c, at + 1, 0, &other, 1);
    tap_ok(one == 0 && (other & 1), "the one beside it still reads accessed (%x, %x)", one, other);
}

static void accessed_dirty(struct child *c)
{
    uint8_t states[4];
    gpn_t at = HOLE >> PAGE_SHIFT;
    uint8_t *pages = pages_alloc(4, PAGE_SIZE);
    child_map(c->id, at, page_of(pages), 4, CHILD_MAP_ALL);
    uint16_t status = access_states(c, at, CLEAR_ACCESSED | CLEAR_DIRTY, states, 4);
    if (status == HV_STATUS_INVALID_HYPERCALL_CODE ||
        status == HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED) {
        tap_skip("access states: no accessed and dirty bits here (%s)", status_name(status));
    } else {
        tap_status(status, HV_STATUS_SUCCESS, "GetGpaPagesAccessStates, clearing both");
        START(c, 0, START_LONG, touch);
        child_put(c, 0, HV_REGISTER_RAX + RBX, HOLE);
        stops_with(c, 0, HV_MESSAGE_HALT, "page 0 is read");
        START(c, 0, START_LONG, touch);
        child_put(c, 0, HV_REGISTER_RIP, PLACE(touch, touch_write));
        child_put(c, 0, HV_REGISTER_RAX + RBX, HOLE + 2 * PAGE_SIZE);
        stops_with(c, 0, HV_MESSAGE_HALT, "page 2 is written");
        status = access_states(c, at, 0, states, 4);
        tap_note("states %x %x %x %x", states[0], states[1], states[2], states[3]);
        tap_ok(status == 0 && states[0] == 1 && states[1] == 0 && states[2] == 3 && states[3] == 0,
               "the read page is accessed, the written one accessed and dirty, the others neither");
        access_states(c, at, CLEAR_ACCESSED | CLEAR_DIRTY, states, 4);
        access_states(c, at, 0, states, 4);
        tap_ok(states[0] == 0 && states[2] == 0, "cleared bits stay clear until the next access");
    }
    child_unmap(c->id, at, 4);
    pages_free(pages, 4);
}

/* A child that lives in one 2 MiB page; a hole is then cut into it. */
static void large_pages(void)
{
    struct child c;
    child_open(&c, 1, CHILD_MAP_ALL | HV_MAP_LARGE_PAGE);
    START(&c, 0, START_LONG, touch);
    child_put(&c, 0, HV_REGISTER_RAX + RBX, CHILD_DATA + 0x5000);
    *(uint64_t *)(c.memory + CHILD_DATA + 0x5000) = 0x1A46E;
    stops_with(&c, 0, HV_MESSAGE_HALT, "a child in one large page");
    tap_equal(child_register(c.id, 0, HV_REGISTER_RAX), 0x1A46E, "it reads its memory");
    accessed_dirty_large(&c, CHILD_DATA >> PAGE_SHIFT);
    tap_status(child_unmap(c.id, (CHILD_DATA + 0x5000) >> PAGE_SHIFT, 1), HV_STATUS_SUCCESS,
               "UnmapGpaPages of one page in the middle of the large one");
    expect_memory(&c, "read of the hole", touch_read, CHILD_DATA + 0x5000, HV_MESSAGE_UNMAPPED_GPA,
                  0);
    START(&c, 0, START_LONG, touch);
    child_put(&c, 0, HV_REGISTER_RAX + RBX, CHILD_DATA + 0x6000);
    stops_with(&c, 0, HV_MESSAGE_HALT, "the page beside the hole is still there");
    tap_ok(child_close(&c), "the child of large pages is gone, every page zeroed");
}

static void translate(struct child *c)
{
    struct hv_input_translate input = {
        .partition_id = c->id, .vp_index = 0, .control_flags = 1, .gva_page = CHILD_DATA >> 12};
    struct hv_output_translate output = {0};
    START(c, 0, START_LONG, halt);
    tap_status(
        hv_call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &input, sizeof(input), &output, sizeof(output)),
        HV_STATUS_SUCCESS, "TranslateVirtualAddress");
    tap_ok((uint32_t)output.result == HV_TRANSLATE_SUCCESS && output.gpn == CHILD_DATA >> 12,
           "an identity-mapped page translates to itself");
    input.gva_page = 0x80000000 >> 12;
    hv_call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &input, sizeof(input), &output, sizeof(output));
    tap_equal((uint32_t)output.result, HV_TRANSLATE_PAGE_NOT_PRESENT,
              "beyond the child's tables: page not present");
    input.gva_page = HOLE >> 12;
    hv_call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &input, sizeof(input), &output, sizeof(output));
    tap_equal((uint32_t)output.result, HV_TRANSLATE_GPA_UNMAPPED,
              "mapped by the child, without memory behind: GPA unmapped");
}

void test_memory(void)
{
    struct child c;
    uint64_t *page = page_alloc();
    child_open(&c, 1, CHILD_MAP_ALL);
    unmapped(&c);
    denied(&c, page);
    on_demand(&c, page);
    wrong_maps(&c, page);
    accessed_dirty(&c);
    translate(&c);
    shared(&c, page); /* deposits the page */
    tap_ok(child_close(&c), "the child of the memory tests is gone, every page zeroed");
    large_pages();
}
