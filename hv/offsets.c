/* SPDX-License-Identifier: MIT */
/* Not linked: compiled to assembly, from which the build makes build/offsets.inc for nasm. */
#include "hv/base/cpu.h"
#include "hv/model/vp.h"

#define OFFSET(name, type, member)                                                                 \
    __asm__ volatile("@@" #name " %0" : : "i"(offsetof(type, member)))

void offsets(void);
void offsets(void)
{
    OFFSET(CPU_STACK_TOP, struct cpu, stack_top);
    OFFSET(CPU_KICKED, struct cpu, kicked);
    OFFSET(CPU_HOST_SAVE, struct cpu, host_save_spa);
    OFFSET(VP_GPR, struct vp, state.gpr);
    OFFSET(VP_FIRST, struct vp, first);
}
