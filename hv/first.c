/* SPDX-License-Identifier: MIT */
/* The first partition: its memory is the machine's, less ours; its VP n is processor n. */
#include "hv/first.h"

#include "hv/base/apic.h"
#include "hv/base/features.h"
#include "hv/base/panic.h"
#include "hv/base/phys.h"
#include "hv/machine/machine.h"
#include "hv/model/fpu.h"
#include "hv/model/partition.h"
#include "mm/boot_memory.h"
#include "mm/tlb.h"

static void record_frames(void)
{
    uint64_t count = boot_info.frame_count;
    frame_table_init(boot_alloc(count * sizeof(struct frame)), count);
    for (uint32_t i = 0; i < boot_info.guest_memory.count; i++) {
        const struct memory_range *range = &boot_info.guest_memory.ranges[i];
        if (range->kind != MEMORY_AVAILABLE)
            continue;
        spn_t start = align_up(range->start, PAGE_SIZE) >> PAGE_SHIFT;
        spn_t end = range->end >> PAGE_SHIFT;
        if (end > start)
            frame_set_range(start, end - start, FRAME_RAM, OWNER_FIRST);
    }
    frame_set_range(boot_info.hv_start >> PAGE_SHIFT,
                    (boot_info.hv_end - boot_info.hv_start) >> PAGE_SHIFT, FRAME_HV,
                    OWNER_HYPERVISOR);
}

static void map_or_refuse(struct space *space, spa_t start, spa_t end, uint8_t prot, uint8_t type)
{
    uint64_t count = (end - start) >> PAGE_SHIFT;
    if (slpt_map(space, start >> PAGE_SHIFT, start >> PAGE_SHIFT, count, prot, type, 2) != count)
        boot_refuse("too little memory: the pool (pool=%lu) does not hold the first partition's "
                    "page tables",
                    boot_info.options.pool_mib);
}

/* Maps [start, end) 1:1, each part with the memory type of the MTRRs. */
static void map_by_type(struct space *space, spa_t start, spa_t end)
{
    while (start < end) {
        spa_t part_end;
        uint8_t type = mtrr_type(start, &part_end);
        /* Neighbours of the same type go together: the more large pages. */
        while (part_end < end) {
            spa_t next_end;
            if (mtrr_type(part_end, &next_end) != type)
                break;
            part_end = next_end;
        }
        part_end = min_u64(part_end, end);
        map_or_refuse(space, start, part_end, MAP_ALL, type);
        start = part_end;
    }
}

static void map_machine(struct space *space)
{
    spa_t top = max_u64(GIB(4), boot_info.frame_count << PAGE_SHIFT);
    spa_t apic = APIC_PAGE_GPN << PAGE_SHIFT;
    map_by_type(space, 0, boot_info.hv_start);
    map_by_type(space, boot_info.hv_end, apic);
    /* The local APIC may be read; a write exits. */
    map_or_refuse(space, apic, apic + PAGE_SIZE, MAP_READ, MEMORY_UC);
    map_by_type(space, apic + PAGE_SIZE, top);
}

/* Segment attributes, as in a VMCS: present, accessed code, 4 KiB granularity. */
enum { FLAT_CODE_32 = 0xC09B, FLAT_CODE_64 = 0xA09B };

/*
 * In 32-bit protected mode without paging, as Multiboot 1 wants it (its section
 * 3.2), or in 64-bit mode by the page tables that the loader has left (Linux).
 */
static void set_entry(struct vp_state *s, const struct first_entry *entry)
{
    const struct segment data = {0, UINT32_MAX, entry->data_selector, 0xC093};
    const struct segment code = {0, UINT32_MAX, entry->code_selector,
                                 entry->cr3 ? FLAT_CODE_64 : FLAT_CODE_32};
    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        s->seg[i] = data;
    s->seg[SEG_CS] = code;
    s->cr0 = CR0_PE | CR0_ET;
    if (entry->cr3 != 0) {
        s->cr0 |= CR0_PG;
        s->cr3 = entry->cr3;
        s->cr4 |= CR4_PAE;
        s->efer |= EFER_LME | EFER_LMA;
    }
    s->rip = entry->eip;
    s->gpr[RAX] = entry->eax;
    s->gpr[RBX] = entry->ebx;
    s->gpr[RSI] = entry->esi;
    s->gpr[RSP] = entry->esp;
    s->gpr[RDX] = 0;
    if (entry->gdt_base != 0)
        s->gdtr = (struct descriptor_table){entry->gdt_base, entry->gdt_limit};
}

static void create_vp(struct partition *partition, uint32_t index, const struct first_entry *entry)
{
    static uint64_t next_id = 1;
    struct vp *vp = boot_alloc(PAGE_SIZE);
    vp->id = next_id++;
    vp->partition = partition;
    vp->index = index;
    vp->first = true;
    vp->slot = SLOT_FIRST;
    vp->control_spa = ptr_phys(boot_alloc(PAGE_SIZE));
    vp->xsave = boot_alloc(align_up(xsave_first_size, PAGE_SIZE));
    vp->apic_base = APIC_BASE_ADDRESS | APIC_BASE_ENABLE | (index == 0 ? APIC_BASE_BSP : 0);
    vp->apic_dfr = UINT32_MAX;
    fpu_reset(vp);
    vp_reset_state(vp);
    if (index == 0)
        set_entry(&vp->state, entry);
    else
        vp->wait_for_sipi = true;
    if (vp->wait_for_sipi)
        vp->requests = REQUEST_SUSPEND; /* looks, and waits in the hypervisor */
    backend->vp_init(vp);
    partition->vps[index] = vp;
    partition->vp_count++;
}

static uint64_t privileges_for(enum role role, bool no_partition_id)
{
    static const uint64_t privileges[] = {
        [ROLE_ROOT] = PRIVILEGES_ROOT,
        [ROLE_LAYERED] = PRIVILEGES_LAYERED,
        [ROLE_GUEST] = PRIVILEGES_GUEST,
    };
    uint64_t never = no_partition_id && role != ROLE_ROOT ? PRIVILEGE_PARTITION_ID : 0;
    uint64_t invariant = processor_tsc_is_invariant() ? PRIVILEGE_TSC_INVARIANT : 0;
    return (privileges[role] & ~never) | invariant;
}

/*
 * A root (TLFS "root partition") does not say where the pages of its MSRs are to
 * be: it reads where they are, and only enables them.
 */
static void place_root_pages(struct partition *partition)
{
    gpa_t at = (overlay_window_base + OVERLAY_ROOT_PAGES) << PAGE_SHIFT;
    partition->hypercall_msr = at;
    partition->reference_tsc_msr = at + PAGE_SIZE;
    for (uint32_t i = 0; i < cpu_count; i++)
        partition->vps[i]->assist_msr = at + (2 + i) * PAGE_SIZE;
}

void first_create(const struct first_entry *entry)
{
    record_frames();
    uint8_t bits = physical_address_bits();
    overlay_window_base = 1UL << (bits - 1 - PAGE_SHIFT);
    must(overlay_window_base >= boot_info.frame_count);
    struct partition *partition =
        partition_create_first(privileges_for(boot_info.options.role, entry->no_partition_id),
                               boot_info.pool_start >> PAGE_SHIFT,
                               (boot_info.pool_end - boot_info.pool_start) >> PAGE_SHIFT, bits);
    map_machine(&partition->space);
    for (uint32_t i = 0; i < cpu_count; i++)
        create_vp(partition, i, entry);
    if (boot_info.options.role == ROLE_ROOT)
        place_root_pages(partition);
}
