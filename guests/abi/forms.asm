; SPDX-License-Identifier: MIT
; The hypercall opcode in real mode: out of long mode, down to real mode and back.

%include "guests/lib/layout.inc"

%define REAL_PAGE 0x9000        ; conventional memory that nobody else uses
%define SELECTOR_CODE16 0x30
%define SELECTOR_DATA16 0x38

bits 64
default rel
section .text

; unsigned real_mode_call(bool vmcall)
global real_mode_call
real_mode_call:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [saved_rsp], rsp
    sidt [saved_idtr]
    mov edx, edi
    cld
    lea rsi, [blob]
    mov edi, REAL_PAGE
    mov ecx, blob_end - blob
    rep movsb
    mov al, 0xD9                ; VMMCALL
    test edx, edx
    jz .opcode
    mov al, 0xC1                ; VMCALL
.opcode:
    mov [abs REAL_PAGE + (blob_opcode - blob) + 2], al
    push SELECTOR_CODE32
    lea rax, [down]
    push rax
    retfq

bits 32
default abs
down:
    mov eax, cr0
    and eax, 0x7FFFFFFF
    mov cr0, eax
    mov ax, SELECTOR_DATA16
    mov ds, ax
    mov es, ax
    mov ss, ax
    jmp SELECTOR_CODE16:REAL_PAGE

up:
    mov ax, SELECTOR_DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp SELECTOR_CODE64:up_long

bits 64
default rel
up_long:
    mov rsp, [saved_rsp]
    lidt [saved_idtr]
    movzx eax, byte [abs REAL_PAGE + (blob_outcome - blob)]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

section .bss
alignb 8
saved_rsp:  resq 1
saved_idtr: resb 10

section .rodata
bits 16
%define AT(label) (REAL_PAGE + (label - blob))
blob:
    mov eax, cr0
    and al, 0xFE
    mov cr0, eax
    jmp 0:AT(.real)
.real:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, REAL_PAGE + 0xFF0
    o32 lidt [AT(blob_idtr)]
    xor ecx, ecx
blob_opcode:
    vmmcall                     ; the last byte is set above
    mov byte [AT(blob_outcome)], 1
    jmp blob_back
blob_undefined:
    mov byte [AT(blob_outcome)], 2
    jmp blob_back
blob_other:
    mov byte [AT(blob_outcome)], 3
blob_back:
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword SELECTOR_CODE32:up
align 4
blob_idtr:
    dw 4 * 32 - 1
    dd AT(blob_vectors)
align 4
blob_vectors:
%assign vector 0
%rep 32
%if vector == 6
    dw AT(blob_undefined), 0
%else
    dw AT(blob_other), 0
%endif
%assign vector vector + 1
%endrep
blob_outcome: db 0
blob_end:

section .note.GNU-stack noalloc noexec nowrite progbits
