/* SPDX-License-Identifier: MIT */
/* From the loader's jump to hv_main. */
#include "boot/acpi.h"
#include "boot/options.h"
#include "boot/paging.h"
#include "boot/place.h"
#include "hv/base/apic.h"
#include "hv/base/cpu.h"
#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"
#include "hv/base/traps.h"

#define MULTIBOOT2_MAX_SIZE MIB(16)

/* Highest id that an interrupt command of an xAPIC can name. */
#define XAPIC_MAX_ID 254u

struct boot_info boot_info;

_Noreturn void boot_main(uint32_t magic, uint32_t information, uint64_t tsc);

/* phys_reader for the machine's memory; what is above 4 GiB is mapped when it is asked for. */
static const void *read_physical(spa_t spa, uint64_t size)
{
    return paging_early_map(spa, size) ? phys_ptr(spa) : NULL;
}

static void take_loader_information(uint32_t magic, uint32_t information)
{
    const char *problem = "its magic number is wrong";
    if (magic == MULTIBOOT1_LOADER_MAGIC) {
        problem = multiboot1_parse(read_physical, information, &boot_info);
    } else if (magic == MULTIBOOT2_LOADER_MAGIC) {
        uint32_t size;
        const void *bytes = read_physical(information, sizeof(size));
        memcpy(&size, bytes, sizeof(size));
        bool fits = size <= MULTIBOOT2_MAX_SIZE && (uint64_t)information + size <= GIB(4);
        problem = fits ? multiboot2_parse(bytes, size, &boot_info)
                       : "its information structure has an impossible size";
    }
    if (problem != NULL)
        boot_refuse("what the boot loader hands over cannot be used: %s", problem);
    if (memory_map_top(&boot_info.memory) == 0)
        boot_refuse("the boot loader tells of no available memory");
}

static void complain(const char *word, const char *why)
{
    if (strcmp(why, "unknown option") == 0)
        say_warn("unknown option '%s'", word);
    else
        say_warn("option '%s' is not understood: %s", word, why);
}

/* Twice: where to print and how much must be known before a complaint is printed. */
static void take_options(void)
{
    options_parse(boot_info.command_line, &boot_info.options, NULL);
    if (boot_info.options.console != CONSOLE_COM1)
        console_init(boot_info.options.console);
    log_level = boot_info.options.log;
    options_parse(boot_info.command_line, &boot_info.options, complain);
}

/* This processor's APIC id as the firmware numbers it, in any APIC mode. */
static uint32_t boot_apic_id(void)
{
    if (cpuid(0, 0).eax >= 0xB && cpuid(0xB, 0).ebx != 0)
        return cpuid(0xB, 0).edx;
    return cpuid(1, 0).ebx >> 24;
}

static void find_processors(void)
{
    boot_info.rsdp = acpi_find_rsdp(read_physical);
    if (boot_info.rsdp != 0 && boot_info.rsdp_copy[0] == 0)
        memcpy(boot_info.rsdp_copy, phys_ptr(boot_info.rsdp), sizeof(boot_info.rsdp_copy));
    bool x2apic = apic_in_x2apic_mode();
    boot_info.apic_ids[0] = boot_apic_id();
    boot_info.cpu_count =
        acpi_processors(read_physical, boot_info.rsdp_copy, x2apic ? UINT32_MAX : XAPIC_MAX_ID,
                        boot_info.apic_ids, 1, boot_info.options.cpus);
}

/* Until hv_main has set up the processor: an exception is printed instead of a silent reset. */
static void prepare_for_exceptions(void)
{
    static struct cpu early;
    early.self = &early;
    wrmsr(MSR_GS_BASE, (uint64_t)&early);
    traps_init();
    __asm__ volatile("lidt %0" : : "m"(idt_pointer));
}

_Noreturn void boot_main(uint32_t magic, uint32_t information, uint64_t tsc)
{
    prepare_for_exceptions();
    console_init(CONSOLE_COM1);
    boot_info.first_instruction_tsc = tsc;
    take_loader_information(magic, information);
    take_options();
    say_info("Vellum, a hypervisor that maps virtual processor state into pages");
    find_processors();
    place_choose(&boot_info);
    place_relocate(&boot_info);
    say_debug("%lu MiB of memory, %u processors in ACPI, %lu KiB kept at 0x%lx",
              memory_map_total(&boot_info.memory) >> 20, boot_info.cpu_count,
              (boot_info.hv_end - boot_info.hv_start) >> 10, boot_info.hv_start);
    hv_main();
}
