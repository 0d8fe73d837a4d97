; SPDX-License-Identifier: MIT
; The way of an application processor from its start-up IPI to hv_ap_main. The code between
; trampoline_start and trampoline_end is copied to a page below 640 KiB (boot/smp.c), which fills
; in the parameters at its end.

CR0_PROTECTED   equ 0x00000033          ; NE ET MP PE; caches on
CR0_PAGING      equ 0x80010033          ; PG WP NE ET MP PE
CR4_PAE         equ 0x20
MSR_EFER        equ 0xC0000080
EFER_LME_NXE    equ 0x900

%include "offsets.inc"

extern boot_gdt_pointer, hv_ap_main
global trampoline_start, trampoline_parameters, trampoline_end, trampoline_long_mode

section .rodata
align 16
bits 16
trampoline_start:
        cli
        cld
        xor ebx, ebx
        mov bx, cs
        mov ds, bx
        shl ebx, 4                      ; the page's address
        lea eax, [ebx + gdt - trampoline_start]
        mov [gdt_base - trampoline_start], eax
        lea eax, [ebx + protected - trampoline_start]
        mov [protected_pointer - trampoline_start], eax
        lea eax, [ebx + long_mode - trampoline_start]
        mov [long_pointer - trampoline_start], eax
        o32 lgdt [gdt_pointer - trampoline_start]
        mov eax, CR0_PROTECTED
        mov cr0, eax
        jmp dword far [protected_pointer - trampoline_start]

bits 32
protected:
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov eax, CR4_PAE
        mov cr4, eax
        mov eax, [ebx + trampoline_parameters - trampoline_start]
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME_NXE
        wrmsr
        mov eax, CR0_PAGING
        mov cr0, eax
        jmp far [ebx + long_pointer - trampoline_start]

bits 64
long_mode:
        mov rsi, [rbx + trampoline_parameters - trampoline_start + 8]
        mov rdi, [rbx + trampoline_parameters - trampoline_start + 16]
        mov rax, [rbx + trampoline_parameters - trampoline_start + 24]
        jmp rax

align 8
gdt:    dq 0
        dq 0x00CF9B000000FFFF           ; 0x08: 32-bit code
        dq 0x00CF93000000FFFF           ; 0x10: data
        dq 0x00AF9B000000FFFF           ; 0x18: 64-bit code
gdt_pointer:
        dw gdt_pointer - gdt - 1
gdt_base:
        dd 0
align 4
protected_pointer:
        dd 0
        dw 0x08
align 4
long_pointer:
        dd 0
        dw 0x18
align 8
trampoline_parameters:                  ; struct trampoline_parameters, boot/smp.c
        times 4 dq 0
trampoline_end:

section .text
bits 64
; In the image now: rsi final page tables, rdi cpu.
trampoline_long_mode:
        mov cr3, rsi
        lgdt [boot_gdt_pointer]
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        mov rsp, [rdi + CPU_STACK_TOP]
        push 0x08
        mov eax, .reloaded
        push rax
        o64 retf
.reloaded:
        xor ebp, ebp
        call hv_ap_main
.halt:  hlt
        jmp .halt
