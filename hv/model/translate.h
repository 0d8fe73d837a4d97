/* SPDX-License-Identifier: MIT */
/* A guest's own page tables (SDM 4, APM 5). */
#ifndef HV_MODEL_TRANSLATE_H
#define HV_MODEL_TRANSLATE_H

#include "hv/model/vp.h"

/* What an access wants; 0: only the address. */
enum {
    TRANSLATE_READ = 1,
    TRANSLATE_WRITE = 2,
    TRANSLATE_EXECUTE = 4,
    TRANSLATE_PRIVILEGE_EXEMPT = 8, /* as the kernel, without SMEP and SMAP */
};

/*
 * Walks the page tables of a VP, which is stopped or on this processor and
 * synced. Returns an enum hv_translate_result; *gpa is set on success, which
 * says nothing about what lies there. Sets no accessed or dirty bits.
 */
uint32_t translate_linear(const struct vp *vp, uint64_t linear, unsigned access, gpa_t *gpa);

/*
 * Reads up to max bytes of instruction at a linear address (CS base added),
 * with the kernel's eyes. The VP is on this processor. Returns how many bytes
 * could be read.
 */
unsigned translate_fetch(struct vp *vp, uint64_t linear, uint8_t *bytes, unsigned max);

#endif
