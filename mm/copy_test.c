/* SPDX-License-Identifier: MIT */
/*
 * Guest copies: every length and alignment, across pages of every size, and
 * what must be refused: what is not there, not permitted, or no memory.
 */
/* unit: mm/copy.c mm/copy_fast.c mm/slpt.c mm/ept.c mm/npt.c mm/pool.c mm/frame.c */
#include "unit.h"

#include "mm/copy.h"
#include "mm/slpt_store.h"

enum { RAM_PAGES = 4096, POOL_PAGES = 32, GPA_BITS = 40 };

static struct pool pool;
static struct space space;

static int set_up_format(const struct slpt_format *format)
{
    unit_ram(RAM_PAGES);
    unit_cpus(1);
    pool_fail_after = -1;
    unit_pool(&pool, OWNER_FIRST, 1, POOL_PAGES);
    assert_true(slpt_init(&space, format, &pool, GPA_BITS, 2));
    return 0;
}

static int set_up_ept(void **state)
{
    (void)state;
    return set_up_format(&ept_format);
}

static int set_up_npt(void **state)
{
    (void)state;
    return set_up_format(&npt_format);
}

static int tear_down(void **state)
{
    (void)state;
    unit_entry_read = NULL;
    slpt_execute_only = false;
    assert_int_equal(cpus[0]->copying, 0);
    return 0;
}

static void map(gpn_t gpn, spn_t spn, uint64_t count, uint8_t prot)
{
    assert_int_equal(slpt_map(&space, gpn, spn, count, prot, MEMORY_WB, 2), count);
}

static void assert_inside_section(void)
{
    assert_int_equal(this_cpu()->copying, 1);
}

/* Two pages that are neighbours for the guest only; all lengths around their border. */
static void every_length_and_alignment(void **state)
{
    (void)state;
    map(10, 201, 1, MAP_READ | MAP_WRITE);
    map(11, 100, 1, MAP_READ | MAP_WRITE);
    uint8_t *low = page_ptr(201), *high = page_ptr(100);
    uint8_t expected[2 * PAGE_SIZE], buffer[200];
    for (size_t i = 0; i < PAGE_SIZE; i++) {
        expected[i] = low[i] = (uint8_t)(i * 7 + 1);
        expected[PAGE_SIZE + i] = high[i] = (uint8_t)(i * 11 + 3);
    }
    unit_entry_read = assert_inside_section;
    for (size_t size = 0; size <= 130; size++)
        for (size_t offset = PAGE_SIZE - 140; offset < PAGE_SIZE + 10; offset++) {
            gpa_t gpa = 10 * PAGE_SIZE + offset;
            memset(buffer, 0xEE, sizeof(buffer));
            assert_true(guest_read(&space, gpa, buffer + 8, size));
            assert_memory_equal(buffer + 8, expected + offset, size);
            assert_int_equal(buffer[7], 0xEE);
            assert_int_equal(buffer[8 + size], 0xEE);

            for (size_t i = 0; i < size; i++)
                expected[offset + i] = buffer[8 + i] = (uint8_t)(buffer[8 + i] + 1 + i);
            assert_true(guest_write(&space, gpa, buffer + 8, size));
            assert_memory_equal(low, expected, PAGE_SIZE);
            assert_memory_equal(high, expected + PAGE_SIZE, PAGE_SIZE);
            assert_int_equal(cpus[0]->copying, 0);
        }
}

static void large_pages(void **state)
{
    (void)state;
    map(PAGES_1G, 0, PAGES_1G, MAP_READ | MAP_WRITE); /* 1 GiB: RAM at its beginning only */
    map(PAGES_2M, PAGES_2M, PAGES_2M, MAP_READ);
    uint64_t word = 0x1122334455667788, back = 0;
    for (spn_t spn = POOL_PAGES + 1; spn < RAM_PAGES; spn += 333) {
        gpa_t gpa = (PAGES_1G + spn) * PAGE_SIZE + 4088;
        assert_true(guest_write(&space, gpa, &word, 8));
        assert_memory_equal((uint8_t *)page_ptr(spn) + 4088, &word, 8);
        assert_true(guest_read(&space, gpa, &back, 8));
        assert_int_equal(back, word);
        word++;
    }
    gpa_t in_2m = (PAGES_2M + 511) * PAGE_SIZE;
    memcpy(page_ptr(PAGES_2M + 511), &word, 8);
    assert_true(guest_read(&space, in_2m, &back, 8));
    assert_int_equal(back, word);
    assert_false(guest_write(&space, in_2m, &word, 8));
    /* what lies beyond the RAM is not touched, not even looked at */
    assert_false(guest_read(&space, (PAGES_1G + RAM_PAGES) * PAGE_SIZE, &back, 8));
    gpa_t last = (PAGES_1G + RAM_PAGES) * PAGE_SIZE - 8;
    assert_true(guest_read(&space, last, &back, 8));
    assert_false(guest_accessible(&space, last, 16, MAP_READ));
}

static void refused(const char *what, gpa_t gpa, bool readable)
{
    static const size_t sizes[] = {1, 8, 16, 24, 32, 40, 4096};
    static uint8_t buffer[4096];
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        bool read = guest_read(&space, gpa, buffer, sizes[i]);
        if (read != readable || guest_write(&space, gpa, buffer, sizes[i]) ||
            guest_accessible(&space, gpa, sizes[i], MAP_READ) != readable ||
            guest_accessible(&space, gpa, sizes[i], MAP_WRITE) ||
            guest_accessible(&space, gpa, sizes[i], MAP_READ | MAP_WRITE))
            fail_msg("%s, %zu bytes", what, sizes[i]);
        assert_int_equal(cpus[0]->copying, 0);
    }
}

static void what_is_not_there(void **state)
{
    (void)state;
    map(50, 500, 1, MAP_ALL);
    struct mapping stash = {.stashed = true, .spn = 501, .prot = MAP_ALL, .type = MEMORY_WB};
    assert_true(slpt_set(&space, 51, &stash));
    refused("deposited", 51 * PAGE_SIZE, false);
    refused("nothing in the table", 52 * PAGE_SIZE, false);
    refused("no table", PAGES_1G * PAGE_SIZE, false);
    refused("beyond the width", 1UL << GPA_BITS, false);
    refused("beyond four levels, over a page that is there", BIT(48) | 50 * PAGE_SIZE, false);
    refused("the highest bit", BIT(63) | 50 * PAGE_SIZE, false);
    refused("the end", ~PAGE_MASK, false);
    map(53, 502, 1, 0);
    refused("no rights", 53 * PAGE_SIZE, false);
    map(54, 503, 1, MAP_READ | MAP_EXECUTE);
    refused("read-only", 54 * PAGE_SIZE, true);
    slpt_map(&space, 4 * PAGES_2M, 0, PAGES_2M, 0, MEMORY_WB, 2);
    refused("a large page without rights", 4 * PAGES_2M * PAGE_SIZE, false);
    if (space.format == &ept_format) {
        slpt_execute_only = true;
        map(55, 504, 1, MAP_EXECUTE);
        refused("execute-only", 55 * PAGE_SIZE, false);
    }
}

static void what_is_no_memory(void **state)
{
    (void)state;
    static const struct {
        enum frame_type type;
        bool allowed;
    } rows[] = {
        {FRAME_DEVICE, false}, {FRAME_HV, false},        {FRAME_RAM, true},
        {FRAME_FREE, false},   {FRAME_PARTITION, false}, {FRAME_VP, false},
        {FRAME_TABLE, false},  {FRAME_OVERLAY, true},    {FRAME_OTHER, false},
    };
    map(60, 600, 2, MAP_ALL);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        /* A frame changes hands only after a shootdown. */
        space.generation = slpt_new_generation();
        frame_set_range(600, 1, rows[i].type, OWNER_FIRST);
        uint64_t word = 1;
        assert_int_equal(guest_write(&space, 60 * PAGE_SIZE, &word, 8), rows[i].allowed);
        assert_int_equal(guest_read(&space, 60 * PAGE_SIZE, &word, 8), rows[i].allowed);
        assert_int_equal(guest_accessible(&space, 60 * PAGE_SIZE, 8, MAP_READ), rows[i].allowed);
    }
    space.generation = slpt_new_generation();
    frame_set_range(600, 1, FRAME_DEVICE, OWNER_NONE);
    refused("a device", 60 * PAGE_SIZE, false);
    map(70, RAM_PAGES, 1, MAP_ALL); /* no record */
    map(71, 1UL << 35, 1, MAP_ALL);
    refused("no record", 70 * PAGE_SIZE, false);
    refused("far beyond the records", 71 * PAGE_SIZE, false);
}

/* What the last copy found is used again, as long as the generation says that it is good. */
static void a_page_that_is_remembered(void **state)
{
    (void)state;
    uint64_t word = 0x1111, back = 0;
    map(80, 610, 1, MAP_ALL);
    assert_true(guest_write(&space, 80 * PAGE_SIZE, &word, 8));
    map(80, 611, 1, MAP_READ);
    space.generation = slpt_new_generation(); /* what tlb_shootdown does */
    word = 0x2222;
    assert_false(guest_write(&space, 80 * PAGE_SIZE, &word, 8));
    assert_true(guest_read(&space, 80 * PAGE_SIZE, &back, 8));
    assert_int_equal(back, *(uint64_t *)page_ptr(611));
    assert_int_equal(*(uint64_t *)page_ptr(610), 0x1111);

    struct space other = space; /* another space at the same GPN, never shot down */
    other.generation = slpt_new_generation();
    other.root = pool_alloc(&pool, FRAME_TABLE);
    assert_false(guest_read(&other, 80 * PAGE_SIZE, &back, 8));
    pool_free(&pool, other.root);
}

static void half_of_it(void **state)
{
    (void)state;
    uint8_t buffer[64] = {0};
    map(80, 700, 1, MAP_ALL);
    map(82, 702, 1, MAP_READ);
    gpa_t border = 81 * PAGE_SIZE;
    assert_false(guest_read(&space, border - 8, buffer, 16));
    assert_false(guest_write(&space, border - 8, buffer, 16));
    assert_false(guest_accessible(&space, border - 8, 16, MAP_READ));
    assert_true(guest_accessible(&space, border - 8, 8, MAP_ALL));
    map(81, 701, 1, MAP_READ | MAP_WRITE);
    assert_true(guest_accessible(&space, border - 8, PAGE_SIZE + 16, MAP_READ));
    assert_false(guest_accessible(&space, border - 8, PAGE_SIZE + 16, MAP_WRITE));
    assert_true(guest_accessible(&space, border - 8, PAGE_SIZE + 8, MAP_WRITE));
    /* past the end of the address space, and round it */
    assert_false(guest_read(&space, (1UL << GPA_BITS) - 8, buffer, 16));
    map(0, 700, 1, MAP_ALL);
    assert_false(guest_read(&space, ~0UL - 7, buffer, 16));
    assert_false(guest_write(&space, ~0UL - 7, buffer, 64));
    assert_false(guest_accessible(&space, ~0UL - 7, 64, MAP_READ));
}

#define BOTH(test)                                                                                 \
    {#test " (EPT)", test, set_up_ept, tear_down, NULL},                                           \
    {                                                                                              \
#test " (NPT)", test, set_up_npt, tear_down, NULL                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(every_length_and_alignment), BOTH(large_pages),
        BOTH(what_is_not_there),          BOTH(what_is_no_memory),
        BOTH(a_page_that_is_remembered),  BOTH(half_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
