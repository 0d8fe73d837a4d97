/* SPDX-License-Identifier: MIT */
/* The little ACPI that guests need: find a table, power off. */
#include "guests/lib/machine.h"
#include "hv/base/arch.h"
#include "hv/base/string.h"

struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 5.2.6");

/* An address that the compiler knows nothing about. */
static const uint8_t *physical(uint64_t address)
{
    __asm__("" : "+r"(address));
    return (const uint8_t *)address;
}

static uint32_t read32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof(value));
    return value;
}

static uint64_t read64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof(value));
    return value;
}

static bool checksum_good(const uint8_t *p, size_t size)
{
    uint8_t sum = 0;
    for (size_t n = 0; n < size; n++)
        sum = (uint8_t)(sum + p[n]);
    return sum == 0;
}

static const uint8_t *scan_rsdp(uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end; at += 16) {
        const uint8_t *p = physical(at);
        if (memcmp(p, "RSD PTR ", 8) == 0 && checksum_good(p, 20))
            return p;
    }
    return NULL;
}

static const uint8_t *find_rsdp(void)
{
    uint64_t ebda = (uint64_t)(physical(0x40E)[0] | physical(0x40E)[1] << 8) << 4;
    const uint8_t *p = NULL;
    if (ebda >= 0x80000 && ebda < 0xA0000)
        p = scan_rsdp(ebda, ebda + 1024);
    return p != NULL ? p : scan_rsdp(0xE0000, 0x100000);
}

const uint8_t *acpi_find(const char *signature)
{
    const uint8_t *rsdp = find_rsdp();
    if (rsdp == NULL)
        return NULL;
    bool extended = rsdp[15] >= 2 && read64(rsdp + 24) != 0;
    uint64_t root = extended ? read64(rsdp + 24) : read32(rsdp + 16);
    size_t entry_size = extended ? 8 : 4;
    uint32_t length = read32(physical(root) + 4);
    for (size_t at = sizeof(struct acpi_header); at + entry_size <= length; at += entry_size) {
        const uint8_t *entry = physical(root + at);
        const uint8_t *table = physical(extended ? read64(entry) : read32(entry));
        if (memcmp(table, signature, 4) == 0)
            return table;
    }
    return NULL;
}

/* SLP_TYPa of \_S5 in the DSDT: "_S5_", package op, lengths, then a byte constant. */
static int sleep_type(const uint8_t *dsdt)
{
    uint32_t length = read32(dsdt + 4);
    for (uint32_t at = sizeof(struct acpi_header); at + 11 <= length; at++) {
        const uint8_t *p = dsdt + at;
        if (memcmp(p, "_S5_", 4) != 0 || p[4] != 0x12)
            continue;
        p += 6 + (p[5] >> 6) + 1; /* package op, package length, element count */
        return *p == 0x0A ? p[1] : *p;
    }
    return -1;
}

static void out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

void acpi_power_off(void)
{
    const uint8_t *fadt = acpi_find("FACP");
    if (fadt == NULL)
        return;
    int type = sleep_type(physical(read32(fadt + 40)));
    uint32_t pm1a = read32(fadt + 64);
    if (type < 0 || pm1a == 0)
        return;
    out16((uint16_t)pm1a, (uint16_t)((type & 7) << 10 | 1 << 13));
}
