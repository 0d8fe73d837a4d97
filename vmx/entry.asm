; The VT-x world switch: loads the guest's general registers, enters, and when the
; guest exits goes on in the decoder (SDM 27, 28).
%include "offsets.inc"

extern vmx_exited, vmx_not_entered
global vmx_launch, vmx_resume, vmx_exit_point

HOST_RSP_FIELD equ 0x6C14
KICKED equ 1
FAILED equ 2

%define GPR(number) VP_GPR + 8 * number ; in the order of enum gpr
%macro each_register 1
%assign n 8
%rep 8
    %1 n, r %+ n
%assign n n + 1
%endrep
    %1 0, rax
    %1 1, rcx
    %1 2, rdx
    %1 3, rbx
    %1 5, rbp
    %1 6, rsi
%endmacro
%macro load_register 2
    mov %2, [rdi + GPR(%1)]
%endmacro
%macro store_register 2
    mov [rdi + GPR(%1)], %2
%endmacro
%macro push_all 1-*
%rep %0
    push %1
%rotate 1
%endrep
%endmacro
%macro pop_all 1-*
%rep %0
    pop %1
%rotate 1
%endrep
%endmacro
%macro begin 0
    push_all rbx, rbp, r12, r13, r14, r15, rdi, rsi
    mov eax, HOST_RSP_FIELD
    vmwrite rax, rsp
%endmacro
%macro enter_by 1
    cmp dword [gs:CPU_KICKED], 0
    jne vmx_entry_abort
    each_register load_register
    load_register 7, rdi
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
    mov edx, FAILED
    jmp not_entered
vmx_entry_abort: ; what was loaded is in struct vp as well
    mov edx, KICKED
not_entered:
    pop_all rsi, rdi, r15, r14, r13, r12, rbp, rbx
    jmp vmx_not_entered
vmx_exit_point: ; RSP is as it was at the entry
    push rdi
    mov rdi, [rsp + 16]
    each_register store_register
    pop qword [rdi + GPR(7)]
    pop_all rsi, rdi, r15, r14, r13, r12, rbp, rbx
    jmp vmx_exited

section .note.GNU-stack noalloc noexec nowrite progbits
