/* SPDX-License-Identifier: MIT */
/* Memory as the first partition finds it. */
#include "guests/lib/guest.h"
#include "guests/machine/machine.h"

#define SPOT_STEP    MIB(16)
#define MAX_SPOTS    1024
#define LIBRARY_ROOM MIB(2) /* above the image: page tables that the library has made */
#define PROBES       16

extern const char guest_image_start[], guest_image_end[];

/* ---- the map */

static void check_map(void)
{
    bool sorted = true;
    uint32_t ram = 0;
    for (uint32_t n = 0; n < machine.range_count; n++) {
        const struct ram_range *r = &machine.ranges[n];
        sorted = sorted && r->start < r->end && (n == 0 || r[-1].end <= r->start);
        ram += r->type == 1;
    }
    tap_ok(sorted, "the memory map is sorted and without overlaps (%u ranges)",
           machine.range_count);
    tap_ok(ram > 0, "%u of them are RAM", ram);
    tap_ok(machine_is_ram((uint64_t)guest_image_start,
                          (uint64_t)(guest_image_end - guest_image_start)),
           "the kernel lies in RAM");
}

/* Overlap of [start, end) with RAM. */
static bool touches_ram(uint64_t start, uint64_t end)
{
    for (uint32_t n = 0; n < machine.range_count; n++) {
        const struct ram_range *r = &machine.ranges[n];
        if (r->type == 1 && r->start < end && start < r->end)
            return true;
    }
    return false;
}

/* "A-B" in hexadecimal, small letters. */
static bool parse_range(const char *text, uint64_t *start, uint64_t *end)
{
    uint64_t values[2] = {0, 0};
    unsigned which = 0;
    for (; *text != 0; text++) {
        if (*text == '-')
            which = 1;
        else
            values[which] =
                values[which] << 4 | (uint64_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
    }
    *start = values[0];
    *end = values[1];
    return *start < *end;
}

static void check_hole_is_kept(void)
{
    char text[48];
    uint64_t start = 0, end = 0;
    if (!option_text("hole", text, sizeof(text)))
        return;
    bool understood = parse_range(text, &start, &end);
    tap_ok(understood && !touches_ram(start, end), "0x%lx..0x%lx is not RAM, as the loader said",
           start, end);
}

/* ---- RAM */

static volatile uint64_t *spots[MAX_SPOTS];
static uint64_t saved[MAX_SPOTS];
static uint32_t spot_count;

static uint64_t pattern(uint32_t n)
{
    return (uint64_t)spots[n] * 0x9E3779B97F4A7C15UL + 1;
}

static void add_spot(uint64_t address)
{
    uint64_t low = (uint64_t)guest_image_start, high = (uint64_t)guest_image_end + LIBRARY_ROOM;
    if (spot_count < MAX_SPOTS && (address < low || address >= high))
        spots[spot_count++] = (volatile uint64_t *)address;
}

/* First and last eight bytes of each range, and one place in each 16 MiB. */
static void choose_spots(void)
{
    for (uint32_t n = 0; n < machine.range_count; n++) {
        const struct ram_range *r = &machine.ranges[n];
        if (r->type != 1 || r->end - r->start < 2 * PAGE_SIZE)
            continue;
        uint64_t first = align_up(r->start, 8), last = align_down(r->end, 8) - 8;
        add_spot(first);
        for (uint64_t at = align_up(first + 1, SPOT_STEP); at < last; at += SPOT_STEP)
            add_spot(at);
        add_spot(last);
    }
}

static void write_spots(void *unused)
{
    (void)unused;
    for (uint32_t n = 0; n < spot_count; n++) {
        saved[n] = *spots[n];
        *spots[n] = pattern(n);
    }
}

static void read_spots(void *wrong)
{
    for (uint32_t n = 0; n < spot_count; n++)
        if (*spots[n] != pattern(n))
            __atomic_add_fetch((uint32_t *)wrong, 1, __ATOMIC_SEQ_CST);
}

static void restore_spots(void)
{
    for (uint32_t n = spot_count; n-- > 0;)
        *spots[n] = saved[n];
}

static void check_ram(void)
{
    struct trap trap = {0};
    uint32_t wrong = 0;
    choose_spots();
    bool reached = try_call(write_spots, NULL, &trap) && try_call(read_spots, &wrong, &trap);
    if (!reached)
        tap_note("%s at rip %lx", trap_name(trap.vector), trap.rip);
    restore_spots();
    tap_ok(reached && wrong == 0, "all RAM holds what is written to it, up to 0x%lx (%u places)",
           machine.range_count == 0 ? 0 : (uint64_t)spots[spot_count - 1] + 8, spot_count);
}

void check_memory_everywhere(void)
{
    uint32_t wrong = 0;
    write_spots(NULL);
    cpu_call_all(read_spots, &wrong);
    restore_spots();
    tap_equal(wrong, 0, "every processor sees the same RAM");
}

/* ---- what is not RAM */

/* In the middle of the largest gap of the map below 4 GiB no device is. */
static uint64_t find_gap(uint64_t *size)
{
    uint64_t best = 0, place = 0, end = 0;
    for (uint32_t n = 0; n <= machine.range_count; n++) {
        uint64_t start =
            n < machine.range_count ? min_u64(machine.ranges[n].start, GIB(4)) : GIB(4);
        if (start > end && start - end > best) {
            best = start - end;
            place = end + best / 2;
        }
        if (n < machine.range_count)
            end = max_u64(end, machine.ranges[n].end);
    }
    *size = best;
    return align_down(place, PAGE_SIZE);
}

static void check_gap(void)
{
    uint64_t size, at = find_gap(&size);
    if (size < MIB(1)) {
        tap_skip("the memory map has no gap below 4 GiB");
        return;
    }
    volatile uint64_t *place = (volatile uint64_t *)at;
    uint64_t before = *place;
    *place = ~before ^ 0x5555;
    tap_equal(*place, before, "0x%lx, in a gap of the map, is no RAM", at);
}

static void read_byte(void *address)
{
    (void)*(volatile uint8_t *)address;
}

static bool refused(uint64_t address)
{
    struct trap trap = {0};
    return !try_call(read_byte, (void *)address, &trap) && trap.vector == VECTOR_GP;
}

/* Of [low, high) in pages, where `refused` is true at the end `high_is` says and only there. */
static uint64_t boundary(uint64_t low, uint64_t high, bool high_is)
{
    while (high - low > PAGE_SIZE) {
        uint64_t middle = low + align_down((high - low) / 2, PAGE_SIZE);
        if (refused(middle) == high_is)
            high = middle;
        else
            low = middle;
    }
    return high;
}

/*
 * The hypervisor's memory shows as a reserved range, where every access is #GP.
 * For a reader outside, the range that was found is printed.
 */
static void check_hypervisor_range(void)
{
    if (!hypervisor_present())
        return;
    uint64_t found_start = 0, found_end = 0;
    for (uint32_t n = 0; n < machine.range_count && found_end == 0; n++) {
        const struct ram_range *r = &machine.ranges[n];
        if (r->type == 1 || r->start < MIB(1) || r->end > GIB(4))
            continue;
        uint64_t start = align_up(r->start, PAGE_SIZE), end = align_down(r->end, PAGE_SIZE);
        uint64_t inside = 0, step = align_up((end - start) / PROBES + 1, PAGE_SIZE);
        for (uint64_t at = start; at < end && inside == 0; at += step)
            inside = refused(at) ? at : 0;
        if (inside == 0)
            continue;
        found_start = refused(start) ? start : boundary(start, inside, true);
        found_end = refused(end - PAGE_SIZE) ? end : boundary(inside, end - PAGE_SIZE, false);
    }
    tap_note("refused %016lx..%016lx", found_start, found_end);
    tap_ok(found_start < found_end && !touches_ram(found_start, found_end),
           "the hypervisor's memory is reserved in the map and out of reach");
}

/* ---- modules */

static void check_modules(void)
{
    if (machine.module_count == 0)
        return;
    bool aligned = true, apart = true, in_ram = true;
    for (uint32_t n = 0; n < machine.module_count; n++) {
        const struct guest_module *m = &machine.modules[n];
        uint64_t start = (uint64_t)m->start, end = start + m->size;
        aligned = aligned && (m->size == 0 || (start & PAGE_MASK) == 0);
        in_ram = in_ram && (m->size == 0 || machine_is_ram(start, m->size));
        apart = apart && (end <= (uint64_t)guest_image_start || start >= (uint64_t)guest_image_end);
        for (uint32_t other = 0; other < n; other++) {
            uint64_t from = (uint64_t)machine.modules[other].start;
            apart = apart && (end <= from || from + machine.modules[other].size <= start);
        }
    }
    tap_ok(aligned && in_ram && apart,
           "%u module%s page-aligned in RAM, clear of each other and of the kernel",
           machine.module_count, machine.module_count == 1 ? " is" : "s are");
}

void check_memory(void)
{
    check_map();
    check_hole_is_kept();
    check_modules();
    check_ram();
    check_gap();
    check_hypervisor_range();
}
