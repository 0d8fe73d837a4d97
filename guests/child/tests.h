/* SPDX-License-Identifier: MIT */
/* What the files of the child guest share. */
#ifndef GUESTS_CHILD_TESTS_H
#define GUESTS_CHILD_TESTS_H

#include "guests/lib/child.h"
#include "guests/lib/guest.h"

#define STOP_PORT   0x99            /* programs.asm */
#define VECTOR_PORT (STOP_PORT + 7) /* a handler in `stubs` says its vector */
#define CHILD_STUBS 0x4000          /* where with_handlers puts them */

/* Bounds of a program of programs.asm, and the place of a label in its copy. */
#define DECLARE_PROGRAM(name) extern const uint8_t name[], name##_end[]
#define PLACE(name, label)    (CHILD_CODE + (uint64_t)((label) - (name)))
DECLARE_PROGRAM(real_io);
DECLARE_PROGRAM(real_interrupt);
DECLARE_PROGRAM(protected_io);
DECLARE_PROGRAM(protected_touch);
DECLARE_PROGRAM(long_io);
DECLARE_PROGRAM(string_io);
DECLARE_PROGRAM(halt);
DECLARE_PROGRAM(hidden);
DECLARE_PROGRAM(cpuid_store);
DECLARE_PROGRAM(msr_access);
DECLARE_PROGRAM(touch);
DECLARE_PROGRAM(faults);
DECLARE_PROGRAM(stops);
DECLARE_PROGRAM(spin);
DECLARE_PROGRAM(count_up);
DECLARE_PROGRAM(vectors);
DECLARE_PROGRAM(vectors_avx);
DECLARE_PROGRAM(switched);
DECLARE_PROGRAM(wait_interrupt);
DECLARE_PROGRAM(stubs);
extern const uint8_t real_io_in[], msr_access_write[], touch_read[], touch_write[], touch_execute[];
extern const uint8_t faults_ud[], faults_gp[], stops_second[], stops_third[], vectors_stop[];

enum start { START_REAL, START_PROTECTED, START_LONG };
/* Copies the program and sets VP's registers to begin it. */
void begin(struct child *c, uint32_t vp, enum start mode, const uint8_t *from, const uint8_t *end);
#define START(c, vp, mode, program) begin(c, vp, mode, program, program##_end)

/* An IDT of 256 gates to `stubs` (long mode). */
void with_handlers(struct child *c);

/* Runs until the next stop and tests its type. */
bool stops_with(struct child *c, uint32_t vp, uint32_t type, const char *when);

/*
 * One condition of a larger test: on a difference both values are noted and
 * `matches` turns false.
 */
extern bool matches;
void match(const char *what, uint64_t got, uint64_t expected);

/* The header and what all intercept payloads begin with. execution_state: HV_EXECUTION_*. */
struct expected_header {
    uint32_t type;
    uint8_t payload_size;
    uint8_t access; /* 0 read, 1 write, 2 execute */
    uint8_t length; /* 0xFF: not looked at */
    uint16_t execution_state;
    uint64_t rip;
};
void match_header(struct child *c, uint32_t vp, const struct expected_header *expected);
#define STATE_LONG      (HV_EXECUTION_CR0_PE | HV_EXECUTION_EFER_LMA)
#define STATE_PROTECTED HV_EXECUTION_CR0_PE
#define STATE_REAL      0

/* Fills the intercept page's header and payload, so that a field that is not written shows. */
void spoil_message(struct child *c, uint32_t vp, size_t payload);
/* The 16 instruction bytes of a message are zero behind the first `count`. */
void match_zero_behind(const uint8_t *bytes, unsigned count);

/* Steps over the instruction of the last message (its length is known). */
void step_over(struct child *c, uint32_t vp, unsigned length);

/* Bochs's AMD models end their own run when a guest shuts down. */
bool is_bochs_amd(void);

static inline uint64_t *child_data(struct child *c)
{
    return (uint64_t *)(c->memory + CHILD_DATA);
}

void test_io(void);         /* io.c */
void test_intercepts(void); /* intercepts.c */
void test_memory(void);     /* memory.c */
void test_page(void);       /* page.c */
void test_registers(void);  /* registers.c */
void test_events(void);     /* events.c */
void test_dispatch(void);   /* dispatch.c */
void test_vectors(void);    /* vectors.c */
void test_switched(void);   /* switched.c */

#endif
