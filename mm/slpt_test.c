/* SPDX-License-Identifier: MIT */
/*
 * The walker against an independent one (reference_walk.h) and against a model,
 * for both formats: what each function does. That no write passes through a
 * wrong translation is slpt_writes_test.c's.
 */
/* unit: mm/slpt.c mm/ept.c mm/npt.c mm/pool.c mm/frame.c */
#include "unit.h"

#include "mm/slpt.h"
#include "mm/slpt_store.h"
#include "reference_walk.h"

enum { POOL_PAGES = 6000, GPA_BITS = 40 };

static struct pool pool;
static struct space space;

static int set_up_format(const struct slpt_format *format)
{
    unit_ram(POOL_PAGES + 1);
    pool_fail_after = -1;
    slpt_accessed_dirty = true;
    unit_pool(&pool, OWNER_FIRST, 1, POOL_PAGES);
    assert_true(slpt_init(&space, format, &pool, GPA_BITS, 2));
    return 0;
}

static int set_up_ept(void **state)
{
    *state = (void *)&ept_format;
    return set_up_format(&ept_format);
}

static int set_up_npt(void **state)
{
    *state = (void *)&npt_format;
    return set_up_format(&npt_format);
}

static int tear_down(void **state)
{
    (void)state;
    slpt_destroy(&space);
    assert_int_equal(space.root, SPN_NONE);
    assert_int_equal(pool.free, POOL_PAGES);
    assert_int_equal(pool.used, 0);
    return 0;
}

static void assert_mapped(gpn_t gpn, spn_t spn, uint8_t prot, unsigned level)
{
    struct mapping m = slpt_lookup(&space, gpn);
    assert_true(m.present && !m.stashed);
    assert_int_equal(m.spn, spn);
    assert_int_equal(m.prot, prot);
    assert_int_equal(m.level, level);
    assert_int_equal(reference_walk(&space, gpn), REFERENCE(spn, m.type, prot));
}

static void assert_empty(gpn_t gpn)
{
    struct mapping m = slpt_lookup(&space, gpn);
    assert_true(!m.present && !m.stashed);
    assert_int_equal(reference_walk(&space, gpn), 0);
}

static void a_new_space_is_empty(void **state)
{
    (void)state;
    assert_true(space.generation > 0);
    assert_null(space.overlays);
    assert_int_equal(pool.used, 1);
    assert_int_equal(frame_type_of(space.root), FRAME_TABLE);
    for (unsigned bit = 0; bit < 52; bit++)
        assert_false(slpt_lookup(&space, 1UL << bit).present);
}

static void largest_pages_that_fit(void **state)
{
    (void)state;
    /* 3 small pages, 2 M to the next 1 G, 1 G, and back */
    gpn_t start = PAGES_1G - PAGES_2M - 3;
    spn_t spn = start + 4 * PAGES_1G;
    uint64_t count = 3 + PAGES_2M + PAGES_1G + 2 * PAGES_2M + 1;
    assert_int_equal(slpt_map(&space, start, spn, count, MAP_ALL, MEMORY_WB, 2), count);
    static const struct {
        uint64_t offset;
        unsigned level;
    } rows[] = {
        {0, 0},
        {2, 0},
        {3, 1},
        {2 + PAGES_2M, 1},
        {3 + PAGES_2M, 2},
        {2 + PAGES_2M + PAGES_1G, 2},
        {3 + PAGES_2M + PAGES_1G, 1},
        {2 + 3 * PAGES_2M + PAGES_1G, 1},
        {3 + 3 * PAGES_2M + PAGES_1G, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_mapped(start + rows[i].offset, spn + rows[i].offset, MAP_ALL, rows[i].level);
    assert_empty(start - 1);
    assert_empty(start + count);
    /* root, level 2, two of level 1, two of level 0 */
    assert_int_equal(pool.used, 6);
}

static void alignment_of_both_counts(void **state)
{
    (void)state;
    slpt_map(&space, PAGES_1G, PAGES_1G + PAGES_2M, PAGES_1G, MAP_ALL, MEMORY_WB, 2);
    assert_mapped(PAGES_1G + 5, PAGES_1G + PAGES_2M + 5, MAP_ALL, 1);
    slpt_map(&space, 0, 1, PAGES_2M, MAP_ALL, MEMORY_WB, 2);
    assert_mapped(0, 1, MAP_ALL, 0);
    slpt_map(&space, 2 * PAGES_1G, 0, PAGES_1G, MAP_ALL, MEMORY_WB, 1);
    assert_mapped(2 * PAGES_1G, 0, MAP_ALL, 1);
    space.max_level = 1;
    slpt_map(&space, 3 * PAGES_1G, 0, PAGES_1G, MAP_ALL, MEMORY_WB, 2);
    assert_mapped(3 * PAGES_1G, 0, MAP_ALL, 1);
    slpt_map(&space, 4 * PAGES_1G, 0, PAGES_2M, MAP_ALL, MEMORY_WB, 0);
    assert_mapped(4 * PAGES_1G, 0, MAP_ALL, 0);
}

static void outside_the_width(void **state)
{
    (void)state;
    gpn_t limit = 1UL << (GPA_BITS - 12);
    struct mapping m = {.present = true, .spn = 9, .prot = MAP_ALL, .type = MEMORY_WB}, old;
    static const gpn_t outside[] = {1UL << (GPA_BITS - 12), 1UL << 36, 1UL << 51, ~0UL};
    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        assert_false(slpt_set(&space, outside[i], &m));
        assert_false(slpt_replace(&space, outside[i], &m, &old));
        assert_false(slpt_prepare(&space, outside[i], 1, 0));
        assert_int_equal(slpt_map(&space, outside[i], 1, 1, MAP_ALL, MEMORY_WB, 0), 0);
        assert_int_equal(slpt_unmap(&space, outside[i], 7), 7);
        assert_int_equal(slpt_test_and_clear_ad(&space, outside[i], 3), 0);
        assert_false(slpt_lookup(&space, outside[i]).present);
    }
    assert_int_equal(pool.used, 1);
    assert_int_equal(slpt_map(&space, limit - 3, 1, 10, MAP_ALL, MEMORY_WB, 0), 3);
    assert_int_equal(slpt_map(&space, limit - 3, 1, ~0UL, MAP_ALL, MEMORY_WB, 0), 3);
    assert_mapped(limit - 1, 3, MAP_ALL, 0);
    assert_false(slpt_prepare(&space, limit - 1, 2, 0));
    assert_true(slpt_prepare(&space, limit - 1, 1, 0));
    assert_int_equal(slpt_unmap(&space, limit - 2, ~0UL), ~0UL);
    assert_mapped(limit - 3, 1, MAP_ALL, 0);
    assert_empty(limit - 1);
}

static void set_splits_and_keeps_the_rest(void **state)
{
    (void)state;
    slpt_map(&space, 0, PAGES_1G, PAGES_1G, MAP_READ | MAP_EXECUTE, MEMORY_UC, 2);
    struct mapping m = {.present = true, .spn = 5, .prot = MAP_READ, .type = MEMORY_WB};
    assert_true(slpt_set(&space, 1000, &m));
    assert_mapped(1000, 5, MAP_READ, 0);
    assert_mapped(999, PAGES_1G + 999, MAP_READ | MAP_EXECUTE, 0);
    assert_mapped(1001, PAGES_1G + 1001, MAP_READ | MAP_EXECUTE, 0);
    assert_mapped(511, PAGES_1G + 511, MAP_READ | MAP_EXECUTE, 1);
    assert_mapped(1024, PAGES_1G + 1024, MAP_READ | MAP_EXECUTE, 1);
    assert_mapped(PAGES_1G - 1, 2 * PAGES_1G - 1, MAP_READ | MAP_EXECUTE, 1);
    assert_int_equal(slpt_lookup(&space, 1001).type, MEMORY_UC);
    uint64_t used = pool.used;
    struct mapping none = {.present = false};
    for (unsigned i = 0; i < 10; i++) {
        assert_true(slpt_set(&space, 1000, &none));
        assert_empty(1000);
        assert_true(slpt_set(&space, 1000, &m));
    }
    assert_int_equal(pool.used, used); /* tables stay */
}

static bool same(const struct mapping *a, const struct mapping *b)
{
    return a->present == b->present && a->stashed == b->stashed && a->prot == b->prot &&
           a->type == b->type && a->accessed == b->accessed && a->dirty == b->dirty &&
           a->spn == b->spn && a->level == b->level;
}

/* Every kind of 4 KiB entry is stashed, put back, and is what it was. */
static void stash_restores_exactly(void **state)
{
    const struct slpt_format *format = *state;
    uint8_t types[] = {MEMORY_UC, MEMORY_WC, MEMORY_WT, MEMORY_WP, MEMORY_WB};
    for (unsigned prot = 1; prot <= MAP_ALL; prot++)
        for (size_t t = 0; t < sizeof(types); t++)
            for (unsigned ad = 0; ad < 4; ad++) {
                struct mapping m = {.present = true,
                                    .prot = (uint8_t)prot,
                                    .type = types[t],
                                    .accessed = ad & 1,
                                    .dirty = ad & 2,
                                    .spn = 0xFFFFFFFFFF};
                assert_true(slpt_set(&space, 3, &m));
                struct mapping was = slpt_lookup(&space, 3);
                assert_int_equal(was.spn, 0xFFFFFFFFFF);
                assert_int_equal(was.accessed | was.dirty << 1, ad);
                uint64_t before = reference_walk(&space, 3);

                struct mapping stash = was, back, old;
                stash.present = false;
                stash.stashed = true;
                assert_true(slpt_set(&space, 3, &stash));
                assert_int_equal(reference_walk(&space, 3), 0);
                back = slpt_lookup(&space, 3);
                assert_true(same(&back, &stash));
                assert_true(slpt_replace(&space, 3, &was, &old));
                assert_true(same(&old, &stash));
                back = slpt_lookup(&space, 3);
                assert_true(same(&back, &was));
                assert_int_equal(reference_walk(&space, 3), before);
            }
    assert_ptr_equal(space.format, format);
}

static void no_rights_is_a_stash(void **state)
{
    (void)state;
    slpt_map(&space, 0, PAGES_1G, PAGES_2M, 0, MEMORY_WB, 2);
    assert_int_equal(reference_walk(&space, 7), 0);
    struct mapping m = slpt_lookup(&space, 7);
    assert_true(!m.present && m.stashed);
    assert_int_equal(m.level, 1);
    assert_int_equal(m.spn, PAGES_1G + 7);
    assert_int_equal(m.prot, 0);
    assert_true(slpt_prepare(&space, 7, 1, 0)); /* a large stash splits like a large page */
    m = slpt_lookup(&space, 511);
    assert_true(m.stashed);
    assert_int_equal(m.level, 0);
    assert_int_equal(m.spn, PAGES_1G + 511);
    slpt_unmap(&space, 0, PAGES_2M);
    assert_false(slpt_lookup(&space, 7).stashed);
}

static void set_ad(gpn_t gpn, uint64_t bits)
{
    struct mapping m = slpt_lookup(&space, gpn);
    uint64_t table = space.root << 12;
    for (unsigned level = 3; level > m.level; level--)
        table = reference_bits(reference_load(table, gpn << 12, level), 51, 12) << 12;
    ((uint64_t *)phys_ptr(table))[gpn >> (9 * m.level) & 511] |= bits;
}

static void accessed_and_dirty(void **state)
{
    const struct slpt_format *format = *state;
    slpt_map(&space, 0, 0, PAGES_1G + 1, MAP_ALL, MEMORY_WB, 2);
    assert_int_equal(slpt_test_and_clear_ad(&space, 5, 3), 0);
    assert_int_equal(slpt_test_and_clear_ad(&space, 2 * PAGES_1G, 3), 0);
    set_ad(PAGES_1G, format->accessed_bit);
    assert_int_equal(slpt_test_and_clear_ad(&space, PAGES_1G, 2), 1);
    set_ad(PAGES_1G, format->dirty_bit);
    assert_int_equal(slpt_test_and_clear_ad(&space, PAGES_1G, 0), 3);
    assert_int_equal(slpt_test_and_clear_ad(&space, PAGES_1G, 1), 3);
    assert_int_equal(slpt_test_and_clear_ad(&space, PAGES_1G, 2), 2);
    assert_int_equal(slpt_test_and_clear_ad(&space, PAGES_1G, 0), 0);
    assert_mapped(PAGES_1G, PAGES_1G, MAP_ALL, 0);

    set_ad(5, format->accessed_bit | format->dirty_bit); /* a large page's go to all its parts */
    assert_true(slpt_prepare(&space, 600, 1, 0));
    static const gpn_t parts[] = {0, 511, 512, 600, 1023, 1024, PAGES_1G - 1};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        struct mapping m = slpt_lookup(&space, parts[i]);
        assert_true(m.accessed && m.dirty);
        assert_int_equal(slpt_test_and_clear_ad(&space, parts[i], 0), 3);
    }
    assert_int_equal(slpt_test_and_clear_ad(&space, 600, 3), 3);
    assert_int_equal(slpt_test_and_clear_ad(&space, 600, 3), 0);
    assert_int_equal(slpt_test_and_clear_ad(&space, 601, 0), 3);

    slpt_accessed_dirty = false; /* the processor keeps none: whatever is there means nothing */
    assert_int_equal(slpt_test_and_clear_ad(&space, 601, 3), 0);
    struct mapping m = slpt_lookup(&space, 601);
    assert_true(m.present && !m.accessed && !m.dirty);
}

static gpn_t played_gpn;
static uint64_t played_bits;

static void play_processor(uint64_t *entry)
{
    (void)entry;
    if (played_bits)
        set_ad(played_gpn, played_bits);
    played_bits = 0;
}

/* The processor writes to a page at the last moment: the dirty bit is not lost. */
static void late_dirty_bits(void **state)
{
    const struct slpt_format *format = *state;
    uint64_t both = format->accessed_bit | format->dirty_bit;
    slpt_map(&space, 0, 0, PAGES_2M, MAP_ALL, MEMORY_WB, 2);
    unit_before_atomic = play_processor;
    played_gpn = 17;
    played_bits = both;
    assert_true(slpt_prepare(&space, 3, 1, 0));
    unit_before_atomic = NULL;
    for (gpn_t gpn = 0; gpn < PAGES_2M; gpn++) {
        assert_mapped(gpn, gpn, MAP_ALL, 0);
        assert_int_equal(slpt_test_and_clear_ad(&space, gpn, 3), 3);
    }
    struct mapping none = {.present = false}, old;
    unit_before_atomic = play_processor;
    played_bits = both;
    assert_true(slpt_replace(&space, 17, &none, &old));
    assert_true(old.present && old.accessed && old.dirty);
    played_gpn = 18;
    played_bits = format->dirty_bit;
    assert_int_equal(slpt_test_and_clear_ad(&space, 18, 1), 2);
    unit_before_atomic = NULL;
    assert_int_equal(slpt_test_and_clear_ad(&space, 18, 2), 2);
}

struct seen {
    unsigned count, stop_after;
    gpn_t gpns[16];
    struct mapping mappings[16];
};

static bool look(struct space *s, gpn_t gpn, const struct mapping *m, void *context)
{
    struct seen *seen = context;
    assert_ptr_equal(s, &space);
    assert_true(seen->count < 16);
    seen->gpns[seen->count] = gpn;
    seen->mappings[seen->count++] = *m;
    return seen->count != seen->stop_after;
}

static bool clear_small(struct space *s, gpn_t gpn, const struct mapping *m, void *context)
{
    (void)context;
    struct mapping none = {.present = false};
    if (m->level == 0)
        assert_true(slpt_set(s, gpn, &none));
    return true;
}

/* Takes the second page out of every large leaf. */
static bool cut_large(struct space *s, gpn_t gpn, const struct mapping *m, void *context)
{
    unsigned *count = context;
    *count += 1;
    if (m->level != 0)
        assert_int_equal(slpt_unmap(s, gpn + 1, 1), 1);
    return true;
}

static void for_each_in_order(void **state)
{
    (void)state;
    struct seen seen = {.count = 0};
    slpt_for_each(&space, look, &seen);
    assert_int_equal(seen.count, 0);
    gpn_t last = (1UL << (GPA_BITS - 12)) - 1;
    struct mapping stash = {.stashed = true, .spn = 42, .prot = MAP_ALL, .type = MEMORY_WB};
    slpt_map(&space, last, 1, 1, MAP_ALL, MEMORY_WB, 0);
    slpt_map(&space, PAGES_1G, 0, PAGES_1G, MAP_ALL, MEMORY_WB, 2);
    slpt_map(&space, PAGES_2M, PAGES_2M, PAGES_2M, MAP_ALL, MEMORY_WB, 2);
    slpt_map(&space, 3, 99, 1, MAP_ALL, MEMORY_WB, 2);
    slpt_set(&space, 2, &stash);
    static const gpn_t expected[] = {2, 3, PAGES_2M, PAGES_1G, (1UL << (GPA_BITS - 12)) - 1};
    static const spn_t frames[] = {42, 99, PAGES_2M, 0, 1};
    static const uint8_t levels[] = {0, 0, 1, 2, 0};
    slpt_for_each(&space, look, &seen);
    assert_int_equal(seen.count, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(seen.gpns[i], expected[i]);
        assert_int_equal(seen.mappings[i].spn, frames[i]);
        assert_int_equal(seen.mappings[i].level, levels[i]);
        assert_int_equal(seen.mappings[i].stashed, i == 0);
    }
    seen = (struct seen){.stop_after = 3};
    assert_false(slpt_for_each(&space, look, &seen));
    assert_int_equal(seen.count, 3);
    assert_true(slpt_for_each(&space, clear_small, NULL));
    seen = (struct seen){.count = 0};
    slpt_for_each(&space, look, &seen);
    assert_int_equal(seen.count, 2);
    unsigned leaves = 0;
    assert_true(slpt_for_each(&space, cut_large, &leaves));
    assert_int_equal(leaves, 2); /* not those that it has made of them */
    for (unsigned i = 0; i < 2; i++) {
        assert_true(slpt_lookup(&space, seen.gpns[i]).present);
        assert_false(slpt_lookup(&space, seen.gpns[i] + 1).present);
        assert_true(slpt_lookup(&space, seen.gpns[i] + 2).present);
    }
}

static void no_root_without_memory(void **state)
{
    (void)state;
    struct pool none;
    struct space other;
    pool_init(&none, 9);
    assert_false(slpt_init(&other, &ept_format, &none, 40, 2));
    pool_fail_after = 0;
    assert_false(slpt_init(&other, &ept_format, &pool, 40, 2));
    assert_int_equal(pool.used, 1);
}

#define BOTH(test)                                                                                 \
    {#test " (EPT)", test, set_up_ept, tear_down, NULL},                                           \
    {                                                                                              \
#test " (NPT)", test, set_up_npt, tear_down, NULL                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_new_space_is_empty),
        BOTH(largest_pages_that_fit),
        BOTH(alignment_of_both_counts),
        BOTH(outside_the_width),
        BOTH(set_splits_and_keeps_the_rest),
        BOTH(stash_restores_exactly),
        BOTH(no_rights_is_a_stash),
        BOTH(accessed_and_dirty),
        BOTH(late_dirty_bits),
        BOTH(for_each_in_order),
        BOTH(no_root_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
