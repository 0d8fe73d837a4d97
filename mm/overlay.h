/* SPDX-License-Identifier: MIT */
/*
 * An overlay puts a hypervisor's page over a GPN of a space, whatever lies
 * there, and takes it away again. Everything that appears in a guest's memory
 * by the hypervisor's hand goes through here: state pages, hypercall page,
 * reference TSC page. Lock: hv_lock.
 */
#ifndef MM_OVERLAY_H
#define MM_OVERLAY_H

#include "mm/slpt.h"

struct overlay {
    struct overlay *next; /* in the space's list */
    struct space *space;  /* NULL while it is not in place */
    gpn_t gpn;
    spn_t spn;            /* the hypervisor's page that shows */
    struct mapping under; /* what it covers, put back when it goes */
    void *owner;          /* the struct vp of a state page, else NULL */
    uint8_t prot;         /* MAP_* */
    uint8_t kind;         /* enum overlay_kind */
    uint8_t index;        /* state pages: enum state_page_type */
};

enum overlay_kind {
    OVERLAY_HYPERCALL_PAGE,
    OVERLAY_TSC_PAGE,
    OVERLAY_STATE_PAGE,
    OVERLAY_ASSIST_PAGE,
};

enum overlay_result {
    OVERLAY_OK,
    OVERLAY_BAD_GPN,   /* beyond gpa_bits, covered by another overlay, or the local APIC's page */
    OVERLAY_NO_MEMORY, /* the space's pool has no table page; nothing changed */
};

/*
 * Puts o in place (gpn, spn, prot, kind set by the caller; write-back memory)
 * and returns when every processor sees it (tlb_shootdown if something was
 * mapped there before). OVERLAY_OK or nothing changed.
 */
enum overlay_result overlay_map(struct overlay *o, struct space *space);

/* Takes it away, puts back what it covers, and shoots down: afterwards nobody reaches o->spn. */
void overlay_unmap(struct overlay *o);

/* The overlay at gpn, or NULL. */
struct overlay *overlay_at(const struct space *space, gpn_t gpn);

/*
 * A free GPN of the overlay window of `space` (and of `other`, unless NULL):
 * above 4 GiB, above everything mapped at boot, inside both widths. GPN_NONE when
 * there is none. overlay_window_base is set once at boot, in pages.
 */
gpn_t overlay_choose(const struct space *space, const struct space *other);
extern gpn_t overlay_window_base;
#define OVERLAY_WINDOW_PAGES PAGES_1G
/* How far overlay_choose looks: bounds the time, yet is more than the pages of many partitions. */
#define OVERLAY_WINDOW_SEARCH 65536UL
/* Behind that: where a root finds the pages that it expects its MSRs to name already. */
#define OVERLAY_ROOT_PAGES OVERLAY_WINDOW_SEARCH

/*
 * slpt_lookup and slpt_set of what lies under any overlay: for MapGpaPages,
 * UnmapGpaPages, DepositMemory and their like.
 */
struct mapping overlay_lookup_under(const struct space *space, gpn_t gpn);
bool overlay_set_under(struct space *space, gpn_t gpn, const struct mapping *m);

#endif
