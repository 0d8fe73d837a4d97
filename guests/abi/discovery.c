/* SPDX-License-Identifier: MIT */
/* Section 6: CPUID. */
#include "guests/abi/abi.h"
#include "hv/model/partition.h"

#define BUILD       27751
#define VERSION     (10u << 16)
#define LAST_SERVED 0x4000000Au

static void privileges_of_role(void)
{
    uint64_t mask = hypervisor_privileges();
    const uint64_t msrs = PRIVILEGES_MSR | PRIVILEGE_APIC_MSRS;
    const uint64_t own = PRIVILEGE_PARTITION_ID | PRIVILEGE_VP_REGISTERS;
    const uint64_t create = PRIVILEGE_CREATE_PARTITIONS | PRIVILEGE_MEMORY_POOL;
    tap_ok((mask & (msrs | own)) == (msrs | own),
           "5: every role has the MSRs, AccessPartitionId and AccessVpRegisters");
    if (role == ROLE_IS_GUEST)
        tap_equal(mask & ~PRIVILEGE_TSC_INVARIANT, msrs | own, "5: a guest has nothing more");
    else
        tap_ok((mask & create) == create, "5: a host has CreatePartitions and AccessMemoryPool");
    tap_ok(!(mask & PRIVILEGE_CPU_MANAGEMENT) == (role != ROLE_IS_ROOT),
           "5: only the root has CpuManagement");
}

void test_discovery(void)
{
    struct cpuid_regs r = cpuid(1, 0);
    tap_ok(r.ecx & BIT(31), "6: CPUID 1 ECX bit 31 says that there is a hypervisor");
    tap_ok(!(r.ecx & BIT(5)), "VT-x is hidden");
    tap_ok(!(cpuid(0x80000001, 0).ecx & BIT(2)), "SVM is hidden");
    r = cpuid(0x40000000, 0);
    tap_ok(r.eax >= LAST_SERVED, "6: the largest leaf is 0x%x, at least 0x%x", r.eax, LAST_SERVED);
    tap_ok(r.ebx == 0x7263694D && r.ecx == 0x666F736F && r.edx == 0x76482074,
           "6: the vendor is \"Microsoft Hv\"");
    tap_equal(cpuid(0x40000001, 0).eax, 0x31237648, "6: the interface is \"Hv#1\"");
    r = cpuid(0x40000002, 0);
    tap_ok(r.eax == BUILD && r.ebx == VERSION, "6: build 27751, version 10.0");
    privileges_of_role();
    r = cpuid(0x40000005, 0);
    tap_ok(r.eax >= cpu_start_all() && r.ebx >= r.eax, "6: limits: %u VPs, %u processors", r.eax,
           r.ebx);
    r = cpuid(0x4000000B, 0);
    tap_note("leaf past the end: %x %x %x %x", r.eax, r.ebx, r.ecx, r.edx);
}
