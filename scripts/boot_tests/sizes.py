# SPDX-License-Identifier: MIT
"""Machines of every size: processors, memory, holes, no UART; kernels and modules of every kind."""
import random
import re
import zlib

import kernels
from checks import memory_adds_up, runs_well
from machines import GUEST, bochs, boot, grub_iso, kernel_arguments, make_iso, qemu

KEPT_LIMIT = 24 * 1024  # KiB that the hypervisor may keep of 512 MiB with 4 processors


def of_size(cpus, memory, machine="pc", cpu="max"):
    run = qemu(*kernel_arguments(f"expect={cpus}", "log=debug"), cpus=cpus, memory=memory,
               machine=machine, cpu=cpu)
    kept = runs_well(run, memory, cpus)
    if memory == 512 and cpus == 4:
        run.need(kept <= KEPT_LIMIT, f"{kept} KiB are kept from the guest")


def processors(cpus, found, *arguments):
    """Tables that are not plain: gaps in the APIC ids, disabled processors, no tables."""
    runs_well(qemu(*arguments, *kernel_arguments(f"expect={found}", "log=debug"), cpus=cpus),
              processors=found)


def bochs_of_size(cpus, memory, machine):
    runs_well(boot(machine=machine, cpus=cpus, memory=memory, hv="log=debug",
                   line=f"expect={cpus}"), memory, cpus)


def holes():
    """GRUB cuts memory out, a single page within the memory at the top as well."""
    before = "cutmem 0x3000000 0x5000000\ncutmem 0x1f800000 0x1f801000"
    iso = grub_iso(before, "mmap", "expect=2 hole=3000000-5000000", "log=debug")
    run = qemu("-cdrom", iso)
    run.guest_passed()
    memory_adds_up(run, 512 - 32)


def without_uart(machine):
    if machine == "qemu":
        run = qemu(*kernel_arguments("expect=2 end=code:42"), serial=["-serial", "none"])
        run.need(run.status == 42, "the guest does not come to its end")
    else:
        run = bochs(make_iso("expect=2", options=["--bios"]), machine, com1=False)
        run.need(run.status == 0, "the guest does not power the machine off")


def modules(sizes, words):
    """Contents of files, and the pairs of file and command line."""
    content = [random.Random(size).randbytes(size) for size in sizes]
    return content, [(kernels.write("part", part), line) for part, line in zip(content, words)]


def modules_as_given():
    content, given = modules((1, 4096, 3000001),
                             ("", "one  two=3", 'with "quotes", commas\\ and = signs'))
    line = 'a  b=c "d, e" \\f expect=2'
    check_given(boot(hv="log=debug", line=line, modules=given), line, given, content)


def check_given(run, line, given, content):
    runs_well(run)
    run.need(run.guest_line().split(" ", 1)[1] == line, "the guest's command line is another one")
    seen = re.findall(r'^# module \d+: (\d+) bytes, crc ([0-9a-f]{8}), "(.*)"\r?$', run.text,
                      re.MULTILINE)
    wanted = [(str(len(bytes_)), f"{zlib.crc32(bytes_):08x}") for bytes_ in content]
    run.need([module[:2] for module in seen] == wanted, "the modules are not what was given")
    words = [module[2].split(" ", 1)[1] if " " in module[2] else "" for module in seen]
    run.need(words == [words_ for _, words_ in given],
             f"the modules' command lines are {words}")


def modules_by_grub(machine):
    content, given = modules((5000, 100000), ("", "one  two=3,4 $x;{y} #z"))
    line = "a  b=c,d   $e expect=2"
    if machine == "qemu":
        iso = make_iso(line, "log=debug", modules=given, options=["--bios"])
        run = qemu("-cdrom", iso)
    else:
        run = boot(machine=machine, hv="log=debug", line=line, modules=given)
    check_given(run, line, given, content)


def many_modules():
    content, given = modules(range(1, 12000, 800), [str(n) for n in range(15)])
    check_given(boot(hv="log=debug", line="x", modules=given), "x", given, content)


def starts(content):
    run = boot(guest=kernels.write("kernel", content))
    run.need(run.status == kernels.GOOD_ENTRY, "the kernel does not start as Multiboot wants it")


def elf64():
    runs_well(boot(guest=GUEST.replace(".elf", ".64.elf"), hv="log=debug", line="expect=2"))


def cases():
    for cpus, memory, machine in ((1, 256, "pc"), (2, 256, "q35"), (4, 512, "pc"), (1, 512, "q35"),
                                  (4, 3072, "q35"), (2, 3072, "pc"), (2, 6144, "pc"),
                                  (1, 8192, "q35"), (4, 8192, "pc"), (2, 16, "pc"),
                                  (2, 3584, "pc"), (2, 2816, "q35")):
        yield f"QEMU {machine}, {cpus} processors, {memory} MiB", \
            lambda c=cpus, m=memory, t=machine: of_size(c, m, t)
    yield "QEMU pc, 2 processors, 6144 MiB, no pages of 1 GiB", \
        lambda: of_size(2, 6144, cpu="max,-pdpe1gb")
    yield "6 processors with gaps in their APIC ids", \
        lambda: processors(6, 6, "-smp", "6,sockets=2,cores=3")
    yield "2 of 4 processors enabled", lambda: processors(2, 2, "-smp", "2,maxcpus=4")
    yield "no ACPI tables", lambda: processors(2, 1, "-no-acpi")
    yield "Bochs VT-x, 1 processor, 256 MiB", lambda: bochs_of_size(1, 256, "bochs-intel")
    yield "Bochs VT-x, 4 processors, 2048 MiB", lambda: bochs_of_size(4, 2048, "bochs-intel")
    yield "Bochs AMD-V, 4 processors, 1024 MiB", lambda: bochs_of_size(4, 1024, "bochs-amd")
    yield "holes in the memory map", holes
    for address in (0x10000, 0x100000, 0x200000, 0x1000000):
        yield f"a kernel at {address:#x} by the addresses of its header", \
            lambda a=address: starts(kernels.running(a))
    yield "a 64-bit ELF kernel", elf64
    yield "no UART, QEMU", lambda: without_uart("qemu")
    yield "no UART, Bochs VT-x", lambda: without_uart("corei7_skylake_x")
    yield "modules and command lines as QEMU gives them", modules_as_given
    yield "15 modules", many_modules
    yield "modules and command lines as GRUB gives them", lambda: modules_by_grub("qemu")
    yield "modules and command lines, Bochs VT-x", lambda: modules_by_grub("bochs-intel")
