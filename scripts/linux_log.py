#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What Linux complains of on Vellum and not on the same bare machine, printed as TAP.

  scripts/linux_log.py [options of scripts/linux.sh]

Boots the kernel twice, with the hypervisor and without, and compares what it logs as a
warning or worse. guests/linux/accepted.txt says which differences are meant to be, and
why. Exit status 0 when there are no others.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WARNING = 4  # <level> of the kernel's log: this and what is below it is looked at
UNAVAILABLE = 77


def boot(options):
    """The kernel's log: (level, text) of each line. Exits when there is none."""
    run = subprocess.run(["scripts/linux.sh", "log", "--timeout", "150", *options],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, check=False)
    text = run.stdout.decode(errors="replace").replace("\r", "")
    lines = [(int(level) & 7, words.strip()) for level, words in
             re.findall(r"^<(\d+)>\[ *\d+\.\d+\] (.*)$", text, re.MULTILINE)]
    if run.returncode != 0 or len(lines) < 100:
        print(text[-2000:])
        if run.returncode == UNAVAILABLE:
            sys.exit(UNAVAILABLE)
        print(f"Bail out! no log by {' '.join(options)}: exit status {run.returncode}")
        sys.exit(1)
    return lines


def alike(text):
    """The text without what differs from run to run: numbers and addresses."""
    return re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+", "#", text)


def accepted():
    """Pairs of a pattern and its reason."""
    pairs = []
    with open("guests/linux/accepted.txt", encoding="ascii") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                pattern, reason = line.rstrip("\n").split("  ", 1)
                pairs.append((pattern, reason.strip()))
    return pairs


def without(options, *names):
    """The options less some of the hypervisor's own that take a value."""
    kept, skip = [], False
    for option in options:
        if not skip and option not in names:
            kept.append(option)
        skip = not skip and option in names
    return kept


def main():
    os.chdir(ROOT)
    options = sys.argv[1:]
    bare = boot([*without(options, "--hv"), "--bare"])
    vellum = boot(options)
    known = {alike(text) for _, text in bare}
    new = [text for level, text in vellum if level <= WARNING and alike(text) not in known]
    reasons, failed = accepted(), []
    for text in new:
        reason = next((why for pattern, why in reasons if re.search(pattern, text)), None)
        if reason:
            print(f"# accepted: {text}\n#   {reason}")
        else:
            failed.append(text)
    warnings = sum(level <= WARNING for level, _ in vellum)
    print(f"{'not ok' if failed else 'ok'} 1 - no complaint among {len(vellum)} lines of Linux's "
          f"log ({warnings} warnings) that the bare machine's {len(bare)} do not have")
    for text in failed:
        print(f"#   {text}")
    hypervisor = any("Hypervisor detected: Microsoft Hyper-V" in text for _, text in vellum)
    alone = not any("Hypervisor detected: Microsoft" in text for _, text in bare)
    print(f"{'ok' if hypervisor and alone else 'not ok'} 2 - only one of the two sees a "
          "Microsoft hypervisor\n1..2")
    return 1 if failed or not (hypervisor and alone) else 0


if __name__ == "__main__":
    sys.exit(main())
