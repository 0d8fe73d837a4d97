; SPDX-License-Identifier: MIT
; Every VMX and SVM instruction, each followed by RET, in a table with names.

bits 64
section .text

%macro INSTRUCTION 2+
text_%1:
    mov rax, rdi                ; a page: nothing but the instruction itself may be refused
    %2
    ret
%endmacro

INSTRUCTION vmxon,   vmxon [rdi]
INSTRUCTION vmxoff,  vmxoff
INSTRUCTION vmclear, vmclear [rdi]
INSTRUCTION vmptrld, vmptrld [rdi]
INSTRUCTION vmptrst, vmptrst [rdi]
INSTRUCTION vmread,  vmread rax, rcx
INSTRUCTION vmwrite, vmwrite rax, rcx
INSTRUCTION vmlaunch, vmlaunch
INSTRUCTION vmresume, vmresume
INSTRUCTION invept,  invept rax, [rdi]
INSTRUCTION invvpid, invvpid rax, [rdi]
INSTRUCTION vmfunc,  db 0x0F, 0x01, 0xD4
INSTRUCTION getsec,  db 0x0F, 0x37
INSTRUCTION vmrun,   db 0x0F, 0x01, 0xD8
INSTRUCTION vmload,  db 0x0F, 0x01, 0xDA
INSTRUCTION vmsave,  db 0x0F, 0x01, 0xDB
INSTRUCTION stgi,    db 0x0F, 0x01, 0xDC
INSTRUCTION clgi,    db 0x0F, 0x01, 0xDD
INSTRUCTION skinit,  db 0x0F, 0x01, 0xDE
INSTRUCTION invlpga, db 0x0F, 0x01, 0xDF

%macro ENTRY 1
    dq text_%1, name_%1
%endmacro
%macro NAME 1
name_%1: db %str(%1), 0
%endmacro

section .rodata
%macro EACH 1
    %1 vmxon
    %1 vmxoff
    %1 vmclear
    %1 vmptrld
    %1 vmptrst
    %1 vmread
    %1 vmwrite
    %1 vmlaunch
    %1 vmresume
    %1 invept
    %1 invvpid
    %1 vmfunc
    %1 getsec
    %1 vmrun
    %1 vmload
    %1 vmsave
    %1 stgi
    %1 clgi
    %1 skinit
    %1 invlpga
%endmacro
EACH NAME
align 8
global virtualization_instructions
virtualization_instructions:
EACH ENTRY
    dq 0, 0

section .note.GNU-stack noalloc noexec nowrite progbits
