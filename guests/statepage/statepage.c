/* SPDX-License-Identifier: MIT */
/*
 * The demonstration: HvCallMapVpStatePage from the guest's side. A register
 * page appears in guest memory for the caller itself, for its sibling processor
 * and for a child; what it shows stands beside what it should show; writing it
 * moves the sibling and the child; unmapping it brings back the memory below.
 */
#include "guests/lib/child.h"
#include "guests/lib/guest.h"
#include "guests/statepage/show.h"

#define WITNESS       0x57495DE55ul /* what the page under an overlay holds */
#define MOVED_RAX     0xB0B0B0B0B0B0B0B0ul
#define PATIENCE      200000000u
#define CHILD_PORT    0x42
#define STRAIGHT_PORT 0x43
#define DETOUR_PORT   0x44
#define DETOUR_AL     0xD0

extern const char sibling_loop[], sibling_loop_end[], sibling_moved[];
extern uint64_t sibling_rsp;
extern volatile uint64_t sibling_rax;
extern volatile uint32_t sibling_ready;
extern const char child_program[], child_first_out[], child_detour[], child_program_end[];
void sibling_spin(void *pattern);

/* A page of this guest with something in it, for an overlay to cover. */
static uint64_t *make_witness(void)
{
    uint64_t *page = page_alloc();
    for (uint64_t n = 0; n < PAGE_SIZE / 8; n++)
        page[n] = WITNESS + n;
    return page;
}

static bool witness_is_back(const volatile uint64_t *page)
{
    for (uint64_t n = 0; n < PAGE_SIZE / 8; n++) {
        if (page[n] != WITNESS + n)
            return false;
    }
    return true;
}

static void unmap_and_look(const char *whose, uint32_t vp, uint64_t *page)
{
    say("HvCallUnmapVpStatePage: the page goes, the memory below it comes back.");
    uint16_t status = state_page_unmap_call(HV_PARTITION_ID_SELF, vp, HV_VP_STATE_PAGE_REGISTERS);
    tap_status(status, HV_STATUS_SUCCESS, "%s register page is unmapped", whose);
    show_value("first word there", WITNESS, *(volatile uint64_t *)page);
    tap_ok(witness_is_back(page), "all 4096 bytes below %s page are what they were", whose);
    page_free(page);
}

/* ---- my own page */

static void fill_own_pattern(struct hypercall_registers *r)
{
    for (unsigned n = 0; n < ARRAY_SIZE(r->gpr); n++)
        r->gpr[n] = 0x0101010101010101ul * (n + 0x10);
    for (unsigned n = 0; n < sizeof(r->xmm); n++)
        ((uint8_t *)r->xmm)[n] = (uint8_t)(n + 0x80);
}

static void own_page(void)
{
    uint32_t index = (uint32_t)rdmsr(HV_MSR_VP_INDEX);
    uint64_t *page = make_witness();
    struct hv_input_map_vp_state_page *in = hv_input_page();
    uint64_t *out = hv_output_page();
    struct hypercall_registers r = {.entry = (uint64_t)hypercall_page, .rflags = RFLAGS_FIXED};

    print("#\n");
    say("1. My own registers. I ask for my register page at my page 0x%lx, with a pattern in",
        page_of(page));
    say("   every register, and read there what I had at the moment of the call.");
    *in = (struct hv_input_map_vp_state_page){.partition_id = HV_PARTITION_ID_SELF,
                                              .vp_index = index,
                                              .flags = HV_MAP_LOCATION_PROVIDED,
                                              .requested_map_location = page_of(page)};
    fill_own_pattern(&r);
    r.gpr[HV_RCX] = HVCALL_MAP_VP_STATE_PAGE;
    r.gpr[HV_RDX] = (uint64_t)in;
    r.gpr[8] = (uint64_t)out;
    struct hypercall_registers before = r;
    hypercall_raw(&r);
    if (!tap_status(r.gpr[HV_RAX], HV_STATUS_SUCCESS, "VP %u maps its own register page", index))
        return;
    tap_equal(*out, page_of(page), "MapLocation is the page that was asked for");

    const struct hv_register_page *regs = (const void *)page;
    uint64_t expected[16];
    memcpy(expected, before.gpr, sizeof(expected));
    expected[HV_RSP] = regs->gpr[HV_RSP]; /* inside my stack: checked below */
    bool same = show_general(expected, regs->gpr);
    uint64_t here = (uint64_t)&r & ~(CPU_AREA_SIZE - 1);
    same &= (regs->gpr[HV_RSP] & ~(CPU_AREA_SIZE - 1)) == here;
    tap_ok(same, "its 16 general registers are those of the call");
    say("   rip 0x%lx is the opcode in my hypercall page at 0x%lx", regs->rip,
        (uint64_t)hypercall_page);
    tap_ok(regs->rip >> PAGE_SHIFT == page_of(hypercall_page), "its rip is in the hypercall page");
    tap_ok(memcmp(regs->xmm, before.xmm, sizeof(before.xmm)) == 0, "its xmm0..5 are mine");
    same = show_system(regs, read_cr0(), read_cr3(), read_cr4(), rdmsr(MSR_EFER));
    tap_ok(same, "its control registers are mine");
    same = show_segment("cs", regs->segment[1], SELECTOR_CODE64, 0xA09B) &
           show_segment("ss", regs->segment[2], SELECTOR_DATA, 0xC093);
    tap_ok(same, "its segments are mine");
    tap_ok(regs->version == 1 && regs->is_valid == 0,
           "version 1, and not valid: I am running, what it shows is past");
    unmap_and_look("my", index, page);
}

/* ---- the sibling's page */

static uint16_t set_suspend(uint32_t vp, uint64_t value)
{
    return child_set(HV_PARTITION_ID_SELF, vp, HV_REGISTER_EXPLICIT_SUSPEND, value, 0);
}

static bool wait_for(const volatile uint8_t *byte, uint8_t value)
{
    for (uint32_t n = 0; n < PATIENCE && *byte != value; n++)
        cpu_relax();
    return *byte == value;
}

static void read_sibling(const struct hv_register_page *regs, const struct pattern *pattern)
{
    uint64_t expected[16];
    memcpy(expected, pattern->gpr, sizeof(expected));
    expected[HV_RSP] = sibling_rsp;
    tap_ok(show_general(expected, regs->gpr), "its general registers are what it loaded");
    say("   rip 0x%lx is in its loop 0x%lx..0x%lx", regs->rip, (uint64_t)sibling_loop,
        (uint64_t)sibling_loop_end - 1);
    tap_ok(regs->rip >= (uint64_t)sibling_loop && regs->rip < (uint64_t)sibling_loop_end,
           "its rip is in the loop that it spins in");
    tap_ok(memcmp(regs->xmm, pattern->xmm, sizeof(pattern->xmm)) == 0, "its xmm0..5 as well");
}

static void move_sibling(uint32_t vp, struct hv_register_page *regs)
{
    say("   Now I write rip and rax into the page, set their dirty bits and let VP %u go.", vp);
    regs->gpr[HV_RAX] = MOVED_RAX;
    regs->rip = (uint64_t)sibling_moved;
    regs->dirty = HV_DIRTY_RIP | HV_DIRTY_GENERAL;
    full_barrier();
    tap_status(set_suspend(vp, 0), HV_STATUS_SUCCESS, "VP %u runs again", vp);
    for (uint32_t n = 0; n < PATIENCE && sibling_rax != MOVED_RAX; n++)
        cpu_relax();
    show_value("its rax there", MOVED_RAX, sibling_rax);
    if (tap_ok(sibling_rax == MOVED_RAX, "it left its endless loop for where the page sent it"))
        cpu_wait(vp);
    tap_ok(wait_for(&regs->is_valid, 0) && regs->dirty == 0,
           "and the page is not valid any more, dirty bits taken");
}

static void sibling_page(void)
{
    static struct pattern pattern;
    uint32_t vp = 1; /* VP n is processor n */

    print("#\n");
    if (cpu_start_all() < 2) {
        tap_skip("a sibling's page: this machine has one processor");
        return;
    }
    say("2. My sibling, VP 1. It spins in an endless loop with a pattern in its registers; I map");
    say("   its page, suspend it, and read.");
    fill_pattern(&pattern);
    cpu_run(vp, sibling_spin, &pattern);
    while (!sibling_ready)
        cpu_relax();
    uint64_t *page = make_witness();
    gpn_t location = 0;
    uint16_t status = state_page_map(HV_PARTITION_ID_SELF, vp, HV_VP_STATE_PAGE_REGISTERS,
                                     HV_MAP_LOCATION_PROVIDED, page_of(page), &location);
    if (!tap_status(status, HV_STATUS_SUCCESS, "the register page of VP 1 is mapped"))
        return;
    struct hv_register_page *regs = (void *)page;
    tap_equal(regs->is_valid, 0, "it is not valid while VP 1 runs");
    tap_status(set_suspend(vp, 1), HV_STATUS_SUCCESS, "VP 1 is suspended");
    tap_ok(wait_for(&regs->is_valid, 1), "the page becomes valid");
    tap_ok(regs->version == 1 && regs->dirty == 0, "version 1, nothing dirty");
    read_sibling(regs, &pattern);
    move_sibling(vp, regs);
    unmap_and_look("the sibling's", vp, page);
}

/* ---- a child's page */

static void expect_out(struct child *child, uint16_t port, uint8_t al, const char *text)
{
    uint32_t type = child_run(child, 0);
    const struct hv_io_message *io = &child->vps[0].message->payload.io;
    say("   the child stops: %s, port 0x%x, al 0x%x, rip 0x%lx", message_name(type), io->port,
        (uint8_t)io->rax, io->header.rip);
    tap_ok(type == HV_MESSAGE_IO_PORT && io->port == port && (uint8_t)io->rax == al, "%s", text);
}

static void read_child(const struct hv_register_page *regs)
{
    const uint64_t expected[16] = {
        0x1111111111111111,
        0x2222222222222222,
        0x3333333333333333,
        0x4444444444444444,
        regs->gpr[HV_RSP],
        0x5555555555555555,
        0x6666666666666666,
        0x7777777777777777,
        0x8888888888888888,
        0,
        0,
        0,
        0,
        0,
        0,
        0xFFFFFFFF11111111,
    };
    tap_ok(show_general(expected, regs->gpr), "its general registers are what its code loaded");
    uint64_t rip = CHILD_CODE + (uint64_t)(child_first_out - child_program);
    show_value("rip", rip, regs->rip);
    tap_equal(regs->rip, rip, "its rip is the OUT instruction");
    tap_ok(regs->is_valid == 1 && regs->version == 1 && regs->dirty == 0,
           "valid, version 1, nothing dirty");
}

static void child_page(void)
{
    struct child child;
    bool closed;

    print("#\n");
    if (hypervisor_role() == ROLE_IS_GUEST) {
        tap_skip("a child's page: this partition may not create partitions");
        return;
    }
    say("3. A child partition, with memory and one VP in long mode. Its register page shows here");
    say("   and it runs until its first OUT.");
    child_open(&child, 1, CHILD_MAP_ALL);
    struct hv_register_page *regs = child.vps[0].registers;
    say("   partition %lu; its register page is at my page 0x%lx", child.id, page_of(regs));
    child_load(&child, CHILD_CODE, child_program, child_program_end);
    child_enter_long(&child, 0, CHILD_CODE);
    tap_ok(regs->is_valid == 1 && regs->dirty == 0 && regs->rip == CHILD_CODE,
           "after SetVpRegisters and before its first run the page is valid and not dirty");
    expect_out(&child, CHILD_PORT, 0x11, "it stops at OUT 0x42 with al 0x11");
    read_child(regs);

    uint64_t detour = CHILD_CODE + (uint64_t)(child_detour - child_program);
    say("   On its road lies OUT 0x43. I write rip 0x%lx (OUT 0x44) and al 0x%x into the page.",
        detour, DETOUR_AL);
    regs->rip = detour;
    regs->gpr[HV_RAX] = DETOUR_AL;
    regs->dirty = HV_DIRTY_RIP | HV_DIRTY_GENERAL;
    expect_out(&child, DETOUR_PORT, DETOUR_AL, "execution went on where the page said: OUT 0x44");
    regs->rip += 2;
    regs->dirty = HV_DIRTY_RIP;
    uint32_t type = child_run(&child, 0);
    tap_equal(type, HV_MESSAGE_HALT, "past the OUT by the page again: it halts");
    closed = child_close(&child);
    tap_ok(closed, "the child is gone and every page it was given came back zeroed");
}

void guest_main(void)
{
    hypercall_init();
    say("Vellum: the state of a virtual processor, in a page, in a guest's memory.");
    say("This guest is the first partition (%s) and runs on VP %lu.", role_name(hypervisor_role()),
        rdmsr(HV_MSR_VP_INDEX));
    own_page();
    sibling_page();
    child_page();
}
