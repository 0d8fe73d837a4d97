/* SPDX-License-Identifier: MIT */
/*
 * Allocation failures at every allocation of HvCallMapVpStatePage and of a
 * partition's creation: each ends in INSUFFICIENT_MEMORY, and nothing has changed.
 */
/* unit: +hypercalls */
/* unit: hypercalls/fake/calls.c */
#include "unit.h"

#include "hypercalls/fake/calls.h"
#include "hypercalls/table.h"

static int start(void **state)
{
    (void)state;
    start_with_child(PRIVILEGES_ROOT, &npt_format);
    return 0;
}

static int start_ept(void **state)
{
    (void)state;
    start_with_child(PRIVILEGES_ROOT, &ept_format);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

/* Everything of the machine that a failed call must leave alone. */
static struct snapshot {
    struct frame frames[FAKE_FRAMES];
    struct pool pools[2];
    uint8_t tables[FAKE_RAM_HIGH - FAKE_POOL][PAGE_SIZE];
    uint8_t child_pages[CHILD_POOL_PAGES][PAGE_SIZE];
    struct partition first;
} before, after;

static void take_snapshot(struct snapshot *s, const struct partition *p)
{
    memset(s, 0, sizeof(*s));
    memcpy(s->frames, frame_table, sizeof(s->frames));
    s->pools[0] = first_partition->pool;
    if (p != NULL)
        s->pools[1] = p->pool;
    memcpy(s->tables, page_ptr(FAKE_POOL), sizeof(s->tables));
    memcpy(s->child_pages, page_ptr(CHILD_POOL), sizeof(s->child_pages));
    s->first = *first_partition;
}

/* Free frames may hold what they like: only used ones are compared. */
static void forget_free_frames(struct snapshot *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->tables); i++)
        if (s->frames[FAKE_POOL + i].type == FRAME_FREE)
            memset(s->tables[i], 0, PAGE_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(s->child_pages); i++)
        if (s->frames[CHILD_POOL + i].type == FRAME_FREE)
            memset(s->child_pages[i], 0, PAGE_SIZE);
    for (unsigned i = 0; i < FAKE_FRAMES; i++)
        if (s->frames[i].type == FRAME_FREE)
            s->frames[i].next = 0; /* the order of the free list */
    for (unsigned i = 0; i < ARRAY_SIZE(s->pools); i++)
        s->pools[i].head = 0;
    s->first.pool.head = 0;
    s->first.space.generation = 0; /* a flush too many does no harm */
}

static void assert_nothing_changed(const struct partition *p)
{
    take_snapshot(&after, p);
    forget_free_frames(&before);
    forget_free_frames(&after);
    assert_memory_equal(before.frames, after.frames, sizeof(before.frames));
    assert_memory_equal(before.pools, after.pools, sizeof(before.pools));
    assert_memory_equal(before.tables, after.tables, sizeof(before.tables));
    assert_memory_equal(&before.first, &after.first, sizeof(before.first));
}

/*
 * Makes the call with the first allocation failing, then the second, and so on
 * until it works. Returns how many failures that took; each was `expected`.
 */
static unsigned fail_each_allocation(uint32_t (*make)(void), uint32_t expected,
                                     const struct partition *p)
{
    for (unsigned n = 0;; n++) {
        assert_true(n < 20);
        take_snapshot(&before, p);
        pool_fail_after = n;
        uint32_t status = make();
        bool failed = pool_fail_after < 0;
        pool_fail_after = -1;
        if (!failed) {
            assert_int_equal(status, HV_STATUS_SUCCESS);
            return n;
        }
        if (status != expected)
            fail_msg("allocation %u: status %x, expected %x", n, status, expected);
        assert_nothing_changed(p);
    }
}

static uint32_t map_in_child(void)
{
    return map_at(child, 0, 5);
}

static uint32_t map_far_in_child(void)
{
    return map_at(child, 1, 0x800000); /* its map has no tables there */
}

static uint32_t map_own_large(void)
{
    return map_at(HV_PARTITION_ID_SELF, 0, 700); /* in a large page, which must be split */
}

static uint32_t map_own_chosen(void)
{
    return map_anywhere(HV_PARTITION_ID_SELF, 1);
}

static void failures_of_e1(void **state)
{
    (void)state;
    struct partition *p = child_partition();
    assert_int_equal(fail_each_allocation(map_in_child, HV_STATUS_INSUFFICIENT_MEMORY, p), 1);
    assert_int_equal(fail_each_allocation(map_far_in_child, HV_STATUS_INSUFFICIENT_MEMORY, p), 3);
    assert_int_equal(fail_each_allocation(map_own_large, HV_STATUS_INSUFFICIENT_MEMORY, p), 2);
    assert_true(fail_each_allocation(map_own_chosen, HV_STATUS_INSUFFICIENT_MEMORY, p) >= 1);
}

/* Two places: the child's tables come from its pool, the caller's from the caller's own. */
static void failures_of_e1_in_two_maps(void **state)
{
    (void)state;
    struct partition *p = child_partition();
    unsigned own = 0, root = 0;
    for (unsigned n = 0;; n++) {
        assert_true(n < 20);
        take_snapshot(&before, p);
        pool_fail_after = n;
        uint32_t status = map_anywhere(child, 0);
        bool failed = pool_fail_after < 0;
        pool_fail_after = -1;
        if (!failed) {
            assert_int_equal(status, HV_STATUS_SUCCESS);
            break;
        }
        assert_nothing_changed(p);
        own += status == HV_STATUS_INSUFFICIENT_MEMORY;
        root += status == HV_STATUS_INSUFFICIENT_ROOT_MEMORY;
        assert_int_equal(own + root, n + 1);
        assert_true(root == 0 || status == HV_STATUS_INSUFFICIENT_ROOT_MEMORY);
    }
    assert_true(own >= 3 && root >= 2);
}

static uint64_t newest;

static uint32_t create_partition(void)
{
    const struct hv_input_create_partition in = {.flags = 0};
    uint32_t status = call(HVCALL_CREATE_PARTITION, &in, sizeof(in));
    newest = output();
    return status;
}

static uint32_t initialize_newest(void)
{
    return call_words(HVCALL_INITIALIZE_PARTITION, newest, 0);
}

static uint32_t create_vp_of_newest(void)
{
    return create_vp(newest, 0);
}

static uint32_t install_intercept(void)
{
    const struct hv_input_install_intercept in = {
        .partition_id = newest, .access_mask = 4, .type = HV_INTERCEPT_CPUID, .parameter = 1};
    return call(HVCALL_INSTALL_INTERCEPT, &in, sizeof(in));
}

static void failures_of_creation(void **state)
{
    (void)state;
    enum { POOL = FAKE_RAM_HIGH + 64 };
    assert_int_equal(fail_each_allocation(create_partition, HV_STATUS_INSUFFICIENT_MEMORY, NULL),
                     1);
    struct partition *p = partition_find(newest);
    assert_int_equal(initialize_newest(), HV_STATUS_INSUFFICIENT_MEMORY); /* nothing deposited */
    assert_int_equal(deposit(newest, POOL, 16), HV_STATUS_SUCCESS);
    assert_int_equal(fail_each_allocation(initialize_newest, HV_STATUS_INSUFFICIENT_MEMORY, p), 1);
    assert_int_equal(fail_each_allocation(create_vp_of_newest, HV_STATUS_INSUFFICIENT_MEMORY, p),
                     3);
    assert_int_equal(fail_each_allocation(install_intercept, HV_STATUS_INSUFFICIENT_MEMORY, p), 1);
}

/* An empty pool for real: a page deposited for each failure, until it works. */
static void deposit_and_repeat(void **state)
{
    (void)state;
    newest = create();
    gpn_t next = 100;
    unsigned deposits = 0;
    uint32_t status;
    while ((status = initialize_newest()) == HV_STATUS_INSUFFICIENT_MEMORY) {
        assert_int_equal(deposit(newest, next++, 1), HV_STATUS_SUCCESS);
        deposits++;
    }
    assert_int_equal(status, HV_STATUS_SUCCESS);
    while ((status = create_vp_of_newest()) == HV_STATUS_INSUFFICIENT_MEMORY) {
        assert_int_equal(deposit(newest, next++, 1), HV_STATUS_SUCCESS);
        deposits++;
    }
    assert_int_equal(status, HV_STATUS_SUCCESS);
    while ((status = map_at(newest, 0, 5)) == HV_STATUS_INSUFFICIENT_MEMORY) {
        assert_int_equal(deposit(newest, next++, 1), HV_STATUS_SUCCESS);
        deposits++;
    }
    assert_int_equal(status, HV_STATUS_SUCCESS);
    assert_true(deposits >= 8 && deposits < 16);
    const struct pool *pool = &partition_find(newest)->pool;
    assert_int_equal(pool->used + pool->free, deposits);
    /* Mapped and unmapped again and again it costs nothing more. */
    uint64_t used = pool->used;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(unmap(newest, 0), HV_STATUS_SUCCESS);
        assert_int_equal(pool->used, used - 1);
        assert_int_equal(map_at(newest, 0, 5), HV_STATUS_SUCCESS);
        assert_int_equal(pool->used, used);
    }
}

static uint32_t map_in_both(void)
{
    return map_anywhere(child, 0);
}

/* What a map came to: its status, and what is left in the two pools. */
struct outcome {
    uint64_t status, left[2];
};

/*
 * A map on a fresh machine of whose pools only so many frames are free: the rest of the first
 * partition's is no pool's, the child's is given back. With `plain` the test hook is on, at a
 * number that is never reached: then no short look is taken.
 */
static struct outcome map_with(uint32_t (*map)(void), uint64_t first, uint64_t childs, bool plain)
{
    fake_end();
    start_with_child(PRIVILEGES_ROOT, &npt_format);
    struct pool *own = &first_partition->pool, *other = &child_partition()->pool;
    spn_t taken[FAKE_RAM_HIGH - FAKE_POOL];
    unsigned count = 0;
    while (own->free > first) {
        taken[count] = pool_alloc(own, FRAME_OTHER);
        frame_set_range(taken[count++], 1, FRAME_RAM, OWNER_FIRST);
        own->used--;
    }
    uint32_t back = (uint32_t)(other->free - childs);
    assert_int_equal(memory_give_back(child_partition(), false, first_partition, back, NULL), back);
    pool_fail_after = plain ? 1000 : -1;
    uint32_t status = map();
    pool_fail_after = -1;
    struct outcome outcome = {status, {own->free, other->free}};
    while (count != 0)
        pool_add(own, taken[--count], GPN_NONE, false);
    return outcome;
}

static void short_look_at_pools(void **state)
{
    (void)state;
    enum { MOST = 6 };
    static uint32_t (*const maps[])(void) = {map_in_child, map_far_in_child, map_own_large,
                                             map_own_chosen, map_in_both};
    bool seen[2] = {false};
    for (unsigned i = 0; i < ARRAY_SIZE(maps) * (MOST + 1) * (MOST + 1); i++) {
        uint32_t (*map)(void) = maps[i % ARRAY_SIZE(maps)];
        uint64_t n = i / ARRAY_SIZE(maps), first = n % (MOST + 1), childs = n / (MOST + 1);
        struct outcome fast = map_with(map, first, childs, false);
        struct outcome plain = map_with(map, first, childs, true);
        assert_memory_equal(&fast, &plain, sizeof(fast));
        seen[fast.status == HV_STATUS_SUCCESS] = true;
    }
    assert_true(seen[false] && seen[true]);
}

#define TEST(name)     cmocka_unit_test_setup_teardown(name, start, end)
#define TEST_EPT(name) cmocka_unit_test_setup_teardown(name, start_ept, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(failures_of_e1),       TEST_EPT(failures_of_e1), TEST(failures_of_e1_in_two_maps),
        TEST(failures_of_creation), TEST(deposit_and_repeat), TEST(short_look_at_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
