/* SPDX-License-Identifier: MIT */
/*
 * A second opinion on second-level tables for unit tests: walks as the manuals
 * say a processor does (SDM 29.3.2 and 29.3.3, APM 15.25), knows nothing of
 * mm/slpt.c, and fails the test on an entry that a processor would refuse.
 */
#ifndef REFERENCE_WALK_H
#define REFERENCE_WALK_H

#include "unit.h"

#include "mm/slpt.h"

/* 0: not present. Otherwise page << 12 | effective memory type << 4 | 8 | rights (MAP_*). */
#define REFERENCE(page, type, rights)                                                              \
    ((uint64_t)(page) << 12 | (uint64_t)(type) << 4 | 8 | (rights))

static inline uint64_t reference_bits(uint64_t value, unsigned high, unsigned low)
{
    return value << (63 - high) >> (63 - high + low);
}

static inline uint64_t reference_load(uint64_t table_address, uint64_t gpa, unsigned level)
{
    uint64_t index = reference_bits(gpa, 20 + 9 * level, 12 + 9 * level);
    return *(uint64_t *)phys_ptr(table_address + 8 * index);
}

static inline uint64_t reference_walk_ept(uint64_t root, uint64_t gpa)
{
    uint64_t table = root;
    unsigned rights = 7;
    for (unsigned level = 3;; level--) {
        uint64_t entry = reference_load(table, gpa, level);
        if (reference_bits(entry, 2, 0) == 0)
            return 0;
        assert_true(entry & 1 || !(entry & 2)); /* write without read */
        assert_true(entry & 1 || slpt_execute_only);
        rights &= (unsigned)reference_bits(entry, 2, 0);
        uint64_t address = reference_bits(entry, 51, 12) << 12;
        bool leaf = level == 0 || (level < 3 && entry >> 7 & 1);
        if (!leaf) {
            assert_int_equal(reference_bits(entry, 7, 3), 0);
            assert_int_equal(rights, 7);
            table = address;
            continue;
        }
        unsigned offset_bits = 12 + 9 * level;
        assert_int_equal(reference_bits(address, offset_bits - 1, 0), 0);
        unsigned type = (unsigned)reference_bits(entry, 5, 3);
        assert_true(type == 0 || type == 1 || type == 4 || type == 5 || type == 6);
        assert_int_equal(entry >> 6 & 1, 0); /* ignore PAT */
        uint64_t page = (address | reference_bits(gpa, offset_bits - 1, 0)) >> 12;
        return REFERENCE(page, type, rights);
    }
}

static inline uint64_t reference_walk_npt(uint64_t root, uint64_t gpa)
{
    uint64_t table = root;
    bool writable = true, executable = true;
    for (unsigned level = 3;; level--) {
        uint64_t entry = reference_load(table, gpa, level);
        if (!(entry & 1))
            return 0;
        assert_true(entry & 4); /* a guest's accesses are user accesses */
        writable = writable && entry & 2;
        executable = executable && !(entry >> 63);
        assert_int_equal(reference_bits(entry, 62, 52), 0);
        uint64_t address = reference_bits(entry, 51, 12) << 12;
        bool leaf = level == 0 || (level < 3 && entry >> 7 & 1);
        if (!leaf) {
            assert_true(level < 3 || !(entry & 0x180)); /* reserved in the PML4 (APM 5.3.3) */
            assert_true(writable && executable && !(entry & 0x18));
            table = address;
            continue;
        }
        unsigned offset_bits = 12 + 9 * level;
        assert_int_equal(reference_bits(address, offset_bits - 1, 0), 0); /* PAT included */
        if (level == 0)
            assert_int_equal(entry >> 7 & 1, 0); /* PAT */
        uint64_t page = (address | reference_bits(gpa, offset_bits - 1, 0)) >> 12;
        /* PCD and PWT together are the PAT's entry 3, UC; neither is entry 0, WB. */
        assert_true((entry & 0x18) == 0 || (entry & 0x18) == 0x18);
        unsigned rights = 1U | (writable ? 2U : 0U) | (executable ? 4U : 0U);
        return REFERENCE(page, entry & 0x18 ? MEMORY_UC : MEMORY_WB, rights);
    }
}

static inline uint64_t reference_walk(const struct space *space, gpn_t gpn)
{
    uint64_t root = space->root << 12;
    return space->format == &ept_format ? reference_walk_ept(root, gpn << 12)
                                        : reference_walk_npt(root, gpn << 12);
}

#endif
