/* SPDX-License-Identifier: MIT */
/*
 * Places that a layered host may name for a child's state page, ordinary and odd:
 * "the host names a page of its own, as Linux's driver does". The covered page is
 * back, unchanged, when 0xE2 has returned, and nobody but the host has it.
 */
#include "guests/layered/places.h"

#include "hv/model/vp.h"

#define REGISTERS HV_VP_STATE_PAGE_REGISTERS
#define MESSAGE   HV_VP_STATE_PAGE_INTERCEPT_MESSAGE
#define VPS       4
#define STOPPED   0x10001 /* first 8 bytes of the register page: version 1, is-valid 1, dirty 0 */

static struct child c;

static uint16_t map_at(uint32_t vp, uint16_t type, const void *page, gpn_t *location)
{
    return state_page_map(c.id, vp, type, HV_MAP_LOCATION_PROVIDED, page_of(page), location);
}

static uint16_t unmap(uint32_t vp, uint16_t type)
{
    return state_page_unmap_call(c.id, vp, type);
}

static bool page_is(const void *page, uint8_t value)
{
    const volatile uint8_t *bytes = page;
    for (unsigned n = 0; n < PAGE_SIZE; n++)
        if (bytes[n] != value)
            return false;
    return true;
}

static void read_word(void *argument)
{
    volatile uint64_t **where = argument;
    *(uint64_t *)argument = **where;
}

static uint64_t read_on(uint32_t cpu, const void *page)
{
    uint64_t word = (uint64_t)page;
    cpu_call(cpu, read_word, &word);
    return word;
}

static void touch(void *address)
{
    (void)*(volatile uint64_t *)address;
}

/* A page in the middle of 2 MiB that one large entry maps: its neighbours stay as they are. */
static void inside_large(void)
{
    uint8_t *block = pages_alloc(PAGES_2M, MIB(2)), *page = block + 7 * PAGE_SIZE;
    bool seen = true;
    memset(block, 0x5A, MIB(2));
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
        seen &= read_on(cpu, page) == 0x5A5A5A5A5A5A5A5A; /* every processor has it cached */
    tap_status(map_at(0, REGISTERS, page, NULL), HV_STATUS_SUCCESS,
               "0xE1 at a page inside 2 MiB of the host's RAM");
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
        seen &= read_on(cpu, page) == STOPPED;
    tap_ok(seen, "when it has returned every processor sees the state page");
    tap_ok(page_is(page - PAGE_SIZE, 0x5A) && page_is(page + PAGE_SIZE, 0x5A),
           "the pages beside it are as they were");
    memset(page + 8, 0xEE, 128); /* what the host writes there goes with the page */
    tap_status(unmap(0, REGISTERS), HV_STATUS_SUCCESS, "0xE2");
    seen = true;
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
        seen &= read_on(cpu, page) == 0x5A5A5A5A5A5A5A5A;
    tap_ok(seen && page_is(page, 0x5A), "every processor sees the covered page, unchanged");
    pages_free(block, PAGES_2M);
}

/* The page is also memory of the child: that one sees what lies beneath. */
static void memory_of_the_child(void)
{
    uint64_t *page = (uint64_t *)(c.memory + CHILD_DATA + PAGE_SIZE);
    page[0] = 0xB10C;
    tap_status(map_at(0, REGISTERS, page, NULL), HV_STATUS_SUCCESS,
               "0xE1 at a page that is mapped into the child");
    tap_equal(page[0], STOPPED, "the host sees the state page");
    child_load(&c, CHILD_CODE, vm_code, vm_code_end);
    child_enter_long(&c, 0, CHILD_CODE);
    child_put(&c, 0, HV_REGISTER_RAX + RBX, CHILD_DATA + PAGE_SIZE);
    struct hv_output_dispatch_vp output = {0};
    child_dispatch(c.id, 0, HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND, &output);
    const struct hv_register_page *registers = (const struct hv_register_page *)page;
    tap_equal(registers->gpr[RAX], 0xB10C, "the child sees its memory, beneath");
    tap_status(unmap(0, REGISTERS), HV_STATUS_SUCCESS, "0xE2");
    tap_equal(page[0], 0xB10C, "and the host again");
}

static void above_ram(void)
{
    unsigned width = cpuid(0x80000008, 0).eax & 0xFF;
    uint64_t at = (1UL << (width < 46 ? width : 46)) - 64 * PAGE_SIZE;
    uint64_t *page = identity_map(at, PAGE_SIZE);
    gpn_t location = 0;
    tap_status(
        state_page_map(c.id, 0, REGISTERS, HV_MAP_LOCATION_PROVIDED, at >> PAGE_SHIFT, &location),
        HV_STATUS_SUCCESS, "0xE1 at a GPN far above RAM (0x%lx)", at >> PAGE_SHIFT);
    tap_ok(location == at >> PAGE_SHIFT && page[0] == STOPPED, "the page is there");
    tap_status(unmap(0, REGISTERS), HV_STATUS_SUCCESS, "0xE2");
    bool there = try_call(touch, page, NULL) && page[0] == STOPPED;
    tap_ok(!there, "and it is gone");
    gpn_t limit = 1UL << (width - PAGE_SHIFT);
    tap_status(state_page_map(c.id, 0, REGISTERS, HV_MAP_LOCATION_PROVIDED, limit, NULL),
               HV_STATUS_INVALID_PARAMETER, "the first GPN beyond the width");
}

/* A page that the host has deposited: it may still be covered, and nothing of it shows. */
static void over_a_deposited_page(void)
{
    uint64_t *page = page_alloc();
    gpn_t gpn = page_of(page);
    struct trap trap = {0};
    struct hv_input_withdraw withdraw = {.partition_id = c.id};
    gpn_t back = 0;
    bool found = false;
    page[0] = 0x5EC2E7;
    tap_status(hv_call_rep(HVCALL_DEPOSIT_MEMORY, &c.id, 8, &gpn, 8, 1, NULL, 0, NULL),
               HV_STATUS_SUCCESS, "a page is deposited");
    child_deposit(c.id, 1); /* for the state page; what was deposited last is used first */
    uint16_t status = map_at(0, REGISTERS, page, NULL);
    if (status != HV_STATUS_SUCCESS) {
        tap_status(status, HV_STATUS_INVALID_PARAMETER, "0xE1 at a deposited page is refused");
        return;
    }
    tap_equal(page[0], STOPPED, "0xE1 at a deposited page shows the state page");
    tap_status(unmap(0, REGISTERS), HV_STATUS_SUCCESS, "0xE2");
    tap_ok(!try_call(touch, page, &trap) && trap.vector == VECTOR_GP,
           "afterwards it is as deposited as before: #GP");
    map_at(0, REGISTERS, page, NULL);
    while (hv_call_rep(HVCALL_WITHDRAW_MEMORY, &withdraw, sizeof(withdraw), NULL, 0, 1, &back, 8,
                       NULL) == HV_STATUS_SUCCESS) {
        found |= back == gpn;
        if (back != gpn)
            page_free((void *)(back << PAGE_SHIFT));
    }
    tap_ok(found && page[0] == STOPPED, "it is withdrawn while it is covered");
    tap_status(unmap(0, REGISTERS), HV_STATUS_SUCCESS, "0xE2");
    tap_ok(page_is(page, 0), "and then it is the host's, zeroed");
    page_free(page);
}

/* The child's pool is empty: nothing changes until a page has been deposited. */
static void empty_pool(void)
{
    uint64_t *page = page_alloc();
    struct hv_output_memory_balance balance;
    child_withdraw_all(c.id, NULL);
    memset(page, 0x77, PAGE_SIZE);
    tap_status(map_at(1, REGISTERS, page, NULL), HV_STATUS_INSUFFICIENT_MEMORY,
               "0xE1 with an empty pool");
    tap_ok(page_is(page, 0x77), "nothing has changed");
    tap_status(unmap(1, REGISTERS), HV_STATUS_NOT_FOUND, "no page is mapped");
    child_deposit(c.id, 1);
    tap_status(map_at(1, REGISTERS, page, NULL), HV_STATUS_SUCCESS,
               "\"the caller deposits a page and repeats the same call\": one is enough");
    child_balance(c.id, &balance);
    tap_equal(balance.available, 0, "it took just that one");
    tap_status(map_at(1, MESSAGE, page, NULL), HV_STATUS_INVALID_PARAMETER,
               "the place is looked at (row 7) before the pool (row 8)");
    tap_status(state_page_map(c.id, 1, REGISTERS, 0, 0, NULL), HV_STATUS_OPERATION_DENIED,
               "\"already mapped\" (row 6) before the missing location (row 7)");
    tap_status(state_page_map(c.id, 1, MESSAGE, 0, 0, NULL), HV_STATUS_INVALID_PARAMETER,
               "the missing location before the pool");
    tap_status(unmap(1, REGISTERS), HV_STATUS_SUCCESS, "0xE2");
    tap_ok(page_is(page, 0x77), "the covered page is back");
    page_free(page);
    child_deposit(c.id, 40);
}

static void vp_goes(void)
{
    uint64_t *pages[2] = {page_alloc(), page_alloc()};
    memset(pages[0], 0x11, PAGE_SIZE);
    memset(pages[1], 0x22, PAGE_SIZE);
    map_at(2, REGISTERS, pages[0], NULL);
    map_at(2, MESSAGE, pages[1], NULL);
    tap_status(child_delete_vp(c.id, 2), HV_STATUS_SUCCESS, "DeleteVp under both mapped pages");
    tap_ok(page_is(pages[0], 0x11) && page_is(pages[1], 0x22), "the covered pages are back");
    tap_status(child_create_vp(c.id, 2), HV_STATUS_SUCCESS, "the VP is created anew");
    tap_status(map_at(2, REGISTERS, pages[0], NULL), HV_STATUS_SUCCESS, "its page at one of them");
    tap_status(map_at(3, MESSAGE, pages[1], NULL), HV_STATUS_SUCCESS,
               "another VP's at the other one");
    tap_status(child_finalize(c.id), HV_STATUS_SUCCESS, "FinalizePartition under both");
    tap_ok(page_is(pages[0], 0x11) && page_is(pages[1], 0x22), "the covered pages are back");
    page_free(pages[0]);
    page_free(pages[1]);
}

void test_places(void)
{
    struct hv_output_memory_balance before, after;
    uint32_t dirty;
    for (unsigned round = 0; round < 2; round++) { /* the first leaves tables that splits need */
        child_balance(HV_PARTITION_ID_SELF, &before);
        c = (struct child){.vp_count = VPS};
        c.memory = pages_alloc(CHILD_PAGES, MIB(2));
        child_create(HV_CREATE_EXO_PARTITION | HV_CREATE_INTERCEPT_MESSAGE_PAGE, &c.id);
        child_deposit(c.id, 60);
        child_initialize(c.id);
        child_map(c.id, 0, page_of(c.memory), CHILD_PAGES, CHILD_MAP_ALL);
        for (uint32_t vp = 0; vp < VPS; vp++) {
            child_create_vp(c.id, vp);
            child_set(c.id, vp, HV_REGISTER_EXPLICIT_SUSPEND, 0, 0);
        }
        inside_large();
        memory_of_the_child();
        above_ram();
        over_a_deposited_page();
        empty_pool();
        vp_goes();
        child_withdraw_all(c.id, &dirty);
        tap_equal(dirty, 0, "every page came back zeroed");
        tap_status(child_delete(c.id), HV_STATUS_SUCCESS, "DeletePartition");
        pages_free(c.memory, CHILD_PAGES);
    }
    child_balance(HV_PARTITION_ID_SELF, &after);
    tap_equal(after.in_use, before.in_use, "the host's pool has as much in use as before");
}
