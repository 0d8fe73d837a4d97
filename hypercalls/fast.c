/* SPDX-License-Identifier: MIT */
/*
 * The short ways through the dispatcher. They only save instructions: without
 * this file hypercall() would be answer() of hypercalls/dispatch.c, with the
 * same result (hypercalls/fast_test.c). Each says what it saves in a round trip
 * of the bench guest. Those of copying are in mm/copy_fast.h.
 */
#include "hypercalls/hypercalls.h"
#include "hypercalls/table.h"

#include "hv/base/console.h"
#include "mm/copy_fast.h"

/*
 * GetPartitionId, the shortest call: 8 bytes of output, no input, no lock. The
 * same checks on fewer facts: an aligned word crosses no page, and a page that
 * this processor remembers lies inside the space. False: nothing done, take the
 * long way. Saves 177 in GetPartitionId, costs 3 in every other call.
 */
static inline bool answer_at_once(struct vp *vp, unsigned insn_length)
{
    struct vp_state *s = &vp->state;
    const struct partition *caller = vp->partition;
    uint64_t output = s->gpr[R8];
    if (s->gpr[RCX] != HVCALL_GET_PARTITION_ID || (output & 7) || log_level >= LOG_DEBUG ||
        !(caller->privileges & PRIVILEGE_PARTITION_ID))
        return false;
    if (!guest_write_word_again(&caller->space, output, caller->id))
        return false;
    s->gpr[RAX] = HV_STATUS_SUCCESS;
    vp_advance(vp, insn_length);
    return true;
}

/* One question instead of what vp_show finds out: saves 154 on VT-x, 94 on AMD-V. */
void hypercall(struct cpu *cpu, struct vp *vp)
{
    unsigned insn_length = cpu->exit.insn_length;
    if (!backend->in_kernel64(vp) || vp->partition->guest_os_id == 0)
        answer(cpu, vp, insn_length);
    else if (!answer_at_once(vp, insn_length))
        answer_at_length(cpu, vp, true, insn_length);
}
