/* SPDX-License-Identifier: MIT */
/* EPT entries bit by bit, SDM 29.3.2 tables 29-1 to 29-7. */
/* unit: mm/ept.c mm/slpt.c mm/pool.c mm/frame.c */
#include "unit.h"

#include "mm/slpt.h"

static void leaves(void **state)
{
    (void)state;
    static const struct {
        uint8_t prot, type;
        unsigned level;
        uint64_t bits;
    } rows[] = {
        {MAP_READ, MEMORY_UC, 0, 0x01},
        {MAP_READ | MAP_WRITE, MEMORY_WB, 0, 0x33},
        {MAP_ALL, MEMORY_WB, 0, 0x37},
        {MAP_ALL, MEMORY_WC, 0, 0x0F},
        {MAP_ALL, MEMORY_WT, 1, 0xA7},
        {MAP_READ | MAP_EXECUTE, MEMORY_WP, 2, 0xAD},
        {MAP_ALL, MEMORY_UC, 2, 0x87},
        {MAP_WRITE, MEMORY_WB, 0, 0x33},               /* write alone is a misconfiguration */
        {MAP_WRITE | MAP_EXECUTE, MEMORY_WB, 0, 0x37}, /* so is this */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t entry =
            ept_format.make_leaf(0x123440000, rows[i].prot, rows[i].type, rows[i].level);
        assert_int_equal(entry, 0x123440000000UL | rows[i].bits);
        assert_int_equal(ept_format.type(entry), rows[i].type);
        assert_int_equal(ept_format.prot(entry) & rows[i].prot, rows[i].prot);
        assert_true(entry & ept_format.present_mask);
    }
}

static void execute_only(void **state)
{
    (void)state;
    slpt_execute_only = false;
    uint64_t entry = ept_format.make_leaf(1, MAP_EXECUTE, MEMORY_WB, 0);
    assert_int_equal(entry, 0x1035);
    slpt_execute_only = true;
    entry = ept_format.make_leaf(1, MAP_EXECUTE, MEMORY_WB, 0);
    assert_int_equal(entry, 0x1034);
    assert_int_equal(ept_format.prot(entry), MAP_EXECUTE);
    assert_int_equal(ept_format.make_leaf(1, MAP_WRITE | MAP_EXECUTE, MEMORY_WB, 0), 0x1037);
    assert_int_equal(ept_format.make_leaf(1, MAP_READ, MEMORY_WB, 0), 0x1031);
    slpt_execute_only = false;
}

static void tables(void **state)
{
    (void)state;
    assert_int_equal(ept_format.make_table(0xABCDE), 0xABCDE007);
    assert_int_equal(ept_format.accessed_bit, 0x100);
    assert_int_equal(ept_format.dirty_bit, 0x200);
    assert_int_equal(ept_format.present_mask, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves),
        cmocka_unit_test(execute_only),
        cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
