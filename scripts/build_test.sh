#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests of the Makefile, printed as TAP: what `make` prints, and the compilation database.
set -u
cd "$(dirname "$0")/.." || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/vellum-build.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT

number=0 failed=0
# result NAME COMMAND...: the command's exit status is the result.
result() {
    number=$((number + 1))
    if "${@:2}" >"$work/why" 2>&1; then
        echo "ok $number - $1"
    else
        failed=$((failed + 1))
        echo "not ok $number - $1"
        head -n 20 "$work/why" | sed 's/^/#   /'
    fi
}

# made OPTION...: what make says that builds one file anew.
made() {
    rm -rf "$work/build"
    env -u MAKEFLAGS -u MAKELEVEL -u V make "BUILD=$work/build" "$work/build/mm/pool.o" "$@" 2>&1
}
says() { # says PATTERN OPTION...: make's words, as one line, are just these
    local text
    text=$(made "${@:2}" | tr '\n' ';')
    echo "make ${*:2} says: $text"
    [[ $text =~ ^$1$ ]]
}
fails() { ! made "$@"; }

result "make prints a short line for a file" says '  CC  mm/pool\.o;'
result "make V=1 prints the command" says '[^;]*gcc .* mm/pool\.c;' V=1
result "make -s prints nothing" says '' -s
result "an error of the compiler is shown" says '  CC  mm/pool\.o;.*no-such-option.*' \
    WARNINGS=--no-such-option
result "and make fails" fails WARNINGS=--no-such-option

database() {
    env -u MAKEFLAGS -u MAKELEVEL make -s compile_commands.json && python3 - <<'END'
import json, pathlib
entries = json.load(open("compile_commands.json"))
listed = [entry["file"] for entry in entries]
there = [str(path) for folder in ("boot", "hv", "vmx", "svm", "mm", "hypercalls", "guests", "scripts")
         for path in pathlib.Path(folder).rglob("*.c")]
assert sorted(listed) == sorted(there), set(listed) ^ set(there)
END
}
result "compile_commands.json has each C file once" database
for file in mm/pool.c guests/hello/hello.c mm/pool_test.c hypercalls/dispatch_fuzz.c; do
    result "clang-tidy -p takes $file from it" clang-tidy --quiet -p . "$file"
done

echo "1..$number"
[ "$failed" -eq 0 ]
