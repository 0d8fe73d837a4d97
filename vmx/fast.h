/* SPDX-License-Identifier: MIT */
/*
 * Short ways of vmx/run.c and vmx/state.c. Without them vmx_run would be prepare,
 * read_segments a plain loop, and every change of the VP would look at each switched
 * MSR. Each says what it saves in a dispatch that ends in an I/O intercept, which is
 * two exits and two changes.
 *
 * What saves there and cannot stand apart from the way that it shortens:
 *   vmx/run.c    prepare and decode are calls of their own, for which what is hot
 *                saves no register: 29 and 19. A table of instructions that exit, and
 *                I/O and memory exits, before the switch: 11 and 20.
 *   vmx/entry.asm  goes on in vmx_exited by a jump: 20.
 *   vmx/vmx.h    vmread_to, a VMREAD straight to memory: 25.
 *   vmx/state.c  WRMSR only of what the processor does not hold yet (switch_msr): 186,
 *                the 54 below among them. Host state written only on another
 *                processor than last time (host_cpu): 140.
 */
#ifndef VMX_FAST_H
#define VMX_FAST_H

#include "vmx/vmx.h"

_Static_assert(offsetof(struct vp, want_nmi_window) ==
                   offsetof(struct vp, want_interrupt_window) + 1,
               "both windows are compared at once");
/* want_interrupt_window and want_nmi_window as struct vmx_vp keeps them. Saves 5 in each exit. */
static inline uint16_t windows_wanted(const struct vp *vp)
{
    uint16_t windows;
    __builtin_memcpy(&windows, &vp->want_interrupt_window, sizeof(windows));
    return windows;
}

/*
 * Of an entry with nothing to flush and no event: whether it is a VMLAUNCH and no more, of a
 * child's VP that vmx_switch_out has made ready. True: what prepare does for one is done. Saves
 * 40, costs 1 in an exit that has no use for it.
 */
static inline bool begin_plain_launch(struct vp *vp)
{
    struct vmx_vp *v = vmx_of(vp);
    if (windows_wanted(vp) != 0 || v->windows != WINDOWS_LAUNCH)
        return false;
    v->windows = WINDOWS_UNKNOWN;
    v->attempt = ATTEMPT_LAUNCH;
    vp->launched = true;
    return true;
}

/*
 * Whether the processor may hold other values of the switched MSRs than the VP's. VPs whose values
 * have one number agree in them, all but KERNEL_GS_BASE; mostly all are 0, which is number 0.
 * Saves 54, 22 of them as the other case is out of the way.
 */
static inline bool switched_msrs_differ(struct vp *vp, const struct vmx_cpu *cpu)
{
    return __builtin_expect(cpu->msr_set != vmx_of(vp)->msr_set ||
                                cpu->msrs[SW_KERNEL_GS_BASE] != vp->state.kernel_gs_base,
                            0);
}

/* vmx/fast.c. The VP's values have changed: a number for them. */
void vmx_number_msrs(struct vp *vp);

/* vmx/fast.c. What else an unusable segment has is undefined: takes it out of `attributes`. */
void vmx_read_unusable(struct vp_state *s);

/*
 * VMREAD stores 64 bits: each field after the base spills into what is read after it, the last
 * segment's into what comes behind it. Saves 50, spills, unrolling and the rare case apart
 * together.
 */
static inline __attribute__((always_inline)) void
read_segments(struct vp_state *s, enum segment_index first, enum segment_index last)
{
    _Static_assert(offsetof(struct vp_state, gdtr) == offsetof(struct vp_state, seg[SEG_COUNT]),
                   "what comes after the segments");
    uint64_t any = 0;
#pragma GCC unroll 8
    for (unsigned i = first; i <= last; i++) {
        struct segment *seg = &s->seg[i];
        vmread_to(VMCS_GUEST_ES_BASE + 2 * i, &seg->base);
        vmread_to(VMCS_GUEST_ES_LIMIT + 2 * i, (uint64_t *)&seg->limit);
        vmread_to(VMCS_GUEST_ES_SELECTOR + 2 * i, (uint64_t *)&seg->selector);
        uint64_t ar = vmread(VMCS_GUEST_ES_AR + 2 * i);
        seg->attributes = (uint16_t)ar;
        any |= ar;
    }
    if (any & SEGMENT_UNUSABLE)
        vmx_read_unusable(s);
}

#endif
