#!/usr/bin/env python3
"""tools/floors against small trees of its own."""
import pathlib
import subprocess
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "floors"


class Floors(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return subprocess.run([TOOL, "--root", root], capture_output=True, text=True)

    def assert_offence(self, files, message):
        done = self.check(files)
        self.assertEqual(done.returncode, 1)
        self.assertIn(message, done.stderr)

    def test_own_and_lower_floors(self):
        done = self.check({
            "src/sched/park.cpp": '#include "sched/park.hpp"\n#include "parts/queue.hpp"\n'
                                  '#include "other.hpp"\n#include <skein/chan.hpp>\n',
            "src/sched/other.hpp": '#include <vector>\n',
            "src/arch/stack.hpp": '#include "os/map.hpp"\n'})
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_higher_floor(self):
        self.assert_offence({"src/parts/queue.hpp": '\n#include "sched/park.hpp"\n'},
                            "src/parts/queue.hpp:2: parts (floor 2) includes sched/park.hpp")

    def test_a_higher_floor_by_a_relative_path(self):
        self.assert_offence({"src/base/a.hpp": '#include "../kit/b.hpp"\n', "src/kit/b.hpp": ""},
                            "src/base/a.hpp:1: base (floor 0) includes ../kit/b.hpp of floor 5")

    def test_a_file_of_no_floor(self):
        self.assert_offence({"src/misc/a.hpp": ""}, "src/misc/a.hpp: belongs to no floor")

    def test_a_public_header_looks_inside(self):
        self.assert_offence({"include/skein/go.hpp": '#include "base/check.hpp"\n'},
                            "include/skein/go.hpp:1: a public header includes base/check.hpp")


if __name__ == "__main__":
    unittest.main()
