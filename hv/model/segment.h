/* SPDX-License-Identifier: MIT */
/*
 * What follows from a VP's segments: the CPL, 64-bit code, the linear address of an
 * instruction. Their attributes by name: hv/base/registers.h.
 */
#ifndef HV_MODEL_SEGMENT_H
#define HV_MODEL_SEGMENT_H

#include "hv/model/vp_state.h"

static inline unsigned segment_type(const struct segment *s)
{
    return s->attributes & SEGMENT_TYPE;
}

static inline unsigned segment_dpl(const struct segment *s)
{
    return (unsigned)s->attributes >> SEGMENT_DPL_SHIFT & 3;
}

/* EFER.LMA and CS.L. State: shown. */
static inline bool is_code64(const struct vp_state *s)
{
    return (s->efer & EFER_LMA) && (s->seg[SEG_CS].attributes & SEGMENT_LONG);
}

/* The linear address of the instruction at rip. State: shown. */
static inline uint64_t linear_rip(const struct vp_state *s)
{
    return is_code64(s) ? s->rip : (uint32_t)(s->seg[SEG_CS].base + s->rip);
}

/* CR0.PE, and not virtual-8086. State: shown. */
static inline bool is_protected_mode(const struct vp_state *s)
{
    return (s->cr0 & CR0_PE) && !(s->rflags & RFLAGS_VM);
}

/* The CPL is SS's DPL (SDM 27.3.1.2). State: shown. */
static inline unsigned cpl_of(const struct vp_state *s)
{
    return segment_dpl(&s->seg[SEG_SS]);
}

#endif
