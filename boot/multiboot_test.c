/* SPDX-License-Identifier: MIT */
/* What a loader hands over, whole, cut off at every length, and hostile. */
/* unit: boot/multiboot.c boot/memmap.c */
#include "unit.h"

#include "boot/fake/memory.h"
#include "boot/multiboot.h"

static struct boot_info info;

static void clear_info(void)
{
    memset(&info, 0, sizeof(info));
}

/* ---- Multiboot 1: everything in fake memory ---- */

enum { MBI = 0x1000, MAP = 0x2000, MODULES = 0x3000, TEXT = 0x4000 };

static struct multiboot1_info mbi;

static void put_text(uint32_t at, const char *text)
{
    fake_write(at, text, strlen(text) + 1);
}

static const char *parse1(void)
{
    fake_write(MBI, &mbi, sizeof(mbi));
    clear_info();
    return multiboot1_parse(fake_read, MBI, &info);
}

static void build1(void)
{
    static const struct multiboot1_map_entry map[] = {
        {20, 0, KIB(639), MEMORY_AVAILABLE},
        {20, KIB(639), KIB(1), MEMORY_RESERVED},
        {20, MIB(1), MIB(511), MEMORY_AVAILABLE},
        {20, GIB(4), GIB(4), MEMORY_AVAILABLE},
    };
    static const struct multiboot1_module modules[] = {
        {0x100000, 0x180000, TEXT + 0x100, 0},
        {0x200000, 0x200000, 0, 0},
    };
    fake_clear();
    fake_write(MAP, map, sizeof(map));
    fake_write(MODULES, modules, sizeof(modules));
    put_text(TEXT, "vellum.elf role=layered");
    put_text(TEXT + 0x100, "kernel seed=1");
    mbi = (struct multiboot1_info){
        .flags = MULTIBOOT1_HAS_COMMAND_LINE | MULTIBOOT1_HAS_MODULES | MULTIBOOT1_HAS_MEMORY_MAP,
        .command_line = TEXT,
        .map = MAP,
        .map_length = sizeof(map),
        .modules = MODULES,
        .module_count = 2,
    };
}

static void takes_everything_1(void **state)
{
    (void)state;
    build1();
    assert_null(parse1());
    assert_string_equal(info.command_line, "vellum.elf role=layered");
    assert_int_equal(info.memory.count, 4);
    assert_int_equal(memory_map_top(&info.memory), GIB(8));
    assert_int_equal(info.module_count, 2);
    assert_int_equal(info.modules[0].start, 0x100000);
    assert_int_equal(info.modules[0].size, 0x80000);
    assert_string_equal(info.modules[0].command_line, "kernel seed=1");
    assert_int_equal(info.modules[1].size, 0);
    assert_string_equal(info.modules[1].command_line, "");
}

static void memory_sizes_1(void **state)
{
    (void)state;
    build1();
    mbi.flags = MULTIBOOT1_HAS_MEMORY;
    mbi.mem_lower = UINT32_MAX; /* there is never more than 640 KiB */
    mbi.mem_upper = 63 * 1024;
    assert_null(parse1());
    assert_int_equal(info.memory.count, 2);
    assert_int_equal(info.memory.ranges[0].end, KIB(640));
    assert_int_equal(info.memory.ranges[1].end, MIB(64));
    mbi.flags = 0;
    assert_non_null(parse1());
}

/* Memory that ends anywhere: the parser says so and reads nothing beyond. */
static void memory_that_ends_1(void **state)
{
    (void)state;
    build1();
    for (uint64_t end = 0; end < TEXT + 0x200; end++) {
        fake_write(MBI, &mbi, sizeof(mbi));
        fake_memory_end = end;
        clear_info();
        const char *problem = multiboot1_parse(fake_read, MBI, &info);
        if (end < TEXT + 0x100 + sizeof("kernel seed=1"))
            assert_non_null(problem);
        else
            assert_null(problem);
    }
}

static void map_cut_at_every_length_1(void **state)
{
    (void)state;
    build1();
    for (uint32_t length = 0; length <= 96; length++) {
        mbi.map_length = length;
        assert_null(parse1());
        uint32_t entries = length / 24;
        assert_int_equal(info.memory.count, entries);
    }
}

static void hostile_1(void **state)
{
    (void)state;
    static const uint32_t places[] = {0, 1, 0xFFFFFFFF, 0xFFFFF000, FAKE_MEMORY_SIZE - 1};
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        build1();
        mbi.map = places[i];
        mbi.map_length = UINT32_MAX;
        parse1();
        build1();
        mbi.modules = places[i];
        mbi.module_count = UINT32_MAX;
        assert_non_null(parse1());
        build1();
        mbi.command_line = places[i];
        parse1();
        clear_info();
        multiboot1_parse(fake_read, places[i], &info);
        multiboot1_parse(fake_read, UINT64_MAX - places[i], &info);
    }
}

static void bad_entries_1(void **state)
{
    (void)state;
    build1();
    struct multiboot1_map_entry entry = {19, 0, MIB(1), MEMORY_AVAILABLE};
    fake_write(MAP, &entry, sizeof(entry));
    assert_non_null(parse1()); /* too short to hold its fields */
    entry.size = UINT32_MAX;
    fake_write(MAP, &entry, sizeof(entry));
    assert_null(parse1()); /* nothing follows it */
    assert_int_equal(info.memory.count, 1);

    build1();
    struct multiboot1_module module = {0x2000, 0x1FFF, 0, 0};
    fake_write(MODULES, &module, sizeof(module));
    assert_non_null(parse1());

    build1();
    mbi.modules = 0x10000; /* zeroes: empty modules at 0 */
    mbi.module_count = MAX_MODULES;
    assert_null(parse1());
    mbi.module_count = MAX_MODULES + 1;
    assert_non_null(parse1());
}

static void long_command_line_1(void **state)
{
    (void)state;
    build1();
    memset(fake_memory + TEXT, 'x', COMMAND_LINE_SIZE - 1);
    fake_memory[TEXT + COMMAND_LINE_SIZE - 1] = 0;
    assert_null(parse1());
    assert_int_equal(strlen(info.command_line), COMMAND_LINE_SIZE - 1);
    fake_memory[TEXT + COMMAND_LINE_SIZE - 1] = 'x'; /* one character more */
    fake_memory[TEXT + COMMAND_LINE_SIZE] = 0;
    assert_non_null(parse1());
    build1();
    memset(fake_memory + TEXT, 'x', 2 * COMMAND_LINE_SIZE);
    mbi.command_line = TEXT + 2 * COMMAND_LINE_SIZE; /* only the modules' lines */
    assert_non_null(parse1());
    build1();
    memset(fake_memory + FAKE_MEMORY_SIZE - 100, 'x', 100);
    mbi.command_line = FAKE_MEMORY_SIZE - 100;
    assert_non_null(parse1());
}

static void too_many_ranges_1(void **state)
{
    (void)state;
    build1();
    for (uint64_t i = 0; i <= MAX_MEMORY_RANGES; i++) {
        struct multiboot1_map_entry entry = {20, i * 0x2000, 0x1000, MEMORY_AVAILABLE};
        fake_write(MAP + i * sizeof(entry), &entry, sizeof(entry));
    }
    mbi.map_length = MAX_MEMORY_RANGES * sizeof(struct multiboot1_map_entry);
    mbi.flags &= ~(uint32_t)(MULTIBOOT1_HAS_MODULES | MULTIBOOT1_HAS_COMMAND_LINE);
    assert_null(parse1());
    mbi.map_length += sizeof(struct multiboot1_map_entry);
    assert_non_null(parse1());
}

/* ---- Multiboot 2: one block of tags ---- */

static uint8_t block[8192];
static uint32_t block_size;

static void *tag(uint32_t type, uint32_t body_size)
{
    uint8_t *at = block + block_size;
    uint32_t header[2] = {type, 8 + body_size};
    memcpy(at, header, sizeof(header));
    block_size = (uint32_t)align_up(block_size + 8 + body_size, 8);
    assert_true(block_size <= sizeof(block));
    return at + 8;
}

static void tag_words(uint32_t type, const uint32_t *words, uint32_t count, const char *text)
{
    uint32_t text_size = text != NULL ? (uint32_t)strlen(text) + 1 : 0;
    uint8_t *body = tag(type, 4 * count + text_size);
    if (count != 0)
        memcpy(body, words, 4UL * count);
    if (text != NULL)
        memcpy(body + 4UL * count, text, text_size);
}

static void begin2(void)
{
    memset(block, 0, sizeof(block));
    block_size = 8;
}

static void build2(void)
{
    begin2();
    tag_words(1, NULL, 0, "cpus=2");
    const uint32_t module[] = {0x300000, 0x300123};
    tag_words(3, module, 2, "first");
    const uint32_t sizes[] = {640, 1024};
    tag_words(4, sizes, 2, NULL);
    const uint32_t map[] = {24,           0, /* */ 0,  0, KIB(640),         0, MEMORY_AVAILABLE, 0,
                            /* */ MIB(1), 0, MIB(127), 0, MEMORY_AVAILABLE, 0};
    tag_words(6, map, ARRAY_SIZE(map), NULL);
    memcpy(tag(15, 36), "RSD PTR new", 12);
    memcpy(tag(14, 20), "RSD PTR old", 12);
    memset(tag(99, 13), 0xFF, 13);
    tag(0, 0);
}

/* Parses an exact copy, so that AddressSanitizer sees the first byte beyond. */
static const char *parse2(uint64_t size)
{
    uint8_t *copy = malloc(size + 1);
    assert_non_null(copy);
    uint8_t *bytes = copy + 1; /* no alignment is promised */
    memcpy(bytes, block, size);
    clear_info();
    const char *problem = multiboot2_parse(bytes, size, &info);
    free(copy);
    return problem;
}

static void takes_everything_2(void **state)
{
    (void)state;
    build2();
    assert_null(parse2(block_size));
    assert_string_equal(info.command_line, "cpus=2");
    assert_int_equal(info.module_count, 1);
    assert_int_equal(info.modules[0].start, 0x300000);
    assert_int_equal(info.modules[0].size, 0x123);
    assert_string_equal(info.modules[0].command_line, "first");
    assert_int_equal(info.memory.count, 2);
    assert_int_equal(memory_map_top(&info.memory), MIB(128));
    assert_memory_equal(info.rsdp_copy, "RSD PTR new", 12);
}

static void cut_at_every_length_2(void **state)
{
    (void)state;
    build2();
    for (uint64_t size = 0; size < block_size; size++)
        assert_non_null(parse2(size));
}

static void sizes_alone_2(void **state)
{
    (void)state;
    begin2();
    const uint32_t sizes[] = {600, 1024};
    tag_words(4, sizes, 2, NULL);
    tag(0, 0);
    assert_null(parse2(block_size));
    assert_int_equal(info.memory.count, 2);
    assert_int_equal(info.memory.ranges[0].end, KIB(600));
    assert_int_equal(info.memory.ranges[1].end, MIB(2));
}

/* Each tag in turn says each hostile size. */
static void hostile_tag_sizes_2(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0,  1,  7,  8,          9,          11,        12,
                                     15, 16, 17, 0x7FFFFFFF, 0xFFFFFFF8, UINT32_MAX};
    build2();
    for (uint32_t at = 8; at < block_size;) {
        uint32_t honest;
        memcpy(&honest, block + at + 4, sizeof(honest));
        for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
            memcpy(block + at + 4, &sizes[i], sizeof(sizes[i]));
            const char *problem = parse2(block_size);
            if (sizes[i] < 8 || sizes[i] > block_size - at)
                assert_non_null(problem);
        }
        memcpy(block + at + 4, &honest, sizeof(honest));
        at += (uint32_t)align_up(honest, 8);
    }
}

static void hostile_maps_2(void **state)
{
    (void)state;
    static const uint32_t entry_sizes[] = {0, 1, 23, 24, 25, 28, 32, 1000, 0x7FFFFFFF, UINT32_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(entry_sizes); i++) {
        begin2();
        uint32_t map[2 + 7 * 6] = {entry_sizes[i], 0};
        for (unsigned n = 0; n < 7; n++)
            map[2 + 6 * n + 2] = 1;
        tag_words(6, map, ARRAY_SIZE(map), NULL);
        tag(0, 0);
        const char *problem = parse2(block_size);
        if (entry_sizes[i] < 24)
            assert_non_null(problem);
        else
            assert_null(problem);
    }
    begin2();
    tag(6, 4);
    tag(0, 0);
    assert_non_null(parse2(block_size));
}

static void modules_2(void **state)
{
    (void)state;
    begin2();
    const uint32_t backwards[] = {0x2000, 0x1000};
    tag_words(3, backwards, 2, NULL);
    tag(0, 0);
    assert_non_null(parse2(block_size));

    begin2();
    const uint32_t empty[] = {0x2000, 0x2000};
    for (unsigned i = 0; i < MAX_MODULES; i++)
        tag_words(3, empty, 2, NULL); /* without any text */
    uint32_t before_last = block_size;
    tag(0, 0);
    assert_null(parse2(block_size));
    assert_int_equal(info.module_count, MAX_MODULES);
    block_size = before_last;
    tag_words(3, empty, 2, "one more");
    tag(0, 0);
    assert_non_null(parse2(block_size));
}

static void text_without_an_end_2(void **state)
{
    (void)state;
    begin2();
    memset(tag(1, COMMAND_LINE_SIZE - 1), 'x', COMMAND_LINE_SIZE - 1);
    tag(0, 0);
    assert_null(parse2(block_size));
    assert_int_equal(strlen(info.command_line), COMMAND_LINE_SIZE - 1);
    for (uint32_t size = COMMAND_LINE_SIZE; size < 3 * COMMAND_LINE_SIZE; size += 500) {
        begin2();
        memset(tag(1, size), 'x', size);
        tag(0, 0);
        assert_non_null(parse2(block_size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_everything_1),
        cmocka_unit_test(memory_sizes_1),
        cmocka_unit_test(memory_that_ends_1),
        cmocka_unit_test(map_cut_at_every_length_1),
        cmocka_unit_test(hostile_1),
        cmocka_unit_test(bad_entries_1),
        cmocka_unit_test(long_command_line_1),
        cmocka_unit_test(too_many_ranges_1),
        cmocka_unit_test(takes_everything_2),
        cmocka_unit_test(cut_at_every_length_2),
        cmocka_unit_test(sizes_alone_2),
        cmocka_unit_test(hostile_tag_sizes_2),
        cmocka_unit_test(hostile_maps_2),
        cmocka_unit_test(modules_2),
        cmocka_unit_test(text_without_an_end_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
