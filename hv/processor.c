/* SPDX-License-Identifier: MIT */
/* Setting up a processor for the hypervisor: record, GDT, TSS, IDT, control registers. */
#include "hv/processor.h"

#include "hv/base/arch.h"
#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "hv/base/traps.h"
#include "mm/boot_memory.h"

/* SDM 7.7: the 64-bit TSS. */
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == sizeof(((struct cpu *)0)->tss), "64-bit TSS");

#define DESCRIPTOR_CODE64 0x00AF9B000000FFFFUL
#define DESCRIPTOR_DATA   0x00CF93000000FFFFUL
#define DESCRIPTOR_TSS    0x0000890000000000UL

struct cpu *cpu_allocate(uint32_t index, uint32_t apic_id)
{
    struct cpu *cpu = boot_alloc(sizeof(*cpu));
    cpu->self = cpu;
    cpu->index = index;
    cpu->apic_id = apic_id;
    cpu->ring_last = cpu->ring;
    cpu->stack_top = (uint64_t)boot_alloc(STACK_SIZE) + STACK_SIZE;
    cpu->nmi_stack = (uint8_t *)boot_alloc(SMALL_STACK_SIZE) + SMALL_STACK_SIZE;
    cpu->fault_stack = (uint8_t *)boot_alloc(SMALL_STACK_SIZE) + SMALL_STACK_SIZE;
    cpu->vendor_page_spa = ptr_phys(boot_alloc(PAGE_SIZE));
    cpu->host_save_spa = ptr_phys(boot_alloc(PAGE_SIZE));

    struct tss tss = {0};
    tss.ist[0] = (uint64_t)cpu->nmi_stack;
    tss.ist[1] = (uint64_t)cpu->fault_stack;
    tss.io_map = sizeof(tss);
    memcpy(cpu->tss, &tss, sizeof(tss));

    uint64_t base = (uint64_t)cpu->tss;
    cpu->gdt[SELECTOR_CODE / 8] = DESCRIPTOR_CODE64;
    cpu->gdt[SELECTOR_DATA / 8] = DESCRIPTOR_DATA;
    cpu->gdt[SELECTOR_TSS / 8] =
        DESCRIPTOR_TSS | (sizeof(tss) - 1) | (base & 0xFFFFFF) << 16 | (base >> 24 & 0xFF) << 56;
    cpu->gdt[SELECTOR_TSS / 8 + 1] = base >> 32;

    cpus[index] = cpu;
    return cpu;
}

void cpu_activate(struct cpu *cpu)
{
    struct table_pointer gdt = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};
    cpu_load_tables(&gdt, &idt_pointer);
    wrmsr(MSR_GS_BASE, (uint64_t)cpu);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);

    /* x87 and vector instructions of the guest run on our XSAVE and FXSAVE: no traps. */
    uint64_t cr0 = read_cr0() & ~(uint64_t)(CR0_TS | CR0_EM | CR0_AM | CR0_CD | CR0_NW);
    write_cr0(cr0 | CR0_MP | CR0_NE | CR0_WP);
    uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (cpuid(1, 0).ecx & BIT(26))
        cr4 |= CR4_OSXSAVE;
    write_cr4(cr4);
}
