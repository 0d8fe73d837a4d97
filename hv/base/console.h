/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's console: COM1, COM2 or nowhere. Every line it prints begins
 * with "vellum: ", so that it can be told from a guest's on the same port.
 */
#ifndef HV_BASE_CONSOLE_H
#define HV_BASE_CONSOLE_H

#include <stdarg.h>

#include "hv/base/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern enum log_level log_level;

enum console_port { CONSOLE_NONE = 0, CONSOLE_COM1 = 0x3F8, CONSOLE_COM2 = 0x2F8 };

/*
 * Chooses the port. A port with no UART behind it (scratch register does not
 * hold a value) silently becomes CONSOLE_NONE. Sets 115200 8N1.
 */
void console_init(enum console_port port);

/*
 * Prints one line "vellum: ..." and the newline when level <= log_level.
 * Formats: %s %c %d %u %x %lu %ld %lx %p %%, with 0-padding and width
 * (%016lx, %-8s). Safe on every processor: lines do not mix. No state needed.
 */
void say(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same formats into a buffer, always terminated; returns the length that was written. */
size_t format_text(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t vformat_text(char *buffer, size_t size, const char *format, va_list arguments);

/* Waits until the UART has sent everything: before the machine is reset. */
void console_drain(void);

/* From here on lines are printed without taking the console's lock (panic). */
void console_break_lock(void);

/*
 * Counts one more event in *times. True when it is worth a line: the first few, and
 * from then on whenever their number has doubled, so that no guest can keep the
 * console busy. Any processor.
 */
bool worth_a_line(uint32_t *times);

#define say_error(...) say(LOG_ERROR, __VA_ARGS__)
#define say_warn(...)  say(LOG_WARN, __VA_ARGS__)
#define say_info(...)  say(LOG_INFO, __VA_ARGS__)
/* Of what a guest can bring about as often as it likes. */
#define say_warn_of_guest(...)                                                                     \
    do {                                                                                           \
        static uint32_t times;                                                                     \
        if (worth_a_line(&times))                                                                  \
            say(LOG_WARN, __VA_ARGS__);                                                            \
    } while (0)
#define say_debug(...)                                                                             \
    do {                                                                                           \
        if (log_level >= LOG_DEBUG)                                                                \
            say(LOG_DEBUG, __VA_ARGS__);                                                           \
    } while (0)

#endif
