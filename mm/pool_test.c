/* SPDX-License-Identifier: MIT */
/* Pools: every page accounted for, zeroed, and given back to the right one. */
/* unit: mm/pool.c mm/frame.c */
#include "unit.h"

#include "mm/zero_fast.h"

enum { OWNER = 5 };

static struct pool pool;

static int set_up(void **state)
{
    (void)state;
    unit_ram(64);
    pool_fail_after = -1;
    pool_init(&pool, OWNER);
    return 0;
}

static void fill_page(spn_t spn, int byte)
{
    memset(page_ptr(spn), byte, PAGE_SIZE);
}

static void assert_zeroed(spn_t spn)
{
    const uint8_t *page = page_ptr(spn);
    for (size_t i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(page[i], 0);
}

static void assert_balance(uint64_t free_pages, uint64_t used)
{
    assert_int_equal(pool.free, free_pages);
    assert_int_equal(pool.used, used);
    uint64_t listed = 0;
    for (spn_t spn = pool.head; spn != SPN_NONE; spn = frame_get(spn)->next) {
        assert_int_equal(frame_type_of(spn), FRAME_FREE);
        assert_int_equal(frame_get(spn)->owner, OWNER);
        assert_true(++listed <= free_pages);
    }
    assert_int_equal(listed, free_pages);
}

static void empty_pool_has_nothing(void **state)
{
    (void)state;
    assert_int_equal(pool_alloc(&pool, FRAME_VP), SPN_NONE);
    assert_int_equal(pool_withdraw(&pool, false), SPN_NONE);
    assert_int_equal(pool_withdraw(&pool, true), SPN_NONE);
    assert_balance(0, 0);
}

static void alloc_zeroes_and_records(void **state)
{
    (void)state;
    for (spn_t spn = 10; spn < 14; spn++) {
        fill_page(spn, 0xA5);
        pool_add(&pool, spn, 100 + spn, spn == 12);
    }
    fill_page(9, 0xA5);
    fill_page(14, 0xA5);
    assert_balance(4, 0);
    bool seen[64] = {false};
    for (uint64_t i = 1; i <= 4; i++) {
        spn_t spn = pool_alloc(&pool, FRAME_OVERLAY);
        assert_in_range(spn, 10, 13);
        assert_false(seen[spn]);
        seen[spn] = true;
        assert_zeroed(spn);
        assert_int_equal(frame_type_of(spn), FRAME_OVERLAY);
        assert_int_equal(frame_get(spn)->gpn, 100 + spn); /* kept for its way home */
        assert_int_equal(frame_get(spn)->self_deposited, spn == 12);
        assert_balance(4 - i, i);
    }
    assert_int_equal(pool_alloc(&pool, FRAME_OVERLAY), SPN_NONE);
    assert_balance(0, 4);
    assert_int_equal(*(uint8_t *)page_ptr(9), 0xA5);
    assert_int_equal(*(uint8_t *)page_ptr(14), 0xA5);
    for (spn_t spn = 10; spn < 14; spn++)
        pool_free(&pool, spn);
    assert_balance(4, 0);
}

static void withdraw_takes_the_right_ones(void **state)
{
    (void)state;
    pool_add(&pool, 20, GPN_NONE, false); /* set aside at boot: never withdrawn */
    pool_add(&pool, 21, 1021, false);
    pool_add(&pool, 22, 1022, true);
    pool_add(&pool, 23, GPN_NONE, true);
    pool_add(&pool, 24, 1024, false);
    for (spn_t spn = 20; spn < 25; spn++)
        fill_page(spn, 0x77);

    spn_t a = pool_withdraw(&pool, false);
    assert_zeroed(a);
    assert_balance(4, 0);
    spn_t b = pool_withdraw(&pool, false);
    assert_zeroed(b);
    assert_true((a == 21 && b == 24) || (a == 24 && b == 21));
    assert_int_equal(frame_get(a)->gpn, 1000 + a);
    assert_balance(3, 0);
    assert_int_equal(pool_withdraw(&pool, false), SPN_NONE);
    assert_int_equal(pool_withdraw(&pool, true), 22);
    assert_int_equal(pool_withdraw(&pool, true), SPN_NONE);
    assert_balance(2, 0);
}

static void withdraw_leaves_used_pages(void **state)
{
    (void)state;
    pool_add(&pool, 30, 0x30, false);
    pool_add(&pool, 31, 0x31, false);
    spn_t used = pool_alloc(&pool, FRAME_TABLE);
    spn_t other = pool_withdraw(&pool, false);
    assert_int_equal(used + other, 61);
    assert_int_equal(pool_withdraw(&pool, false), SPN_NONE);
    assert_balance(0, 1);
    pool_free(&pool, used);
    assert_int_equal(pool_withdraw(&pool, false), used);
    assert_balance(0, 0);
}

static void failure_on_demand(void **state)
{
    (void)state;
    for (spn_t spn = 1; spn <= 8; spn++)
        pool_add(&pool, spn, GPN_NONE, false);
    for (int64_t successes = 0; successes < 3; successes++) {
        pool_fail_after = successes;
        spn_t got[4];
        for (int64_t i = 0; i <= successes; i++) {
            got[i] = pool_alloc(&pool, FRAME_OTHER);
            assert_int_equal(got[i] == SPN_NONE, i == successes);
        }
        assert_int_equal(pool_fail_after, -1);
        assert_balance(8 - (uint64_t)successes, (uint64_t)successes);
        for (int64_t i = 0; i < successes; i++)
            pool_free(&pool, got[i]);
        assert_balance(8, 0);
    }
}

static void wrong_use_stops(void **state)
{
    (void)state;
    pool_add(&pool, 40, GPN_NONE, false);
    expect_assert_failure(pool_add(&pool, 40, GPN_NONE, false)); /* twice */
    expect_assert_failure(pool_add(&pool, 64, GPN_NONE, false)); /* no record */
    expect_assert_failure(pool_add(&pool, SPN_NONE, GPN_NONE, false));
    expect_assert_failure(pool_free(&pool, 40)); /* free already */
    expect_assert_failure(pool_free(&pool, 41)); /* another's */
    spn_t spn = pool_alloc(&pool, FRAME_VP);
    struct pool stranger;
    pool_init(&stranger, OWNER + 1);
    expect_assert_failure(pool_free(&stranger, spn));
    pool_free(&pool, spn);
    expect_assert_failure(pool_free(&pool, spn)); /* double */
    assert_balance(1, 0);
}

/* Random use against a model: a set of free and a set of used pages. */
static void random_use(void **state)
{
    (void)state;
    enum { OUTSIDE, IN_POOL, USED };
    uint8_t where[64] = {OUTSIDE};
    uint64_t free_pages = 0, used = 0;
    unit_seed(1);
    for (unsigned i = 0; i < 20000; i++) {
        spn_t spn = 1 + unit_below(63);
        switch (unit_below(4)) {
        case 0:
            if (where[spn] == OUTSIDE) {
                pool_add(&pool, spn, unit_below(3) ? spn : GPN_NONE, false);
                where[spn] = IN_POOL;
                free_pages++;
            }
            break;
        case 1:
            spn = pool_alloc(&pool, FRAME_OTHER);
            assert_int_equal(spn == SPN_NONE, free_pages == 0);
            if (spn != SPN_NONE) {
                assert_int_equal(where[spn], IN_POOL);
                where[spn] = USED;
                free_pages--, used++;
            }
            break;
        case 2:
            if (where[spn] == USED) {
                pool_free(&pool, spn);
                where[spn] = IN_POOL;
                free_pages++, used--;
            }
            break;
        default:
            spn = pool_withdraw(&pool, false);
            if (spn != SPN_NONE) {
                assert_int_equal(where[spn], IN_POOL);
                assert_int_equal(frame_get(spn)->gpn, spn);
                frame_set_range(spn, 1, FRAME_RAM, OWNER_FIRST);
                where[spn] = OUTSIDE;
                free_pages--;
            }
        }
        assert_balance(free_pages, used);
    }
}

/* As memset: this page, whatever was in it, no other, and XMM0 is as it was. */
static void zero_as_memset(void **state)
{
    (void)state;
    enum { PAGES = 3 };
    uint8_t *pages = page_ptr(1), expected[PAGES * PAGE_SIZE];
    unit_seed(9);
    for (unsigned n = 0; n < 50; n++) {
        for (unsigned i = 0; i < sizeof(expected); i++)
            expected[i] = pages[i] = (uint8_t)unit_random();
        uint64_t xmm0[2] = {unit_random(), unit_random()}, after[2];
        memset(expected + PAGE_SIZE, 0, PAGE_SIZE);
        __asm__ volatile("movups %0, %%xmm0" : : "m"(xmm0) : "xmm0");
        zero_page(pages + PAGE_SIZE);
        __asm__ volatile("movups %%xmm0, %0" : "=m"(after));
        assert_memory_equal(pages, expected, sizeof(expected));
        assert_memory_equal(after, xmm0, sizeof(xmm0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(empty_pool_has_nothing, set_up),
        cmocka_unit_test_setup(alloc_zeroes_and_records, set_up),
        cmocka_unit_test_setup(withdraw_takes_the_right_ones, set_up),
        cmocka_unit_test_setup(withdraw_leaves_used_pages, set_up),
        cmocka_unit_test_setup(failure_on_demand, set_up),
        cmocka_unit_test_setup(wrong_use_stops, set_up),
        cmocka_unit_test_setup(random_use, set_up),
        cmocka_unit_test_setup(zero_as_memset, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
