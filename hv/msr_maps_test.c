/* SPDX-License-Identifier: MIT */
/*
 * The permission maps that both backends make of the MSR policy: for each MSR that has a bit
 * the bits are what its row says, and what is in no row is free for the first partition and
 * exits for a child.
 */
/* unit: hv/msr.c hv/model/rules.c svm/control.c */
#include "unit.h"

#include "hv/machine/apic.h"
#include "hv/model/msr.h"
#include "hv/model/partition.h"
#include "hv/synthetic/msrs.h"
#include "mm/boot_memory.h"
#include "svm/svm.h"
#define HV_BASE_STRING_H /* the C library's own are declared */
#include "vmx/control.c" /* NOLINT(bugprone-suspicious-include): its bitmaps are its own */

/* ---- what the two files and the rows call ---- */

struct svm_features svm_features;
struct vmx_capabilities vmx_caps;
char vmx_exit_point[1];
const struct table_pointer idt_pointer;

spa_t image_phys(const void *p)
{
    return (spa_t)p;
}

void vmx_set_timer(uint32_t ticks)
{
}

bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
    return false;
}

bool synthetic_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    return false;
}

enum msr_result synthetic_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    return MSR_FAULT;
}

enum msr_result apic_write_base(struct vp *vp, uint32_t msr, uint64_t value)
{
    return MSR_FAULT;
}

enum msr_result apic_write_x2apic_icr(struct vp *vp, uint32_t msr, uint64_t value)
{
    return MSR_FAULT;
}

/* ---- the maps ---- */

/* What exits as the policy says it; all: of what is in no row. */
static unsigned wanted(const struct msr_policy *policy, unsigned all, uint32_t msr, bool vtx)
{
    for (const struct msr_row *row = policy->rows; row != policy->end; row++)
        if (msr >= row->first && msr <= row->last)
            return vtx ? row->vtx : row->amdv;
    return all;
}

static unsigned bit_of(const uint8_t *map, uint64_t bit)
{
    return map[bit / 8] >> bit % 8 & 1;
}

/* SDM 25.6.9: four bitmaps of 1 KiB; reads below, writes above; low MSRs first. */
static unsigned vtx_map(const uint8_t *map, uint32_t msr)
{
    uint64_t bit = (msr >= 0xC0000000 ? 8192 : 0) + (msr & 0x1FFF);
    return bit_of(map, bit) | bit_of(map, 2 * 8192 + bit) << 1;
}

/* APM 15.11: two bits for each MSR; 2 KiB for each of three ranges. */
static unsigned amdv_map(const uint8_t *map, uint32_t msr)
{
    uint64_t range = msr >= 0xC0010000 ? 2 : msr >= 0xC0000000 ? 1 : 0;
    uint64_t bit = range * 2048 * 8 + (uint64_t)(msr & 0x1FFF) * 2;
    return bit_of(map, bit) | bit_of(map, bit + 1) << 1;
}

static const struct kind {
    const char *name;
    const struct msr_policy *policy;
    unsigned all;
} kinds[] = {{"a child", &msrs_of_child, MSR_BOTH}, {"the first partition", &msrs_of_first, 0}};

static void same_in(const struct kind *kind, const uint8_t *map, uint32_t from, bool vtx)
{
    for (uint32_t msr = from; msr < from + 0x2000; msr++) {
        unsigned found = vtx ? vtx_map(map, msr) : amdv_map(map, msr);
        unsigned want = wanted(kind->policy, kind->all, msr, vtx);
        if (found != want)
            fail_msg("%s: MSR 0x%x of %s: the map has %u, its row says %u", vtx ? "VT-x" : "AMD-V",
                     msr, kind->name, found, want);
    }
}

static void vtx_maps(void **state)
{
    (void)state;
    for (unsigned again = 0; again < 2; again++) {
        vmx_fill_msr_bitmaps();
        for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
            const uint8_t *map = i ? bitmap_first : bitmap_child;
            same_in(&kinds[i], map, 0, true);
            same_in(&kinds[i], map, 0xC0000000, true);
        }
    }
}

static const uint8_t *amdv_map_of(struct vp *vp)
{
    svm_update_intercepts(vp);
    return (const uint8_t *)vmcb_of(vp)->msrpm_spa;
}

static void amdv_maps(void **state)
{
    (void)state;
    unit_ram(2);
    struct vp *vp = calloc(1, sizeof(*vp));
    vp->control_spa = PAGE_SIZE;
    svm_control_init();
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        vp->first = i == 1;
        const uint8_t *map = amdv_map_of(vp);
        same_in(&kinds[i], map, 0, false);
        same_in(&kinds[i], map, 0xC0000000, false);
        same_in(&kinds[i], map, 0xC0010000, false);
        for (unsigned n = 0x1800; n < 0x2000; n++) /* the fourth range is nobody's */
            assert_int_equal(map[n], kinds[i].all ? 0xFF : 0);
    }
    /* All MSRs of a child exit when its parent wants that. */
    vp->first = false;
    vp->intercept_all_msrs = true;
    const uint8_t *map = amdv_map_of(vp);
    for (unsigned n = 0; n < 0x2000; n++)
        assert_int_equal(map[n], 0xFF);
    free(vp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vtx_maps),
        cmocka_unit_test(amdv_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
