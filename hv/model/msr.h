/* SPDX-License-Identifier: MIT */
/*
 * MSR policy: one row for each MSR, or range, that is not left alone. From the rows come the maps
 * of both backends and what an access that exits does.
 */
#ifndef HV_MODEL_MSR_H
#define HV_MODEL_MSR_H

#include "hv/model/vp.h"

enum msr_result {
    MSR_DONE,
    MSR_FAULT, /* #GP(0) */
    MSR_RETRY, /* nothing done: leave rip and go back to the main loop (lock_or_yield) */
};

/* Of a VP that is loaded here. The reader's false: #GP(0). No lock held. */
typedef bool msr_reader(struct vp *vp, uint32_t msr, uint64_t *value);
typedef enum msr_result msr_writer(struct vp *vp, uint32_t msr, uint64_t value);

enum msr_access { MSR_READ = 1, MSR_WRITE = 2, MSR_BOTH = 3 };

struct msr_row {
    uint32_t first, last;
    uint8_t vtx, amdv; /* enum msr_access: what exits there. Beyond the maps everything does */
    uint8_t check;     /* of `member`: enum value_check */
    uint16_t member;   /* the offset of a register in struct vp_state, then that is all; or 0 */
    msr_reader *read;  /* NULL: #GP. Not asked where reads do not exit */
    msr_writer *write;
};

/* The rows for one kind of VP. */
struct msr_policy {
    const struct msr_row *rows, *end;
};
#define MSR_POLICY(array)                                                                          \
    {                                                                                              \
        (array), (array) + ARRAY_SIZE(array)                                                       \
    }
/*
 * Fills a backend's permission map, in which all MSRs exit (`all` 0xFF) or none does (0), but for
 * what the rows say. A map has two bits for each MSR of some ranges; `set` puts a row's into
 * those of the MSR with that number in the map. An MSR of no range always exits.
 */
enum { MSRS_IN_RANGE = 0x2000 };
typedef void msr_map_set(uint8_t *map, uint32_t number, const struct msr_row *row);
void msr_fill_map(uint8_t *map, size_t size, int all, const struct msr_policy *policy,
                  msr_map_set *set);

/* What is in no row: free for the first partition, an exit and #GP for a child. hv/msr.c. */
extern const struct msr_policy msrs_of_first, msrs_of_child;

#endif
