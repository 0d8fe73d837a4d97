/* SPDX-License-Identifier: MIT */
/* The frame table: one record for each frame of RAM. */
#include "mm/frame.h"

struct frame *frame_table;
uint64_t frame_table_count;

void frame_table_init(void *table, uint64_t frame_count)
{
    _Static_assert(FRAME_DEVICE == 0 && OWNER_NONE == 0, "zeroed memory is a valid frame table");
    frame_table = table;
    frame_table_count = frame_count;
}

void frame_set_range(spn_t spn, uint64_t count, enum frame_type type, uint32_t owner)
{
    if (spn >= frame_table_count)
        return;
    count = min_u64(count, frame_table_count - spn);
    for (uint64_t i = 0; i < count; i++) {
        frame_table[spn + i].type = type & 0x7F;
        frame_table[spn + i].owner = owner & 0xFFFF;
    }
}
