/* SPDX-License-Identifier: MIT */
/*
 * The neutral description of a VM exit. A backend decodes its own exit into
 * this; everything after that is common code.
 */
#ifndef HV_BASE_EXIT_H
#define HV_BASE_EXIT_H

#include "hv/base/types.h"

enum exit_kind {
    EXIT_NOTHING,   /* go round again: kicked before entry, or the backend dealt with it */
    EXIT_INTERRUPT, /* a physical interrupt is pending (children only) */
    EXIT_NMI,       /* a physical NMI was taken; the backend has let it through to the
                              host's NMI handler (nmi_arrived in hv/base/smp.h) */
    EXIT_HYPERCALL, /* VMCALL or VMMCALL */
    EXIT_CPUID,
    EXIT_RDMSR,
    EXIT_WRMSR,
    EXIT_IO,
    EXIT_MEMORY, /* second-level violation */
    EXIT_HLT,
    EXIT_EXCEPTION, /* an intercepted exception; not yet delivered */
    EXIT_TRIPLE_FAULT,
    EXIT_XSETBV,
    EXIT_UNDEFINED,        /* an instruction that does not exist for this guest: inject #UD */
    EXIT_WBINVD,           /* WBINVD or INVD */
    EXIT_INTERRUPT_WINDOW, /* the guest can now take an interrupt */
    EXIT_NMI_WINDOW,       /* the guest can now take an NMI */
    EXIT_GP,               /* to be answered by #GP(0) */
    EXIT_ENTRY_FAILED,     /* the processor refused the state: panic for the first partition,
                              "invalid VP register value" for a child */
    EXIT_UNEXPECTED,       /* an exit that cannot happen as we program the processor: panic */
    EXIT_KIND_COUNT
};

enum { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_EXECUTE = 2 };

struct exit {
    uint8_t kind;        /* enum exit_kind */
    uint8_t insn_length; /* bytes, to step over the instruction; 0 when not known */
    uint8_t access;      /* EXIT_MEMORY: ACCESS_*; EXIT_IO: ACCESS_READ for IN */
    bool gva_valid;      /* EXIT_MEMORY: gva holds the linear address */
    bool gva_translated; /* EXIT_MEMORY: the fault is on the final translation, not on the guest's
                             own page-table walk */
    bool io_string, io_rep;
    uint8_t io_size; /* 1, 2, 4 */
    uint16_t port;
    uint8_t vector; /* EXIT_EXCEPTION */
    bool has_error;
    uint32_t error;      /* EXIT_EXCEPTION: error code */
    uint64_t parameter;  /* EXIT_EXCEPTION: #PF linear address, #DB the DR6 bits */
    gpa_t gpa;           /* EXIT_MEMORY */
    uint64_t gva;        /* EXIT_MEMORY, when gva_valid */
    uint8_t bytes_count; /* instruction bytes that the processor gave (SVM decode assists) */
    uint8_t bytes[15];
    uint32_t reason; /* the vendor's own number, for the diagnosis */
    uint64_t detail; /* the vendor's qualification or EXITINFO1, for the diagnosis */
};

#endif
