/* SPDX-License-Identifier: MIT */
/* A segment as one word is what it is field by field. */
/* unit: */
#include "unit.h"

#include "svm/segments_fast.h"

static struct segment plain(const struct vmcb_segment *from)
{
    unsigned a = from->attributes;
    return (struct segment){.base = from->base,
                            .limit = from->limit,
                            .selector = from->selector,
                            .attributes = (uint16_t)((a & 0xFF) | (a & 0xF00) << 4)};
}

static void as_one_word(void **state)
{
    (void)state;
    unit_seed(1);
    for (unsigned n = 0; n < 100000; n++) {
        /* all 16 bits of the attributes, of which the VMCB has 12 */
        const struct vmcb_segment from = {.selector = (uint16_t)unit_random(),
                                          .attributes = (uint16_t)unit_random(),
                                          .limit = (uint32_t)unit_random(),
                                          .base = unit_random()};
        struct segment fast, expected = plain(&from);
        memset(&fast, 0xEE, sizeof(fast));
        from_vmcb(&fast, &from);
        assert_memory_equal(&fast, &expected, sizeof(fast));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_one_word)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
