"""The boot tests, group by group."""
import dataclasses
import functools
import random
import re
import zlib

import kernels
from machines import (BOCHS_LIMIT, GUEST, OVMF, UEFI_LIMIT, Failure, bochs, boot, grub_iso,
                      kernel_arguments, make_iso, qemu, read_text, scratch_file)

KEPT_LIMIT = 24 * 1024    # KiB that the hypervisor may keep of 512 MiB with 4 processors
FIRMWARE_KIB = 8 * 1024   # of a PC's memory that firmware keeps, at most (UEFI: below)
UEFI_KIB = 32 * 1024
SEABIOS = "/usr/share/seabios/bios-256k.bin"


@dataclasses.dataclass(frozen=True)
class Case:
    group: str
    name: str
    function: object   # raises Failure; returns why it was skipped, or nothing


# ---- what is asked of a run of guests/machine

def memory_adds_up(run, memory, firmware=FIRMWARE_KIB):
    """What the guest was given, what the hypervisor keeps and the machine's memory agree."""
    kept, start = run.says(r"(\d+) KiB kept at 0x([0-9a-f]+)").groups()
    kept, start = int(kept), int(start, 16)
    ranges = [(int(first, 16), int(last, 16), int(kind)) for first, last, kind in
              re.findall(r"^# memory ([0-9a-f]{16})\.\.([0-9a-f]{16}) type (\d+)", run.text,
                         re.MULTILINE)]
    ram = sum(last - first for first, last, kind in ranges if kind == 1) >> 10
    run.need(0 <= memory * 1024 - ram - kept <= firmware,
             f"{memory} MiB, of which {kept} KiB are kept and {ram} KiB are the guest's")
    found = [int(address, 16) for address in
             run.note(r"refused ([0-9a-f]{16})\.\.([0-9a-f]{16})").groups()]
    run.need(found == [start, start + kept * 1024],
             f"{kept} KiB at {start:#x} are kept, {found[0]:#x}..{found[1]:#x} cannot be reached")
    return kept


def runs_well(run, memory=512, processors=2, firmware=FIRMWARE_KIB):
    run.guest_passed()
    run.need(run.status == 0, "the exit status is not 0")
    run.says(f", {processors} processor{'' if processors == 1 else 's'}, TSC")
    return memory_adds_up(run, memory, firmware)


def need_ovmf(function):
    """Tests that need UEFI firmware are skipped without it."""
    @functools.wraps(function)
    def wrapped(*arguments, **options):
        try:
            with open(OVMF, "rb"):
                pass
        except OSError:
            return f"no UEFI firmware at {OVMF}"
        return function(*arguments, **options)
    return wrapped


def usb_stick(iso):
    return ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,file={iso}",
            "-device", "usb-storage,drive=stick"]


# ---- ways in

def by_qemu(machine):
    runs_well(qemu(*kernel_arguments("expect=2 role=root", "log=debug"), machine=machine))


@functools.lru_cache
def plain_iso():
    return make_iso("expect=2 role=root", "log=debug")


def by_grub(medium, machine, options=()):
    iso = make_iso("expect=2 role=root", "log=debug", options=options) if options else plain_iso()
    runs_well(qemu(*(usb_stick(iso) if medium == "stick" else ["-cdrom", iso]), machine=machine))


@need_ovmf
def by_uefi(medium, machine, memory=512, cpus=2):
    iso = make_iso(f"expect={cpus} role=root", "log=debug")
    medium = usb_stick(iso) if medium == "stick" else ["-cdrom", iso]
    run = qemu(*medium, "-bios", OVMF, machine=machine, memory=memory, cpus=cpus, limit=UEFI_LIMIT)
    runs_well(run, memory, cpus, UEFI_KIB)


def by_bochs(machine, model, backend, options=()):
    if options:  # as boot.sh does not
        iso = make_iso("expect=2 role=root", "log=debug", options=options)
        run = bochs(iso, model)
    else:
        run = boot("--model", model, machine=machine, hv="log=debug", line="expect=2 role=root")
    runs_well(run)
    run.says(f"^{backend}, 2 processors")


def ways():
    for machine in ("pc", "q35"):
        yield f"QEMU -kernel, {machine}", lambda m=machine: by_qemu(m)
    yield "GRUB, Multiboot 2, BIOS, CD, pc", lambda: by_grub("cd", "pc")
    yield "GRUB, Multiboot 2, BIOS, CD, q35", lambda: by_grub("cd", "q35")
    yield "GRUB, Multiboot 2, BIOS, USB stick, pc", lambda: by_grub("stick", "pc")
    yield "GRUB, Multiboot 1, BIOS, CD, pc", lambda: by_grub("cd", "pc", ["--multiboot1"])
    yield "GRUB, Multiboot 1, BIOS, USB stick, q35", \
        lambda: by_grub("stick", "q35", ["--multiboot1"])
    yield "GRUB, Multiboot 2, UEFI, CD, q35", lambda: by_uefi("cd", "q35")
    yield "GRUB, Multiboot 2, UEFI, USB stick, q35, 8 GiB, 4 processors", \
        lambda: by_uefi("stick", "q35", 8192, 4)
    yield "GRUB, Multiboot 2, UEFI, CD, pc, 1 processor", lambda: by_uefi("cd", "pc", 256, 1)
    yield "Bochs, VT-x", lambda: by_bochs("bochs-intel", "corei7_skylake_x", "VT-x")
    yield "Bochs, AMD-V, Multiboot 1", \
        lambda: by_bochs("bochs-amd", "zambezi", "AMD-V", ["--bios", "--multiboot1"])


# ---- machines

def of_size(cpus, memory, machine="pc", cpu="max"):
    run = qemu(*kernel_arguments(f"expect={cpus}", "log=debug"), cpus=cpus, memory=memory,
               machine=machine, cpu=cpu)
    kept = runs_well(run, memory, cpus)
    if memory == 512 and cpus == 4:
        run.need(kept <= KEPT_LIMIT, f"{kept} KiB are kept from the guest")


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
    content, given = modules((5000, 100000), ("", "one two=3,4"))
    line = "a b=c,d expect=2"
    if machine == "qemu":
        iso = make_iso(line, "log=debug", modules=given, options=["--bios"])
        run = qemu("-cdrom", iso)
    else:
        run = boot(machine=machine, hv="log=debug", line=line, modules=given)
    check_given(run, line, given, content)


def many_modules():
    content, given = modules(range(1, 12000, 800), [str(n) for n in range(15)])
    check_given(boot(hv="log=debug", line="x", modules=given), "x", given, content)


def machine_group():
    for cpus, memory, machine in ((1, 256, "pc"), (2, 256, "q35"), (4, 512, "pc"), (1, 512, "q35"),
                                  (4, 3072, "q35"), (2, 3072, "pc"), (2, 6144, "pc"),
                                  (1, 8192, "q35"), (4, 8192, "pc")):
        yield f"QEMU {machine}, {cpus} processors, {memory} MiB", \
            lambda c=cpus, m=memory, t=machine: of_size(c, m, t)
    yield "QEMU pc, 2 processors, 6144 MiB, no pages of 1 GiB", \
        lambda: of_size(2, 6144, cpu="max,-pdpe1gb")
    yield "Bochs VT-x, 1 processor, 256 MiB", lambda: bochs_of_size(1, 256, "bochs-intel")
    yield "Bochs VT-x, 4 processors, 2048 MiB", lambda: bochs_of_size(4, 2048, "bochs-intel")
    yield "Bochs AMD-V, 4 processors, 1024 MiB", lambda: bochs_of_size(4, 1024, "bochs-amd")
    yield "holes in the memory map", holes
    yield "no UART, QEMU", lambda: without_uart("qemu")
    yield "no UART, Bochs VT-x", lambda: without_uart("corei7_skylake_x")
    yield "modules and command lines as QEMU gives them", modules_as_given
    yield "15 modules", many_modules
    yield "modules and command lines as GRUB gives them", lambda: modules_by_grub("qemu")
    yield "modules and command lines, Bochs VT-x", lambda: modules_by_grub("bochs-intel")


# ---- words

def word(hv, line="quick end=code:9", cpus=2, **options):
    run = qemu(*kernel_arguments(line, hv), cpus=cpus, **options)
    run.need(run.status == 9, "the guest does not come to its end")
    return run


def fewer_processors():
    run = qemu(*kernel_arguments("expect=1", "cpus=1 log=debug"), cpus=2)
    runs_well(run, processors=1)


def role(name, words):
    run = qemu(*kernel_arguments(f"expect=2 role={name}", f"log=debug role={name}"))
    runs_well(run)
    run.says(rf"for the first partition \({words}\)$")


def pool():
    run = word("pool=33")
    run.says(r"kept by the hypervisor \(pool 33792 KiB\)")
    memory_adds_up(qemu(*kernel_arguments("", "pool=100 log=debug")), 512)


def levels():
    lines = {level: word(f"log={level} nonsense").vellum()
             for level in ("error", "warn", "info", "debug")}
    for level, wanted in (("error", 0), ("warn", 1)):
        if len(lines[level]) != wanted:
            raise Failure(f"log={level} prints {lines[level]}")
    if not 1 < len(lines["info"]) < len(lines["debug"]):
        raise Failure(f"log=info prints {lines['info']}, log=debug {lines['debug']}")


def second_console():
    first, second = scratch_file("com1"), scratch_file("com2")
    run = word("console=com2", serial=["-serial", f"file:{first}", "-serial", f"file:{second}"])
    run.text = read_text(first)
    run.need(not run.vellum() and "# ends by" in run.text, "COM1 is not the guest's alone")
    run.text = read_text(second)
    run.need(len(run.vellum()) > 1, "nothing on COM2")
    run.need("# ends by" not in run.text, "the guest's words are on COM2")


def missing_second_console():
    run = word("console=com2")
    run.need(not run.vellum(), "the hypervisor prints although its UART is missing")


def no_console():
    run = word("console=none")
    run.need(not run.vellum(), "the hypervisor prints")


def unknown_words():
    run = word("role=king  cpus=0 nonsense pool=4x \t log=loud console=lpt1 cpus=65 pool=2049 "
               "role=")
    for text in ("role=king", "cpus=0", "pool=4x", "log=loud", "console=lpt1", "cpus=65",
                 "pool=2049", "role="):
        run.says(f"^option '{text}' is not understood: the ")
    run.says("^unknown option 'nonsense'$")
    run.says(r"2 processors")
    run.says(r"pool 8192 KiB.*\(root\)")


def long_words():
    """Longer than the hypervisor keeps: no harm, and the guest's line is untouched."""
    run = qemu(*kernel_arguments("quick end=code:9 " + "y" * 300, "x" * 1500 + " role=guest"))
    run.need(run.status == 9, "the guest does not come to its end")
    run.says("^unknown option 'xxxx")


def words_group():
    yield "cpus=1 of 2", fewer_processors
    yield "role=root", lambda: role("root", "root")
    yield "role=layered", lambda: role("layered", "layered host")
    yield "role=guest", lambda: role("guest", "guest")
    yield "pool=", pool
    yield "log=", levels
    yield "console=com2", second_console
    yield "console=com2 without a UART there", missing_second_console
    yield "console=none", no_console
    yield "unknown words and bad values are named in warnings", unknown_words
    yield "words that are too long", long_words


# ---- refusals

NO_VIRTUALIZATION = r"neither VT-x nor AMD-V"
NO_LONG_MODE = r"no 64-bit mode"


def refuses(pattern, *arguments, **options):
    qemu(*arguments, **options).refused(pattern)


def bochs_refuses(model, pattern):
    bochs(make_iso(options=["--bios"]), model).refused(pattern)


def firmware_disables():
    """Bochs's own BIOS locks feature control as enabled; SeaBIOS leaves it to GRUB."""
    iso = grub_iso("wrmsr 0x3a 1", "wrmsr")
    bochs(iso, "corei7_skylake_x", cpus=1, bios=SEABIOS).refused(r"VT-x is disabled by firmware")


def firmware_leaves_unlocked():
    run = bochs(grub_iso("", "", "quick end=code:0"), "corei7_haswell_4770", cpus=1, bios=SEABIOS)
    run.need(run.status == 0, "feature control, found unlocked, is not set")


def refusals_group():
    yield "no module", lambda: refuses(r"^there is no module: the first one must be",
                                       *kernel_arguments()[:4])
    yield "no module, by GRUB", lambda: refuses(
        r"^there is no module: the first one must be", "-cdrom", grub_iso("", "", module=False))
    for name, content, pattern in kernels.bad():
        yield f"module: {name}", lambda c=content, p=pattern: refuses(
            p, *kernel_arguments(guest=kernels.write("kernel", c)))
    yield "8 MiB of memory", lambda: refuses(r"^too little memory: Vellum needs \d+ MiB",
                                             *kernel_arguments(), memory=8)
    yield "a pool larger than memory", lambda: refuses(
        r"^too little memory: Vellum needs \d+ MiB.*pool=", *kernel_arguments(hv="pool=2048"))
    for cpu, pattern in (("qemu64,-svm", NO_VIRTUALIZATION), ("Conroe", NO_VIRTUALIZATION),
                         ("max,-svm", NO_VIRTUALIZATION), ("max,-npt", r"no nested paging, which"),
                         ("qemu32", NO_LONG_MODE), ("486", NO_LONG_MODE),
                         ("max,-nx", r"no no-execute pages \(NX\), which")):
        yield f"QEMU's processor {cpu}", lambda c=cpu, p=pattern: refuses(
            p, *kernel_arguments(), cpu=c)
    for model, pattern in (("p4_prescott_celeron_336", NO_VIRTUALIZATION),
                           ("core2_penryn_t9600", r"lacks EPT: guest memory is"),
                           ("corei5_lynnfield_750", r"lacks unrestricted guest: real mode")):
        yield f"Bochs's processor {model}", lambda m=model, p=pattern: bochs_refuses(m, p)
    yield "VT-x disabled by firmware", firmware_disables
    yield "VT-x left unlocked by firmware is enabled", firmware_leaves_unlocked


# ---- ends

def off(machine):
    run = boot(machine=machine, line="quick end=s5")
    run.note("ends by s5")
    run.need(run.status == 0, "the exit status of a power-off is not 0")


def code(number):
    run = boot(line=f"quick end=code:{number}")
    run.need(run.status == number, f"the exit status is not {number}")


def resets(how):
    run = boot(line=f"quick end={how}")
    run.need(run.status == 4, "the exit status of a reset is not 4")
    return run


def bochs_resets(machine, how):
    """Bochs starts again, and the guest says so."""
    run = boot(machine=machine, line=f"quick end={how}")
    run.guest_passed()
    run.need(run.status == 0, "the exit status is not 0")
    banners = sum(line.startswith("Vellum, a hypervisor") for line in run.vellum())
    run.need(banners == 2, f"the hypervisor started {banners} times")
    return run


def triple_fault(run):
    run.says(r"^the first partition's VP 0 shut down \(triple fault\); resetting the machine$")
    run.says(r"^  rip [0-9a-f]{16}  rflags [0-9a-f]{16}$")
    run.says(r"^  rax 0000001234567890 ")
    run.says(r"^  cr0 [0-9a-f]{16}  cr3 ")
    run.says(r"^  idtr [0-9a-f]{16}/0000$|  idtr 0000000000000000/0000$")


def stopped(machine):
    run = boot(machine=machine, guest=kernels.write("kernel", b"no kernel"))
    run.need(run.status == 3, "the exit status of a stop is not 3")
    run.refused(kernels.NO_HEADER)


def late(machine):
    run = boot(machine=machine, line="quick end=spin", limit=8 if machine == "qemu" else 40)
    run.note("ends by spin")
    run.need(run.status == 124, "the exit status at the time limit is not 124")


def wrong_usage():
    for arguments in (["--nonsense"], ["--cpus"], ["--cpus", "two"], ["--machine", "vax"],
                      ["--accel", "magic"]):
        run = boot(*arguments)
        run.need(run.status == 64 and "usage: scripts/boot.sh" in run.errors and not run.text,
                 f"{' '.join(arguments)}: exit status {run.status}")
    run = boot(guest="/nonexistent")
    run.need(run.status == 125 and "cannot read /nonexistent" in run.errors, "no such kernel")


def bochs_failure():
    """A guest's failed test is status 1 on Bochs, where no debug-exit port is."""
    run = boot(machine="bochs-amd", line="role=guest expect=2")
    run.need(run.status == 1, "the exit status of a failed test is not 1")


def ends_group():
    for machine in ("qemu", "bochs-intel", "bochs-amd"):
        yield f"power-off by ACPI, {machine}", lambda m=machine: off(m)
    for how in ("keyboard", "cf9", "msr"):
        yield f"reset, {how}, qemu", lambda h=how: resets(h)
        for machine in ("bochs-intel", "bochs-amd"):
            yield f"reset, {how}, {machine}", lambda m=machine, h=how: bochs_resets(m, h)
    yield "triple fault, qemu", lambda: triple_fault(resets("triple"))
    yield "triple fault, bochs-intel", lambda: triple_fault(bochs_resets("bochs-intel", "triple"))
    yield "triple fault, bochs-amd", lambda: "Bochs itself ends at a triple fault under AMD-V"
    for number in (0, 1, 7, 100):
        yield f"exit status {number}", lambda n=number: code(n)
    for machine in ("qemu", "bochs-intel"):
        yield f"exit status of a stop, {machine}", lambda m=machine: stopped(m)
        yield f"exit status at the time limit, {machine}", lambda m=machine: late(m)
    yield "exit status of a failed test on Bochs", bochs_failure
    yield "wrong usage of boot.sh", wrong_usage


def all_cases():
    groups = {"ways": ways, "machines": machine_group, "words": words_group,
              "refusals": refusals_group, "ends": ends_group}
    return [Case(group, name, function) for group, make in groups.items()
            for name, function in make()]
