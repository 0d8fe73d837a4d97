/* SPDX-License-Identifier: MIT */
/* Not linked: compiled to assembly, from which the build makes build/offsets.inc for nasm. */
#include "hv/base/cpu.h"
#include "hv/model/vp.h"
#include "vmx/vmx.h"

#define NUMBER(name, value)        __asm__ volatile("@@" #name " %0" : : "i"(value))
#define OFFSET(name, type, member) NUMBER(name, offsetof(type, member))

void offsets(void);
void offsets(void)
{
    OFFSET(CPU_STACK_TOP, struct cpu, stack_top);
    OFFSET(CPU_KICKED, struct cpu, kicked);
    OFFSET(CPU_HOST_SAVE, struct cpu, host_save_spa);
    OFFSET(VP_GPR, struct vp, state.gpr);
    OFFSET(VP_FIRST, struct vp, first);
    NUMBER(VMCS_HOST_RSP, VMCS_HOST_RSP);
    NUMBER(VMX_KICKED, VMX_KICKED);
    NUMBER(VMX_FAILED, VMX_FAILED);
}
