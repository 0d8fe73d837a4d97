/* SPDX-License-Identifier: MIT */
/* x87, SSE, AVX state and the other registers that neither VMCS nor VMCB switches. */
#include "hv/model/fpu.h"

#include "hv/base/string.h"

uint64_t xsave_features_first, xsave_features_child;
uint64_t xsave_first_size;
static bool have_xsave;

uint64_t xsave_size(uint64_t features)
{
    uint64_t size = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;
    for (uint32_t i = 2; i < 63; i++) {
        if (!(features & BIT(i)))
            continue;
        struct cpuid_regs r = cpuid(0xD, i); /* SDM 13.2: eax size, ebx standard-format offset */
        size = max_u64(size, (uint64_t)r.eax + r.ebx);
    }
    return size;
}

uint64_t xsave_fit(uint64_t features, uint64_t limit)
{
    if (xsave_size(features) <= limit)
        return features;
    features &= ~XFEATURE_AMX;
    if (xsave_size(features) > limit)
        features &= ~XFEATURE_AVX512;
    if (xsave_size(features) > limit)
        features &= XFEATURE_X87_SSE | XFEATURE_AVX;
    if (xsave_size(features) > limit)
        features = XFEATURE_X87_SSE;
    return features;
}

void fpu_init(void)
{
    have_xsave = (cpuid(1, 0).ecx & BIT(26)) != 0;
    if (!have_xsave) {
        xsave_features_first = xsave_features_child = XFEATURE_X87_SSE;
        xsave_first_size = XSAVE_LEGACY_SIZE;
        return;
    }
    struct cpuid_regs r = cpuid(0xD, 0);
    xsave_features_first = (uint64_t)r.edx << 32 | r.eax;
    xsave_first_size = xsave_size(xsave_features_first);
    xsave_features_child = xsave_fit(xsave_features_first, PAGE_SIZE);
}

bool xcr0_valid(uint64_t value, uint64_t features)
{
    if (!(value & 1) || (value & ~features))
        return false;
    if ((value & XFEATURE_AVX) && !(value & 2))
        return false;
    uint64_t mpx = value & (3UL << 3);
    if (mpx != 0 && mpx != (3UL << 3))
        return false;
    uint64_t avx512 = value & XFEATURE_AVX512;
    if (avx512 != 0 && (avx512 != XFEATURE_AVX512 || !(value & XFEATURE_AVX)))
        return false;
    uint64_t amx = value & XFEATURE_AMX;
    return amx == 0 || amx == XFEATURE_AMX;
}

void fpu_reset(struct vp *vp)
{
    memset(vp->xsave, 0, XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE);
    uint8_t *area = vp->xsave;
    *(uint16_t *)(area + XSAVE_FCW) = 0x37F;
    *(uint32_t *)(area + XSAVE_MXCSR) = 0x1F80;
    if (have_xsave)
        *(uint64_t *)(area + XSAVE_XSTATE_BV) = XFEATURE_X87_SSE;
    vp->state.xcr0 = 1;
    if (have_xsave)
        vp->xsave_features = vp->first ? xsave_features_first : xsave_features_child;
}

/* Valid values only: what the processor has, or what the guest once set. */
static inline void write_xcr0(uint64_t value)
{
    __asm__ volatile("xsetbv"
                     :
                     : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

/*
 * The area is saved and restored with every feature of the VP's partition kind
 * switched on, so that state which the guest has turned off in XCR0 survives.
 * Between fpu_save and fpu_restore XCR0 has all that the processor has.
 */
void fpu_enable(void)
{
    if (have_xsave)
        write_xcr0(xsave_features_first);
}

void fpu_save(struct vp *vp)
{
    uint64_t features = vp->xsave_features;
    if (features) {
        vp->state.xcr0 = xgetbv0();
        if (vp->state.xcr0 != xsave_features_first)
            write_xcr0(xsave_features_first);
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(vp->xsave), "a"((uint32_t)features), "d"((uint32_t)(features >> 32))
                         : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(vp->xsave) : "memory");
    }
    vp->state.dr[0] = read_dr0();
    vp->state.dr[1] = read_dr1();
    vp->state.dr[2] = read_dr2();
    vp->state.dr[3] = read_dr3();
}

void fpu_restore(struct vp *vp)
{
    uint64_t features = vp->xsave_features;
    if (features) {
        __asm__ volatile("xrstor64 (%0)"
                         :
                         : "r"(vp->xsave), "a"((uint32_t)features), "d"((uint32_t)(features >> 32))
                         : "memory");
        if (vp->state.xcr0 != xsave_features_first)
            write_xcr0(vp->state.xcr0);
    } else {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(vp->xsave) : "memory");
    }
    write_dr0(vp->state.dr[0]);
    write_dr1(vp->state.dr[1]);
    write_dr2(vp->state.dr[2]);
    write_dr3(vp->state.dr[3]);
}

/* SSE in its initial state is left out of the area by XSAVE (XSTATE_BV bit 1 clear): it is 0. */
void fpu_get_xmm(const struct vp *vp, unsigned n, void *to16)
{
    const uint8_t *area = vp->xsave;
    if (have_xsave && !(*(const uint64_t *)(area + XSAVE_XSTATE_BV) & 2))
        memset(to16, 0, 16);
    else
        memcpy(to16, area + XSAVE_XMM + 16UL * n, 16);
}

void fpu_set_xmm(struct vp *vp, unsigned n, const void *from16)
{
    uint8_t *area = vp->xsave;
    uint64_t *present = (uint64_t *)(area + XSAVE_XSTATE_BV);
    if (have_xsave && !(*present & 2)) {
        memset(area + XSAVE_XMM, 0, 16 * 16UL);
        *present |= 2;
    }
    memcpy(area + XSAVE_XMM + 16UL * n, from16, 16);
}

void fpu_get_low_xmm(const struct vp *vp, void *to96)
{
    for (unsigned n = 0; n < 6; n++)
        fpu_get_xmm(vp, n, (uint8_t *)to96 + 16UL * n);
}

void fpu_read_xcr0(struct vp *vp)
{
    if (have_xsave)
        vp->state.xcr0 = xgetbv0();
}
