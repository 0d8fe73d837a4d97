#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What an exit costs, in instructions, on Bochs (VT-x and AMD-V) and on QEMU's instruction count.

Boots guests/bench on each machine, prints its figures beside those of KVM and
Xen (measured with the same loops on the same emulators) and beside what we aim
at, and writes build/bench.json and build/bench.svg. Bochs's debugger lists what
a round trip executes, of which those instructions are counted that cost much on
a real machine or leave a nested hypervisor. A target that is missed is printed
as missed; the exit status is 1 only when a machine gave no figures.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))

MACHINES = {
    "bochs-intel": ("VT-x, Bochs skylake", ["--machine", "bochs-intel"]),
    "bochs-amd": ("AMD-V, Bochs zambezi", ["--machine", "bochs-amd"]),
    "qemu": ("AMD-V, QEMU icount", ["--machine", "qemu", "--icount"]),
}

# name in the guest's output, words, target on Bochs
FIGURES = [
    ("hypercall", "hypercall (GetPartitionId) and back", 250),
    ("cpuid", "CPUID", 250),
    ("rdmsr", "RDMSR of a trapped MSR (0x1B)", 250),
    ("touch", "a child's first touch of an unmapped page, up to the message", 1500),
    ("dispatch-io", "DispatchVp that ends in an I/O intercept, and back", 1500),
    ("dispatch-dirty", "  the same, rip written into the register page", None),
    ("map-and-unmap", "MapVpStatePage, then UnmapVpStatePage", 2500),
    ("map-state-page", "  MapVpStatePage (0xE1)", None),
    ("unmap-state-page", "  UnmapVpStatePage (0xE2)", None),
]

# Instructions per round trip of others: the same guest loops, the same emulators.
OTHERS = {
    "KVM, Linux 6.1": {
        "bochs-intel": {"hypercall": 1016, "cpuid": 977, "rdmsr": 1093},
        "bochs-amd": {"hypercall": 1176, "cpuid": 1120, "rdmsr": 1189},
        "qemu": {"hypercall": 2937, "cpuid": 2702, "rdmsr": 2768},
    },
    "Xen 4.17": {
        "bochs-intel": {"hypercall": 1823, "cpuid": 1364, "rdmsr": 788},
        "bochs-amd": {"hypercall": 1449, "cpuid": 1297, "rdmsr": 658},
    },
}

# Whose instructions are counted, as the guest calls them (word "trace"), and their titles.
TRACED = {"hypercall": "hypercall", "cpuid": "CPUID", "dispatch-io": "DispatchVp, I/O"}

# What is counted: words, instructions, the machines that have them. "locked" are those with a LOCK
# prefix and XCHG with memory.
COUNTED = [
    ("VMREAD", ["vmread"], "bochs-intel"),
    ("VMWRITE", ["vmwrite"], "bochs-intel"),
    ("VMPTRLD, VMCLEAR", ["vmptrld", "vmclear"], "bochs-intel"),
    ("INVEPT, INVVPID", ["invept", "invvpid"], "bochs-intel"),
    ("VMLOAD, VMSAVE", ["vmload", "vmsave"], "bochs-amd"),
    ("CLGI, STGI", ["clgi", "stgi"], "bochs-amd"),
    ("INVLPGA", ["invlpga"], "bochs-amd"),
    ("RDMSR", ["rdmsr"], "bochs-intel bochs-amd"),
    ("WRMSR", ["wrmsr"], "bochs-intel bochs-amd"),
    ("XSETBV", ["xsetbv"], "bochs-intel bochs-amd"),
    ("locked instructions", ["locked"], "bochs-intel bochs-amd"),
    ("entries: VMLAUNCH, VMRESUME", ["vmlaunch", "vmresume"], "bochs-intel"),
    ("entries: VMRUN", ["vmrun"], "bochs-amd"),
]
ENTRIES = {"vmlaunch", "vmresume", "vmrun"}

# The parts of the hypervisor, by file name; what no pattern takes is the core.
PARTS = [
    ("loading kernels", r"boot/.*"),
    ("hardware tables", r"svm/svm\.h|vmx/vmx\.h|vmx/vmcs\.h|hv/(.*/)?(arch|registers)\.h|.*/cpuid_bits\.[ch]"),
    ("ABI declarations", r"hypercalls/abi[^/]*\.h"),
    ("diagnosis", r"(.*/)?((console|panic|report|backtrace|diagnostics)\.[ch]|(dump|consistency|names)\.c)"),
]
CORE = "the core"

CORE_TARGET = 9300
BOOT_TARGET = 20_000_000
IMAGE_TARGET = 256 * 1024
MEMORY_TARGET = 24 * 1024  # KiB


def boot(arguments, guest, *words):
    command = [os.path.join(ROOT, "scripts/boot.sh"), *arguments, "--timeout", "300",
               os.path.join(BUILD, "guests", guest + ".elf"), *words]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace",
                          check=False).stdout


def measure(machine):
    """{figure: instructions} of guests/bench, and the ticks from entry to the first guest."""
    words = MACHINES[machine][1]
    output = boot([*words, "--cpus", "1"], "bench")
    figures = {name: int(value) for name, value in re.findall(r"^bench: (\S+) (\d+)$", output, re.M)}
    if machine.startswith("bochs"):
        start = boot([*words, "--cpus", "1", "--hv", "log=debug"], "hello")
        found = re.search(r"(\d+) TSC ticks since the boot loader's jump", start)
        if found:
            figures["boot"] = int(found.group(1))
    return figures


def count(listing):
    """How often each instruction is in a listing of Bochs's debugger; None if one is missing."""
    counts, name = Counter(), None
    for line in listing.splitlines():
        if not line.startswith("(0).["):
            continue
        found = re.search(r"ctxt\): (lock )?(?:rep\w* )?(\w+) ?(.*?) *; [0-9a-f]+$", line)
        if found:
            lock, name, operands = found.groups()
            counts[name] += 1
            counts["locked"] += bool(lock or (name == "xchg" and "[" in operands))
        elif name not in ENTRIES:  # only what a child executes may be out of the debugger's sight
            return None
    return counts


def per_round(counts, rounds):
    names = [name for _, names, _ in COUNTED for name in names if counts[name]]
    return {name: counts[name] / rounds for name in names}


def trace(machine):
    """{kind of round trip: {instruction: how often in one}}, as Bochs's debugger lists them."""
    with tempfile.NamedTemporaryFile("r", prefix="vellum.") as file:
        output = boot([*MACHINES[machine][1], "--cpus", "1", "--trace", file.name], "bench", "trace")
        listings = file.read().split("Tracing enabled")[1:]
    kinds = re.findall(r"^trace: (\S+) (\d+)$", output, re.M)
    counts = [count(listing) for listing in listings]
    if len(kinds) != len(counts) or None in counts:
        return {}
    return {kind: per_round(counts, int(rounds)) for (kind, rounds), counts in zip(kinds, counts)}


def memory_kept():
    found = re.search(r"(\d+) KiB kept by the hypervisor", boot(["--cpus", "4"], "hello"))
    return int(found.group(1)) if found else None


def sources():
    """The hypervisor's files, tests apart, as paths below the root."""
    for top in ("boot", "hv", "vmx", "svm", "mm", "hypercalls"):
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = [name for name in folders if name != "fake"]
            for name in names:
                if name.endswith((".c", ".h", ".asm", ".ld")) and not re.search("_(test|fuzz)[.]", name):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def lines_of_code():
    """Lines in all, and by part those that are neither blank nor comment."""
    total = {"all": 0, "code": 0, "parts": dict.fromkeys([name for name, _ in PARTS] + [CORE], 0)}
    for path in sources():
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = file.read()
        total["all"] += text.count("\n")
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        code = sum(1 for line in text.split("\n") if line.strip() and not line.strip().startswith(";"))
        part = next((name for name, pattern in PARTS if re.fullmatch(pattern, path)), CORE)
        total["code"] += code
        total["parts"][part] += code
    return total


def verdict(value, target):
    if value is None:
        return "no figure"
    if target is None:
        return ""
    return f"<= {target:,}" if value <= target else f"MISSED (aim: {target:,})"


def print_table(results):
    for machine, (words, _) in MACHINES.items():
        print(f"\n{words}: instructions per round trip, as the guest sees it")
        others = [name for name in OTHERS if machine in OTHERS[name]]
        print(f"  {'':62}{'Vellum':>8}" + "".join(f"{name:>16}" for name in others))
        for name, text, target in FIGURES:
            value = results[machine].get(name)
            row = f"  {text:62}{value if value is not None else '-':>8}"
            for other in others:
                row += f"{OTHERS[other][machine].get(name, ''):>16}"
            if machine.startswith("bochs"):
                row += "  " + verdict(value, target)
            print(row)


def print_traces(traces):
    for machine, kinds in traces.items():
        print(f"\n{MACHINES[machine][0]}: what a round trip executes")
        print(f"  {'':30}" + "".join(f"{title:>17}" for title in TRACED.values()))
        for words, names, machines in COUNTED:
            if machine not in machines.split():
                continue
            row = f"  {words:30}"
            for kind in TRACED:
                value = sum(kinds[kind].get(name, 0) for name in names) if kind in kinds else "-"
                row += f"{value:>17}" if value == "-" else f"{value:>17g}"
            print(row)


def print_rest(results, sizes):
    print()
    for machine in ("bochs-intel", "bochs-amd"):
        value = results[machine].get("boot")
        print(f"from the hypervisor's entry to the first guest instruction, {MACHINES[machine][0]}: "
              f"{value or 0:,} instructions  {verdict(value, BOOT_TARGET)}")
    print(f"image: {sizes['image']:,} bytes  {verdict(sizes['image'], IMAGE_TARGET)}")
    print(f"memory kept from a guest of 512 MiB with 4 processors: {sizes['memory'] or 0:,} KiB  "
          f"{verdict(sizes['memory'], MEMORY_TARGET)}")
    print_lines(sizes["lines"])


def print_lines(lines):
    print(f"\nlines of C, assembly and the linker script: {lines['all']:,}, of which "
          f"{lines['code']:,} are neither blank nor comment:")
    for part, number in lines["parts"].items():
        met = "met, " if number <= CORE_TARGET else ""
        print(f"  {part:20}{number:>8,}" +
              (f"  {met}{verdict(number, CORE_TARGET)}" if part == CORE else ""))


def svg(results):
    """A bar chart of the three plain exits, Vellum beside the others, one group a machine."""
    bars, colours = [], {"Vellum": "#2f6f4f", "KVM, Linux 6.1": "#b0672b", "Xen 4.17": "#6b7fa6"}
    for machine in ("bochs-intel", "bochs-amd"):
        for name in ("hypercall", "cpuid", "rdmsr"):
            group = [("Vellum", results[machine].get(name, 0))]
            group += [(other, OTHERS[other][machine][name]) for other in OTHERS]
            bars.append((f"{name}, {MACHINES[machine][0]}", group))
    highest = max(value for _, group in bars for _, value in group)
    lines, y = [], 40
    for label, group in bars:
        lines.append(f'<text x="10" y="{y}" font-weight="bold">{label}</text>')
        for who, value in group:
            y += 18
            width = 480 * value / highest
            lines.append(f'<text x="10" y="{y}">{who}</text>'
                         f'<rect x="130" y="{y - 11}" width="{width:.1f}" height="13" '
                         f'fill="{colours[who]}"/><text x="{136 + width:.1f}" y="{y}">{value}</text>')
        y += 30
    title = "Instructions per round trip (fewer is better)"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="680" height="{y}" '
            f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
            f'<text x="10" y="18" font-size="14">{title}</text>' + "".join(lines) + "</svg>\n")


def main():
    traced = ["bochs-intel", "bochs-amd"]
    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(MACHINES, pool.map(measure, MACHINES)))
        traces = dict(zip(traced, pool.map(trace, traced)))
    sizes = {
        "image": os.path.getsize(os.path.join(BUILD, "vellum.elf")),
        "memory": memory_kept(),
        "lines": lines_of_code(),
    }
    print_table(results)
    print_traces(traces)
    print_rest(results, sizes)
    with open(os.path.join(BUILD, "bench.json"), "w", encoding="utf-8") as file:
        json.dump({"vellum": results, "executes": traces, "others": OTHERS, "sizes": sizes}, file,
                  indent=2)
        file.write("\n")
    with open(os.path.join(BUILD, "bench.svg"), "w", encoding="utf-8") as file:
        file.write(svg(results))
    print(f"\nwritten: {BUILD}/bench.json, {BUILD}/bench.svg")
    complete = [*results.values(), *traces.values()]
    return 0 if all("hypercall" in figures for figures in complete) else 1


if __name__ == "__main__":
    sys.exit(main())
