# SPDX-License-Identifier: MIT
"""What cannot run gets one clear answer: bad kernels, missing features, too little memory."""
import kernels
from machines import IMAGE, bochs, grub_iso, kernel_arguments, make_iso, qemu

SEABIOS = "/usr/share/seabios/bios-256k.bin"
NO_VIRTUALIZATION = r"neither VT-x nor AMD-V"
NO_LONG_MODE = r"no 64-bit mode"
NO_REAL_MODE = r"lacks unrestricted guest: real mode runs on"


def refuses(pattern, *arguments, **options):
    qemu(*arguments, **options).refused(pattern)


def bochs_refuses(model, *patterns):
    """Each thing that is missing is named in a line of its own."""
    run = bochs(make_iso(options=["--bios"]), model)
    for pattern in patterns:
        run.refused(pattern, words=12)


def firmware_disables():
    """Bochs's own BIOS locks feature control as enabled; SeaBIOS leaves it to GRUB."""
    iso = grub_iso("wrmsr 0x3a 1", "wrmsr")
    bochs(iso, "corei7_skylake_x", cpus=1, bios=SEABIOS).refused(r"VT-x is disabled by firmware")


def firmware_leaves_unlocked():
    run = bochs(grub_iso("", "", "quick end=code:0"), "corei7_haswell_4770", cpus=1, bios=SEABIOS)
    run.need(run.status == 0, "feature control, found unlocked, is not set")


def cases():
    yield "no module", lambda: refuses(r"^there is no module: the first one must be",
                                       *kernel_arguments()[:4])
    yield "no module, by GRUB", lambda: refuses(
        r"^there is no module: the first one must be", "-cdrom", grub_iso("", "", module=False))
    for name, content, pattern in kernels.bad():
        yield f"module: {name}", lambda c=content, p=pattern: refuses(
            p, *kernel_arguments(guest=kernels.write("kernel", c)))
    yield "a kernel where the modules have to be", lambda: refuses(
        r"^the first module cannot be started: too little memory", "-kernel", IMAGE, "-initrd",
        f"{kernels.write('kernel', kernels.elf([(0x100000, 16, 40 << 20)]))},"
        f"{kernels.write('module', bytes(20 << 20))}", memory=64)
    yield "33 modules", lambda: refuses(
        r"cannot be used: there are more than 32 modules$", *kernel_arguments()[:-1],
        ",".join(33 * [kernels.write("part", b"part")]))
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
    for model, *patterns in (("p4_prescott_celeron_336", NO_VIRTUALIZATION),
                             ("core2_penryn_t9600", r"lacks EPT: guest memory is", NO_REAL_MODE),
                             ("corei5_lynnfield_750", NO_REAL_MODE)):
        yield f"Bochs's processor {model}", lambda m=model, p=patterns: bochs_refuses(m, *p)
    yield "VT-x disabled by firmware", firmware_disables
    yield "VT-x left unlocked by firmware is enabled", firmware_leaves_unlocked
