/* SPDX-License-Identifier: MIT */
/*
 * The life of state pages: published when a VP stops, taken in when it is resumed.
 *
 * Decisions: what a writer left dirty in a page is lost with the page. Unknown dirty
 * bits are not looked at. A tail of the message page that a shorter message does not
 * use is zero.
 *
 * Locks: vp->page_lock, innermost, over pages[].spn and vp->published, because a VP
 * stops and starts without hv_lock.
 */
#include "hv/model/statepage.h"

#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "hv/model/events.h"
#include "hv/model/fpu.h"
#include "hv/model/partition.h"
#include "hv/model/rules.h"
#include "hv/model/statepage_fast.h"

#define REGISTER_PAGE_VERSION 1
#define XMM_COUNT             6

/*
 * Writes the whole state, which is exact; `live`: the vector registers are in
 * the processor. Lock: page_lock.
 */
static void write_registers(const struct vp *vp, struct hv_register_page *page, bool valid,
                            bool live)
{
    const struct vp_state *s = &vp->state;
    page->version = REGISTER_PAGE_VERSION;
    page->zero = 0;
    put_runs(page, s); /* general registers, segments, cr0 to dr7 */
    page->rip = s->rip;
    page->rflags = s->rflags;
    if (live)
        fpu_read_low_xmm(page->xmm);
    else
        fpu_get_low_xmm(vp, page->xmm);
    page->pending_interruption = s->event.valid ? pending_interruption_of(&s->event) : 0;
    page->interrupt_state = interrupt_state_of(s);
    page->instruction_emulation_hints = 0;
    page->xfem = s->xcr0;
    page->vector_count = 0;
    page->dirty = 0;
    __atomic_store_n(&page->is_valid, valid, __ATOMIC_RELEASE);
}

static struct hv_register_page *register_page(const struct vp *vp)
{
    spn_t spn = vp->pages[STATE_PAGE_REGISTERS].spn;
    return spn == SPN_NONE ? NULL : page_ptr(spn);
}

/* Each dispatch ends here: without calls of its own, which saves 14. */
__attribute__((flatten)) void state_page_publish(struct vp *vp, bool live)
{
    lock(&vp->page_lock);
    struct hv_register_page *page = register_page(vp);
    if (page)
        write_registers(vp, page, true, live);
    vp->published = true;
    unlock(&vp->page_lock);
}

/*
 * Any classes. The page is copied once, up to the last field that can be taken,
 * and then the state as a whole must hold. False: refused, nothing changed.
 */
bool state_page_take_all(struct vp *vp, const struct hv_register_page *page, uint32_t dirty)
{
    struct hv_register_page copy;
    memcpy(&copy, page, offsetof(struct hv_register_page, cr0));
    __asm__ volatile("" : : : "memory"); /* the compiler must not look at the page again */
    vp_sync(vp);
    struct vp_state next = vp->state;
    if (dirty & HV_DIRTY_GENERAL)
        memcpy(next.gpr, copy.gpr, sizeof(next.gpr));
    if (dirty & HV_DIRTY_RIP)
        next.rip = copy.rip;
    if (dirty & HV_DIRTY_RFLAGS)
        next.rflags = copy.rflags;
    if (dirty & HV_DIRTY_SEGMENTS) {
        memcpy(next.seg, copy.segment, sizeof(copy.segment));
        for (unsigned i = 0; i < ARRAY_SIZE(copy.segment); i++)
            if (!segment_is_valid(&next.seg[i], i))
                return false;
    }
    if (dirty & (HV_DIRTY_RIP | HV_DIRTY_RFLAGS))
        next.interrupt_shadow = false;
    if (!state_is_valid(&next))
        return false;
    vp->state = next;
    vp->touched = true;
    if (dirty & HV_DIRTY_XMM)
        for (unsigned i = 0; i < XMM_COUNT; i++)
            fpu_set_xmm(vp, i, copy.xmm[i]);
    return true;
}

/* Takes in what a writer left in the page of a stopped VP. Lock: page_lock. */
static inline bool take(struct vp *vp, const struct hv_register_page *page)
{
    uint32_t dirty = *(const volatile uint32_t *)&page->dirty;
    return dirty == 0 || state_page_take_classes(vp, page, dirty);
}

bool state_page_consume(struct vp *vp)
{
    bool accepted = true;
    lock(&vp->page_lock);
    struct hv_register_page *page = register_page(vp);
    if (page && vp->published)
        accepted = take(vp, page);
    if (accepted && vp->touched)
        accepted = state_is_valid(&vp->state);
    if (accepted && vp->pending_event[0])
        pending_event_deliver(vp);
    if (page && !accepted) {
        write_registers(vp, page, true, false);
    } else if (page) {
        page->dirty = 0;
        __atomic_store_n(&page->is_valid, 0, __ATOMIC_RELEASE);
    }
    vp->published = !accepted;
    unlock(&vp->page_lock);
    return accepted;
}

bool state_page_take(struct vp *vp)
{
    lock(&vp->page_lock);
    const struct hv_register_page *page = register_page(vp);
    bool accepted = !page || !vp->published || take(vp, page);
    unlock(&vp->page_lock);
    return accepted;
}

/* Lock: page_lock. */
static void put(struct vp *vp, enum state_page_type type, spn_t spn)
{
    vp->pages[type].pool = &vp->partition->pool;
    vp->pages[type].spn = spn;
}

static void begin_registers(struct vp *vp, spn_t spn, bool own)
{
    struct hv_register_page *page = page_ptr(spn);
    if (own) {
        vp_show(vp);
        fpu_read_xcr0(vp);
    }
    lock(&vp->page_lock);
    if (own || vp->published)
        write_registers(vp, page, vp->published, own);
    else
        page->version = REGISTER_PAGE_VERSION;
    put(vp, STATE_PAGE_REGISTERS, spn);
    unlock(&vp->page_lock);
}

void state_page_begin(struct vp *vp, enum state_page_type type, spn_t spn, bool own)
{
    if (type == STATE_PAGE_REGISTERS) {
        begin_registers(vp, spn, own);
        return;
    }
    lock(&vp->page_lock);
    put(vp, type, spn);
    unlock(&vp->page_lock);
}

struct hv_message *state_page_message_begin(struct vp *vp, uint32_t type, size_t payload_size)
{
    lock(&vp->page_lock);
    spn_t spn = vp->pages[STATE_PAGE_INTERCEPT].spn;
    if (spn == SPN_NONE)
        return NULL;
    struct hv_message *m = page_ptr(spn);
    m->header = (struct hv_message_header){
        .type = type, .payload_size = (uint8_t)payload_size, .sender = vp->partition->id};
    clear_tail(vp, m, payload_size);
    return m;
}

void state_page_unmap(struct vp *vp, enum state_page_type type)
{
    struct state_page *page = &vp->pages[type];
    lock(&vp->page_lock);
    spn_t spn = page->spn;
    page->spn = SPN_NONE;
    unlock(&vp->page_lock);
    for (unsigned i = 0; i < ARRAY_SIZE(page->places); i++)
        if (page->places[i].space)
            overlay_unmap(&page->places[i]);
    pool_free(page->pool, spn);
}
