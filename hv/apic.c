/*
 * The local APIC. It belongs to the first partition; the hypervisor sends its
 * kicks through it, and traps every write, because an INIT must never reach a
 * processor and because the interrupt command register is shared.
 */
#include "hv/apic.h"

#include "hv/arch.h"
#include "hv/console.h"
#include "hv/partition.h"
#include "hv/run.h"
#include "hypercalls/abi.h"
#include "mm/phys.h"

#define APIC_BASE_ADDRESS 0xFEE00000UL
#define APIC_BASE_BSP     BIT(8)
#define APIC_BASE_X2APIC  BIT(10)
#define APIC_BASE_ENABLE  BIT(11)

enum apic_register {
    APIC_ID = 0x20,
    APIC_TPR = 0x80,
    APIC_PPR = 0xA0,
    APIC_EOI = 0xB0,
    APIC_LDR = 0xD0,
    APIC_DFR = 0xE0,
    APIC_SPURIOUS = 0xF0,
    APIC_IRR = 0x200,
    APIC_ICR_LOW = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_ERROR = 0x370,
    APIC_TIMER_INITIAL = 0x380,
    APIC_TIMER_CURRENT = 0x390,
    APIC_TIMER_DIVIDE = 0x3E0,
};

#define X2APIC_MSR(reg) (0x800u + ((reg) >> 4))

#define ICR_MODE(low)      ((low) >> 8 & 7)
#define ICR_LOGICAL        (1u << 11)
#define ICR_BUSY           (1u << 12)
#define ICR_ASSERT         (1u << 14)
#define ICR_LEVEL          (1u << 15)
#define ICR_SHORTHAND(low) ((low) >> 18 & 3)

enum icr_mode { MODE_FIXED, MODE_LOWEST, MODE_SMI, MODE_NMI = 4, MODE_INIT, MODE_STARTUP };
enum icr_shorthand { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };

#define LVT_MASKED  (1u << 16)
#define DIVIDE_BY_1 0xBu

static volatile uint32_t *apic_register(uint32_t offset)
{
    return (volatile uint32_t *)phys_ptr(APIC_BASE_ADDRESS + offset);
}

static bool in_x2apic_mode(void)
{
    return (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC) != 0;
}

static uint32_t apic_read(uint32_t offset)
{
    return in_x2apic_mode() ? (uint32_t)rdmsr(X2APIC_MSR(offset)) : *apic_register(offset);
}

static void apic_write(uint32_t offset, uint32_t value)
{
    if (in_x2apic_mode())
        wrmsr(X2APIC_MSR(offset), value);
    else
        *apic_register(offset) = value;
}

uint32_t apic_id_here(void)
{
    return in_x2apic_mode() ? (uint32_t)rdmsr(MSR_X2APIC_ID) : *apic_register(APIC_ID) >> 24;
}

bool apic_interrupt_waits(void)
{
    enum { IRR_WORDS = 8, WORD_STEP = 0x10 };
    uint32_t priority = apic_read(APIC_PPR) >> 4 & 0xF;
    for (uint32_t word = IRR_WORDS; word-- > 0;) {
        uint32_t requested = apic_read(APIC_IRR + WORD_STEP * word);
        if (requested != 0)
            return (word * 32 + 31 - (uint32_t)__builtin_clz(requested)) >> 4 > priority;
    }
    return false;
}

static void wait_until_sent(void)
{
    while (*apic_register(APIC_ICR_LOW) & ICR_BUSY)
        cpu_relax();
}

static void xapic_send(uint32_t high, uint32_t low, uint32_t restore_high)
{
    wait_until_sent();
    *apic_register(APIC_ICR_HIGH) = high;
    *apic_register(APIC_ICR_LOW) = low;
    wait_until_sent();
    *apic_register(APIC_ICR_HIGH) = restore_high;
}

void apic_send(uint32_t apic_id, uint32_t low)
{
    if (in_x2apic_mode()) {
        full_barrier(); /* a WRMSR to the x2APIC does not order earlier stores: SDM 11.12.3 */
        wrmsr(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | low);
        return;
    }
    struct cpu *cpu = this_cpu();
    struct vp *vp = first_partition ? first_partition->vps[cpu->index] : NULL;
    xapic_send(apic_id << 24, low, vp ? vp->apic_icr_high : 0);
}

void apic_timer_start(uint32_t count)
{
    apic_write(APIC_SPURIOUS, apic_read(APIC_SPURIOUS) | 0x100);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_TIMER_INITIAL, count);
}

uint32_t apic_timer_read(void)
{
    return apic_read(APIC_TIMER_CURRENT);
}

void apic_timer_stop(void)
{
    apic_write(APIC_TIMER_INITIAL, 0);
    apic_write(APIC_TIMER_DIVIDE, 0);
}

void apic_reset_here(struct vp *vp)
{
    vp->apic_icr_high = 0;
    vp->apic_ldr = 0;
    vp->apic_dfr = UINT32_MAX;
    apic_write(APIC_TIMER_INITIAL, 0);
    for (uint32_t lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 0x10)
        apic_write(lvt, LVT_MASKED);
    apic_write(APIC_TPR, 0);
    if (!in_x2apic_mode()) {
        *apic_register(APIC_LDR) = 0;
        *apic_register(APIC_DFR) = UINT32_MAX;
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

void apic_guest_write(struct vp *vp, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case APIC_ICR_HIGH:
        vp->apic_icr_high = value;
        break;
    case APIC_ICR_LOW:
        if (command_is_virtual(false, vp->apic_icr_high >> 24, value))
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
    *apic_register(offset) = value;
}

uint32_t apic_guest_read(uint32_t offset)
{
    return *apic_register(offset);
}

bool apic_guest_command(uint64_t icr)
{
    if (!in_x2apic_mode())
        return false;
    if (!command_is_virtual(true, (uint32_t)(icr >> 32), (uint32_t)icr))
        return wrmsr_safe(MSR_X2APIC_ICR, icr);
    return true;
}

bool apic_synthetic_read(uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case HV_MSR_ICR:
        if (in_x2apic_mode())
            *value = rdmsr(MSR_X2APIC_ICR);
        else
            *value = (uint64_t)apic_read(APIC_ICR_HIGH) << 32 | apic_read(APIC_ICR_LOW);
        return true;
    case HV_MSR_TPR:
        *value = apic_read(APIC_TPR);
        return true;
    default:
        return false;
    }
}

bool apic_synthetic_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case HV_MSR_EOI:
        apic_write(APIC_EOI, 0);
        return true;
    case HV_MSR_ICR:
        if (in_x2apic_mode())
            return apic_guest_command(value);
        apic_guest_write(vp, APIC_ICR_HIGH, (uint32_t)(value >> 32));
        apic_guest_write(vp, APIC_ICR_LOW, (uint32_t)value);
        return true;
    case HV_MSR_TPR:
        if (value > UINT8_MAX)
            return false;
        apic_write(APIC_TPR, (uint32_t)value);
        return true;
    default:
        return false;
    }
}

/*
 * IA32_APIC_BASE (SDM 11.4.4, 11.12.5). The guest may switch to x2APIC mode,
 * which is done for real; it may switch the APIC off in its own view only:
 * the hypervisor needs the real one, and not every machine lets it come back.
 */
bool apic_guest_set_base(struct vp *vp, uint64_t value)
{
    uint64_t old = vp->apic_base;
    bool x2apic_supported = (cpuid(1, 0).ecx & BIT(21)) != 0;
    uint64_t mode = value & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    if ((value & ~(APIC_BASE_BSP | APIC_BASE_ENABLE | APIC_BASE_X2APIC)) != APIC_BASE_ADDRESS) {
        say_warn_of_guest("the guest tried to move its local APIC to %lx: refused", value);
        return false;
    }
    if (mode == APIC_BASE_X2APIC || ((value & APIC_BASE_X2APIC) && !x2apic_supported))
        return false;
    if ((old & APIC_BASE_X2APIC) && mode == APIC_BASE_ENABLE)
        return false; /* x2APIC to xAPIC goes only through "disabled" */
    if ((value & APIC_BASE_X2APIC) && !(old & APIC_BASE_X2APIC))
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    vp->apic_base = (value & ~APIC_BASE_BSP) | (old & APIC_BASE_BSP);
    return true;
}
