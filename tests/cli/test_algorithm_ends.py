"""How algorithms end: they give back what they hold, an interrupt ends them, and what they leave running does no harm."""
import json
import os
import resource
import signal
import subprocess
import sys
import time
import unittest

from harness import ADDRESS_SANITIZER, BUILD, SDS, SOURCE, Case, main, plain, run, wait_until

# Takes a board, of which there is one, and gives it back behind its work; its log is written when it is closed. `sys.argv`: what its
# second block does, and how long it takes to end.
WORKER = f"""
import os, sys, time
sys.path.insert(0, {os.path.join(SOURCE, "inference_bridge", "python")!r})
import sds_worker
what, seconds, folder = sys.argv[1], float(sys.argv[2]), sys.argv[3]
board = os.path.join(folder, "board")
os.close(os.open(board, os.O_CREAT | os.O_EXCL))
log = open(os.path.join(folder, "log"), "a")
blocks = 0
def execute(block):
    global blocks
    blocks += 1
    if blocks == 2 and what == "fails": raise sds_worker.Failure(7)
    if blocks == 2 and what == "hangs": time.sleep(100)
    log.write("block\\n")
    return [b"1234"]
def configure(text):
    if what == "refuses": raise sds_worker.Refusal("not today")
try:
    sds_worker.run(["In"], [{{"name": "O", "bytes": 4}}], execute, configure=configure)
finally:
    log.close()
    open(os.path.join(folder, "ending"), "w").close()
time.sleep(seconds)
os.unlink(board)
"""

STAYED = ("the library, or one that it is linked with or shares variables with, was still loaded (threads of it go on, or it is never unloaded): its variables "
          "begin as an earlier run left them")
NOT_KNOWN = "whether runs from a fresh start are equal is not known: without --in-process each is one"


def bad(fault):
    return os.path.join(BUILD, "lib", f"bad_{fault}.so")


class AlgorithmEnds(Case):
    def setUp(self):
        super().setUp()
        self.write("In.0.sds", plain(*((10 * t, bytes([t, 2, 3, 4])) for t in range(5))))
        self.write("In.sds.yml", "sds:\n  name: In\n  content:\n    - {value: v, type: uint32_t}\n")
        self.recording = self.path("In.0.sds")
        self.write("w.py", WORKER)

    def worker(self, what="works", seconds=0.0):
        return [sys.executable, self.path("w.py"), what, str(seconds), self.folder.name]

    def replay(self, worker, *options, expect=0):
        return run("replay", self.recording, "--worker", " ".join(worker), *options, expect=expect)

    def logged(self):
        """The blocks that the log has, which then begins anew."""
        lines = self.read("log").count(b"\n")
        os.remove(self.path("log"))
        return lines

    def assert_given_back(self):
        self.assertFalse(os.path.exists(self.path("board")))

    def test_each_run_gives_back_what_it_holds_before_the_next_one_starts(self):
        said = json.loads(self.replay(self.worker("works", 0.2), "--repeat", 3, "--check-reset", "--json")[0])
        self.assertEqual((said["identical"], said["reset_is_clean"]), (True, True))
        self.assert_given_back()
        self.assertEqual(self.logged(), 3 * 5 + 5)
        suite = self.write("s.yml", "suite:\n  name: s\n  defaults:\n    recordings: In.0.sds\n    repeat: 2\n"
                                    f"    worker: {json.dumps(self.worker('works', 0.2))}\n  cases: [{{name: a}}, {{name: b}}]\n")
        self.assertEqual(len(json.loads(run("test", suite, "--jobs", 1, "--json")[0])["tests"]), 2)
        self.assert_given_back()
        self.assertEqual(self.logged(), 2 * 2 * 5)

    def test_one_whose_block_fails_or_that_refuses_gives_it_back_too(self):
        self.replay(self.worker("fails", 0.2), expect=1)
        self.assert_given_back()
        self.assertEqual(self.logged(), 4)
        self.assertIn("not today", self.replay(self.worker("refuses", 0.2), expect=3)[1])
        self.assert_given_back()

    def test_one_that_does_not_end_is_killed_after_a_second_and_its_run_is_as_good(self):
        begun = time.monotonic()
        said = json.loads(self.replay(self.worker("works", 60), "--json")[0])
        took = time.monotonic() - begun
        self.assertTrue(said["ok"])
        self.assertEqual(self.logged(), 5)
        self.assertTrue(os.path.exists(self.path("board")))
        self.assertGreater(took, 1)
        self.assertLess(took, 20)

    def test_one_that_hangs_is_killed_at_once(self):
        self.assertIn("did not answer", self.replay(self.worker("hangs"), "--timeout", 100, expect=1)[0])
        self.assertTrue(os.path.exists(self.path("board")))
        self.assertFalse(os.path.exists(self.path("ending")))

    def interrupted(self, number, begun, *command, env=None):
        """Starts the command, sends a signal once the file is there; (exit code, stderr, seconds from the signal to the end)."""
        process = subprocess.Popen([SDS, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.addCleanup(process.kill)
        wait_until(lambda: os.path.exists(begun), f"{begun} is there")
        sent = time.monotonic()
        process.send_signal(number)
        told = process.communicate(timeout=20)[1]
        os.remove(begun)
        return process.returncode, told, time.monotonic() - sent

    def test_an_interrupt_ends_the_waiting_for_the_end(self):
        command = ("replay", self.recording, "--worker", " ".join(self.worker("works", 60)))
        for number in (signal.SIGINT, signal.SIGTERM):
            # The second run is not begun.
            code, told, _ = self.interrupted(number, self.path("ending"), *command, "--repeat", "2")
            self.assertEqual((code, told), (130, "sds: error: interrupted\n"))
            os.remove(self.path("board"))
        fastest = 1.0
        for _ in range(5):  # the machine may be busy
            code, _, seconds = self.interrupted(signal.SIGINT, self.path("ending"), *command)
            self.assertEqual(code, 0)  # the run is over
            os.remove(self.path("board"))
            fastest = min(fastest, seconds)
        self.assertLess(fastest, 0.5)

    def test_an_interrupt_ends_the_start_of_an_engine(self):
        # It never greets.
        begun = self.path("begun")
        for folder in ("bin", "lib/python3/site-packages/tflite_micro"):
            os.makedirs(self.path("engines", folder))
        os.chmod(self.write("engines/bin/python", f"#!/bin/sh\ntouch {begun}\nexec sleep 100\n"), 0o755)
        env = {**os.environ, "SDSKIT_ENGINES": self.path("engines")}
        model = self.write("m.tflite", "no model")
        for command in (("model", "info", model), ("model", "info", model, "--json"), ("replay", self.recording, "-m", model)):
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(command=command, number=number):
                    code, told, seconds = self.interrupted(number, begun, *command, env=env)
                    self.assertEqual((code, told), (130, "sds: error: interrupted\n"))
                    self.assertLess(seconds, 20)

    def replay_here(self, *options, env=None, expect=0):
        return json.loads(run("replay", self.recording, "--in-process", "--out", "Sum:4", "--json", *options, env=env, expect=expect)[0])

    def test_a_library_in_this_process_may_leave_a_thread(self):
        library, other = bad("leaves_thread"), bad("keeps_state")
        env = {**os.environ, "TMPDIR": self.path("scratch")}
        os.mkdir(env["TMPDIR"])
        replay = lambda *options, expect=0: self.replay_here(*options, env=env, expect=expect)
        said = replay("-a", library)
        self.assertEqual((said["ok"], said["runs"][0]["outputs"], said["notes"]), (True, 5, []))
        said = replay("-a", library, "--repeat", 3, expect=1)
        self.assertFalse(said["ok"])
        self.assertNotIn("identical", said)
        self.assertEqual(said["notes"], [STAYED, NOT_KNOWN])
        self.assertNotIn("deterministic", run("replay", self.recording, "--in-process", "--out", "Sum:4", "-a", library, "--repeat", 3, expect=1)[0])
        for a, b in ((library, other), (other, library), (library, library)):
            said = replay("--a", a, "--b", b, expect=1 if a == b else 0)
            self.assertEqual(said.get("comparison", {}).get("equal"), None if a == b else True)
            self.assertEqual(said["b"]["notes"], [STAYED] if a == b else [])
        self.assertEqual(os.listdir(env["TMPDIR"]), [])
        # One that is unloaded begins anew, though nothing resets it.
        self.assertEqual(replay("-a", other, "--repeat", 3)["notes"], [])
        self.assertTrue(replay("-a", other, "--repeat", 3)["identical"])

    def test_a_library_that_another_one_brought_along_stays_in_this_process(self):
        seeded, other = bad("needs_seed"), bad("keeps_state")
        said = self.replay_here("-a", seeded, "--repeat", 3, expect=1)
        self.assertNotIn("identical", said)
        self.assertEqual(said["notes"], [STAYED, NOT_KNOWN])
        self.assertEqual(self.replay_here("--a", seeded, "--b", other, expect=1)["b"]["notes"], [])
        # In a process of its own each run has another seed.
        self.assertFalse(json.loads(run("replay", self.recording, "-a", seeded, "--out", "Sum:4", "--repeat", 3, "--json", expect=1)[0])["identical"])

    def test_two_libraries_that_share_a_variable_are_not_called_equal(self):
        a, b = (os.path.join(BUILD, "lib", f"gain_{gain}.so") for gain in (2, 3))
        both = ("replay", self.recording, "--a", a, "--b", b, "--out", "Sum:4")
        self.assertEqual(run(*both, expect=1)[0].splitlines()[-1], "DIFFERENT")
        # GCC makes the variable one in the process: B would work with A's. clang does not.
        done = subprocess.run([SDS, *both, "--in-process"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn(done.stdout.splitlines()[-1], ("not compared: one of them did not begin anew", "DIFFERENT"))
        if done.stdout.endswith("anew\n"):
            self.assertIn(f"b: {STAYED}", done.stderr)
        # Without one that was there before it begins anew.
        said = self.replay_here("-a", b)
        self.assertEqual((said["ok"], said["notes"]), (True, []))

    def test_a_thread_that_goes_on_is_seen_though_another_one_ends_meanwhile(self):
        # Each runs for 0.8 s; the thread of the first ends after 1 s.
        said = self.replay_here("--a", bad("ends_thread_later"), "--b", bad("leaves_thread"), "--speed", 0.05)
        self.assertTrue(said["comparison"]["equal"])

    @unittest.skipIf(ADDRESS_SANITIZER, "the sanitizer looks at memory by files of its own, and there are none")
    def test_a_thread_goes_on_though_there_is_no_file_to_see_it_by(self):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, limits[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        for _ in range(5):  # one whose code was gone had a moment to end before its thread woke
            said = self.replay_here("-a", bad("takes_files"))
            self.assertEqual((said["ok"], said["runs"][0]["outputs"]), (True, 5))

    def test_what_stays_in_this_process_prints_to_standard_error(self):
        library = bad("prints_on")
        for options in (("-a", library), ("-a", library, "--repeat", 3), ("--a", library, "--b", library)):
            code = 1 if len(options) > 2 else 0  # runs that did not begin anew
            out, told = run("replay", self.recording, "--in-process", "--out", "Sum:4", *options, expect=code)
            self.assertNotIn("the thread goes on", out)
            self.assertNotIn("the library ends", out)
            self.assertIn("the thread goes on", told)
            self.assertIn("the library ends", told)
            self.replay_here(*options, expect=code)
        with open("/dev/full", "w") as full:
            done = subprocess.run([SDS, "replay", self.recording, "-a", library, "--out", "Sum:4", "--in-process"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 4)
        self.assertIn("standard output: cannot write: No space left on device", done.stderr)
        # An error behind the library's begin is JSON, too.
        self.assertEqual(len(self.replay_here("--a", library, "--b", self.path("none.so"), expect=4)["errors"]), 1)


if __name__ == "__main__":
    main()
