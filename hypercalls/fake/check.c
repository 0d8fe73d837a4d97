/* SPDX-License-Identifier: MIT */
/* What must hold between two hypercalls: fake_check of hypercalls/fake/machine.h. */
#include <string.h>

#include "hv/base/lock.h"
#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hypercalls/fake/machine.h"
#include "mm/slpt.h"

#define SLOTS (OWNER_FIRST + MAX_PARTITIONS)

/* What the frame table says, and what was found by looking. */
static uint32_t typed[SLOTS][FRAME_OTHER + 1];
static uint32_t references[FAKE_FRAMES];

static struct frame *frame_of(spn_t spn, enum frame_type type, const struct partition *owner)
{
    struct frame *frame = frame_get(spn);
    must(frame != NULL);
    must(frame->type == type);
    must(frame->owner == owner->slot);
    return frame;
}

static void count_frames(void)
{
    memset(typed, 0, sizeof(typed));
    memset(references, 0, sizeof(references));
    for (spn_t spn = 0; spn < FAKE_FRAMES; spn++) {
        const struct frame *frame = frame_get(spn);
        must(frame->owner < SLOTS && frame->type <= FRAME_OTHER && frame->type != FRAME_DEVICE);
        must((frame->type == FRAME_HV) == (spn >= FAKE_HV && spn < FAKE_POOL));
        must(frame->type != FRAME_HV || frame->owner == OWNER_HYPERVISOR);
        must(frame->type != FRAME_RAM || frame->owner == OWNER_FIRST);
        must(frame->type == FRAME_HV || frame->owner >= OWNER_FIRST);
        typed[frame->owner][frame->type]++;
    }
}

static void check_pool(const struct partition *p)
{
    const struct pool *pool = &p->pool;
    must(pool->owner == p->slot);
    uint64_t count = 0;
    for (spn_t spn = pool->head; spn != SPN_NONE; count++) {
        must(count <= pool->free);
        spn = frame_of(spn, FRAME_FREE, p)->next;
    }
    must(count == pool->free);
    must(typed[p->slot][FRAME_FREE] == pool->free);
    uint64_t used = 0;
    for (unsigned type = FRAME_PARTITION; type <= FRAME_OTHER; type++)
        used += typed[p->slot][type];
    must(used == pool->used);
}

/* A page of RAM, or a deposited one, that an entry leads to. */
static void check_entry(const struct partition *p, gpn_t gpn, spn_t spn, bool present)
{
    if (spn >= FAKE_FRAMES) {
        must(p->parent == NULL && present && spn == gpn && spn < FAKE_DEVICE_END);
        return;
    }
    enum frame_type type = frame_type_of(spn);
    if (present)
        must(type == FRAME_RAM);
    else
        must(type == FRAME_FREE || type >= FRAME_PARTITION);
    if (p->parent == NULL)
        must(spn == gpn);
    else
        references[spn]++;
}

static const struct overlay *find_overlay(const struct partition *p, gpn_t gpn)
{
    const struct overlay *o = p->space.overlays;
    while (o != NULL && o->gpn != gpn)
        o = o->next;
    return o;
}

static void check_leaf(const struct partition *p, gpn_t gpn, uint64_t entry, unsigned level)
{
    bool present = (entry & p->space.format->present_mask) != 0;
    spn_t spn = (entry & SLPT_ADDRESS) >> PAGE_SHIFT;
    const struct overlay *o = level == 0 ? find_overlay(p, gpn) : NULL;
    if (o != NULL) {
        must(present && spn == o->spn && p->space.format->prot(entry) == o->prot);
        return;
    }
    if (!present && spn == SPN_NONE && p->parent != NULL)
        return; /* mapped without access */
    for (uint64_t i = 0; i < 1UL << (9 * level); i++)
        check_entry(p, gpn + i, spn + i, present);
}

/* Checks all that lies in the map from gpn on. Returns the number of tables. */
static uint32_t check_table(const struct partition *p, spn_t table, unsigned level, gpn_t gpn)
{
    frame_of(table, FRAME_TABLE, p);
    uint32_t count = 1;
    const uint64_t *entries = page_ptr(table);
    for (unsigned i = 0; i < 512; i++, gpn += 1UL << (9 * level)) {
        uint64_t entry = entries[i];
        if (level != 0 && (entry & p->space.format->present_mask) && !(entry & SLPT_LEAF))
            count += check_table(p, (entry & SLPT_ADDRESS) >> PAGE_SHIFT, level - 1, gpn);
        else if (entry != 0)
            check_leaf(p, gpn, entry, level);
    }
    return count;
}

static void check_space(struct partition *p)
{
    struct space *space = &p->space;
    if (space->root == SPN_NONE) {
        must(typed[p->slot][FRAME_TABLE] == 0 && space->overlays == NULL);
        return;
    }
    must(check_table(p, space->root, 3, 0) == typed[p->slot][FRAME_TABLE]);
    for (const struct overlay *o = space->overlays; o; o = o->next) {
        must(o->space == space && frame_type_of(o->spn) == FRAME_OVERLAY);
        must(slpt_lookup(space, o->gpn).spn == o->spn);
        must(find_overlay(p, o->gpn) == o); /* one for each GPN */
        if (o->under.present || (o->under.stashed && o->under.spn != SPN_NONE))
            check_entry(p, o->gpn, o->under.spn, o->under.present);
    }
}

static bool on_stack_of(const struct cpu *cpu, const struct vp *wanted)
{
    for (const struct vp *vp = cpu->current; vp; vp = vp->dispatcher)
        if (vp == wanted)
            return true;
    return false;
}

static void check_vps(const struct partition *p)
{
    uint32_t vps = 0, overlays = 0;
    for (uint32_t i = 0; i < MAX_CPUS; i++) {
        const struct vp *vp = p->vps[i];
        if (vp == NULL)
            continue;
        vps++;
        must(vp->partition == p && vp->index == i && vp->page_lock.held == 0);
        for (unsigned n = 0; n < STATE_PAGE_COUNT; n++)
            if (vp->pages[n].spn != SPN_NONE) {
                frame_of(vp->pages[n].spn, FRAME_OVERLAY, p);
                must(vp->pages[n].places[0].space != NULL);
                overlays++;
            }
        bool running = on_stack_of(cpus[0], vp) || on_stack_of(cpus[1], vp);
        must(vp->running == running);
        if (vp->first)
            continue;
        frame_of(ptr_phys(vp) >> PAGE_SHIFT, FRAME_VP, p);
        frame_of(vp->control_spa >> PAGE_SHIFT, FRAME_VP, p);
        frame_of(vp->xsave_spn, FRAME_VP, p);
    }
    must(vps == p->vp_count);
    must(typed[p->slot][FRAME_VP] == (p->parent ? 3 * vps : 0));
    overlays += (p->hypercall_page_spn != SPN_NONE) + (p->tsc_page_spn != SPN_NONE);
    must(typed[p->slot][FRAME_OVERLAY] == overlays);
    must(typed[p->slot][FRAME_OTHER] == (p->intercepts != NULL));
}

static void check_partition(struct partition *p)
{
    check_pool(p);
    check_space(p);
    check_vps(p);
    must(p->parent == NULL || (p->privileges & ~p->parent->privileges) == 0);
    uint32_t children = 0;
    for (struct partition *child = p->children; child; child = child->sibling) {
        must(child->parent == p && child->depth == p->depth + 1);
        frame_of(child->spn, FRAME_PARTITION, p);
        children++;
        check_partition(child);
    }
    must(typed[p->slot][FRAME_PARTITION] == children);
    memset(typed[p->slot], 0, sizeof(typed[p->slot])); /* accounted for */
}

/* Nothing is left that no partition answers for; the maps hold what the records say. */
static void check_rest(void)
{
    for (unsigned slot = OWNER_FIRST; slot < SLOTS; slot++)
        for (unsigned type = FRAME_FREE; type <= FRAME_OTHER; type++)
            must(typed[slot][type] == 0);
    for (spn_t spn = 0; spn < FAKE_FRAMES; spn++) {
        const struct frame *frame = frame_get(spn);
        if (frame->type == FRAME_RAM)
            must(frame->references == references[spn]);
    }
}

void fake_check(void)
{
    must(hv_lock.held == 0);
    count_frames();
    check_partition(first_partition);
    check_rest();
    for (unsigned i = 0; i < FAKE_CPUS; i++) {
        must(cpus[i]->copying == 0);
        fake_check_tlb(i);
    }
}
