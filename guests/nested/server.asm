; SPDX-License-Identifier: MIT
; What every partition of the nested guest runs, at GPA 0x1000 of its own memory
; in long mode: turns its hypercall page on, then one command after another.
; A stop is an OUT; to go on, the parent moves RIP to server_take.

%define STOP            0x99
%define COMMAND         0x5000  ; operation, three arguments, result
%define HYPERCALL_PAGE  0x2000

default rel
section .rodata
bits 64
global server, server_end, server_stop, server_take
align 16
server:
    mov ecx, 0x40000000         ; guest OS ID
    mov eax, 0x10000
    mov edx, 0x87000000
    wrmsr
    inc ecx
    mov eax, HYPERCALL_PAGE | 1
    xor edx, edx
    wrmsr
server_stop:
    out STOP, al
server_take:
    mov rax, [abs COMMAND]
    mov rcx, [abs COMMAND + 8]
    mov rdx, [abs COMMAND + 16]
    mov r8, [abs COMMAND + 24]
    test eax, eax
    je .hypercall
    dec eax
    je .copy
    dec eax
    je .cpuid
    dec eax
    je .count
    dec eax
    je .halt
    dec eax
    je .out
    dec eax
    je .read
    dec eax
    je .write
    ud2
.hypercall:
    mov r10d, HYPERCALL_PAGE
    call r10
.done:
    mov [abs COMMAND + 32], rax
    jmp server_stop
.copy:                          ; destination, source, bytes
    mov rdi, rcx
    mov rsi, rdx
    mov rcx, r8
    rep movsb
    jmp server_stop
.cpuid:                         ; leaf; EBX:EAX
    mov eax, ecx
    xor ecx, ecx
    cpuid
    shl rbx, 32
    or rax, rbx
    jmp .done
.count:
    pause                       ; lets a hypervisor look that an emulator tells of no interrupt
    inc qword [rcx]
    cmp qword [rdx], 0
    je .count
    jmp server_stop
.halt:
    hlt
    jmp server_stop
.out:                           ; port, value
    mov rax, rdx
    mov edx, ecx
    out dx, al
    jmp server_stop
.read:
    mov rax, [rcx]
    jmp .done
.write:
    mov [rcx], rdx
    jmp server_stop
server_end:

section .note.GNU-stack noalloc noexec nowrite progbits
