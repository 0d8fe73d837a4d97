/* SPDX-License-Identifier: MIT */
/* A decoder for the few instructions that the hypervisor carries out for a guest. */
#ifndef HV_MACHINE_DECODE_H
#define HV_MACHINE_DECODE_H

#include "hv/base/types.h"

enum decoded_operation {
    DECODED_NONE,
    DECODED_STORE,
    DECODED_LOAD,
    DECODED_OR,
    DECODED_AND,
    DECODED_XOR,
    DECODED_ADD,
    DECODED_SUB,
    DECODED_EXCHANGE
};

struct decoded {
    uint8_t length;    /* bytes of the whole instruction */
    uint8_t operation; /* enum decoded_operation, on 32-bit memory */
    bool immediate;    /* the other operand is `value`, else register `reg` */
    uint8_t reg;       /* enum gpr */
    uint32_t value;
};

enum decode_mode { DECODE_16, DECODE_32, DECODE_64 };

/*
 * Decodes one instruction with a 32-bit memory operand: MOV in both directions,
 * OR, AND, XOR, ADD, SUB to memory, XCHG; with any addressing form. False for
 * every other instruction and when it is longer than `count` bytes. (SDM 2.1, 2.2)
 */
bool decode_memory_access(const uint8_t *bytes, unsigned count, enum decode_mode mode,
                          struct decoded *decoded);

#endif
