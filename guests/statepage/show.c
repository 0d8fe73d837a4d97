/* SPDX-License-Identifier: MIT */
/* The tables of the statepage guest. */
#include "guests/statepage/show.h"

void fill_pattern(struct pattern *pattern)
{
    for (unsigned n = 0; n < 16; n++)
        pattern->gpr[n] = 0x5151515151515100ul + 0x0101010101010101ul * n;
    for (unsigned n = 0; n < sizeof(pattern->xmm); n++)
        ((uint8_t *)pattern->xmm)[n] = (uint8_t)(3 * n + 1);
}

bool show_value(const char *name, uint64_t expected, uint64_t got)
{
    tap_note("   %-16s expected %016lx   read %016lx%s", name, expected, got,
             expected == got ? "" : "   <-- differs");
    return expected == got;
}

bool show_general(const uint64_t expected[16], const uint64_t got[16])
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    bool same = true;
    for (unsigned n = 0; n < 16; n++)
        same &= show_value(names[n], expected[n], got[n]);
    return same;
}

bool show_system(const struct hv_register_page *page, uint64_t cr0, uint64_t cr3, uint64_t cr4,
                 uint64_t efer)
{
    return show_value("cr0", cr0, page->cr0) & show_value("cr3", cr3, page->cr3) &
           show_value("cr4", cr4, page->cr4) & show_value("efer", efer, page->efer);
}

bool show_segment(const char *name, struct hv_segment segment, uint16_t selector,
                  uint16_t attributes)
{
    tap_note("   %-16s expected %04x/%04x   read %04x/%04x (selector/attributes)", name, selector,
             attributes, segment.selector, segment.attributes);
    return segment.selector == selector && segment.attributes == attributes;
}
