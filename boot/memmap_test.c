/* SPDX-License-Identifier: MIT */
/* Memory maps with overlaps, holes and hostile ends. */
/* unit: boot/memmap.c */
#include "unit.h"

#include "boot/memmap.h"

static void assert_range(const struct memory_map *map, uint32_t n, uint64_t start, uint64_t end,
                         uint32_t kind)
{
    assert_true(n < map->count);
    assert_int_equal(map->ranges[n].start, start);
    assert_int_equal(map->ranges[n].end, end);
    assert_int_equal(map->ranges[n].kind, kind);
}

/* What boot/boot.h promises of every map. */
static void assert_orderly(const struct memory_map *map)
{
    assert_true(map->count <= MAX_MEMORY_RANGES);
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memory_range *r = &map->ranges[i];
        assert_true(r->start < r->end);
        assert_in_range(r->kind, MEMORY_AVAILABLE, MEMORY_BAD);
        if (i == 0)
            continue;
        assert_true(r[-1].end <= r->start);
        assert_false(r[-1].end == r->start && r[-1].kind == r->kind);
    }
}

static void sorts_and_merges(void **state)
{
    (void)state;
    struct memory_map map = {0};
    assert_true(memory_map_add(&map, 0x3000, 0x1000, MEMORY_AVAILABLE));
    assert_true(memory_map_add(&map, 0x1000, 0x1000, MEMORY_AVAILABLE));
    assert_int_equal(map.count, 2);
    assert_true(memory_map_add(&map, 0x2000, 0x1000, MEMORY_AVAILABLE));
    assert_int_equal(map.count, 1);
    assert_range(&map, 0, 0x1000, 0x4000, MEMORY_AVAILABLE);
    assert_int_equal(memory_map_total(&map), 0x3000);
    assert_int_equal(memory_map_top(&map), 0x4000);
}

static void the_stricter_kind_wins(void **state)
{
    (void)state;
    static const uint32_t order[] = {MEMORY_AVAILABLE, MEMORY_ACPI, MEMORY_NVS, MEMORY_RESERVED,
                                     MEMORY_BAD};
    for (unsigned low = 0; low < ARRAY_SIZE(order); low++)
        for (unsigned high = low + 1; high < ARRAY_SIZE(order); high++)
            for (unsigned turn = 0; turn < 2; turn++) {
                struct memory_map map = {0};
                unsigned first = turn ? high : low, second = turn ? low : high;
                memory_map_add(&map, 0x1000, 0x2000, order[first]);
                memory_map_add(&map, 0x2000, 0x2000, order[second]);
                assert_orderly(&map);
                assert_int_equal(map.count, 2);
                assert_int_equal(map.ranges[turn ? 0 : 1].kind, order[high]);
                assert_int_equal(map.ranges[turn ? 0 : 1].end - map.ranges[turn ? 0 : 1].start,
                                 0x2000);
            }
}

static void the_new_kind_wins_in_set(void **state)
{
    (void)state;
    struct memory_map map = {0};
    memory_map_add(&map, 0, MIB(4), MEMORY_RESERVED);
    memory_map_set(&map, MIB(1), MIB(1), MEMORY_AVAILABLE);
    assert_int_equal(map.count, 3);
    assert_range(&map, 0, 0, MIB(1), MEMORY_RESERVED);
    assert_range(&map, 1, MIB(1), MIB(2), MEMORY_AVAILABLE);
    assert_range(&map, 2, MIB(2), MIB(4), MEMORY_RESERVED);
}

static void hostile_sizes(void **state)
{
    (void)state;
    struct memory_map map = {0};
    assert_true(memory_map_add(&map, 0x1000, 0, MEMORY_AVAILABLE));
    assert_int_equal(map.count, 0);
    assert_true(memory_map_add(&map, UINT64_MAX, UINT64_MAX, MEMORY_AVAILABLE));
    assert_int_equal(map.count, 0);
    assert_true(memory_map_add(&map, UINT64_MAX - 0xFFF, UINT64_MAX, MEMORY_AVAILABLE));
    assert_range(&map, 0, UINT64_MAX - 0xFFF, UINT64_MAX, MEMORY_AVAILABLE);
    assert_true(memory_map_add(&map, 0, 0x1000, 77));
    assert_range(&map, 0, 0, 0x1000, MEMORY_RESERVED);
    assert_true(memory_map_add(&map, 0, UINT64_MAX, 0));
    assert_int_equal(map.count, 1);
    assert_range(&map, 0, 0, UINT64_MAX, MEMORY_RESERVED);
}

static void full_map_stays_as_it_is(void **state)
{
    (void)state;
    struct memory_map map = {0};
    for (uint64_t i = 0; i < MAX_MEMORY_RANGES; i++)
        assert_true(memory_map_add(&map, i * 0x2000, 0x1000, MEMORY_AVAILABLE));
    struct memory_map before = map;
    assert_false(memory_map_add(&map, MIB(64), 0x1000, MEMORY_AVAILABLE));
    assert_memory_equal(&map, &before, sizeof(map));
    assert_false(memory_map_add(&map, 0x400, 0x100, MEMORY_RESERVED));
    assert_memory_equal(&map, &before, sizeof(map));
    /* Filling a gap needs no range more. */
    assert_true(memory_map_add(&map, 0x1000, 0x1000, MEMORY_AVAILABLE));
    assert_int_equal(map.count, MAX_MEMORY_RANGES - 1);
}

/* Against one byte of kind per page. */
static void agrees_with_a_plain_model(void **state)
{
    (void)state;
    static const uint8_t strictness[] = {0, 1, 4, 2, 3, 5}; /* by kind; 0 is "nothing there" */
    unit_seed(1);
    for (unsigned round = 0; round < 300; round++) {
        struct memory_map map = {0};
        uint8_t model[64] = {0};
        for (unsigned n = 0; n < 12; n++) {
            uint64_t start = unit_below(64), length = unit_below(64 - start);
            uint8_t kind = (uint8_t)(1 + unit_below(5));
            bool set = unit_below(4) == 0;
            assert_true((set ? memory_map_set : memory_map_add)(&map, start, length, kind));
            for (uint64_t i = start; i < start + length; i++)
                if (set || strictness[kind] > strictness[model[i]])
                    model[i] = kind;
            assert_orderly(&map);
        }
        for (uint64_t i = 0; i < 64; i++) {
            uint8_t kind = 0;
            for (uint32_t n = 0; n < map.count; n++)
                if (map.ranges[n].start <= i && i < map.ranges[n].end)
                    kind = (uint8_t)map.ranges[n].kind;
            assert_int_equal(kind, model[i]);
        }
    }
}

static void finds_a_place(void **state)
{
    (void)state;
    struct memory_map map = {0};
    memory_map_add(&map, 0, KIB(640), MEMORY_AVAILABLE);
    memory_map_add(&map, MIB(1), MIB(15), MEMORY_AVAILABLE);
    memory_map_add(&map, GIB(4), GIB(1), MEMORY_AVAILABLE);
    memory_map_add(&map, MIB(16), MIB(16), MEMORY_ACPI);

    assert_int_equal(memory_map_find(&map, MIB(1), MIB(1), 0, GIB(4), NULL, 0), MIB(15));
    assert_int_equal(memory_map_find(&map, MIB(1), MIB(1), 0, UINT64_MAX, NULL, 0),
                     GIB(5) - MIB(1));
    assert_int_equal(memory_map_find(&map, MIB(16), 1, 0, GIB(4), NULL, 0), NO_PLACE);
    assert_int_equal(memory_map_find(&map, UINT64_MAX, 1, 0, UINT64_MAX, NULL, 0), NO_PLACE);
    assert_int_equal(memory_map_find(&map, MIB(2), MIB(2), MIB(1), MIB(3), NULL, 0), NO_PLACE);

    const struct byte_range avoid[] = {{MIB(14) + 1, MIB(16)}, {MIB(13) - 1, MIB(13) + 1}};
    assert_int_equal(memory_map_find(&map, MIB(1), MIB(1), 0, GIB(4), avoid, 2), MIB(11));
    const struct byte_range all = {0, UINT64_MAX};
    assert_int_equal(memory_map_find(&map, 1, 1, 0, UINT64_MAX, &all, 1), NO_PLACE);
}

static void available_means_throughout(void **state)
{
    (void)state;
    struct memory_map map = {0};
    memory_map_add(&map, MIB(1), MIB(2), MEMORY_AVAILABLE);
    memory_map_add(&map, MIB(3), MIB(1), MEMORY_NVS);
    assert_true(memory_map_available(&map, MIB(1), MIB(3)));
    assert_false(memory_map_available(&map, MIB(1) - 1, MIB(3)));
    assert_false(memory_map_available(&map, MIB(1), MIB(3) + 1));
    assert_false(memory_map_available(&map, MIB(2), MIB(1)));
    assert_false(memory_map_available(&map, MIB(3), MIB(4)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_and_merges),
        cmocka_unit_test(the_stricter_kind_wins),
        cmocka_unit_test(the_new_kind_wins_in_set),
        cmocka_unit_test(hostile_sizes),
        cmocka_unit_test(full_map_stays_as_it_is),
        cmocka_unit_test(agrees_with_a_plain_model),
        cmocka_unit_test(finds_a_place),
        cmocka_unit_test(available_means_throughout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
