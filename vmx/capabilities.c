/* SPDX-License-Identifier: MIT */
/*
 * VT-x: the controls, one row each: who has it set, and why. What is missed on a
 * processor, the control words of a VP and the words of a refusal all come from
 * the row.
 */
#include "vmx/vmx.h"

#include "hv/base/console.h"

enum { NEEDED = 1 << 0, SET_FOR_FIRST = 1 << 1, SET_FOR_CHILD = 1 << 2 };
enum use {
    TOGGLED = NEEDED, /* clear at first; set and cleared as the VP runs */
    CHILD = NEEDED | SET_FOR_CHILD,
    ALWAYS = CHILD | SET_FOR_FIRST,
    OPTIONAL_FIRST = SET_FOR_FIRST, /* where the processor has it, as the next two */
    OPTIONAL_CHILD = SET_FOR_CHILD,
    OPTIONAL = OPTIONAL_FIRST | OPTIONAL_CHILD,
};

static const struct control {
    uint8_t word; /* enum vmx_word */
    uint8_t use;  /* enum use */
    uint32_t bit;
    const char *why; /* a refusal says "this processor lacks ..." */
} controls[] = {
    {VMX_PIN, CHILD, PIN_EXTERNAL_INTERRUPT,
     "external-interrupt exiting: interrupts end the dispatch of a child"},
    {VMX_PIN, ALWAYS, PIN_NMI, "NMI exiting: processors are kicked out of their guests by NMIs"},
    {VMX_PIN, ALWAYS, PIN_VIRTUAL_NMIS,
     "virtual NMIs: a guest's own NMI blocking is kept apart from ours"},
    {VMX_PIN, OPTIONAL_CHILD, PIN_PREEMPTION_TIMER,
     "the preemption timer: now and then it is looked whether an interrupt waits for the parent"},

    {VMX_PRIMARY, TOGGLED, PRIMARY_INTERRUPT_WINDOW,
     "interrupt-window exiting: pending interrupts of a guest"},
    {VMX_PRIMARY, TOGGLED, PRIMARY_NMI_WINDOW, "NMI-window exiting: pending NMIs of a guest"},
    {VMX_PRIMARY, ALWAYS, PRIMARY_TSC_OFFSET, "TSC offsetting: each partition has its own time"},
    {VMX_PRIMARY, CHILD, PRIMARY_HLT, "HLT exiting: a child's HLT is an intercept"},
    {VMX_PRIMARY, CHILD, PRIMARY_MWAIT, "MWAIT exiting: children do not stop the processor"},
    {VMX_PRIMARY, CHILD, PRIMARY_MONITOR, "MONITOR exiting: children do not stop the processor"},
    {VMX_PRIMARY, CHILD, PRIMARY_RDPMC,
     "RDPMC exiting: children do not see the performance counters"},
    {VMX_PRIMARY, CHILD, PRIMARY_CR8_LOAD,
     "CR8-load exiting: children do not reach the task priority"},
    {VMX_PRIMARY, CHILD, PRIMARY_CR8_STORE,
     "CR8-store exiting: children do not reach the task priority"},
    {VMX_PRIMARY, CHILD, PRIMARY_IO, "unconditional I/O exiting: a child's ports are its parent's"},
    {VMX_PRIMARY, ALWAYS, PRIMARY_MSR_BITMAPS,
     "MSR bitmaps: most MSRs are reached without an exit"},
    {VMX_PRIMARY, ALWAYS, PRIMARY_SECONDARY, "secondary controls: EPT is one of them"},

    {VMX_EXIT, ALWAYS, EXITC_HOST_64, "a 64-bit host"},
    {VMX_EXIT, ALWAYS, EXITC_SAVE_DEBUG, "saving debug controls on exit"},
    {VMX_EXIT, ALWAYS, EXITC_SAVE_EFER, "saving EFER on exit: the guest owns its EFER"},
    {VMX_EXIT, ALWAYS, EXITC_LOAD_EFER, "loading EFER on exit: the guest owns its EFER"},
    {VMX_EXIT, ALWAYS, EXITC_SAVE_PAT, "saving PAT on exit: the guest owns its PAT"},
    {VMX_EXIT, ALWAYS, EXITC_LOAD_PAT, "loading PAT on exit: the guest owns its PAT"},

    {VMX_ENTRY, ALWAYS, ENTRYC_LOAD_DEBUG, "loading debug controls on entry"},
    {VMX_ENTRY, TOGGLED, ENTRYC_IA32E_GUEST, "64-bit guests"},
    {VMX_ENTRY, ALWAYS, ENTRYC_LOAD_EFER, "loading EFER on entry: the guest owns its EFER"},
    {VMX_ENTRY, ALWAYS, ENTRYC_LOAD_PAT, "loading PAT on entry: the guest owns its PAT"},

    {VMX_SECONDARY, ALWAYS, SECONDARY_EPT, "EPT: guest memory is second-level page tables"},
    {VMX_SECONDARY, ALWAYS, SECONDARY_UNRESTRICTED_GUEST,
     "unrestricted guest: real mode runs on the processor itself"},
    {VMX_SECONDARY, CHILD, SECONDARY_WBINVD,
     "WBINVD exiting: children do not flush the processor's caches"},
    {VMX_SECONDARY, OPTIONAL, SECONDARY_VPID, "VPIDs: entries and exits keep the TLB"},
    {VMX_SECONDARY, OPTIONAL, SECONDARY_RDTSCP, "RDTSCP, which is #UD otherwise"},
    {VMX_SECONDARY, OPTIONAL, SECONDARY_INVPCID, "INVPCID, which is #UD otherwise"},
    {VMX_SECONDARY, OPTIONAL_FIRST, SECONDARY_XSAVES, "XSAVES, which is #UD otherwise"},
    {VMX_SECONDARY, OPTIONAL_FIRST, SECONDARY_USER_WAIT,
     "TPAUSE, UMONITOR and UMWAIT, which are #UD otherwise"},
};

bool vmx_require(bool there, const char *what)
{
    if (!there)
        say_error("VT-x: this processor lacks %s", what);
    return there;
}

bool vmx_require_controls(enum vmx_word word, uint64_t capability)
{
    bool good = true;
    for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
        if (controls[i].word == word && controls[i].use & NEEDED)
            good &= vmx_require(capability >> 32 & controls[i].bit, controls[i].why);
    return good;
}

uint32_t vmx_settle_controls(enum vmx_word word, uint64_t capability, bool first)
{
    uint32_t must = (uint32_t)capability, may = (uint32_t)(capability >> 32), wanted = 0;
    unsigned set_for = first ? SET_FOR_FIRST : SET_FOR_CHILD;
    for (size_t i = 0; i < ARRAY_SIZE(controls); i++)
        if (controls[i].word == word && controls[i].use & set_for)
            wanted |= controls[i].bit;
    return (wanted & may) | must;
}
