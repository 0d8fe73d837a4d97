/* SPDX-License-Identifier: MIT */
/*
 * Overlays over every kind of thing, and their disappearance: what was there is
 * back exactly, memory running out changes nothing, numbers are reused.
 */
/* unit: mm/overlay.c mm/tlb.c mm/slpt.c mm/ept.c mm/npt.c mm/pool.c mm/frame.c */
#include "unit.h"

#include "mm/overlay.h"
#include "mm/slpt_store.h"
#include "reference_walk.h"

enum { POOL_PAGES = 100, GPA_BITS = 40, SHOWN_SPN = 50 };

static struct pool pool;
static struct space space;

static int set_up_format(const struct slpt_format *format)
{
    unit_ram(POOL_PAGES + 1);
    unit_cpus(1);
    pool_fail_after = -1;
    slpt_accessed_dirty = true;
    unit_pool(&pool, OWNER_FIRST, 1, POOL_PAGES);
    overlay_window_base = 1UL << (GPA_BITS - 1 - 12);
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
    assert_null(space.overlays);
    slpt_destroy(&space);
    assert_int_equal(pool.free, POOL_PAGES);
    return 0;
}

static struct overlay make(gpn_t gpn, spn_t spn)
{
    return (struct overlay){
        .gpn = gpn, .spn = spn, .prot = MAP_READ | MAP_WRITE, .kind = OVERLAY_STATE_PAGE};
}

static bool same(const struct mapping *a, const struct mapping *b)
{
    return a->present == b->present && a->stashed == b->stashed && a->prot == b->prot &&
           a->type == b->type && a->accessed == b->accessed && a->dirty == b->dirty &&
           a->spn == b->spn;
}

/* Over gpn as it is now and away again, twice: the second time costs no page. */
static void over_and_away(gpn_t gpn, bool something_present)
{
    struct mapping before[3], now;
    for (unsigned i = 0; i < 3; i++)
        before[i] = slpt_lookup(&space, gpn - 1 + i);
    uint64_t used = 0;
    for (unsigned round = 0; round < 2; round++) {
        struct overlay o = make(gpn, SHOWN_SPN);
        uint64_t generation = space.generation;
        assert_int_equal(overlay_map(&o, &space), OVERLAY_OK);
        assert_true(!something_present || space.generation > generation);
        assert_ptr_equal(overlay_at(&space, gpn), &o);
        assert_ptr_equal(o.space, &space);
        assert_int_equal(reference_walk(&space, gpn),
                         REFERENCE(SHOWN_SPN, MEMORY_WB, MAP_READ | MAP_WRITE));
        struct mapping under = overlay_lookup_under(&space, gpn);
        assert_true(same(&under, &before[1]));
        assert_true(round == 0 || pool.used == used);
        used = pool.used;

        generation = space.generation;
        overlay_unmap(&o);
        assert_true(space.generation > generation);
        assert_null(o.space);
        assert_null(overlay_at(&space, gpn));
        for (unsigned i = 0; i < 3; i++) {
            now = slpt_lookup(&space, gpn - 1 + i);
            assert_true(same(&now, &before[i]));
        }
        assert_int_equal(pool.used, used);
    }
}

static void over_everything(void **state)
{
    (void)state;
    struct mapping m = {.stashed = true,
                        .spn = 0x1234567,
                        .prot = MAP_READ | MAP_EXECUTE,
                        .type = MEMORY_UC,
                        .dirty = true};
    slpt_map(&space, 0, PAGES_1G, PAGES_2M, MAP_ALL, MEMORY_WB, 0);
    over_and_away(100, true); /* 4 KiB */
    slpt_map(&space, PAGES_2M, PAGES_2M, 2 * PAGES_2M, MAP_READ, MEMORY_UC, 1);
    over_and_away(PAGES_2M + 1, true); /* 2 MiB */
    over_and_away(3 * PAGES_2M - 1, true);
    slpt_map(&space, PAGES_1G, 0, 2 * PAGES_1G, MAP_READ | MAP_EXECUTE, MEMORY_WB, 2);
    over_and_away(2 * PAGES_1G, true);     /* 1 GiB */
    over_and_away(3 * PAGES_1G - 1, true); /* its last page, beside a hole */
    over_and_away(5 * PAGES_1G, false);    /* a hole */
    over_and_away((1UL << 28) - 1, false); /* the last page there can be */
    assert_true(slpt_set(&space, 200, &m));
    over_and_away(200, false); /* a deposited page */
    m.stashed = false;
    m.present = m.accessed = true;
    m.type = MEMORY_WB;
    assert_true(slpt_set(&space, 300, &m));
    over_and_away(300, true); /* accessed and dirty */
}

static void refused_places(void **state)
{
    (void)state;
    struct overlay first = make(1000, SHOWN_SPN), o;
    assert_int_equal(overlay_map(&first, &space), OVERLAY_OK);
    static const gpn_t bad[] = {1000, 0xFEE00, 1UL << 28, 1UL << 36, ~0UL};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        o = make(bad[i], 51);
        assert_int_equal(overlay_map(&o, &space), OVERLAY_BAD_GPN);
        assert_null(o.space);
        assert_ptr_equal(space.overlays, &first);
        assert_null(first.next);
    }
    overlay_unmap(&first);
    expect_assert_failure(overlay_unmap(&first));
    o = make(1000, 51);
    assert_int_equal(overlay_map(&o, &space), OVERLAY_OK);
    overlay_unmap(&o);
}

/* Each allocation fails in turn: nothing changes, and the same call works later. */
static void out_of_memory(void **state)
{
    (void)state;
    static const struct {
        gpn_t gpn;
        unsigned tables; /* that overlay_map needs */
    } rows[] = {{7, 0}, {PAGES_2M + 7, 1}, {PAGES_1G + 7, 2}, {6 * PAGES_1G, 2}, {1UL << 27, 3}};
    slpt_map(&space, 0, 0, PAGES_2M, MAP_ALL, MEMORY_WB, 0);
    slpt_map(&space, PAGES_2M, PAGES_2M, PAGES_2M, MAP_ALL, MEMORY_WB, 1);
    slpt_map(&space, PAGES_1G, 0, PAGES_1G, MAP_ALL, MEMORY_WB, 2);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct overlay o = make(rows[i].gpn, SHOWN_SPN);
        struct mapping before = slpt_lookup(&space, rows[i].gpn), now;
        uint64_t walked = reference_walk(&space, rows[i].gpn + 1);
        uint64_t generation = space.generation, used = pool.used;
        for (unsigned failures = 0; failures < rows[i].tables; failures++) {
            /* what was built stays: each time the first allocation is the next one */
            pool_fail_after = 0;
            assert_int_equal(overlay_map(&o, &space), OVERLAY_NO_MEMORY);
            assert_int_equal(pool_fail_after, -1);
            assert_null(o.space);
            assert_null(space.overlays);
            now = slpt_lookup(&space, rows[i].gpn);
            assert_true(same(&before, &now));
            assert_int_equal(reference_walk(&space, rows[i].gpn + 1), walked);
            assert_int_equal(space.generation, generation);
            pool_fail_after = 1; /* the next one builds one more table, then fails */
            if (failures + 1 < rows[i].tables)
                assert_int_equal(overlay_map(&o, &space), OVERLAY_NO_MEMORY);
            pool_fail_after = -1;
        }
        assert_int_equal(overlay_map(&o, &space), OVERLAY_OK);
        assert_int_equal(pool.used - used, rows[i].tables);
        overlay_unmap(&o);
        now = slpt_lookup(&space, rows[i].gpn);
        assert_true(same(&before, &now));
    }
}

/* MapGpaPages and DepositMemory go under an overlay; it shows all the same. */
static void changes_underneath(void **state)
{
    (void)state;
    slpt_map(&space, 0, 0, PAGES_2M, MAP_ALL, MEMORY_WB, 1);
    struct overlay o = make(9, SHOWN_SPN);
    assert_int_equal(overlay_map(&o, &space), OVERLAY_OK);
    uint64_t shown = reference_walk(&space, 9);

    struct mapping m = {.present = true, .spn = 77, .prot = MAP_READ, .type = MEMORY_WB}, now;
    assert_true(overlay_set_under(&space, 9, &m));
    assert_int_equal(reference_walk(&space, 9), shown);
    now = overlay_lookup_under(&space, 9);
    assert_true(same(&now, &m));
    assert_true(overlay_set_under(&space, 10, &m)); /* no overlay here: the map itself */
    assert_int_equal(reference_walk(&space, 10), REFERENCE(77, MEMORY_WB, MAP_READ));
    now = overlay_lookup_under(&space, 10);
    assert_int_equal(now.spn, 77);

    m.prot = 0;
    assert_true(overlay_set_under(&space, 9, &m));
    now = overlay_lookup_under(&space, 9);
    assert_true(now.stashed && !now.present);
    overlay_unmap(&o);
    struct mapping after = slpt_lookup(&space, 9);
    assert_true(same(&after, &now));
}

static void play_write(uint64_t *entry)
{
    if (*entry & 1)
        *entry |= space.format->accessed_bit | space.format->dirty_bit;
}

/* The guest writes to the page while the overlay is being put over it. */
static void dirty_at_the_last_moment(void **state)
{
    (void)state;
    slpt_map(&space, 0, 0, 16, MAP_ALL, MEMORY_WB, 0);
    struct overlay o = make(3, SHOWN_SPN);
    unit_before_atomic = play_write;
    assert_int_equal(overlay_map(&o, &space), OVERLAY_OK);
    unit_before_atomic = NULL;
    overlay_unmap(&o);
    assert_int_equal(slpt_test_and_clear_ad(&space, 3, 3), 3);
    assert_int_equal(slpt_test_and_clear_ad(&space, 4, 3), 0);
}

static void several_in_any_order(void **state)
{
    (void)state;
    struct overlay o[4];
    slpt_map(&space, 0, 0, PAGES_1G, MAP_ALL, MEMORY_WB, 2);
    for (unsigned i = 0; i < 4; i++) {
        o[i] = make(100 + i, SHOWN_SPN + i);
        assert_int_equal(overlay_map(&o[i], &space), OVERLAY_OK);
    }
    static const unsigned order[] = {2, 0, 3, 1};
    for (unsigned i = 0; i < 4; i++) {
        overlay_unmap(&o[order[i]]);
        for (unsigned j = 0; j < 4; j++) {
            bool gone = true;
            for (unsigned k = i + 1; k < 4; k++)
                gone = gone && order[k] != j;
            assert_ptr_equal(overlay_at(&space, 100 + j), gone ? NULL : &o[j]);
            assert_int_equal(slpt_lookup(&space, 100 + j).spn, gone ? 100 + j : SHOWN_SPN + j);
        }
    }
}

static void choose(void **state)
{
    const struct slpt_format *format = *state;
    struct pool other_pool;
    struct space other;
    unit_ram(POOL_PAGES + 1); /* over again: two pools */
    unit_pool(&pool, OWNER_FIRST, 1, 40);
    assert_true(slpt_init(&space, format, &pool, GPA_BITS, 2));
    unit_pool(&other_pool, 3, 60, 20);
    assert_true(slpt_init(&other, format, &other_pool, GPA_BITS, 2));
    gpn_t base = overlay_window_base;

    struct overlay a = make(overlay_choose(&space, &other), 55);
    assert_int_equal(a.gpn, base);
    assert_int_equal(overlay_map(&a, &space), OVERLAY_OK);
    assert_int_equal(overlay_choose(&space, NULL), base + 1);
    assert_int_equal(overlay_choose(&other, NULL), base);
    assert_int_equal(overlay_choose(&other, &space), base + 1);
    struct overlay b = make(base + 1, 56); /* taken in the other one only */
    assert_int_equal(overlay_map(&b, &other), OVERLAY_OK);
    assert_int_equal(overlay_choose(&space, &other), base + 2);
    struct mapping stash = {.stashed = true, .spn = 9, .prot = MAP_ALL, .type = MEMORY_WB};
    assert_true(slpt_set(&space, base + 2, &stash));
    slpt_map(&other, base + 3, 1, 2, MAP_ALL, MEMORY_WB, 0);
    assert_int_equal(overlay_choose(&space, &other), base + 5);
    overlay_unmap(&a);
    assert_int_equal(overlay_choose(&space, &other), base); /* used again */
    overlay_unmap(&b);
    other.gpa_bits = GPA_BITS - 1; /* the window is beyond it */
    assert_true(overlay_choose(&space, &other) == GPN_NONE);
    assert_true(overlay_choose(&other, NULL) == GPN_NONE);
    slpt_map(&space, base, 0, PAGES_1G, MAP_ALL, MEMORY_WB, 2);
    assert_true(overlay_choose(&space, NULL) == GPN_NONE);
    other.gpa_bits = GPA_BITS;
    slpt_destroy(&other);
    assert_int_equal(other_pool.free, 20);
    slpt_destroy(&space);
    assert_int_equal(pool.free, 40);
}

#define BOTH(test)                                                                                 \
    {#test " (EPT)", test, set_up_ept, tear_down, NULL},                                           \
    {                                                                                              \
#test " (NPT)", test, set_up_npt, tear_down, NULL                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(over_everything),
        BOTH(refused_places),
        BOTH(out_of_memory),
        BOTH(changes_underneath),
        BOTH(dirty_at_the_last_moment),
        BOTH(several_in_any_order),
        {"choose (EPT)", choose, set_up_ept, NULL, NULL},
        {"choose (NPT)", choose, set_up_npt, NULL, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
