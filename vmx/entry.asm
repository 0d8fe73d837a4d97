; The VT-x world switch: loads the guest's general registers, enters, and comes
; back like a function when the guest exits (SDM 27, 28).
%include "offsets.inc"

global vmx_enter, vmx_exit_point, vmx_entry_window_start, vmx_entry_window_end, vmx_entry_abort

HOST_RSP_FIELD equ 0x6C14
ENTERED equ 0
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

section .text
; Called from vmx_run alone: RDI is struct vp; every register but RSP, RDI and RSI changes.
; RIP, RSP and RFLAGS of the guest are in the current VMCS. EAX: ENTERED, KICKED or FAILED.
vmx_enter:
    push rdi
    push rsi
    mov eax, HOST_RSP_FIELD
    vmwrite rax, rsp
; A kick sets the flag, then sends an NMI. An NMI before the window leaves the flag
; for us to see; the handler of one inside it goes on at vmx_entry_abort; one after
; it is taken in the guest and exits. So no kick is lost.
vmx_entry_window_start:
    cmp dword [gs:CPU_KICKED], 0
    jne vmx_entry_abort
    cmp byte [rdi + VP_LAUNCHED], 0 ; moving does not change the flags
    each_register load_register
    load_register 7, rdi
    je .launch
    vmresume
    jmp vmx_entry_window_end
.launch:
    vmlaunch
vmx_entry_window_end:
    mov eax, FAILED
    jmp vmx_return
vmx_entry_abort: ; what was loaded is in struct vp as well
    mov eax, KICKED
    jmp vmx_return
vmx_exit_point: ; RSP is as it was at VMLAUNCH
    push rdi
    mov rdi, [rsp + 16]
    each_register store_register
    pop qword [rdi + GPR(7)]
    mov eax, ENTERED
vmx_return:
    pop rsi
    pop rdi
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
