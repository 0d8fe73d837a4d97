/* SPDX-License-Identifier: MIT */
/*
 * Overlays of every kind over RAM, inside large pages and over holes: what is
 * seen, what cannot be written, what is back afterwards, what is refused.
 */
#include "guests/lib/child.h"
#include "guests/lib/guest.h"

#define APIC_PAGE 0xFEE00UL
#define ENABLE    1UL

#define UNDER_OFFSET 0x800 /* of the RAM under the library's hypercall page, holds UNDER */
#define UNDER        0x5A

enum kind { KIND_HYPERCALL, KIND_TSC, KIND_REGISTERS, KIND_MESSAGE, KIND_COUNT };
static const char *const kind_names[] = {"the hypercall page", "the reference TSC page",
                                         "a register page", "an intercept message page"};

static uint64_t own_hypercall_msr;
static uint64_t gpa_limit; /* first page number beyond the width */

/* Puts an overlay of that kind at gpn. The hypercall page leaves the place the library gave it. */
static bool put(enum kind kind, gpn_t gpn)
{
    switch (kind) {
    case KIND_HYPERCALL:
        return wrmsr_safe(HV_MSR_HYPERCALL, gpn << PAGE_SHIFT | ENABLE);
    case KIND_TSC:
        return wrmsr_safe(HV_MSR_REFERENCE_TSC, gpn << PAGE_SHIFT | ENABLE);
    default:
        return state_page_map(HV_PARTITION_ID_SELF, 0, kind == KIND_MESSAGE,
                              HV_MAP_LOCATION_PROVIDED, gpn, NULL) == HV_STATUS_SUCCESS;
    }
}

static bool take_away(enum kind kind)
{
    switch (kind) {
    case KIND_HYPERCALL:
        return wrmsr_safe(HV_MSR_HYPERCALL, own_hypercall_msr);
    case KIND_TSC:
        return wrmsr_safe(HV_MSR_REFERENCE_TSC, 0);
    default:
        return state_page_unmap_call(HV_PARTITION_ID_SELF, 0, kind == KIND_MESSAGE) ==
               HV_STATUS_SUCCESS;
    }
}

static void write_byte(void *at)
{
    *(volatile uint8_t *)at = 0x77;
}

static void read_word(void *argument)
{
    uint64_t *words = argument; /* address, and the value found there */
    words[1] = *(volatile uint64_t *)words[0];
}

/* What the page at that place looks like is an overlay of that kind. */
static bool looks_like(enum kind kind, const uint8_t *page)
{
    const struct hv_register_page *registers = (const void *)page;
    const struct hv_reference_tsc_page *tsc = (const void *)page;
    uint8_t zero = 0;
    switch (kind) {
    case KIND_HYPERCALL:
        return page[0] == 0x0F && page[1] == 0x01 && page[3] == 0xC3;
    case KIND_TSC:
        return tsc->sequence != 0 && tsc->scale != 0;
    case KIND_REGISTERS:
        return registers->version == 1 && registers->is_valid == 0 && registers->cr3 == read_cr3();
    default:
        for (unsigned n = 0; n < PAGE_SIZE; n++)
            zero |= page[n];
        return zero == 0;
    }
}

static void fill(uint8_t *page, uint8_t seed)
{
    for (unsigned n = 0; n < PAGE_SIZE; n++)
        page[n] = (uint8_t)(seed + n * 13 + (n >> 8));
}

static bool is_filled(const uint8_t *page, uint8_t seed)
{
    for (unsigned n = 0; n < PAGE_SIZE; n++) {
        if (page[n] != (uint8_t)(seed + n * 13 + (n >> 8)))
            return false;
    }
    return true;
}

/* Over a page of RAM whose neighbours must not notice. `block` has three pages. */
static void over_ram(enum kind kind, uint8_t *block, const char *where)
{
    struct trap trap = {0};
    uint8_t *page = block + PAGE_SIZE;
    for (unsigned n = 0; n < 3; n++)
        fill(block + n * PAGE_SIZE, (uint8_t)(kind * 16 + n));
    bool ok = put(kind, page_of(page));
    tap_ok(ok && looks_like(kind, page), "%s over RAM %s shows", kind_names[kind], where);
    bool written = try_call(write_byte, page + 0x800, &trap);
    if (kind == KIND_HYPERCALL || kind == KIND_TSC)
        tap_ok(!written && trap.vector == VECTOR_GP, "a write to it is #GP");
    else
        tap_ok(written && page[0x800] == 0x77, "a self-mapped page can be written");
    tap_ok(is_filled(block, (uint8_t)(kind * 16)) &&
               is_filled(page + PAGE_SIZE, (uint8_t)(kind * 16 + 2)),
           "the pages beside it are untouched");
    ok = take_away(kind);
    tap_ok(ok && is_filled(page, (uint8_t)(kind * 16 + 1)),
           "taken away, the page underneath is back, unchanged");
}

static void each_over_ram(void)
{
    uint8_t *large = pages_alloc(3 * PAGES_2M, MIB(2));
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        /* each a large page that nobody has split yet, or the border of two */
        over_ram(kind, large + MIB(1) + kind * 0x10000, "in the middle of a large page");
        over_ram(kind, large + MIB(2) - PAGE_SIZE, "on the first page of a large page");
        over_ram(kind, large + MIB(4) - 2 * PAGE_SIZE, "on the last page of a large page");
    }
    pages_free(large, 3 * PAGES_2M);
}

/* Over a GPN with nothing behind it: the last one inside the width. */
static void over_holes(void)
{
    gpn_t gpn = gpa_limit - 1;
    uint64_t words[2] = {gpn << PAGE_SHIFT, 0};
    if (gpn << PAGE_SHIFT >> 47) { /* our own tables map the lower half 1:1 */
        gpn = (1UL << (47 - PAGE_SHIFT)) - 1;
        words[0] = gpn << PAGE_SHIFT;
    }
    uint8_t *page = identity_map(gpn << PAGE_SHIFT, PAGE_SIZE);
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        bool ok = put(kind, gpn);
        tap_ok(ok && looks_like(kind, page), "%s over a hole, at GPN 0x%lx, shows",
               kind_names[kind], gpn);
        ok = take_away(kind);
        words[1] = 0;
        bool readable = try_call(read_word, words, NULL);
        tap_ok(ok && (!readable || words[1] == ~0UL || words[1] == 0),
               "taken away, the hole is a hole again");
    }
}

/* All four side by side in one large page, taken away in every order. */
static void all_at_once(void)
{
    static const uint8_t orders[24][4] = {
        {0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 3, 2, 1},
        {1, 0, 2, 3}, {1, 0, 3, 2}, {1, 2, 0, 3}, {1, 2, 3, 0}, {1, 3, 0, 2}, {1, 3, 2, 0},
        {2, 0, 1, 3}, {2, 0, 3, 1}, {2, 1, 0, 3}, {2, 1, 3, 0}, {2, 3, 0, 1}, {2, 3, 1, 0},
        {3, 0, 1, 2}, {3, 0, 2, 1}, {3, 1, 0, 2}, {3, 1, 2, 0}, {3, 2, 0, 1}, {3, 2, 1, 0},
    };
    uint8_t *large = pages_alloc(PAGES_2M, MIB(2));
    bool ok = true;
    for (unsigned order = 0; order < 24; order++) {
        for (unsigned n = 0; n < KIND_COUNT; n++)
            fill(large + n * PAGE_SIZE, (uint8_t)(order + n));
        for (enum kind kind = 0; kind < KIND_COUNT; kind++)
            ok &= put(kind, page_of(large) + kind);
        for (enum kind kind = 0; kind < KIND_COUNT; kind++)
            ok &= looks_like(kind, large + kind * PAGE_SIZE);
        for (unsigned n = 0; n < KIND_COUNT; n++) {
            enum kind kind = orders[order][n];
            ok &= take_away(kind);
            ok &= is_filled(large + kind * PAGE_SIZE, (uint8_t)(order + kind));
            for (unsigned left = n + 1; left < KIND_COUNT; left++)
                ok &= looks_like(orders[order][left], large + orders[order][left] * PAGE_SIZE);
        }
    }
    tap_ok(ok, "all four kinds at once in one large page, taken away in all 24 orders: each page "
               "is back when its overlay goes, the others stay");
    pages_free(large, PAGES_2M);
}

static uint16_t map_at(enum kind kind, gpn_t gpn)
{
    return state_page_map(HV_PARTITION_ID_SELF, 0, kind == KIND_MESSAGE, HV_MAP_LOCATION_PROVIDED,
                          gpn, NULL);
}

static void conflicts(void)
{
    uint8_t *page = page_alloc(), *other = page_alloc();
    tap_status(map_at(KIND_REGISTERS, own_hypercall_msr >> PAGE_SHIFT), HV_STATUS_INVALID_PARAMETER,
               "a state page over the hypercall page");
    put(KIND_TSC, page_of(page));
    tap_status(map_at(KIND_REGISTERS, page_of(page)), HV_STATUS_INVALID_PARAMETER,
               "a state page over the reference TSC page");
    tap_ok(!put(KIND_HYPERCALL, page_of(page)) && rdmsr(HV_MSR_HYPERCALL) == own_hypercall_msr,
           "the hypercall page over the reference TSC page is #GP, the MSR unchanged");
    put(KIND_REGISTERS, page_of(other));
    tap_status(map_at(KIND_MESSAGE, page_of(other)), HV_STATUS_INVALID_PARAMETER,
               "a state page over another one");
    tap_ok(!put(KIND_TSC, page_of(other)) && looks_like(KIND_TSC, page),
           "the reference TSC page over a state page is #GP, it stays where it was");
    tap_ok(put(KIND_TSC, page_of(page)), "the value that the MSR has already is accepted");
    take_away(KIND_TSC);
    take_away(KIND_REGISTERS);

    tap_status(map_at(KIND_REGISTERS, APIC_PAGE), HV_STATUS_INVALID_PARAMETER,
               "a state page over the local APIC's page");
    tap_ok(!put(KIND_HYPERCALL, APIC_PAGE), "the hypercall page there is #GP");
    tap_ok(!put(KIND_TSC, APIC_PAGE), "the reference TSC page there is #GP");
    tap_status(map_at(KIND_REGISTERS, gpa_limit), HV_STATUS_INVALID_PARAMETER,
               "a state page at the first GPN beyond the address width");
    tap_status(map_at(KIND_REGISTERS, ~0UL), HV_STATUS_INVALID_PARAMETER, "... and at GPN ~0");
    tap_ok(!put(KIND_HYPERCALL, gpa_limit) && !put(KIND_TSC, gpa_limit),
           "a GPN beyond the address width in an overlay MSR is #GP");
    page_free(page);
    page_free(other);
}

static void chosen_places(void)
{
    gpn_t places[2], again;
    for (unsigned n = 0; n < 2; n++) {
        tap_status(state_page_map(HV_PARTITION_ID_SELF, 0, (uint16_t)n, 0, 0, &places[n]),
                   HV_STATUS_SUCCESS, "MapVpStatePage of type %u where the hypervisor chooses", n);
        tap_ok(places[n] << PAGE_SHIFT >= machine_memory_end() && places[n] < gpa_limit,
               "the chosen GPN 0x%lx lies above 4 GiB and all RAM and inside the address width",
               places[n]);
    }
    tap_ok(places[0] != places[1], "two pages, two places");
    const uint8_t *page = identity_map(places[0] << PAGE_SHIFT, PAGE_SIZE);
    tap_ok(looks_like(KIND_REGISTERS, page), "the register page shows at the chosen place");
    tap_status(map_at(KIND_REGISTERS, places[0]), HV_STATUS_OPERATION_DENIED,
               "mapped already, before the location is looked at");
    take_away(KIND_REGISTERS);
    state_page_map(HV_PARTITION_ID_SELF, 0, 0, 0, 0, &again);
    tap_ok(again != places[1], "a place in use is not chosen again");
    take_away(KIND_REGISTERS);
    take_away(KIND_MESSAGE);
}

/* The formula of the page gives the reference time of the MSR. */
static void reference_time(void)
{
    const volatile struct hv_reference_tsc_page *page = page_alloc();
    put(KIND_TSC, page_of((const void *)page));
    uint64_t before = rdmsr(HV_MSR_TIME_REF_COUNT);
    uint64_t now = (uint64_t)((unsigned __int128)rdtsc() * page->scale >> 64) + page->offset;
    uint64_t after = rdmsr(HV_MSR_TIME_REF_COUNT);
    tap_ok(now + 2 >= before && now <= after + 2,
           "((TSC * scale) >> 64) + offset lies between two reads of the reference count "
           "(%lu, %lu, %lu)",
           before, now, after);
    take_away(KIND_TSC);
    page_free((void *)page);
}

static void not_given_away(void)
{
    uint64_t id = 0;
    gpn_t gpn = page_of(page_alloc());
    if (hypervisor_role() == ROLE_IS_GUEST) {
        tap_skip("depositing what lies under an overlay: role guest");
        return;
    }
    child_create(HV_CREATE_EXO_PARTITION, &id);
    child_initialize(id);
    put(KIND_REGISTERS, gpn);
    tap_status(hv_call_rep(HVCALL_DEPOSIT_MEMORY, &id, sizeof(id), &gpn, 8, 1, NULL, 0, NULL),
               HV_STATUS_INVALID_PARAMETER, "a page under an overlay is not deposited");
    tap_status(child_map(id, 0, gpn, 1, CHILD_MAP_ALL), HV_STATUS_INVALID_PARAMETER,
               "... and not mapped into a child");
    take_away(KIND_REGISTERS);
    tap_status(child_map(id, 0, gpn, 1, CHILD_MAP_ALL), HV_STATUS_SUCCESS,
               "without the overlay it can be mapped");
    put(KIND_REGISTERS, gpn);
    tap_ok(looks_like(KIND_REGISTERS, (uint8_t *)(gpn << PAGE_SHIFT)),
           "an overlay over a page that a child has covers it for its owner alone");
    take_away(KIND_REGISTERS);
    child_finalize(id);
    child_withdraw_all(id, NULL);
    tap_status(child_delete(id), HV_STATUS_SUCCESS, "that child is gone");
    page_free((void *)(gpn << PAGE_SHIFT));
}

/* Hypercall input and output may lie in overlays like in any page. */
static void hypercalls_into_overlays(void)
{
    uint64_t *page = page_alloc();
    put(KIND_MESSAGE, page_of(page));
    page[0] = 0x1111;
    uint64_t result = hypercall(HVCALL_GET_PARTITION_ID, 0, (uint64_t)page);
    tap_ok(result == 0 && page[0] != 0x1111 && page[0] != 0, "output goes into a state page");
    result = hypercall(HVCALL_GET_PARTITION_ID, 0, own_hypercall_msr & ~PAGE_MASK);
    tap_status(hv_status(result), HV_STATUS_INVALID_PARAMETER,
               "output into the hypercall page, which cannot be written");
    take_away(KIND_MESSAGE);
    tap_equal(page[0], 0, "the RAM under the state page has not seen the output");
    page_free(page);
}

static void os_id_and_lock(void)
{
    uint8_t *page = page_alloc();
    wrmsr(HV_MSR_GUEST_OS_ID, 0);
    tap_ok(!(rdmsr(HV_MSR_HYPERCALL) & ENABLE) && hypercall_page[UNDER_OFFSET] == UNDER,
           "clearing the guest OS ID disables the hypercall page, the page underneath is back");
    wrmsr(HV_MSR_HYPERCALL, own_hypercall_msr);
    tap_ok(!(rdmsr(HV_MSR_HYPERCALL) & ENABLE), "without an identity it stays disabled");
    wrmsr(HV_MSR_GUEST_OS_ID, GUEST_OS_ID);
    wrmsr(HV_MSR_HYPERCALL, own_hypercall_msr | HV_HYPERCALL_MSR_LOCKED);
    tap_ok(!put(KIND_HYPERCALL, page_of(page)),
           "the locked bit makes the MSR immutable: a write that would change it is #GP");
    tap_ok(wrmsr_safe(HV_MSR_HYPERCALL, own_hypercall_msr | HV_HYPERCALL_MSR_LOCKED),
           "a write that changes nothing is accepted");
    tap_equal(rdmsr(HV_MSR_HYPERCALL), own_hypercall_msr | HV_HYPERCALL_MSR_LOCKED,
              "it is where it was");
    page_free(page);
}

/*
 * The library calls through its own page wherever the overlay is: the RAM
 * under it gets the same instruction.
 */
static void prepare_calls(void)
{
    own_hypercall_msr = rdmsr(HV_MSR_HYPERCALL);
    wrmsr(HV_MSR_HYPERCALL, 0);
    memcpy(hypercall_page, (const void *)direct_entry(), 4);
    hypercall_page[UNDER_OFFSET] = UNDER;
    wrmsr(HV_MSR_HYPERCALL, own_hypercall_msr);
}

void guest_main(void)
{
    hypercall_init();
    prepare_calls();
    gpa_limit = 1UL << ((cpuid(0x80000008, 0).eax & 0xFF) - PAGE_SHIFT);
    each_over_ram();
    over_holes();
    all_at_once();
    conflicts();
    chosen_places();
    reference_time();
    not_given_away();
    hypercalls_into_overlays();
    os_id_and_lock();
}
