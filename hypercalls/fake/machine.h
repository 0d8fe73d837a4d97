/* SPDX-License-Identifier: MIT */
/*
 * A small machine for tests of the hypercalls on the build machine: 8 MiB of
 * RAM, two processors, a backend that keeps everything in struct vp. All of
 * hypercalls/ and mm/ is the real code, and so are dispatching and intercepts.
 *
 * One thread plays both processors. A processor that is kicked does at once
 * what its main loop would do next. Each has a TLB that keeps what it was shown
 * until it is flushed, as a real one may.
 */
#ifndef HYPERCALLS_FAKE_MACHINE_H
#define HYPERCALLS_FAKE_MACHINE_H

#include "hv/base/cpu.h"
#include "hv/model/partition.h"
#include "hypercalls/abi.h"

enum { /* frames of the machine, and GPNs of the first partition */
       FAKE_HV = 1024,
       FAKE_POOL = 1152,
       FAKE_RAM_HIGH = 1408, /* guest memory: below FAKE_HV and from here on */
       FAKE_FRAMES = 2048,
       FAKE_DEVICE_END = 2560, /* device space; touching it would fault */
       FAKE_GPA_BITS = 36,
       FAKE_CPUS = 2,
};
#define FAKE_WINDOW (1UL << (FAKE_GPA_BITS - 1 - PAGE_SHIFT)) /* of overlays, GPN */

extern bool fake_trace; /* print what the hypervisor says */

/* How every VP executes when it makes a call: 64-bit, CPL 0 after fake_start. */
struct fake_mode {
    uint8_t cpl;
    bool protected_mode, code64;
};
extern struct fake_mode fake_mode;

/*
 * Starts the machine, at first and again: the first partition with these
 * privileges, everything else gone. Needs no partition left but the first.
 */
void fake_start(const struct slpt_format *format, uint64_t privileges);

/* From here on things happen on that processor. False: its VP is parked. */
bool fake_on_cpu(unsigned index);
/* The VP that the processor in charge runs. */
struct vp *fake_vp(void);

/* The calling VP's guest memory, readable RAM or overlay; NULL when there is none. */
void *fake_page(gpn_t gpn);

/*
 * One hypercall by the current VP, in the form of the control word, 64-bit; goes
 * on with one that is continued. Returns the result word. Checks the machine.
 */
uint64_t fake_call(uint64_t control, uint64_t input, uint64_t output);
/* The same as one instruction: true when it was completed, with the result in RAX (EDX:EAX). */
bool fake_instruction(void);

/* The guest on this processor touches a page: afterwards its TLB may hold the translation. */
void fake_touch(gpn_t gpn);
/* Whether its TLB holds one now. */
bool fake_remembers(gpn_t gpn);

/* The current VP, a child's, exits on an I/O port, a GPA, HLT, or an interrupt for the parent. */
enum fake_exit { FAKE_EXIT_IO, FAKE_EXIT_MEMORY, FAKE_EXIT_HALT, FAKE_EXIT_INTERRUPT };
void fake_exit(enum fake_exit kind, gpa_t gpa);

/* The current VP writes a synthetic MSR. False: #GP. */
bool fake_write_msr(uint32_t msr, uint64_t value);

/* Ends every dispatch, finalizes and deletes all children, takes deposits back; checks. */
void fake_end(void);

/*
 * Everything that must hold between two calls: pools and their lists, who owns
 * what, no frame of the hypervisor's in any map, reference counts, overlays in
 * place, no processor with a translation that is gone. Panics otherwise.
 */
void fake_check(void);
/* Only the last of these. */
void fake_check_tlb(unsigned cpu);

#endif
