/* SPDX-License-Identifier: MIT */
/*
 * Each rule of an entry, broken alone in each mode where that can be: how many are broken then,
 * in which words, and for whom. A rule of rules.c that is broken nowhere here fails the test.
 */
/* unit: hv/model/rules.c hv/model/vp.c */
#include "unit.h"

#include "hv/base/console.h"
#include "hv/model/rules.h"
#include "hv/model/segment.h"
#include "hv/model/vp.h"

#define RULES_SOURCE  "hv/model/rules.c" /* tests run in the tree's top folder */
#define NOT_CANONICAL 0x1000000000000UL
#define IMPOSSIBLE    "guest state: CS is no code segment or SS cannot be a stack"
#define CR4_PCIDE     BIT(17)
#define CR4_LACKS     BIT(12)

enum mode { REAL, PROTECTED, PAGED, PAE, LONG, COMPATIBILITY, V86, MODES };
static const char *const mode_names[MODES] = {
    "real mode", "protected mode",     "32-bit paging",    "PAE paging",
    "64-bit",    "compatibility mode", "virtual-8086 mode"};
enum {
    IN_REAL = 1 << REAL,
    IN_PROTECTED = 1 << PROTECTED | 1 << PAGED | 1 << PAE, /* 32-bit, CPL 0 */
    IN_LONG = 1 << LONG,
    IN_COMPATIBILITY = 1 << COMPATIBILITY, /* CPL 3 */
    IN_V86 = 1 << V86,
    IN_CPL0 = IN_REAL | IN_PROTECTED | IN_LONG,
    NOT_V86 = IN_CPL0 | IN_COMPATIBILITY,
    NOT_LONG = IN_REAL | IN_PROTECTED | IN_V86, /* EFER.LMA is clear */
    ANY = NOT_V86 | IN_V86,
};

/* ---- valid states ---- */

static void user_segments(struct vp_state *s)
{
    for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
        s->seg[i].attributes |= SEGMENT_DPL;
        s->seg[i].selector |= 3;
    }
}

static void real_segments(struct vp_state *s, uint16_t attributes)
{
    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        s->seg[i] = (struct segment){0x12340, UINT16_MAX, 0x1234, attributes};
}

static struct vp_state state_in(enum mode mode)
{
    const uint16_t code[MODES] = {0, 0xC09B, 0xC09B, 0xC09B, 0xA09B, 0xC09B, 0};
    struct vp_state s = {.rip = 0x1000,
                         .rflags = RFLAGS_FIXED,
                         .cr0 = mode == REAL ? CR0_ET : CR0_ET | CR0_PE,
                         .dr6 = 0xFFFF0FF0,
                         .dr7 = 0x400,
                         .pat = 0x0007040600070406};
    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        s.seg[i] = (struct segment){0, UINT32_MAX, 0x10, 0xC093};
    s.seg[SEG_CS] = (struct segment){0, UINT32_MAX, 8, code[mode]};
    s.seg[SEG_LDTR] = (struct segment){0x2000, 0xFFF, 0x30, 0x82};
    s.seg[SEG_TR] = (struct segment){0x3000, 0x67, 0x28, 0x8B};
    if (mode >= PAGED && mode <= COMPATIBILITY)
        s.cr0 |= CR0_PG;
    if (mode >= PAE && mode <= COMPATIBILITY)
        s.cr4 |= CR4_PAE;
    if (mode == LONG || mode == COMPATIBILITY)
        s.efer = EFER_LME | EFER_LMA;
    if (mode == COMPATIBILITY)
        user_segments(&s);
    if (mode == REAL) {
        real_segments(&s, 0x93);
        s.seg[SEG_CS].attributes = 0x9B;
    }
    if (mode == V86) {
        real_segments(&s, 0xF3);
        s.rflags |= RFLAGS_VM;
    }
    return s;
}

/* ---- what breaks them ---- */

enum {
    SET_VTX = ASK_SET | ASK_VTX,
    SET_AMDV = ASK_SET | ASK_AMDV,
    ALL_ASK = SET_VTX | ASK_AMDV,
    AND_IMPOSSIBLE = 8, /* AMD-V refuses it, too, by its one rule over CS and SS */
};
#define OF(name) (1u << SEG_##name)
enum {
    OF_DATA = OF(ES) | OF(DS) | OF(FS) | OF(GS),
    OF_CODE_STACK = OF(CS) | OF(SS),
    OF_SYSTEM = OF(LDTR) | OF(TR),
    OF_ALL = OF_DATA | OF_CODE_STACK | OF_SYSTEM,
};

static void set_type(struct segment *g, unsigned type)
{
    g->attributes = (uint16_t)((g->attributes & ~(unsigned)SEGMENT_TYPE) | type);
}

#define EVENT(t, v)                                                                                \
    s->event = (struct event)                                                                      \
    {                                                                                              \
        .valid = true, .type = (t), .vector = (v)                                                  \
    }

/* clang-format off */
/* X(name, words, who sees it, modes, the change of *s) */
#define BREAKS_STATE(X)                                                                            \
    X(cr0_high, "CR0: a bit above 31 is set", ALL_ASK, ANY, s->cr0 |= BIT(32))                     \
    X(pg_alone, "CR0: PG is set without PE", ALL_ASK, IN_CPL0,                                     \
      s->cr0 |= CR0_PG; s->cr0 &= ~(uint64_t)CR0_PE)                                               \
    X(nw_alone, "CR0: NW is set without CD", SET_AMDV, ANY, s->cr0 |= CR0_NW)                      \
    X(cr3, "CR3: beyond the physical address width", ALL_ASK, ANY, s->cr3 = BIT(40))               \
    X(cr4, "CR4: a bit that this processor lacks is set", ALL_ASK, ANY, s->cr4 |= CR4_LACKS)       \
    X(no_pae, "CR4: 64-bit mode without PAE", ALL_ASK, IN_LONG | IN_COMPATIBILITY,                 \
      s->cr4 = 0)                                                                                  \
    X(pcide, "CR4: PCIDE outside 64-bit mode", SET_VTX, NOT_LONG, s->cr4 |= CR4_PCIDE)             \
    X(efer, "EFER: a reserved bit is set", ALL_ASK, ANY, s->efer |= BIT(9))                        \
    X(lma, "EFER: LMA is not as LME and CR0.PG make it", SET_VTX, NOT_V86, s->efer ^= EFER_LMA)    \
    X(lme, "EFER: LMA is not as LME and CR0.PG make it", SET_VTX, 1 << PAE, s->efer |= EFER_LME)   \
    X(dr7, "DR7: a bit above 31 is set", ALL_ASK, ANY, s->dr7 |= BIT(32))                          \
    X(dr6, "DR6: a bit above 31 is set", SET_AMDV, ANY, s->dr6 |= BIT(63))                         \
    X(debugctl, "DEBUGCTL: a reserved bit is set", ASK_VTX, ANY, s->debugctl = BIT(3))             \
    X(debugctl16, "DEBUGCTL: a reserved bit is set", ASK_VTX, ANY, s->debugctl = BIT(16))          \
    X(pat_2, "PAT: a reserved memory type", ALL_ASK, ANY, s->pat = 2)                              \
    X(pat_3, "PAT: a reserved memory type", ALL_ASK, ANY, s->pat = 3UL << 56)                      \
    X(pat_8, "PAT: a reserved memory type", ALL_ASK, ANY, s->pat = 0x80UL << 32)                   \
    X(esp, "SYSENTER_ESP: not canonical", ASK_VTX, ANY, s->sysenter_esp = NOT_CANONICAL)           \
    X(eip, "SYSENTER_EIP: not canonical", ASK_VTX, ANY, s->sysenter_eip = NOT_CANONICAL)           \
    X(gdtr, "GDTR: base is not canonical", SET_VTX, ANY, s->gdtr.base = NOT_CANONICAL)             \
    X(idtr, "IDTR: base is not canonical", SET_VTX, ANY, s->idtr.base = NOT_CANONICAL)             \
    X(rflags3, "RFLAGS: a reserved bit is set", SET_VTX, ANY, s->rflags |= BIT(3))                 \
    X(rflags5, "RFLAGS: a reserved bit is set", SET_VTX, ANY, s->rflags |= BIT(5))                 \
    X(rflags15, "RFLAGS: a reserved bit is set", SET_VTX, ANY, s->rflags |= BIT(15))               \
    X(rflags22, "RFLAGS: a reserved bit is set", SET_VTX, ANY, s->rflags |= BIT(22))               \
    X(rflags63, "RFLAGS: a reserved bit is set", SET_VTX, ANY, s->rflags |= BIT(63))               \
    X(rflags1, "RFLAGS: bit 1 is clear", SET_VTX, ANY, s->rflags &= ~2UL)                          \
    X(v86_long, "RFLAGS: VM in 64-bit mode", SET_VTX, IN_V86,                                      \
      s->efer = EFER_LME | EFER_LMA; s->cr0 |= CR0_PG; s->cr4 |= CR4_PAE)                          \
    X(v86_real, "RFLAGS: VM in real mode", SET_VTX, IN_V86, s->cr0 &= ~(uint64_t)CR0_PE)           \
    X(rip_32, "RIP: not canonical, or above 4 GiB outside 64-bit code", SET_VTX, ANY & ~IN_LONG,   \
      s->rip = BIT(32))                                                                            \
    X(rip_64, "RIP: not canonical, or above 4 GiB outside 64-bit code", SET_VTX, IN_LONG,          \
      s->rip = NOT_CANONICAL)                                                                      \
    X(no_if, "an interrupt is injected with IF clear", SET_VTX, ANY, EVENT(EVENT_INTERRUPT, 32))   \
    X(shadow, "an interrupt is injected into a shadow", SET_VTX, ANY, EVENT(EVENT_INTERRUPT, 32);  \
      s->rflags |= RFLAGS_IF; s->interrupt_shadow = true)                                          \
    X(nmi, "an NMI is injected while NMIs are blocked", SET_VTX, ANY,                              \
      EVENT(EVENT_NMI, VECTOR_NMI); s->nmi_masked = true)                                          \
    X(event_1, "the injected event is none", ALL_ASK, ANY, EVENT(1, 32))                           \
    X(event_2, "the injected event is none", ALL_ASK, ANY, EVENT(EVENT_EXCEPTION, VECTOR_NMI))     \
    X(event_32, "the injected event is none", ALL_ASK, ANY, EVENT(EVENT_EXCEPTION, 32))            \
    X(data_code, "CS is no code segment or SS cannot be a stack", ASK_AMDV, IN_PROTECTED | IN_LONG,\
      set_type(&s->seg[SEG_CS], TYPE_DATA_RW_ACCESSED))                                            \
    X(no_stack, "CS is no code segment or SS cannot be a stack", ASK_AMDV, IN_REAL,                \
      s->seg[SEG_SS].attributes = 0)

/* X(name, words, who, modes, segment registers, the change of *g, one of them, in *s) */
#define BREAKS_SEGMENT(X)                                                                          \
    X(reserved8, "a reserved attribute is set", SET_VTX, NOT_V86, OF_ALL, g->attributes |= BIT(8)) \
    X(reserved11, "a reserved attribute is set", SET_VTX, NOT_V86, OF_ALL,                         \
      g->attributes |= BIT(11))                                                                    \
    X(base, "base is not canonical", SET_VTX, NOT_V86, OF(FS) | OF(GS) | OF_SYSTEM,                \
      g->base = NOT_CANONICAL)                                                                     \
    X(base_v86, "base is not canonical", SET_VTX, IN_V86, OF_SYSTEM, g->base = NOT_CANONICAL)      \
    X(high, "base is above 4 GiB", SET_VTX, NOT_V86, OF(ES) | OF(DS) | OF_CODE_STACK,              \
      g->base = BIT(32))                                                                           \
    X(s, "a system segment where none belongs, or the other way round", SET_VTX, NOT_V86,          \
      OF_DATA | OF_SYSTEM, g->attributes ^= SEGMENT_S)                                             \
    X(s_code, "a system segment where none belongs, or the other way round",                       \
      SET_VTX | AND_IMPOSSIBLE, NOT_V86, OF_CODE_STACK, g->attributes ^= SEGMENT_S)                \
    X(ti, "selector is in the LDT", SET_VTX, ANY, OF_SYSTEM, g->selector |= SELECTOR_TI)           \
    X(pages, "limit is not as granularity says", ASK_VTX, NOT_V86, OF_ALL,                         \
      g->attributes |= SEGMENT_GRANULARITY; g->limit = 0xFFFFE)                                    \
    X(bytes, "limit is not as granularity says", ASK_VTX, NOT_V86, OF_ALL,                         \
      g->attributes &= (uint16_t)~SEGMENT_GRANULARITY; g->limit = 0x100000)                        \
    X(v86_base, "virtual-8086 base is not 16 * selector", SET_VTX, IN_V86, OF_DATA | OF_CODE_STACK,\
      g->base += 16)                                                                               \
    X(v86_limit, "virtual-8086 limit is not 0xFFFF", SET_VTX, IN_V86, OF_DATA | OF_CODE_STACK,     \
      g->limit = 0xFFFFF)                                                                          \
    X(v86_attributes, "virtual-8086 attributes are not 0xF3", SET_VTX, IN_V86,                     \
      OF_DATA | OF_CODE_STACK, g->attributes |= SEGMENT_DEFAULT_BIG)                               \
    X(accessed, "type without the accessed bit", SET_VTX, NOT_V86, OF_DATA, set_type(g, 2))        \
    X(readable, "code that is not readable", SET_VTX, NOT_V86, OF_DATA, set_type(g, 9))            \
    X(cs_unusable, "unusable", SET_VTX | AND_IMPOSSIBLE, NOT_V86, OF(CS),                          \
      g->attributes &= (uint16_t)~SEGMENT_PRESENT)                                                 \
    X(cs_type, "type is neither accessed code nor 3", SET_VTX, NOT_V86, OF(CS), set_type(g, 10))   \
    X(cs_data, "type is neither accessed code nor 3", SET_VTX, IN_REAL, OF(CS), set_type(g, 1))    \
    X(cs_data_pe, "type is neither accessed code nor 3", SET_VTX | AND_IMPOSSIBLE,                 \
      NOT_V86 & ~IN_REAL, OF(CS), set_type(g, 1))                                                  \
    X(cs_3, "type 3 with a DPL", SET_VTX, IN_REAL, OF(CS), set_type(g, 3);                         \
      g->attributes |= SEGMENT_DPL)                                                                \
    X(cs_3_pe, "type 3 with a DPL", SET_VTX | AND_IMPOSSIBLE, IN_PROTECTED | IN_LONG, OF(CS),      \
      set_type(g, 3); g->attributes |= SEGMENT_DPL)                                                \
    X(cs_dpl, "DPL differs from that of SS", SET_VTX, NOT_V86, OF(CS),                             \
      g->attributes ^= SEGMENT_DPL)                                                                \
    X(conforming, "conforming, with a DPL above that of SS", SET_VTX, IN_CPL0, OF(CS),             \
      set_type(g, 15); g->attributes |= 1 << SEGMENT_DPL_SHIFT)                                    \
    X(wide, "64-bit code with D set", ALL_ASK, IN_LONG | IN_COMPATIBILITY, OF(CS),                 \
      g->attributes |= SEGMENT_LONG | SEGMENT_DEFAULT_BIG)                                         \
    X(ss_real, "a DPL in real mode", SET_VTX, IN_REAL, OF(SS), g->attributes |= SEGMENT_DPL;       \
      set_type(&s->seg[SEG_CS], 13))                                                               \
    X(ss_real_3, "a DPL in real mode", SET_VTX, IN_REAL, OF(SS), g->attributes |= SEGMENT_DPL;     \
      set_type(&s->seg[SEG_CS], 3))                                                                \
    X(ss_type, "type is not 3 or 7", SET_VTX, NOT_V86, OF(SS), set_type(g, 6))                     \
    X(ss_read, "type is not 3 or 7", SET_VTX | AND_IMPOSSIBLE, NOT_V86, OF(SS), set_type(g, 5))    \
    X(ss_code, "type is not 3 or 7", SET_VTX | AND_IMPOSSIBLE, NOT_V86, OF(SS), set_type(g, 11))   \
    X(tr_unusable, "unusable", SET_VTX, ANY, OF(TR), g->attributes &= (uint16_t)~SEGMENT_PRESENT)  \
    X(tr_idle, "type is not that of a busy TSS", SET_VTX, ANY, OF(TR), set_type(g, 9))             \
    X(tr_16, "type is not that of a busy TSS", SET_VTX, IN_LONG | IN_COMPATIBILITY, OF(TR),        \
      set_type(g, TYPE_TSS16_BUSY))                                                                \
    X(ldtr, "type is not 2 (LDT)", SET_VTX, ANY, OF(LDTR), set_type(g, 3))

/* X(name, modes, segment registers, a change that breaks nothing) */
#define BREAKS_NOTHING(X)                                                                          \
    X(no_change, ANY, OF(CS), (void)0)                                                             \
    X(cache_off, ANY, OF(CS), s->cr0 |= CR0_NW | CR0_CD)                                           \
    X(cr3_last, ANY, OF(CS), s->cr3 = BIT(40) - 1)                                                 \
    X(lme_early, IN_REAL | 1 << PROTECTED | IN_V86, OF(CS), s->efer |= EFER_LME)                   \
    X(pcide_long, IN_LONG | IN_COMPATIBILITY, OF(CS), s->cr4 |= CR4_PCIDE)                         \
    X(debugctl_may, ANY, OF(CS), s->debugctl = 0xFFC7)                                             \
    X(pat_all, ANY, OF(CS), s->pat = 0x0001040506070006)                                           \
    X(rip_high, IN_LONG, OF(CS), s->rip = 0xFFFF800000000000)                                      \
    X(rip_4g, ANY, OF(CS), s->rip = UINT32_MAX)                                                    \
    X(interrupt, ANY, OF(CS), EVENT(EVENT_INTERRUPT, 0x20); s->rflags |= RFLAGS_IF)                \
    X(nmi_open, ANY, OF(CS), EVENT(EVENT_NMI, VECTOR_NMI); s->interrupt_shadow = true)             \
    X(no_event, ANY, OF(CS), s->event.type = 1)                                                    \
    X(high_base, NOT_V86, OF(FS) | OF(GS) | OF_SYSTEM, g->base = 0xFFFF800000000000)               \
    X(not_used, NOT_V86, OF_DATA | OF(LDTR), *g = (struct segment){BIT(32), 1, 7, 0x1C})           \
    X(null_stack, NOT_V86 & ~IN_REAL, OF(SS), g->attributes &= SEGMENT_DPL)                        \
    X(data_down, NOT_V86, OF_DATA, set_type(g, TYPE_DATA_DOWN_RW_ACCESSED))                        \
    X(data_read, NOT_V86, OF_DATA, set_type(g, 1))                                                 \
    X(data_code, NOT_V86, OF_DATA, set_type(g, 11))                                                \
    X(limit_max, NOT_V86, OF_ALL, g->attributes |= SEGMENT_GRANULARITY; g->limit = 0xFFF)          \
    X(limit_bytes, NOT_V86, OF_ALL, g->attributes &= (uint16_t)~SEGMENT_GRANULARITY;               \
      g->limit = 0xFFFFF)                                                                          \
    X(code_only, NOT_V86, OF(CS), set_type(g, 9))                                                  \
    X(conforming_0, NOT_V86, OF(CS), set_type(g, 15); g->attributes &= (uint16_t)~SEGMENT_DPL)     \
    X(real_data, IN_REAL, OF(CS), set_type(g, TYPE_DATA_RW_ACCESSED))                              \
    X(stack_down, NOT_V86, OF(SS), set_type(g, TYPE_DATA_DOWN_RW_ACCESSED))                        \
    X(long_32, IN_REAL | IN_PROTECTED, OF(CS), g->attributes |= SEGMENT_LONG | SEGMENT_DEFAULT_BIG)\
    X(tss_16, NOT_LONG, OF(TR), set_type(g, TYPE_TSS16_BUSY))
/* clang-format on */

#define CHANGE_STATE(name, words, who, modes, ...)                                                 \
    static void break_##name(struct vp_state *s, struct segment *g)                                \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }
#define CHANGE_SEGMENT(name, words, who, modes, registers, ...)                                    \
    static void break_##name(struct vp_state *s, struct segment *g)                                \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }
#define CHANGE_NOTHING(name, modes, registers, ...)                                                \
    static void leave_##name(struct vp_state *s, struct segment *g)                                \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }
BREAKS_STATE(CHANGE_STATE)
BREAKS_SEGMENT(CHANGE_SEGMENT)
BREAKS_NOTHING(CHANGE_NOTHING)

static const struct row {
    const char *name, *words;
    unsigned who, modes, registers; /* registers 0: the rule names no segment */
    void (*change)(struct vp_state *s, struct segment *g);
} rows[] = {
#define STATE_ROW(name, words, who, modes, ...) {#name, words, who, modes, 0, break_##name},
#define SEGMENT_ROW(name, words, who, modes, registers, ...)                                       \
    {#name, words, who, modes, registers, break_##name},
#define NOTHING_ROW(name, modes, registers, ...) {#name, NULL, 0, modes, registers, leave_##name},
    BREAKS_STATE(STATE_ROW) BREAKS_SEGMENT(SEGMENT_ROW) BREAKS_NOTHING(NOTHING_ROW)};

/* ---- asking ---- */

static char said[1024];
static unsigned lines;

void say(enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = strlen(said);
    vsnprintf(said + length, sizeof(said) - length, format, arguments);
    va_end(arguments);
    assert_int_equal(level, LOG_ERROR);
    lines++;
}

static unsigned ask(const struct vp_state *s, enum rule_asker asker, bool tell)
{
    said[0] = 0;
    lines = 0;
    return rules_broken(s, asker, tell);
}

static void expect(const struct row *row, enum mode mode, const struct vp_state *s,
                   enum rule_asker asker, const char *words)
{
    unsigned broken = ask(s, asker, true), want = words[0] != 0;
    if (broken != want || lines != want || strcmp(said, words) != 0)
        fail_msg("%s in %s, asker %u: %u broken: \"%s\", not \"%s\"", row->name, mode_names[mode],
                 (unsigned)asker, broken, said, words);
    assert_int_equal(ask(s, asker, false), want);
    assert_int_equal(lines, 0);
}

static void one(const struct row *row, enum mode mode, unsigned reg)
{
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
    struct vp_state s = state_in(mode);
    row->change(&s, &s.seg[reg]);
    char words[256] = "";
    if (row->words && row->registers)
        snprintf(words, sizeof(words), "guest state: %s: %s (attributes 0x%x)", names[reg],
                 row->words, s.seg[reg].attributes);
    else if (row->words)
        snprintf(words, sizeof(words), "guest state: %s", row->words);
    for (unsigned asker = ASK_SET; asker <= ASK_AMDV; asker <<= 1)
        if (asker == ASK_AMDV && (row->who & AND_IMPOSSIBLE))
            expect(row, mode, &s, ASK_AMDV, IMPOSSIBLE);
        else
            expect(row, mode, &s, (enum rule_asker)asker, row->who & asker ? words : "");
}

static void set_limits(void)
{
    entry_limits = (struct entry_limits){
        .cr3_may = BIT(40) - 1,
        .cr4_may = UINT32_MAX & ~CR4_LACKS,
        .efer_may = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
    };
}

static void each_rule_alone(void **state)
{
    (void)state;
    set_limits();
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        for (unsigned mode = 0; mode < MODES; mode++)
            for (unsigned reg = 0; reg < SEG_COUNT; reg++)
                if ((rows[i].modes & 1u << mode) &&
                    (rows[i].registers ? rows[i].registers & 1u << reg : reg == 0))
                    one(&rows[i], (enum mode)mode, reg);
}

/* How many rules the words were tested for: different ones in the same words are about different
   segments. */
static unsigned tested(const char *words)
{
    unsigned found = 0, registers = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!rows[i].words || strcmp(rows[i].words, words) != 0)
            continue;
        if (found == 0 || (rows[i].registers && !(rows[i].registers & registers)))
            found++;
        registers |= rows[i].registers;
    }
    return found;
}

static void every_rule_is_tested(void **state)
{
    (void)state;
    static char text[1 << 16];
    const char *words[100];
    unsigned rules = 0;
    FILE *file = fopen(RULES_SOURCE, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    assert_in_range(length, 1, sizeof(text) - 2);
    for (char *at = text; (at = strstr(at, "rule(q, ")) != NULL; rules++) {
        assert_true(rules < ARRAY_SIZE(words));
        words[rules] = strchr(at, '"') + 1;
        at = strchr(words[rules], '"');
        *at++ = 0;
        unsigned same = 0;
        for (unsigned i = 0; i <= rules; i++)
            same += strcmp(words[i], words[rules]) == 0;
        if (tested(words[rules]) < same)
            fail_msg("no test breaks the rule \"%s\"", words[rules]);
    }
    assert_true(rules > 40); /* they were found */
}

/* Rules add up, and each is told. */
static void rules_add_up(void **state)
{
    (void)state;
    set_limits();
    struct vp_state s = state_in(LONG);
    s.cr0 |= BIT(40);
    s.rip = NOT_CANONICAL;
    s.seg[SEG_FS].base = NOT_CANONICAL;
    assert_int_equal(ask(&s, ASK_SET, true), 3);
    assert_int_equal(lines, 3);
    assert_int_equal(ask(&s, ASK_AMDV, true), 1);
    assert_int_equal(lines, 1);
    assert_false(state_is_valid(&s));
}

static void reset_is_valid(void **state)
{
    (void)state;
    set_limits();
    struct vp *vp = calloc(1, sizeof(*vp));
    vp_reset_state(vp);
    for (unsigned asker = ASK_SET; asker <= ASK_AMDV; asker <<= 1)
        assert_int_equal(ask(&vp->state, (enum rule_asker)asker, true), 0);
    assert_true(state_is_valid(&vp->state));
    free(vp);
}

/* ---- parts of a state ---- */

static void rips(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < MODES; mode++) {
        struct vp_state s = state_in((enum mode)mode);
        assert_true(rip_is_valid(&s, UINT32_MAX));
        assert_int_equal(rip_is_valid(&s, BIT(32)), mode == LONG);
        assert_int_equal(rip_is_valid(&s, 0xFFFF800000000000), mode == LONG);
        assert_false(rip_is_valid(&s, NOT_CANONICAL));
    }
}

static void single_segments(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < MODES; mode++)
        for (unsigned i = 0; i < SEG_COUNT; i++) {
            const struct segment good = state_in((enum mode)mode).seg[i];
            bool wide = i == SEG_FS || i == SEG_GS || i >= SEG_LDTR;
            struct segment g = good;
            assert_true(segment_is_valid(&g, i));
            g.base = BIT(32);
            assert_int_equal(segment_is_valid(&g, i), wide);
            g.base = NOT_CANONICAL;
            assert_false(segment_is_valid(&g, i));
            g = good;
            g.attributes ^= SEGMENT_S;
            assert_false(segment_is_valid(&g, i));
            g = good;
            g.attributes |= 0x400;
            assert_false(segment_is_valid(&g, i));
            g = good;
            g.selector |= SELECTOR_TI;
            assert_int_equal(segment_is_valid(&g, i), i < SEG_LDTR);
            g = good;
            g.attributes |= SEGMENT_GRANULARITY;
            g.limit = 0x1FFE;
            assert_false(segment_is_valid(&g, i));
            g.attributes &= (uint16_t)~SEGMENT_GRANULARITY;
            assert_true(segment_is_valid(&g, i));
            g.limit = 0x100FFF;
            assert_false(segment_is_valid(&g, i));
            g = (struct segment){i == SEG_CS ? 0 : BIT(32), 0x100000, 4, 0x1C};
            assert_true(segment_is_valid(&g, i)); /* not present: nothing of it counts */
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_alone),
        cmocka_unit_test(every_rule_is_tested),
        cmocka_unit_test(rules_add_up),
        cmocka_unit_test(reset_is_valid),
        cmocka_unit_test(rips),
        cmocka_unit_test(single_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
