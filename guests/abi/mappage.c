/* SPDX-License-Identifier: MIT */
/* Section 2: 0xE1 and 0xE2 of the caller's own VP, row by row. */
#include "guests/abi/abi.h"

#define WITNESS 0xA5

static struct hv_input_map_vp_state_page own(gpn_t gpn)
{
    return (struct hv_input_map_vp_state_page){.partition_id = HV_PARTITION_ID_SELF,
                                               .vp_index = 0,
                                               .flags = HV_MAP_LOCATION_PROVIDED,
                                               .requested_map_location = gpn};
}

static void bad_vp(void)
{
    static const uint32_t indices[] = {63, 64, 1000, 0x80000000, HV_VP_INDEX_ANY};
    gpn_t gpn = page_of(hv_output_page()); /* never looked at */
    for (size_t n = 0; n < ARRAY_SIZE(indices); n++) {
        struct hv_input_map_vp_state_page in = own(gpn);
        in.vp_index = indices[n];
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_VP_INDEX,
                   "2 row 4: VP index 0x%x of oneself", indices[n]);
    }
    struct hv_input_map_vp_state_page in = own(gpn);
    in.vp_index = 63;
    in.type = 3;
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_VP_INDEX,
               "2: row 4 before row 5 (VP index, type)");
}

static void bad_fields(gpn_t gpn)
{
    for (unsigned bit = 1; bit < 8; bit++) {
        struct hv_input_map_vp_state_page in = own(gpn);
        in.flags |= (uint8_t)(1 << bit);
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER,
                   "2 row 5: reserved flag bit %u", bit);
    }
    for (unsigned bit = 5; bit < 8; bit++) {
        struct hv_input_map_vp_state_page in = own(gpn);
        in.input_vtl = (uint8_t)(1 << bit);
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER,
                   "2 row 5: reserved InputVtl bit %u", bit);
    }
    static const uint8_t vtls[] = {0x11, 0x12, 0x1F};
    for (size_t n = 0; n < ARRAY_SIZE(vtls); n++) {
        struct hv_input_map_vp_state_page in = own(gpn);
        in.input_vtl = vtls[n];
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER,
                   "2 row 5: target VTL %u used", vtls[n] & 15);
    }
    static const uint16_t types[] = {2, 3, 0x100, 0xFFFF};
    for (size_t n = 0; n < ARRAY_SIZE(types); n++) {
        struct hv_input_map_vp_state_page in = own(gpn);
        in.type = types[n];
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER, "2 row 5: type 0x%x%s",
                   types[n], types[n] == 2 ? " without SEV-SNP" : "");
    }
}

static void bad_location(void)
{
    const struct {
        gpn_t gpn;
        const char *what;
    } list[] = {
        {1UL << (gpa_bits - 12), "beyond the GPA width"},
        {~0UL, "all ones"},
        {1UL << 52, "bit 64 of the GPA"},
        {page_of(hypercall_page), "covered by the hypercall page"},
        {0xFEE00, "the local APIC's page"},
    };
    for (size_t n = 0; n < ARRAY_SIZE(list); n++) {
        struct hv_input_map_vp_state_page in = own(list[n].gpn);
        tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER, "2 row 7: location %s",
                   list[n].what);
    }
    tap_status(unmap_own(0), HV_STATUS_NOT_FOUND, "2: nothing is mapped after all of that");
}

/* A good mapping in every way that is good, and what row 6 says of a second one. */
static void good(uint8_t *page)
{
    struct hv_input_map_vp_state_page in = own(page_of(page));
    gpn_t location = 0;
    in.vp_index = HV_VP_INDEX_SELF;
    tap_status(map_page_call(&in, &location), HV_STATUS_SUCCESS, "2 row 4: VP index SELF");
    tap_equal(location, page_of(page), "2: MapLocation is the requested GPN");
    tap_equal(*(volatile uint16_t *)page, 1, "3: the register page's version is 1");
    tap_status(map_page_call(&in, NULL), HV_STATUS_OPERATION_DENIED, "2 row 6: mapped already");
    in.vp_index = 0;
    tap_status(map_page_call(&in, NULL), HV_STATUS_OPERATION_DENIED,
               "2 row 6: and it is VP 0's page");
    in.requested_map_location = ~0UL;
    tap_status(map_page_call(&in, NULL), HV_STATUS_OPERATION_DENIED,
               "2: row 6 before row 7 (mapped, location)");
    in.flags = 0x81;
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER,
               "2: row 5 before row 6 (flags, mapped)");
    in = own(page_of(page));
    in.type = HV_VP_STATE_PAGE_INTERCEPT_MESSAGE;
    tap_status(map_page_call(&in, NULL), HV_STATUS_INVALID_PARAMETER,
               "2 row 7: covered by another state page");
    *(volatile uint8_t *)(page + 0x800) = 0x77;
    tap_equal(*(volatile uint8_t *)(page + 0x800), 0x77, "2: a self-mapped page is writable");
    tap_status(unmap_own(0), HV_STATUS_SUCCESS, "2: unmapped");
    bool back = true;
    for (unsigned n = 0; n < PAGE_SIZE; n++)
        back &= ((volatile uint8_t *)page)[n] == WITNESS;
    tap_ok(back, "2: the covered page keeps its contents and is back");
    tap_status(unmap_own(0), HV_STATUS_NOT_FOUND, "2: 0xE2 of a page that is not mapped");
}

static void ignored_fields(uint8_t *page)
{
    struct hv_input_map_vp_state_page in = own(page_of(page));
    in.input_vtl = 0x0F;
    tap_status(map_page_call(&in, NULL), HV_STATUS_SUCCESS,
               "2 row 5: without bit 4 the VTL field is not looked at");
    unmap_own(0);
    in.input_vtl = 0x10;
    tap_status(map_page_call(&in, NULL), HV_STATUS_SUCCESS, "2 row 5: VTL 0 used");
    unmap_own(0);
    in = own(page_of(page));
    hypercall(HVCALL_GET_PARTITION_ID, 0, output_gpa());
    in.partition_id = *(uint64_t *)hv_output_page();
    tap_status(map_page_call(&in, NULL), HV_STATUS_SUCCESS, "2: oneself by its own id");
    unmap_own(0);
}

/* The hypervisor chooses the place. */
static void chosen(void)
{
    gpn_t locations[2] = {0};
    for (uint16_t type = 0; type < 2; type++) {
        struct hv_input_map_vp_state_page in = own(~0UL);
        in.flags = 0;
        in.type = type;
        tap_status(map_page_call(&in, &locations[type]), HV_STATUS_SUCCESS,
                   "2: type %u, no location given: offset 16 is not looked at", type);
        tap_ok(locations[type] >= GIB(4) >> 12 && locations[type] >= machine_memory_end() >> 12 &&
                   locations[type] < 1UL << (gpa_bits - 12),
               "2: GPN 0x%lx is above 4 GiB and RAM, inside the width", locations[type]);
    }
    tap_ok(locations[0] != locations[1], "2: the two pages are at two places");
    volatile uint64_t *page = identity_map(locations[0] << 12, PAGE_SIZE);
    tap_equal(page[0] & 0xFFFF, 1, "2: the register page can be read there");
    page[100] = 0x1234;
    tap_equal(page[100], 0x1234, "2: and written");
    tap_status(unmap_own(0), HV_STATUS_SUCCESS, "2: unmapped from there");
    tap_status(unmap_own(1), HV_STATUS_SUCCESS, "2: the intercept message page as well");
}

void test_map_own(void)
{
    uint8_t *page = page_alloc();
    memset(page, WITNESS, PAGE_SIZE);
    bad_vp();
    bad_fields(page_of(page));
    bad_location();
    good(page);
    ignored_fields(page);
    chosen();
    page_free(page);
}

void test_unmap(void)
{
    struct hv_input_unmap_vp_state_page in = {.partition_id = HV_PARTITION_ID_SELF};
    in.reserved = 1;
    tap_status(unmap_page_call(&in), HV_STATUS_INVALID_PARAMETER, "2: 0xE2, reserved byte 1");
    in.reserved = 0;
    in.type = 2;
    tap_status(unmap_page_call(&in), HV_STATUS_INVALID_PARAMETER, "2: 0xE2, type 2");
    in.type = 0;
    in.input_vtl = 0x20;
    tap_status(unmap_page_call(&in), HV_STATUS_INVALID_PARAMETER, "2: 0xE2, reserved VTL bit");
    in.input_vtl = 0x11;
    tap_status(unmap_page_call(&in), HV_STATUS_INVALID_PARAMETER, "2: 0xE2, target VTL 1");
    in.input_vtl = 0x01;
    tap_status(unmap_page_call(&in), HV_STATUS_NOT_FOUND, "2: 0xE2, VTL field not used");
    in.vp_index = 63;
    in.reserved = 1;
    tap_status(unmap_page_call(&in), HV_STATUS_INVALID_VP_INDEX,
               "2: 0xE2, row 4 before row 5 (VP index, reserved byte)");
}
