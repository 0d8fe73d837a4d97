/* SPDX-License-Identifier: MIT */
/*
 * The walker. An entry is one of four things: empty (exactly 0), a table, a
 * leaf in the format of the space, or a stash: not present in either format,
 * with the software bits below. Whoever holds hv_lock is the only writer but
 * for the processor's own accessed and dirty bits.
 */
#include "mm/slpt.h"

#include "hv/base/phys.h"
#include "mm/slpt_store.h"

#define ENTRIES   512U
#define TOP_LEVEL 3U

/* A stash. Bits 2:0 are clear, so it is not present to EPT nor NPT. */
#define STASH            BIT(11)
#define STASH_PROT_SHIFT 52
#define STASH_TYPE_SHIFT 55
#define STASH_ACCESSED   BIT(58)
#define STASH_DIRTY      BIT(59)

bool slpt_accessed_dirty;
bool slpt_execute_only;

/* An entry, what it held when it was read, and the level of the table it is in. */
struct position {
    uint64_t *entry;
    uint64_t value;
    unsigned level;
};

/* Pages that one entry of a table of this level spans. */
static inline uint64_t span(unsigned level)
{
    return 1UL << (9 * level);
}

static inline spn_t entry_spn(uint64_t entry)
{
    return (entry & SLPT_ADDRESS) >> PAGE_SHIFT;
}

static inline bool is_present(const struct space *space, uint64_t entry)
{
    return (entry & space->format->present_mask) != 0;
}

static inline bool is_table(const struct space *space, uint64_t entry, unsigned level)
{
    return level > 0 && is_present(space, entry) && !(entry & SLPT_LEAF);
}

static inline bool beyond(const struct space *space, gpn_t gpn)
{
    return gpn >> (space->gpa_bits - PAGE_SHIFT) != 0;
}

/* How many of count pages from gpn on lie inside the space. */
static uint64_t clip(const struct space *space, gpn_t gpn, uint64_t count)
{
    uint64_t limit = 1UL << (space->gpa_bits - PAGE_SHIFT);
    return gpn >= limit ? 0 : min_u64(count, limit - gpn);
}

static uint64_t encode(const struct space *space, const struct mapping *m, unsigned level)
{
    if (!m->present && !m->stashed)
        return 0;
    if (m->stashed || m->prot == 0)
        return STASH | m->spn << PAGE_SHIFT | (uint64_t)(m->prot & 7) << STASH_PROT_SHIFT |
               (uint64_t)(m->type & 7) << STASH_TYPE_SHIFT | (m->accessed ? STASH_ACCESSED : 0) |
               (m->dirty ? STASH_DIRTY : 0);
    return space->format->make_leaf(m->spn, m->prot, m->type, level) |
           (m->accessed ? space->format->accessed_bit : 0) |
           (m->dirty ? space->format->dirty_bit : 0);
}

/* What the entry at the given level says about gpn, which it spans. */
static struct mapping decode(const struct space *space, uint64_t entry, unsigned level, gpn_t gpn)
{
    struct mapping m = {.level = (uint8_t)level};
    if (is_present(space, entry)) {
        m.present = true;
        m.prot = space->format->prot(entry);
        m.type = space->format->type(entry);
        m.accessed = slpt_accessed_dirty && entry & space->format->accessed_bit;
        m.dirty = slpt_accessed_dirty && entry & space->format->dirty_bit;
    } else if (entry & STASH) {
        m.stashed = true;
        m.prot = entry >> STASH_PROT_SHIFT & 7;
        m.type = entry >> STASH_TYPE_SHIFT & 7;
        m.accessed = (entry & STASH_ACCESSED) != 0;
        m.dirty = (entry & STASH_DIRTY) != 0;
    } else {
        return m;
    }
    m.spn = entry_spn(entry) + (gpn & (span(level) - 1));
    return m;
}

/* The entry for gpn at level `target`, or the one above it where the tables end. */
static struct position walk(const struct space *space, gpn_t gpn, unsigned target)
{
    uint64_t *table = page_ptr(space->root);
    for (unsigned level = TOP_LEVEL;; level--) {
        uint64_t *entry = &table[gpn >> (9 * level) & (ENTRIES - 1)];
        uint64_t value = slpt_load(entry);
        if (level == target || !is_table(space, value, level))
            return (struct position){entry, value, level};
        table = page_ptr(entry_spn(value));
    }
}

/* Entry number i of the table, of the given level, that replaces a leaf, a stash or nothing. */
static uint64_t split_entry(uint64_t entry, unsigned level, unsigned i)
{
    if (entry == 0)
        return 0;
    if (level == 0)
        entry &= ~SLPT_LEAF;
    return entry + ((uint64_t)i << (PAGE_SHIFT + 9 * level));
}

/*
 * Hangs a new table with the same translations below the entry. An accessed or
 * dirty bit that the processor sets in the large page while the table is
 * being filled goes to all of its pages, as one set earlier does.
 */
static bool grow(struct space *space, const struct position *p)
{
    spn_t spn = pool_alloc(space->pool, FRAME_TABLE);
    if (spn == SPN_NONE)
        return false;
    uint64_t *table = page_ptr(spn);
    uint64_t old = slpt_load(p->entry);
    if (old != 0)
        for (unsigned i = 0; i < ENTRIES; i++)
            slpt_store(&table[i], split_entry(old, p->level - 1, i));
    uint64_t late = slpt_swap(p->entry, space->format->make_table(spn)) & ~old;
    if (late != 0)
        for (unsigned i = 0; i < ENTRIES; i++)
            slpt_set_bits(&table[i], late);
    return true;
}

/*
 * Builds what is missing down to the entry of gpn at `level`. False, nothing
 * built, when the pool does not have all of it.
 */
static bool reach(struct space *space, gpn_t gpn, unsigned level, struct position *p)
{
    *p = walk(space, gpn, level);
    if (p->level == level)
        return true;
    if (!pool_has(space->pool, p->level - level, 0))
        return false;
    while (p->level != level) {
        if (!grow(space, p))
            return false;
        *p = walk(space, gpn, level);
    }
    return true;
}

unsigned slpt_missing_tables(const struct space *space, gpn_t gpn)
{
    return beyond(space, gpn) ? 0 : walk(space, gpn, 0).level;
}

uint64_t slpt_new_generation(void)
{
    static uint64_t last;
    return __atomic_add_fetch(&last, 1, __ATOMIC_SEQ_CST);
}

bool slpt_init(struct space *space, const struct slpt_format *format, struct pool *pool,
               uint8_t gpa_bits, uint8_t max_level)
{
    spn_t root = pool_alloc(pool, FRAME_TABLE);
    if (root == SPN_NONE)
        return false;
    *space = (struct space){
        .format = format,
        .root = root,
        .pool = pool,
        .gpa_bits = gpa_bits,
        .max_level = max_level,
        .generation = slpt_new_generation(),
    };
    return true;
}

static void free_table(struct space *space, spn_t spn, unsigned level)
{
    const uint64_t *table = page_ptr(spn);
    for (unsigned i = 0; level > 0 && i < ENTRIES; i++)
        if (is_table(space, table[i], level))
            free_table(space, entry_spn(table[i]), level - 1);
    pool_free(space->pool, spn);
}

void slpt_destroy(struct space *space)
{
    if (space->root != SPN_NONE)
        free_table(space, space->root, TOP_LEVEL);
    space->root = SPN_NONE;
}

struct mapping slpt_lookup(const struct space *space, gpn_t gpn)
{
    if (beyond(space, gpn))
        return (struct mapping){.present = false};
    struct position p = walk(space, gpn, 0);
    return decode(space, p.value, p.level, gpn);
}

bool slpt_prepare(struct space *space, gpn_t gpn, uint64_t count, unsigned level)
{
    if (clip(space, gpn, count) != count)
        return false;
    uint64_t step = span(level + 1); /* what one table of that level spans */
    for (gpn_t at = align_down(gpn, step); at < gpn + count; at += step) {
        struct position p;
        if (!reach(space, at, level, &p))
            return false;
    }
    return true;
}

/* The largest level whose pages start at gpn and spn and are no longer than count. */
static unsigned fitting_level(gpn_t gpn, spn_t spn, uint64_t count, unsigned largest)
{
    unsigned level = largest;
    while (level > 0 && ((gpn | spn) & (span(level) - 1) || count < span(level)))
        level--;
    return level;
}

uint64_t slpt_map(struct space *space, gpn_t gpn, spn_t spn, uint64_t count, uint8_t prot,
                  uint8_t type, unsigned largest_level)
{
    unsigned largest = (unsigned)min_u64(largest_level, space->max_level);
    uint64_t inside = clip(space, gpn, count);
    uint64_t done = 0;
    while (done < inside) {
        unsigned level = fitting_level(gpn + done, spn + done, inside - done, largest);
        struct position p;
        if (!reach(space, gpn + done, level, &p))
            return done;
        while (is_table(space, p.value, p.level)) /* a table stays: use its entries */
            p = walk(space, gpn + done, p.level - 1);
        struct mapping m = {.present = true, .prot = prot, .type = type, .spn = spn + done};
        slpt_store(p.entry, encode(space, &m, p.level));
        done += span(p.level);
    }
    return done;
}

uint64_t slpt_unmap(struct space *space, gpn_t gpn, uint64_t count)
{
    uint64_t inside = clip(space, gpn, count);
    uint64_t done = 0;
    while (done < inside) {
        gpn_t at = gpn + done;
        struct position p = walk(space, at, 0);
        uint64_t offset = at & (span(p.level) - 1);
        uint64_t rest = min_u64(span(p.level) - offset, inside - done);
        if (p.value != 0 && rest < span(p.level)) { /* only part of a large page goes */
            if (!grow(space, &p))
                return done;
            continue;
        }
        if (p.value != 0)
            slpt_store(p.entry, 0);
        done += rest;
    }
    return count; /* beyond the width nothing is mapped */
}

bool slpt_replace(struct space *space, gpn_t gpn, const struct mapping *m, struct mapping *old)
{
    struct position p;
    if (beyond(space, gpn) || !reach(space, gpn, 0, &p))
        return false;
    uint64_t value = slpt_swap(p.entry, encode(space, m, 0));
    *old = decode(space, value, 0, gpn);
    return true;
}

bool slpt_set(struct space *space, gpn_t gpn, const struct mapping *m)
{
    struct position p;
    if (beyond(space, gpn) || !reach(space, gpn, 0, &p))
        return false;
    slpt_store(p.entry, encode(space, m, 0));
    return true;
}

unsigned slpt_test_and_clear_ad(struct space *space, gpn_t gpn, unsigned clear)
{
    if (!slpt_accessed_dirty || beyond(space, gpn))
        return 0;
    struct position p = walk(space, gpn, 0);
    bool present = is_present(space, p.value);
    if (!present && !(p.value & STASH))
        return 0;
    uint64_t accessed = present ? space->format->accessed_bit : STASH_ACCESSED;
    uint64_t dirty = present ? space->format->dirty_bit : STASH_DIRTY;
    uint64_t bits = (clear & 1 ? accessed : 0) | (clear & 2 ? dirty : 0);
    if (bits != 0) /* atomic: the processor may set another one at this moment */
        p.value = slpt_clear_bits(p.entry, bits);
    return (p.value & accessed ? 1U : 0U) | (p.value & dirty ? 2U : 0U);
}

static bool visit_table(struct space *space, spn_t spn, unsigned level, gpn_t gpn,
                        slpt_visit *visit, void *context)
{
    const uint64_t *table = page_ptr(spn);
    for (unsigned i = 0; i < ENTRIES; i++, gpn += span(level)) {
        uint64_t entry = slpt_load(&table[i]);
        if (entry == 0)
            continue;
        if (is_table(space, entry, level)) {
            if (!visit_table(space, entry_spn(entry), level - 1, gpn, visit, context))
                return false;
            continue;
        }
        struct mapping m = decode(space, entry, level, gpn);
        if (!visit(space, gpn, &m, context))
            return false;
    }
    return true;
}

bool slpt_for_each(struct space *space, slpt_visit *visit, void *context)
{
    return visit_table(space, space->root, TOP_LEVEL, 0, visit, context);
}
