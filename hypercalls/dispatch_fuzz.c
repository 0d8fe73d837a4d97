/* SPDX-License-Identifier: MIT */
/*
 * Fuzzer of all hypercalls: the input is a sequence of them, with registers and
 * guest memory, by VPs of the first partition and of its children, on two
 * processors of a small fake machine. After each the whole machine is checked,
 * and at the end everything must come back.
 */
/* fuzz: +hypercalls */
/* fuzz: hypercalls/fake/seeds.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/console.h"
#include "hv/base/panic.h"
#include "hv/base/time.h"
#include "hv/msr.h"
#include "hypercalls/fake/machine.h"
#include "hypercalls/fake/seeds.h"
#include "hypercalls/table.h"

enum {
    MAX_STEPS = 200, /* of one input */
    MAX_AGAIN = 200, /* times that one call may be continued */
    DATA_GPN = 3,    /* input and output pages of calls begin here */
    DATA_PAGES = 4,
};

static const uint8_t *data;
static size_t left;
static unsigned steps;

_Noreturn void panic(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "panic: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

static uint8_t take8(void)
{
    if (left == 0)
        return 0;
    left--;
    return *data++;
}

static uint64_t take(unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)take8() << (8 * i);
    return value;
}

/* ---- values that mean something to the machine ---- */

static struct partition *nth_partition(unsigned n)
{
    struct partition *p = first_partition;
    while (n-- > 0) {
        if (p->children)
            p = p->children;
        else if (p->sibling)
            p = p->sibling;
        else if (p->parent && p->parent->sibling)
            p = p->parent->sibling;
        else
            break;
    }
    return p;
}

static uint64_t take_id(void)
{
    uint8_t which = take8();
    if (which >= 0xF0)
        return which; /* most likely nobody's */
    if (which >= 0xE0)
        return HV_PARTITION_ID_SELF;
    return nth_partition(which % 8)->id;
}

static gpn_t take_gpn(void)
{
    uint8_t which = take8(), low = take8();
    switch (which >> 4) {
    case 0:
    case 1:
    case 2:
        return low % 64; /* RAM at the bottom; a child's memory, too */
    case 3:
        return 448 + low; /* across the end of a large page */
    case 4:
        return FAKE_HV - 16 + low;
    case 5:
        return FAKE_RAM_HIGH - 16 + low;
    case 6:
        return FAKE_FRAMES - 16 + low; /* the end of RAM, device space */
    case 7:
        return FAKE_WINDOW + low % 16;
    case 8:
        return (1UL << (FAKE_GPA_BITS - PAGE_SHIFT)) - 8 + low % 16;
    case 9:
        return 0xFEE00 + low % 2;
    case 10:
        return low * 512UL; /* aligned for large pages */
    case 11:
        return take(8);
    default:
        return (which & 15) * 64UL + low % 64;
    }
}

/* One 64-bit word of a call's input. */
static uint64_t take_word(void)
{
    static const uint32_t registers[] = {
        /* 0 */ HV_REGISTER_EXPLICIT_SUSPEND,
        /* 1 */ HV_REGISTER_INTERCEPT_SUSPEND,
        /* 2 */ HV_REGISTER_RIP,
        /* 3 */ HV_REGISTER_RFLAGS,
        /* 4 */ HV_REGISTER_CR0,
        /* 5 */ HV_REGISTER_CR4,
        /* 6 */ HV_REGISTER_EFER,
        /* 7 */ HV_REGISTER_ES,
        /* 8 */ HV_REGISTER_XMM0,
        /* 9 */ HV_REGISTER_PENDING_INTERRUPTION,
        /* 10 */ HV_REGISTER_PENDING_EVENT0,
        /* 11 */ HV_REGISTER_TSC,
        /* 12 */ HV_REGISTER_IDTR,
        /* 13 */ HV_REGISTER_DR0,
        /* 14 */ HV_REGISTER_RAX,
        /* 15 */ HV_REGISTER_CR3,
    };
    uint8_t kind = take8();
    switch (kind & 15) {
    case 0:
        return take8();
    case 1:
        return take_id();
    case 2:
        return take_gpn();
    case 3:
        return take_gpn() << PAGE_SHIFT | take(2);
    case 4: /* VP index, a 16-bit field, two 8-bit fields */
        return (take8() & 3) | (uint64_t)(take8() & 3) << 32 | (uint64_t)take8() << 56;
    case 5:
        return HV_VP_INDEX_SELF | (uint64_t)(take8() & 3) << 32 | (uint64_t)take8() << 56;
    case 6:
        return take(4);
    case 7: /* map flags */
        return take8() % 16 | (uint64_t)(kind >> 4 == 1 ? HV_MAP_LARGE_PAGE : 0) |
               (uint64_t)(kind >> 4 == 2 ? HV_MAP_NO_ACCESS : 0);
    case 8:
        return registers[take8() % ARRAY_SIZE(registers)] + (uint64_t)(kind >> 4);
    case 9: /* two of them */
        return registers[take8() % ARRAY_SIZE(registers)] |
               (uint64_t)registers[take8() % ARRAY_SIZE(registers)] << 32;
    case 10:
        return ~0UL;
    case 11:
        return PRIVILEGES_ROOT & ~(uint64_t)take8();
    case 12:
        return 1UL << (take8() & 63);
    case 13:
        return take(8);
    default:
        return 0;
    }
}

/* ---- operations ---- */

static void write_word(gpn_t gpn, unsigned word, uint64_t value)
{
    uint8_t *page = fake_page(gpn);
    if (page != NULL)
        memcpy(page + 8UL * (word % 512), &value, 8);
}

/* Makes the call until it is done; then whatever it queued has been delivered. */
static void make_call(uint64_t control, uint64_t input, uint64_t output)
{
    struct vp *vp = fake_vp();
    uint64_t *gpr = vp->state.gpr;
    if (fake_mode.code64) {
        gpr[RCX] = control;
        gpr[RDX] = input;
        gpr[R8] = output;
    } else {
        gpr[RAX] = (uint32_t)control;
        gpr[RDX] = control >> 32;
        gpr[RCX] = (uint32_t)input;
        gpr[RBX] = input >> 32;
        gpr[RSI] = (uint32_t)output;
        gpr[RDI] = output >> 32;
    }
    for (unsigned again = 0; again < MAX_AGAIN; again++) {
        bool done = fake_instruction();
        fake_check();
        if (done || vp->state.event.valid || fake_vp() != vp || vp->parked)
            break;
    }
    if (vp->first || fake_vp() == vp)
        vp->state.event.valid = false;
}

static uint64_t take_control(uint8_t form, const struct call_row *row)
{
    uint64_t control = 0;
    if (form & 1)
        control |= HV_CONTROL_FAST;
    bool rep = row != NULL && row->rep;
    if (rep || (form & 0x70) == 0x70) {
        uint64_t count = take8() % 64, start = form & 8 ? take8() % 64 : 0;
        control |= count << HV_CONTROL_REP_COUNT_SHIFT | start << HV_CONTROL_REP_START_SHIFT;
    }
    if (row != NULL && row->variable && !(form & 8))
        control |= (uint64_t)row->variable << HV_CONTROL_VARIABLE_SHIFT;
    if ((form & 0xF0) == 0x80)
        control ^= take(8) & ~0xFFFFUL;
    return control;
}

static void op_call(void)
{
    static uint16_t codes[64];
    static unsigned count;
    if (count == 0)
        for (size_t code = 0; code < ARRAY_SIZE(call_table); code++)
            if (call_table[code].handler != NULL)
                codes[count++] = (uint16_t)code;
    uint8_t which = take8(), form = take8();
    uint64_t code = which < 0xF0 ? codes[which % count] : which;
    const struct call_row *row = code < ARRAY_SIZE(call_table) ? &call_table[code] : NULL;
    uint64_t control = code | take_control(form, row);
    uint64_t input[2];
    unsigned words = row != NULL ? (row->header + 7U) / 8 + row->variable : 1;
    if (row != NULL && row->rep && !(form & 1)) {
        uint64_t reps = control >> HV_CONTROL_REP_COUNT_SHIFT & 0xFFF;
        words += (unsigned)(min_u64(reps, 64) * row->in_element + 7) / 8;
    }
    if (form & 1) {
        input[0] = take_word();
        input[1] = take_word();
        make_call(control, input[0], input[1]);
        return;
    }
    unsigned offset = form & 2 ? (take8() * 8U) % 4096 : 0;
    gpn_t in = DATA_GPN + (form >> 2 & 1), out = DATA_GPN + 2;
    if ((form & 0xF0) == 0x90)
        in = take_gpn();
    if ((form & 0xF0) == 0xA0)
        out = take_gpn();
    for (unsigned i = 0; i < words && offset / 8 + i < 512; i++) {
        uint64_t word = i == 0 ? take_id() : take_word();
        write_word(in, offset / 8 + i, word);
        if (left == 0)
            break;
    }
    make_call(control, (in << PAGE_SHIFT) + offset, out << PAGE_SHIFT);
}

static void op_msr(void)
{
    static const uint32_t msrs[] = {HV_MSR_GUEST_OS_ID,  HV_MSR_HYPERCALL,    HV_MSR_REFERENCE_TSC,
                                    HV_MSR_CRASH_P0 + 3, HV_MSR_CRASH_P0 + 4, HV_MSR_CRASH_CTL};
    uint32_t msr = msrs[take8() % ARRAY_SIZE(msrs)];
    uint8_t low = take8();
    uint64_t value = low & 0x80 ? take(8) : take_gpn() << PAGE_SHIFT | (low & 3);
    fake_write_msr(msr, value);
    uint64_t got;
    msr_read(fake_vp(), msr, &got);
}

static void op_mode(void)
{
    uint8_t bits = take8();
    fake_mode.cpl = bits & 0x80 ? bits & 3 : 0;
    fake_mode.protected_mode = (bits & 0x30) != 0x30;
    fake_mode.code64 = !(bits & 8);
}

static bool step(void)
{
    static unsigned cpu;
    uint8_t op = take8();
    switch ((op & 0x7F) % OPERATIONS) {
    case OP_RAW_CALL:
        make_call(take(8), take(8), take(8));
        break;
    case OP_WRITE: {
        gpn_t gpn = take_gpn();
        unsigned word = op & 0x80 ? take8() % 64 : (unsigned)take(2);
        write_word(gpn, word, take_word());
        break;
    }
    case OP_TOUCH:
        fake_touch(take_gpn());
        break;
    case OP_MSR:
        op_msr();
        break;
    case OP_EXIT:
        fake_exit((enum fake_exit)(take8() & 3), take_gpn() << PAGE_SHIFT);
        break;
    case OP_CPU:
        cpu ^= 1;
        break;
    case OP_STARVE:
        pool_fail_after = take8() % 16;
        break;
    case OP_TIME:
        tsc_per_50us = op & 0x80 ? 0 : UINT64_MAX / 2;
        break;
    case OP_MODE:
        op_mode();
        break;
    default:
        op_call();
        break;
    }
    if (fake_on_cpu(cpu))
        return true;
    cpu ^= 1;
    return fake_on_cpu(cpu); /* false: both suspend each other, for ever */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint64_t roles[] = {PRIVILEGES_ROOT, PRIVILEGES_LAYERED, PRIVILEGES_ROOT,
                                     PRIVILEGES_GUEST};
    data = bytes;
    left = size;
    uint8_t first = take8();
    fake_trace = getenv("TRACE") != NULL;
    log_level = (first & 0x40) || fake_trace ? LOG_DEBUG : LOG_INFO;
    fake_start(first & 0x80 ? &ept_format : &npt_format, roles[first & 3]);
    if (!fake_on_cpu(0))
        abort();
    for (steps = 0; left != 0 && steps < MAX_STEPS; steps++)
        if (!step())
            break;
    fake_end();
    return 0;
}

/* libFuzzer calls this first: the last argument, when it is a folder, gets the seeds. */
int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    if (*count > 1)
        write_seeds((*arguments)[*count - 1]);
    return 0;
}
