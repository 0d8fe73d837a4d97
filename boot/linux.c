/* SPDX-License-Identifier: MIT */
/* Linux bzImages: the setup header, the parameters, where they go. See boot/linux.h. */
#include "boot/linux.h"

#include "hv/base/string.h"

/* The setup header's fields, by their offset in the file. */
enum header_field {
    FIELD_SETUP_SECTORS = 0x1F1,  /* u8, of 512 bytes; 0 means 4 */
    FIELD_SYSTEM_SIZE = 0x1F4,    /* u32, of 16 bytes */
    FIELD_BOOT_FLAG = 0x1FE,      /* u16 */
    FIELD_HEADER_SIZE = 0x201,    /* u8: the header ends that many bytes after 0x202 */
    FIELD_MAGIC = 0x202,          /* u32 */
    FIELD_PROTOCOL = 0x206,       /* u16 */
    FIELD_VERSION_TEXT = 0x20E,   /* u16: 0x200 bytes before "6.1.0 (...)"; 0: none */
    FIELD_LOAD_FLAGS = 0x211,     /* u8 */
    FIELD_INITRD_MAX = 0x22C,     /* u32: the highest address that an initrd may occupy */
    FIELD_ALIGNMENT = 0x230,      /* u32 */
    FIELD_RELOCATABLE = 0x234,    /* u8 */
    FIELD_EXTENDED_FLAGS = 0x236, /* u16, from protocol 2.12 on */
    FIELD_COMMAND_LINE = 0x238,   /* u32: its most bytes, without the zero */
    FIELD_PREFERRED = 0x258,      /* u64 */
    FIELD_INIT_SIZE = 0x260,      /* u32 */
    FIELDS_END = 0x264,           /* of protocol 2.10 */
};

#define MAGIC             0x53726448u /* "HdrS" */
#define BOOT_FLAG         0xAA55
#define HEADER_END_MAX    0x290u /* where the parameters' next field begins */
#define SECTOR            512u
#define PARAGRAPH         16u
#define LOADED_HIGH       1u
#define HAS_ENTRY_64      1u /* of the extended flags */
#define VERSION_TEXT_BASE 0x200u
#define PROTOCOL_2_10     0x020A
#define PROTOCOL_2_12     0x020C
#define PROTOCOL_2_14     0x020E

#define LOADER_UNKNOWN 0xFF
#define MAX_ALIGNMENT  GIB(1)

/* In the BIOS data area. */
enum bios_data {
    BIOS_VIDEO_MODE = 0x49,
    BIOS_COLUMNS = 0x4A,
    BIOS_CURSOR = 0x50, /* column, row */
    BIOS_LAST_ROW = 0x84,
    BIOS_CHARACTER_HEIGHT = 0x85,
};
enum { TEXT_80_COLOUR = 3, TEXT_COLUMNS = 80, TEXT_ROWS = 25, TEXT_HEIGHT = 16 };

/* A little-endian field of up to 8 bytes; the caller knows that the file has it. */
static uint64_t field(const uint8_t *file, enum header_field offset, unsigned bytes)
{
    uint64_t value = 0;
    memcpy(&value, file + offset, bytes);
    return value;
}

bool linux_recognize(const uint8_t *file, uint64_t size)
{
    return size >= FIELD_MAGIC + 4 && field(file, FIELD_MAGIC, 4) == MAGIC &&
           field(file, FIELD_BOOT_FLAG, 2) == BOOT_FLAG;
}

/* A decimal number of at most five digits; 0 when there is none. *at goes behind it. */
static uint32_t number(const uint8_t *file, uint64_t end, uint64_t *at)
{
    uint32_t n = 0;
    for (unsigned digits = 0; digits < 5 && *at < end; digits++, (*at)++) {
        if (file[*at] < '0' || file[*at] > '9')
            break;
        n = n * 10 + (uint32_t)(file[*at] - '0');
    }
    return n;
}

/* The text lies in the setup part, before `end`. */
static uint32_t parse_version(const uint8_t *file, uint64_t end)
{
    uint64_t at = field(file, FIELD_VERSION_TEXT, 2);
    if (at == 0)
        return 0;
    at += VERSION_TEXT_BASE;
    uint32_t major = number(file, end, &at);
    if (at >= end || file[at] != '.')
        return 0;
    at++;
    uint32_t minor = number(file, end, &at);
    return LINUX_VERSION(major, min_u64(minor, UINT16_MAX));
}

/* The header's claims about memory; they are used by the sums in linux_place. */
static const char *parse_memory(const uint8_t *file, struct linux_image *image)
{
    image->long_mode =
        image->protocol >= PROTOCOL_2_12 && (field(file, FIELD_EXTENDED_FLAGS, 2) & HAS_ENTRY_64);
    image->relocatable = field(file, FIELD_RELOCATABLE, 1) != 0;
    image->alignment = field(file, FIELD_ALIGNMENT, 4);
    image->preferred = field(file, FIELD_PREFERRED, 8);
    image->memory_size = max_u64(field(file, FIELD_INIT_SIZE, 4), image->size);
    image->initrd_end_max = field(file, FIELD_INITRD_MAX, 4) + 1;
    image->command_line_max = field(file, FIELD_COMMAND_LINE, 4);
    if (image->alignment == 0 || (image->alignment & (image->alignment - 1)) != 0 ||
        image->alignment > MAX_ALIGNMENT || (image->preferred & PAGE_MASK) != 0)
        return "its Linux header asks for an impossible alignment";
    image->alignment = max_u64(image->alignment, PAGE_SIZE);
    if (image->preferred >= GIB(4) || image->preferred + image->memory_size > GIB(4))
        return "its Linux header wants it to be loaded above 4 GiB";
    return NULL;
}

const char *linux_parse(const uint8_t *file, uint64_t size, struct linux_image *image)
{
    if (!linux_recognize(file, size))
        return "it is no Linux kernel";
    if (size < FIELDS_END)
        return "its Linux header is cut off (truncated?)";
    *image = (struct linux_image){.protocol = (uint16_t)field(file, FIELD_PROTOCOL, 2)};
    if (image->protocol < PROTOCOL_2_10)
        return "it is a Linux kernel older than boot protocol 2.10 (Linux 2.6.31)";
    if (!(field(file, FIELD_LOAD_FLAGS, 1) & LOADED_HIGH))
        return "it is a Linux zImage; only a bzImage can be started";
    uint64_t end = FIELD_MAGIC + field(file, FIELD_HEADER_SIZE, 1);
    if (end < FIELDS_END)
        return "its Linux header is shorter than its boot protocol says";
    end = min_u64(min_u64(end, HEADER_END_MAX), size);
    image->header_size = (uint32_t)(end - LINUX_HEADER);

    uint64_t sectors = field(file, FIELD_SETUP_SECTORS, 1);
    image->file_offset = ((sectors != 0 ? sectors : 4) + 1) * SECTOR;
    uint64_t wanted = field(file, FIELD_SYSTEM_SIZE, 4) * PARAGRAPH;
    /* Rounded up to whole paragraphs, which the file need not be. */
    if (wanted < PARAGRAPH)
        return "its Linux header tells of no kernel behind it";
    if (size < image->file_offset || size - image->file_offset <= wanted - PARAGRAPH)
        return "the file is shorter than its Linux header says (truncated?)";
    image->size = min_u64(wanted, size - image->file_offset);
    image->version = parse_version(file, image->file_offset);
    return parse_memory(file, image);
}

uint64_t linux_place(const struct linux_image *image, const struct memory_map *map,
                     const struct byte_range *avoid, uint32_t avoid_count)
{
    uint64_t place = memory_map_find(map, image->memory_size, 1, image->preferred,
                                     image->preferred + image->memory_size, avoid, avoid_count);
    if (place != NO_PLACE || !image->relocatable)
        return place;
    /* Below the preferred address it would move itself there. */
    return memory_map_find(map, image->memory_size, image->alignment, image->preferred, GIB(4),
                           avoid, avoid_count);
}

void linux_command_line(const char *module_line, char *out)
{
    static const char name_option[] = "BOOT_IMAGE=";
    while (*module_line == ' ')
        module_line++;
    bool slash = false, option = false;
    for (const char *at = module_line; *at != 0 && *at != ' '; at++) {
        slash = slash || *at == '/';
        option = option || *at == '=';
    }
    if (slash && !option) {
        memcpy(out, name_option, sizeof(name_option) - 1);
        out += sizeof(name_option) - 1;
    }
    memcpy(out, module_line, strlen(module_line) + 1);
}

/* As the BIOS left it; elsewhere (UEFI) there is no text mode, and is_vga stays 0. */
static void fill_screen(struct linux_params *params, const uint8_t *bios_data)
{
    if (bios_data[BIOS_VIDEO_MODE] != TEXT_80_COLOUR || bios_data[BIOS_COLUMNS] != TEXT_COLUMNS)
        return;
    uint8_t rows = (uint8_t)(bios_data[BIOS_LAST_ROW] + 1);
    uint8_t height = bios_data[BIOS_CHARACTER_HEIGHT];
    params->video_mode = TEXT_80_COLOUR;
    params->columns = TEXT_COLUMNS;
    params->rows = rows > 1 ? rows : TEXT_ROWS;
    params->character_height = height != 0 ? height : TEXT_HEIGHT;
    params->cursor_column = bios_data[BIOS_CURSOR];
    params->cursor_row = bios_data[BIOS_CURSOR + 1];
    params->is_vga = 1;
}

void linux_fill_params(struct linux_params *params, const uint8_t *file,
                       const struct linux_image *image, const struct memory_map *map,
                       const struct linux_start *start, const uint8_t *bios_data)
{
    memcpy((uint8_t *)params + LINUX_HEADER, file + LINUX_HEADER, image->header_size);
    fill_screen(params, bios_data);
    params->loader_type = LOADER_UNKNOWN;
    params->code32_start = (uint32_t)start->kernel;
    params->ramdisk_image = (uint32_t)start->initrd;
    params->ramdisk_size = (uint32_t)start->initrd_size;
    params->command_line = (uint32_t)start->command_line;
    if (image->protocol >= PROTOCOL_2_14)
        params->rsdp = start->rsdp;
    for (uint32_t i = 0; i < map->count; i++) {
        const struct memory_range *r = &map->ranges[i];
        params->map[i].start = r->start;
        params->map[i].size = r->end - r->start;
        params->map[i].kind = r->kind;
        if (r->kind == MEMORY_AVAILABLE && r->start <= MIB(1) && r->end > MIB(1)) {
            uint64_t above = (min_u64(r->end, GIB(4)) - MIB(1)) >> 10;
            params->alternative_memory = (uint32_t)above;
            params->extended_memory = (uint16_t)min_u64(above, UINT16_MAX);
        }
    }
    params->map_count = (uint8_t)map->count;
}
