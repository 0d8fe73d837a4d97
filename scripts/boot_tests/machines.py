# SPDX-License-Identifier: MIT
"""Machines for the boot tests: started, watched until they end, looked at."""
import dataclasses
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
IMAGE = f"{BUILD}/vellum.elf"
GUEST = f"{BUILD}/guests/machine.elf"
OVMF = "/usr/share/ovmf/OVMF.fd"
QEMU_LIMIT, UEFI_LIMIT, BOCHS_LIMIT = 60, 150, 150  # seconds; a run takes a tenth of it
STOPPED = "vellum: stopped"

scratch = tempfile.TemporaryDirectory(prefix="vellum-boot-")
counter = itertools.count()


def scratch_file(name):
    """A new name for a file that goes when the tests are over."""
    folder = os.path.join(scratch.name, str(next(counter)))
    os.mkdir(folder)
    return os.path.join(folder, name)


class Failure(Exception):
    """A test did not hold; the text says how."""


@dataclasses.dataclass
class Run:
    """What became of a machine."""
    status: int              # of boot.sh or QEMU; None when it was ended from outside
    text: str                # the console
    errors: str = ""         # what the emulator or boot.sh said
    timed_out: bool = False

    def vellum(self):
        return [line[8:] for line in self.text.splitlines() if line.startswith("vellum: ")]

    def show(self):
        """Its last lines, for a failed test."""
        lines = [f"exit status {self.status}{', at the time limit' if self.timed_out else ''}"]
        lines += self.errors.splitlines()[-10:]
        return lines + [line for line in self.text.splitlines()
                        if "not the partition's own" not in line][-25:]

    # ---- what a test may ask

    def need(self, condition, complaint):
        if not condition:
            raise Failure("\n".join([complaint, *self.show()]))

    def says(self, pattern):
        """The first match of the pattern in a line of the hypervisor's; needs one."""
        for line in self.vellum():
            found = re.search(pattern, line)
            if found:
                return found
        return self.need(False, f"the hypervisor does not say /{pattern}/")

    def guest_passed(self):
        """The guest ran to its plan and no result of its is bad."""
        results = re.findall(r"^(not )?ok \d+", self.text, re.MULTILINE)
        plan = re.search(r"^1\.\.(\d+)\r?$", self.text, re.MULTILINE)
        self.need(plan, "the guest did not come to its end")
        self.need(int(plan.group(1)) == len(results) > 0, "results of the guest are missing")
        self.need("not " not in results, "the guest reports a failure")

    def note(self, pattern):
        """The first match in the guest's notes; needs one."""
        found = re.search(r"^# " + pattern, self.text, re.MULTILINE)
        self.need(found, f"the guest does not say /{pattern}/")
        return found

    def guest_line(self):
        """The guest's command line."""
        return self.note(r'command line "(.*)"\r?$').group(1)

    def refused(self, pattern, words=4):
        """One clear line of the hypervisor's that matches, then that it has stopped; no more."""
        self.need(not self.timed_out, "it neither ran nor stopped")
        lines = [line for line in self.vellum() if not line.startswith("Vellum, a hypervisor")]
        self.need(lines and lines[-1] == "stopped", "the hypervisor does not say that it stopped")
        self.need(any(re.search(pattern, line) for line in lines),
                  f"no line of the hypervisor's says /{pattern}/")
        self.need(not re.search("panic|exception|assert", " ".join(lines)), "it panicked")
        self.need(len(lines) <= words, "it takes many lines to refuse")


def boot(*arguments, machine="qemu", cpus=2, memory=512, hv="", limit=None, guest=GUEST, line="",
         modules=()):
    """A run by scripts/boot.sh. modules: pairs of file and command line."""
    limit = limit or (QEMU_LIMIT if machine == "qemu" else BOCHS_LIMIT)
    command = ["scripts/boot.sh", "--machine", machine, "--cpus", str(cpus), "--memory",
               str(memory), "--timeout", str(limit), "--image", IMAGE, *arguments]
    if hv:
        command += ["--hv", hv]
    command += [guest, line]
    for file, words in modules:
        command += ["--module", file, words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=limit + 60, check=False)
    return Run(done.returncode, done.stdout.decode(errors="replace"),
               done.stderr.decode(errors="replace"), done.returncode == 124)


def watch(command, console, limit):
    """Runs an emulator until it ends, the hypervisor has stopped, or the limit."""
    log = scratch_file("log")
    status, timed_out, end = None, False, time.monotonic() + limit
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT)
    try:
        while status is None:
            try:
                status = process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                if STOPPED in read_text(console):
                    break
                if time.monotonic() > end:
                    timed_out = True
                    break
    finally:
        process.kill()
        process.wait()
    return Run(status, read_text(console), read_text(log), timed_out)


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def qemu(*arguments, cpus=2, memory=512, cpu="max", machine="pc", limit=QEMU_LIMIT, serial=None):
    """A run of QEMU as it is. serial: arguments that replace the usual console."""
    console = scratch_file("console")
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", cpu, "-machine", machine,
               "-smp", str(cpus), "-m", str(memory), "-display", "none", "-monitor", "none",
               "-no-reboot", "-nic", "none",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
               *(serial or ["-serial", f"file:{console}"]), *arguments]
    run = watch(command, console, limit)
    if run.status is not None and run.status % 2 == 1:
        run.status = (run.status - 1) // 2
    return run


def kernel_arguments(line="", hv="", guest=GUEST):
    """QEMU's own Multiboot loader: hypervisor and first partition."""
    element = f"{guest} {line}".replace(",", ",,")
    return ["-kernel", IMAGE, "-append", hv, "-initrd", element]


def bochs(iso, model, cpus=2, memory=512, limit=BOCHS_LIMIT, com1=True,
          bios="/usr/share/bochs/BIOS-bochs-latest"):
    """A run of Bochs from a CD. The status is 0 when the guest powered it off."""
    console, log = scratch_file("console"), scratch_file("bochs.log")
    rc, go = scratch_file("bochsrc"), scratch_file("continue")
    with open(go, "w", encoding="ascii") as file:
        file.write("c\n")
    with open(rc, "w", encoding="ascii") as file:
        file.write(f"""plugin_ctrl: unmapped=1, iodebug=1
config_interface: textconfig
display_library: rfb, options="timeout=0"
memory: guest={memory}, host={min(memory, 2048)}
romimage: file={bios}
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model={model}, count={cpus}, ips=50000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
com1: {'enabled=1, mode=file, dev=' + console if com1 else 'enabled=0'}
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
clock: sync=none, time0=946684800
log: {log}
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
""")
    run = watch(["bochs", "-q", "-f", rc, "-rc", go], console, limit)
    if run.status is not None:
        off = re.search("shutdown requested|soft power off", read_text(log), re.IGNORECASE)
        run.status = 0 if off else 2
    return run


def make_iso(line="", hv="", guest=GUEST, modules=(), options=()):
    """An ISO by scripts/mkiso.sh."""
    iso = scratch_file("vellum.iso")
    command = ["scripts/mkiso.sh", *options, iso, hv, guest, line]
    for file, words in modules:
        command += ["--module", file, words]
    done = subprocess.run(command, capture_output=True, check=False,
                          env={**os.environ, "VELLUM_IMAGE": IMAGE})
    if done.returncode != 0:
        raise Failure("mkiso.sh failed\n" + done.stderr.decode(errors="replace"))
    return iso


def grub_iso(before, grub_modules, line="", hv="", module=True):
    """An ISO for a BIOS whose GRUB does something else first."""
    folder, iso = scratch_file("cd"), scratch_file("grub.iso")
    os.makedirs(f"{folder}/boot/grub")
    for name, file in (("vellum.elf", IMAGE), ("guest.elf", GUEST)):
        shutil.copy(file, f"{folder}/boot/{name}")
    with open(f"{folder}/boot/grub/grub.cfg", "w", encoding="ascii") as file:
        file.write(f"set timeout=0\nmenuentry Vellum {{\n{before}\n"
                   f"multiboot2 /boot/vellum.elf {hv}\n" +
                   (f"module2 /boot/guest.elf guest {line}\n" if module else "") + "}\n")
    done = subprocess.run(
        ["grub-mkrescue", "-o", iso, folder, "--locales=", "--fonts=", "--themes=",
         "-d", "/usr/lib/grub/i386-pc", "--install-modules=multiboot2 iso9660 part_msdos biosdisk "
         "normal boot " + grub_modules], capture_output=True, check=False)
    if done.returncode != 0:
        raise Failure("grub-mkrescue failed\n" + done.stderr.decode(errors="replace"))
    return iso
