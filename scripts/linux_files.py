#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes a kernel and some of its modules out of Debian packages.

  scripts/linux_files.py OUT PACKAGE.tar... -- MODULE...

PACKAGE.tar is what `dpkg-deb --fsys-tarfile` gives. OUT gets `vmlinuz`, and each
module that is there, with those that it depends on, as NN.NAME.ko: NN is the
order of loading. A module that is built in, or that this kernel does not have, is left out.
"""
import lzma
import os
import re
import sys
import tarfile


def module_name(path):
    found = re.search(r"/([^/]+)\.ko(\.xz)?$", path)
    return found and found.group(1).replace("-", "_")


def contents(tar, member):
    data = tar.extractfile(member).read()
    return lzma.decompress(data) if member.name.endswith(".xz") else data


def dependencies(data):
    """Names in the module's own "depends=" (section .modinfo)."""
    found = re.search(rb"\0depends=([^\0]*)\0", data)
    return [name.replace("-", "_") for name in found.group(1).decode().split(",") if name] \
        if found else []


class Kernel:
    """What is in the packages, and what of it is wanted."""

    def __init__(self, packages):
        tars = [tarfile.open(package) for package in packages]
        self.files = [(tar, member) for tar in tars for member in tar.getmembers()]
        self.modules = {module_name(member.name): (tar, member) for tar, member in self.files
                        if module_name(member.name)}
        self.wanted = []  # names and contents, in the order of loading

    def want(self, name):
        if name not in self.modules or any(name == other for other, _ in self.wanted):
            return
        data = contents(*self.modules[name])
        for other in dependencies(data):
            self.want(other)
        self.wanted.append((name, data))

    def image(self):
        for tar, member in self.files:
            if re.search(r"/vmlinuz(-[^/]+)?$", member.name) and member.isfile():
                return contents(tar, member)
        return None


def main():
    if "--" not in sys.argv[3:]:
        sys.exit(__doc__)
    split = sys.argv.index("--")
    out, kernel = sys.argv[1], Kernel(sys.argv[2:split])
    for name in sys.argv[split + 1:]:
        kernel.want(name)
    image = kernel.image()
    if image is None:
        sys.exit("linux_files.py: no kernel in the packages")
    for number, (name, data) in enumerate(kernel.wanted, 1):
        with open(os.path.join(out, f"{number:02}.{name}.ko"), "wb") as file:
            file.write(data)
    with open(os.path.join(out, "vmlinuz"), "wb") as file:
        file.write(image)


if __name__ == "__main__":
    main()
