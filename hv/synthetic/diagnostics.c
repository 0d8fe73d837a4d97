/* SPDX-License-Identifier: MIT */
/*
 * Vellum's own MSRs: the log level, and how often each processor left its guest, and why.
 * What a guest says of its own end.
 */
#include "hv/synthetic/diagnostics.h"

#include "hv/base/console.h"
#include "hv/base/cpu.h"
#include "hv/model/partition.h"
#include "mm/copy.h"

#define CRASH_MESSAGE_MAX PAGE_SIZE

static const char *const kind_names[EXIT_KIND_COUNT] = {
    [EXIT_NOTHING] = "backend's own",
    [EXIT_INTERRUPT] = "interrupt",
    [EXIT_NMI] = "NMI",
    [EXIT_HYPERCALL] = "hypercall",
    [EXIT_CPUID] = "CPUID",
    [EXIT_RDMSR] = "RDMSR",
    [EXIT_WRMSR] = "WRMSR",
    [EXIT_IO] = "I/O",
    [EXIT_MEMORY] = "memory",
    [EXIT_HLT] = "HLT",
    [EXIT_EXCEPTION] = "exception",
    [EXIT_TRIPLE_FAULT] = "triple fault",
    [EXIT_XSETBV] = "XSETBV",
    [EXIT_UNDEFINED] = "undefined instruction",
    [EXIT_WBINVD] = "WBINVD",
    [EXIT_INTERRUPT_WINDOW] = "interrupt window",
    [EXIT_NMI_WINDOW] = "NMI window",
    [EXIT_GP] = "#GP",
    [EXIT_ENTRY_FAILED] = "entry failed",
    [EXIT_UNEXPECTED] = "unexpected",
};

struct cpuid_regs diagnostics_leaf(uint32_t leaf)
{
    if (leaf == VELLUM_LEAF) /* "VellumVellum" */
        return (struct cpuid_regs){VELLUM_LEAF + 1, 0x6C6C6556, 0x65566D75, 0x6D756C6C};
    if (leaf == VELLUM_LEAF + 1)
        return (struct cpuid_regs){.eax = VELLUM_INTERFACE, .ebx = EXIT_KIND_COUNT};
    return (struct cpuid_regs){0};
}

static uint64_t exits_of(const struct cpu *cpu)
{
    uint64_t sum = 0;
    for (unsigned kind = 0; kind < EXIT_KIND_COUNT; kind++)
        sum += cpu->exit_counts[kind];
    return sum;
}

/* One line for each processor: its kinds of exit that happened. */
static void print_counts(void)
{
    for (uint32_t i = 0; i < cpu_count; i++) {
        char line[400];
        size_t length = 0;
        line[0] = 0;
        for (unsigned kind = 0; kind < EXIT_KIND_COUNT; kind++) {
            uint64_t count = cpus[i]->exit_counts[kind];
            if (count != 0)
                length += format_text(line + length, sizeof(line) - length, "%s%s %lu",
                                      length ? ", " : "", kind_names[kind], count);
        }
        say_error("processor %u: %lu exits: %s", i, exits_of(cpus[i]), line);
    }
}

bool diagnostics_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    const struct cpu *cpu = this_cpu();
    if (!vp->first)
        return false;
    if (msr == VELLUM_MSR_LOG_LEVEL)
        *value = log_level;
    else if (msr == VELLUM_MSR_EXITS)
        *value = exits_of(cpu);
    else if (msr >= VELLUM_MSR_EXIT_COUNT && msr <= VELLUM_MSR_LAST)
        *value = cpu->exit_counts[msr - VELLUM_MSR_EXIT_COUNT];
    else
        return false;
    return true;
}

enum msr_result diagnostics_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    if (!vp->first)
        return MSR_FAULT;
    if (msr == VELLUM_MSR_LOG_LEVEL && value <= LOG_DEBUG)
        log_level = (enum log_level)value;
    else if (msr == VELLUM_MSR_EXITS)
        print_counts();
    else
        return MSR_FAULT;
    return MSR_DONE;
}

/* Prints `text` line by line, what is not printable as '?'. */
static void print_crash_message(const struct vp *vp, char *text, size_t size)
{
    size_t start = 0;
    for (size_t i = 0; i <= size; i++) {
        bool end = i == size || text[i] == '\n' || text[i] == '\0';
        if (!end) {
            if (text[i] < ' ' || text[i] > '~')
                text[i] = '?';
            continue;
        }
        bool last = i == size || text[i] == '\0';
        text[i] = '\0';
        if (i > start)
            say_error("partition %lu VP %u crashed: %s", vp->partition->id, vp->index,
                      text + start);
        start = i + 1;
        if (last)
            break;
    }
}

void diagnostics_crash(const struct vp *vp, uint64_t control)
{
    const uint64_t *p = vp->crash_parameters;
    if (!worth_a_line(&vp->partition->lines))
        return;
    if (control & HV_CRASH_CTL_MESSAGE) {
        char text[CRASH_MESSAGE_MAX + 1];
        size_t size = (size_t)min_u64(p[4], CRASH_MESSAGE_MAX);
        if (guest_read(&vp->partition->space, p[3], text, size)) {
            print_crash_message(vp, text, size);
            return;
        }
    }
    say_error("partition %lu VP %u crashed: parameters %lx %lx %lx %lx %lx", vp->partition->id,
              vp->index, p[0], p[1], p[2], p[3], p[4]);
}
