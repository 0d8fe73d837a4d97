/* SPDX-License-Identifier: MIT */
/*
 * The checks that every hypercall has in common (hypercalls/abi.h's document,
 * TLFS "Hypercall Interface"), each in its place in the order, in every calling
 * form.
 */
/* unit: +hypercalls */
#include "unit.h"

#include "hv/base/arch.h"
#include "hv/base/time.h"
#include "hypercalls/fake/machine.h"

enum { INPUT_PAGE = 3, OUTPUT_PAGE = 4 };
#define INPUT  ((gpa_t)INPUT_PAGE << PAGE_SHIFT)
#define OUTPUT ((gpa_t)OUTPUT_PAGE << PAGE_SHIFT)
#define BEYOND (1UL << FAKE_GPA_BITS)

#define REPS(count, start)                                                                         \
    ((uint64_t)(count) << HV_CONTROL_REP_COUNT_SHIFT | (uint64_t)(start)                           \
                                                           << HV_CONTROL_REP_START_SHIFT)

static int start(void **state)
{
    (void)state;
    fake_start(&npt_format, PRIVILEGES_ROOT);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

static void put(gpa_t gpa, const void *from, size_t size)
{
    memcpy((uint8_t *)fake_page(gpa >> PAGE_SHIFT) + (gpa & PAGE_MASK), from, size);
}

static uint64_t word_at(gpa_t gpa)
{
    uint64_t value;
    memcpy(&value, (uint8_t *)fake_page(gpa >> PAGE_SHIFT) + (gpa & PAGE_MASK), sizeof(value));
    return value;
}

static void assert_status(uint64_t control, uint64_t input, uint64_t output, uint32_t expected)
{
    uint64_t result = fake_call(control, input, output);
    if ((result & 0xFFFF) != expected)
        fail_msg("control %lx input %lx output %lx: status %lx, expected %x", control, input,
                 output, result & 0xFFFF, expected);
    assert_int_equal(result & 0xFFFFF000FFFF0000, 0);
}

static uint64_t create_child(void)
{
    struct hv_input_create_partition in = {.flags = 0};
    put(INPUT, &in, sizeof(in));
    assert_status(HVCALL_CREATE_PARTITION, INPUT, OUTPUT, HV_STATUS_SUCCESS);
    return word_at(OUTPUT);
}

static uint64_t children(void)
{
    uint64_t count = 0;
    for (const struct partition *p = first_partition->children; p; p = p->sibling)
        count++;
    return count;
}

/* ---- environment: #UD, and nothing else happens ---- */

static void assert_undefined(void)
{
    struct vp *vp = fake_vp();
    uint64_t rip = vp->state.rip;
    assert_int_equal(fake_call(HVCALL_GET_PARTITION_ID, 0, OUTPUT), 0xDEAD);
    assert_true(vp->state.event.valid);
    assert_int_equal(vp->state.event.type, EVENT_EXCEPTION);
    assert_int_equal(vp->state.event.vector, VECTOR_UD);
    assert_false(vp->state.event.has_error);
    assert_int_equal(vp->state.rip, rip);
    vp->state.event.valid = false;
}

static void environment(void **state)
{
    (void)state;
    put(OUTPUT, &(uint64_t){77}, 8);
    first_partition->guest_os_id = 0;
    assert_undefined();
    first_partition->guest_os_id = 1;
    for (uint8_t cpl = 1; cpl <= 3; cpl++) {
        fake_mode.cpl = cpl;
        assert_undefined();
    }
    fake_mode = (struct fake_mode){.protected_mode = false};
    assert_undefined();
    assert_int_equal(word_at(OUTPUT), 77);
    fake_mode = (struct fake_mode){.protected_mode = true, .code64 = true};
    assert_status(HVCALL_GET_PARTITION_ID, 0, OUTPUT, HV_STATUS_SUCCESS);
    assert_int_equal(word_at(OUTPUT), 1);
}

/* ---- the order: known code, privilege, control word, GPAs, the call ---- */

static void unknown_codes(void **state)
{
    (void)state;
    static const uint16_t codes[] = {0,    1,    2,    3,     0x3F,  0x53,
                                     0x94, 0xE3, 0xFF, 0x100, 0x131, 0xFFFF};
    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
        assert_status(codes[i], 0, 0, HV_STATUS_INVALID_HYPERCALL_CODE);
        assert_status(codes[i] | ~0xFFFFUL, 1, BEYOND, HV_STATUS_INVALID_HYPERCALL_CODE);
    }
    first_partition->privileges = 0;
    assert_status(0x3F | HV_CONTROL_NESTED, 1, 1, HV_STATUS_INVALID_HYPERCALL_CODE);
}

static const struct {
    uint16_t code;
    uint64_t privilege;
    bool rep;
} privileged[] = {
    {HVCALL_CREATE_PARTITION, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_INITIALIZE_PARTITION, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_FINALIZE_PARTITION, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_DELETE_PARTITION, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_GET_PARTITION_PROPERTY, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_SET_PARTITION_PROPERTY, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_GET_PARTITION_ID, PRIVILEGE_PARTITION_ID, false},
    {HVCALL_GET_NEXT_CHILD_PARTITION, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_DEPOSIT_MEMORY, PRIVILEGE_MEMORY_POOL, true},
    {HVCALL_WITHDRAW_MEMORY, PRIVILEGE_MEMORY_POOL, true},
    {HVCALL_GET_MEMORY_BALANCE, PRIVILEGE_MEMORY_POOL, false},
    {HVCALL_MAP_GPA_PAGES, PRIVILEGE_CREATE_PARTITIONS, true},
    {HVCALL_UNMAP_GPA_PAGES, PRIVILEGE_CREATE_PARTITIONS, true},
    {HVCALL_INSTALL_INTERCEPT, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_CREATE_VP, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_DELETE_VP, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_TRANSLATE_VIRTUAL_ADDRESS, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_DISPATCH_VP, PRIVILEGE_CREATE_PARTITIONS, false},
    {HVCALL_GET_GPA_PAGES_ACCESS_STATES, PRIVILEGE_CREATE_PARTITIONS, true},
};

/* Without the privilege everything else may be wrong; with it the control word is next. */
static void privilege_before_control_word(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(privileged); i++) {
        uint64_t control = privileged[i].code | HV_CONTROL_NESTED;
        first_partition->privileges = PRIVILEGES_ROOT & ~privileged[i].privilege;
        assert_status(control, 1, BEYOND, HV_STATUS_ACCESS_DENIED);
        first_partition->privileges = PRIVILEGES_ROOT;
        assert_status(control, 1, BEYOND, HV_STATUS_INVALID_HYPERCALL_INPUT);
    }
}

static void control_word_before_gpas(void **state)
{
    (void)state;
    for (unsigned bit = 17; bit < 64; bit++) {
        uint64_t control = BIT(bit);
        bool count = bit >= 32 && bit < 44, start_bit = bit >= 48 && bit < 60;
        assert_status(HVCALL_GET_PARTITION_ID | control, 0, 1, HV_STATUS_INVALID_HYPERCALL_INPUT);
        if (!count && !start_bit)
            assert_status(HVCALL_DEPOSIT_MEMORY | REPS(1, 0) | control, 1, 0,
                          HV_STATUS_INVALID_HYPERCALL_INPUT);
    }
    assert_status(HVCALL_DEPOSIT_MEMORY, 1, 0, HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_status(HVCALL_DEPOSIT_MEMORY | REPS(0, 1), 1, 0, HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_status(HVCALL_DEPOSIT_MEMORY | REPS(3, 3), 1, 0, HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_status(HVCALL_DEPOSIT_MEMORY | REPS(3, 4), 1, 0, HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_status(HVCALL_DEPOSIT_MEMORY | REPS(3, 2), 1, 0, HV_STATUS_INVALID_ALIGNMENT);
}

static void gpas(void **state)
{
    (void)state;
    const uint64_t simple = HVCALL_CREATE_PARTITION; /* 56 bytes in, 8 out */
    for (unsigned i = 1; i < 8; i++) {
        assert_status(simple, INPUT + i, OUTPUT, HV_STATUS_INVALID_ALIGNMENT);
        assert_status(simple, INPUT, OUTPUT + i, HV_STATUS_INVALID_ALIGNMENT);
    }
    static const uint64_t outside[] = {BEYOND,    BEYOND << 1, 1UL << 52,
                                       1UL << 63, ~7UL,        ~0UL - 4095};
    for (unsigned i = 0; i < ARRAY_SIZE(outside); i++) {
        assert_status(simple, outside[i], OUTPUT, HV_STATUS_INVALID_ALIGNMENT);
        assert_status(simple, INPUT, outside[i], HV_STATUS_INVALID_ALIGNMENT);
    }
    struct hv_input_create_partition in = {.flags = 1UL << 40}; /* the call itself refuses it */
    put(INPUT + PAGE_SIZE - 56, &in, sizeof(in));
    assert_status(simple, INPUT + PAGE_SIZE - 56, OUTPUT, HV_STATUS_INVALID_PARAMETER);
    assert_status(simple, INPUT + PAGE_SIZE - 48, OUTPUT, HV_STATUS_INVALID_ALIGNMENT);
    /* Input and output in one page: apart is good, overlapping is not. */
    put(INPUT, &in, sizeof(in));
    assert_status(simple, INPUT, INPUT + 56, HV_STATUS_INVALID_PARAMETER);
    for (unsigned i = 0; i < 56; i += 8)
        assert_status(simple, INPUT, INPUT + i, HV_STATUS_INVALID_ALIGNMENT);
    put(INPUT + 8, &in, sizeof(in));
    assert_status(simple, INPUT + 8, INPUT, HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(children(), 0);
}

/* A header that goes on, as far as the control word says: 0x7C up to a bank of VPs. */
static void variable_headers(void **state)
{
    (void)state;
    const uint64_t code = HVCALL_MAP_DEVICE_INTERRUPT, one = 1UL << HV_CONTROL_VARIABLE_SHIFT;
    struct hv_input_map_device_interrupt in = {.partition_id = HV_PARTITION_ID_SELF,
                                               .device_id = (uint64_t)HV_DEVICE_PCI << 62,
                                               .vector_count = 1,
                                               .vector = 0x40,
                                               .target_flags = HV_INTERRUPT_TARGET_SET,
                                               .bank_mask = 1,
                                               .banks = {2}};
    put(INPUT, &in, sizeof(in));
    assert_status(code | 2 * one, INPUT, OUTPUT, HV_STATUS_SUCCESS);
    assert_int_equal(word_at(OUTPUT + 8), 0x40FEE00000UL | (uint64_t)cpus[1]->apic_id << 12);
    assert_status(code | one, INPUT, OUTPUT, HV_STATUS_INVALID_PARAMETER);
    assert_status(code | 3 * one, INPUT, OUTPUT, HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_status(HVCALL_UNMAP_DEVICE_INTERRUPT | one, INPUT, OUTPUT,
                  HV_STATUS_INVALID_HYPERCALL_INPUT);
    /* Its bytes count for the page's end and for the overlap with the output. */
    put(INPUT + PAGE_SIZE - 72, &in, 72);
    assert_status(code, INPUT + PAGE_SIZE - 72, OUTPUT, HV_STATUS_INVALID_PARAMETER);
    assert_status(code | one, INPUT + PAGE_SIZE - 72, OUTPUT, HV_STATUS_INVALID_ALIGNMENT);
    put(INPUT, &in, sizeof(in));
    assert_status(code | 2 * one, INPUT, INPUT + 80, HV_STATUS_INVALID_ALIGNMENT);
    assert_status(code | 2 * one, INPUT, INPUT + 88, HV_STATUS_SUCCESS);
    assert_int_equal(word_at(INPUT + 96), 0x40FEE00000UL | (uint64_t)cpus[1]->apic_id << 12);
}

static void gpas_that_are_not_used(void **state)
{
    (void)state;
    assert_status(HVCALL_GET_PARTITION_ID, 1, OUTPUT, HV_STATUS_SUCCESS);
    assert_status(HVCALL_GET_PARTITION_ID, ~0UL, OUTPUT, HV_STATUS_SUCCESS);
    put(INPUT, &(uint64_t){99}, 8);
    assert_status(HVCALL_INITIALIZE_PARTITION, INPUT, 3, HV_STATUS_INVALID_PARTITION_ID);
    assert_status(HVCALL_INITIALIZE_PARTITION, INPUT, INPUT, HV_STATUS_INVALID_PARTITION_ID);
}

static void rep_lists(void **state)
{
    (void)state;
    /* 8 bytes of header and 8 for each element: 511 fill a page. */
    put(INPUT, &(uint64_t){99}, 8);
    assert_status(HVCALL_DEPOSIT_MEMORY | REPS(511, 0), INPUT, 0, HV_STATUS_INVALID_PARTITION_ID);
    assert_status(HVCALL_DEPOSIT_MEMORY | REPS(512, 0), INPUT, 0, HV_STATUS_INVALID_ALIGNMENT);
    assert_status(HVCALL_DEPOSIT_MEMORY | REPS(511, 0), INPUT + 8, 0, HV_STATUS_INVALID_ALIGNMENT);
    assert_status(HVCALL_DEPOSIT_MEMORY | REPS(4095, 4094), INPUT, 0, HV_STATUS_INVALID_ALIGNMENT);
    /* 16 bytes in, a list out */
    put(INPUT, (uint64_t[]){99, 0}, 16);
    assert_status(HVCALL_WITHDRAW_MEMORY | REPS(512, 0), INPUT, OUTPUT,
                  HV_STATUS_INVALID_PARTITION_ID);
    assert_status(HVCALL_WITHDRAW_MEMORY | REPS(513, 0), INPUT, OUTPUT,
                  HV_STATUS_INVALID_ALIGNMENT);
    assert_status(HVCALL_WITHDRAW_MEMORY | REPS(2, 0), INPUT, INPUT + 8,
                  HV_STATUS_INVALID_ALIGNMENT);
    assert_status(HVCALL_WITHDRAW_MEMORY | REPS(2, 0), INPUT, INPUT + 16,
                  HV_STATUS_INVALID_PARTITION_ID);
}

/* ---- memory behind the GPAs ---- */

static void nothing_behind_a_gpa(void **state)
{
    (void)state;
    const gpa_t hole = (gpa_t)FAKE_HV << PAGE_SHIFT, device = (gpa_t)FAKE_FRAMES << PAGE_SHIFT;
    struct hv_input_create_partition in = {.flags = 0};
    put(INPUT, &in, sizeof(in));
    uint64_t used = first_partition->pool.used;
    assert_status(HVCALL_CREATE_PARTITION, hole, OUTPUT, HV_STATUS_INVALID_PARAMETER);
    assert_status(HVCALL_CREATE_PARTITION, device, OUTPUT, HV_STATUS_INVALID_PARAMETER);
    /* The output is looked at before anything changes. */
    assert_status(HVCALL_CREATE_PARTITION, INPUT, hole, HV_STATUS_INVALID_PARAMETER);
    assert_status(HVCALL_CREATE_PARTITION, INPUT, device, HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(children(), 0);
    assert_int_equal(first_partition->pool.used, used);
    assert_status(HVCALL_GET_PARTITION_ID, 0, hole, HV_STATUS_INVALID_PARAMETER);
}

static void output_only_on_success(void **state)
{
    (void)state;
    put(OUTPUT, &(uint64_t){0x1234}, 8);
    struct hv_input_create_partition in = {.flags = 1UL << 40};
    put(INPUT, &in, sizeof(in));
    assert_status(HVCALL_CREATE_PARTITION, INPUT, OUTPUT, HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(word_at(OUTPUT), 0x1234);
    put(INPUT, (uint64_t[]){99, 0}, 16);
    assert_status(HVCALL_GET_MEMORY_BALANCE, INPUT, OUTPUT, HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(word_at(OUTPUT), 0x1234);
}

/* ---- calling forms ---- */

static void fast_calls(void **state)
{
    (void)state;
    uint64_t child = create_child();
    /* Both GPA registers are input, and whatever they hold is no GPA. */
    assert_status(HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_CONTROL_FAST, 7, 1, HV_STATUS_SUCCESS);
    assert_status(HVCALL_DELETE_VP | HV_CONTROL_FAST, child, 0, HV_STATUS_INVALID_PARTITION_STATE);
    assert_status(HVCALL_UNMAP_VP_STATE_PAGE | HV_CONTROL_FAST, HV_PARTITION_ID_SELF, 0,
                  HV_STATUS_NOT_FOUND);
    assert_status(HVCALL_DELETE_PARTITION | HV_CONTROL_FAST, child, ~0UL, HV_STATUS_SUCCESS);
    /* More than 16 bytes of input, or any output. */
    static const uint16_t large[] = {HVCALL_CREATE_PARTITION,   HVCALL_SET_PARTITION_PROPERTY,
                                     HVCALL_MAP_VP_STATE_PAGE,  HVCALL_GET_PARTITION_ID,
                                     HVCALL_GET_MEMORY_BALANCE, HVCALL_DISPATCH_VP};
    for (unsigned i = 0; i < ARRAY_SIZE(large); i++)
        assert_status(large[i] | HV_CONTROL_FAST, 0, 0, HV_STATUS_INVALID_HYPERCALL_INPUT);
    /* A rep call whose header and list fit two registers. */
    assert_status(HVCALL_DEPOSIT_MEMORY | HV_CONTROL_FAST | REPS(1, 0), HV_PARTITION_ID_SELF, 40,
                  HV_STATUS_SUCCESS);
    assert_int_equal(frame_type_of(40), FRAME_FREE);
    assert_status(HVCALL_DEPOSIT_MEMORY | HV_CONTROL_FAST | REPS(2, 0), HV_PARTITION_ID_SELF, 41,
                  HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_status(HVCALL_GET_VP_REGISTERS | HV_CONTROL_FAST | REPS(1, 0), HV_PARTITION_ID_SELF, 0,
                  HV_STATUS_INVALID_HYPERCALL_INPUT);
}

static uint64_t *gpr(void)
{
    return fake_vp()->state.gpr;
}

static void callers_of_32_bits(void **state)
{
    (void)state;
    fake_mode.code64 = false;
    /* Upper halves are not looked at, and every other register keeps its value. */
    const uint64_t junk = 0xABCD000000000000;
    for (unsigned i = 0; i < GPR_COUNT; i++)
        gpr()[i] = junk + i;
    gpr()[RAX] = junk | HVCALL_GET_PARTITION_ID;
    gpr()[RDX] = junk;
    gpr()[RDI] = junk;
    gpr()[RSI] = junk | OUTPUT;
    struct vp_state before = fake_vp()->state;
    assert_true(fake_instruction());
    assert_int_equal((uint32_t)gpr()[RAX], HV_STATUS_SUCCESS);
    assert_int_equal((uint32_t)gpr()[RDX], 0);
    assert_int_equal(word_at(OUTPUT), 1);
    assert_int_equal(fake_vp()->state.rip, before.rip + 3);
    assert_int_equal(fake_vp()->state.rflags, before.rflags);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        if (i != RAX && i != RDX)
            assert_int_equal(gpr()[i], before.gpr[i]);

    /* Fast: EBX:ECX and EDI:ESI; the reps are in EDX. */
    gpr()[RAX] = HVCALL_DEPOSIT_MEMORY | HV_CONTROL_FAST;
    gpr()[RDX] = 1;
    gpr()[RBX] = UINT32_MAX;
    gpr()[RCX] = UINT32_MAX;
    gpr()[RDI] = 0;
    gpr()[RSI] = 50;
    assert_true(fake_instruction());
    assert_int_equal((uint32_t)gpr()[RAX], HV_STATUS_SUCCESS);
    assert_int_equal((uint32_t)gpr()[RDX], 1); /* completed */
    assert_int_equal(frame_type_of(50), FRAME_FREE);
}

/* ---- rep calls ---- */

static void completed_count(void **state)
{
    (void)state;
    const uint64_t list[] = {HV_PARTITION_ID_SELF, 20, 21, FAKE_HV, 22};
    put(INPUT, list, sizeof(list));
    uint64_t result = fake_call(HVCALL_DEPOSIT_MEMORY | REPS(4, 0), INPUT, 0);
    assert_int_equal(result, HV_STATUS_INVALID_PARAMETER | 2UL << HV_RESULT_REPS_SHIFT);
    assert_int_equal(frame_type_of(21), FRAME_FREE);
    assert_int_equal(frame_type_of(22), FRAME_RAM);
    /* From the element that failed on; those before count as done. */
    result = fake_call(HVCALL_DEPOSIT_MEMORY | REPS(4, 3), INPUT, 0);
    assert_int_equal(result, 4UL << HV_RESULT_REPS_SHIFT);
    assert_int_equal(frame_type_of(22), FRAME_FREE);
}

static void continued(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    uint64_t list[1 + COUNT] = {HV_PARTITION_ID_SELF};
    for (unsigned i = 0; i < COUNT; i++)
        list[1 + i] = 200 + i;
    put(INPUT, list, sizeof(list));
    tsc_per_50us = 0;
    gpr()[RCX] = HVCALL_DEPOSIT_MEMORY | REPS(COUNT, 0);
    gpr()[RDX] = INPUT;
    gpr()[RAX] = 0xDEAD;
    uint64_t rip = fake_vp()->state.rip, last = 0;
    unsigned turns = 0;
    while (!fake_instruction()) {
        turns++;
        uint64_t now = gpr()[RCX] >> HV_CONTROL_REP_START_SHIFT & 0xFFF;
        assert_true(now > last && now < COUNT);
        last = now;
        assert_int_equal(gpr()[RCX], HVCALL_DEPOSIT_MEMORY | REPS(COUNT, now));
        assert_int_equal(gpr()[RAX], 0xDEAD);
        assert_int_equal(fake_vp()->state.rip, rip);
        assert_int_equal(frame_type_of(199 + now), FRAME_FREE);
        assert_int_equal(frame_type_of(200 + now), FRAME_RAM);
        fake_check();
    }
    assert_true(turns > 0);
    assert_int_equal(gpr()[RAX], (uint64_t)COUNT << HV_RESULT_REPS_SHIFT);
    assert_int_equal(frame_type_of(200 + COUNT - 1), FRAME_FREE);
}

static void lists_in_both_directions(void **state)
{
    (void)state;
    uint64_t list[1 + 70] = {HV_PARTITION_ID_SELF};
    for (unsigned i = 0; i < 70; i++)
        list[1 + i] = 300 + i;
    put(INPUT, list, sizeof(list));
    assert_status(HVCALL_DEPOSIT_MEMORY | REPS(70, 0), INPUT, 0, HV_STATUS_SUCCESS);
    put(INPUT, (uint64_t[]){HV_PARTITION_ID_SELF, 0}, 16);
    put(OUTPUT + 8UL * 70, &(uint64_t){0x5555}, 8);
    uint64_t result = fake_call(HVCALL_WITHDRAW_MEMORY | REPS(80, 0), INPUT, OUTPUT);
    assert_int_equal(result, HV_STATUS_NO_RESOURCES | 70UL << HV_RESULT_REPS_SHIFT);
    bool seen[70] = {false};
    for (unsigned i = 0; i < 70; i++) {
        uint64_t gpn = word_at(OUTPUT + 8UL * i);
        assert_in_range(gpn, 300, 369);
        assert_false(seen[gpn - 300]);
        seen[gpn - 300] = true;
    }
    assert_int_equal(word_at(OUTPUT + 8UL * 70), 0x5555); /* beyond what was completed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(environment, start, end),
        cmocka_unit_test_setup_teardown(unknown_codes, start, end),
        cmocka_unit_test_setup_teardown(privilege_before_control_word, start, end),
        cmocka_unit_test_setup_teardown(control_word_before_gpas, start, end),
        cmocka_unit_test_setup_teardown(gpas, start, end),
        cmocka_unit_test_setup_teardown(gpas_that_are_not_used, start, end),
        cmocka_unit_test_setup_teardown(variable_headers, start, end),
        cmocka_unit_test_setup_teardown(rep_lists, start, end),
        cmocka_unit_test_setup_teardown(nothing_behind_a_gpa, start, end),
        cmocka_unit_test_setup_teardown(output_only_on_success, start, end),
        cmocka_unit_test_setup_teardown(fast_calls, start, end),
        cmocka_unit_test_setup_teardown(callers_of_32_bits, start, end),
        cmocka_unit_test_setup_teardown(completed_count, start, end),
        cmocka_unit_test_setup_teardown(continued, start, end),
        cmocka_unit_test_setup_teardown(lists_in_both_directions, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
