/* SPDX-License-Identifier: MIT */
/* The VMCB and the exit codes in words. */
#include "svm/svm.h"

#include "hv/base/console.h"

/* APM appendix C; ranges of sixteen (registers) and thirty-two (exceptions) are composed below. */
static const char *const names_60[] = {
    "INTR: physical interrupt",
    "NMI",
    "SMI",
    "INIT",
    "VINTR: virtual interrupt window",
    "selective CR0 write",
    "SIDT",
    "SGDT",
    "SLDT",
    "STR",
    "LIDT",
    "LGDT",
    "LLDT",
    "LTR",
    "RDTSC",
    "RDPMC",
    "PUSHF",
    "POPF",
    "CPUID",
    "RSM",
    "IRET",
    "INT n",
    "INVD",
    "PAUSE",
    "HLT",
    "INVLPG",
    "INVLPGA",
    "I/O",
    "MSR",
    "task switch",
    "FERR freeze",
    "SHUTDOWN: triple fault",
    "VMRUN",
    "VMMCALL",
    "VMLOAD",
    "VMSAVE",
    "STGI",
    "CLGI",
    "SKINIT",
    "RDTSCP",
    "ICEBP (INT1)",
    "WBINVD",
    "MONITOR",
    "MWAIT",
    "MWAIT, armed",
    "XSETBV",
    "RDPRU",
    "EFER write trap",
};
_Static_assert(ARRAY_SIZE(names_60) == 0x90 - 0x60, "exit codes 0x60 to 0x8F");

static const char *const names_a0[] = {
    "INVLPGB", "INVLPGB, illegal", "INVPCID", "MCOMMIT", "TLBSYNC", "bus lock", "idle HLT",
};

static const char *const names_400[] = {
    "NPF: nested page fault",
    "AVIC incomplete IPI",
    "AVIC no acceleration",
    "VMGEXIT",
};

static const char *const names_exception[] = {
    "exception #DE", "exception #DB", "exception NMI", "exception #BP", "exception #OF",
    "exception #BR", "exception #UD", "exception #NM", "exception #DF", "exception 9",
    "exception #TS", "exception #NP", "exception #SS", "exception #GP", "exception #PF",
    "exception 15",  "exception #MF", "exception #AC", "exception #MC", "exception #XF",
    "exception 20",  "exception #CP", "exception 22",  "exception 23",  "exception 24",
    "exception 25",  "exception 26",  "exception 27",  "exception #HV", "exception #VC",
    "exception #SX", "exception 31",
};

const char *svm_exit_name(uint32_t reason)
{
    if (reason < SVM_EXIT_CR_WRITE)
        return "control register read";
    if (reason < SVM_EXIT_DR_READ)
        return "control register write";
    if (reason < SVM_EXIT_DR_WRITE)
        return "debug register read";
    if (reason < SVM_EXIT_EXCEPTION)
        return "debug register write";
    if (reason <= SVM_EXIT_EXCEPTION_LAST)
        return names_exception[reason - SVM_EXIT_EXCEPTION];
    if (reason < 0x90)
        return names_60[reason - 0x60];
    if (reason < 0xA0)
        return "control register write trap";
    if (reason - 0xA0 < ARRAY_SIZE(names_a0))
        return names_a0[reason - 0xA0];
    if (reason - SVM_EXIT_NPF < ARRAY_SIZE(names_400))
        return names_400[reason - SVM_EXIT_NPF];
    switch (reason) {
    case SVM_EXIT_INVALID:
        return "INVALID: the processor refused the guest's state";
    case SVM_EXIT_INVALID - 1:
        return "BUSY";
    case SVM_EXIT_INVALID - 2:
        return "IDLE REQUIRED";
    case SVM_EXIT_INVALID - 3:
        return "INVALID PMC";
    }
    return "unknown";
}

struct field {
    const char *name;
    uint16_t offset;
    uint8_t size; /* bytes */
};
#define FIELD(member)                                                                              \
    {                                                                                              \
#member, offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member)                 \
    }

static const struct field fields[] = {
    FIELD(intercept_cr_read),
    FIELD(intercept_cr_write),
    FIELD(intercept_dr_read),
    FIELD(intercept_dr_write),
    FIELD(intercept_exceptions),
    FIELD(intercept1),
    FIELD(intercept2),
    FIELD(intercept3),
    FIELD(pause_threshold),
    FIELD(pause_count),
    FIELD(iopm_spa),
    FIELD(msrpm_spa),
    FIELD(tsc_offset),
    FIELD(asid),
    FIELD(tlb_control),
    FIELD(interrupt_control),
    FIELD(interrupt_shadow),
    FIELD(exit_code),
    FIELD(exit_info1),
    FIELD(exit_info2),
    FIELD(exit_int_info),
    FIELD(nested_control),
    FIELD(avic_bar),
    FIELD(ghcb),
    FIELD(event_injection),
    FIELD(nested_cr3),
    FIELD(lbr_control),
    FIELD(clean),
    FIELD(next_rip),
    FIELD(bytes_count),
    FIELD(save.cpl),
    FIELD(save.efer),
    FIELD(save.cr0),
    FIELD(save.cr2),
    FIELD(save.cr3),
    FIELD(save.cr4),
    FIELD(save.dr6),
    FIELD(save.dr7),
    FIELD(save.rflags),
    FIELD(save.rip),
    FIELD(save.rsp),
    FIELD(save.rax),
    FIELD(save.s_cet),
    FIELD(save.ssp),
    FIELD(save.isst_address),
    FIELD(save.star),
    FIELD(save.lstar),
    FIELD(save.cstar),
    FIELD(save.sfmask),
    FIELD(save.kernel_gs_base),
    FIELD(save.sysenter_cs),
    FIELD(save.sysenter_esp),
    FIELD(save.sysenter_eip),
    FIELD(save.pat),
    FIELD(save.debugctl),
    FIELD(save.branch_from),
    FIELD(save.branch_to),
    FIELD(save.exception_from),
    FIELD(save.exception_to),
};

static const struct field segments[] = {
    FIELD(save.es), FIELD(save.cs),   FIELD(save.ss),   FIELD(save.ds),   FIELD(save.fs),
    FIELD(save.gs), FIELD(save.gdtr), FIELD(save.ldtr), FIELD(save.idtr), FIELD(save.tr),
};

static uint64_t field_value(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

void svm_dump(struct vp *vp)
{
    const struct vmcb *vmcb = vmcb_of(vp);
    const uint8_t *base = (const uint8_t *)vmcb;

    say_error("VMCB at %016lx, armed 0x%x:", vp->control_spa, vp->armed);
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        say_error("  %03x %-20s %016lx", fields[i].offset, fields[i].name,
                  field_value(base + fields[i].offset, fields[i].size));
    say_error("  0d1 %-20s %016lx %014lx", "bytes", field_value(vmcb->bytes, 8),
              field_value(vmcb->bytes + 8, 7));
    for (unsigned i = 0; i < ARRAY_SIZE(segments); i++) {
        const struct vmcb_segment *s = (const void *)(base + segments[i].offset);
        say_error("  %03x %-20s selector %04x attributes %03x limit %08x base %016lx",
                  segments[i].offset, segments[i].name, s->selector, s->attributes, s->limit,
                  s->base);
    }
    if ((uint32_t)vmcb->exit_code == SVM_EXIT_INVALID)
        svm_explain_refusal(vp);
}
