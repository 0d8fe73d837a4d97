/* SPDX-License-Identifier: MIT */
/* Device space above what was mapped at boot. */
#include "hv/machine/device.h"

#include "hv/machine/machine.h"
#include "hv/model/dispatch.h"
#include "hv/model/partition.h"

static bool is_device_space(gpn_t start, uint64_t count)
{
    bool in_window =
        start + count > overlay_window_base && start < overlay_window_base + OVERLAY_WINDOW_PAGES;
    return !in_window && start >= frame_table_count && start >= GIB(4) >> PAGE_SHIFT;
}

static bool map_device_locked(struct space *space, gpn_t gpn)
{
    struct mapping m = slpt_lookup(space, gpn);
    if (m.present)
        return m.prot == MAP_ALL && !overlay_at(space, gpn); /* another processor was first */
    if (m.stashed || gpn >> (space->gpa_bits - PAGE_SHIFT) || !is_device_space(gpn, 1))
        return false;
    for (int level = space->max_level; level >= 0; level--) {
        uint64_t pages = 1UL << (9 * level);
        gpn_t base = align_down(gpn, pages);
        spa_t end;
        uint8_t type = mtrr_type(base << PAGE_SHIFT, &end);
        if (m.level < level || !is_device_space(base, pages) || end >> PAGE_SHIFT < base + pages)
            continue;
        return slpt_map(space, base, base, pages, MAP_ALL, type, (unsigned)level) == pages;
    }
    return false;
}

bool device_map(gpa_t gpa)
{
    if (!lock_or_yield(this_cpu()))
        return true; /* the access is made again */
    bool mapped = map_device_locked(&first_partition->space, gpa >> PAGE_SHIFT);
    unlock(&hv_lock);
    return mapped;
}
