/* SPDX-License-Identifier: MIT */
/* GetVpRegisters and SetVpRegisters: every name, and what is refused. */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

struct register_case {
    const char *name;
    uint32_t number;
    uint64_t low, high;
};

static const struct register_case writable[] = {
    {"RAX", HV_REGISTER_RAX, 0xA1A2A3A4A5A6A7A8, 0},
    {"RCX", HV_REGISTER_RAX + RCX, 0xC1, 0},
    {"RDX", HV_REGISTER_RAX + RDX, ~0UL, 0},
    {"RBX", HV_REGISTER_RAX + RBX, 0xB1, 0},
    {"RSP", HV_REGISTER_RAX + RSP, 0x8000, 0},
    {"RBP", HV_REGISTER_RAX + RBP, 0xB2, 0},
    {"RSI", HV_REGISTER_RAX + RSI, 0x51, 0},
    {"RDI", HV_REGISTER_RAX + RDI, 0xD1, 0},
    {"R8", HV_REGISTER_RAX + R8, 8, 0},
    {"R9", HV_REGISTER_RAX + R9, 9, 0},
    {"R10", HV_REGISTER_RAX + R10, 10, 0},
    {"R11", HV_REGISTER_RAX + R11, 11, 0},
    {"R12", HV_REGISTER_RAX + R12, 12, 0},
    {"R13", HV_REGISTER_RAX + R13, 13, 0},
    {"R14", HV_REGISTER_RAX + R14, 14, 0},
    {"R15", HV_REGISTER_RAX + R15, 15, 0},
    {"RIP", HV_REGISTER_RIP, 0x1234, 0},
    {"RFLAGS", HV_REGISTER_RFLAGS, 0x246, 0},
    {"XMM0", HV_REGISTER_XMM0, 0x1111111122222222, 0x3333333344444444},
    {"XMM15", HV_REGISTER_XMM0 + 15, 0x5555, 0x6666},
    {"CR2", HV_REGISTER_CR2, 0xDEADBEEF000, 0},
    {"CR3", HV_REGISTER_CR3, CHILD_TABLES, 0},
    {"CR4", HV_REGISTER_CR4, CR4_PAE | CR4_PGE | CR4_OSFXSR, 0},
    {"CR8", HV_REGISTER_CR8, 5, 0},
    {"DR0", HV_REGISTER_DR0, 0x1000, 0},
    {"DR1", HV_REGISTER_DR0 + 1, 0x2000, 0},
    {"DR2", HV_REGISTER_DR0 + 2, 0x3000, 0},
    {"DR3", HV_REGISTER_DR0 + 3, 0x4000, 0},
    {"DR7", HV_REGISTER_DR7, 0x400, 0},
    {"ES", HV_REGISTER_ES + SEG_ES, 0x1000, 0xFFFF | 0x10UL << 32 | 0x4093UL << 48},
    {"CS", HV_REGISTER_ES + SEG_CS, 0, 0xFFFFFFFF | 0x8UL << 32 | 0xA09BUL << 48},
    {"SS", HV_REGISTER_ES + SEG_SS, 0, 0xFFFFFFFF | 0x10UL << 32 | 0xC093UL << 48},
    {"DS", HV_REGISTER_ES + SEG_DS, 0x2000, 0xFFFF | 0x10UL << 32 | 0x4093UL << 48},
    {"FS", HV_REGISTER_ES + SEG_FS, 0x123456789A, 0xFFFF | 0x10UL << 32 | 0x4093UL << 48},
    {"GS", HV_REGISTER_ES + SEG_GS, 0xFFFF800000000000, 0xFFFF | 0x10UL << 32 | 0x4093UL << 48},
    {"LDTR", HV_REGISTER_ES + SEG_LDTR, 0x3000, 0x1F | 0x30UL << 32 | 0x82UL << 48},
    {"TR", HV_REGISTER_ES + SEG_TR, 0x4000, 0x67 | 0x28UL << 32 | 0x8BUL << 48},
    {"IDTR", HV_REGISTER_IDTR, 0xABFUL << 48, 0x5000},
    {"GDTR", HV_REGISTER_GDTR, 0x37UL << 48, 0x6000},
    {"KERNEL_GS_BASE", HV_REGISTER_KERNEL_GS_BASE, 0xFFFF900000000000, 0},
    {"PAT", HV_REGISTER_PAT, 0x0007040600070406, 0},
    {"SYSENTER_CS", HV_REGISTER_SYSENTER_CS, 0x8, 0},
    {"SYSENTER_EIP", HV_REGISTER_SYSENTER_EIP, 0x11000, 0},
    {"SYSENTER_ESP", HV_REGISTER_SYSENTER_ESP, 0x12000, 0},
    {"STAR", HV_REGISTER_STAR, 0x0013000800000000, 0},
    {"LSTAR", HV_REGISTER_LSTAR, 0xFFFFFFFF81000000, 0},
    {"CSTAR", HV_REGISTER_CSTAR, 0xFFFFFFFF82000000, 0},
    {"SFMASK", HV_REGISTER_SFMASK, 0x47700, 0},
    {"INTERCEPT_SUSPEND", HV_REGISTER_INTERCEPT_SUSPEND, 1, 0},
    {"INTERCEPT_SUSPEND", HV_REGISTER_INTERCEPT_SUSPEND, 0, 0},
    {"EXPLICIT_SUSPEND", HV_REGISTER_EXPLICIT_SUSPEND, 1, 0},
    {"EXPLICIT_SUSPEND", HV_REGISTER_EXPLICIT_SUSPEND, 0, 0},
};

static void all_names(struct child *c)
{
    for (unsigned n = 0; n < ARRAY_SIZE(writable); n++) {
        const struct register_case *r = &writable[n];
        struct hv_register_value value = {0};
        matches = true;
        match("status of the set", child_set(c->id, 0, r->number, r->low, r->high), 0);
        match("status of the get", child_get(c->id, 0, r->number, &value), 0);
        match("low half", value.low, r->low);
        match("high half", value.high, r->high);
        tap_ok(matches, "%s (0x%x) holds what was set", r->name, r->number);
    }
    tap_equal(child_register(c->id, 0, HV_REGISTER_VP_INDEX), 0, "the VP index register");
    uint64_t tsc = child_register(c->id, 0, HV_REGISTER_TSC);
    tap_ok(child_register(c->id, 0, HV_REGISTER_TSC) > tsc, "the TSC register advances");
}

/* Everything that was set is still there after the VP ran with it. */
static void survive_a_run(struct child *c)
{
    static const uint32_t names[] = {
        HV_REGISTER_KERNEL_GS_BASE,
        HV_REGISTER_SYSENTER_CS,
        HV_REGISTER_SYSENTER_EIP,
        HV_REGISTER_SYSENTER_ESP,
        HV_REGISTER_STAR,
        HV_REGISTER_LSTAR,
        HV_REGISTER_CSTAR,
        HV_REGISTER_SFMASK,
        HV_REGISTER_PAT,
        HV_REGISTER_DR0,
        HV_REGISTER_DR0 + 3,
        HV_REGISTER_CR8,
        HV_REGISTER_CR2,
    };
    uint64_t before[ARRAY_SIZE(names)];
    START(c, 0, START_LONG, halt);
    child_put(c, 0, HV_REGISTER_CR2, 0xC2C2C2);
    for (unsigned n = 0; n < ARRAY_SIZE(names); n++)
        before[n] = child_register(c->id, 0, names[n]);
    child_put(c, 0, HV_REGISTER_XMM0 + 9, 0x99);
    stops_with(c, 0, HV_MESSAGE_HALT, "a run with all of these");
    matches = true;
    for (unsigned n = 0; n < ARRAY_SIZE(names); n++) {
        if (names[n] == HV_REGISTER_CR2 && is_bochs_amd())
            continue; /* it does not load CR2 from the control block */
        match("register", child_register(c->id, 0, names[n]), before[n]);
    }
    match("XMM9", child_register(c->id, 0, HV_REGISTER_XMM0 + 9), 0x99);
    tap_ok(matches, "system registers and XMM9 are unchanged by a run that does not touch them");
}

/* What the VP itself changed and no page shows is there when asked for. */
static void match_hidden(struct child *c)
{
    struct hv_register_value ldtr, gdtr, idtr;
    match("CR2", child_register(c->id, 0, HV_REGISTER_CR2), 0xC2C2C2);
    match("KERNEL_GS_BASE", child_register(c->id, 0, HV_REGISTER_KERNEL_GS_BASE), 0);
    match("GDTR", child_get(c->id, 0, HV_REGISTER_GDTR, &gdtr), 0);
    match("IDTR", child_get(c->id, 0, HV_REGISTER_IDTR, &idtr), 0);
    match("LDTR", child_get(c->id, 0, HV_REGISTER_ES + SEG_LDTR, &ldtr), 0);
    match("its GDTR limit", gdtr.low >> 48, 0x2F);
    match("its IDTR limit", idtr.low >> 48, 0x7FF);
    match("its LDTR selector", ldtr.high >> 32 & 0xFFFF, 0);
}

/* And on the next run, whether the registers are written by a call or through the page. */
static void not_shown(struct child *c, bool by_page)
{
    const uint16_t *stored = (const uint16_t *)child_data(c);
    START(c, 0, START_LONG, hidden);
    child_put(c, 0, HV_REGISTER_KERNEL_GS_BASE, 0x7000);
    if (!stops_with(c, 0, HV_MESSAGE_HALT, "a VP that changes GDTR, IDTR, LDTR, CR2 and GS"))
        return;
    matches = true;
    step_over(c, 0, 1);
    if (by_page) {
        c->vps[0].registers->dirty |= HV_DIRTY_RFLAGS;
    } else {
        match_hidden(c);
        child_put(c, 0, HV_REGISTER_RAX + RBX, 1);
    }
    stops_with(c, 0, HV_MESSAGE_HALT, "it goes on");
    match("GDTR limit", stored[8], 0x2F);
    match("IDTR limit", stored[16], 0x7FF);
    tap_ok(matches, "it has what it had, its registers written %s",
           by_page ? "through the page" : "by SetVpRegisters");
}

static void refused(struct child *c)
{
    static const struct {
        const char *what;
        uint32_t name;
        uint64_t value;
    } bad[] = {
        {"non-canonical RIP", HV_REGISTER_RIP, 0x8000000000000000},
        {"RFLAGS with bit 5", HV_REGISTER_RFLAGS, 0x22},
        {"CR0 with paging without protection", HV_REGISTER_CR0, CR0_PG},
        {"CR0 with a reserved bit", HV_REGISTER_CR0, 1UL << 40},
        {"CR4 with a reserved bit", HV_REGISTER_CR4, 1UL << 63},
        {"CR8 above 15", HV_REGISTER_CR8, 16},
        {"CR3 beyond the GPA width", HV_REGISTER_CR3, 1UL << 62},
        {"EFER with a reserved bit", HV_REGISTER_EFER, 1UL << 40},
        {"EFER with SVME", HV_REGISTER_EFER, EFER_SVME},
        {"DR7 with high bits", HV_REGISTER_DR7, 1UL << 40},
        {"PAT with type 2", HV_REGISTER_PAT, 2},
        {"non-canonical LSTAR", HV_REGISTER_LSTAR, 1UL << 60},
        {"pending interruption of reserved type 7", HV_REGISTER_PENDING_INTERRUPTION, 0xF},
        {"explicit suspend 2", HV_REGISTER_EXPLICIT_SUSPEND, 2},
    };
    for (unsigned n = 0; n < ARRAY_SIZE(bad); n++) {
        uint64_t before = child_register(c->id, 0, bad[n].name);
        tap_status(child_set(c->id, 0, bad[n].name, bad[n].value, 0),
                   HV_STATUS_INVALID_REGISTER_VALUE, "%s", bad[n].what);
        if (child_register(c->id, 0, bad[n].name) != before)
            tap_ok(false, "a refused value changes nothing: %s", bad[n].what);
    }
}

static void lists(struct child *c)
{
    struct hv_input_vp_registers input = {.partition_id = c->id};
    uint32_t names[3] = {HV_REGISTER_RIP, 0x00FFFFFF, HV_REGISTER_RFLAGS}, completed;
    struct hv_register_value values[3];
    tap_status(hv_call_rep(HVCALL_GET_VP_REGISTERS, &input, sizeof(input), names, 4, 3, values, 16,
                           &completed),
               HV_STATUS_INVALID_PARAMETER, "an unknown register name in the middle of a list");
    tap_equal(completed, 1, "... with the completed count");
    struct hv_register_assignment list[3] = {
        {.name = HV_REGISTER_RAX, .value = {0x111, 0}},
        {.name = 0x00FFFFFF},
        {.name = HV_REGISTER_RAX + RBX, .value = {0x333, 0}},
    };
    child_put(c, 0, HV_REGISTER_RAX + RBX, 0);
    tap_status(hv_call_rep(HVCALL_SET_VP_REGISTERS, &input, sizeof(input), list, sizeof(list[0]), 3,
                           NULL, 0, &completed),
               HV_STATUS_INVALID_PARAMETER, "the same in SetVpRegisters");
    tap_ok(completed == 1 && child_register(c->id, 0, HV_REGISTER_RAX) == 0x111 &&
               child_register(c->id, 0, HV_REGISTER_RAX + RBX) == 0,
           "the one before it is set, the one behind it is not");
    tap_status(child_set(c->id, 0, HV_REGISTER_VP_INDEX, 3, 0), HV_STATUS_INVALID_PARAMETER,
               "the VP index cannot be set");
    tap_status(child_get(c->id, 1, HV_REGISTER_RIP, values), HV_STATUS_INVALID_VP_INDEX,
               "registers of a VP that there is not");
    tap_status(child_get(c->id, HV_VP_INDEX_SELF, HV_REGISTER_RIP, values),
               HV_STATUS_INVALID_VP_INDEX, "VP index SELF of a child");
    tap_status(child_get(c->id + 1000, 0, HV_REGISTER_RIP, values), HV_STATUS_INVALID_PARTITION_ID,
               "registers of a partition that there is not");
}

void test_registers(void)
{
    struct child c;
    child_open(&c, 1, CHILD_MAP_ALL);
    START(&c, 0, START_LONG, halt);
    all_names(&c);
    survive_a_run(&c);
    not_shown(&c, false);
    not_shown(&c, true);
    refused(&c);
    lists(&c);
    tap_ok(child_close(&c), "the child of the registers is gone, every page zeroed");
}
