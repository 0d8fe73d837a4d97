/* SPDX-License-Identifier: MIT */
/* From the boot code to the first partition. */
#include "hv/base/panic.h"
#include "hv/base/time.h"
#include "hv/base/traps.h"
#include "hv/first.h"
#include "hv/model/fpu.h"
#include "hv/model/partition.h"
#include "hv/processor.h"
#include "hv/report.h"
#include "hv/run.h"

const struct backend *backend;
struct backend_features backend_features;

static volatile bool go; /* the first partition is ready: processors may run it */

static void choose_backend(void)
{
    static const struct backend *const backends[] = {&vmx_backend, &svm_backend};
    for (unsigned i = 0; i < ARRAY_SIZE(backends); i++)
        if (backends[i]->present())
            backend = backends[i];
    if (!backend)
        boot_refuse("this processor has neither VT-x nor AMD-V (CPUID): Vellum cannot run on it");
    if (!backend->check(&backend_features))
        boot_refuse("%s on this processor lacks what the lines above name: Vellum cannot run on it",
                    backend->name);
    slpt_accessed_dirty = backend_features.accessed_dirty;
    slpt_execute_only = backend_features.execute_only;
}

static void start_processors(void)
{
    for (uint32_t i = 1; i < boot_info.cpu_count; i++) {
        struct cpu *cpu = cpu_allocate(cpu_count, boot_info.apic_ids[i]);
        cpu_count++;
        if (boot_start_processor(cpu))
            continue;
        say_warn("the processor with APIC id %u did not start: left out", boot_info.apic_ids[i]);
        cpu_count--;
        cpus[cpu_count] = NULL;
    }
}

static void say_what_runs(void)
{
    static const char *const roles[] = {"root", "layered host", "guest"};
    uint64_t ram = 0;
    for (uint32_t i = 0; i < boot_info.guest_memory.count; i++)
        if (boot_info.guest_memory.ranges[i].kind == MEMORY_AVAILABLE)
            ram += boot_info.guest_memory.ranges[i].end - boot_info.guest_memory.ranges[i].start;
    say_info("%s, %u processor%s, TSC %lu kHz; second-level pages up to %s", backend->name,
             cpu_count, cpu_count == 1 ? "" : "s", tsc_frequency / 1000,
             backend_features.max_level == 2 ? "1 GiB" : "2 MiB");
    say_info("%lu KiB kept by the hypervisor (pool %lu KiB), %lu KiB for the first partition (%s)",
             (boot_info.hv_end - boot_info.hv_start) >> 10,
             (boot_info.pool_end - boot_info.pool_start) >> 10, ram >> 10,
             roles[boot_info.options.role]);
}

/* On the boot processor's own stack; the one of the image goes out of use. */
static _Noreturn void hv_main_on_stack(void *argument)
{
    struct cpu *cpu = argument;
    time_init();
    fpu_init();
    choose_backend();
    backend->cpu_enable(cpu);
    cpu->online = true;
    start_processors();

    struct first_entry entry = {0};
    boot_load_first(&boot_info, &entry);
    first_create(&entry);
    say_what_runs();
    say_debug("%lu TSC ticks since the boot loader's jump",
              rdtsc() - boot_info.first_instruction_tsc);
    __atomic_store_n(&go, true, __ATOMIC_RELEASE);
    run_loop(cpu);
}

_Noreturn void hv_main(void)
{
    panic_report = report_processor;
    traps_init();
    struct cpu *cpu = cpu_allocate(0, boot_info.apic_ids[0]);
    cpu_count = 1;
    cpu_activate(cpu);
    call_on_stack(cpu->stack_top, (void (*)(void *))hv_main_on_stack, cpu);
}

_Noreturn void hv_ap_main(struct cpu *cpu)
{
    cpu_activate(cpu);
    struct backend_features mine;
    if (!backend->check(&mine))
        panic("processor %u lacks a feature that the boot processor has", cpu->index);
    backend->cpu_enable(cpu);
    cpu->online = true;
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
        cpu_relax();
    run_loop(cpu);
}
