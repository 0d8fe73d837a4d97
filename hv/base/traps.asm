; SPDX-License-Identifier: MIT
; Interrupt and exception entry of the hypervisor itself, and the few routines
; whose faults are expected. Interrupts are off in the hypervisor: what arrives
; here is an NMI, a bug, or one of the *_safe instructions below.

bits 64
default rel
%include "offsets.inc"
%include "hv/base/registers.inc"

extern trap_handler

section .text

; One stub for each vector, of equal size, which is known to hv/base/traps.c. A vector from 32 on
; is an interrupt that we never enabled.
%define STUB_SIZE 12
%define HAS_ERROR_CODE(v) \
    (v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30)
global trap_stubs
trap_stubs:
%assign vector 0
%rep 256
%if !HAS_ERROR_CODE(vector)
    push 0                      ; none from the processor
%endif
    push dword vector
    jmp near trap_common
%assign vector vector + 1
    times STUB_SIZE * vector - ($ - trap_stubs) nop
%endrep

%define ALL rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
trap_common:                    ; struct trap_frame
    push_all ALL
    mov rdi, rsp
    cld
    call trap_handler
    pop_all ALL
    add rsp, 16
    iretq

; void cpu_wait(struct cpu *): halts unless cpu->kicked is set. An NMI
; between the check and the HLT would be lost; the handler moves such a RIP on
; to cpu_wait_done.
global cpu_wait
cpu_wait:
    cmp dword [rdi + CPU_KICKED], 0
    jne cpu_wait_done
    hlt
cpu_wait_done:
    ret

; Where an NMI must not be lost: from the first address on, before the second, it goes on at the
; third (struct nmi_window of hv/base/traps.c). The backends have their own.
section .nmi_windows
    dq cpu_wait, cpu_wait_done, cpu_wait_done
section .text

; An instruction whose #GP goes on at safe_failed (traps.c looks it up).
%macro safe 1
section .safe_instructions
    dq %%instruction
section .text
%%instruction:
    %1
%endmacro

; bool rdmsr_safe(uint32_t msr, uint64_t *value)
global rdmsr_safe, safe_failed
rdmsr_safe:
    mov ecx, edi
    safe rdmsr
    shl rdx, 32
    or rax, rdx
    mov [rsi], rax
    mov eax, 1
    ret

; bool wrmsr_safe(uint32_t msr, uint64_t value)
global wrmsr_safe
wrmsr_safe:
    mov ecx, edi
    mov rax, rsi
    mov rdx, rsi
    shr rdx, 32
    safe wrmsr
    mov eax, 1
    ret

; bool xsetbv_safe(uint64_t value)
global xsetbv_safe
xsetbv_safe:
    xor ecx, ecx
    mov rax, rdi
    mov rdx, rdi
    shr rdx, 32
    safe xsetbv
    mov eax, 1
    ret

safe_failed:                    ; where #GP on one of the three goes on
    xor eax, eax
    ret

; void cpu_load_tables(const void *gdtr, const void *idtr)
global cpu_load_tables
cpu_load_tables:
    lgdt [rdi]
    lidt [rsi]
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    push 0x08
    lea rax, [.flushed]
    push rax
    retfq
.flushed:
    mov ax, 0x20
    ltr ax
    ret

; _Noreturn void call_on_stack(uint64_t stack_top, void (*function)(void *), void *argument)
global call_on_stack
call_on_stack:
    mov rsp, rdi
    mov rdi, rdx
    xor ebp, ebp
    call rsi
    ud2

section .note.GNU-stack noalloc noexec nowrite progbits
