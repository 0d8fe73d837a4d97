/* SPDX-License-Identifier: MIT */
/* Calls about a node by its parent: memory, registers, state pages, beginning and end. */
#include "guests/nested/node.h"
#include "hv/model/vp.h"

#define DEPOSIT 40

static void must(uint16_t status, const char *what)
{
    if (status != HV_STATUS_SUCCESS)
        tap_bail_out("%s: %s", what, status_name(status));
}

/* GPN of a page that the parent can give away. */
static gpn_t spare_page(struct node *parent)
{
    if (parent->parent == NULL)
        return page_of(page_alloc());
    if (parent->spare_used == SPARE_PAGES)
        tap_bail_out("partition %lu has no more pages to deposit", parent->id);
    return (NODE_SPARE >> PAGE_SHIFT) + parent->spare_used++;
}

static uint16_t deposit_to(struct node *giver, uint64_t id, uint32_t count)
{
    gpn_t pages[DEPOSIT + 1];
    for (uint32_t n = 0; n < count; n++)
        pages[n] = spare_page(giver);
    if (giver->parent == NULL && id == HV_PARTITION_ID_SELF)
        giver->spare_used += count;
    return node_call_rep(giver, HVCALL_DEPOSIT_MEMORY, &id, sizeof(id), pages, sizeof(pages[0]),
                         count, NULL, 0, NULL);
}

uint16_t node_deposit(struct node *n, uint32_t count)
{
    return deposit_to(n->parent, n->id, count);
}

/* More memory for who has too little: the node from its parent, or the parent from itself. */
static bool feed(struct node *n, uint16_t status)
{
    if (status == HV_STATUS_INSUFFICIENT_MEMORY)
        return node_deposit(n, 1) == HV_STATUS_SUCCESS;
    if (status == HV_STATUS_INSUFFICIENT_ROOT_MEMORY)
        return deposit_to(n->parent, HV_PARTITION_ID_SELF, 1) == HV_STATUS_SUCCESS;
    return false;
}

uint32_t node_withdraw_all(struct node *n)
{
    struct hv_input_withdraw input = {.partition_id = n->id};
    uint64_t pages[64], word[PAGE_SIZE / 8];
    uint32_t total = 0, dirty = 0, got;
    do {
        node_call_rep(n->parent, HVCALL_WITHDRAW_MEMORY, &input, sizeof(input), NULL, 0, 64, pages,
                      sizeof(pages[0]), &got);
        for (uint32_t i = 0; i < got; i++) {
            node_read(n->parent, pages[i] << PAGE_SHIFT, word, PAGE_SIZE);
            for (unsigned at = 0; at < ARRAY_SIZE(word); at++)
                dirty += word[at] != 0;
            if (n->parent->parent == NULL)
                page_free((void *)(pages[i] << PAGE_SHIFT));
        }
        total += got;
    } while (got > 0);
    if (dirty != 0)
        tap_ok(false, "pages withdrawn from partition %lu are zeroed (%u words are not)", n->id,
               dirty);
    return total;
}

uint16_t node_balance(struct node *n, struct hv_output_memory_balance *balance)
{
    struct hv_input_withdraw input = {.partition_id = n->id};
    struct node *caller = n->parent;
    if (caller == NULL) {
        input.partition_id = HV_PARTITION_ID_SELF;
        caller = n;
    }
    return node_call(caller, HVCALL_GET_MEMORY_BALANCE, &input, sizeof(input), balance,
                     sizeof(*balance));
}

uint16_t node_map(struct node *n, gpn_t gpn, gpn_t source, uint64_t count, uint32_t flags)
{
    uint64_t step = flags & HV_MAP_LARGE_PAGE ? PAGES_2M : 1;
    uint64_t list[256], done = 0;
    uint16_t status = HV_STATUS_SUCCESS;
    while (done < count) {
        struct hv_input_map_gpa input = {
            .partition_id = n->id, .base_gpn = gpn + done, .flags = flags};
        uint32_t batch = (uint32_t)min_u64((count - done) / step, ARRAY_SIZE(list)), completed;
        for (uint32_t i = 0; i < batch; i++)
            list[i] = source + done + i * step;
        status = node_call_rep(n->parent, HVCALL_MAP_GPA_PAGES, &input, sizeof(input), list,
                               sizeof(list[0]), batch, NULL, 0, &completed);
        done += completed * step;
        if (status != HV_STATUS_SUCCESS && !feed(n, status))
            break;
    }
    return status;
}

uint16_t node_unmap(struct node *n, gpn_t gpn, uint64_t count)
{
    struct hv_input_unmap_gpa input = {.partition_id = n->id, .base_gpn = gpn};
    uint16_t status;
    uint32_t completed;
    do {
        status = node_call_rep(n->parent, HVCALL_UNMAP_GPA_PAGES, &input, sizeof(input), NULL, 0,
                               (uint32_t)count, NULL, 0, &completed);
        input.base_gpn += completed;
        count -= completed;
    } while (count > 0 && feed(n, status));
    return status;
}

uint16_t node_set(struct node *n, uint32_t name, uint64_t low, uint64_t high)
{
    struct hv_input_vp_registers input = {.partition_id = n->id};
    struct hv_register_assignment assignment = {.name = name, .value = {low, high}};
    return node_call_rep(n->parent, HVCALL_SET_VP_REGISTERS, &input, sizeof(input), &assignment,
                         sizeof(assignment), 1, NULL, 0, NULL);
}

uint16_t node_get(struct node *n, uint32_t name, struct hv_register_value *value)
{
    struct hv_input_vp_registers input = {.partition_id = n->id};
    return node_call_rep(n->parent, HVCALL_GET_VP_REGISTERS, &input, sizeof(input), &name,
                         sizeof(name), 1, value, sizeof(*value), NULL);
}

uint16_t node_map_state_page(struct node *n, uint16_t type, uint8_t flags, gpn_t wanted,
                             gpn_t *location)
{
    struct hv_input_map_vp_state_page input = {
        .partition_id = n->id, .type = type, .flags = flags, .requested_map_location = wanted};
    return node_call(n->parent, HVCALL_MAP_VP_STATE_PAGE, &input, sizeof(input), location,
                     sizeof(*location));
}

/* The page is not there any more; a layered first partition had given one of its own. */
static void forget(struct node *n, uint16_t type)
{
    uint64_t place = n->state_pages[type];
    n->state_pages[type] = 0;
    if (place != 0 && n->parent->parent == NULL && node_is_layered(n->parent))
        page_free((void *)place);
}

uint16_t node_unmap_state_page(struct node *n, uint16_t type)
{
    struct hv_input_unmap_vp_state_page input = {.partition_id = n->id, .type = type};
    uint16_t status =
        node_call(n->parent, HVCALL_UNMAP_VP_STATE_PAGE, &input, sizeof(input), NULL, 0);
    forget(n, type);
    return status;
}

void node_forget_state_pages(struct node *n)
{
    forget(n, HV_VP_STATE_PAGE_REGISTERS);
    forget(n, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE);
}

void node_show(struct node *n, uint16_t type)
{
    struct node *p = n->parent;
    bool layered = node_is_layered(p);
    gpn_t location = 0, wanted = 0;
    uint16_t status;
    if (layered)
        wanted =
            p->parent == NULL ? page_of(page_alloc()) : (gpn_t)(NODE_PAGES >> PAGE_SHIFT) + type;
    do
        status =
            node_map_state_page(n, type, layered ? HV_MAP_LOCATION_PROVIDED : 0, wanted, &location);
    while (feed(n, status));
    must(status, "MapVpStatePage");
    node_reach(p, location << PAGE_SHIFT);
    n->state_pages[type] = location << PAGE_SHIFT;
}

/* ---- beginning */

uint16_t node_create(struct node *n, struct node *parent, uint64_t pages, uint64_t privileges)
{
    struct hv_input_create_partition input = {.flags = HV_CREATE_EXO_PARTITION |
                                                       HV_CREATE_INTERCEPT_MESSAGE_PAGE,
                                              .compatibility = 0x609};
    *n = (struct node){.parent = parent, .pages = pages, .privileges = privileges};
    if (parent->parent == NULL) {
        n->memory = pages_alloc(pages, MIB(2));
        n->place = (uint64_t)n->memory;
    } else {
        n->memory = parent->memory + NODE_CHILD;
        n->place = NODE_CHILD;
    }
    uint16_t status;
    do
        status = node_call(parent, HVCALL_CREATE_PARTITION, &input, sizeof(input), &n->id, 8);
    while (status == HV_STATUS_INSUFFICIENT_MEMORY &&
           deposit_to(parent, HV_PARTITION_ID_SELF, 1) == HV_STATUS_SUCCESS);
    if (status != HV_STATUS_SUCCESS)
        return status;
    struct hv_input_set_partition_property property = {
        .partition_id = n->id, .code = HV_PROPERTY_PRIVILEGE_FLAGS, .value = privileges};
    return node_call(parent, HVCALL_SET_PARTITION_PROPERTY, &property, sizeof(property), NULL, 0);
}

static void build_memory(struct node *n)
{
    static const uint64_t gdt[7] = {0,
                                    0x00AF9B000000FFFF,
                                    0x00CF93000000FFFF,
                                    0,
                                    0,
                                    0x00008B0000000067 | (uint64_t)NODE_TSS << 16};
    uint64_t *tables = (uint64_t *)(n->memory + NODE_TABLES);
    memset(n->memory, 0, NODE_CHILD);
    memcpy(n->memory + NODE_CODE, server, (size_t)(server_end - server));
    memcpy(n->memory + NODE_GDT, gdt, sizeof(gdt));
    tables[0] = (NODE_TABLES + PAGE_SIZE) | 7;
    tables[512] = (NODE_TABLES + 2 * PAGE_SIZE) | 7;
    for (uint64_t i = 0; i < 512; i++)
        tables[1024 + i] = i * MIB(2) | 0x87;
}

#define SEGMENT(selector, attributes)                                                              \
    (0xFFFFFFFFUL | (uint64_t)(selector) << 32 | (uint64_t)(attributes) << 48)

static void set_registers(struct node *n)
{
    static const struct hv_register_assignment list[] = {
        {HV_REGISTER_CR4, {0}, {CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, 0}},
        {HV_REGISTER_CR3, {0}, {NODE_TABLES, 0}},
        {HV_REGISTER_EFER, {0}, {EFER_LME | EFER_LMA, 0}},
        {HV_REGISTER_CR0, {0}, {CR0_PG | CR0_PE | CR0_ET | CR0_NE | CR0_MP, 0}},
        {HV_REGISTER_RFLAGS, {0}, {RFLAGS_FIXED, 0}},
        {HV_REGISTER_RAX + RSP, {0}, {NODE_STACK, 0}},
        {HV_REGISTER_ES + SEG_ES, {0}, {0, SEGMENT(0x10, 0xC093)}},
        {HV_REGISTER_ES + SEG_SS, {0}, {0, SEGMENT(0x10, 0xC093)}},
        {HV_REGISTER_ES + SEG_DS, {0}, {0, SEGMENT(0x10, 0xC093)}},
        {HV_REGISTER_ES + SEG_FS, {0}, {0, SEGMENT(0x10, 0xC093)}},
        {HV_REGISTER_ES + SEG_GS, {0}, {0, SEGMENT(0x10, 0xC093)}},
        {HV_REGISTER_ES + SEG_CS, {0}, {0, SEGMENT(0x08, 0xA09B)}},
        {HV_REGISTER_ES + SEG_LDTR, {0}, {0, 0xFFFFUL | 0x82UL << 48}},
        {HV_REGISTER_ES + SEG_TR, {0}, {NODE_TSS, 0x67UL | 0x28UL << 32 | 0x8BUL << 48}},
        {HV_REGISTER_GDTR, {0}, {0x37UL << 48, NODE_GDT}},
        {HV_REGISTER_IDTR, {0}, {0, 0}},
        {HV_REGISTER_RIP, {0}, {NODE_CODE, 0}},
        {HV_REGISTER_EXPLICIT_SUSPEND, {0}, {0, 0}},
    };
    struct hv_input_vp_registers input = {.partition_id = n->id};
    uint32_t completed;
    uint16_t status = node_call_rep(n->parent, HVCALL_SET_VP_REGISTERS, &input, sizeof(input), list,
                                    sizeof(list[0]), ARRAY_SIZE(list), NULL, 0, &completed);
    if (status != HV_STATUS_SUCCESS)
        tap_bail_out("SetVpRegisters number %u: %s", completed, status_name(status));
}

void node_finish(struct node *n, uint32_t map_flags)
{
    struct hv_input_create_vp vp = {.partition_id = n->id};
    uint16_t status;
    must(node_deposit(n, DEPOSIT), "DepositMemory");
    must(node_call(n->parent, HVCALL_INITIALIZE_PARTITION, &n->id, sizeof(n->id), NULL, 0),
         "InitializePartition");
    build_memory(n);
    must(node_map(n, 0, n->place >> PAGE_SHIFT, n->pages, map_flags), "MapGpaPages");
    do
        status = node_call(n->parent, HVCALL_CREATE_VP, &vp, sizeof(vp), NULL, 0);
    while (feed(n, status));
    must(status, "CreateVp");
    node_show(n, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE);
    node_show(n, HV_VP_STATE_PAGE_REGISTERS);
    set_registers(n);
    uint32_t type = node_run(n);
    if (!node_stopped_itself(n, type))
        tap_bail_out("partition %lu began with: %s", n->id, message_name(type));
}

void node_open(struct node *n, struct node *parent, uint64_t pages, uint64_t privileges,
               uint32_t map_flags)
{
    must(node_create(n, parent, pages, privileges), "CreatePartition");
    node_finish(n, map_flags);
}

/* ---- end */

static bool done(uint16_t status, const char *what)
{
    if (status != HV_STATUS_SUCCESS)
        tap_note("%s: %s", what, status_name(status));
    return status == HV_STATUS_SUCCESS;
}

bool node_close(struct node *n)
{
    uint32_t before = tap_failures();
    bool ok = true;
    for (uint16_t type = 0; type < 2; type++)
        if (n->state_pages[type] != 0)
            ok &= done(node_unmap_state_page(n, type), "UnmapVpStatePage");
    if (!n->finalized)
        ok &= done(node_call(n->parent, HVCALL_FINALIZE_PARTITION, &n->id, 8, NULL, 0),
                   "FinalizePartition");
    node_withdraw_all(n);
    ok &=
        done(node_call(n->parent, HVCALL_DELETE_PARTITION, &n->id, 8, NULL, 0), "DeletePartition");
    return ok && tap_failures() == before;
}

void node_free(struct node *n)
{
    pages_free(n->memory, n->pages);
    n->memory = NULL;
}
