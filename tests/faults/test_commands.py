"""Every command that makes files, on a disk that fails at every single system call that changes a file.

Whatever fails: the exit code is not 0, the message names the file, and under a final name stands what stood there before
or the complete new file. Short writes and signals change nothing. At most CASES_PER_COMMAND faults are tried for each command
(chosen by a fixed seed); with SDSKIT_ALL_FAULTS=1 in the environment, all.
"""
import concurrent.futures
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "cli"))
from harness import BUILD, Case, SDS, Server, main, plain, run, wait_until

PRELOAD = os.path.join(BUILD, "lib", "failing_calls.so")
ECHO = os.path.join(BUILD, "lib", "bad_prints.so")
CASES_PER_COMMAND = 10**9 if os.environ.get("SDSKIT_ALL_FAULTS") else 40
HARMLESS = ("short", "eintr")
KINDS = ("eio", "enospc", "full") + HARMLESS

IMU = "sds:\n  name: Imu\n  sample-frequency: 100\n  content:\n    - {value: x, type: int16_t}\n    - {value: y, type: int16_t}\n"
CAMERA = "sds:\n  name: Cam\n  content:\n    - image: {pixel_format: RAW8, width: 4, height: 2, stride_bytes: 4}\n"
BYTES = "sds:\n  name: {0}\n  content:\n    - {{value: v, type: {1}}}\n"


def snapshot(folder):
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb") as f:
                found[os.path.relpath(os.path.join(parent, name), folder)] = f.read()
    return found


class Commands(Case):
    @classmethod
    def setUpClass(cls):
        cls.inputs = tempfile.TemporaryDirectory(prefix="sdskit-faults-")
        folder = cls.inputs.name

        def write(name, content):
            with open(os.path.join(folder, name), "wb" if isinstance(content, bytes) else "w") as f:
                f.write(content)

        rows = [struct.pack("<hh", i % 300 - 150, (i * 7) % 1000) for i in range(2000)]
        write("Imu.0.sds", plain(*((10 * i, b"".join(rows[i:i + 10])) for i in range(0, 2000, 10))))
        write("Imu.sds.yml", IMU)
        write("Cam.0.sds", plain(*((t, bytes(range(t, t + 8))) for t in range(3))))
        write("Cam.sds.yml", CAMERA)
        write("In.0.sds", plain(*((t, bytes([t])) for t in range(1, 4))))
        write("In.sds.yml", BYTES.format("In", "uint8_t"))
        write("Sum.sds.yml", BYTES.format("Sum", "uint32_t"))
        cls.imu = os.path.join(folder, "imu.sdsz")
        run("pack", os.path.join(folder, "Imu.0.sds"), "-o", cls.imu)
        cls.both = os.path.join(folder, "both.sdsz")
        run("pack", os.path.join(folder, "Imu.0.sds"), os.path.join(folder, "Cam.0.sds"), "-o", cls.both)
        run("label", "add", cls.imu, "-c", "walk", "--from", 1, "--to", 12)
        run("export", "csv", cls.imu, "-o", os.path.join(folder, "imu.csv"))
        run("export", "wav", cls.imu, "-o", os.path.join(folder, "imu.wav"))

    @classmethod
    def tearDownClass(cls):
        cls.inputs.cleanup()

    def input(self, name):
        return os.path.join(self.inputs.name, name)

    def attempt(self, arguments, prepare, at, kind):
        """One run in a fresh folder. Returns (exit code, output, folder before, folder after, calls)."""
        with tempfile.TemporaryDirectory(prefix="sdskit-fault-") as base:
            out = os.path.join(base, "out")
            os.mkdir(out)
            with open(os.path.join(out, "bystander.txt"), "w") as f:
                f.write("mine")
            if prepare:
                prepare(out)
            before = snapshot(out)
            state, log = os.path.join(base, "state"), os.path.join(base, "log")
            with open(state, "wb") as f:
                f.write(bytes(8))
            os.mkdir(os.path.join(base, "tmp"))
            environment = dict(os.environ, LD_PRELOAD=PRELOAD, FAULT_FOLDER=out, FAULT_STATE=state, FAULT_LOG=log,
                               FAULT_AT=str(at), FAULT_KIND=kind, TMPDIR=os.path.join(base, "tmp"))
            command = [SDS] + [str(a).replace("OUT", out) for a in arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment,
                                  stdin=subprocess.DEVNULL)
            calls = []
            if os.path.exists(log):
                with open(log) as f:
                    calls = f.read().splitlines()
            return done.returncode, done.stdout + done.stderr, before, snapshot(out), calls

    def check(self, *arguments, prepare=None, complete=None, unseen=(), names=()):
        """`complete(name, content)` judges files that are not the same each time. `unseen`: calls whose failure nobody
        needs to see, as (call, part of the name). `names`: what the message names, if not a file that is made."""
        def equal(name, content):
            return complete(name, content) if complete and name in reference else content == reference.get(name)

        code, output, before, reference, calls = self.attempt(arguments, prepare, 0, "eio")
        self.assertEqual(code, 0, output)
        made = [name for name in reference if reference[name] != before.get(name)]
        self.assertTrue(made, "the command makes nothing")
        self.assertGreater(len(calls), 2, "no call is seen: " + output)
        self.assertFalse([name for name in reference if name.endswith(".partial")])
        cases = [(at, kind) for at in range(1, len(calls) + 1) for kind in KINDS]
        if len(cases) > CASES_PER_COMMAND:
            cases = sorted(random.Random(1).sample(cases, CASES_PER_COMMAND))

        def one(case):
            return case, self.attempt(arguments, prepare, *case)

        hits = 0
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for (at, kind), (code, output, before, after, seen) in pool.map(one, cases):
                failed = [call[:-2] for call in seen if call.endswith(" !")]
                hits += bool(failed)
                what = f"sds {' '.join(map(str, arguments))}: {kind} at {failed[0] if failed else at}: exit code {code}\n{output}"
                harmless = not failed or (kind in HARMLESS and not failed[0].split(" ")[1] == "close")
                overlooked = bool(failed) and any(failed[0].split(" ")[1] == call and part in failed[0] for call, part in unseen)
                if harmless or (overlooked and code == 0):
                    self.assertEqual(code, 0, what)
                    for name in reference:
                        self.assertTrue(equal(name, after.get(name)), f"{name} differs\n{what}")
                    continue
                self.assertNotEqual(code, 0, what)
                self.assertGreaterEqual(code, 1, what)
                # A folder that is made or synced is named itself.
                known = [os.path.basename(name) for name in made] + [*names, "/out: cannot sync the directory"]
                self.assertTrue(any(name in output for name in known), "no file is named\n" + what)
                for name, content in after.items():
                    self.assertTrue(content == before.get(name) or (name in reference and equal(name, content)),
                                    f"{name} is neither old nor complete ({len(content)} bytes)\n{what}")
                for name in before:
                    self.assertIn(name, after, what)
        self.assertGreater(hits, 0)

    def test_pack_and_unpack(self):
        def old(out):
            with open(os.path.join(out, "walk.sdsz"), "w") as f:
                f.write("old")
        self.check("pack", self.input("Imu.0.sds"), "-o", "OUT/walk.sdsz")
        self.check("pack", self.input("Imu.0.sds"), "-o", "OUT/walk.sdsz", "-f", prepare=old)
        self.check("unpack", self.both, "-d", "OUT/plain", names=["plain"])

    def test_no_recording_is_left_with_the_labels_of_another(self):
        def old(out):
            for name in ("walk.sdsz", "Imu.0.sds", "Cam.0.sds"):
                with open(os.path.join(out, name), "w") as f:
                    f.write("old")
            for name in ("walk", "Imu.0", "Cam.0"):
                with open(os.path.join(out, name + ".labels.yml"), "w") as f:
                    f.write("old labels")
        for command in (["pack", self.input("Imu.0.sds"), "-o", "OUT/walk.sdsz"], ["recover", self.imu, "-o", "OUT/walk.sdsz"],
                        ["cut", self.imu, "--from", 0, "--to", 5, "-o", "OUT/walk.sdsz"],
                        ["import", "csv", self.input("imu.csv"), "-o", "OUT/walk.sdsz"],
                        ["unpack", self.imu, "-d", "OUT"], ["unpack", self.both, "-d", "OUT"]):
            command = [*command, "-f"]
            code, output, before, reference, calls = self.attempt(command, old, 0, "eio")
            self.assertEqual(code, 0, output)
            made = [name for name in before if name.endswith((".sds", ".sdsz")) and reference[name] != before[name]]
            self.assertTrue(made)
            cases = [(at, kind) for at in range(1, len(calls) + 1) for kind in ("eio", "enospc")]
            if len(cases) > 2 * CASES_PER_COMMAND:
                cases = cases[-2 * CASES_PER_COMMAND:]  # names are given at the end
            for at, kind in cases:
                code, output, _, after, seen = self.attempt(command, old, at, kind)
                failed = [call[:-2] for call in seen if call.endswith(" !")]
                for name in made:
                    labels = name.rpartition(".")[0] + ".labels.yml"
                    what = f"{command} {kind} at {failed}: {code} {output} {sorted(after)}"
                    if after[name] == before[name]:
                        self.assertEqual(after.get(labels), before[labels], what)
                        self.assertNotEqual(code, 0, what)
                    else:
                        self.assertIn(after.get(labels), (None, reference.get(labels)), what)
                        self.assertIn(before[labels], (after.get(labels + ".bak"), reference.get(labels)), what)

    def test_a_file_system_without_links_takes_new_names_all_the_same(self):
        def old(out):
            with open(os.path.join(out, "walk.sdsz"), "w") as f:
                f.write("old")
        pack = ["pack", self.input("Imu.0.sds"), "-o", "OUT/walk.sdsz"]
        reference = self.attempt(pack, None, 0, "eio")[3]
        code, output, _, after, _ = self.attempt(pack, None, 0, "fat")
        self.assertEqual((code, after), (0, reference), output)
        code, output, before, after, _ = self.attempt(pack, old, 0, "fat")
        self.assertEqual((code, after), (4, before), output)

    def dataset(self, seed, *extra):
        return ["export", "csv", self.imu, self.both, "--split", "50/50", "--seed", seed, "-o", "OUT/set", *extra]

    def old_dataset(self, out):
        run(*(str(a).replace("OUT", out) for a in self.dataset(1)))

    def test_a_file_system_that_cannot_exchange_names_takes_datasets_all_the_same(self):
        reference = self.attempt(self.dataset(7), None, 0, "eio")[3]
        self.assertIn("set/manifest.yml", reference)
        for prepare, extra in ((None, ()), (self.old_dataset, ("-f",)), (lambda out: os.mkdir(os.path.join(out, "set")), ())):
            code, output, _, after, _ = self.attempt(self.dataset(7, *extra), prepare, 0, "fat")
            self.assertEqual((code, after), (0, reference), output)
        code, output, before, after, _ = self.attempt(self.dataset(7), self.old_dataset, 0, "fat")
        self.assertEqual((code, after), (4, before), output)

    def test_edits(self):
        self.check("cut", self.imu, "--from", 2, "--to", 5, "-o", "OUT/part.sdsz")
        self.check("merge", self.imu, self.both, "--no-align", "-o", "OUT/merged.sdsz")
        self.check("resample", self.imu, "--rate", 50, "-o", "OUT/slow.sdsz")

    def test_text_exports(self):
        self.check("export", "csv", self.imu, "-o", "OUT/imu.csv")
        self.check("export", "qeexo", self.imu, "-o", "OUT/q.csv")
        self.check("export", "edge-impulse", self.imu, "-o", "OUT/e.json")
        self.check("export", "edge-impulse", self.imu, "--cbor", "-o", "OUT/e.cbor")

    def test_binary_exports(self):
        self.check("export", "mcap", self.imu, "-o", "OUT/imu.mcap")
        self.check("export", "npz", self.imu, "-o", "OUT/imu.npz")
        self.check("export", "npz", self.imu, "--compress", "-o", "OUT/imu.npz")
        # HDF5 tries to open what it then makes: that this fails is nothing to it.
        self.check("export", "hdf5", self.imu, "-o", "OUT/imu.h5", unseen=[("open", ".h5")])
        self.check("export", "images", self.both, "-o", "OUT/frames", names=["frames"])
        self.check("export", "images", self.both, "--raw", "-o", "OUT/frames", names=["frames"])

    def test_audio_exports(self):
        self.check("export", "wav", self.imu, "-o", "OUT/imu.wav")
        self.check("export", "flac", self.imu, "-o", "OUT/imu.flac")
        self.check("export", "audio", self.imu, "-o", "OUT/imu.aiff")

    def test_datasets(self):
        for name in ("npz", "hdf5"):
            self.check("export", name, self.imu, "--window", "1s", "-o", "OUT/set", names=["set", "sds-"],
                       unseen=[("open", ".h5")])

    def test_datasets_of_files(self):
        self.check(*self.dataset(7), names=["set"])
        self.check(*self.dataset(7, "-f"), names=["set"], prepare=self.old_dataset)

    def test_imports(self):
        self.check("import", "csv", self.input("imu.csv"), "-o", "OUT/imu.sdsz")
        self.check("import", "audio", self.input("imu.wav"), "-o", "OUT/sound.sdsz")

    def test_labels(self):
        def old(out):
            shutil.copy(self.input("imu.labels.yml"), os.path.join(out, "imu.labels.yml"))
        self.check("label", "add", self.imu, "--labels", "OUT/new.labels.yml", "-c", "run", "--from", 13, "--to", 14)
        self.check("label", "add", self.imu, "--labels", "OUT/imu.labels.yml", "-c", "run", "--from", 13, "--to", 14,
                   prepare=old)
        self.check("label", "export", self.imu, "-o", "OUT/labels.txt")

    def test_suites(self):
        def suite(out):
            with open(os.path.join(out, "suite.yml"), "w") as f:
                f.write(f"suite:\n  name: t\n  defaults: {{algorithm: {ECHO}, out: 'Sum:4'}}\n  cases:\n"
                        f"    - {{name: sums, recordings: {self.input('In.0.sds')}, expected: expected/sums.sdsz}}\n")

        def old(out):
            suite(out)
            os.mkdir(os.path.join(out, "expected"))
            shutil.copy(self.imu, os.path.join(out, "expected", "sums.sdsz"))

        def report(name, content):
            if name == "out.xml":
                return xml.etree.ElementTree.fromstring(content) is not None
            if name == "out.json":
                return bool(json.loads(content))
            return content.rstrip().endswith(b"</html>") if name == "out.html" else name in ("suite.yml", "bystander.txt")

        self.check("test", "OUT/suite.yml", "--update", "-j", 1, prepare=suite, names=["expected"])
        self.check("test", "OUT/suite.yml", "--update", "-j", 1, prepare=old)
        self.check("test", "OUT/suite.yml", "--update", "-j", 1, "--junit", "OUT/out.xml", "--html", "OUT/out.html", "--results",
                   "OUT/out.json", prepare=old, complete=lambda n, c: True if n == "expected/sums.sdsz" else report(n, c))

    def test_plots(self):
        self.check("plot", self.imu, "-o", "OUT/imu.html")
        for name in ("imu.png", "imu.svg") if shutil.which("gnuplot") else ():
            self.check("plot", self.imu, "-o", "OUT/" + name)

    def test_replay(self):
        arguments = ("replay", self.input("In.0.sds"), "-a", ECHO, "--out", "Sum:4")
        self.check(*arguments, "-o", "OUT/sum.sdsz")
        self.check(*arguments, "-o", "OUT/sums", names=["sums"])

    def test_a_read_that_fails_is_an_error_and_no_damage(self):
        def copied(out):
            for name in ("imu.sdsz", "imu.labels.yml"):
                shutil.copy(self.input(name), os.path.join(out, name))
            shutil.copy(self.input("imu.sdsz"), os.path.join(out, "no_ending"))

        rec = "OUT/imu.sdsz"
        for arguments in (
                ("info", rec), ("info", "OUT/no_ending"), ("check", rec), ("export", "csv", rec, "-o", "OUT/o.csv"),
                ("export", "csv", "OUT/no_ending", "-o", "OUT/o.csv"), ("unpack", rec, "-d", "OUT/plain"),
                ("pack", rec, "-o", "OUT/o.sdsz"), ("cut", rec, "--from", 1, "-o", "OUT/o.sdsz"),
                ("recover", rec, "-o", "OUT/o.sdsz"), ("merge", rec, self.both, "--no-align", "-o", "OUT/o.sdsz"),
                ("resample", rec, "--rate", 50, "-o", "OUT/o.sdsz"), ("label", "list", rec), ("query", rec, "x > 0")):
            same = lambda text: re.sub(r"sdskit-fault-\w+", "", text)
            code, answer, *_ = self.attempt(arguments, copied, 0, "read")
            self.assertEqual(code, 0, answer)
            for at in range(1, 25):
                code, output, before, after, calls = self.attempt(arguments, copied, at, "read")
                if not any(call.endswith(" !") for call in calls):
                    break
                what = f"{arguments}, read {at}: exit code {code}\n{output}"
                # Without the index all is read.
                if arguments[0] == "query" and code == 0:
                    self.assertEqual(same(output), same(answer), what)
                    continue
                self.assertEqual(code, 4, what)
                self.assertIn("Input/output error", output, what)
                self.assertNotIn("damage", output, what)
                self.assertEqual(after, before, what)
            self.assertGreater(at, 5, arguments)

    def test_a_server_on_a_disk_that_hangs_is_ended_by_a_later_sigterm(self):
        with tempfile.TemporaryDirectory(prefix="sdskit-fault-") as base:
            state, log, out = (os.path.join(base, name) for name in ("state", "log", "out"))
            os.mkdir(out)
            with open(state, "wb") as f:
                f.write(bytes(8))
            environment = dict(os.environ, LD_PRELOAD=PRELOAD, FAULT_FOLDER=out, FAULT_STATE=state, FAULT_LOG=log,
                               FAULT_AT="1", FAULT_KIND="hang")

            def hangs():
                if not os.path.exists(log):
                    return False
                with open(log) as f:
                    return "!" in f.read()
            with Server(out, log=False, env=environment) as server:
                with socket.create_connection(("127.0.0.1", int(server.port)), timeout=30) as device:
                    device.sendall(struct.pack("<IIII", 1, 0, 1, 1) + b"A")
                    wait_until(hangs, "its recording is made, for ever")

                    def ends():
                        server.process.send_signal(signal.SIGTERM)
                        time.sleep(0.2)
                        return server.process.poll() is not None
                    wait_until(ends, "it ends")
                self.assertEqual(server.process.returncode, -signal.SIGTERM)


if __name__ == "__main__":
    main()
