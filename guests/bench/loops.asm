; SPDX-License-Identifier: MIT
; The loops that guests/bench measures, and what its child runs.

bits 64
default rel
extern hypercall_page
section .text

global bench_hypercalls, bench_cpuids, bench_rdmsrs, bench_nothing, bench_break
bench_hypercalls:
    push rbx
    mov rbx, rdi
    mov rcx, rsi
    mov r8, rdx
    xor edx, edx
.again:
    call hypercall_page
    dec rbx
    jnz .again
    pop rbx
    ret

bench_cpuids:
    push rbx
    mov rsi, rdi
.again:
    xor eax, eax
    cpuid
    dec rsi
    jnz .again
    pop rbx
    ret

bench_rdmsrs:
    mov ecx, esi
.again:
    rdmsr
    dec rdi
    jnz .again
    ret

bench_nothing:
    dec rdi
    jnz bench_nothing
    ret

bench_break:
    xchg bx, bx
    ret

section .rodata
global bench_out, bench_out_end, bench_touch, bench_touch_end
bench_out:
    out 0x42, al
    jmp bench_out
bench_out_end:

bench_touch:
    rdtsc
    mov rbx, [abs 0x10000000]
    hlt
bench_touch_end:

section .note.GNU-stack noalloc noexec nowrite progbits
