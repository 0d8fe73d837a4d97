# SPDX-License-Identifier: MIT
"""docs/first-guest.md as a reader follows it: its files, its commands, what it says they print."""
import os
import re
import shutil
import signal
import subprocess

from machines import BUILD, IMAGE, Failure, scratch_file

DOCUMENT = "docs/first-guest.md"
LIMIT = 300  # seconds, for one block of commands

# A file is a line of its name in backquotes and a colon, then the block; commands are a block of `sh`,
# and a block of `text` is what the commands before it print. A heading begins a new folder.
STEP = re.compile(r"^## (?P<heading>[^\n]*)$|"
                  r"^(?:`(?P<name>[\w./-]+)`:\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$",
                  re.MULTILINE | re.DOTALL)


def steps(wanted):
    """(file name or None, kind, text) of each block below the heading."""
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    heading, found = "", []
    for step in STEP.finditer(text):
        if step.group("heading"):
            heading = step.group("heading")
        elif heading == wanted:
            found.append(step.group("name", "kind", "text"))
    if not any(kind == "text" and name is None for name, kind, _ in found):
        raise Failure(f"{DOCUMENT} has nothing to try below '{wanted}'")
    return found


def execute(commands, folder, environment):
    """What the commands print. Each of them must succeed."""
    with subprocess.Popen(["bash", "-euo", "pipefail", "-c", commands], cwd=folder,
                          env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True) as process:
        try:
            output = process.communicate(timeout=LIMIT)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    if process.returncode != 0:
        raise Failure(f"{commands}exit status {process.returncode}\n{output}")
    return output


def shown(text):
    """The lines to compare: how fast the machine is and how much is kept may differ."""
    return [line.rstrip("\r") for line in text.splitlines()
            if line and not re.match(r"vellum: .*(TSC|KiB)", line)]


def compare(expected, printed):
    """Every line that the document shows was printed, in this order."""
    lines = iter(shown(printed))
    for line in shown(expected):
        if line not in lines:  # goes on behind the one before
            raise Failure(f"'{line}' was not printed\n{printed}")


def follow(heading, folder, environment):
    printed = ""
    for name, kind, text in steps(heading):
        if name:
            file = os.path.join(folder, name)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "w", encoding="utf-8") as output:
                output.write(text)
        elif kind == "sh":
            printed = execute(text, folder, environment)
        elif kind == "text":
            compare(text, printed)
        else:
            raise Failure(f"a block of '{kind}' has no file name")


def plain_environment():
    """That of a reader: nothing of make test's."""
    return {name: value for name, value in os.environ.items()
            if name not in ("BUILD", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


def tree():
    """A folder like the tree, of links, with the guests' library and no guest, and with the image."""
    folder = scratch_file("vellum")
    os.makedirs(os.path.join(folder, "build"))
    os.makedirs(os.path.join(folder, "guests"))
    os.symlink(os.path.abspath(IMAGE), os.path.join(folder, "build", "vellum.elf"))
    for name in os.listdir("."):
        if name not in ("guests", "build", os.path.normpath(BUILD)) and not name.startswith("."):
            os.symlink(os.path.abspath(name), os.path.join(folder, name))
    for name in ("lib", "guests.mk"):
        os.symlink(os.path.abspath(f"guests/{name}"), os.path.join(folder, "guests", name))
    return folder


def native_tools():
    """Those that the document uses; else why it is skipped."""
    for tool in ("nasm", "gcc", "ld", "objcopy"):
        if not shutil.which(tool):
            return f"no {tool}"
    return None if os.uname().machine == "x86_64" else "this is no x86-64 machine"


def with_library():
    follow("With the bundled guests' library", tree(), plain_environment())


def with_header():
    missing = native_tools()
    if missing:
        return missing
    folder = os.path.dirname(scratch_file("guest"))
    follow("With the interface's header alone", folder,
           {**plain_environment(), "VELLUM": os.getcwd(), "BUILD": os.path.abspath(BUILD)})
    return None


def cases():
    yield "first guest, with the bundled guests' library", with_library
    yield "first guest, with the interface's header alone", with_header
