/* SPDX-License-Identifier: MIT */
/* The call chain of a panic: see hv/base/backtrace.h. */
#include "hv/base/backtrace.h"

#include "hv/base/console.h"
#include "hv/base/cpu.h"
#include "hv/base/string.h"

#define MOST_ADDRESSES 32

#define CALL_NEAR       0xE8 /* and a 32-bit distance */
#define CALL_NEAR_SIZE  5
#define CALL_INDIRECT   0xFF /* with 2 in ModRM's reg field; 2 to 7 bytes without prefixes */
#define LONGEST_CALL    7
#define MODRM_REG_SHIFT 3

extern char text_start[], rodata_start[]; /* the ends of the code: boot/link.ld */
extern char boot_stack_top[];             /* in the image's data: boot/entry.asm */

/* SDM 2.1.5: are these bytes an indirect CALL of this length? */
static bool is_indirect_call(const uint8_t *code, size_t length)
{
    uint8_t mode = code[1] >> 6, rm = code[1] & 7;
    if (code[0] != CALL_INDIRECT || (code[1] >> MODRM_REG_SHIFT & 7) != 2)
        return false;
    if (mode == 3)
        return length == 2;
    bool has_sib = rm == 4;
    if (has_sib && length < 3)
        return false;
    size_t whole = has_sib ? 3 : 2;
    uint8_t base = has_sib ? code[2] & 7 : rm;
    if (mode == 1)
        whole += 1;
    else if (mode == 2 || base == 5)
        whole += 4;
    return length == whole;
}

static bool in_text(uint64_t address)
{
    return address >= (uint64_t)text_start && address < (uint64_t)rodata_start;
}

static bool is_return_address(uint64_t address)
{
    if (!in_text(address - 1))
        return false;
    const uint8_t *next = (const uint8_t *)address;
    size_t before = address - (uint64_t)text_start;
    if (before >= CALL_NEAR_SIZE && next[-CALL_NEAR_SIZE] == CALL_NEAR) {
        int32_t distance;
        memcpy(&distance, next - sizeof(distance), sizeof(distance));
        if (in_text(address + (uint64_t)(int64_t)distance))
            return true;
    }
    for (size_t length = 2; length <= LONGEST_CALL && length <= before; length++)
        if (is_indirect_call(next - length, length))
            return true;
    return false;
}

static bool is_on(uint64_t rsp, uint64_t top, uint64_t size)
{
    return rsp <= top && rsp >= top - size;
}

/* The top of the stack that rsp points into; 0 when it is none of ours. */
static uint64_t stack_top(uint64_t rsp)
{
    if (rsp >= (uint64_t)rodata_start && rsp < (uint64_t)boot_stack_top)
        return (uint64_t)boot_stack_top;
    for (uint32_t i = 0; i < cpu_count; i++) {
        const struct cpu *cpu = cpus[i];
        if (!cpu)
            continue;
        if (is_on(rsp, cpu->stack_top, STACK_SIZE))
            return cpu->stack_top;
        if (is_on(rsp, (uint64_t)cpu->nmi_stack, SMALL_STACK_SIZE))
            return (uint64_t)cpu->nmi_stack;
        if (is_on(rsp, (uint64_t)cpu->fault_stack, SMALL_STACK_SIZE))
            return (uint64_t)cpu->fault_stack;
    }
    return 0;
}

void backtrace_print(uint64_t rsp, uint64_t rip)
{
    static uint64_t printed_from;
    uint64_t end = stack_top(rsp);
    if (rsp < printed_from && printed_from < end)
        end = printed_from;
    if (end != 0)
        printed_from = rsp;

    char text[MOST_ADDRESSES * sizeof(" 0123456789abcdef")];
    size_t length = format_text(text, sizeof(text), "%lx", rip);
    uint32_t count = 1;
    for (uint64_t at = align_up(rsp, 8); at + 8 <= end && count < MOST_ADDRESSES; at += 8) {
        uint64_t word = *(const uint64_t *)at;
        if (!is_return_address(word))
            continue;
        length += format_text(text + length, sizeof(text) - length, " %lx", word);
        count++;
    }
    say_error("  call chain: %s", text);
}
