#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the documents point at what is there? Prints each link, anchor or path that does not.

  scripts/check_links.py [FILE]...     all documents (*.md) of the tree when none is given

Looked at, outside of code blocks: [text](target) with a file of this tree, an #anchor of this
document or file#anchor (as GitHub makes anchors of headings), and `paths` in backquotes
that begin with a folder of the tree, but for a file that the document itself gives (its path
and a colon are a line of their own). Addresses on the Internet are not looked at. Exit status
0 when all is there.
"""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("boot", "docs", "guests", "hv", "hypercalls", "mm", "scripts", "svm", "vmx")

LINK = re.compile(r"!?\[(?:[^][]|\[[^][]*\])*\]\(([^()\s]*(?:\([^()\s]*\))?)\)")
PATH = re.compile(r"`((?:" + "|".join(FOLDERS) + r")/[\w./*{},-]*)`")
GIVEN = re.compile(r"^`([\w./-]+)`:$", re.MULTILINE)
HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*$")


def documents():
    found = [name for name in os.listdir(".") if name.endswith(".md")]
    for folder in FOLDERS:
        found += glob.glob(f"{folder}/**/*.md", recursive=True)
    return sorted(found)


def prose(name):
    """The document, with the lines of code blocks empty."""
    lines, fence = [], None
    with open(name, encoding="utf-8") as file:
        for line in file.read().split("\n"):
            mark = re.match(r" {0,3}(```+|~~~+)", line)
            if fence:
                if mark and mark.group(1).startswith(fence) and line.strip() == mark.group(1):
                    fence = None
                line = ""
            elif mark:
                fence, line = mark.group(1), ""
            lines.append(line)
    return lines


def anchors(name):
    found, seen = set(), {}
    for line in prose(name):
        heading = HEADING.match(line)
        if not heading:
            continue
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.group(1)).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


def alternatives(path):
    """a/{b,c} is a/b and a/c."""
    braces = re.search(r"\{([^{}]*)\}", path)
    if not braces:
        return [path]
    return [each for word in braces.group(1).split(",")
            for each in alternatives(path[:braces.start()] + word + path[braces.end():])]


def wrong_link(name, target):
    """What is wrong with the link, or None."""
    if re.match(r"[a-z]+:", target):
        return None
    file, _, anchor = target.partition("#")
    path = os.path.normpath(os.path.join(os.path.dirname(name), file)) if file else name
    if path.startswith("..") or not os.path.exists(path):
        return f"no such file: {target}"
    if anchor and (not path.endswith(".md") or anchor not in anchors(path)):
        return f"no such heading: {target}"
    return None


def wrong_path(path, given):
    missing = [each for each in alternatives(path) if not glob.glob(each) and each not in given]
    return f"no such file: {', '.join(missing)}" if missing else None


def check(name):
    complaints = []
    text = "\n".join(prose(name))
    given = GIVEN.findall(text)
    for pattern, wrong in ((LINK, lambda target: wrong_link(name, target)),
                           (PATH, lambda path: wrong_path(path, given))):
        for found in pattern.finditer(text):
            problem = wrong(found.group(1))
            if problem:
                line = text.count("\n", 0, found.start()) + 1
                complaints.append((line, problem))
    return [f"{name}:{line}: {problem}" for line, problem in sorted(complaints)]


def main():
    os.chdir(ROOT)
    complaints = [line for name in sys.argv[1:] or documents() for line in check(name)]
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
