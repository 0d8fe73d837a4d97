#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots a Multiboot kernel or a Linux bzImage as Vellum's first partition.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

usage() {
    cat >&2 <<END
usage: scripts/boot.sh [options] KERNEL [CMDLINE] [--module FILE [CMDLINE]]...
  --machine qemu|bochs-intel|bochs-amd   (qemu)
  --model NAME      the processor, as the emulator names it (max, corei7_skylake_x, zambezi)
  --accel tcg|kvm   QEMU's accelerator (tcg)
  --cpus N          processors (2)
  --memory MIB      (512)
  --hv "WORDS"      Vellum's own command line
  --timeout SECONDS (none)
  --image FILE      the hypervisor (build/vellum.elf)
  --bare            KERNEL alone, without the hypervisor
  --disk FILE       a disk: virtio on QEMU, ATA on Bochs
  --sata FILE       a disk on AHCI (QEMU)
  --net             a virtio network card (QEMU): 10.0.2.100 echoes what comes to its port 7
  --icount          QEMU's time counts instructions
  --one-thread      QEMU (tcg) runs its processors in turns, in one thread
  --trace FILE      the instructions between the guest's first XCHG BX, BX and its second, its third
                    and its fourth and so on, as Bochs disassembles them (Bochs, one processor)
  --gdb SOCKET      QEMU waits for a gdb at this Unix socket before it starts (scripts/gdb.sh)
  --input           standard input goes to the serial console, a terminal or not
Standard output is the guest's serial console. Exit status: the value that the
guest wrote to the debug-exit port (QEMU); 0 it powered the machine off; 1 on
Bochs, it did so after a failed test; 2 on Bochs, the machine ended otherwise;
3 the hypervisor stopped; 4 the machine was reset (QEMU); 64 wrong usage;
124 time limit; 125 the emulator did not start; 141 nobody reads the console
any more.
END
    exit 64
}

complain() {
    echo "boot.sh: $*" >&2
}

# ---- arguments

machine=qemu model= accel=tcg cpus=2 memory=512 hv_words= limit=0 bare= icount= disk= sata= net= input= threads=
trace= gdb=
image=${BUILD:-$root/build}/vellum.elf
while [ $# -gt 0 ]; do
    case $1 in
    --bare) bare=1; shift; continue ;;
    --icount) icount=1; shift; continue ;;
    --net) net=1; shift; continue ;;
    --input) input=1; shift; continue ;;
    --one-thread) threads=,thread=single; shift; continue ;;
    --machine | --model | --accel | --cpus | --memory | --hv | --timeout | --image | --disk | --sata | \
        --trace | --gdb)
        [ $# -ge 2 ] || usage ;;
    -*) usage ;;
    *) break ;;
    esac
    case $1 in
    --machine) machine=$2 ;;
    --model) model=$2 ;;
    --accel) accel=$2 ;;
    --cpus) cpus=$2 ;;
    --memory) memory=$2 ;;
    --hv) hv_words=$2 ;;
    --timeout) limit=$2 ;;
    --image) image=$2 ;;
    --disk) disk=$2 ;;
    --sata) sata=$2 ;;
    --trace) trace=$2 ;;
    --gdb) gdb=$2 ;;
    esac
    shift 2
done
[ $# -ge 1 ] || usage
kernel=$1; shift
command_line=
if [ $# -gt 0 ] && [ "$1" != --module ]; then command_line=$1; shift; fi
module_files=() module_lines=()
while [ $# -gt 0 ]; do
    if [ "$1" != --module ] || [ $# -lt 2 ]; then usage; fi
    module_files+=("$2"); shift 2
    if [ $# -gt 0 ] && [ "$1" != --module ]; then module_lines+=("$1"); shift; else module_lines+=(""); fi
done
case $machine in
qemu) model=${model:-max} ;;
bochs-intel) model=${model:-corei7_skylake_x} ;;
bochs-amd) model=${model:-zambezi} ;;
*) usage ;;
esac
case $accel in tcg | kvm) ;; *) usage ;; esac
if [ -n "$gdb" ] && [ "$machine" != qemu ]; then usage; fi
if [ -n "$trace" ] && { [ "$machine" = qemu ] || [ "$cpus" != 1 ]; }; then usage; fi
for number in "$cpus" "$memory" "$limit"; do
    case $number in *[!0-9]* | '') usage ;; esac
done

# ---- what is needed

case $machine in
qemu) command -v qemu-system-x86_64 >/dev/null || "$here/setup.sh" qemu >&2 || exit 125 ;;
*) { command -v bochs && command -v grub-mkrescue && command -v xorriso; } >/dev/null ||
    "$here/setup.sh" bochs iso >&2 || exit 125 ;;
esac
if [ -z "$bare" ] && [ ! -e "$image" ]; then
    complain "building $image"
    make -s -C "$root" "BUILD=$(dirname "$image")" "$image" >&2 || exit 125
fi
[ -n "$bare" ] && files=("$kernel") || files=("$image" "$kernel")
for file in "${files[@]}" ${module_files[@]+"${module_files[@]}"}; do
    [ -r "$file" ] || { complain "cannot read $file"; exit 125; }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/vellum.XXXXXX") || exit 125
machine_pid='' relay_pid='' monitor_pid=''
cleanup() {
    local pid
    for pid in $machine_pid $relay_pid $monitor_pid; do kill -KILL "$pid" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Names without spaces and commas for the emulators.
link() {
    ln -s "$(realpath "$1")" "$work/$2"
}
link "$kernel" kernel
[ -z "$disk" ] || link "$disk" disk
[ -z "$sata" ] || link "$sata" sata
for n in ${module_files[@]+"${!module_files[@]}"}; do link "${module_files[n]}" "module$n"; done

# ---- the machines: each sets command=(...), and where the emulator's own words go

# A file name with its arguments, as one element of -initrd.
initrd_element() {
    local text="$work/$1${2:+ $2}"
    printf '%s' "${text//,/,,}"
}

is_linux() { # bzImage: "HdrS" at 0x202
    [ "$(dd if="$1" bs=1 skip=514 count=4 status=none | tr -d '\0')" = HdrS ]
}

prepare_qemu() {
    local modules=() first=() n list
    for n in ${module_files[@]+"${!module_files[@]}"}; do
        if [ -n "$bare" ] && is_linux "$kernel"; then
            modules+=("$work/module$n")
        else
            modules+=("$(initrd_element "module$n" "${module_lines[n]}")")
        fi
    done
    if [ -n "$bare" ]; then
        first=(-kernel "$work/kernel" -append "$command_line")
    else
        first=(-kernel "$image" -append "$hv_words")
        modules=("$(initrd_element kernel "$command_line")" ${modules[@]+"${modules[@]}"})
    fi
    list=$(IFS=,; printf '%s' "${modules[*]-}")
    # The monitor starts the machine (or gdb does), so that its answer proves that QEMU came that
    # far, and tells a power-off from a reset.
    mkfifo "$work/monitor.in" "$work/monitor.out"
    exec 5<>"$work/monitor.in" 6<>"$work/monitor.out"
    printf '{"execute":"qmp_capabilities"}\n' >&5
    [ -n "$gdb" ] || printf '{"execute":"cont"}\n' >&5
    cat <"$work/monitor.out" >"$work/monitor" 3<&- 4>&- 5<&- 6<&- &
    monitor_pid=$!
    [ "$accel" = tcg ] || threads=
    command=(qemu-system-x86_64 -S -accel "$accel$threads" -m "$memory" -smp "$cpus" -display none
        -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 -serial stdio
        -chardev "pipe,id=monitor,path=$work/monitor"
        -mon chardev=monitor,mode=control "${first[@]}")
    [ "$accel" = kvm ] && model=${model/max/host}
    command+=(-cpu "$model")
    [ -n "$disk" ] && command+=(-drive "file=$work/disk,format=raw,if=virtio")
    [ -n "$sata" ] && command+=(-device "ahci,id=ahci" -device "ide-hd,drive=sata,bus=ahci.0"
        -drive "file=$work/sata,format=raw,if=none,id=sata")
    [ -n "$net" ] && command+=(-device "virtio-net-pci,netdev=net,romfile="
        -netdev "user,id=net,restrict=on,guestfwd=tcp:10.0.2.100:7-cmd:cat")
    [ -n "$gdb" ] && command+=(-gdb "unix:$gdb,server=on,wait=off")
    [ -n "$icount" ] && command+=(-icount shift=0,sleep=off)
    [ -n "$list" ] && command+=(-initrd "$list")
    return 0
}

# A CD that boots the kernel bare; with the hypervisor on it mkiso.sh makes one.
bare_iso() {
    local n load=multiboot module=module
    mkdir -p "$work/cd/boot/grub"
    cp -L "$work/kernel" "$work/cd/boot/kernel"
    is_linux "$kernel" && load=linux module=initrd
    {
        echo 'set timeout=0'
        echo 'menuentry guest {'
        echo "$load /boot/kernel $command_line"
        for n in ${module_files[@]+"${!module_files[@]}"}; do
            cp -L "$work/module$n" "$work/cd/boot/module$n"
            echo "$module /boot/module$n ${module_lines[n]}"
        done
        echo '}'
    } >"$work/cd/boot/grub/grub.cfg"
    grub-mkrescue -o "$work/boot.iso" "$work/cd" --locales= --fonts= --themes= \
        -d /usr/lib/grub/i386-pc \
        --install-modules="multiboot linux iso9660 biosdisk normal boot" >"$work/mkiso.log" 2>&1
}

vellum_iso() {
    local words=() n
    for n in ${module_files[@]+"${!module_files[@]}"}; do
        words+=(--module "$work/module$n" "${module_lines[n]}")
    done
    VELLUM_IMAGE=$image "$here/mkiso.sh" --bios "$work/boot.iso" "$hv_words" "$work/kernel" \
        "$command_line" ${words[@]+"${words[@]}"} >"$work/mkiso.log" 2>&1
}

# Bochs's debugger stops at each XCHG BX, BX, and then reads its next lines.
prepare_trace() {
    echo 'magic_break: enabled=1' >>"$work/bochsrc"
    for _ in $(seq 100); do
        printf '%s\n' 'trace on' c 'trace off' c
    done >>"$work/continue"
}

prepare_bochs() {
    local serial="mode=file, dev=$work/serial"
    [ -z "$input" ] || serial="mode=term, dev=$work/terminal"
    [ -n "$bare" ] && make_iso=bare_iso || make_iso=vellum_iso
    $make_iso || { complain "could not make the CD"; cat "$work/mkiso.log" >&2; exit 125; }
    cat >"$work/bochsrc" <<END
plugin_ctrl: unmapped=1, iodebug=1
config_interface: textconfig
display_library: rfb, options="timeout=0"
memory: guest=$memory, host=$memory
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=$model, count=$cpus, ips=50000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
${disk:+ata0-slave: type=disk, path=$work/disk, mode=flat}
boot: cdrom
com1: enabled=1, $serial
port_e9_hack: enabled=1
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
clock: sync=none, time0=946684800
log: $work/bochs.log
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
END
    echo c >"$work/continue"
    [ -z "$trace" ] || prepare_trace
    command=(bochs -q -f "$work/bochsrc" -rc "$work/continue")
}

# ---- running: the console goes through a pipe to standard output, and is kept to be looked at

mkfifo "$work/serial"
: >"$work/output"
exec 3<&0 4<>"$work/serial"
if [ "$machine" = qemu ]; then
    prepare_qemu
    [ -n "$input" ] || [ -t 3 ] || exec 3</dev/null
    tee "$work/output" <"$work/serial" 3<&- 4>&- 5<&- 6<&- &
    relay_pid=$!
    "${command[@]}" <&3 >"$work/serial" 3<&- 4>&- 5<&- 6<&- &
else
    prepare_bochs
    if [ -n "$input" ]; then
        "$here/terminal.py" "$work/terminal" "$work/output" <&3 3<&- 4>&- &
        relay_pid=$!
        until [ -e "$work/terminal" ]; do sleep 0.1; done
    else
        tee "$work/output" <"$work/serial" 3<&- 4>&- &
        relay_pid=$!
    fi
    # Two that look for a free display port in the same moment can both fail: one after the other.
    exec 7>"${TMPDIR:-/tmp}/vellum-bochs-start.$(id -u)"
    flock -w 30 7
    "${command[@]}" </dev/null >"$work/bochs.out" 2>&1 3<&- 4>&- 7>&- &
fi
machine_pid=$!
if [ "$machine" != qemu ]; then
    for _ in $(seq 50); do
        grep -qsa 'listening for connections' "$work/bochs.log" && break
        kill -0 "$machine_pid" 2>/dev/null || break
        sleep 0.1
    done
    exec 7>&-
fi

verdict=
SECONDS=0
while kill -0 "$machine_pid" 2>/dev/null; do
    sleep 0.2 3<&- 4>&- 5>&- 6>&- &
    wait -n "$machine_pid" $! 2>/dev/null
    if grep -qa 'vellum: stopped' "$work/output"; then
        verdict=3
    elif [ "$limit" -gt 0 ] && [ "$SECONDS" -ge "$limit" ]; then
        verdict=124
    elif [ ! -e "$work/terminal" ] && ! kill -0 "$relay_pid" 2>/dev/null; then
        verdict=141 # whoever read the console is gone (boot.sh ... | head): as by SIGPIPE
    fi
    [ -n "$verdict" ] && kill "$machine_pid" 2>/dev/null && break
done
wait "$machine_pid" 2>/dev/null
status=$?
machine_pid=
exec 4>&- 5>&- 6>&-
[ ! -e "$work/terminal" ] || kill "$relay_pid" 2>/dev/null
wait "$relay_pid" $monitor_pid 2>/dev/null
relay_pid='' monitor_pid=''

[ -z "$trace" ] || sed -n '/^Tracing enabled/,/^Tracing disabled/p' "$work/bochs.out" >"$trace"

# ---- the verdict

verdict_qemu() {
    if ! grep -qs '"return"' "$work/monitor"; then
        complain "QEMU did not start (status $status)"
        if [ "$accel" = kvm ] && ! grep -qs '[1Y]' /sys/module/kvm_*/parameters/nested; then
            complain "this machine's KVM does not say that it nests virtualization, which Vellum needs"
        fi
        verdict=125
    elif grep -q '"guest-reset"' "$work/monitor"; then
        complain "the machine was reset"
        verdict=4
    elif [ $((status % 2)) = 1 ]; then
        verdict=$(((status - 1) / 2))
    elif [ "$status" != 0 ]; then
        complain "QEMU ended with status $status"
        verdict=125
    else
        verdict=0
    fi
}

verdict_bochs() {
    if [ ! -s "$work/bochs.log" ]; then
        complain "Bochs did not start"
        tail -n 20 "$work/bochs.out" >&2
        verdict=125
    elif ! grep -qaiE 'shutdown requested|soft power off' "$work/bochs.log"; then
        complain "Bochs ended without a power-off:"
        grep -a -A 3 'PANIC' "$work/bochs.log" | tail -n 20 >&2
        verdict=2
    elif grep -qaE '^(not ok|Bail out!)' "$work/output"; then
        verdict=1
    else
        verdict=0
    fi
}

grep -qa 'vellum: stopped' "$work/output" && verdict=3
if [ -z "$verdict" ]; then
    if [ "$machine" = qemu ]; then verdict_qemu; else verdict_bochs; fi
fi
[ "$verdict" = 124 ] && complain "time limit of $limit s"
exit "$verdict"
