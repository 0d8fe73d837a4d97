/* SPDX-License-Identifier: MIT */
/* The registers of a virtual processor in a form that is no vendor's. */
#ifndef HV_MODEL_VP_STATE_H
#define HV_MODEL_VP_STATE_H

#include "hv/base/arch.h"
#include "hv/model/vp_msrs.h"

/* The order in which instructions encode them (SDM 2.1.5), which is also the ABI's. */
enum gpr {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    GPR_COUNT
};
enum segment_index { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/* The ABI's own layout. attributes: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15. */
struct segment {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t attributes;
};
_Static_assert(sizeof(struct segment) == 16, "HV_X64_SEGMENT_REGISTER");

struct descriptor_table {
    uint64_t base;
    uint16_t limit;
};

enum event_type {
    EVENT_INTERRUPT = 0,
    EVENT_NMI = 2,
    EVENT_EXCEPTION = 3,
    EVENT_SOFT_INTERRUPT = 4,
    EVENT_PRIVILEGED_SOFT = 5, /* INT1 */
    EVENT_SOFT_EXCEPTION = 6,  /* INT3, INTO */
};

/* An event to be delivered at the next entry. The types are VT-x's and SVM's common numbers. */
struct event {
    bool valid;
    uint8_t type;
    uint8_t vector;
    bool has_error;
    uint8_t insn_length; /* software events */
    uint32_t error;
};

struct vp_state {
    /* hot: exact whenever the VP is outside backend->run */
    uint64_t gpr[GPR_COUNT];
    uint64_t rip, rflags;
    struct event event;
    /* cold, shown: exact after vp_show; changes need vp_touch */
    bool interrupt_shadow; /* STI or MOV SS in the last instruction */
    bool nmi_masked;       /* NMIs blocked until IRET */
    uint64_t cr0, cr3, cr4, cr8, efer, dr7;
    struct segment seg[SEG_COUNT]; /* LDTR and TR are not shown */
    /* cold, the rest: exact after vp_sync; changes need vp_touch */
    struct descriptor_table gdtr, idtr;
    uint64_t cr2, dr6;
    uint64_t debugctl, tsc_aux, tsc_offset;
#define VP_MSR_MEMBER(member, NAME, check) uint64_t member;
    VP_MSRS(VP_MSR_MEMBER)
    /* swapped by hv/model/fpu.c when a processor changes from one VP to another */
    uint64_t dr[4];
    uint64_t xcr0;
};

#endif
