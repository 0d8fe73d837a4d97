; SPDX-License-Identifier: MIT
; The VT-x world switch: loads the guest's general registers, enters, and when the
; guest exits goes on in the decoder (SDM 27, 28).
%include "offsets.inc"
%include "hv/base/registers.inc"

extern vmx_exited, vmx_not_entered
global vmx_launch, vmx_resume, vmx_exit_point

%define SAVED rbx, rbp, r12, r13, r14, r15, rdi, rsi
%macro begin 0
    push_all SAVED
    mov eax, VMCS_HOST_RSP
    vmwrite rax, rsp
%endmacro
%macro enter_by 1
    cmp dword [gs:CPU_KICKED], 0
    jne vmx_entry_abort
    each_register load, rdi, VP_GPR
    mov rax, [rdi + VP_GPR]
    mov rdi, [rdi + VP_GPR + 8 * 7]
    %1
%endmacro

section .text
; void vmx_launch(struct vp *, struct exit *), and vmx_resume likewise. RIP, RSP and RFLAGS of the
; guest are in the current VMCS. They end in vmx_exited(vp, exit) or vmx_not_entered(vp, exit, how).
vmx_launch:
    begin
    jmp launch
vmx_resume:
    begin
; A kick sets the flag, then sends an NMI. An NMI before the window leaves the flag
; for us to see; the handler of one inside it goes on at vmx_entry_abort; one after
; it is taken in the guest and exits. So no kick is lost.
section .nmi_windows
    dq vmx_entry_window_start, vmx_entry_window_end, vmx_entry_abort
section .text
vmx_entry_window_start:
    enter_by vmresume
    jmp vmx_entry_window_end
launch:
    enter_by vmlaunch
vmx_entry_window_end:
    mov edx, VMX_FAILED
    jmp not_entered
vmx_entry_abort: ; what was loaded is in struct vp as well
    mov edx, VMX_KICKED
not_entered:
    pop_all SAVED
    jmp vmx_not_entered
vmx_exit_point: ; RSP is as it was at the entry
    push rdi
    mov rdi, [rsp + 16]
    each_register store, rdi, VP_GPR
    mov [rdi + VP_GPR], rax
    pop qword [rdi + VP_GPR + 8 * 7]
    pop_all SAVED
    jmp vmx_exited

section .note.GNU-stack noalloc noexec nowrite progbits
