#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes an ISO that boots the hypervisor and a first partition, from CD or USB stick.
#
#   scripts/mkiso.sh [--bios] [--multiboot1] OUT.iso "HVWORDS" KERNEL "CMDLINE"
#                    [--module FILE "CMDLINE"]...
#
# --bios        for a BIOS only: smaller, made faster (else BIOS and UEFI)
# --multiboot1  GRUB uses Multiboot 1 (else 2); BIOS only
# VELLUM_IMAGE  the hypervisor (build/vellum.elf)
# As with QEMU's -initrd, each module's command line begins with its file's name (and a slash, by
# which it is known for one).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
image=${VELLUM_IMAGE:-$here/../build/vellum.elf}

die() {
    echo "mkiso.sh: $*" >&2
    exit 64
}

bios='' load=multiboot2 module=module2
while :; do
    case "${1-}" in
    --bios) bios=1 ;;
    --multiboot1) bios=1 load=multiboot module=module ;;
    *) break ;;
    esac
    shift
done
[ $# -ge 4 ] || die 'usage: mkiso.sh [--bios] [--multiboot1] OUT.iso "HVWORDS" KERNEL "CMDLINE"' \
    '[--module FILE "CMDLINE"]...'
out=$1 words=$2
shift 2
files=("$1") lines=("$2")
shift 2
while [ $# -gt 0 ]; do
    if [ "$1" != --module ] || [ $# -lt 3 ]; then
        die "--module wants a file and its command line"
    fi
    files+=("$2")
    lines+=("$3")
    shift 3
done
for file in "$image" "${files[@]}"; do
    [ -r "$file" ] || die "cannot read $file"
done

{ command -v grub-mkrescue && command -v xorriso && command -v mformat; } >/dev/null ||
    "$here/setup.sh" iso

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Each word in quotes, so that GRUB's script language takes it as it is (but it passes quotes and
# backslashes on with a backslash before them). Of two spaces the second is an empty word.
quoted() {
    local word rest=$1
    while [ -n "$rest" ]; do
        word=${rest%% *}
        printf " '%s'" "${word//\'/\'\\\'\'}"
        rest=${rest#"$word"}
        rest=${rest# }
    done
}

mkdir -p "$work/cd/boot/grub"
cp -L "$image" "$work/cd/boot/vellum.elf"
{
    echo "set timeout=${VELLUM_MENU_SECONDS:-0}"
    echo "menuentry Vellum {"
    echo "    $load /boot/vellum.elf$(quoted "$words")"
    for n in "${!files[@]}"; do
        cp -L "${files[n]}" "$work/cd/boot/module$n"
        echo "    $module /boot/module$n$(quoted "/$(basename "${files[n]}")${lines[n]:+ ${lines[n]}}")"
    done
    echo "}"
} >"$work/cd/boot/grub/grub.cfg"

options=(--locales= --fonts= --themes=)
[ -n "$bios" ] && options+=(-d /usr/lib/grub/i386-pc
    --install-modules="multiboot multiboot2 iso9660 part_msdos biosdisk normal boot test")
if ! grub-mkrescue -o "$out" "$work/cd" "${options[@]}" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    die "grub-mkrescue failed"
fi
