"""sds test --update: what is replaced is what was shown, and the next run passes."""
import os
import shutil

from harness import main, plain, run
from suite_case import ECHO, YAML, SuiteCase


class SuiteUpdates(SuiteCase):
    def test_what_is_replaced_is_told_beyond_and_within_the_tolerance(self):
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: a, type: uint8_t}\n    - {value: b, type: uint8_t}\n"
                                  "    - {value: rest, type: uint16_t}\n")
        suite = self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz, tolerance: {a: 5}}\n")
        self.write("In.1.sds", plain((1, b"\x02"), (2, b"\x03")))       # sums 2, 5
        run("test", suite, "--update")
        kept = self.read("e.sdsz")
        # Within: nothing is replaced.
        self.write("In.1.sds", plain((1, b"\x04"), (2, b"\x03")))       # sums 4, 7
        out, _ = run("test", suite, "--update")
        self.assertNotIn("replaced", out)
        self.assertEqual(self.read("e.sdsz"), kept)
        # Beyond in one channel (b: 1 instead of 0): what differs less in another one is replaced, too, and told.
        self.write("In.1.sds", plain((1, b"\x04"), (2, b"\xff\x01")))   # sums 4, 260: a is 4 and b is 1
        out, _ = run("test", suite, "--update")
        self.assertIn("Sum.a: 2 of 2 values differ by up to 2 (mean 1.5), first at tick 1: 2 expected, 4 came", out)
        self.assertIn("Sum.b: 1 of 2 values differ by up to 1", out)
        self.assertIn("replaced ", out)
        run("test", suite)

    def test_what_the_next_run_would_refuse_is_not_recorded(self):
        case = "    - {name: c, recordings: In.1.sds, expected: e.sdsz%s}\n"
        run("test", self.suite(case % ""), "--update")
        kept = self.read("e.sdsz")
        self.write("Total.sds.yml", YAML.format("Total", "sum", "uint32_t"))
        renamed = self.suite(case % ", compare: 'Sum=Total'", f"algorithm: {ECHO}, out: 'Total:4'")
        run("test", renamed, "--update")  # equal: nothing is replaced
        self.assertEqual(self.read("e.sdsz"), kept)
        self.write("In.1.sds", plain((1, b"\x09"), (2, b"\x03"), (3, b"\x06")))
        out, _ = run("test", renamed, "--update", expect=1)
        self.assertRegex(out, r"e\.sdsz stays as it is: the next run could not be compared with what came: .*'Sum'")
        self.assertEqual(self.read("e.sdsz"), kept)
        # Neither is what is recorded for the first time.
        os.remove(self.path("e.sdsz"))
        for key in (", compare: 'Sum=Total'", ", compare-channels: 'sum=total'", ", tolerance: {none: 1}"):
            out, _ = run("test", self.suite(case % key), "--update", expect=1)
            self.assertIn("e.sdsz is not recorded: the next run could not be compared with what came: ", out)
            self.assertFalse(os.path.exists(self.path("e.sdsz")))

    def test_a_test_that_fails_records_nothing_and_says_whether_there_is_something(self):
        suite = self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz, limits: {p50-us: 0.000001}}\n")
        out, _ = run("test", suite, "--update", expect=1)
        self.assertIn("e.sdsz is not recorded: the test itself fails", out)
        self.assertFalse(os.path.exists(self.path("e.sdsz")))
        run("test", self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz}\n"), "--update")
        self.write("In.1.sds", plain((1, b"\x09"), (2, b"\x03"), (3, b"\x06")))
        suite = self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz, limits: {p50-us: 0.000001}}\n")
        self.assertIn("e.sdsz stays as it is: the test itself fails", run("test", suite, "--update", expect=1)[0])

    def test_no_update_passes_a_test_of_other_names(self):
        # What came is what is expected: 2 and 5 in a, 0 in b. The test takes a for b.
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: a, type: uint8_t}\n    - {value: b, type: uint8_t}\n"
                                  "    - {value: rest, type: uint16_t}\n")
        self.write("In.1.sds", plain((1, b"\x02"), (2, b"\x03")))
        case = "    - {name: c, recordings: In.1.sds, expected: e.sdsz%s}\n"
        run("test", self.suite(case % ""), "--update")
        kept = self.read("e.sdsz")
        other = self.suite(case % ", compare-channels: 'a=b'")
        for words in ((), ("--update",)):
            out, _ = run("test", other, *words, expect=1)
            self.assertIn("2 of 2 values differ by up to 5", out)
            self.assertEqual(self.read("e.sdsz"), kept)

    def test_what_was_renamed_in_algorithm_and_suite_is_replaced(self):
        case = "    - {name: c, recordings: In.1.sds, expected: e.sdsz%s}\n"
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: a, type: uint16_t}\n    - {value: b, type: uint16_t}\n")
        self.write("Other.yml", "sds:\n  name: Sum\n  content:\n    - {value: a2, type: uint16_t}\n    - {value: b, type: uint16_t}\n")
        self.write("Total.sds.yml", YAML.format("Total", "sum", "uint32_t"))
        for keys, out, told in ((", out-yaml: Other.yml, compare-channels: [a2, b]", "Sum:4", "channel a2 comes out and is not expected"),
                                (", compare: Total", "Total:4", "stream Total comes out and is not expected"),
                                (", tolerance: {a2: 1}, out-yaml: Other.yml", "Sum:4", "channel a is expected and does not come out")):
            self.write("In.1.sds", plain((1, b"\x02"), (2, b"\x03")))
            run("test", self.suite(case % ""), "--update")
            self.write("In.1.sds", plain((1, b"\x02"), (2, b"\x04")))
            renamed = self.suite(case % keys, f"algorithm: {ECHO}, out: '{out}'")
            printed, _ = run("test", renamed, "--update")
            self.assertIn(told, printed)
            self.assertIn("replaced ", printed)
            run("test", renamed)
            os.remove(self.path("e.sdsz"))

    def test_metadata_that_are_replaced_are_told(self):
        suite = self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz}\n")
        run("test", suite, "--update")
        self.write("Sum.sds.yml", YAML.format("Sum", "sum", "uint32_t, unit: g"))
        run("test", suite, "--update")
        self.write("In.1.sds", plain((1, b"\x09")))
        out, _ = run("test", suite, "--update")
        self.assertIn("Sum: its metadata change: '- {value: sum, type: uint32_t}' is expected, '- {value: sum, type: uint32_t, unit: g}' came", out)

    def test_an_expectation_that_is_damaged_is_replaced_whatever_is_left_of_it(self):
        self.write("In.1.sds", plain(*((t, os.urandom(1)) for t in range(2000))))
        suite = self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz}\n")
        run("test", suite, "--update")
        kept = self.read("e.sdsz")
        damaged = bytearray(kept)
        damaged[len(kept) // 3] ^= 0xFF
        for content in (bytes(damaged), kept[:len(kept) // 2], b"no recording", b""):
            self.write("e.sdsz", content)
            run("test", suite, expect=1)
            out, _ = run("test", suite, "--update")
            self.assertIn("replaced ", out)
            self.assertRegex(out, r"note: .*e\.sdsz(:| is) ")
            run("test", suite)

    def test_an_expectation_is_no_recording_of_the_next_run(self):
        for i in range(2):
            run("pack", self.path(f"In.{i}.sds"), "-o", self.path(f"r{i}.sdsz"))
        for cases in ("    - {name: c, recordings: '*.sdsz', expected: '{recording}-exp.sdsz'}\n",
                      "    - {name: c, recordings: 'r?.sdsz', expected: './r9.sdsz'}\n",
                      "    - {name: b, recordings: In.1.sds, expected: new.sdsz}\n    - {name: c, recordings: '*.sdsz', repeat: 2}\n"):
            _, err = run("test", self.suite(cases), "--update", expect=3)
            self.assertRegex(err, r"suite\.yml: line 5: 'expected: .*' matches the recordings '.*sdsz': the next run would take it for one")
        # However the two are written, and by whatever link.
        os.symlink(self.folder.name, self.path("link"))
        here = os.path.realpath(self.folder.name)
        for recordings, expected in ((f"{here}/*.sdsz", "new.sdsz"), ("*.sdsz", f"{here}/new.sdsz"), ("link/*.sdsz", "new.sdsz"), ("*.sdsz", "link/new.sdsz"),
                                     ("l*/*.sdsz", "new.sdsz"), ("*.sdsz", "expected/../new.sdsz")):
            _, err = run("test", self.suite(f"    - {{name: c, recordings: '{recordings}', expected: '{expected}'}}\n"), "--update", expect=3)
            self.assertIn("the next run would take it for one", err)
        self.assertEqual(sorted(n for n in os.listdir(self.folder.name) if n.endswith(".sdsz")), ["r0.sdsz", "r1.sdsz"])
        run("test", self.suite("    - {name: c, recordings: '*.sdsz', expected: 'expected/{recording}.sdsz'}\n"), "--update")

    def test_an_update_replaces_nothing_that_is_no_expectation(self):
        shutil.copy(ECHO, self.path("my.so"))
        shutil.copy(ECHO, self.path("lib.sdsz"))
        os.symlink("my.so", self.path("link.sdsz"))
        self.write("y.sdsz", YAML.format("In", "v", "uint8_t"))
        case = "    - {name: c, recordings: In.1.sds, %s}\n"
        for keys, message in (("expected: my.so", "--update records .sdsz files"), ("expected: In.sds.yml", "--update records .sdsz files"),
                              ("expected: In.3.sds", "--update records .sdsz files"), ("expected: link.sdsz", "--update records .sdsz files"),
                              ("expected: lib.sdsz, algorithm: ./lib.sdsz", "would replace what the suite runs or reads"),
                              ("expected: y.sdsz, yaml: y.sdsz", "would replace what the suite runs or reads")):
            before = {n: self.read(n) for n in ("my.so", "In.sds.yml", "In.3.sds", "lib.sdsz", "y.sdsz")}
            self.assertIn(message, run("test", self.suite(case % keys), "--update", expect=2)[1])
            self.assertEqual({n: self.read(n) for n in before}, before)


main()
