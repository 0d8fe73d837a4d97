; The world switch of AMD-V: void svm_world_switch(struct vp *vp, struct exit *exit, spa_t vmcb).
; It goes on in svm_exited(vp, exit) or svm_not_entered(vp, exit), which return to its caller.
; From the first VMLOAD to the second, gs: is the guest's. GIF is 0 all the way
; (APM 15.17), so that an NMI waits for STGI, when everything is ours again.
%include "offsets.inc"
%define GPR(n) VP_GPR + 8 * (n) ; enum gpr of hv/model/vp.h: rax rcx rdx rbx rsp rbp rsi rdi r8...
%macro EACH_HIGH 2 ; LOAD or STORE r8 to r15, the structure's register
    %assign n 8
    %rep 8
        %1 n, %2
        %assign n n + 1
    %endrep
%endmacro
%macro LOAD 2
    mov r %+ %1, [%2 + GPR(%1)]
%endmacro
%macro STORE 2
    mov [%2 + GPR(%1)], r %+ %1
%endmacro
section .text
global svm_world_switch
extern svm_exited, svm_not_entered
svm_world_switch:
    clgi
    cmp dword [gs:CPU_KICKED], 0 ; a kick from here on is an NMI that exits at once
    jne .kicked
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rsi
    push qword [gs:CPU_HOST_SAVE]
    push rdi
    cmp byte [rdi + VP_FIRST], 0
    jne .interrupts_are_its_own
    sti ; with V_INTR_MASKING the host's IF lets interrupts through to #VMEXIT (APM 15.21.1)
.interrupts_are_its_own:
    mov rax, rdx
    vmload
    EACH_HIGH LOAD, rdi
    mov rcx, [rdi + GPR(1)]
    mov rdx, [rdi + GPR(2)]
    mov rbx, [rdi + GPR(3)]
    mov rbp, [rdi + GPR(5)]
    mov rsi, [rdi + GPR(6)]
    mov rdi, [rdi + GPR(7)]
    vmrun
    vmsave ; RAX is ours again: the VMCB
    mov rax, [rsp]
    EACH_HIGH STORE, rax
    mov [rax + GPR(1)], rcx
    mov [rax + GPR(2)], rdx
    mov [rax + GPR(3)], rbx
    mov [rax + GPR(5)], rbp
    mov [rax + GPR(6)], rsi
    mov [rax + GPR(7)], rdi
    pop rdi
    pop rax
    vmload ; the host's GS, TR and the rest
    cli
    pop rsi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    stgi
    jmp svm_exited
.kicked:
    stgi
    jmp svm_not_entered
