/* SPDX-License-Identifier: MIT */
/* Overlays: a list per space, and under each what it covers. */
#include "mm/overlay.h"

#include "hv/base/apic.h"
#include "hv/base/panic.h"
#include "mm/tlb.h"

gpn_t overlay_window_base;

_Static_assert(OVERLAY_ROOT_PAGES + MAX_CPUS + 2 <= OVERLAY_WINDOW_PAGES, "all is in the window");

struct overlay *overlay_at(const struct space *space, gpn_t gpn)
{
    struct overlay *o = space->overlays;
    while (o && o->gpn != gpn)
        o = o->next;
    return o;
}

enum overlay_result overlay_map(struct overlay *o, struct space *space)
{
    if (o->gpn >> (space->gpa_bits - PAGE_SHIFT) || o->gpn == APIC_PAGE_GPN ||
        overlay_at(space, o->gpn))
        return OVERLAY_BAD_GPN;
    struct mapping shown = {.present = true, .prot = o->prot, .type = MEMORY_WB, .spn = o->spn};
    if (!slpt_replace(space, o->gpn, &shown, &o->under))
        return OVERLAY_NO_MEMORY;
    o->space = space;
    o->next = space->overlays;
    space->overlays = o;
    if (o->under.present) /* what was not present no processor has cached */
        tlb_shootdown_page(space, o->gpn);
    return OVERLAY_OK;
}

void overlay_unmap(struct overlay *o)
{
    struct space *space = o->space;
    must(space);
    struct overlay **link = &space->overlays;
    while (*link != o)
        link = &(*link)->next;
    *link = o->next;
    must(slpt_set(space, o->gpn, &o->under)); /* the tables are there since overlay_map */
    o->space = NULL;
    o->next = NULL;
    tlb_shootdown_page(space, o->gpn);
}

static bool is_free(const struct space *space, gpn_t gpn)
{
    struct mapping m = slpt_lookup(space, gpn); /* an overlay shows here as a present page */
    return !m.present && !m.stashed;
}

gpn_t overlay_choose(const struct space *space, const struct space *other)
{
    uint8_t bits = space->gpa_bits;
    if (other && other->gpa_bits < bits)
        bits = other->gpa_bits;
    gpn_t end = min_u64(overlay_window_base + OVERLAY_WINDOW_SEARCH, 1UL << (bits - PAGE_SHIFT));
    for (gpn_t gpn = overlay_window_base; gpn < end; gpn++)
        if (is_free(space, gpn) && (!other || is_free(other, gpn)))
            return gpn;
    return GPN_NONE;
}

struct mapping overlay_lookup_under(const struct space *space, gpn_t gpn)
{
    const struct overlay *o = overlay_at(space, gpn);
    return o ? o->under : slpt_lookup(space, gpn);
}

bool overlay_set_under(struct space *space, gpn_t gpn, const struct mapping *m)
{
    struct overlay *o = overlay_at(space, gpn);
    if (!o)
        return slpt_set(space, gpn, m);
    o->under = *m;
    o->under.level = 0;
    if (m->present && m->prot == 0) { /* as it would read back from the tables */
        o->under.present = false;
        o->under.stashed = true;
    }
    return true;
}
