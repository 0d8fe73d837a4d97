/* SPDX-License-Identifier: MIT */
/* A whole child: memory, VPs, start in each processor mode, running, the end. */
#include "guests/lib/child.h"
#include "guests/lib/guest.h"
#include "hv/model/vp.h"

#define CHILD_DEPOSIT 40
#define ENDLESS       1000000

static void must(uint16_t status, const char *what)
{
    if (status != HV_STATUS_SUCCESS)
        tap_bail_out("%s: %s", what, status_name(status));
}

void child_open(struct child *child, uint32_t vp_count, uint32_t map_flags)
{
    *child = (struct child){.vp_count = vp_count};
    child->memory = pages_alloc(CHILD_PAGES, MIB(2));
    must(child_create(HV_CREATE_EXO_PARTITION | HV_CREATE_INTERCEPT_MESSAGE_PAGE, &child->id),
         "CreatePartition");
    must(child_deposit(child->id, CHILD_DEPOSIT), "DepositMemory");
    must(child_initialize(child->id), "InitializePartition");
    must(child_map(child->id, 0, page_of(child->memory), CHILD_PAGES, map_flags), "MapGpaPages");
    for (uint32_t n = 0; n < vp_count; n++) {
        struct child_vp *vp = &child->vps[n];
        must(child_create_vp(child->id, n), "CreateVp");
        must(state_page_show(child->id, n, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE,
                             (void **)&vp->message),
             "MapVpStatePage of the intercept message");
        must(state_page_show(child->id, n, HV_VP_STATE_PAGE_REGISTERS, (void **)&vp->registers),
             "MapVpStatePage of the registers");
        must(child_set(child->id, n, HV_REGISTER_EXPLICIT_SUSPEND, 0, 0), "SetVpRegisters");
    }
}

static bool done(uint16_t status, const char *what)
{
    if (status != HV_STATUS_SUCCESS)
        tap_note("%s: %s", what, status_name(status));
    return status == HV_STATUS_SUCCESS;
}

bool child_close(struct child *child)
{
    uint32_t dirty;
    bool ok = true, layered = hypervisor_role() == ROLE_IS_LAYERED;
    for (uint32_t n = 0; n < child->vp_count; n++) {
        struct child_vp *vp = &child->vps[n];
        if (vp->registers != NULL)
            ok &= done(state_page_unmap_call(child->id, n, HV_VP_STATE_PAGE_REGISTERS), "0xE2");
        if (vp->message != NULL)
            ok &= done(state_page_unmap_call(child->id, n, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE),
                       "0xE2");
        if (layered && vp->registers != NULL)
            page_free(vp->registers);
        if (layered && vp->message != NULL)
            page_free(vp->message);
    }
    ok &= done(child_finalize(child->id), "FinalizePartition");
    child_withdraw_all(child->id, &dirty);
    ok &= dirty == 0;
    if (dirty != 0)
        tap_note("%u withdrawn pages were not zeroed", dirty);
    ok &= done(child_delete(child->id), "DeletePartition");
    pages_free(child->memory, CHILD_PAGES);
    *child = (struct child){0};
    return ok;
}

void child_load(struct child *child, uint64_t gpa, const void *from, const void *end)
{
    memcpy(child->memory + gpa, from, (size_t)((const uint8_t *)end - (const uint8_t *)from));
}

void child_put(struct child *child, uint32_t vp, uint32_t name, uint64_t value)
{
    uint16_t status = child_set(child->id, vp, name, value, 0);
    if (status != HV_STATUS_SUCCESS)
        tap_status(status, HV_STATUS_SUCCESS, "register 0x%x of VP %u takes 0x%lx", name, vp,
                   value);
}

static void put_segment(struct child *child, uint32_t vp, unsigned index, uint64_t base,
                        uint32_t limit, uint16_t selector, uint16_t attributes)
{
    must(
        child_set_segment(child->id, vp, HV_REGISTER_ES + index, base, limit, selector, attributes),
        "SetVpRegisters of a segment");
}

static void put_common(struct child *child, uint32_t vp, uint64_t cr0, uint64_t cr3, uint64_t cr4,
                       uint64_t efer)
{
    child_put(child, vp, HV_REGISTER_CR4, cr4);
    child_put(child, vp, HV_REGISTER_CR3, cr3);
    child_put(child, vp, HV_REGISTER_EFER, efer);
    child_put(child, vp, HV_REGISTER_CR0, cr0);
    child_put(child, vp, HV_REGISTER_RFLAGS, RFLAGS_FIXED);
    for (unsigned n = 0; n < GPR_COUNT; n++)
        child_put(child, vp, HV_REGISTER_RAX + n, 0);
    child_put(child, vp, HV_REGISTER_RAX + RSP, CHILD_STACKS - vp * 0x1000);
    put_segment(child, vp, SEG_LDTR, 0, 0xFFFF, 0, 0x82);
    put_segment(child, vp, SEG_TR, CHILD_TSS, 0x67, 0x28, 0x8B);
    must(child_set(child->id, vp, HV_REGISTER_GDTR, 0x37UL << 48, CHILD_GDT), "GDTR");
    must(child_set(child->id, vp, HV_REGISTER_IDTR, 0xFFFUL << 48, CHILD_IDT), "IDTR");
}

void child_enter_real(struct child *child, uint32_t vp, uint16_t cs, uint16_t ip)
{
    put_common(child, vp, CR0_ET, 0, 0, 0);
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        put_segment(child, vp, n, 0, 0xFFFF, 0, 0x93);
    put_segment(child, vp, SEG_CS, (uint64_t)cs << 4, 0xFFFF, cs, 0x9B);
    child_put(child, vp, HV_REGISTER_RAX + RSP, 0xF000 - vp * 0x100);
    must(child_set(child->id, vp, HV_REGISTER_IDTR, 0x3FFUL << 48, 0), "IDTR");
    child_put(child, vp, HV_REGISTER_RIP, ip);
}

static void write_gdt(struct child *child)
{
    static const uint64_t gdt[7] = {
        0,
        0x00AF9B000000FFFF, /* 64-bit code */
        0x00CF93000000FFFF, /* data */
        0x00CF9B000000FFFF, /* 32-bit code */
        0x00009B000000FFFF, /* 16-bit code */
        0x00008B0000000067 | (uint64_t)CHILD_TSS << 16,
    };
    memcpy(child->memory + CHILD_GDT, gdt, sizeof(gdt));
}

static void flat_segments(struct child *child, uint32_t vp, uint16_t code_selector,
                          uint16_t code_attributes)
{
    write_gdt(child);
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        put_segment(child, vp, n, 0, 0xFFFFFFFF, 0x10, 0xC093);
    put_segment(child, vp, SEG_CS, 0, 0xFFFFFFFF, code_selector, code_attributes);
}

void child_enter_protected(struct child *child, uint32_t vp, uint32_t eip)
{
    put_common(child, vp, CR0_PE | CR0_ET | CR0_NE, 0, 0, 0);
    flat_segments(child, vp, 0x18, 0xC09B);
    child_put(child, vp, HV_REGISTER_RIP, eip);
}

void child_enter_long(struct child *child, uint32_t vp, uint64_t rip)
{
    uint64_t *tables = (uint64_t *)(child->memory + CHILD_TABLES);
    memset(tables, 0, 3 * PAGE_SIZE);
    tables[0] = (CHILD_TABLES + PAGE_SIZE) | 7;
    tables[512] = (CHILD_TABLES + 2 * PAGE_SIZE) | 7;
    for (uint64_t n = 0; n < 512; n++)
        tables[1024 + n] = n * MIB(2) | 0x87;
    put_common(child, vp, CR0_PG | CR0_PE | CR0_ET | CR0_NE | CR0_MP, CHILD_TABLES,
               CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, EFER_LME | EFER_LMA);
    flat_segments(child, vp, 0x08, 0xA09B);
    child_put(child, vp, HV_REGISTER_RIP, rip);
}

uint32_t child_run(struct child *child, uint32_t vp)
{
    for (uint32_t n = 0; n < ENDLESS; n++) {
        struct hv_output_dispatch_vp output = {0};
        uint16_t status =
            child_dispatch(child->id, vp, HV_DISPATCH_CLEAR_INTERCEPT_SUSPEND, &output);
        if (status != HV_STATUS_SUCCESS) {
            tap_note("DispatchVp: %s", status_name(status));
            return CHILD_STOP_FAILED;
        }
        if (output.event == HV_DISPATCH_EVENT_INTERCEPT)
            return child->vps[vp].message->header.type;
        if (output.state == HV_DISPATCH_STATE_BLOCKED)
            return output.event == HV_DISPATCH_EVENT_SUSPEND ? CHILD_STOP_SUSPENDED
                                                             : CHILD_STOP_BLOCKED;
    }
    return CHILD_STOP_ENDLESS;
}

const char *message_name(uint32_t type)
{
    switch (type) {
    case HV_MESSAGE_UNMAPPED_GPA:
        return "unmapped GPA";
    case HV_MESSAGE_GPA_INTERCEPT:
        return "GPA access denied";
    case HV_MESSAGE_INVALID_VP_REGISTER_VALUE:
        return "invalid VP register value";
    case HV_MESSAGE_UNRECOVERABLE_EXCEPTION:
        return "unrecoverable exception";
    case HV_MESSAGE_IO_PORT:
        return "I/O port";
    case HV_MESSAGE_MSR:
        return "MSR";
    case HV_MESSAGE_CPUID:
        return "CPUID";
    case HV_MESSAGE_EXCEPTION:
        return "exception";
    case HV_MESSAGE_HALT:
        return "halt";
    case CHILD_STOP_BLOCKED:
        return "blocked";
    case CHILD_STOP_SUSPENDED:
        return "suspended";
    case CHILD_STOP_ENDLESS:
        return "endless dispatches";
    case CHILD_STOP_FAILED:
        return "failed call";
    default:
        return "unknown message";
    }
}
