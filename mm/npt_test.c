/* SPDX-License-Identifier: MIT */
/* NPT entries bit by bit, APM volume 2, 5.3.3 and 15.25. */
/* unit: mm/npt.c */
#include "unit.h"

#include "mm/slpt.h"

static void leaves(void **state)
{
    (void)state;
    static const struct {
        uint8_t prot, type, level;
        uint64_t bits;
        uint64_t read_back, type_back;
    } rows[] = {
        {MAP_ALL, MEMORY_WB, 0, 0x07, MAP_ALL, MEMORY_WB},
        {MAP_ALL, MEMORY_UC, 0, 0x1F, MAP_ALL, MEMORY_UC},
        {MAP_ALL, MEMORY_WB, 1, 0x87, MAP_ALL, MEMORY_WB},
        {MAP_ALL, MEMORY_UC, 2, 0x9F, MAP_ALL, MEMORY_UC},
        {MAP_ALL, MEMORY_WC, 0, 0x07, MAP_ALL, MEMORY_WB}, /* the host's MTRRs say it */
        {MAP_READ, MEMORY_WB, 0, BIT(63) | 0x05, MAP_READ, MEMORY_WB},
        {MAP_READ | MAP_EXECUTE, MEMORY_WB, 0, 0x05, MAP_READ | MAP_EXECUTE, MEMORY_WB},
        {MAP_READ | MAP_WRITE, MEMORY_WB, 0, BIT(63) | 0x07, MAP_READ | MAP_WRITE, MEMORY_WB},
        /* what is present can be read */
        {MAP_EXECUTE, MEMORY_WB, 0, 0x05, MAP_READ | MAP_EXECUTE, MEMORY_WB},
        {MAP_WRITE, MEMORY_WB, 0, BIT(63) | 0x07, MAP_READ | MAP_WRITE, MEMORY_WB},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t entry =
            npt_format.make_leaf(0x123440000, rows[i].prot, rows[i].type, rows[i].level);
        assert_int_equal(entry, 0x123440000000UL | rows[i].bits);
        assert_int_equal(npt_format.prot(entry), rows[i].read_back);
        assert_int_equal(npt_format.type(entry), rows[i].type_back);
    }
}

static void tables(void **state)
{
    (void)state;
    assert_int_equal(npt_format.make_table(0xABCDE), 0xABCDE007);
    assert_int_equal(npt_format.accessed_bit, 0x20);
    assert_int_equal(npt_format.dirty_bit, 0x40);
    assert_int_equal(npt_format.present_mask, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves),
        cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
