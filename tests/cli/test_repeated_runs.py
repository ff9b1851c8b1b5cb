"""What the runs behind the first one, repeated ones and the one after a reset, have to say: failures, and times."""
import json
import os
import struct
import sys

from harness import Case, main, plain, run

# Puts out what comes in, 1 ms a block, and nothing if `is_silent`. In the run number `run` of start `start` (from 1, each in its own
# process) block 2 is what `what` says: it fails, ends the worker, or is slow, 1 s. Or each start is slower, 1 ms for each before it.
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
        data = b"" if is_silent else payload[20:]
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
