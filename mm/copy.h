/*
 * The only way the hypervisor touches guest memory. Addresses are GPAs of the
 * given space; a range may cross pages. The translation is looked up and used
 * inside a copy section, which tlb_shootdown waits out, so that a frame cannot
 * change hands under a copy. Needs no lock; hv_lock may be held, but a copy
 * section must not call tlb_shootdown.
 */
#ifndef MM_COPY_H
#define MM_COPY_H

#include "hv/base/cpu.h"
#include "mm/slpt.h"

/* False, and nothing is promised about the destination, when a page is not readable RAM. */
bool guest_read(const struct space *space, gpa_t gpa, void *to, size_t size);

/* False when a page is not writable RAM; pages before it may have been written. */
bool guest_write(const struct space *space, gpa_t gpa, const void *from, size_t size);

/* Whether the whole range could be read (MAP_READ) or written (MAP_WRITE) now. */
bool guest_accessible(const struct space *space, gpa_t gpa, size_t size, uint8_t prot);

/*
 * One word at an 8-byte aligned GPA of the page that this processor wrote last:
 * for the shortest hypercalls. False, nothing done, when it is another page.
 */
static inline bool guest_write_word_again(const struct space *space, gpa_t gpa, uint64_t word)
{
    struct cpu *cpu = this_cpu();
    const struct copy_cache *cache = &cpu->write_cache;
    (void)__atomic_exchange_n(&cpu->copying, 1, __ATOMIC_SEQ_CST); /* a copy section: mm/tlb.h */
    bool known = cache->generation == space->generation && cache->gpn == gpa >> PAGE_SHIFT;
    if (__builtin_expect(known, 1))
        *(volatile uint64_t *)(cache->page + (gpa & PAGE_MASK)) = word;
    __atomic_store_n(&cpu->copying, 0, __ATOMIC_RELEASE);
    return known;
}

/* One word at an 8-byte aligned GPA, as guest_write. */
static inline bool guest_write_word(const struct space *space, gpa_t gpa, uint64_t word)
{
    return guest_write_word_again(space, gpa, word) || guest_write(space, gpa, &word, sizeof(word));
}

/* Whether guest_write_word would succeed now. */
static inline bool guest_word_writable(const struct space *space, gpa_t gpa)
{
    const struct copy_cache *cache = &this_cpu()->write_cache;
    return (cache->generation == space->generation && cache->gpn == gpa >> PAGE_SHIFT) ||
           guest_accessible(space, gpa, sizeof(uint64_t), MAP_WRITE);
}

#endif
