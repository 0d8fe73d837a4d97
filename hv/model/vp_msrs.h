/* SPDX-License-Identifier: MIT */
/*
 * The registers of a VP that are MSRs, one row each: X(member, NAME, check). From a row come
 * the member of struct vp_state, the names HV_REGISTER_NAME and MSR_NAME, where each backend
 * keeps it, and what a value must be (CHECK_check of hv/model/rules.h).
 */
#ifndef HV_MODEL_VP_MSRS_H
#define HV_MODEL_VP_MSRS_H

/* VT-x: VMCS_GUEST_NAME. AMD-V: `member` of the save area, by VMLOAD and VMSAVE. */
#define VP_MSRS_SYSENTER(X)                                                                        \
    X(sysenter_cs, SYSENTER_CS, 32_BITS)                                                           \
    X(sysenter_esp, SYSENTER_ESP, CANONICAL)                                                       \
    X(sysenter_eip, SYSENTER_EIP, CANONICAL)

/* VT-x: in the processor, written at a switch if they differ. AMD-V: as above. */
#define VP_MSRS_SYSCALL(X)                                                                         \
    X(star, STAR, NONE)                                                                            \
    X(lstar, LSTAR, CANONICAL)                                                                     \
    X(cstar, CSTAR, CANONICAL)                                                                     \
    X(sfmask, SFMASK, 32_BITS)

/* The same, but that SWAPGS changes it, too. */
#define VP_MSRS_GS(X) X(kernel_gs_base, KERNEL_GS_BASE, CANONICAL)

/* VT-x: VMCS_GUEST_NAME. AMD-V: `member` of the save area, by VMRUN, with a clean bit. */
#define VP_MSRS_PAT(X) X(pat, PAT, PAT)

#define VP_MSRS(X) VP_MSRS_PAT(X) VP_MSRS_SYSENTER(X) VP_MSRS_SYSCALL(X) VP_MSRS_GS(X)

#endif
