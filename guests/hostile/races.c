/* SPDX-License-Identifier: MIT */
/* Input and register pages that another processor changes while they are read. */
#include "guests/hostile/hostile.h"
#include "hv/model/vp.h"

#define ROUNDS      3000
#define PORT_FIRST  0x98 /* of the child's three OUT instructions */
#define BAD_ADDRESS 0x8000000000000000UL

/* A processor that writes one of two values to a place, over and over, until it is told to stop. */
struct flipper {
    volatile uint64_t *place;
    uint64_t values[2];
    volatile bool stop;
    volatile uint64_t flips;
};

static void flip(void *argument)
{
    struct flipper *f = argument;
    while (!f->stop) {
        *f->place = f->values[f->flips & 1];
        f->flips++;
    }
}

static void begin(struct flipper *f)
{
    f->stop = false;
    cpu_run(1, flip, f);
    while (f->flips < 10)
        cpu_relax();
}

static void end(struct flipper *f)
{
    f->stop = true;
    cpu_wait(1);
}

/* The location changes between a good one and one beyond the address width. */
static void state_page_location(void)
{
    uint8_t *ram = page_alloc();
    struct hv_input_map_vp_state_page *in = hv_input_page();
    uint64_t *out = hv_output_page(), mapped = 0, refused = 0, strange = 0;
    struct flipper f = {.place = &in->requested_map_location, .values = {page_of(ram), 1UL << 51}};
    memset(ram, 0x3C, PAGE_SIZE);
    *in = (struct hv_input_map_vp_state_page){.partition_id = HV_PARTITION_ID_SELF,
                                              .type = HV_VP_STATE_PAGE_INTERCEPT_MESSAGE,
                                              .flags = HV_MAP_LOCATION_PROVIDED,
                                              .requested_map_location = page_of(ram)};
    begin(&f);
    for (unsigned n = 0; n < ROUNDS; n++) {
        *out = 0x7777;
        uint16_t status =
            hv_status(hypercall(HVCALL_MAP_VP_STATE_PAGE, (uint64_t)in, (uint64_t)out));
        if (status == HV_STATUS_SUCCESS) {
            mapped++;
            strange += *out != page_of(ram) || ram[0x100] != 0;
            struct hv_input_unmap_vp_state_page undo = {.partition_id = HV_PARTITION_ID_SELF,
                                                        .type = HV_VP_STATE_PAGE_INTERCEPT_MESSAGE};
            uint64_t words[2];
            memcpy(words, &undo, sizeof(words));
            strange += hv_call_fast(HVCALL_UNMAP_VP_STATE_PAGE, words[0], words[1]) != 0;
        } else {
            refused++;
            strange += status != HV_STATUS_INVALID_PARAMETER || *out != 0x7777;
        }
        strange += ram[0x100] != 0x3C;
    }
    end(&f);
    tap_equal(strange, 0,
              "MapVpStatePage whose location changes during the call: mapped at the "
              "good one (%lu) or refused (%lu), nothing else",
              mapped, refused);
    page_free(ram);
}

/* A register value changes between a good and a refused one. */
static void register_value(struct child *c)
{
    uint8_t *in = hv_input_page();
    struct hv_input_vp_registers *header = (void *)in;
    struct hv_register_assignment *list = (void *)(in + sizeof(*header));
    struct flipper f = {.place = &list->value.low, .values = {0x1234, BAD_ADDRESS}};
    uint64_t taken = 0, refused = 0, strange = 0;
    child_put(c, 0, HV_REGISTER_RIP, 0x4444);
    *header = (struct hv_input_vp_registers){.partition_id = c->id};
    *list = (struct hv_register_assignment){.name = HV_REGISTER_RIP};
    begin(&f);
    for (unsigned n = 0; n < ROUNDS; n++) {
        uint16_t status =
            hv_status(hypercall(hv_rep_control(HVCALL_SET_VP_REGISTERS, 1, 0), (uint64_t)in, 0));
        uint64_t rip = c->vps[0].registers->rip;
        if (status == HV_STATUS_SUCCESS)
            taken++;
        else
            refused++;
        strange += (status == HV_STATUS_SUCCESS && rip != 0x1234) || rip == BAD_ADDRESS ||
                   (status != HV_STATUS_SUCCESS && status != HV_STATUS_INVALID_REGISTER_VALUE);
    }
    end(&f);
    tap_equal(strange, 0,
              "SetVpRegisters whose value changes during the call: the good one is "
              "taken (%lu) or it is refused (%lu)",
              taken, refused);
}

/*
 * A dirty register page whose rip changes while the VP is resumed: it stops at
 * one of the two good places or its values are refused.
 */
static void page_during_resume(struct child *c, uint64_t good, uint64_t other, const char *what)
{
    static const uint8_t code[] = {0xE6, PORT_FIRST, 0xE6, PORT_FIRST + 1, 0xE6, PORT_FIRST + 2};
    struct hv_register_page *page = c->vps[0].registers;
    struct flipper f = {.place = &page->rip, .values = {good, other}};
    uint64_t stops[3] = {0}, refused = 0, strange = 0;
    child_load(c, CHILD_CODE, code, code + sizeof(code));
    child_enter_long(c, 0, CHILD_CODE);
    begin(&f);
    for (unsigned n = 0; n < ROUNDS; n++) {
        ((volatile struct hv_register_page *)page)->dirty = HV_DIRTY_RIP;
        uint32_t type = child_run(c, 0);
        const struct hv_message *m = c->vps[0].message;
        unsigned port = m->payload.io.port - PORT_FIRST;
        if (type == HV_MESSAGE_INVALID_VP_REGISTER_VALUE) {
            refused++;
        } else if (type == HV_MESSAGE_IO_PORT && port < 3) {
            stops[port]++;
            strange += m->payload.intercept.rip != CHILD_CODE + 2 * port;
        } else {
            strange++;
        }
    }
    end(&f);
    strange += other == BAD_ADDRESS ? stops[2] : refused;
    tap_equal(strange, 0,
              "a register page that %s during the resume: stopped at %lu, %lu, %lu "
              "times at the three places, refused %lu times, nothing else",
              what, stops[0], stops[1], stops[2], refused);
}

void test_races(void)
{
    struct child c;
    if (cpu_count < 2) {
        tap_skip("changes from another processor: one processor here");
        return;
    }
    state_page_location();
    if (hypervisor_role() == ROLE_IS_GUEST) {
        tap_skip("changes to a child's registers: role guest");
        return;
    }
    child_open(&c, 1, CHILD_MAP_ALL);
    register_value(&c);
    page_during_resume(&c, CHILD_CODE + 2, CHILD_CODE + 4, "changes between two good places");
    page_during_resume(&c, CHILD_CODE + 2, BAD_ADDRESS, "turns bad");
    tap_ok(child_close(&c), "the child is gone, every page zeroed");
}
