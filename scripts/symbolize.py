#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts functions and lines to the addresses in a console log of the hypervisor's.

  scripts/symbolize.py [--elf FILE] [LOG]

Prints the log (standard input when there is none), and after each line with
addresses of the hypervisor's code (the call chain of a panic, the rip of an
exception) one line more for each: function + offset, file:line. Functions that
the compiler put into another are marked "inlined", the innermost first. FILE is
the image with symbols that belongs to the log, build/vellum64.elf of the same
build; the image runs at the addresses that it is linked at, wherever in memory it
lies. A chain may name a function too many: see hv/base/backtrace.h.
"""
import argparse
import bisect
import os
import re
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))

CHAIN = re.compile(r"vellum:   call chain: ([0-9a-f]+(?: [0-9a-f]+)*)")
# Of an exception in the hypervisor; a guest's registers are printed without cs in that line.
FRAME = re.compile(r"vellum:   rip ([0-9a-f]{16})  rflags [0-9a-f]{16}  cs ")


def tool(name):
    """A program of binutils that reads x86-64 files."""
    for prefix in ("x86_64-elf-", "x86_64-linux-gnu-", ""):
        if shutil.which(prefix + name):
            return prefix + name
    sys.exit(f"symbolize.py: {name} is missing (Debian: binutils)")


def output_of(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"symbolize.py: {done.stderr.strip()}")
    return done.stdout


class Image:
    """The hypervisor's ELF file."""

    def __init__(self, path):
        self.path = path
        self.symbols = {}  # of the code: address: name
        for line in output_of([tool("nm"), path]).splitlines():
            address, kind, name = line.split(" ", 2)
            if kind in "Tt" or name == "rodata_start":
                self.symbols[int(address, 16)] = name
        ends = [address for address, name in self.symbols.items()
                if name in ("text_start", "rodata_start")]
        if len(ends) != 2:
            sys.exit(f"symbolize.py: {path} is not the hypervisor with its symbols")
        self.start, self.end = sorted(ends)
        self.addresses = sorted(self.symbols)

    def is_code(self, address):
        return self.start <= address < self.end

    def function(self, address, back):
        """Name + offset. back: 1 for an address of return, which may begin another function."""
        first = self.addresses[bisect.bisect_right(self.addresses, address - back) - 1]
        return f"{self.symbols[first]}+{address - first:#x}"

    def frames(self, addresses):
        """For each: pairs of function and place, the innermost inlined one first."""
        command = [tool("addr2line"), "-e", self.path, "-a", "-i", "-f", "-C"]
        text = output_of(command + [f"{address:#x}" for address in addresses])
        for group in re.split(r"^0x[0-9a-f]+\n", text, flags=re.MULTILINE)[1:]:
            lines = group.splitlines()
            yield [(name, self.place(place)) for name, place in zip(lines[::2], lines[1::2])]

    @staticmethod
    def place(text):
        path, _, line = re.sub(r" \(discriminator \d+\)", "", text).rpartition(":")
        if path.startswith(ROOT + os.sep):
            path = os.path.relpath(path, ROOT)
        # nasm says a folder twice.
        path = re.sub(r"^((?:[\w-]+/)+)\1", r"\1", os.path.normpath(path))
        return f"{path}:{line}"

    def lines(self, chain):
        """What to print of a RIP and the addresses of return behind it."""
        backs = [0] + [1] * (len(chain) - 1)
        frames = self.frames([max(address - back, 0) for address, back in zip(chain, backs)])
        for address, back, (*inlined, (_, place)) in zip(chain, backs, frames):
            if not self.is_code(address - back):
                yield f"{address:08x} is not in the hypervisor's code"
                continue
            shown = [f"{name}, inlined, {where}" for name, where in inlined]
            shown.append(f"{self.function(address, back)}, {place}")
            yield f"{address:08x} {shown[0]}"
            yield from (f"{'':8} {line}" for line in shown[1:])


def explanations(image, line):
    """The lines that follow a line of the log."""
    found = FRAME.search(line) or CHAIN.search(line)
    return image.lines([int(word, 16) for word in found.group(1).split()]) if found else ()


def main():
    parser = argparse.ArgumentParser(description="Puts functions and lines to the addresses in "
                                                 "a console log of Vellum's.")
    parser.add_argument("--elf", metavar="FILE", default=os.path.join(BUILD, "vellum64.elf"),
                        help="the hypervisor with its symbols (build/vellum64.elf)")
    parser.add_argument("log", nargs="?", type=argparse.FileType("r", errors="replace"),
                        default=sys.stdin)
    options = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head`
    image = Image(options.elf)
    for line in options.log:
        print(line.rstrip("\r\n"))
        for text in explanations(image, line):
            print("    " + text)
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
