#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A terminal device for an emulator's serial port, joined to standard input and output.

  scripts/terminal.py LINK COPY

LINK becomes the device's name; what comes out of it goes to standard output and to the file
COPY. Ends when it is told to, or when the other side has closed the device for good.
"""
import errno
import os
import select
import sys
import termios
import tty


def quiet_keyboard():
    """No echo and no lines on our side, if it is a terminal; returns what puts it back."""
    if not sys.stdin.isatty():
        return lambda: None
    before = termios.tcgetattr(0)
    tty.setcbreak(0)
    return lambda: termios.tcsetattr(0, termios.TCSADRAIN, before)


def relay(device, copy):
    sources = [device, 0]
    while True:
        for source in select.select(sources, [], [])[0]:
            try:
                data = os.read(source, 4096)
            except OSError as problem:
                if problem.errno == errno.EIO:
                    return
                raise
            if source == device:
                copy.write(data)
                os.write(1, data)
            elif data:
                os.write(device, data)
            else:
                sources.remove(0)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    device, other = os.openpty()
    tty.setraw(other)
    put_back = quiet_keyboard()
    try:
        with open(sys.argv[2], "ab", buffering=0) as copy:
            os.symlink(os.ttyname(other), sys.argv[1])
            relay(device, copy)
    finally:
        put_back()


if __name__ == "__main__":
    main()
