#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`make test`: everything there is to test, two jobs at a time.

Builds, then runs the checks of form (scripts/lint.sh), the unit tests and the
fuzzers on the build machine, the boot tests (scripts/boot_tests.py), and every
bundled guest on every machine of the matrix below, by scripts/boot.sh. Each job
but a fuzzer prints TAP; a missing plan, a bad exit status, a panic of the
hypervisor or the time limit counts as one more failure. The last line is
"N passed, N failed"; exit status 0 when nothing failed.

  scripts/test.py [--quick] [--only PATTERN] [--list] [--jobs N] [--fuzz SECONDS] [--no-build]

--quick is `make check`, a part that takes minutes. PATTERN is a regular expression on the job names that --list prints.
"""
import argparse
import concurrent.futures
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.setdefault("BUILD", "build")
LOGS = os.path.join(BUILD, "test")

# ---- the matrix -----------------------------------------------------------------------------

# machine: arguments of boot.sh, time limit in seconds
MACHINES = {
    "qemu": (["--machine", "qemu"], 120),
    "bochs-intel": (["--machine", "bochs-intel", "--model", "corei7_skylake_x"], 240),
    "bochs-haswell": (["--machine", "bochs-intel", "--model", "corei7_haswell_4770"], 240),
    "bochs-amd": (["--machine", "bochs-amd", "--model", "zambezi"], 240),
    "kvm": (["--machine", "qemu", "--accel", "kvm"], 120),
}
EVERYWHERE = ("qemu", "bochs-intel", "bochs-amd", "kvm")
KVM_PROBE = "hello"  # the smallest guest: does a machine with nested virtualization start at all?


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to run a guest."""
    label: str = ""          # appended to the job's name
    machines: tuple = EVERYWHERE
    cpus: int = 2
    hv: str = ""             # the hypervisor's command line
    arguments: str = ""      # the guest's
    limit: int = 1           # times the machine's time limit


# Guests that are not simply run everywhere with two processors as root.
VARIANTS = {
    "abi": [Variant(role, hv="role=" + role) for role in ("root", "layered", "guest")],
    "layered": [Variant(hv="role=layered")],
    "child": [Variant(), Variant(machines=("bochs-haswell",))],
    "stale": [Variant(limit=3), Variant("4cpus", ("qemu", "kvm"), cpus=4, limit=3)],
    "fuzz": [Variant(limit=3), Variant("4cpus", ("qemu", "kvm"), cpus=4, limit=3)],
}

# Groups of scripts/boot_tests.py: loaders and firmware, machines, refusals, ends, the tutorial.
BOOT_TESTS = ("ways", "sizes", "words", "refusals", "ends", "linux", "diagnosis", "tutorial")

# `make check`, minutes: the unit tests, the fuzzers for seconds, each guest somewhere, those of most
# of the interface everywhere.
QUICK = (r"_test$|_fuzz$|^(?!fuzz|stale).*-qemu$|^(abi-root|child|hostile|stale|statepage)-bochs-(intel|amd)$|"
         r"^boot-words$|^linux-root$")

FUZZ_SECONDS, QUICK_FUZZ_SECONDS = 60, 5
UNIT_LIMIT = 300
LINT_LIMIT = 600
BOOT_LIMIT = 900
UNAVAILABLE = 77  # exit status: what it needs cannot be fetched here

# ---- jobs -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Job:
    name: str
    command: list
    limit: int               # seconds
    tap: bool = True
    weight: int = 0          # heavier ones start first
    environment: dict = dataclasses.field(default_factory=dict)

    @property
    def log(self):
        return os.path.join(LOGS, self.name.replace("/", "-") + ".log")


@dataclasses.dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    lines: list = dataclasses.field(default_factory=list)  # what to show of it

    def fail(self, line):
        self.failed += 1
        self.lines.append(line)


def guests():
    names = []
    for name in sorted(os.listdir("guests")):
        folder = os.path.join("guests", name)
        if name not in ("lib", "linux") and os.path.isdir(folder) and \
                any(file.endswith(".c") for file in os.listdir(folder)):
            names.append(name)
    return names


def guest_jobs():
    for name in guests():
        for variant in VARIANTS.get(name, [Variant()]):
            for machine in variant.machines:
                options, limit = MACHINES[machine]
                limit *= variant.limit
                command = ["scripts/boot.sh", *options, "--cpus", str(variant.cpus),
                           "--timeout", str(limit)]
                if variant.hv:
                    command += ["--hv", variant.hv]
                command.append(f"{BUILD}/guests/{name}.elf")
                if variant.arguments:
                    command.append(variant.arguments)
                label = f"{name}-{variant.label}" if variant.label else name
                weight = variant.limit * 10 + (5 if machine.startswith("bochs") else 0)
                yield Job(f"{label}-{machine}", command, limit + 30, weight=weight)


def sources(suffix):
    for folder in ("boot", "hv", "hv/base", "hv/model", "hv/machine", "hv/synthetic", "vmx", "svm", "mm", "hypercalls", "guests/lib", "scripts"):
        for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if file.endswith(suffix):
                yield f"{folder}/{file[:-2]}"


def host_jobs(fuzz_seconds):
    yield Job("lint", ["scripts/lint.sh"], LINT_LIMIT, weight=100)
    yield Job("abi-header", ["scripts/abi_header_test.sh"], UNIT_LIMIT, weight=50)
    yield Job("build-rules", ["scripts/build_test.sh"], UNIT_LIMIT, weight=50)
    for name in sources("_fuzz.c"):
        corpus = f"{BUILD}/fuzz/{name}.corpus"
        yield Job(name, [f"{BUILD}/fuzz/{name}", f"-max_total_time={fuzz_seconds}",
                         "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1",
                         f"-artifact_prefix={BUILD}/fuzz/{name}-", corpus],
                  fuzz_seconds + 120, tap=False, weight=90)
    for name in sources("_test.c"):
        yield Job(name, [f"{BUILD}/unit/{name}"], UNIT_LIMIT, weight=50,
                  environment={"CMOCKA_MESSAGE_OUTPUT": "TAP"})


def boot_jobs():
    for group in BOOT_TESTS:
        yield Job(f"boot-{group}", ["python3", "scripts/boot_tests.py", "--jobs", "1", group], BOOT_LIMIT,
                  weight=80)


# Debian's stock kernels: label, what scripts/linux.sh does, environment, options, limit in seconds.
# The machine is QEMU (SVM), or Bochs with a Haswell (VT-x). Debian 12's backported kernel is not among
# them: on QEMU 7.2 it loses RFLAGS, without Vellum as with it.
LINUX = [
    ("guest", "test", {}, "", 180),
    ("layered", "test", {}, "--hv role=layered --cpus 1 --memory 3072", 180),
    ("root", "test", {}, "--hv role=root --cpus 4 --memory 6144", 240),
    ("generic", "test", {"KERNEL_PACKAGE": "linux-image-amd64"}, "", 180),
    ("trixie", "test", {"KERNEL_SUITE": "trixie"}, "--hv role=root", 180),
    ("newest", "test", {"KERNEL_SUITE": "trixie-backports"}, "--hv role=layered", 240),
    ("load", "load", {}, "", 240),
    ("bochs", "test", {}, "--machine bochs-intel --cpus 1", 400),
    ("bochs-2cpus", "test", {}, "--machine bochs-intel --cpus 2 --hv role=root", 600),
    ("load-bochs", "load", {"LOAD_SECONDS": "10"}, "--machine bochs-intel --cpus 2", 600),
    ("newest-bochs", "test", {"KERNEL_SUITE": "trixie-backports"},
     "--machine bochs-intel --cpus 1", 600),
    ("log-guest", "log", {}, "", 330),
    ("log-layered", "log", {}, "--hv role=layered", 330),
    ("log-root", "log", {}, "--hv role=root", 330),
    ("log-newest", "log", {"KERNEL_SUITE": "trixie-backports"}, "--hv role=root", 330),
    ("log-bochs", "log", {}, "--machine bochs-intel --cpus 1", 600),
]


def linux_jobs():
    for label, what, environment, options, limit in LINUX:
        script = ["scripts/linux_log.py"] if what == "log" else \
            ["scripts/linux.sh", what, "--timeout", str(limit - 30)]
        yield Job(f"linux-{label}", [*script, *options.split()], limit,
                  weight=limit // 10 if "bochs" in label else 20, environment=environment)


def all_jobs(fuzz_seconds):
    return [*host_jobs(fuzz_seconds), *boot_jobs(), *guest_jobs(), *linux_jobs()]

# ---- running one ----------------------------------------------------------------------------


def kill_group(process):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=5)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def execute(job):
    """Runs a job into its log. Returns (exit status or None at the time limit, seconds)."""
    started = time.monotonic()
    if not job.tap:
        os.makedirs(job.command[-1], exist_ok=True)  # a fuzzer's corpus
    with open(job.log, "wb") as log:
        try:
            process = subprocess.Popen(job.command, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True,
                                       env={**os.environ, **job.environment})
        except OSError as problem:
            log.write(f"{job.command[0]}: {problem.strerror}\n".encode())
            return 127, 0.0
        try:
            status = process.wait(timeout=job.limit)
        except subprocess.TimeoutExpired:
            status = None
        kill_group(process)
    return status, time.monotonic() - started


RESULT = re.compile(r"(not )?ok\b(?:\s+\d+)?")
PLAN = re.compile(r"1\.\.(\d+)\s*(?:#\s*skip\b\s*(.*))?$", re.IGNORECASE)
SKIP = re.compile(r"#\s*skip\b\s*(.*)", re.IGNORECASE)


def read_tap(text):
    """Counts the results in TAP output. Several plans (groups of one program) add up."""
    outcome, planned, seen = Outcome(), None, 0
    for line in text.splitlines():
        line = line.strip("\r")
        plan = PLAN.match(line)
        if plan:
            planned = (planned or 0) + int(plan.group(1))
            if int(plan.group(1)) == 0:
                outcome.skipped += 1
                outcome.lines.append(f"skipped: {plan.group(2) or 'everything'}")
        elif RESULT.match(line):
            seen += 1
            skip = SKIP.search(line)
            if line.startswith("not "):
                outcome.fail(line)
            elif skip:
                outcome.skipped += 1
                outcome.lines.append(f"skipped: {skip.group(1)}")
            else:
                outcome.passed += 1
        elif line.startswith("Bail out!") or re.match(r"vellum: (panic|stopped)", line):
            outcome.fail(line)
    if planned is None:
        outcome.fail("no plan: the run did not come to its end")
    elif planned != seen:
        outcome.fail(f"{planned} results were planned, {seen} seen")
    return outcome


def judge(job, status, text):
    if not job.tap:
        outcome = Outcome()
        if status == 0:
            outcome.passed = 1
        else:
            for line in text.splitlines():
                if re.search(r"ERROR: |SUMMARY: |Assertion|does not hold|Test unit written", line):
                    outcome.lines.append(line)
            outcome.fail(f"exit status {status}")
        return outcome
    if status == UNAVAILABLE:
        reason = (text.strip().splitlines() or ["no reason given"])[-1]
        return Outcome(skipped=1, lines=[f"skipped: {reason}"])
    outcome = read_tap(text)
    if status is None or status == 124:
        outcome.fail(f"over its time limit of {job.limit} s")
    elif status != 0 and outcome.failed == 0:
        outcome.fail(f"exit status {status}")
    return outcome


def report(job, outcome, seconds):
    counts = f"{outcome.passed} passed"
    if outcome.failed:
        counts += f", {outcome.failed} failed"
    if outcome.skipped:
        counts += f", {outcome.skipped} skipped"
    print(f"{'FAILED' if outcome.failed else 'ok':6} {job.name:32} {counts:36} {seconds:6.1f} s")
    for line in outcome.lines[:40]:
        print(f"         {line[:160]}")
    if outcome.failed:
        print(f"         the whole output: {job.log}")
    sys.stdout.flush()

# ---- all of them ----------------------------------------------------------------------------


def nested_virtualization():
    """None when guests can run under KVM here, else the reason why not."""
    reason = "no nested virtualization"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return reason
    enabled = False
    for module in ("kvm_intel", "kvm_amd"):
        try:
            with open(f"/sys/module/{module}/parameters/nested", encoding="ascii") as file:
                enabled |= file.read().strip() in ("1", "Y", "y")
        except OSError:
            pass
    if not enabled:
        return reason
    # The host's word is not enough (it may itself be a guest): Vellum has to come up.
    probe = Job("kvm-probe", ["scripts/boot.sh", *MACHINES["kvm"][0], "--timeout", "60",
                              f"{BUILD}/guests/{KVM_PROBE}.elf"], 90)
    execute(probe)
    with open(probe.log, encoding="utf-8", errors="replace") as file:
        return None if "vellum: " in file.read() else f"{reason} (see {probe.log})"


def build():
    """Builds all that is tested. Returns an Outcome that counts as one test."""
    job = Job("build", ["make", "-k", f"-j{os.cpu_count()}", f"BUILD={BUILD}", "all", "guests",
                        "host-tests"], 1800, tap=False)
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    started = time.monotonic()
    with open(job.log, "wb") as log:
        status = subprocess.call(job.command, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, env=environment)
    outcome = Outcome(passed=1) if status == 0 else Outcome()
    if status != 0:
        with open(job.log, encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip() for line in file if re.search(r"error|\*\*\*|warning", line)]
        outcome.lines = lines[:30]
        outcome.fail("the build is not complete")
    report(job, outcome, time.monotonic() - started)
    return outcome


def run_all(jobs, workers):
    total = Outcome()
    printing = threading.Lock()

    def run(job):
        status, seconds = execute(job)
        with open(job.log, encoding="utf-8", errors="replace") as file:
            outcome = judge(job, status, file.read())
        with printing:
            report(job, outcome, seconds)
        return outcome

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for outcome in pool.map(run, sorted(jobs, key=lambda job: -job.weight)):
            total.passed += outcome.passed
            total.failed += outcome.failed
            total.skipped += outcome.skipped
    return total


def main():
    parser = argparse.ArgumentParser(description="Runs Vellum's tests.")
    parser.add_argument("--quick", action="store_true", help="the part that takes minutes")
    parser.add_argument("--only", metavar="PATTERN", help="jobs whose names match")
    parser.add_argument("--list", action="store_true", help="print the jobs' names")
    parser.add_argument("--jobs", type=int, default=2, help="at a time (2)")
    parser.add_argument("--fuzz", type=int, default=FUZZ_SECONDS, metavar="SECONDS",
                        help=f"for each fuzzer ({FUZZ_SECONDS})")
    parser.add_argument("--no-build", action="store_true", help="take what is built already")
    options = parser.parse_args()
    os.chdir(ROOT)

    jobs = all_jobs(QUICK_FUZZ_SECONDS if options.quick else options.fuzz)
    for pattern in (QUICK if options.quick else None, options.only):
        jobs = [job for job in jobs if not pattern or re.search(pattern, job.name)]
    if options.list:
        for job in jobs:
            print(job.name)
        return 0
    os.makedirs(LOGS, exist_ok=True)
    started = time.monotonic()
    built = Outcome() if options.no_build else build()
    skipped = 0
    if any(job.name.endswith("-kvm") for job in jobs):
        reason = nested_virtualization()
        if reason:
            kvm = [job for job in jobs if job.name.endswith("-kvm")]
            jobs = [job for job in jobs if job not in kvm]
            skipped = len(kvm)
            print(f"{'--':6} {'on KVM, ' + str(skipped) + ' runs':32} skipped: {reason}",
                  flush=True)
    total = run_all(jobs, options.jobs)
    print(f"{time.monotonic() - started:.0f} seconds; what each run said is in {LOGS}/")
    skipped += total.skipped
    print(f"{skipped} skipped")
    print(f"{total.passed + built.passed} passed, {total.failed + built.failed} failed")
    return 1 if total.failed + built.failed else 0


if __name__ == "__main__":
    sys.exit(main())
