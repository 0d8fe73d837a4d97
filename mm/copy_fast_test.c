/* SPDX-License-Identifier: MIT */
/*
 * What is remembered changes nothing: two spaces whose maps change at random, two processors,
 * copies of every kind; each must come to what translating byte by byte comes to.
 */
/* unit: mm/copy.c mm/copy_fast.c mm/tlb.c mm/slpt.c mm/ept.c mm/npt.c mm/pool.c mm/frame.c */
#include "unit.h"

#include "mm/copy_fast.h"

enum {
    RAM_PAGES = 80,
    POOL_PAGES = 32,
    GPNS = 48, /* more than are remembered, so that some share a place */
    SPACES = 2,
    LONGEST = 2 * PAGE_SIZE + 64,
    STEPS = 60000,
};

static struct pool pool;
static struct space spaces[SPACES];
static uint8_t buffer[LONGEST], expected[LONGEST];

static int set_up(void **state)
{
    (void)state;
    unit_ram(RAM_PAGES);
    unit_cpus(2);
    unit_seed(7);
    unit_pool(&pool, OWNER_FIRST, RAM_PAGES - POOL_PAGES, POOL_PAGES);
    for (unsigned i = 0; i < SPACES; i++)
        assert_true(slpt_init(&spaces[i], i ? &npt_format : &ept_format, &pool, 40, 2));
    return 0;
}

static bool once_in(unsigned count)
{
    return unit_below(count) == 0;
}

/* Another translation, or none, and what has to follow. */
static void change(struct space *space)
{
    static const uint8_t rights[] = {MAP_READ | MAP_WRITE, MAP_READ | MAP_WRITE, MAP_READ, 0};
    gpn_t gpn = unit_below(GPNS);
    struct mapping m = {.present = !once_in(4),
                        .spn = 1 + unit_below(RAM_PAGES - POOL_PAGES - 1),
                        .prot = rights[unit_below(ARRAY_SIZE(rights))],
                        .type = MEMORY_WB};
    bool was = slpt_lookup(space, gpn).present;
    assert_true(slpt_set(space, gpn, m.present ? &m : &(struct mapping){0}));
    if (was && once_in(3))
        tlb_shootdown(space);
    else if (was)
        tlb_shootdown_page(space, gpn);
}

/* The bytes by the plain way; false: some of them are not to be had so. */
static bool gather(const struct space *space, gpa_t gpa, uint8_t *to, size_t size, uint8_t prot)
{
    for (size_t i = 0; i < size; i++) {
        const uint8_t *at = copy_translate(space, gpa + i, prot);
        if (!at)
            return false;
        to[i] = *at;
    }
    return true;
}

static void read(const struct space *space, gpa_t gpa, size_t size)
{
    bool there = gather(space, gpa, expected, size, MAP_READ);
    assert_int_equal(guest_read(space, gpa, buffer, size), there);
    if (there)
        assert_memory_equal(buffer, expected, size);
}

/* All of memory is compared; but what a write that fails leaves of the pages before is open. */
static void write(const struct space *space, gpa_t gpa, size_t size)
{
    bool there = gather(space, gpa, expected, size, MAP_READ | MAP_WRITE);
    for (size_t i = 0; i < size; i++)
        buffer[i] = (uint8_t)unit_random();
    static uint8_t ram[(RAM_PAGES - POOL_PAGES) * PAGE_SIZE];
    memcpy(ram, page_ptr(0), sizeof(ram));
    for (size_t i = 0; i < size; i++) {
        const uint8_t *at = copy_translate(space, gpa + i, MAP_READ | MAP_WRITE);
        if (!at)
            break;
        ram[at - (const uint8_t *)page_ptr(0)] = buffer[i];
    }
    assert_int_equal(guest_write(space, gpa, buffer, size), there);
    if (there || (gpa & PAGE_MASK) + size <= PAGE_SIZE)
        assert_memory_equal(page_ptr(0), ram, sizeof(ram));
}

static void word(const struct space *space, gpa_t gpa)
{
    uint64_t value = unit_random(), now = 0;
    bool there = copy_translate(space, gpa, MAP_READ | MAP_WRITE) != NULL;
    assert_int_equal(guest_output_writable(space, gpa, sizeof(value)), there);
    assert_int_equal(guest_write_word(space, gpa, value), there);
    if (there) {
        memcpy(&now, copy_translate(space, gpa, MAP_READ), sizeof(now));
        assert_int_equal(now, value);
    }
}

static void accessible(const struct space *space, gpa_t gpa, size_t size)
{
    uint8_t prot = once_in(2) ? MAP_READ : MAP_READ | MAP_WRITE;
    assert_int_equal(guest_accessible(space, gpa, size, prot),
                     gather(space, gpa, expected, size, prot));
}

/* Which of the copies were short ones. */
static unsigned remembered;

static void step(void)
{
    struct space *space = &spaces[unit_below(SPACES)];
    gpa_t gpa = (once_in(2) ? unit_below(GPNS) : unit_below(4)) << PAGE_SHIFT;
    gpa |= unit_below(PAGE_SIZE) & (once_in(2) ? ~0UL : ~7UL);
    size_t size = once_in(8) ? unit_below(LONGEST) : 8 * unit_below(12);
    remembered += is_page_written_last(space, gpa);
    switch (unit_below(8)) {
    case 0:
        change(space);
        break;
    case 1:
        unit_become(cpus[unit_below(2)]);
        break;
    case 2:
        accessible(space, gpa, size);
        break;
    case 3:
        word(space, gpa & ~7UL);
        break;
    case 4:
        write(space, gpa, size);
        break;
    default:
        read(space, gpa, size);
    }
    assert_int_equal(this_cpu()->copying, 0);
}

static void cached_as_plain(void **state)
{
    (void)state;
    remembered = 0;
    for (unsigned i = 0; i < STEPS; i++)
        step();
    assert_in_range(remembered, STEPS / 50, STEPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(cached_as_plain, set_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
