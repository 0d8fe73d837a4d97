; SPDX-License-Identifier: MIT
; The child: reads where RBX points, stops on a port, goes on.

bits 64
section .rodata
global vm_code, vm_code_end
vm_code:
    mov rax, [rbx]
    out 0x99, al
    inc rbx
    hlt
vm_code_end:

section .note.GNU-stack noalloc noexec nowrite progbits
