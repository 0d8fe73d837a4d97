/*
 * What a processor refuses to run: register values that are wrong by
 * themselves, and states that are wrong as a whole. The rules are those of a
 * VT-x entry (SDM 27.3.1, with "unrestricted guest"), on AMD-V as well, so that
 * a VMM meets the same rules everywhere and no state that a guest can write
 * makes an entry fail in a way that would stop the hypervisor.
 */
#include "hv/model/rules.h"

#include "hv/base/features.h"

#define RFLAGS_ZERO (~0x3FFFFFUL | BIT(15) | BIT(5) | BIT(3))

#define CR0_DEFINED                                                                                \
    ((uint64_t)CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW |    \
     CR0_CD | CR0_PG)

#define CR4_PCIDE BIT(17)

enum { /* of a segment's attributes */
       ATTRIBUTE_TYPE = 0xF,
       ATTRIBUTE_S = 1 << 4,
       ATTRIBUTE_PRESENT = 1 << 7,
       ATTRIBUTE_ZERO = 0xF00,
       ATTRIBUTE_LONG = 1 << 13,
       ATTRIBUTE_DEFAULT = 1 << 14,
       ATTRIBUTE_GRANULARITY = 1 << 15,

       TYPE_ACCESSED = 1,
       TYPE_WRITE = 2, /* data: writable; code: readable */
       TYPE_CODE = 8,
       TYPE_CODE_CONFORMING = 4,
       TYPE_DATA_WRITE_ACCESSED = 3,
       TYPE_DATA_DOWN_WRITE_ACCESSED = 7,
       TYPE_LDT = 2,
       TYPE_TSS16_BUSY = 3,
       TYPE_TSS32_BUSY = 11,

       ATTRIBUTES_VM86 = 0xF3,
       SELECTOR_TI = 4,
};

bool rflags_are_valid(uint64_t rflags)
{
    return (rflags & RFLAGS_FIXED) && !(rflags & RFLAGS_ZERO);
}

bool cr0_is_valid(uint64_t cr0, uint64_t old)
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

bool cr4_is_valid(uint64_t cr4, uint64_t old)
{
    return !(cr4 & ~(cr4_supported() | old));
}

bool efer_is_valid(uint64_t efer, uint64_t old)
{
    uint64_t known = (uint64_t)EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    if (efer & ~(known | old))
        return false;
    return !(efer & EFER_LMA) || (efer & EFER_LME);
}

bool pat_is_valid(uint64_t pat)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t type = (uint8_t)(pat >> (8 * i));
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

/* The limit's low 12 bits are all 1 where G says pages, its high 12 bits 0 where it says bytes. */
static bool limit_is_valid(const struct segment *s)
{
    if (s->attributes & ATTRIBUTE_GRANULARITY)
        return (s->limit & 0xFFF) == 0xFFF;
    return s->limit >> 20 == 0;
}

/* All but the limit: AMD processors do not look at G themselves and may leave it as it is. */
static bool base_and_rights_are_valid(const struct segment *s, unsigned index)
{
    bool present = (s->attributes & ATTRIBUTE_PRESENT) != 0;
    bool system = index == SEG_LDTR || index == SEG_TR;
    if (s->attributes & ATTRIBUTE_ZERO)
        return false;
    if (!address_is_canonical(s->base))
        return false;
    bool any_base = system || index == SEG_FS || index == SEG_GS;
    if (!any_base && (present || index == SEG_CS) && s->base >> 32)
        return false;
    if (present && system == ((s->attributes & ATTRIBUTE_S) != 0))
        return false;
    return !(system && present && (s->selector & SELECTOR_TI));
}

bool segment_is_valid(const struct segment *s, unsigned index)
{
    return base_and_rights_are_valid(s, index) &&
           (!(s->attributes & ATTRIBUTE_PRESENT) || limit_is_valid(s));
}

static unsigned type_of(const struct segment *s)
{
    return s->attributes & ATTRIBUTE_TYPE;
}

static unsigned dpl_of(const struct segment *s)
{
    return (unsigned)s->attributes >> 5 & 3;
}

static bool code_is_valid(const struct vp_state *state)
{
    const struct segment *cs = &state->seg[SEG_CS], *ss = &state->seg[SEG_SS];
    unsigned type = type_of(cs);
    if (!(cs->attributes & ATTRIBUTE_PRESENT))
        return false;
    if ((state->efer & EFER_LMA) && (cs->attributes & ATTRIBUTE_LONG) &&
        (cs->attributes & ATTRIBUTE_DEFAULT))
        return false;
    if (type == TYPE_DATA_WRITE_ACCESSED) /* what real mode leaves there */
        return dpl_of(cs) == 0;
    if (!(type & TYPE_CODE) || !(type & TYPE_ACCESSED))
        return false;
    return type & TYPE_CODE_CONFORMING ? dpl_of(cs) <= dpl_of(ss) : dpl_of(cs) == dpl_of(ss);
}

static bool stack_is_valid(const struct vp_state *state)
{
    const struct segment *cs = &state->seg[SEG_CS], *ss = &state->seg[SEG_SS];
    bool flat_ring = type_of(cs) == TYPE_DATA_WRITE_ACCESSED || !(state->cr0 & CR0_PE);
    if (flat_ring && dpl_of(ss) != 0)
        return false;
    return !(ss->attributes & ATTRIBUTE_PRESENT) || type_of(ss) == TYPE_DATA_WRITE_ACCESSED ||
           type_of(ss) == TYPE_DATA_DOWN_WRITE_ACCESSED;
}

static bool data_is_valid(const struct segment *s)
{
    if (!(s->attributes & ATTRIBUTE_PRESENT))
        return true;
    if (!(type_of(s) & TYPE_ACCESSED))
        return false;
    return !(type_of(s) & TYPE_CODE) || (type_of(s) & TYPE_WRITE);
}

static bool vm86_segments_are_valid(const struct vp_state *state)
{
    for (unsigned i = 0; i <= SEG_GS; i++) {
        const struct segment *s = &state->seg[i];
        if (s->base != (uint64_t)s->selector << 4 || s->limit != 0xFFFF ||
            s->attributes != ATTRIBUTES_VM86)
            return false;
    }
    return true;
}

static bool segments_are_valid(const struct vp_state *state)
{
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (!base_and_rights_are_valid(&state->seg[i], i))
            return false;
    const struct segment *tr = &state->seg[SEG_TR], *ldtr = &state->seg[SEG_LDTR];
    if (!(tr->attributes & ATTRIBUTE_PRESENT))
        return false;
    if (type_of(tr) != TYPE_TSS32_BUSY &&
        (type_of(tr) != TYPE_TSS16_BUSY || (state->efer & EFER_LMA)))
        return false;
    if ((ldtr->attributes & ATTRIBUTE_PRESENT) && type_of(ldtr) != TYPE_LDT)
        return false;
    if (state->rflags & RFLAGS_VM)
        return vm86_segments_are_valid(state);
    return code_is_valid(state) && stack_is_valid(state) && data_is_valid(&state->seg[SEG_DS]) &&
           data_is_valid(&state->seg[SEG_ES]) && data_is_valid(&state->seg[SEG_FS]) &&
           data_is_valid(&state->seg[SEG_GS]);
}

static bool control_registers_are_valid(const struct vp_state *s)
{
    bool paging = (s->cr0 & CR0_PG) != 0, lme = (s->efer & EFER_LME) != 0;
    bool lma = (s->efer & EFER_LMA) != 0;
    if (!cr0_is_valid(s->cr0, s->cr0) || !efer_is_valid(s->efer, s->efer))
        return false;
    if (lma != (lme && paging) || (lma && !(s->cr4 & CR4_PAE)))
        return false;
    return lma || !(s->cr4 & CR4_PCIDE);
}

bool rip_is_valid(const struct vp_state *s, uint64_t rip)
{
    bool code64 = (s->efer & EFER_LMA) && (s->seg[SEG_CS].attributes & ATTRIBUTE_LONG);
    return code64 ? address_is_canonical(rip) : rip >> 32 == 0;
}

/* SDM 27.3.1.4 (RFLAGS, RIP) and 27.2.1.3 (the event). */
static bool execution_is_valid(const struct vp_state *s)
{
    bool lma = (s->efer & EFER_LMA) != 0;
    if (!rflags_are_valid(s->rflags))
        return false;
    if ((s->rflags & RFLAGS_VM) && (lma || !(s->cr0 & CR0_PE)))
        return false;
    if (!rip_is_valid(s, s->rip))
        return false;
    if (!s->event.valid)
        return true;
    if (s->event.type == EVENT_INTERRUPT)
        return (s->rflags & RFLAGS_IF) && !s->interrupt_shadow;
    return s->event.type != EVENT_NMI || !s->nmi_masked;
}

bool state_is_valid(const struct vp_state *s)
{
    return control_registers_are_valid(s) && execution_is_valid(s) && segments_are_valid(s) &&
           address_is_canonical(s->gdtr.base) && address_is_canonical(s->idtr.base);
}
