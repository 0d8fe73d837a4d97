/* SPDX-License-Identifier: MIT */
/*
 * A layered host: the rows of the placement table that name a page of the caller's own, and the
 * order of calls of Linux's driver. Runs with role=layered on the hypervisor's command line.
 */
#include "guests/layered/places.h"
#include "hv/model/partition.h"
#include "hv/model/vp.h"

#define VPS        2
#define VM_DEPOSIT 208 /* pages, before 0x41 */
#define VP_DEPOSIT 90  /* before each 0x4E */
#define MAP_BATCH  509
#define DEMAND_GPN 0x400UL /* a region that is filled on demand */
#define REGISTERS  HV_VP_STATE_PAGE_REGISTERS
#define MESSAGE    HV_VP_STATE_PAGE_INTERCEPT_MESSAGE
#define PATTERN    0x1A7E4EDUL

static struct child vm; /* vps[].registers and .message: pages of ours */
static uint32_t deposited;

static void roles(void)
{
    uint64_t mask = hypervisor_privileges();
    tap_ok((mask & PRIVILEGE_CREATE_PARTITIONS) && !(mask & PRIVILEGE_CPU_MANAGEMENT),
           "a layered host has CreatePartitions and not CpuManagement");
    tap_ok((mask & PRIVILEGE_PARTITION_ID) && (mask & PRIVILEGE_MEMORY_POOL) &&
               (mask & PRIVILEGE_VP_REGISTERS),
           "... and AccessPartitionId, AccessMemoryPool, AccessVpRegisters");
    struct hv_input_get_partition_property get = {.partition_id = HV_PARTITION_ID_SELF,
                                                  .code = HV_PROPERTY_PRIVILEGE_FLAGS};
    uint64_t value = 0;
    tap_status(hv_call(HVCALL_GET_PARTITION_PROPERTY, &get, sizeof(get), &value, sizeof(value)),
               HV_STATUS_SUCCESS, "GetPartitionProperty of its own privileges");
    tap_equal(value, mask, "the property says what CPUID says");
}

static void set_privileges(uint64_t id, uint64_t mask, uint16_t expected, const char *what)
{
    struct hv_input_set_partition_property set = {
        .partition_id = id, .code = HV_PROPERTY_PRIVILEGE_FLAGS, .value = mask};
    tap_status(hv_call(HVCALL_SET_PARTITION_PROPERTY, &set, sizeof(set), NULL, 0), expected, "%s",
               what);
}

static void deposit(uint32_t count)
{
    if (child_deposit(vm.id, count) != HV_STATUS_SUCCESS)
        tap_bail_out("DepositMemory");
    deposited += count;
}

/* 0x40, deposit, 0x41 as Linux's driver does them. */
static void create_vm(void)
{
    uint64_t flags =
        HV_CREATE_EXO_PARTITION | HV_CREATE_INTERCEPT_MESSAGE_PAGE | HV_CREATE_GPA_SUPER_PAGES;
    uint64_t id = 0;
    tap_status(child_create(flags | HV_CREATE_LAPIC, &id),
               HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED,
               "CreatePartition with a local APIC, which there is not yet");
    tap_status(child_create(flags, &vm.id), HV_STATUS_SUCCESS, "CreatePartition");
    set_privileges(vm.id, hypervisor_privileges() | PRIVILEGE_CPU_MANAGEMENT,
                   HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE,
                   "a child does not get a privilege that its parent has not");
    set_privileges(vm.id, PRIVILEGES_CHILD, HV_STATUS_SUCCESS, "a subset of the parent's it does");
    deposit(VM_DEPOSIT);
    tap_status(child_initialize(vm.id), HV_STATUS_SUCCESS, "InitializePartition");
    set_privileges(vm.id, PRIVILEGES_CHILD, HV_STATUS_INVALID_PARTITION_STATE,
                   "privileges are set before initializing only");
}

static void map_memory(void)
{
    vm.memory = pages_alloc(CHILD_PAGES, MIB(2));
    uint64_t list[MAP_BATCH];
    uint32_t completed;
    for (uint64_t done = 0; done < CHILD_PAGES; done += completed) {
        struct hv_input_map_gpa input = {
            .partition_id = vm.id, .base_gpn = done, .flags = CHILD_MAP_ALL};
        uint32_t count = (uint32_t)min_u64(MAP_BATCH, CHILD_PAGES - done);
        for (uint32_t n = 0; n < count; n++)
            list[n] = page_of(vm.memory) + done + n;
        if (hv_call_rep(HVCALL_MAP_GPA_PAGES, &input, sizeof(input), list, 8, count, NULL, 0,
                        &completed) != HV_STATUS_SUCCESS)
            break;
    }
    tap_ok(child_get(vm.id, 0, HV_REGISTER_RIP, &(struct hv_register_value){0}) ==
               HV_STATUS_INVALID_VP_INDEX,
           "memory is mapped in batches of %u; there is no VP yet", MAP_BATCH);
    tap_status(child_map(vm.id, DEMAND_GPN, 0, 16, HV_MAP_NO_ACCESS), HV_STATUS_SUCCESS,
               "a region for filling on demand is mapped no-access");
}

/* 0xE1 at a page of ours, which covers what it holds. */
static uint16_t place(uint32_t vp, uint16_t type, void *page, gpn_t *location)
{
    return state_page_map(vm.id, vp, type, HV_MAP_LOCATION_PROVIDED, page_of(page), location);
}

static void create_vp(uint32_t vp)
{
    uint64_t *message = page_alloc(), *registers = page_alloc();
    gpn_t where[2] = {0};
    message[9] = registers[9] = PATTERN;
    deposit(VP_DEPOSIT);
    tap_status(child_create_vp(vm.id, vp), HV_STATUS_SUCCESS, "CreateVp %u", vp);
    tap_status(place(vp, MESSAGE, message, &where[0]), HV_STATUS_SUCCESS,
               "MapVpStatePage type 1 of VP %u at a page of the host's", vp);
    tap_status(place(vp, REGISTERS, registers, &where[1]), HV_STATUS_SUCCESS,
               "MapVpStatePage type 0 of VP %u likewise", vp);
    tap_ok(where[0] == page_of(message) && where[1] == page_of(registers),
           "MapLocation is the requested GPN");
    vm.vps[vp].message = (struct hv_message *)message;
    vm.vps[vp].registers = (struct hv_register_page *)registers;
    tap_ok(vm.vps[vp].registers->version == 1 && vm.vps[vp].registers->is_valid == 1 &&
               message[9] == 0,
           "the host's pages show the state pages");
    child_set(vm.id, vp, HV_REGISTER_EXPLICIT_SUSPEND, 0, 0);
}

/* Rows of the placement table and of the bad-input table that are a layered host's own. */
static void placement(void)
{
    uint8_t *page = page_alloc();
    gpn_t limit = 1UL << ((cpuid(0x80000008, 0).eax & 0xFF) - PAGE_SHIFT);
    child_create_vp(vm.id, VPS);
    tap_status(state_page_map(vm.id, VPS, REGISTERS, 0, 0, NULL), HV_STATUS_INVALID_PARAMETER,
               "a child's page without a location: refused");
    tap_status(state_page_map(vm.id, VPS, REGISTERS, 3, page_of(page), NULL),
               HV_STATUS_INVALID_PARAMETER, "a reserved flag bit, as older drivers leave it there");
    tap_status(state_page_map(vm.id, VPS, REGISTERS, 1, limit, NULL), HV_STATUS_INVALID_PARAMETER,
               "a location beyond the address width");
    tap_status(state_page_map(vm.id, VPS, REGISTERS, 1, 0xFEE00, NULL), HV_STATUS_INVALID_PARAMETER,
               "a location at the local APIC's page");
    tap_status(place(VPS, REGISTERS, vm.vps[0].message, NULL), HV_STATUS_INVALID_PARAMETER,
               "a location under another state page");
    tap_status(place(VPS, 2, page, NULL), HV_STATUS_INVALID_PARAMETER,
               "a GHCB page without SEV-SNP");
    tap_status(place(0, REGISTERS, page, NULL), HV_STATUS_OPERATION_DENIED,
               "a page that is mapped already");
    tap_status(place(VPS + 5, REGISTERS, page, NULL), HV_STATUS_INVALID_VP_INDEX,
               "a VP that there is not");
    gpn_t chosen = 0;
    tap_status(state_page_map(HV_PARTITION_ID_SELF, HV_VP_INDEX_SELF, REGISTERS, 0, 0, &chosen),
               HV_STATUS_SUCCESS, "its own page the hypervisor places for it");
    tap_ok(chosen << PAGE_SHIFT >= machine_memory_end(), "... above its RAM");
    state_page_unmap_call(HV_PARTITION_ID_SELF, HV_VP_INDEX_SELF, REGISTERS);
    tap_status(child_delete_vp(vm.id, VPS), HV_STATUS_SUCCESS, "DeleteVp");
    page_free(page);
}

/* The child has memory of its own at the GPN of the host's page, and sees that. */
static void invisible_to_the_child(void)
{
    gpn_t same = page_of(vm.vps[0].registers);
    uint64_t *page = page_alloc();
    page[0] = 0xC417D;
    tap_status(child_map(vm.id, same, page_of(page), 1, CHILD_MAP_ALL), HV_STATUS_SUCCESS,
               "the child gets memory at the GPN where the host has the register page");
    child_load(&vm, CHILD_CODE, vm_code, vm_code_end);
    child_enter_long(&vm, 0, CHILD_CODE);
    child_put(&vm, 0, HV_REGISTER_RAX + RBX, same << PAGE_SHIFT);
    tap_equal(child_run(&vm, 0), HV_MESSAGE_IO_PORT, "the child reads there and stops");
    tap_equal(vm.vps[0].registers->gpr[RAX], 0xC417D, "it saw its own memory");
    child_unmap(vm.id, same, 1);
    page_free(page);
}

static void run_on_demand(void)
{
    uint64_t *page = page_alloc();
    struct hv_register_page *registers = vm.vps[1].registers;
    page[0] = 0xDE3A4D;
    child_load(&vm, CHILD_CODE, vm_code, vm_code_end);
    child_enter_long(&vm, 1, CHILD_CODE);
    child_put(&vm, 1, HV_REGISTER_RAX + RBX, (DEMAND_GPN + 3) << PAGE_SHIFT);
    tap_equal(child_run(&vm, 1), HV_MESSAGE_GPA_INTERCEPT,
              "the child touches the on-demand region: GPA intercept 0x80000001");
    tap_equal(vm.vps[1].message->payload.memory.gpa, (DEMAND_GPN + 3) << PAGE_SHIFT,
              "its GPA is in the message");
    tap_status(child_map(vm.id, DEMAND_GPN + 3, page_of(page), 1, CHILD_MAP_ALL), HV_STATUS_SUCCESS,
               "the host maps the page");
    tap_equal(child_run(&vm, 1), HV_MESSAGE_IO_PORT, "dispatched again, it goes on");
    tap_equal(registers->gpr[RAX], 0xDE3A4D, "with the page's contents");
    registers->rip += 2;
    registers->gpr[RBX] = 0x77;
    registers->dirty = HV_DIRTY_RIP | HV_DIRTY_GENERAL;
    tap_equal(child_run(&vm, 1), HV_MESSAGE_HALT, "the host steps over OUT in the register page");
    tap_equal(registers->gpr[RBX], 0x78, "and the child went on with the host's RBX");
    child_unmap(vm.id, DEMAND_GPN + 3, 1);
    page_free(page);
}

/* 0xE2 for both, and the page is used for something else at once. */
static void unmap_pages(uint32_t vp)
{
    uint64_t *pages[2] = {(uint64_t *)vm.vps[vp].registers, (uint64_t *)vm.vps[vp].message};
    for (uint16_t type = 0; type < 2; type++) {
        tap_status(state_page_unmap_call(vm.id, vp, type), HV_STATUS_SUCCESS,
                   "UnmapVpStatePage type %u of VP %u", type, vp);
        tap_equal(pages[type][9], PATTERN, "what the page covered is back");
        memset(pages[type], 0x66, PAGE_SIZE);
        page_free(pages[type]);
    }
    vm.vps[vp] = (struct child_vp){0};
}

static void tear_down(void)
{
    uint32_t dirty;
    for (uint32_t vp = 0; vp < VPS; vp++)
        unmap_pages(vp);
    tap_status(child_finalize(vm.id), HV_STATUS_SUCCESS, "FinalizePartition");
    uint32_t back = child_withdraw_all(vm.id, &dirty);
    tap_equal(back, deposited, "WithdrawMemory until NO_RESOURCES gives every page back");
    tap_equal(dirty, 0, "all of them zeroed");
    struct hv_input_withdraw more = {.partition_id = vm.id};
    uint64_t page;
    tap_status(hv_call_rep(HVCALL_WITHDRAW_MEMORY, &more, sizeof(more), NULL, 0, 1, &page, 8, NULL),
               HV_STATUS_NO_RESOURCES, "and one more: NO_RESOURCES");
    tap_status(child_delete(vm.id), HV_STATUS_SUCCESS, "DeletePartition");
    pages_free(vm.memory, CHILD_PAGES);
}

void guest_main(void)
{
    hypercall_init();
    if (hypervisor_role() != ROLE_IS_LAYERED) {
        tap_skip("this guest is about role=layered; this is role %s", role_name(hypervisor_role()));
        return;
    }
    struct hv_output_memory_balance before, after;
    cpu_start_all();
    child_balance(HV_PARTITION_ID_SELF, &before);
    roles();
    create_vm();
    map_memory();
    for (uint32_t vp = 0; vp < VPS; vp++)
        create_vp(vp);
    placement();
    invisible_to_the_child();
    run_on_demand();
    tear_down();
    child_balance(HV_PARTITION_ID_SELF, &after);
    tap_ok(before.available + before.in_use == after.available + after.in_use,
           "the host's own pool has as many pages as before");
    test_places();
}
