#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`make bench-linux`: what Linux loses on Vellum, beside the same kernel on the same bare machine.

Debian's stock kernel runs the loops of guests/linux/work.c on QEMU
 - by the wall clock, each several times in turn and the best taken: on the bare machine,
   on Vellum, and on Vellum with the hypercall interface idle (nopv: Linux takes no notice
   of the hypervisor);
 - with QEMU's time counting instructions, where nested paging is free and what the
   hypervisor itself executes is all that is left;
and idles on QEMU (xAPIC) and on Bochs (x2APIC). Writes build/bench-linux.json. A target that
is missed is printed as missed; the exit status is 1 only when there are no figures.

  scripts/bench_linux.py [--repeat N] [--quick]     --quick: no Bochs, short loops
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))

# name, words, unit of the loop's length, target in percent
LOOPS = [
    ("spin", "a loop in the processor", 1),
    ("fork", "fork, exec and wait", 10),
    ("fault", "page faults", 10),
    ("read", "reading a virtio disk", 10),
]
COUNTED = ("spin", "fork", "fault")
LENGTHS = {"spin": 400_000_000, "cpuid": 20000, "fork": 400, "fault": 200_000, "read": 48, "sleep": 10}
SHORT = {"spin": 40_000_000, "cpuid": 5000, "fork": 100, "fault": 50_000, "read": 16, "sleep": 3}
BOCHS = {"sleep": 10}
KINDS = ["backend's own", "interrupt", "NMI", "hypercall", "CPUID", "RDMSR", "WRMSR", "I/O", "memory",
         "HLT", "exception", "triple fault", "XSETBV", "undefined instruction", "WBINVD",
         "interrupt window", "NMI window", "#GP", "entry failed", "unexpected"]
LOOK = 1 + len(KINDS)  # RDMSRs of one look at a processor's exits
UNAVAILABLE = 77


def boot(what, options, words=None, kernel_words=""):
    """A run of scripts/linux.sh: its console, and the seconds from start to end."""
    environment = {**os.environ, "KERNEL_WORDS": kernel_words,
                   "BENCH_WORDS": " ".join(f"bench.{k}={v}" for k, v in (words or {}).items())}
    started = time.monotonic()
    run = subprocess.run([os.path.join(ROOT, "scripts/linux.sh"), what, "--timeout", "900", *options],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=environment, check=False)
    if run.returncode == UNAVAILABLE:
        sys.exit(run.stderr.decode(errors="replace"))
    if run.returncode != 0:
        print(f"bench_linux.py: {what} {' '.join(options)} ended with status {run.returncode}",
              file=sys.stderr)
    return run.stdout.decode(errors="replace").replace("\r", ""), time.monotonic() - started


def parse(text):
    """{loop: {"ns": time, "seconds": between the looks, "exits": {kind: count}}}."""
    results = {}
    for part in re.split(r"^begin ", text, flags=re.MULTILINE)[1:]:
        name = part.split("\n", 1)[0]
        loop = re.search(r"^bench \S+ (\d+)$", part, re.MULTILINE)
        looks = {}
        for cpu, clock, counts in re.findall(r"^exits (\d+) (\d+) \d+ ([\d ]+)$", part, re.MULTILINE):
            looks.setdefault(cpu, []).append((int(clock), [int(n) for n in counts.split()]))
        result = {"ns": int(loop.group(1)) if loop else None, "exits": {}, "seconds": None}
        for before, after in (pair for pair in looks.values() if len(pair) == 2):
            result["seconds"] = (after[0] - before[0]) / 1e9
            for kind, first, second in zip(KINDS, before[1], after[1]):
                count = second - first - (LOOK if kind == "RDMSR" else 0)
                if count > 0:
                    result["exits"][kind] = result["exits"].get(kind, 0) + count
        results[name] = result
    return results


def best(runs):
    """The shortest time of each loop, with its exits."""
    merged = {}
    for run in runs:
        for name, result in run.items():
            old = merged.get(name)
            if old is None or (result["ns"] or 0) < (old["ns"] or 0):
                merged[name] = result
    return merged


CONFIGURATIONS = {"bare": (["--bare"], ""), "vellum": ([], ""), "idle interface": ([], "nopv")}


def wall_clock(lengths, repeat):
    runs = {name: [] for name in CONFIGURATIONS}
    boots = {name: [] for name in CONFIGURATIONS}
    for _ in range(repeat):
        for name, (options, words) in CONFIGURATIONS.items():
            boots[name].append(boot("brief", options, kernel_words=words)[1])
            runs[name].append(parse(boot("bench", options, lengths, words)[0]))
    return {name: {"boot": min(boots[name]), "loops": best(runs[name])} for name in CONFIGURATIONS}


def counted(lengths):
    # Waiting for a disk takes as long as its host needs, and counts for nothing.
    lengths = {name: length for name, length in lengths.items() if name in COUNTED}
    return {name: parse(boot("bench", [*options, "--icount", "--cpus", "1"], lengths, words)[0])
            for name, (options, words) in CONFIGURATIONS.items() if not words}


def percent(new, old):
    return (new / old - 1) * 100 if new and old else None


def shown(value):
    return "-" if value is None else f"{value:+.1f} %"


def verdict(value, target):
    if value is None:
        return "no figure"
    return f"<= {target} %" if value <= target else f"MISSED (aim: {target} %)"


def rates(result):
    if not result or not result["seconds"]:
        return "no figure"
    total = sum(result["exits"].values())
    parts = [f"{kind} {count / result['seconds']:.1f}" for kind, count in
             sorted(result["exits"].items(), key=lambda pair: -pair[1])]
    return f"{total / result['seconds']:.1f} exits/s ({', '.join(parts) or 'none'})"


def cost_of_exit(wall, lengths):
    """Nanoseconds of a CPUID's exit by the wall clock."""
    with_exit, without = (wall[name]["loops"].get("cpuid", {}).get("ns") for name in ("vellum", "bare"))
    return (with_exit - without) / lengths["cpuid"] if with_exit and without else None


def print_tables(wall, instructions, lengths):
    print("Linux on QEMU (AMD-V, 2 processors), by the wall clock: how much longer than bare")
    print(f"  {'':28}{'bare':>10}{'Vellum':>10}{'':>10}{'interface idle':>16}  of which exits, nested paging")
    cost = cost_of_exit(wall, lengths)
    for name, words, target in [("boot", "boot to power-off", 10), *LOOPS]:
        if name == "boot":
            times = [wall[c]["boot"] for c in CONFIGURATIONS]
            exits = None
        else:
            times = [(wall[c]["loops"].get(name, {}).get("ns") or 0) / 1e9 for c in CONFIGURATIONS]
            exits = sum(wall["vellum"]["loops"].get(name, {}).get("exits", {}).values())
        more = percent(times[1], times[0])
        row = f"  {words:28}{times[0]:8.3f} s{times[1]:8.3f} s{shown(more):>10}" \
              f"{shown(percent(times[2], times[0])):>16}"
        if exits is not None and cost and times[0]:
            of_exits = exits * cost / 1e9 / times[0] * 100
            row += f"  {of_exits:+.1f} %, {shown(more - of_exits)}"
        print(f"{row}  {verdict(more, target)}")
    if cost:
        print(f"  an exit on this emulator: {cost:.0f} ns")
    print("\nthe same, 1 processor, in instructions that the machine executes")
    for name, words, target in (loop for loop in LOOPS if loop[0] in COUNTED):
        bare, vellum = (instructions[c].get(name, {}).get("ns") for c in ("bare", "vellum"))
        more = percent(vellum, bare)
        print(f"  {words:28}{bare or 0:>16,}{vellum or 0:>16,}{shown(more):>10}  {verdict(more, target)}")


def main():
    parser = argparse.ArgumentParser(description="Linux on Vellum beside the bare machine.")
    parser.add_argument("--repeat", type=int, default=3, help="runs by the wall clock (3)")
    parser.add_argument("--quick", action="store_true", help="no Bochs, short loops")
    options = parser.parse_args()
    lengths = SHORT if options.quick else LENGTHS
    wall = wall_clock(lengths, options.repeat)
    instructions = counted(lengths)
    bochs = {} if options.quick else parse(
        boot("bench", ["--machine", "bochs-intel", "--cpus", "1"], BOCHS)[0])
    print_tables(wall, instructions, lengths)
    loops = wall["vellum"]["loops"]
    print("\nexits of all processors")
    print(f"  idle, QEMU (xAPIC): {rates(loops.get('sleep'))}")
    if bochs:
        print(f"  idle, Bochs (x2APIC): {rates(bochs.get('sleep'))}")
    for name, words, _ in LOOPS:
        print(f"  {words}: {rates(loops.get(name))}")
    with open(os.path.join(BUILD, "bench-linux.json"), "w", encoding="utf-8") as file:
        json.dump({"wall": wall, "instructions": instructions, "bochs": bochs}, file, indent=2)
        file.write("\n")
    print(f"\nwritten: {BUILD}/bench-linux.json")
    return 0 if loops and instructions["vellum"] else 1


if __name__ == "__main__":
    sys.exit(main())
