/*
 * What state pages hold: the register page and the intercept messages. Part of
 * hypercalls/abi.h, which is what to include.
 */
#ifndef HYPERCALLS_ABI_PAGES_H
#define HYPERCALLS_ABI_PAGES_H

#include <stddef.h>
#include <stdint.h>

/* Register page */
struct hv_segment {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t attributes;
};

enum {
    HV_DIRTY_GENERAL = 1 << 0,
    HV_DIRTY_RIP = 1 << 1,
    HV_DIRTY_XMM = 1 << 2,
    HV_DIRTY_SEGMENTS = 1 << 3,
    HV_DIRTY_RFLAGS = 1 << 4,
};

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
_Static_assert(offsetof(struct hv_register_page, gpr) == 0x008, "register page");
_Static_assert(offsetof(struct hv_register_page, rip) == 0x088, "register page");
_Static_assert(offsetof(struct hv_register_page, rflags) == 0x090, "register page");
_Static_assert(offsetof(struct hv_register_page, xmm) == 0x0A0, "register page");
_Static_assert(offsetof(struct hv_register_page, segment) == 0x100, "register page");
_Static_assert(offsetof(struct hv_register_page, cr0) == 0x160, "register page");
_Static_assert(offsetof(struct hv_register_page, pending_interruption) == 0x190, "register page");
_Static_assert(offsetof(struct hv_register_page, xfem) == 0x1A8, "register page");
_Static_assert(offsetof(struct hv_register_page, vector_count) == 0x2B0, "register page");

/* Intercept messages */
enum hv_message_type {
    HV_MESSAGE_UNMAPPED_GPA = 0x80000000u,
    HV_MESSAGE_GPA_INTERCEPT = 0x80000001u,
    HV_MESSAGE_INVALID_VP_REGISTER_VALUE = 0x80000020u,
    HV_MESSAGE_UNRECOVERABLE_EXCEPTION = 0x80000021u,
    HV_MESSAGE_IO_PORT = 0x80010000u,
    HV_MESSAGE_MSR = 0x80010001u,
    HV_MESSAGE_CPUID = 0x80010002u,
    HV_MESSAGE_EXCEPTION = 0x80010003u,
    HV_MESSAGE_HALT = 0x80010007u,
};

struct hv_message_header {
    uint32_t type;
    uint8_t payload_size;
    uint8_t flags;
    uint16_t zero;
    uint64_t sender;
};

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
_Static_assert(sizeof(struct hv_intercept_header) == 40, "intercept header");

enum { /* execution_state */
       HV_EXECUTION_CPL_MASK = 3,
       HV_EXECUTION_CR0_PE = 1 << 2,
       HV_EXECUTION_CR0_AM = 1 << 3,
       HV_EXECUTION_EFER_LMA = 1 << 4,
       HV_EXECUTION_DEBUG_ACTIVE = 1 << 5,
       HV_EXECUTION_INTERRUPTION_PENDING = 1 << 6,
       HV_EXECUTION_INTERRUPT_SHADOW = 1 << 12,
};

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
_Static_assert(sizeof(struct hv_memory_message) == 80, "memory message");

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
_Static_assert(sizeof(struct hv_io_message) == 128, "I/O message");
_Static_assert(offsetof(struct hv_io_message, ds) == 72, "I/O message");

struct hv_msr_message {
    struct hv_intercept_header header;
    uint32_t msr;
    uint32_t zero;
    uint64_t rdx, rax;
};
_Static_assert(sizeof(struct hv_msr_message) == 64, "MSR message");

struct hv_cpuid_message {
    struct hv_intercept_header header;
    uint64_t rax, rcx, rdx, rbx;
    uint64_t default_rax, default_rcx, default_rdx, default_rbx;
};
_Static_assert(sizeof(struct hv_cpuid_message) == 104, "CPUID message");

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
_Static_assert(offsetof(struct hv_exception_message, instruction_bytes) == 64, "exception");
_Static_assert(sizeof(struct hv_exception_message) == 240, "exception message");

struct hv_invalid_register_message {
    uint32_t vp_index;
    uint32_t zero;
};

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
_Static_assert(sizeof(struct hv_message) == 256, "message");
_Static_assert(offsetof(struct hv_message, payload) == 16, "message");

#endif
