/* SPDX-License-Identifier: MIT */
/* Virtualization instructions and registers, which this guest must not seem to have. */
#include "guests/hostile/hostile.h"

extern const struct instruction {
    void (*run)(void *);
    const char *name;
} virtualization_instructions[];

static void write_bad_cr4(void *bit)
{
    write_cr4(read_cr4() | (uint64_t)bit);
}

static void write_bad_cr0(void *value)
{
    write_cr0((uint64_t)value);
}

static void other_hypercall(void *argument)
{
    (void)argument;
    if (direct_entry() == (uint64_t)direct_vmcall)
        direct_vmmcall();
    else
        direct_vmcall();
}

static void own_hypercall(void *argument)
{
    (void)argument;
    if (direct_entry() == (uint64_t)direct_vmcall)
        direct_vmcall();
    else
        direct_vmmcall();
}

static void every_instruction(void)
{
    for (const struct instruction *i = virtualization_instructions; i->run != NULL; i++) {
        struct trap trap = {0};
        bool ran = try_call(i->run, hv_input_page(), &trap);
        if (ran || trap.vector != VECTOR_UD)
            tap_note("%s: %s", i->name, ran ? "went through" : trap_name(trap.vector));
        struct trap user = user_call(i->run, hv_input_page());
        tap_ok(!ran && trap.vector == VECTOR_UD &&
                   (user.vector == VECTOR_UD || user.vector == VECTOR_GP),
               "%s is #UD at CPL 0, and %s at CPL 3", i->name, trap_name(user.vector));
    }
}

static void hypercall_instructions(void)
{
    struct trap trap = {0};
    bool ran = try_call(other_hypercall, NULL, &trap);
    tap_ok(!ran && trap.vector == VECTOR_UD, "the other vendor's hypercall instruction is #UD");
    trap = user_call(own_hypercall, NULL);
    tap_equal(trap.vector, VECTOR_UD, "a hypercall at CPL 3 is #UD");
}

static void control_registers(void)
{
    struct trap trap = {0};
    uint64_t cr0 = read_cr0(), cr4 = read_cr4();
    bool ran = try_call(write_bad_cr4, (void *)CR4_VMXE, &trap);
    tap_ok(!ran && trap.vector == VECTOR_GP && read_cr4() == cr4, "setting CR4.VMXE is #GP");
    ran = try_call(write_bad_cr4, (void *)(1UL << 31), &trap);
    tap_ok(!ran && trap.vector == VECTOR_GP && read_cr4() == cr4,
           "setting a reserved bit of CR4 is #GP");
    if (machine_is_tcg()) {
        tap_skip("bad values of CR0: QEMU's TCG takes them");
        return;
    }
    if (machine_is_bochs() && machine_is_amd()) {
        tap_skip("bad values of CR0: Bochs stops itself when an SVM guest clears CR0.PE");
        return;
    }
    ran = try_call(write_bad_cr0, (void *)(cr0 & ~(uint64_t)CR0_PE), &trap);
    tap_ok(!ran && trap.vector == VECTOR_GP && read_cr0() == cr0,
           "paging without protection in CR0 is #GP");
    ran = try_call(write_bad_cr0, (void *)(cr0 | 1UL << 40), &trap);
    tap_ok(!ran && trap.vector == VECTOR_GP && read_cr0() == cr0, "a high bit of CR0 is #GP");
}

static void hidden(void)
{
    tap_ok(!(cpuid(1, 0).ecx & BIT(5)), "CPUID does not show VMX");
    tap_ok(!(cpuid(0x80000001, 0).ecx & BIT(2)), "CPUID does not show SVM");
}

void test_instructions(void)
{
    hidden();
    every_instruction();
    hypercall_instructions();
    control_registers();
}
