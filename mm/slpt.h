/* SPDX-License-Identifier: MIT */
/*
 * Second-level page tables: one walker over 4 levels, EPT (SDM 29.3) and NPT
 * (APM 15.25) as two formats.
 *
 * A "space" is one partition's guest physical address space. Table pages come
 * from its pool and stay with the space until it is destroyed, so that mapping
 * a range again never needs memory. Every change of an entry is one 64-bit
 * store of a final value: a table that is to replace a large page is filled
 * before it is linked in, so that no translation is ever anything but the old
 * one or the new one. Reading is lock-free; changing needs hv_lock. No function
 * here flushes: the caller ends a batch of changes with tlb_shootdown
 * (mm/tlb.h) before it gives any frame back.
 */
#ifndef MM_SLPT_H
#define MM_SLPT_H

#include "hv/base/registers.h"
#include "mm/pool.h"

/* The numbers are those of an EPT entry (mm/ept.c). */
enum { MAP_READ = 1, MAP_WRITE = 2, MAP_EXECUTE = 4, MAP_ALL = 7 };

/* Memory types as the MTRRs number them (SDM 12.11.2.1). NPT ignores them but for UC. */
enum memory_type { MEMORY_UC = 0, MEMORY_WC = 1, MEMORY_WT = 4, MEMORY_WP = 5, MEMORY_WB = 6 };

struct mapping {
    bool present;
    bool stashed;  /* not present, but spn and the rest are kept: a page that was deposited, or
                        one without access. A mapping with prot 0 always reads back like this */
    uint8_t level; /* 0: 4 KiB, 1: 2 MiB, 2: 1 GiB; level of the empty entry if not present */
    uint8_t prot;  /* MAP_* */
    uint8_t type;  /* enum memory_type */
    bool accessed; /* false when the format has no accessed/dirty bits switched on */
    bool dirty;
    spn_t spn; /* the SPN that backs exactly the GPN that was asked for */
};

/* 4 KiB pages that an entry of that level spans. */
static inline uint64_t mapping_pages(const struct mapping *m)
{
    return 1UL << (9 * m->level);
}

/* What differs between EPT and NPT. All hooks are pure functions on entries. */
struct slpt_format {
    uint64_t (*make_leaf)(spn_t spn, uint8_t prot, uint8_t type, unsigned level);
    uint64_t (*make_table)(spn_t table);
    uint8_t (*prot)(uint64_t entry);
    uint8_t (*type)(uint64_t entry);
    uint64_t present_mask; /* an entry with one of these bits is present */
    uint64_t accessed_bit, dirty_bit;
};
extern const struct slpt_format ept_format, npt_format;

/* What is the same in both. */
#define SLPT_LEAF    PTE_LARGE /* levels 1 and 2 */
#define SLPT_ADDRESS PTE_ADDRESS

/* Set once at boot from backend_features; false until then. */
extern bool slpt_accessed_dirty; /* the processor keeps accessed and dirty bits */
extern bool slpt_execute_only;   /* MAP_EXECUTE alone is legal; otherwise MAP_READ is added */

struct overlay;

struct space {
    const struct slpt_format *format;
    spn_t root;                   /* level-3 table */
    struct pool *pool;            /* table pages come from here */
    struct overlay *overlays;     /* mm/overlay.h */
    uint8_t gpa_bits;             /* width of the guest physical space, at most 48 */
    uint8_t max_level;            /* largest leaf the processor has: 1 = 2 MiB, 2 = 1 GiB */
    volatile uint64_t generation; /* a new one by every tlb_shootdown; never used twice */
};

/*
 * A number that no space has had before. Every shootdown gives the space a new
 * one, so that a generation also tells which space it is of. No lock needed.
 */
uint64_t slpt_new_generation(void);

/* Takes the root table from the pool. False when the pool is empty. */
bool slpt_init(struct space *space, const struct slpt_format *format, struct pool *pool,
               uint8_t gpa_bits, uint8_t max_level);

/* Gives every table page back to the pool. No processor may run on it any more. */
void slpt_destroy(struct space *space);

/* Looks one GPN up. Lock-free. Beyond gpa_bits: not present. */
struct mapping slpt_lookup(const struct space *space, gpn_t gpn);

/*
 * Makes sure that every table page for 4 KiB entries over [gpn, gpn+count)
 * exists down to `level` (0 for 4 KiB entries), splitting large pages as
 * needed. False when the pool ran out; tables for earlier pages of the range
 * stay, no translation has changed.
 */
bool slpt_prepare(struct space *space, gpn_t gpn, uint64_t count, unsigned level);

/* How many table pages the 4 KiB entry of gpn still needs: what slpt_set would take of the pool. */
unsigned slpt_missing_tables(const struct space *space, gpn_t gpn);

/*
 * Maps [gpn, gpn+count) to [spn, ...) with the largest pages that fit
 * (alignment of both, max_level, no table already there), up to largest_level.
 * Returns the pages that were mapped: less than count when the pool ran out.
 * Entries that were there are replaced.
 */
uint64_t slpt_map(struct space *space, gpn_t gpn, spn_t spn, uint64_t count, uint8_t prot,
                  uint8_t type, unsigned largest_level);

/* Clears [gpn, gpn+count). Returns pages done: less than count when a split found no memory. */
uint64_t slpt_unmap(struct space *space, gpn_t gpn, uint64_t count);

/*
 * Sets one 4 KiB entry to m (present, stashed or empty) as slpt_lookup
 * described it. False, nothing changed, when a table page was needed and the
 * pool is empty; cannot fail after slpt_prepare(space, gpn, 1, 0).
 */
bool slpt_set(struct space *space, gpn_t gpn, const struct mapping *m);

/* As slpt_set; old becomes what was there at that very moment, accessed and dirty included. */
bool slpt_replace(struct space *space, gpn_t gpn, const struct mapping *m, struct mapping *old);

/* Returns accessed (1) and dirty (2) of the entry that maps gpn; clears those in `clear`. */
unsigned slpt_test_and_clear_ad(struct space *space, gpn_t gpn, unsigned clear);

typedef bool slpt_visit(struct space *space, gpn_t gpn, const struct mapping *m, void *context);

/*
 * Calls visit for every leaf, present or stashed, in GPN order; gpn is the
 * leaf's first page, m->spn its first frame, m->level its size. visit returns
 * false to stop the walk, which then returns false. visit may change the leaf:
 * by slpt_set when it is 4 KiB, by slpt_unmap of a part or all of it.
 */
bool slpt_for_each(struct space *space, slpt_visit *visit, void *context);

#endif
