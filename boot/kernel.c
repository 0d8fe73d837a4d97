/* SPDX-License-Identifier: MIT */
/* Multiboot 1 kernels: ELF, 32 and 64 bits, and the header's own addresses. See boot/kernel.h. */
#include "boot/kernel.h"

#include "boot/multiboot.h"
#include "hv/base/string.h"

enum elf_number {
    ELF_CLASS = 4, /* index into e_ident */
    ELF_DATA = 5,
    ELF_CLASS_32 = 1,
    ELF_CLASS_64 = 2,
    ELF_LITTLE_ENDIAN = 1,
    ELF_MACHINE_386 = 3,
    ELF_MACHINE_X86_64 = 62,
    ELF_TYPE_EXECUTABLE = 2,
    ELF_LOAD = 1,
};

struct elf32_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version, entry, phoff, shoff, flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf32_header) == 52, "ELF32");

struct elf64_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf64_header) == 64, "ELF64");

struct elf32_segment {
    uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
_Static_assert(sizeof(struct elf32_segment) == 32, "ELF32 program header");

struct elf64_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf64_segment) == 56, "ELF64 program header");

/* Either of the two, widened. */
struct elf {
    bool wide;
    uint64_t entry, phoff;
    uint32_t phentsize, phnum;
};

static bool fetch(const uint8_t *file, uint64_t size, uint64_t offset, void *to, uint64_t count)
{
    if (offset > size || count > size - offset)
        return false;
    memcpy(to, file + offset, count);
    return true;
}

/* The header's offset in the file in *offset; what the file does not have of it is 0. */
static bool find_header(const uint8_t *file, uint64_t size, struct multiboot1_header *header,
                        uint64_t *offset)
{
    uint64_t end = min_u64(size, MULTIBOOT1_SEARCH);
    for (uint64_t at = 0; at + 12 <= end; at += 4) {
        memset(header, 0, sizeof(*header));
        memcpy(header, file + at, min_u64(sizeof(*header), size - at));
        if (header->magic == MULTIBOOT1_HEADER_MAGIC &&
            header->magic + header->flags + header->checksum == 0) {
            *offset = at;
            return true;
        }
    }
    return false;
}

/* Multiboot 3.1.3: load_end_addr 0 is the whole file, bss_end_addr 0 is no bss. */
static const char *parse_addresses(uint64_t size, const struct multiboot1_header *h,
                                   uint64_t header_offset, struct kernel *kernel)
{
    if (size - header_offset < sizeof(*h))
        return "its Multiboot header is cut off (truncated?)";
    if (h->load_addr > h->header_addr || h->header_addr - h->load_addr > header_offset)
        return "its Multiboot header has impossible load addresses";
    uint64_t offset = header_offset - (h->header_addr - h->load_addr);
    uint64_t count = size - offset;
    if (h->load_end_addr != 0) {
        if (h->load_end_addr < h->load_addr)
            return "its Multiboot header has impossible load addresses";
        if (h->load_end_addr - h->load_addr > count)
            return "the file is shorter than its Multiboot header says (truncated?)";
        count = h->load_end_addr - h->load_addr;
    }
    uint64_t end = h->load_addr + count;
    if (h->bss_end_addr != 0) {
        if (h->bss_end_addr < end)
            return "its Multiboot header has an impossible end of bss";
        end = h->bss_end_addr;
    }
    kernel->count = 1;
    kernel->segments[0] = (struct kernel_segment){offset, count, h->load_addr, end - h->load_addr};
    kernel->entry = h->entry_addr;
    return NULL;
}

static const char *parse_elf_header(const uint8_t *file, uint64_t size, struct elf *elf)
{
    struct elf32_header h32;
    if (!fetch(file, size, 0, &h32, sizeof(h32)) || memcmp(h32.ident, "\177ELF", 4) != 0)
        return "it is no ELF file and its Multiboot header has no load addresses";
    if (h32.ident[ELF_DATA] != ELF_LITTLE_ENDIAN || h32.type != ELF_TYPE_EXECUTABLE)
        return "its ELF file is not an x86 executable at fixed addresses";
    if (h32.ident[ELF_CLASS] == ELF_CLASS_32 && h32.machine == ELF_MACHINE_386) {
        *elf = (struct elf){false, h32.entry, h32.phoff, h32.phentsize, h32.phnum};
    } else if (h32.ident[ELF_CLASS] == ELF_CLASS_64 && h32.machine == ELF_MACHINE_X86_64) {
        struct elf64_header h64;
        if (!fetch(file, size, 0, &h64, sizeof(h64)))
            return "its ELF header is cut off (truncated?)";
        *elf = (struct elf){true, h64.entry, h64.phoff, h64.phentsize, h64.phnum};
    } else {
        return "its ELF file is for another processor";
    }
    uint64_t least = elf->wide ? sizeof(struct elf64_segment) : sizeof(struct elf32_segment);
    if (elf->phentsize < least)
        return "its ELF program headers are too short";
    return NULL;
}

static bool fetch_segment(const uint8_t *file, uint64_t size, const struct elf *elf, uint32_t index,
                          struct elf64_segment *segment)
{
    uint64_t skip = (uint64_t)index * elf->phentsize;
    if (elf->phoff > size || skip > size - elf->phoff)
        return false;
    if (elf->wide)
        return fetch(file, size, elf->phoff + skip, segment, sizeof(*segment));
    struct elf32_segment s;
    if (!fetch(file, size, elf->phoff + skip, &s, sizeof(s)))
        return false;
    *segment = (struct elf64_segment){.type = s.type,
                                      .flags = s.flags,
                                      .offset = s.offset,
                                      .vaddr = s.vaddr,
                                      .paddr = s.paddr,
                                      .filesz = s.filesz,
                                      .memsz = s.memsz,
                                      .align = s.align};
    return true;
}

static const char *parse_elf(const uint8_t *file, uint64_t size, struct kernel *kernel)
{
    struct elf elf;
    const char *problem = parse_elf_header(file, size, &elf);
    if (problem != NULL)
        return problem;
    kernel->count = 0;
    kernel->entry = elf.entry;
    bool entry_found = false;
    for (uint32_t i = 0; i < elf.phnum; i++) {
        struct elf64_segment s;
        if (!fetch_segment(file, size, &elf, i, &s))
            return "its ELF program headers are cut off (truncated?)";
        if (s.type != ELF_LOAD || s.memsz == 0)
            continue;
        if (s.filesz > s.memsz)
            return "an ELF segment is larger in the file than in memory";
        if (s.offset > size || s.filesz > size - s.offset)
            return "an ELF segment is cut off (truncated?)";
        if (kernel->count == MAX_KERNEL_SEGMENTS)
            return "it has too many ELF segments";
        kernel->segments[kernel->count++] =
            (struct kernel_segment){s.offset, s.filesz, s.paddr, s.memsz};
        /* The entry point may be given as a virtual address; paging is off when it is called. */
        if (!entry_found && elf.entry >= s.vaddr && elf.entry - s.vaddr < s.memsz) {
            kernel->entry = elf.entry - s.vaddr + s.paddr;
            entry_found = true;
        }
    }
    return kernel->count == 0 ? "it has no ELF segments to load" : NULL;
}

const char *kernel_parse(const uint8_t *file, uint64_t size, struct kernel *kernel)
{
    struct multiboot1_header header;
    uint64_t offset;
    if (!find_header(file, size, &header, &offset))
        return "it has no Multiboot 1 header in its first 8 KiB and is no Linux kernel";
    if (header.flags & 0xFFFF & ~MULTIBOOT1_FLAGS_KNOWN)
        return "its Multiboot header requires something that is not known";
    if (header.flags & MULTIBOOT1_ADDRESSES)
        return parse_addresses(size, &header, offset, kernel);
    return parse_elf(file, size, kernel);
}

const char *kernel_check(const struct kernel *kernel, const struct memory_map *map,
                         const struct byte_range *avoid, uint32_t avoid_count, uint64_t *culprit)
{
    bool entry_inside = false;
    for (uint32_t i = 0; i < kernel->count; i++) {
        const struct kernel_segment *s = &kernel->segments[i];
        uint64_t start = s->address, end = start + s->memory_size;
        *culprit = start;
        if (end < start || end > GIB(4))
            return "it wants to be loaded above 4 GiB";
        if (!memory_map_available(map, start, end))
            return "it wants to be loaded where there is no free memory";
        for (uint32_t a = 0; a < avoid_count; a++)
            if (start < avoid[a].end && avoid[a].start < end)
                return "too little memory: it wants to be loaded where the modules have to be";
        entry_inside = entry_inside || (kernel->entry >= start && kernel->entry < end);
    }
    *culprit = kernel->entry;
    return entry_inside ? NULL : "its entry point is in none of its segments";
}
