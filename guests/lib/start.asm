; SPDX-License-Identifier: MIT
; Entry of every bundled guest: from the Multiboot 1 state (32-bit protected
; mode, no paging) to C in long mode, with the first 4 GiB identity mapped. And
; the trampoline through which the other processors come the same way.

%include "guests/lib/layout.inc"

extern guest_start, cpu_start
extern boot_cpu_area

section .multiboot
align 4
multiboot_header:
    dd 0x1BADB002
    dd 0x3                      ; page-aligned modules, memory map
    dd -(0x1BADB002 + 0x3)

section .bss
align 4096
global boot_pml4
boot_pml4:  resb 4096
boot_pdpt:  resb 4096
boot_pd:    resb 4 * 4096

section .text
bits 32
global start
start:
    cli
    cld
    mov esp, boot_cpu_area + CPU_AREA_SIZE
    mov esi, eax                ; magic
    mov edi, ebx                ; information

    mov dword [boot_pml4], boot_pdpt + PTE_TABLE
    mov ecx, 3
.pdpt:
    mov eax, ecx
    shl eax, 12
    add eax, boot_pd + PTE_TABLE
    mov [boot_pdpt + ecx * 8], eax
    dec ecx
    jns .pdpt
    xor ecx, ecx
.pd:
    mov eax, ecx
    shl eax, 21
    or eax, PTE_LARGE
    mov [boot_pd + ecx * 8], eax
    inc ecx
    cmp ecx, 4 * 512
    jb .pd

    mov eax, boot_pml4
    call enable_paging
    lgdt [boot_gdtr]
    jmp 0x08:.long

bits 64
.long:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov edx, edi
    mov edi, esi
    mov esi, edx
    xor ebp, ebp
    call guest_start            ; (magic, information)
    ud2

; eax: page tables. Long mode needs a far jump after this.
bits 32
enable_paging:
    mov cr3, eax
    mov eax, cr4
    or eax, (1 << 5) | (1 << 9) | (1 << 10) ; PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov ecx, 0xC0000080
    rdmsr
    or eax, 1 << 8              ; LME
    wrmsr
    mov eax, cr0
    and eax, ~((1 << 2) | (1 << 3) | (1 << 29) | (1 << 30)) ; EM, TS, NW, CD
    or eax, (1 << 31) | (1 << 16) | (1 << 5) | (1 << 1) | 1 ; PG, WP, NE, MP, PE
    mov cr0, eax
    ret

; Another processor, in 32-bit protected mode with flat segments.
ap_protected:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, [TRAMPOLINE + ap_stack - ap_trampoline]
    mov eax, [TRAMPOLINE + ap_cr3 - ap_trampoline]
    call enable_paging
    lgdt [boot_gdtr]
    jmp 0x08:.long
bits 64
.long:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov rsp, [TRAMPOLINE + ap_stack - ap_trampoline]
    xor ebp, ebp
    call cpu_start
    ud2

; Copied to TRAMPOLINE; a start-up IPI enters it in real mode with CS:IP = its page:0.
bits 16
global ap_trampoline, ap_trampoline_end, ap_stack, ap_cr3
ap_trampoline:
    cli
    xor ax, ax
    mov ds, ax
    o32 lgdt [TRAMPOLINE + .gdtr - ap_trampoline]
    mov eax, cr0
    and eax, ~((1 << 29) | (1 << 30))
    or eax, 1
    mov cr0, eax
    jmp dword 0x18:ap_protected
align 8
.gdtr:
    dw 0x3F
    dd boot_gdt
align 8
ap_stack: dq 0
ap_cr3:   dq 0
ap_trampoline_end:

section .rodata
align 8
; The same first selectors as each processor's own table (cpu.c).
boot_gdt:
    dq 0
    dq 0x00AF9B000000FFFF       ; 0x08 64-bit code
    dq 0x00CF93000000FFFF       ; 0x10 data
    dq 0x00CF9B000000FFFF       ; 0x18 32-bit code
    dq 0, 0, 0, 0
boot_gdtr:
    dw $ - boot_gdt - 1
    dq boot_gdt

section .note.GNU-stack noalloc noexec nowrite progbits
