/* SPDX-License-Identifier: MIT */
/* Hypercalls by a guest on the fake machine: see hypercalls/fake/calls.h. */
#include "hypercalls/fake/calls.h"

#include <string.h>

#include "hv/base/panic.h"

uint64_t child;

uint32_t call(uint64_t control, const void *input, size_t size)
{
    memcpy(fake_page(INPUT_PAGE), input, size);
    return fake_call(control, INPUT, OUTPUT) & 0xFFFF;
}

uint32_t call_words(uint64_t control, uint64_t first, uint64_t second)
{
    const uint64_t words[] = {first, second};
    return call(control, words, sizeof(words));
}

uint64_t output(void)
{
    return *(uint64_t *)fake_page(OUTPUT_PAGE);
}

uint64_t create(void)
{
    const struct hv_input_create_partition in = {.flags = 0};
    if (call(HVCALL_CREATE_PARTITION, &in, sizeof(in)) != HV_STATUS_SUCCESS)
        return 0;
    return output();
}

uint32_t deposit(uint64_t id, gpn_t gpn, unsigned count)
{
    uint64_t list[1 + 64] = {id};
    must(count <= 64);
    for (unsigned i = 0; i < count; i++)
        list[1 + i] = gpn + i;
    return call(HVCALL_DEPOSIT_MEMORY | REPS(count), list, sizeof(list));
}

uint32_t create_vp(uint64_t id, uint32_t index)
{
    const struct hv_input_create_vp in = {.partition_id = id, .vp_index = index};
    return call(HVCALL_CREATE_VP, &in, sizeof(in));
}

uint32_t set_register(uint64_t id, uint32_t vp, uint32_t name, uint64_t value)
{
    const struct {
        struct hv_input_vp_registers header;
        struct hv_register_assignment assignment;
    } in = {.header = {.partition_id = id, .vp_index = vp},
            .assignment = {.name = name, .value = {.low = value}}};
    return call(HVCALL_SET_VP_REGISTERS | REPS(1), &in, sizeof(in));
}

uint32_t map_at(uint64_t id, uint16_t type, gpn_t gpn)
{
    const struct hv_input_map_vp_state_page in = {.partition_id = id,
                                                  .type = type,
                                                  .flags = HV_MAP_LOCATION_PROVIDED,
                                                  .requested_map_location = gpn};
    return call(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in));
}

uint32_t map_anywhere(uint64_t id, uint16_t type)
{
    const struct hv_input_map_vp_state_page in = {
        .partition_id = id, .type = type, .requested_map_location = ~0UL /* not looked at */};
    return call(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in));
}

uint32_t unmap(uint64_t id, uint16_t type)
{
    const struct hv_input_unmap_vp_state_page in = {.partition_id = id, .type = type};
    return call(HVCALL_UNMAP_VP_STATE_PAGE, &in, sizeof(in));
}

struct partition *child_partition(void)
{
    return partition_find(child);
}

static void map_memory(void)
{
    struct {
        struct hv_input_map_gpa header;
        uint64_t gpns[CHILD_RAM_PAGES];
    } map = {.header = {.partition_id = child,
                        .flags = HV_MAP_READABLE | HV_MAP_WRITABLE | HV_MAP_KERNEL_EXECUTE}};
    for (unsigned i = 0; i < CHILD_RAM_PAGES; i++)
        map.gpns[i] = CHILD_RAM + i;
    uint32_t status = call(HVCALL_MAP_GPA_PAGES | REPS(CHILD_RAM_PAGES), &map, sizeof(map));
    must(status == HV_STATUS_SUCCESS);
}

void start_with_child(uint64_t privileges, const struct slpt_format *format)
{
    fake_start(format, privileges);
    child = create();
    must(child != 0);
    uint32_t status = deposit(child, CHILD_POOL, CHILD_POOL_PAGES);
    must(status == HV_STATUS_SUCCESS);
    status = call_words(HVCALL_INITIALIZE_PARTITION, child, 0);
    must(status == HV_STATUS_SUCCESS);
    map_memory();
    status = create_vp(child, 0);
    must(status == HV_STATUS_SUCCESS);
}
