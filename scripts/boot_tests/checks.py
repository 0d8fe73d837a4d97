# SPDX-License-Identifier: MIT
"""What the boot tests ask of a run of guests/machine."""
import re

FIRMWARE_KIB = 8 * 1024   # of a PC's memory that firmware keeps, at most
UEFI_KIB = 32 * 1024


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
