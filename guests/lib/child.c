/* SPDX-License-Identifier: MIT */
/* The single calls about a child, with the deposits that they need. */
#include "guests/lib/child.h"

#include "guests/lib/guest.h"

#define BATCH 500 /* list elements in one input page, header included */

bool child_feed(uint64_t id, uint16_t status)
{
    if (status == HV_STATUS_INSUFFICIENT_MEMORY)
        return child_deposit(id, 1) == HV_STATUS_SUCCESS;
    if (status == HV_STATUS_INSUFFICIENT_ROOT_MEMORY)
        return child_deposit(HV_PARTITION_ID_SELF, 1) == HV_STATUS_SUCCESS;
    return false;
}

/* A simple call, repeated as long as feeding the pool of `id` helps. */
static uint16_t fed_call(uint64_t id, uint16_t code, const void *input, size_t input_size,
                         void *output, size_t output_size)
{
    uint16_t status;
    do
        status = hv_call(code, input, input_size, output, output_size);
    while (child_feed(id, status));
    return status;
}

uint16_t child_create(uint64_t flags, uint64_t *id)
{
    struct hv_input_create_partition input = {.flags = flags, .compatibility = 0x0609};
    return fed_call(HV_PARTITION_ID_SELF, HVCALL_CREATE_PARTITION, &input, sizeof(input), id,
                    sizeof(*id));
}

uint16_t child_initialize(uint64_t id)
{
    return fed_call(id, HVCALL_INITIALIZE_PARTITION, &id, sizeof(id), NULL, 0);
}

uint16_t child_finalize(uint64_t id)
{
    return hv_call(HVCALL_FINALIZE_PARTITION, &id, sizeof(id), NULL, 0);
}

uint16_t child_delete(uint64_t id)
{
    return hv_call(HVCALL_DELETE_PARTITION, &id, sizeof(id), NULL, 0);
}

uint16_t child_deposit(uint64_t id, uint32_t count)
{
    uint64_t pages[BATCH];
    uint16_t status = HV_STATUS_SUCCESS;
    while (count > 0 && status == HV_STATUS_SUCCESS) {
        uint32_t batch = count < BATCH ? count : BATCH, taken;
        for (uint32_t n = 0; n < batch; n++)
            pages[n] = page_of(page_alloc());
        status = hv_call_rep(HVCALL_DEPOSIT_MEMORY, &id, sizeof(id), pages, sizeof(pages[0]), batch,
                             NULL, 0, &taken);
        for (uint32_t n = taken; n < batch; n++)
            page_free((void *)(pages[n] << PAGE_SHIFT));
        count -= batch;
    }
    return status;
}

static bool page_is_zero(const uint64_t *page)
{
    for (unsigned n = 0; n < PAGE_SIZE / sizeof(*page); n++) {
        if (page[n] != 0)
            return false;
    }
    return true;
}

uint32_t child_withdraw_all(uint64_t id, uint32_t *dirty)
{
    struct hv_input_withdraw input = {.partition_id = id};
    uint64_t pages[BATCH];
    uint32_t total = 0, got;
    if (dirty != NULL)
        *dirty = 0;
    do {
        (void)hv_call_rep(HVCALL_WITHDRAW_MEMORY, &input, sizeof(input), NULL, 0, BATCH, pages,
                          sizeof(pages[0]), &got);
        for (uint32_t n = 0; n < got; n++) {
            void *page = (void *)(pages[n] << PAGE_SHIFT);
            if (dirty != NULL && !page_is_zero(page))
                ++*dirty;
            page_free(page);
        }
        total += got;
    } while (got > 0);
    return total;
}

uint16_t child_balance(uint64_t id, struct hv_output_memory_balance *balance)
{
    struct hv_input_withdraw input = {.partition_id = id};
    return hv_call(HVCALL_GET_MEMORY_BALANCE, &input, sizeof(input), balance, sizeof(*balance));
}

uint16_t child_create_vp(uint64_t id, uint32_t vp)
{
    struct hv_input_create_vp input = {.partition_id = id, .vp_index = vp};
    return fed_call(id, HVCALL_CREATE_VP, &input, sizeof(input), NULL, 0);
}

uint16_t child_delete_vp(uint64_t id, uint32_t vp)
{
    struct hv_input_vp input = {.partition_id = id, .vp_index = vp};
    return hv_call(HVCALL_DELETE_VP, &input, sizeof(input), NULL, 0);
}

uint16_t child_map(uint64_t id, gpn_t gpn, gpn_t source, uint64_t count, uint32_t flags)
{
    uint64_t step = flags & HV_MAP_LARGE_PAGE ? PAGES_2M : 1;
    uint64_t list[BATCH], done = 0;
    uint16_t status = HV_STATUS_SUCCESS;
    while (done < count) {
        struct hv_input_map_gpa input = {
            .partition_id = id, .base_gpn = gpn + done, .flags = flags};
        uint32_t batch = (uint32_t)min_u64((count - done) / step, BATCH), completed;
        for (uint32_t n = 0; n < batch; n++)
            list[n] = flags & HV_MAP_NO_ACCESS ? 0 : source + done + n * step;
        status = hv_call_rep(HVCALL_MAP_GPA_PAGES, &input, sizeof(input), list, sizeof(list[0]),
                             batch, NULL, 0, &completed);
        done += completed * step;
        if (status != HV_STATUS_SUCCESS && !child_feed(id, status))
            break;
    }
    return status;
}

uint16_t child_unmap(uint64_t id, gpn_t gpn, uint64_t count)
{
    uint64_t done = 0;
    uint16_t status = HV_STATUS_SUCCESS;
    while (done < count) {
        struct hv_input_unmap_gpa input = {.partition_id = id, .base_gpn = gpn + done};
        uint32_t batch = (uint32_t)min_u64(count - done, 4095), completed;
        status = hv_call_rep(HVCALL_UNMAP_GPA_PAGES, &input, sizeof(input), NULL, 0, batch, NULL, 0,
                             &completed);
        done += completed;
        if (status != HV_STATUS_SUCCESS && !child_feed(id, status))
            break;
    }
    return status;
}

uint16_t child_get(uint64_t id, uint32_t vp, uint32_t name, struct hv_register_value *value)
{
    struct hv_input_vp_registers input = {.partition_id = id, .vp_index = vp};
    return hv_call_rep(HVCALL_GET_VP_REGISTERS, &input, sizeof(input), &name, sizeof(name), 1,
                       value, sizeof(*value), NULL);
}

uint16_t child_set(uint64_t id, uint32_t vp, uint32_t name, uint64_t low, uint64_t high)
{
    struct hv_input_vp_registers input = {.partition_id = id, .vp_index = vp};
    struct hv_register_assignment assignment = {.name = name, .value = {low, high}};
    return hv_call_rep(HVCALL_SET_VP_REGISTERS, &input, sizeof(input), &assignment,
                       sizeof(assignment), 1, NULL, 0, NULL);
}

uint64_t child_register(uint64_t id, uint32_t vp, uint32_t name)
{
    struct hv_register_value value = {0};
    uint16_t status = child_get(id, vp, name, &value);
    if (status != HV_STATUS_SUCCESS)
        tap_status(status, HV_STATUS_SUCCESS, "register 0x%x of VP %u can be read", name, vp);
    return value.low;
}

uint16_t child_set_segment(uint64_t id, uint32_t vp, uint32_t name, uint64_t base, uint32_t limit,
                           uint16_t selector, uint16_t attributes)
{
    return child_set(id, vp, name, base,
                     limit | (uint64_t)selector << 32 | (uint64_t)attributes << 48);
}

uint16_t child_install_intercept(uint64_t id, uint32_t type, uint32_t mask, uint64_t parameter)
{
    struct hv_input_install_intercept input = {
        .partition_id = id, .access_mask = mask, .type = type, .parameter = parameter};
    return fed_call(id, HVCALL_INSTALL_INTERCEPT, &input, sizeof(input), NULL, 0);
}

uint16_t child_dispatch(uint64_t id, uint32_t vp, uint32_t flags,
                        struct hv_output_dispatch_vp *output)
{
    struct hv_input_dispatch_vp input = {.partition_id = id, .vp_index = vp, .flags = flags};
    return hv_call(HVCALL_DISPATCH_VP, &input, sizeof(input), output, sizeof(*output));
}

uint16_t state_page_map(uint64_t id, uint32_t vp, uint16_t type, uint8_t flags, gpn_t wanted,
                        gpn_t *location)
{
    struct hv_input_map_vp_state_page input = {.partition_id = id,
                                               .vp_index = vp,
                                               .type = type,
                                               .flags = flags,
                                               .requested_map_location = wanted};
    uint64_t output = 0;
    uint16_t status =
        hv_call(HVCALL_MAP_VP_STATE_PAGE, &input, sizeof(input), &output, sizeof(output));
    if (location != NULL)
        *location = output;
    return status;
}

uint16_t state_page_unmap_call(uint64_t id, uint32_t vp, uint16_t type)
{
    struct hv_input_unmap_vp_state_page input = {.partition_id = id, .vp_index = vp, .type = type};
    return hv_call(HVCALL_UNMAP_VP_STATE_PAGE, &input, sizeof(input), NULL, 0);
}

uint16_t state_page_show(uint64_t id, uint32_t vp, uint16_t type, void **page)
{
    bool layered = hypervisor_role() == ROLE_IS_LAYERED;
    gpn_t wanted = layered ? page_of(page_alloc()) : 0, location;
    uint16_t status;
    do
        status =
            state_page_map(id, vp, type, layered ? HV_MAP_LOCATION_PROVIDED : 0, wanted, &location);
    while (child_feed(id, status));
    if (status == HV_STATUS_SUCCESS)
        *page = identity_map(location << PAGE_SHIFT, PAGE_SIZE);
    return status;
}
