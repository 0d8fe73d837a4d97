/* SPDX-License-Identifier: MIT */
/* The search for return addresses, in code and on stacks that the test makes up. */
/* unit: hv/base/backtrace.c */
#include "unit.h"

#include "hv/base/backtrace.h"
#include "hv/base/console.h"

#define TEXT_SIZE   4096
#define DATA_SIZE   512
#define STACK_WORDS 64
#define NOP         0x90

/* As in the image: the code, and right behind it data with the stack of the boot code. */
__asm__(".data\n"
        ".balign 16\n"
        ".globl text_start, rodata_start, boot_stack_top\n"
        "text_start: .space 4096\n"
        "rodata_start: .space 512\n"
        "boot_stack_top: .space 16\n"
        ".text\n");
extern uint8_t text_start[];

static uint8_t *const text_end = text_start + TEXT_SIZE;
static uint64_t *const boot_stack = (uint64_t *)(text_start + TEXT_SIZE + DATA_SIZE);

static char line[1024];
static uint64_t stack[STACK_WORDS];

void say(enum log_level level, const char *format, ...)
{
    assert_int_equal(level, LOG_ERROR);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
}

size_t format_text(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
    assert_true(length >= 0 && (size_t)length < size);
    return (size_t)length;
}

/* Code without a call; processor 0 is on `stack`, which holds no address. */
static int fresh(void **state)
{
    (void)state;
    memset(text_start, NOP, TEXT_SIZE);
    memset(stack, 0, sizeof(stack));
    unit_cpus(1);
    cpus[0]->stack_top = (uint64_t)(stack + STACK_WORDS);
    backtrace_print((uint64_t)stack, 0); /* whatever was printed before, the next is whole */
    return 0;
}

/* What is printed for RIP 0x1234 and this stack pointer is just these. */
static void expect_chain(const void *rsp, const uint64_t *addresses, unsigned count)
{
    char expected[sizeof(line)];
    size_t length = format_text(expected, sizeof(expected), "  call chain: 1234");
    for (unsigned i = 0; i < count; i++)
        length += format_text(expected + length, sizeof(expected) - length, " %lx", addresses[i]);
    backtrace_print((uint64_t)rsp, 0x1234);
    assert_string_equal(line, expected);
}

/* Is an address taken for one of return? */
static bool is_taken(const uint8_t *address)
{
    stack[1] = (uint64_t)address;
    backtrace_print((uint64_t)stack, 0x1234);
    return strchr(line + strlen("  call chain: "), ' ') != NULL;
}

/* Writes code; the address behind it. */
static uint8_t *put(uint8_t *at, const uint8_t *code, size_t size)
{
    memcpy(at, code, size);
    return at + size;
}

static uint8_t *put_call(uint8_t *at, const uint8_t *target)
{
    int32_t distance = (int32_t)(target - (at + 5));
    *at = 0xE8;
    memcpy(at + 1, &distance, sizeof(distance));
    return at + 5;
}

static void direct_calls(void **state)
{
    (void)state;
    uint8_t *at = text_start + 100;
    assert_false(is_taken(at));
    assert_true(is_taken(put_call(at, text_start)));
    assert_true(is_taken(put_call(at, at + 1000)));
    assert_true(is_taken(put_call(at, text_end - 1)));
    for (int off = 1; off < 10; off++) {
        assert_false(is_taken(at + 5 + off));
        assert_false(is_taken(at + 5 - off));
    }
    assert_false(is_taken(put_call(at, text_end)));
    assert_false(is_taken(put_call(at, at - 101)));
    assert_false(is_taken(put_call(at, at - 0x10000000)));
}

struct form {
    uint8_t size;
    uint8_t code[8];
};

static void indirect_calls(void **state)
{
    (void)state;
    static const struct form calls[] = {
        {2, {0xFF, 0xD0}},                                     /* rax */
        {3, {0x41, 0xFF, 0xD4}},                               /* r12 */
        {2, {0xFF, 0x13}},                                     /* [rbx] */
        {3, {0xFF, 0x14, 0x24}},                               /* [rsp] */
        {3, {0xFF, 0x55, 0x08}},                               /* [rbp + 8] */
        {4, {0xFF, 0x54, 0x24, 0x08}},                         /* [rsp + 8] */
        {4, {0x41, 0xFF, 0x57, 0x18}},                         /* [r15 + 24] */
        {6, {0xFF, 0x90, 0x00, 0x01, 0x00, 0x00}},             /* [rax + 256] */
        {6, {0xFF, 0x15, 0x78, 0x56, 0x34, 0x12}},             /* [rip + ...] */
        {7, {0xFF, 0x14, 0xC5, 0x78, 0x56, 0x34, 0x12}},       /* [8 * rax + ...] */
        {7, {0xFF, 0x94, 0xC8, 0x78, 0x56, 0x34, 0x12}},       /* [rax + 8 * rcx + ...] */
        {8, {0x42, 0xFF, 0x14, 0xE5, 0x78, 0x56, 0x34, 0x12}}, /* [8 * r12 + ...] */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
        fresh(NULL);
        const uint8_t *behind = put(text_start + 100, calls[i].code, calls[i].size);
        assert_true(is_taken(behind));
        assert_false(is_taken(behind + 1));
        assert_false(is_taken(behind - 1));
    }
    static const struct form others[] = {
        {2, {0xFF, 0xE0}},       /* jmp rax */
        {2, {0xFF, 0xC8}},       /* dec eax */
        {2, {0xFE, 0xD0}},       /* no instruction */
        {3, {0xFF, 0x5D, 0x08}}, /* far call */
        {3, {0xFF, 0x75, 0x08}}, /* push [rbp + 8] */
        {2, {0xFF, 0x14}},       /* a SIB byte is missing */
        {2, {0xFF, 0x15}},       /* a distance is missing */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        fresh(NULL);
        assert_false(is_taken(put(text_start + 100, others[i].code, others[i].size)));
    }
}

/* Only the code is looked at, to its first and its last byte. */
static void ends_of_the_code(void **state)
{
    (void)state;
    assert_false(is_taken(NULL));
    assert_false(is_taken(text_start));
    assert_false(is_taken(text_end));
    assert_false(is_taken((const uint8_t *)0x8000000000000000UL));
    assert_true(is_taken(put(text_start, (const uint8_t[]){0xFF, 0xD0}, 2)));
    assert_true(is_taken(put_call(text_start, text_end - 1)));
    assert_true(is_taken(put_call(text_end - 5, text_start)));
    put_call(text_end - 4, text_start);
    assert_false(is_taken(text_end + 1));
    memset(text_end, 0, 8);
}

static void chain_of_several(void **state)
{
    (void)state;
    uint64_t first = (uint64_t)put_call(text_start + 16, text_start);
    uint64_t second = (uint64_t)put(text_start + 64, (const uint8_t[]){0xFF, 0xD1}, 2);
    stack[3] = first;
    stack[4] = 0x5678;
    stack[7] = second;
    stack[8] = first + 1;
    stack[STACK_WORDS - 1] = first;
    expect_chain(stack, (const uint64_t[]){first, second, first}, 3);
    expect_chain((char *)stack + 20, (const uint64_t[]){first, second, first}, 3);
    expect_chain(stack + 4, (const uint64_t[]){second, first}, 2);
    expect_chain(stack + STACK_WORDS, NULL, 0);
}

/* The chain of an exception, then of the panic that it leads to. */
static void nothing_twice(void **state)
{
    (void)state;
    uint64_t address = (uint64_t)put_call(text_start + 16, text_start);
    stack[10] = stack[20] = stack[21] = stack[40] = address;
    expect_chain(stack + 20, (const uint64_t[]){address, address, address}, 3);
    expect_chain(stack + 5, (const uint64_t[]){address}, 1);
}

static void most_addresses(void **state)
{
    (void)state;
    uint64_t address = (uint64_t)put_call(text_start + 16, text_start), expected[31];
    for (unsigned i = 0; i < STACK_WORDS; i++)
        stack[i] = address;
    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
        expected[i] = address;
    expect_chain(stack, expected, ARRAY_SIZE(expected));
}

/* Each stack ends at its own top; a stack pointer that is none of ours is not followed. */
static void other_stacks(void **state)
{
    (void)state;
    uint64_t address = (uint64_t)put_call(text_start + 16, text_start);
    stack[9] = stack[19] = stack[29] = address;
    cpus[0]->nmi_stack = (uint8_t *)(stack + 10);
    cpus[0]->fault_stack = (uint8_t *)(stack + 20);
    cpus[0]->stack_top = 0;
    expect_chain(stack + 19, &address, 1);
    expect_chain(stack + 2, &address, 1);
    boot_stack[-2] = address;
    boot_stack[0] = address;
    expect_chain(boot_stack - 3, &address, 1);
    expect_chain(NULL, NULL, 0);
    expect_chain((void *)0x1000, NULL, 0);
    expect_chain((void *)0xFFFFFFFFFFFFFFF9UL, NULL, 0);
    expect_chain((void *)0x8000000000000000UL, NULL, 0);
    unit_cpus(0);
    expect_chain(stack, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(direct_calls, fresh),
        cmocka_unit_test_setup(indirect_calls, fresh),
        cmocka_unit_test_setup(ends_of_the_code, fresh),
        cmocka_unit_test_setup(chain_of_several, fresh),
        cmocka_unit_test_setup(nothing_twice, fresh),
        cmocka_unit_test_setup(most_addresses, fresh),
        cmocka_unit_test_setup(other_stacks, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
