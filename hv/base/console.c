/* SPDX-License-Identifier: MIT */
/* The console: text formatting, and lines on a 16550 UART. */
#include "hv/base/console.h"

#include "hv/base/arch.h"
#include "hv/base/lock.h"
#include "hv/base/string.h"

#define LINE_SIZE     512
#define LINES_AT_ONCE 16 /* of a kind that guests provoke; a power of two */

/* Registers of the UART, as offsets from its port. */
enum uart {
    UART_DATA = 0,       /* divisor low while LCR_DLAB is set */
    UART_INTERRUPTS = 1, /* divisor high while LCR_DLAB is set */
    UART_FIFO = 2,
    UART_LINE_CONTROL = 3,
    UART_MODEM_CONTROL = 4,
    UART_LINE_STATUS = 5,
    UART_SCRATCH = 7,
};
enum {
    LCR_8N1 = 0x03,
    LCR_DLAB = 0x80,
    MCR_DTR_RTS = 0x03,
    LSR_THR_EMPTY = 0x20,
    LSR_ALL_SENT = 0x40
};

/* A transmitter that stays busy for that many reads is broken; do not hang for it. */
#define TRANSMIT_PATIENCE 1000000

enum log_level log_level = LOG_INFO;

static uint16_t console_port_base;
static struct spinlock console_lock;
static bool console_lock_broken;

void console_init(enum console_port port)
{
    console_port_base = 0;
    if (port == CONSOLE_NONE)
        return;
    uint16_t base = (uint16_t)port;
    static const uint8_t probes[] = {0x5A, 0xA5};
    for (size_t i = 0; i < sizeof(probes); i++) {
        out8(base + UART_SCRATCH, probes[i]);
        if (in8(base + UART_SCRATCH) != probes[i])
            return;
    }
    out8(base + UART_INTERRUPTS, 0);
    out8(base + UART_LINE_CONTROL, LCR_DLAB);
    out8(base + UART_DATA, 1); /* 115200 / 1 */
    out8(base + UART_INTERRUPTS, 0);
    out8(base + UART_LINE_CONTROL, LCR_8N1);
    out8(base + UART_FIFO, 0x07); /* on, both cleared */
    out8(base + UART_MODEM_CONTROL, MCR_DTR_RTS);
    console_port_base = base;
}

static void put_char(uint16_t base, char c)
{
    for (int i = 0; i < TRANSMIT_PATIENCE; i++)
        if (in8(base + UART_LINE_STATUS) & LSR_THR_EMPTY)
            break;
    out8(base + UART_DATA, (uint8_t)c);
}

void console_drain(void)
{
    if (console_port_base == 0)
        return;
    for (int i = 0; i < TRANSMIT_PATIENCE; i++)
        if (in8(console_port_base + UART_LINE_STATUS) & LSR_ALL_SENT)
            break;
}

void console_break_lock(void)
{
    console_lock_broken = true;
}

void say(enum log_level level, const char *format, ...)
{
    static const char prefix[] = "vellum: ";
    uint16_t base = console_port_base;
    if (level > log_level || base == 0)
        return;

    char line[LINE_SIZE];
    memcpy(line, prefix, sizeof(prefix) - 1);
    size_t length = sizeof(prefix) - 1;
    va_list arguments;
    va_start(arguments, format);
    length += vformat_text(line + length, sizeof(line) - length, format, arguments);
    va_end(arguments);

    bool locked = !console_lock_broken;
    if (locked)
        lock(&console_lock);
    /* Text of a guest may be among it: a control character must not start a line of its own. */
    for (size_t i = 0; i < length; i++)
        put_char(base, (uint8_t)line[i] < 0x20 || line[i] == 0x7F ? ' ' : line[i]);
    put_char(base, '\n');
    if (locked)
        unlock(&console_lock);
}

bool worth_a_line(uint32_t *times)
{
    uint32_t count = __atomic_add_fetch(times, 1, __ATOMIC_RELAXED);
    if (count <= LINES_AT_ONCE)
        return true;
    if (count & (count - 1))
        return false;
    say_warn("the next line stands for the last %u of its kind, too", count / 2 - 1);
    return true;
}

struct output {
    char *buffer;
    size_t size, length;
};

static void emit(struct output *out, char c)
{
    if (out->length + 1 < out->size)
        out->buffer[out->length++] = c;
}

struct conversion {
    bool left, zero;
    unsigned width;
    size_t precision; /* for %s: most bytes */
    bool wide;        /* a 64-bit argument */
};

static void emit_padded(struct output *out, const char *text, size_t length,
                        const struct conversion *c)
{
    size_t padding = length < c->width ? c->width - length : 0;
    bool zero = c->zero && !c->left;
    if (zero && length > 0 && *text == '-') {
        emit(out, *text++);
        length--;
    }
    if (!c->left)
        for (size_t i = 0; i < padding; i++)
            emit(out, zero ? '0' : ' ');
    for (size_t i = 0; i < length; i++)
        emit(out, text[i]);
    if (c->left)
        for (size_t i = 0; i < padding; i++)
            emit(out, ' ');
}

static void emit_number(struct output *out, uint64_t value, unsigned base, bool negative,
                        const struct conversion *c)
{
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    if (negative)
        digits[--at] = '-';
    emit_padded(out, digits + at, sizeof(digits) - at, c);
}

static void emit_string(struct output *out, const char *text, const struct conversion *c)
{
    if (text == NULL)
        text = "(null)";
    size_t length = 0;
    while (length < c->precision && text[length] != 0)
        length++;
    emit_padded(out, text, length, c);
}

/* Reads flags, width, precision and length at format; returns the conversion letter's place. */
static const char *parse_conversion(const char *format, struct conversion *c, va_list *arguments)
{
    *c = (struct conversion){.precision = SIZE_MAX};
    for (;; format++) {
        if (*format == '-')
            c->left = true;
        else if (*format == '0')
            c->zero = true;
        else
            break;
    }
    for (; *format >= '0' && *format <= '9'; format++)
        c->width = c->width * 10 + (unsigned)(*format - '0');
    if (*format == '.') {
        format++;
        c->precision = 0;
        if (*format == '*') {
            int given = va_arg(*arguments, int);
            c->precision = given < 0 ? SIZE_MAX : (size_t)given;
            format++;
        }
        for (; *format >= '0' && *format <= '9'; format++)
            c->precision = c->precision * 10 + (size_t)(*format - '0');
    }
    for (; *format == 'l' || *format == 'z'; format++)
        c->wide = true;
    return format;
}

static void emit_conversion(struct output *out, char letter, struct conversion *c,
                            va_list *arguments)
{
    switch (letter) {
    case 'd':
    case 'i': {
        int64_t value = c->wide ? va_arg(*arguments, int64_t) : va_arg(*arguments, int);
        uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
        emit_number(out, magnitude, 10, value < 0, c);
        break;
    }
    case 'u':
    case 'x': {
        uint64_t value = c->wide ? va_arg(*arguments, uint64_t) : va_arg(*arguments, unsigned);
        emit_number(out, value, letter == 'x' ? 16 : 10, false, c);
        break;
    }
    case 'p':
        emit(out, '0');
        emit(out, 'x');
        emit_number(out, (uintptr_t)va_arg(*arguments, void *), 16, false, c);
        break;
    case 'c': {
        char text = (char)va_arg(*arguments, int);
        emit_padded(out, &text, 1, c);
        break;
    }
    case 's':
        emit_string(out, va_arg(*arguments, const char *), c);
        break;
    default:
        emit(out, '%');
        if (letter != '%')
            emit(out, letter);
        break;
    }
}

size_t vformat_text(char *buffer, size_t size, const char *format, va_list arguments)
{
    struct output out = {buffer, size, 0};
    va_list list;
    va_copy(list, arguments);
    while (*format != 0) {
        if (*format != '%') {
            emit(&out, *format++);
            continue;
        }
        struct conversion c;
        format = parse_conversion(format + 1, &c, &list);
        if (*format == 0)
            break;
        emit_conversion(&out, *format++, &c, &list);
    }
    va_end(list);
    if (size != 0)
        buffer[out.length] = 0;
    return out.length;
}

size_t format_text(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = vformat_text(buffer, size, format, arguments);
    va_end(arguments);
    return length;
}
