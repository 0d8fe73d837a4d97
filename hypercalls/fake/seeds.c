/* SPDX-License-Identifier: MIT */
/*
 * Seeds for hypercalls/dispatch_fuzz.c: the life of a child, of a layered host's
 * child, and of a child of a child.
 */
#include "hypercalls/fake/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypercalls/fake/machine.h"
#include "hypercalls/table.h"

static uint8_t seed[4096];
static size_t seed_size;

static void put(const void *bytes, size_t size)
{
    if (seed_size + size > sizeof(seed))
        abort();
    memcpy(seed + seed_size, bytes, size);
    seed_size += size;
}

#define PUT(...) put((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* The values of take_word and take_gpn, the other way round. */
#define ZERO             15
#define SMALL(n)         0, (n)
#define LOW_PAGE(n)      2, 0, (n)
#define WINDOW_PAGE(n)   2, 0x70, (n)
#define VP(i, type, low) 4, (i), (type), (low)
#define RIGHTS           7, 15
#define REGISTER(n)      8, (n)

static uint8_t row_of(uint16_t code)
{
    uint8_t n = 0;
    for (uint16_t i = 0; i < code; i++)
        n = (uint8_t)(n + (call_table[i].handler != NULL));
    return n;
}

/* A call in slow form; the words of its input follow. reps: 0 for a simple call. */
static void put_call(uint16_t code, uint8_t reps)
{
    PUT(OP_CALL, row_of(code), 0);
    if (reps != 0)
        PUT(reps);
}

/* Creates the nth partition of the tree, deposits pages (take_gpn) and initializes it. */
static void put_partition(uint8_t n, uint8_t which, uint8_t page, uint8_t count)
{
    put_call(HVCALL_CREATE_PARTITION, 0);
    PUT(0, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO);
    put_call(HVCALL_SET_PARTITION_PROPERTY, 0);
    PUT(n, 12, 16, 11, 0);
    put_call(HVCALL_DEPOSIT_MEMORY, count);
    PUT(n);
    for (uint8_t i = 0; i < count; i++)
        PUT(2, which, (uint8_t)(page + i));
    put_call(HVCALL_INITIALIZE_PARTITION, 0);
    PUT(n);
}

/* Gives it the caller's first pages, makes VP 0 ready to run. */
static void put_vp(uint8_t n, uint8_t pages)
{
    put_call(HVCALL_MAP_GPA_PAGES, pages);
    PUT(n, SMALL(0), RIGHTS);
    for (uint8_t i = 0; i < pages; i++)
        PUT(LOW_PAGE(i));
    put_call(HVCALL_CREATE_VP, 0);
    PUT(n, SMALL(0), ZERO, ZERO, ZERO);
    put_call(HVCALL_SET_VP_REGISTERS, 1);
    PUT(n, VP(0, 0, 0), REGISTER(0), ZERO, ZERO, ZERO);
}

static void put_state_pages(uint8_t n)
{
    put_call(HVCALL_MAP_VP_STATE_PAGE, 0);
    PUT(n, VP(0, 0, 0), ZERO);
    put_call(HVCALL_MAP_VP_STATE_PAGE, 0);
    PUT(n, VP(0, 1, 1), LOW_PAGE(7));
}

static void put_dispatch(uint8_t n)
{
    put_call(HVCALL_DISPATCH_VP, 0);
    PUT(n, VP(0, 1, 0), ZERO, ZERO);
}

#define VALUE(...) 13, __VA_ARGS__ /* 8 bytes */

/* Sets one register to 64 bits; add: to the name in the fuzzer's list. */
static void put_register(uint8_t n, uint8_t name, uint8_t add, uint64_t value)
{
    put_call(HVCALL_SET_VP_REGISTERS, 1);
    PUT(n, VP(0, 0, 0), (uint8_t)(8 | add << 4), name, ZERO, 13);
    put(&value, sizeof(value));
    PUT(ZERO);
}

/* Registers of every kind, and events that are delivered when the VP runs next. */
static void put_registers(uint8_t n)
{
    static const struct {
        uint8_t name, add;
        uint64_t value;
    } values[] = {
        {2, 0, 0x100},  {3, 0, 0x202},   {5, 0, 0x620},           {6, 0, 0},
        {8, 3, 0x1234}, {11, 0, 1},      {12, 0, 0xFFFFUL << 48}, {12, 1, 0x7FUL << 48},
        {13, 1, 0x500}, {14, 3, 5},      {15, 0, 0x1000},         {11, 4, 0x0007040600070406},
        {9, 1, 1},      {9, 0, 0x60007},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
        put_register(n, values[i].name, values[i].add, values[i].value);
    put_dispatch(n);
    PUT(OP_EXIT, FAKE_EXIT_HALT, 0, 0);
    put_register(n, 9, 0, 0);
    put_register(n, 10, 0, 0x60001);
    put_dispatch(n);
    PUT(OP_EXIT, FAKE_EXIT_IO, 0, 0);
}

/* A page directory in the child's page 0 and a table in page 1, 32-bit paging; translates. */
static void put_paging(uint8_t n)
{
    PUT(OP_WRITE | 0x80, 0, 0, 0, 6, 0x07, 0x10, 0, 0);
    PUT(OP_WRITE | 0x80, 0, 1, 0, VALUE(0x07, 0x20, 0, 0, 0x07, 0x30, 0, 0));
    put_register(n, 15, 0, 0);
    put_register(n, 4, 0, 0x80000031);
    for (uint8_t page = 0; page < 3; page++) {
        put_call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, 0);
        PUT(n, ZERO, SMALL((uint8_t)(page + 1)), SMALL(page));
    }
}

#define LARGE_GPN(n) 2, 0xA0, (n)

static void put_large(uint8_t n)
{
    put_call(HVCALL_MAP_GPA_PAGES, 1);
    PUT(n, LARGE_GPN(1), 0x17, 15, LARGE_GPN(1));
}

/* Takes it apart by an unmap and by a mapping of one page in it. */
static void put_small_in_large(uint8_t n)
{
    put_call(HVCALL_UNMAP_GPA_PAGES, 3);
    PUT(n, 6, 0x10, 2, 0, 0, ZERO);
    put_call(HVCALL_MAP_GPA_PAGES, 1);
    PUT(n, 6, 0x20, 2, 0, 0, RIGHTS, LOW_PAGE(9));
    put_call(HVCALL_GET_GPA_PAGES_ACCESS_STATES, 8);
    PUT(n, SMALL(5), LARGE_GPN(1));
    put_call(HVCALL_MAP_GPA_PAGES, 1);
    PUT(n, LARGE_GPN(2), 0x17, 15, LARGE_GPN(1));
    put_call(HVCALL_UNMAP_GPA_PAGES, 1);
    PUT(n, LARGE_GPN(2), SMALL(2));
}

static void put_end(uint8_t n)
{
    put_call(HVCALL_UNMAP_VP_STATE_PAGE, 0);
    PUT(n, VP(0, 0, 0));
    put_call(HVCALL_DELETE_VP, 0);
    PUT(n, ZERO);
    put_call(HVCALL_FINALIZE_PARTITION, 0);
    PUT(n);
    put_call(HVCALL_WITHDRAW_MEMORY, 50);
    PUT(n, ZERO);
    put_call(HVCALL_DELETE_PARTITION, 0);
    PUT(n);
}

static void put_exits(uint8_t n)
{
    put_dispatch(n);
    PUT(OP_EXIT, FAKE_EXIT_IO, 0, 0);
    PUT(OP_WRITE, 0x70, 0, 0, 0, 13, 1, 0, 1, 0, 2, 0, 0, 0); /* version, valid, dirty: RIP */
    PUT(OP_WRITE, 0x70, 0, 0x11, 0, SMALL(0x80));
    put_dispatch(n);
    PUT(OP_TOUCH, 0, 1);
    PUT(OP_EXIT, FAKE_EXIT_MEMORY, 0, 60);
    put_call(HVCALL_GET_VP_REGISTERS, 2);
    PUT(n, VP(0, 0, 0), 9, 2, 3);
    put_call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, 0);
    PUT(n, ZERO, SMALL(1), SMALL(1));
    put_call(HVCALL_INSTALL_INTERCEPT, 0);
    PUT(n, 13, 4, 0, 0, 0, 3, 0, 0, 0, SMALL(6));
}

static void write_seed(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return;
    fwrite(seed, 1, seed_size, file);
    fclose(file);
    seed_size = 0;
}

/* The same for a child of the first partition, and for a child's child. */
static void put_life(uint8_t n, uint8_t pages)
{
    put_vp(n, pages);
    put_state_pages(n);
    put_exits(n);
    put_registers(n);
    put_paging(n);
}

void write_seeds(const char *folder)
{
    for (uint8_t role = 0; role < 2; role++) {
        PUT(role ? 0x81 : 0x00);
        put_partition(1, 0x50, 16, 40);
        put_life(1, 50);
        put_large(1);
        put_small_in_large(1);
        put_end(1);
        write_seed(folder, role ? "seed-layered" : "seed-root");
    }
    for (unsigned turn = 0; turn < 2; turn++) {
        PUT(0x00);
        put_partition(1, 0x50, 16, 40);
        put_vp(1, 60);
        put_large(1);
        put_dispatch(1);
        PUT(OP_MSR, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0); /* the child says who it is */
        put_partition(2, 0, 32, 25);
        if (turn == 0)
            put_life(2, 31);
        else
            put_vp(2, 31);
        put_large(2); /* shares what its parent is about to lose */
        PUT(OP_CPU);
        put_call(HVCALL_UNMAP_GPA_PAGES, 30);
        PUT(1, ZERO, ZERO);
        put_small_in_large(1);
        put_end(1);
        write_seed(folder, turn == 0 ? "seed-nested" : "seed-revoked");
    }
}
