/*
 * State pages: HvCallMapVpStatePage (0xE1), HvCallUnmapVpStatePage (0xE2), and
 * the life of the pages in between. A page is a frame of the target's pool that
 * shows through one or two overlays.
 *
 * Decisions: bad input is told in this order: target (ACCESS_DENIED,
 * INVALID_PARTITION_ID), its state (INVALID_PARTITION_STATE), VP
 * (INVALID_VP_INDEX), reserved bits, type and VTL (INVALID_PARAMETER), already
 * mapped (OPERATION_DENIED), the place (INVALID_PARAMETER), the pools
 * (INSUFFICIENT_MEMORY for the target's, INSUFFICIENT_ROOT_MEMORY for table
 * pages of the caller's own map). A layered host that leaves the place of a
 * child's page open is told so with the place. Without a free GPN in the
 * overlay window: NO_RESOURCES. A register page that is mapped while its VP runs
 * on another processor holds only the version until the VP stops. What a writer
 * left dirty in a page is lost with the page. Unknown dirty bits are not looked
 * at. A tail of the message page that a shorter message does not use is zero.
 *
 * Locks: hv_lock over mapping and unmapping; vp->page_lock, innermost, over
 * pages[].spn and vp->published, because a VP stops and starts without hv_lock.
 */
#include "hypercalls/table.h"

#include "hv/apic.h"
#include "hv/arch.h"
#include "hv/console.h"
#include "hv/fpu.h"
#include "hv/partition.h"
#include "hv/string.h"
#include "mm/phys.h"

#define REGISTER_PAGE_VERSION 1
#define XMM_COUNT             6
#define MOST_FRAMES           4 /* that one map can take: the page, and a table of each level */

#define VTL_TARGET_MASK 0x0F
#define VTL_USE_TARGET  0x10
#define VTL_RESERVED    0xE0

_Static_assert((int)STATE_PAGE_REGISTERS == (int)HV_VP_STATE_PAGE_REGISTERS, "page types");
_Static_assert((int)STATE_PAGE_INTERCEPT == (int)HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, "page types");
_Static_assert(sizeof(struct hv_segment) == sizeof(struct segment), "one layout");
_Static_assert(offsetof(struct hv_register_page, rflags) ==
                   offsetof(struct hv_register_page, gpr) + 17 * 8,
               "copied as one");
_Static_assert(offsetof(struct vp_state, rflags) == offsetof(struct vp_state, gpr) + 17 * 8,
               "copied as one");
_Static_assert(offsetof(struct hv_register_page, dr7) ==
                       offsetof(struct hv_register_page, cr0) + 5 * 8 &&
                   offsetof(struct vp_state, dr7) == offsetof(struct vp_state, cr0) + 5 * 8,
               "copied as one: cr0 cr3 cr4 cr8 efer dr7");
_Static_assert(SEG_GS == 5 && SEG_ES == 0, "the page has the first six");

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
    copy_words(page->gpr, s->gpr, GPR_COUNT + 2);
    if (live)
        fpu_read_low_xmm(page->xmm);
    else
        fpu_get_low_xmm(vp, page->xmm);
    copy_words(page->segment, s->seg, sizeof(page->segment) / 8);
    copy_words(&page->cr0, &s->cr0, 6);
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

/* Each dispatch ends here: without calls of its own. */
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
 * The common case: general registers and rip, which need no look at the rest
 * of the state. Each field is read once. False: refused, nothing changed.
 */
static bool take_simple(struct vp *vp, const struct hv_register_page *page, uint32_t dirty)
{
    struct vp_state *s = &vp->state;
    if (dirty & HV_DIRTY_RIP) {
        uint64_t rip = *(const volatile uint64_t *)&page->rip;
        if (!rip_is_valid(s, rip))
            return false;
        s->rip = rip;
        if (s->interrupt_shadow) { /* that of an instruction which is no longer the last */
            vp_touch(vp);
            s->interrupt_shadow = false;
        }
    }
    if (dirty & HV_DIRTY_GENERAL)
        copy_words(s->gpr, page->gpr, GPR_COUNT);
    return true;
}

/*
 * Any classes. The page is copied once, up to the last field that can be taken,
 * and then the state as a whole must hold. False: refused, nothing changed.
 */
static bool take_all(struct vp *vp, const struct hv_register_page *page, uint32_t dirty)
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

static __attribute__((noinline)) bool
take_classes(struct vp *vp, const struct hv_register_page *page, uint32_t dirty)
{
    if (dirty & (HV_DIRTY_RFLAGS | HV_DIRTY_SEGMENTS | HV_DIRTY_XMM))
        return take_all(vp, page, dirty);
    return take_simple(vp, page, dirty);
}

/* Takes in what a writer left in the page of a stopped VP. Lock: page_lock. */
static inline bool take(struct vp *vp, const struct hv_register_page *page)
{
    uint32_t dirty = *(const volatile uint32_t *)&page->dirty;
    return dirty == 0 || take_classes(vp, page, dirty);
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

struct hv_message *state_page_message_begin(struct vp *vp, uint32_t type, size_t payload_size)
{
    lock(&vp->page_lock);
    spn_t spn = vp->pages[STATE_PAGE_INTERCEPT].spn;
    if (spn == SPN_NONE)
        return NULL;
    struct hv_message *m = page_ptr(spn);
    size_t words = payload_size / 8;
    m->header = (struct hv_message_header){
        .type = type, .payload_size = (uint8_t)payload_size, .sender = vp->partition->id};
    for (size_t i = words; i < vp->message_words; i++)
        ((uint64_t *)&m->payload)[i] = 0;
    vp->message_words = (uint8_t)words;
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

/* Where a page goes: one or two spaces, and the GPN. */
struct plan {
    struct {
        struct space *space;
        uint8_t prot;
    } place[2];
    unsigned count;
    gpn_t gpn;
};

static bool location_is_good(const struct space *space, gpn_t gpn)
{
    return gpn >> (space->gpa_bits - PAGE_SHIFT) == 0 && gpn != APIC_PAGE_GPN &&
           overlay_at(space, gpn) == NULL;
}

/*
 * Where a page goes. One's own: into one's own map, read-write. A child's: into
 * the child's map, read-only, when the caller is root, and into the caller's as
 * well, at the same GPN, when the hypervisor chooses it; a layered host names a
 * page of its own.
 */
static uint32_t make_plan(const struct call *call, struct partition *target,
                          const struct hv_input_map_vp_state_page *in, struct plan *plan)
{
    struct partition *caller = call->caller;
    struct space *own = &caller->space, *theirs = &target->space;
    bool provided = (in->flags & HV_MAP_LOCATION_PROVIDED) != 0;
    bool self = target == caller;
    bool root = (caller->privileges & PRIVILEGE_CPU_MANAGEMENT) != 0;
    plan->count = 1;
    if (self || !root) {
        plan->place[0].space = own;
        plan->place[0].prot = MAP_READ | MAP_WRITE;
    } else {
        plan->place[0].space = theirs;
        plan->place[0].prot = MAP_READ;
    }
    if (provided) {
        plan->gpn = in->requested_map_location;
        return location_is_good(plan->place[0].space, plan->gpn) ? HV_STATUS_SUCCESS
                                                                 : HV_STATUS_INVALID_PARAMETER;
    }
    if (!self && !root)
        return HV_STATUS_INVALID_PARAMETER;
    if (!self) {
        plan->place[1].space = own;
        plan->place[1].prot = MAP_READ | MAP_WRITE;
        plan->count = 2;
    }
    plan->gpn = overlay_choose(plan->place[0].space, self ? NULL : own);
    return plan->gpn == GPN_NONE ? HV_STATUS_NO_RESOURCES : HV_STATUS_SUCCESS;
}

/*
 * Row 8, before anything is changed: the page itself and the table pages of the
 * target's map come from the target's pool, those of the caller's from its own.
 */
static uint32_t check_memory(const struct plan *plan, const struct partition *target)
{
    /* Mostly there is plenty, whatever the place needs; then the tables need no look. */
    if (pool_fail_after < 0 && target->pool.free > MOST_FRAMES &&
        (plan->count == 1 || plan->place[1].space->pool->free > MOST_FRAMES) &&
        plan->place[0].space->pool->free > MOST_FRAMES)
        return HV_STATUS_SUCCESS;
    uint64_t of_target = 1;
    for (unsigned i = 0; i < plan->count; i++)
        if (plan->place[i].space == &target->space)
            of_target += slpt_missing_tables(plan->place[i].space, plan->gpn);
    if (!pool_has(&target->pool, of_target, 0))
        return HV_STATUS_INSUFFICIENT_MEMORY;
    for (unsigned i = 0; i < plan->count; i++) {
        const struct space *space = plan->place[i].space;
        if (space != &target->space &&
            !pool_has(space->pool, slpt_missing_tables(space, plan->gpn), of_target))
            return HV_STATUS_INSUFFICIENT_ROOT_MEMORY;
    }
    return HV_STATUS_SUCCESS;
}

/* Puts the page into place, or leaves everything as it was. */
static uint32_t place(const struct plan *plan, struct vp *vp, enum state_page_type type)
{
    struct state_page *page = &vp->pages[type];
    page->location = plan->gpn;
    for (unsigned i = 0; i < plan->count; i++) {
        struct overlay *o = &page->places[i];
        o->gpn = plan->gpn;
        o->spn = page->spn;
        o->prot = plan->place[i].prot;
        o->owner = vp;
        o->kind = OVERLAY_STATE_PAGE;
        o->index = (uint8_t)type;
        enum overlay_result result = overlay_map(o, plan->place[i].space);
        if (result == OVERLAY_OK)
            continue;
        state_page_unmap(vp, type);
        if (result == OVERLAY_BAD_GPN)
            return HV_STATUS_INVALID_PARAMETER;
        return plan->place[i].space == &vp->partition->space ? HV_STATUS_INSUFFICIENT_MEMORY
                                                             : HV_STATUS_INSUFFICIENT_ROOT_MEMORY;
    }
    return HV_STATUS_SUCCESS;
}

/*
 * The first contents of a register page. From here on a stop of the VP writes
 * to it. The calling VP's own page shows the state at the call, not valid.
 */
static void begin_page(const struct call *call, struct vp *vp, enum state_page_type type, spn_t spn)
{
    bool own = vp == call->vp;
    if (own && type == STATE_PAGE_REGISTERS) {
        vp_show(vp);
        fpu_read_xcr0(vp);
    }
    lock(&vp->page_lock);
    if (type == STATE_PAGE_REGISTERS) {
        struct hv_register_page *page = page_ptr(spn);
        if (own || vp->published)
            write_registers(vp, page, vp->published, own);
        else
            page->version = REGISTER_PAGE_VERSION;
    }
    vp->pages[type].pool = &vp->partition->pool;
    vp->pages[type].spn = spn;
    unlock(&vp->page_lock);
}

/* Type 2 (GHCB) is SEV-SNP's, which there is not. */
static bool page_input_is_good(uint16_t type, uint8_t input_vtl)
{
    if (type >= STATE_PAGE_COUNT || (input_vtl & VTL_RESERVED))
        return false;
    return !(input_vtl & VTL_USE_TARGET) || !(input_vtl & VTL_TARGET_MASK);
}

uint32_t call_map_vp_state_page(struct call *call)
{
    const struct hv_input_map_vp_state_page *in = (const void *)call->input;
    struct vp *vp;
    uint32_t status = target_vp(call, in->partition_id, in->vp_index, &vp);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (in->flags & ~HV_MAP_LOCATION_PROVIDED) {
        static bool said;
        if (!said)
            say_info("MapVpStatePage: reserved flag bits %x, refused (older Linux left stale bytes "
                     "there)",
                     in->flags);
        said = true;
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (!page_input_is_good(in->type, in->input_vtl))
        return HV_STATUS_INVALID_PARAMETER;
    enum state_page_type type = (enum state_page_type)in->type;
    if (vp->pages[type].spn != SPN_NONE)
        return HV_STATUS_OPERATION_DENIED;
    struct plan plan;
    status = make_plan(call, vp->partition, in, &plan);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status = check_memory(&plan, vp->partition);
    if (status != HV_STATUS_SUCCESS)
        return status;
    spn_t spn = pool_alloc(&vp->partition->pool, FRAME_OVERLAY);
    if (spn == SPN_NONE)
        return HV_STATUS_INSUFFICIENT_MEMORY;
    begin_page(call, vp, type, spn);
    call->output[0] = plan.gpn;
    return place(&plan, vp, type);
}

uint32_t call_unmap_vp_state_page(struct call *call)
{
    const struct hv_input_unmap_vp_state_page *in = (const void *)call->input;
    struct vp *vp;
    uint32_t status = target_vp(call, in->partition_id, in->vp_index, &vp);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (in->reserved || !page_input_is_good(in->type, in->input_vtl))
        return HV_STATUS_INVALID_PARAMETER;
    enum state_page_type type = (enum state_page_type)in->type;
    if (vp->pages[type].spn == SPN_NONE)
        return HV_STATUS_NOT_FOUND;
    state_page_unmap(vp, type);
    return HV_STATUS_SUCCESS;
}
