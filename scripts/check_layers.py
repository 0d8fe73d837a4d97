#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the layers of the hypervisor: who may include whom, and no circles.

  scripts/check_layers.py [--counts] [TREE]

Prints each #include against the table below, each arrow of the table that nobody uses,
each file in no room and each circle of files; exit status 1 when there is any. --counts
prints how many includes go from room to room instead. TREE is where the sources are.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("boot", "hv", "vmx", "svm", "mm", "hypercalls")
ABI_FILES = ("hypercalls/abi.h", "hypercalls/abi_calls.h", "hypercalls/abi_pages.h")
TOP = "hv"  # the files in hv/ itself

# Each room and the rooms that its files may include; written from the bottom to the top, so
# that a room can name only those before it.
ALLOWED = {
    "abi": (),
    "hv/base": (),
    "mm": ("hv/base",),
    "boot": ("hv/base", "mm"),
    "hv/model": ("abi", "hv/base", "mm"),
    "vmx": ("hv/base", "mm", "hv/model"),
    "svm": ("hv/base", "mm", "hv/model"),
    "hv/machine": ("abi", "hv/base", "mm", "hv/model"),
    "hv/synthetic": ("abi", "hv/base", "mm", "hv/model", "hv/machine"),
    "hypercalls": ("abi", "hv/base", "mm", "hv/model", "hv/synthetic"),
    TOP: None,  # all: it puts the rest together
}


def room_of(path):
    """The room that a file is in, or None."""
    if path in ABI_FILES:
        return "abi"
    folder = os.path.dirname(path)
    return folder if folder in ALLOWED else None


def of_image(path):
    """Whether the file is part of the image, not of a test."""
    return (path.endswith((".c", ".h")) and not path.endswith(("_test.c", "_fuzz.c"))
            and "/fake/" not in path)


def sources(tree):
    """Paths of the image's C files and headers, from the tree's top."""
    found = []
    for top in FOLDERS:
        for folder, _, names in os.walk(os.path.join(tree, top)):
            paths = (os.path.relpath(os.path.join(folder, name), tree) for name in names)
            found += filter(of_image, paths)
    return sorted(found)


def includes(tree, path):
    """(line, included path) of each #include "..." in a file."""
    with open(os.path.join(tree, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if match:
                beside = os.path.join(os.path.dirname(path), match.group(1))
                there = os.path.exists(os.path.join(tree, beside))
                yield number, beside if there else match.group(1)


def circles(graph):
    """Each circle of includes once, as the list of its files."""
    found, done, road = [], set(), []

    def visit(path):
        if path in road:
            found.append(road[road.index(path):])
        elif path not in done:
            road.append(path)
            for other in graph.get(path, ()):
                visit(other)
            road.pop()
            done.add(path)

    for path in sorted(graph):
        visit(path)
    return found


def check_table():
    """What is wrong with the table itself."""
    order = list(ALLOWED)
    return [f"table: {room} names {other}, which does not stand before it"
            for room, others in ALLOWED.items()
            for other in others or () if other not in order[:order.index(room)]]


def look(tree):
    """(complaints, number of includes by (from, to))."""
    complaints, counts, graph = check_table(), {}, {}
    for path in sources(tree):
        room = room_of(path)
        if room is None:
            complaints.append(f"{path}: its folder is in no room of the table")
            continue
        graph[path] = []
        for number, other in includes(tree, path):
            target = room_of(other)
            graph[path].append(other)
            if target is None:
                complaints.append(f"{path}:{number}: {other} is in no room of the table")
                continue
            counts[room, target] = counts.get((room, target), 0) + 1
            if target != room and ALLOWED[room] is not None and target not in ALLOWED[room]:
                complaints.append(f"{path}:{number}: {room} may not include {target} ({other})")
    for room, others in ALLOWED.items():
        complaints += [f"table: {room} may include {other}, and no file does: take it out"
                       for other in others or () if (room, other) not in counts]
    complaints += ["circle of includes: " + " -> ".join(circle + circle[:1])
                   for circle in circles(graph)]
    return complaints, counts


def print_counts(counts):
    """A row per room that includes, a column per room that is included."""
    rooms = list(ALLOWED)
    print(" " * 14 + "".join(f"{room:>13}" for room in rooms))
    for room in rooms:
        numbers = (counts.get((room, other), "") for other in rooms)
        print(f"{room:<14}" + "".join(f"{number:>13}" for number in numbers))
    between = sum(number for (room, other), number in counts.items() if room != other)
    print(f"{between} includes between rooms, {sum(counts.values()) - between} within")


def main():
    arguments = [word for word in sys.argv[1:] if word != "--counts"]
    complaints, counts = look(arguments[0] if arguments else ROOT)
    if "--counts" in sys.argv:
        print_counts(counts)
        return 0
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
