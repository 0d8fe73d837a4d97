; SPDX-License-Identifier: MIT
; The world switch of AMD-V: void svm_world_switch(struct vp *vp, struct exit *exit, spa_t vmcb).
; It goes on in svm_exited(vp, exit) or svm_not_entered(vp, exit), which return to its caller.
; From the first VMLOAD to the second, gs: is the guest's. GIF is 0 all the way
; (APM 15.17), so that an NMI waits for STGI, when everything is ours again.
%include "offsets.inc"
%include "hv/base/registers.inc"
%define SAVED rbx, rbp, r12, r13, r14, r15, rsi
section .text
global svm_world_switch
extern svm_exited, svm_not_entered
svm_world_switch:
    clgi
    cmp dword [gs:CPU_KICKED], 0 ; a kick from here on is an NMI that exits at once
    jne .kicked
    push_all SAVED
    push qword [gs:CPU_HOST_SAVE]
    push rdi
    cmp byte [rdi + VP_FIRST], 0
    jne .interrupts_are_its_own
    sti ; with V_INTR_MASKING the host's IF lets interrupts through to #VMEXIT (APM 15.21.1)
.interrupts_are_its_own:
    mov rax, rdx
    vmload
    each_register load, rdi, VP_GPR
    mov rdi, [rdi + VP_GPR + 8 * 7]
    vmrun
    vmsave ; RAX is ours again: the VMCB
    mov rax, [rsp]
    each_register store, rax, VP_GPR
    mov [rax + VP_GPR + 8 * 7], rdi
    pop rdi
    pop rax
    vmload ; the host's GS, TR and the rest
    cli
    pop_all SAVED
    stgi
    jmp svm_exited
.kicked:
    stgi
    jmp svm_not_entered
