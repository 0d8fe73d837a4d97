/* SPDX-License-Identifier: MIT */
/*
 * The list of all hypercalls: a row says everything about one. From the rows come the table and
 * its checks (hypercalls/calls.c), the handlers' prototypes (hypercalls/table.h), and the names
 * of the debug line. After a new row only its handler is missing, call_NAME.
 *
 * A row: code, NAME, privilege, how, the structure that it takes, then by its kind
 *   SIMPLE    what it returns
 *   REP       what it takes, and what it returns, for each element of the list; `struct nothing`
 *             where there is no such list. The structure is the header
 *   VARIABLE  the member of the structure at which the variable header begins, in qwords, of
 *             which up to all may be given; what it returns
 * and the FIELDs of the structure that the debug line shows, or NO_FIELD.
 *
 * Privilege: what the caller must have; CREATE and MEMORY are PRIVILEGE_CREATE_PARTITIONS and
 * PRIVILEGE_MEMORY_POOL; NONE: none, or the handler looks, because it depends on the target.
 * How (enum call_how): LOCKED; SELF, CHILD, VP, what the call may be aimed at, whose ids the
 * structure begins with; CREATED, INITIALIZED ..., in which states. The handler finds both in
 * call->target and call->target_vp.
 */
#ifndef HYPERCALLS_CALLS_H
#define HYPERCALLS_CALLS_H

#include "hypercalls/abi.h"

struct nothing {
};

struct hv_input_notify_long_spin_wait {
    uint64_t spins;
};

#define HYPERCALLS(SIMPLE, REP, VARIABLE)                                                          \
    SIMPLE(HVCALL_NOTIFY_LONG_SPIN_WAIT, notify_long_spin_wait, NONE, 0,                           \
           struct hv_input_notify_long_spin_wait, struct nothing, FIELD(spins))                    \
    SIMPLE(HVCALL_CREATE_PARTITION, create_partition, CREATE, LOCKED,                              \
           struct hv_input_create_partition, uint64_t, FIELD(flags), FIELD(proximity),             \
           FIELD(compatibility))                                                                   \
    SIMPLE(HVCALL_INITIALIZE_PARTITION, initialize_partition, CREATE, LOCKED | CHILD | CREATED,    \
           struct hv_input_partition, struct nothing, FIELD(partition_id))                         \
    SIMPLE(HVCALL_FINALIZE_PARTITION, finalize_partition, CREATE,                                  \
           LOCKED | CHILD | INITIALIZED | FINALIZING, struct hv_input_partition, struct nothing,   \
           FIELD(partition_id))                                                                    \
    SIMPLE(HVCALL_DELETE_PARTITION, delete_partition, CREATE,                                      \
           LOCKED | CHILD | CREATED | FINALIZED, struct hv_input_partition, struct nothing,        \
           FIELD(partition_id))                                                                    \
    SIMPLE(HVCALL_GET_PARTITION_PROPERTY, get_partition_property, CREATE,                          \
           LOCKED | SELF | CHILD | ANY_STATE, struct hv_input_get_partition_property, uint64_t,    \
           FIELD(partition_id), FIELD(code))                                                       \
    SIMPLE(HVCALL_SET_PARTITION_PROPERTY, set_partition_property, CREATE,                          \
           LOCKED | CHILD | ANY_STATE, struct hv_input_set_partition_property, struct nothing,     \
           FIELD(partition_id), FIELD(code), FIELD(zero), FIELD(value))                            \
    SIMPLE(HVCALL_GET_PARTITION_ID, get_partition_id, PRIVILEGE_PARTITION_ID, 0, struct nothing,   \
           uint64_t, NO_FIELD)                                                                     \
    SIMPLE(HVCALL_GET_NEXT_CHILD_PARTITION, get_next_child_partition, CREATE,                      \
           LOCKED | SELF | CHILD | ANY_STATE, struct hv_input_next_child, uint64_t,                \
           FIELD(parent_id), FIELD(previous_id))                                                   \
    REP(HVCALL_DEPOSIT_MEMORY, deposit_memory, MEMORY,                                             \
        LOCKED | SELF | CHILD | CREATED | INITIALIZED, struct hv_input_deposit, uint64_t,          \
        struct nothing, FIELD(partition_id))                                                       \
    REP(HVCALL_WITHDRAW_MEMORY, withdraw_memory, MEMORY, LOCKED | SELF | CHILD | ANY_STATE,        \
        struct hv_input_withdraw, struct nothing, uint64_t, FIELD(partition_id), FIELD(proximity)) \
    SIMPLE(HVCALL_GET_MEMORY_BALANCE, get_memory_balance, MEMORY,                                  \
           LOCKED | SELF | CHILD | ANY_STATE, struct hv_input_withdraw,                            \
           struct hv_output_memory_balance, FIELD(partition_id), FIELD(proximity))                 \
    REP(HVCALL_MAP_GPA_PAGES, map_gpa_pages, CREATE, LOCKED | CHILD | INITIALIZED,                 \
        struct hv_input_map_gpa, uint64_t, struct nothing, FIELD(partition_id), FIELD(base_gpn),   \
        FIELD(flags))                                                                              \
    REP(HVCALL_UNMAP_GPA_PAGES, unmap_gpa_pages, CREATE, LOCKED | CHILD | INITIALIZED,             \
        struct hv_input_unmap_gpa, struct nothing, struct nothing, FIELD(partition_id),            \
        FIELD(base_gpn), FIELD(flags))                                                             \
    SIMPLE(HVCALL_INSTALL_INTERCEPT, install_intercept, CREATE, LOCKED | CHILD | INITIALIZED,      \
           struct hv_input_install_intercept, struct nothing, FIELD(partition_id),                 \
           FIELD(access_mask), FIELD(type), FIELD(parameter))                                      \
    SIMPLE(HVCALL_CREATE_VP, create_vp, CREATE, LOCKED | SELF | CHILD | INITIALIZED,               \
           struct hv_input_create_vp, struct nothing, FIELD(partition_id), FIELD(vp_index),        \
           FIELD(zero), FIELD(subnode_type), FIELD(subnode), FIELD(proximity), FIELD(flags))       \
    SIMPLE(HVCALL_DELETE_VP, delete_vp, CREATE, LOCKED | CHILD | VP | INITIALIZED,                 \
           struct hv_input_vp, struct nothing, FIELD(partition_id), FIELD(vp_index))               \
    REP(HVCALL_GET_VP_REGISTERS, get_vp_registers, NONE, LOCKED | SELF | CHILD | VP | INITIALIZED, \
        struct hv_input_vp_registers, uint32_t, struct hv_register_value, FIELD(partition_id),     \
        FIELD(vp_index), FIELD(vtl))                                                               \
    REP(HVCALL_SET_VP_REGISTERS, set_vp_registers, NONE, LOCKED | SELF | CHILD | VP | INITIALIZED, \
        struct hv_input_vp_registers, struct hv_register_assignment, struct nothing,               \
        FIELD(partition_id), FIELD(vp_index), FIELD(vtl))                                          \
    SIMPLE(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, translate_virtual_address, CREATE,                    \
           LOCKED | CHILD | VP | INITIALIZED, struct hv_input_translate,                           \
           struct hv_output_translate, FIELD(partition_id), FIELD(vp_index), FIELD(zero),          \
           FIELD(control_flags), FIELD(gva_page))                                                  \
    SIMPLE(HVCALL_ADD_LOGICAL_PROCESSOR, add_logical_processor, PRIVILEGE_CPU_MANAGEMENT, LOCKED,  \
           struct hv_input_add_logical_processor, struct hv_output_add_logical_processor,          \
           FIELD(lp_index), FIELD(apic_id), FIELD(proximity))                                      \
    VARIABLE(HVCALL_MAP_DEVICE_INTERRUPT, map_device_interrupt, PRIVILEGE_CPU_MANAGEMENT,          \
             LOCKED | SELF | INITIALIZED, struct hv_input_map_device_interrupt, bank_mask,         \
             struct hv_output_map_device_interrupt, FIELD(partition_id), FIELD(device_id),         \
             FIELD(flags), FIELD(base_index), FIELD(logical.source), FIELD(logical.zero),          \
             FIELD(logical.value), FIELD(type), FIELD(trigger), FIELD(vector_count), FIELD(zero),  \
             FIELD(vector), FIELD(target_flags), FIELD(mask_or_format))                            \
    SIMPLE(HVCALL_UNMAP_DEVICE_INTERRUPT, unmap_device_interrupt, PRIVILEGE_CPU_MANAGEMENT,        \
           LOCKED | SELF | INITIALIZED, struct hv_input_unmap_device_interrupt, struct nothing,    \
           FIELD(partition_id), FIELD(device_id), FIELD(entry.source), FIELD(entry.zero),          \
           FIELD(entry.value))                                                                     \
    SIMPLE(HVCALL_DISPATCH_VP, dispatch_vp, CREATE, LOCKED | CHILD | VP | INITIALIZED,             \
           struct hv_input_dispatch_vp, struct hv_output_dispatch_vp, FIELD(partition_id),         \
           FIELD(vp_index), FIELD(flags), FIELD(time_slice), FIELD(spec_ctrl))                     \
    REP(HVCALL_GET_GPA_PAGES_ACCESS_STATES, get_gpa_pages_access_states, CREATE,                   \
        LOCKED | CHILD | INITIALIZED, struct hv_input_access_states, struct nothing, uint8_t,      \
        FIELD(partition_id), FIELD(flags), FIELD(base_gpn))                                        \
    SIMPLE(HVCALL_MAP_VP_STATE_PAGE, map_vp_state_page, NONE,                                      \
           LOCKED | SELF | CHILD | VP | INITIALIZED, struct hv_input_map_vp_state_page, uint64_t,  \
           FIELD(partition_id), FIELD(vp_index), FIELD(type), FIELD(input_vtl), FIELD(flags),      \
           FIELD(requested_map_location))                                                          \
    SIMPLE(HVCALL_UNMAP_VP_STATE_PAGE, unmap_vp_state_page, NONE,                                  \
           LOCKED | SELF | CHILD | VP | INITIALIZED, struct hv_input_unmap_vp_state_page,          \
           struct nothing, FIELD(partition_id), FIELD(vp_index), FIELD(type), FIELD(input_vtl),    \
           FIELD(reserved))

#endif
