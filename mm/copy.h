/* SPDX-License-Identifier: MIT */
/*
 * The only way the hypervisor touches guest memory. Addresses are GPAs of the
 * given space; a range may cross pages. The translation is looked up and used
 * inside a copy section, which tlb_shootdown waits out, so that a frame cannot
 * change hands under a copy. Needs no lock; hv_lock may be held, but a copy
 * section must not call tlb_shootdown.
 */
#ifndef MM_COPY_H
#define MM_COPY_H

#include "mm/slpt.h"

/* False, and nothing is promised about the destination, when a page is not readable RAM. */
bool guest_read(const struct space *space, gpa_t gpa, void *to, size_t size);

/* False when a page is not writable RAM; pages before it may have been written. */
bool guest_write(const struct space *space, gpa_t gpa, const void *from, size_t size);

/* Whether the whole range could be read (MAP_READ) or written (MAP_WRITE) now. */
bool guest_accessible(const struct space *space, gpa_t gpa, size_t size, uint8_t prot);

#endif
