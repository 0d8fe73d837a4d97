/* SPDX-License-Identifier: MIT */
/*
 * The MSR policy: which accesses exit on which vendor, and what becomes of them, for each MSR of
 * each row and for those in none.
 */
/* unit: hv/msr.c hv/model/rules.c */
#include "unit.h"

#include "hv/base/arch.h"
#include "hv/base/console.h"
#include "hv/machine/apic.h"
#include "hv/model/partition.h"
#include "hv/model/rules.h"
#include "hv/msr.h"
#include "hv/synthetic/msrs.h"

#define NOT_CANONICAL BIT(48)
#define MARK          0x5555UL /* what a fake reader answers */

static struct vp *vp;
static struct partition partition = {.id = 2};
static struct vp_state hardware; /* what the backend saves */

/* ---- what the rows call ---- */

static unsigned lines, calls;
static uint32_t called_msr;
static uint64_t called_value;
static enum msr_result answer;
static bool msr_exists;
static uint64_t msr_holds;

void say(enum log_level level, const char *format, ...)
{
    lines++;
}

bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
    *value = msr_holds;
    return msr_exists;
}

static bool fake_read(uint32_t msr, uint64_t *value)
{
    calls++;
    called_msr = msr;
    *value = MARK;
    return answer == MSR_DONE;
}

static enum msr_result fake_write(uint32_t msr, uint64_t value)
{
    calls++;
    called_msr = msr;
    called_value = value;
    return answer;
}

bool synthetic_read(struct vp *of, uint32_t msr, uint64_t *value)
{
    assert_ptr_equal(of, vp);
    return fake_read(msr, value);
}

enum msr_result synthetic_write(struct vp *of, uint32_t msr, uint64_t value)
{
    assert_ptr_equal(of, vp);
    return fake_write(msr, value);
}

enum msr_result apic_write_base(struct vp *of, uint32_t msr, uint64_t value)
{
    assert_ptr_equal(of, vp);
    return fake_write(msr, value);
}

enum msr_result apic_write_x2apic_icr(struct vp *of, uint32_t msr, uint64_t value)
{
    assert_ptr_equal(of, vp);
    return fake_write(msr, value);
}

static void save_shown(struct vp *of)
{
    of->state.cr0 = hardware.cr0;
    of->state.efer = hardware.efer;
}

static void save_rest(struct vp *of)
{
    of->state = hardware;
}

static const struct backend fake_backend = {.save_shown = save_shown, .save_rest = save_rest};

/* A VP that runs: all but its hot registers is in the processor. */
static void running(bool first)
{
    memset(vp, 0, sizeof(*vp));
    memset(&hardware, 0x11, sizeof(hardware));
    hardware.cr0 = CR0_PE | CR0_PG;
    hardware.efer = EFER_LME | EFER_LMA;
    vp->first = first;
    vp->partition = &partition;
    vp->loaded = true;
    vp->exact = EXACT_HOT;
    vp->apic_base = 0xFEE00900;
    answer = MSR_DONE;
    lines = calls = 0;
    msr_exists = true;
    msr_holds = 0x123;
}

static int set_up(void **state)
{
    (void)state;
    vp = calloc(1, sizeof(*vp));
    backend = &fake_backend;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(vp);
    return 0;
}

static bool reads(uint32_t msr, uint64_t want)
{
    uint64_t value = ~want;
    return msr_read(vp, msr, &value) && value == want;
}

static bool read_faults(uint32_t msr)
{
    uint64_t value;
    return !msr_read(vp, msr, &value);
}

/* #GP, and nothing of the VP is another. */
static bool write_faults(uint32_t msr, uint64_t value)
{
    static struct vp before;
    vp_sync(vp);
    before = *vp;
    enum msr_result result = msr_write(vp, msr, value);
    assert_memory_equal(&before, vp, sizeof(before));
    return result == MSR_FAULT && !vp->touched;
}

static bool both_fault(uint32_t msr)
{
    return read_faults(msr) && write_faults(msr, 0) && write_faults(msr, ~0UL);
}

/* ---- what exits: a second opinion on the rows ---- */

static const struct trapped {
    uint32_t first, last;
    unsigned vtx, amdv;
} first_traps[] =
    {
        {0x1B, 0x1B, 3, 3},             /* APIC_BASE */
        {0x3A, 0x3A, 3, 3},             /* FEATURE_CONTROL */
        {0x79, 0x79, 2, 2},             /* BIOS_UPDT_TRIG */
        {0x200, 0x21F, 2, 2},           /* MTRRs of variable ranges */
        {0x250, 0x26F, 2, 2},           /* of fixed ranges */
        {0x2FF, 0x2FF, 2, 2},           /* MTRR_DEF_TYPE */
        {0x345, 0x345, 3, 3},           /* PERF_CAPABILITIES */
        {0x480, 0x493, 3, 0},           /* VMX's capabilities */
        {0x830, 0x830, 2, 2},           /* the x2APIC's ICR */
        {0x40000000, 0x40000FFF, 3, 3}, /* the hypervisor's own */
        {0xC0000080, 0xC0000080, 0, 3}, /* EFER: in the VMCS, but in a VMCB it has SVME */
        {0xC0000081, 0xC0000084, 2, 0}, /* STAR to SFMASK */
        {0xC0000103, 0xC0000103, 2, 0}, /* TSC_AUX */
        {0xC0010020, 0xC0010020, 0, 2}, /* PATCH_LOADER */
        {0xC0010114, 0xC001011F, 0, 3}, /* SVM's own */
},
  child_traps[] = {
      {0x10, 0x10, 2, 3},   /* TSC */
      {0x8B, 0x8B, 3, 3},   /* BIOS_SIGN_ID */
      {0x174, 0x176, 2, 0}, /* SYSENTER */
      {0x277, 0x277, 2, 3}, /* PAT: the VMCB's is not the processor's */
      {0x40000000, 0x40000FFF, 3, 3},
      {0xC0000080, 0xC0000080, 0, 3},
      {0xC0000081, 0xC0000084, 2, 0},
      {0xC0000100, 0xC0000102, 0, 0}, /* FS_BASE, GS_BASE, KERNEL_GS_BASE */
      {0xC0000103, 0xC0000103, 3, 3},
};

static const struct msr_row *row_of(const struct msr_policy *policy, uint32_t msr)
{
    const struct msr_row *found = NULL;
    for (const struct msr_row *row = policy->rows; row != policy->end; row++) {
        if (msr < row->first || msr > row->last)
            continue;
        if (found)
            fail_msg("MSR 0x%x is in two rows", msr);
        found = row;
    }
    return found;
}

static void compare(const struct msr_policy *policy, const struct trapped *traps, unsigned count,
                    uint32_t from, uint32_t to)
{
    for (uint32_t msr = from; msr <= to; msr++) {
        const struct msr_row *row = row_of(policy, msr);
        const struct trapped *trap = NULL;
        for (unsigned i = 0; i < count; i++)
            if (msr >= traps[i].first && msr <= traps[i].last)
                trap = &traps[i];
        if (!trap != !row || (row && (row->vtx != trap->vtx || row->amdv != trap->amdv)))
            fail_msg("MSR 0x%x: not trapped as it was meant to be", msr);
    }
}

static void what_exits(void **state)
{
    (void)state;
    static const uint32_t ranges[][2] = {
        {0, 0x2FFF}, {0x40000000, 0x40002000}, {0xC0000000, 0xC0002FFF}, {0xC0010000, 0xC0012000}};
    for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
        compare(&msrs_of_first, first_traps, ARRAY_SIZE(first_traps), ranges[i][0], ranges[i][1]);
        compare(&msrs_of_child, child_traps, ARRAY_SIZE(child_traps), ranges[i][0], ranges[i][1]);
    }
}

/* A range that has a map of its own on one vendor or the other. */
static unsigned map_of(uint32_t msr)
{
    return msr < 0x2000 ? 1 : msr - 0xC0000000 < 0x2000 ? 2 : msr - 0xC0010000 < 0x2000 ? 3 : 0;
}

static void check_rows(const struct msr_policy *policy)
{
    for (const struct msr_row *row = policy->rows; row != policy->end; row++) {
        assert_true(row->first <= row->last);
        assert_int_equal(map_of(row->first), map_of(row->last));
        assert_true(row->vtx <= MSR_BOTH && row->amdv <= MSR_BOTH);
        for (const struct msr_row *other = policy->rows; other != row; other++)
            assert_true(other->last < row->first || row->last < other->first);
        if (map_of(row->first) == 0) /* no map: both exit */
            assert_true(row->vtx == MSR_BOTH && row->amdv == MSR_BOTH);
        if (row->member) { /* a register, and nothing else */
            assert_true(row->member + sizeof(uint64_t) <= sizeof(struct vp_state));
            assert_true(!row->read && !row->write && row->check <= CHECK_NEVER);
            assert_int_equal(row->first, row->last);
        }
    }
}

static void rows_are_sound(void **state)
{
    (void)state;
    check_rows(&msrs_of_first);
    check_rows(&msrs_of_child);
}

/* ---- the first partition ---- */

static void handed_on(uint32_t msr, bool read_too)
{
    for (answer = MSR_DONE; answer <= MSR_RETRY; answer++) {
        calls = 0;
        assert_int_equal(msr_write(vp, msr, 0x99), answer);
        assert_int_equal(calls, 1);
        assert_int_equal(called_msr, msr);
        assert_int_equal(called_value, 0x99);
        if (read_too)
            assert_int_equal(reads(msr, MARK), answer == MSR_DONE);
        assert_int_equal(calls, 1 + read_too);
        assert_int_equal(called_msr, msr);
    }
    answer = MSR_DONE;
}

static void handlers(void **state)
{
    (void)state;
    running(true);
    assert_true(reads(MSR_APIC_BASE, 0xFEE00900));
    handed_on(MSR_APIC_BASE, false);
    handed_on(MSR_X2APIC_ICR, false);
    for (unsigned first = 0; first < 2; first++) {
        running(first);
        for (uint32_t msr = 0x40000000; msr <= 0x40000FFF; msr++)
            handed_on(msr, true);
        calls = 0;
        assert_true(both_fault(0x3FFFFFFF) && both_fault(0x40001000));
        assert_int_equal(calls, 0);
    }
}

static void virtualization_is_hidden(void **state)
{
    (void)state;
    running(true);
    assert_true(reads(MSR_FEATURE_CONTROL, 1) && write_faults(MSR_FEATURE_CONTROL, 5));
    assert_true(reads(MSR_VM_CR, 0x18) && write_faults(MSR_VM_CR, 0));
    for (uint32_t msr = 0xC0010115; msr <= MSR_SVM_LAST; msr++)
        assert_true(both_fault(msr));
    for (uint32_t msr = MSR_VMX_FIRST; msr <= MSR_VMX_LAST; msr++)
        assert_true(both_fault(msr));
    assert_true(both_fault(MSR_PERF_CAPABILITIES));
    msr_exists = false;
    assert_true(both_fault(MSR_FEATURE_CONTROL) && both_fault(MSR_VM_CR));
    assert_int_equal(lines, 0);
}

static void ignored_writes(void **state)
{
    (void)state;
    static const uint32_t ranges[][2] = {{0x200, 0x21F}, {0x250, 0x26F}, {0x2FF, 0x2FF}};
    running(true);
    msr_exists = true;
    lines = 0;
    assert_int_equal(msr_write(vp, MSR_MTRR_DEF_TYPE, msr_holds ^ 1), MSR_DONE);
    assert_int_equal(lines, 0); /* all off: for a moment, not worth a line */
    for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++)
        for (uint32_t msr = ranges[i][0]; msr <= ranges[i][1]; msr++) {
            msr_exists = true;
            assert_int_equal(msr_write(vp, msr, msr_holds), MSR_DONE);
            assert_int_equal(lines, msr != ranges[0][0]);
            assert_int_equal(msr_write(vp, msr, msr_holds | BIT(11)), MSR_DONE);
            assert_int_equal(lines, 1); /* for all of them */
            msr_exists = false;
            assert_true(write_faults(msr, msr_holds));
        }
    lines = 0;
    assert_int_equal(msr_write(vp, MSR_BIOS_UPDT_TRIG, 0x1000), MSR_DONE);
    assert_int_equal(msr_write(vp, MSR_PATCH_LOADER, 0x1000), MSR_DONE);
    assert_int_equal(lines, 2);
    assert_int_equal(calls, 0);
}

/* Those that the backend of VT-x takes before they come here. */
static void switched_by_hand(void **state)
{
    (void)state;
    running(true);
    for (uint32_t msr = MSR_STAR; msr <= MSR_SFMASK; msr++)
        assert_true(write_faults(msr, 0));
    assert_true(write_faults(MSR_TSC_AUX, 0));
}

static void efer(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        running(first);
        assert_int_equal(msr_write(vp, MSR_EFER, 0), MSR_FAULT); /* of what the processor has */
        running(first);
        assert_true(reads(MSR_EFER, EFER_LME | EFER_LMA));
        assert_true(write_faults(MSR_EFER, EFER_LME | EFER_SVME));
        assert_true(write_faults(MSR_EFER, EFER_LME | BIT(9)));
        assert_true(write_faults(MSR_EFER, 0)); /* LME under paging */
        assert_int_equal(msr_write(vp, MSR_EFER, EFER_LME | EFER_SCE), MSR_DONE);
        assert_true(vp->touched);
        assert_int_equal(vp->state.efer, EFER_LME | EFER_LMA | EFER_SCE); /* LMA: the processor's */
        vp->state.cr0 = CR0_PE;
        vp->state.efer = 0;
        assert_int_equal(msr_write(vp, MSR_EFER, EFER_LME | EFER_LMA), MSR_DONE);
        assert_int_equal(vp->state.efer, EFER_LME);
        vp->state.cr0 = CR0_PE | CR0_PG;
        vp->state.efer = vp->touched = 0;
        assert_true(write_faults(MSR_EFER, EFER_LME));
    }
}

/* ---- a child ---- */

static const struct kept {
    uint32_t msr;
    size_t member;
    uint64_t good, bad[2];
} kept[] = {
#define KEPT(NUMBER, field, ...)                                                                   \
    {                                                                                              \
        NUMBER, offsetof(struct vp_state, field), __VA_ARGS__                                      \
    }
#define CANONICAL_ADDRESS                                                                          \
    0xFFFF800000001000,                                                                            \
    {                                                                                              \
        NOT_CANONICAL, BIT(63)                                                                     \
    }
#define HALF                                                                                       \
    0xFFFFFFF0,                                                                                    \
    {                                                                                              \
        BIT(32), ~0UL                                                                              \
    }
    KEPT(0x174, sysenter_cs, HALF),
    KEPT(0x175, sysenter_esp, CANONICAL_ADDRESS),
    KEPT(0x176, sysenter_eip, CANONICAL_ADDRESS),
    KEPT(0x277, pat, 0x0001040506070006, {0x0201040506070006, 8}),
    KEPT(0xC0000081, star, ~0UL, {0, 0}),
    KEPT(0xC0000082, lstar, CANONICAL_ADDRESS),
    KEPT(0xC0000083, cstar, CANONICAL_ADDRESS),
    KEPT(0xC0000084, sfmask, HALF),
    KEPT(0xC0000100, seg[SEG_FS].base, CANONICAL_ADDRESS),
    KEPT(0xC0000101, seg[SEG_GS].base, CANONICAL_ADDRESS),
    KEPT(0xC0000102, kernel_gs_base, CANONICAL_ADDRESS),
    KEPT(0xC0000103, tsc_aux, HALF),
};

static void registers_of_a_child(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        const struct kept *k = &kept[i];
        running(false);
        *(uint64_t *)((uint8_t *)&hardware + k->member) = MARK;
        assert_true(reads(k->msr, MARK));
        assert_false(vp->touched);
        for (unsigned n = 0; n < 2 && k->bad[n]; n++)
            assert_true(write_faults(k->msr, k->bad[n]));
        vp->exact = EXACT_HOT;
        assert_int_equal(msr_write(vp, k->msr, k->good), MSR_DONE);
        assert_true(vp->touched && vp->exact == EXACT_ALL);
        assert_true(reads(k->msr, k->good));
        *(uint64_t *)((uint8_t *)&hardware + k->member) = k->good; /* and nothing else */
        assert_memory_equal(&vp->state, &hardware, sizeof(hardware));
    }
    assert_int_equal(lines + calls, 0);
}

static void the_rest_of_a_child(void **state)
{
    (void)state;
    running(false);
    uint64_t value;
    hardware.tsc_offset = 1UL << 62;
    vp_sync(vp);
    uint64_t before = rdtsc();
    assert_true(msr_read(vp, MSR_TSC, &value));
    assert_in_range(value - (1UL << 62), before, rdtsc());
    assert_true(write_faults(MSR_TSC, 0));
    assert_true(reads(MSR_BIOS_SIGN_ID, 0) && write_faults(MSR_BIOS_SIGN_ID, 0));
}

static void no_row(void **state)
{
    (void)state;
    static const uint32_t from[] = {0, 0x3FFFF000, 0x40001000, 0xC0000000, 0xC0010000, 0xFFFFE000};
    for (unsigned first = 0; first < 2; first++) {
        const struct msr_policy *policy = first ? &msrs_of_first : &msrs_of_child;
        running(first);
        vp_sync(vp);
        for (unsigned i = 0; i < ARRAY_SIZE(from); i++)
            for (uint32_t n = 0; n < 0x2000; n++)
                if (!row_of(policy, from[i] + n) && !both_fault(from[i] + n))
                    fail_msg("MSR 0x%x is not #GP", from[i] + n);
        assert_int_equal(lines + calls, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_exits),
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(handlers),
        cmocka_unit_test(virtualization_is_hidden),
        cmocka_unit_test(ignored_writes),
        cmocka_unit_test(switched_by_hand),
        cmocka_unit_test(efer),
        cmocka_unit_test(registers_of_a_child),
        cmocka_unit_test(the_rest_of_a_child),
        cmocka_unit_test(no_row),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
