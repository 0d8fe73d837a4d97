; SPDX-License-Identifier: MIT
; Programs of the statepage guest: the loop in which the sibling processor waits
; with known registers, and the child's code.

bits 64
default rel
section .text

; void sibling_spin(const struct pattern *): loads rax rcx rdx rbx rbp rsi rdi r8..r15
; and xmm0..5 (in the order of the register page, rsp left out) and waits for ever.
; Only a new rip brings it on: sibling_moved returns.
global sibling_spin, sibling_loop, sibling_loop_end, sibling_moved
global sibling_rsp, sibling_rax
sibling_spin:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [sibling_rsp], rsp
%assign i 0
%rep 6
    movups xmm%[i], [rdi + 128 + 16 * i]
%assign i i + 1
%endrep
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
    mov dword [sibling_ready], 1
sibling_loop:
    pause
    jmp sibling_loop
sibling_loop_end:
    ud2
sibling_moved:
    mov [sibling_rax], rax
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

section .bss
alignb 8
sibling_rsp: resq 1
sibling_rax: resq 1
global sibling_ready
sibling_ready: resd 1

; The child, copied into its memory and run there in long mode, so nothing here
; may depend on its place.
section .rodata
global child_program, child_first_out, child_detour, child_program_end
child_program:
    mov rax, 0x1111111111111111
    mov rcx, 0x2222222222222222
    mov rdx, 0x3333333333333333
    mov rbx, 0x4444444444444444
    mov rbp, 0x5555555555555555
    mov rsi, 0x6666666666666666
    mov rdi, 0x7777777777777777
    mov r8, 0x8888888888888888
    mov r15, 0xFFFFFFFF11111111
child_first_out:
    out 0x42, al
    mov al, 0x0A                ; the straight road
    out 0x43, al
    hlt
child_detour:
    out 0x44, al                ; the detour: al is what the page made it
    hlt
child_program_end:

section .note.GNU-stack noalloc noexec nowrite progbits
