#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Finds the dead names of the hypervisor's image, and names that the whole image need not see.

  scripts/check_unused.py

Builds the image, then asks nm about the names that its objects share, clang about the members
of structures, and the text about prototypes, macros, enumerators, inline functions, and the
names and files that comments speak of. Prints what nobody uses and what is not there; exit
status 1 when there is any. BUILD is where the objects are.
"""
import collections
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BUILD", "build")
IMAGE = ("boot", "hv", "vmx", "svm", "mm", "hypercalls")
EVERYWHERE = (*IMAGE, "guests", "scripts")

# What need not be used: patterns of file and name, and why.
EXCEPTIONS = [
    (r"hypercalls/abi(_calls|_pages)?\.h", r".*", "the interface, for guests and for others"),
    (r".*/string\.c", r"mem(cpy|move|set|cmp)", "gcc calls them by itself"),
    (r"hypercalls/.*\.c", r"call_\w+", "the list of calls declares each handler"),
    (r".*", r".*\.(reserved|zero|free)\d*", "fills a gap"),
    (r"vmx/vmx\.h", r"ACTIVITY_\w+", "the processor's numbers, by counting"),
    (r".*/registers\.h", r"MODE_\w+|TO_\w+", "the processor's numbers, by counting"),
    (r".*/cpu\.h", r"cpu\.self", "this_cpu reads it, at GS:0"),
]
# Words of comments that are names of others.
FOREIGN = {"boot_params", "e_ident", "name_end", "screen_info"}


def is_test(path):
    return path.endswith(("_test.c", "_fuzz.c")) or "/fake/" in path or path.startswith("scripts/")


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


COMMENT = r"//[^\n]*|/\*.*?\*/"
QUOTE = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''


def plain(path, text):
    """The text with comments and quotes blanked; everything else stays where it is."""
    if path.endswith(".asm"):
        return re.sub(r";.*", blank, text)
    return re.sub(COMMENT + "|" + QUOTE, blank, text, flags=re.DOTALL)


def comments(path, text):
    """(line, comment) of each comment."""
    pattern = r";.*" if path.endswith(".asm") else COMMENT + "|" + QUOTE
    for match in re.finditer(pattern, text, 0 if path.endswith(".asm") else re.DOTALL):
        if match[0][0] in "/;":
            yield line_of(text, match.start()), match[0]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def read_sources():
    """{path: plain text} of everything that may name something of the image."""
    sources = {}
    for top in EVERYWHERE:
        for folder, _, names in os.walk(top):
            for name in names:
                if name.endswith((".c", ".h", ".asm", ".ld", ".inc")):
                    path = os.path.join(folder, name)
                    sources[path] = plain(path, read(path))
    return sources


def without_directives(text):
    """The text with its preprocessor lines blanked."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.MULTILINE)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


class Tree:
    """The sources and how often each word stands where."""

    def __init__(self):
        self.sources = read_sources()
        self.image = {path: text for path, text in self.sources.items()
                      if path.startswith(tuple(top + "/" for top in IMAGE)) and not is_test(path)}
        self.words = {path: collections.Counter(re.findall(r"\w+", text))
                      for path, text in self.sources.items()}
        self.all = sum(self.words.values(), collections.Counter())
        self.in_tests = sum((words for path, words in self.words.items() if is_test(path)),
                            collections.Counter())
        self.prefixes = set(re.findall(r"\b(\w+_)##", "".join(self.image.values())))
        self.linker = set(re.findall(r"\w+", self.sources["boot/link.ld"]))

    def objects(self):
        """(source, object) of everything that is linked."""
        for path in sorted(self.image):
            if path.endswith(".c") and path != "hv/offsets.c":
                yield path, os.path.join(BUILD, path[:-2] + ".o")
            elif path.endswith(".asm"):
                yield path, os.path.join(BUILD, path + ".o")


class Symbols:
    """What the objects define and what they ask of each other, by nm."""

    def __init__(self, tree):
        self.defined, self.asked = {}, collections.defaultdict(set)
        for source, path in tree.objects():
            output = subprocess.run(["nm", path], check=True, text=True, stdout=subprocess.PIPE)
            for kind, name in re.findall(r"^[ 0-9a-f]*([A-Za-z]) (\S+)$", output.stdout, re.M):
                if kind == "U":
                    self.asked[name].add(source)
                elif kind.isupper():
                    self.defined[name] = source


def shared_names(tree, symbols):
    """Functions and variables that all objects see, and none needs to."""
    for name, source in sorted(symbols.defined.items(), key=lambda item: (item[1], item[0])):
        if symbols.asked[name] - {source} or name in tree.linker:
            continue
        if source.endswith(".c") and tree.words[source][name] == 1:
            tests = "; tests do" if tree.in_tests[name] else ""
            yield source, name, f"nothing in the image refers to it{tests}"
        elif not tree.in_tests[name]:
            remedy = "static" if source.endswith(".c") else "not global"
            yield source, name, f"no other object refers to it: {remedy}"


def declared_names(tree, symbols):
    """Prototypes and extern declarations of what is nowhere, inline functions without a call."""
    for path, text in sorted(tree.image.items()):
        if not path.endswith((".c", ".h")) or path == "hv/offsets.c":
            continue
        text = without_directives(text)
        inline = re.findall(r"^static inline\b[^;{}=]*?\b(\w+)\([^;{]*\)\s*\{", text, re.M)
        for name in inline:
            if tree.all[name] - tree.in_tests[name] == 1:
                yield path, name, "an inline function that nothing calls"
        flat = outer(text)
        found = re.findall(r"^(?!static|typedef)[a-z_][\w \t*]*?\b(\w+)\([^;{}]*\)[^;{}()]*;", flat,
                           re.M)
        found += re.findall(r"^extern\b[^;(]*?\b(\w+)(?:\[\w*\])*;", flat, re.M)
        for handlers in re.findall(r"^call_handler ([^;]+);", flat, re.M):
            found += re.findall(r"\w+", handlers)
        for name in found:
            if (name not in symbols.defined and name not in tree.linker and name not in inline
                    and name != "__attribute__"):
                yield path, name, "declared and defined nowhere"


def outer(text):
    """The text less everything in braces."""
    depth, kept = 0, []
    for piece in re.split(r"([{}])", text):
        if piece == "{":
            depth += 1
        elif piece == "}":
            depth -= 1
        elif depth == 0:
            kept.append(piece)
    return "".join(kept)


def pasted(tree, name):
    """Whether a macro makes the name of a prefix and a word that stands somewhere."""
    return any(name.startswith(prefix) and tree.all[name[len(prefix):]]
               for prefix in tree.prefixes)


def constants(tree):
    """Macros, enumerators and nasm's offsets that stand nowhere else."""
    for path, text in sorted(tree.image.items()):
        names = re.findall(r"^[ \t]*[#%][ \t]*i?x?define[ \t]+(\w+)", text, re.M)
        names += re.findall(r"^(\w+)[ \t]+equ\b", text, re.M) if path.endswith(".asm") else []
        if path.endswith((".c", ".h")):
            for body in re.findall(r"\benum\b[\w\s]*\{([^}]*)\}", without_directives(text)):
                names += re.findall(r"(?:^|,)\s*(\w+)\s*(?=[,=]|$)", body)
        for name in names:
            if tree.all[name] == 1 and not pasted(tree, name):
                yield path, name, "a constant or macro that stands nowhere else"
        for name in re.findall(r"\bOFFSET\((\w+), struct", text):
            if not any(words[name] for file, words in tree.words.items() if file.endswith(".asm")):
                yield path, name, "an offset that no assembly uses"


def doubled_msrs(tree):
    """Numbers of MSRs that have two names."""
    first = {}
    for path, text in sorted(tree.image.items()):
        found = re.findall(r"\b((?!HV_)\w*MSR_\w+)[ \t]*=?[ \t]*(0x[0-9A-Fa-f]+)\b", text)
        for name, number in found:
            other = first.setdefault(int(number, 16), (name, path))
            if other != (name, path):
                yield path, name, f"{other[0]} of {other[1]} is MSR {number}, too"


def documents():
    """The texts for readers."""
    folders = [folder for folder in (".", "docs", "hypercalls") if os.path.isdir(folder)]
    return [os.path.normpath(os.path.join(folder, name)) for folder in folders
            for name in os.listdir(folder) if name.endswith(".md")]


def stale_words(tree):
    """Names in comments that no source has, files in comments and documents that are not there."""
    folders = "|".join((*EVERYWHERE, "docs"))
    a_name = re.compile(r"(?<![\w/.-])[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b(?![\w/*]|\.\w)")
    a_file = re.compile(rf"(?<![\w/.-])(?:{folders})/[\w/.-]+\.(?:asm|c|h|ld|mk|py|sh|md)\b")
    known = set(tree.all) | FOREIGN
    texts = {path: list(comments(path, read(path))) for path in tree.sources}
    texts.update({path: [(1, read(path))] for path in documents()})
    for path, pieces in sorted(texts.items()):
        for line, text in pieces:
            stale = [(match, "a comment names it, and no source does")
                     for match in a_name.finditer(text)
                     if path in tree.sources and match[0] not in known]
            stale += [(match, "there is no such file") for match in a_file.finditer(text)
                      if not os.path.exists(match[0])
                      and f"\n`{match[0]}`:\n" not in text]  # given there, for a reader to make
            for match, words in stale:
                yield f"{path}:{line - 1 + line_of(text, match.start())}", match[0], words


def packed(text, start):
    """Whether the braces that open before `start` belong to a packed structure."""
    depth, at = 1, start
    while depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return text.startswith("__attribute__((packed))", at + 1)


def members(text):
    """(where its declaration ends, structure, member) of the members in a blanked text: not of
    unions, which are read by another name, and not of layouts that are somebody else's: packed,
    or with an assertion of what their size is."""
    foreign = set(re.findall(r"\bsizeof\(struct (\w+)\) ==", text))
    open_braces, start, parens = [], 0, 0  # of each open brace: the structure's name, or None
    for token in re.finditer(r"\bstruct\b\s*(\w*)\s*\{|[{}();,\[\]]", text):
        if token[0].endswith("{"):
            ours = len(token[0]) > 1 and token[1] not in foreign and not packed(text, token.end())
            open_braces.append((token[1] or "(no name)") if ours else None)
        elif token[0] == "}":
            open_braces.pop()
        elif token[0] in "([":
            parens += 1
        elif token[0] in ")]":
            parens -= 1
        elif parens == 0 and token[0] in ";," and open_braces and open_braces[-1]:
            declarator = text[start:token.start()].strip()
            name = re.search(r"\(\*(?:const )?(\w+)|(\w+)(?:\s*\[.*\])*(?:\s*:\s*\w+)?$",
                             declarator, re.DOTALL)
            if name and not declarator.startswith("_Static_assert"):
                yield token.start(), open_braces[-1], name[1] or name[2]
        if token[0][-1] in "{};" or token[0] == "," and parens == 0:
            start = token.end()


def mark_members(tree, copy):
    """Writes the image's sources to the folder `copy`, each member declared deprecated with a
    number for clang to say. Returns (path, line, structure, member) by number."""
    marks = []
    for path, text in tree.image.items():
        if not path.endswith((".c", ".h")):
            continue
        original = read(path)
        pieces, at = [], 0
        for end, structure, member in members(without_directives(text)):
            pieces += [original[at:end], f' __attribute__((deprecated("@{len(marks)}@")))']
            marks.append((path, line_of(text, end), structure, member))
            at = end
        target = os.path.join(copy, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write("".join(pieces) + original[at:])
    return marks


def uses_of_members(copy, path):
    """(number of the member, rest of the line from it on) of each use in a C file."""
    flags = "-std=gnu17 -ffreestanding -mgeneral-regs-only -I. -fsyntax-only -ferror-limit=3"
    run = subprocess.run(["clang", *flags.split(), "-Wdeprecated-declarations", path], cwd=copy,
                         check=False, text=True, stderr=subprocess.PIPE)
    if run.returncode != 0:
        sys.exit(run.stderr)
    lines = {}
    for file, line, column, number in re.findall(
            r"^([^:\n]+):(\d+):(\d+): warning: .* is deprecated: @(\d+)@", run.stderr, re.M):
        if file not in lines:
            lines[file] = read(os.path.join(copy, file)).split("\n")
        yield int(number), lines[file][int(line) - 1][int(column) - 1:]


def unread_members(tree):
    """Members of structures that nothing reads; being assigned to is no reading."""
    with tempfile.TemporaryDirectory() as copy, ThreadPoolExecutor(os.cpu_count()) as pool:
        marks, read = mark_members(tree, copy), set()
        files = [path for path in tree.image if path.endswith(".c")]
        for uses in pool.map(lambda path: list(uses_of_members(copy, path)), files):
            for number, rest in uses:
                member = re.escape(marks[number][3])
                assigned = rf"{member}((\[[^\]]*\])|(\.\w+))*\s*=(?!=)"
                if not re.match(assigned, rest) and "_Static_assert" not in rest:
                    read.add(number)
        for number, (path, line, structure, member) in enumerate(marks):
            if number not in read:
                yield f"{path}:{line}", f"{structure}.{member}", "a member that nothing reads"


def main():
    os.chdir(ROOT)
    made = subprocess.run(["make", "-s", os.path.join(BUILD, "vellum64.elf")], check=False,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if made.returncode != 0:
        print(made.stdout)
        return 1
    tree = Tree()
    symbols = Symbols(tree)
    found = [*shared_names(tree, symbols), *declared_names(tree, symbols), *constants(tree),
             *doubled_msrs(tree), *stale_words(tree), *unread_members(tree)]
    dead = [f"{place}: {name}: {words}" for place, name, words in found
            if not any(re.fullmatch(files, place.split(":")[0]) and re.fullmatch(names, name)
                       for files, names, _ in EXCEPTIONS)]
    print("\n".join(dead), end="\n" if dead else "")
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
