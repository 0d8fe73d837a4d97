/* SPDX-License-Identifier: MIT */
/* Processors from the MADT: good tables, damaged ones, tables cut anywhere. */
/* unit: boot/acpi.c */
#include "unit.h"

#include "boot/acpi.h"
#include "boot/fake/memory.h"

enum { RSDP = 0xF0000, RSDT = 0x20000, XSDT = 0x21000, MADT = 0x22000, OTHER = 0x23000 };
enum { HEADER = 36 };

static uint8_t rsdp[36];
static uint8_t madt[512];
static uint32_t madt_size;

static void seal(uint8_t *bytes, uint32_t size, uint32_t at)
{
    uint8_t sum = 0;
    bytes[at] = 0;
    for (uint32_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[at] = (uint8_t)-sum;
}

/* A table with its checksum, at spa of fake memory. */
static void put_table(spa_t spa, const char *signature, const void *body, uint32_t body_size)
{
    static uint8_t bytes[8192];
    uint32_t size = HEADER + body_size;
    memset(bytes, 0, HEADER);
    memcpy(bytes, signature, 4);
    memcpy(bytes + 4, &size, 4);
    memcpy(bytes + HEADER, body, body_size);
    seal(bytes, size, 9);
    fake_write(spa, bytes, size);
}

static void add_local_apic(uint8_t id, uint32_t flags)
{
    const uint8_t entry[8] = {0, 8, 0, id, (uint8_t)flags};
    memcpy(madt + madt_size, entry, sizeof(entry));
    madt_size += sizeof(entry);
}

static void add_x2apic(uint32_t id, uint32_t flags)
{
    const uint32_t entry[4] = {9 | 16 << 8, id, flags, 0};
    memcpy(madt + madt_size, entry, sizeof(entry));
    madt_size += sizeof(entry);
}

static void put_madt(void)
{
    put_table(MADT, "APIC", madt, madt_size);
}

/* Processors 0, 2, 5, an empty slot, x2APIC processor 300; an I/O APIC between them. */
static void build(uint8_t revision)
{
    static const uint8_t io_apic[12] = {1, 12};
    fake_clear();
    memset(madt, 0, sizeof(madt));
    madt_size = 8;
    add_local_apic(0, 1);
    add_local_apic(2, 1);
    memcpy(madt + madt_size, io_apic, sizeof(io_apic));
    madt_size += sizeof(io_apic);
    add_local_apic(0xFF, 1);
    add_local_apic(7, 0);
    add_local_apic(5, 1);
    add_x2apic(300, 1);
    add_x2apic(301, 0);
    add_x2apic(2, 1);
    put_madt();
    put_table(OTHER, "FACP", "nothing", 8);

    const uint32_t entries32[] = {0, OTHER, MADT};
    const uint64_t entries64[] = {OTHER, UINT64_MAX, MADT};
    put_table(RSDT, "RSDT", entries32, sizeof(entries32));
    put_table(XSDT, "XSDT", entries64, sizeof(entries64));

    const uint32_t rsdt = RSDT, length = 36;
    const uint64_t xsdt = XSDT;
    memset(rsdp, 0, sizeof(rsdp));
    memcpy(rsdp, (const char[8]){'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '}, 8);
    rsdp[15] = revision;
    memcpy(rsdp + 16, &rsdt, 4);
    memcpy(rsdp + 20, &length, 4);
    memcpy(rsdp + 24, &xsdt, 8);
    seal(rsdp, 20, 8);
    seal(rsdp, 36, 32);
    fake_write(RSDP, rsdp, sizeof(rsdp));
}

static uint32_t ids[MAX_CPUS];

static uint32_t processors(uint32_t max_id, uint32_t limit)
{
    memset(ids, 0xEE, sizeof(ids));
    ids[0] = 2; /* the boot processor is there already */
    return acpi_processors(fake_read, rsdp, max_id, ids, 1, limit);
}

static void finds_processors(void **state)
{
    (void)state;
    for (uint8_t revision = 0; revision <= 2; revision += 2) {
        build(revision);
        assert_int_equal(processors(UINT32_MAX, MAX_CPUS), 4);
        const uint32_t expected[] = {2, 0, 5, 300};
        assert_memory_equal(ids, expected, sizeof(expected));
    }
}

static void limits(void **state)
{
    (void)state;
    build(2);
    assert_int_equal(processors(254, MAX_CPUS), 3);
    assert_int_equal(processors(UINT32_MAX, 2), 2);
    assert_int_equal(ids[2], 0xEEEEEEEE);
    assert_int_equal(processors(UINT32_MAX, 1), 1);
}

static void falls_back_to_the_rsdt(void **state)
{
    (void)state;
    build(2);
    fake_memory[XSDT + 20] ^= 1; /* checksum */
    assert_int_equal(processors(254, MAX_CPUS), 3);
    fake_memory[RSDT + 20] ^= 1;
    assert_int_equal(processors(254, MAX_CPUS), 1);
}

static void damaged_tables_count_as_missing(void **state)
{
    (void)state;
    build(2);
    rsdp[0] ^= 1;
    assert_int_equal(processors(254, MAX_CPUS), 1);
    build(2);
    fake_memory[MADT + 40] ^= 1;
    assert_int_equal(processors(254, MAX_CPUS), 1);
    static const uint32_t sizes[] = {0, 1, 35, MIB(1) + 1, 0x7FFFFFFF, UINT32_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        build(2);
        fake_write(MADT + 4, &sizes[i], 4);
        assert_int_equal(processors(254, MAX_CPUS), 1);
        build(0);
        fake_write(RSDT + 4, &sizes[i], 4);
        assert_int_equal(processors(254, MAX_CPUS), 1);
    }
}

/* The MADT shorter byte by byte, checksum right: entries that are whole count, no byte beyond. */
static void cut_at_every_length(void **state)
{
    (void)state;
    build(2);
    uint32_t whole = madt_size, last = 0;
    for (uint32_t size = 0; size <= whole; size++) {
        madt_size = size;
        put_madt();
        uint32_t count = processors(UINT32_MAX, MAX_CPUS);
        assert_in_range(count, last > 0 ? last : 1, 4);
        last = count;
    }
    assert_int_equal(last, 4);
}

static void bad_entries(void **state)
{
    (void)state;
    for (unsigned length = 0; length < 256; length++) {
        build(2);
        madt[8 + 1] = (uint8_t)length; /* of the first entry, processor 0 */
        put_madt();
        uint32_t count = processors(254, MAX_CPUS);
        if (length < 2)
            assert_int_equal(count, 1);
        assert_in_range(count, 1, MAX_CPUS);
    }
}

static void many_processors(void **state)
{
    (void)state;
    fake_clear();
    build(2);
    madt_size = 8;
    for (unsigned i = 0; i < 60; i++)
        add_local_apic((uint8_t)(4 * i), 1);
    put_madt();
    assert_int_equal(processors(254, 32), 32);
    assert_int_equal(processors(254, MAX_CPUS), 61);
}

static void finds_the_rsdp(void **state)
{
    (void)state;
    build(2);
    assert_int_equal(acpi_find_rsdp(fake_read), RSDP);
    /* The extended BIOS data area comes first. */
    const uint16_t segment = 0x9FC0;
    fake_write(0x40E, &segment, sizeof(segment));
    assert_int_equal(acpi_find_rsdp(fake_read), RSDP);
    fake_write(0x9FC10, rsdp, sizeof(rsdp));
    assert_int_equal(acpi_find_rsdp(fake_read), 0x9FC10);
    fake_memory[0x9FC10 + 18] ^= 1;
    fake_memory[RSDP + 18] ^= 1;
    assert_int_equal(acpi_find_rsdp(fake_read), 0);
    fake_write(0x100000 - 16, rsdp, 16); /* its end would lie beyond the area */
    assert_int_equal(acpi_find_rsdp(fake_read), 0);
    fake_memory_end = 0;
    assert_int_equal(acpi_find_rsdp(fake_read), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_processors),       cmocka_unit_test(limits),
        cmocka_unit_test(falls_back_to_the_rsdt), cmocka_unit_test(damaged_tables_count_as_missing),
        cmocka_unit_test(cut_at_every_length),    cmocka_unit_test(bad_entries),
        cmocka_unit_test(many_processors),        cmocka_unit_test(finds_the_rsdp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
