/*
 * VPs, partitions and GPA ranges removed under a mapped state page, in every order, also while
 * the VP runs on another processor; the pools balance before and after.
 */
#include "guests/lib/guest.h"

void guest_main(void)
{
    tap_skip("lifetime: not written yet");
    tap_finish();
}
