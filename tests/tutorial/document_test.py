#!/usr/bin/env python3
"""The programs in docs/simulation.md are those of the tests: each piece of code stands in one of them."""
# covers: D4
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "docs" / "simulation.md"


def main():
    programs = "\n".join(p.read_text(encoding="utf-8") for p in sorted(HERE.glob("*_test.cpp")))
    pieces = re.findall(r"^```cpp\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    missing = [p for p in pieces if "\n" + p not in programs]
    for piece in missing:
        print(f"simulation.md: this stands in no program of the tests:\n{piece}", file=sys.stderr)
    return 1 if missing or not pieces else 0


if __name__ == "__main__":
    sys.exit(main())
