/* SPDX-License-Identifier: MIT */
/*
 * The line between common code and a vendor: one constant table per vendor,
 * chosen once at boot. No other file asks which vendor it is.
 *
 * Register state. struct vp holds a neutral copy, vp->state (hv/model/vp.h). Its hot
 * part (gpr[], rip, rflags) is exact whenever the VP is outside run(), and
 * run() enters with whatever it finds there. The cold part (everything else) is
 * exact only after save_shown() or, all of it, save_rest(); a change to it takes
 * effect after load(). Use vp_show / vp_sync / vp_touch of hv/model/vp.h instead.
 *
 * A VP is "loaded" on a processor between switch_in and switch_out. save_shown,
 * load and run need it loaded on the calling processor; save_rest takes a
 * child's VP that is loaded on none, too. After switch_out of a VP that is not
 * the first partition's, what is shown is in vp->state, the control block is
 * nobody's, and another processor may switch it in.
 */
#ifndef HV_MODEL_BACKEND_H
#define HV_MODEL_BACKEND_H

#include "hv/base/exit.h"
#include "mm/slpt.h"

struct cpu;
struct vp;

/* Features that common code asks for. */
struct backend_features {
    bool execute_only, accessed_dirty;
    uint8_t max_level; /* largest second-level page: 1 = 2 MiB, 2 = 1 GiB */
};

struct backend {
    const char *name; /* "VT-x" or "AMD-V" */
    const struct slpt_format *format;
    uint8_t hypercall_instruction[3]; /* VMCALL or VMMCALL */

    /* CPUID says that the processor is one of ours. */
    bool (*present)(void);
    /* Checks each feature that is needed, on this processor; prints one line in words for each
       missing one (also "disabled by firmware"); fills features. False when one is missing.
       Unlocked VMX feature control is set and locked here. */
    bool (*check)(struct backend_features *features);
    /* Turns virtualization on for this processor. vendor_page_spa and host_save_spa of the cpu are
       zeroed pages of its own. */
    void (*cpu_enable)(struct cpu *cpu);

    /* Fills the zeroed control block page at vp->control_spa (and vp->state is valid: it will be
       loaded on the next entry). Not loaded on any processor. */
    void (*vp_init)(struct vp *vp);
    void (*switch_in)(struct vp *vp);
    void (*switch_out)(struct vp *vp);
    void (*save_shown)(struct vp *vp); /* what a register page and a message show */
    void (*save_rest)(struct vp *vp);  /* after save_shown: everything else */
    void (*load)(struct vp *vp);
    /* Of a VP that has just exited: CPL 0 in 64-bit mode. All that most hypercalls ask. */
    bool (*in_kernel64)(struct vp *vp);
    uint64_t (*guest_cr4)(struct vp *vp); /* the guest's view of CR4, likewise */
    /* Exceptions (vp->exception_bitmap) and vp->intercept_all_msrs changed: put them into force. */
    void (*update_intercepts)(struct vp *vp);

    /*
     * Enters the guest and comes back with the next exit, decoded. Interrupts
     * are off, on return too. Injects vp->state.event if valid, and clears it;
     * on return an event whose delivery was interrupted is back in
     * vp->state.event. Asks for EXIT_INTERRUPT_WINDOW / EXIT_NMI_WINDOW while
     * vp->want_interrupt_window / vp->want_nmi_window. Flushes first when vp->flush (and
     * clears it). Returns EXIT_NOTHING when cpu->kicked is set at entry.
     */
    void (*run)(struct vp *vp, struct exit *exit);

    /* Prints the whole control block, one field a line, with say_error. */
    void (*dump)(struct vp *vp);
    /* The vendor's exit number in words. */
    const char *(*exit_name)(uint32_t reason);
};

extern const struct backend vmx_backend, svm_backend;
extern const struct backend *backend; /* the chosen one */
extern struct backend_features backend_features;

#endif
