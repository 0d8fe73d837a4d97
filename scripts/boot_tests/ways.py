# SPDX-License-Identifier: MIT
"""Every way in: loaders, firmware, media."""
import functools

from checks import UEFI_KIB, runs_well
from machines import OVMF, UEFI_LIMIT, bochs, boot, kernel_arguments, make_iso, qemu


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
    return ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,snapshot=on,file={iso}",
            "-device", "usb-storage,drive=stick"]


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


def cases():
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
