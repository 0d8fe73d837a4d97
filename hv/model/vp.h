/* SPDX-License-Identifier: MIT */
/* A virtual processor. */
#ifndef HV_MODEL_VP_H
#define HV_MODEL_VP_H

#include "hv/base/lock.h"
#include "hv/model/backend.h"
#include "hv/model/vp_state.h"
#include "mm/overlay.h"

/* Why a VP is not to be run; bits of vp->requests, set by any processor, then kicked. */
enum vp_request {
    REQUEST_SUSPEND = 1 << 0,    /* explicit suspend was set */
    REQUEST_INIT = 1 << 1,       /* INIT arrived (first partition) */
    REQUEST_SIPI = 1 << 2,       /* start-up IPI arrived; vector in sipi_vector */
    REQUEST_NMI = 1 << 3,        /* deliver an NMI */
    REQUEST_STOP = 1 << 4,       /* the VP is being deleted: end its dispatch */
    REQUEST_INTERCEPTS = 1 << 5, /* intercept settings changed: update_intercepts */
};

/* How much of vp->state is the VP's; the rest is in its control block or in the processor. */
enum exact { EXACT_HOT, EXACT_SHOWN, EXACT_ALL };

enum state_page_type { STATE_PAGE_REGISTERS, STATE_PAGE_INTERCEPT, STATE_PAGE_COUNT };

/* One state page: the frame and the one or two places it shows at. */
struct state_page {
    spn_t spn;                /* SPN_NONE: not mapped. Read under vp->page_lock */
    struct pool *pool;        /* where spn came from */
    struct overlay places[2]; /* [0] always, [1] when it shows in parent and child */
};

struct partition;

struct vp {
    uint64_t id; /* unique for ever */
    struct partition *partition;
    uint32_t index;
    bool first; /* of the first partition: runs on cpu number `index` only */

    struct vp_state state;
    uint8_t exact; /* enum exact: how much of state is */
    bool touched;  /* the cold part was changed, all is exact: load before the next entry */

    /* backend */
    spa_t control_spa; /* VMCS or VMCB */
    bool launched;     /* VMX: VMRESUME instead of VMLAUNCH */
    bool loaded;       /* between switch_in and switch_out */
    bool intercept_all_msrs;
    uint32_t slot; /* SLOT_FIRST or SLOT_CHILD; ASID and VPID are slot + 1 */
    union {        /* whether the next entry is more than a plain one, in one look */
        struct {
            bool flush; /* it flushes this context slot's translations */
            bool want_interrupt_window, want_nmi_window;
            uint8_t armed; /* the backend's own conditions */
        };
        uint32_t attention;
    };
    uint32_t exception_bitmap;
    uint64_t vendor[8]; /* the backend's own */

    /* x87, SSE, AVX ... while it is not in the processor (hv/model/fpu.h) */
    void *xsave;
    uint64_t xsave_features; /* what is kept there; 0: the processor has no XSAVE, only FXSAVE */
    spn_t xsave_spn;         /* 0 for the first partition, whose areas are set aside at boot */

    /* running */
    volatile uint32_t requests;     /* enum vp_request */
    volatile bool running;          /* some processor has it in its dispatch stack */
    struct cpu *volatile cpu;       /* which one, while running */
    const struct cpu *last_cpu;     /* of a child's: where it ran last */
    struct vp *dispatcher;          /* the parent's VP inside HvCallDispatchVp */
    bool dispatched_by_code64;      /* that call was made in 64-bit mode */
    gpa_t dispatch_output;          /* where that call's output goes */
    volatile bool explicit_suspend; /* register 0 */
    bool intercept_suspend;         /* register 1: stopped on an intercept */
    bool parked;                    /* first partition: stopped in the hypervisor, page published */
    bool triple_fault;              /* seen by the hypervisor while it queued an exception */

    /* first partition: start-up */
    bool wait_for_sipi;
    volatile uint8_t sipi_vector;
    uint64_t apic_base;          /* the guest's view of IA32_APIC_BASE */
    uint32_t apic_ldr, apic_dfr; /* what it wrote last: logical destinations */

    /* synthetic state */
    uint64_t runtime_tsc; /* TSC ticks spent running */
    uint64_t entered_tsc;
    uint64_t crash_parameters[5];
    uint64_t pending_event[2]; /* registers 0x10004, 0x10005 */
    uint64_t assist_msr;       /* the VP assist page; nothing is ever put into it */
    struct overlay assist_page;
    spn_t assist_page_spn; /* of the partition's pool, SPN_NONE until first used */

    struct spinlock page_lock; /* over pages[].spn against a stop on another processor */
    bool published;            /* stopped, and state is exact: what a register page shows is valid.
                                  Under page_lock */
    uint8_t message_words;     /* 8-byte words of payload of the last message in the page */
    struct state_page pages[STATE_PAGE_COUNT];
};
_Static_assert(sizeof(struct vp) <= PAGE_SIZE, "a VP is one page of its partition's pool");

/* Makes exact what a register page and a message show. The VP is loaded on this processor, or it
   is a child's and not running. */
static inline void vp_show(struct vp *vp)
{
    if (vp->exact == EXACT_HOT && vp->loaded) {
        backend->save_shown(vp);
        vp->exact = EXACT_SHOWN;
    }
}

/* Makes all of vp->state exact. State: as for vp_show. */
static inline void vp_sync(struct vp *vp)
{
    vp_show(vp);
    if (vp->exact == EXACT_SHOWN && (vp->loaded || !vp->first)) {
        backend->save_rest(vp);
        vp->exact = EXACT_ALL;
    }
}

/* As vp_sync, and says that the cold part is about to change. */
static inline void vp_touch(struct vp *vp)
{
    vp_sync(vp);
    vp->touched = true;
}

/* The exceptions that exit. Endless delivery of #DB or #AC takes no interrupt: a child must not
   keep the processor that way. */
static inline uint32_t vp_exceptions(const struct vp *vp)
{
    return vp->exception_bitmap | (vp->first ? 0 : 1U << VECTOR_DB | 1U << VECTOR_AC);
}

/* Outside 64-bit mode rip wraps at 4 GiB; for vp_advance. */
void vp_wrap_rip(struct vp *vp);

/* Steps over the instruction that exited: rip, RF, the shadow that it was in, if that is here (what
   is still in the control block is the backend's). */
static inline void vp_advance(struct vp *vp, unsigned length)
{
    uint64_t from = vp->state.rip;
    vp->state.rip = from + length;
    vp->state.rflags &= ~(uint64_t)RFLAGS_RF;
    vp->state.interrupt_shadow = false;
    if ((from ^ vp->state.rip) >> 32)
        vp_wrap_rip(vp);
}

/* Queues an exception for the next entry. A second one while one waits follows SDM 6.15 (double
   fault; a third sets vp->triple_fault, which the main loop acts on). */
void vp_inject_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error);

/* Registers as after power-on or INIT (SDM table 10-1); keeps nothing but the control block. */
void vp_reset_state(struct vp *vp);

#endif
