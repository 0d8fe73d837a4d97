/* SPDX-License-Identifier: MIT */
/* One record per processor, reached through GS while the hypervisor runs. */
#ifndef HV_BASE_CPU_H
#define HV_BASE_CPU_H

#include "hv/base/exit.h"

struct vp;
struct space;

#define EXIT_RING        16
#define STACK_SIZE       (4 * PAGE_SIZE) /* of the stack below stack_top */
#define SMALL_STACK_SIZE (2 * PAGE_SIZE) /* below nmi_stack and fault_stack */

/* What a processor's context slot (ASID or VPID) last held; see mm/tlb.h. */
struct tlb_slot {
    uint64_t vp_id; /* struct vp's unique id */
    uint64_t generation;
};
#define COPY_CACHE_SIZE 32

/* A translation, good as long as the space has this generation. */
struct copy_cache {
    uint64_t generation;
    gpn_t gpn;
    uint8_t *page;
};
enum { SLOT_FIRST, SLOT_CHILD, SLOT_COUNT }; /* ASID or VPID is the slot's number + 1 */

struct cpu {
    struct cpu *self;            /* gs:0 */
    uint64_t stack_top;          /* the hypervisor's stack on this processor */
    volatile uint32_t kicked;    /* somebody wants this processor out of its guest */
    volatile uint32_t kick_nmis; /* kick NMIs sent and not yet seen */
    uint32_t index;              /* 0 is the boot processor; VP n of the first partition is here */
    uint32_t apic_id;
    uint32_t apic_icr_high;  /* of its xAPIC: what the first partition last wrote there */
    volatile bool online;    /* entered the main loop, or is about to */
    volatile bool halted;    /* panic: stopped */
    volatile bool guest_nmi; /* an NMI came that is the first partition's; the main loop looks */

    struct vp *current; /* the VP that this processor runs */
    struct vp *loaded;  /* whose control block and registers are in the processor */

    /* mm/tlb.h */
    volatile uint64_t running; /* the generation of the space that this processor may hold
                                  translations of: set while inside the guest, else 0 */
    volatile uint32_t copying; /* inside a guest copy */
    struct tlb_slot slots[SLOT_COUNT];

    /* mm/copy.h: pages that this processor lately read (by the GPN's low bits) and wrote */
    struct copy_cache read_cache[COPY_CACHE_SIZE], write_cache;
    uint32_t last_read; /* its index: a hypercall's input, mostly */

    struct exit exit; /* the last one */
    struct exit_record {
        uint64_t rip;
        uint64_t detail; /* qualification or EXITINFO1 */
        uint32_t reason;
        uint32_t count; /* how often the same one came in a row */
    } ring[EXIT_RING];
    struct exit_record *ring_last; /* the newest one */
    uint64_t exit_counts[EXIT_KIND_COUNT];

    /* Vendor pages of this processor: VMXON region or host save area. */
    uint64_t vendor_page_spa;
    uint64_t vendor[8];     /* the backend's own */
    uint64_t host_save_spa; /* SVM: VMSAVE area with the host's FS, GS, TR and syscall MSRs */

    /* Tables of the hypervisor itself */
    uint64_t gdt[8]; /* null, code64, data, (free), TSS (2 entries) */
    uint8_t tss[104];
    uint8_t *nmi_stack, *fault_stack; /* tops */
};

extern struct cpu *cpus[MAX_CPUS]; /* by index; cpu_count of them */
extern uint32_t cpu_count;

static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;
    __asm__("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/* GDT selectors of the hypervisor. */
enum { SELECTOR_CODE = 0x08, SELECTOR_DATA = 0x10, SELECTOR_TSS = 0x20 };

#endif
