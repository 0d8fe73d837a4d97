; Interrupt and exception entry of the hypervisor itself, and the few routines
; whose faults are expected. Interrupts are off in the hypervisor: what arrives
; here is an NMI, a bug, or one of the *_safe instructions below.

bits 64
default rel
%include "offsets.inc"

extern trap_handler

section .text

%macro STUB 1
trap_%1:
%if !(%1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30)
    push 0                      ; no error code from the processor
%endif
    push %1
    jmp trap_common
%endmacro

%assign vector 0
%rep 32
STUB vector
%assign vector vector + 1
%endrep

; Anything from 32 on is an interrupt that we never enabled: stubs of equal size, told by their
; vector. OTHER_STUB_SIZE is known to hv/base/traps.c.
%define OTHER_STUB_SIZE 12
global trap_others
trap_others:
%rep 224
    push 0
    push dword vector
    jmp near trap_common
    times OTHER_STUB_SIZE * (vector - 31) - ($ - trap_others) nop
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
    mov rdi, rsp
    cld
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

; bool rdmsr_safe(uint32_t msr, uint64_t *value)
global rdmsr_safe, rdmsr_safe_instruction, safe_failed
rdmsr_safe:
    mov ecx, edi
rdmsr_safe_instruction:
    rdmsr
    shl rdx, 32
    or rax, rdx
    mov [rsi], rax
    mov eax, 1
    ret

; bool wrmsr_safe(uint32_t msr, uint64_t value)
global wrmsr_safe, wrmsr_safe_instruction
wrmsr_safe:
    mov ecx, edi
    mov rax, rsi
    mov rdx, rsi
    shr rdx, 32
wrmsr_safe_instruction:
    wrmsr
    mov eax, 1
    ret

; bool xsetbv_safe(uint64_t value)
global xsetbv_safe, xsetbv_safe_instruction
xsetbv_safe:
    xor ecx, ecx
    mov rax, rdi
    mov rdx, rdi
    shr rdx, 32
xsetbv_safe_instruction:
    xsetbv
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

section .rodata
global trap_stubs
align 8
trap_stubs:
%assign vector 0
%rep 32
    dq trap_ %+ vector
%assign vector vector + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
