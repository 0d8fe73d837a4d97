/*
 * Copies between guest memory and the hypervisor. On the way of every
 * hypercall, hence a walk of its own: unrolled, without the format's hooks,
 * with the bits that EPT and NPT have in common, and a path of its own for the
 * few words that most hypercalls take.
 */
#include "mm/copy.h"
#include "hv/cpu.h"
#include "hv/string.h"
#include "mm/phys.h"
#include "mm/slpt_store.h"

#define COPYABLE (BIT(FRAME_RAM) | BIT(FRAME_OVERLAY))

#define INLINE   static inline __attribute__((always_inline))
#define OUT_LINE static __attribute__((noinline))

/* One level. True: *entry leads to another table; false: it is a leaf, a stash or nothing. */
INLINE bool step(gpa_t gpa, unsigned shift, uint64_t *entry)
{
    const uint64_t *table = phys_ptr(*entry & SLPT_ADDRESS);
    *entry = slpt_load(&table[gpa >> shift & 511]);
    /* SLPT_LEAF is the sign; the low byte of what is not present is 0. */
    return (int8_t)*entry > 0;
}
_Static_assert(SLPT_LEAF == 0x80, "step takes it for a sign");

INLINE bool from_leaf(uint64_t entry, unsigned shift, gpa_t gpa, uint64_t rights, void **at)
{
    if ((entry & rights) != rights)
        return false;
    spa_t spa = (entry & SLPT_ADDRESS) + (gpa & ((1UL << shift) - 1));
    if (!(COPYABLE >> frame_type_of(spa >> PAGE_SHIFT) & 1))
        return false;
    *at = phys_ptr(spa);
    return true;
}

/*
 * Where gpa lies. False: nothing there with all of `rights` (SLPT_*), or it is
 * not memory. The tables are empty beyond gpa_bits; only what four levels
 * cannot address needs a check.
 */
INLINE bool translate(const struct space *space, gpa_t gpa, uint64_t rights, void **at)
{
    uint64_t entry = space->root << PAGE_SHIFT;
    if (gpa >> 48 || !step(gpa, 39, &entry))
        return false;
    if (!step(gpa, 30, &entry))
        return from_leaf(entry, 30, gpa, rights, at);
    if (!step(gpa, 21, &entry))
        return from_leaf(entry, 21, gpa, rights, at);
    step(gpa, 12, &entry);
    return from_leaf(entry, 12, gpa, rights, at);
}

OUT_LINE bool find_slowly(const struct space *space, gpa_t gpa, uint64_t rights,
                          struct copy_cache *cache, uint64_t generation, void **at)
{
    if (!translate(space, gpa, rights, at))
        return false;
    uint8_t *page = (uint8_t *)*at - (gpa & PAGE_MASK);
    *cache = (struct copy_cache){generation, gpa >> PAGE_SHIFT, page};
    return true;
}

/*
 * As translate, remembering the page in `cache` for the next time. Inside a
 * copy section: then a generation that is still the space's own means that the
 * page is, too.
 */
INLINE bool find(const struct space *space, gpa_t gpa, uint64_t rights, struct copy_cache *cache,
                 void **at)
{
    uint64_t generation = space->generation;
    if (__builtin_expect(cache->generation == generation && cache->gpn == gpa >> PAGE_SHIFT, 1)) {
        *at = cache->page + (gpa & PAGE_MASK);
        return true;
    }
    return find_slowly(space, gpa, rights, cache, generation, at);
}

/* Inside here tlb_shootdown waits for this processor. */
INLINE void begin_copy(struct cpu *cpu)
{
    (void)__atomic_exchange_n(&cpu->copying, 1, __ATOMIC_SEQ_CST); /* before the look-up */
}

INLINE void end_copy(struct cpu *cpu)
{
    __atomic_store_n(&cpu->copying, 0, __ATOMIC_RELEASE);
}

INLINE struct copy_cache *read_cache_of(struct cpu *cpu, gpa_t gpa)
{
    cpu->last_read = gpa >> PAGE_SHIFT & (COPY_CACHE_SIZE - 1);
    return &cpu->read_cache[cpu->last_read];
}

INLINE size_t in_page(gpa_t gpa, size_t size)
{
    return min_u64(size, PAGE_SIZE - (gpa & PAGE_MASK));
}

/* One to four words that lie in one page. */
INLINE bool is_short(gpa_t gpa, size_t size)
{
    return ((size - 8) & ~24UL) == 0 && (gpa & PAGE_MASK) + size <= PAGE_SIZE;
}

/* Each word is read once and written once. */
INLINE void copy_short(uint8_t *to, const uint8_t *from, size_t size)
{
    __builtin_memcpy(to, from, 8);
    if (size == 8)
        return;
    __builtin_memcpy(to + 8, from + 8, 8);
    if (size == 16)
        return;
    __builtin_memcpy(to + 16, from + 16, 8);
    if (size == 24)
        return;
    __builtin_memcpy(to + 24, from + 24, 8);
}

OUT_LINE bool read_pages(const struct space *space, gpa_t gpa, uint8_t *to, size_t size)
{
    struct cpu *cpu = this_cpu();
    while (size != 0) {
        size_t part = in_page(gpa, size);
        begin_copy(cpu);
        void *from;
        bool found = find(space, gpa, SLPT_READABLE, read_cache_of(cpu, gpa), &from);
        if (found)
            memcpy(to, from, part);
        end_copy(cpu);
        if (!found)
            return false;
        gpa += part;
        to += part;
        size -= part;
    }
    return true;
}

OUT_LINE bool write_pages(const struct space *space, gpa_t gpa, const uint8_t *from, size_t size)
{
    struct cpu *cpu = this_cpu();
    while (size != 0) {
        size_t part = in_page(gpa, size);
        begin_copy(cpu);
        void *to;
        bool found = find(space, gpa, SLPT_READABLE | SLPT_WRITABLE, &cpu->write_cache, &to);
        if (found)
            memcpy(to, from, part);
        end_copy(cpu);
        if (!found)
            return false;
        gpa += part;
        from += part;
        size -= part;
    }
    return true;
}

bool guest_read(const struct space *space, gpa_t gpa, void *to, size_t size)
{
    if (!is_short(gpa, size))
        return read_pages(space, gpa, to, size);
    struct cpu *cpu = this_cpu();
    begin_copy(cpu);
    void *from;
    bool found = find(space, gpa, SLPT_READABLE, read_cache_of(cpu, gpa), &from);
    if (found)
        copy_short(to, from, size);
    end_copy(cpu);
    return found;
}

bool guest_write(const struct space *space, gpa_t gpa, const void *from, size_t size)
{
    if (!is_short(gpa, size))
        return write_pages(space, gpa, from, size);
    struct cpu *cpu = this_cpu();
    begin_copy(cpu);
    void *to;
    bool found = find(space, gpa, SLPT_READABLE | SLPT_WRITABLE, &cpu->write_cache, &to);
    if (found)
        copy_short(to, from, size);
    end_copy(cpu);
    return found;
}

bool guest_accessible(const struct space *space, gpa_t gpa, size_t size, uint8_t prot)
{
    struct cpu *cpu = this_cpu();
    bool write = (prot & MAP_WRITE) != 0;
    uint64_t rights = SLPT_READABLE | (write ? SLPT_WRITABLE : 0);
    while (size != 0) {
        size_t part = in_page(gpa, size);
        void *at;
        if (!find(space, gpa, rights, write ? &cpu->write_cache : read_cache_of(cpu, gpa), &at))
            return false;
        gpa += part;
        size -= part;
    }
    return true;
}
