/* SPDX-License-Identifier: MIT */
/*
 * Memory and string functions, also those that gcc calls by itself. Written as
 * string instructions, eight bytes at a time: emulators count every iteration.
 */
#include "hv/base/string.h"

/* gcc must not turn a loop below into a call of the function it stands in. */
#define PLAIN __attribute__((optimize("no-tree-loop-distribute-patterns")))

void *memcpy(void *to, const void *from, size_t size)
{
    void *d = to;
    size_t count = size >> 3;
    __asm__ volatile("rep movsq" : "+D"(d), "+S"(from), "+c"(count) : : "memory");
    count = size & 7;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(count) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    if ((uintptr_t)to - (uintptr_t)from >= size)
        return memcpy(to, from, size);
    /* The destination begins inside the source: last bytes first. */
    uint8_t *d = (uint8_t *)to + size - 1;
    const uint8_t *s = (const uint8_t *)from + size - 1;
    size_t tail = size & 7;
    size_t words = size >> 3;
    __asm__ volatile("std\n\t"
                     "rep movsb\n\t"
                     "sub $7, %%rsi\n\t"
                     "sub $7, %%rdi\n\t"
                     "mov %3, %%rcx\n\t"
                     "rep movsq\n\t"
                     "cld"
                     : "+D"(d), "+S"(s), "+c"(tail)
                     : "r"(words)
                     : "memory", "cc");
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    void *d = to;
    size_t count = size >> 3;
    uint64_t pattern = (uint8_t)byte * 0x0101010101010101UL;
    __asm__ volatile("rep stosq" : "+D"(d), "+c"(count) : "a"(pattern) : "memory");
    count = size & 7;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(count) : "a"(pattern) : "memory");
    return to;
}

PLAIN int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < size; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

PLAIN size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != 0)
        length++;
    return length;
}

PLAIN int strcmp(const char *a, const char *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

PLAIN int strncmp(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i] || a[i] == 0)
            return (uint8_t)a[i] - (uint8_t)b[i];
    return 0;
}
