#!/usr/bin/env python3
"""Takes a kernel and some of its modules out of a Debian package.

  scripts/linux_files.py PACKAGE.tar OUT MODULE...

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


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    package, out, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
    os.makedirs(out, exist_ok=True)
    with tarfile.open(package) as tar:
        members = tar.getmembers()
        modules = {module_name(m.name): m for m in members if module_name(m.name)}
        loaded = []

        def load(name):
            if name in loaded or name not in modules:
                return
            data = contents(tar, modules[name])
            for other in dependencies(data):
                load(other)
            loaded.append(name)
            with open(os.path.join(out, f"{len(loaded):02}.{name}.ko"), "wb") as file:
                file.write(data)

        for name in wanted:
            load(name)
        kernels = [m for m in members if re.search(r"/boot/vmlinuz-[^/]+$", m.name)]
        if not kernels:
            sys.exit("linux_files.py: no kernel in the package")
        with open(os.path.join(out, "vmlinuz"), "wb") as file:
            file.write(contents(tar, kernels[0]))


if __name__ == "__main__":
    main()
