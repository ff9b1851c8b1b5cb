"""sds test: suites, shards, reports, expectations."""
import json
import os
import re
import struct
import tempfile
import xml.etree.ElementTree

from harness import BUILD, MOTION, main, plain, run
from suite_case import ECHO, YAML, SuiteCase

CRASH = os.path.join(BUILD, "lib", "bad_aborts.so")    # the same, but aborts on a block that begins with 3


class Suites(SuiteCase):
    def test_expectations_are_recorded_compared_and_updated(self):
        suite = self.suite("    - {name: sums, recordings: 'In.*.sds', expected: 'expected/{case}-{recording}.sdsz'}\n")
        out, _ = run("test", suite, expect=1)
        self.assertIn("there is no", out)
        self.assertIn("0 passed, 5 failed, 0 with errors", out)
        out, _ = run("test", suite, "--update")
        self.assertIn("recorded ", out)
        self.assertTrue(os.path.exists(self.path("expected", "sums-In.4.sdsz")))
        self.assertIn("5 passed, 0 failed", run("test", suite)[0])
        self.write("In.2.sds", plain((1, b"\x03"), (2, b"\x04"), (3, b"\x09")))
        tests = self.results(suite, expect=1)
        self.assertEqual([t["status"] for t in tests], ["passed", "passed", "failed", "passed", "passed"])
        self.assertEqual(tests[2]["reasons"],
                         ["Sum.sum: 1 of 3 values differ by up to 4 (mean 4), first at tick 3: 12 expected, 16 came"])
        out, _ = run("test", suite, "--update")
        self.assertIn("12 expected, 16 came", out)
        self.assertIn("replaced ", out)
        run("test", suite)

    def test_a_channel_that_was_renamed_is_a_difference(self):
        case = "    - {name: c, recordings: In.1.sds, expected: e.sdsz%s}\n"
        suite = self.suite(case % "")
        run("test", suite, "--update")
        self.write("Sum.sds.yml", YAML.format("Sum", "total", "uint32_t"))
        self.assertEqual(self.results(suite, expect=1)[0]["reasons"],
                         ["Sum: channel sum is expected and does not come out", "Sum: channel total comes out and is not expected"])
        self.assertIn("there is no channel 'sum' in B", self.results(self.suite(case % ", compare-channels: [sum]"), expect=1)[0]["reasons"][0])
        # What is named and is not there is an error also with --update, and what is replaced is shown, compared or not.
        kept = self.read("e.sdsz")
        run("test", self.suite(case % ", compare-channels: [sum]"), "--update", expect=1)
        self.assertEqual(self.read("e.sdsz"), kept)
        run("test", self.suite(case % ""), "--update")
        run("test", suite)
        run("test", self.suite(case % ", compare-channels: [total]"))

    def test_a_stream_that_was_renamed_is_a_difference(self):
        case = "    - {name: c, recordings: In.1.sds, expected: e.sdsz%s}\n"
        run("test", self.suite(case % ""), "--update")
        self.write("Total.sds.yml", YAML.format("Total", "sum", "uint32_t"))
        renamed = f"algorithm: {ECHO}, out: 'Total:4'"
        self.assertEqual(self.results(self.suite(case % "", renamed), expect=1)[0]["reasons"],
                         ["stream Sum is expected and does not come out", "stream Total comes out and is not expected"])
        run("test", self.suite(case % ", compare: 'Sum=Total'", renamed))
        run("compare", self.path("e.sdsz"), self.path("e.sdsz"), "-s", "Sum=Sum")
        self.write("Sum.sds.yml", YAML.format("Sum", "total", "uint32_t"))
        run("test", self.suite(case % ", compare-channels: 'sum=total'"))

    def test_losses_that_are_not_expected_are_differences(self):
        whole = plain(*((t, bytes([1 + t])) for t in range(1, 4)))
        suite = self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz, allow-damage: true}\n")
        run("test", suite, "--update")
        run("test", suite)
        # The outputs are the same, and say that the input ends with half a block.
        self.write("In.1.sds", whole + b"\x04\0\0")
        reasons = self.results(suite, expect=1)[0]["reasons"]
        self.assertEqual(len(reasons), 1)
        self.assertIn("Sum: 1 losses are not expected, the first behind tick 3 (of the input: ", reasons[0])
        run("test", suite, "--update")
        run("test", suite)
        self.write("In.1.sds", whole)
        self.assertIn("Sum: 1 expected losses are missing, the first behind tick 3", self.results(suite, expect=1)[0]["reasons"][0])

    def test_what_fails_by_itself_replaces_no_expectation(self):
        case = "    - {name: c, recordings: In.1.sds, expected: e.sdsz%s}\n"
        run("test", self.suite(case % ""), "--update")
        kept = self.read("e.sdsz")
        self.write("In.1.sds", plain((1, b"\x02"), (2, b"\x03")))
        limits = self.suite(case % ", limits: {p99-us: 0.000001}")
        out, _ = run("test", limits, "--update", expect=1)
        self.assertIn("stays as it is: the test itself fails", out)
        self.assertEqual(self.read("e.sdsz"), kept)
        # A label that is not met is a failure like others: the sums 2 and 5, as two scores, are a's.
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: a, type: uint16_t}\n    - {value: b, type: uint16_t}\n")
        out, _ = run("test", self.suite(case % ", label: b"), "--update", expect=1)
        self.assertIn("it is b and was taken for a", out)
        self.assertIn("stays as it is: the test itself fails", out)
        self.assertEqual(self.read("e.sdsz"), kept)
        run("test", self.suite(case % ""), "--update")
        self.assertNotEqual(self.read("e.sdsz"), kept)

    def test_an_update_replaces_no_file_for_two_tests_and_no_recording(self):
        case = "    - {name: c, recordings: ['In.1.sds', 'In.2.sds'], expected: %s}\n"
        suite = self.suite(case % "e.sdsz")
        self.assertIn("c/In.1 and c/In.2 expect the same file", run("test", suite, "--update", expect=2)[1])
        self.assertFalse(os.path.exists(self.path("e.sdsz")))
        # One of them may record it, and both be compared with it.
        run("test", suite, "--update", "--filter", "In.1")
        self.assertEqual([t["status"] for t in self.results(suite, expect=1)], ["passed", "failed"])
        os.symlink("e.sdsz", self.path("link.sdsz"))
        two = self.suite("    - {name: a, recordings: In.1.sds, expected: e.sdsz}\n    - {name: b, recordings: In.2.sds, expected: link.sdsz}\n")
        kept = self.read("e.sdsz")
        self.assertIn("a/In.1 and b/In.2 expect the same file", run("test", two, "--update", "--shard", "2/2", expect=2)[1])
        self.assertEqual(self.read("e.sdsz"), kept)
        run("pack", self.path("In.1.sds"), "-o", self.path("r.sdsz"))
        kept = self.read("r.sdsz")
        suite = self.suite("    - {name: c, recordings: r.sdsz, expected: '{recording}.sdsz'}\n")
        self.assertIn("would replace a recording of the suite", run("test", suite, "--update", expect=2)[1])
        self.assertEqual(self.read("r.sdsz"), kept)

    def test_tolerances(self):
        suite = self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz}\n")
        run("test", suite, "--update")
        self.write("In.1.sds", plain((1, b"\x02"), (2, b"\x03"), (3, b"\x06")))
        run("test", suite, expect=1)
        for tolerance in ("tolerance: 2", "tolerance: {sum: 2}", "relative-tolerance: 0.2",
                          "relative-tolerance: {sum: 0.2}", "relative-tolerance: {sum: 0.2}, tolerance: {sum: 0}"):
            run("test", self.suite(f"    - {{name: c, recordings: In.1.sds, expected: e.sdsz, {tolerance}}}\n"))
        run("test", self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz, tolerance: {sum: 1}}\n"), expect=1)
        run("test", self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz, relative-tolerance: {sum: 0.1}}\n"), expect=1)

    def test_what_is_told_of_values_that_differ_is_told_of_no_others(self):
        # Within 1 % are 1000 and 1005, and beyond 1 and 1.125.
        self.write("In.sds.yml", YAML.format("In", "v", "double"))
        self.write("p.yml", "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 1}\n")
        suite = self.suite("    - {name: c, recordings: In.1.sds, expected: e.sdsz, relative-tolerance: 0.01}\n", "pipeline: p.yml")
        for values, words, code in (((1000, 1), ("--update",), 0), ((1005, 1.125), (), 1)):
            self.write("In.1.sds", plain(*((t, struct.pack("<d", v)) for t, v in enumerate(values))))
            out = run("test", suite, *words, expect=code)[0]
        self.assertIn("Out.v: 1 of 2 values differ by up to 0.125 (mean 0.125), first at tick 1: 1 expected, 1.125 came", out)

    def test_order_and_results_do_not_depend_on_jobs_and_shards_merge(self):
        suite = self.suite("    - {name: b, recordings: ['In.3.sds', 'In.1.sds'], repeat: 2}\n"
                           "    - {name: a, recordings: 'In.*.sds', repeat: 2, check-reset: true}\n")

        def stable(tests):
            return [{k: v for k, v in t.items() if k != "measured"} for t in tests]

        everything = stable(self.results(suite, "--jobs", 1))
        self.assertEqual([t["name"] for t in everything],
                         ["b/In.3", "b/In.1", "a/In.0", "a/In.1", "a/In.2", "a/In.3", "a/In.4"])
        self.assertEqual(stable(self.results(suite, "--jobs", 4)), everything)
        parts = []
        for i in (3, 1, 2):
            parts.append(self.path(f"part{i}.json"))
            run("test", suite, "--shard", f"{i}/3", "--results", parts[-1])
        merged = json.loads(run("test", "merge", *parts, "--json")[0])["tests"]
        self.assertEqual(stable(merged), everything)
        self.assertIn("part 3 of 3 is there twice", run("test", "merge", parts[0], parts[0], expect=2)[1])
        listed = run("test", suite, "--list", "--shard", "2/3")[0].split()
        self.assertEqual(listed, ["b/In.1", "a/In.2"])
        self.assertEqual(run("test", suite, "--list", "--filter", "a/In.3")[0], "a/In.3\n")

    def test_metadata_that_cannot_be_read_are_an_error(self):
        good, bad = YAML.format("B", "v", "uint8_t"), YAML.format("B", "v", "uint8_t, scale: 2, scale: 3")
        self.write("A.0.sds", plain((1, b"ab")))
        self.write("A.sds.yml", YAML.format("A", "v", "uint8_t"))
        self.write("B.0.sds", plain((1, b"ab")))
        # The second stream of either side, in both formats.
        for name, text in (("good", good), ("bad", bad)):
            self.write("B.sds.yml", text)
            run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path(name + ".sdsz"))
        for a, b in (("good", "bad"), ("bad", "good"), ("bad", "bad")):
            _, err = run("compare", self.path(a + ".sdsz"), self.path(b + ".sdsz"), expect=3)
            self.assertRegex(err, r"bad.sdsz/B.sds.yml: line 4: .*scale")
            run("compare", self.path(a + ".sdsz"), self.path(b + ".sdsz"), "-s", "A")
        self.assertIn("B.sds.yml: line 4", run("compare", self.path("A.0.sds"), self.path("B.0.sds"), "-s", "A=B", expect=3)[1])
        # Inputs, and outputs: of a name that the recording has, given by --out-yaml, or beside.
        echo = ("-a", ECHO, "--out", "Sum:4")
        self.assertIn("B.sds.yml: line 4", run("replay", self.path("B.0.sds"), *echo, expect=3)[1])
        run("replay", self.path("bad.sdsz"), *echo, "-i", "A")
        self.assertIn("line 4", run("replay", self.path("bad.sdsz"), *echo, "-i", "B", expect=3)[1])
        live = ("replay", self.path("bad.sdsz"), "-i", "A", "-a", ECHO, "--out", "B:4", "-o", self.path("o.sdsz"))
        self.assertIn("line 4", run(*live, expect=3)[1])
        run(*live, "--out-yaml", self.path("Sum.sds.yml"))
        one = ("replay", self.path("A.0.sds"), *echo)
        self.assertIn("line 4", run(*one, "--out-yaml", self.path("B.sds.yml"), "-o", self.path("p.sdsz"), expect=3)[1])
        self.assertIn("no effect without -o", run(*one, "--out-yaml", self.path("B.sds.yml"), expect=2)[1])
        # Suites: the recording, its `yaml`, the outputs, what is expected.
        for case, status in ((", recordings: B.0.sds", "error"), (", recordings: A.0.sds, yaml: B.sds.yml", "error"),
                             (", recordings: A.0.sds, out-yaml: B.sds.yml", "error"),
                             (", recordings: good.sdsz, in: A, out: 'B:4', expected: bad.sdsz, compare: B", "failed")):
            test = self.results(self.suite("    - {name: c%s, repeat: 2}\n" % case), expect=1)[0]
            self.assertEqual(test["status"], status)
            self.assertIn("B.sds.yml: line 4", test["reasons"][0])

    def test_only_tests_that_ran_have_results_where_files_appear_meanwhile(self):
        # The first test adds a recording, which the pattern finds from then on in front of others.
        self.write("new", self.read("In.1.sds"))
        suite = self.suite(f"    - {{name: first, recordings: In.0.sds, worker: [cp, {self.path('new')}, {self.path('In.00.sds')}]}}\n"
                           f"    - {{name: c, recordings: 'In.*.sds', algorithm: {ECHO}, out: 'Sum:4', repeat: 2}}\n", "")
        tests = self.results(suite, "--jobs", 1, expect=1)
        self.assertEqual([t["name"] for t in tests], ["first/In.0", *(f"c/In.{i}" for i in range(5))])
        self.assertEqual([t["case"] for t in tests], ["first"] + 5 * ["c"])
        self.assertEqual([t["status"] for t in tests], 6 * ["error"])
        for test in tests[1:]:
            self.assertEqual(test["reasons"],
                             ["it was not run: the suite, or what its patterns find, changed since the tests began"])
        # The same names, of other files.
        os.remove(self.path("In.00.sds"))
        self.write("In.7.sds", self.read("In.1.sds"))
        suite = self.suite(f"    - {{name: first, recordings: In.0.sds, worker: [mv, {self.path('In.7.sds')}, {self.path('In.7.sdsx')}]}}\n"
                           f"    - {{name: c, recordings: 'In.7.*', algorithm: {ECHO}, out: 'Sum:4', repeat: 2}}\n", "")
        self.assertIn("it was not run", self.results(suite, "--jobs", 1, expect=1)[1]["reasons"][0])

    def test_names_that_are_no_text_are_names(self):
        with open(os.fsencode(self.path("In.")) + b"\xff.sds", "wb") as f:
            f.write(plain((1, b"a")))
        names = [t["name"] for t in self.results(self.suite("    - {name: c, recordings: 'In.[!0-9].sds', repeat: 2}\n"))]
        self.assertEqual(names, ["c/In.\\xff"])

    def test_crashes_and_missing_things_are_results_and_the_rest_goes_on(self):
        self.write("In.9.sds", plain((1, b"1"), (2, b"3")))
        self.write("broken.sds", plain((1, b"1"))[:6])
        suite = self.suite(f"    - {{name: crash, recordings: In.9.sds, algorithm: {CRASH}}}\n"
                           "    - {name: none, recordings: In.0.sds, algorithm: none.so}\n"
                           "    - {name: fine, recordings: In.0.sds}\n")
        junit, html = self.path("j.xml"), self.path("r.html")
        tests = self.results(suite, "--junit", junit, "--html", html, expect=1)
        self.assertEqual([t["status"] for t in tests], ["failed", "error", "passed"])
        self.assertEqual(tests[0]["reasons"], ["block 1 (timeslot 2): ExecuteAlgorithm crashed: Aborted (signal 6)"])
        self.assertIn("no such algorithm library", tests[1]["reasons"][0])
        root = xml.etree.ElementTree.parse(junit).getroot()
        self.assertEqual((root.get("tests"), root.get("failures"), root.get("errors")), ("3", "1", "1"))
        self.assertEqual([c.get("name") for c in root.iter("testcase")], ["crash/In.9", "none/In.0", "fine/In.0"])
        self.assertIn("Aborted", root.find(".//failure").get("message"))
        page = self.read("r.html").decode()
        self.assertTrue(page.startswith("<!DOCTYPE html>"))
        self.assertIn("crash/In.9", page)
        self.assertIsNone(re.search(r"(src|href)=", page), "the page needs nothing from elsewhere")

    def test_equal_failures_are_told_once_and_a_devices_input_buffer_is_as_in_replay(self):
        torture = os.path.join(BUILD, "lib", "torture_algorithm.so")
        self.write("In.8.sds", plain(*((t, b"ab") for t in range(30))))
        suite = self.suite("    - {name: c, recordings: In.8.sds}\n", f"algorithm: {MOTION}, out: 'O:9'")
        self.assertEqual(self.results(suite, expect=1)[0]["reasons"],
                         ["block 0 (timeslot 0): the algorithm returned -1; and so 29 others: 1, 2, 3, 4, 5 ... 29"])
        case = "    - {name: c, recordings: In.8.sds, config: 'sum@5'%s}\n"
        self.assertIn("past the end of its input block", self.results(self.suite(case % "", f"algorithm: {torture}"), expect=1)[0]["reasons"][0])
        test = self.results(self.suite(case % ", input-buffer-bytes: 8", f"algorithm: {torture}"))[0]
        self.assertIn("the algorithm passed the end of 30 of 30 blocks, first that of block 0, by up to ", test["notes"][0])

    def test_the_failure_that_ended_a_run_is_told_behind_many(self):
        self.write("Odd.0.sds", plain(*((t, b"abc") for t in range(150)), (150, b"3\0"), (151, b"ab")))
        self.write("Odd.sds.yml", YAML.format("Odd", "v", "int16_t"))
        pipeline = self.write("p.yml", "pipeline:\n  name: P\n  input: Odd\n  stages:\n    - window: {length: 1}\n"
                              f"    - algorithm: {CRASH}\n      output: {{type: uint32, labels: [sum]}}\n")
        out, _ = run("replay", self.path("Odd.0.sds"), "-p", pipeline, expect=1)
        self.assertRegex(out, r"FAILED    block 150 \(timeslot 150\): .*Aborted \(signal 6\)")
        self.assertIn("151 blocks in all; the first 100, and the last one, are told above", out)
        told = json.loads(run("replay", self.path("Odd.0.sds"), "-p", pipeline, "--json", expect=1)[0])["runs"][0]
        self.assertEqual([f["block"] for f in told["failures"]], [*range(100), 150])
        self.assertEqual(told["failure_count"], 151)
        reasons = self.results(self.suite("    - {name: c, recordings: Odd.0.sds, pipeline: p.yml, repeat: 2}\n", ""), expect=1)[0]["reasons"]
        self.assertRegex(reasons[1], r"^block 150 \(timeslot 150\): .*Aborted \(signal 6\)")
        self.assertEqual(reasons[2], "151 blocks failed in all")

    def test_labels_confusion_and_auc(self):
        # Scores are two bytes of the sum: the low one against the high one.
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: a, type: uint8_t}\n    - {value: b, type: uint8_t}\n"
                                  "    - {value: rest, type: uint16_t}\n")
        self.write("In.a.sds", plain((1, b"\x09")))
        self.write("In.b.sds", plain((1, b"\xff" * 3)))       # 0x02FD: low is larger, so this is wrong
        suite = self.suite("    - {name: each, recordings: ['In.a.sds', 'In.b.sds'], label-from-file: true, classes: [a, b]}\n")
        results = self.path("r.json")
        out, _ = run("test", suite, "--results", results, expect=1)
        self.assertIn("it is b and was taken for a", out)
        self.assertIn("accuracy  50.00 % (1 of 2 decisions)", out)
        self.assertRegex(out, r"(?m)^a +1 +50\.0 % +100\.0 % +0\.0000$")  # b scores higher for a than a does
        self.assertRegex(out, r"(?m)^b +1 +- +0\.0 % +1\.0000$")
        run("test", self.suite("    - {name: e, recordings: In.b.sds, label: b, accept: {b: [a, b]}, classes: [a, b]}\n"))
        run("test", self.suite("    - {name: e, recordings: In.b.sds, label: b, classes: [a, b], limits: {accuracy: 0}}\n"))

    def test_classes_that_are_not_there_are_errors_and_unnamed_values_get_their_names(self):
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: a, type: uint8_t}\n    - {value: b, type: uint8_t}\n"
                                  "    - {value: rest, type: uint16_t}\n")
        self.write("In.a.sds", plain((1, b"\x09")))
        case = "    - {name: c, recordings: In.a.sds, label: %s, classes: %s}\n"
        reasons = self.results(self.suite(case % ("b", "[aa, b, rest]")), expect=1)[0]["reasons"]
        self.assertEqual(reasons, ["there is no class 'aa' in the output Sum; there is: a, b, rest"])
        reasons = self.results(self.suite(case % ("x", "[x, y]")), expect=1)[0]["reasons"]
        self.assertEqual(reasons, ["the output Sum has 3 values, and 'classes' names 2; there is: a, b, rest"])
        # None of them is a channel: they name the values.
        run("test", self.suite(case % ("x", "[x, y, z]")))
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: v, type: uint8_t, dim-x: 4}\n")
        run("test", self.suite(case % ("x", "[x, y, z, w]")))
        run("test", self.suite(case % ("x", "[x, y, z]")), expect=1)

    def test_scores_that_are_no_numbers_are_failures_that_are_told(self):
        self.write("Sum.sds.yml", "sds:\n  name: Sum\n  content:\n    - {value: a, type: float}\n    - {value: b, type: float}\n")
        self.write("nan.yml", "pipeline:\n  name: Scores\n  input: F\n  stages:\n    - window: {length: 1}\n")
        self.write("F.sds.yml", "sds:\n  name: F\n  sample-frequency: 10\n  content:\n    - {value: a, type: float}\n    - {value: b, type: float}\n")
        nan, inf = float("nan"), float("inf")
        for name, scores, expect in (("a", (nan, 1.0), 1), ("b", (nan, 1.0), 0), ("b", (-inf, inf), 0), ("b", (nan, nan), 1)):
            self.write("F.0.sds", plain((1, struct.pack("<2f", *scores))))
            suite = self.write("s.yml", "suite:\n  name: t\n  cases:\n    - {name: c, recordings: F.0.sds, pipeline: nan.yml, label: %s}\n" % name)
            test = self.results(suite, expect=expect)[0]
            self.assertEqual(test["status"], "failed" if expect else "passed")
            self.assertEqual(test["decisions"][0]["predicted"], "not a number" if scores[1] != scores[1] else "b")

    def test_what_has_no_effect_is_a_problem_and_limits_are_expectations(self):
        for key, needed in (("tolerance: 1", "expected"), ("compare: [Sum]", "expected"), ("compare-channels: [sum]", "expected"),
                            ("classes: [a, b]", "label"), ("judge: Sum", "label"), ("limits: {accuracy: 0.5}", "label")):
            _, err = run("test", self.suite("    - {name: c, recordings: In.0.sds, %s}\n" % key), expect=3)
            self.assertIn("line 5: 'accuracy:'" if "limits" in key else f"line 5: '{key.split(':')[0]}:'", err)
            self.assertIn(f"has no effect without '{needed}", err)
        self.assertIn("expects nothing", run("test", self.suite("    - {name: c, recordings: In.0.sds}\n"))[1])
        for key in ("limits: {max-us: 1e9}", "check-reset: true", "repeat: 2"):
            self.assertNotIn("expects nothing", run("test", self.suite("    - {name: c, recordings: In.0.sds, %s}\n" % key))[1])

    def test_what_cannot_be_meant_is_a_problem(self):
        pipeline = self.write("p.yml", "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 1}\n")
        case = "    - {name: c, recordings: In.1.sds, %s}\n"
        for keys, message in (("label: a, classes: [a, b, a]", "'classes:' names one twice"),
                              ("expected: e.sdsz, relative-tolerance: 2", "5: 'relative-tolerance: 2' is no share from 0 to 1"),
                              ("expected: e.sdsz, relative-tolerance: {sum: 2}", "5: 'sum: 2' is no share from 0 to 1"),
                              ("expected: e.sdsz, relative-tolerance: [1]", "line 5: 'relative-tolerance:' must be a single value"),
                              ("repeat: {x: 1}", "line 5: 'repeat:' must be"),
                              ("expected: e.sdsz, tolerance: -1", "'tolerance: -1' is below 0"),
                              ("expected: '{case}-{recordng}.sdsz'", "line 5: 'expected: {case}-{recordng}.sdsz' names '{recordng}'; there is: {case}, {recording}"),
                              ("engine: tflm", "'engine:' has no effect without 'model:' or 'pipeline:'"),
                              ("label: a, none: x", "'none:' has no effect without 'decide: event'")):
            self.assertIn(message, run("test", self.suite(case % keys), expect=3)[1])
        for keys, message in (("config: x", "'config:' has no effect without 'algorithm:' or 'worker:'"),
                              ("out: 'O:4'", "'out:' has no effect without 'algorithm:'")):
            self.assertIn(message, run("test", self.suite(case % keys, f"pipeline: {pipeline}"), expect=3)[1])
        test = self.results(self.suite(case % "limits: {memory-mib: 1}", f"pipeline: {pipeline}"), expect=1)[0]
        self.assertIn("its memory is not known", test["reasons"][0])
        self.write("In.1.sds", b"")
        self.assertEqual(self.results(self.suite(case % "repeat: 2"), expect=1)[0]["reasons"],
                         ["the recording has no data for it: nothing was tested"])

    def test_tolerances_need_metadata(self):
        os.remove(self.path("Sum.sds.yml"))
        case = "    - {name: c, recordings: In.1.sds, expected: e.sdsz%s}\n"
        run("test", self.suite(case % ""), "--update")
        run("test", self.suite(case % ""))
        for key in ("tolerance: 200", "relative-tolerance: 0.9", "tolerance: {bytes: 200}"):
            self.assertIn("a tolerance needs metadata", self.results(self.suite(case % (", " + key)), expect=1)[0]["reasons"][0])
        self.assertIn("no channel 'sum'", self.results(self.suite(case % ", tolerance: {sum: 2}"), expect=1)[0]["reasons"][0])
        # They can be given, as in sds replay.
        yaml = self.write("out.yml", YAML.format("Sum", "sum", "uint32_t"))
        run("test", self.suite(case % f", out-yaml: {yaml}, tolerance: {{sum: 2}}"), "--update")
        run("test", self.suite(case % f", out-yaml: {yaml}, tolerance: {{sum: 2}}"))

    def test_a_default_tolerance_is_for_the_outputs_with_metadata(self):
        # Of Sum there are metadata beside the recording, of Other none.
        cases = ("    - {name: a, recordings: In.1.sds, expected: '{case}.sdsz', out: 'Sum:4'%s}\n"
                 "    - {name: b, recordings: In.1.sds, expected: '{case}.sdsz', out: 'Other:4'%s}\n")
        run("test", self.suite(cases % ("", "")), "--update")
        for key in ("tolerance: 2", "relative-tolerance: 0.5"):
            default = f"algorithm: {ECHO}, {key}"
            run("test", self.suite(cases % ("", ""), default))
            said = self.results(self.suite(cases % ("", ", " + key)), expect=1)
            self.assertEqual([t["status"] for t in said], ["passed", "failed"])
            self.assertIn("a tolerance needs metadata", said[1]["reasons"][0])
            said = self.results(self.suite(cases.splitlines(True)[1] % "", default), expect=1)
            self.assertEqual(said[0]["reasons"], [f"'{key.split(':')[0]}:' of the defaults has no effect in any test"])
            # The command that shows it again names no tolerance where there is none.
            self.write("In.1.sds", plain((1, b"\xff")))
            said = self.results(self.suite(cases % ("", ""), default), expect=1)
            again = [[note for note in t["notes"] if "sds compare" in note][0] for t in said]
            self.assertEqual(["tolerance" in again[0] or "relative" in again[0], "tolerance" in again[1] or "relative" in again[1]], [True, False])
            self.write("In.1.sds", plain(*((t, bytes([1 + t])) for t in range(1, 4))))

    def parts(self, suite, count, *options):
        folder = tempfile.mkdtemp(dir=self.folder.name)
        names = [os.path.join(folder, f"part{i}.json") for i in range(1, count + 1)]
        for i, name in enumerate(names, 1):
            run("test", suite, "--shard", f"{i}/{count}", *options, "--results", name)
        return names

    def test_parts_that_are_missing_are_told(self):
        suite = self.suite("    - {name: c, recordings: 'In.*.sds', repeat: 2}\n")
        parts = self.parts(suite, 5)
        run("test", "merge", *parts)
        self.assertIn("parts 2, 5 of 5 are missing", run("test", "merge", *(parts[0], *parts[2:4]), expect=2)[1])
        self.assertIn("part 1 of 5 is missing", run("test", "merge", *parts[1:], expect=2)[1])
        other = self.parts(suite, 2)
        self.assertIn("it is part 1 of 2, and", run("test", "merge", *parts, other[0], expect=2)[1])
        for args in (("--shard", "1/7"), ("--list",), ()):
            self.assertIn("no test's name contains 'typo'", run("test", suite, "--filter", "typo", *args, expect=2)[1])

    def test_parts_of_different_wholes_are_no_whole(self):
        case = "    - {name: %s, recordings: 'In.*.sds', repeat: 2}\n"
        suite = self.suite(case % "c")
        parts = self.parts(suite, 2)
        run("test", "merge", *parts)
        filtered = self.parts(suite, 2, "--filter", "c/")
        self.assertIn("other tests were chosen: --filter 'c/', and", run("test", "merge", parts[0], filtered[1], expect=2)[1])
        changed = self.suite(case % "c" + "    # a comment\n")
        self.assertIn("the suite t had other contents", run("test", "merge", parts[0], self.parts(changed, 2)[1], expect=2)[1])
        # Recordings that one machine lacks.
        suite = self.suite(case % "c")
        parts = self.parts(suite, 2)
        os.rename(self.path("In.4.sds"), self.path("In.5.sds"))
        last = self.path("last.json")
        run("test", suite, "--shard", "2/2", "--results", last)
        self.assertIn("the suite t had other contents", run("test", "merge", parts[0], last, expect=2)[1])
        # Another suite.
        other = self.write("other.yml", f"suite:\n  name: u\n  defaults: {{algorithm: {ECHO}, out: 'Sum:4'}}\n  cases:\n" + case % "c")
        self.assertIn("it is of the suite u, and", run("test", "merge", parts[0], self.parts(other, 2)[1], expect=2)[1])

    def test_only_parts_with_their_tests_are_joined(self):
        suite = self.suite("    - {name: c, recordings: 'In.*.sds', repeat: 2}\n")
        whole = self.path("whole.json")
        out, _ = run("test", suite, "--results", whole, "--json")
        self.assertNotIn("shard", json.loads(out))
        self.assertIn("no part of a suite", run("test", "merge", whole, expect=2)[1])
        part = self.parts(suite, 1)[0]
        run("test", "merge", part)
        results = json.loads(self.read(part))
        out, _ = run("test", suite, "--shard", "1/1", "--json")
        # The digest is of the tests, in which measured times differ.
        self.assertEqual({**json.loads(out)["shard"], "digest": ""}, {**results["shard"], "digest": ""})
        self.assertEqual(results["shard"]["test_count"], 5)
        for tests, message in (([], "it has no tests"), (results["tests"][1:], "4 of 5 tests are there"),
                               (results["tests"] + results["tests"][:1], "the test c/In.0 is there twice")):
            broken = self.write("broken.json", json.dumps({**results, "tests": tests}))
            self.assertIn(message, run("test", "merge", broken, expect=2)[1])
        renamed = [{**test, "name": "c/In.0"} for test in results["tests"]]
        broken = self.write("broken.json", json.dumps({**results, "tests": renamed}))
        self.assertIn("the test c/In.0 is there twice", run("test", "merge", broken, expect=2)[1])
        results["tests"][0]["suite"] = "u"
        broken = self.write("broken.json", json.dumps(results))
        self.assertIn("the test c/In.0 is of the suite u", run("test", "merge", broken, expect=2)[1])

    def test_a_part_has_tests(self):
        suite = self.suite("    - {name: c, recordings: 'In.*.sds', repeat: 2}\n")
        self.assertIn("part 6 of 6 has no tests: there are 5", run("test", suite, "--shard", "6/6", expect=2)[1])
        # Every n-th of those that were chosen.
        self.assertEqual(run("test", suite, "--list", "--shard", "1/1", "--filter", "In.3")[0], "c/In.3\n")
        for shard in ("1/99999999999999999999", "99999999999999999999/1", "0/1", "1/", "/1", "1/2x"):
            self.assertIn("is not i/n", run("test", suite, "--shard", shard, expect=2)[1])

    def test_limits(self):
        out, _ = run("test", self.suite("    - {name: c, recordings: In.0.sds, limits: {p50-us: 0.000001, memory-mib: 0.001}}\n"),
                     expect=1)
        self.assertIn("p50 is ", out)
        self.assertIn("above the limit", out)
        self.assertIn("memory is ", out)

    def test_a_case_adds_to_the_defaults_key_by_key(self):
        defaults = f"algorithm: {ECHO}, out: 'Sum:4', limits: {{p50-us: 0.000001, p99-us: 1e9}}"
        case = "    - {name: c, recordings: In.0.sds, limits: %s}\n"
        other = "    - {name: d, recordings: In.1.sds, limits: {p50-us: 1e9}}\n"  # what the defaults say has an effect there
        for own, above in (("{max-us: 1e9}", True), ("{}", False), ("{p50-us: ''}", False), ("{p50-us: 1e9}", False)):
            tests = self.results(self.suite(case % own + other, defaults), expect=1 if above else 0)
            self.assertEqual([r.split(" is ")[0] for r in tests[0]["reasons"]], ["p50"] if above else [])
            self.assertEqual(tests[1]["reasons"], [])
        run("test", self.suite("    - {name: c, recordings: In.0.sds, expected: e.sdsz}\n"), "--update")
        self.write("In.0.sds", plain((1, b"\x09")))
        defaults = f"algorithm: {ECHO}, out: 'Sum:4', expected: e.sdsz, tolerance: {{none: 1}}"  # of no channel
        test = self.results(self.suite("    - {name: c, recordings: In.0.sds, tolerance: {sum: 9}}\n", defaults), expect=1)[0]
        self.assertIn("'tolerance:' of 'none' of the defaults has no effect in any test", test["reasons"])
        endless = "&a {name: *a, limits: *a}"
        run("test", self.write("s.yml", f"suite:\n  name: t\n  defaults: {endless}\n  cases:\n    - {endless}\n".replace("- &a", "- &b")), expect=3)

    def test_problems_of_a_suite_name_their_line(self):
        for cases, message in (
                ("    - {recordings: In.0.sds}\n", "line 5: a case needs 'name:'"),
                ("    - {name: c, recordings: 'No.*.sds'}\n", "line 5: no recording matches 'No.*.sds'"),
                ("    - {name: c, recordings: In.0.sds, expect: x}\n", "a case has no key 'expect'"),
                ("    - {name: c, recordings: In.0.sds, model: m.tflite, algorithm: x.so}\n", "line 5: a case needs one of algorithm"),
                ("    - {name: c, recordings: In.0.sds, out: Sum}\n", "line 5: 'out: Sum' is not STREAM:BYTES"),
                ("    - {name: c, recordings: In.0.sds}\n    - {name: c, recordings: In.1.sds}\n", "line 6: two cases are named 'c'"),
                ("    - {name: c, recordings: In.0.sds, limits: {speed: 1}}\n", "'limits' has no key 'speed'"),
                ("    - [\n", "line 6:")):
            self.assertIn(message, run("test", self.suite(cases), expect=3)[1])
        self.assertIn("--shard '3/2' is not i/n", run("test", self.suite("    - {name: c, recordings: In.0.sds}\n"), "--shard", "3/2",
                                                      expect=2)[1])
        self.assertIn("no results of sds test", run("test", "merge", self.write("x.json", "{}"), expect=3)[1])


main()
