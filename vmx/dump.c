/* SPDX-License-Identifier: MIT */
/* VT-x in words: exit reasons, VM-instruction errors, the whole VMCS field by field. */
#include "vmx/vmx.h"

#include "hv/base/console.h"

#define EXIT_NAME(name, number, words) [number] = (words),
static const char *const exit_names[VMX_EXIT_COUNT] = {VMX_EXITS(EXIT_NAME)};

/* SDM 31.4 */
static const char *const instruction_errors[] = {
    [1] = "VMCALL in VMX root operation",
    [2] = "VMCLEAR with invalid physical address",
    [3] = "VMCLEAR with VMXON pointer",
    [4] = "VMLAUNCH with non-clear VMCS",
    [5] = "VMRESUME with non-launched VMCS",
    [6] = "VMRESUME after VMXOFF",
    [7] = "VM entry with invalid control field(s)",
    [8] = "VM entry with invalid host-state field(s)",
    [9] = "VMPTRLD with invalid physical address",
    [10] = "VMPTRLD with VMXON pointer",
    [11] = "VMPTRLD with incorrect VMCS revision identifier",
    [12] = "VMREAD or VMWRITE of an unsupported VMCS field",
    [13] = "VMWRITE to a read-only VMCS field",
    [15] = "VMXON in VMX root operation",
    [16] = "VM entry with invalid executive-VMCS pointer",
    [17] = "VM entry with non-launched executive VMCS",
    [18] = "VM entry with executive-VMCS pointer not VMXON pointer",
    [19] = "VMCALL with non-clear VMCS",
    [20] = "VMCALL with invalid VM-exit control fields",
    [22] = "VMCALL with incorrect MSEG revision identifier",
    [23] = "VMXOFF under dual-monitor treatment",
    [24] = "VMCALL with invalid SMM-monitor features",
    [25] = "VM entry with invalid VM-execution control fields in executive VMCS",
    [26] = "VM entry with events blocked by MOV SS",
    [28] = "invalid operand to INVEPT or INVVPID",
};

/* SDM 27.8: qualification of an entry that failed on the guest state. */
static const char *const entry_qualifications[] = {
    [0] = "no more is said",
    [2] = "loading the PDPTEs",
    [3] = "injection of an NMI while blocked by STI",
    [4] = "the VMCS link pointer",
};

static const char *const activities[] = {"active", "HLT", "shutdown", "wait for SIPI"};

static const char *instruction_error(uint32_t number)
{
    const char *words = number < ARRAY_SIZE(instruction_errors) ? instruction_errors[number] : NULL;
    return words ? words : "unknown VM-instruction error";
}

const char *vmx_exit_name(uint32_t reason)
{
    uint32_t basic = reason & VMX_REASON_BASIC_MASK;
    if (reason & VMX_REASON_VMFAIL)
        return instruction_error(basic);
    const char *words = basic < VMX_EXIT_COUNT ? exit_names[basic] : NULL;
    return words ? words : "unknown exit reason";
}

/* False when the processor does not have the field, or no VMCS is current. */
static bool vmread_if(uint64_t field, uint64_t *value)
{
    uint8_t failed;
    __asm__ volatile("vmread %2, %0; setna %1" : "=r"(*value), "=qm"(failed) : "r"(field) : "cc");
    return !failed;
}

static bool is_current(const struct vp *vp)
{
    uint64_t current;
    __asm__ volatile("vmptrst %0" : "=m"(current) : : "memory");
    return current == vp->control_spa;
}

static void explain(struct vp *vp)
{
    uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON);
    uint64_t qualification = vmread(VMCS_QUALIFICATION);
    uint64_t activity = vmread(VMCS_GUEST_ACTIVITY);
    say_error("last exit: %s%s (reason 0x%x, qualification 0x%lx)",
              reason & VMX_REASON_FAILED ? "VM entry refused, " : "", vmx_exit_name(reason), reason,
              qualification);
    if ((reason & ~VMX_REASON_FAILED) == VMX_EXIT_ENTRY_GUEST_STATE &&
        qualification < ARRAY_SIZE(entry_qualifications) && entry_qualifications[qualification])
        say_error("qualification: %s", entry_qualifications[qualification]);
    uint32_t error = (uint32_t)vmread(VMCS_INSTRUCTION_ERROR);
    if (error != 0)
        say_error("last VM-instruction error: %u, %s", error, instruction_error(error));
    say_error("activity: %s", activity < ARRAY_SIZE(activities) ? activities[activity] : "unknown");
    if (vmx_explain_guest_state(vp) == 0 && reason & VMX_REASON_FAILED)
        say_error("guest state: no rule that is known here is broken");
}

#define FIELD_ROW(name, encoding) {encoding, #name},
static const struct field {
    uint32_t encoding;
    const char *name;
} fields[] = {VMCS_FIELDS(FIELD_ROW)};

void vmx_dump(struct vp *vp)
{
    if (!is_current(vp)) {
        say_error("the VMCS of VP %u is not loaded on this processor", vp->index);
        return;
    }
    explain(vp);
    say_error("VMCS at %lx:", vp->control_spa);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        uint64_t value;
        if (vmread_if(fields[i].encoding, &value))
            say_error("  %04x %-29s %016lx", fields[i].encoding, fields[i].name, value);
    }
}
