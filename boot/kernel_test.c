/* SPDX-License-Identifier: MIT */
/* Kernels in files: whole, cut off at every length, hostile, and where they may go. */
/* unit: boot/kernel.c boot/memmap.c */
#include "unit.h"

#include <stdlib.h>

#include "boot/kernel.h"
#include "boot/multiboot.h"

#define FILE_SIZE  0x3000
#define HEADER_AT  0x400
#define DATA_AT    0x1000
#define MUTATIONS  200000
#define LOADED_AT  0x100000u
#define VIRTUAL_AT 0xC0100000u

struct header32 {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version, entry, phoff, shoff, flags;
    uint16_t ehsize, phentsize, phnum, rest[3];
};
_Static_assert(sizeof(struct header32) == 52, "ELF32");

struct header64 {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, rest[3];
};
_Static_assert(sizeof(struct header64) == 64, "ELF64");

struct segment32 {
    uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct segment64 {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

static _Alignas(8) uint8_t file[FILE_SIZE];
static struct header32 *const elf32 = (struct header32 *)file;
static struct header64 *const elf64 = (struct header64 *)file;
static struct segment32 *const segments32 = (struct segment32 *)(file + sizeof(struct header32));
static struct segment64 *const segments64 = (struct segment64 *)(file + sizeof(struct header64));
static struct kernel kernel;

/* ---- making files ---- */

static void put_header(uint64_t at, uint32_t flags)
{
    const uint32_t header[] = {MULTIBOOT1_HEADER_MAGIC, flags,
                               0u - MULTIBOOT1_HEADER_MAGIC - flags};
    memcpy(file + at, header, sizeof(header));
}

static void put_addresses(uint32_t header_addr, uint32_t load, uint32_t load_end, uint32_t bss_end,
                          uint32_t entry)
{
    memset(file, 0, sizeof(file));
    put_header(HEADER_AT, MULTIBOOT1_ADDRESSES);
    struct multiboot1_header *header = (void *)(file + HEADER_AT);
    header->header_addr = header_addr;
    header->load_addr = load;
    header->load_end_addr = load_end;
    header->bss_end_addr = bss_end;
    header->entry_addr = entry;
}

/* Two segments to be loaded, one that is empty, one of another kind. */
static void put_elf32(void)
{
    memset(file, 0, sizeof(file));
    *elf32 = (struct header32){.ident = {0x7F, 'E', 'L', 'F', 1, 1, 1},
                               .type = 2,
                               .machine = 3,
                               .entry = LOADED_AT + 16,
                               .phoff = sizeof(struct header32),
                               .phentsize = sizeof(struct segment32),
                               .phnum = 4};
    segments32[0] = (struct segment32){1, DATA_AT, LOADED_AT, LOADED_AT, 0x1000, 0x1000, 5, 0};
    segments32[1] = (struct segment32){4, 0, 7, 7, 7, 7, 7, 7};
    segments32[2] =
        (struct segment32){1, DATA_AT + 0x1000, 0x200000, 0x200000, 0x800, 0x5000, 6, 0};
    segments32[3] = (struct segment32){1, 0xFFFFFFFF, 0, 0, 0, 0, 0, 0};
    put_header(HEADER_AT, MULTIBOOT1_PAGE_ALIGN | MULTIBOOT1_MEMORY_INFO);
}

static void put_elf64(void)
{
    memset(file, 0, sizeof(file));
    *elf64 = (struct header64){.ident = {0x7F, 'E', 'L', 'F', 2, 1, 1},
                               .type = 2,
                               .machine = 62,
                               .entry = VIRTUAL_AT + 0x20,
                               .phoff = sizeof(struct header64),
                               .phentsize = sizeof(struct segment64),
                               .phnum = 2};
    segments64[0] = (struct segment64){1, 5, DATA_AT, VIRTUAL_AT, LOADED_AT, 0x1000, 0x1000, 0};
    segments64[1] =
        (struct segment64){1, 6, DATA_AT + 0x1000, VIRTUAL_AT + 0x1000, 0x200000, 16, 0x4000, 0};
    put_header(HEADER_AT, MULTIBOOT1_PAGE_ALIGN);
}

/* Parses the first `size` bytes, from memory that ends there. */
static const char *parse(uint64_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, file, size);
    memset(&kernel, 0xAA, sizeof(kernel));
    const char *problem = kernel_parse(copy, size, &kernel);
    free(copy);
    return problem;
}

/* What boot/kernel.h promises of every kernel that was understood. */
static void assert_sound(uint64_t size)
{
    assert_in_range(kernel.count, 1, MAX_KERNEL_SEGMENTS);
    for (uint32_t i = 0; i < kernel.count; i++) {
        const struct kernel_segment *s = &kernel.segments[i];
        assert_true(s->file_offset <= size && s->file_size <= size - s->file_offset);
        assert_true(s->file_size <= s->memory_size);
    }
}

static void assert_refused(const char *words)
{
    const char *problem = parse(FILE_SIZE);
    assert_non_null(problem);
    assert_non_null(strstr(problem, words));
}

static void assert_segment(uint32_t n, uint64_t offset, uint64_t size, uint64_t address,
                           uint64_t memory)
{
    assert_true(n < kernel.count);
    assert_int_equal(kernel.segments[n].file_offset, offset);
    assert_int_equal(kernel.segments[n].file_size, size);
    assert_int_equal(kernel.segments[n].address, address);
    assert_int_equal(kernel.segments[n].memory_size, memory);
}

/* ---- files that are good ---- */

static void elf_of_32_bits(void **state)
{
    (void)state;
    put_elf32();
    assert_null(parse(FILE_SIZE));
    assert_int_equal(kernel.count, 2);
    assert_segment(0, DATA_AT, 0x1000, LOADED_AT, 0x1000);
    assert_segment(1, DATA_AT + 0x1000, 0x800, 0x200000, 0x5000);
    assert_int_equal(kernel.entry, LOADED_AT + 16);
}

static void elf_of_64_bits_at_virtual_addresses(void **state)
{
    (void)state;
    put_elf64();
    assert_null(parse(FILE_SIZE));
    assert_int_equal(kernel.count, 2);
    assert_segment(0, DATA_AT, 0x1000, LOADED_AT, 0x1000);
    assert_segment(1, DATA_AT + 0x1000, 16, 0x200000, 0x4000);
    assert_int_equal(kernel.entry, LOADED_AT + 0x20);
    elf64->entry = VIRTUAL_AT + 0x1000; /* the end of one segment, the start of the next */
    assert_null(parse(FILE_SIZE));
    assert_int_equal(kernel.entry, 0x200000);
}

static void addresses_in_the_header(void **state)
{
    (void)state;
    put_addresses(LOADED_AT + HEADER_AT, LOADED_AT, LOADED_AT + 0x1800, LOADED_AT + 0x9000,
                  LOADED_AT + 4);
    assert_null(parse(FILE_SIZE));
    assert_int_equal(kernel.count, 1);
    assert_segment(0, 0, 0x1800, LOADED_AT, 0x9000);
    assert_int_equal(kernel.entry, LOADED_AT + 4);
    /* 0: the whole file, and no bss; what lies before load_addr is left out */
    put_addresses(LOADED_AT + 0x100, LOADED_AT, 0, 0, LOADED_AT);
    assert_null(parse(FILE_SIZE));
    assert_segment(0, HEADER_AT - 0x100, FILE_SIZE - HEADER_AT + 0x100, LOADED_AT,
                   FILE_SIZE - HEADER_AT + 0x100);
    /* the addresses win over an ELF header */
    put_elf32();
    put_header(HEADER_AT, MULTIBOOT1_ADDRESSES | MULTIBOOT1_PAGE_ALIGN);
    struct multiboot1_header *header = (void *)(file + HEADER_AT);
    header->header_addr = 0x400000 + HEADER_AT;
    header->load_addr = header->entry_addr = 0x400000;
    assert_null(parse(FILE_SIZE));
    assert_segment(0, 0, FILE_SIZE, 0x400000, FILE_SIZE);
}

static void header_where_it_may_be(void **state)
{
    (void)state;
    static const uint32_t flags = MULTIBOOT1_PAGE_ALIGN;
    for (uint64_t at = 0x100; at < FILE_SIZE - 12; at += 2) {
        put_elf32();
        memset(file + HEADER_AT, 0, 12);
        put_header(at, flags);
        bool may_be = at % 4 == 0 && at + 12 <= MULTIBOOT1_SEARCH;
        assert_int_equal(parse(FILE_SIZE) == NULL, may_be);
    }
    put_elf32();
    ((struct multiboot1_header *)(file + HEADER_AT))->checksum++;
    assert_refused("no Multiboot 1 header");
}

/* ---- cut off ---- */

static void cut_off_at_every_length(void **state)
{
    (void)state;
    put_elf32();
    for (uint64_t size = 0; size < FILE_SIZE; size++)
        assert_int_equal(parse(size) == NULL, size >= DATA_AT + 0x1800);
    put_elf64();
    for (uint64_t size = 0; size < FILE_SIZE; size++)
        assert_int_equal(parse(size) == NULL, size >= DATA_AT + 0x1010);
    put_addresses(LOADED_AT + HEADER_AT, LOADED_AT, LOADED_AT + 0x1800, 0, LOADED_AT);
    for (uint64_t size = 0; size < FILE_SIZE; size++)
        assert_int_equal(parse(size) == NULL, size >= 0x1800);
    /* without an end any length is the whole, once the header is there */
    put_addresses(LOADED_AT + HEADER_AT, LOADED_AT, 0, 0, LOADED_AT);
    for (uint64_t size = 0; size < FILE_SIZE; size++)
        assert_int_equal(parse(size) == NULL, size >= HEADER_AT + sizeof(struct multiboot1_header));
}

static void headers_of_elf_cut_off(void **state)
{
    (void)state;
    /* program headers at the very end, one byte too few, and far away */
    put_elf32();
    uint32_t end = FILE_SIZE - 4 * (uint32_t)sizeof(struct segment32);
    memmove(file + end, segments32, 4 * sizeof(struct segment32));
    elf32->phoff = end;
    assert_null(parse(FILE_SIZE));
    assert_non_null(strstr(parse(FILE_SIZE - 1), "program headers are cut off"));
    elf32->phoff = 0xFFFFFFFF;
    assert_refused("program headers are cut off");
    put_elf32();
    elf32->phnum = 0xFFFF;
    assert_refused("program headers are cut off");
    put_elf64();
    elf64->phentsize = 0xFFFF;
    assert_refused("program headers are cut off");
    static const uint64_t places[] = {FILE_SIZE, FILE_SIZE + 1, 1UL << 63, UINT64_MAX - 55,
                                      UINT64_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        put_elf64();
        elf64->phoff = places[i];
        assert_refused("program headers are cut off");
    }
}

/* ---- hostile ---- */

static void no_kernels(void **state)
{
    (void)state;
    put_elf32();
    elf32->machine = 40;
    assert_refused("another processor");
    put_elf32();
    elf32->ident[4] = 2; /* 64 bits, says the class, but not the machine */
    assert_refused("another processor");
    put_elf32();
    elf32->type = 3;
    assert_refused("fixed addresses");
    put_elf32();
    elf32->ident[5] = 2;
    assert_refused("fixed addresses");
    put_elf32();
    elf32->ident[0] = 0;
    assert_refused("no ELF file");
    put_elf32();
    elf32->phnum = 0;
    assert_refused("no ELF segments");
    put_elf32();
    elf32->phentsize = sizeof(struct segment32) - 1;
    assert_refused("too short");
    put_elf64();
    elf64->phentsize = sizeof(struct segment64) - 1;
    assert_refused("too short");
    for (unsigned bit = 0; bit < 16; bit++) {
        put_elf32();
        put_header(HEADER_AT, 1u << bit);
        assert_int_equal(parse(FILE_SIZE) == NULL, bit <= 2);
    }
}

static void hostile_segments(void **state)
{
    (void)state;
    static const uint64_t offsets[] = {FILE_SIZE - 15, FILE_SIZE, FILE_SIZE + 1, UINT64_MAX - 15,
                                       UINT64_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
        put_elf64();
        segments64[1].offset = offsets[i]; /* of 16 bytes */
        assert_refused("segment is cut off");
    }
    static const uint64_t sizes[] = {FILE_SIZE - DATA_AT + 1, UINT64_MAX - DATA_AT + 1, UINT64_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        put_elf64();
        segments64[0].filesz = segments64[0].memsz = sizes[i];
        assert_refused("segment is cut off");
    }
    put_elf64();
    segments64[0].filesz = segments64[0].memsz + 1;
    assert_refused("larger in the file");

    put_elf32();
    elf32->phnum = MAX_KERNEL_SEGMENTS;
    elf32->phoff = 0x800;
    struct segment32 *many = (struct segment32 *)(file + 0x800);
    for (unsigned i = 0; i <= MAX_KERNEL_SEGMENTS; i++)
        many[i] = (struct segment32){1, 0, 0x1000 * i, 0x1000 * i, 16, 16, 0, 0};
    assert_null(parse(FILE_SIZE));
    assert_int_equal(kernel.count, MAX_KERNEL_SEGMENTS);
    elf32->phnum++;
    assert_refused("too many ELF segments");
}

static void hostile_addresses_in_the_header(void **state)
{
    (void)state;
    /* before the file, after the header, ends before starts */
    put_addresses(LOADED_AT + HEADER_AT + 1, LOADED_AT, 0, 0, LOADED_AT);
    assert_refused("impossible load addresses");
    put_addresses(LOADED_AT, LOADED_AT + 1, 0, 0, LOADED_AT);
    assert_refused("impossible load addresses");
    put_addresses(LOADED_AT + HEADER_AT, LOADED_AT, LOADED_AT - 1, 0, LOADED_AT);
    assert_refused("impossible load addresses");
    put_addresses(LOADED_AT + HEADER_AT, LOADED_AT, LOADED_AT + FILE_SIZE + 1, 0, LOADED_AT);
    assert_refused("truncated");
    put_addresses(LOADED_AT + HEADER_AT, LOADED_AT, LOADED_AT + 16, LOADED_AT + 15, LOADED_AT);
    assert_refused("end of bss");
    /* the end of the address space is kernel_check's business; nothing wraps */
    put_addresses(0xFFFFFFFF, 0xFFFFFFFF - HEADER_AT, 0, 0, 0xFFFFFFFF);
    assert_null(parse(FILE_SIZE));
    assert_segment(0, 0, FILE_SIZE, 0xFFFFFFFF - HEADER_AT, FILE_SIZE);
}

/* One, two or three bytes of a good file changed, 200,000 times; the seed is fixed. */
static void changed_at_random(void **state)
{
    (void)state;
    static void (*const make[])(void) = {put_elf32, put_elf64};
    uint64_t random = 1, good = 0;
    for (unsigned n = 0; n < MUTATIONS; n++) {
        make[n & 1]();
        for (unsigned changes = n % 3 + 1; changes > 0; changes--) {
            random = random * 6364136223846793005UL + 1442695040888963407UL;
            static const uint8_t values[] = {0, 1, 0x7F, 0x80, 0xFF, 0xF0, 0x10, 3};
            file[(random >> 33) % (HEADER_AT + 12)] = values[random >> 61];
        }
        uint64_t size = random >> 40 & 1 ? FILE_SIZE : random >> 16 & 0x1FFF;
        if (parse(size) != NULL)
            continue;
        assert_sound(size);
        good++;
    }
    assert_in_range(good, MUTATIONS / 100, MUTATIONS);
}

/* ---- where it may go ---- */

static struct memory_map map;
static uint64_t culprit;

/* RAM from 0 to 640 KiB, from 1 to 16 MiB, from 4 to 6 GiB. */
static void make_map(void)
{
    memset(&map, 0, sizeof(map));
    memory_map_add(&map, 0, KIB(640), MEMORY_AVAILABLE);
    memory_map_add(&map, MIB(1), MIB(15), MEMORY_AVAILABLE);
    memory_map_add(&map, GIB(4) - MIB(1), MIB(1), MEMORY_AVAILABLE);
    memory_map_add(&map, GIB(4), GIB(2), MEMORY_AVAILABLE);
}

static const char *check(uint64_t address, uint64_t size, uint64_t entry)
{
    make_map();
    kernel = (struct kernel){.count = 1, .entry = entry, .segments = {{0, 0, address, size}}};
    culprit = 1;
    return kernel_check(&kernel, &map, NULL, 0, &culprit);
}

static void must_lie_in_memory(void **state)
{
    (void)state;
    assert_null(check(MIB(1), MIB(15), MIB(1)));
    assert_null(check(0, KIB(640), 0));
    assert_non_null(strstr(check(MIB(1), MIB(15) + 1, MIB(1)), "no free memory"));
    assert_int_equal(culprit, MIB(1));
    assert_non_null(strstr(check(MIB(1) - 1, MIB(1), MIB(1)), "no free memory"));
    assert_non_null(strstr(check(MIB(100), 1, MIB(100)), "no free memory"));
    assert_int_equal(culprit, MIB(100));
}

static void must_lie_below_4_gib(void **state)
{
    (void)state;
    assert_null(check(GIB(4) - MIB(1), MIB(1), GIB(4) - 1));
    assert_non_null(strstr(check(GIB(4) - MIB(1), MIB(1) + 1, GIB(4) - 1), "above 4 GiB"));
    assert_non_null(strstr(check(GIB(4), 16, GIB(4)), "above 4 GiB"));
    assert_non_null(strstr(check(GIB(5), 16, GIB(5)), "above 4 GiB"));
    assert_int_equal(culprit, GIB(5));
    /* an end that wraps around */
    assert_non_null(strstr(check(UINT64_MAX - 15, 32, 0), "above 4 GiB"));
    assert_non_null(strstr(check(UINT64_MAX, UINT64_MAX, 0), "above 4 GiB"));
    assert_non_null(strstr(check(MIB(2), UINT64_MAX - MIB(1), MIB(2)), "above 4 GiB"));
    assert_non_null(strstr(check(MIB(2), UINT64_MAX - MIB(2), MIB(2)), "above 4 GiB"));
}

static void entry_must_be_inside(void **state)
{
    (void)state;
    assert_null(check(MIB(1), 16, MIB(1) + 15));
    assert_non_null(strstr(check(MIB(1), 16, MIB(1) + 16), "entry point"));
    assert_int_equal(culprit, MIB(1) + 16);
    assert_non_null(strstr(check(MIB(1), 16, MIB(1) - 1), "entry point"));
    assert_non_null(strstr(check(MIB(1), 16, MIB(1) + GIB(4)), "entry point"));
}

static void must_keep_clear(void **state)
{
    (void)state;
    static const struct byte_range avoid[] = {{MIB(8), MIB(9)}, {MIB(3), MIB(4)}};
    static const struct {
        uint64_t start, end;
        bool clear;
    } cases[] = {
        {MIB(1), MIB(3), true},       {MIB(1), MIB(3) + 1, false}, {MIB(4), MIB(8), true},
        {MIB(4) - 1, MIB(8), false},  {MIB(4), MIB(8) + 1, false}, {MIB(9), MIB(16), true},
        {MIB(9) - 1, MIB(16), false}, {MIB(1), MIB(16), false},    {MIB(3) + 1, MIB(3) + 2, false},
    };
    make_map();
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t start = cases[i].start;
        kernel = (struct kernel){
            .count = 1, .entry = start, .segments = {{0, 0, start, cases[i].end - start}}};
        const char *problem = kernel_check(&kernel, &map, avoid, ARRAY_SIZE(avoid), &culprit);
        assert_int_equal(problem == NULL, cases[i].clear);
        if (problem != NULL)
            assert_int_equal(culprit, start);
    }
    /* the second segment counts as well */
    kernel = (struct kernel){
        .count = 2, .entry = MIB(1), .segments = {{0, 0, MIB(1), 16}, {0, 0, MIB(8) + 5, 16}}};
    assert_non_null(kernel_check(&kernel, &map, avoid, ARRAY_SIZE(avoid), &culprit));
    assert_int_equal(culprit, MIB(8) + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elf_of_32_bits),
        cmocka_unit_test(elf_of_64_bits_at_virtual_addresses),
        cmocka_unit_test(addresses_in_the_header),
        cmocka_unit_test(header_where_it_may_be),
        cmocka_unit_test(cut_off_at_every_length),
        cmocka_unit_test(headers_of_elf_cut_off),
        cmocka_unit_test(no_kernels),
        cmocka_unit_test(hostile_segments),
        cmocka_unit_test(hostile_addresses_in_the_header),
        cmocka_unit_test(changed_at_random),
        cmocka_unit_test(must_lie_in_memory),
        cmocka_unit_test(must_lie_below_4_gib),
        cmocka_unit_test(entry_must_be_inside),
        cmocka_unit_test(must_keep_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
