/* SPDX-License-Identifier: MIT */
/* The end of a run on the fake machine: everything goes, and all of it comes back. */
#include <string.h>

#include "hv/base/panic.h"
#include "hv/synthetic/msrs.h"
#include "hypercalls/fake/machine.h"

static void fast_call(uint64_t code, uint64_t input0, uint64_t input1, uint32_t expected)
{
    uint64_t result = fake_call(code | HV_CONTROL_FAST, input0, input1);
    if ((result & 0xFFFF) != expected)
        panic("call %lx at the end: %lx instead of %x", code, result, expected);
}

static void end_child(struct partition *child)
{
    uint64_t id = child->id;
    if (child->state == PARTITION_INITIALIZED || child->state == PARTITION_FINALIZING)
        fast_call(HVCALL_FINALIZE_PARTITION, id, 0, HV_STATUS_SUCCESS);
    fast_call(HVCALL_DELETE_PARTITION, id, 0, HV_STATUS_SUCCESS);
}

static void end_own_pages(void)
{
    for (uint64_t i = 0; i < FAKE_CPUS; i++)
        for (uint64_t type = 0; type < STATE_PAGE_COUNT; type++)
            fast_call(HVCALL_UNMAP_VP_STATE_PAGE, HV_PARTITION_ID_SELF, i | type << 32,
                      first_partition->vps[i]->pages[type].spn == SPN_NONE ? HV_STATUS_NOT_FOUND
                                                                           : HV_STATUS_SUCCESS);
    synthetic_pages_remove(first_partition);
}

/* The first page of guest memory from gpn on that is still the guest's. */
static gpn_t usable_page(gpn_t gpn)
{
    while (fake_page(gpn) == NULL) {
        must(gpn < FAKE_FRAMES);
        gpn++;
    }
    return gpn;
}

/* Takes back what the first partition deposited for itself; the list is cut by NO_RESOURCES. */
static void withdraw_own(void)
{
    enum { COUNT = 500 };
    gpn_t input_page = usable_page(0), output_page = usable_page(input_page + 1);
    const uint64_t input[2] = {HV_PARTITION_ID_SELF, 0};
    memcpy(fake_page(input_page), input, sizeof(input));
    uint64_t result;
    do {
        result = fake_call(HVCALL_WITHDRAW_MEMORY | (uint64_t)COUNT << HV_CONTROL_REP_COUNT_SHIFT,
                           input_page << PAGE_SHIFT, output_page << PAGE_SHIFT);
    } while ((result & 0xFFFF) == HV_STATUS_SUCCESS);
    must((result & 0xFFFF) == HV_STATUS_NO_RESOURCES);
}

/*
 * The first partition has all of its memory again, and its pool what it had at
 * boot. But pages that it deposited for itself and that became tables of its map
 * stay there: tables remain with their map.
 */
static void check_all_is_back(void)
{
    uint64_t kept = 0;
    for (spn_t spn = 0; spn < FAKE_FRAMES; spn++) {
        if (spn >= FAKE_HV && spn < FAKE_RAM_HIGH)
            continue;
        struct mapping m = slpt_lookup(&first_partition->space, spn);
        must(m.spn == spn && m.prot == MAP_ALL && m.type == MEMORY_WB);
        if (m.present) {
            must(frame_table[spn].type == FRAME_RAM && frame_table[spn].references == 0);
            continue;
        }
        must(m.stashed && frame_table[spn].self_deposited && frame_table[spn].owner == OWNER_FIRST);
        must(frame_table[spn].type == FRAME_TABLE);
        kept++;
    }
    const struct pool *pool = &first_partition->pool;
    must(pool->free + pool->used == FAKE_RAM_HIGH - FAKE_POOL + kept);
}

/* Ends the dispatches on a processor and lets its own VP go on. */
static void bring_down(unsigned cpu)
{
    struct vp *vp = first_partition->vps[cpu];
    vp->explicit_suspend = false;
    /* A page that is refused suspends the VP once more, and is published anew. */
    while (!fake_on_cpu(cpu))
        vp->explicit_suspend = false;
    while (fake_vp()->dispatcher)
        fake_exit(FAKE_EXIT_INTERRUPT, 0);
    must(fake_vp() == vp);
    vp->state.event.valid = false;
    vp->triple_fault = false;
}

void fake_end(void)
{
    fake_mode = (struct fake_mode){.protected_mode = true, .code64 = true};
    pool_fail_after = -1;
    first_partition->guest_os_id = 1;
    first_partition->privileges = PRIVILEGES_ROOT;
    for (unsigned i = 0; i < FAKE_CPUS; i++)
        bring_down(i);
    must(fake_on_cpu(0));
    while (first_partition->children)
        end_child(first_partition->children);
    end_own_pages();
    withdraw_own();
    check_all_is_back();
}
