/* SPDX-License-Identifier: MIT */
/* Calling the hypervisor from a bundled guest. */
#ifndef GUESTS_LIB_HYPERCALL_H
#define GUESTS_LIB_HYPERCALL_H

#include "hv/base/types.h"
#include "hypercalls/abi.h"

/* A non-zero identity for HV_MSR_GUEST_OS_ID: open source, not Linux, version 1. */
#define GUEST_OS_ID 0x8700000000010000UL

/* CPUID says "Microsoft Hv" and "Hv#1". */
bool hypervisor_present(void);
/* The privilege mask, CPUID 0x40000003 EBX:EAX. Bits: PRIVILEGE_* of hv/model/partition.h. */
uint64_t hypervisor_privileges(void);
enum guest_role { ROLE_IS_ROOT, ROLE_IS_LAYERED, ROLE_IS_GUEST };
enum guest_role hypervisor_role(void);
const char *role_name(enum guest_role role);

/* Sets the guest OS ID and places the hypercall page (bails out without a hypervisor). */
void hypercall_init(void);
extern uint8_t hypercall_page[PAGE_SIZE]; /* what the overlay covers */

/*
 * One call by the 64-bit form through the hypercall page, nothing done for the
 * caller: control word, input GPA or value, output GPA or value. Returns RAX.
 */
uint64_t hypercall(uint64_t control, uint64_t input, uint64_t output);

static inline uint16_t hv_status(uint64_t result)
{
    return (uint16_t)result;
}

static inline uint32_t hv_reps(uint64_t result)
{
    return (uint32_t)(result >> HV_RESULT_REPS_SHIFT) & 0xFFF;
}

static inline uint64_t hv_rep_control(uint16_t code, uint32_t count, uint32_t start)
{
    return code | count * (1UL << HV_CONTROL_REP_COUNT_SHIFT) |
           start * (1UL << HV_CONTROL_REP_START_SHIFT);
}

/*
 * A slow simple call: the input is copied to this processor's input page, the
 * output (NULL and 0 for none) from its output page on success. Returns the status.
 */
uint16_t hv_call(uint16_t code, const void *input, size_t input_size, void *output,
                 size_t output_size);
/* A fast simple call. */
uint16_t hv_call_fast(uint16_t code, uint64_t input0, uint64_t input1);
/*
 * A slow rep call: header, then `count` elements (list NULL: none are copied); output elements
 * are copied as far as the call came. *completed (may be NULL) is the reps completed.
 */
uint16_t hv_call_rep(uint16_t code, const void *header, size_t header_size, const void *list,
                     size_t element_size, uint32_t count, void *output, size_t output_element_size,
                     uint32_t *completed);
/* This processor's input and output page, to fill by hand. */
void *hv_input_page(void);
void *hv_output_page(void);

/* Every register around a call. Indices of gpr are those of the register page. */
struct hypercall_registers {
    uint64_t gpr[16]; /* rsp (index 4) is not loaded */
    uint64_t rflags;
    uint64_t entry; /* what is called: hypercall_page, direct_vmcall, ... */
    uint8_t xmm[6][16];
};
_Static_assert(offsetof(struct hypercall_registers, rflags) == 128, "hypercall.asm");
_Static_assert(offsetof(struct hypercall_registers, entry) == 136, "hypercall.asm");
_Static_assert(offsetof(struct hypercall_registers, xmm) == 144, "hypercall.asm");

enum { HV_RAX, HV_RCX, HV_RDX, HV_RBX, HV_RSP, HV_RBP, HV_RSI, HV_RDI };

/* Loads all registers, calls, stores all. 64-bit. Exceptions go to try_call as always. */
void hypercall_raw(struct hypercall_registers *registers);
/*
 * The same from a 32-bit code segment: low halves of eax ecx edx ebx ebp esi edi, flags.
 * `registers` must be below 4 GiB. With legacy = true, paging and long mode are off
 * during the call (an exception then ends in a triple fault).
 */
void hypercall_raw32(struct hypercall_registers *registers, bool legacy);

/* The two opcodes followed by RET, for hypercall_registers.entry. Valid in 32-bit mode too. */
void direct_vmcall(void);
void direct_vmmcall(void);
/* The one of the two that is this processor's (CPUID vendor). */
uint64_t direct_entry(void);

#endif
