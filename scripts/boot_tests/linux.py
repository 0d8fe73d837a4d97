# SPDX-License-Identifier: MIT
"""Debian's stock kernel: how it starts and ends, and what is refused in words."""
import functools
import os
import re
import subprocess

from kernels import write
from machines import BUILD, OVMF, UEFI_LIMIT, boot, make_iso, qemu, Run

LIMIT = 120
KERNEL = f"{BUILD}/linux/linux-image-cloud-amd64/vmlinuz"
INITRD = f"{BUILD}/linux/linux-image-cloud-amd64/initramfs"
LINE = "console=ttyS0 quiet panic=-1 vellum.run="


@functools.lru_cache
def missing():
    """None when the kernel is there, else why it is not."""
    done = subprocess.run(["scripts/linux.sh", "fetch"], capture_output=True, check=False)
    return done.stderr.decode(errors="replace").strip().splitlines()[-1] if done.returncode else None


def need_linux(function):
    @functools.wraps(function)
    def wrapped(*arguments, **options):
        return missing() or function(*arguments, **options)
    return wrapped


def linux(what, *options):
    done = subprocess.run(["scripts/linux.sh", what, "--timeout", str(LIMIT), *options],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return Run(done.returncode, done.stdout.decode(errors="replace"),
               done.stderr.decode(errors="replace"), done.returncode == 124)


@need_linux
def reboots():
    run = linux("reboot")
    run.need(run.status == 4, "the machine was not reset")
    run.guest_passed()


@need_linux
def panics(*options):
    run = linux("panic", *options)
    run.says(r"^partition 1 VP \d+ crashed: .*Kernel panic - not syncing: sysrq triggered crash")
    run.need(run.status == 4, "Linux did not reset the machine afterwards")


@need_linux
def diagnoses():
    """Log level and exit counts, while it runs."""
    run = linux("diagnose")
    run.guest_passed()
    debug = re.search(r"^ok 1(.*)^ok 2", run.text.replace("\r", ""), re.MULTILINE | re.DOTALL)
    lines = debug.group(1) if debug else ""
    run.need("read MSR 0x12345: #GP" in lines, "log=debug at run time shows nothing")
    run.need(run.text.count("read MSR 0x12345: #GP") == 1, "what log=debug shows is there without it")
    counts = [int(run.says(rf"^processor {cpu}: (\d+) exits: .*CPUID \d+").group(1))
              for cpu in (0, 1)]
    run.need(min(counts) > 0, "there are no exits")


@need_linux
def shell(machine, limit):
    """Types a command when the prompt is there, and the end when the answer is."""
    answers = [("/ # ", "echo $((6*7)) here\n"), ("42 here", "poweroff -f\n")]
    text = ""
    with subprocess.Popen(["scripts/linux.sh", "shell", "--machine", machine, "--cpus", "1",
                           "--timeout", str(limit)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, bufsize=0) as process:
        while data := process.stdout.read(4096):
            text += data.decode(errors="replace")
            while answers and answers[0][0] in text:
                process.stdin.write(answers.pop(0)[1].encode())
    run = Run(process.returncode, text, timed_out=process.returncode == 124)
    run.need(not answers, "the shell does not answer")
    run.need(run.status == 0, "the machine did not go off")


@need_linux
def by_uefi():
    if not os.path.exists(OVMF):
        return f"no UEFI firmware at {OVMF}"
    iso = make_iso(LINE + "brief", "role=guest", guest=KERNEL, modules=((INITRD, ""),))
    run = qemu("-cdrom", iso, "-bios", OVMF, machine="q35", memory=1024, limit=UEFI_LIMIT)
    run.says(r"^AMD-V, 2 processors")
    run.guest_passed()
    return None


@need_linux
def starts_by(bits, change=None):
    kernel = KERNEL
    if change:
        with open(KERNEL, "rb") as file:
            kernel = write("vmlinuz", change(file.read()))
    run = boot(guest=kernel, line=LINE + "brief", hv="role=guest log=debug",
               modules=((INITRD, ""),))
    run.says(rf"^first partition: Linux .*, {bits}-bit entry")
    run.guest_passed()


@need_linux
def refused(pattern, change=None, memory=512, line=LINE, modules=True):
    with open(KERNEL, "rb") as file:
        content = file.read()
    kernel = write("vmlinuz", change(content)) if change else KERNEL
    boot(guest=kernel, line=line, memory=memory,
         modules=((INITRD, ""),) if modules else ()).refused(pattern)


def with_bytes(at, new):
    return lambda content: content[:at] + new + content[at + len(new):]


def cases():
    yield "reboot", reboots
    yield "a panic is told by the crash MSRs", panics
    yield "a panic is told by the crash MSRs, role=root, 1 processor", \
        lambda: panics("--hv", "role=root", "--cpus", "1")
    yield "log level and exit counts while it runs", diagnoses
    yield "the 64-bit boot protocol", lambda: starts_by(64)
    yield "the 32-bit boot protocol", lambda: starts_by(32, with_bytes(0x236, b"\0\0"))
    yield "a shell, qemu", lambda: shell("qemu", LIMIT)
    yield "a shell, bochs-intel", lambda: shell("bochs-intel", 3 * LIMIT)
    yield "UEFI, CD, q35", by_uefi
    yield "a truncated kernel", lambda: refused(
        r"first module cannot be started: .*(truncated|short|end)", lambda c: c[:len(c) // 2])
    yield "a kernel that ends in its header", lambda: refused(
        r"first module cannot be started: ", lambda c: c[:0x210])
    yield "a boot protocol of long ago", lambda: refused(
        r"first module cannot be started: .*protocol", with_bytes(0x206, b"\x03\x02"))
    yield "too little memory for the kernel", lambda: refused(
        r"^too little memory: no room for this Linux kernel, which needs \d+ KiB", memory=56,
        modules=False)
    yield "a command line that is too long for it", lambda: refused(
        r"command line is longer than the 10 characters that this Linux",
        with_bytes(0x238, b"\x0a\0\0\0"))
