"""sds test: what is judged, and what a suite may ask for."""
import json
import struct

from harness import main, plain, run
from suite_case import ECHO, SuiteCase

WINDOW = "pipeline:\n  name: Scores\n  input: W\n  stages:\n    - window: {length: 1}\n"


class SuiteJudgements(SuiteCase):
    def wide(self, samples, kind="int64_t", more=""):
        """Samples of two scores of 64 bits, and the pipeline that hands them on."""
        letter = "Q" if kind == "uint64_t" else "q"
        self.write("W.0.sds", plain(*((10 * t, struct.pack("<2" + letter, *s)) for t, s in enumerate(samples))))
        self.write("W.sds.yml", "sds:\n  name: W\n  sample-frequency: 100\n  content:\n"
                   f"    - {{value: a, type: {kind}{more}}}\n    - {{value: b, type: {kind}{more}}}\n")
        self.write("w.yml", WINDOW)

    def predicted(self, keys, label="b", expect=0):
        test = self.results(self.suite(f"    - {{name: c, recordings: W.0.sds, pipeline: w.yml, label: {label}, {keys}}}\n", ""), expect=expect)[0]
        return [d["predicted"] for d in test["decisions"]], [d["scores"] for d in test["decisions"]]

    def test_scores_of_64_bits_are_told_apart(self):
        n = 2**60
        for kind in ("int64_t", "uint64_t"):
            self.wide([(n, n + 1)] * 3, kind)
            self.assertEqual(self.predicted("decide: each"), (["b"] * 3, [{"a": n, "b": n + 1}] * 3))
            self.assertEqual(self.predicted("decide: mean"), (["b"], [{"a": n, "b": n + 1}]))
            # The sums are 3n + 2 and 3n + 1.
            self.wide([(n, n + 1), (n + 1, n), (n + 1, n)], kind)
            self.assertEqual(self.predicted("decide: mean", "a")[0], ["a"])
        self.wide([(2**64 - 2, 2**64 - 1)] * 2, "uint64_t")
        self.assertEqual(self.predicted("decide: mean"), (["b"], [{"a": 2**64 - 2, "b": 2**64 - 1}]))
        # A negative scale turns them round.
        self.wide([(n, n + 1)], "int64_t", ", scale: -2")
        self.assertEqual(self.predicted("decide: each", "a")[0], ["a"])

    def test_what_a_library_has_no_use_for_is_an_error_where_its_case_says_it(self):
        case = "    - {name: c, recordings: In.0.sds, repeat: 2%s}\n"
        test = self.results(self.suite(case % ", config: x"), expect=1)[0]
        self.assertIn("a library with Arm's three functions takes no configuration", test["reasons"][0])
        run("test", self.suite(case % "", f"algorithm: {ECHO}, out: 'Sum:4', config: x"))

    def test_numbers_of_classes_and_areas_under_curves_are_exact(self):
        n = 2**60
        self.wide([(n + 1, 0), (n, 0)])
        self.assertEqual(self.predicted("decide: event, classes: [x]", expect=1)[0], [f"class {n + 1}", f"class {n}"])
        # b scores higher in its own recording than in the other one: an area of 1.
        self.wide([(0, n + 1)])
        self.write("W.b.sds", self.read("W.0.sds"))
        self.wide([(n + 1, n)])
        self.write("W.a.sds", self.read("W.0.sds"))
        out, _ = run("test", self.suite("    - {name: c, recordings: ['W.a.sds', 'W.b.sds'], pipeline: w.yml, label-from-file: true}\n", ""))
        self.assertRegex(out, r"(?m)^b +1 +100\.0 % +100\.0 % +1\.0000$")


main()
