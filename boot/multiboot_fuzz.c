/* SPDX-License-Identifier: MIT */
/*
 * Fuzzer of everything that reads what a boot loader or the firmware left in
 * memory: Multiboot 1, Multiboot 2, ACPI, the command line, the memory map. The
 * input's first byte chooses the parser, the rest is memory from address 0.
 */
/* fuzz: boot/multiboot.c boot/memmap.c boot/acpi.c boot/options.c */
#include <stdio.h>
#include <sys/stat.h>

#include "boot/acpi.h"
#include "boot/fake/memory.h"
#include "boot/memmap.h"
#include "boot/multiboot.h"
#include "boot/options.h"

enum parser { PARSE_MULTIBOOT1, PARSE_MULTIBOOT2, PARSE_ACPI, PARSE_OPTIONS, PARSE_MAP, PARSERS };

enum { RSDP = 0, RSDT = 64, XSDT = 128, MADT = 256 }; /* where the seed has its tables */

static struct boot_info info;

#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void check_map(const struct memory_map *map)
{
    check(map->count <= MAX_MEMORY_RANGES);
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memory_range *r = &map->ranges[i];
        check(r->start < r->end && r->kind >= MEMORY_AVAILABLE && r->kind <= MEMORY_BAD);
        check(i == 0 || r[-1].end < r->start || (r[-1].end == r->start && r[-1].kind != r->kind));
    }
}

static void check_options(const char *command_line)
{
    struct boot_options options;
    options_parse(command_line, &options, NULL);
    check(options.role <= ROLE_GUEST && options.log <= LOG_DEBUG);
    check(options.cpus >= 1 && options.cpus <= MAX_CPUS && options.pool_mib >= 1);
}

static void check_info(const char *problem)
{
    check_map(&info.memory);
    check(info.module_count <= MAX_MODULES);
    check(memchr(info.command_line, 0, COMMAND_LINE_SIZE) != NULL);
    for (uint32_t i = 0; i < info.module_count; i++) {
        check(memchr(info.modules[i].command_line, 0, COMMAND_LINE_SIZE) != NULL);
        check(info.modules[i].size <= UINT32_MAX);
    }
    if (problem == NULL)
        check_options(info.command_line);
}

static void fuzz_multiboot2(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, data, size);
    check_info(multiboot2_parse(copy, size, &info));
    free(copy);
}

/* Makes the table's checksum right, so that mutations get past it. */
static void seal(uint64_t at, uint64_t length_at, uint64_t checksum_at, uint64_t size)
{
    uint32_t length = 0;
    if (length_at + 4 > size)
        return;
    memcpy(&length, fake_memory + length_at, 4);
    if (length > size - at || checksum_at >= size)
        return;
    uint8_t sum = 0;
    fake_memory[checksum_at] = 0;
    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + fake_memory[at + i]);
    fake_memory[checksum_at] = (uint8_t)-sum;
}

static void seal_rsdp(unsigned length, unsigned checksum_at)
{
    uint8_t sum = 0;
    fake_memory[checksum_at] = 0;
    for (unsigned i = 0; i < length; i++)
        sum = (uint8_t)(sum + fake_memory[RSDP + i]);
    fake_memory[checksum_at] = (uint8_t)-sum;
}

static void fuzz_acpi(uint64_t size)
{
    if (size < 36)
        return;
    seal_rsdp(20, 8);
    seal_rsdp(36, 32);
    static const uint64_t tables[] = {RSDT, XSDT, MADT};
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
        if (tables[i] < size)
            seal(tables[i], tables[i] + 4, tables[i] + 9, size);
    uint8_t rsdp[36];
    memcpy(rsdp, fake_memory, sizeof(rsdp));
    uint32_t ids[MAX_CPUS] = {0};
    uint32_t limit = 1 + rsdp[35] % MAX_CPUS;
    uint32_t count = acpi_processors(fake_read, rsdp, rsdp[34], ids, 1, limit);
    check(count >= 1 && count <= limit);
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t n = 0; n < i; n++)
            check(ids[i] != ids[n] && ids[i] <= rsdp[34]);
    acpi_find_rsdp(fake_read);
}

static void fuzz_options(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    check_options(text);
    free(text);
}

/* Each 17 bytes are one operation: start, length, and which. */
static void fuzz_map(const uint8_t *data, size_t size)
{
    static struct memory_map map;
    map.count = 0;
    for (; size >= 17; data += 17, size -= 17) {
        uint64_t start, length;
        memcpy(&start, data, 8);
        memcpy(&length, data + 8, 8);
        uint32_t kind = data[16] & 7;
        if (data[16] & 0x80) {
            const struct byte_range avoid = {start, start + length};
            uint64_t align = 1UL << (data[16] & 31);
            uint64_t at = memory_map_find(&map, length >> 8, align, start, UINT64_MAX, &avoid, 1);
            check(at == NO_PLACE || (at >= start && at % align == 0));
            check(at == NO_PLACE || memory_map_available(&map, at, at + (length >> 8)));
            continue;
        }
        if (data[16] & 0x40)
            memory_map_set(&map, start, length, kind);
        else
            memory_map_add(&map, start, length, kind);
        check_map(&map);
        check(memory_map_total(&map) <= memory_map_top(&map));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > FAKE_MEMORY_SIZE)
        return 0;
    unsigned parser = data[0] % PARSERS;
    data++;
    size--;
    memset(&info, 0, sizeof(info));
    fake_memory_end = size;
    memcpy(fake_memory, data, size);
    switch (parser) {
    case PARSE_MULTIBOOT1:
        check_info(multiboot1_parse(fake_read, 0, &info));
        break;
    case PARSE_MULTIBOOT2:
        fuzz_multiboot2(data, size);
        break;
    case PARSE_ACPI:
        fuzz_acpi(size);
        break;
    case PARSE_OPTIONS:
        fuzz_options(data, size);
        break;
    default:
        fuzz_map(data, size);
        break;
    }
    return 0;
}

/* ---- seeds: one good input for each parser ---- */

static uint8_t seed[1024];

static void put32(unsigned at, uint32_t value)
{
    memcpy(seed + 1 + at, &value, 4);
}

static void put_text(unsigned at, const char *text)
{
    memcpy(seed + 1 + at, text, strlen(text) + 1);
}

static void put_words(unsigned at, const uint32_t *words, unsigned count)
{
    memcpy(seed + 1 + at, words, 4UL * count);
}

static void seed_multiboot1(void)
{
    const uint32_t map[] = {20, 0, 0, 0xA0000, 0, 1, 20, 0x100000, 0, 0x700000, 0, 1};
    const uint32_t module[] = {0x100000, 0x200000, 320, 0};
    put32(0, MULTIBOOT1_HAS_COMMAND_LINE | MULTIBOOT1_HAS_MODULES | MULTIBOOT1_HAS_MEMORY_MAP);
    put32(16, 300);
    put32(20, 1);
    put32(24, 200);
    put32(44, sizeof(map));
    put32(48, 128);
    put_words(128, map, ARRAY_SIZE(map));
    put_words(200, module, ARRAY_SIZE(module));
    put_text(300, "vellum.elf cpus=2");
    put_text(320, "kernel");
}

static void seed_multiboot2(void)
{
    const uint32_t tags[] = {160,
                             0,
                             /* command line */ 1,
                             15,
                             0x73757063,
                             0x0000323D,
                             /* module */ 3,
                             20,
                             0x100000,
                             0x200000,
                             0,
                             0,
                             /* sizes */ 4,
                             16,
                             640,
                             4096,
                             /* map */ 6,
                             40,
                             24,
                             0,
                             0x100000,
                             0,
                             0x700000,
                             0,
                             1,
                             0,
                             /* RSDP */ 14,
                             28,
                             0x20445352,
                             0x20525450,
                             0,
                             0,
                             0,
                             0,
                             /* end */ 0,
                             8};
    put_words(0, tags, ARRAY_SIZE(tags));
}

static void seed_acpi(void)
{
    const uint32_t rsdt[] = {0x54445352, 44, 0};
    const uint32_t xsdt[] = {0x54445358, 44, 0};
    const uint32_t madt[] = {0x43495041, 44 + 16 + 16, 0};
    const uint32_t entries[] = {0x01000800, 1, 0x02000800, 1, 0x00001009, 3, 1, 0};
    put_text(RSDP, "RSD PTR ");
    put32(RSDP + 8, 0);
    put32(RSDP + 12, 2u << 24);
    put32(RSDP + 16, RSDT);
    put32(RSDP + 20, 36);
    put32(RSDP + 24, XSDT);
    put32(RSDP + 32, 0x3FFE0000); /* the fuzzer's own: highest id 0xFE, limit 64 */
    put_words(RSDT, rsdt, 3);
    put32(RSDT + 36, MADT);
    put_words(XSDT, xsdt, 3);
    put32(XSDT + 36, MADT);
    put_words(MADT, madt, 3);
    put_words(MADT + 44, entries, ARRAY_SIZE(entries));
}

static void write_seed(const char *folder, unsigned parser, size_t size)
{
    char name[512];
    snprintf(name, sizeof(name), "%s/seed%u", folder, parser);
    FILE *file = fopen(name, "wb");
    if (file == NULL)
        return;
    seed[0] = (uint8_t)parser;
    fwrite(seed, 1, size, file);
    fclose(file);
    memset(seed, 0, sizeof(seed));
}

/* libFuzzer calls this first: the last argument, when it is a folder, gets the seeds. */
int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    const char *folder = (*arguments)[*count - 1];
    struct stat status;
    if (*count < 2 || stat(folder, &status) != 0 || !S_ISDIR(status.st_mode))
        return 0;
    seed_multiboot1();
    write_seed(folder, PARSE_MULTIBOOT1, 400);
    seed_multiboot2();
    write_seed(folder, PARSE_MULTIBOOT2, 200);
    seed_acpi();
    write_seed(folder, PARSE_ACPI, 400);
    put_text(0, "role=layered cpus=2 pool=16 log=debug console=com2");
    write_seed(folder, PARSE_OPTIONS, 60);
    write_seed(folder, PARSE_MAP, 170);
    return 0;
}
