/* SPDX-License-Identifier: MIT */
/* The instruction decoder: every form it takes, cut at every length, and nothing else. */
/* unit: hv/machine/decode.c */
#include "unit.h"

#include "hv/machine/decode.h"
#include "hv/model/vp.h"

struct sample {
    const char *text;
    enum decode_mode mode;
    uint8_t bytes[15];
    uint8_t length;
    struct decoded expected; /* without length */
};

/* Encodings as GNU as writes them. */
static const struct sample good[] = {
    {"mov %eax,(%rdi)", DECODE_64, {0x89, 0x07}, 2, {.operation = DECODED_STORE, .reg = RAX}},
    {"mov %r9d,(%rdi)", DECODE_64, {0x44, 0x89, 0x0F}, 3, {.operation = DECODED_STORE, .reg = R9}},
    {"mov 0x20(%rbx),%ecx",
     DECODE_64,
     {0x8B, 0x4B, 0x20},
     3,
     {.operation = DECODED_LOAD, .reg = RCX}},
    {"mov 0x300(%r13),%r15d",
     DECODE_64,
     {0x45, 0x8B, 0xBD, 0x00, 0x03, 0x00, 0x00},
     7,
     {.operation = DECODED_LOAD, .reg = R15}},
    {"mov %edx,0x10(%rip)",
     DECODE_64,
     {0x89, 0x15, 0x10, 0, 0, 0},
     6,
     {.operation = DECODED_STORE, .reg = RDX}},
    {"mov %eax,0xfee00300",
     DECODE_64,
     {0x89, 0x04, 0x25, 0x00, 0x03, 0xE0, 0xFE},
     7,
     {.operation = DECODED_STORE, .reg = RAX}},
    {"mov %esi,0x8(%rax,%rcx,4)",
     DECODE_64,
     {0x89, 0x74, 0x88, 0x08},
     4,
     {.operation = DECODED_STORE, .reg = RSI}},
    {"mov %esi,(%rax,%rcx,4)",
     DECODE_64,
     {0x89, 0x34, 0x88},
     3,
     {.operation = DECODED_STORE, .reg = RSI}},
    {"mov %esi,0x0(,%rcx,4) with base 101",
     DECODE_64,
     {0x89, 0x34, 0x8D, 0, 0, 0, 0},
     7,
     {.operation = DECODED_STORE, .reg = RSI}},
    {"mov %esi,0x0(%rbp,%rcx,4)",
     DECODE_64,
     {0x89, 0x74, 0x8D, 0x00},
     4,
     {.operation = DECODED_STORE, .reg = RSI}},
    {"mov %edi,%fs:(%rax)",
     DECODE_64,
     {0x64, 0x89, 0x38},
     3,
     {.operation = DECODED_STORE, .reg = RDI}},
    {"addr32 mov %eax,(%ebx)",
     DECODE_64,
     {0x67, 0x89, 0x03},
     3,
     {.operation = DECODED_STORE, .reg = RAX}},
    {"movl $0x12345678,0xb0(%rdi)",
     DECODE_64,
     {0xC7, 0x87, 0xB0, 0, 0, 0, 0x78, 0x56, 0x34, 0x12},
     10,
     {.operation = DECODED_STORE, .immediate = true, .value = 0x12345678}},
    {"orl $0x100,(%rdi)",
     DECODE_64,
     {0x81, 0x0F, 0x00, 0x01, 0, 0},
     6,
     {.operation = DECODED_OR, .immediate = true, .reg = 1, .value = 0x100}},
    {"andl $-2,(%rdi)",
     DECODE_64,
     {0x83, 0x27, 0xFE},
     3,
     {.operation = DECODED_AND, .immediate = true, .reg = 4, .value = 0xFFFFFFFE}},
    {"addl $1,(%rdi)",
     DECODE_64,
     {0x83, 0x07, 0x01},
     3,
     {.operation = DECODED_ADD, .immediate = true, .value = 1}},
    {"subl $1,(%rdi)",
     DECODE_64,
     {0x83, 0x2F, 0x01},
     3,
     {.operation = DECODED_SUB, .immediate = true, .reg = 5, .value = 1}},
    {"xorl $1,(%rdi)",
     DECODE_64,
     {0x83, 0x37, 0x01},
     3,
     {.operation = DECODED_XOR, .immediate = true, .reg = 6, .value = 1}},
    {"or %ecx,(%rdi)", DECODE_64, {0x09, 0x0F}, 2, {.operation = DECODED_OR, .reg = RCX}},
    {"and %ecx,(%rdi)", DECODE_64, {0x21, 0x0F}, 2, {.operation = DECODED_AND, .reg = RCX}},
    {"xor %ecx,(%rdi)", DECODE_64, {0x31, 0x0F}, 2, {.operation = DECODED_XOR, .reg = RCX}},
    {"add %ecx,(%rdi)", DECODE_64, {0x01, 0x0F}, 2, {.operation = DECODED_ADD, .reg = RCX}},
    {"sub %ecx,(%rdi)", DECODE_64, {0x29, 0x0F}, 2, {.operation = DECODED_SUB, .reg = RCX}},
    {"xchg %eax,(%rdi)", DECODE_64, {0x87, 0x07}, 2, {.operation = DECODED_EXCHANGE, .reg = RAX}},
    {"lock or %r8d,(%r9)",
     DECODE_64,
     {0xF0, 0x45, 0x09, 0x01},
     4,
     {.operation = DECODED_OR, .reg = R8}},
    {"movabs %eax,0xfee00300",
     DECODE_64,
     {0xA3, 0x00, 0x03, 0xE0, 0xFE, 0, 0, 0, 0},
     9,
     {.operation = DECODED_STORE, .reg = RAX}},
    {"addr32 mov 0xfee00300,%eax",
     DECODE_64,
     {0x67, 0xA1, 0x00, 0x03, 0xE0, 0xFE},
     6,
     {.operation = DECODED_LOAD, .reg = RAX}},
    {"mov %eax,0xfee00300",
     DECODE_32,
     {0xA3, 0x00, 0x03, 0xE0, 0xFE},
     5,
     {.operation = DECODED_STORE, .reg = RAX}},
    {"mov %ecx,0xfee00300",
     DECODE_32,
     {0x89, 0x0D, 0x00, 0x03, 0xE0, 0xFE},
     6,
     {.operation = DECODED_STORE, .reg = RCX}},
    {"addr16 mov %eax,0x10(%bx,%si)",
     DECODE_32,
     {0x67, 0x89, 0x40, 0x10},
     4,
     {.operation = DECODED_STORE, .reg = RAX}},
    {"addr16 mov %eax,0x1234",
     DECODE_32,
     {0x67, 0x89, 0x06, 0x34, 0x12},
     5,
     {.operation = DECODED_STORE, .reg = RAX}},
    {"addr32 mov %eax,(%ebx), 16-bit code",
     DECODE_16,
     {0x67, 0x66, 0x89, 0x03},
     4,
     {.operation = DECODED_STORE, .reg = RAX}},
    {"mov %eax,(%bx), 16-bit code",
     DECODE_16,
     {0x66, 0x89, 0x07},
     3,
     {.operation = DECODED_STORE, .reg = RAX}},
    {"movl $1,(%bx), 16-bit code",
     DECODE_16,
     {0x66, 0xC7, 0x07, 1, 0, 0, 0},
     7,
     {.operation = DECODED_STORE, .immediate = true, .value = 1}},
};

struct refused {
    const char *text;
    enum decode_mode mode;
    uint8_t bytes[15];
};

static const struct refused bad[] = {
    {"mov %ax,(%rdi)", DECODE_64, {0x66, 0x89, 0x07}},
    {"mov %rax,(%rdi)", DECODE_64, {0x48, 0x89, 0x07}},
    {"mov %al,(%rdi)", DECODE_64, {0x88, 0x07}},
    {"mov %eax,%ecx", DECODE_64, {0x89, 0xC1}},
    {"movl $1,%eax", DECODE_64, {0xC7, 0xC0, 1, 0, 0, 0}},
    {"group 11 /1", DECODE_64, {0xC7, 0x08, 1, 0, 0, 0}},
    {"adcl $1,(%rdi)", DECODE_64, {0x83, 0x17, 1}},
    {"sbbl $1,(%rdi)", DECODE_64, {0x83, 0x1F, 1}},
    {"cmpl $1,(%rdi)", DECODE_64, {0x83, 0x3F, 1}},
    {"cmp %eax,(%rdi)", DECODE_64, {0x39, 0x07}},
    {"stosl", DECODE_64, {0xAB}},
    {"movzbl (%rdi),%eax", DECODE_64, {0x0F, 0xB6, 0x07}},
    {"mov %ax,(%bx), 16-bit code", DECODE_16, {0x89, 0x07}},
    {"prefixes without end",
     DECODE_64,
     {0x66, 0x67, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65, 0xF0, 0xF2, 0xF3, 0x2E, 0x2E, 0x2E, 0x2E}},
    {"REX before a prefix counts for nothing", DECODE_64, {0x44, 0x67, 0x89, 0x07}},
};

static bool decode(const uint8_t *bytes, unsigned count, enum decode_mode mode, struct decoded *d)
{
    uint8_t *copy = malloc(count + 1UL); /* AddressSanitizer sees a byte too many */
    memcpy(copy + 1, bytes, count);
    bool ok = decode_memory_access(copy + 1, count, mode, d);
    free(copy);
    return ok;
}

static void decodes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        const struct sample *s = &good[i];
        struct decoded d;
        if (!decode(s->bytes, sizeof(s->bytes), s->mode, &d))
            fail_msg("not decoded: %s", s->text);
        if (d.length != s->length || d.operation != s->expected.operation ||
            d.immediate != s->expected.immediate ||
            (d.immediate ? d.value != s->expected.value : d.reg != s->expected.reg))
            fail_msg("%s: length %u operation %u immediate %u reg %u value %x", s->text, d.length,
                     d.operation, d.immediate, d.reg, d.value);
    }
}

static void cut_at_every_length(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        const struct sample *s = &good[i];
        struct decoded d;
        for (unsigned count = 0; count < s->length; count++)
            if (decode(s->bytes, count, s->mode, &d))
                fail_msg("%s: decoded from %u bytes", s->text, count);
        assert_true(decode(s->bytes, s->length, s->mode, &d));
    }
}

static void refuses(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct decoded d;
        if (decode(bad[i].bytes, sizeof(bad[i].bytes), bad[i].mode, &d))
            fail_msg("decoded: %s", bad[i].text);
    }
}

static void random_bytes(void **state)
{
    (void)state;
    unit_seed(2);
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t bytes[16];
        unsigned count = (unsigned)unit_below(16);
        for (unsigned i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)unit_random();
        struct decoded d;
        if (decode(bytes, count, (enum decode_mode)unit_below(3), &d)) {
            assert_in_range(d.length, 2, count);
            assert_in_range(d.operation, DECODED_STORE, DECODED_EXCHANGE);
            assert_in_range(d.reg, RAX, R15);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(cut_at_every_length),
        cmocka_unit_test(refuses),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
