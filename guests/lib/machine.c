/* SPDX-License-Identifier: MIT */
/* Multiboot 1 information, command line words, start and end of a run. */
#include "guests/lib/machine.h"

#include "guests/lib/cpu.h"
#include "guests/lib/guest.h"
#include "hv/base/string.h"

#define MULTIBOOT_MAGIC 0x2BADB002

enum multiboot_flags {
    MULTIBOOT_COMMAND_LINE = 1 << 2,
    MULTIBOOT_MODULES = 1 << 3,
    MULTIBOOT_MEMORY_MAP = 1 << 6,
    MULTIBOOT_LOADER = 1 << 9,
};

struct multiboot_information {
    uint32_t flags;
    uint32_t mem_lower, mem_upper;
    uint32_t boot_device;
    uint32_t command_line;
    uint32_t module_count, modules;
    uint32_t symbols[4];
    uint32_t map_length, map;
    uint32_t drives_length, drives, config_table;
    uint32_t loader_name;
};

struct multiboot_module {
    uint32_t start, end, command_line, zero;
};

struct multiboot_range {
    uint32_t size; /* of what follows */
    uint64_t start, length;
    uint32_t type;
} __attribute__((packed));

struct machine machine;

static const void *low(uint32_t address)
{
    return (const void *)(uint64_t)address;
}

static void copy_text(char *to, size_t size, const char *from)
{
    size_t length = min_u64(strlen(from), size - 1);
    memcpy(to, from, length);
    to[length] = 0;
}

static void read_map(const struct multiboot_information *info)
{
    uint32_t offset = 0;
    while (offset < info->map_length && machine.range_count < MAX_GUEST_RANGES) {
        const struct multiboot_range *range = low(info->map + offset);
        machine.ranges[machine.range_count++] = (struct ram_range){
            .start = range->start, .end = range->start + range->length, .type = range->type};
        offset += range->size + (uint32_t)sizeof(range->size);
    }
}

/* Everything is copied: what the loader left may lie anywhere in RAM. */
void machine_init(uint32_t magic, uint64_t information)
{
    const struct multiboot_information *info = (const void *)information;
    static char module_lines[MAX_GUEST_MODULES][256];

    if (magic != MULTIBOOT_MAGIC)
        tap_bail_out("not started by a Multiboot loader (magic 0x%x)", magic);
    if (info->flags & MULTIBOOT_COMMAND_LINE)
        copy_text(machine.command_line, sizeof(machine.command_line), low(info->command_line));
    if (info->flags & MULTIBOOT_LOADER)
        copy_text(machine.loader, sizeof(machine.loader), low(info->loader_name));
    if (!(info->flags & MULTIBOOT_MEMORY_MAP))
        tap_bail_out("the loader gave no memory map");
    read_map(info);
    if (info->flags & MULTIBOOT_MODULES) {
        const struct multiboot_module *modules = low(info->modules);
        for (uint32_t n = 0; n < info->module_count && n < MAX_GUEST_MODULES; n++) {
            copy_text(module_lines[n], sizeof(module_lines[n]), low(modules[n].command_line));
            machine.modules[machine.module_count++] =
                (struct guest_module){.start = (uint8_t *)(uint64_t)modules[n].start,
                                      .size = modules[n].end - modules[n].start,
                                      .command_line = module_lines[n]};
        }
    }
    memory_init();
}

/* The text after `name` where that is a whole word or the part of one before '='; or NULL. */
static const char *find_option(const char *name)
{
    size_t length = strlen(name);
    for (const char *p = machine.command_line; *p != 0;) {
        if (strncmp(p, name, length) == 0 &&
            (p[length] == 0 || p[length] == ' ' || p[length] == '='))
            return p + length;
        while (*p != 0 && *p != ' ')
            p++;
        while (*p == ' ')
            p++;
    }
    return NULL;
}

bool option_word(const char *word)
{
    return find_option(word) != NULL;
}

bool option_text(const char *name, char *value, size_t size)
{
    const char *p = find_option(name);
    size_t length = 0;
    bool found = p != NULL && *p == '=';
    if (found) {
        for (p++; p[length] != 0 && p[length] != ' ' && length + 1 < size; length++)
            value[length] = p[length];
    }
    value[length] = 0;
    return found;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

uint64_t option_number(const char *name, uint64_t otherwise)
{
    char text[32];
    if (!option_text(name, text, sizeof(text)) || text[0] == 0)
        return otherwise;
    const char *p = text;
    int base = 10;
    if (p[0] == '0' && (p[1] | 0x20) == 'x') {
        base = 16;
        p += 2;
    }
    uint64_t value = 0;
    for (; digit(*p) < base; p++)
        value = value * (uint64_t)base + (uint64_t)digit(*p);
    return value;
}

bool machine_is_bochs(void)
{
    return in8(0xE9) == 0xE9;
}

bool machine_is_tcg(void)
{
    struct cpuid_regs r = cpuid(0x80000002, 0);
    char brand[16];
    memcpy(brand, &r, sizeof(brand));
    return memcmp(brand, "QEMU TCG", 8) == 0;
}

bool machine_is_amd(void)
{
    return cpuid(0, 0).ebx == 0x68747541; /* "Auth" */
}

/* C code begins here, on the boot processor. */
_Noreturn void guest_start(uint32_t magic, uint64_t information)
{
    struct cpu *cpu = this_cpu();
    serial_init();
    cpus[0] = cpu;
    cpu->online = true;
    out8(0x21, 0xFF); /* the PICs keep quiet until somebody asks */
    out8(0xA1, 0xFF);
    cpu_init(cpu);
    cpu->apic_id = cpuid(1, 0).ebx >> 24;
    machine_init(magic, information);
    guest_main();
    tap_finish();
}

void guest_exit(uint8_t code)
{
    static const char shutdown[] = "Shutdown";
    serial_drain();
    out8(0xF4, code);
    for (size_t n = 0; n < sizeof(shutdown) - 1; n++)
        out8(0x8900, (uint8_t)shutdown[n]);
    acpi_power_off();
    interrupts_disable();
    for (;;)
        __asm__ volatile("hlt");
}
