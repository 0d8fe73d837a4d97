/* SPDX-License-Identifier: MIT */
/* ACPI tables: see boot/acpi.h. */
#include "boot/acpi.h"

#include "hv/base/string.h"

#define MAX_TABLE_SIZE MIB(1)
#define RSDP_SIZE_1    20
#define RSDP_SIZE_2    36

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    /* revision 2 and later */
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct rsdp) == RSDP_SIZE_2, "ACPI 5.2.5.3");

struct table_header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision, creator, creator_revision;
};
_Static_assert(sizeof(struct table_header) == 36, "ACPI 5.2.6");

/* What follows the header of a MADT before its entries: local APIC address, flags. */
#define MADT_ENTRIES (sizeof(struct table_header) + 8)

enum madt_entry { MADT_LOCAL_APIC = 0, MADT_LOCAL_X2APIC = 9 };
#define MADT_ENABLED 1u

struct madt_local_apic {
    uint8_t type, length, uid, apic_id;
    uint32_t flags;
};
_Static_assert(sizeof(struct madt_local_apic) == 8, "ACPI 5.2.12.2");

struct madt_x2apic {
    uint8_t type, length;
    uint16_t reserved;
    uint32_t apic_id, flags, uid;
};
_Static_assert(sizeof(struct madt_x2apic) == 16, "ACPI 5.2.12.12");

static bool sums_to_zero(const uint8_t *bytes, uint64_t size)
{
    uint8_t sum = 0;
    for (uint64_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return sum == 0;
}

static bool good_rsdp(const uint8_t *bytes)
{
    return memcmp(bytes, "RSD PTR ", 8) == 0 && sums_to_zero(bytes, RSDP_SIZE_1);
}

static spa_t search_rsdp(phys_reader read, spa_t start, uint64_t size)
{
    for (spa_t at = start; at + RSDP_SIZE_1 <= start + size; at += 16) {
        const uint8_t *bytes = read(at, RSDP_SIZE_1);
        if (bytes != NULL && good_rsdp(bytes))
            return at;
    }
    return 0;
}

spa_t acpi_find_rsdp(phys_reader read)
{
    spa_t found = 0;
    uint16_t segment;
    const void *ebda = read(0x40E, sizeof(segment));
    if (ebda != NULL) {
        memcpy(&segment, ebda, sizeof(segment));
        if (segment != 0)
            found = search_rsdp(read, (spa_t)segment << 4, KIB(1));
    }
    return found != 0 ? found : search_rsdp(read, 0xE0000, 0x20000);
}

/* The whole table at spa, its length in *length, or NULL when it is damaged. */
static const uint8_t *read_table(phys_reader read, spa_t spa, const char *signature,
                                 uint32_t *length)
{
    struct table_header header;
    const void *bytes = spa != 0 ? read(spa, sizeof(header)) : NULL;
    if (bytes == NULL)
        return NULL;
    memcpy(&header, bytes, sizeof(header));
    if (memcmp(header.signature, signature, 4) != 0 || header.length < sizeof(header) ||
        header.length > MAX_TABLE_SIZE)
        return NULL;
    const uint8_t *table = read(spa, header.length);
    if (table == NULL || !sums_to_zero(table, header.length))
        return NULL;
    *length = header.length;
    return table;
}

/* Finds the MADT through the RSDT (4-byte entries) or the XSDT (8-byte entries). */
static const uint8_t *find_madt(phys_reader read, spa_t root, const char *signature,
                                uint32_t entry_size, uint32_t *length)
{
    uint32_t root_length;
    if (read_table(read, root, signature, &root_length) == NULL)
        return NULL;
    for (uint32_t at = sizeof(struct table_header); root_length - at >= entry_size;
         at += entry_size) {
        uint64_t entry = 0;
        const void *bytes = read(root + at, entry_size);
        if (bytes == NULL)
            return NULL;
        memcpy(&entry, bytes, entry_size);
        const uint8_t *madt = read_table(read, entry, "APIC", length);
        if (madt != NULL)
            return madt;
    }
    return NULL;
}

static uint32_t add_id(uint32_t id, uint32_t max_id, uint32_t *ids, uint32_t count, uint32_t limit)
{
    if (id > max_id || count >= limit)
        return count;
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] == id)
            return count;
    ids[count] = id;
    return count + 1;
}

uint32_t acpi_processors(phys_reader read, const uint8_t rsdp_bytes[36], uint32_t max_id,
                         uint32_t *ids, uint32_t count, uint32_t limit)
{
    if (!good_rsdp(rsdp_bytes))
        return count;
    struct rsdp rsdp = {0};
    memcpy(&rsdp, rsdp_bytes, rsdp_bytes[15] >= 2 ? RSDP_SIZE_2 : RSDP_SIZE_1);

    uint32_t length = 0;
    const uint8_t *madt = NULL;
    if (rsdp.revision >= 2 && sums_to_zero(rsdp_bytes, RSDP_SIZE_2))
        madt = find_madt(read, rsdp.xsdt, "XSDT", sizeof(uint64_t), &length);
    if (madt == NULL)
        madt = find_madt(read, rsdp.rsdt, "RSDT", sizeof(uint32_t), &length);
    if (madt == NULL)
        return count;

    uint32_t at = MADT_ENTRIES;
    while (at + 2 <= length) {
        uint8_t type = madt[at], size = madt[at + 1];
        if (size < 2 || size > length - at)
            break;
        if (type == MADT_LOCAL_APIC && size >= sizeof(struct madt_local_apic)) {
            struct madt_local_apic entry;
            memcpy(&entry, madt + at, sizeof(entry));
            if ((entry.flags & MADT_ENABLED) && entry.apic_id != 0xFF)
                count = add_id(entry.apic_id, max_id, ids, count, limit);
        } else if (type == MADT_LOCAL_X2APIC && size >= sizeof(struct madt_x2apic)) {
            struct madt_x2apic entry;
            memcpy(&entry, madt + at, sizeof(entry));
            if (entry.flags & MADT_ENABLED)
                count = add_id(entry.apic_id, max_id, ids, count, limit);
        }
        at += size;
    }
    return count;
}
