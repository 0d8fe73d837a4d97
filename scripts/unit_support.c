/* SPDX-License-Identifier: MIT */
/*
 * Linked into every unit test. The globals and functions of other parts are
 * weak: a test that links the real ones gets those.
 */
#include "unit.h"

#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/base/console.h"
#include "hv/base/lock.h"
#include "hv/base/panic.h"
#include "hv/base/smp.h"
#include "hv/model/backend.h"

#define WEAK __attribute__((weak))

void (*unit_entry_read)(void);
void (*unit_entry_written)(uint64_t *entry);
void (*unit_before_atomic)(uint64_t *entry);

WEAK struct cpu *cpus[MAX_CPUS];
WEAK uint32_t cpu_count;
WEAK struct spinlock hv_lock;
WEAK const struct backend *backend;
WEAK struct backend_features backend_features;
WEAK enum log_level log_level = LOG_WARN;
WEAK struct frame *frame_table;
WEAK uint64_t frame_table_count;

WEAK void frame_table_init(void *table, uint64_t frame_count)
{
    frame_table = table;
    frame_table_count = frame_count;
}

WEAK void pool_init(struct pool *pool, uint32_t owner)
{
    *pool = (struct pool){.owner = owner};
}

WEAK void pool_add(struct pool *pool, spn_t spn, gpn_t depositor_gpn, bool self_deposited)
{
    (void)pool, (void)spn, (void)depositor_gpn, (void)self_deposited;
    fail_msg("link mm/pool.c");
}

WEAK void cpu_kick(struct cpu *cpu)
{
    cpu->kicked = 1;
}

WEAK void panic(const char *format, ...)
{
    static char text[256]; /* cmocka keeps the pointer */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    mock_assert(0, text, "panic", 0);
    abort();
}

WEAK void say(enum log_level level, const char *format, ...)
{
    if (level > log_level)
        return;
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

WEAK bool worth_a_line(uint32_t *times)
{
    ++*times;
    return true;
}

void unit_ram(uint64_t pages)
{
    static uint64_t mapped_pages;
    static void *table;
    if (mapped_pages != 0)
        assert_int_equal(munmap(phys_ptr(0), mapped_pages * PAGE_SIZE), 0);
    void *wanted = phys_ptr(0);
    void *got = mmap(wanted, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(got, wanted);
    mapped_pages = pages;
    free(table);
    table = calloc(pages, sizeof(struct frame));
    assert_non_null(table);
    frame_table_init(table, pages);
    for (spn_t spn = 0; spn < pages; spn++) {
        frame_table[spn].type = FRAME_RAM;
        frame_table[spn].owner = OWNER_FIRST;
    }
}

void unit_pool(struct pool *pool, uint32_t owner, spn_t spn, uint64_t count)
{
    pool_init(pool, owner);
    for (uint64_t i = count; i-- != 0;)
        pool_add(pool, spn + i, GPN_NONE, false);
}

void unit_become(struct cpu *cpu)
{
    assert_int_equal(syscall(SYS_arch_prctl, ARCH_SET_GS, cpu), 0);
}

void unit_cpus(uint32_t count)
{
    static struct cpu storage[MAX_CPUS];
    memset(storage, 0, sizeof(storage));
    for (uint32_t i = 0; i < MAX_CPUS; i++)
        cpus[i] = i < count ? &storage[i] : NULL;
    for (uint32_t i = 0; i < count; i++) {
        storage[i].self = &storage[i];
        storage[i].index = i;
        storage[i].apic_id = i;
        storage[i].online = true;
    }
    cpu_count = count;
    unit_become(cpus[0]);
}

static uint64_t random_state;

void unit_seed(uint64_t seed)
{
    const char *text = getenv("UNIT_SEED");
    if (text)
        seed = strtoull(text, NULL, 0);
    printf("UNIT_SEED=%lu\n", seed);
    random_state = seed * 0x9E3779B97F4A7C15UL + 1;
}

uint64_t unit_random(void)
{
    /* xorshift64*, Marsaglia 2003 and Vigna 2016 */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545F4914F6CDD1DUL;
}

uint64_t unit_below(uint64_t limit)
{
    return (unit_random() >> 11) % limit;
}
