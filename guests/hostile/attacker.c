/* SPDX-License-Identifier: MIT */
/* A child that is hostile: to the hypervisor, and to the dispatch of its parent. */
#include "guests/hostile/hostile.h"
#include "hv/model/vp.h"

#define STOP_PORT     0x99
#define NO_VECTOR     0xFF
#define HYPERCALL_GPA 0x1E0000UL
#define COPY_GPA      0x1D0000UL
#define INPUT_GPA     0x1C0000UL
#define HOLE          0x30000000UL /* inside the child's page tables, without memory */
#define ATTACK(name)  (CHILD_CODE + (uint64_t)(attack_##name - attack_code))
#define DECLARE(name) extern const uint8_t attack_##name[]

extern const uint8_t attack_code[], attack_code_end[], attack_done[], attack_stubs[];
DECLARE(call);
DECLARE(read);
DECLARE(write);
DECLARE(modify);
DECLARE(string);
DECLARE(execute);
DECLARE(cr0);
DECLARE(cr3);
DECLARE(cr4);
DECLARE(cr8);
DECLARE(dr7);
DECLARE(xsetbv);
DECLARE(wrmsr);
DECLARE(rdmsr);
DECLARE(hypercall);
DECLARE(sweep);
DECLARE(codes);
DECLARE(bits);

extern const struct instruction {
    void (*run)(void *);
    const char *name;
} virtualization_instructions[];

static struct child c;

/* How an attack ended. */
struct outcome {
    uint32_t type;  /* of the message; the child's own stop: HV_MESSAGE_IO_PORT */
    uint8_t vector; /* NO_VECTOR: none */
};

struct arguments {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, r8;
};

static void prepare(uint64_t rip, const struct arguments *a)
{
    struct hv_register_page *page = c.vps[0].registers;
    c.memory[CHILD_DATA] = NO_VECTOR;
    *(uint64_t *)(c.memory + CHILD_DATA + 8) = ATTACK(done);
    child_enter_long(&c, 0, rip); /* all registers anew, whatever the last attack has done */
    page->gpr[RAX] = a->rax;
    page->gpr[RBX] = a->rbx;
    page->gpr[RCX] = a->rcx;
    page->gpr[RDX] = a->rdx;
    page->gpr[RSI] = a->rsi;
    page->gpr[RDI] = a->rdi;
    page->gpr[R8] = a->r8;
    page->dirty = HV_DIRTY_GENERAL;
}

static struct outcome attack(uint64_t rip, const struct arguments *a)
{
    struct outcome outcome;
    prepare(rip, a);
    outcome.type = child_run(&c, 0);
    outcome.vector = c.memory[CHILD_DATA];
    return outcome;
}
#define RUN(name, ...) attack(ATTACK(name), &(struct arguments){__VA_ARGS__})

static uint64_t reg(enum gpr number)
{
    return c.vps[0].registers->gpr[number];
}

/* It ended by itself, with that vector. */
static bool ended(struct outcome o, uint8_t vector)
{
    if (o.type == HV_MESSAGE_IO_PORT && c.vps[0].message->payload.io.port == STOP_PORT &&
        o.vector == vector)
        return true;
    tap_note("%s (0x%x), %s instead of %s; rip 0x%lx", message_name(o.type), o.type,
             o.vector == NO_VECTOR ? "no exception" : trap_name(o.vector),
             vector == NO_VECTOR ? "none" : trap_name(vector), c.vps[0].registers->rip);
    return false;
}

static bool is_memory(struct outcome o, uint32_t type, uint64_t gpa)
{
    const struct hv_memory_message *m = &c.vps[0].message->payload.memory;
    if (o.type == type && m->gpa == gpa)
        return true;
    tap_note("%s (0x%x), %s, GPA 0x%lx instead of 0x%lx", message_name(o.type), o.type,
             o.vector == NO_VECTOR ? "no exception" : trap_name(o.vector), m->gpa, gpa);
    return false;
}

static void begin(void)
{
    child_open(&c, 1, CHILD_MAP_ALL);
    child_load(&c, CHILD_CODE, attack_code, attack_code_end);
    uint64_t *gate = (uint64_t *)(c.memory + CHILD_IDT);
    for (uint64_t n = 0; n < 32; n++) {
        uint64_t at = CHILD_CODE + (uint64_t)(attack_stubs - attack_code) + 16 * n;
        gate[2 * n] = (at & 0xFFFF) | 0x08UL << 16 | 0x8EUL << 40 | (at >> 16 & 0xFFFF) << 48;
    }
}

/* ---- instructions and memory */

static void instructions(void)
{
    bool all = true;
    for (const struct instruction *i = virtualization_instructions; i->run != NULL; i++) {
        memcpy(c.memory + COPY_GPA, (const void *)i->run, 32);
        if (!ended(RUN(call, .rbx = COPY_GPA), VECTOR_UD)) {
            tap_note("... of %s", i->name);
            all = false;
        }
    }
    tap_ok(all, "every VMX and SVM instruction is #UD in the child");
    for (unsigned own = 0; own < 2; own++) {
        void (*run)(void) =
            (direct_entry() == (uint64_t)direct_vmcall) == own ? direct_vmcall : direct_vmmcall;
        memcpy(c.memory + COPY_GPA, (const void *)run, 4);
        tap_ok(ended(RUN(call, .rbx = COPY_GPA), VECTOR_UD), "%s",
               own ? "a hypercall before the guest OS ID is set: #UD"
                   : "the other vendor's hypercall instruction: #UD");
    }
}

static void memory(void)
{
    uint64_t hypervisor = 0, end;
    find_hypervisor(&hypervisor, &end);
    const uint64_t places[] = {HOLE, 0x3FFFFFF8, 0x200000, align_down(hypervisor, PAGE_SIZE),
                               0x1FFFFC};
    bool all = true;
    for (unsigned n = 0; n < ARRAY_SIZE(places); n++) {
        uint64_t at = places[n];
        bool straddles = at == 0x1FFFFC; /* the last bytes of its memory and the first beyond */
        uint64_t first = straddles ? 0x200000 : at;
        all &= is_memory(RUN(read, .rbx = at), HV_MESSAGE_UNMAPPED_GPA, first);
        all &= is_memory(RUN(write, .rbx = at), HV_MESSAGE_UNMAPPED_GPA, first);
        all &= is_memory(RUN(modify, .rbx = at), HV_MESSAGE_UNMAPPED_GPA, first);
        all &= is_memory(RUN(string, .rbx = at), HV_MESSAGE_UNMAPPED_GPA, first);
        if (!straddles)
            all &= is_memory(RUN(execute, .rbx = at), HV_MESSAGE_UNMAPPED_GPA, first);
    }
    tap_ok(all, "outside its memory, the GPAs of the hypervisor's included, each read, write, "
                "locked and string access and execution is a message with the right GPA");

    uint64_t *tables = (uint64_t *)(c.memory + CHILD_TABLES);
    child_enter_long(&c, 0, 0); /* writes the tables */
    struct outcome o = RUN(cr3, .rax = HOLE);
    all =
        is_memory(o, HV_MESSAGE_UNMAPPED_GPA, align_down(c.vps[0].message->payload.memory.gpa, 8));
    uint64_t at = c.vps[0].message->payload.memory.gpa;
    tap_ok(all && at >= HOLE && at < HOLE + PAGE_SIZE,
           "page tables where there is no memory: a message about the table (0x%lx)", at);
    prepare(ATTACK(read), &(struct arguments){.rbx = GIB(2) + MIB(512)});
    unsigned width = cpuid(0x80000008, 0).eax & 0xFF;
    tables[512 + 2] = 1UL << (width < 52 ? width - 1 : 51) | 0x87; /* 1 GiB, far up */
    tables[512 + 3] = HOLE | 7;
    uint32_t type = child_run(&c, 0);
    tap_ok(type == HV_MESSAGE_UNMAPPED_GPA || c.memory[CHILD_DATA] == VECTOR_PF,
           "an address at the top of the physical width: %s",
           type == HV_MESSAGE_UNMAPPED_GPA ? "unmapped GPA" : "a page fault of its own");
}

/* ---- control registers, MSRs */

static void control_registers(void)
{
    static const uint64_t garbage[] = {0,
                                       ~0UL,
                                       0x8000000000000000,
                                       0xFFFFFFFF,
                                       0x5555555555555555,
                                       0xAAAAAAAAAAAAAAAA,
                                       1UL << 32,
                                       1UL << 13,
                                       1UL << 29};
    unsigned faults = 0, taken = 0, others = 0;
    bool skip_cr0 = machine_is_bochs() && machine_is_amd();
    for (unsigned n = 0; n < 5 * ARRAY_SIZE(garbage); n++) {
        uint64_t value = garbage[n / 5];
        const uint64_t rips[] = {ATTACK(cr0), ATTACK(cr4), ATTACK(cr8), ATTACK(xsetbv),
                                 ATTACK(wrmsr)};
        struct arguments a = {.rax = value, .rdx = value >> 32};
        if (rips[n % 5] == ATTACK(cr0) && skip_cr0)
            continue;
        if (rips[n % 5] == ATTACK(wrmsr))
            a.rcx = MSR_EFER;
        struct outcome o = attack(rips[n % 5], &a);
        if (o.type == HV_MESSAGE_IO_PORT && o.vector == VECTOR_GP)
            faults++;
        else if (o.type == HV_MESSAGE_IO_PORT && o.vector == NO_VECTOR)
            taken++;
        else
            others++;
    }
    tap_ok(faults > 0,
           "garbage in CR0, CR4, CR8, XCR0 and EFER: %u times #GP, %u taken, %u ended "
           "otherwise; the child is started anew each time",
           faults, taken, others);
    if (machine_is_tcg()) {
        tap_skip("what must be #GP of it: QEMU's TCG does not check all");
        return;
    }
    bool all = ended(RUN(cr4, .rax = read_cr4() | CR4_VMXE), VECTOR_GP);
    all &= ended(RUN(cr4, .rax = ~0UL), VECTOR_GP);
    all &= ended(RUN(cr8, .rax = 16), VECTOR_GP);
    all &= ended(RUN(wrmsr, .rcx = MSR_EFER, .rax = EFER_SVME | EFER_LME | EFER_LMA), VECTOR_GP);
    all &= ended(RUN(wrmsr, .rcx = MSR_EFER, .rax = 0), VECTOR_GP);
    if (!skip_cr0)
        all &= ended(RUN(cr0, .rax = CR0_PG), VECTOR_GP);
    tap_ok(all,
           "CR4.VMXE, all of CR4, CR8 = 16, EFER.SVME, EFER without LME, CR0.PG without PE: #GP");
    if (cpuid(1, 0).ecx & BIT(26)) {
        all = ended(RUN(xsetbv, .rax = 0), VECTOR_GP);
        all &= ended(RUN(xsetbv, .rax = 1, .rcx = 1), VECTOR_GP);
        all &= ended(RUN(xsetbv, .rax = 5), VECTOR_GP); /* AVX without SSE */
        all &= ended(RUN(xsetbv, .rax = 0xFFFFFFFF, .rdx = 0xFFFFFFFF), VECTOR_GP);
        tap_ok(all, "XCR0 = 0, XCR1, AVX without SSE, all ones: #GP");
    }
}

static void msrs(void)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {{0, 0x1FFF},
                  {0x40000000, 0x40000002},
                  {0x40000004, 0x400001FF},
                  {0xC0000000, 0xC0001FFF},
                  {0xC0010000, 0xC0011FFF},
                  {0xFFFFFFF0, 0xFFFFFFFE}};
    static const uint64_t values[] = {~0UL, 2};
    for (unsigned n = 0; n < ARRAY_SIZE(ranges); n++) {
        bool all = true;
        for (unsigned v = 0; v < ARRAY_SIZE(values); v++) {
            struct outcome o =
                RUN(sweep, .rcx = ranges[n].from, .rsi = ranges[n].to, .rdi = values[v]);
            all &= o.type == HV_MESSAGE_IO_PORT && reg(RCX) == ranges[n].to + 1UL;
            if (o.type != HV_MESSAGE_IO_PORT)
                tap_note("%s at MSR 0x%lx, value 0x%lx", message_name(o.type), reg(RCX), values[v]);
        }
        tap_ok(all && reg(R9) < 40,
               "the child reads MSRs 0x%x..0x%x: %lu can be read, the rest are #GP; of those %lu "
               "take a 2",
               ranges[n].from, ranges[n].to, reg(R9), reg(R10));
    }
    tap_ok(ended(RUN(wrmsr, .rcx = HV_MSR_HYPERCALL, .rax = HYPERCALL_GPA | 1), VECTOR_GP),
           "with that 2 it has locked its hypercall MSR, which is immutable now");
    struct outcome o = RUN(wrmsr, .rcx = HV_MSR_RESET, .rax = 1);
    tap_ok(o.type == HV_MESSAGE_UNRECOVERABLE_EXCEPTION,
           "a child's reset MSR is its parent's business, not the machine's");
}

/* ---- hypercalls */

static void hypercalls(void)
{
    uint64_t in = INPUT_GPA, out = INPUT_GPA + PAGE_SIZE;
    bool all = ended(RUN(wrmsr, .rcx = HV_MSR_GUEST_OS_ID, .rax = 1, .rdx = 0x80000000), NO_VECTOR);
    all &= ended(RUN(wrmsr, .rcx = HV_MSR_HYPERCALL, .rax = HYPERCALL_GPA | 1), NO_VECTOR);
    tap_ok(all, "the child turns its hypercall page on");
    struct outcome o =
        RUN(hypercall, .rbx = HYPERCALL_GPA, .rcx = HVCALL_GET_PARTITION_ID, .r8 = out);
    tap_ok(ended(o, NO_VECTOR) && reg(RAX) == 0 && *(uint64_t *)(c.memory + out) == c.id,
           "and calls");
    all = ended(RUN(write, .rbx = HYPERCALL_GPA), VECTOR_GP);
    all &= ended(RUN(modify, .rbx = HYPERCALL_GPA + 8), VECTOR_GP);
    all &= ended(RUN(string, .rbx = HYPERCALL_GPA + 0x100), VECTOR_GP);
    all &= ended(RUN(string, .rbx = HYPERCALL_GPA - 8), VECTOR_GP);
    tap_ok(all, "\"the guest can read and execute; a write to it is #GP\"");

    o = RUN(codes, .rbx = HYPERCALL_GPA, .rcx = 0, .rsi = 0xFFFF, .rdx = ~0UL, .r8 = ~0UL);
    tap_ok(ended(o, NO_VECTOR) && reg(R9) == 0, "all 65536 call codes with GPAs at ~0 are refused");
    memset(c.memory + in, 0xFF, PAGE_SIZE);
    o = RUN(codes, .rbx = HYPERCALL_GPA, .rcx = 0, .rsi = 0x1FF, .rdx = in, .r8 = out);
    tap_ok(ended(o, NO_VECTOR) && reg(R9) <= 3,
           "with readable input of all ones %lu of them succeed (0x08, 0x46 need none)", reg(R9));
    o = RUN(bits, .rbx = HYPERCALL_GPA, .rcx = HVCALL_GET_PARTITION_ID, .rdx = in, .r8 = out);
    tap_ok(ended(o, NO_VECTOR) && reg(R9) == 0,
           "each single further bit of the control word: INVALID_HYPERCALL_INPUT");
    o = RUN(hypercall, .rbx = HYPERCALL_GPA, .rcx = HVCALL_GET_PARTITION_ID, .r8 = HOLE);
    all = is_memory(o, HV_MESSAGE_UNMAPPED_GPA, HOLE);
    o = RUN(hypercall, .rbx = HYPERCALL_GPA, .rcx = HVCALL_GET_PARTITION_ID, .r8 = HYPERCALL_GPA);
    all &= is_memory(o, HV_MESSAGE_GPA_INTERCEPT, HYPERCALL_GPA);
    tap_ok(all, "output where nothing can be written is a memory message to the parent");
    o = RUN(hypercall, .rbx = HYPERCALL_GPA, .rcx = HVCALL_UNMAP_VP_STATE_PAGE, .rdx = HOLE);
    tap_ok(is_memory(o, HV_MESSAGE_UNMAPPED_GPA, HOLE), "and so is input that cannot be read");
}

/* Its parent names itself as a child's child, or dispatches with its output in bad places. */
static void bad_dispatches(void)
{
    struct hv_input_dispatch_vp *in = hv_input_page();
    *in = (struct hv_input_dispatch_vp){.partition_id = c.id, .flags = 1};
    uint64_t start = 0, end;
    find_hypervisor(&start, &end);
    prepare(ATTACK(done), &(struct arguments){0});
    uint64_t count = c.vps[0].registers->rip;
    tap_status(hypercall(HVCALL_DISPATCH_VP, (uint64_t)in, start), HV_STATUS_INVALID_PARAMETER,
               "DispatchVp with its output in the hypervisor's memory");
    tap_status(hypercall(HVCALL_DISPATCH_VP, (uint64_t)in, (uint64_t)hypercall_page),
               HV_STATUS_INVALID_PARAMETER, "or in the hypercall page");
    tap_status(hypercall(HVCALL_DISPATCH_VP, (uint64_t)in, (uint64_t)in + 8),
               HV_STATUS_INVALID_ALIGNMENT, "or over its input");
    tap_ok(c.vps[0].registers->rip == count && c.vps[0].registers->is_valid == 1,
           "the child has not run");
}

void test_hostile_child(void)
{
    if (hypervisor_role() == ROLE_IS_GUEST) {
        tap_skip("a hostile child: role guest");
        return;
    }
    begin();
    instructions();
    memory();
    control_registers();
    msrs();
    tap_ok(child_close(&c), "the hostile child is gone, every page zeroed");
    begin();
    hypercalls();
    bad_dispatches();
    tap_ok(child_close(&c), "the second hostile child is gone, every page zeroed");
}
