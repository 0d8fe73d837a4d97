/* SPDX-License-Identifier: MIT */
/*
 * Fake physical memory for tests and fuzzers of the boot parsers. What a reader
 * returns is a copy of just the size that was asked for, and goes with the next
 * call: AddressSanitizer sees a byte too many and a pointer kept too long.
 */
#ifndef BOOT_FAKE_MEMORY_H
#define BOOT_FAKE_MEMORY_H

#include <stdlib.h>
#include <string.h>

#include "hv/base/types.h"

#define FAKE_MEMORY_SIZE MIB(2)

static uint8_t fake_memory[FAKE_MEMORY_SIZE];
static uint64_t fake_memory_end = FAKE_MEMORY_SIZE; /* reads beyond fail */

/* A phys_reader (boot/multiboot.h). */
static const void *fake_read(spa_t spa, uint64_t size)
{
    static void *last;
    free(last);
    last = NULL;
    if (size > fake_memory_end || spa > fake_memory_end - size)
        return NULL;
    last = malloc(size + (size == 0));
    if (last != NULL)
        memcpy(last, fake_memory + spa, size);
    return last;
}

static inline void fake_write(spa_t spa, const void *from, uint64_t size)
{
    memcpy(fake_memory + spa, from, size);
}

static inline void fake_clear(void)
{
    memset(fake_memory, 0, sizeof(fake_memory));
    fake_memory_end = FAKE_MEMORY_SIZE;
}

#endif
