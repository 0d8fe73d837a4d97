/* SPDX-License-Identifier: MIT */
/*
 * The local APIC belongs to the first partition. Every write is trapped, because an
 * INIT must never reach a processor and because the interrupt command register is
 * shared with the hypervisor's kicks.
 */
#include "hv/machine/apic.h"

#include "hv/base/console.h"
#include "hv/base/features.h"
#include "hv/machine/decode.h"
#include "hv/model/dispatch.h"
#include "hv/model/partition.h"
#include "hv/model/segment.h"
#include "hv/model/translate.h"
#include "hypercalls/abi.h"

void apic_reset_here(struct vp *vp)
{
    this_cpu()->apic_icr_high = 0;
    vp->apic_ldr = 0;
    vp->apic_dfr = UINT32_MAX;
    apic_write(APIC_TIMER_INITIAL, 0);
    for (uint32_t lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 0x10)
        apic_write(lvt, APIC_LVT_MASKED);
    apic_write(APIC_TPR, 0);
    if (!apic_in_x2apic_mode()) {
        apic_write(APIC_LDR, 0);
        apic_write(APIC_DFR, UINT32_MAX);
    }
    apic_write(APIC_SPURIOUS, 0xFF);
}

/* SDM 11.6.2: whether an interrupt command names this processor. */
static bool is_target(const struct cpu *cpu, bool x2apic, uint32_t destination, uint32_t low)
{
    const struct cpu *self = this_cpu();
    switch (ICR_SHORTHAND(low)) {
    case TO_SELF:
        return cpu == self;
    case TO_ALL:
        return true;
    case TO_OTHERS:
        return cpu != self;
    default:
        break;
    }
    if (destination == (x2apic ? UINT32_MAX : 0xFFu))
        return true;
    if (!(low & ICR_LOGICAL))
        return cpu->apic_id == destination;
    if (x2apic) /* SDM 11.12.10.2 */
        return cpu->apic_id >> 4 == destination >> 16 &&
               (destination & 0xFFFF & 1u << (cpu->apic_id & 15)) != 0;
    const struct vp *vp = first_partition->vps[cpu->index];
    uint32_t logical_id = vp->apic_ldr >> 24;
    if (vp->apic_dfr >> 28 == 0xF) /* flat */
        return (logical_id & destination) != 0;
    return logical_id >> 4 == destination >> 4 && (logical_id & destination & 0xF) != 0;
}

static void request_targets(bool x2apic, uint32_t destination, uint32_t low, uint32_t request)
{
    for (uint32_t i = 0; i < cpu_count; i++) {
        struct vp *vp = first_partition->vps[i];
        if (!vp || !is_target(cpus[i], x2apic, destination, low))
            continue;
        if (request == REQUEST_SIPI)
            vp->sipi_vector = (uint8_t)low;
        if (request == REQUEST_INIT) /* it undoes a start that has not happened yet */
            __atomic_fetch_and(&vp->requests, ~(uint32_t)REQUEST_SIPI, __ATOMIC_SEQ_CST);
        vp_request(vp, request);
    }
}

/*
 * An interrupt command of the first partition. INIT and start-up are answered
 * by the VPs, an NMI too, so that it is never taken for a kick; the rest goes to
 * the real APIC. True when it was dealt with here.
 */
static bool command_is_virtual(bool x2apic, uint32_t destination, uint32_t low)
{
    switch (ICR_MODE(low)) {
    case MODE_INIT:
        if (!(low & ICR_LEVEL) || (low & ICR_ASSERT)) /* not the de-assert of old */
            request_targets(x2apic, destination, low, REQUEST_INIT);
        return true;
    case MODE_STARTUP:
        request_targets(x2apic, destination, low, REQUEST_SIPI);
        return true;
    case MODE_NMI:
        request_targets(x2apic, destination, low, REQUEST_NMI);
        return true;
    case MODE_SMI:
        say_warn_of_guest("an SMI interrupt command was dropped");
        return true;
    default:
        return false;
    }
}

/* A register of the xAPIC's page; offset: bytes, a multiple of 16. */
static void guest_write(struct vp *vp, uint32_t offset, uint32_t value)
{
    struct cpu *cpu = this_cpu();
    switch (offset) {
    case APIC_ICR_HIGH:
        cpu->apic_icr_high = value;
        break;
    case APIC_ICR_LOW:
        if (command_is_virtual(false, cpu->apic_icr_high >> 24, value))
            return;
        break;
    case APIC_LDR:
        vp->apic_ldr = value;
        break;
    case APIC_DFR:
        vp->apic_dfr = value;
        break;
    default:
        break;
    }
    *apic_page_register(offset) = value;
}

static uint32_t apply(uint8_t operation, uint32_t old, uint32_t operand)
{
    switch (operation) {
    case DECODED_OR:
        return old | operand;
    case DECODED_AND:
        return old & operand;
    case DECODED_XOR:
        return old ^ operand;
    case DECODED_ADD:
        return old + operand;
    case DECODED_SUB:
        return old - operand;
    default:
        return operand;
    }
}

bool apic_page_access(struct vp *vp, gpa_t gpa)
{
    vp_show(vp);
    const struct vp_state *s = &vp->state;
    uint64_t linear = linear_rip(s);
    enum decode_mode width = is_code64(s)                                      ? DECODE_64
                             : s->seg[SEG_CS].attributes & SEGMENT_DEFAULT_BIG ? DECODE_32
                                                                               : DECODE_16;
    uint32_t offset = (uint32_t)(gpa & PAGE_MASK);
    uint8_t bytes[LONGEST_INSTRUCTION] = {
        0}; /* those that cannot be read are printed all the same */
    unsigned count = translate_fetch(vp, linear, bytes, sizeof(bytes));
    struct decoded d;
    if ((gpa & 0xF) != 0 || !decode_memory_access(bytes, count, width, &d)) {
        say_warn_of_guest(
            "VP %u: an access to the local APIC at offset 0x%x by an instruction at %lx that "
            "is not understood (%02x %02x %02x %02x): #GP",
            vp->index, offset, linear, bytes[0], bytes[1], bytes[2], bytes[3]);
        return false;
    }
    uint64_t *reg = &vp->state.gpr[d.reg];
    uint32_t operand = d.immediate ? d.value : (uint32_t)*reg;
    uint32_t old = d.operation == DECODED_STORE ? 0 : *apic_page_register(offset);
    if (d.operation == DECODED_LOAD || d.operation == DECODED_EXCHANGE)
        *reg = old;
    if (d.operation != DECODED_LOAD)
        guest_write(vp, offset, apply(d.operation, old, operand));
    vp_advance(vp, d.length);
    return true;
}

enum msr_result apic_write_x2apic_icr(struct vp *vp, uint32_t msr, uint64_t icr)
{
    if (!apic_in_x2apic_mode() ||
        (!command_is_virtual(true, (uint32_t)(icr >> 32), (uint32_t)icr) && !wrmsr_safe(msr, icr)))
        return MSR_FAULT;
    return MSR_DONE;
}

bool apic_synthetic_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    if (!vp->first || msr == HV_MSR_EOI)
        return false;
    if (msr == HV_MSR_TPR)
        *value = apic_read(APIC_TPR);
    else if (apic_in_x2apic_mode())
        *value = rdmsr(MSR_X2APIC_ICR);
    else
        *value = (uint64_t)apic_read(APIC_ICR_HIGH) << 32 | apic_read(APIC_ICR_LOW);
    return true;
}

enum msr_result apic_synthetic_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    if (!vp->first || (msr == HV_MSR_TPR && value > UINT8_MAX))
        return MSR_FAULT;
    if (msr == HV_MSR_EOI) {
        apic_write(APIC_EOI, 0);
    } else if (msr == HV_MSR_TPR) {
        apic_write(APIC_TPR, (uint32_t)value);
    } else if (apic_in_x2apic_mode()) {
        return apic_write_x2apic_icr(vp, MSR_X2APIC_ICR, value);
    } else {
        guest_write(vp, APIC_ICR_HIGH, (uint32_t)(value >> 32));
        guest_write(vp, APIC_ICR_LOW, (uint32_t)value);
    }
    return MSR_DONE;
}

/*
 * IA32_APIC_BASE (SDM 11.4.4, 11.12.5). The guest may switch to x2APIC mode,
 * which is done for real; it may switch the APIC off in its own view only:
 * the hypervisor needs the real one, and not every machine lets it come back.
 */
enum msr_result apic_write_base(struct vp *vp, uint32_t msr, uint64_t value)
{
    uint64_t old = vp->apic_base;
    bool x2apic_supported = processor_has_x2apic();
    uint64_t mode = value & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    if ((value & ~(APIC_BASE_BSP | APIC_BASE_ENABLE | APIC_BASE_X2APIC)) != APIC_BASE_ADDRESS) {
        say_warn_of_guest("the guest tried to move its local APIC to %lx: refused", value);
        return MSR_FAULT;
    }
    if (mode == APIC_BASE_X2APIC || ((value & APIC_BASE_X2APIC) && !x2apic_supported))
        return MSR_FAULT;
    if ((old & APIC_BASE_X2APIC) && mode == APIC_BASE_ENABLE)
        return MSR_FAULT; /* x2APIC to xAPIC goes only through "disabled" */
    if ((value & APIC_BASE_X2APIC) && !(old & APIC_BASE_X2APIC))
        wrmsr(msr, rdmsr(msr) | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    vp->apic_base = (value & ~APIC_BASE_BSP) | (old & APIC_BASE_BSP);
    return MSR_DONE;
}
