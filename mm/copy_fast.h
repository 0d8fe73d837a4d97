/* SPDX-License-Identifier: MIT */
/*
 * Short ways of mm/copy.h: what a processor remembers of the pages that it used last
 * (mm/copy_fast.c), and words in the page that it wrote last, which is what most
 * hypercalls and every end of a dispatch write. Nothing here does what guest_write and
 * guest_accessible do not; each says what it saves, in instructions of a round trip
 * (bench guest, VT-x and AMD-V alike).
 */
#ifndef MM_COPY_FAST_H
#define MM_COPY_FAST_H

#include "mm/copy.h"
#include "mm/tlb.h"

/* mm/copy.c, the plain way. */

/* Where gpa lies; NULL: nothing there with all of `prot` (MAP_*), or it is not memory. */
void *copy_translate(const struct space *space, gpa_t gpa, uint8_t prot);
/* guest_read, and guest_write when `write`: a copy section for each page. */
bool copy_pages(const struct space *space, gpa_t gpa, uint8_t *buffer, size_t size, bool write);

/* mm/copy_fast.c: as copy_translate, which it calls once for many times. Saves some 247 for a
   page that is read, some 491 in 0xE1 for the one that is written. */
void *copy_find(const struct space *space, gpa_t gpa, uint8_t prot);

/* The page of gpa is in `cache`, and nothing has changed in its space since. Inside a copy
   section that stays so. */
static inline bool is_remembered(const struct space *space, gpa_t gpa,
                                 const struct copy_cache *cache)
{
    return cache->generation == space->generation && cache->gpn == gpa >> PAGE_SHIFT;
}

/* The page that this processor wrote last. */
static inline bool is_page_written_last(const struct space *space, gpa_t gpa)
{
    return is_remembered(space, gpa, &this_cpu()->write_cache);
}

/*
 * One word at an 8-byte aligned GPA of that page. False, nothing done, when it is
 * another page. Saves 20 in a hypercall that is answered at once.
 */
static inline bool guest_write_word_again(const struct space *space, gpa_t gpa, uint64_t word)
{
    struct cpu *cpu = this_cpu();
    tlb_begin_copy(cpu);
    bool known = is_page_written_last(space, gpa);
    if (__builtin_expect(known, 1))
        *(volatile uint64_t *)(cpu->write_cache.page + (gpa & PAGE_MASK)) = word;
    tlb_end_copy(cpu);
    return known;
}

/* One word at an 8-byte aligned GPA, as guest_write. Saves 19 where a dispatch ends. */
static inline bool guest_write_word(const struct space *space, gpa_t gpa, uint64_t word)
{
    return guest_write_word_again(space, gpa, word) || guest_write(space, gpa, &word, sizeof(word));
}

/*
 * As guest_accessible with MAP_WRITE, for what is most often one word: the output of
 * a hypercall, 8-byte aligned. Saves 49 in 0xE1 and DispatchVp.
 */
static inline bool guest_output_writable(const struct space *space, gpa_t gpa, size_t size)
{
    if (size == sizeof(uint64_t) && is_page_written_last(space, gpa))
        return true;
    return guest_accessible(space, gpa, size, MAP_WRITE);
}

/*
 * All translations of a space but that of gpn are as they were in the generation `old`: what
 * this processor remembers of the pages of the call that brought the change about, its input
 * and its output, stays good. Saves 766 in 0xE1, 246 in 0xE2.
 */
static inline void copy_keep_others(const struct space *space, uint64_t old, gpn_t gpn)
{
    struct cpu *cpu = this_cpu();
    struct copy_cache *caches[] = {&cpu->read_cache[cpu->last_read], &cpu->write_cache};
    for (unsigned i = 0; i < ARRAY_SIZE(caches); i++)
        if (caches[i]->generation == old && caches[i]->gpn != gpn)
            caches[i]->generation = space->generation;
}

#endif
