# SPDX-License-Identifier: MIT
"""How a run ends: power-off, resets, exit statuses of scripts/boot.sh."""
import os
import re
import shutil
import signal
import subprocess

import kernels
from machines import GUEST, IMAGE, Failure, boot, kernel_arguments, qemu, scratch_file


def off(machine):
    run = boot(machine=machine, line="quick end=s5")
    run.note("ends by s5")
    run.need(run.status == 0, "the exit status of a power-off is not 0")


def off_q35():
    run = qemu(*kernel_arguments("quick end=s5"), machine="q35")
    run.note("ends by s5")
    run.need(run.status == 0, "the machine is not off")


def code(number):
    run = boot(line=f"quick end=code:{number}")
    run.need(run.status == number, f"the exit status is not {number}")


def resets(how):
    run = boot(line=f"quick end={how}")
    run.need(run.status == 4, "the exit status of a reset is not 4")
    return run


# How Bochs 2.7 starts again with its own BIOS, without a hypervisor as well.
BOCHS_AGAIN = {
    ("keyboard", "bochs-amd"): None,  # the guest runs a second time
    ("cf9", "bochs-amd"): r"BIOS.*Keyboard error:21",
    ("msr", "bochs-amd"): r"BIOS.*Keyboard error:21",
    ("cf9", "bochs-intel"): r"BIOS.*Keyboard error:21",
    ("msr", "bochs-intel"): r"BIOS.*Keyboard error:21",
    ("triple", "bochs-intel"): r"BIOS.*Keyboard error:21",
}


def bochs_resets(machine, how):
    """Bochs starts again: its BIOS runs, and, where that can, the guest, which says so."""
    panic = BOCHS_AGAIN[how, machine]
    run = boot(machine=machine, line=f"quick end={how}")
    run.note(f"ends by {how}")
    if panic:
        run.need(run.status == 2 and re.search(panic, run.errors), "Bochs does not start again")
        return run
    run.guest_passed()
    run.need(run.status == 0, "the exit status is not 0")
    banners = sum(line.startswith("Vellum, a hypervisor") for line in run.vellum())
    run.need(banners == 2, f"the hypervisor started {banners} times")
    return run


def triple_fault(run, processor=0):
    run.says(rf"^the first partition's VP {processor} shut down \(triple fault\); resetting")
    run.says(r"^  rip [0-9a-f]{16}  rflags [0-9a-f]{16}$")
    run.says(r"^  rax 0000001234567890 ")
    run.says(r"^  cr0 [0-9a-f]{16}  cr3 ")
    run.says(r"^  gdtr [0-9a-f]{16}/[0-9a-f]{4}  idtr 0000000000000000/0")


def stopped(machine):
    run = boot(machine=machine, guest=kernels.write("kernel", b"no kernel"))
    run.need(run.status == 3, "the exit status of a stop is not 3")
    run.refused(kernels.NO_HEADER)


def late():
    run = boot(line="quick end=spin", limit=8)
    run.note("ends by spin")
    run.need(run.status == 124, "the exit status at the time limit is not 124")


def late_on_bochs():
    run = boot(machine="bochs-intel", line="quick end=spin", limit=3)
    run.need(run.status == 124, "the exit status at the time limit is not 124")


def bare():
    run = boot("--bare", line="expect=2")
    run.guest_passed()
    run.need(run.status == 0 and not run.vellum(), "the guest is not alone")


def odd_names():
    name = scratch_file("a kernel, with spaces=and commas.elf")
    shutil.copy(GUEST, name)
    run = boot(guest=name, line="a, b", modules=[(name, "c, d")])
    run.guest_passed()
    run.need(run.guest_line().endswith(" a, b") and run.note("module 0:.* c, d"), "lines are lost")


def terminated():
    """boot.sh takes its emulator and its files with it."""
    folder = os.path.dirname(scratch_file("x"))
    with subprocess.Popen(["scripts/boot.sh", "--image", IMAGE, "--timeout", "60", GUEST,
                           "quick end=spin"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "TMPDIR": folder}) as process:
        for line in process.stdout:
            if line.startswith("# ends by"):
                break
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        status = process.wait(timeout=30)
    if status != 143 or os.listdir(folder):
        raise Failure(f"exit status {status}, left behind: {os.listdir(folder)}")
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", encoding="utf-8", errors="replace") as file:
                if folder + "/" in file.read():
                    raise Failure(f"process {number} goes on")
        except OSError:
            pass


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


def cases():
    for machine in ("qemu", "bochs-intel", "bochs-amd"):
        yield f"power-off by ACPI, {machine}", lambda m=machine: off(m)
    yield "power-off by ACPI, q35", off_q35
    for how in ("keyboard", "cf9", "msr", "msr from=1"):
        yield f"reset, {how}, qemu", lambda h=how: resets(h)
    for how, machine in BOCHS_AGAIN:
        if how != "triple":
            yield f"reset, {how}, {machine}", lambda m=machine, h=how: bochs_resets(m, h)
    yield "triple fault, qemu", lambda: triple_fault(resets("triple"))
    yield "triple fault of another processor, qemu", \
        lambda: triple_fault(resets("triple from=1"), 1)
    yield "triple fault, bochs-intel", lambda: triple_fault(bochs_resets("bochs-intel", "triple"))
    yield "triple fault, bochs-amd", lambda: "Bochs itself ends at a triple fault under AMD-V"
    for number in (0, 1, 7, 100):
        yield f"exit status {number}", lambda n=number: code(n)
    for machine in ("qemu", "bochs-intel"):
        yield f"exit status of a stop, {machine}", lambda m=machine: stopped(m)
    yield "exit status at the time limit, qemu", late
    yield "exit status at the time limit, bochs-intel", late_on_bochs
    yield "boot.sh --bare", bare
    yield "exit status of a failed test on Bochs", bochs_failure
    yield "file names with spaces and commas", odd_names
    yield "boot.sh is terminated", terminated
    yield "wrong usage of boot.sh", wrong_usage
