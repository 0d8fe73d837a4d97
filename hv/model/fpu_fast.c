/* SPDX-License-Identifier: MIT */
/*
 * XMM0..5 of the VP whose they are, straight from the processor: what fpu_get_low_xmm finds
 * after fpu_save. Saves 151 in a dispatch that ends in an I/O intercept.
 */
#include "hv/model/fpu.h"

void fpu_read_low_xmm(void *to96)
{
    __asm__ volatile("movups %%xmm0, (%0)\n\t"
                     "movups %%xmm1, 16(%0)\n\t"
                     "movups %%xmm2, 32(%0)\n\t"
                     "movups %%xmm3, 48(%0)\n\t"
                     "movups %%xmm4, 64(%0)\n\t"
                     "movups %%xmm5, 80(%0)"
                     :
                     : "r"(to96)
                     : "memory");
}
