#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that the named groups need and that are missing.
#   scripts/setup.sh [build] [qemu] [bochs] [iso] [test] [lint] [gdb]    (none: all but gdb)
# Says what it installs; silent and without any rights when nothing is missing.
set -eu

build="gcc libc6-dev binutils make nasm python3"
qemu="qemu-system-x86"
bochs="bochs bochsbios vgabios"
iso="grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools"
test="libcmocka-dev g++ clang libclang-rt-dev ovmf"
lint="clang-format clang-tidy cppcheck"
gdb="gdb"

[ $# -gt 0 ] || set -- build qemu bochs iso test lint
wanted=
for group in "$@"; do
    case $group in
    build | qemu | bochs | iso | test | lint | gdb) wanted="$wanted ${!group}" ;;
    *) echo "setup.sh: no such group: $group" >&2; exit 64 ;;
    esac
done

missing=()
for package in $wanted; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "setup.sh: please install what Debian calls: ${missing[*]}" >&2
    exit 1
fi
echo "setup.sh: installing ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "setup.sh: needs root or sudo" >&2; exit 1; }
    as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
install=("${as_root[@]}" apt-get install -y -qq --no-install-recommends)
# The lists of a fresh machine are empty or old: refresh them when the first try fails.
"${install[@]}" "${missing[@]}" >/dev/null 2>&1 || {
    "${as_root[@]}" apt-get update -qq
    "${install[@]}" "${missing[@]}" >/dev/null
}
