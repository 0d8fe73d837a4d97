#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes an initramfs (cpio, "newc"): mkinitramfs.py OUT NAME=FILE ...

Every file becomes an executable at that name. Folders, and /dev/console for
the first process, are made as needed; times and owners are 0.
"""
import os
import sys

FOLDER, EXECUTABLE, CHARACTER_DEVICE = 0o040755, 0o100755, 0o020600
CONSOLE = (5, 1)


def entry(number, name, mode, data=b"", device=(0, 0)):
    """One entry: 13 hexadecimal fields, the name, the data, each padded to 4 bytes."""
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def main():
    if len(sys.argv) < 3 or not all("=" in word for word in sys.argv[2:]):
        sys.exit(__doc__)
    files = dict(word.split("=", 1) for word in sys.argv[2:])
    folders = {"dev", "proc", "sys", "tmp"}
    for name in files:
        parts = name.split("/")[:-1]
        folders.update("/".join(parts[:n + 1]) for n in range(len(parts)))
    parts = [(folder, FOLDER, b"", (0, 0)) for folder in sorted(folders)]
    parts.append(("dev/console", CHARACTER_DEVICE, b"", CONSOLE))
    for name, path in sorted(files.items()):
        with open(path, "rb") as file:
            parts.append((name, EXECUTABLE, file.read(), (0, 0)))
    temporary = sys.argv[1] + ".new"
    with open(temporary, "wb") as out:
        for number, part in enumerate(parts, 1):
            out.write(entry(number, *part))
        out.write(entry(0, "TRAILER!!!", 0))
    os.replace(temporary, sys.argv[1])


if __name__ == "__main__":
    main()
