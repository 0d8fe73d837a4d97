/* SPDX-License-Identifier: MIT */
/*
 * Every write to a table is looked at: right after it, each watched GPN is
 * walked as a processor would, and has its old translation or its new one;
 * once it has the new one it keeps it. Random sequences also run against a
 * model of the whole space, with the pool running out at random.
 */
/* unit: mm/slpt.c mm/ept.c mm/npt.c mm/pool.c mm/frame.c */
#include "unit.h"

#include "mm/slpt.h"
#include "mm/slpt_store.h"
#include "reference_walk.h"

enum { POOL_PAGES = 6000, GPA_BITS = 40, MAX_WATCHED = 200 };

static struct pool pool;
static struct space space;

static struct {
    gpn_t gpn;
    uint64_t last;
    unsigned changes;
} watched[MAX_WATCHED];
static unsigned watched_count;
static uint64_t writes;

static void watch(gpn_t gpn)
{
    assert_true(watched_count < MAX_WATCHED);
    watched[watched_count++].gpn = gpn;
}

static void after_write(uint64_t *entry)
{
    (void)entry;
    writes++;
    for (unsigned i = 0; i < watched_count; i++) {
        uint64_t now = reference_walk(&space, watched[i].gpn);
        if (now == watched[i].last)
            continue;
        watched[i].last = now;
        watched[i].changes++;
        assert_true(watched[i].changes <= 1); /* neither old nor new, or back to the old one */
    }
}

static void begin_operation(void)
{
    for (unsigned i = 0; i < watched_count; i++) {
        watched[i].last = reference_walk(&space, watched[i].gpn);
        watched[i].changes = 0;
    }
    writes = 0;
    unit_entry_written = after_write;
}

static void end_operation(void)
{
    unit_entry_written = NULL;
}

static int set_up_format(const struct slpt_format *format)
{
    unit_ram(POOL_PAGES + 1);
    pool_fail_after = -1;
    slpt_accessed_dirty = true;
    unit_pool(&pool, OWNER_FIRST, 1, POOL_PAGES);
    assert_true(slpt_init(&space, format, &pool, GPA_BITS, 2));
    watched_count = 0;
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
    unit_entry_written = NULL;
    pool_fail_after = -1;
    slpt_destroy(&space);
    assert_int_equal(pool.free, POOL_PAGES);
    return 0;
}

/* GPNs around each place where a 4 KiB, 2 MiB and 1 GiB page around `gpn` begins and ends. */
static void watch_around(gpn_t gpn)
{
    for (unsigned level = 0; level < 3; level++) {
        uint64_t size = 1UL << (9 * level);
        gpn_t base = align_down(gpn, size);
        watch(base), watch(base + size - 1), watch(base + size), watch(base + size / 2);
        if (base != 0)
            watch(base - 1);
    }
    for (unsigned i = 0; i < 16; i++)
        watch(align_down(gpn, PAGES_1G) + unit_below(PAGES_1G));
}

static void assert_only_changed(gpn_t gpn, uint64_t count)
{
    for (unsigned i = 0; i < watched_count; i++)
        if (watched[i].gpn < gpn || watched[i].gpn - gpn >= count)
            assert_int_equal(watched[i].changes, 0);
}

static void splits(void **state)
{
    (void)state;
    unit_seed(1);
    gpn_t gpn = PAGES_1G + 3 * PAGES_2M + 77;
    watch_around(gpn);
    slpt_map(&space, PAGES_1G, 0, PAGES_1G, MAP_ALL, MEMORY_WB, 2);

    begin_operation();
    assert_true(slpt_prepare(&space, gpn, 1, 1)); /* 1 GiB to 2 MiB */
    assert_int_equal(writes, 512 + 1);
    assert_only_changed(0, 0);
    end_operation();

    begin_operation();
    assert_true(slpt_prepare(&space, gpn, 1, 0)); /* 2 MiB to 4 KiB */
    assert_int_equal(writes, 512 + 1);
    assert_only_changed(0, 0);
    end_operation();

    begin_operation();
    struct mapping m = {.present = true, .spn = 5, .prot = MAP_READ, .type = MEMORY_WB};
    assert_true(slpt_set(&space, gpn, &m));
    assert_int_equal(writes, 1);
    assert_only_changed(gpn, 1);
    end_operation();
}

static void set_in_a_1g_page(void **state)
{
    (void)state;
    unit_seed(2);
    gpn_t gpn = 2 * PAGES_1G - 1;
    watch_around(gpn);
    slpt_map(&space, 0, 4 * PAGES_1G, 3 * PAGES_1G, MAP_ALL, MEMORY_WB, 2);
    struct mapping m = {.present = true, .spn = 5, .prot = MAP_READ, .type = MEMORY_WB}, old;
    begin_operation();
    assert_true(slpt_replace(&space, gpn, &m, &old));
    assert_only_changed(gpn, 1);
    assert_int_equal(old.spn, 4 * PAGES_1G + gpn);
    begin_operation();
    assert_true(slpt_set(&space, gpn, &old));
    assert_int_equal(writes, 1);
    assert_only_changed(gpn, 1);
    begin_operation();
    assert_int_equal(slpt_unmap(&space, PAGES_1G / 2 - 5, 10), 10);
    assert_only_changed(PAGES_1G / 2 - 5, 10);
    end_operation();
}

static void unmap_whole_pages_by_one_write(void **state)
{
    (void)state;
    unit_seed(3);
    watch_around(PAGES_1G + 1);
    slpt_map(&space, 0, 0, 2 * PAGES_1G + PAGES_2M, MAP_ALL, MEMORY_WB, 2);
    begin_operation();
    assert_int_equal(slpt_unmap(&space, PAGES_1G, PAGES_1G + PAGES_2M), PAGES_1G + PAGES_2M);
    assert_int_equal(writes, 2);
    assert_only_changed(PAGES_1G, PAGES_1G + PAGES_2M);
    begin_operation();
    assert_int_equal(slpt_unmap(&space, PAGES_1G, PAGES_1G + PAGES_2M), PAGES_1G + PAGES_2M);
    assert_int_equal(writes, 0);
    end_operation();
}

/*
 * The model: what each page of the first 3 GiB should be, as a mapping packed
 * into 64 bits (0: empty).
 */
enum { MODEL_PAGES = 3 * 512 * 512 };
static uint64_t *model;

static uint64_t pack(const struct mapping *m)
{
    if (!m->present && !m->stashed)
        return 0;
    return m->spn << 8 | (uint64_t)m->type << 5 | (uint64_t)m->prot << 2 |
           (uint64_t)m->stashed << 1 | 1;
}

/* What a page becomes when it is mapped like this: the formats' own limits applied. */
static struct mapping as_read_back(spn_t spn, uint8_t prot, uint8_t type)
{
    struct mapping m = {.spn = spn, .prot = prot, .type = type};
    if (prot == 0) {
        m.stashed = true;
        return m;
    }
    m.present = true;
    m.prot |= MAP_READ;
    if (space.format == &npt_format)
        m.type = type == MEMORY_UC ? MEMORY_UC : MEMORY_WB;
    return m;
}

static void check_page(gpn_t gpn)
{
    struct mapping m = slpt_lookup(&space, gpn);
    uint64_t expected = model[gpn];
    if (pack(&m) != expected)
        print_error("gpn %lx: %lx, expected %lx\n", gpn, pack(&m), expected);
    assert_int_equal(pack(&m), expected);
    uint64_t walked = expected == 0 || expected & 2
                          ? 0
                          : REFERENCE(expected >> 8, expected >> 5 & 7, expected >> 2 & 7);
    assert_int_equal(reference_walk(&space, gpn), walked);
}

static uint8_t random_prot(void)
{
    static const uint8_t prots[] = {MAP_ALL, MAP_ALL,  MAP_ALL,   MAP_READ,
                                    0,       MAP_READ, MAP_WRITE, MAP_READ | MAP_EXECUTE};
    return prots[unit_below(ARRAY_SIZE(prots))];
}

static uint8_t random_type(void)
{
    static const uint8_t types[] = {MEMORY_WB, MEMORY_WB, MEMORY_UC, MEMORY_WT};
    return types[unit_below(ARRAY_SIZE(types))];
}

/* A range that often begins or ends at a large page's edge. */
static void random_range(gpn_t *gpn, uint64_t *count)
{
    static const uint64_t sizes[] = {1, 4, 600, 3000, PAGES_1G + 600};
    *gpn = unit_below(MODEL_PAGES);
    if (unit_below(2))
        *gpn = align_down(*gpn, unit_below(3) ? PAGES_2M : PAGES_1G);
    *count = 1 + unit_below(sizes[unit_below(ARRAY_SIZE(sizes))]);
    if (unit_below(3) == 0)
        *count = align_up(*count, PAGES_2M);
    *count = min_u64(*count, MODEL_PAGES - *gpn);
}

static void random_map(bool failure_armed)
{
    gpn_t gpn;
    uint64_t count;
    random_range(&gpn, &count);
    spn_t spn = unit_below(1UL << 28);
    if (unit_below(4))
        spn = align_down(spn, PAGES_1G) + (gpn & (PAGES_1G - 1));
    unsigned largest = (unsigned)unit_below(4);
    if (largest == 0)
        count = min_u64(count, 3000);
    uint8_t prot = random_prot(), type = random_type();
    begin_operation();
    uint64_t done = slpt_map(&space, gpn, spn, count, prot, type, largest);
    end_operation();
    assert_true(done <= count);
    assert_true(done == count || failure_armed);
    for (uint64_t i = 0; i < done; i++) {
        struct mapping m = as_read_back(spn + i, prot, type);
        model[gpn + i] = pack(&m);
    }
    assert_only_changed(gpn, done);
}

static void random_unmap(bool failure_armed)
{
    gpn_t gpn;
    uint64_t count;
    random_range(&gpn, &count);
    begin_operation();
    uint64_t done = slpt_unmap(&space, gpn, count);
    end_operation();
    assert_true(done == count || (failure_armed && done < count));
    memset(&model[gpn], 0, done * sizeof(*model));
    assert_only_changed(gpn, done);
}

static void random_set(bool failure_armed)
{
    gpn_t gpn = unit_below(MODEL_PAGES);
    struct mapping m = {.present = false}, old;
    unsigned kind = (unsigned)unit_below(3);
    if (kind != 0)
        m = as_read_back(unit_below(1UL << 36), random_prot(), random_type());
    if (kind == 2) {
        m.present = false;
        m.stashed = true;
    }
    begin_operation();
    bool set = unit_below(2) ? slpt_set(&space, gpn, &m) : slpt_replace(&space, gpn, &m, &old);
    end_operation();
    assert_true(set || failure_armed);
    if (set)
        model[gpn] = pack(&m);
    assert_only_changed(gpn, set ? 1 : 0);
}

static void random_prepare(bool failure_armed)
{
    gpn_t gpn;
    uint64_t count;
    random_range(&gpn, &count);
    count = min_u64(count, 3000);
    begin_operation();
    bool prepared = slpt_prepare(&space, gpn, count, (unsigned)unit_below(2));
    end_operation();
    assert_true(prepared || failure_armed);
    assert_only_changed(0, 0);
}

static void random_sequences(void **state)
{
    (void)state;
    unit_seed(4);
    model = calloc(MODEL_PAGES, sizeof(*model));
    assert_non_null(model);
    for (unsigned i = 0; i < 24; i++)
        watch(i < 8 ? align_down(unit_below(MODEL_PAGES), PAGES_2M) : unit_below(MODEL_PAGES));
    for (unsigned i = 0; i < 600; i++) {
        pool_fail_after = unit_below(4) == 0 ? (int64_t)unit_below(4) : -1;
        bool failure_armed = pool_fail_after >= 0;
        switch (unit_below(4)) {
        case 0:
            random_map(failure_armed);
            break;
        case 1:
            random_unmap(failure_armed);
            break;
        case 2:
            random_prepare(failure_armed);
            break;
        default:
            random_set(failure_armed);
        }
        for (unsigned j = 0; j < 200; j++)
            check_page(unit_below(MODEL_PAGES));
        if (i % 100 == 99)
            for (gpn_t gpn = 0; gpn < MODEL_PAGES; gpn++)
                check_page(gpn);
    }
    free(model);
}

#define BOTH(test)                                                                                 \
    {#test " (EPT)", test, set_up_ept, tear_down, NULL},                                           \
    {                                                                                              \
#test " (NPT)", test, set_up_npt, tear_down, NULL                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(splits),
        BOTH(set_in_a_1g_page),
        BOTH(unmap_whole_pages_by_one_write),
        BOTH(random_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
