; SPDX-License-Identifier: MIT
; Trap stubs of a bundled guest, and the calls that survive an exception.

%include "guests/lib/layout.inc"

extern trap_handler

bits 64
default rel
section .text

%macro STUB 1
trap_%1:
%if !(%1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30)
    push 0
%endif
    push strict dword %1
    jmp trap_common
%endmacro

%assign vector 0
%rep 256
STUB vector
%assign vector vector + 1
%endrep

trap_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    call trap_handler
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

; bool try_call_asm(void (*function)(void *), void *argument, uint64_t *recovery_rsp)
; The trap handler goes on at try_call_failed with the RSP that was stored.
global try_call_asm, try_call_failed
try_call_asm:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    push rdx
    mov [rdx], rsp
    mov rax, rdi
    mov rdi, rsi
    call rax
    mov eax, 1
    jmp try_call_return
try_call_failed:
    mov eax, SELECTOR_DATA
    mov ds, ax
    mov es, ax
    xor eax, eax
try_call_return:
    pop rdx
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

; void user_enter(void *arguments[3]): function, its argument, user stack. Comes back only
; by a trap.
global user_enter
user_enter:
    mov rcx, [rdi]
    mov rax, [rdi + 16]
    mov rdi, [rdi + 8]
    push SELECTOR_USER_DATA
    push rax
    push 2
    push SELECTOR_USER_CODE
    lea rax, [user_entry]
    push rax
    iretq
user_entry:
    call rcx
    int 0x80
    ud2

; void rdmsr_asm(uint64_t *arguments) and the like: number, value. Run under try_call.
global rdmsr_asm, wrmsr_asm, xsetbv_asm
rdmsr_asm:
    mov rcx, [rdi]
    rdmsr
    shl rdx, 32
    or rax, rdx
    mov [rdi + 8], rax
    ret
wrmsr_asm:
    mov rcx, [rdi]
    mov rax, [rdi + 8]
    mov rdx, rax
    shr rdx, 32
    wrmsr
    ret
xsetbv_asm:
    mov rcx, [rdi]
    mov rax, [rdi + 8]
    mov rdx, rax
    shr rdx, 32
    xsetbv
    ret

; void load_descriptor_tables(const void *gdtr, const void *idtr)
global load_descriptor_tables
load_descriptor_tables:
    lgdt [rdi]
    lidt [rsi]
    mov eax, SELECTOR_DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    push SELECTOR_CODE64
    lea rax, [.reloaded]
    push rax
    retfq
.reloaded:
    mov ax, 0x40
    ltr ax
    ret

section .rodata
global trap_stubs
align 8
trap_stubs:
%assign vector 0
%rep 256
    dq trap_ %+ vector
%assign vector vector + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
