/* SPDX-License-Identifier: MIT */
/* Section 1: the calling forms, the registers they leave alone, and where the opcode is legal. */
#include "guests/abi/abi.h"

#define USER_FLAGS (RFLAGS_FIXED | RFLAGS_CF | 0x8D4) /* PF, AF, ZF, SF, OF */

static struct hypercall_registers regs, before; /* below 4 GiB, for 32-bit callers */

static void fill(uint64_t entry)
{
    for (unsigned n = 0; n < ARRAY_SIZE(regs.gpr); n++)
        regs.gpr[n] = 0x1122334455667700UL * (n + 1) + n;
    for (unsigned n = 0; n < sizeof(regs.xmm); n++)
        ((uint8_t *)regs.xmm)[n] = (uint8_t)(n * 7 + 3);
    regs.rflags = USER_FLAGS;
    regs.entry = entry;
}

/* All general registers but those in `except` (bit mask) and rsp, flags, xmm. */
static bool kept(uint32_t except, uint64_t mask)
{
    for (unsigned n = 0; n < ARRAY_SIZE(regs.gpr); n++) {
        if (!(except >> n & 1) && n != HV_RSP && (regs.gpr[n] & mask) != (before.gpr[n] & mask)) {
            tap_note("  register %u was 0x%lx, is 0x%lx", n, before.gpr[n] & mask,
                     regs.gpr[n] & mask);
            return false;
        }
    }
    return true;
}

static void check_kept(const char *form, uint32_t except, uint64_t mask)
{
    tap_ok(kept(except, mask), "1: %s changes no register that it should not", form);
    tap_ok((regs.rflags & 0xFFFF) == (before.rflags & 0xFFFF), "1: %s keeps the flags", form);
    tap_ok(memcmp(regs.xmm, before.xmm, sizeof(regs.xmm)) == 0, "1: %s keeps xmm0..5", form);
}

static void long_form(const char *name, uint64_t entry)
{
    uint64_t *out = hv_output_page();
    fill(entry);
    regs.gpr[HV_RCX] = HVCALL_GET_PARTITION_ID;
    regs.gpr[8] = output_gpa();
    *out = 0;
    before = regs;
    hypercall_raw(&regs);
    tap_equal(regs.gpr[HV_RAX], HV_STATUS_SUCCESS, "1: 64-bit caller, %s", name);
    tap_ok(*out != 0, "1: the output is there");
    check_kept(name, 1 << HV_RAX, ~0UL);
}

static void long_rep_form(void)
{
    struct hv_input_vp_registers *in = hv_input_page();
    *in = (struct hv_input_vp_registers){.partition_id = HV_PARTITION_ID_SELF,
                                         .vp_index = HV_VP_INDEX_SELF};
    *(uint32_t *)(in + 1) = HV_REGISTER_VP_INDEX;
    fill((uint64_t)hypercall_page);
    regs.gpr[HV_RCX] = hv_rep_control(HVCALL_GET_VP_REGISTERS, 1, 0);
    regs.gpr[HV_RDX] = input_gpa();
    regs.gpr[8] = output_gpa();
    before = regs;
    hypercall_raw(&regs);
    tap_equal(regs.gpr[HV_RAX], 1UL << 32, "1: 64-bit caller, rep call");
    check_kept("a rep call", 1 << HV_RAX | 1 << HV_RCX, ~0UL);
    tap_equal((regs.gpr[HV_RCX] ^ before.gpr[HV_RCX]) & ~(0xFFFUL << HV_CONTROL_REP_START_SHIFT), 0,
              "1: of RCX at most the rep start changes");
}

static void set32(uint64_t control, uint64_t input, uint64_t output)
{
    regs.gpr[HV_RAX] = (uint32_t)control;
    regs.gpr[HV_RDX] = control >> 32;
    regs.gpr[HV_RCX] = (uint32_t)input;
    regs.gpr[HV_RBX] = input >> 32;
    regs.gpr[HV_RSI] = (uint32_t)output;
    regs.gpr[HV_RDI] = output >> 32;
}

static uint64_t call32(bool legacy)
{
    before = regs;
    hypercall_raw32(&regs, legacy);
    return regs.gpr[HV_RDX] << 32 | (uint32_t)regs.gpr[HV_RAX];
}

static void short_form(bool legacy)
{
    const char *mode = legacy ? "protected mode" : "compatibility mode";
    const uint32_t only_32 = 0xFF00; /* r8..r15 are not the caller's business */
    uint64_t *out = hv_output_page();

    fill((uint64_t)hypercall_page);
    set32(HVCALL_GET_PARTITION_ID, ~0UL, output_gpa());
    *out = 0;
    tap_equal(call32(legacy), 0, "1: 32-bit caller in %s", mode);
    tap_ok(*out != 0, "1: its output came by EDI:ESI");
    check_kept(mode, only_32 | 1 << HV_RAX | 1 << HV_RDX, 0xFFFFFFFF);

    struct hv_input_vp_registers *in = hv_input_page();
    *in = (struct hv_input_vp_registers){.partition_id = HV_PARTITION_ID_SELF,
                                         .vp_index = HV_VP_INDEX_SELF};
    ((uint32_t *)(in + 1))[0] = ((uint32_t *)(in + 1))[1] = HV_REGISTER_VP_INDEX;
    set32(hv_rep_control(HVCALL_GET_VP_REGISTERS, 2, 0), input_gpa(), output_gpa());
    tap_equal(call32(legacy), 2UL << 32, "1: 32-bit rep call in %s: input by EBX:ECX, reps in EDX",
              mode);
    set32(HVCALL_GET_PARTITION_ID, 0, output_gpa() | 1UL << 63);
    tap_equal(call32(legacy), HV_STATUS_INVALID_ALIGNMENT, "1: EDI counts in %s", mode);
    set32(HVCALL_UNMAP_VP_STATE_PAGE, input_gpa() | 1UL << 63, 0);
    tap_equal(call32(legacy), HV_STATUS_INVALID_ALIGNMENT, "1: EBX counts in %s", mode);
    set32(HVCALL_GET_PARTITION_ID | 1UL << 60, 0, output_gpa());
    tap_equal(call32(legacy), HV_STATUS_INVALID_HYPERCALL_INPUT, "1: EDX counts in %s", mode);
    set32(HVCALL_UNMAP_VP_STATE_PAGE | HV_CONTROL_FAST, HV_PARTITION_ID_SELF, 0);
    tap_equal(call32(legacy), HV_STATUS_NOT_FOUND, "1: 32-bit fast call in %s", mode);
}

void test_forms(void)
{
    long_form("the hypercall page", (uint64_t)hypercall_page);
    long_form("the bare opcode", direct_entry());
    long_rep_form();
    short_form(false);
    short_form(true);
}

static void call_directly(void *argument)
{
    (void)argument;
    regs.gpr[HV_RCX] = HVCALL_GET_PARTITION_ID;
    regs.gpr[8] = output_gpa();
    regs.entry = direct_entry();
    hypercall_raw(&regs);
}

static void user_opcode(void *argument)
{
    ((void (*)(void))argument)();
}

void test_environment(void)
{
    struct trap trap = user_call(user_opcode, (void *)direct_entry());
    tap_equal(trap.vector, VECTOR_UD, "1: the opcode at CPL 3 raises #UD");
    trap = user_call(user_opcode, hypercall_page);
    tap_equal(trap.vector, VECTOR_UD, "1: the hypercall page at CPL 3 raises #UD");
    bool vmcall = direct_entry() == (uint64_t)direct_vmcall;
    tap_equal(real_mode_call(vmcall), 2, "1: the opcode in real mode raises #UD");

    wrmsr(HV_MSR_GUEST_OS_ID, 0);
    bool returned = try_call(call_directly, NULL, &trap);
    tap_ok(!returned && trap.vector == VECTOR_UD, "1: the opcode with guest OS ID 0 raises #UD");
    wrmsr(HV_MSR_GUEST_OS_ID, GUEST_OS_ID);
    returned = try_call(call_directly, NULL, &trap);
    tap_ok(returned && hv_status(regs.gpr[HV_RAX]) == HV_STATUS_SUCCESS,
           "1: and answers again with an identity");
    wrmsr(HV_MSR_HYPERCALL, (uint64_t)hypercall_page | HV_HYPERCALL_MSR_ENABLE);
}
