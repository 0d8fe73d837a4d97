#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's stock kernel on Vellum.
#   scripts/linux.sh fetch          gets kernel and busybox by apt, once, into build/linux
#   scripts/linux.sh WHAT [options of boot.sh]
# WHAT: shell   interactive
#       test    what a kernel needs of its machine, printed as TAP
#       load    the same under load: forks, memory, timers and disks, LOAD_SECONDS of them (60)
#       log     the kernel's warnings
#       bench   loops, timed, and the exits that they cost (BENCH_WORDS: how long they are)
#       brief, diagnose, reboot, panic   one thing each, for scripts/boot_tests/linux.py
# KERNEL_PACKAGE  another kernel package, or the name of one that depends on it
# KERNEL_SUITE    of another Debian release: trixie, trixie-backports
# KERNEL_WORDS    further words for the kernel's command line
# Exit status: as boot.sh; 77 when the packages cannot be fetched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
folder=${BUILD:-$root/build}/linux
mkdir -p "$folder"
folder=$(realpath "$folder")
package=${KERNEL_PACKAGE:-linux-image-cloud-amd64}
suite=${KERNEL_SUITE:-}
files=$folder/$package${suite:+-$suite}

unavailable() {
    echo "linux.sh: $*" >&2
    exit 77
}

# ---- fetching

# apt's options: none for this machine's release; for another one its own lists, below build/, from
# the places that this machine has its packages from.
apt_options=()
other_release() {
    local apt=$folder/apt-$suite keyring=/usr/share/keyrings/debian-archive-keyring.gpg own places
    own=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    places=$(apt-get indextargets --format "\$(RELEASE) \$(REPO_URI)" 'Created-By: Packages' |
        sed -n "s/^$own //p" | sort -u)
    [ -n "$places" ] || unavailable "apt here has no place for $own, so none for $suite"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    [ -r $keyring ] && keyring="[signed-by=$keyring]" || keyring=
    for place in $places; do echo "deb $keyring $place $suite main"; done >"$apt/sources.list"
    apt_options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache")
    apt-get "${apt_options[@]}" update -qq >"$apt/log" 2>&1 ||
        unavailable "the lists of $suite cannot be fetched"
}

# Packages that a package depends on, of those that begin with linux-WHAT-NUMBER.
parts() { # PACKAGE WHAT
    apt-cache "${apt_options[@]}" depends "$1" 2>/dev/null |
        sed -n "s/^ *Depends: \(linux-$2-[0-9].*\)\$/\1/p"
}

# The packages that a kernel is in: a package that only depends on the kernel's own one stands for
# that one, which newer kernels have in two parts.
kernel_packages() {
    local image
    image=$(parts "$1" image | head -n 1)
    image=${image:-$1}
    echo "$image $(parts "$image" binary) $(parts "$image" modules)"
}

# What is in a package, as a tar file.
package_tar() { # PACKAGE TAR
    local work status=0
    work=$(mktemp -d)
    chmod 755 "$work"
    if ! { (cd "$work" && apt-get "${apt_options[@]}" download -qq "$1") >"$work/log" 2>&1 &&
        dpkg-deb --fsys-tarfile "$work"/*.deb >"$2" 2>>"$work/log"; }; then
        cat "$work/log" >&2
        status=1
    fi
    rm -rf "$work"
    return $status
}

# What the disks, the network card and the MSRs need; what is built in is not there.
drivers="virtio_pci virtio_blk virtio_net ahci ata_piix sd_mod msr"

fetch_kernel() {
    local tars=() part
    echo "linux.sh: fetching $package${suite:+ of $suite}" >&2
    [ -z "$suite" ] || other_release
    rm -rf "$files" "$files.new"
    mkdir "$files.new"
    for part in $(kernel_packages "$package"); do
        package_tar "$part" "$files.new/$part.tar" ||
            unavailable "$part cannot be fetched (apt-get update?)"
        tars+=("$files.new/$part.tar")
    done
    # shellcheck disable=SC2086
    "$here/linux_files.py" "$files.new" "${tars[@]}" -- $drivers ||
        unavailable "there is no kernel in $package"
    rm "${tars[@]}"
    mv "$files.new" "$files"
}

fetch_busybox() {
    echo "linux.sh: fetching busybox-static" >&2
    package_tar busybox-static "$folder/busybox.tar" ||
        unavailable "busybox-static cannot be fetched (apt-get update?)"
    tar -x -C "$folder" -f "$folder/busybox.tar" --transform 's,.*/,,' ./bin/busybox
    rm "$folder/busybox.tar"
}

make_initramfs() {
    local words=("init=$root/guests/linux/init" "bin/busybox=$folder/busybox"
        "bin/work=$folder/work") name
    for name in "$files"/*.ko; do
        [ ! -e "$name" ] || words+=("drivers/${name##*/}=$name")
    done
    "$here/mkinitramfs.py" "$files/initramfs" "${words[@]}"
}

newer() { # newer THAN FILE...: whether one of them is, or THAN is not there
    local than=$1
    for file in "${@:2}"; do [ "$than" -nt "$file" ] || return 0; done
    return 1
}

fetch() {
    command -v apt-get >/dev/null || [ -s "$files/vmlinuz" ] ||
        unavailable "there is no apt here to fetch $package with"
    [ -s "$files/vmlinuz" ] || fetch_kernel
    [ -s "$folder/busybox" ] || fetch_busybox
    if newer "$folder/work" "$root/guests/linux/work.c"; then
        gcc -std=gnu17 -O2 -static -Wall -Wextra -o "$folder/work" "$root/guests/linux/work.c"
    fi
    if newer "$files/initramfs" "$root/guests/linux/init" "$folder/work"; then make_initramfs; fi
}

# One at a time: several tests may want it at once.
fetch_alone() {
    (
        flock 9
        fetch
    ) 9>"$folder/lock"
}

# ---- running

[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
what=$1
shift
case $what in
fetch) fetch_alone; exit ;;
shell | test | load | log | bench | brief | diagnose | reboot | panic) ;;
*) echo "linux.sh: not one of shell, test, load, log, bench...: $what" >&2; exit 64 ;;
esac
fetch_alone || exit $?

options=("$@")
has() { [[ " ${options[*]-} " == *" $1"* ]]; }
has "bochs-intel " && ! has "--model " && options=(--model corei7_haswell_4770 "${options[@]}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
truncate -s 64M "$scratch/disk" "$scratch/sata"
has "--disk " || options+=(--disk "$scratch/disk")
if ! has "bochs-"; then
    # With a thread for each processor QEMU 7.2 loses the registers of a guest on the first one
    # now and then (once in some minutes of a busy Linux): FXRSTOR and XRSTOR on another one clear
    # a bit, without a lock, in the word that tells whether nested paging is on there.
    options+=(--one-thread)
    has "--net" || options+=(--net)
    compgen -G "$files/*.ahci.ko" >/dev/null && options+=(--sata "$scratch/sata")
fi
has "--hv " || options=(--hv role=guest "${options[@]}")
[ "$what" != shell ] || options=(--input "${options[@]}")
words="vellum.run=$what vellum.seconds=${LOAD_SECONDS:-60}"
# shellcheck disable=SC2086
"$here/boot.sh" "${options[@]}" "$files/vmlinuz" \
    "console=ttyS0 quiet panic=-1 $words${BENCH_WORDS:+ $BENCH_WORDS}${KERNEL_WORDS:+ $KERNEL_WORDS}" \
    --module "$files/initramfs"
