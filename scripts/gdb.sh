#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The hypervisor in gdb: starts QEMU, stopped before its first instruction, and a gdb with the
# hypervisor's symbols that is connected to it.
#
#   scripts/gdb.sh [--batch "COMMAND; COMMAND..."] [options of scripts/boot.sh] KERNEL...
#
# The serial console goes to build/gdb-console.log. Leaving gdb ends the machine. With --batch gdb
# does what it is told, prints, and leaves; then the console is printed.
#
# Use hbreak. The loader leaves the image at 2 MiB, the entry code maps it at 1 GiB, where it is
# linked (boot/link.ld), and before hv_main the image copies itself to the top of memory and goes on
# there, at the same virtual addresses. So the symbols are right from high_entry (boot/entry.asm) to
# the end. But a breakpoint that is written into memory cannot be set before the machine runs, as
# nothing is mapped at 1 GiB yet. A hardware breakpoint is an address and nothing else, good before
# and after the move. (QEMU without KVM keeps what `break` sets as an address, too.)
#
#   hbreak hv_main          once, on the boot processor, after the move
#   hbreak run_loop         each processor, when it begins to run the first partition
#   hbreak panic            before it says anything
#
# The processors are gdb's threads: info threads, thread apply all backtrace. While a guest runs on
# one, its registers are the guest's, and the hypervisor's symbols mean nothing there.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
BUILD=${BUILD:-$root/build}
symbols=$BUILD/vellum64.elf
console=$BUILD/gdb-console.log

commands=
if [ "${1-}" = --batch ]; then
    [ $# -ge 2 ] || { echo "gdb.sh: --batch wants commands" >&2; exit 64; }
    commands=$2
    shift 2
fi
command -v gdb >/dev/null || "$here/setup.sh" gdb >&2 || exit 125
[ -e "$symbols" ] || make -s -C "$root" "BUILD=$BUILD" "$BUILD/vellum.elf" >&2 || exit 125

work=$(mktemp -d "${TMPDIR:-/tmp}/vellum-gdb.XXXXXX") || exit 125
machine=
cleanup() {
    [ -z "$machine" ] || kill "$machine" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' TERM HUP

# A session of its own: Ctrl-C is gdb's.
setsid "$here/boot.sh" --gdb "$work/gdb" "$@" </dev/null >"$console" 2>"$work/errors" &
machine=$!
until [ -S "$work/gdb" ]; do
    if ! kill -0 "$machine" 2>/dev/null; then
        wait "$machine"
        status=$?
        machine=
        cat "$work/errors" >&2
        exit "$status"
    fi
    sleep 0.1
done

options=(-q -iex "set debuginfod enabled off" -ex "set confirm off"
    -ex "directory $root" -ex "target remote $work/gdb")
if [ -z "$commands" ]; then
    echo "gdb.sh: the console is in $console"
    trap '' INT
    gdb "${options[@]}" "$symbols"
    exit
fi
printf '%s\n' "$commands" | sed 's/; */\n/g' >"$work/commands"
gdb -nx -batch "${options[@]}" -x "$work/commands" "$symbols" </dev/null
status=$?
kill "$machine" 2>/dev/null
wait "$machine"
machine=
sed 's/^/console: /' "$console"
exit "$status"
