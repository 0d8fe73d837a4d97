# SPDX-License-Identifier: MIT
"""What the hypervisor says when it fails, and the tools for it: symbolize.py, gdb.sh."""
import os
import re
import shutil
import struct
import subprocess

from machines import BUILD, GUEST, IMAGE, Run, boot, scratch_file

SYMBOLS = f"{BUILD}/vellum64.elf"
PATCHED = "cpuid_for"  # a function that every guest makes the hypervisor call
CALLERS = ["on_cpuid", "run_loop", "hv_main_on_stack"]
LOAD = 1


def address_of(name):
    found = re.search(rf"^([0-9a-f]+) [Tt] {name}$",
                      subprocess.run(["nm", SYMBOLS], capture_output=True, text=True,
                                     check=True).stdout, re.MULTILINE)
    return int(found.group(1), 16)


def image_with(address, code):
    """A copy of the hypervisor with other code at an address of its."""
    with open(IMAGE, "rb") as file:
        content = bytearray(file.read())
    table, = struct.unpack_from("<I", content, 28)
    size, count = struct.unpack_from("<HH", content, 42)
    for entry in range(count):
        kind, offset, start, _, in_file = struct.unpack_from("<5I", content, table + entry * size)
        if kind == LOAD and start <= address < start + in_file:
            place = address - start + offset
            content[place:place + len(code)] = code
    path = scratch_file("vellum.elf")
    with open(path, "wb") as file:
        file.write(content)
    return path


def symbolized(run):
    log = scratch_file("log")
    with open(log, "w", encoding="utf-8") as file:
        file.write(run.text)
    done = subprocess.run(["scripts/symbolize.py", "--elf", SYMBOLS, log], capture_output=True,
                          text=True, check=False)
    run.need(done.returncode == 0, f"symbolize.py: {done.stderr}")
    return done.stdout.splitlines()


def functions_below(run, lines, pattern):
    """The functions, files and lines below the line that matches."""
    for number, line in enumerate(lines):
        if re.match(pattern, line):
            break
    else:
        run.need(False, f"no line matches {pattern}")
    names = []
    for line in lines[number + 1:]:
        found = re.match(r"    (?:[0-9a-f]{8}| {8}) (\w+)(?:\+0x[0-9a-f]+|, inlined), (\S+):(\d+)$",
                         line)
        if not found:
            break
        names.append(found.group(1))
        run.need(os.path.exists(found.group(2)) and int(found.group(3)) > 0, f"no place: {line}")
    return names


def need_order(run, names, expected):
    rest = iter(names)
    run.need(all(name in rest for name in expected),
             f"the chain is {', '.join(names)}, not {', '.join(expected)}")


def exception(machine):
    run = boot("--image", image_with(address_of(PATCHED), b"\x0f\x0b"), machine=machine)
    run.need(run.status == 3, "it does not stop")
    run.says(r"^exception in the hypervisor: invalid opcode")
    lines = symbolized(run)
    names = functions_below(run, lines, r"vellum:   rip ")
    run.need(names == [PATCHED], f"rip is in {', '.join(names)}")
    names = functions_below(run, lines, r"vellum:   call chain: ")
    run.need(names[0] == PATCHED, f"the chain begins in {names[0]}")
    need_order(run, names[1:], CALLERS)


def panic(machine):
    start, text = address_of(PATCHED), b"provoked\0"
    call = 12  # where it ends
    code = b"\xbf" + struct.pack("<I", start + call) + b"\x31\xc0" + \
        b"\xe8" + struct.pack("<i", address_of("panic") - start - call) + text
    run = boot("--image", image_with(start, code), machine=machine)
    run.need(run.status == 3, "it does not stop")
    run.says(r"^panic: provoked \(processor 0\)$")
    names = functions_below(run, symbolized(run), r"vellum:   call chain: ")
    run.need(names[:2] == ["panic", PATCHED], f"the chain begins in {', '.join(names[:2])}")
    need_order(run, names[2:], CALLERS)


def inlined():
    """Every address of a function that has others in it; and addresses that are no code."""
    start = address_of("trap_handler")
    chain = " ".join(f"{start + offset:x}" for offset in range(128))
    run = Run(0, f"# a guest's line\nvellum:   call chain: {chain}\nvellum:   call chain: 12 0\n")
    lines = symbolized(run)
    names = functions_below(run, lines, r"vellum:   call chain: ")
    run.need(len(names) > 128 and {"trap_handler", "is_safe_instruction"} <= set(names),
             f"only these: {', '.join(names)}")
    run.need(lines[0] == "# a guest's line" and lines[-2:] == [
        f"    {address:08x} is not in the hypervisor's code" for address in (0x12, 0)],
        "\n".join(lines[-3:]))


def debugger():
    """gdb stops before the image has moved, after that, and on each processor, and knows callers."""
    if not shutil.which("gdb"):
        return "gdb is not installed"
    commands = ["hbreak boot_main", "hbreak hv_main", "hbreak run_loop"]
    commands += 4 * ["continue", "backtrace"] + ["info threads"]
    done = subprocess.run(["scripts/gdb.sh", "--batch", "; ".join(commands), "--cpus", "2", GUEST],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False)
    run = Run(done.returncode, done.stdout, done.stderr)
    run.need(run.status == 0, "gdb.sh fails")
    stops = re.findall(r"^Thread \d+ hit .*?(\w+) \(.*(?:\n(?!#).*)*\n((?:#.*\n)+)", run.text,
                       re.MULTILINE)
    run.need(sorted(name for name, _ in stops) ==
             ["boot_main", "hv_main", "run_loop", "run_loop"], f"it stops in {stops}")
    run.need(re.search(r"^#1 .* in boot_main \(.* at boot/main.c:\d+", stops[1][1], re.MULTILINE),
             "hv_main's caller is not known")
    chains = stops[2][1] + stops[3][1]
    run.need("in hv_ap_main (" in chains and "in hv_main_on_stack (" in chains,
             "run_loop's callers are not known")
    run.need("console: vellum: " in run.text, "the console is lost")
    return None


def cases():
    for machine in ("qemu", "bochs-intel"):
        yield f"the call chain of an exception, {machine}", lambda m=machine: exception(m)
    yield "the call chain of a panic, qemu", lambda: panic("qemu")
    yield "symbolize.py names inlined functions", inlined
    yield "gdb.sh: breakpoints and callers", debugger
