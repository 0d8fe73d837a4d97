; SPDX-License-Identifier: MIT
; What the children of this guest run. Each program is copied to CHILD_CODE and
; stops by an intercept; `name` and `name_end` bound it, further labels name
; instructions whose place a message must give.

default rel
section .rodata

%define STOP 0x99               ; port of the programs' own stops
%define DATA 0x100000           ; CHILD_DATA

%macro PROGRAM 1
global %1, %1_end
align 16
%1:
%endmacro
%macro END 1
%1_end:
%endmacro

; ---------------------------------------------------------------- real mode
bits 16
PROGRAM real_io
    mov ax, 0x1234
    out 0x80, al
global real_io_in
real_io_in:
    mov dx, 0x1F0
    in ax, dx
    mov cs:[0x800], ax
    hlt
    jmp real_io
END real_io

PROGRAM real_interrupt          ; INT 0x21 through the table at 0: a 16-bit stack and far return
    xor ax, ax
    mov ds, ax
    mov word [0x21 * 4], 0x1000 + (real_interrupt.handler - real_interrupt)
    mov word [0x21 * 4 + 2], 0
    int 0x21
    hlt
.handler:
    mov bx, 0x5151
    iret
END real_interrupt

; ---------------------------------------------------------------- protected mode
bits 32
PROGRAM protected_io
    mov eax, 0x89ABCDEF
    mov edx, 0x3F8
    out dx, eax
    in al, 0x60
    mov [DATA], al
    hlt
    jmp protected_io
END protected_io

PROGRAM protected_touch
    mov eax, [0x200010]
    hlt
END protected_touch

; ---------------------------------------------------------------- long mode
bits 64
PROGRAM long_io
    mov rax, 0x1122334455667788
    mov edx, 0xCF8
    out dx, eax
    in ax, 0x61
    mov [abs DATA], rax
    hlt
    jmp long_io
END long_io

PROGRAM string_io
    cld
    mov esi, DATA
    mov ecx, 5
    mov edx, 0x70
    rep outsw
    mov edi, DATA + 0x100
    mov edx, 0x71
    insb
    hlt
END string_io

PROGRAM halt
    hlt
    nop
    hlt
END halt

; Changes registers that no state page shows, stops, and stores two of them
PROGRAM hidden
    mov eax, 0xC2C2C2
    mov cr2, rax
    mov word [abs DATA], 0x2F
    mov qword [abs DATA + 2], 0x13000 ; CHILD_GDT
    lgdt [abs DATA]
    mov word [abs DATA], 0x7FF
    mov qword [abs DATA + 2], 0x14000 ; CHILD_IDT
    lidt [abs DATA]
    xor eax, eax
    lldt ax
    swapgs
    hlt
    sgdt [abs DATA + 16]
    sidt [abs DATA + 32]
    hlt
END hidden

; CPUID of the leaf in EBX, results to DATA
PROGRAM cpuid_store
    mov eax, ebx
    xor ecx, ecx
    cpuid
    mov [abs DATA], eax
    mov [abs DATA + 4], ecx
    mov [abs DATA + 8], edx
    mov [abs DATA + 12], ebx
    hlt
END cpuid_store

; RDMSR and then WRMSR of the MSR in ECX
PROGRAM msr_access
    rdmsr
    mov [abs DATA], eax
    mov [abs DATA + 4], edx
global msr_access_write
msr_access_write:
    mov eax, 0x55667788
    mov edx, 0x11223344
    wrmsr
    hlt
END msr_access

; One instruction each that a test points RBX at an address with
PROGRAM touch
global touch_read, touch_write, touch_execute
touch_read:
    mov rax, [rbx]
    hlt
touch_write:
    mov [rbx + 8], rcx
    hlt
touch_execute:
    jmp rbx
    hlt
END touch

PROGRAM faults
global faults_ud, faults_gp
faults_ud:
    ud2
    hlt
faults_gp:
    mov eax, 0x8000             ; beyond the table: #GP with the selector
    mov ds, eax
    hlt
END faults

; Two stops in a row, for the register page
PROGRAM stops
    out STOP, al
global stops_second, stops_third
stops_second:
    out STOP + 1, al
stops_third:
    out STOP + 2, al
    hlt
END stops

PROGRAM spin
    inc qword [abs DATA + 0x40]
    pause
    jmp spin
END spin

; Counts in its own cache line (RBX) to RCX, then halts.
PROGRAM count_up
.again:
    inc qword [rbx]
    cmp [rbx], rcx
    jb .again
    hlt
    jmp .again
END count_up

; Fills XMM0..15 from RBX, stops, then stores them there again.
PROGRAM vectors
%assign i 0
%rep 16
    movups xmm%[i], [rbx + 16 * i]
%assign i i + 1
%endrep
global vectors_stop
vectors_stop:
    out STOP, al
%assign i 0
%rep 16
    movups [rbx + 16 * i], xmm%[i]
%assign i i + 1
%endrep
    hlt
END vectors

; The same with the upper halves of YMM0..15; turns AVX on itself.
PROGRAM vectors_avx
    mov rax, cr4
    or eax, 1 << 18
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 7
    xsetbv
%assign i 0
%rep 16
    vmovups ymm%[i], [rbx + 32 * i]
%assign i i + 1
%endrep
    out STOP, al
%assign i 0
%rep 16
    vmovups [rbx + 32 * i], ymm%[i]
%assign i i + 1
%endrep
    xor ecx, ecx
    xgetbv
    mov [rbx + 512], eax
    hlt
END vectors_avx

; Stores MSRs and DR0 at RBX, gives them the values at RBX + 64, stops, stores them at RBX + 128
PROGRAM switched
    lea rsi, [.list]
    mov r8, rbx
.change:
    mov ecx, [rsi]
    rdmsr
    mov [r8], eax
    mov [r8 + 4], edx
    mov eax, [r8 + 64]
    mov edx, [r8 + 68]
    wrmsr
    add rsi, 4
    add r8, 8
    cmp dword [rsi], 0
    jne .change
    mov rax, dr0
    mov [r8], rax
    mov rax, [r8 + 64]
    mov dr0, rax
    out STOP, al
    lea rsi, [.list]
    lea r8, [rbx + 128]
.look:
    mov ecx, [rsi]
    rdmsr
    mov [r8], eax
    mov [r8 + 4], edx
    add rsi, 4
    add r8, 8
    cmp dword [rsi], 0
    jne .look
    mov rax, dr0
    mov [r8], rax
    hlt
align 4
.list: ; KERNEL_GS_BASE, STAR, LSTAR, CSTAR, SFMASK, TSC_AUX
    dd 0xC0000102, 0xC0000081, 0xC0000082, 0xC0000083, 0xC0000084, 0xC0000103, 0
END switched

PROGRAM wait_interrupt
    sti
    nop
    out STOP, al
.again:
    nop
    jmp .again
END wait_interrupt

; XMM for the parent itself
section .text
global xmm_load, xmm_store, ymm_load, ymm_store
xmm_load:
%assign i 0
%rep 16
    movups xmm%[i], [rdi + 16 * i]
%assign i i + 1
%endrep
    ret
xmm_store:
%assign i 0
%rep 16
    movups [rdi + 16 * i], xmm%[i]
%assign i i + 1
%endrep
    ret
ymm_load:
%assign i 0
%rep 16
    vmovups ymm%[i], [rdi + 32 * i]
%assign i i + 1
%endrep
    ret
ymm_store:
%assign i 0
%rep 16
    vmovups [rdi + 32 * i], ymm%[i]
%assign i i + 1
%endrep
    ret

; Handlers of a long-mode child: 256 gates' stubs of 16 bytes, each says its vector on STOP + 7.
section .rodata
PROGRAM stubs
%assign v 0
%rep 256
align 16
    mov al, v
    out STOP + 7, al
    hlt
    jmp $ - 1
%assign v v + 1
%endrep
align 16
END stubs

section .note.GNU-stack noalloc noexec nowrite progbits
