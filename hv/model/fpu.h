/* SPDX-License-Identifier: MIT */
/* x87, SSE, AVX state and the other registers that neither VMCS nor VMCB switches. */
#ifndef HV_MODEL_FPU_H
#define HV_MODEL_FPU_H

#include "hv/model/vp.h"

/* XSAVE features (XCR0) that the first partition may use / that fit a child's one-page area. */
extern uint64_t xsave_features_first, xsave_features_child;
extern uint64_t xsave_first_size; /* bytes of a VP of the first partition; boot */

/* Reads CPUID and decides the above. Boot. */
void fpu_init(void);
/* Bytes of a standard-format XSAVE area for `features`, from CPUID leaf 0xD; 512 without XSAVE. */
uint64_t xsave_size(uint64_t features);

/* The largest useful part of `features` whose area is at most `limit` bytes. */
uint64_t xsave_fit(uint64_t features, uint64_t limit);
/* Whether XSETBV would take this value on a processor with these features (SDM 13.3). */
bool xcr0_valid(uint64_t value, uint64_t features);

/* Makes vp->xsave (zeroed) the initial state: x87 and SSE as after FNINIT and MXCSR 0x1F80; sets
   vp->xsave_features. */
void fpu_reset(struct vp *vp);
/* Switches everything on in this processor's XCR0: once, before the first fpu_restore. */
void fpu_enable(void);
/* Processor -> vp: XSAVE area, XCR0, DR0..3; and back. The XMM registers stay as they are until the
   next fpu_restore. */
void fpu_save(struct vp *vp);
void fpu_restore(struct vp *vp);

/* XMM registers while the VP is not in the processor (after fpu_save). n < 16. */
void fpu_get_xmm(const struct vp *vp, unsigned n, void *to16);
void fpu_set_xmm(struct vp *vp, unsigned n, const void *from16);

/* XMM0..5, 96 bytes: of a VP that is not in the processor, and of the one whose they are
   (hv/model/fpu_fast.c). */
void fpu_get_low_xmm(const struct vp *vp, void *to96);
void fpu_read_low_xmm(void *to96);
/* Makes vp->state.xcr0 exact while the VP is in the processor. */
void fpu_read_xcr0(struct vp *vp);

#endif
