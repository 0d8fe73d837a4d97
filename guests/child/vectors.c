/* SPDX-License-Identifier: MIT */
/* The vector state of parent and children is separate. */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

void xmm_load(const void *from);
void xmm_store(void *to);
void ymm_load(const void *from);
void ymm_store(void *to);

static void fill(uint8_t *bytes, size_t size, uint8_t seed)
{
    for (size_t n = 0; n < size; n++)
        bytes[n] = (uint8_t)(seed + n * 7);
}

/* Two VPs and their parent, each with its own values, stop in turn. */
static void separate(bool avx)
{
    static uint8_t mine[512], seen[512];
    size_t size = avx ? 512 : 256;
    struct child c;
    child_open(&c, 2, CHILD_MAP_ALL);
    if (avx)
        START(&c, 0, START_LONG, vectors_avx);
    else
        START(&c, 0, START_LONG, vectors);
    for (uint32_t vp = 0; vp < 2; vp++) {
        child_enter_long(&c, vp, CHILD_CODE);
        child_put(&c, vp, HV_REGISTER_RAX + RBX, CHILD_DATA + vp * 0x1000);
        fill(c.memory + CHILD_DATA + vp * 0x1000, size, (uint8_t)(0x10 + 0x51 * vp));
    }
    fill(mine, size, 0xC3);
    (avx ? ymm_load : xmm_load)(mine);
    uint64_t xcr0 = xgetbv0();
    matches = true;
    match("stop of VP 0", child_run(&c, 0), HV_MESSAGE_IO_PORT);
    match("stop of VP 1", child_run(&c, 1), HV_MESSAGE_IO_PORT);
    (avx ? ymm_store : xmm_store)(seen);
    match("the parent's XCR0", xgetbv0(), xcr0);
    match("the parent's registers", memcmp(mine, seen, size), 0);
    for (uint32_t vp = 0; vp < 2; vp++) {
        match("xmm0..5 of the register page",
              memcmp(c.vps[vp].registers->xmm, c.memory + CHILD_DATA + vp * 0x1000, avx ? 16 : 96),
              0);
        memset(c.memory + CHILD_DATA + vp * 0x1000, 0, size);
        step_over(&c, vp, 2);
    }
    match("VP 0 goes on", child_run(&c, 0), HV_MESSAGE_HALT);
    match("VP 1 goes on", child_run(&c, 1), HV_MESSAGE_HALT);
    for (uint32_t vp = 0; vp < 2; vp++) {
        if (avx)
            match("the child's XCR0", *(uint32_t *)(c.memory + CHILD_DATA + vp * 0x1000 + 512), 7);
        fill(seen, size, (uint8_t)(0x10 + 0x51 * vp));
        match("the child's registers", memcmp(c.memory + CHILD_DATA + vp * 0x1000, seen, size), 0);
    }
    tap_ok(matches, "%s of two VPs and of their parent do not mix", avx ? "YMM0..15" : "XMM0..15");
    tap_ok(child_close(&c), "the child of the vectors is gone");
}

void test_vectors(void)
{
    separate(false);
    if ((cpuid(1, 0).ecx & BIT(28)) && (xgetbv0() & 4))
        separate(true);
    else
        tap_skip("YMM registers: no AVX here");
}
