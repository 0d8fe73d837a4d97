/* SPDX-License-Identifier: MIT */
/* Processors: kicks, halting, NMIs. */
#include "hv/base/smp.h"

#include "hv/base/apic.h"
#include "hv/base/lock.h"
#include "hv/base/panic.h"

struct cpu *cpus[MAX_CPUS];
uint32_t cpu_count;
struct spinlock hv_lock;

void cpu_kick(struct cpu *cpu)
{
    __atomic_store_n(&cpu->kicked, 1, __ATOMIC_SEQ_CST);
    if (cpu == this_cpu() || !cpu->online)
        return;
    /* One NMI under way at a time: then each that we send arrives as one that we know. */
    if (__atomic_exchange_n(&cpu->kick_nmis, 1, __ATOMIC_SEQ_CST) == 0)
        apic_send(cpu->apic_id, ICR_OF_MODE(MODE_NMI) | ICR_ASSERT);
}

void nmi_arrived(struct cpu *cpu)
{
    panic_stop_if_asked(cpu);
    if (__atomic_exchange_n(&cpu->kick_nmis, 0, __ATOMIC_SEQ_CST) != 0)
        return;
    cpu->guest_nmi = true;
    cpu->kicked = 1;
}
