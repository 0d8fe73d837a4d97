/* SPDX-License-Identifier: MIT */
/*
 * The call chain of a panic. The hypervisor is built without frame pointers and
 * unwind tables, so the stack is searched: each word on it that points right
 * behind a CALL instruction counts as a return address. One that was left over
 * in an unused slot counts, too: the chain may name a function too many.
 */
#ifndef HV_BASE_BACKTRACE_H
#define HV_BASE_BACKTRACE_H

#include "hv/base/types.h"

/*
 * Prints "  call chain: RIP RETURN RETURN..." in hexadecimal, the innermost first, for code at
 * rip whose stack pointer is rsp, which may be anything. What an earlier call has printed of
 * this stack is not printed again. scripts/symbolize.py makes functions and lines of it.
 */
void backtrace_print(uint64_t rsp, uint64_t rip);

#endif
