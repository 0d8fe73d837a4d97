/* SPDX-License-Identifier: MIT */
/* Hypercalls of a bundled guest: set-up, per-processor pages, the usual forms. */
#include "guests/lib/guest.h"
#include "hv/base/string.h"
#include "hv/model/partition.h"

enum {
    LEAF_VENDOR = 0x40000000,
    LEAF_INTERFACE = 0x40000001,
    LEAF_FEATURES = 0x40000003,
    INTERFACE_HV1 = 0x31237648, /* "Hv#1" */
};

/* In .data: a page that covers nothing but itself. */
__attribute__((aligned(PAGE_SIZE))) uint8_t hypercall_page[PAGE_SIZE];
static void *pages[MAX_CPUS][2];

bool hypervisor_present(void)
{
    char vendor[12];
    if (!(cpuid(1, 0).ecx & BIT(31)))
        return false;
    struct cpuid_regs r = cpuid(LEAF_VENDOR, 0);
    memcpy(vendor, &r.ebx, 4);
    memcpy(vendor + 4, &r.ecx, 4);
    memcpy(vendor + 8, &r.edx, 4);
    return memcmp(vendor, "Microsoft Hv", 12) == 0 && cpuid(LEAF_INTERFACE, 0).eax == INTERFACE_HV1;
}

uint64_t hypervisor_privileges(void)
{
    struct cpuid_regs r = cpuid(LEAF_FEATURES, 0);
    return (uint64_t)r.ebx << 32 | r.eax;
}

enum guest_role hypervisor_role(void)
{
    uint64_t mask = hypervisor_privileges();
    if (!(mask & PRIVILEGE_CREATE_PARTITIONS))
        return ROLE_IS_GUEST;
    return mask & PRIVILEGE_CPU_MANAGEMENT ? ROLE_IS_ROOT : ROLE_IS_LAYERED;
}

const char *role_name(enum guest_role role)
{
    static const char *const names[] = {"root", "layered host", "guest"};
    return names[role];
}

void hypercall_init(void)
{
    if (!hypervisor_present())
        tap_bail_out("no hypervisor with the Microsoft interface here");
    wrmsr(HV_MSR_GUEST_OS_ID, GUEST_OS_ID);
    wrmsr(HV_MSR_HYPERCALL, (uint64_t)hypercall_page | HV_HYPERCALL_MSR_ENABLE);
}

static void *own_page(unsigned which)
{
    void **page = &pages[this_cpu()->index][which];
    if (*page == NULL)
        *page = page_alloc();
    return *page;
}

void *hv_input_page(void)
{
    return own_page(0);
}

void *hv_output_page(void)
{
    return own_page(1);
}

uint16_t hv_call(uint16_t code, const void *input, size_t input_size, void *output,
                 size_t output_size)
{
    void *in = hv_input_page(), *out = hv_output_page();
    memcpy(in, input, input_size);
    uint16_t status = hv_status(hypercall(code, (uint64_t)in, (uint64_t)out));
    if (status == HV_STATUS_SUCCESS)
        memcpy(output, out, output_size);
    return status;
}

uint16_t hv_call_fast(uint16_t code, uint64_t input0, uint64_t input1)
{
    return hv_status(hypercall(code | HV_CONTROL_FAST, input0, input1));
}

uint16_t hv_call_rep(uint16_t code, const void *header, size_t header_size, const void *list,
                     size_t element_size, uint32_t count, void *output, size_t output_element_size,
                     uint32_t *completed)
{
    uint8_t *in = hv_input_page();
    void *out = hv_output_page();
    memcpy(in, header, header_size);
    if (list != NULL)
        memcpy(in + header_size, list, element_size * count);
    uint64_t result = hypercall(hv_rep_control(code, count, 0), (uint64_t)in, (uint64_t)out);
    if (output != NULL)
        memcpy(output, out, output_element_size * hv_reps(result));
    if (completed != NULL)
        *completed = hv_reps(result);
    return hv_status(result);
}

uint64_t direct_entry(void)
{
    struct cpuid_regs r = cpuid(0, 0);
    bool intel = r.ebx == 0x756E6547; /* "Genu" */
    return intel ? (uint64_t)direct_vmcall : (uint64_t)direct_vmmcall;
}
