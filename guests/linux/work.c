/* SPDX-License-Identifier: MIT */
/*
 * Work for a Linux that runs on Vellum: a static program of its initramfs, for the build
 * machine's compiler.
 *
 *   work load SECONDS MIB [DISK]...  forks, memory, timers on each processor, and the disks, all
 *                                    at once; every datum is checked, and that nobody stands still
 *   work drift SECONDS               the system's clock beside the TSC
 *   work spin|cpuid|fork|fault N     a loop, timed: "bench NAME NANOSECONDS"
 *   work read DISK MIB               the same for sequential reading
 *   work rdmsr|wrmsr MSR [VALUE]     on processor 0
 *   work idle SECONDS                the exits before and after
 *   work exits                       exits of each processor, from Vellum's MSRs
 *
 * Exit status 0: all is well. Otherwise a line says what is not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORKERS = 64, BLOCK = 4096, STALL_SECONDS = 30, MAX_PPM = 100, KINDS = 20 };
enum { MSR_TSC_FREQUENCY = 0x40000022, MSR_EXITS = 0x40000F01, MSR_EXIT_COUNT = 0x40000F10 };
#define BILLION 1000000000UL

static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("work: ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    fflush(stdout);
    _exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BILLION + (uint64_t)t.tv_nsec;
}

static unsigned processors(void)
{
    return (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
}

static void pin(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
        fail("cannot run on processor %u", cpu);
}

static void *memory(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        fail("no memory for %zu bytes", size);
    return at;
}

/* ---- workers: each goes on until the end, and counts what it has done ---- */

struct worker {
    char name[24];
    void (*work)(struct worker *);
    unsigned cpu;
    size_t size;
    const char *disk;
    uint64_t end;
    volatile uint64_t done;
};

static void make_forks(struct worker *w)
{
    for (unsigned n = 0; now() < w->end; n++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            _exit((int)(n & 0x7F));
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
            WEXITSTATUS(status) != (int)(n & 0x7F))
            fail("%s: a child did not end as it should", w->name);
        w->done++;
    }
}

/* Counts pages, written and read. */
static void fill_memory(struct worker *w)
{
    const uint64_t in_page = BLOCK / sizeof(uint64_t);
    for (uint64_t round = 1; now() < w->end; round++) {
        uint64_t *words = memory(w->size), count = w->size / sizeof(*words),
                 key = round ^ (uint64_t)getpid() << 32;
        for (uint64_t i = 0; i < count; i++) {
            words[i] = i * 0x9E3779B97F4A7C15UL ^ key;
            w->done += i % in_page == 0;
        }
        for (uint64_t i = 0; i < count; i++) {
            if (words[i] != (i * 0x9E3779B97F4A7C15UL ^ key))
                fail("%s: word %lu is %lx", w->name, i, words[i]);
            w->done += i % in_page == 0;
        }
        munmap(words, w->size);
    }
}

/* A timer of 1 ms: none of its expirations may be missing at the end. */
static void wait_for_timers(struct worker *w)
{
    const struct itimerspec each = {{0, 1000000}, {0, 1000000}};
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    uint64_t start = now(), expired, took;
    if (timer < 0 || timerfd_settime(timer, 0, &each, NULL) != 0)
        fail("%s: no timer", w->name);
    while (now() < w->end) {
        if (read(timer, &expired, sizeof(expired)) != sizeof(expired))
            fail("%s: the timer cannot be read", w->name);
        w->done += expired;
    }
    took = (now() - start) / 1000000;
    if (w->done + 2 < took - took / 100 || w->done > took + 2)
        fail("%s: %lu expirations in %lu ms", w->name, w->done, took);
}

static void fill_block(uint64_t *block, uint64_t at, uint64_t round)
{
    for (unsigned i = 0; i < BLOCK / sizeof(*block); i++)
        block[i] = at * 0x9E3779B97F4A7C15UL + round * 0xD1342543DE82EF95UL + i;
}

/* Blocks here and there, past the page cache: each needs the device's interrupt. */
static void use_disk(struct worker *w)
{
    int file = open(w->disk, O_RDWR | O_DIRECT);
    uint64_t *block = memory(BLOCK), *wanted = memory(BLOCK), random = 1;
    off_t blocks = file < 0 ? 0 : lseek(file, 0, SEEK_END) / BLOCK;
    if (blocks < 16)
        fail("%s: no disk", w->name);
    for (uint64_t round = 0; now() < w->end; round++) {
        uint64_t at[16];
        for (unsigned i = 0; i < 16; i++) {
            random = random * 6364136223846793005UL + 1442695040888963407UL;
            at[i] = (random >> 20) % ((uint64_t)blocks / 16) * 16 + i;
            fill_block(block, at[i], round);
            if (pwrite(file, block, BLOCK, (off_t)(at[i] * BLOCK)) != BLOCK)
                fail("%s: block %lu cannot be written", w->name, at[i]);
        }
        for (unsigned i = 0; i < 16; i++) {
            fill_block(wanted, at[i], round);
            if (pread(file, block, BLOCK, (off_t)(at[i] * BLOCK)) != BLOCK ||
                memcmp(block, wanted, BLOCK) != 0)
                fail("%s: block %lu does not read as it was written", w->name, at[i]);
        }
        w->done += 32;
    }
}

static struct worker *workers;
static unsigned worker_count;

static struct worker *add(void (*work)(struct worker *), const char *name, unsigned cpu,
                          uint64_t end)
{
    struct worker *w = &workers[worker_count++];
    if (worker_count >= MAX_WORKERS)
        fail("too many workers");
    w->work = work;
    w->cpu = cpu;
    w->end = end;
    snprintf(w->name, sizeof(w->name), "%s on %u", name, cpu);
    return w;
}

/* Looks at them until all have ended. One that stands still has lost an interrupt. */
static void supervise(void)
{
    uint64_t last[MAX_WORKERS] = {0}, moved[MAX_WORKERS];
    unsigned left = worker_count;
    for (unsigned i = 0; i < worker_count; i++)
        moved[i] = now();
    while (left > 0) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            left--;
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                fail("a worker ended with status %x", (unsigned)status);
            continue;
        }
        usleep(100000);
        for (unsigned i = 0; i < worker_count; i++) {
            if (workers[i].done != last[i] || now() > workers[i].end) {
                last[i] = workers[i].done;
                moved[i] = now();
            } else if (now() - moved[i] > STALL_SECONDS * BILLION) {
                fail("%s stands still after %lu", workers[i].name, last[i]);
            }
        }
    }
}

static void load(unsigned seconds, unsigned mib, char **disks)
{
    uint64_t end = now() + seconds * BILLION;
    workers = mmap(NULL, MAX_WORKERS * sizeof(*workers), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (unsigned cpu = 0; cpu < processors(); cpu++) {
        add(make_forks, "forks", cpu, end);
        add(fill_memory, "memory", cpu, end)->size = ((size_t)mib << 20) / processors();
        add(wait_for_timers, "timers", cpu, end);
    }
    for (unsigned i = 0; disks[i] != NULL; i++)
        add(use_disk, strrchr(disks[i], '/') + 1, i % processors(), end)->disk = disks[i];
    for (unsigned i = 0; i < worker_count; i++) {
        if (fork() == 0) {
            pin(workers[i].cpu);
            workers[i].work(&workers[i]);
            _exit(0);
        }
    }
    supervise();
    for (unsigned i = 0; i < worker_count; i++)
        printf("# %s: %lu\n", workers[i].name, workers[i].done);
}

/* ---- clocks ---- */

static int msr_file(unsigned cpu, int how)
{
    char name[32];
    snprintf(name, sizeof(name), "/dev/cpu/%u/msr", cpu);
    return open(name, how);
}

static bool msr(unsigned cpu, uint32_t number, uint64_t *value)
{
    int file = msr_file(cpu, O_RDONLY);
    bool ok = file >= 0 && pread(file, value, sizeof(*value), number) == sizeof(*value);
    if (file >= 0)
        close(file);
    return ok;
}

static bool msr_set(unsigned cpu, uint32_t number, uint64_t value)
{
    int file = msr_file(cpu, O_WRONLY);
    bool ok = file >= 0 && pwrite(file, &value, sizeof(value), number) == sizeof(value);
    if (file >= 0)
        close(file);
    return ok;
}

static uint64_t tsc(void)
{
    return __builtin_ia32_rdtsc();
}

/* The clock and the TSC in the same moment: of many tries the one with the least in between. */
static void both(uint64_t *clock, uint64_t *ticks)
{
    uint64_t best = UINT64_MAX;
    for (unsigned n = 0; n < 1000; n++) {
        struct timespec t;
        uint64_t before = tsc();
        clock_gettime(CLOCK_MONOTONIC_RAW, &t);
        uint64_t took = tsc() - before;
        if (took < best) {
            best = took;
            *ticks = before + took / 2;
            *clock = (uint64_t)t.tv_sec * BILLION + (uint64_t)t.tv_nsec;
        }
    }
}

static void drift(unsigned seconds)
{
    uint64_t hertz, clock, ticks, clock2, ticks2;
    if (!msr(0, MSR_TSC_FREQUENCY, &hertz))
        fail("the TSC's frequency cannot be read");
    pin(0);
    both(&clock, &ticks);
    sleep(seconds);
    both(&clock2, &ticks2);
    double by_clock = (double)(clock2 - clock),
           by_tsc = (double)(ticks2 - ticks) / (double)hertz * 1e9;
    double ppm = (by_clock - by_tsc) / by_tsc * 1e6;
    printf("# the clock goes %.2f ppm faster than the TSC of %lu Hz in %.1f s\n", ppm, hertz,
           by_tsc / 1e9);
    if (ppm > MAX_PPM || ppm < -MAX_PPM)
        fail("a drift of %.0f ppm", ppm);
}

/* ---- measuring ---- */

static uint64_t spin(uint64_t n)
{
    uint64_t x = 1, start = now();
    for (uint64_t i = 0; i < n; i++) {
        x = x * 6364136223846793005UL + i;
        __asm__ volatile("" : "+r"(x));
    }
    return now() - start;
}

/* CPUID exits on any hypervisor. */
static uint64_t cpuids(uint64_t n)
{
    uint64_t start = now();
    for (uint64_t i = 0; i < n; i++) {
        uint32_t a = 1, b, c = 0, d;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    }
    return now() - start;
}

static uint64_t fork_and_exec(uint64_t n)
{
    uint64_t start = now();
    for (uint64_t i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            execl("/proc/self/exe", "work", "nothing", NULL);
            _exit(1);
        }
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            fail("cannot fork");
    }
    return now() - start;
}

static uint64_t fault(uint64_t n)
{
    uint64_t start = now();
    for (uint64_t left = n; left > 0;) {
        uint64_t pages = left > 1024 ? 1024 : left;
        volatile char *at = memory(pages * 4096);
        madvise((void *)at, pages * 4096, MADV_NOHUGEPAGE);
        for (uint64_t i = 0; i < pages; i++)
            at[i * 4096] = 1;
        munmap((void *)at, pages * 4096);
        left -= pages;
    }
    return now() - start;
}

static uint64_t read_disk(const char *disk, uint64_t mib)
{
    int file = open(disk, O_RDONLY | O_DIRECT);
    char *block = memory(1 << 20);
    uint64_t start = now();
    for (uint64_t i = 0; i < mib; i++)
        if (file < 0 || pread(file, block, 1 << 20, (off_t)(i << 20)) != 1 << 20)
            fail("%s cannot be read", disk);
    return now() - start;
}

static void print_exits(void)
{
    for (unsigned cpu = 0; cpu < processors(); cpu++) {
        uint64_t sum, count;
        if (!msr(cpu, MSR_EXITS, &sum))
            return; /* not on Vellum */
        printf("exits %u %lu %lu", cpu, now(), sum);
        for (unsigned kind = 0; kind < KINDS; kind++)
            printf(" %lu", msr(cpu, MSR_EXIT_COUNT + kind, &count) ? count : 0);
        printf("\n");
    }
}

static void idle(unsigned seconds)
{
    print_exits();
    sleep(seconds);
    print_exits();
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    uint64_t number = count > 2 ? strtoul(words[2], NULL, 0) : 0, value;
    if (!strcmp(what, "load") && count > 3)
        load((unsigned)number, (unsigned)strtoul(words[3], NULL, 0), words + 4);
    else if (!strcmp(what, "drift"))
        drift((unsigned)number);
    else if (!strcmp(what, "rdmsr"))
        return !msr(0, (uint32_t)number, &value);
    else if (!strcmp(what, "wrmsr") && count > 3)
        return !msr_set(0, (uint32_t)number, strtoul(words[3], NULL, 0));
    else if (!strcmp(what, "spin"))
        printf("bench spin %lu\n", spin(number));
    else if (!strcmp(what, "cpuid"))
        printf("bench cpuid %lu\n", cpuids(number));
    else if (!strcmp(what, "fork"))
        printf("bench fork %lu\n", fork_and_exec(number));
    else if (!strcmp(what, "fault"))
        printf("bench fault %lu\n", fault(number));
    else if (!strcmp(what, "read") && count > 3)
        printf("bench read %lu\n", read_disk(words[2], strtoul(words[3], NULL, 0)));
    else if (!strcmp(what, "exits"))
        print_exits();
    else if (!strcmp(what, "idle"))
        idle((unsigned)number);
    else if (strcmp(what, "nothing") != 0)
        fail("what? see guests/linux/work.c");
    return 0;
}
