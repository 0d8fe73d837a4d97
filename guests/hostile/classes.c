/* SPDX-License-Identifier: MIT */
/*
 * Each class of a register page, and the source list of MapGpaPages, changed by
 * another processor while the hypervisor takes them in. What was taken is asked
 * of the hypervisor, for the page itself goes on changing: always one of the
 * written values, and never one that has to be refused.
 */
#include "guests/hostile/hostile.h"
#include "hv/model/vp.h"

#define ROUNDS    1000
#define STOP_PORT 0x99

struct changer {
    volatile uint64_t *place;
    uint64_t values[2];
    volatile bool stop;
    volatile uint64_t changes;
};

static void change(void *argument)
{
    struct changer *f = argument;
    while (!f->stop) {
        *f->place = f->values[f->changes & 1];
        f->changes++;
    }
}

static void begin(struct changer *f)
{
    cpu_run(1, change, f);
    while (f->changes < 10)
        cpu_relax();
}

static void end(struct changer *f)
{
    f->stop = true;
    cpu_wait(1);
}

/* Where a qword of a class lies in the page, two values, and which register tells what it is. */
struct page_class {
    const char *name;
    uint32_t dirty;
    uint32_t offset;
    uint32_t register_name;
    bool high; /* the register's upper half */
    uint64_t good, other;
    bool other_is_bad;
};

#define SEGMENT_HIGH(attributes) (0xFFFFFFFFUL | 0x10UL << 32 | (uint64_t)(attributes) << 48)
#define OFFSET(field)            offsetof(struct hv_register_page, field)

static const struct page_class classes[] = {
    {"general registers", HV_DIRTY_GENERAL, OFFSET(gpr[R12]), HV_REGISTER_RAX + R12, false, 0x1212,
     0xFEDCBA9876543210, false},
    {"rflags, two good values", HV_DIRTY_RFLAGS, OFFSET(rflags), HV_REGISTER_RFLAGS, false,
     RFLAGS_FIXED, RFLAGS_FIXED | RFLAGS_CF, false},
    {"rflags with a reserved bit", HV_DIRTY_RFLAGS, OFFSET(rflags), HV_REGISTER_RFLAGS, false,
     RFLAGS_FIXED | RFLAGS_CF, RFLAGS_FIXED | 1UL << 63, true},
    {"rflags with VM set in long mode", HV_DIRTY_RFLAGS, OFFSET(rflags), HV_REGISTER_RFLAGS, false,
     RFLAGS_FIXED | RFLAGS_CF, RFLAGS_FIXED | RFLAGS_VM, true},
    {"FS base, two good values", HV_DIRTY_SEGMENTS, OFFSET(segment[SEG_FS].base),
     HV_REGISTER_ES + SEG_FS, false, 0x1000, 0x7FFFFFFFF000, false},
    {"FS base, not canonical", HV_DIRTY_SEGMENTS, OFFSET(segment[SEG_FS].base),
     HV_REGISTER_ES + SEG_FS, false, 0x1000, 0x8000000000000000, true},
    {"DS with reserved attributes", HV_DIRTY_SEGMENTS, OFFSET(segment[SEG_DS].base) + 8,
     HV_REGISTER_ES + SEG_DS, true, SEGMENT_HIGH(0xC093), SEGMENT_HIGH(0xCF93), true},
    {"CS with L and D/B", HV_DIRTY_SEGMENTS, OFFSET(segment[SEG_CS].base) + 8,
     HV_REGISTER_ES + SEG_CS, true, SEGMENT_HIGH(0xA09B), SEGMENT_HIGH(0xE09B), true},
    {"control registers, which are ignored", HV_DIRTY_GENERAL, OFFSET(cr0), HV_REGISTER_CR0, false,
     0x80000033, 0, true},
};

static void one_class(struct child *c, const struct page_class *k)
{
    uint8_t *page = (uint8_t *)c->vps[0].registers;
    struct changer f = {.place = (volatile uint64_t *)(page + k->offset),
                        .values = {k->good, k->other}};
    struct hv_register_value value = {0};
    uint64_t taken[2] = {0}, refused = 0, strange = 0;
    child_enter_long(c, 0, CHILD_CODE);
    child_get(c->id, 0, k->register_name, &value);
    uint64_t old = k->high ? value.high : value.low;
    begin(&f);
    for (unsigned n = 0; n < ROUNDS; n++) {
        ((volatile struct hv_register_page *)page)->dirty = k->dirty;
        uint32_t type = child_run(c, 0);
        if (type == HV_MESSAGE_INVALID_VP_REGISTER_VALUE)
            refused++;
        else if (type != HV_MESSAGE_IO_PORT)
            strange++;
        strange += child_get(c->id, 0, k->register_name, &value) != HV_STATUS_SUCCESS;
        uint64_t now = k->high ? value.high : value.low;
        if (now == k->good || now == old)
            taken[0]++;
        else if (now == k->other && !k->other_is_bad)
            taken[1]++;
        else
            strange++;
    }
    end(&f);
    strange += k->other_is_bad ? 0 : refused;
    tap_equal(strange, 0,
              "the page's %s while the VP is resumed: one value %lu times, the other %lu, refused "
              "%lu, nothing else",
              k->name, taken[0], taken[1], refused);
}

/* The source page of MapGpaPages is ours, or the hypervisor's. */
static void map_source(struct child *c)
{
    uint64_t hypervisor = 0, range_end;
    if (!find_hypervisor(&hypervisor, &range_end))
        return;
    uint8_t *input = hv_input_page();
    struct hv_input_map_gpa *header = (struct hv_input_map_gpa *)input;
    gpn_t at = 0x400000 >> PAGE_SHIFT, good = page_of(page_alloc());
    struct changer f = {.place = (volatile uint64_t *)(input + sizeof(*header)),
                        .values = {good, hypervisor >> PAGE_SHIFT}};
    uint64_t mapped = 0, refused = 0, strange = 0;
    *header =
        (struct hv_input_map_gpa){.partition_id = c->id, .base_gpn = at, .flags = CHILD_MAP_ALL};
    static uint8_t other_input[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
    begin(&f);
    for (unsigned n = 0; n < ROUNDS; n++) {
        uint16_t status =
            hv_status(hypercall(hv_rep_control(HVCALL_MAP_GPA_PAGES, 1, 0), (uint64_t)input, 0));
        /* mapped is our page: a deposit of it is refused; unmapped again, it is not mapped */
        *(uint64_t *)other_input = c->id;
        *(uint64_t *)(other_input + 8) = good;
        bool is_mapped = hv_status(hypercall(hv_rep_control(HVCALL_DEPOSIT_MEMORY, 1, 0),
                                             (uint64_t)other_input, 0)) != HV_STATUS_SUCCESS;
        if (status == HV_STATUS_SUCCESS) {
            mapped++;
            strange += !is_mapped;
            struct hv_input_unmap_gpa *undo = (struct hv_input_unmap_gpa *)other_input;
            *undo = (struct hv_input_unmap_gpa){.partition_id = c->id, .base_gpn = at};
            strange += hv_status(hypercall(hv_rep_control(HVCALL_UNMAP_GPA_PAGES, 1, 0),
                                           (uint64_t)other_input, 0)) != HV_STATUS_SUCCESS;
        } else {
            refused++;
            strange += status != HV_STATUS_INVALID_PARAMETER || is_mapped;
            struct hv_input_withdraw *back = (struct hv_input_withdraw *)other_input;
            *back = (struct hv_input_withdraw){.partition_id = c->id};
            hypercall(hv_rep_control(HVCALL_WITHDRAW_MEMORY, 1, 0), (uint64_t)other_input,
                      (uint64_t)hv_output_page());
            strange += *(uint64_t *)hv_output_page() != good;
        }
    }
    end(&f);
    tap_equal(strange, 0,
              "MapGpaPages whose source changes from our page to the hypervisor's: ours is mapped "
              "(%lu) or the call is refused (%lu), nothing else",
              mapped, refused);
    page_free((void *)(good << PAGE_SHIFT));
}

void test_classes(void)
{
    static const uint8_t code[] = {0xE6, STOP_PORT}; /* OUT: stays there */
    struct child c;
    if (cpu_count < 2 || hypervisor_role() == ROLE_IS_GUEST)
        return; /* test_races has said why */
    child_open(&c, 1, CHILD_MAP_ALL);
    child_load(&c, CHILD_CODE, code, code + sizeof(code));
    child_map(c.id, 0x400000 >> PAGE_SHIFT, page_of(c.memory), 1, CHILD_MAP_ALL); /* its tables */
    child_unmap(c.id, 0x400000 >> PAGE_SHIFT, 1);
    for (unsigned n = 0; n < ARRAY_SIZE(classes); n++)
        one_class(&c, &classes[n]);
    map_source(&c);
    tap_ok(child_close(&c), "the child is gone, every page zeroed");
}
