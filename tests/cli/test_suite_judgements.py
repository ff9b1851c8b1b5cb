"""sds test: what is judged, and what a suite may ask for."""
import json
import os
import struct
import subprocess
import sys

from harness import BUILD, SDS, SOURCE, main, plain, run, sample_of, skip_under_sanitizers
from suite_case import COPIES, ECHO, YAML, SuiteCase

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

    def test_a_default_is_for_the_cases_that_it_fits(self):
        """Each with a case that it fits, one that it does not fit, and then without the first."""
        table = os.path.join(BUILD, "lib", "table_algorithm.so")
        for name, text in (("A", b"a"), ("B", b"b")):
            self.write(f"{name}.0.sds", plain((1, text), (2, text)))
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("ab.sdsz"))
        self.write("M.0.sds", plain((1, b"\1\2"), (2, b"\3\4")))
        self.write("M.sds.yml", "sds:\n  name: M\n  sample-frequency: 100\n  content:\n    - {value: x, type: uint8_t}\n    - {value: y, type: uint8_t}\n")
        self.write("p.yml", "pipeline:\n  name: Key\n  input: M\n  stages:\n    - window: {length: 1}\n      record: Scores\n    - argmax: true\n")
        self.write("q.yml", "pipeline:\n  name: Key\n  input: M\n  stages:\n    - window: {length: 1}\n")
        self.write("Total.yml", YAML.format("Sum", "total", "uint32_t"))
        arms = "    - {name: a, recordings: In.0.sds, repeat: 2, algorithm: %s%s}\n"
        library = "    - {name: b, recordings: ab.sdsz, repeat: 2, algorithm: %s%s}\n"
        pipeline = "    - {name: c, recordings: M.0.sds, repeat: 2, pipeline: %s.yml%s}\n"
        echo = arms % (ECHO, ", out: 'Sum:4'")
        for default, fits, other in (
                ("config: k", library % (table, ""), echo), ("out: 'Sum:4'", arms % (ECHO, ""), library % (table, "")),
                ("out: 'Sum:4'", arms % (ECHO, ""), library % (table, ", config: k")), ("config: k", library % (table, ""), pipeline % ("p", "")),
                ("in: In", echo, pipeline % ("p", "")), ("in: In", echo, library % (table, "")),
                ("out-yaml: Total.yml", echo, pipeline % ("p", "")), ("out-yaml: Total.yml", echo, pipeline % ("q", "")),
                ("yaml: In.sds.yml", echo, library % (table, "")), ("yaml: In.sds.yml", echo, pipeline % ("p", ""))):
            key = default.split(":")[0]
            for cases in (fits + other, other + fits):
                self.results(self.suite(cases, default))
            text = self.suite(other, default)
            if key == "config" and "pipeline" in other:
                self.assertIn("line 3: 'config:' has no effect in any case without 'algorithm:' or 'worker:'", run("test", text, expect=3)[1])
                continue
            self.assertEqual(self.results(text, expect=1)[0]["reasons"], [f"'{key}:' of the defaults has no effect in any test"])
        # What the defaults name with what runs is for it.
        self.write("N.0.sds", self.read("M.0.sds"))
        self.write("N.sds.yml", self.read("M.sds.yml").replace(b"name: M", b"name: N"))
        run("pack", self.path("M.0.sds"), self.path("N.0.sds"), "-o", self.path("mn.sdsz"))
        both = "    - {name: c, recordings: mn.sdsz, expected: '{case}.sdsz'%s}\n"
        run("test", self.suite(both % "", "pipeline: q.yml, in: N"), "--update")
        # Another case's pipeline takes what it names itself.
        self.assertEqual(self.results(self.suite("    - {name: a, recordings: In.0.sds, repeat: 2, algorithm: %s, out: 'Sum:4'}\n" % ECHO +
                                                 "    - {name: d, recordings: mn.sdsz, repeat: 2, pipeline: q.yml}\n", "in: In"))[1]["status"], "passed")

    def test_tolerances_of_channels_are_for_the_cases_that_have_them(self):
        # Of 0, 0 came 1, 1: within the tolerances of both channels, in `one` of the only one that it has.
        self.write("In.sds.yml", "sds:\n  name: In\n  content:\n    - {value: x, type: int8_t}\n    - {value: y, type: int8_t}\n")
        self.write("two.yml", "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 1}\n")
        self.write("one.yml", "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 1}\n    - select: [x]\n")
        case = "    - {name: %s, recordings: In.1.sds, pipeline: %s.yml, expected: '{case}.sdsz'%s}\n"
        both = case % ("one", "one", "") + case % ("two", "two", "")
        one_chosen = case % ("one", "two", ", compare-channels: x") + case % ("two", "two", "")

        def record(cases):
            self.write("In.1.sds", plain((1, bytes(2))))
            run("test", self.suite(cases, "recordings: In.1.sds"), "--update", "--force")
            self.write("In.1.sds", plain((1, b"\x01\x01")))

        for cases in (both, one_chosen):
            record(cases)
            for tolerances in ("tolerance: {x: 1, y: 1}", "relative-tolerance: {x: 1, y: 1}"):
                run("test", self.suite(cases, tolerances))
                # Too narrow in one: the command that shows it again names only what it has.
                narrow = self.results(self.suite(cases, tolerances.replace("x: 1", "x: 0.5")), expect=1)
                self.assertEqual([t["status"] for t in narrow], ["failed", "failed"])
                again = [note for note in narrow[0]["notes"] if "compare" in note]
                self.assertIn("x=0.5", again[0])
                self.assertNotIn("y=", again[0])
                # What no case has, has no effect; what a case says itself, is an error in it.
                tests = self.results(self.suite(cases, tolerances.replace("y", "y: 1, z")), expect=1)
                key = tolerances.split(":")[0]
                self.assertEqual([t["reasons"] for t in tests], [[f"'{key}:' of 'z' of the defaults has no effect in any test"]] * 2)
            for path in ("one.sdsz", "two.sdsz"):
                os.remove(self.path(path))
        record(both)
        said = self.results(self.suite(both.replace("'}", "', tolerance: {y: 1}}"), "relative-tolerance: {x: 1, y: 1}"), expect=1)
        self.assertEqual([t["status"] for t in said], ["failed", "passed"])
        self.assertIn("there is no channel 'y' for the tolerance given", said[0]["reasons"][0])

    def test_a_case_takes_any_default_back(self):
        defaults = (f"algorithm: {ECHO}, out: 'Sum:4', in: In, expected: e.sdsz, compare: Sum, tolerance: {{sum: 1}}, judge: Sum, label: x, "
                    "accept: {x: [class 1, class 3, class 6]}, classes: [b], decide: event, none: b, limits: {accuracy: 1, p50-us: 1e9}, yaml: In.sds.yml")
        run("test", self.suite("    - {name: a, recordings: In.0.sds}\n", defaults), "--update")
        first = "    - {name: a, recordings: In.0.sds}\n"
        for key in ("in: []", "expected: ''", "expected:", "compare: []", "tolerance: {}", "tolerance: {sum: ''}", "judge: ''", "classes: []",
                    "label: ''", "none: ''", "yaml: ''", "limits: {}", "limits: {accuracy: ''}", "compare: ''"):
            self.results(self.suite(first + "    - {name: b, recordings: In.0.sds, repeat: 2, %s}\n" % key, defaults))
        # What every case says otherwise fits them all the same.
        for default, own in (("{sum: 1}", "2"), ("2", "{sum: 1}"), ("1", "2"), ("{sum: 1}", "{sum: 2}")):
            self.results(self.suite("    - {name: a, recordings: In.0.sds, expected: e.sdsz, tolerance: %s}\n" % own,
                                    f"algorithm: {ECHO}, out: 'Sum:4', tolerance: {default}"))
        # One of alternatives stands for the others.
        self.results(self.suite(first + "    - {name: b, recordings: In.0.sds, label-from-file: true, accept: {'0': [class 1, class 3, class 6]}}\n", defaults))
        self.results(self.suite(first + "    - {name: b, recordings: In.0.sds, label-from-file: false}\n", defaults))
        self.write("p.yml", "pipeline:\n  name: Sum\n  input: In\n  stages:\n    - window: {length: 1}\n")
        tests = self.results(self.suite("    - {name: a, recordings: In.0.sds, repeat: 2}\n    - {name: b, recordings: In.0.sds, repeat: 2, pipeline: p.yml}\n"))
        self.assertEqual([t["algorithm"] for t in tests], ["bad_prints.so", "p.yml"])
        # Where the defaults say nothing there is nothing to take back; empty defaults say nothing.
        for key in ("expected: ''", "expected:", "accept: {}", "limits: {}", "tolerance: {}", "compare: []", "yaml:", "config: ''", "limits: {p50-us: ''}"):
            name = "p50-us" if "p50" in key else key.split(":")[0]
            self.assertIn(f"line 5: '{name}:' is empty", run("test", self.suite("    - {name: b, recordings: In.0.sds, repeat: 2, %s}\n" % key), expect=3)[1])
            self.assertIn(f"line 3: '{name}:' is empty",
                          run("test", self.suite("    - {name: b, recordings: In.0.sds, repeat: 2}\n", f"algorithm: {ECHO}, out: 'Sum:4', {key}"), expect=3)[1])

    def test_what_is_accepted_for_a_label_that_no_recording_has_is_an_error(self):
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: a, type: uint16_t}\n    - {value: b, type: uint16_t}\n")
        case = "    - {name: c, recordings: 'In.[01].sds', label-from-file: true%s}\n"
        accepts = "accept: {'0': [a], '1': [a], '7': [a]}"
        defaults = f"algorithm: {ECHO}, out: 'Sum:4', "
        for cases, said, whose in ((case % (", " + accepts), "", "the case c"), (case % "", accepts, "the defaults")):
            suite = self.suite(cases, defaults + said)
            for test in self.results(suite, expect=1):
                self.assertEqual(test["reasons"], [f"'accept:' of '7' of {whose} has no effect in any test"])
            # A part of the tests does not tell; the whole does.
            for i in (1, 2):
                run("test", suite, "--shard", f"{i}/2", "--results", self.path(f"p{i}.json"), "--force")
            self.assertIn("has no effect in any test", run("test", "merge", self.path("p1.json"), self.path("p2.json"), expect=1)[0])
        self.results(self.suite(case % "" + "    - {name: d, recordings: In.1.sds, label: '7'}\n", defaults + accepts))

    def test_numbers_of_classes_and_areas_under_curves_are_exact(self):
        n = 2**60
        self.wide([(n + 1, 0), (n, 0)])
        self.write("w.yml", WINDOW + "    - select: [a]\n")
        self.assertEqual(self.predicted("decide: event, classes: [x]", expect=1)[0], [f"class {n + 1}", f"class {n}"])
        # b scores higher in its own recording than in the other one: an area of 1.
        self.wide([(0, n + 1)])
        self.write("W.b.sds", self.read("W.0.sds"))
        self.wide([(n + 1, n)])
        self.write("W.a.sds", self.read("W.0.sds"))
        out, _ = run("test", self.suite("    - {name: c, recordings: ['W.a.sds', 'W.b.sds'], pipeline: w.yml, label-from-file: true}\n", ""))
        self.assertRegex(out, r"(?m)^b +1 +100\.0 % +100\.0 % +1\.0000$")

    def test_areas_under_curves_are_of_exact_means(self):
        # The means of a are 2^60 + 1/2 and 2^60: an area of 1.
        n = 2**60
        self.wide([(n, 2**62), (n, 2**62)])
        self.write("W.b.sds", self.read("W.0.sds"))
        self.wide([(n + 1, 0), (n, 0)])
        self.write("W.a.sds", self.read("W.0.sds"))
        suite = self.suite("    - {name: c, recordings: ['W.a.sds', 'W.b.sds'], pipeline: w.yml, label-from-file: true}\n", "")
        self.assertRegex(run("test", suite)[0], r"(?m)^a +1 +100\.0 % +100\.0 % +1\.0000$")
        part = self.path("part.json")
        run("test", suite, "--shard", "1/1", "--results", part)
        self.assertRegex(run("test", "merge", part)[0], r"(?m)^a +1 +100\.0 % +100\.0 % +1\.0000$")

    def events(self, blocks, channels="{value: v, type: uint8_t}", runs=None):
        """A case of bytes that are events, as they come out of `runs` (default: a library with Arm's functions)."""
        self.write("E.0.sds", plain(*((10 * t, data) for t, data in enumerate(blocks))))
        self.write("E.sds.yml", "sds:\n  name: E\n  sample-frequency: 100\n  content:\n    - {value: v, type: uint8_t}\n")
        self.write("Ev.yml", f"sds:\n  name: Ev\n  content:\n    - {channels}\n")
        runs = runs or f"algorithm: {COPIES}, out: 'Ev:{len(blocks[0])}'"
        return self.suite(f"    - {{name: c, recordings: E.0.sds, {runs}, out-yaml: Ev.yml, "
                          "label: 'yes', decide: event, classes: [a, 'yes', 'no']}\n", "")

    def test_each_value_is_an_event(self):
        test = self.results(self.events([bytes([1, 2, 1, 2])] * 2), expect=1)[0]
        self.assertEqual([d["predicted"] for d in test["decisions"]], ["yes", "no"] * 4)
        self.assertEqual(test["reasons"], ["4 of 8 decisions are right (50.0 %), at least 100.0 % must be"])
        # By their physical values: 2 of halves is 1.
        test = self.results(self.events([bytes([2, 2])], "{value: v, type: uint8_t, scale: 0.5}"))[0]
        self.assertEqual([d["predicted"] for d in test["decisions"]], ["yes", "yes"])
        # What is no number of a class is none.
        test = self.results(self.events([bytes([1, 1])], "{value: v, type: uint8_t}\n    - {value: w, type: uint8_t}"), expect=1)[0]
        self.assertEqual(test["reasons"], ["the output Ev has 2 values: with 'decide: event' it has one, the number of a class ('judge:' chooses another output)"])
        odd = [bytes([1, 0, 1])], "{value: v, type: uint16_t}"
        test = self.results(self.events(*odd), expect=1)[0]
        self.assertEqual(test["reasons"], [f"{self.path('Ev.yml')}: samples of 2 bytes are none of what Ev holds, 3 bytes"])
        self.write("w.py", f"import sys\nsys.path.insert(0, {os.path.join(SOURCE, 'inference_bridge', 'python')!r})\nimport sds_worker\n"
                   "sds_worker.run(['E'], [{'name': 'Ev'}], lambda block: [bytes(block.data)])\n")
        test = self.results(self.events(*odd, runs=f"worker: [{sys.executable}, {self.path('w.py')}]"), expect=1)[0]
        self.assertEqual(test["reasons"], ["the output Ev of tick 0 has 3 bytes, which are no whole samples of 2"])

    @skip_under_sanitizers
    def test_all_of_very_many_decisions_are_judged(self):
        right, wrong = b"\x01" * 1000, b"\x02" * 1000
        test = self.results(self.events([right] * 100 + [wrong] * 200), expect=1)[0]
        self.assertEqual(test["reasons"], ["100000 of 300000 decisions are right (33.3 %), at least 100.0 % must be"])
        self.assertEqual([n for n in test["notes"] if not n.startswith("again: ")], ["of 300000 decisions, which are all judged, 100000 are listed"])
        self.assertEqual(len(test["decisions"]), 100000)
        out, _ = run("test", self.path("suite.yml"), expect=1)
        self.assertIn("accuracy  33.33 % (100,000 of 300,000 decisions)", out)
        self.assertRegex(out, r"(?m)^yes +200000 +100000$")
        # Outputs that are anything but numbers of classes do not fill the memory.
        many = [struct.pack("<500I", *range(500 * i, 500 * i + 500)) for i in range(3)]
        test = self.results(self.events(many, "{value: v, type: uint32_t}"), expect=1)[0]
        self.assertEqual(test["reasons"], ["more than 1000 different classes were decided for"])

    def test_limits_and_keys_without_effect_are_problems(self):
        case = "    - {name: c, recordings: In.1.sds, repeat: 2, %s}\n"
        for keys, message in (("label: sum, limits: {accuracy: -3}", "'accuracy: -3' must be from 0 to 1"),
                              ("label: sum, limits: {accuracy: 1.5}", "'accuracy: 1.5' must be from 0 to 1"),
                              ("limits: {real-time: 0}", "'real-time: 0' must be above 0"),
                              ("limits: {p50-us: -1}", "'p50-us: -1' must be above 0"),
                              ("limits: {memory-mib: 0}", "'memory-mib: 0' must be above 0"),
                              ("expected: ''", "'expected:' is empty"), ("label: ''", "'label:' is empty"), ("in: []", "'in:' is empty"),
                              ("out-yaml: ''", "'out-yaml:' is empty"),
                              ("label: sum, accept: {nosie: [sum]}", "'nosie:' has no effect without 'label: nosie'")):
            self.assertIn("suite.yml: line 5: " + message, run("test", self.suite(case % keys), expect=3)[1])
        self.write("p.yml", "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 1}\n")
        self.assertIn("line 5: 'input-buffer-bytes:' has no effect without 'algorithm:'",
                      run("test", self.suite(case % "input-buffer-bytes: 8", "pipeline: p.yml"), expect=3)[1])
        # Of the defaults: what has no effect in any case.
        defaults = f"algorithm: {ECHO}, out: 'Sum:4', "
        for more, message in (("judge: Sum", "'judge:' has no effect in any case without 'label:'"),
                              ("tolerance: 1", "'tolerance:' has no effect in any case without 'expected:'"),
                              ("engine: tflm", "'engine:' has no effect in any case without 'model:' or 'pipeline:'"),
                              ("limits: {accuracy: 0.5}", "'accuracy:' has no effect in any case without 'label:'")):
            self.assertIn("line 3: " + message, run("test", self.suite(case % "check-reset: true", defaults + more), expect=3)[1])
        run("test", self.suite(case % "check-reset: true" + "    - {name: d, recordings: In.1.sds, label: x, decide: event, classes: [a], "
                               "accept: {x: [class 2, class 5, class 9]}}\n", defaults + "judge: Sum"))

    def test_classes_that_are_accepted_are_there(self):
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: a, type: uint16_t}\n    - {value: b, type: uint16_t}\n")
        case = "    - {name: c, recordings: In.1.sds, label: x, accept: {x: [%s, b]}}\n"
        run("test", self.suite(case % "a"))
        self.assertEqual(self.results(self.suite(case % "aa"), expect=1)[0]["reasons"],
                         ["there is no class 'aa' to accept; there is: a, b"])

    def test_outputs_without_a_block_are_told(self):
        self.write("A.0.sds", plain((1, b"none"), (2, b"none")))
        self.write("B.0.sds", plain((1, b"none")))
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("ab.sdsz"))
        self.write("Text.sds.yml", "sds:\n  name: Text\n  content:\n    - {value: v, type: uint8_t}\n")
        case = "    - {name: c, recordings: ab.sdsz, %s}\n"
        defaults = f"algorithm: {os.path.join(BUILD, 'lib', 'table_algorithm.so')}"
        suite = self.suite(case % "expected: e.sdsz", defaults)
        run("test", suite, "--update")
        notes = self.results(suite)[0]["notes"]
        self.assertIn("Text: no block came, and none is expected", notes)
        self.assertIn("Times: no block came, and none is expected", notes)
        suite = self.suite(case % "label: none, judge: Text, out-yaml: Text.sds.yml, decide: event, classes: [a]", defaults)
        self.assertEqual(self.results(suite)[0]["notes"], ["Text: no block came, which is taken for none"])

    def test_parts_that_were_changed_by_hand_are_no_parts(self):
        suite = self.suite("    - {name: c, recordings: 'In.*.sds', limits: {p50-us: 0.000001}}\n")
        part = self.path("part.json")
        run("test", suite, "--shard", "1/1", "--results", part, expect=1)
        results = json.loads(self.read("part.json"))
        # Other white space is no change.
        run("test", "merge", self.write("same.json", json.dumps(results)), expect=1)
        results["tests"][0].update(status="passed", reasons=[])
        _, err = run("test", "merge", self.write("changed.json", json.dumps(results)), expect=2)
        self.assertIn("changed.json: its results are not as they were written", err)
        # Nor is what they are a part of: here of which suite.
        results = json.loads(self.read("part.json"))
        results["shard"].update(suite_digest="0" * 32)
        _, err = run("test", "merge", self.write("changed.json", json.dumps(results)), expect=2)
        self.assertIn("changed.json: its results are not as they were written", err)

    def test_a_take_has_the_label_of_its_class(self):
        # Imu.walk.2.sds is a walk (docs/labels.md).
        self.write("T.yes.2.sds", plain((0, b"\1")))
        self.write("T.sds.yml", "sds:\n  name: T\n  content:\n    - {value: v, type: uint8_t}\n")
        self.write("t.yml", "pipeline:\n  name: Ev\n  input: T\n  stages:\n    - select: [v]\n")
        suite = self.write("takes.yml", "suite:\n  name: s\n  cases:\n    - {name: c, recordings: T.yes.2.sds, pipeline: t.yml, "
                                        "label-from-file: true, decide: event, classes: [\"no\", \"yes\"]}\n")
        test, = json.loads(run("test", suite, "--json")[0])["tests"]
        self.assertEqual(test["decision_counts"], [{"label": "yes", "predicted": "yes", "right": True, "count": 1}])

    def test_labels_that_are_not_utf8_are_told_apart(self):
        for name in (b"\xff", b"\xfe", "\ufffd".encode()):
            with open(os.fsencode(self.folder.name) + b"/T.w" + name + b".0.sds", "wb") as f:
                f.write(plain((0, b"\1")))
        self.write("T.sds.yml", "sds:\n  name: T\n  content:\n    - {value: v, type: uint8_t}\n")
        self.write("t.yml", "pipeline:\n  name: Ev\n  input: T\n  stages:\n    - select: [v]\n")
        suite = self.write("takes.yml", "suite:\n  name: s\n  cases:\n    - {name: c, recordings: T.w*.0.sds, pipeline: t.yml, "
                                        "label-from-file: true, decide: event, classes: [\"no\", \"yes\"]}\n")
        tests = json.loads(run("test", suite, "--json", expect=1)[0])["tests"]
        self.assertEqual(sorted(count["label"] for test in tests for count in test["decision_counts"]),
                         sorted(["w\\xff", "w\\xfe", "w\ufffd"]))

    def test_damage_that_cost_nothing_is_a_warning_as_elsewhere(self):
        """A byte that is wrong: `compare` and the suite say the same, wherever it stands."""
        suite = self.suite("    - {name: c, recordings: In.0.sds, expected: e.sdsz}\n")
        run("test", suite, "--update")
        sound = self.read("e.sdsz")
        self.write("came.sdsz", sound)
        answers = set()
        for place in sample_of(range(100, len(sound), 23)):
            bad = bytearray(sound)
            bad[place] ^= 4
            self.write("e.sdsz", bytes(bad))
            said = subprocess.run([SDS, "compare", self.path("e.sdsz"), self.path("came.sdsz")], capture_output=True).returncode
            judged = subprocess.run([SDS, "test", suite], capture_output=True).returncode
            self.assertEqual(judged == 0, said == 0, place)
            answers.add(said)
        self.assertIn(0, answers)
        self.assertGreater(len(answers), 1)

    def test_a_wrong_decision_of_more_scores_than_are_listed(self):
        # 1,000,001 scores: none is listed, and the test fails all the same.
        count = 1000001
        self.write("B.0.sds", plain((0, bytes(count - 1) + b"\5")))
        self.write("B.sds.yml", YAML.format("B", "v", "uint8_t"))
        self.write("Out.yml", f"sds:\n  name: Out\n  content:\n    - {{value: v, type: uint8_t, dim-x: {count}}}\n")
        case = f"    - {{name: c, recordings: B.0.sds, algorithm: {COPIES}, out: 'Out:{count}', out-yaml: Out.yml, label: '7'}}\n"
        test, = self.results(self.write("big.yml", "suite:\n  name: s\n  cases:\n" + case), expect=1)
        self.assertEqual((test["status"], test["reasons"], test["decisions"]),
                         ("failed", ["it is 7 and was taken for 1000000"], []))


main()
