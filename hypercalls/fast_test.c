/* SPDX-License-Identifier: MIT */
/*
 * The short ways give what the plain way gives: the same random calls are made
 * twice on a fresh machine, once through hypercalls/fast.c and once past it, and
 * every register and the guest's memory are compared after each. A processor
 * that is never in 64-bit kernel mode, as the backend has it, never takes one.
 */
/* unit: +hypercalls hypercalls/fake/calls.c */
#include "unit.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hv/base/console.h"
#include "hv/base/phys.h"
#include "hv/model/backend.h"
#include "hypercalls/fake/calls.h"
#include "hypercalls/table.h"
#include "mm/copy_fast.h"

enum { STEPS = 1500, RUNS = 10, SHOWN_PAGES = CHILD_RAM + CHILD_RAM_PAGES, MAX_AGAIN = 64 };

static uint64_t seed;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static unsigned below(unsigned limit)
{
    return (unsigned)(next() >> 20) % limit;
}

/* One in so many. */
static bool once_in(unsigned count)
{
    return below(count) == 0;
}

/* ---- what a call leaves ---- */

struct outcome {
    uint64_t control, output; /* of the call: the same in both runs */
    uint64_t gpr[GPR_COUNT], rip, rflags;
    uint64_t memory; /* a sum over the pages that calls are made with, and the child's */
    uint64_t event;
    uint64_t partition, vp_index; /* of the VP that goes on */
    uint64_t its_registers;
};

static uint64_t sum_of(const uint64_t *words, size_t bytes)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes / sizeof(*words); i++)
        sum = (sum ^ words[i]) * 0x9E3779B97F4A7C15;
    return sum;
}

static uint64_t sum_of_pages(spn_t first, uint64_t count)
{
    return sum_of(page_ptr(first), count * PAGE_SIZE);
}

static void note(struct outcome *o, const struct vp *caller)
{
    memcpy(o->gpr, caller->state.gpr, sizeof(o->gpr));
    o->rip = caller->state.rip;
    o->rflags = caller->state.rflags;
    o->event = caller->state.event.valid ? 0x100U | caller->state.event.vector : 0;
    o->memory = sum_of_pages(0, SHOWN_PAGES);
    o->partition = fake_vp()->partition->id;
    o->vp_index = fake_vp()->index;
    o->its_registers = sum_of(fake_vp()->state.gpr, sizeof(o->gpr));
}

/* ---- random calls ---- */

static uint64_t random_control(void)
{
    static const uint16_t often[] = {HVCALL_MAP_VP_STATE_PAGE, HVCALL_UNMAP_VP_STATE_PAGE,
                                     HVCALL_DISPATCH_VP,       HVCALL_GET_VP_REGISTERS,
                                     HVCALL_MAP_GPA_PAGES,     HVCALL_UNMAP_GPA_PAGES};
    if (!once_in(3))
        return HVCALL_GET_PARTITION_ID;
    uint64_t control = HVCALL_GET_PARTITION_ID;
    if (once_in(2))
        control = once_in(2) ? often[below(ARRAY_SIZE(often))] : below(CALL_CODES + 2);
    if (control < CALL_CODES && call_table[control].rep && !once_in(8))
        control |= REPS(1 + below(4));
    if (once_in(4))
        control |= 1UL << below(64);
    return control;
}

static gpa_t random_place(void)
{
    static const gpa_t pages[] = {INPUT_PAGE,  0,
                                  1,           FAKE_HV - 1,
                                  FAKE_HV,     FAKE_FRAMES - 1,
                                  FAKE_FRAMES, CHILD_RAM + 1,
                                  FAKE_WINDOW, FAKE_WINDOW + 1};
    gpa_t page = once_in(3) ? pages[below(ARRAY_SIZE(pages))] : OUTPUT_PAGE;
    if (once_in(20))
        page = once_in(2) ? 1UL << below(52) : next();
    return page << PAGE_SHIFT | (once_in(4) ? below(PAGE_SIZE) : below(PAGE_SIZE) & ~7U);
}

static void put_words(const uint64_t words[8])
{
    void *page = fake_page(INPUT_PAGE);
    if (page)
        memcpy(page, words, 8 * sizeof(*words));
}

/* Something that a handler may take: whose, which VP, and pages. */
static void random_input(void)
{
    const uint64_t ids[] = {HV_PARTITION_ID_SELF, child, 1, 99};
    static const uint64_t second[] = {0, 0, 1UL << 32, 0x0100000000000000};
    uint64_t words[8] = {ids[below(ARRAY_SIZE(ids))], second[below(ARRAY_SIZE(second))]};
    for (unsigned i = 2; i < ARRAY_SIZE(words); i++)
        words[i] = once_in(2) ? OUTPUT_PAGE : below(8);
    put_words(words);
}

static void random_environment(struct partition *p)
{
    static const uint64_t removed[] = {0, 0, 0, PRIVILEGE_PARTITION_ID, ~0UL};
    p->privileges &= ~removed[below(ARRAY_SIZE(removed))];
    p->guest_os_id = !once_in(20);
    log_level = once_in(6) ? LOG_DEBUG : (enum log_level)below(LOG_DEBUG);
    fake_mode = (struct fake_mode){.protected_mode = true, .code64 = true};
    if (once_in(12))
        fake_mode.cpl = below(4) & 3;
    if (once_in(12))
        fake_mode.code64 = false;
    if (once_in(24))
        fake_mode.protected_mode = fake_mode.code64 = false;
}

/* ---- one run ---- */

static bool no(struct vp *vp)
{
    (void)vp;
    return false;
}

/* Whether the call that is about to be made is one to answer at once. */
static bool is_short(const struct outcome *o)
{
    const struct partition *p = fake_vp()->partition;
    return fake_mode.code64 && fake_mode.cpl == 0 && p->guest_os_id && log_level < LOG_DEBUG &&
           (p->privileges & PRIVILEGE_PARTITION_ID) && o->control == HVCALL_GET_PARTITION_ID &&
           !(o->output & 7) && is_page_written_last(&p->space, o->output);
}

static void put_registers(uint64_t *gpr, const struct outcome *o, gpa_t input)
{
    for (unsigned i = 0; i < GPR_COUNT; i++)
        gpr[i] = next();
    if (fake_mode.code64) {
        gpr[RCX] = o->control;
        gpr[RDX] = input;
        gpr[R8] = o->output;
    } else {
        gpr[RAX] = (uint32_t)o->control;
        gpr[RDX] = o->control >> 32;
        gpr[RCX] = (uint32_t)input;
        gpr[RBX] = input >> 32;
        gpr[RSI] = (uint32_t)o->output;
        gpr[RDI] = o->output >> 32;
    }
}

/* One call; then what it left. True: it was one to answer at once. */
static bool step(struct outcome *o)
{
    struct vp *caller = fake_vp();
    struct partition *p = caller->partition;
    uint64_t privileges = p->privileges;
    random_environment(p);
    random_input();
    o->control = random_control();
    o->output = random_place();
    if (caller->first && once_in(16)) {
        o->control = HVCALL_DISPATCH_VP;
        put_words((uint64_t[8]){child, (uint64_t)HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND << 32});
    }
    put_registers(caller->state.gpr, o, once_in(16) ? random_place() : INPUT);
    bool at_once = is_short(o);
    for (unsigned again = 0; again < MAX_AGAIN; again++)
        if (fake_instruction() || caller->state.event.valid || fake_vp() != caller)
            break;
    note(o, caller);
    p->privileges = privileges;
    caller->state.event.valid = false;
    fake_check();
    if (!fake_vp()->first && once_in(16))
        fake_exit((enum fake_exit)below(4), FAKE_WINDOW << PAGE_SHIFT);
    return at_once;
}

/* What all of guest memory is in the end, the hypervisor's pages left out. */
static uint64_t finish(void)
{
    log_level = LOG_WARN;
    first_partition->guest_os_id = 1;
    fake_end();
    return sum_of_pages(0, FAKE_HV) ^ sum_of_pages(FAKE_RAM_HIGH, FAKE_FRAMES - FAKE_RAM_HIGH);
}

/* What both runs leave, in memory that the two processes share with this one. */
static struct run {
    struct outcome outcomes[STEPS];
    uint64_t sum;
    unsigned at_once, by_child;
} * runs;

static void run(bool plain, uint64_t first_seed, struct run *r)
{
    const struct backend *usual = backend;
    seed = first_seed;
    start_with_child(PRIVILEGES_ROOT, &ept_format);
    set_register(child, 0, HV_REGISTER_EXPLICIT_SUSPEND, 0);
    struct backend never = *backend;
    never.in_kernel64 = no;
    if (plain)
        backend = &never;
    for (unsigned i = 0; i < STEPS; i++) {
        if (once_in(16))
            fake_on_cpu(below(FAKE_CPUS));
        if (fake_vp()->parked)
            fake_on_cpu(0);
        r->by_child += !fake_vp()->first;
        r->at_once += step(&r->outcomes[i]);
    }
    backend = usual;
    r->sum = finish();
}

/* In a process of its own: ids of partitions, for one, go on where the last machine ended. */
static void run_apart(bool plain, uint64_t first_seed, struct run *r)
{
    int status;
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        run(plain, first_seed, r);
        _exit(0);
    }
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_int_equal(status, 0);
}

static void same_outcomes(void **state)
{
    (void)state;
    unsigned by_child = 0;
    for (unsigned n = 0; n < RUNS; n++) {
        struct run *fast = &runs[2 * n], *plain = fast + 1;
        uint64_t from = 0x1234567890ABCDEF + n * 0x5851F42D4C957F2DUL;
        run_apart(false, from, fast);
        run_apart(true, from, plain);
        for (unsigned i = 0; i < STEPS; i++) {
            const struct outcome *a = &fast->outcomes[i], *b = &plain->outcomes[i];
            if (memcmp(a, b, sizeof(*a)) != 0)
                fail_msg("run %u call %u: control %lx output %lx: fast %lx, memory %lx; plain %lx, "
                         "memory %lx",
                         n, i, a->control, a->output, a->gpr[RAX], a->memory, b->gpr[RAX],
                         b->memory);
        }
        assert_int_equal(fast->sum, plain->sum);
        assert_in_range(fast->at_once, STEPS / 20, STEPS);
        by_child += fast->by_child;
    }
    assert_in_range(by_child, RUNS * STEPS / 20, RUNS * STEPS);
}

/* A word, with what the processor remembers of its last write, and without. */
static void same_word(gpa_t place)
{
    const struct space *space = &fake_vp()->partition->space;
    struct copy_cache *cache = &this_cpu()->write_cache, kept = *cache;
    cache->gpn = ~0UL;
    bool writable = guest_accessible(space, place, sizeof(uint64_t), MAP_WRITE);
    *cache = kept;
    uint64_t before = 0, after = 0, word = next(), memory = sum_of_pages(0, SHOWN_PAGES);
    assert_int_equal(guest_output_writable(space, place, sizeof(word)), writable);
    guest_read(space, place, &before, sizeof(before));
    *cache = kept;
    assert_int_equal(guest_write_word(space, place, word), writable);
    if (writable) {
        assert_true(guest_read(space, place, &after, sizeof(after)));
        assert_int_equal(after, word);
        cache->gpn = ~0UL;
        assert_true(guest_write(space, place, &before, sizeof(before)));
    }
    assert_int_equal(sum_of_pages(0, SHOWN_PAGES), memory);
    *cache = kept;
}

static void same_words(void **state)
{
    (void)state;
    struct outcome ignored;
    seed = 0xFEDCBA0987654321;
    start_with_child(PRIVILEGES_ROOT, &npt_format);
    for (unsigned i = 0; i < STEPS; i++) {
        step(&ignored);
        same_word(random_place() & ~7UL);
    }
    finish();
}

static int share(void **state)
{
    (void)state;
    runs = mmap(NULL, sizeof(*runs) * 2 * RUNS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    return runs == MAP_FAILED;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_outcomes),
        cmocka_unit_test(same_words),
    };
    return cmocka_run_group_tests(tests, share, NULL);
}
