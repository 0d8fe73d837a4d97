/* SPDX-License-Identifier: MIT */
/*
 * Test results on the serial console, as TAP: one line per test when it is
 * known, the plan at the end. Safe on every processor. Also plain printing.
 */
#ifndef GUESTS_LIB_TAP_H
#define GUESTS_LIB_TAP_H

#include <stdarg.h>

#include "hv/base/types.h"

#define PRINTF(text, first) __attribute__((format(printf, text, first)))

/* Formats: %s %c %d %u %x %lu %ld %lx %p %% with width and 0-padding. No newline is added. */
void print(const char *format, ...) PRINTF(1, 2);

/* "ok N - text" or "not ok N - text". Returns ok. */
bool tap_ok(bool ok, const char *format, ...) PRINTF(2, 3);

/* tap_ok(got == expected); on failure both are shown. */
bool tap_equal(uint64_t got, uint64_t expected, const char *format, ...) PRINTF(3, 4);

/* tap_equal of two hypercall statuses (low 16 bits of `got`), shown by name. */
bool tap_status(uint64_t got, uint64_t expected, const char *format, ...) PRINTF(3, 4);

/* "ok N # skip text" */
void tap_skip(const char *format, ...) PRINTF(1, 2);

/* "# text" */
void tap_note(const char *format, ...) PRINTF(1, 2);

/* "Bail out! text" and the end of the run, with exit code 2. */
_Noreturn void tap_bail_out(const char *format, ...) PRINTF(1, 2);

/* Prints the plan and ends the run: exit code 0 when no test failed, else 1. */
_Noreturn void tap_finish(void);

uint32_t tap_failures(void);

/* "SUCCESS", "INVALID_ALIGNMENT", ... of enum hv_status */
const char *status_name(uint64_t status);

/*
 * The end of the run: drains the UART, then says so in every way that some
 * machine understands: the debug-exit port (QEMU), port 0x8900 (Bochs), ACPI S5.
 */
_Noreturn void guest_exit(uint8_t code);

/* Straight to the UART, without any lock (COM1). */
void serial_init(void);
void serial_write(const char *text, size_t length);
void serial_drain(void);

#endif
