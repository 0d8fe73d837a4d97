; SPDX-License-Identifier: MIT
; What a hostile child runs, at CHILD_CODE in long mode with an IDT of 32 gates
; to attack_stubs. Each attack ends at attack_done by a stop, with the vector of
; the exception that it raised, if any, at VECTOR.

%define STOP    0x99
%define DATA    0x100000
%define VECTOR  DATA                ; 0xFF: none
%define RECOVER DATA + 8            ; where a stub goes on
%define COUNT   DATA + 16
%define STACK   0x80000

default rel
section .rodata
bits 64
global attack_code, attack_code_end, attack_done, attack_stubs
align 16
attack_code:

%macro ATTACK 1
global attack_%1
attack_%1:
%endmacro

ATTACK call                         ; RBX: a function of the parent's, copied here
    mov edi, DATA + 0x1000
    call rbx
    jmp attack_done
ATTACK read
    mov rax, [rbx]
    jmp attack_done
ATTACK write
    mov [rbx], rax
    jmp attack_done
ATTACK modify
    lock add [rbx], rax
    jmp attack_done
ATTACK string
    mov rdi, rbx
    mov ecx, 16
    rep stosb
    jmp attack_done
ATTACK execute
    jmp rbx
ATTACK cr0
    mov cr0, rax
    jmp attack_done
ATTACK cr3
    mov cr3, rax
    mov rax, [abs DATA]
    jmp attack_done
ATTACK cr4
    mov cr4, rax
    jmp attack_done
ATTACK cr8
    mov cr8, rax
    jmp attack_done
ATTACK dr7
    mov dr7, rax
    jmp attack_done
ATTACK xsetbv                       ; RCX, EDX:EAX; turns OSXSAVE on first
    mov r8, cr4
    or r8, 1 << 18
    mov cr4, r8
    xsetbv
    jmp attack_done
ATTACK wrmsr
    wrmsr
    jmp attack_done
ATTACK rdmsr
    rdmsr
    jmp attack_done
ATTACK hypercall                    ; RCX, RDX, R8 are set; RBX: the hypercall page
    call rbx
    jmp attack_done

; RCX .. RSI: reads each MSR; counts those that can be read in R9, wrote in R10.
; Of those it writes what it has read, and RDI.
ATTACK sweep
    xor r9d, r9d
    xor r10d, r10d
.next:
    lea rax, [.unreadable]
    mov [abs RECOVER], rax
    rdmsr
    inc r9
    lea r8, [.unwritable]
    mov [abs RECOVER], r8
    wrmsr
.unwritable:
    mov esp, STACK
    lea r8, [.refused]
    mov [abs RECOVER], r8
    mov rax, rdi
    mov rdx, rdi
    shr rdx, 32
    wrmsr
    inc r10
.refused:
.unreadable:
    mov esp, STACK
    inc ecx
    cmp ecx, esi
    jbe .next
    jmp attack_done

; Each call code RCX .. RSI with RDX and R8 as input and output; R9 counts successes.
ATTACK codes
    xor r9d, r9d
    mov r12, rdx
    mov r13, r8
.next:
    mov rdx, r12
    mov r8, r13
    mov r14, rcx
    call rbx
    mov rcx, r14
    test ax, ax
    jnz .failed
    inc r9
.failed:
    inc rcx
    cmp rcx, rsi
    jbe .next
    jmp attack_done

; RCX with each single bit from 16 on; R9 counts what is not INVALID_HYPERCALL_INPUT.
ATTACK bits
    xor r9d, r9d
    mov r12, rdx
    mov r13, r8
    mov r14, rcx
    mov r15d, 16
.next:
    mov rcx, r14
    bts rcx, r15
    mov rdx, r12
    mov r8, r13
    call rbx
    cmp ax, 3
    je .expected
    inc r9
.expected:
    inc r15d
    cmp r15d, 64
    jb .next
    jmp attack_done

attack_done:
    out STOP, al
    jmp attack_done

align 16
attack_stubs:
%assign v 0
%rep 32
align 16
    mov byte [abs VECTOR], v
    jmp [abs RECOVER]
%assign v v + 1
%endrep
align 16
attack_code_end:

section .note.GNU-stack noalloc noexec nowrite progbits
