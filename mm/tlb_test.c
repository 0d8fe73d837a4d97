/* SPDX-License-Identifier: MIT */
/*
 * Generations and kicks. Fake processors; a kick calls the test, which then
 * plays the kicked processor. At the end two threads play for real.
 */
/* unit: mm/tlb.c mm/slpt.c mm/ept.c mm/npt.c mm/pool.c mm/frame.c */
#include "unit.h"

#include <pthread.h>
#include <time.h>

#include "hv/base/smp.h"
#include "hv/model/partition.h"
#include "mm/tlb.h"

static struct partition partitions[2];
static struct vp vps[3];
static struct cpu *kicked[16];
static unsigned kick_count;
static void (*on_kick)(struct cpu *cpu);

void cpu_kick(struct cpu *cpu)
{
    if (kick_count < ARRAY_SIZE(kicked))
        kicked[kick_count] = cpu;
    kick_count++;
    if (on_kick)
        on_kick(cpu);
}

static int set_up(void **state)
{
    (void)state;
    unit_cpus(4);
    memset(partitions, 0, sizeof(partitions));
    memset(vps, 0, sizeof(vps));
    for (unsigned i = 0; i < 2; i++) {
        partitions[i].space.generation = slpt_new_generation();
    }
    for (unsigned i = 0; i < 3; i++) {
        vps[i].id = 100 + i;
        vps[i].partition = &partitions[i == 2];
        vps[i].slot = SLOT_FIRST;
    }
    kick_count = 0;
    on_kick = NULL;
    return 0;
}

static void enter(struct cpu *cpu, struct vp *vp)
{
    cpu->current = vp;
    if (tlb_enter(cpu, vp->slot, vp->id, &vp->partition->space))
        vp->flush = true;
}

static void leave(struct cpu *cpu, const struct vp *vp)
{
    tlb_leave(cpu, vp->slot, vp->flush);
}

/* As the backend does; returns whether the entry flushed. */
static bool run(struct vp *vp)
{
    bool flushed = vp->flush;
    vp->flush = false;
    return flushed;
}

static bool enter_and_leave(struct cpu *cpu, struct vp *vp)
{
    enter(cpu, vp);
    bool flushed = run(vp);
    leave(cpu, vp);
    return flushed;
}

static void flush_when_something_changed(void **state)
{
    (void)state;
    struct cpu *cpu = cpus[0];
    assert_true(enter_and_leave(cpu, &vps[0]));
    for (unsigned i = 0; i < 5; i++)
        assert_false(enter_and_leave(cpu, &vps[0]));
    assert_true(enter_and_leave(cpu, &vps[1])); /* another VP of the same space */
    assert_true(enter_and_leave(cpu, &vps[0]));
    tlb_shootdown(&partitions[0].space);
    assert_true(enter_and_leave(cpu, &vps[0]));
    assert_false(enter_and_leave(cpu, &vps[0]));
    tlb_shootdown(&partitions[1].space);
    assert_false(enter_and_leave(cpu, &vps[0]));    /* another space's */
    assert_true(enter_and_leave(cpus[1], &vps[0])); /* another processor */
    assert_false(enter_and_leave(cpu, &vps[0]));
    partitions[0].space.generation = slpt_new_generation(); /* the same VP record, another space */
    assert_true(enter_and_leave(cpu, &vps[0]));
}

static void a_child_has_its_own_slot(void **state)
{
    (void)state;
    struct cpu *cpu = cpus[0];
    vps[2].slot = SLOT_CHILD;
    assert_true(enter_and_leave(cpu, &vps[0]));
    assert_true(enter_and_leave(cpu, &vps[2]));
    assert_false(enter_and_leave(cpu, &vps[0]));
    assert_false(enter_and_leave(cpu, &vps[2]));
    tlb_shootdown(&partitions[0].space);
    assert_false(enter_and_leave(cpu, &vps[2]));
    assert_true(enter_and_leave(cpu, &vps[0])); /* stale ones wait in the slot, and are caught */
}

/*
 * The flush was decided, but the guest was not entered after all; the VP goes
 * elsewhere, flushes there and comes back: what the slot really holds is still
 * another VP's.
 */
static void a_flush_that_did_not_happen(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        vps[i].slot = SLOT_CHILD;
    assert_true(enter_and_leave(cpus[0], &vps[0]));
    enter(cpus[0], &vps[1]); /* not run: kicked before entry */
    leave(cpus[0], &vps[1]);
    assert_true(enter_and_leave(cpus[1], &vps[1]));
    assert_true(enter_and_leave(cpus[0], &vps[1]));
    assert_false(enter_and_leave(cpus[0], &vps[1]));
}

static void marks(void **state)
{
    (void)state;
    struct cpu *cpu = cpus[0];
    partitions[0].space.generation = 40;
    enter(cpu, &vps[0]);
    assert_int_equal(cpu->running, 40);
    leave(cpu, cpu->current);
    assert_int_equal(cpu->running, 0);
}

static void leaves_when_kicked(struct cpu *cpu)
{
    run(cpu->current);
    leave(cpu, cpu->current);
}

static void kicks_whom_it_must(void **state)
{
    (void)state;
    on_kick = leaves_when_kicked;
    enter(cpus[1], &vps[0]); /* this space */
    enter(cpus[2], &vps[2]); /* another space */
    enter(cpus[3], &vps[1]); /* this space */
    tlb_shootdown(&partitions[0].space);
    assert_int_equal(kick_count, 2);
    assert_ptr_equal(kicked[0], cpus[1]);
    assert_ptr_equal(kicked[1], cpus[3]);
    assert_int_equal(cpus[2]->running, partitions[1].space.generation);

    kick_count = 0;
    uint64_t first = partitions[0].space.generation, second = partitions[1].space.generation;
    tlb_shootdown(&partitions[0].space); /* nobody is inside now */
    assert_int_equal(kick_count, 0);
    assert_true(partitions[0].space.generation > first && first > second);
    assert_int_equal(partitions[1].space.generation, second);
}

static void not_whom_it_need_not(void **state)
{
    (void)state;
    enter(cpus[0], &vps[0]); /* the caller itself */
    enter(cpus[1], &vps[0]);
    cpus[1]->online = false; /* never in a guest: what it says means nothing */
    enter(cpus[2], &vps[1]);
    cpus[2]->halted = true; /* stopped by a panic: would never leave */
    cpus[3]->running = partitions[0].space.generation + 100; /* entered after the bump */
    tlb_shootdown(&partitions[0].space);
    assert_int_equal(kick_count, 0);
}

static unsigned kicks_to_ignore;

static void leaves_at_last(struct cpu *cpu)
{
    if (kicks_to_ignore-- == 0)
        leave(cpu, cpu->current);
}

static void a_lost_kick_is_repeated(void **state)
{
    (void)state;
    on_kick = leaves_at_last;
    kicks_to_ignore = 2;
    enter(cpus[1], &vps[0]);
    tlb_shootdown(&partitions[0].space);
    assert_int_equal(kick_count, 3);
}

static void enters_again_when_kicked(struct cpu *cpu)
{
    leave(cpu, cpu->current);
    enter(cpu, cpu->current);
}

static void one_that_came_back_is_new(void **state)
{
    (void)state;
    on_kick = enters_again_when_kicked;
    enter(cpus[1], &vps[0]);
    run(&vps[0]);
    tlb_shootdown(&partitions[0].space);
    assert_int_equal(kick_count, 1);
    assert_int_equal(cpus[1]->running, partitions[0].space.generation);
    assert_true(run(&vps[0]));
}

static volatile bool copied;
static uint64_t generation_before;

static void *copier(void *argument)
{
    struct cpu *cpu = argument;
    while (partitions[0].space.generation == *(volatile uint64_t *)&generation_before)
        sched_yield();
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    copied = true;
    __atomic_store_n(&cpu->copying, 0, __ATOMIC_RELEASE);
    return NULL;
}

static void waits_for_copies(void **state)
{
    (void)state;
    pthread_t thread;
    copied = false;
    generation_before = partitions[0].space.generation;
    cpus[2]->copying = 1;
    assert_int_equal(pthread_create(&thread, NULL, copier, cpus[2]), 0);
    tlb_shootdown(&partitions[0].space);
    assert_true(copied);
    assert_int_equal(kick_count, 0);
    pthread_join(thread, NULL);
}

/*
 * Two spaces, one translation each; a thread is processor 1 and runs both in
 * turn, caching what it finds as a TLB would. After a shootdown it must not use
 * what was there before.
 */
static volatile uint64_t translation[2], forbidden[2];
static volatile bool stop;
static uint64_t stale_uses;
static volatile uint64_t guest_entries;

static void *guest_thread(void *argument)
{
    struct cpu *cpu = argument;
    uint64_t cached[2] = {0};
    uint64_t random = 1;
    while (!stop) {
        unsigned which = random >> 60 & 1;
        random = random * 6364136223846793005UL + 1442695040888963407UL;
        struct vp *vp = &vps[which * 2];
        cpu->kicked = 0;
        enter(cpu, vp);
        if (run(vp))
            cached[which] = translation[which];
        guest_entries++;
        for (unsigned i = 0; i < (random >> 50 & 255) && !cpu->kicked; i++) {
            /* Once forbidden is set the shootdown is over, and this guest should not be here. */
            if (forbidden[which] != 0 && cached[which] <= forbidden[which])
                stale_uses++;
        }
        leave(cpu, cpu->current);
    }
    return NULL;
}

static void set_kicked(struct cpu *cpu)
{
    cpu->kicked = 1;
}

static void nothing_stale_is_used(void **state)
{
    (void)state;
    pthread_t thread;
    on_kick = set_kicked;
    vps[0].slot = vps[2].slot = SLOT_CHILD;
    stop = false;
    stale_uses = guest_entries = 0;
    translation[0] = translation[1] = 1;
    forbidden[0] = forbidden[1] = 0;
    assert_int_equal(pthread_create(&thread, NULL, guest_thread, cpus[1]), 0);
    while (guest_entries == 0)
        sched_yield();
    time_t end = time(NULL) + 2;
    for (uint64_t value = 2; value < 200000 && time(NULL) < end; value++) {
        unsigned which = value & 1;
        translation[which] = value;
        tlb_shootdown(&partitions[which].space);
        forbidden[which] = value - 1;
    }
    stop = true;
    pthread_join(thread, NULL);
    assert_int_equal(stale_uses, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(flush_when_something_changed, set_up),
        cmocka_unit_test_setup(a_child_has_its_own_slot, set_up),
        cmocka_unit_test_setup(a_flush_that_did_not_happen, set_up),
        cmocka_unit_test_setup(marks, set_up),
        cmocka_unit_test_setup(kicks_whom_it_must, set_up),
        cmocka_unit_test_setup(not_whom_it_need_not, set_up),
        cmocka_unit_test_setup(a_lost_kick_is_repeated, set_up),
        cmocka_unit_test_setup(one_that_came_back_is_new, set_up),
        cmocka_unit_test_setup(waits_for_copies, set_up),
        cmocka_unit_test_setup(nothing_stale_is_used, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
