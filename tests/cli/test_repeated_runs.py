"""What the runs behind the first one, repeated ones and the one after a reset, have to say: failures, and times."""
import json
import os
import struct
import sys

from harness import BUILD, Case, main, plain, run
from suite_case import COPIES

# Puts out what comes in, 1 ms a block, and nothing if `is_silent`. In the run number `run` of start `start` (from 1, each in its own
# process) block 2 is what `what` says: it fails, ends the worker, is slow, 1 s, has no output, or another. "reset": the run's reset ends
# the worker, "parts": block 3 has another output, and in each start block 4. Or each start is slower, 1 ms for each before it.
WORKER = r"""
import json, os, struct, sys
what, start, run, counter, is_silent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5] == "1"
with open(counter, "ab") as starts:
    starts.write(b"x")
this_start = os.path.getsize(counter)
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
META = "sds:\n  name: Out\n  content:\n    - {value: x, type: uint32_t}\n"
def say(kind, payload):
    stdout.write(struct.pack("<IB", len(payload), ord(kind)) + payload)
    stdout.flush()
runs = blocks = 0
while len(head := stdin.read(5)) == 5:
    size, kind = struct.unpack("<IB", head)
    payload, kind = stdin.read(size), chr(kind)
    if kind == "H":
        ports = {"inputs": [{"name": "S"}], "outputs": [{"name": "Out", "bytes": 64, "metadata": META}]}
        say("H", struct.pack("<I", 1) + json.dumps(ports).encode())
    elif kind == "R":
        # A reset comes behind the last block, too.
        if what == "reset" and this_start == start and blocks == 0 and runs == run - 1:
            sys.exit(3)
        blocks = 0
        say("R", b"")
    else:
        blocks += 1
        runs += blocks == 1
        now = what if (this_start, runs, blocks) == (start, run, 2) else ""
        if now == "ends":
            sys.exit(3)
        if now == "fails":
            say("F", struct.pack("<i", 7) + b"no room left")
            continue
        data = b"" if is_silent or now == "skips" else payload[20:]
        if what == "parts" and (blocks == 3 and runs == run or blocks == 4):
            data = bytes([blocks, this_start, 1, 1])
        say("X", struct.pack("<QII", 10**9 if now == "slow" else 10**6 * (this_start if what == "slower" else 1), 1, len(data)) + data)
"""


class RepeatedRuns(Case):
    def setUp(self):
        super().setUp()
        self.write("S.sds.yml", "sds:\n  name: S\n  content:\n    - {value: x, type: uint32_t}\n")
        self.recording = self.write("S.0.sds", plain(*((10 * i, struct.pack("<I", i)) for i in range(5))))
        self.write("w.py", WORKER)
        run("pack", self.recording, "-o", self.path("S.sdsz"))

    def worker(self, what, start=1, number=1, is_silent=False):
        counter = self.path("starts")
        if os.path.exists(counter):
            os.remove(counter)
        return [sys.executable, self.path("w.py"), what, str(start), str(number), counter, str(int(is_silent))]

    def replay(self, worker, *options, recording=None, expect=0):
        return run("replay", recording or self.recording, "--worker", " ".join(worker), *options, expect=expect)

    def judged(self, worker, case, *options, expect=0):
        suite = self.write("s.yml", "suite:\n  name: s\n  cases:\n    - name: c\n      recordings: S.0.sds\n"
                                    f"      worker: {json.dumps(worker)}\n" + "".join(f"      {line}\n" for line in case))
        return json.loads(run("test", suite, "--json", *options, expect=expect)[0])["tests"][0]

    def test_a_run_after_a_reset_that_fails_is_a_failure_whether_it_puts_anything_out_or_not(self):
        for is_silent in (True, False):
            for what, told in (("fails", "no room left"), ("ends", "3")):
                for recording in (self.recording, self.path("S.sdsz")):
                    with self.subTest(is_silent=is_silent, what=what, recording=recording):
                        worker = lambda: self.worker(what, 1, 2, is_silent)
                        out = self.replay(worker(), "--check-reset", recording=recording, expect=1)[0]
                        after = out[out.index("after a reset"):]
                        self.assertIn("block 1 (timeslot 10)", after)
                        self.assertIn(told, after)
                        self.assertIn("RESET IS NOT CLEAN: the run after a reset fails", out)
                        said = json.loads(self.replay(worker(), "--check-reset", "--json", recording=recording, expect=1)[0])
                        self.assertEqual((said["ok"], said["reset_is_clean"], said["runs"][0]["ok"]), (False, False, True))
                        failed = said["run_after_reset"]
                        self.assertEqual((failed["ok"], failed["failure_count"]), (False, 1))
                        self.assertEqual((failed["failures"][0]["block"], failed["failures"][0]["timeslot"]), (1, 10))
                        self.assertIn(told, failed["failures"][0]["reason"])
                result = self.judged(worker(), ["check-reset: true"], expect=1)
                self.assertEqual(result["status"], "failed")
                self.assertTrue(result["reasons"][0].startswith("in the run after a reset: block 1 (timeslot 10): "), result["reasons"])
                self.assertIn(told, result["reasons"][0])

    def test_a_run_after_a_reset_that_is_like_the_first_passes(self):
        said = json.loads(self.replay(self.worker("nothing"), "--check-reset", "--json")[0])
        self.assertEqual((said["ok"], said["reset_is_clean"], said["run_after_reset"]["ok"]), (True, True, True))
        self.assertEqual(said["run_after_reset"]["output_fingerprint"], said["runs"][0]["output_fingerprint"])
        self.assertEqual(self.judged(self.worker("nothing"), ["check-reset: true"])["status"], "passed")
        self.assertNotIn("run_after_reset", json.loads(self.replay(self.worker("nothing"), "--json")[0]))

    def test_a_repeated_run_that_fails_is_told_by_its_number(self):
        result = self.judged(self.worker("fails", 2, 1, True), ["repeat: 3"], expect=1)
        self.assertEqual(len(result["reasons"]), 1)
        self.assertTrue(result["reasons"][0].startswith("in run 2 of 3: block 1 (timeslot 10): "), result["reasons"])

    def test_a_repeated_run_that_fails_is_not_equal_to_one_that_does_not(self):
        for what, told, is_silent in (("fails", "no room left", False), ("fails", "no room left", True), ("ends", "3", False), ("reset", "3", False)):
            with self.subTest(what=what, is_silent=is_silent):
                options = ("--repeat", 3, "--check-reset", "-o", self.path("out.sdsz"), "-f")
                out = self.replay(self.worker(what, 2, 1, is_silent), *options, expect=1)[0]
                self.assertNotIn("equal", out)
                self.assertIn("RUNS DIFFER: the algorithm fails in one of them" + (", first at output 1" if what != "reset" and not is_silent else ""), out)
                self.assertIn("run 1 of 3", out)
                second = out[out.index("run 2 of 3"):]
                self.assertIn("FAILED    " + ("before the first block: " if what == "reset" else "block 1 (timeslot 10): "), second)
                self.assertIn(told, second)
                self.assertIn("not run, behind the one that failed: run 3, the run after a reset\n", out)
                said = json.loads(self.replay(self.worker(what, 2, 1, is_silent), *options, "--json", expect=1)[0])
                self.assertEqual((said["ok"], said["identical"], len(said["runs"])), (False, False, 2))
                self.assertEqual(said["not_run"], ["run 3", "the run after a reset"])
                self.assertNotIn("reset_is_clean", said)
                self.assertEqual(said["runs"][1]["failures"][0]["block"], None if what == "reset" else 1)
        result = self.judged(self.worker("fails", 2, 1), ["repeat: 3", "check-reset: true"], expect=1)
        self.assertIn("not run, behind the one that failed: run 3, the run after a reset", result["notes"])

    def test_a_run_whose_reset_fails_does_not_take_away_what_was_before(self):
        for case, start, number, told in ((["check-reset: true"], 1, 2, "RESET IS NOT CLEAN: the worker ended the process with exit code 3 (at 'reset')"),
                                          (["repeat: 2"], 2, 1, "RUNS DIFFER")):
            with self.subTest(case=case):
                worker = lambda: self.worker("reset", start, number)
                options = ("--check-reset",) if number == 2 else ("--repeat", 2)
                out = self.replay(worker(), *options, "-o", self.path("out.sdsz"), "-f", expect=1)[0]
                self.assertIn("blocks    5 delivered", out)
                self.assertIn("outputs recorded in", out)
                self.assertIn("FAILED    before the first block: ", out)
                self.assertIn(told, out)
                said = json.loads(self.replay(worker(), *options, "--json", expect=1)[0])
                self.assertTrue(said["runs"][0]["ok"])
                failed = said["run_after_reset"] if number == 2 else said["runs"][1]
                self.assertEqual((failed["ok"], failed["failure_count"], failed["failures"][0]["block"]), (False, 1, None))
                result = self.judged(worker(), case + ["expected: e.sdsz"], expect=1)
                self.assertEqual((result["status"], result["executions"]), ("failed", 5))
                self.assertIn("before the first block: the worker ended", result["reasons"][0])
                self.assertIn("there is no", result["reasons"][1])
                self.assertIn("again: sds replay", "".join(result["notes"]))

    def test_the_first_output_that_differs_is_the_first_of_another_time_too(self):
        # All blocks are alike: without the output of block 1 what differs is where outputs stand.
        self.write("S.0.sds", plain(*((10 * i, b"same") for i in range(5))))
        for options, start, number in (("--check-reset", 1, 2), ("--repeat", 2, 1)):
            options = (options,) if number == 2 else (options, 2)
            out = self.replay(self.worker("skips", start, number), *options, expect=1)[0]
            self.assertIn(", first at output 1\n", out)
            said = json.loads(self.replay(self.worker("skips", start, number), *options, "--json", expect=1)[0])
            self.assertEqual(said["first_different_output_after_reset" if number == 2 else "first_different_output"], 1)
        result = self.judged(self.worker("skips", 1, 2), ["check-reset: true"], expect=1)
        self.assertEqual(result["reasons"], ["a run after a reset differs: the algorithm keeps state, first at output 1"])

    def test_each_comparison_of_runs_names_the_output_where_it_differs(self):
        worker = lambda: self.worker("parts", 1, 2)
        self.write("w.py", self.read("w.py").decode().replace("runs == run or", "runs == 2 or"))
        out = self.replay(worker(), "--repeat", 2, "--check-reset", expect=1)[0]
        self.assertIn("FINGERPRINTS DIFFER: the algorithm is not deterministic, first at output 3\n", out)
        self.assertIn("RESET IS NOT CLEAN: the run after a reset differs, first at output 2\n", out)
        said = json.loads(self.replay(worker(), "--repeat", 2, "--check-reset", "--json", expect=1)[0])
        self.assertEqual((said["first_different_output"], said["first_different_output_after_reset"]), (3, 2))
        self.assertEqual(self.judged(worker(), ["repeat: 2", "check-reset: true"], expect=1)["reasons"],
                         ["repeated runs differ: the algorithm is not deterministic, first at output 3",
                          "a run after a reset differs: the algorithm keeps state, first at output 2"])

    def test_what_was_not_asked_is_not_answered(self):
        said = json.loads(self.replay(self.worker("nothing"), "--json")[0])
        for key in ("identical", "reset_is_clean", "first_different_output", "not_run"):
            self.assertNotIn(key, said)
        said = json.loads(self.replay(self.worker("fails"), "--check-reset", "--json", expect=1)[0])
        self.assertNotIn("reset_is_clean", said)
        self.assertEqual(said["not_run"], ["the run after a reset"])

    def test_runs_that_have_executed_nothing_say_nothing_of_the_algorithm(self):
        told = "nothing was executed, and whether its runs are equal is not known"
        for blocks in ((), ((0, b""), (10, b""))):
            self.write("S.0.sds", plain(*blocks))
            for options in (("--repeat", 2), ("--check-reset",), ("--repeat", 2, "--check-reset")):
                out, err = self.replay(self.worker("nothing"), *options, expect=1)  # no answer is no yes
                self.assertNotIn("equal", out)
                self.assertIn(told, err)
                said = json.loads(self.replay(self.worker("nothing"), *options, "--json", expect=1)[0])
                self.assertFalse(said["ok"])
                self.assertTrue({"identical", "reset_is_clean"}.isdisjoint(said))
                self.assertIn(told, "".join(said["notes"]))
        self.assertEqual(self.judged(self.worker("nothing"), ["repeat: 2"], expect=1)["reasons"],
                         ["the recording has no data for it: nothing was tested"])

    def pipeline(self, name, *stages, streams="S"):
        text = f"pipeline:\n  name: Out\n  input: {streams}\n  stages:\n" + "".join(f"    - {stage}\n" for stage in stages)
        return self.write(name, text.replace("COPIES", f"algorithm: {COPIES}\n      output: {{type: uint32, labels: [x]}}"))

    def test_a_pipeline_whose_windows_never_fill_has_executed_nothing(self):
        # Five samples: a window of 6 is never full. At 100 Hz, for joined streams have a rate.
        for stream, blocks in (("S", [(10 * i, struct.pack("<I", i)) for i in range(5)]), ("Z", [])):
            self.write(f"{stream}.sds.yml", f"sds:\n  name: {stream}\n  sample-frequency: 100\n  content:\n    - {{value: x, type: uint32_t}}\n")
            self.write(f"{stream}.0.sds", plain(*blocks))
        one, six, debounce = "window: {length: 1}", "window: {length: 6}", "debounce: {threshold: 100, count: 1}"
        for stages, executes in (((one, "COPIES"), True), ((six, "COPIES"), False), ((one, "COPIES", six), False), ((one, "COPIES", "stack: {count: 5}"), True),
                                 ((one, "COPIES", "stack: {count: 6}", debounce), False),
                                 ((one, "COPIES", "stack: {count: 6}", "COPIES"), False),
                                 ((one,), True), ((six,), False), ((one, "smooth: {count: 2}", six), False),
                                 ((one, debounce), True), ((one, "stack: {count: 6}", debounce), False),
                                 ((one, "COPIES", debounce), True)):
            with self.subTest(stages=stages):
                self.void_or_not(self.pipeline("p.yml", *stages), executes, self.recording)
        self.void_or_not(self.pipeline("p.yml", one, "select: [0.x]", "COPIES", streams="[S, Z]"), False, self.recording, self.path("Z.0.sds"))

    def test_labels_name_each_value_once(self):
        stage = f"algorithm: {COPIES}\n      output: {{type: uint32, count: 3, labels: [z, y, y]}}"
        _, err = run("replay", self.recording, "-p", self.pipeline("p.yml", "window: {length: 3}", stage), expect=3)
        self.assertIn("'labels:' names 'y' twice", err)

    def void_or_not(self, pipeline, executes, *recordings):
        told = "the recording has too little data for it: it was not executed to its end"
        options = ("--repeat", 2, "--check-reset")
        code = 0 if executes else 1
        out, err = run("replay", *recordings, "-p", pipeline, *options, expect=code)
        self.assertEqual(("equal" in out, told in err), (executes, not executes))
        said = json.loads(run("replay", *recordings, "-p", pipeline, *options, "--json", expect=code)[0])
        self.assertEqual(("identical" in said, "reset_is_clean" in said, said["notes"]),
                         (executes, executes, [] if executes else [told + ", and whether its runs are equal is not known"]))
        self.assertEqual(json.loads(run("replay", *recordings, "-p", pipeline, "--json")[0])["notes"], [] if executes else [told])
        self.both_void_or_not(pipeline, pipeline, executes, told, *recordings)
        if len(recordings) > 1:
            return
        suite = self.write("s.yml", "suite:\n  name: s\n  cases:\n    - {name: c, recordings: S.0.sds, pipeline: p.yml, expected: e.sdsz}\n")
        for update in ((), ("--update",)):
            test = json.loads(run("test", suite, "--json", *update, expect=0 if executes and update else 1)[0])["tests"][0]
            nothing = "the recording has too little data for it: nothing was tested" in test["reasons"]
            self.assertEqual((nothing, test["executions"]), (not executes, 5 if executes else 0))
        self.assertEqual(os.path.exists(self.path("e.sdsz")), executes)
        if executes:
            os.remove(self.path("e.sdsz"))

    def both_void_or_not(self, a, b, executes, told, *recordings):
        code = 0 if executes else 1
        out, err = run("replay", *recordings, "--a", a, "--b", b, expect=code)
        self.assertEqual(out.splitlines()[-1], "equal" if executes else f"not compared: {told}")
        said = json.loads(run("replay", *recordings, "--a", a, "--b", b, "--json", expect=code)[0])
        self.assertEqual("comparison" in said, executes)
        for side in ("a", "b"):
            self.assertEqual(f"{side}: {told}" in err, not executes)
            self.assertEqual(said[side]["notes"], [] if executes else [told])

    def test_runs_that_differ_within_do_so_where_nothing_comes_as_far_as_the_end(self):
        for library, differs in (("bad_reads_clock", ("FINGERPRINTS DIFFER", "RESET IS NOT CLEAN")), ("bad_keeps_state", ("", "RESET IS NOT CLEAN")), ("copies", ("", ""))):
            with self.subTest(library):
                first = f"algorithm: {os.path.join(BUILD, 'lib', library)}.so\n      output: {{type: uint32, labels: [x]}}\n      record: Mid"
                pipeline = self.pipeline("p.yml", "window: {length: 1}", first, "stack: {count: 100}", "COPIES")
                for options, told, key in ((("--repeat", 3), differs[0], "identical"), (("--check-reset",), differs[1], "reset_is_clean")):
                    out, err = run("replay", self.recording, "-p", pipeline, *options, expect=1)
                    self.assertIn(told, out)
                    self.assertIn("it was not executed to its end", err)
                    said = json.loads(run("replay", self.recording, "-p", pipeline, *options, "--json", expect=1)[0])
                    self.assertEqual(said.get(key), False if told else None)

    def test_two_algorithms_that_have_executed_nothing_are_not_compared(self):
        self.write("S.0.sds", plain())
        silent = self.pipeline("a.yml", "window: {length: 1}", "COPIES")
        self.both_void_or_not(silent, silent, False, "the recording has no data for it: nothing was executed", self.recording)

    def test_one_that_executed_nothing_differs_from_one_that_put_something_out(self):
        a, b = (self.pipeline(f"{length}.yml", f"window: {{length: {length}}}", "COPIES", "window: {length: 1}") for length in (1, 6))
        out, err = run("replay", self.recording, "--a", a, "--b", b, expect=1)
        self.assertEqual(out.splitlines()[-1], "DIFFERENT")
        self.assertIn("b: the recording has too little data for it: it was not executed to its end", err)
        self.assertFalse(json.loads(run("replay", self.recording, "--a", a, "--b", b, "--json", expect=1)[0])["comparison"]["equal"])

    def test_limits_hold_for_every_run(self):
        # Five blocks of 1 ms, of one run the second 1 s: its p99 is 1 ms + 0.96 * 999 ms (NumPy's place 0.99 * 4 = 3.96).
        for case, start, number in ((["repeat: 2"], 2, 1), (["check-reset: true"], 1, 2), (["repeat: 3", "check-reset: true"], 3, 2),
                                    (["repeat: 3"], 1, 1)):
            with self.subTest(case=case):
                result = self.judged(self.worker("slow", start, number), case + ["limits: {p99-us: 5000, max-us: 6000}"], expect=1)
                self.assertEqual((result["measured"]["p50_us"], result["measured"]["max_us"]), (1000, 1e6))
                self.assertAlmostEqual(result["measured"]["p99_us"], 1000 + 0.96 * 999_000, places=3)
                self.assertEqual(len(result["reasons"]), 2, result["reasons"])
                self.assertIn("p99 is 9.6e+05 us", result["reasons"][0])
                self.assertEqual(result["executions"], 5)
        self.assertEqual(self.judged(self.worker("nothing"), ["repeat: 2", "limits: {p99-us: 1000, max-us: 1000}"])["status"], "passed")

    def test_reports_tell_the_times_that_were_judged(self):
        out = run("test", self.slow_suite(), "--results", self.path("r.json"), "--html", self.path("r.html"), expect=1)[0]
        self.assertIn("largest p99 960040.0 us", out)
        self.assertIn("960.04 ms", self.read("r.html").decode())

    def test_the_median_of_two_tests_is_in_the_middle(self):
        self.write("S.1.sds", self.read("S.0.sds"))
        suite = self.write("s.yml", "suite:\n  name: s\n  cases:\n    - name: c\n      recordings: S.*.sds\n      limits: {max-us: 5000}\n"
                                    f"      worker: {json.dumps(self.worker('slower'))}\n")
        out = run("test", suite, "--jobs", 1, "--html", self.path("r.html"))[0]
        self.assertIn("median 1500.0 us", out)
        self.assertIn("1.50 ms", self.read("r.html").decode())

    def slow_suite(self):
        self.judged(self.worker("slow", 2, 1), ["repeat: 2", "limits: {max-us: 6000}"], expect=1)
        os.remove(self.path("starts"))
        return self.path("s.yml")


if __name__ == "__main__":
    main()
