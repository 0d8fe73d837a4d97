/* SPDX-License-Identifier: MIT */
/* CPUID, MSR, halt, exception and triple-fault intercepts. */
#include "guests/child/tests.h"
#include "hv/model/vp.h"

static void expect(struct child *c, const char *when, struct expected_header header)
{
    match("stop", child_run(c, 0), header.type);
    match_header(c, 0, &header);
    tap_ok(matches, "%s: message 0x%x, all fields", when, header.type);
    matches = true;
}

static void cpuid_tests(struct child *c)
{
    uint32_t *results = (uint32_t *)child_data(c), seen[4];
    const struct hv_cpuid_message *m = &c->vps[0].message->payload.cpuid;
    START(c, 0, START_LONG, cpuid_store);
    child_put(c, 0, HV_REGISTER_RAX + RBX, 0x40000000);
    stops_with(c, 0, HV_MESSAGE_HALT, "CPUID without an intercept is answered");
    memcpy(seen, results, sizeof(seen));
    tap_ok(seen[3] == 0x7263694D && seen[1] == 0x666F736F && seen[2] == 0x76482074,
           "the child's CPUID 0x40000000 says \"Microsoft Hv\"");

    tap_status(child_install_intercept(c->id, HV_INTERCEPT_CPUID, 4, 0x40000000), HV_STATUS_SUCCESS,
               "InstallIntercept of CPUID leaf 0x40000000");
    START(c, 0, START_LONG, cpuid_store);
    child_put(c, 0, HV_REGISTER_RAX + RBX, 0x40000000);
    child_put(c, 0, HV_REGISTER_RAX + RDX, 0xD0D0D0D0D0);
    matches = true;
    match("stop", child_run(c, 0), HV_MESSAGE_CPUID);
    match_header(
        c, 0, &(struct expected_header){HV_MESSAGE_CPUID, 104, 2, 2, STATE_LONG, CHILD_CODE + 4});
    match("RAX", m->rax, 0x40000000);
    match("RCX", m->rcx, 0);
    match("RDX", m->rdx, 0xD0D0D0D0D0);
    match("RBX", m->rbx, 0x40000000);
    match("default RAX", m->default_rax, seen[0]);
    match("default RCX", m->default_rcx, seen[1]);
    match("default RDX", m->default_rdx, seen[2]);
    match("default RBX", m->default_rbx, seen[3]);
    tap_ok(matches, "CPUID message 0x80010002: inputs, and as default results what CPUID said");
    step_over(c, 0, 2);
    c->vps[0].registers->gpr[RAX] = 0xAAAA0001;
    c->vps[0].registers->dirty |= HV_DIRTY_GENERAL;
    stops_with(c, 0, HV_MESSAGE_HALT, "after the parent's CPUID answer");
    tap_equal(results[0], 0xAAAA0001, "the child sees its parent's CPUID answer");

    START(c, 0, START_LONG, cpuid_store);
    child_put(c, 0, HV_REGISTER_RAX + RBX, 0x40000001);
    stops_with(c, 0, HV_MESSAGE_HALT, "another CPUID leaf is still answered");
}

static void msr_tests(struct child *c)
{
    const struct hv_msr_message *m = &c->vps[0].message->payload.msr;
    with_handlers(c);
    START(c, 0, START_LONG, msr_access);
    child_put(c, 0, HV_REGISTER_RAX + RCX, 0x12345);
    stops_with(c, 0, HV_MESSAGE_IO_PORT, "an MSR that the hypervisor does not know");
    tap_ok(c->vps[0].message->payload.io.port == VECTOR_PORT &&
               (c->vps[0].registers->gpr[RAX] & 0xFF) == VECTOR_GP,
           "... is #GP in the child");
    START(c, 0, START_LONG, msr_access);
    child_put(c, 0, HV_REGISTER_RAX + RCX, VELLUM_MSR_EXITS);
    stops_with(c, 0, HV_MESSAGE_IO_PORT, "an MSR of the hypervisor's own, for the first partition");
    tap_ok(c->vps[0].message->payload.io.port == VECTOR_PORT &&
               (c->vps[0].registers->gpr[RAX] & 0xFF) == VECTOR_GP,
           "... is #GP in the child, too");

    tap_status(child_install_intercept(c->id, HV_INTERCEPT_MSR, 3, 0x12345), HV_STATUS_SUCCESS,
               "InstallIntercept of reads and writes of MSR 0x12345");
    START(c, 0, START_LONG, msr_access);
    child_put(c, 0, HV_REGISTER_RAX + RCX, 0x12345);
    child_put(c, 0, HV_REGISTER_RAX + RAX, 0x77);
    matches = true;
    match("stop", child_run(c, 0), HV_MESSAGE_MSR);
    match_header(c, 0, &(struct expected_header){HV_MESSAGE_MSR, 64, 0, 2, STATE_LONG, CHILD_CODE});
    match("number", m->msr, 0x12345);
    match("zero", m->zero, 0);
    match("RAX", m->rax, 0x77);
    tap_ok(matches, "RDMSR: message 0x80010001, all fields");
    c->vps[0].registers->gpr[RAX] = 0xA1;
    c->vps[0].registers->gpr[RDX] = 0xD1;
    c->vps[0].registers->dirty |= HV_DIRTY_GENERAL;
    step_over(c, 0, 2);
    match("stop", child_run(c, 0), HV_MESSAGE_MSR);
    match_header(c, 0,
                 &(struct expected_header){HV_MESSAGE_MSR, 64, 1, 2, STATE_LONG,
                                           PLACE(msr_access, msr_access_write) + 10});
    match("RAX", m->rax, 0x55667788);
    match("RDX", m->rdx, 0x11223344);
    tap_ok(matches, "WRMSR: message 0x80010001 with the value");
    tap_equal(child_data(c)[0], 0xD1000000A1, "the child read what its parent gave");
    step_over(c, 0, 2);
    stops_with(c, 0, HV_MESSAGE_HALT, "after WRMSR");

    tap_status(child_install_intercept(c->id, HV_INTERCEPT_MSR, 2, MSR_STAR), HV_STATUS_SUCCESS,
               "InstallIntercept of writes only, of an MSR that the hypervisor knows");
    START(c, 0, START_LONG, msr_access);
    child_put(c, 0, HV_REGISTER_RAX + RCX, MSR_STAR);
    stops_with(c, 0, HV_MESSAGE_MSR, "write of STAR");
    tap_equal(c->vps[0].message->payload.intercept.access_type, 1, "the read went through");
}

static void halt_tests(struct child *c)
{
    START(c, 0, START_LONG, halt);
    matches = true;
    expect(c, "HLT", (struct expected_header){HV_MESSAGE_HALT, 40, 2, 1, STATE_LONG, CHILD_CODE});
    step_over(c, 0, 1);
    expect(c, "HLT after one that was stepped over",
           (struct expected_header){HV_MESSAGE_HALT, 40, 2, 1, STATE_LONG, CHILD_CODE + 2});
}

/* The registers that an exception message repeats. */
static void match_exception_registers(struct child *c)
{
    const struct hv_exception_message *m = &c->vps[0].message->payload.exception;
    const struct hv_register_page *page = c->vps[0].registers;
    match("DS", memcmp(&m->ds, &page->segment[SEG_DS], sizeof(m->ds)), 0);
    match("SS", memcmp(&m->ss, &page->segment[SEG_SS], sizeof(m->ss)), 0);
    match("general registers", memcmp(&m->rax, page->gpr, sizeof(page->gpr)), 0);
}

static void exception_tests(struct child *c)
{
    const struct hv_exception_message *m = &c->vps[0].message->payload.exception;
    static const uint8_t vectors_wanted[] = {VECTOR_UD, VECTOR_GP, VECTOR_PF};
    for (unsigned n = 0; n < ARRAY_SIZE(vectors_wanted); n++)
        tap_status(child_install_intercept(c->id, HV_INTERCEPT_EXCEPTION, 4, vectors_wanted[n]),
                   HV_STATUS_SUCCESS, "InstallIntercept of exception %s",
                   trap_name(vectors_wanted[n]));
    START(c, 0, START_LONG, faults);
    matches = true;
    match("stop", child_run(c, 0), HV_MESSAGE_EXCEPTION);
    match_header(
        c, 0,
        &(struct expected_header){HV_MESSAGE_EXCEPTION, 240, 2, 0xFF, STATE_LONG, CHILD_CODE});
    match("vector", m->vector, VECTOR_UD);
    match("error code valid", m->info & 1, 0);
    match_exception_registers(c);
    if (m->instruction_byte_count >= 2)
        match("instruction bytes", memcmp(m->instruction_bytes, faults_ud, 2), 0);
    tap_ok(matches, "#UD: message 0x80010003, all fields");

    child_put(c, 0, HV_REGISTER_RIP, PLACE(faults, faults_gp));
    matches = true;
    match("stop", child_run(c, 0), HV_MESSAGE_EXCEPTION);
    match("vector", m->vector, VECTOR_GP);
    match("error code valid", m->info & 1, 1);
    match("error code", m->error_code, 0x8000);
    match("RIP", m->header.rip, PLACE(faults, faults_gp) + 5);
    tap_ok(matches, "#GP: error code is the selector");

    START(c, 0, START_LONG, touch);
    child_put(c, 0, HV_REGISTER_RIP, PLACE(touch, touch_write));
    child_put(c, 0, HV_REGISTER_RAX + RBX, 0x80000000);
    matches = true;
    match("stop", child_run(c, 0), HV_MESSAGE_EXCEPTION);
    match("vector", m->vector, VECTOR_PF);
    match("error code", m->error_code, 2);
    match("parameter", m->parameter, 0x80000008);
    match("RIP", m->header.rip, PLACE(touch, touch_write));
    tap_ok(matches, "#PF: error code 2 (write, not present), parameter is the linear address");
}

static void triple_fault_test(struct child *c)
{
    if (is_bochs_amd()) {
        tap_skip("triple fault: Bochs stops itself when an SVM guest shuts down");
        return;
    }
    START(c, 0, START_LONG, faults);
    child_set(c->id, 0, HV_REGISTER_IDTR, 0, CHILD_IDT);                    /* limit 0 */
    child_put(c, 0, HV_REGISTER_RIP, PLACE(faults, faults_ud) + 2 + 1 + 5); /* mov ds, eax: #GP */
    child_put(c, 0, HV_REGISTER_RAX + RAX, 0x8000);
    matches = true;
    match("stop", child_run(c, 0), HV_MESSAGE_UNRECOVERABLE_EXCEPTION);
    match("payload size", c->vps[0].message->header.payload_size, 40);
    match("VP index", c->vps[0].message->payload.intercept.vp_index, 0);
    match("sender", c->vps[0].message->header.sender, c->id);
    tap_ok(matches, "triple fault: message 0x80000021 with 40 bytes");
    START(c, 0, START_LONG, halt);
    stops_with(c, 0, HV_MESSAGE_HALT, "the VP runs again after a triple fault, registers set anew");
}

static void bad_installs(struct child *c)
{
    tap_status(child_install_intercept(c->id, 99, 4, 0), HV_STATUS_INVALID_PARAMETER,
               "InstallIntercept of an unknown type");
    tap_status(child_install_intercept(c->id, HV_INTERCEPT_EXCEPTION, 4, 99),
               HV_STATUS_INVALID_PARAMETER, "InstallIntercept of exception vector 99");
    tap_status(child_install_intercept(c->id, HV_INTERCEPT_CPUID, 0x80, 1),
               HV_STATUS_INVALID_PARAMETER, "InstallIntercept with an unknown access mask bit");
}

void test_intercepts(void)
{
    struct child c;
    child_open(&c, 1, CHILD_MAP_ALL);
    cpuid_tests(&c);
    msr_tests(&c);
    halt_tests(&c);
    triple_fault_test(&c);
    bad_installs(&c);
    exception_tests(&c);
    tap_ok(child_close(&c), "the child of the intercepts is gone, every page zeroed");
}
