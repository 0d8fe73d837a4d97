; SPDX-License-Identifier: MIT
; Hypercalls with every register under control, from 64-bit and 32-bit code.

%include "guests/lib/layout.inc"

%define RFLAGS  128             ; struct hypercall_registers
%define ENTRY   136
%define XMM     144

bits 64
default rel
section .text

; uint64_t hypercall(uint64_t control, uint64_t input, uint64_t output)
global hypercall
extern hypercall_page
hypercall:
    mov rcx, rdi
    mov r8, rdx
    mov rdx, rsi
    jmp hypercall_page

%macro SAVE_CALLEE 0
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
%endmacro
%macro RESTORE_CALLEE 0
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
%endmacro

%macro FOR_XMM 1
%assign i 0
%rep 6
    %1 i
%assign i i + 1
%endrep
%endmacro
%macro LOAD_XMM 1
    movups xmm%1, [rdi + XMM + 16 * %1]
%endmacro
%macro STORE_XMM 1
    movups [rdi + XMM + 16 * %1], xmm%1
%endmacro

; void hypercall_raw(struct hypercall_registers *)
global hypercall_raw
hypercall_raw:
    SAVE_CALLEE
    push rdi
    push qword [rdi + ENTRY]
    FOR_XMM LOAD_XMM
    push qword [rdi + RFLAGS]
    popfq
    mov rax, [rdi + 0 * 8]
    mov rcx, [rdi + 1 * 8]
    mov rdx, [rdi + 2 * 8]
    mov rbx, [rdi + 3 * 8]
    mov rbp, [rdi + 5 * 8]
    mov rsi, [rdi + 6 * 8]
    mov r8, [rdi + 8 * 8]
    mov r9, [rdi + 9 * 8]
    mov r10, [rdi + 10 * 8]
    mov r11, [rdi + 11 * 8]
    mov r12, [rdi + 12 * 8]
    mov r13, [rdi + 13 * 8]
    mov r14, [rdi + 14 * 8]
    mov r15, [rdi + 15 * 8]
    mov rdi, [rdi + 7 * 8]
    call [rsp]
    mov [rsp], rdi
    mov rdi, [rsp + 8]
    mov [rdi + 0 * 8], rax
    mov [rdi + 1 * 8], rcx
    mov [rdi + 2 * 8], rdx
    mov [rdi + 3 * 8], rbx
    mov [rdi + 5 * 8], rbp
    mov [rdi + 6 * 8], rsi
    pop qword [rdi + 7 * 8]
    mov [rdi + 8 * 8], r8
    mov [rdi + 9 * 8], r9
    mov [rdi + 10 * 8], r10
    mov [rdi + 11 * 8], r11
    mov [rdi + 12 * 8], r12
    mov [rdi + 13 * 8], r13
    mov [rdi + 14 * 8], r14
    mov [rdi + 15 * 8], r15
    pushfq
    pop qword [rdi + RFLAGS]
    FOR_XMM STORE_XMM
    push 2
    popfq
    pop rdi
    RESTORE_CALLEE
    ret

; void hypercall_raw32(struct hypercall_registers *, bool legacy)
global hypercall_raw32
hypercall_raw32:
    SAVE_CALLEE
    FOR_XMM LOAD_XMM
    push SELECTOR_CODE32
    lea rax, [compatible]
    push rax
    retfq

bits 32
default abs
compatible:
    mov eax, SELECTOR_DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    push esi
    push edi
    test esi, esi
    jz .call
    mov eax, cr0
    and eax, 0x7FFFFFFF         ; paging off: EFER.LMA becomes 0
    mov cr0, eax
.call:
    push dword [edi + ENTRY]
    push dword [edi + RFLAGS]
    popfd
    mov eax, [edi + 0 * 8]
    mov ecx, [edi + 1 * 8]
    mov edx, [edi + 2 * 8]
    mov ebx, [edi + 3 * 8]
    mov ebp, [edi + 5 * 8]
    mov esi, [edi + 6 * 8]
    mov edi, [edi + 7 * 8]
    call [esp]
    mov [esp], edi
    mov edi, [esp + 4]
    mov [edi + 0 * 8], eax
    mov [edi + 1 * 8], ecx
    mov [edi + 2 * 8], edx
    mov [edi + 3 * 8], ebx
    mov [edi + 5 * 8], ebp
    mov [edi + 6 * 8], esi
    pop dword [edi + 7 * 8]
    pushfd
    pop dword [edi + RFLAGS]
    push dword 2
    popfd
    pop edi
    pop esi
    test esi, esi
    jz .back
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
.back:
    jmp SELECTOR_CODE64:long_again

bits 64
default rel
long_again:
    mov eax, edi
    mov rdi, rax
    FOR_XMM STORE_XMM
    RESTORE_CALLEE
    ret

global direct_vmcall, direct_vmmcall
direct_vmcall:
    vmcall
    ret
direct_vmmcall:
    vmmcall
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
