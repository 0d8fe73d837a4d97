/* SPDX-License-Identifier: MIT */
/* The rules of an entry, one line each: who refuses, what breaks it, in which words. */
#include "hv/model/rules.h"

#include "hv/base/console.h"
#include "hv/base/features.h"
#include "hv/model/segment.h"

#define HIGH_HALF     0xFFFFFFFF00000000UL
#define RFLAGS_NEVER  (~0x3FFFFFUL | BIT(15) | BIT(5) | BIT(3))
#define DEBUGCTL_MAY  0xFFC7UL /* bit 2: bus locks */
#define CR4_PCIDE     BIT(17)
#define ATTRIBUTES_VM 0xF3 /* of every segment in virtual-8086 mode */
#define CR0_DEFINED                                                                                \
    ((uint64_t)CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW |    \
     CR0_CD | CR0_PG)

struct entry_limits entry_limits;

enum { VTX = ASK_SET | ASK_VTX, AMDV = ASK_SET | ASK_AMDV, BOTH = VTX | AMDV };

/* One asking of the list. */
struct question {
    const struct vp_state *state;
    unsigned asker;
    bool tell;
    unsigned broken;
};

static void rule(struct question *q, unsigned who, bool broken, const char *words)
{
    if (!broken || !(who & q->asker))
        return;
    q->broken++;
    if (q->tell)
        say_error("guest state: %s", words);
}

static bool pat_is_valid(uint64_t pat)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t type = (uint8_t)(pat >> (8 * i));
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static void control_registers(struct question *q)
{
    const struct vp_state *s = q->state;
    bool paging = s->cr0 & CR0_PG, lme = s->efer & EFER_LME, lma = s->efer & EFER_LMA;
    bool long_paging = lme && paging;
    rule(q, BOTH, s->cr0 & HIGH_HALF, "CR0: a bit above 31 is set");
    rule(q, BOTH, paging && !(s->cr0 & CR0_PE), "CR0: PG is set without PE");
    rule(q, AMDV, (s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD), "CR0: NW is set without CD");
    rule(q, BOTH, s->cr3 & ~entry_limits.cr3_may, "CR3: beyond the physical address width");
    rule(q, BOTH, s->cr4 & ~entry_limits.cr4_may, "CR4: a bit that this processor lacks is set");
    rule(q, BOTH, long_paging && !(s->cr4 & CR4_PAE), "CR4: 64-bit mode without PAE");
    rule(q, VTX, !lma && (s->cr4 & CR4_PCIDE), "CR4: PCIDE outside 64-bit mode");
    rule(q, BOTH, s->efer & ~entry_limits.efer_may, "EFER: a reserved bit is set");
    rule(q, VTX, lma != long_paging, "EFER: LMA is not as LME and CR0.PG make it");
    rule(q, BOTH, s->dr7 & HIGH_HALF, "DR7: a bit above 31 is set");
    rule(q, AMDV, s->dr6 & HIGH_HALF, "DR6: a bit above 31 is set");
    rule(q, ASK_VTX, s->debugctl & ~DEBUGCTL_MAY, "DEBUGCTL: a reserved bit is set");
    rule(q, BOTH, !pat_is_valid(s->pat), "PAT: a reserved memory type");
    /* An AMD processor's own WRMSR takes them; SetVpRegisters asks them of each value by itself. */
    rule(q, ASK_VTX, !address_is_canonical(s->sysenter_esp), "SYSENTER_ESP: not canonical");
    rule(q, ASK_VTX, !address_is_canonical(s->sysenter_eip), "SYSENTER_EIP: not canonical");
    rule(q, VTX, !address_is_canonical(s->gdtr.base), "GDTR: base is not canonical");
    rule(q, VTX, !address_is_canonical(s->idtr.base), "IDTR: base is not canonical");
}

/* SDM 27.3.1.4 and 27.3.1.5. */
static void execution(struct question *q)
{
    const struct vp_state *s = q->state;
    const struct event *e = &s->event;
    bool v86 = s->rflags & RFLAGS_VM;
    bool interrupt = e->valid && e->type == EVENT_INTERRUPT;
    rule(q, VTX, s->rflags & RFLAGS_NEVER, "RFLAGS: a reserved bit is set");
    rule(q, VTX, !(s->rflags & RFLAGS_FIXED), "RFLAGS: bit 1 is clear");
    rule(q, VTX, v86 && (s->efer & EFER_LMA), "RFLAGS: VM in 64-bit mode");
    rule(q, VTX, v86 && !(s->cr0 & CR0_PE), "RFLAGS: VM in real mode");
    rule(q, VTX, !rip_is_valid(s, s->rip),
         "RIP: not canonical, or above 4 GiB outside 64-bit code");
    rule(q, VTX, interrupt && !(s->rflags & RFLAGS_IF), "an interrupt is injected with IF clear");
    rule(q, VTX, interrupt && s->interrupt_shadow, "an interrupt is injected into a shadow");
    rule(q, VTX, e->valid && e->type == EVENT_NMI && s->nmi_masked,
         "an NMI is injected while NMIs are blocked");
    rule(q, BOTH, e->valid && !event_is_possible(e), "the injected event is none");
}

static const char *const segment_names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
_Static_assert(ARRAY_SIZE(segment_names) == SEG_COUNT, "a name for each segment register");

static void segment_rule(struct question *q, unsigned who, unsigned i, bool broken,
                         const char *words)
{
    if (!broken || !(who & q->asker))
        return;
    q->broken++;
    if (q->tell)
        say_error("guest state: %s: %s (attributes 0x%x)", segment_names[i], words,
                  q->state->seg[i].attributes);
}

static bool is_system(unsigned i)
{
    return i == SEG_LDTR || i == SEG_TR;
}

/* The limit's low 12 bits are all 1 where G says pages, its high 12 bits 0 where it says bytes. */
static bool limit_is_valid(const struct segment *s)
{
    if (s->attributes & SEGMENT_GRANULARITY)
        return (s->limit & 0xFFF) == 0xFFF;
    return s->limit >> 20 == 0;
}

/* What each segment must be by itself. */
static void one_segment(struct question *q, const struct segment *s, unsigned i)
{
    bool present = s->attributes & SEGMENT_PRESENT;
    bool any_base = is_system(i) || i == SEG_FS || i == SEG_GS;
    segment_rule(q, VTX, i, s->attributes & SEGMENT_RESERVED, "a reserved attribute is set");
    segment_rule(q, VTX, i, !address_is_canonical(s->base), "base is not canonical");
    segment_rule(q, VTX, i, !any_base && (present || i == SEG_CS) && s->base & HIGH_HALF,
                 "base is above 4 GiB");
    segment_rule(q, VTX, i, present && is_system(i) == !!(s->attributes & SEGMENT_S),
                 "a system segment where none belongs, or the other way round");
    segment_rule(q, VTX, i, is_system(i) && present && (s->selector & SELECTOR_TI),
                 "selector is in the LDT");
    /* An AMD processor may leave G as it is: not asked of a state that was its own. */
    segment_rule(q, ASK_VTX, i, present && !limit_is_valid(s), "limit is not as granularity says");
}

static void v86_segment(struct question *q, const struct segment *s, unsigned i)
{
    segment_rule(q, VTX, i, s->base != (uint64_t)s->selector << 4,
                 "virtual-8086 base is not 16 * selector");
    segment_rule(q, VTX, i, s->limit != UINT16_MAX, "virtual-8086 limit is not 0xFFFF");
    segment_rule(q, VTX, i, s->attributes != ATTRIBUTES_VM, "virtual-8086 attributes are not 0xF3");
}

static void data_segment(struct question *q, const struct segment *s, unsigned i)
{
    unsigned type = segment_type(s);
    if (!(s->attributes & SEGMENT_PRESENT))
        return;
    segment_rule(q, VTX, i, !(type & TYPE_ACCESSED), "type without the accessed bit");
    segment_rule(q, VTX, i, (type & TYPE_CODE) && !(type & TYPE_READABLE),
                 "code that is not readable");
}

static void code_and_stack(struct question *q)
{
    const struct vp_state *s = q->state;
    const struct segment *cs = &s->seg[SEG_CS], *ss = &s->seg[SEG_SS];
    unsigned type = segment_type(cs), dpl = segment_dpl(cs), stack = segment_type(ss);
    bool data = type == TYPE_DATA_RW_ACCESSED; /* what real mode leaves there */
    bool code = (type & TYPE_CODE) && (type & TYPE_ACCESSED);
    bool conforming = code && (type & TYPE_CONFORMING);
    bool wide = (cs->attributes & SEGMENT_LONG) && (cs->attributes & SEGMENT_DEFAULT_BIG);
    segment_rule(q, VTX, SEG_CS, !(cs->attributes & SEGMENT_PRESENT), "unusable");
    segment_rule(q, VTX, SEG_CS, !data && !code, "type is neither accessed code nor 3");
    segment_rule(q, VTX, SEG_CS, data && dpl != 0, "type 3 with a DPL");
    segment_rule(q, VTX, SEG_CS, code && !conforming && dpl != segment_dpl(ss),
                 "DPL differs from that of SS");
    segment_rule(q, VTX, SEG_CS, conforming && dpl > segment_dpl(ss),
                 "conforming, with a DPL above that of SS");
    segment_rule(q, BOTH, SEG_CS, (s->efer & EFER_LMA) && wide, "64-bit code with D set");
    segment_rule(q, VTX, SEG_SS, (data || !(s->cr0 & CR0_PE)) && segment_dpl(ss) != 0,
                 "a DPL in real mode");
    segment_rule(q, VTX, SEG_SS,
                 (ss->attributes & SEGMENT_PRESENT) && stack != TYPE_DATA_RW_ACCESSED &&
                     stack != TYPE_DATA_DOWN_RW_ACCESSED,
                 "type is not 3 or 7");
}

/* SDM 27.3.1.2; for AMD-V APM 15.5.1. */
static void segments(struct question *q)
{
    const struct vp_state *s = q->state;
    const struct segment *tr = &s->seg[SEG_TR], *ldtr = &s->seg[SEG_LDTR];
    bool v86 = s->rflags & RFLAGS_VM;
    unsigned type = segment_type(tr);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        one_segment(q, &s->seg[i], i);
        if (v86 && !is_system(i))
            v86_segment(q, &s->seg[i], i);
        else if (!is_system(i) && i != SEG_CS && i != SEG_SS)
            data_segment(q, &s->seg[i], i);
    }
    if (!v86)
        code_and_stack(q);
    segment_rule(q, VTX, SEG_TR, !(tr->attributes & SEGMENT_PRESENT), "unusable");
    segment_rule(q, VTX, SEG_TR,
                 type != TYPE_TSS_BUSY && ((s->efer & EFER_LMA) || type != TYPE_TSS16_BUSY),
                 "type is not that of a busy TSS");
    segment_rule(q, VTX, SEG_LDTR,
                 (ldtr->attributes & SEGMENT_PRESENT) && segment_type(ldtr) != TYPE_LDT,
                 "type is not 2 (LDT)");
    rule(q, ASK_AMDV, !segments_are_possible(s), "CS is no code segment or SS cannot be a stack");
}

unsigned rules_broken(const struct vp_state *state, enum rule_asker asker, bool tell)
{
    struct question q = {.state = state, .asker = asker, .tell = tell};
    control_registers(&q);
    execution(&q);
    segments(&q);
    return q.broken;
}

bool segments_are_possible(const struct vp_state *s)
{
    const unsigned code = SEGMENT_PRESENT | SEGMENT_S | TYPE_CODE;
    const unsigned stack = SEGMENT_PRESENT | SEGMENT_S | TYPE_WRITABLE;
    unsigned cs = s->seg[SEG_CS].attributes, ss = s->seg[SEG_SS].attributes;
    bool real = !(s->cr0 & CR0_PE) || (s->rflags & RFLAGS_VM);
    if (real ? (cs & (code & ~TYPE_CODE)) != (code & ~TYPE_CODE) : (cs & code) != code)
        return false;
    /* A null SS is good in 64-bit mode, and harmless until it is used in others; real mode has no
       null. */
    if (!real && !(ss & SEGMENT_PRESENT))
        return true;
    return (ss & (stack | TYPE_CODE)) == stack;
}

bool event_is_possible(const struct event *event)
{
    switch (event->type) {
    case EVENT_EXCEPTION:
    case EVENT_PRIVILEGED_SOFT:
    case EVENT_SOFT_EXCEPTION:
        return event->vector < 32 && event->vector != VECTOR_NMI;
    case EVENT_NMI:
        return event->vector == VECTOR_NMI;
    case EVENT_INTERRUPT:
    case EVENT_SOFT_INTERRUPT:
        return true;
    default:
        return false;
    }
}

static bool cr0_is_valid(uint64_t cr0, uint64_t old)
{
    if (cr0 & ~(CR0_DEFINED | old))
        return false;
    if ((cr0 & CR0_PG) && !(cr0 & CR0_PE))
        return false;
    return !(cr0 & CR0_NW) || (cr0 & CR0_CD);
}

/* One bit of CR4 for each feature of CPUID that has one (SDM 2.5). */
static uint64_t cr4_supported(void)
{
    static const struct {
        uint8_t leaf, reg, bit; /* reg: 1 EBX, 2 ECX, 3 EDX */
        uint8_t cr4_bit;
    } features[] = {
        {1, 3, 1, 0},   {1, 3, 1, 1},   {1, 3, 4, 2},  {1, 3, 2, 3},   {1, 3, 3, 4},  {1, 3, 6, 5},
        {1, 3, 7, 6},   {1, 3, 13, 7},  {1, 3, 24, 9}, {1, 3, 25, 10}, {7, 2, 2, 11}, {7, 1, 0, 16},
        {1, 2, 17, 17}, {1, 2, 26, 18}, {7, 1, 7, 20}, {7, 1, 20, 21}, {7, 2, 3, 22},
    };
    static uint64_t supported;
    if (supported)
        return supported;
    bool has_7 = cpuid(0, 0).eax >= 7;
    uint64_t bits = BIT(8); /* RDPMC at any CPL */
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        if (features[i].leaf == 7 && !has_7)
            continue;
        struct cpuid_regs r = cpuid(features[i].leaf, 0);
        uint32_t reg = features[i].reg == 1 ? r.ebx : features[i].reg == 2 ? r.ecx : r.edx;
        if (reg & BIT(features[i].bit))
            bits |= BIT(features[i].cr4_bit);
    }
    supported = bits;
    return bits;
}

/* EFER bits that this processor has, less SVME. */
static uint64_t efer_supported(void)
{
    enum { EDX_SYSCALL = 1 << 11, EDX_NX = 1 << 20, EDX_FFXSR = 1 << 25 };
    static uint64_t supported;
    if (supported == 0) {
        uint32_t edx = cpuid(0x80000001, 0).edx;
        supported = EFER_LME | EFER_LMA | (edx & EDX_SYSCALL ? EFER_SCE : 0) |
                    (edx & EDX_NX ? EFER_NXE : 0) | (edx & EDX_FFXSR ? EFER_FFXSR : 0);
    }
    return supported;
}

bool efer_is_valid(uint64_t efer, uint64_t old)
{
    return !(efer & ~(efer_supported() | old)) && (!(efer & EFER_LMA) || (efer & EFER_LME));
}

bool value_is_valid(enum value_check check, uint64_t value, uint64_t old)
{
    switch (check) {
    case CHECK_CANONICAL:
        return address_is_canonical(value);
    case CHECK_32_BITS:
        return value >> 32 == 0;
    case CHECK_CR8:
        return value <= 15;
    case CHECK_PAT:
        return pat_is_valid(value);
    case CHECK_RFLAGS:
        return (value & RFLAGS_FIXED) && !(value & RFLAGS_NEVER);
    case CHECK_CR0:
        return cr0_is_valid(value, old);
    case CHECK_CR4:
        return !(value & ~(cr4_supported() | old));
    case CHECK_EFER:
        return efer_is_valid(value, old);
    case CHECK_NEVER:
        return false;
    case CHECK_NONE:
    case CHECK_GPA:
    case CHECK_XFEM:
        break;
    }
    return true;
}

bool rip_is_valid(const struct vp_state *s, uint64_t rip)
{
    return is_code64(s) ? address_is_canonical(rip) : rip >> 32 == 0;
}

bool segment_is_valid(const struct segment *segment, unsigned index)
{
    struct question q = {.asker = ASK_SET};
    one_segment(&q, segment, index);
    return q.broken == 0 && (!(segment->attributes & SEGMENT_PRESENT) || limit_is_valid(segment));
}
