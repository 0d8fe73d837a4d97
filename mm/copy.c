/*
 * Copies between guest memory and the hypervisor. On the way of every hypercall, hence
 * each processor remembers the pages that it used last.
 */
#include "mm/copy.h"

#include "hv/base/cpu.h"
#include "hv/base/phys.h"
#include "hv/base/string.h"

#define COPYABLE (BIT(FRAME_RAM) | BIT(FRAME_OVERLAY))

#define INLINE   static inline
#define OUT_LINE static __attribute__((noinline))

/*
 * Where gpa lies; NULL: nothing there with all of `prot` (MAP_*), or it is not memory.
 */
static void *translate(const struct space *space, gpa_t gpa, uint8_t prot)
{
    struct mapping m = slpt_lookup(space, gpa >> PAGE_SHIFT);
    if (!m.present || (prot & ~m.prot) || !(COPYABLE >> frame_type_of(m.spn) & 1))
        return NULL;
    return (uint8_t *)page_ptr(m.spn) + (gpa & PAGE_MASK);
}

OUT_LINE void *find_slowly(const struct space *space, gpa_t gpa, uint8_t prot,
                           struct copy_cache *cache, uint64_t generation)
{
    uint8_t *at = translate(space, gpa, prot);
    if (at)
        *cache = (struct copy_cache){generation, gpa >> PAGE_SHIFT, at - (gpa & PAGE_MASK)};
    return at;
}

/* Where gpa is, when it lies in the page that `cache` remembers. Inside a copy section: then a
   generation that is still the space's own means that the page is, too. */
INLINE void *find_again(const struct space *space, gpa_t gpa, const struct copy_cache *cache)
{
    bool known = cache->generation == space->generation && cache->gpn == gpa >> PAGE_SHIFT;
    return known ? cache->page + (gpa & PAGE_MASK) : NULL;
}

/* As translate, remembering the page in `cache` for the next time. NULL: not to be had so. */
INLINE void *find(const struct space *space, gpa_t gpa, uint8_t prot, struct copy_cache *cache)
{
    uint64_t generation = space->generation;
    void *at = find_again(space, gpa, cache);
    return at ? at : find_slowly(space, gpa, prot, cache, generation);
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

INLINE void copy(void *to, const void *from, size_t size)
{
    if ((size & 7) == 0)
        copy_words(to, from, size / 8);
    else
        memcpy(to, from, size);
}

OUT_LINE bool copy_pages(const struct space *space, gpa_t gpa, uint8_t *buffer, size_t size,
                         bool write)
{
    struct cpu *cpu = this_cpu();
    while (size != 0) {
        size_t part = in_page(gpa, size);
        begin_copy(cpu);
        void *at = write ? find(space, gpa, MAP_READ | MAP_WRITE, &cpu->write_cache)
                         : find(space, gpa, MAP_READ, read_cache_of(cpu, gpa));
        if (at)
            memcpy(write ? at : buffer, write ? buffer : at, part);
        end_copy(cpu);
        if (!at)
            return false;
        gpa += part;
        buffer += part;
        size -= part;
    }
    return true;
}

/* The short way: all of it in the page that the cache remembers. */
INLINE bool copy_again(struct cpu *cpu, const struct space *space, gpa_t gpa, void *buffer,
                       size_t size, const struct copy_cache *cache, bool write)
{
    begin_copy(cpu);
    void *at = find_again(space, gpa, cache);
    bool known = at && (gpa & PAGE_MASK) + size <= PAGE_SIZE;
    if (known)
        copy(write ? at : buffer, write ? buffer : at, size);
    end_copy(cpu);
    return known;
}

bool guest_read(const struct space *space, gpa_t gpa, void *to, size_t size)
{
    struct cpu *cpu = this_cpu();
    return copy_again(cpu, space, gpa, to, size, read_cache_of(cpu, gpa), false) ||
           copy_pages(space, gpa, to, size, false);
}

bool guest_write(const struct space *space, gpa_t gpa, const void *from, size_t size)
{
    struct cpu *cpu = this_cpu();
    return copy_again(cpu, space, gpa, (void *)from, size, &cpu->write_cache, true) ||
           copy_pages(space, gpa, (void *)from, size, true);
}

bool guest_accessible(const struct space *space, gpa_t gpa, size_t size, uint8_t prot)
{
    struct cpu *cpu = this_cpu();
    bool write = (prot & MAP_WRITE) != 0;
    prot |= MAP_READ;
    while (size != 0) {
        size_t part = in_page(gpa, size);
        if (!find(space, gpa, prot, write ? &cpu->write_cache : read_cache_of(cpu, gpa)))
            return false;
        gpa += part;
        size -= part;
    }
    return true;
}
