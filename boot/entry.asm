; SPDX-License-Identifier: MIT
; Multiboot headers and the 32-bit entry: checks for long mode, builds early page
; tables, goes to C.
;
; Early page tables: the first 1 GiB identity-mapped but for the image, which shows at 1 GiB; the
; first 4 GiB at 0xFFFF800000000000 (hv/base/phys.h). boot/paging.c replaces them.

IMAGE_SHIFT     equ 0x3FE00000          ; boot/link.ld
%define PHYS(symbol) (symbol - IMAGE_SHIFT)

STACK_SIZE      equ 32768

PTE_TABLE       equ 0x03                ; present, writable
PTE_LARGE       equ 0x83                ; present, writable, 2 MiB
PTE_NX_HIGH     equ 0x80000000          ; bit 63

CR0_VALUE       equ 0x80010033          ; PG WP NE ET MP PE; caches on
CR4_PAE         equ 0x20
MSR_EFER        equ 0xC0000080
EFER_LME_NXE    equ 0x900

COM1            equ 0x3F8

extern boot_main
global boot_entry, boot_stack_top, boot_gdt_pointer, boot_relocate, early_direct_pdpt

section .boot progbits alloc exec nowrite align=4096

; Multiboot 1: flags: modules page-aligned, memory information
align 8
        dd 0x1BADB002, 0x00000003, -(0x1BADB002 + 0x00000003)

; Multiboot 2
align 8
multiboot2_header:
        dd 0xE85250D6, 0, multiboot2_end - multiboot2_header
        dd -(0xE85250D6 + (multiboot2_end - multiboot2_header))
        dw 6, 0                         ; modules page-aligned
        dd 8
        dw 0, 0                         ; end
        dd 8
multiboot2_end:

bits 32
boot_entry:
        cli
        cld
        mov esi, eax                    ; the loader's magic number
        mov edi, ebx                    ; its information structure
        mov esp, PHYS(boot_stack_top)
        call check_processor            ; stops when there is no long mode
        rdtsc
        mov [PHYS(entry_tsc)], eax
        mov [PHYS(entry_tsc) + 4], edx

        ; four page directories for the first 4 GiB
        mov eax, PTE_LARGE
        mov ebx, PHYS(early_directories)
        mov ecx, 4 * 512
.fill:  mov [ebx], eax
        mov dword [ebx + 4], 0
        add eax, 0x200000
        add ebx, 8
        dec ecx
        jnz .fill

        mov eax, PHYS(early_directories) + PTE_TABLE
        mov [PHYS(early_low_pdpt)], eax
        mov ebx, PHYS(early_direct_pdpt)
        mov ecx, 4
.link:  mov [ebx], eax
        add eax, 4096
        add ebx, 8
        dec ecx
        jnz .link

        ; 16 MiB of image at 1 GiB
        mov eax, 0x200000 + PTE_LARGE
        mov ebx, PHYS(early_image_directory)
        mov ecx, 8
.image: mov [ebx], eax
        add eax, 0x200000
        add ebx, 8
        dec ecx
        jnz .image
        mov dword [PHYS(early_low_pdpt) + 8], PHYS(early_image_directory) + PTE_TABLE

        mov dword [PHYS(early_pml4)], PHYS(early_low_pdpt) + PTE_TABLE
        mov dword [PHYS(early_pml4) + 256 * 8], PHYS(early_direct_pdpt) + PTE_TABLE
        mov dword [PHYS(early_pml4) + 256 * 8 + 4], PTE_NX_HIGH

        mov eax, CR4_PAE
        mov cr4, eax
        mov eax, PHYS(early_pml4)
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME_NXE
        wrmsr
        mov eax, CR0_VALUE
        mov cr0, eax
        lgdt [low_gdt_pointer]
        jmp 0x08:.long

bits 64
.long:  mov eax, high_entry
        jmp rax

bits 32
; Keeps esi, edi. Prints and stops when long mode or no-execute pages are missing.
check_processor:
        pushfd                          ; CPUID exists when EFLAGS.ID can be changed
        pop eax
        mov ecx, eax
        xor eax, 1 << 21
        push eax
        popfd
        pushfd
        pop eax
        push ecx
        popfd
        xor eax, ecx
        test eax, 1 << 21
        mov edx, no_long_mode
        jz .stop
        mov eax, 0x80000000
        cpuid
        cmp eax, 0x80000001
        mov edx, no_long_mode
        jb .stop
        mov eax, 0x80000001
        cpuid
        mov eax, edx
        mov edx, no_long_mode
        test eax, 1 << 29
        jz .stop
        mov edx, no_nx
        test eax, 1 << 20
        jz .stop
        ret

.stop:  mov esi, edx
        mov dx, COM1 + 3                ; 115200 8N1
        mov al, 0x80
        out dx, al
        mov dx, COM1
        mov al, 1
        out dx, al
        mov dx, COM1 + 1
        mov al, 0
        out dx, al
        mov dx, COM1 + 3
        mov al, 3
        out dx, al
.char:  mov ecx, 1000000                ; a missing UART must not hold us here
.busy:  mov dx, COM1 + 5
        in al, dx
        test al, 0x20
        jnz .ready
        dec ecx
        jnz .busy
.ready: lodsb
        test al, al
        jz .halt
        mov dx, COM1
        out dx, al
        jmp .char
.halt:  cli
        hlt
        jmp .halt

no_long_mode:
        db "vellum: this processor has no 64-bit mode, in which Vellum runs", 10
        db "vellum: stopped", 10, 0
no_nx:  db "vellum: this processor has no no-execute pages (NX), which Vellum needs to keep "
        db "its data from being run", 10, "vellum: stopped", 10, 0

align 8
low_gdt:
        dq 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF
low_gdt_end:
low_gdt_pointer:
        dw low_gdt_end - low_gdt - 1
        dd low_gdt

section .text
bits 64
high_entry:
        lgdt [boot_gdt_pointer]
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        mov rsp, boot_stack_top
        xchg edi, esi                   ; zero-extends: magic, information
        mov rdx, [entry_tsc]
        xor ebp, ebp
        call boot_main
.halt:  hlt
        jmp .halt

; void boot_relocate(void *to, const void *from, uint64_t qwords, uint64_t cr3)
; Copies the image, this stack included, and goes on in the copy: nothing may be written between.
boot_relocate:
        mov rax, rcx
        mov rcx, rdx
        rep movsq
        mov cr3, rax
        ret

section .rodata
align 8
boot_gdt:                               ; selectors as in hv/base/cpu.h
        dq 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF
boot_gdt_end:
boot_gdt_pointer:
        dw boot_gdt_end - boot_gdt - 1
        dq boot_gdt

section .bss nobits alloc write align=4096
early_pml4:             resb 4096
early_low_pdpt:         resb 4096
early_direct_pdpt:      resb 4096
early_image_directory:  resb 4096
early_directories:      resb 4 * 4096
boot_stack:             resb STACK_SIZE
boot_stack_top:
entry_tsc:              resq 1
