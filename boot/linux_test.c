/* SPDX-License-Identifier: MIT */
/* Linux kernels in files: whole, cut off at every length, hostile; where they go and with what. */
/* unit: boot/linux.c boot/memmap.c */
#include "unit.h"

#include <stdlib.h>

#include "boot/linux.h"

#define FILE_SIZE  0x3000u
#define SECTORS    4u
#define SETUP_SIZE ((SECTORS + 1) * 512)
#define MUTATIONS  200000
#define PREFERRED  MIB(16)
#define NEEDS      MIB(8)
#define LINE_MAX   2047u

static uint8_t
    *file; /* exactly as long as a test says, so that the sanitizer sees each read beyond */
static struct linux_image image;

static void poke(uint32_t offset, uint64_t value, unsigned bytes)
{
    memcpy(file + offset, &value, bytes);
}

static int set_up(void **state)
{
    (void)state;
    file = calloc(1, FILE_SIZE);
    poke(0x1F1, SECTORS, 1);
    poke(0x1F4, (FILE_SIZE - SETUP_SIZE) / 16, 4);
    poke(0x1FE, 0xAA55, 2);
    poke(0x201, 0x6A, 1);
    poke(0x202, 0x53726448, 4);
    poke(0x206, 0x020F, 2);
    poke(0x211, 1, 1);
    poke(0x22C, 0x7FFFFFFF, 4);
    poke(0x230, MIB(2), 4);
    poke(0x234, 1, 1);
    poke(0x238, LINE_MAX, 4);
    poke(0x258, PREFERRED, 8);
    poke(0x260, NEEDS, 4);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(file);
    return 0;
}

/* linux_parse of the first `size` bytes, in memory of just that size. */
static const char *parse(uint32_t size)
{
    uint8_t *copy = malloc(size != 0 ? size : 1);
    memcpy(copy, file, size);
    const char *problem = linux_parse(copy, size, &image);
    free(copy);
    return problem;
}

static void refused(const char *words)
{
    const char *problem = parse(FILE_SIZE);
    assert_non_null(problem);
    assert_non_null(strstr(problem, words));
}

static void reads_a_header(void **state)
{
    (void)state;
    assert_null(parse(FILE_SIZE));
    assert_int_equal(image.protocol, 0x20F);
    assert_int_equal(image.header_size, 0x202 + 0x6A - LINUX_HEADER);
    assert_int_equal(image.file_offset, SETUP_SIZE);
    assert_int_equal(image.size, FILE_SIZE - SETUP_SIZE);
    assert_int_equal(image.memory_size, NEEDS);
    assert_int_equal(image.preferred, PREFERRED);
    assert_int_equal(image.alignment, MIB(2));
    assert_true(image.relocatable);
    assert_int_equal(image.initrd_end_max, GIB(2));
    assert_int_equal(image.command_line_max, LINE_MAX);
}

/* Only from protocol 2.12 on is there a field that says so. */
static void has_a_64_bit_entry(void **state)
{
    (void)state;
    assert_null(parse(FILE_SIZE));
    assert_false(image.long_mode);
    poke(0x236, 0x7E, 2);
    assert_null(parse(FILE_SIZE));
    assert_false(image.long_mode);
    poke(0x236, 0x01, 2);
    assert_null(parse(FILE_SIZE));
    assert_true(image.long_mode);
    poke(0x206, 0x020B, 2);
    assert_null(parse(FILE_SIZE));
    assert_false(image.long_mode);
}

static void reads_the_version(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t version;
    } list[] = {
        {"6.1.0-56-cloud-amd64 (debian)", LINUX_VERSION(6, 1)},
        {"6.15-rc1", LINUX_VERSION(6, 15)},
        {"7.3", LINUX_VERSION(7, 3)},
        {"6", 0},
        {"", 0},
        {"4.4294967299", LINUX_VERSION(4, 42949)},
    };
    assert_null(parse(FILE_SIZE));
    assert_int_equal(image.version, 0);
    for (size_t n = 0; n < ARRAY_SIZE(list); n++) {
        poke(0x20E, 0x300, 2);
        memcpy(file + 0x500, list[n].text, strlen(list[n].text) + 1);
        assert_null(parse(FILE_SIZE));
        assert_int_equal(image.version, list[n].version);
    }
    poke(0x20E, UINT16_MAX, 2); /* beyond the setup part, and the file */
    assert_null(parse(FILE_SIZE));
    assert_int_equal(image.version, 0);
    poke(0x20E, SETUP_SIZE - 0x200 - 3, 2);
    snprintf((char *)file + SETUP_SIZE - 3, 5, "6.15"); /* its end is no longer in the setup part */
    assert_null(parse(FILE_SIZE));
    assert_int_equal(image.version, LINUX_VERSION(6, 1));
}

static void no_setup_sectors_means_four(void **state)
{
    (void)state;
    poke(0x1F1, 0, 1);
    assert_null(parse(FILE_SIZE));
    assert_int_equal(image.file_offset, SETUP_SIZE);
}

static void every_shorter_file_is_refused(void **state)
{
    (void)state;
    for (uint32_t size = 0; size <= FILE_SIZE - 16; size++)
        assert_non_null(parse(size));
    /* The last 16 bytes may be padding that is not in the file. */
    assert_null(parse(FILE_SIZE - 15));
    assert_int_equal(image.size, FILE_SIZE - 15 - SETUP_SIZE);
}

static void a_longer_file_is_a_signature_behind_it(void **state)
{
    (void)state;
    poke(0x1F4, 0x100, 4);
    assert_null(parse(FILE_SIZE));
    assert_int_equal(image.size, 0x1000);
}

static void bad_headers_are_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset;
        uint64_t value;
        unsigned bytes;
        const char *words;
    } list[] = {
        {0x1FE, 0, 2, "no Linux kernel"},
        {0x202, 0, 4, "no Linux kernel"},
        {0x206, 0x209, 2, "older than boot protocol 2.10"},
        {0x211, 0, 1, "zImage"},
        {0x201, 0x61, 1, "shorter than its boot protocol"},
        {0x1F4, 0, 4, "no kernel behind it"},
        {0x1F4, UINT32_MAX, 4, "truncated"},
        {0x1F1, 255, 1, "truncated"},
        {0x230, 0, 4, "alignment"},
        {0x230, 3, 4, "alignment"},
        {0x230, 0x80000000, 4, "alignment"},
        {0x258, PREFERRED + 1, 8, "alignment"},
        {0x258, GIB(4), 8, "above 4 GiB"},
        {0x258, UINT64_MAX - 4095, 8, "above 4 GiB"},
        {0x258, GIB(4) - 4096, 8, "above 4 GiB"},
        {0x260, UINT32_MAX, 4, "above 4 GiB"},
    };
    for (size_t n = 0; n < ARRAY_SIZE(list); n++) {
        tear_down(NULL);
        set_up(NULL);
        poke(list[n].offset, list[n].value, list[n].bytes);
        refused(list[n].words);
    }
}

static struct memory_map map_of(uint64_t end)
{
    struct memory_map map = {0};
    memory_map_add(&map, 0, KIB(636), MEMORY_AVAILABLE);
    memory_map_add(&map, MIB(1), end - MIB(1), MEMORY_AVAILABLE);
    return map;
}

static void goes_where_it_prefers(void **state)
{
    (void)state;
    struct memory_map map = map_of(MIB(512));
    assert_null(parse(FILE_SIZE));
    assert_int_equal(linux_place(&image, &map, NULL, 0), PREFERRED);
}

static void goes_elsewhere_when_it_can(void **state)
{
    (void)state;
    struct memory_map map = map_of(MIB(512));
    struct byte_range module = {PREFERRED + MIB(1), PREFERRED + MIB(2)};
    assert_null(parse(FILE_SIZE));
    uint64_t place = linux_place(&image, &map, &module, 1);
    assert_int_not_equal(place, NO_PLACE);
    assert_int_equal(place % MIB(2), 0);
    assert_true(place >= module.end && place + NEEDS <= MIB(512));
    image.relocatable = false;
    assert_int_equal(linux_place(&image, &map, &module, 1), NO_PLACE);
}

static void finds_no_place_in_too_little_memory(void **state)
{
    (void)state;
    struct memory_map map = map_of(PREFERRED + NEEDS - 4096);
    assert_null(parse(FILE_SIZE));
    assert_int_equal(linux_place(&image, &map, NULL, 0), NO_PLACE);
}

static void assert_line(const char *module_line, const char *expected)
{
    char out[LINUX_COMMAND_LINE_SIZE];
    linux_command_line(module_line, out);
    assert_string_equal(out, expected);
}

static void the_file_name_gets_its_own_word(void **state)
{
    (void)state;
    assert_line("", "");
    assert_line("  ", "");
    assert_line("quiet root=/dev/vda", "quiet root=/dev/vda");
    assert_line("root=/dev/vda", "root=/dev/vda");
    assert_line("/boot/vmlinuz quiet", "BOOT_IMAGE=/boot/vmlinuz quiet");
    assert_line(" /boot/vmlinuz", "BOOT_IMAGE=/boot/vmlinuz");
    char longest[COMMAND_LINE_SIZE];
    memset(longest, '/', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    char out[LINUX_COMMAND_LINE_SIZE];
    linux_command_line(longest, out);
    assert_int_equal(strlen(out), sizeof(longest) - 1 + strlen("BOOT_IMAGE="));
}

static void fills_the_parameters(void **state)
{
    (void)state;
    struct linux_params params = {0};
    struct memory_map map = map_of(MIB(512));
    memory_map_set(&map, MIB(500), MIB(12), MEMORY_RESERVED);
    uint8_t bios_data[256] = {[0x49] = 3, [0x4A] = 80, [0x50] = 7, [0x51] = 9, [0x84] = 24};
    const struct linux_start start = {PREFERRED, 0x90000, MIB(300), 12345, 0xF5000};
    assert_null(parse(FILE_SIZE));
    linux_fill_params(&params, file, &image, &map, &start, bios_data);
    assert_int_equal(params.loader_type, 0xFF);
    assert_int_equal(params.code32_start, PREFERRED);
    assert_int_equal(params.command_line, 0x90000);
    assert_int_equal(params.ramdisk_image, MIB(300));
    assert_int_equal(params.ramdisk_size, 12345);
    assert_int_equal(params.rsdp, 0xF5000);
    assert_int_equal(params.map_count, 3);
    assert_int_equal(params.map[2].start, MIB(500));
    assert_int_equal(params.map[2].size, MIB(12));
    assert_int_equal(params.map[2].kind, MEMORY_RESERVED);
    assert_int_equal(params.alternative_memory, MIB(499) >> 10);
    assert_int_equal(params.extended_memory, UINT16_MAX);
    assert_memory_equal((uint8_t *)&params + 0x22C, file + 0x22C, 0x264 - 0x22C);
    assert_true(params.is_vga == 1 && params.columns == 80 && params.rows == 25);
    assert_true(params.cursor_column == 7 && params.cursor_row == 9);
    assert_int_equal(params.character_height, 16);
}

static void tells_of_no_text_mode_where_there_is_none(void **state)
{
    (void)state;
    struct linux_params params = {0};
    struct memory_map map = map_of(MIB(64));
    const uint8_t bios_data[256] = {0};
    const struct linux_start start = {PREFERRED, 0x90000, 0, 0, 0xF5000};
    poke(0x206, 0x20D, 2); /* before the RSDP had a field */
    assert_null(parse(FILE_SIZE));
    linux_fill_params(&params, file, &image, &map, &start, bios_data);
    assert_int_equal(params.is_vga, 0);
    assert_int_equal(params.rsdp, 0);
}

/* Whatever the header says, what linux_parse lets through stays in the file and below 4 GiB. */
static void survives_mutations(void **state)
{
    (void)state;
    static struct linux_params params;
    struct memory_map map = map_of(MIB(512));
    const uint8_t bios_data[256] = {0};
    srandom(1);
    for (unsigned n = 0; n < MUTATIONS; n++) {
        uint8_t saved[0x264];
        memcpy(saved, file, sizeof(saved));
        for (long changes = 1 + random() % 4; changes > 0; changes--)
            file[LINUX_HEADER + random() % (0x264 - LINUX_HEADER)] = (uint8_t)random();
        if (linux_parse(file, FILE_SIZE, &image) == NULL) {
            assert_true(image.file_offset + image.size <= FILE_SIZE);
            assert_true(image.size <= image.memory_size);
            assert_true(LINUX_HEADER + image.header_size <= 0x290);
            uint64_t place = linux_place(&image, &map, NULL, 0);
            assert_true(place == NO_PLACE ||
                        (place + image.memory_size <= MIB(512) && place % 4096 == 0));
            const struct linux_start start = {PREFERRED, 0x90000, 0, 0, 0};
            linux_fill_params(&params, file, &image, &map, &start, bios_data);
        }
        memcpy(file, saved, sizeof(saved));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_a_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(has_a_64_bit_entry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_the_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_setup_sectors_means_four, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_shorter_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_longer_file_is_a_signature_behind_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_headers_are_refused_in_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goes_where_it_prefers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goes_elsewhere_when_it_can, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_no_place_in_too_little_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_file_name_gets_its_own_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fills_the_parameters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_of_no_text_mode_where_there_is_none, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(survives_mutations, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
