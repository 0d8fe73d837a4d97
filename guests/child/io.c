/* SPDX-License-Identifier: MIT */
/* I/O port intercepts in every mode. */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

/* What an I/O message must say besides its header. */
struct expected_io {
    uint16_t port;
    uint8_t info; /* size 2:0, string 3, rep 4 */
    uint64_t rax;
};

static void match_io(struct child *c, const uint8_t *code, const struct expected_io *expected)
{
    const struct hv_io_message *io = &c->vps[0].message->payload.io;
    const struct hv_register_page *page = c->vps[0].registers;
    match("port", io->port, expected->port);
    match("size and string bits", io->info, expected->info);
    match("RAX", io->rax, expected->rax);
    match("zero", io->zero, 0);
    match("DS", memcmp(&io->ds, &page->segment[SEG_DS], sizeof(io->ds)), 0);
    match("ES", memcmp(&io->es, &page->segment[SEG_ES], sizeof(io->es)), 0);
    match("RCX", io->rcx, page->gpr[RCX]);
    match("RSI", io->rsi, page->gpr[RSI]);
    match("RDI", io->rdi, page->gpr[RDI]);
    match_zero_behind(io->instruction_bytes, io->instruction_byte_count);
    if (io->instruction_byte_count != 0)
        match("instruction bytes", memcmp(io->instruction_bytes, code, 2), 0);
    else if (expected->info & 8)
        match("instruction bytes of a string instruction", 0, 1);
}

static void expect_io(struct child *c, const char *when, struct expected_header header,
                      struct expected_io io)
{
    header.type = HV_MESSAGE_IO_PORT;
    header.payload_size = 128;
    matches = true;
    spoil_message(c, 0, 128);
    match("stop", child_run(c, 0), HV_MESSAGE_IO_PORT);
    match_header(c, 0, &header);
    uint64_t at = c->vps[0].message->payload.intercept.cs.base + header.rip;
    match_io(c, c->memory + (at & (MIB(2) - 1)), &io);
    tap_ok(matches, "%s: message 0x80010000, all fields", when);
}

/* Gives the child the result of its IN and lets it go on behind the instruction. */
static void answer_in(struct child *c, uint64_t rax, unsigned length)
{
    c->vps[0].registers->gpr[RAX] = rax;
    c->vps[0].registers->dirty |= HV_DIRTY_GENERAL;
    step_over(c, 0, length);
}

static void real(struct child *c)
{
    START(c, 0, START_REAL, real_io);
    expect_io(
        c, "real mode, OUT 0x80, AL",
        (struct expected_header){.access = 1, .length = 2, .execution_state = STATE_REAL, .rip = 3},
        (struct expected_io){.port = 0x80, .info = 1, .rax = 0x1234});
    step_over(c, 0, 2);
    expect_io(
        c, "real mode, IN AX, DX",
        (struct expected_header){.access = 0, .length = 1, .execution_state = STATE_REAL, .rip = 8},
        (struct expected_io){.port = 0x1F0, .info = 2, .rax = 0x1234});
    answer_in(c, 0xBEEF, 1);
    stops_with(c, 0, HV_MESSAGE_HALT, "real mode goes on after IN");
    tap_equal(*(uint16_t *)(c->memory + CHILD_CODE + 0x800), 0xBEEF,
              "the real-mode child stored what its parent put into RAX");
}

static void protected(struct child *c)
{
    START(c, 0, START_PROTECTED, protected_io);
    expect_io(
        c, "protected mode, OUT DX, EAX",
        (struct expected_header){
            .access = 1, .length = 1, .execution_state = STATE_PROTECTED, .rip = CHILD_CODE + 10},
        (struct expected_io){.port = 0x3F8, .info = 4, .rax = 0x89ABCDEF});
    step_over(c, 0, 1);
    expect_io(
        c, "protected mode, IN AL, 0x60",
        (struct expected_header){
            .access = 0, .length = 2, .execution_state = STATE_PROTECTED, .rip = CHILD_CODE + 11},
        (struct expected_io){.port = 0x60, .info = 1, .rax = 0x89ABCDEF});
    answer_in(c, 0x5A, 2);
    stops_with(c, 0, HV_MESSAGE_HALT, "protected mode goes on after IN");
    tap_equal(c->memory[CHILD_DATA], 0x5A, "the 32-bit child stored what its parent put into AL");
}

static void longer(struct child *c)
{
    START(c, 0, START_LONG, long_io);
    expect_io(c, "long mode, OUT DX, EAX",
              (struct expected_header){
                  .access = 1, .length = 1, .execution_state = STATE_LONG, .rip = CHILD_CODE + 15},
              (struct expected_io){.port = 0xCF8, .info = 4, .rax = 0x1122334455667788});
    step_over(c, 0, 1);
    expect_io(c, "long mode, IN AX, 0x61",
              (struct expected_header){
                  .access = 0, .length = 3, .execution_state = STATE_LONG, .rip = CHILD_CODE + 16},
              (struct expected_io){.port = 0x61, .info = 2, .rax = 0x1122334455667788});
    answer_in(c, 0x112233445566ABCD, 3);
    stops_with(c, 0, HV_MESSAGE_HALT, "long mode goes on after IN");
    tap_equal(child_data(c)[0], 0x112233445566ABCD, "the 64-bit child stored what its parent gave");
}

static void strings(struct child *c)
{
    START(c, 0, START_LONG, string_io);
    expect_io(
        c, "REP OUTSW",
        (struct expected_header){
            .access = 1, .length = 0xFF, .execution_state = STATE_LONG, .rip = CHILD_CODE + 16},
        (struct expected_io){.port = 0x70, .info = 2 | 8 | 16, .rax = 0});
    tap_ok(c->vps[0].registers->gpr[RCX] == 5 && c->vps[0].registers->gpr[RSI] == CHILD_DATA,
           "a string intercept comes before anything moved: RCX 5, RSI at the first word");
    c->vps[0].registers->gpr[RCX] = 0;
    c->vps[0].registers->dirty |= HV_DIRTY_GENERAL;
    step_over(c, 0, 3);
    expect_io(
        c, "INSB",
        (struct expected_header){
            .access = 0, .length = 0xFF, .execution_state = STATE_LONG, .rip = CHILD_CODE + 29},
        (struct expected_io){.port = 0x71, .info = 1 | 8, .rax = 0});
    step_over(c, 0, 1);
    stops_with(c, 0, HV_MESSAGE_HALT, "after INSB");
}

/* Running again without moving rip meets the same instruction again. */
static void again(struct child *c)
{
    START(c, 0, START_LONG, stops);
    stops_with(c, 0, HV_MESSAGE_IO_PORT, "OUT");
    stops_with(c, 0, HV_MESSAGE_IO_PORT, "OUT once more, rip untouched");
    tap_equal(c->vps[0].registers->rip, CHILD_CODE, "an intercept leaves rip on the instruction");
}

void test_io(void)
{
    struct child c;
    child_open(&c, 1, CHILD_MAP_ALL);
    real(&c);
    protected(&c);
    longer(&c);
    strings(&c);
    again(&c);
    tap_ok(child_close(&c), "the I/O child is gone and every page came back zeroed");
}
