/* Why a VM entry was refused: the rules of SDM 27.3.1, checked one by one on the current VMCS. */
#include "vmx/vmx.h"

#include "hv/base/console.h"
#include "hv/base/features.h"

#define HIGH_HALF 0xFFFFFFFF00000000UL

enum {
    AR_TYPE = 0xF,
    AR_ACCESSED = 1 << 0,
    AR_WRITABLE = 1 << 1, /* of data; of code: readable */
    AR_CODE = 1 << 3,
    AR_S = 1 << 4,
    AR_RESERVED = 0xF00,
    AR_LONG = 1 << 13,
    AR_BIG = 1 << 14,
    AR_GRANULARITY = 1 << 15,
};
#define AR_V86        0xF3U
#define AR_HIGH       0xFFFE0000U
#define AR_DPL(ar)    ((ar) >> 5 & 3)
#define DEBUGCTL_MAY  0xFFC3UL
#define EFER_MAY      (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define RFLAGS_NEVER  (HIGH_HALF | 0xFFC08028UL)
#define PENDING_NEVER (~0x1500FUL & ~BIT(11))

/* What the rules look at again and again. */
struct view {
    uint64_t cr0, cr4, efer, rflags;
    bool long_mode, v86;
};

static unsigned refuse(bool violated, const char *rule)
{
    if (violated)
        say_error("guest state: %s", rule);
    return violated;
}

static bool is_noncanonical(enum vmcs_field field)
{
    return !address_is_canonical(vmread(field));
}

static bool pat_is_bad(uint64_t pat)
{
    for (unsigned i = 0; i < 8; i++) {
        uint64_t type = pat >> 8 * i & 0xFF;
        if (type > 7 || type == 2 || type == 3)
            return true;
    }
    return false;
}

/* SDM 27.3.1.1. Unrestricted guest: PE and PG are free. */
static unsigned check_registers(const struct view *g)
{
    uint64_t must = vmx_caps.cr0_fixed0 & ~(CR0_PE | CR0_PG);
    bool lme = g->efer & EFER_LME, lma = g->efer & EFER_LMA, paging = g->cr0 & CR0_PG;
    return refuse((g->cr0 & must) != must, "CR0: a bit that must be 1 in VMX operation is 0") +
           refuse(g->cr0 & ~vmx_caps.cr0_fixed1, "CR0: a reserved bit is set") +
           refuse(paging && !(g->cr0 & CR0_PE), "CR0: PG is set without PE") +
           refuse(~g->cr4 & vmx_caps.cr4_fixed0, "CR4: a bit that must be 1 is 0") +
           refuse(g->cr4 & ~vmx_caps.cr4_fixed1, "CR4: a bit that this processor lacks is set") +
           refuse(g->long_mode && !paging, "CR0: 64-bit mode without PG") +
           refuse(g->long_mode && !(g->cr4 & CR4_PAE), "CR4: 64-bit mode without PAE") +
           refuse(!g->long_mode && g->cr4 & BIT(17), "CR4: PCIDE outside 64-bit mode") +
           refuse(vmread(VMCS_GUEST_CR3) >> (cpuid(0x80000008u, 0).eax & 0xFF),
                  "CR3: beyond the physical address width") +
           refuse(vmread(VMCS_GUEST_DR7) >> 32, "DR7: a bit above 31 is set") +
           refuse(vmread(VMCS_GUEST_DEBUGCTL) & ~DEBUGCTL_MAY, "DEBUGCTL: a reserved bit is set") +
           refuse(is_noncanonical(VMCS_GUEST_SYSENTER_ESP), "SYSENTER_ESP: not canonical") +
           refuse(is_noncanonical(VMCS_GUEST_SYSENTER_EIP), "SYSENTER_EIP: not canonical") +
           refuse(pat_is_bad(vmread(VMCS_GUEST_PAT)), "PAT: a reserved memory type") +
           refuse(g->efer & ~(uint64_t)EFER_MAY, "EFER: a reserved bit is set") +
           refuse(lma != g->long_mode, "EFER: LMA differs from the entry's 64-bit control") +
           refuse(paging && lma != lme, "EFER: LMA differs from LME with paging on");
}

static const char *const segment_names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
_Static_assert(ARRAY_SIZE(segment_names) == SEG_COUNT, "a name for each segment register");

static unsigned refuse_segment(bool violated, unsigned segment, const char *rule, uint32_t ar)
{
    if (violated)
        say_error("guest state: %s: %s (attributes 0x%x)", segment_names[segment], rule, ar);
    return violated;
}

static unsigned check_v86_segment(unsigned i, uint32_t ar)
{
    uint64_t selector = vmread(VMCS_GUEST_ES_SELECTOR + 2 * i);
    return refuse_segment(vmread(VMCS_GUEST_ES_BASE + 2 * i) != selector << 4, i,
                          "virtual-8086 base is not 16 * selector", ar) +
           refuse_segment(vmread(VMCS_GUEST_ES_LIMIT + 2 * i) != UINT16_MAX, i,
                          "virtual-8086 limit is not 0xFFFF", ar) +
           refuse_segment(ar != AR_V86, i, "virtual-8086 attributes are not 0xF3", ar);
}

/* What holds for every usable segment register. */
static unsigned check_common(unsigned i, uint32_t ar)
{
    uint32_t limit = (uint32_t)vmread(VMCS_GUEST_ES_LIMIT + 2 * i);
    bool system = i == SEG_LDTR || i == SEG_TR, fine = (limit & 0xFFF) == 0xFFF;
    return refuse_segment(!(ar & SEGMENT_PRESENT), i, "not present", ar) +
           refuse_segment(ar & (AR_RESERVED | AR_HIGH), i, "a reserved attribute is set", ar) +
           refuse_segment(system == !!(ar & AR_S), i,
                          "a system segment where none belongs, or "
                          "the other way round",
                          ar) +
           refuse_segment(ar & AR_GRANULARITY && !fine, i,
                          "granularity is set, but limit bits 11:0 are not all 1", ar) +
           refuse_segment(!(ar & AR_GRANULARITY) && limit >> 20, i,
                          "granularity is clear, but the limit is 1 MiB or more", ar);
}

static unsigned check_cs(const struct view *g, uint32_t ar)
{
    uint32_t type = ar & AR_TYPE, ss = (uint32_t)vmread(VMCS_GUEST_SS_AR);
    bool data = type == (AR_ACCESSED | AR_WRITABLE), code = ar & AR_CODE && ar & AR_ACCESSED;
    bool conforming = code && type >= 0xC;
    return refuse_segment(!data && !code, SEG_CS, "type is neither accessed code nor 3", ar) +
           refuse_segment(data && AR_DPL(ar) != 0, SEG_CS, "type 3 with a DPL", ar) +
           refuse_segment(code && !conforming && AR_DPL(ar) != AR_DPL(ss), SEG_CS,
                          "DPL differs from that of SS", ar) +
           refuse_segment(conforming && AR_DPL(ar) > AR_DPL(ss), SEG_CS,
                          "conforming, with a DPL above that of SS", ar) +
           refuse_segment(g->long_mode && ar & AR_LONG && ar & AR_BIG, SEG_CS,
                          "64-bit code with D set", ar);
}

static unsigned check_data(unsigned i, uint32_t ar)
{
    uint32_t type = ar & AR_TYPE;
    if (i == SEG_SS)
        return refuse_segment(type != 3 && type != 7, i, "type is not 3 or 7", ar);
    return refuse_segment(!(ar & AR_ACCESSED), i, "type without the accessed bit", ar) +
           refuse_segment(ar & AR_CODE && !(ar & AR_WRITABLE), i, "code that is not readable", ar);
}

/* SDM 27.3.1.2 */
static unsigned check_segments(const struct view *g)
{
    unsigned broken = 0;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        uint32_t ar = (uint32_t)vmread(VMCS_GUEST_ES_AR + 2 * i);
        bool usable = !(ar & SEGMENT_UNUSABLE);
        if (i >= SEG_FS || usable)
            broken += refuse_segment(is_noncanonical(VMCS_GUEST_ES_BASE + 2 * i) &&
                                         (i == SEG_FS || i == SEG_GS || i >= SEG_LDTR),
                                     i, "base is not canonical", ar);
        if (i <= SEG_DS && i != SEG_CS && usable)
            broken += refuse_segment(vmread(VMCS_GUEST_ES_BASE + 2 * i) & HIGH_HALF, i,
                                     "base is above 4 GiB", ar);
        if (g->v86 && i < SEG_LDTR) {
            broken += check_v86_segment(i, ar);
            continue;
        }
        if (i == SEG_CS || i == SEG_TR)
            broken += refuse_segment(!usable, i, "unusable", ar);
        if (!usable)
            continue;
        broken += check_common(i, ar);
        if (i == SEG_CS)
            broken += check_cs(g, ar);
        else if (i < SEG_LDTR)
            broken += check_data(i, ar);
    }
    uint32_t cs = (uint32_t)vmread(VMCS_GUEST_CS_AR), ss = (uint32_t)vmread(VMCS_GUEST_SS_AR);
    uint32_t ldtr = (uint32_t)vmread(VMCS_GUEST_LDTR_AR), tr = (uint32_t)vmread(VMCS_GUEST_TR_AR);
    broken += refuse_segment(!g->v86 && (!(g->cr0 & CR0_PE) || (cs & AR_TYPE) == 3) && AR_DPL(ss),
                             SEG_SS, "a DPL in real mode", ss);
    broken += refuse_segment(!(ldtr & SEGMENT_UNUSABLE) && (ldtr & AR_TYPE) != 2, SEG_LDTR,
                             "type is not 2 (LDT)", ldtr);
    broken += refuse_segment((tr & AR_TYPE) != 11 && (g->long_mode || (tr & AR_TYPE) != 3), SEG_TR,
                             "type is not that of a busy TSS", tr);
    return broken + refuse(vmread(VMCS_GUEST_TR_SELECTOR) & 4, "TR: selector is in the LDT");
}

/* SDM 27.3.1.3 and 27.3.1.4 */
static unsigned check_tables_and_rip(const struct view *g)
{
    uint64_t rip = vmread(VMCS_GUEST_RIP);
    bool code64 = g->long_mode && vmread(VMCS_GUEST_CS_AR) & AR_LONG;
    uint64_t info = vmread(VMCS_ENTRY_INTR_INFO);
    bool interrupt = info & INTR_VALID && (info >> INTR_TYPE_SHIFT & 7) == EVENT_INTERRUPT;
    return refuse(is_noncanonical(VMCS_GUEST_GDTR_BASE), "GDTR: base is not canonical") +
           refuse(is_noncanonical(VMCS_GUEST_IDTR_BASE), "IDTR: base is not canonical") +
           refuse(vmread(VMCS_GUEST_GDTR_LIMIT) >> 16, "GDTR: limit above 0xFFFF") +
           refuse(vmread(VMCS_GUEST_IDTR_LIMIT) >> 16, "IDTR: limit above 0xFFFF") +
           refuse(!code64 && rip & HIGH_HALF, "RIP: above 4 GiB outside 64-bit code") +
           refuse(code64 && !address_is_canonical(rip), "RIP: not canonical") +
           refuse(g->rflags & RFLAGS_NEVER, "RFLAGS: a reserved bit is set") +
           refuse(!(g->rflags & RFLAGS_FIXED), "RFLAGS: bit 1 is clear") +
           refuse(g->v86 && g->long_mode, "RFLAGS: VM in 64-bit mode") +
           refuse(g->v86 && !(g->cr0 & CR0_PE), "RFLAGS: VM in real mode") +
           refuse(interrupt && !(g->rflags & RFLAGS_IF),
                  "RFLAGS: an interrupt is injected with IF clear");
}

/* SDM 27.3.1.5 */
static unsigned check_other(const struct view *g)
{
    uint64_t blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY), activity = vmread(VMCS_GUEST_ACTIVITY);
    uint64_t info = vmread(VMCS_ENTRY_INTR_INFO), pending = vmread(VMCS_GUEST_PENDING_DEBUG);
    unsigned type = info & INTR_VALID ? info >> INTR_TYPE_SHIFT & 7 : EVENT_EXCEPTION;
    uint64_t shadow = blocking & (BLOCKING_STI | BLOCKING_MOV_SS);
    bool step = g->rflags & RFLAGS_TF && !(vmread(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF);
    bool checked = shadow != 0 || activity == ACTIVITY_HLT;
    return refuse(activity > ACTIVITY_WAIT_SIPI, "activity state: no such one") +
           refuse(activity != ACTIVITY_ACTIVE && shadow != 0,
                  "activity state: halted in an interrupt shadow") +
           refuse(activity == ACTIVITY_HLT && AR_DPL(vmread(VMCS_GUEST_SS_AR)) != 0,
                  "activity state: halted outside CPL 0") +
           refuse(blocking & ~0x1FUL, "interruptibility: a reserved bit is set") +
           refuse(shadow == (BLOCKING_STI | BLOCKING_MOV_SS),
                  "interruptibility: blocked by STI and by MOV SS at once") +
           refuse(blocking & BLOCKING_STI && !(g->rflags & RFLAGS_IF),
                  "interruptibility: blocked by STI with IF clear") +
           refuse(type == EVENT_INTERRUPT && shadow != 0,
                  "interruptibility: an interrupt is injected into a shadow") +
           refuse(type == EVENT_NMI && blocking & (BLOCKING_MOV_SS | BLOCKING_NMI),
                  "interruptibility: an NMI is injected while NMIs are blocked") +
           refuse(pending & PENDING_NEVER, "pending debug exceptions: a reserved bit is set") +
           refuse(checked && step != !!(pending & PENDING_DEBUG_BS),
                  "pending debug exceptions: single step is not as TF says") +
           refuse(vmread(VMCS_VMCS_LINK) != ~0UL, "VMCS link pointer: not all ones");
}

unsigned vmx_explain_guest_state(void)
{
    struct view g = {
        .cr0 = vmread(VMCS_GUEST_CR0),
        .cr4 = vmread(VMCS_GUEST_CR4),
        .efer = vmread(VMCS_GUEST_EFER),
        .rflags = vmread(VMCS_GUEST_RFLAGS),
        .long_mode = vmread(VMCS_ENTRY_CONTROLS) & ENTRYC_IA32E_GUEST,
    };
    g.v86 = g.rflags & RFLAGS_VM;
    return check_registers(&g) + check_segments(&g) + check_tables_and_rip(&g) + check_other(&g);
}
