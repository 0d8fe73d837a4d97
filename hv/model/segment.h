/*
 * Segments and what follows from them: the attributes by name, the CPL, 64-bit code,
 * the linear address of an instruction.
 */
#ifndef HV_MODEL_SEGMENT_H
#define HV_MODEL_SEGMENT_H

#include "hv/model/vp_state.h"

/* struct segment's attributes, which are the ABI's and a VMCS's (SDM 25.4.1). */
enum segment_attribute {
    SEGMENT_TYPE = 0xF,
    SEGMENT_S = 1 << 4, /* code or data; else a system segment */
    SEGMENT_DPL = 3 << 5,
    SEGMENT_PRESENT = 1 << 7,
    SEGMENT_RESERVED = 0xF00,
    SEGMENT_LONG = 1 << 13,
    SEGMENT_DEFAULT_BIG = 1 << 14,
    SEGMENT_GRANULARITY = 1 << 15,
};
enum segment_type { /* SDM table 3-1 */
                    TYPE_ACCESSED = 1,
                    TYPE_WRITABLE = 2, /* of data */
                    TYPE_READABLE = 2, /* of code */
                    TYPE_CONFORMING = 4,
                    TYPE_CODE = 8,
                    TYPE_DATA_RW_ACCESSED = 3,
                    TYPE_DATA_DOWN_RW_ACCESSED = 7,
                    TYPE_LDT = 2, /* system segments from here on */
                    TYPE_TSS16_BUSY = 3,
                    TYPE_TSS_BUSY = 11,
};
#define SEGMENT_DPL_SHIFT 5
#define SELECTOR_TI       4 /* in the LDT */

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
