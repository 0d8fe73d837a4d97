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

# Unpacks one file of a package that apt downloads: extract PACKAGE FILE TO
extract() {
    local work
    work=$(mktemp -d)
    chmod 755 "$work"
    if ! (cd "$work" && apt-get download -qq "$1") >"$work/log" 2>&1; then
        cat "$work/log" >&2
        rm -rf "$work"
        return 1
    fi
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -O --wildcards "./$2" >"$3.new" &&
        [ -s "$3.new" ] && mv "$3.new" "$3"
    local status=$?
    rm -rf "$work"
    return $status
}

fetch() {
    mkdir -p "$folder"
    if [ ! -s "$folder/$package.vmlinuz" ]; then
        command -v apt-get >/dev/null || unavailable "there is no apt here to fetch $package with"
        echo "linux.sh: fetching $package" >&2
        extract "$(real_package "$package")" 'boot/vmlinuz-*' "$folder/$package.vmlinuz" ||
            unavailable "$package cannot be fetched (apt-get update?)"
    fi
    if [ ! -s "$folder/busybox" ]; then
        echo "linux.sh: fetching busybox-static" >&2
        extract busybox-static bin/busybox "$folder/busybox" ||
            unavailable "busybox-static cannot be fetched (apt-get update?)"
    fi
    if [ ! -s "$folder/initramfs" ] || [ "$root/guests/linux/init" -nt "$folder/initramfs" ]; then
        "$here/mkinitramfs.py" "$folder/initramfs" "init=$root/guests/linux/init" \
            "bin/busybox=$folder/busybox"
    fi
}

[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
what=$1
shift
case $what in
fetch) fetch; exit ;;
shell | test | reboot | panic) ;;
*) echo "linux.sh: not one of fetch, shell, test, reboot, panic: $what" >&2; exit 64 ;;
esac
fetch
case " $* " in
*" bochs-"*) [ "$what" = shell ] && { echo "linux.sh: no shell on Bochs; the tests" >&2; what="test"; } ;;
esac
options=("$@")
case " $* " in
*" bochs-intel "*) [[ " $* " == *" --model "* ]] || options=(--model corei7_haswell_4770 "$@") ;;
esac
exec "$here/boot.sh" --hv role=guest ${options[@]+"${options[@]}"} "$folder/$package.vmlinuz" \
    "console=ttyS0 quiet panic=-1 vellum.run=$what${KERNEL_WORDS:+ $KERNEL_WORDS}" \
    --module "$folder/initramfs"
