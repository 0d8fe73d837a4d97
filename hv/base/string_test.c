/* SPDX-License-Identifier: MIT */
/* The memory and string functions, under other names, beside the C library's. */
#include "unit.h"

/* The file itself is compiled here: linked as it is, it would replace the library's. */
#define memcpy  vellum_memcpy
#define memmove vellum_memmove
#define memset  vellum_memset
#define memcmp  vellum_memcmp
#define strlen  vellum_strlen
#define strcmp  vellum_strcmp
#define strncmp vellum_strncmp
#include "hv/base/string.c" /* NOLINT(bugprone-suspicious-include) */
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp

enum { SIZE = 96 };

static void fill(uint8_t *bytes)
{
    for (unsigned i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)unit_random();
}

static void copies(void **state)
{
    (void)state;
    unit_seed(3);
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t ours[SIZE], theirs[SIZE], from[SIZE];
        fill(ours);
        fill(from);
        memcpy(theirs, ours, SIZE);
        size_t size = unit_below(SIZE / 2), to = unit_below(SIZE / 2), at = unit_below(SIZE / 2);
        assert_ptr_equal(vellum_memcpy(ours + to, from + at, size), ours + to);
        memcpy(theirs + to, from + at, size);
        assert_memory_equal(ours, theirs, SIZE);
        assert_ptr_equal(vellum_memmove(ours + to, ours + at, size), ours + to);
        memmove(theirs + to, theirs + at, size);
        assert_memory_equal(ours, theirs, SIZE);
        assert_ptr_equal(vellum_memset(ours + to, (int)from[0] - 128, size), ours + to);
        memset(theirs + to, (int)from[0] - 128, size);
        assert_memory_equal(ours, theirs, SIZE);
    }
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void compares(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "a", "b", "ab", "abc", "abd", "\x80", "a\xFF"};
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_int_equal(vellum_strlen(texts[i]), strlen(texts[i]));
        for (unsigned n = 0; n < ARRAY_SIZE(texts); n++) {
            const char *a = texts[i], *b = texts[n];
            assert_int_equal(sign(vellum_strcmp(a, b)), sign(strcmp(a, b)));
            for (size_t size = 0; size < 5; size++)
                assert_int_equal(sign(vellum_strncmp(a, b, size)), sign(strncmp(a, b, size)));
            size_t both = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
            assert_int_equal(sign(vellum_memcmp(a, b, both)), sign(memcmp(a, b, both)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(copies), cmocka_unit_test(compares)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
