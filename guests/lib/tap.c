/* SPDX-License-Identifier: MIT */
/* TAP and printing for bundled guests. */
#include "guests/lib/tap.h"

#include "guests/lib/cpu.h"
#include "guests/lib/machine.h"
#include "hv/base/arch.h"
#include "hv/base/console.h"
#include "hv/base/string.h"
#include "hypercalls/abi.h"

#define COM1          0x3F8
#define LINE_STATUS   (COM1 + 5)
#define LSR_THR_EMPTY 0x20
#define LSR_DRAINED   0x60
#define MAX_LINE      512

static volatile uint32_t print_lock;
static uint32_t tests, failures;

void serial_init(void)
{
    out8(COM1 + 1, 0); /* no interrupts */
    out8(COM1 + 3, 0x80);
    out8(COM1 + 0, 1); /* 115200 */
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 3); /* 8N1 */
    out8(COM1 + 2, 7); /* FIFO on and empty */
    out8(COM1 + 4, 3);
}

void serial_write(const char *text, size_t length)
{
    for (size_t n = 0; n < length; n++) {
        if (in8(LINE_STATUS) == 0xFF) /* no UART */
            return;
        while (!(in8(LINE_STATUS) & LSR_THR_EMPTY))
            cpu_relax();
        out8(COM1, (uint8_t)text[n]);
    }
}

void serial_drain(void)
{
    while ((in8(LINE_STATUS) & LSR_DRAINED) != LSR_DRAINED)
        cpu_relax();
}

static void lock(void)
{
    while (__atomic_exchange_n(&print_lock, 1, __ATOMIC_ACQUIRE) != 0)
        cpu_relax();
}

static void unlock(void)
{
    __atomic_store_n(&print_lock, 0, __ATOMIC_RELEASE);
}

/* Locked by the caller. */
static void put(const char *format, ...) PRINTF(1, 2);
static void put(const char *format, ...)
{
    char line[MAX_LINE];
    va_list arguments;
    va_start(arguments, format);
    size_t length = vformat_text(line, sizeof(line), format, arguments);
    va_end(arguments);
    serial_write(line, length);
}

static void put_list(const char *format, va_list arguments)
{
    char line[MAX_LINE];
    serial_write(line, vformat_text(line, sizeof(line), format, arguments));
}

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    lock();
    put_list(format, arguments);
    unlock();
    va_end(arguments);
}

/* The start of a result line, then the caller's text. Locked by the caller. */
static void put_result(bool ok, const char *format, va_list arguments)
{
    tests++;
    if (!ok)
        failures++;
    put("%sok %u - ", ok ? "" : "not ", tests);
    put_list(format, arguments);
    put("\n");
}

bool tap_ok(bool ok, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    lock();
    put_result(ok, format, arguments);
    unlock();
    va_end(arguments);
    return ok;
}

bool tap_equal(uint64_t got, uint64_t expected, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    lock();
    put_result(got == expected, format, arguments);
    if (got != expected)
        put("#   got 0x%lx, expected 0x%lx\n", got, expected);
    unlock();
    va_end(arguments);
    return got == expected;
}

bool tap_status(uint64_t got, uint64_t expected, const char *format, ...)
{
    got &= 0xFFFF;
    va_list arguments;
    va_start(arguments, format);
    lock();
    put_result(got == expected, format, arguments);
    if (got != expected)
        put("#   got %s (0x%lx), expected %s (0x%lx)\n", status_name(got), got,
            status_name(expected), expected);
    unlock();
    va_end(arguments);
    return got == expected;
}

void tap_skip(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    lock();
    put("ok %u # skip ", ++tests);
    put_list(format, arguments);
    put("\n");
    unlock();
    va_end(arguments);
}

void tap_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    lock();
    put("# ");
    put_list(format, arguments);
    put("\n");
    unlock();
    va_end(arguments);
}

void tap_bail_out(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    lock(); /* never released: nobody prints after this */
    put("Bail out! ");
    put_list(format, arguments);
    put("\n");
    va_end(arguments);
    guest_exit(2);
}

void tap_finish(void)
{
    lock();
    put("1..%u\n", tests);
    if (failures != 0)
        put("# %u of %u failed\n", failures, tests);
    guest_exit(failures != 0);
}

uint32_t tap_failures(void)
{
    return failures;
}

const char *status_name(uint64_t status)
{
    static const struct {
        enum hv_status status;
        const char *name;
    } names[] = {
        {HV_STATUS_SUCCESS, "SUCCESS"},
        {HV_STATUS_INVALID_HYPERCALL_CODE, "INVALID_HYPERCALL_CODE"},
        {HV_STATUS_INVALID_HYPERCALL_INPUT, "INVALID_HYPERCALL_INPUT"},
        {HV_STATUS_INVALID_ALIGNMENT, "INVALID_ALIGNMENT"},
        {HV_STATUS_INVALID_PARAMETER, "INVALID_PARAMETER"},
        {HV_STATUS_ACCESS_DENIED, "ACCESS_DENIED"},
        {HV_STATUS_INVALID_PARTITION_STATE, "INVALID_PARTITION_STATE"},
        {HV_STATUS_OPERATION_DENIED, "OPERATION_DENIED"},
        {HV_STATUS_UNKNOWN_PROPERTY, "UNKNOWN_PROPERTY"},
        {HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE, "PROPERTY_VALUE_OUT_OF_RANGE"},
        {HV_STATUS_INSUFFICIENT_MEMORY, "INSUFFICIENT_MEMORY"},
        {HV_STATUS_INVALID_PARTITION_ID, "INVALID_PARTITION_ID"},
        {HV_STATUS_INVALID_VP_INDEX, "INVALID_VP_INDEX"},
        {HV_STATUS_NOT_FOUND, "NOT_FOUND"},
        {HV_STATUS_INVALID_VP_STATE, "INVALID_VP_STATE"},
        {HV_STATUS_NO_RESOURCES, "NO_RESOURCES"},
        {HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED, "PROCESSOR_FEATURE_NOT_SUPPORTED"},
        {HV_STATUS_INVALID_REGISTER_VALUE, "INVALID_REGISTER_VALUE"},
        {HV_STATUS_OPERATION_FAILED, "OPERATION_FAILED"},
        {HV_STATUS_INSUFFICIENT_ROOT_MEMORY, "INSUFFICIENT_ROOT_MEMORY"},
    };
    for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
        if (names[n].status == (status & 0xFFFF))
            return names[n].name;
    }
    return "unnamed status";
}
