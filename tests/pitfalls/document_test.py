#!/usr/bin/env python3
"""The programs in docs/pitfalls.md are those of the tests.

Each piece of code in a section stands, line by line, in the program that the section's last line names,
and each program is named by a section.
"""
# covers: G9
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "docs" / "pitfalls.md"
CODE = re.compile(r"^```cpp\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"^Program: \[tests/pitfalls/(\w+\.cpp)\]\(\.\./tests/pitfalls/(\w+\.cpp)\)\.$",
                     re.MULTILINE)


def offences():
    named = set()
    for section in DOCUMENT.read_text(encoding="utf-8").split("\n## ")[1:]:
        title = section.splitlines()[0]
        programs = PROGRAM.findall(section)
        if len(programs) != 1 or programs[0][0] != programs[0][1]:
            yield f"'{title}' names no program, or more than one"
            continue
        named.add(programs[0][0])
        text = (HERE / programs[0][0]).read_text(encoding="utf-8")
        pieces = CODE.findall(section)
        if not pieces:
            yield f"'{title}' shows no code"
        for piece in pieces:
            if "\n" + piece not in text:
                yield f"'{title}': this does not stand in {programs[0][0]}:\n{piece}"
    for program in sorted(HERE.glob("*_test.cpp")):
        if program.name not in named:
            yield f"no section names {program.name}"


def main():
    found = list(offences())
    for offence in found:
        print(f"pitfalls: {offence}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
