/* SPDX-License-Identifier: MIT */
/*
 * The list of calls: each row says of its call what hypercalls/abi.h says, each
 * status has its name, and the debug line shows what was asked for.
 */
/* unit: +hypercalls hypercalls/fake/calls.c */
#include "unit.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#include "hv/base/console.h"
#include "hypercalls/fake/calls.h"
#include "hypercalls/table.h"

static int start(void **state)
{
    (void)state;
    fake_start(&npt_format, PRIVILEGES_ROOT);
    return 0;
}

static int end(void **state)
{
    (void)state;
    log_level = LOG_WARN;
    fake_trace = false;
    fake_end();
    return 0;
}

/* ---- the rows, beside the text of abi.h ---- */

/* The next line "    PREFIXname = number," of the file: the name's rest. False: no more. */
static bool next_enumerator(FILE *file, const char *prefix, char name[64], unsigned *number)
{
    char line[200], pattern[64];
    snprintf(pattern, sizeof(pattern), " %s%%63[A-Z0-9_] = %%x,", prefix);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, pattern, name, number) == 2)
            return true;
    return false;
}

static FILE *open_abi(void)
{
    FILE *file = fopen("hypercalls/abi.h", "r");
    assert_non_null(file);
    return file;
}

static void each_code_has_its_row(void **state)
{
    (void)state;
    bool known[CALL_CODES] = {false};
    char name[64];
    unsigned code, count = 0;
    FILE *file = open_abi();
    for (; next_enumerator(file, "HVCALL_", name, &code); count++) {
        for (char *c = name; *c; c++)
            *c = (char)tolower(*c);
        assert_in_range(code, 1, CALL_CODES - 1);
        assert_non_null(call_table[code].handler);
        assert_string_equal(call_table[code].name, name);
        known[code] = true;
    }
    fclose(file);
    assert_in_range(count, 27, CALL_CODES);
    for (code = 0; code < CALL_CODES; code++)
        assert_true(known[code] == (call_table[code].handler != NULL));
}

static void each_status_has_its_name(void **state)
{
    (void)state;
    char name[64];
    unsigned status, count = 0;
    FILE *file = open_abi();
    for (; next_enumerator(file, "HV_STATUS_", name, &status); count++)
        assert_string_equal(outcome_name(status), name);
    fclose(file);
    assert_in_range(count, 21, 0x100);
    assert_string_equal(outcome_name(1), "?");
    assert_string_equal(outcome_name(0xFFFF), "?");
    assert_string_equal(outcome_name(CALL_CONTINUE), "goes on later");
    assert_string_equal(outcome_name(CALL_FAULT), "memory intercept");
    assert_string_equal(outcome_name(CALL_DISPATCH), "dispatched");
}

/* Numbers of the header, one behind the other; some are not shown. */
static void fields_lie_in_the_input(void **state)
{
    (void)state;
    for (unsigned code = 0; code < CALL_CODES; code++) {
        const struct call_row *row = &call_table[code];
        if (!row->handler)
            continue;
        unsigned last = 0;
        for (const struct call_field *field = row->fields(); field->name; field++) {
            assert_true(field->offset >= last);
            assert_in_range(field->size, 1, sizeof(uint64_t));
            last = field->offset + field->size;
        }
        assert_true(last <= row->header);
        assert_true((last != 0) == (row->header != 0));
    }
}

/* A kind of call says what it is, and only that. */
static void kinds(void **state)
{
    (void)state;
    for (unsigned code = 0; code < CALL_CODES; code++) {
        const struct call_row *row = &call_table[code];
        if (!row->handler)
            continue;
        assert_false(row->rep && (row->output || row->variable));
        bool aimed = row->how & (SELF | CHILD);
        assert_int_equal(aimed, (row->how & ANY_STATE) != 0);
        assert_false(!aimed && (row->how & VP));
        assert_false(aimed && !(row->how & LOCKED));
        assert_false(row->how & VP && row->header < offsetof(struct hv_input_vp, zero));
        assert_false(!row->rep && (row->in_element || row->out_element));
        assert_int_equal((row->refused & CONTROL_VARIABLE) == 0, row->variable != 0);
        assert_int_equal((row->refused & CONTROL_REP_COUNT) == 0, row->rep);
        assert_int_equal((row->refused & CONTROL_REP_START) == 0, row->rep);
        assert_int_equal(row->refused & HV_CONTROL_RESERVED, HV_CONTROL_RESERVED);
        assert_int_equal(row->refused & (CONTROL_CODE | HV_CONTROL_FAST), 0);
    }
    assert_int_equal(call_table[HVCALL_MAP_DEVICE_INTERRUPT].header, 72);
    assert_int_equal(call_table[HVCALL_MAP_DEVICE_INTERRUPT].variable, 2);
}

/* ---- the debug line ---- */

static FILE *caught;
static int real_stderr;

static void catch_lines(void)
{
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    caught = tmpfile();
    assert_true(real_stderr >= 0 && caught != NULL);
    dup2(fileno(caught), STDERR_FILENO);
    fake_trace = true;
    log_level = LOG_DEBUG;
}

/* The first line since then, without its end. */
static const char *caught_line(void)
{
    static char line[1024];
    fflush(stderr);
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    fake_trace = false;
    log_level = LOG_WARN;
    rewind(caught);
    line[0] = '\0';
    const char *got = fgets(line, sizeof(line), caught);
    fclose(caught);
    assert_non_null(got);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void assert_line(uint64_t control, uint64_t input, uint64_t out, const char *expected)
{
    catch_lines();
    fake_call(control, input, out);
    assert_string_equal(caught_line(), expected);
}

static void put(const void *from, size_t size)
{
    memcpy(fake_page(INPUT_PAGE), from, size);
}

static void lines_of_simple_calls(void **state)
{
    (void)state;
    const struct hv_input_create_partition in = {.flags = 1UL << 40, .proximity = 7, .zero = 9};
    put(&in, sizeof(in));
    assert_line(HVCALL_CREATE_PARTITION, INPUT, OUTPUT,
                "vellum: partition 1 VP 0: hypercall 0040 create_partition flags=10000000000 "
                "proximity=7 compatibility=0, rep 0: INVALID_PARAMETER (5)");
    fake_call(HVCALL_GET_PARTITION_ID, 0, OUTPUT); /* the next one could be answered at once */
    assert_line(HVCALL_GET_PARTITION_ID, 0, OUTPUT,
                "vellum: partition 1 VP 0: hypercall 0046 get_partition_id, rep 0: SUCCESS (0)");
    assert_line(HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_CONTROL_FAST, 7, 0,
                "vellum: partition 1 VP 0: hypercall 0008 notify_long_spin_wait fast spins=7, "
                "rep 0: SUCCESS (0)");
    assert_line(HVCALL_UNMAP_VP_STATE_PAGE | HV_CONTROL_FAST, HV_PARTITION_ID_SELF,
                0x7654000100000000,
                "vellum: partition 1 VP 0: hypercall 00e2 unmap_vp_state_page fast "
                "partition_id=ffffffffffffffff vp_index=0 type=1 input_vtl=54 reserved=76, rep 0: "
                "INVALID_PARAMETER (5)");
}

/* Input that was not copied, or could not be, is not shown. */
static void lines_of_refused_calls(void **state)
{
    (void)state;
    assert_line(0x3F, INPUT, OUTPUT,
                "vellum: partition 1 VP 0: hypercall 003f unknown, rep 0: "
                "INVALID_HYPERCALL_CODE (2)");
    assert_line(HVCALL_DELETE_VP, INPUT + 1, 0,
                "vellum: partition 1 VP 0: hypercall 004f delete_vp, rep 0: INVALID_ALIGNMENT (4)");
    assert_line(HVCALL_DELETE_VP, (gpa_t)FAKE_HV << PAGE_SHIFT, 0,
                "vellum: partition 1 VP 0: hypercall 004f delete_vp, rep 0: INVALID_PARAMETER (5)");
}

static void lines_of_rep_calls(void **state)
{
    (void)state;
    put((uint64_t[]){HV_PARTITION_ID_SELF, 20, FAKE_HV}, 24);
    assert_line(HVCALL_DEPOSIT_MEMORY | REPS(2), INPUT, 0,
                "vellum: partition 1 VP 0: hypercall 0048 deposit_memory "
                "partition_id=ffffffffffffffff, rep 1: INVALID_PARAMETER (5)");
    const struct hv_input_vp_registers in = {.partition_id = 99, .vp_index = 3, .vtl = 2};
    put(&in, sizeof(in));
    assert_line(HVCALL_GET_VP_REGISTERS | REPS(1), INPUT, OUTPUT,
                "vellum: partition 1 VP 0: hypercall 0050 get_vp_registers partition_id=63 "
                "vp_index=3 vtl=2, rep 0: INVALID_PARTITION_ID (d)");
}

/* The longest there can be is whole. */
static void longest_line(void **state)
{
    (void)state;
    memset(fake_page(INPUT_PAGE), 0xFF, 72);
    assert_line(HVCALL_MAP_DEVICE_INTERRUPT, INPUT, OUTPUT,
                "vellum: partition 1 VP 0: hypercall 007c map_device_interrupt "
                "partition_id=ffffffffffffffff device_id=ffffffffffffffff flags=ffffffff "
                "base_index=ffffffff logical.source=ffffffff logical.zero=ffffffff "
                "logical.value=ffffffffffffffff type=ffffffff trigger=ffffffff "
                "vector_count=ffffffff zero=ffffffff vector=ffffffff target_flags=ffffffff "
                "mask_or_format=ffffffffffffffff, rep 0: INVALID_PARAMETER (5)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_has_its_row),
        cmocka_unit_test(each_status_has_its_name),
        cmocka_unit_test(fields_lie_in_the_input),
        cmocka_unit_test(kinds),
        cmocka_unit_test_setup_teardown(lines_of_simple_calls, start, end),
        cmocka_unit_test_setup_teardown(lines_of_refused_calls, start, end),
        cmocka_unit_test_setup_teardown(lines_of_rep_calls, start, end),
        cmocka_unit_test_setup_teardown(longest_line, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
