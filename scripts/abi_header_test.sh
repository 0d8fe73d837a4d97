#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests, printed as TAP, that hypercalls/abi.h is what a VMM's author can take as it is: it compiles
# alone as C and as C++ by gcc and clang, for 32 and 64 bits, in the tree and where `make install`
# puts it, and notices when a structure is not laid out as the interface says.
set -u
cd "$(dirname "$0")/.." || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/vellum-abi.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT

flags="-Wall -Wextra -Wpedantic -Werror -ffreestanding -c -o $work/object"
c11="-x c -std=c11"
cxx17="-x c++ -std=c++17"
compilers=("gcc $c11" "g++ $cxx17" "clang $c11" "clang++ $cxx17" "gcc $c11 -m32" "g++ $cxx17 -m32"
    "clang $c11 -m32" "clang++ $cxx17 -m32" "clang $c11 --target=x86_64-pc-windows-msvc"
    "clang++ $cxx17 --target=x86_64-pc-windows-msvc")

number=0 failed=0
# result NAME OUTPUT: no output is success.
result() {
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        failed=$((failed + 1))
        echo "not ok $number - $1"
        printf '%s\n' "$2" | head -n 20 | sed 's/^/#   /'
    fi
}

# compile COMPILER FILE [FLAG]...: what it complains about.
compile() {
    # shellcheck disable=SC2086
    $1 $flags "${@:3}" "$2" 2>&1 || echo "exit status $?"
}

# A program that uses a little of everything.
program() { # program INCLUDE
    cat <<END
#include $1
uint64_t control(struct hv_input_map_vp_state_page *in, const struct hv_message *message);
uint64_t control(struct hv_input_map_vp_state_page *in, const struct hv_message *message)
{
    in->partition_id = HV_PARTITION_ID_SELF;
    in->vp_index = HV_VP_INDEX_SELF;
    switch (message->header.type) {
    case HV_MESSAGE_IO_PORT:
        return message->payload.io.rax;
    case HV_MESSAGE_HALT:
        return HV_CONTROL_RESERVED;
    default:
        return HVCALL_MAP_VP_STATE_PAGE | HV_CONTROL_FAST;
    }
}
END
}
program '"hypercalls/abi.h"' >"$work/tree"
program '<vellum/abi.h>' >"$work/installed"

for compiler in "${compilers[@]}"; do
    result "in the tree, ${compiler/-x c* -std/-std}" "$(compile "$compiler" "$work/tree" -I.)"
done

make_quietly() { env -u MAKEFLAGS -u MAKELEVEL make -s "$@" >"$work/log" 2>&1; }
make_quietly install "DESTDIR=$work/root" PREFIX=/opt/of-mine
result "make install, with DESTDIR and PREFIX" "$(cd "$work/root" && find . -type f | sort |
    diff - <(printf '%s\n' ./opt/of-mine/include/vellum/abi{,_calls,_pages}.h); cat "$work/log")"
for compiler in "${compilers[@]}"; do
    result "installed, ${compiler/-x c* -std/-std}" \
        "$(compile "$compiler" "$work/installed" "-I$work/root/opt/of-mine/include")"
done
make_quietly uninstall "DESTDIR=$work/root" PREFIX=/opt/of-mine
result "make uninstall takes all of it away" "$(find "$work/root" -name '*vellum*' -o -type f; cat "$work/log")"

headers=(hypercalls/abi.h hypercalls/abi_calls.h hypercalls/abi_pages.h)
result "it includes nothing but stddef.h, stdint.h and itself" \
    "$(grep -n '#include' "${headers[@]}" | grep -vE '<std(def|int)\.h>|"abi_(calls|pages)\.h"')"

# Each structure and each of its fields; bit-fields and what is inside a union have no offset to ask.
unasserted() {
    sed -E 's@/\*.*\*/@@' "${headers[@]}" | awk '
        /^struct [a-z0-9_]+ \{/ { type = $2; wanted["HV_ABI_SIZE(" type] = 1; inside = 1; next }
        /^};/ { inside = 0 }
        inside && /\{/ { deeper = 1 }
        inside && /}/ { deeper = 0 }
        inside && !deeper && /;/ && !/:/ {
            gsub(/^ *(struct )?[a-z0-9_]+ |^ *} |;|\[[^]]*\]| /, "")
            count = split($0, names, ",")
            for (i = 1; i <= count; i++)
                wanted["HV_ABI_AT(" type "," names[i]] = 1
        }
        /^HV_ABI_(SIZE|AT)\(/ { gsub(" ", ""); sub(/,[^,]*$/, ""); delete wanted[$0] }
        END { for (name in wanted) print name ") is missing" }'
}
result "the size of each structure and the offset of each field are asserted" "$(unasserted)"

# A copy with an error in it, by sed: broken HEADER SCRIPT NEEDLE says when that compiles, or when
# the complaint does not name what is wrong.
broken() {
    rm -rf "$work/copy"
    mkdir "$work/copy"
    cp "${headers[@]}" "$work/copy"
    sed -i "$2" "$work/copy/$1"
    cmp -s "hypercalls/$1" "$work/copy/$1" && echo "nothing was changed by: $2"
    compile "gcc $c11" "$work/copy/abi.h" >"$work/log"
    grep -q "static assertion failed.*$3" "$work/log" || echo "not noticed: $1, $2"
}
result "two fields that change places are noticed" "$(
    broken abi_pages.h 's/uint64_t cr0, cr3,/uint64_t cr3, cr0,/' 'hv_register_page, cr0'
    broken abi_calls.h 's/^    uint32_t lp_index;/    uint32_t apic_id_;/; s/apic_id;/lp_index;/;
        s/apic_id_;/apic_id;/' 'hv_input_add_logical_processor, lp_index')"
result "an array that is too long is noticed" \
    "$(broken abi_calls.h 's/substatus\[6\]/substatus[7]/' 'hv_output_add_logical_processor')"
result "a field too many is noticed, in each structure" "$(for header in "${headers[@]##*/}"; do
    for name in $(sed -n 's/^struct \([a-z0-9_]*\) {.*/\1/p' "hypercalls/$header"); do
        broken "$header" "s/^struct $name {/&uint64_t one_more;/" "$name\\b"
    done
done)"

echo "1..$number"
[ "$failed" -eq 0 ]
