; SPDX-License-Identifier: MIT
; The child's side of the protocol: a loop that never leaves the guest.

%define SHARED 0x100000         ; struct child_shared: phase, expected[2], checked, wrong value
%define PLACE  0x600000         ; the GPA that the parent maps anew

bits 64
section .rodata
global child_reader, child_reader_end
child_reader:
    mov rax, [abs SHARED]
    mov rcx, [abs PLACE]
    mov rdx, [abs SHARED]
    cmp rax, rdx
    jne child_reader
    test al, 1
    jnz child_reader
    shr eax, 1
    and eax, 1
    cmp rcx, [SHARED + 8 + 8 * rax]
    jne .wrong
    inc qword [abs SHARED + 24]
    jmp child_reader
.wrong:
    mov [abs SHARED + 32], rcx
    inc qword [abs SHARED + 24]
    jmp child_reader
child_reader_end:

section .note.GNU-stack noalloc noexec nowrite progbits
