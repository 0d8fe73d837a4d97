/* SPDX-License-Identifier: MIT */
/* The table of all hypercalls, made from the rows of hypercalls/calls.h. */
#include "hypercalls/table.h"

/* Privileges in the rows. */
#define CREATE PRIVILEGE_CREATE_PARTITIONS
#define MEMORY PRIVILEGE_MEMORY_POOL
#define NONE   0

/* Bits of the control word that a kind of call refuses. */
#define REFUSED_BY_SIMPLE   (~(CONTROL_CODE | HV_CONTROL_FAST))
#define REFUSED_BY_VARIABLE (REFUSED_BY_SIMPLE & ~CONTROL_VARIABLE)
#define REFUSED_BY_REP      (HV_CONTROL_RESERVED | CONTROL_VARIABLE)

/* NAME_fields(): a function, so that FIELD knows the call's structure by one name. */
#define FIELD(member)                                                                              \
    {                                                                                              \
        .name = #member, .offset = offsetof(input, member), .size = sizeof(((input *)0)->member)   \
    }
#define NO_FIELD                                                                                   \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define FIELDS(call, in, ...)                                                                      \
    static const struct call_field *call##_fields(void)                                            \
    {                                                                                              \
        typedef in input __attribute__((unused));                                                  \
        static const struct call_field fields[] = {__VA_ARGS__, NO_FIELD};                         \
        return fields;                                                                             \
    }
#define SIMPLE_FIELDS(code, call, privilege, how, in, out, ...)     FIELDS(call, in, __VA_ARGS__)
#define LIST_FIELDS(code, call, privilege, how, in, list, out, ...) FIELDS(call, in, __VA_ARGS__)
HYPERCALLS(SIMPLE_FIELDS, LIST_FIELDS, LIST_FIELDS)

/* What is the same in a row of each kind. */
#define COMMON(call, bits, flags)                                                                  \
    .name = #call, .handler = call_##call, .fields = call##_fields, .privilege = (bits),           \
    .how = (flags)
#define SIMPLE_ROW(code, call, bits, how, in, out, ...)                                            \
    [code] = {COMMON(call, bits, how), .refused = REFUSED_BY_SIMPLE, .header = sizeof(in),         \
              .output = sizeof(out)},
#define REP_ROW(code, call, bits, how, in, each, out_each, ...)                                    \
    [code] = {                                                                                     \
        COMMON(call, bits, how), .refused = REFUSED_BY_REP,  .rep = true,                          \
        .header = sizeof(in),    .in_element = sizeof(each), .out_element = sizeof(out_each)},
#define VARIABLE_ROW(code, call, bits, how, in, first, out, ...)                                   \
    [code] = {                                                                                     \
        COMMON(call, bits, how), .refused = REFUSED_BY_VARIABLE, .header = offsetof(in, first),    \
        .variable = (sizeof(in) - offsetof(in, first)) / sizeof(uint64_t), .output = sizeof(out)},
const struct call_row call_table[CALL_CODES] = {HYPERCALLS(SIMPLE_ROW, REP_ROW, VARIABLE_ROW)};

/* Whatever a row says fits struct call, and the row. */
#define FITS(type, member, count)                                                                  \
    _Static_assert(sizeof(type) * (count) <= sizeof(((struct call *)0)->member), #type)
#define SIMPLE_FITS(code, call, bits, how, in, out, ...)                                           \
    FITS(in, input, 1);                                                                            \
    FITS(out, output, 1);
#define REP_FITS(code, call, bits, how, in, each, out_each, ...)                                   \
    FITS(in, input, 1);                                                                            \
    FITS(each, elements, CALL_BATCH);                                                              \
    FITS(out_each, output, CALL_BATCH);
#define VARIABLE_FITS(code, call, bits, how, in, first, out, ...)                                  \
    SIMPLE_FITS(code, call, bits, how, in, out)                                                    \
    _Static_assert((sizeof(in) - offsetof(in, first)) % sizeof(uint64_t) == 0, #in);
HYPERCALLS(SIMPLE_FITS, REP_FITS, VARIABLE_FITS)
