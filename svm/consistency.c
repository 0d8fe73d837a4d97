/* Why VMRUN refused: the rules of APM 15.5.1, checked one by one and named. */
#include "svm/svm.h"

#include "hv/base/console.h"

#define HIGH_HALF 0xFFFFFFFF00000000UL

/* CR4 bits that no processor defines: 13 to 15, 19, 24 and all above. */
#define CR4_NEVER  0xFFFFFFFFFF08E000UL
#define EFER_NEVER 0xFFFFFFFFFFC902FEUL
#define CS_LONG    BIT(9) /* in the VMCB's packed attributes */
#define CS_BIG     BIT(10)

static unsigned refuse(bool violated, const char *rule)
{
    if (violated)
        say_error("VMRUN refused because %s", rule);
    return violated;
}

static bool pat_is_good(uint64_t pat)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = pat >> 8 * i & 0xFF;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static unsigned check_event(uint64_t event)
{
    unsigned vector = event & 0xFF, type = event >> EVENT_TYPE_SHIFT & 7;
    if (!(event & EVENT_VALID))
        return 0;
    return refuse(type == 1 || type > EVENT_SOFT_INTERRUPT, "the injected event has no such type") +
           refuse(type == EVENT_EXCEPTION && (vector > 31 || vector == VECTOR_NMI),
                  "the injected exception has a vector that is none");
}

static unsigned check_control(const struct vmcb *vmcb, unsigned address_bits)
{
    uint64_t end = BIT(address_bits);
    return refuse(!(vmcb->intercept2 & INTERCEPT2_VMRUN), "VMRUN is not intercepted") +
           refuse(vmcb->asid == 0, "the ASID is 0") +
           refuse(vmcb->asid >= cpuid(0x8000000Au, 0).ebx,
                  "the processor has not that many ASIDs") +
           refuse(vmcb->iopm_spa + 3 * PAGE_SIZE > end,
                  "the I/O permission map is beyond the physical address width") +
           refuse(vmcb->msrpm_spa + 2 * PAGE_SIZE > end,
                  "the MSR permission map is beyond the physical address width") +
           refuse(vmcb->nested_cr3 >= end, "the nested CR3 is beyond the physical address width") +
           refuse((vmcb->nested_control & NESTED_PAGING) && !pat_is_good(vmcb->save.g_pat),
                  "the guest's PAT has a reserved memory type") +
           check_event(vmcb->event_injection);
}

static unsigned check_save(const struct vmcb_save *s, unsigned address_bits)
{
    bool long_paging = (s->efer & EFER_LME) && (s->cr0 & CR0_PG);
    return refuse(!(s->efer & EFER_SVME), "EFER.SVME is clear") +
           refuse(!(s->cr0 & CR0_CD) && (s->cr0 & CR0_NW), "CR0.NW is set without CR0.CD") +
           refuse(s->cr0 & HIGH_HALF, "CR0 has bits above 31") +
           refuse(s->cr3 >> address_bits, "CR3 is beyond the physical address width") +
           refuse(s->cr4 & CR4_NEVER, "CR4 has reserved bits") +
           refuse(s->dr6 & HIGH_HALF, "DR6 has bits above 31") +
           refuse(s->dr7 & HIGH_HALF, "DR7 has bits above 31") +
           refuse(s->efer & EFER_NEVER, "EFER has reserved bits") +
           refuse(long_paging && !(s->cr4 & CR4_PAE),
                  "EFER.LME and CR0.PG are set without CR4.PAE") +
           refuse(long_paging && !(s->cr0 & CR0_PE), "EFER.LME and CR0.PG are set without CR0.PE") +
           refuse((s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE), "CR0.PG is set without CR0.PE") +
           refuse(long_paging && (s->cs.attributes & CS_LONG) && (s->cs.attributes & CS_BIG),
                  "CS has both L and D");
}

void svm_explain_refusal(const struct vp *vp)
{
    const struct vmcb *vmcb = vmcb_of(vp);
    unsigned address_bits = cpuid(0x80000008u, 0).eax & 0xFF;
    unsigned violated =
        refuse(vp->armed & ARMED_IMPOSSIBLE, "CS is no code segment or SS cannot be a stack");
    if (violated + check_control(vmcb, address_bits) + check_save(&vmcb->save, address_bits) == 0)
        say_error("VMRUN refused for a reason that no rule of APM 15.5.1 explains");
}
