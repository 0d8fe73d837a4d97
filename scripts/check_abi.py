#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the interface as it is documented with the source.

  scripts/check_abi.py

hypercalls/ABI.md says of each call, status, register, message and MSR whether it is answered,
and the tables for users (docs/interface.md, or README.md) list those that are. Prints where
they differ from hypercalls/abi.h, from the rows of the table of calls and from each other, and
where guests/abi names a section that there is not; exit status 1 when there is any.
"""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MANUAL = "hypercalls/ABI.md"
HEADERS = ("hypercalls/abi.h", "hypercalls/abi_calls.h", "hypercalls/abi_pages.h")
ROWS = ("hypercalls/calls.h", "hypercalls/dispatch.c")  # the first one that there is
LISTS = ("docs/interface.md", "README.md")
# What a row says and what the manual says of the privilege.
PRIVILEGES = {
    "CREATE": "CreatePartitions",
    "MEMORY": "AccessMemoryPool",
    "PRIVILEGE_CREATE_PARTITIONS": "CreatePartitions",
    "PRIVILEGE_MEMORY_POOL": "AccessMemoryPool",
    "PRIVILEGE_PARTITION_ID": "AccessPartitionId",
    "PRIVILEGE_CPU_MANAGEMENT": "CpuManagement",
}
NO_PRIVILEGE = ("none", "by target")  # the row names none


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def numbers_of(prefix):
    """{name: number} of the constants that begin so, in the headers of the interface."""
    text = "".join(without_comments(read(path)) for path in HEADERS)
    return {name: int(number, 16) for name, number in
            re.findall(rf"\b({prefix}\w+) +(?:= )?(0x[0-9A-Fa-f]+)", text)}


def rows():
    """{name of the code: text of its row} of the calls that have one."""
    path = next(path for path in ROWS if os.path.exists(path))
    text = re.sub(r'"[^"]*"', "", without_comments(read(path)))
    found = list(re.finditer(r"(?:\b[A-Z_0-9]+\(|\[)(HVCALL_\w+)\s*[\],]", text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {match[1]: text[match.start():end].split(";")[0] for match, end in zip(found, ends)}


def row_privilege(text):
    """The manual's word for the privilege of a row; None when the row names none."""
    named = [word for key, word in PRIVILEGES.items() if re.search(rf"\b{key}\b", text)]
    return named[0] if named else None


def table(text, first, second=""):
    """Rows of the first table with these words at the head of its first columns, as cells."""
    found = re.search(rf"^\| {first} \| {second}.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    if not found:
        return []
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


def head(text, first, second=""):
    """Number of a column by its name, for the same table."""
    line = re.search(rf"^\| {first} \| {second}.*", text, re.MULTILINE)[0]
    return {name.strip(): number for number, name in enumerate(line.strip("|").split("|"))}


def expand(cell):
    """The numbers of "0x40, 41", "0x40 to 0x43", "0x40000100..0x40000104" or "0x40000070 to 72"."""
    numbers, base = set(), ""
    for part in re.sub(r"[*`]", "", cell).split(","):
        ends = []
        for word in re.split(r"\s*(?:\bto\b|\.\.)\s*", part.strip()):
            digits = word.strip().removeprefix("0x")
            if not re.fullmatch(r"[0-9A-Fa-f]+", digits):
                return set()
            base = digits if len(digits) >= len(base) else base[:len(base) - len(digits)] + digits
            ends.append(int(base, 16))
        numbers |= set(range(ends[0], ends[-1] + 1))
    return numbers


def answered(manual, first, second):
    """(numbers that the manual's table says are answered, those that are not yet)."""
    column, yes, not_yet = head(manual, first, second)["answered"], set(), set()
    for cells in table(manual, first, second):
        (yes if cells[column].startswith("yes") else not_yet).update(expand(cells[0]))
    return yes, not_yet


def listed(first, second):
    """(path, numbers that the table for users says are there)."""
    for path in LISTS:
        found = table(read(path), first, second) if os.path.exists(path) else []
        if found:
            return path, set().union(*(expand(cells[0]) for cells in found
                                       if not cells[-1].startswith("not there")))
    return " or ".join(LISTS), None


def differ(what, width, left, in_left, right, in_right):
    """Complaints about the numbers that are in one of two places only."""
    for number in sorted(in_left - in_right):
        yield f"{what} 0x{number:0{width}X} is in {left} and not in {right}"
    for number in sorted(in_right - in_left):
        yield f"{what} 0x{number:0{width}X} is in {right} and not in {left}"


def check_calls(manual):
    codes, source = numbers_of("HVCALL_"), rows()
    yield from (f"call {name} has a row and no code in abi.h" for name in source.keys() - codes)
    yield from (f"call {name} of abi.h has no row" for name in codes.keys() - source)
    with_row = {codes[name] for name in source.keys() & codes.keys()}
    yes, _ = answered(manual, "code", "call")
    yield from differ("call", 4, "the table of calls", with_row, f"{MANUAL}'s answered ones", yes)
    path, users = listed("code", "call")
    if users is None:
        yield f"there is no table of calls in {path}"
    else:
        yield from differ("call", 4, "the table of calls", with_row, path, users)
    columns = head(manual, "code", "call")
    for cells in table(manual, "code", "call"):
        number, said = int(cells[0], 16), cells[columns["privilege"]]
        name = next((name for name in source if codes.get(name) == number), None)
        asked = row_privilege(source[name]) if name else None
        if name and (said if said not in NO_PRIVILEGE else None) != asked:
            yield f"call {cells[0]} asks for {asked}, and {MANUAL} says {said}"
        plain = name.removeprefix("HVCALL_").replace("_", "").lower() if name else ""
        if name and plain != cells[columns["call"]].lower():
            yield f"call {cells[0]} is {name} in abi.h and {cells[columns['call']]} in {MANUAL}"


def check_msrs(manual):
    msrs, yes = set(numbers_of("HV_MSR_").values()), answered(manual, "MSR", "name")[0]
    ranges = [expand(cells[0]) for cells in table(manual, "MSR", "name")]
    first_of_range = {min(numbers) for numbers in ranges if numbers & yes}
    yield from differ("MSR", 8, "abi.h", msrs, f"{MANUAL}'s answered ones", first_of_range)
    path, users = listed("MSR", "")
    own = {number for name, number in numbers_of("VELLUM_MSR_").items()}
    if users is None:
        yield f"there is no table of MSRs in {path}"
        return
    for number in sorted(own - users):
        yield f"MSR 0x{number:08X} is in abi.h and not in {path}"
    outside = {number for number in users if number < min(own)}
    yield from differ("MSR", 8, f"{MANUAL}'s answered ones", yes, path, outside)


def check_lists(manual):
    """Statuses, registers and messages."""
    given = re.search(r"Given today: (.*?)\n\n", manual, re.DOTALL)[1]
    said = {name: int(number, 16) for number, name in
            re.findall(r"\b(0x[0-9A-F]+|\d) ([A-Z_]{4,})\b", given)}
    names = {name.removeprefix("HV_STATUS_"): number for name, number in
             numbers_of("HV_STATUS_").items()}
    for name in sorted(said.keys() | names.keys()):
        if said.get(name) != names.get(name):
            yield f"status {name} is {names.get(name)} in abi.h and {said.get(name)} in {MANUAL}"
    yes, _ = answered(manual, "name", "register")
    ranges = [expand(cells[0]) for cells in table(manual, "name", "register")]
    first_of_range = {min(numbers) for numbers in ranges if numbers & yes}
    yield from differ("register", 8, "abi.h", set(numbers_of("HV_REGISTER_").values()),
                      f"{MANUAL}'s answered ones", first_of_range)
    yes, _ = answered(manual, "type", "message")
    yield from differ("message", 8, "abi_pages.h", set(numbers_of("HV_MESSAGE_").values()),
                      f"{MANUAL}'s answered ones", yes)


def check_quotes(manual):
    """Sections that the guest's files and checks name, and that the headers do."""
    there = set(re.findall(r"^## (\d+)\.", manual, re.MULTILINE))
    for path in sorted(glob.glob("guests/abi/*.c")) + list(HEADERS):
        text = read(path)
        for match in re.finditer(r'[Ss]ections? (\d+)(?:,? (?:and|to) (\d+))?|"(\d+): ', text):
            for number in filter(None, match.groups()):
                if number not in there:
                    line = text.count("\n", 0, match.start()) + 1
                    yield f"{path}:{line}: {MANUAL} has no section {number}"


def main():
    os.chdir(ROOT)
    manual = read(MANUAL)
    complaints = [*check_calls(manual), *check_msrs(manual), *check_lists(manual),
                  *check_quotes(manual)]
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
