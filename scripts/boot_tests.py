#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How Vellum boots, refuses and ends, on every machine: the boot tests, printed as TAP.

  scripts/boot_tests.py [--only PATTERN] [--list] [--jobs N] [GROUP]...

Groups are ways (in: loaders, firmware, media), sizes (processors, memory,
kernels, modules), words (the hypervisor's command line), refusals (bad kernels,
missing features, too little memory), ends (power-off, reset, exit statuses of
scripts/boot.sh), linux (Debian's kernel), diagnosis (what it says when it fails,
and the tools for that), tutorial (docs/first-guest.md); none: all. PATTERN is a
regular expression on the tests' names. Needs what `make` and `make guests`
build. BUILD is the build folder.
"""
import argparse
import concurrent.futures
import dataclasses
import os
import re
import subprocess
import sys
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "scripts", "boot_tests"))

# pylint: disable=wrong-import-position
import diagnosis  # noqa: E402
import ends  # noqa: E402
import linux  # noqa: E402
import machines  # noqa: E402
import refusals  # noqa: E402
import sizes  # noqa: E402
import tutorial  # noqa: E402
import ways  # noqa: E402
import words  # noqa: E402

GROUPS = {"ways": ways, "sizes": sizes, "words": words, "refusals": refusals, "ends": ends,
          "linux": linux, "diagnosis": diagnosis, "tutorial": tutorial}


@dataclasses.dataclass(frozen=True)
class Case:
    group: str
    name: str
    function: object   # raises Failure; returns in words why it was skipped


def all_cases():
    return [Case(group, name, function) for group, module in GROUPS.items()
            for name, function in module.cases()]


def outcome(case):
    """'' or a TAP directive, and the lines of a failure."""
    try:
        skipped = case.function()
        return (f" # skip {skipped}" if isinstance(skipped, str) else ""), None
    except machines.Failure as failure:
        return "", str(failure)
    except subprocess.TimeoutExpired as late:
        return "", f"{late.cmd[0]} did not end"
    except Exception:  # pylint: disable=broad-except
        return "", traceback.format_exc()


def run_all(cases, jobs):
    """Runs and prints them; the number that failed."""
    printing = threading.Lock()
    counts = {"done": 0, "failed": 0}

    def run(case):
        started = time.monotonic()
        directive, failure = outcome(case)
        seconds = time.monotonic() - started
        with printing:
            counts["done"] += 1
            counts["failed"] += failure is not None
            print(f"{'not ok' if failure is not None else 'ok'} {counts['done']} - "
                  f"{case.group}: {case.name}{directive}")
            print(f"#   {seconds:.1f} s")
            for line in (failure or "").splitlines():
                print(f"#   {line}")
            sys.stdout.flush()

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(run, cases):
            pass
    print(f"1..{counts['done']}")
    return counts["failed"]


def main():
    parser = argparse.ArgumentParser(description="Runs Vellum's boot tests.")
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--only", metavar="PATTERN", help="tests whose names match")
    parser.add_argument("--list", action="store_true", help="print the tests' names")
    parser.add_argument("--jobs", type=int, default=1, help="at a time (1)")
    options = parser.parse_args()
    os.chdir(ROOT)
    unknown = set(options.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    cases = [case for case in all_cases()
             if (not options.groups or case.group in options.groups)
             and (not options.only or re.search(options.only, f"{case.group}: {case.name}"))]
    if options.list:
        for case in cases:
            print(f"{case.group}: {case.name}")
        return 0
    missing = [file for file in (machines.IMAGE, machines.GUEST) if not os.path.exists(file)]
    if missing:
        print(f"Bail out! {' and '.join(missing)} first want to be built (make all guests)")
        return 1
    return 1 if run_all(cases, options.jobs) else 0


if __name__ == "__main__":
    sys.exit(main())
