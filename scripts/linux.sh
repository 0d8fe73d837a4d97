#!/bin/bash
# Debian's stock kernel on Vellum.
#   scripts/linux.sh fetch                     gets kernel and busybox by apt, once, into build/linux
#   scripts/linux.sh shell|test|reboot|panic [options of boot.sh]
# "test" prints TAP; "shell" is interactive on QEMU (Bochs runs the tests instead).
# KERNEL_PACKAGE  another kernel package, or the name of one that depends on it
# KERNEL_WORDS    further words for the kernel's command line
# Exit status: as boot.sh; 77 when the packages cannot be fetched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
folder=${BUILD:-$root/build}/linux
package=${KERNEL_PACKAGE:-linux-image-cloud-amd64}
files=$folder/$package

unavailable() {
    echo "linux.sh: $*" >&2
    exit 77
}

# A package that only depends on the kernel's own one stands for that one.
real_package() {
    local depends
    depends=$(apt-cache depends "$1" 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
    echo "${depends:-$1}"
}

# Unpacks files of a package that apt downloads into one folder: unpack PACKAGE FOLDER PATTERN...
unpack() {
    local work package=$1 to=$2 status=0
    shift 2
    work=$(mktemp -d)
    chmod 755 "$work"
    mkdir "$work/files"
    if (cd "$work" && apt-get download -qq "$package") >"$work/log" 2>&1 &&
        dpkg-deb --fsys-tarfile "$work"/*.deb >"$work/tar" 2>>"$work/log" &&
        # tar complains of patterns that are not in the package; the first one must be
        { tar -x -C "$work/files" -f "$work/tar" --wildcards --transform 's,.*/,,' "$@" \
            2>>"$work/log" || compgen -G "$work/files/${1##*/}" >/dev/null; }; then
        rm -rf "$to"
        mv "$work/files" "$to"
    else
        cat "$work/log" >&2
        status=1
    fi
    rm -rf "$work"
    return $status
}

# What a disk on virtio's PCI bus needs, in the order of loading; absent ones are built in.
drivers="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk"

fetch_kernel() {
    local patterns=() name
    for name in $drivers; do patterns+=("./lib/modules/*/$name.ko*"); done
    echo "linux.sh: fetching $package" >&2
    unpack "$(real_package "$package")" "$files" './boot/vmlinuz-*' "${patterns[@]}" ||
        unavailable "$package cannot be fetched (apt-get update?)"
    for name in "$files"/*.ko.xz; do [ ! -e "$name" ] || xz -d "$name"; done
    mv "$files"/vmlinuz-* "$files/vmlinuz"
}

make_initramfs() {
    local words=("init=$root/guests/linux/init" "bin/busybox=$folder/busybox/busybox") name n=0
    for name in $drivers; do
        n=$((n + 1))
        [ ! -e "$files/$name.ko" ] || words+=("drivers/$n.$name.ko=$files/$name.ko")
    done
    "$here/mkinitramfs.py" "$files/initramfs" "${words[@]}"
}

fetch() {
    command -v apt-get >/dev/null || [ -s "$files/vmlinuz" ] ||
        unavailable "there is no apt here to fetch $package with"
    [ -s "$files/vmlinuz" ] || fetch_kernel
    if [ ! -s "$folder/busybox/busybox" ]; then
        echo "linux.sh: fetching busybox-static" >&2
        unpack busybox-static "$folder/busybox" ./bin/busybox ||
            unavailable "busybox-static cannot be fetched (apt-get update?)"
    fi
    if [ ! -s "$files/initramfs" ] || [ "$root/guests/linux/init" -nt "$files/initramfs" ]; then
        make_initramfs
    fi
}

# One at a time: several tests may want it at once.
fetch_alone() {
    mkdir -p "$folder"
    (
        flock 9
        fetch
    ) 9>"$folder/lock"
}

[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
what=$1
shift
case $what in
fetch) fetch_alone; exit ;;
shell | test | reboot | panic) ;;
*) echo "linux.sh: not one of fetch, shell, test, reboot, panic: $what" >&2; exit 64 ;;
esac
fetch_alone || exit $?
case " $* " in
*" bochs-"*) [ "$what" = shell ] && { echo "linux.sh: no shell on Bochs; the tests" >&2; what="test"; } ;;
esac
options=("$@")
case " $* " in
*" bochs-intel "*) [[ " $* " == *" --model "* ]] || options=(--model corei7_haswell_4770 "$@") ;;
esac
case " $* " in
*" bochs-"*) ;;
*) # on QEMU with a disk
    disk=$(mktemp)
    trap 'rm -f "$disk"' EXIT
    truncate -s 64M "$disk"
    options+=(--disk "$disk")
    ;;
esac
"$here/boot.sh" --hv role=guest ${options[@]+"${options[@]}"} "$files/vmlinuz" \
    "console=ttyS0 quiet panic=-1 vellum.run=$what${KERNEL_WORDS:+ $KERNEL_WORDS}" \
    --module "$files/initramfs"
