/*
 * What a malicious guest does: touching memory outside its own, virtualization instructions, bad
 * MSRs and control words, hypercall input and register pages that change while they are read.
 */
#include "guests/lib/guest.h"

void guest_main(void)
{
    tap_skip("hostile: not written yet");
    tap_finish();
}
