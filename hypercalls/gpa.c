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
 * accessed/dirty bits PROCESSOR_FEATURE_NOT_SUPPORTED; nothing mapped reads 0.
 */
#include "hypercalls/table.h"

#include "hv/model/statepage.h"
#include "mm/tlb.h"

#define MAP_RIGHTS                                                                                 \
    ((uint32_t)HV_MAP_READABLE | HV_MAP_WRITABLE | HV_MAP_KERNEL_EXECUTE | HV_MAP_USER_EXECUTE)
#define MAP_KNOWN (MAP_RIGHTS | HV_MAP_NO_ACCESS | HV_MAP_NOT_CACHED | HV_MAP_LARGE_PAGE)

#define UNMAP_LARGE_PAGE 2u

/* One call's target and how to map. */
struct job {
    struct partition *target;
    struct partition *caller;
    gpn_t base;     /* of the current batch */
    uint64_t pages; /* 4 KiB pages in an element */
    uint8_t prot;   /* 0: no access */
    bool not_cached;
    bool narrowed; /* the target's map needs a shootdown */
};

static uint64_t pages_of(const struct mapping *m)
{
    return 1UL << (9 * m->level);
}

/* The entry is one that the partition deposited: its frame is in a pool. */
static bool is_deposited(const struct mapping *m)
{
    return m->stashed && m->spn != SPN_NONE;
}

struct revocation {
    spn_t spn;
    uint64_t count;
    bool changed;
    gpn_t large; /* a large leaf that holds some of the frames, or GPN_NONE */
    struct mapping large_mapping;
};

static void dereference(spn_t spn, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        frame_get(spn + i)->references--;
}

static bool revoke_visit(struct space *space, gpn_t gpn, const struct mapping *m, void *context)
{
    struct revocation *r = context;
    if (!m->present || m->spn + pages_of(m) <= r->spn || m->spn >= r->spn + r->count)
        return true;
    if (frame_type_of(m->spn) != FRAME_RAM)
        return true;
    if (m->level != 0) {
        r->large = gpn;
        r->large_mapping = *m;
        return false;
    }
    static const struct mapping empty;
    slpt_set(space, gpn, &empty); /* a 4 KiB entry: needs no memory */
    dereference(m->spn, 1);
    r->changed = true;
    return true;
}

/* Takes a large leaf out of a map: only the part that is asked for, if there is a page to split. */
static void revoke_large(struct space *space, struct revocation *r)
{
    const struct mapping *m = &r->large_mapping;
    spn_t start = max_u64(m->spn, r->spn);
    spn_t end = min_u64(m->spn + pages_of(m), r->spn + r->count);
    uint64_t done = slpt_unmap(space, r->large + (start - m->spn), end - start);
    dereference(start, done);
    if (done == 0) {
        slpt_unmap(space, r->large, pages_of(m)); /* a whole leaf: needs no memory */
        dereference(m->spn, pages_of(m));
    }
    r->changed = true;
}

static void revoke_from(struct partition *p, spn_t spn, uint64_t count)
{
    struct revocation r = {.spn = spn, .count = count};
    for (struct overlay *o = p->space.overlays; o; o = o->next) {
        if (!o->under.present || o->under.spn < spn || o->under.spn >= spn + count)
            continue;
        dereference(o->under.spn, 1);
        o->under = (struct mapping){0};
    }
    do {
        r.large = GPN_NONE;
        slpt_for_each(&p->space, revoke_visit, &r);
        if (r.large != GPN_NONE)
            revoke_large(&p->space, &r);
    } while (r.large != GPN_NONE);
    if (r.changed)
        tlb_shootdown(&p->space);
}

/*
 * The target has lost `count` frames from spn on: so have its descendants, if
 * the counts say that there can be entries deeper than the target's ancestors.
 */
static void lose(struct job *job, spn_t spn, uint64_t count)
{
    bool deeper = false;
    dereference(spn, count);
    job->narrowed = true;
    for (uint64_t i = 0; i < count && !deeper; i++)
        deeper = frame_get(spn + i)->references >= job->target->depth;
    if (!deeper)
        return;
    for (struct partition *p = partition_next_below(job->target, job->target); p;
         p = partition_next_below(job->target, p))
        if (p->space.root != SPN_NONE)
            revoke_from(p, spn, count);
}

/* What lies at an element's place goes, in the books; the caller replaces the entries. */
static void account_for_old(struct job *job, gpn_t gpn)
{
    const struct space *space = &job->target->space;
    for (uint64_t i = 0; i < job->pages;) {
        struct mapping m = overlay_lookup_under(space, gpn + i);
        uint64_t rest = pages_of(&m) - ((gpn + i) & (pages_of(&m) - 1));
        uint64_t count = min_u64(rest, job->pages - i);
        if (m.present)
            lose(job, m.spn, count);
        i += count;
    }
}

static bool any_deposited(const struct space *space, gpn_t gpn, uint64_t count)
{
    for (uint64_t i = 0; i < count;) {
        struct mapping m = overlay_lookup_under(space, gpn + i);
        if (is_deposited(&m))
            return true;
        i += pages_of(&m) - ((gpn + i) & (pages_of(&m) - 1));
    }
    return false;
}

static bool any_overlay(const struct space *space, gpn_t gpn, uint64_t count)
{
    for (const struct overlay *o = space->overlays; o; o = o->next)
        if (o->gpn - gpn < count)
            return true;
    return false;
}

/*
 * Whether all pages of an element are the caller's to map. run: how many frames
 * from *spn on are contiguous.
 */
static bool source_is_good(const struct job *job, gpn_t source, spn_t *spn, uint64_t *run)
{
    *run = 0;
    for (uint64_t i = 0; i < job->pages;) {
        struct mapping m = slpt_lookup(&job->caller->space, source + i);
        if (!m.present || (job->prot & ~m.prot))
            return false; /* an overlay's frame is not FRAME_RAM */
        uint64_t count =
            min_u64(pages_of(&m) - ((source + i) & (pages_of(&m) - 1)), job->pages - i);
        for (uint64_t j = 0; j < count; j++)
            if (frame_type_of(m.spn + j) != FRAME_RAM)
                return false;
        if (i == 0)
            *spn = m.spn;
        if (*run == i && m.spn == *spn + i)
            *run += count;
        i += count;
    }
    return true;
}

static void reference(spn_t spn, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        frame_get(spn + i)->references++;
}

/* Page by page, under overlays; the table pages are there. */
static void map_small(struct job *job, gpn_t gpn, gpn_t source)
{
    for (uint64_t i = 0; i < job->pages; i++) {
        struct mapping m = {.stashed = true}; /* no access */
        if (job->prot) {
            struct mapping from = slpt_lookup(&job->caller->space, source + i);
            m = (struct mapping){.present = true,
                                 .prot = job->prot,
                                 .type = job->not_cached ? MEMORY_UC : from.type,
                                 .spn = from.spn};
            reference(m.spn, 1);
        }
        overlay_set_under(&job->target->space, gpn + i, &m);
    }
}

static uint32_t map_element(struct job *job, gpn_t gpn, gpn_t source)
{
    struct space *space = &job->target->space;
    spn_t spn = SPN_NONE;
    uint64_t run = 0;
    if ((gpn | (job->prot ? source : 0)) & (job->pages - 1))
        return HV_STATUS_INVALID_PARAMETER;
    if (job->prot && !source_is_good(job, source, &spn, &run))
        return HV_STATUS_INVALID_PARAMETER;
    if (any_deposited(space, gpn, job->pages))
        return HV_STATUS_INVALID_PARAMETER;
    bool large = job->pages == PAGES_2M && run == job->pages && !(spn & (PAGES_2M - 1)) &&
                 !any_overlay(space, gpn, job->pages);
    if (!slpt_prepare(space, gpn, job->pages, large ? 1 : 0))
        return HV_STATUS_INSUFFICIENT_MEMORY;
    account_for_old(job, gpn);
    if (!large) {
        map_small(job, gpn, source);
        return HV_STATUS_SUCCESS;
    }
    uint8_t type = slpt_lookup(&job->caller->space, source).type;
    slpt_map(space, gpn, spn, job->pages, job->prot, job->not_cached ? MEMORY_UC : type, 1);
    reference(spn, job->pages);
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

/* The whole range of the call is in the space; job->base becomes that of the batch. */
static bool set_range(const struct call *call, struct job *job, gpn_t base)
{
    uint64_t limit = 1UL << (job->target->space.gpa_bits - PAGE_SHIFT);
    uint64_t count = (call->control >> HV_CONTROL_REP_COUNT_SHIFT) & 0xFFF;
    if (base >= limit || count * job->pages > limit - base)
        return false;
    job->base = base + call->position * job->pages;
    return true;
}

static struct job job_of(const struct call *call)
{
    return (struct job){.target = call->target, .caller = call->caller, .pages = 1};
}

/* The elements of the batch, one by one, and the shootdown that they are worth. */
static uint32_t each_element(struct call *call, struct job *job,
                             uint32_t (*act)(struct job *job, gpn_t gpn, gpn_t source))
{
    uint32_t status = HV_STATUS_SUCCESS;
    while (call->done < call->batch) {
        status = act(job, job->base + call->done * job->pages, call->elements[call->done]);
        if (status != HV_STATUS_SUCCESS)
            break;
        call->done++;
        if (job->pages > 1 && call_expired(call))
            break;
    }
    if (job->narrowed)
        tlb_shootdown(&job->target->space);
    return status;
}

uint32_t call_map_gpa_pages(struct call *call)
{
    const struct hv_input_map_gpa *in = (const void *)call->input;
    struct job job = job_of(call);
    if (in->zero || !decode_map_flags(&job, in->flags) || !set_range(call, &job, in->base_gpn))
        return HV_STATUS_INVALID_PARAMETER;
    return each_element(call, &job, map_element);
}

/* The state pages that show in [gpn, gpn + count) of the space, whoever's they are. */
static void unmap_state_pages(struct space *space, gpn_t gpn, uint64_t count)
{
    struct overlay *o = space->overlays;
    while (o) {
        if (o->kind == OVERLAY_STATE_PAGE && o->gpn - gpn < count) {
            state_page_unmap(o->owner, (enum state_page_type)o->index);
            o = space->overlays; /* the list has changed */
        } else {
            o = o->next;
        }
    }
}

static uint32_t unmap_element(struct job *job, gpn_t gpn, gpn_t source)
{
    static const struct mapping empty;
    struct space *space = &job->target->space;
    if (gpn & (job->pages - 1) || any_deposited(space, gpn, job->pages))
        return HV_STATUS_INVALID_PARAMETER;
    unmap_state_pages(space, gpn, job->pages);
    for (uint64_t i = 0; i < job->pages;) {
        struct mapping m = overlay_lookup_under(space, gpn + i);
        uint64_t rest = pages_of(&m) - ((gpn + i) & (pages_of(&m) - 1));
        uint64_t count = min_u64(rest, job->pages - i);
        if (m.present || m.stashed) {
            if (count == pages_of(&m) && m.level != 0)
                slpt_unmap(space, gpn + i, count);
            else if (!slpt_prepare(space, gpn + i, 1, 0))
                return HV_STATUS_INSUFFICIENT_MEMORY;
            else
                for (uint64_t j = 0; j < count; j++)
                    overlay_set_under(space, gpn + i + j, &empty);
            if (m.present)
                lose(job, m.spn, count);
        }
        i += count;
    }
    return HV_STATUS_SUCCESS;
}

uint32_t call_unmap_gpa_pages(struct call *call)
{
    const struct hv_input_unmap_gpa *in = (const void *)call->input;
    struct job job = job_of(call);
    job.pages = in->flags & (HV_MAP_LARGE_PAGE | UNMAP_LARGE_PAGE) ? PAGES_2M : 1;
    if (in->zero || (in->flags & ~(HV_MAP_LARGE_PAGE | UNMAP_LARGE_PAGE)) ||
        !set_range(call, &job, in->base_gpn))
        return HV_STATUS_INVALID_PARAMETER;
    return each_element(call, &job, unmap_element);
}

uint32_t call_get_gpa_pages_access_states(struct call *call)
{
    const struct hv_input_access_states *in = (const void *)call->input;
    uint8_t *states = (uint8_t *)call->output;
    struct job job = job_of(call);
    if (!backend_features.accessed_dirty)
        return HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED;
    const uint64_t known = HV_ACCESS_STATES_CLEAR_ACCESSED | HV_ACCESS_STATES_CLEAR_DIRTY;
    if ((in->flags & ~known) || !set_range(call, &job, in->base_gpn))
        return HV_STATUS_INVALID_PARAMETER;
    /* slpt_test_and_clear_ad numbers the bits like the output. */
    unsigned clear = (in->flags & HV_ACCESS_STATES_CLEAR_ACCESSED ? HV_ACCESS_STATE_ACCESSED : 0) |
                     (in->flags & HV_ACCESS_STATES_CLEAR_DIRTY ? HV_ACCESS_STATE_DIRTY : 0);
    for (; call->done < call->batch; call->done++)
        states[call->done] =
            (uint8_t)slpt_test_and_clear_ad(&job.target->space, job.base + call->done, clear);
    if (clear)
        tlb_shootdown(&job.target->space); /* the processor sets them again only on a new walk */
    return HV_STATUS_SUCCESS;
}

/* How far a walk that takes a space apart got. */
struct release {
    const struct call *call;
    uint32_t leaves;
    gpn_t start, end; /* what was visited, to be unmapped; start GPN_NONE: nothing */
    bool stopped;
};

#define RELEASE_AT_LEAST 1024 /* leaves in one go, whatever the time */

static bool release_visit(struct space *space, gpn_t gpn, const struct mapping *m, void *context)
{
    struct release *r = context;
    if (r->leaves >= RELEASE_AT_LEAST && call_expired(r->call)) {
        r->stopped = true;
        return false;
    }
    if (m->present || is_deposited(m))
        dereference(m->spn, pages_of(m));
    if (r->start == GPN_NONE)
        r->start = gpn;
    r->end = gpn + pages_of(m);
    r->leaves++;
    return true;
}

bool gpa_release_space(struct partition *p, const struct call *call)
{
    struct release r = {.call = call, .start = GPN_NONE};
    slpt_for_each(&p->space, release_visit, &r);
    if (r.stopped)
        slpt_unmap(&p->space, r.start, r.end - r.start);
    return !r.stopped;
}
