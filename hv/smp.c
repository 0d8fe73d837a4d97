/* Processors: kicks, halting, NMIs. */
#include "hv/smp.h"

#include "hv/apic.h"
#include "hv/arch.h"
#include "hv/panic.h"
#include "hv/partition.h"
#include "hv/run.h"

#define ICR_NMI    (4u << 8)
#define ICR_ASSERT (1u << 14)

struct spinlock hv_lock;

void cpu_wait_asm(struct cpu *cpu);

void cpu_kick(struct cpu *cpu)
{
    __atomic_store_n(&cpu->kicked, 1, __ATOMIC_SEQ_CST);
    if (cpu == this_cpu() || !cpu->online)
        return;
    /* One NMI under way at a time: then each that we send arrives as one that we know. */
    if (__atomic_exchange_n(&cpu->kick_nmis, 1, __ATOMIC_SEQ_CST) == 0)
        apic_send(cpu->apic_id, ICR_NMI | ICR_ASSERT);
}

void nmi_arrived(struct cpu *cpu)
{
    panic_stop_if_asked(cpu);
    if (__atomic_exchange_n(&cpu->kick_nmis, 0, __ATOMIC_SEQ_CST) != 0)
        return;
    if (first_partition && first_partition->vps[cpu->index]) {
        __atomic_fetch_or(&first_partition->vps[cpu->index]->requests, REQUEST_NMI,
                          __ATOMIC_SEQ_CST);
        cpu->kicked = 1;
    }
}

void cpu_wait(struct cpu *cpu)
{
    cpu_wait_asm(cpu);
}
