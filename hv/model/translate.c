/* SPDX-License-Identifier: MIT */
/*
 * The walk through a guest's own page tables: none, 32-bit with PSE, PAE, 4 and 5
 * levels. (SDM 4.3 to 4.6)
 *
 * Decisions: a page table that is not in the partition's memory is GPA_UNMAPPED; bits
 * beyond its GPA width are reserved bits. Without PRIVILEGE_EXEMPT the access is made at
 * the VP's CPL. Protection keys are not looked at.
 */
#include "hv/model/translate_fast.h"

#include "hv/model/segment.h"

#define RFLAGS_AC BIT(18)

/* The walk so far. */
struct walk {
    const struct vp *vp;
    uint64_t linear;
    uint64_t reserved; /* bits that no entry may have */
    bool writable, user, no_execute;
    gpa_t gpa;
};

/* Takes an entry's rights in. Not for the entries of a PAE root table, which have none. */
static void restrict_rights(struct walk *w, uint64_t entry)
{
    w->writable = w->writable && (entry & PTE_WRITABLE);
    w->user = w->user && (entry & PTE_USER);
    w->no_execute = w->no_execute || (entry & PTE_NX);
}

static bool read_entry(const struct walk *w, gpa_t gpa, void *entry, size_t size)
{
    return guest_read(&w->vp->partition->space, gpa, entry, size);
}

/* 32-bit paging, two levels of 4-byte entries; PSE-36 for 4 MiB pages. */
static uint32_t walk_32(struct walk *w)
{
    const struct vp_state *s = &w->vp->state;
    gpa_t table = s->cr3 & 0xFFFFF000UL;
    uint32_t entry = 0;
    if (!read_entry(w, table + (w->linear >> 22 & 0x3FF) * 4, &entry, sizeof(entry)))
        return HV_TRANSLATE_GPA_UNMAPPED;
    if (!(entry & PTE_PRESENT))
        return HV_TRANSLATE_PAGE_NOT_PRESENT;
    restrict_rights(w, entry);
    if ((entry & PTE_LARGE) && (s->cr4 & CR4_PSE)) {
        if (entry & BIT(21))
            return HV_TRANSLATE_INVALID_PAGE_TABLE_FLAGS;
        w->gpa =
            (entry & 0xFFC00000UL) | (gpa_t)(entry >> 13 & 0xFF) << 32 | (w->linear & 0x3FFFFF);
        return HV_TRANSLATE_SUCCESS;
    }
    table = entry & 0xFFFFF000UL;
    if (!read_entry(w, table + (w->linear >> 12 & 0x3FF) * 4, &entry, sizeof(entry)))
        return HV_TRANSLATE_GPA_UNMAPPED;
    if (!(entry & PTE_PRESENT))
        return HV_TRANSLATE_PAGE_NOT_PRESENT;
    restrict_rights(w, entry);
    w->gpa = (entry & 0xFFFFF000UL) | (w->linear & PAGE_MASK);
    return HV_TRANSLATE_SUCCESS;
}

/* An entry of a level above 0 that is a page may have PAT (bit 12) below its address, no more. */
static bool entry_is_valid(const struct walk *w, uint64_t entry, bool leaf, unsigned level,
                           unsigned largest_page)
{
    uint64_t reserved = w->reserved;
    if (leaf && level > 0)
        reserved |= (BIT(PAGE_SHIFT + 9 * level) - 1) & PTE_ADDRESS & ~BIT(12);
    return !(entry & reserved) && !(leaf && level > largest_page);
}

/* Tables of 8-byte entries from `level` (4 KiB entries are level 0) down. */
static uint32_t walk_64(struct walk *w, gpa_t table, unsigned level, unsigned largest_page)
{
    for (unsigned shift = PAGE_SHIFT + 9 * level;; level--, shift -= 9) {
        uint64_t entry = 0;
        if (!read_entry(w, table + (w->linear >> shift & 0x1FF) * 8, &entry, sizeof(entry)))
            return HV_TRANSLATE_GPA_UNMAPPED;
        if (!(entry & PTE_PRESENT))
            return HV_TRANSLATE_PAGE_NOT_PRESENT;
        bool leaf = level == 0 || (entry & PTE_LARGE);
        if (!entry_is_valid(w, entry, leaf, level, largest_page))
            return HV_TRANSLATE_INVALID_PAGE_TABLE_FLAGS;
        restrict_rights(w, entry);
        table = entry & PTE_ADDRESS;
        if (!leaf)
            continue;
        uint64_t offset = BIT(shift) - 1;
        w->gpa = (table & ~offset) | (w->linear & offset);
        return HV_TRANSLATE_SUCCESS;
    }
}

static uint32_t walk_pae(struct walk *w)
{
    uint64_t entry = 0;
    gpa_t table = w->vp->state.cr3 & 0xFFFFFFE0UL;
    if (!read_entry(w, table + (w->linear >> 30 & 3) * 8, &entry, sizeof(entry)))
        return HV_TRANSLATE_GPA_UNMAPPED;
    if (!(entry & PTE_PRESENT))
        return HV_TRANSLATE_PAGE_NOT_PRESENT;
    if (entry & (w->reserved | PTE_NX | 0x1E6))
        return HV_TRANSLATE_INVALID_PAGE_TABLE_FLAGS;
    return walk_64(w, entry & PTE_ADDRESS, 1, 1);
}

/* SDM 4.6: is the access allowed by the rights that the walk found? */
static bool access_is_allowed(const struct walk *w, unsigned access)
{
    const struct vp_state *s = &w->vp->state;
    bool exempt = (access & TRANSLATE_PRIVILEGE_EXEMPT) != 0;
    unsigned cpl = s->rflags & RFLAGS_VM ? 3 : cpl_of(s);
    bool user = !exempt && (s->cr0 & CR0_PE) && cpl == 3;
    if (user && !w->user && (access & ~(unsigned)TRANSLATE_PRIVILEGE_EXEMPT))
        return false;
    if ((access & TRANSLATE_WRITE) && !w->writable && (user || (s->cr0 & CR0_WP)))
        return false;
    if ((access & TRANSLATE_EXECUTE) && w->no_execute)
        return false;
    if (user || exempt || !w->user)
        return true;
    if ((access & TRANSLATE_EXECUTE) && (s->cr4 & CR4_SMEP))
        return false;
    return !(access & (TRANSLATE_READ | TRANSLATE_WRITE)) || !(s->cr4 & CR4_SMAP) ||
           (s->rflags & RFLAGS_AC);
}

uint32_t translate_linear(const struct vp *vp, uint64_t linear, unsigned access, gpa_t *gpa)
{
    const struct vp_state *s = &vp->state;
    bool long_mode = (s->efer & EFER_LMA) != 0;
    if (!long_mode)
        linear &= UINT32_MAX;
    if (!(s->cr0 & CR0_PG)) {
        *gpa = linear;
        return HV_TRANSLATE_SUCCESS;
    }
    struct walk w = {.vp = vp, .linear = linear, .writable = true, .user = true};
    w.reserved = PTE_ADDRESS & ~(BIT(vp->partition->space.gpa_bits) - 1);
    if (!(s->efer & EFER_NXE))
        w.reserved |= PTE_NX;
    uint32_t result;
    if (long_mode) {
        unsigned levels = s->cr4 & CR4_LA57 ? 5 : 4;
        unsigned unused = 64 - (PAGE_SHIFT + 9 * levels);
        if ((uint64_t)((int64_t)(linear << unused) >> unused) != linear)
            return HV_TRANSLATE_PAGE_NOT_PRESENT;
        result = walk_64(&w, s->cr3 & PTE_ADDRESS, levels - 1, 2);
    } else {
        result = s->cr4 & CR4_PAE ? walk_pae(&w) : walk_32(&w);
    }
    if (result == HV_TRANSLATE_SUCCESS && !access_is_allowed(&w, access))
        return HV_TRANSLATE_PRIVILEGE_VIOLATION;
    *gpa = w.gpa;
    return result;
}

unsigned translate_fetch(struct vp *vp, uint64_t linear, uint8_t *bytes, unsigned max)
{
    const struct space *space = &vp->partition->space;
    unsigned done = 0;
    vp_show(vp);
    while (done < max) {
        gpa_t gpa = 0;
        unsigned part = (unsigned)min_u64(max - done, PAGE_SIZE - ((linear + done) & PAGE_MASK));
        if (!translate_fetched(vp, linear + done, &gpa) ||
            !guest_read(space, gpa, bytes + done, part))
            break;
        done += part;
    }
    return done;
}
