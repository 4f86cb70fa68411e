#!/usr/bin/env python3
"""tools/conformance against small trees of its own."""
import pathlib
import subprocess
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "conformance"
HASH = "#"  # a comment of the trees below must not look like one of this file

CONTRACT = """# Contract
| id | promise | from |
|----|---------|------|
| A1 | One thing. | now |
| A2 | Another. | now |
| B1 | Some day. | later |
"""


class Conformance(unittest.TestCase):
    def check(self, files, contract=CONTRACT):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for name, text in {"docs/contract.md": contract, **files}.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return subprocess.run([TOOL, "--root", root], capture_output=True, text=True)

    def test_all_due_ids_covered(self):
        done = self.check({
            "tests/a_test.cpp": "// covers: A1\nTEST(Suite, One) {}\n",
            "tests/go/b_test.py": HASH + " covers: A2\n"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(), [
            "A1   Suite.One", "A2   tests/go/b_test.py", "B1   (later)", "covered 2 of 3 ids"])

    def test_names_of_tests(self):
        done = self.check({
            "tests/a_test.cpp": "// covers: A1, B1\n// More words.\nTEST_F(Suite, One) {}\n"
                                "// covers: A1\nSIM_TEST(\n    Suite, Two) {}\n"
                                "// covers: A1\nTEST_P(Suite, Three) {}\n",
            "examples/hello.cpp": "// Says hello.\n// covers: A2\nint main() {}\n",
            "examples/digest/main.cpp": "// covers: A2\nint main() {}\n",
            "tests/run_test.sh": HASH + "!/bin/sh\n" + HASH + " covers: A2\n"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(), [
            "A1   Suite.One Suite.Two Suite.Three",
            "A2   example.digest example.hello tests/run_test.sh",
            "B1   Suite.One", "covered 3 of 3 ids"])

    def test_a_due_id_without_a_test(self):
        done = self.check({"tests/a_test.cpp": "// covers: A1 B1\nTEST(Suite, One) {}\n"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("due and without a test: A2", done.stderr)
        self.assertEqual(done.stdout.splitlines()[-1], "covered 2 of 3 ids")

    def test_a_disabled_test_covers_nothing(self):
        done = self.check({"tests/a_test.cpp": "// covers: A1 A2\nTEST(Suite, DISABLED_One) {}\n"})
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.splitlines()[-1], "covered 0 of 3 ids")

    def test_an_unknown_id(self):
        done = self.check({"tests/a_test.cpp": "// covers: A1 A2 Z9\nTEST(Suite, One) {}\n"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("tests/a_test.cpp:1: unknown id 'Z9'", done.stderr)

    def test_a_comment_above_no_test(self):
        done = self.check({"tests/a_test.cpp": "// covers: A1 A2\nTEST(Suite, One) {}\n"
                                               "// covers: A1\nint helper();\n"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("tests/a_test.cpp:3: this comment stands above no test", done.stderr)

    def test_a_broken_contract(self):
        for contract in ("", CONTRACT + "| A1 | Again. | now |\n", "| A1 | One. | soon |\n"):
            self.assertEqual(self.check({}, contract).returncode, 2, contract)

    def test_our_own_contract_can_be_read(self):
        done = subprocess.run([TOOL], capture_output=True, text=True)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assertRegex(done.stdout.splitlines()[-1], r"^covered \d+ of \d+ ids$")


if __name__ == "__main__":
    unittest.main()
