/* SPDX-License-Identifier: MIT */
/* Making one random hypercall: valid first, then perhaps broken in one place. */
#include "guests/fuzz/fuzz.h"

/* What there is to be random about; weights say how often. */
static const struct recipe {
    uint16_t code;
    uint8_t weight;
    uint8_t header;     /* bytes of input */
    uint8_t in_element; /* of a rep call */
    bool rep;
} recipes[] = {
    {HVCALL_NOTIFY_LONG_SPIN_WAIT, 1, 8, 0, false},
    {HVCALL_CREATE_PARTITION, 24, 56, 0, false},
    {HVCALL_INITIALIZE_PARTITION, 8, 8, 0, false},
    {HVCALL_FINALIZE_PARTITION, 1, 8, 0, false},
    {HVCALL_DELETE_PARTITION, 4, 8, 0, false},
    {HVCALL_GET_PARTITION_PROPERTY, 1, 16, 0, false},
    {HVCALL_SET_PARTITION_PROPERTY, 1, 24, 0, false},
    {HVCALL_GET_PARTITION_ID, 1, 0, 0, false},
    {HVCALL_GET_NEXT_CHILD_PARTITION, 2, 16, 0, false},
    {HVCALL_DEPOSIT_MEMORY, 20, 8, 8, true},
    {HVCALL_WITHDRAW_MEMORY, 4, 16, 0, true},
    {HVCALL_GET_MEMORY_BALANCE, 1, 16, 0, false},
    {HVCALL_MAP_GPA_PAGES, 12, 24, 8, true},
    {HVCALL_UNMAP_GPA_PAGES, 6, 24, 0, true},
    {HVCALL_INSTALL_INTERCEPT, 3, 24, 0, false},
    {HVCALL_CREATE_VP, 14, 40, 0, false},
    {HVCALL_DELETE_VP, 2, 16, 0, false},
    {HVCALL_GET_VP_REGISTERS, 6, 16, 4, true},
    {HVCALL_SET_VP_REGISTERS, 10, 16, 32, true},
    {HVCALL_TRANSLATE_VIRTUAL_ADDRESS, 4, 32, 0, false},
    {HVCALL_MAP_DEVICE_INTERRUPT, 2, 88, 0, false},
    {HVCALL_UNMAP_DEVICE_INTERRUPT, 1, 32, 0, false},
    {HVCALL_DISPATCH_VP, 10, 32, 0, false},
    {HVCALL_GET_GPA_PAGES_ACCESS_STATES, 3, 24, 0, true},
    {HVCALL_MAP_VP_STATE_PAGE, 12, 24, 0, false},
    {HVCALL_UNMAP_VP_STATE_PAGE, 10, 16, 0, false},
};

/* Partitions that somebody created; shared, so that processors get in each other's way. */
static volatile uint64_t known_children[KNOWN_CHILDREN];

static const uint32_t register_names[] = {
    HV_REGISTER_EXPLICIT_SUSPEND,
    HV_REGISTER_INTERCEPT_SUSPEND,
    HV_REGISTER_PENDING_INTERRUPTION,
    HV_REGISTER_INTERRUPT_STATE,
    HV_REGISTER_PENDING_EVENT0,
    HV_REGISTER_PENDING_EVENT1,
    HV_REGISTER_DELIVERABILITY,
    HV_REGISTER_RAX,
    HV_REGISTER_RAX + 4,
    HV_REGISTER_RIP,
    HV_REGISTER_RFLAGS,
    HV_REGISTER_XMM0,
    HV_REGISTER_XMM0 + 15,
    HV_REGISTER_XMM0 + 16,
    HV_REGISTER_CR0,
    HV_REGISTER_CR2,
    HV_REGISTER_CR3,
    HV_REGISTER_CR4,
    HV_REGISTER_CR8,
    HV_REGISTER_XFEM,
    HV_REGISTER_DR0,
    HV_REGISTER_DR6,
    HV_REGISTER_DR7,
    HV_REGISTER_ES,
    HV_REGISTER_ES + 1,
    HV_REGISTER_ES + 2,
    HV_REGISTER_ES + 6,
    HV_REGISTER_ES + 7,
    HV_REGISTER_IDTR,
    HV_REGISTER_GDTR,
    HV_REGISTER_TSC,
    HV_REGISTER_EFER,
    HV_REGISTER_KERNEL_GS_BASE,
    HV_REGISTER_APIC_BASE,
    HV_REGISTER_PAT,
    HV_REGISTER_SYSENTER_CS,
    HV_REGISTER_STAR,
    HV_REGISTER_LSTAR,
    HV_REGISTER_SFMASK,
    HV_REGISTER_VP_INDEX,
};

static gpn_t arena_page(struct fuzzer *f)
{
    gpn_t first = page_of(arena.start);
    if (fuzz_one_in(f, 6))
        return first + 512 * fuzz_below(f, ARENA_PAGES / 512);
    return first + fuzz_below(f, ARENA_PAGES);
}

/* One of the half for deposits: what is mapped into a child cannot be deposited. */
static gpn_t deposit_page(struct fuzzer *f)
{
    return page_of(arena.start) + ARENA_PAGES / 2 + fuzz_below(f, ARENA_PAGES / 2);
}

static gpn_t map_page_of_arena(struct fuzzer *f)
{
    return fuzz_one_in(f, 64) ? arena_page(f)
                              : page_of(arena.start) + fuzz_below(f, ARENA_PAGES / 2);
}

/* A page that is not memory of ours outside the arena: anything may be done to it. */
static gpn_t harmless_page(struct fuzzer *f)
{
    if (!fuzz_one_in(f, 12))
        return arena_page(f);
    uint64_t wild = fuzz_wild(f);
    if (wild >= 1UL << 52)
        return wild;
    bool ours = wild < page_of(arena.start) || machine_is_ram(wild << PAGE_SHIFT, PAGE_SIZE);
    return ours ? arena_page(f) : wild;
}

/* A GPN of a child: small, mostly. */
static gpn_t child_page(struct fuzzer *f)
{
    if (fuzz_one_in(f, 16))
        return fuzz_wild(f);
    return fuzz_one_in(f, 4) ? 512 * fuzz_below(f, 8) : fuzz_below(f, 0x110);
}

static uint64_t partition(struct fuzzer *f)
{
    if (fuzz_one_in(f, 24))
        return fuzz_one_in(f, 2) ? fuzz_below(f, 32) : fuzz_wild(f);
    uint64_t first = fuzz_below(f, KNOWN_CHILDREN), id = 0;
    for (unsigned n = 0; n < KNOWN_CHILDREN && id == 0; n++)
        id = known_children[(first + n) % KNOWN_CHILDREN];
    return id;
}

static uint64_t partition_or_self(struct fuzzer *f)
{
    return fuzz_one_in(f, 3) ? HV_PARTITION_ID_SELF : partition(f);
}

static uint32_t vp_index(struct fuzzer *f)
{
    if (fuzz_one_in(f, 32))
        return (uint32_t)fuzz_wild(f);
    return fuzz_one_in(f, 16) ? HV_VP_INDEX_SELF : (uint32_t)fuzz_below(f, 3);
}

static void make_create(struct fuzzer *f, uint64_t *in)
{
    in[0] = HV_CREATE_EXO_PARTITION;
    if (fuzz_one_in(f, 8))
        in[0] = fuzz_wild(f);
    if (fuzz_one_in(f, 16))
        in[6] = fuzz_random(f);
    in[2] = 0x0609;
}

static void make_deposit(struct fuzzer *f, uint64_t *in, uint32_t count)
{
    in[0] = fuzz_one_in(f, 8) ? HV_PARTITION_ID_SELF : partition(f);
    for (uint32_t n = 0; n < count; n++)
        in[1 + n] = fuzz_one_in(f, 64) ? harmless_page(f) : deposit_page(f);
}

static uint32_t map_flags(struct fuzzer *f)
{
    if (fuzz_one_in(f, 8))
        return (uint32_t)fuzz_wild(f);
    if (fuzz_one_in(f, 8))
        return HV_MAP_NO_ACCESS;
    return (uint32_t)fuzz_below(f, 16) | (fuzz_one_in(f, 4) ? HV_MAP_LARGE_PAGE : 0);
}

static void make_map(struct fuzzer *f, uint64_t *in, uint32_t count)
{
    in[0] = partition(f);
    in[1] = child_page(f);
    uint32_t flags = map_flags(f);
    in[2] = flags;
    for (uint32_t n = 0; n < count; n++) {
        in[3 + n] = fuzz_one_in(f, 64) ? harmless_page(f) : map_page_of_arena(f);
        if (flags & HV_MAP_LARGE_PAGE)
            in[3 + n] &= ~511UL;
    }
    if (flags & HV_MAP_LARGE_PAGE)
        in[1] &= ~511UL;
}

static void make_registers(struct fuzzer *f, const struct recipe *r, uint64_t *in, uint32_t count)
{
    uint8_t *list = (uint8_t *)in + 16;
    /* our own VPs are only looked at: to suspend ourselves would end the run */
    in[0] = r->code == HVCALL_GET_VP_REGISTERS ? partition_or_self(f) : partition(f);
    if (r->code == HVCALL_SET_VP_REGISTERS && (in[0] == HV_PARTITION_ID_SELF || in[0] == 1))
        in[0] = 0;
    in[1] = vp_index(f);
    for (uint32_t n = 0; n < count; n++) {
        uint32_t name = register_names[fuzz_below(f, ARRAY_SIZE(register_names))];
        if (fuzz_one_in(f, 40))
            name = (uint32_t)fuzz_wild(f);
        memset(list + n * r->in_element, 0, r->in_element);
        memcpy(list + n * r->in_element, &name, sizeof(name));
        if (r->code == HVCALL_SET_VP_REGISTERS) {
            uint64_t low = fuzz_one_in(f, 2) ? fuzz_below(f, 0x1000) : fuzz_wild(f);
            if (name <= HV_REGISTER_INTERCEPT_SUSPEND)
                low = fuzz_one_in(f, 4);
            memcpy(list + n * r->in_element + 16, &low, sizeof(low));
        }
    }
}

static void make_state_page(struct fuzzer *f, const struct recipe *r, uint64_t *in)
{
    uint32_t type = (uint32_t)fuzz_below(f, 2);
    in[0] = partition_or_self(f);
    if (fuzz_one_in(f, 24))
        type = (uint32_t)fuzz_below(f, 0x10000);
    in[1] = vp_index(f) | (uint64_t)type << 32;
    if (fuzz_one_in(f, 12))
        in[1] |= fuzz_below(f, 256) << 48;
    if (r->code == HVCALL_UNMAP_VP_STATE_PAGE)
        return;
    bool provided = in[0] != HV_PARTITION_ID_SELF || fuzz_one_in(f, 2);
    if (provided && !fuzz_one_in(f, 3))
        in[1] |= 1UL << 56;
    in[2] = harmless_page(f);
}

static void make_interrupt(struct fuzzer *f, struct hv_input_map_device_interrupt *in)
{
    in->partition_id = fuzz_one_in(f, 8) ? partition(f) : HV_PARTITION_ID_SELF;
    in->device_id = fuzz_below(f, 4) << 62 | fuzz_below(f, 0x10000);
    in->vector_count = 1;
    in->vector = (uint32_t)fuzz_below(f, 0x108);
    in->trigger = (uint32_t)fuzz_below(f, 3);
    in->target_flags = fuzz_one_in(f, 4) ? 0 : HV_INTERRUPT_TARGET_SET;
    in->mask_or_format = in->target_flags ? 0 : fuzz_below(f, 16);
    in->bank_mask = !fuzz_one_in(f, 8);
    in->banks[0] = fuzz_one_in(f, 8) ? fuzz_wild(f) : fuzz_below(f, 16);
}

static void make_input(struct fuzzer *f, const struct recipe *r, uint64_t *in, uint32_t count)
{
    switch (r->code) {
    case HVCALL_CREATE_PARTITION:
        make_create(f, in);
        break;
    case HVCALL_DEPOSIT_MEMORY:
        make_deposit(f, in, count);
        break;
    case HVCALL_MAP_GPA_PAGES:
        make_map(f, in, count);
        break;
    case HVCALL_UNMAP_GPA_PAGES:
        in[0] = partition(f);
        in[1] = child_page(f);
        break;
    case HVCALL_GET_GPA_PAGES_ACCESS_STATES:
        in[0] = partition(f);
        in[1] = fuzz_below(f, 4);
        in[2] = child_page(f);
        break;
    case HVCALL_INSTALL_INTERCEPT:
        in[0] = partition(f);
        in[1] = fuzz_below(f, 8) | fuzz_below(f, 5) << 32;
        in[2] = fuzz_one_in(f, 2) ? fuzz_below(f, 32) : fuzz_wild(f);
        break;
    case HVCALL_GET_VP_REGISTERS:
    case HVCALL_SET_VP_REGISTERS:
        make_registers(f, r, in, count);
        break;
    case HVCALL_DISPATCH_VP:
        in[0] = partition(f);
        in[1] = vp_index(f) | (uint64_t)HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND << 32;
        if (fuzz_one_in(f, 16))
            in[2] = fuzz_wild(f);
        break;
    case HVCALL_MAP_VP_STATE_PAGE:
    case HVCALL_UNMAP_VP_STATE_PAGE:
        make_state_page(f, r, in);
        break;
    case HVCALL_TRANSLATE_VIRTUAL_ADDRESS:
        in[0] = partition_or_self(f);
        in[1] = vp_index(f);
        in[2] = fuzz_below(f, 16);
        in[3] = fuzz_one_in(f, 2) ? fuzz_below(f, 0x200) : fuzz_wild(f);
        break;
    case HVCALL_SET_PARTITION_PROPERTY:
        in[0] = partition(f);
        in[1] = HV_PROPERTY_PRIVILEGE_FLAGS;
        in[2] = fuzz_random(f) & hypervisor_privileges();
        break;
    case HVCALL_GET_NEXT_CHILD_PARTITION:
        in[0] = HV_PARTITION_ID_SELF;
        in[1] = fuzz_below(f, 64);
        break;
    case HVCALL_MAP_DEVICE_INTERRUPT:
        make_interrupt(f, (void *)in);
        break;
    case HVCALL_CREATE_VP:
    case HVCALL_DELETE_VP:
        in[0] = partition(f);
        in[1] = vp_index(f);
        break;
    default:
        in[0] = partition(f);
        break;
    }
}

/* Whether there is room to remember one partition more: forgotten ones would pile up. */
static bool may_create(void)
{
    for (unsigned n = 0; n < KNOWN_CHILDREN; n++) {
        if (known_children[n] == 0)
            return true;
    }
    return false;
}

static const struct recipe *choose(struct fuzzer *f)
{
    uint32_t total = 0;
    for (unsigned n = 0; n < ARRAY_SIZE(recipes); n++)
        total += recipes[n].weight;
    uint64_t at = fuzz_below(f, total);
    const struct recipe *r = recipes;
    for (; at >= r->weight; r++)
        at -= r->weight;
    return r->code == HVCALL_CREATE_PARTITION && !may_create() ? choose(f) : r;
}

/* False for calls that could take pages of ours away, or stop us, with a list of chance. */
static bool may_be_spoiled(uint16_t code)
{
    return code != HVCALL_DEPOSIT_MEMORY && code != HVCALL_SET_VP_REGISTERS &&
           code != HVCALL_MAP_VP_STATE_PAGE && code != HVCALL_MAP_GPA_PAGES;
}

/* Breaks one thing about a call, without making it one that harms ourselves. */
static void spoil(struct fuzzer *f, struct fuzz_call *call)
{
    switch (fuzz_below(f, 6)) {
    case 0:
        call->control |= 1UL << (17 + fuzz_below(f, 47));
        break;
    case 1:
        call->control ^= HV_CONTROL_FAST;
        if (call->control & HV_CONTROL_FAST) { /* registers hold the input then */
            call->input = partition(f);
            call->output = fuzz_below(f, 16);
        } else {
            call->input = (uint64_t)f->input;
            call->output = (uint64_t)f->output;
        }
        break;
    case 2:
        call->input += fuzz_below(f, PAGE_SIZE);
        break;
    case 3:
        call->output = harmless_page(f) << PAGE_SHIFT | (fuzz_below(f, PAGE_SIZE) & ~7UL);
        break;
    case 4:
        call->control ^= fuzz_below(f, 0x200) << HV_CONTROL_REP_COUNT_SHIFT;
        break;
    default:
        call->control = (call->control & ~0xFFFFUL) | (fuzz_random(f) & 0xFFFF);
        if (!may_be_spoiled((uint16_t)call->control)) /* its list would be anything */
            call->control ^= 0x8000;
        break;
    }
}

void fuzz_make_call(struct fuzzer *f, struct fuzz_call *call)
{
    const struct recipe *r = choose(f);
    uint32_t count = r->rep ? 1 + (uint32_t)fuzz_below(f, fuzz_one_in(f, 8) ? 100 : 6) : 0;
    memset(f->input, 0, PAGE_SIZE);
    make_input(f, r, (uint64_t *)f->input, count);
    memcpy(&call->partition, f->input, sizeof(call->partition));
    call->code = r->code;
    call->spoiled = false;
    call->control = hv_rep_control(r->code, count, 0);
    if (r->code == HVCALL_MAP_DEVICE_INTERRUPT)
        call->control |= fuzz_below(f, 3) << HV_CONTROL_VARIABLE_SHIFT;
    call->input = (uint64_t)f->input;
    call->output = (uint64_t)f->output;
    if (r->header <= 16 && !r->rep && r->code != HVCALL_CREATE_PARTITION && fuzz_one_in(f, 4) &&
        r->code != HVCALL_GET_PARTITION_PROPERTY && r->code != HVCALL_GET_NEXT_CHILD_PARTITION &&
        r->code != HVCALL_GET_MEMORY_BALANCE && r->code != HVCALL_GET_PARTITION_ID) {
        call->control |= HV_CONTROL_FAST;
        memcpy(&call->input, f->input, 8);
        memcpy(&call->output, f->input + 8, 8);
        return;
    }
    if (may_be_spoiled(call->code)) {
        call->spoiled = fuzz_one_in(f, 10);
        if (call->spoiled)
            spoil(f, call);
    } else if (fuzz_one_in(f, 20)) {
        call->spoiled = true;
        call->control |= 1UL << (17 + fuzz_below(f, 15));
    }
}

/* Brings a new partition so far that it can run, or as far as the arena's pages allow. */
static void grow(struct fuzzer *f, uint64_t id)
{
    struct hv_input_map_gpa map = {.partition_id = id, .flags = CHILD_MAP_ALL};
    uint64_t pages[32];
    for (unsigned n = 0; n < 48; n++) {
        pages[0] = deposit_page(f); /* one at a time: many are taken */
        hv_call_rep(HVCALL_DEPOSIT_MEMORY, &id, sizeof(id), pages, 8, 1, NULL, 0, NULL);
    }
    hv_call(HVCALL_INITIALIZE_PARTITION, &id, sizeof(id), NULL, 0);
    for (unsigned n = 0; n < ARRAY_SIZE(pages); n++)
        pages[n] = map_page_of_arena(f);
    map.base_gpn = fuzz_one_in(f, 2) ? 0 : 0xFFFE0; /* where a processor begins after reset */
    hv_call_rep(HVCALL_MAP_GPA_PAGES, &map, sizeof(map), pages, 8, ARRAY_SIZE(pages), NULL, 0,
                NULL);
    for (uint32_t vp = 0; vp < 2; vp++) {
        struct hv_input_create_vp create = {.partition_id = id, .vp_index = vp};
        if (hv_call(HVCALL_CREATE_VP, &create, sizeof(create), NULL, 0) == HV_STATUS_SUCCESS)
            child_set(id, vp, HV_REGISTER_EXPLICIT_SUSPEND, 0, 0);
    }
}

static void remember(uint64_t id)
{
    unsigned room = KNOWN_CHILDREN;
    for (unsigned n = 0; n < KNOWN_CHILDREN; n++) {
        if (known_children[n] == id)
            return;
        if (known_children[n] == 0)
            room = n;
    }
    if (room < KNOWN_CHILDREN)
        known_children[room] = id;
}

void fuzz_learn(struct fuzzer *f, const struct fuzz_call *call, uint32_t status)
{
    uint64_t id;
    if (call->spoiled)
        return;
    bool gone = status == HV_STATUS_INVALID_PARTITION_ID ||
                (call->code == HVCALL_DELETE_PARTITION && status == HV_STATUS_SUCCESS);
    for (unsigned n = 0; gone && n < KNOWN_CHILDREN; n++) {
        if (known_children[n] == call->partition)
            known_children[n] = 0;
    }
    if (status != HV_STATUS_SUCCESS)
        return;
    memcpy(&id, f->output, sizeof(id));
    if (call->code == HVCALL_CREATE_PARTITION) {
        if (!fuzz_one_in(f, 4))
            grow(f, id);
        remember(id);
    }
    if (call->code == HVCALL_GET_NEXT_CHILD_PARTITION && id != 0)
        remember(id); /* one that a spoiled call created */
}
