/* SPDX-License-Identifier: MIT */
/* Descriptor tables, traps and what a test does with them. */
#include "guests/lib/cpu.h"
#include "guests/lib/tap.h"
#include "hv/base/string.h"

#define VECTOR_USER_RETURN 0x80

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, attributes;
    uint16_t offset_middle;
    uint32_t offset_high, zero;
};
_Static_assert(sizeof(struct gate) == 16, "SDM 7.14.1");

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern const uint64_t trap_stubs[256];
extern const char try_call_failed[];
bool try_call_asm(void (*function)(void *), void *argument, uint64_t *recovery_rsp);
void user_enter(void *arguments);
void rdmsr_asm(void *arguments);
void wrmsr_asm(void *arguments);
void xsetbv_asm(void *arguments);
void load_descriptor_tables(const void *gdtr, const void *idtr);
void trap_handler(struct trap_frame *frame);

static struct gate idt[256];
static void (*handlers[256])(struct trap_frame *);

static void idt_init(void)
{
    for (unsigned n = 0; n < ARRAY_SIZE(idt); n++) {
        uint64_t stub = trap_stubs[n];
        bool own_stack = n == VECTOR_DF || n == VECTOR_NMI;
        idt[n] = (struct gate){
            .offset_low = (uint16_t)stub,
            .selector = SELECTOR_CODE64,
            .ist = own_stack,
            .attributes = n == VECTOR_USER_RETURN ? 0xEE : 0x8E,
            .offset_middle = (uint16_t)(stub >> 16),
            .offset_high = (uint32_t)(stub >> 32),
        };
    }
}

static void gdt_init(struct cpu *cpu)
{
    static const uint64_t descriptors[] = {
        0,
        0x00AF9B000000FFFF, /* 64-bit code */
        0x00CF93000000FFFF, /* data */
        0x00CF9B000000FFFF, /* 32-bit code */
        0x00CFF3000000FFFF, /* data, CPL 3 */
        0x00AFFB000000FFFF, /* 64-bit code, CPL 3 */
        0x008F9B000000FFFF, /* 16-bit code */
        0x008F93000000FFFF, /* 16-bit data */
    };
    uint64_t area = (uint64_t)cpu;
    uint64_t tss = (uint64_t)&cpu->tss;
    memcpy(cpu->gdt, descriptors, sizeof(descriptors));
    cpu->gdt[8] =
        (sizeof(struct tss) - 1) | (tss & 0xFFFFFF) << 16 | 0x89UL << 40 | (tss >> 24 & 0xFF) << 56;
    cpu->gdt[9] = tss >> 32;
    cpu->tss = (struct tss){
        .rsp = {area + CPU_TRAP_STACK, 0, 0},
        .ist = {area + CPU_FAULT_STACK, 0, 0, 0, 0, 0, 0},
        .io_map = sizeof(struct tss),
    };
}

static void xsave_init(void)
{
    struct cpuid_regs features = cpuid(1, 0);
    if (!(features.ecx & BIT(26)))
        return;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    struct cpuid_regs state = cpuid(0xD, 0);
    uint64_t wanted = ((uint64_t)state.edx << 32 | state.eax) & 7; /* x87, SSE, AVX */
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)wanted), "d"(0));
}

void cpu_init(struct cpu *cpu)
{
    if (idt[0].selector == 0)
        idt_init();
    gdt_init(cpu);
    struct table_register gdtr = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};
    struct table_register idtr = {sizeof(idt) - 1, (uint64_t)idt};
    load_descriptor_tables(&gdtr, &idtr);
    xsave_init();
    __asm__ volatile("fninit");
}

const char *trap_name(uint8_t vector)
{
    static const char *const names[] = {
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR",     "#UD", "#NM", "#DF", "coprocessor overrun",
        "#TS", "#NP", "#SS", "#GP", "#PF", "trap 15", "#MF", "#AC", "#MC", "#XM",
        "#VE", "#CP",
    };
    return vector < ARRAY_SIZE(names) ? names[vector] : "vector";
}

static _Noreturn void unexpected(const struct trap_frame *f)
{
    tap_note("rip %016lx cs %04lx rflags %08lx rsp %016lx ss %04lx", f->rip, f->cs, f->rflags,
             f->rsp, f->ss);
    tap_note("rax %016lx rcx %016lx rdx %016lx rbx %016lx", f->rax, f->rcx, f->rdx, f->rbx);
    tap_note("rbp %016lx rsi %016lx rdi %016lx r8  %016lx", f->rbp, f->rsi, f->rdi, f->r8);
    tap_note("r9  %016lx r10 %016lx r11 %016lx r12 %016lx", f->r9, f->r10, f->r11, f->r12);
    tap_note("r13 %016lx r14 %016lx r15 %016lx", f->r13, f->r14, f->r15);
    tap_note("cr0 %08lx cr2 %016lx cr3 %016lx cr4 %08lx", read_cr0(), read_cr2(), read_cr3(),
             read_cr4());
    tap_bail_out("unexpected %s (vector %lu, error 0x%lx) at 0x%lx on processor %u",
                 trap_name((uint8_t)f->vector), f->vector, f->error, f->rip, this_cpu()->index);
}

void trap_handler(struct trap_frame *frame)
{
    struct cpu *cpu = this_cpu();
    uint8_t vector = (uint8_t)frame->vector;
    if (handlers[vector] != NULL) {
        handlers[vector](frame);
        return;
    }
    if (cpu->recovery_rsp == 0 || (vector >= 32 && vector != VECTOR_USER_RETURN))
        unexpected(frame);
    cpu->trap = (struct trap){
        .vector = vector,
        .error = (uint32_t)frame->error,
        .rip = frame->rip,
        .address = vector == VECTOR_PF ? read_cr2() : 0,
    };
    frame->rip = (uint64_t)try_call_failed;
    frame->rsp = cpu->recovery_rsp;
    frame->cs = SELECTOR_CODE64;
    frame->ss = SELECTOR_DATA;
    frame->rflags = RFLAGS_FIXED;
    cpu->recovery_rsp = 0;
}

bool try_call(void (*function)(void *), void *argument, struct trap *trap)
{
    struct cpu *cpu = this_cpu();
    uint64_t outer = cpu->recovery_rsp;
    bool returned = try_call_asm(function, argument, &cpu->recovery_rsp);
    cpu->recovery_rsp = outer;
    if (!returned && trap != NULL)
        *trap = cpu->trap;
    return returned;
}

struct trap user_call(void (*function)(void *), void *argument)
{
    void *arguments[3] = {(void *)function, argument,
                          (void *)((uint64_t)this_cpu() + CPU_USER_STACK)};
    struct trap trap = {0};
    (void)try_call(user_enter, arguments, &trap);
    return trap;
}

void trap_set_handler(uint8_t vector, void (*handler)(struct trap_frame *))
{
    handlers[vector] = handler;
}

bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
    uint64_t arguments[2] = {msr, 0};
    if (!try_call(rdmsr_asm, arguments, NULL))
        return false;
    *value = arguments[1];
    return true;
}

bool wrmsr_safe(uint32_t msr, uint64_t value)
{
    uint64_t arguments[2] = {msr, value};
    return try_call(wrmsr_asm, arguments, NULL);
}

bool xsetbv_safe(uint64_t value)
{
    uint64_t arguments[2] = {0, value};
    return try_call(xsetbv_asm, arguments, NULL);
}
