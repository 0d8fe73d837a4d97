/* SPDX-License-Identifier: MIT */
/* A decoder for the few instructions that the hypervisor carries out for a guest. */
#include "hv/machine/decode.h"

enum opcode {
    OP_GROUP1_STORE = 0x01, /* bits 5:3 say which of group 1 */
    OP_GROUP1_IMM32 = 0x81,
    OP_GROUP1_IMM8 = 0x83,
    OP_XCHG = 0x87,
    OP_MOV_STORE = 0x89,
    OP_MOV_LOAD = 0x8B,
    OP_MOV_FROM_OFFSET = 0xA1,
    OP_MOV_TO_OFFSET = 0xA3,
    OP_MOV_IMM = 0xC7,
};

/* Group 1 by its number, in an opcode or in ModRM (SDM appendix A); no ADC, SBB, CMP. */
static const uint8_t group1[8] = {
    DECODED_ADD, DECODED_OR, DECODED_NONE, DECODED_NONE, DECODED_AND, DECODED_SUB, DECODED_XOR,
};

struct cursor {
    const uint8_t *bytes;
    unsigned at, count;
    bool overrun;
};

static uint8_t next_byte(struct cursor *c)
{
    if (c->at >= c->count) {
        c->overrun = true;
        return 0;
    }
    return c->bytes[c->at++];
}

static void skip(struct cursor *c, unsigned size)
{
    if (c->count - c->at < size)
        c->overrun = true;
    else
        c->at += size;
}

static uint32_t next_dword(struct cursor *c)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++)
        value |= (uint32_t)next_byte(c) << (8 * i);
    return value;
}

struct prefixes {
    bool operand_size, address_size;
    uint8_t rex;
};

/* Takes the prefixes and returns the opcode byte. */
static uint8_t skip_prefixes(struct cursor *c, enum decode_mode mode, struct prefixes *p)
{
    *p = (struct prefixes){0};
    for (;;) {
        uint8_t byte = next_byte(c);
        switch (byte) {
        case 0x66:
            p->operand_size = true;
            continue;
        case 0x67:
            p->address_size = true;
            continue;
        case 0x26:
        case 0x2E:
        case 0x36:
        case 0x3E:
        case 0x64:
        case 0x65: /* segments */
        case 0xF0:
        case 0xF2:
        case 0xF3:
            continue;
        default:
            break;
        }
        if (mode == DECODE_64 && (byte & 0xF0) == 0x40) {
            p->rex = byte;
            byte = next_byte(c);
        }
        return byte;
    }
}

/* Steps over ModRM's memory operand; false when it is a register. */
static bool skip_memory_operand(struct cursor *c, uint8_t modrm, bool address16)
{
    unsigned mod = modrm >> 6, rm = modrm & 7;
    if (mod == 3)
        return false;
    if (address16) {
        skip(c, mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0);
        return true;
    }
    bool base_is_disp32 = mod == 0 && rm == 5;
    if (rm == 4) {
        uint8_t sib = next_byte(c);
        base_is_disp32 = mod == 0 && (sib & 7) == 5;
    }
    skip(c, mod == 1 ? 1 : mod == 2 || base_is_disp32 ? 4 : 0);
    return true;
}

/* Of an opcode whose operands are memory and a register. */
static uint8_t plain_operation(uint8_t opcode)
{
    switch (opcode) {
    case OP_XCHG:
        return DECODED_EXCHANGE;
    case OP_MOV_STORE:
        return DECODED_STORE;
    case OP_MOV_LOAD:
        return DECODED_LOAD;
    default:
        return (opcode & 0xC7) == OP_GROUP1_STORE ? group1[opcode >> 3] : DECODED_NONE;
    }
}

bool decode_memory_access(const uint8_t *bytes, unsigned count, enum decode_mode mode,
                          struct decoded *d)
{
    struct cursor c = {.bytes = bytes, .count = count};
    struct prefixes p;
    uint8_t opcode = skip_prefixes(&c, mode, &p);
    *d = (struct decoded){0};

    bool operand32 = (mode != DECODE_16) != p.operand_size && !(p.rex & 8);
    if (!operand32)
        return false;
    bool address16 = mode == DECODE_64 ? false : (mode == DECODE_16) != p.address_size;

    if (opcode == OP_MOV_TO_OFFSET || opcode == OP_MOV_FROM_OFFSET) {
        d->operation = opcode == OP_MOV_TO_OFFSET ? DECODED_STORE : DECODED_LOAD;
        skip(&c, mode == DECODE_64 ? (p.address_size ? 4 : 8) : address16 ? 2 : 4);
        d->length = (uint8_t)c.at;
        return !c.overrun; /* reg is RAX, 0 */
    }

    uint8_t modrm = next_byte(&c);
    unsigned extension = modrm >> 3 & 7;
    if (!skip_memory_operand(&c, modrm, address16))
        return false;
    d->reg = (uint8_t)(extension | (p.rex & 4 ? 8u : 0u));

    switch (opcode) {
    case OP_MOV_IMM:
        d->operation = extension == 0 ? DECODED_STORE : DECODED_NONE;
        d->immediate = true;
        d->value = next_dword(&c);
        break;
    case OP_GROUP1_IMM32:
    case OP_GROUP1_IMM8:
        d->operation = group1[extension];
        d->immediate = true;
        d->value = opcode == OP_GROUP1_IMM8 ? (uint32_t)(int8_t)next_byte(&c) : next_dword(&c);
        break;
    default:
        d->operation = plain_operation(opcode);
        break;
    }
    d->length = (uint8_t)c.at;
    return d->operation != DECODED_NONE && !c.overrun;
}
