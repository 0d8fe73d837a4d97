/* SPDX-License-Identifier: MIT */
/* Formatting, beside the C library's for all that both know. */
/* unit: hv/base/console.c */
#include "unit.h"

#include "hv/base/console.h"

/* Formats with both and compares. */
#define same(...)                                                                                  \
    do {                                                                                           \
        char ours[256], theirs[256];                                                               \
        size_t length = format_text(ours, sizeof(ours), __VA_ARGS__);                              \
        snprintf(theirs, sizeof(theirs), __VA_ARGS__);                                             \
        assert_string_equal(ours, theirs);                                                         \
        assert_int_equal(length, strlen(theirs));                                                  \
    } while (0)

static void numbers(void **state)
{
    (void)state;
    static const long values[] = {0, 1, -1, 9, 10, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        long l = values[i];
        int d = (int)l;
        same("%d %u %x", d, (unsigned)d, (unsigned)d);
        same("%ld %lu %lx", l, (unsigned long)l, (unsigned long)l);
        same("[%5d] [%-5d] [%05d]", d, d, d);
        same("[%20ld] [%-20ld] [%020ld]", l, l, l);
        same("[%016lx] [%-18lx] [%3lx]", (unsigned long)l, (unsigned long)l, (unsigned long)l);
        same("%zu", (size_t)l);
    }
}

static void text(void **state)
{
    (void)state;
    same("%s", "");
    same("[%8s] [%-8s] [%2s]", "abc", "abc", "abc");
    same("[%.2s] [%.0s] [%.9s] [%6.2s]", "abc", "abc", "abc", "abc");
    same("[%.*s] [%.*s]", 2, "abc", -1, "abc");
    same("%c%c", 'x', '%');
    same("100%% and %d%%", 3);
    char unterminated[3] = {'a', 'b', 'c'};
    same("%.3s", unterminated);
}

static void pointers_and_null(void **state)
{
    (void)state;
    char out[64];
    format_text(out, sizeof(out), "%p", (void *)0x1234ABCD);
    assert_string_equal(out, "0x1234abcd");
    const char *volatile none = NULL;
    format_text(out, sizeof(out), "%s", none);
    assert_string_equal(out, "(null)");
}

/* Always terminated, never a byte too many. */
static void small_buffers(void **state)
{
    (void)state;
    static const char whole[] = "    -12 abcdef 00ff";
    for (size_t size = 0; size < sizeof(whole) + 3; size++) {
        char *out = malloc(size + (size == 0));
        memset(out, 'x', size);
        size_t length = format_text(out, size, "%7d %s %04x", -12, "abcdef", 0xFFu);
        if (size != 0) {
            size_t expected = size <= strlen(whole) ? size - 1 : strlen(whole);
            assert_int_equal(length, expected);
            assert_int_equal(out[expected], 0);
            assert_memory_equal(out, whole, expected);
        } else {
            assert_int_equal(length, 0);
        }
        free(out);
    }
}

static void damaged_formats(void **state)
{
    (void)state;
    static const char *const formats[] = {"%", "%-", "%08", "%l", "%.", "abc%", "%0000000000"};
    char out[64];
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        const char *volatile format = formats[i];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        format_text(out, sizeof(out), format);
#pragma GCC diagnostic pop
        assert_true(strlen(out) < 8);
    }
}

static void silent_without_a_port(void **state)
{
    (void)state;
    console_init(CONSOLE_NONE);
    say(LOG_ERROR, "an instruction of this would kill the test: %d", 1);
}

/* All of the first 16, then one whenever the count has doubled. */
static void lines_of_a_busy_guest(void **state)
{
    (void)state;
    uint32_t times = 0, other = 0, lines = 0;
    for (unsigned i = 1; i <= 16; i++)
        assert_true(worth_a_line(&times));
    for (unsigned i = 17; i <= 1 << 20; i++) {
        bool doubled = (i & (i - 1)) == 0;
        assert_int_equal(worth_a_line(&times), doubled);
        lines += doubled;
    }
    assert_int_equal(lines, 16);
    assert_true(worth_a_line(&other)); /* each kind has its own count */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(text),
        cmocka_unit_test(pointers_and_null),
        cmocka_unit_test(small_buffers),
        cmocka_unit_test(damaged_formats),
        cmocka_unit_test(silent_without_a_port),
        cmocka_unit_test(lines_of_a_busy_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
