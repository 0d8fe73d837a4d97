/* SPDX-License-Identifier: MIT */
/* The hypervisor's own command line. */
/* unit: boot/options.c */
#include "unit.h"

#include "boot/options.h"

static char complaints[1024];

static void complain(const char *word, const char *why)
{
    assert_non_null(why);
    size_t length = strlen(complaints);
    snprintf(complaints + length, sizeof(complaints) - length, "[%s]", word);
}

static struct boot_options parse(const char *text)
{
    struct boot_options options;
    memset(&options, 0xEE, sizeof(options));
    complaints[0] = 0;
    char *copy = strdup(text); /* AddressSanitizer sees a byte too many */
    options_parse(copy, &options, complain);
    free(copy);
    return options;
}

static void defaults(void **state)
{
    (void)state;
    struct boot_options o = parse("");
    assert_int_equal(o.role, ROLE_ROOT);
    assert_int_equal(o.cpus, MAX_CPUS);
    assert_int_equal(o.pool_mib, 8);
    assert_int_equal(o.log, LOG_INFO);
    assert_int_equal(o.console, CONSOLE_COM1);
    assert_string_equal(complaints, "");
}

static void every_word(void **state)
{
    (void)state;
    struct boot_options o = parse("  role=layered\tcpus=3 pool=64\nlog=debug console=com2 ");
    assert_int_equal(o.role, ROLE_LAYERED);
    assert_int_equal(o.cpus, 3);
    assert_int_equal(o.pool_mib, 64);
    assert_int_equal(o.log, LOG_DEBUG);
    assert_int_equal(o.console, CONSOLE_COM2);
    assert_string_equal(complaints, "");
    assert_int_equal(parse("role=guest").role, ROLE_GUEST);
    assert_int_equal(parse("role=guest role=root").role, ROLE_ROOT);
    assert_int_equal(parse("console=none").console, CONSOLE_NONE);
    assert_int_equal(parse("log=error").log, LOG_ERROR);
    assert_int_equal(parse("log=warn").log, LOG_WARN);
}

static void unknown_words_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "rolf=root",
        "role=",
        "role=Root",
        "role=rootx",
        "cpus=0",
        "cpus=65",
        "cpus=-1",
        "cpus=1x",
        "cpus=",
        "pool=0",
        "pool=2049",
        "pool=0x10",
        "log=loud",
        "console=3",
        "=",
        "cpus",
        "cpus=18446744073709551617",
        "cpus=99999999999999999999999999",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char line[128], expected[128];
        snprintf(line, sizeof(line), "log=warn %s pool=9", bad[i]);
        snprintf(expected, sizeof(expected), "[%s]", bad[i]);
        struct boot_options o = parse(line);
        assert_string_equal(complaints, expected);
        assert_int_equal(o.role, ROLE_ROOT);
        assert_int_equal(o.cpus, MAX_CPUS);
        assert_int_equal(o.log, LOG_WARN);
        assert_int_equal(o.pool_mib, 9);
    }
}

static void image_name_is_skipped(void **state)
{
    (void)state;
    assert_int_equal(parse("build/vellum.elf cpus=2").cpus, 2);
    assert_string_equal(complaints, "");
    assert_int_equal(parse("/boot/vellum cpus=2").cpus, 2);
    assert_string_equal(complaints, "");
    parse("cpus=2 /boot/vellum");
    assert_string_equal(complaints, "[/boot/vellum]");
}

static void long_words(void **state)
{
    (void)state;
    char line[900];
    memset(line, 'a', sizeof(line));
    memcpy(line, "log=warn ", 9);
    memcpy(line + 600, " cpus=2", 8);
    assert_int_equal(parse(line).cpus, 2);
    assert_true(strlen(complaints) > 10);
    /* A word that is right as far as it fits is not right. */
    memset(line, ' ', sizeof(line));
    memcpy(line, "x=1 cpus=2", 10);
    memset(line + 10, '0', 100);
    line[200] = 0;
    assert_int_equal(parse(line).cpus, MAX_CPUS);
}

static void nobody_has_to_listen(void **state)
{
    (void)state;
    struct boot_options o;
    options_parse("what is this cpus=7", &o, NULL);
    assert_int_equal(o.cpus, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_word),
        cmocka_unit_test(unknown_words_are_named),
        cmocka_unit_test(image_name_is_skipped),
        cmocka_unit_test(long_words),
        cmocka_unit_test(nobody_has_to_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
