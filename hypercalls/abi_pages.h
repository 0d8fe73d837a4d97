/* SPDX-License-Identifier: MIT */
/*
 * What state pages hold: the register page and the intercept messages. Part of
 * hypercalls/abi.h, which is what to include.
 */
#ifndef HYPERCALLS_ABI_PAGES_H
#define HYPERCALLS_ABI_PAGES_H

#include <stddef.h>
#include <stdint.h>

/* Checks of layout. They hold on every target, also where 64-bit numbers align to 4 bytes. */
#ifdef __cplusplus
#define HV_ABI_ASSERT(condition, text) static_assert(condition, text)
#else
#define HV_ABI_ASSERT(condition, text) _Static_assert(condition, text)
#endif
#define HV_ABI_SIZE(type, size)                                                                    \
    HV_ABI_ASSERT(sizeof(struct type) == (size), "size of struct " #type)
#define HV_ABI_AT(type, field, offset)                                                             \
    HV_ABI_ASSERT(offsetof(struct type, field) == (offset), "struct " #type ", " #field)

/* A segment register, in the register page and in messages */
struct hv_segment {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t attributes;
};
HV_ABI_SIZE(hv_segment, 16);
HV_ABI_AT(hv_segment, base, 0);
HV_ABI_AT(hv_segment, limit, 8);
HV_ABI_AT(hv_segment, selector, 12);
HV_ABI_AT(hv_segment, attributes, 14);

/* Bits of hv_register_page.dirty */
enum {
    HV_DIRTY_GENERAL = 1 << 0,
    HV_DIRTY_RIP = 1 << 1,
    HV_DIRTY_XMM = 1 << 2,
    HV_DIRTY_SEGMENTS = 1 << 3,
    HV_DIRTY_RFLAGS = 1 << 4,
};

/* HvCallMapVpStatePage (0xE1), HV_VP_STATE_PAGE_REGISTERS */
struct hv_register_page {
    uint16_t version;
    uint8_t is_valid;
    uint8_t zero;
    uint32_t dirty;
    uint64_t gpr[16]; /* rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
    uint64_t rip;
    uint64_t rflags;
    uint64_t reserved;
    uint8_t xmm[6][16];
    struct hv_segment segment[6]; /* es cs ss ds fs gs */
    uint64_t cr0, cr3, cr4, cr8, efer, dr7;
    uint64_t pending_interruption;
    uint64_t interrupt_state;
    uint64_t instruction_emulation_hints;
    uint64_t xfem;
    uint8_t reserved2[0x100];
    uint8_t vector_count;
    uint8_t vectors[7];
};
HV_ABI_SIZE(hv_register_page, 0x2B8);
HV_ABI_AT(hv_register_page, version, 0x000);
HV_ABI_AT(hv_register_page, is_valid, 0x002);
HV_ABI_AT(hv_register_page, zero, 0x003);
HV_ABI_AT(hv_register_page, dirty, 0x004);
HV_ABI_AT(hv_register_page, gpr, 0x008);
HV_ABI_AT(hv_register_page, rip, 0x088);
HV_ABI_AT(hv_register_page, rflags, 0x090);
HV_ABI_AT(hv_register_page, reserved, 0x098);
HV_ABI_AT(hv_register_page, xmm, 0x0A0);
HV_ABI_AT(hv_register_page, segment, 0x100);
HV_ABI_AT(hv_register_page, cr0, 0x160);
HV_ABI_AT(hv_register_page, cr3, 0x168);
HV_ABI_AT(hv_register_page, cr4, 0x170);
HV_ABI_AT(hv_register_page, cr8, 0x178);
HV_ABI_AT(hv_register_page, efer, 0x180);
HV_ABI_AT(hv_register_page, dr7, 0x188);
HV_ABI_AT(hv_register_page, pending_interruption, 0x190);
HV_ABI_AT(hv_register_page, interrupt_state, 0x198);
HV_ABI_AT(hv_register_page, instruction_emulation_hints, 0x1A0);
HV_ABI_AT(hv_register_page, xfem, 0x1A8);
HV_ABI_AT(hv_register_page, reserved2, 0x1B0);
HV_ABI_AT(hv_register_page, vector_count, 0x2B0);
HV_ABI_AT(hv_register_page, vectors, 0x2B1);

/* Types of intercept messages; above INT_MAX, so no enumerators */
#define HV_MESSAGE_UNMAPPED_GPA              0x80000000u
#define HV_MESSAGE_GPA_INTERCEPT             0x80000001u
#define HV_MESSAGE_INVALID_VP_REGISTER_VALUE 0x80000020u
#define HV_MESSAGE_UNRECOVERABLE_EXCEPTION   0x80000021u
#define HV_MESSAGE_IO_PORT                   0x80010000u
#define HV_MESSAGE_MSR                       0x80010001u
#define HV_MESSAGE_CPUID                     0x80010002u
#define HV_MESSAGE_EXCEPTION                 0x80010003u
#define HV_MESSAGE_HALT                      0x80010007u

/* Begins every message */
struct hv_message_header {
    uint32_t type;
    uint8_t payload_size;
    uint8_t flags;
    uint16_t zero;
    uint64_t sender;
};
HV_ABI_SIZE(hv_message_header, 16);
HV_ABI_AT(hv_message_header, type, 0);
HV_ABI_AT(hv_message_header, payload_size, 4);
HV_ABI_AT(hv_message_header, flags, 5);
HV_ABI_AT(hv_message_header, zero, 6);
HV_ABI_AT(hv_message_header, sender, 8);

/* Begins the payload of every message but HV_MESSAGE_INVALID_VP_REGISTER_VALUE */
struct hv_intercept_header {
    uint32_t vp_index;
    uint8_t instruction_length : 4;
    uint8_t cr8 : 4;
    uint8_t access_type; /* 0 read, 1 write, 2 execute */
    uint16_t execution_state;
    struct hv_segment cs;
    uint64_t rip;
    uint64_t rflags;
};
HV_ABI_SIZE(hv_intercept_header, 40);
HV_ABI_AT(hv_intercept_header, vp_index, 0);
HV_ABI_AT(hv_intercept_header, access_type, 5);
HV_ABI_AT(hv_intercept_header, execution_state, 6);
HV_ABI_AT(hv_intercept_header, cs, 8);
HV_ABI_AT(hv_intercept_header, rip, 24);
HV_ABI_AT(hv_intercept_header, rflags, 32);

/* Bits of hv_intercept_header.execution_state */
enum {
    HV_EXECUTION_CPL_MASK = 3,
    HV_EXECUTION_CR0_PE = 1 << 2,
    HV_EXECUTION_CR0_AM = 1 << 3,
    HV_EXECUTION_EFER_LMA = 1 << 4,
    HV_EXECUTION_DEBUG_ACTIVE = 1 << 5,
    HV_EXECUTION_INTERRUPTION_PENDING = 1 << 6,
    HV_EXECUTION_INTERRUPT_SHADOW = 1 << 12,
};

/* HV_MESSAGE_UNMAPPED_GPA, HV_MESSAGE_GPA_INTERCEPT */
struct hv_memory_message {
    struct hv_intercept_header header;
    uint32_t cache_type;
    uint8_t instruction_byte_count;
    uint8_t access_info; /* GVA valid 1, GVA-to-GPA valid 2 */
    uint8_t tpr;
    uint8_t zero;
    uint64_t gva;
    uint64_t gpa;
    uint8_t instruction_bytes[16];
};
HV_ABI_SIZE(hv_memory_message, 80);
HV_ABI_AT(hv_memory_message, header, 0);
HV_ABI_AT(hv_memory_message, cache_type, 40);
HV_ABI_AT(hv_memory_message, instruction_byte_count, 44);
HV_ABI_AT(hv_memory_message, access_info, 45);
HV_ABI_AT(hv_memory_message, tpr, 46);
HV_ABI_AT(hv_memory_message, zero, 47);
HV_ABI_AT(hv_memory_message, gva, 48);
HV_ABI_AT(hv_memory_message, gpa, 56);
HV_ABI_AT(hv_memory_message, instruction_bytes, 64);

/* HV_MESSAGE_IO_PORT */
struct hv_io_message {
    struct hv_intercept_header header;
    uint16_t port;
    uint8_t info; /* size 2:0, string 3, rep 4 */
    uint8_t instruction_byte_count;
    uint32_t zero;
    uint64_t rax;
    uint8_t instruction_bytes[16];
    struct hv_segment ds, es;
    uint64_t rcx, rsi, rdi;
};
HV_ABI_SIZE(hv_io_message, 128);
HV_ABI_AT(hv_io_message, header, 0);
HV_ABI_AT(hv_io_message, port, 40);
HV_ABI_AT(hv_io_message, info, 42);
HV_ABI_AT(hv_io_message, instruction_byte_count, 43);
HV_ABI_AT(hv_io_message, zero, 44);
HV_ABI_AT(hv_io_message, rax, 48);
HV_ABI_AT(hv_io_message, instruction_bytes, 56);
HV_ABI_AT(hv_io_message, ds, 72);
HV_ABI_AT(hv_io_message, es, 88);
HV_ABI_AT(hv_io_message, rcx, 104);
HV_ABI_AT(hv_io_message, rsi, 112);
HV_ABI_AT(hv_io_message, rdi, 120);

/* HV_MESSAGE_MSR */
struct hv_msr_message {
    struct hv_intercept_header header;
    uint32_t msr;
    uint32_t zero;
    uint64_t rdx, rax;
};
HV_ABI_SIZE(hv_msr_message, 64);
HV_ABI_AT(hv_msr_message, header, 0);
HV_ABI_AT(hv_msr_message, msr, 40);
HV_ABI_AT(hv_msr_message, zero, 44);
HV_ABI_AT(hv_msr_message, rdx, 48);
HV_ABI_AT(hv_msr_message, rax, 56);

/* HV_MESSAGE_CPUID */
struct hv_cpuid_message {
    struct hv_intercept_header header;
    uint64_t rax, rcx, rdx, rbx;
    uint64_t default_rax, default_rcx, default_rdx, default_rbx;
};
HV_ABI_SIZE(hv_cpuid_message, 104);
HV_ABI_AT(hv_cpuid_message, header, 0);
HV_ABI_AT(hv_cpuid_message, rax, 40);
HV_ABI_AT(hv_cpuid_message, rcx, 48);
HV_ABI_AT(hv_cpuid_message, rdx, 56);
HV_ABI_AT(hv_cpuid_message, rbx, 64);
HV_ABI_AT(hv_cpuid_message, default_rax, 72);
HV_ABI_AT(hv_cpuid_message, default_rcx, 80);
HV_ABI_AT(hv_cpuid_message, default_rdx, 88);
HV_ABI_AT(hv_cpuid_message, default_rbx, 96);

/* HV_MESSAGE_EXCEPTION */
struct hv_exception_message {
    struct hv_intercept_header header;
    uint16_t vector;
    uint8_t info; /* error code valid 1, software exception 2 */
    uint8_t instruction_byte_count;
    uint32_t error_code;
    uint64_t parameter;
    uint64_t reserved;
    uint8_t instruction_bytes[16];
    struct hv_segment ds, ss;
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};
HV_ABI_SIZE(hv_exception_message, 240);
HV_ABI_AT(hv_exception_message, header, 0);
HV_ABI_AT(hv_exception_message, vector, 40);
HV_ABI_AT(hv_exception_message, info, 42);
HV_ABI_AT(hv_exception_message, instruction_byte_count, 43);
HV_ABI_AT(hv_exception_message, error_code, 44);
HV_ABI_AT(hv_exception_message, parameter, 48);
HV_ABI_AT(hv_exception_message, reserved, 56);
HV_ABI_AT(hv_exception_message, instruction_bytes, 64);
HV_ABI_AT(hv_exception_message, ds, 80);
HV_ABI_AT(hv_exception_message, ss, 96);
HV_ABI_AT(hv_exception_message, rax, 112);
HV_ABI_AT(hv_exception_message, rcx, 120);
HV_ABI_AT(hv_exception_message, rdx, 128);
HV_ABI_AT(hv_exception_message, rbx, 136);
HV_ABI_AT(hv_exception_message, rsp, 144);
HV_ABI_AT(hv_exception_message, rbp, 152);
HV_ABI_AT(hv_exception_message, rsi, 160);
HV_ABI_AT(hv_exception_message, rdi, 168);
HV_ABI_AT(hv_exception_message, r8, 176);
HV_ABI_AT(hv_exception_message, r9, 184);
HV_ABI_AT(hv_exception_message, r10, 192);
HV_ABI_AT(hv_exception_message, r11, 200);
HV_ABI_AT(hv_exception_message, r12, 208);
HV_ABI_AT(hv_exception_message, r13, 216);
HV_ABI_AT(hv_exception_message, r14, 224);
HV_ABI_AT(hv_exception_message, r15, 232);

/* HV_MESSAGE_INVALID_VP_REGISTER_VALUE */
struct hv_invalid_register_message {
    uint32_t vp_index;
    uint32_t zero;
};
HV_ABI_SIZE(hv_invalid_register_message, 8);
HV_ABI_AT(hv_invalid_register_message, vp_index, 0);
HV_ABI_AT(hv_invalid_register_message, zero, 4);

/* HvCallMapVpStatePage (0xE1), HV_VP_STATE_PAGE_INTERCEPT_MESSAGE */
struct hv_message {
    struct hv_message_header header;
    union {
        struct hv_intercept_header intercept;
        struct hv_memory_message memory;
        struct hv_io_message io;
        struct hv_msr_message msr;
        struct hv_cpuid_message cpuid;
        struct hv_exception_message exception;
        struct hv_invalid_register_message invalid_register;
        uint8_t bytes[240];
    } payload;
};
HV_ABI_SIZE(hv_message, 256);
HV_ABI_AT(hv_message, header, 0);
HV_ABI_AT(hv_message, payload, 16);

#endif
