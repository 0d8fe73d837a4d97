#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `make lint`: checks of form, printed as TAP. Exit status 0 when all hold.
#   scripts/lint.sh [FILE]...     all sources when no file is given
set -u
cd "$(dirname "$0")/.." || exit 2

sources() { find boot hv vmx svm mm hypercalls guests scripts -name "$1" | sort; }
if [ $# -gt 0 ]; then
    all=("$@")
else
    mapfile -t all < <(sources '*.[ch]'; sources '*.asm'; sources '*.ld'; sources '*.sh'; sources '*.py'; sources '*.mk')
fi
pick() { printf '%s\n' "${all[@]}" | grep -E "$1" || true; }
mapfile -t c_files < <(pick '\.c$')
mapfile -t headers < <(pick '\.h$')
host='_(test|fuzz)\.c$|/fake/|unit_support|guests/linux/' # programs for the build machine
mapfile -t image_c < <(pick '\.c$' | grep -vE "$host")
mapfile -t host_c < <(pick '\.c$' | grep -E "$host")

image_flags='-std=gnu17 -ffreestanding -fno-pie -mno-red-zone -mgeneral-regs-only -mcmodel=small -Wall -Wextra -Wno-unused-parameter -I.'
host_flags='-std=gnu17 -Iscripts/unit-include -I. -DDIRECT_MAP_BASE=0x200000000000UL'
export image_flags host_flags
jobs=$(nproc)

number=0 failed=0
# result NAME OUTPUT: no output is success.
result() {
    number=$((number + 1))
    if [ -z "$2" ]; then
        echo "ok $number - $1"
    else
        failed=$((failed + 1))
        echo "not ok $number - $1"
        printf '%s\n' "$2" | head -n 60 | sed 's/^/#   /'
    fi
}

each() { # each PER_JOB COMMAND FILE...: runs `COMMAND` with some of the files as "$@", in parallel
    local count=$1 command=$2
    shift 2
    [ $# -eq 0 ] || printf '%s\0' "$@" | xargs -0 -P "$jobs" -n "$count" bash -c "$command" lint 2>&1
}

result "formatted as .clang-format says" "$(each 20 'clang-format --dry-run -Werror "$@"' \
    "${c_files[@]}" "${headers[@]}" | grep -E 'error|warning')"

# shellcheck disable=SC2016
result "each header compiles by itself" "$(each 1 \
    'gcc $image_flags -Werror -fsyntax-only -x c "$1" 2>&1 | head -n 5' "${headers[@]}")"

tidy='clang-tidy --quiet "$@" -- '
result "clang-tidy finds nothing in the image and the guests" "$(each 4 "$tidy \$image_flags" \
    "${image_c[@]}" | grep -E '(warning|error):' | sort -u)"
result "clang-tidy finds nothing in the unit tests" "$(each 2 "$tidy \$host_flags" \
    "${host_c[@]}" | grep -E '(warning|error):' | sort -u)"

# comparePointers: the linker script's symbols are one object each to cppcheck. _Noreturn: version
# 2.10 does not know it, and panic() not coming back is what makes must() a check.
cppcheck_c() {
    [ $# -eq 0 ] || cppcheck --quiet -j "$jobs" --std=c11 --platform=unix64 --inline-suppr -I. \
        --enable=warning,performance,portability --suppress=missingInclude \
        --suppress=missingIncludeSystem --suppress=comparePointers \
        --template='{file}:{line}: {severity}: {message} [{id}]' \
        -D__x86_64__ '-D_Noreturn=__attribute__((noreturn))' "$@" 2>&1
}
result "cppcheck finds nothing" "$(cppcheck_c "${image_c[@]}" "${host_c[@]}")"

# The licence's line: the first that is not a #! line.
licence='^(/\* SPDX-License-Identifier: MIT \*/|[#;] SPDX-License-Identifier: MIT)$'
beginning() { grep -vE '^#!|^[[:space:]]*$' "$1" | head -n "$2"; }
first_comment() { # the first line that is neither #! nor the licence's is a comment
    for file in "${all[@]}"; do
        line=$(beginning "$file" 2 | sed -E "1{\\@$licence@d}" | head -n 1)
        case $file:$line in
            *SPDX-License-Identifier*) echo "$file: what it is for has to follow the licence's line" ;;
            *.[ch]:/\* | *.[ch]:/\**| *.ld:/\** | *.asm:\;* | *.sh:\#* | *.py:\#* | *.py:\"\"\"* | *.mk:\#*) ;;
            *) echo "$file: does not begin with a comment that says what it is for" ;;
        esac
    done
}
without_licence() {
    for file in "${all[@]}"; do
        beginning "$file" 1 | grep -qE "$licence" || echo "$file: no SPDX-License-Identifier line"
    done
}
result "each file begins with a comment" "$(first_comment)"
result "each file names its licence" "$(without_licence)"
result "no line is longer than 100 columns" "$(awk 'length($0) > 100 \
    { print FILENAME ":" FNR ": " length($0) " columns" }' "${c_files[@]}" "${headers[@]}" \
    $(pick '\.asm$') </dev/null)"
result "no file is longer than 500 lines" "$(for file in "${all[@]}"; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 500 ] || echo "$file: $lines lines"
done)"
result "no conditional compilation inside a C file" "$(grep -nE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef)\b' \
    "${c_files[@]}" /dev/null)"

result "each include goes down the layers, and none in a circle" "$(python3 scripts/check_layers.py 2>&1)"
result "no name is dead, doubled or stale" "$(python3 scripts/check_unused.py 2>&1)"
result "no document points at what is not there" "$(python3 scripts/check_links.py 2>&1)"
result "the interface's manual, its lists and the source agree" "$(python3 scripts/check_abi.py 2>&1)"

echo "1..$number"
[ "$failed" -eq 0 ]
