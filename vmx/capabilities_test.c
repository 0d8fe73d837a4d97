/* SPDX-License-Identifier: MIT */
/* Which controls a processor must have, and which a VP of each kind gets of what it has. */
/* unit: vmx/capabilities.c */
#include "unit.h"

#include "hv/base/console.h"
#include "vmx/vmx.h"

#define ALL_MAY    0xFFFFFFFF00000000UL /* any control may be 1, none must */
#define MAY(bits)  ((uint64_t)(bits) << 32)
#define WITHOUT(b) (ALL_MAY & ~MAY(b))

enum { CHILD = false, FIRST = true };

static char said[1024]; /* all that was said since the last refused(), a line each */

void say(enum log_level level, const char *format, ...)
{
    assert_int_equal(level, LOG_ERROR);
    size_t length = strlen(said);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said + length, sizeof(said) - length, format, arguments);
    va_end(arguments);
    strncat(said, "\n", sizeof(said) - strlen(said) - 1);
}

static bool refused(enum vmx_word word, uint64_t capability)
{
    said[0] = 0;
    return !vmx_require_controls(word, capability);
}

static void nothing_is_missed_where_all_is(void **state)
{
    (void)state;
    for (enum vmx_word word = 0; word < VMX_WORDS; word++) {
        assert_false(refused(word, ALL_MAY));
        assert_string_equal(said, "");
    }
}

static void what_is_missed_is_named(void **state)
{
    (void)state;
    static const struct {
        enum vmx_word word;
        uint32_t bit;
        const char *line;
    } cases[] = {
        {VMX_PIN, PIN_NMI, "NMI exiting: processors are kicked out of their guests by NMIs"},
        {VMX_PRIMARY, PRIMARY_HLT, "HLT exiting: a child's HLT is an intercept"},
        {VMX_PRIMARY, PRIMARY_NMI_WINDOW, "NMI-window exiting: pending NMIs of a guest"},
        {VMX_PRIMARY, PRIMARY_SECONDARY, "secondary controls: EPT is one of them"},
        {VMX_EXIT, EXITC_HOST_64, "a 64-bit host"},
        {VMX_ENTRY, ENTRYC_IA32E_GUEST, "64-bit guests"},
        {VMX_SECONDARY, SECONDARY_UNRESTRICTED_GUEST,
         "unrestricted guest: real mode runs on the processor itself"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char line[128];
        snprintf(line, sizeof(line), "VT-x: this processor lacks %s\n", cases[i].line);
        assert_true(refused(cases[i].word, WITHOUT(cases[i].bit)));
        assert_string_equal(said, line);
    }
    assert_true(refused(VMX_ENTRY, WITHOUT(ENTRYC_LOAD_PAT | ENTRYC_LOAD_EFER)));
    assert_string_equal(said, "VT-x: this processor lacks loading EFER on entry: the guest owns "
                              "its EFER\nVT-x: this processor lacks loading PAT on entry: the "
                              "guest owns its PAT\n");
}

/* Bit by bit: a control is needed exactly if it is in this list. */
static void nothing_else_is_needed(void **state)
{
    (void)state;
    static const uint32_t needed[VMX_WORDS] = {
        [VMX_PIN] = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS,
        [VMX_PRIMARY] = PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW | PRIMARY_TSC_OFFSET |
                        PRIMARY_HLT | PRIMARY_MWAIT | PRIMARY_MONITOR | PRIMARY_RDPMC |
                        PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE | PRIMARY_IO | PRIMARY_MSR_BITMAPS |
                        PRIMARY_SECONDARY,
        [VMX_EXIT] = EXITC_HOST_64 | EXITC_SAVE_DEBUG | EXITC_SAVE_EFER | EXITC_LOAD_EFER |
                     EXITC_SAVE_PAT | EXITC_LOAD_PAT,
        [VMX_ENTRY] = ENTRYC_LOAD_DEBUG | ENTRYC_IA32E_GUEST | ENTRYC_LOAD_EFER | ENTRYC_LOAD_PAT,
        [VMX_SECONDARY] = SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_WBINVD,
    };
    for (enum vmx_word word = 0; word < VMX_WORDS; word++)
        for (unsigned i = 0; i < 32; i++) {
            assert_int_equal(refused(word, WITHOUT(1U << i)), needed[word] >> i & 1);
            assert_int_equal(said[0] != 0, needed[word] >> i & 1);
        }
}

static void a_toggled_control_is_clear_at_first(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        uint32_t primary = vmx_settle_controls(VMX_PRIMARY, ALL_MAY, first);
        assert_int_equal(primary & (PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW), 0);
        assert_int_equal(vmx_settle_controls(VMX_ENTRY, ALL_MAY, first) & ENTRYC_IA32E_GUEST, 0);
    }
}

static void the_first_partition_is_trapped_less(void **state)
{
    (void)state;
    assert_int_equal(vmx_settle_controls(VMX_PIN, ALL_MAY, FIRST), PIN_NMI | PIN_VIRTUAL_NMIS);
    assert_int_equal(vmx_settle_controls(VMX_PIN, ALL_MAY, CHILD),
                     PIN_NMI | PIN_VIRTUAL_NMIS | PIN_EXTERNAL_INTERRUPT | PIN_PREEMPTION_TIMER);
    uint32_t first = vmx_settle_controls(VMX_PRIMARY, ALL_MAY, FIRST);
    assert_int_equal(first, PRIMARY_TSC_OFFSET | PRIMARY_MSR_BITMAPS | PRIMARY_SECONDARY);
    assert_int_equal(vmx_settle_controls(VMX_PRIMARY, ALL_MAY, CHILD),
                     first | PRIMARY_HLT | PRIMARY_MWAIT | PRIMARY_MONITOR | PRIMARY_RDPMC |
                         PRIMARY_IO | PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE);
}

static void an_optional_control_is_set_where_it_is(void **state)
{
    (void)state;
    uint32_t both = SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST;
    uint32_t optional = SECONDARY_VPID | SECONDARY_RDTSCP | SECONDARY_INVPCID;
    uint32_t of_first = SECONDARY_XSAVES | SECONDARY_USER_WAIT;
    assert_int_equal(vmx_settle_controls(VMX_SECONDARY, ALL_MAY, FIRST),
                     both | optional | of_first);
    assert_int_equal(vmx_settle_controls(VMX_SECONDARY, ALL_MAY, CHILD),
                     both | optional | SECONDARY_WBINVD);

    uint64_t least = WITHOUT(optional | of_first);
    assert_false(refused(VMX_SECONDARY, least));
    assert_int_equal(vmx_settle_controls(VMX_SECONDARY, least, FIRST), both);
    assert_int_equal(vmx_settle_controls(VMX_SECONDARY, least, CHILD), both | SECONDARY_WBINVD);
    assert_false(refused(VMX_PIN, WITHOUT(PIN_PREEMPTION_TIMER)));
    assert_int_equal(vmx_settle_controls(VMX_PIN, WITHOUT(PIN_PREEMPTION_TIMER), CHILD),
                     PIN_NMI | PIN_VIRTUAL_NMIS | PIN_EXTERNAL_INTERRUPT);
}

/* With a row or without, whoever the VP is. */
static void what_must_be_1_is(void **state)
{
    (void)state;
    uint32_t must = 0x0401E172 | PRIMARY_HLT | PRIMARY_INTERRUPT_WINDOW;
    for (unsigned first = 0; first < 2; first++)
        assert_int_equal(vmx_settle_controls(VMX_PRIMARY, ALL_MAY | must, first),
                         vmx_settle_controls(VMX_PRIMARY, ALL_MAY, first) | must);
}

/* vmx_caps has one word of each for every VP. */
static void exits_and_entries_are_alike(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        uint64_t capability = WITHOUT(1U << i);
        assert_int_equal(vmx_settle_controls(VMX_EXIT, capability, FIRST),
                         vmx_settle_controls(VMX_EXIT, capability, CHILD));
        assert_int_equal(vmx_settle_controls(VMX_ENTRY, capability, FIRST),
                         vmx_settle_controls(VMX_ENTRY, capability, CHILD));
    }
}

/* Capability MSRs that Bochs 2.7 has, and the words that its guests ran with. */
static void words_of_known_processors(void **state)
{
    (void)state;
    static const struct {
        enum vmx_word word;
        uint64_t capability;
        uint32_t child, first;
    } known[] = {
        {VMX_PIN, 0x0000007F00000016, 0x7F, 0x3E},
        {VMX_PRIMARY, 0xF7F9FFFE04006172, 0xB5186DFA, 0x9400617A},
        {VMX_EXIT, 0x007FFFFF00036DFB, 0x3F6FFF, 0x3F6FFF},
        {VMX_ENTRY, 0x0000FFFF000011FB, 0xD1FF, 0xD1FF},
        {VMX_SECONDARY, 0x02177FFF00000000, 0x10EA, 0x1010AA}, /* Skylake-X */
        {VMX_SECONDARY, 0x00047FFF00000000, 0x10EA, 0x10AA},   /* Haswell */
        {VMX_SECONDARY, 0x000000FF00000000, 0xEA, 0xAA},       /* Arrandale */
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        assert_false(refused(known[i].word, known[i].capability));
        assert_int_equal(vmx_settle_controls(known[i].word, known[i].capability, CHILD),
                         known[i].child);
        assert_int_equal(vmx_settle_controls(known[i].word, known[i].capability, FIRST),
                         known[i].first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_missed_where_all_is),
        cmocka_unit_test(what_is_missed_is_named),
        cmocka_unit_test(nothing_else_is_needed),
        cmocka_unit_test(a_toggled_control_is_clear_at_first),
        cmocka_unit_test(the_first_partition_is_trapped_less),
        cmocka_unit_test(an_optional_control_is_set_where_it_is),
        cmocka_unit_test(what_must_be_1_is),
        cmocka_unit_test(exits_and_entries_are_alike),
        cmocka_unit_test(words_of_known_processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
