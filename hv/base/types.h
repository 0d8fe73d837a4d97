/* SPDX-License-Identifier: MIT */
/* Types and small helpers that every file uses. */
#ifndef HV_BASE_TYPES_H
#define HV_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical address, bytes */
typedef uint64_t gpn_t; /* guest physical page number, gpa >> 12 */
typedef uint64_t spa_t; /* system (host) physical address, bytes */
typedef uint64_t spn_t; /* system physical page number, spa >> 12 */

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096UL
#define PAGE_MASK  (PAGE_SIZE - 1)

#define PAGES_2M 512UL           /* 4 KiB pages in a 2 MiB page */
#define PAGES_1G (512UL * 512UL) /* 4 KiB pages in a 1 GiB page */

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define BIT(n)        (1UL << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define MAX_CPUS 64 /* processors in the tables, and VPs of one partition */

static inline uint64_t align_up(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

static inline uint64_t align_down(uint64_t value, uint64_t power_of_two)
{
    return value & ~(power_of_two - 1);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
