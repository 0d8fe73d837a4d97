/* SPDX-License-Identifier: MIT */
/*
 * Two files of the hypervisor for the fake machine: the real ones, but for what
 * only the privileged may do. Vector registers stay in the VP's area, as if it
 * were never loaded; lines are formatted, and printed when fake_trace is set.
 */
#include <stdio.h>

#include "hypercalls/fake/machine.h"

#define fpu_save    real_fpu_save
#define fpu_restore real_fpu_restore
#define say         real_say
#include "hv/base/console.c" /* NOLINT(bugprone-suspicious-include): some get other names */
#include "hv/model/fpu.c"    /* NOLINT(bugprone-suspicious-include) */
#undef fpu_save
#undef fpu_restore
#undef say

void fpu_save(struct vp *vp);
void fpu_restore(struct vp *vp);
void say(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool fake_trace;

static const struct vp *in_processor; /* whose vector registers are */

void fpu_save(struct vp *vp)
{
    in_processor = vp;
}

void fpu_restore(struct vp *vp)
{
    in_processor = vp;
}

void fpu_read_low_xmm(void *to96)
{
    fpu_get_low_xmm(in_processor ? in_processor : this_cpu()->current, to96);
}

bool xsetbv_safe(uint64_t value)
{
    (void)value;
    return true;
}

void say(enum log_level level, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vformat_text(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (fake_trace && level <= log_level)
        fprintf(stderr, "vellum: %s\n", line);
}
