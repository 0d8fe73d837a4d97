/* SPDX-License-Identifier: MIT */
/* MSRs and debug registers that are switched with the VP: each VP has its own. */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

/* In the order of the program's list; DR0 comes behind them. */
static const uint32_t msrs[] = {MSR_KERNEL_GS_BASE, MSR_STAR,   MSR_LSTAR,
                                MSR_CSTAR,          MSR_SFMASK, MSR_TSC_AUX};
static const uint32_t names[] = {HV_REGISTER_KERNEL_GS_BASE, HV_REGISTER_STAR, HV_REGISTER_LSTAR,
                                 HV_REGISTER_CSTAR, HV_REGISTER_SFMASK};
enum { MSRS = ARRAY_SIZE(msrs), VALUES = MSRS + 1 };
enum { PARENT, BEGIN, CHANGED }; /* whose, or of which part of a child's life, the values are */

/* Which of them differ between the VPs; the others are 0. */
enum { KERNEL_GS = 1, OTHER_MSRS = 2 };

/* MSR n (MSRS: DR0, which always differs) of VP `vp` in `part`. */
static uint64_t value_of(unsigned differ, unsigned part, uint32_t vp, unsigned n)
{
    uint64_t seed = 1 + part * 2 + vp;
    bool address = n == 0 || n == 2 || n == 3;
    if (n < MSRS && !(differ & (n == 0 ? KERNEL_GS : OTHER_MSRS)))
        return 0;
    if (n == MSRS - 1 && part == BEGIN)
        return 0; /* TSC_AUX has no register name to begin with */
    return address ? 0xFFFF800000000000 | seed << 16 | n << 4 : seed << 8;
}

/* [0] what it finds, [1] what it writes, [2] what it finds after a stop. */
static uint64_t *values(struct child *c, uint32_t vp, unsigned which)
{
    return (uint64_t *)(c->memory + CHILD_DATA + vp * 0x1000) + which * 8;
}

static void begin_vp(struct child *c, unsigned differ, uint32_t vp)
{
    child_enter_long(c, vp, CHILD_CODE);
    child_put(c, vp, HV_REGISTER_RAX + RBX, CHILD_DATA + vp * 0x1000);
    for (unsigned n = 0; n < ARRAY_SIZE(names); n++)
        child_put(c, vp, names[n], value_of(differ, BEGIN, vp, n));
    child_put(c, vp, HV_REGISTER_DR0, value_of(differ, BEGIN, vp, MSRS));
    for (unsigned n = 0; n < VALUES; n++)
        values(c, vp, 1)[n] = value_of(differ, CHANGED, vp, n);
}

static void match_found(struct child *c, unsigned differ, uint32_t vp, unsigned which,
                        unsigned part)
{
    for (unsigned n = 0; n < VALUES; n++)
        match(n < MSRS ? "an MSR in the child" : "DR0 in the child", values(c, vp, which)[n],
              value_of(differ, part, vp, n));
}

static void match_own(unsigned differ)
{
    for (unsigned n = 0; n < MSRS; n++)
        match("an MSR of the parent", rdmsr(msrs[n]), value_of(differ, PARENT, 0, n));
    match("DR0 of the parent", read_dr0(), value_of(differ, PARENT, 0, MSRS));
}

static void separate(unsigned differ)
{
    uint64_t before[MSRS];
    struct child c;
    child_open(&c, 2, CHILD_MAP_ALL);
    child_load(&c, CHILD_CODE, switched, switched_end);
    for (uint32_t vp = 0; vp < 2; vp++)
        begin_vp(&c, differ, vp);
    for (unsigned n = 0; n < MSRS; n++) {
        before[n] = rdmsr(msrs[n]);
        wrmsr(msrs[n], value_of(differ, PARENT, 0, n));
    }
    write_dr0(value_of(differ, PARENT, 0, MSRS));
    matches = true;
    for (uint32_t vp = 0; vp < 2; vp++) {
        match("a stop", child_run(&c, vp), HV_MESSAGE_IO_PORT);
        match_own(differ);
        match_found(&c, differ, vp, 0, BEGIN);
        step_over(&c, vp, 2);
    }
    for (uint32_t vp = 0; vp < 2; vp++) {
        match("its end", child_run(&c, vp), HV_MESSAGE_HALT);
        match_own(differ);
        match_found(&c, differ, vp, 2, CHANGED);
        match("what the parent reads", child_register(c.id, vp, HV_REGISTER_KERNEL_GS_BASE),
              value_of(differ, CHANGED, vp, 0));
    }
    for (unsigned n = 0; n < MSRS; n++)
        wrmsr(msrs[n], before[n]);
    write_dr0(0);
    tap_ok(matches, "switched registers of two VPs and of their parent do not mix: DR0%s%s",
           differ & KERNEL_GS ? ", KERNEL_GS_BASE" : "",
           differ & OTHER_MSRS ? ", SYSCALL's MSRs, TSC_AUX" : "");
    tap_ok(child_close(&c), "the child of the switched registers is gone");
}

void test_switched(void)
{
    separate(KERNEL_GS);
    separate(OTHER_MSRS);
    separate(KERNEL_GS | OTHER_MSRS);
}
