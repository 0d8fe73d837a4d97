/* SPDX-License-Identifier: MIT */
/*
 * The address of an instruction by the short walk and by the plain one, on random page
 * tables: the same where the tables are good, and the same wherever the plain one finds an
 * address, as it does for every instruction that a processor has fetched.
 */
/* unit: hv/model/translate.c mm/copy.c mm/copy_fast.c mm/slpt.c mm/ept.c mm/npt.c */
/* unit: mm/pool.c mm/frame.c */
#include "unit.h"

#include "hv/model/translate_fast.h"

enum { RAM_PAGES = 256, POOL_PAGES = 32, GPA_BITS = 40, ROUNDS = 200, LOOKS = 500 };

/* GPNs: four tables of each level, the roots last; what lies behind them is in no map. */
enum { LEVELS = 4, TABLES_A_LEVEL = 4, MAPPED = 120 };

static struct pool pool;
static struct partition partition;
static struct vp vp = {.partition = &partition, .exact = EXACT_ALL};

static int set_up(void **state)
{
    (void)state;
    unit_ram(RAM_PAGES);
    unit_cpus(1);
    unit_pool(&pool, OWNER_FIRST, RAM_PAGES - POOL_PAGES, POOL_PAGES);
    assert_true(slpt_init(&partition.space, &ept_format, &pool, GPA_BITS, 2));
    assert_int_equal(slpt_map(&partition.space, 0, 0, MAPPED, MAP_ALL, MEMORY_WB, 0), MAPPED);
    return 0;
}

static bool once_in(unsigned count)
{
    return unit_below(count) == 0;
}

/* An entry without a fault but, now and then, that it leads out of the map. */
static uint64_t random_entry(unsigned level)
{
    uint64_t flags = unit_random() & (BIT(63) | 0xF7E); /* all but the address and bits 0 and 7 */
    uint64_t gpn = unit_below(once_in(16) ? 1UL << (GPA_BITS - PAGE_SHIFT) : MAPPED);
    if (!once_in(16))
        flags |= PTE_PRESENT;
    if (level == 0)
        return flags | gpn << PAGE_SHIFT | (unit_random() & PTE_LARGE); /* there it is PAT */
    if (level < LEVELS - 1 && once_in(3))
        return flags | (unit_random() & BIT(12)) | PTE_LARGE |
               (gpn << (PAGE_SHIFT + 9 * level) & (BIT(GPA_BITS) - 1));
    if (!once_in(16) || gpn < LEVELS * TABLES_A_LEVEL) /* a table of the next level, or none */
        gpn = (level - 1) * TABLES_A_LEVEL + unit_below(TABLES_A_LEVEL);
    return flags | gpn << PAGE_SHIFT;
}

static void random_tables(bool good)
{
    for (unsigned table = 0; table < LEVELS * TABLES_A_LEVEL; table++) {
        uint64_t *entries = page_ptr(table);
        for (unsigned i = 0; i < 512; i++) {
            entries[i] = random_entry(table / TABLES_A_LEVEL);
            if (!good && once_in(4))
                entries[i] ^= BIT(unit_below(64));
        }
    }
}

static void random_state(bool good)
{
    vp.state.cr0 = CR0_PE | CR0_PG | CR0_WP;
    vp.state.cr3 = ((LEVELS - 1) * TABLES_A_LEVEL + unit_below(TABLES_A_LEVEL)) << PAGE_SHIFT |
                   (unit_random() & 0x18);
    vp.state.cr4 = CR4_PAE | (once_in(8) ? CR4_LA57 : 0);
    vp.state.efer = EFER_LME | EFER_LMA | EFER_NXE;
    if (!good && once_in(4))
        vp.state.efer = once_in(2) ? EFER_NXE : 0;
}

/* Compares for one address; returns whether the plain walk found it. */
static bool look(uint64_t linear, bool good)
{
    gpa_t plain = 0, fast = 0;
    bool found = translate_linear(&vp, linear, 0, &plain) == HV_TRANSLATE_SUCCESS;
    bool found_fast = translate_fetched(&vp, linear, &fast);
    if ((found || good) && found_fast != found)
        fail_msg("%lx: plain %d, fast %d", linear, found, found_fast);
    if (found && plain != fast)
        fail_msg("%lx: plain %lx, fast %lx", linear, plain, fast);
    return found;
}

static void walks(bool good)
{
    unsigned found = 0;
    unit_seed(good);
    for (unsigned n = 0; n < ROUNDS; n++) {
        random_tables(good);
        random_state(good);
        for (unsigned i = 0; i < LOOKS; i++) /* canonical, as every rip that is fetched from */
            found += look((uint64_t)((int64_t)unit_random() >> 16), good);
    }
    assert_in_range(found, ROUNDS * LOOKS / 20, ROUNDS * LOOKS - 1);
}

static void good_tables(void **state)
{
    (void)state;
    walks(true);
}

static void spoilt_tables(void **state)
{
    (void)state;
    walks(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(good_tables, set_up),
        cmocka_unit_test_setup(spoilt_tables, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
