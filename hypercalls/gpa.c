/* SPDX-License-Identifier: MIT */
/*
 * A child's memory: MapGpaPages (0x4B), UnmapGpaPages (0x4C),
 * GetGpaPagesAccessStates (0xC9). A child's map holds pages of its parent's RAM;
 * struct frame counts the entries, at any depth.
 *
 * Decisions: a source page must be present RAM in the caller's map, not under
 * an overlay, with at least the rights that it is mapped with. W or X without R,
 * no rights at all, NO_ACCESS with rights, another flag: INVALID_PARAMETER.
 * NO_ACCESS ignores the source list. LARGE_PAGE (for 0x4C also flag 2, as
 * Linux sends it): each element is 2 MiB, aligned, with one source GPN.
 * An entry that the child has deposited further on can be neither replaced nor
 * unmapped: INVALID_PARAMETER. What a child loses, its own children lose as
 * well. Unmapping what is not mapped is SUCCESS; a state page that lies in the
 * range goes. 0xC9: flags 1 (clear accessed) and 4 (clear dirty); without
 * accessed/dirty bits PROCESSOR_FEATURE_NOT_SUPPORTED; nothing mapped reads 0. A large page
 * of which one is cleared is split: INSUFFICIENT_MEMORY if the pool has no page for that.
 */
#include "hypercalls/table.h"

#include "hv/model/statepage.h"
#include "mm/tlb.h"

#define MAP_RIGHTS                                                                                 \
    ((uint32_t)HV_MAP_READABLE | HV_MAP_WRITABLE | HV_MAP_KERNEL_EXECUTE | HV_MAP_USER_EXECUTE)
#define MAP_KNOWN (MAP_RIGHTS | HV_MAP_NO_ACCESS | HV_MAP_NOT_CACHED | HV_MAP_LARGE_PAGE)

#define UNMAP_LARGE_PAGE 2u

/* One call, and what it does to each element. */
struct job {
    const struct call *call;
    struct space *space; /* the target's */
    uint64_t pages;      /* 4 KiB pages in an element */
    uint8_t prot;        /* 0: no access */
    bool not_cached;
    unsigned clear; /* 0xC9: accessed (1), dirty (2) */
    bool narrowed;  /* the target's map needs a shootdown */
};

/* How many of the `count` pages from gpn on the entry of gpn spans. */
static uint64_t spanned(const struct mapping *m, gpn_t gpn, uint64_t count)
{
    return min_u64(mapping_pages(m) - (gpn & (mapping_pages(m) - 1)), count);
}

/* The entry is one that the partition deposited: its frame is in a pool. */
static bool is_deposited(const struct mapping *m)
{
    return m->stashed && m->spn != SPN_NONE;
}

/* `entries` more (or fewer) entries for each of `count` frames from spn on. */
static void refer(spn_t spn, uint64_t count, int entries)
{
    for (uint64_t i = 0; i < count; i++)
        frame_get(spn + i)->references += (uint32_t)entries;
}

struct revocation {
    spn_t spn;
    uint64_t count;
    bool changed;
};

/*
 * Takes out of a map what a leaf has of the frames; of a large one all, if there is no page to
 * split it with.
 */
static bool revoke_visit(struct space *space, gpn_t gpn, const struct mapping *m, void *context)
{
    struct revocation *r = context;
    spn_t start = max_u64(m->spn, r->spn);
    spn_t end = min_u64(m->spn + mapping_pages(m), r->spn + r->count);
    if (!m->present || start >= end || frame_type_of(m->spn) != FRAME_RAM)
        return true;
    if (slpt_unmap(space, gpn + (start - m->spn), end - start) < end - start) {
        start = m->spn;
        end = m->spn + mapping_pages(m);
        slpt_unmap(space, gpn, end - start); /* whole leaves: needs no memory */
    }
    refer(start, end - start, -1);
    r->changed = true;
    return true;
}

static void revoke_from(struct partition *p, spn_t spn, uint64_t count)
{
    struct revocation r = {.spn = spn, .count = count};
    for (struct overlay *o = p->space.overlays; o; o = o->next) {
        if (!o->under.present || o->under.spn < spn || o->under.spn >= spn + count)
            continue;
        refer(o->under.spn, 1, -1);
        o->under = (struct mapping){0};
    }
    slpt_for_each(&p->space, revoke_visit, &r);
    if (r.changed)
        tlb_shootdown(&p->space);
}

/*
 * The target has lost `count` frames from spn on: so have its descendants, if
 * the counts say that there can be entries deeper than the target's ancestors.
 */
static void lose(struct job *job, spn_t spn, uint64_t count)
{
    struct partition *target = job->call->target;
    bool deeper = false;
    refer(spn, count, -1);
    job->narrowed = true;
    for (uint64_t i = 0; i < count && !deeper; i++)
        deeper = frame_get(spn + i)->references >= target->depth;
    if (!deeper)
        return;
    for (struct partition *p = partition_next_below(target, target); p;
         p = partition_next_below(target, p))
        if (p->space.root != SPN_NONE)
            revoke_from(p, spn, count);
}

/* What lies at an element's place goes, in the books; the caller replaces the entries. */
static void account_for_old(struct job *job, gpn_t gpn)
{
    for (uint64_t i = 0, count; i < job->pages; i += count) {
        struct mapping m = overlay_lookup_under(job->space, gpn + i);
        count = spanned(&m, gpn + i, job->pages - i);
        if (m.present)
            lose(job, m.spn, count);
    }
}

static bool any_deposited(const struct job *job, gpn_t gpn)
{
    for (uint64_t i = 0, count; i < job->pages; i += count) {
        struct mapping m = overlay_lookup_under(job->space, gpn + i);
        if (is_deposited(&m))
            return true;
        count = spanned(&m, gpn + i, job->pages - i);
    }
    return false;
}

static bool any_overlay(const struct job *job, gpn_t gpn)
{
    const struct overlay *o = job->space->overlays;
    while (o && o->gpn - gpn >= job->pages)
        o = o->next;
    return o != NULL;
}

/*
 * Whether all pages of an element are the caller's to map. first: the entry of the first of
 * them; contiguous: their frames are.
 */
static bool source_is_good(const struct job *job, gpn_t source, struct mapping *first,
                           bool *contiguous)
{
    for (uint64_t i = 0, count; i < job->pages; i += count) {
        struct mapping m = slpt_lookup(&job->call->caller->space, source + i);
        if (!m.present || (job->prot & ~m.prot))
            return false; /* an overlay's frame is not FRAME_RAM */
        count = spanned(&m, source + i, job->pages - i);
        for (uint64_t j = 0; j < count; j++)
            if (frame_type_of(m.spn + j) != FRAME_RAM)
                return false;
        if (i == 0)
            *first = m;
        *contiguous &= m.spn == first->spn + i;
    }
    return true;
}

static uint8_t type_for(const struct job *job, const struct mapping *source)
{
    return job->not_cached ? MEMORY_UC : source->type;
}

/* Page by page, under overlays; the table pages are there. */
static void map_small(const struct job *job, gpn_t gpn, gpn_t source)
{
    for (uint64_t i = 0; i < job->pages; i++) {
        struct mapping m = {.stashed = true}; /* no access */
        if (job->prot) {
            m = slpt_lookup(&job->call->caller->space, source + i);
            m = (struct mapping){
                .present = true, .prot = job->prot, .type = type_for(job, &m), .spn = m.spn};
            refer(m.spn, 1, 1);
        }
        overlay_set_under(job->space, gpn + i, &m);
    }
}

static uint32_t map_element(struct job *job, gpn_t gpn, gpn_t source)
{
    struct mapping from = {0};
    bool contiguous = true;
    if (job->prot &&
        (source & (job->pages - 1) || !source_is_good(job, source, &from, &contiguous)))
        return HV_STATUS_INVALID_PARAMETER;
    if (any_deposited(job, gpn))
        return HV_STATUS_INVALID_PARAMETER;
    bool large = job->pages == PAGES_2M && job->prot && contiguous &&
                 !(from.spn & (PAGES_2M - 1)) && !any_overlay(job, gpn);
    if (!slpt_prepare(job->space, gpn, job->pages, large ? 1 : 0))
        return HV_STATUS_INSUFFICIENT_MEMORY;
    account_for_old(job, gpn);
    if (large) {
        slpt_map(job->space, gpn, from.spn, job->pages, job->prot, type_for(job, &from), 1);
        refer(from.spn, job->pages, 1);
    } else {
        map_small(job, gpn, source);
    }
    return HV_STATUS_SUCCESS;
}

static bool decode_map_flags(struct job *job, uint32_t flags)
{
    uint32_t rights = flags & MAP_RIGHTS;
    if (flags & ~MAP_KNOWN)
        return false;
    if ((flags & HV_MAP_NO_ACCESS) ? rights != 0 : !(rights & HV_MAP_READABLE))
        return false;
    job->prot =
        (uint8_t)((rights & HV_MAP_READABLE ? MAP_READ : 0) |
                  (rights & HV_MAP_WRITABLE ? MAP_WRITE : 0) |
                  (rights & (HV_MAP_KERNEL_EXECUTE | HV_MAP_USER_EXECUTE) ? MAP_EXECUTE : 0));
    job->not_cached = (flags & HV_MAP_NOT_CACHED) != 0;
    job->pages = flags & HV_MAP_LARGE_PAGE ? PAGES_2M : 1;
    return true;
}

/*
 * The elements of the batch, one by one, and the shootdown that they are worth. The whole range
 * of the call must be in the space.
 */
static uint32_t each_element(struct call *call, struct job *job, gpn_t base,
                             uint32_t (*act)(struct job *job, gpn_t gpn, gpn_t source))
{
    job->call = call;
    job->space = &call->target->space;
    uint64_t limit = 1UL << (job->space->gpa_bits - PAGE_SHIFT);
    if (base >= limit || call->count * job->pages > limit - base || base & (job->pages - 1))
        return HV_STATUS_INVALID_PARAMETER;
    base += call->position * job->pages;
    uint32_t status = HV_STATUS_SUCCESS;
    while (call->done < call->batch) {
        status = act(job, base + call->done * job->pages, call->elements[call->done]);
        if (status != HV_STATUS_SUCCESS)
            break;
        call->done++;
        if (job->pages > 1 && call_expired(call))
            break;
    }
    if (job->narrowed)
        tlb_shootdown(job->space);
    return status;
}

uint32_t call_map_gpa_pages(struct call *call)
{
    const struct hv_input_map_gpa *in = (const void *)call->input;
    struct job job = {0};
    if (in->zero || !decode_map_flags(&job, in->flags))
        return HV_STATUS_INVALID_PARAMETER;
    return each_element(call, &job, in->base_gpn, map_element);
}

/* The state pages that show in the element, whoever's they are. */
static void unmap_state_pages(const struct job *job, gpn_t gpn)
{
    for (struct overlay *o = job->space->overlays, *next; o; o = next) {
        next = o->next; /* a page shows in a map once: only o leaves the list */
        if (o->kind == OVERLAY_STATE_PAGE && o->gpn - gpn < job->pages)
            state_page_unmap(o->owner, (enum state_page_type)o->index);
    }
}

static uint32_t unmap_element(struct job *job, gpn_t gpn, gpn_t source)
{
    if (any_deposited(job, gpn))
        return HV_STATUS_INVALID_PARAMETER;
    unmap_state_pages(job, gpn);
    for (uint64_t i = 0, count; i < job->pages; i += count) {
        struct mapping m = overlay_lookup_under(job->space, gpn + i);
        struct overlay *o = overlay_at(job->space, gpn + i);
        count = spanned(&m, gpn + i, job->pages - i);
        if (o)
            o->under = (struct mapping){0};
        else if (slpt_unmap(job->space, gpn + i, count) < count)
            return HV_STATUS_INSUFFICIENT_MEMORY;
        if (m.present)
            lose(job, m.spn, count);
    }
    return HV_STATUS_SUCCESS;
}

uint32_t call_unmap_gpa_pages(struct call *call)
{
    const struct hv_input_unmap_gpa *in = (const void *)call->input;
    struct job job = {.pages = in->flags ? PAGES_2M : 1};
    if (in->zero || (in->flags & ~(HV_MAP_LARGE_PAGE | UNMAP_LARGE_PAGE)))
        return HV_STATUS_INVALID_PARAMETER;
    return each_element(call, &job, in->base_gpn, unmap_element);
}

static uint32_t get_access_state(struct job *job, gpn_t gpn, gpn_t source)
{
    uint8_t *states = (uint8_t *)job->call->output;
    /* What is cleared of one page must stay with the others of a large one: they part. */
    if ((slpt_test_and_clear_ad(job->space, gpn, 0) & job->clear) &&
        !slpt_prepare(job->space, gpn, 1, 0))
        return HV_STATUS_INSUFFICIENT_MEMORY;
    states[job->call->done] = (uint8_t)slpt_test_and_clear_ad(job->space, gpn, job->clear);
    return HV_STATUS_SUCCESS;
}

uint32_t call_get_gpa_pages_access_states(struct call *call)
{
    const struct hv_input_access_states *in = (const void *)call->input;
    const uint64_t known = HV_ACCESS_STATES_CLEAR_ACCESSED | HV_ACCESS_STATES_CLEAR_DIRTY;
    if (!backend_features.accessed_dirty)
        return HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED;
    if (in->flags & ~known)
        return HV_STATUS_INVALID_PARAMETER;
    /* slpt_test_and_clear_ad numbers the bits like the output. */
    unsigned clear = (in->flags & HV_ACCESS_STATES_CLEAR_ACCESSED ? HV_ACCESS_STATE_ACCESSED : 0) |
                     (in->flags & HV_ACCESS_STATES_CLEAR_DIRTY ? HV_ACCESS_STATE_DIRTY : 0);
    /* The processor sets them again only on a new walk. */
    struct job job = {.pages = 1, .clear = clear, .narrowed = clear != 0};
    return each_element(call, &job, in->base_gpn, get_access_state);
}

/* How far a walk that takes a space apart got. */
struct release {
    const struct call *call;
    uint32_t leaves;
};

#define RELEASE_AT_LEAST 1024 /* leaves in one go, whatever the time */

static bool release_visit(struct space *space, gpn_t gpn, const struct mapping *m, void *context)
{
    struct release *r = context;
    if (r->leaves++ >= RELEASE_AT_LEAST && call_expired(r->call))
        return false;
    if (m->present || is_deposited(m))
        refer(m->spn, mapping_pages(m), -1);
    slpt_unmap(space, gpn, mapping_pages(m)); /* a whole leaf: needs no memory */
    return true;
}

bool gpa_release_space(struct partition *p, const struct call *call)
{
    struct release r = {.call = call};
    return slpt_for_each(&p->space, release_visit, &r);
}
