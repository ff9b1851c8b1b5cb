"""sds replay: what is asked for has an effect, or is an error."""
import json
import os
import shutil
import signal
import subprocess
import sys

from harness import BUILD, SDS, SOURCE, Case, main, plain, run, wait_until

ECHO = os.path.join(BUILD, "lib", "bad_prints.so")       # Arm's three functions: the sum of bytes so far, as 4 bytes
TABLE = os.path.join(BUILD, "lib", "table_algorithm.so")  # sds_algorithm(): inputs A and B, outputs Text and Times
YAML = "sds:\n  name: {0}\n  content:\n    - {{value: {1}, type: {2}}}\n"


class Replay(Case):
    def setUp(self):
        super().setUp()
        self.write("In.0.sds", plain(*((10 * t, bytes([t, 2, 3])) for t in range(5))))
        self.write("In.sds.yml", "sds:\n  name: In\n  sample-frequency: 300\n  content:\n    - {value: v, type: uint8_t}\n")
        run("pack", self.path("In.0.sds"), "-o", self.path("in.sdsz"))
        self.out = self.path("out.sdsz")

    def replay(self, *args, expect=0):
        return run("replay", self.path("in.sdsz"), *args, expect=expect)

    def test_given_metadata_are_those_of_the_output_that_they_name(self):
        pipeline = self.write("p.yml", "pipeline:\n  name: W\n  input: In\n  stages:\n"
                              "    - {window: {length: 3}, record: V}\n    - stack: {count: 1}\n    - argmax: true\n")
        for name, value in (("W", "best"), ("V", "scores")):
            yaml = self.write("m.yml", YAML.format(name, value, "uint8_t"))
            self.replay("-p", pipeline, "--out-yaml", yaml, "-o", self.out, "-f")
            run("unpack", self.out, "-d", self.path(name))
            other = {"W": "V", "V": "W"}[name]
            self.assertIn(value, self.read(name, name + ".sds.yml").decode())
            self.assertNotIn(value, self.read(name, other + ".sds.yml").decode())
        os.remove(self.out)
        yaml = self.write("m.yml", YAML.format("Sum", "s", "uint8_t"))
        _, err = self.replay("-p", pipeline, "--out-yaml", yaml, "-o", self.out, expect=2)
        self.assertIn("m.yml: the metadata of 'Sum' are of none of the outputs V, W", err)
        self.assertFalse(os.path.exists(self.out))
        # Of an only output they are whatever they name, but not of another size.
        single = self.write("q.yml", "pipeline:\n  name: W\n  input: In\n  stages:\n    - window: {length: 3}\n    - stack: {count: 1}\n    - argmax: true\n")
        self.replay("-p", single, "--out-yaml", yaml, "-o", self.out)
        yaml = self.write("m.yml", YAML.format("W", "s", "uint32_t"))
        _, err = self.replay("-p", single, "--out-yaml", yaml, "-o", self.out, "-f", expect=2)
        self.assertIn("samples of 4 bytes are none of what W holds, 1 bytes", err)
        # So it is for libraries.
        self.write("A.0.sds", plain((1, b"x")))
        self.write("B.0.sds", plain((2, b"y")))
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("ab.sdsz"))
        yaml = self.write("m.yml", YAML.format("Times", "tick", "uint64_t"))
        run("replay", self.path("ab.sdsz"), "-a", TABLE, "--out-yaml", yaml, "-o", self.out, "-f")
        run("unpack", self.out, "-d", self.path("table"))
        self.assertIn("tick", self.read("table", "Times.sds.yml").decode())
        self.assertFalse(os.path.exists(self.path("table", "Text.sds.yml")))

    def test_labels_of_what_is_replaced_are_not_those_of_the_outputs(self):
        echo = ("-a", ECHO, "--out", "Sum:4")
        for output, recording in (("out.sdsz", "out.sdsz"), ("outputs", "outputs/Sum.0.p.sds")):
            self.replay(*echo, "-o", self.path(output))
            labels = recording.removesuffix(".sdsz").removesuffix(".sds") + ".labels.yml"
            os.remove(self.path(recording))
            self.write(labels, "mine")
            _, err = self.replay(*echo, "-o", self.path(output), expect=4)
            self.assertIn(f"{os.path.basename(labels)}: exists already (--force replaces it)", err)
            self.assertFalse(os.path.exists(self.path(recording)))
            out, err = self.replay(*echo, "-o", self.path(output), "-f", "--json")
            note = f"they are kept as {os.path.basename(labels)}.bak"
            self.assertIn(note, err)
            self.assertIn(note, "".join(json.loads(out)["notes"]))
            self.assertFalse(os.path.exists(self.path(labels)))
            self.assertEqual(self.read(labels + ".bak"), b"mine")
        os.mkdir(self.path("both"))
        self.write("both/a.labels.yml", "mine")
        both = ("--a", ECHO, "--b", ECHO, "--out", "Sum:4", "-o", self.path("both"))
        self.assertIn("a.labels.yml: exists already", self.replay(*both, expect=4)[1])
        self.assertIn("they are kept as a.labels.yml.bak", self.replay(*both, "-f")[1])
        self.assertEqual(self.read("both/a.labels.yml.bak"), b"mine")

    def test_what_the_library_has_no_use_for_is_an_error(self):
        echo = ("-a", ECHO, "--out", "Sum:4")
        for place in ((), ("--in-process",)):
            _, err = self.replay(*echo, "--config", "x", *place, expect=2)
            self.assertIn("a library with Arm's three functions takes no configuration", err)
        self.write("A.0.sds", plain((1, b"x")))
        self.write("B.0.sds", plain((2, b"y")))
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("ab.sdsz"))
        for place in ((), ("--in-process",)):
            _, err = run("replay", self.path("ab.sdsz"), "-a", TABLE, "--out", "Text:64", *place, expect=2)
            self.assertIn("the library says itself what it puts out", err)
            run("replay", self.path("ab.sdsz"), "-a", TABLE, "--config", "x", *place)
        # Of two they are for the one that has a use for them.
        pipeline = self.write("w.yml", "pipeline:\n  name: W\n  input: In\n  stages:\n    - window: {length: 1}\n")
        for other in (pipeline, ECHO):
            for sides in ((ECHO, other), (other, ECHO)):
                self.replay("--a", sides[0], "--b", sides[1], "--out", "Sum:4", expect=1 if other == pipeline else 0)
                _, err = self.replay("--a", sides[0], "--b", sides[1], "--out", "Sum:4", "--config", "x", expect=2)
                self.assertIn("no configuration", err)
                _, err = self.replay("--a", sides[0], "--b", sides[1], "--out", "Sum:4", "--engine", "tflm", expect=2 if other == ECHO else 1)
                self.assertEqual("--engine has no effect on what runs here" in err, other == ECHO)
        for what in (("-p", pipeline), ("--a", pipeline, "--b", pipeline)):
            self.assertIn("--in-process has no effect on what runs here", self.replay(*what, "--in-process", expect=2)[1])
        _, err = self.replay("--a", pipeline, "--b", pipeline, "--out", "Sum:4", expect=2)
        self.assertIn("STREAM:BYTES is for libraries with Arm's three functions", err)
        _, err = run("replay", self.path("ab.sdsz"), "--a", TABLE, "--b", TABLE, "--out", "Text:64", expect=2)
        self.assertIn("the library says itself what it puts out", err)
        pipeline = self.write("p.yml", "pipeline:\n  name: W\n  input: In\n  stages:\n    - window: {length: 3}\n"
                              f"    - algorithm: {ECHO}\n      output: {{type: uint32}}\n      config: x\n")
        _, err = self.replay("-p", pipeline, expect=3)
        self.assertRegex(err, r"p\.yml: line 6: .*a library with Arm's three functions takes no configuration")

    def test_metadata_beside_the_library_are_told_and_not_taken(self):
        library = self.path("lib", "sum.so")
        os.mkdir(self.path("lib"))
        shutil.copy(ECHO, library)
        out, _ = self.replay("-a", library, "--out", "Sum:4", "-o", self.out)
        self.assertNotIn("beside the library", out)
        self.write("lib/Sum.sds.yml", YAML.format("Sum", "total", "uint32_t"))
        out, err = self.replay("-a", library, "--out", "Sum:4", "-o", self.out, "--force")
        self.assertIn("Sum has no metadata, so that it is bytes; with '--out-yaml " + self.path("lib", "Sum.sds.yml") +
                      "', which lies beside the library, its values would be: total", out + err)
        self.assertIsNone(json.loads(run("info", self.out, "--json")[0])["recordings"][0]["streams"][0].get("metadata"))
        out, err = self.replay("-a", library, "--out", "Sum:4", "-o", self.out, "--force", "--out-yaml", self.path("lib", "Sum.sds.yml"))
        self.assertNotIn("beside the library", out + err)
        self.write("lib/Sum.sds.yml", "sds: [")
        self.assertIn("those beside the library cannot be read", "".join(self.replay("-a", library, "--out", "Sum:4", "-o", self.out,
                                                                                     "--force")))

    def test_a_pipeline_says_nothing_that_has_no_meaning(self):
        for stage, told in (("convert: {to: int8, zero-point: 128}", "'zero-point: 128' is no int8"),
                            ("convert: {to: int8, zero-point: -129}", "'zero-point: -129' is no int8"),
                            ("convert: {to: uint16, zero-point: -1}", "'zero-point: -1' is no uint16"),
                            ("convert: {to: uint32_t, zero-point: 4294967296}", "'zero-point: 4294967296' is no uint32_t"),
                            ("select: [v, v]", "column 'v' stands twice"), ("select: []", "'select:' must name some columns")):
            pipeline = self.write("p.yml", f"pipeline:\n  name: W\n  input: In\n  stages:\n    - window: {{length: 3}}\n    - {stage}\n")
            _, err = self.replay("-p", pipeline, expect=3)
            self.assertIn("p.yml: line 6: " + told, err)
        for stage in ("convert: {to: int8, zero-point: -128}", "convert: {to: uint32, zero-point: 4294967295}", "convert: {to: float, zero-point: 1000}"):
            pipeline = self.write("p.yml", f"pipeline:\n  name: W\n  input: In\n  stages:\n    - window: {{length: 3}}\n    - {stage}\n")
            self.replay("-p", pipeline)

    def test_metadata_of_another_size_than_the_output_are_an_error(self):
        # One output of Arm's functions is as large as --out says: 6 bytes are no whole samples of 4.
        yaml = self.write("m.yml", YAML.format("Sum", "s", "uint32_t"))
        _, err = self.replay("-a", ECHO, "--out", "Sum:6", "--out-yaml", yaml, "-o", self.out, expect=2)
        self.assertIn("m.yml: samples of 4 bytes are none of what Sum holds, 6 bytes", err)
        self.assertFalse(os.path.exists(self.out))
        # So are those that are found beside the recording.
        self.write("Sum.sds.yml", YAML.format("Sum", "s", "uint32_t"))
        _, err = run("replay", self.path("In.0.sds"), "-a", ECHO, "--out", "Sum:6", "-o", self.out, expect=2)
        self.assertIn("Sum.sds.yml: samples of 4 bytes are none of what Sum holds, 6 bytes", err)
        self.replay("-a", ECHO, "--out", "Sum:8", "--out-yaml", yaml, "-o", self.out)

    def test_two_that_fail_alike_are_equal_as_far_as_they_did_not_fail(self):
        fails = os.path.join(BUILD, "lib", "bad_returns_error.so")
        self.write("In.0.sds", plain(*((10 * t, b"%d block" % (t + 1)) for t in range(5))))
        run("pack", self.path("In.0.sds"), "-o", self.path("in.sdsz"), "-f")
        out = self.replay("--a", fails, "--b", fails, "--out", "Sum:4", expect=1)[0]
        self.assertEqual(out.splitlines()[-1], "equal, as far as they did not fail")
        self.assertEqual(self.replay("--a", ECHO, "--b", ECHO, "--out", "Sum:4")[0].splitlines()[-1], "equal")
        for both, whole in ((fails, False), (ECHO, True)):
            out = self.replay("--a", both, "--b", both, "--out", "Sum:4", "--json", expect=0 if whole else 1)[0]
            self.assertEqual([json.loads(out)["comparison"][key] for key in ("equal", "whole")], [True, whole])

    def test_what_a_worker_says_does_not_reach_the_terminal_as_it_is(self):
        worker = self.write("w.py", f"""
import struct, sys
sys.path.insert(0, {os.path.join(SOURCE, "inference_bridge", "python")!r})
import sds_worker
c, _ = sds_worker.connect()
c.write("H", struct.pack("<I", 1), b'{{"inputs":[{{"name":"In"}}],"outputs":[{{"name":"Out"}}]}}')
while True:
    kind, _ = c.read()
    c.write("R") if kind == "R" else c.write("F", struct.pack("<i", 5), b"\\x1b[31mred\\xff")
""")
        said = "the algorithm returned 5: \\x1b[31mred\\xff"
        worker = f"{sys.executable} {worker}"
        self.assertIn(f"FAILED    block 0 (timeslot 0): {said}; and", self.replay("--worker", worker, "-o", self.out, expect=1)[0])
        self.assertIn(f"block 0 of the input (timeslot 0) failed: {said}\n", run("info", self.out)[0])
        suite = self.write("s.yml", f"suite: {{name: s, cases: [{{name: c, recordings: in.sdsz, worker: {json.dumps(worker.split())}, repeat: 2}}]}}\n")
        self.assertIn(f"block 0 (timeslot 0): {said}; and", run("test", suite, expect=1)[0])

    def test_an_interrupt_ends_the_waiting_for_the_next_block(self):
        self.write("Far.0.sds", plain((0, b"ab"), (3_600_000, b"cd")))
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen([SDS, "replay", self.path("Far.0.sds"), "-a", ECHO, "--out", "Sum:4", "-o", self.out, "--speed", "1"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(process.kill)
            wait_until(lambda: any(name.startswith("out.sdsz") for name in os.listdir(self.folder.name)), "outputs are begun")
            process.send_signal(number)
            self.assertIn(b"interrupted", process.communicate(timeout=20)[1])
            self.assertEqual(process.returncode, 130)
            self.assertEqual([name for name in os.listdir(self.folder.name) if name.startswith("out")], [])

    def test_an_interrupt_ends_the_start_of_an_algorithm(self):
        # It never greets, for which it would have two minutes.
        worker = self.write("w.sh", f"touch {self.path('begun')}\nexec sleep 100\n")
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen([SDS, "replay", self.path("in.sdsz"), "--worker", f"sh {worker}"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(process.kill)
            wait_until(lambda: os.path.exists(self.path("begun")), "the worker is begun")
            process.send_signal(number)
            self.assertIn(b"interrupted", process.communicate(timeout=20)[1])
            self.assertEqual(process.returncode, 130)
            os.remove(self.path("begun"))

    def test_a_run_is_over_before_the_next_one_starts(self):
        # What is printed in this process goes to stderr until its algorithm is gone.
        for repeat in (2, 3):
            out = self.replay("-a", ECHO, "--out", "Sum:4", "--in-process", "--repeat", repeat, "--json")[0]
            self.assertTrue(json.loads(out)["identical"])
        # A worker may hold what there is one of.
        worker = self.write("one.py", f"""
import fcntl, sys
sys.path.insert(0, {os.path.join(SOURCE, "inference_bridge", "python")!r})
import sds_worker
lock = open({self.path("lock")!r}, "w")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
sds_worker.run(inputs=["In"], outputs=[{{"name": "O", "bytes": 4}}], execute=lambda block: [b"1234"], reset=lambda: None)
""")
        out = self.replay("--worker", f"{sys.executable} {worker}", "--repeat", 3, "--json")[0]
        self.assertTrue(json.loads(out)["identical"])

    def test_a_speed_is_a_number(self):
        for speed in ("inf", "nan", "0", "-1", "1x", "1e999"):
            self.assertIn(f"--speed '{speed}' is neither 'max' nor a number above 0", self.replay("-a", ECHO, "--out", "Sum:4", f"--speed={speed}", expect=2)[1])
        self.replay("-a", ECHO, "--out", "Sum:4", "--speed", "1e9")

    def test_of_several_inputs_a_block_is_told_with_its_stream(self):
        # B's block 1, at 15 ms, is the fourth that is executed.
        self.write("A.0.sds", plain((0, b"a"), (10, b"a"), (20, b"a"), (30, b"fail"), (40, b"fail")))
        self.write("B.0.sds", plain((5, b"b"), (15, b"fail"), (25, b"fail"), (35, b"fail")))
        inputs = (self.path("A.0.sds"), self.path("B.0.sds"))
        run("pack", *inputs, "-o", self.path("ab.sdsz"))
        suite = self.write("s.yml", "suite:\n  name: s\n  cases:\n    - {name: c, recordings: ab.sdsz, algorithm: " + TABLE + "}\n")
        lines = ["block 1 of B (timeslot 15): the algorithm returned 42; and so 2 others: 2, 3",
                 "block 3 of A (timeslot 30): the algorithm returned 42; and so 1 other: 4"]
        for recording in (inputs, (self.path("ab.sdsz"),)):
            out = run("replay", *recording, "-a", TABLE, "-o", self.out, "-f", expect=1)[0]
            self.assertEqual([line.split("FAILED")[1].strip() for line in out.splitlines() if "FAILED" in line], lines)
            said = json.loads(run("replay", *recording, "-a", TABLE, "--json", expect=1)[0])
            self.assertEqual([(f["stream"], f["block"], f["timeslot"]) for f in said["runs"][0]["failures"]],
                             [("B", 1, 15), ("B", 2, 25), ("A", 3, 30), ("B", 3, 35), ("A", 4, 40)])
        self.assertEqual(json.loads(run("test", suite, "--json", expect=1)[0])["tests"][0]["reasons"], lines)
        losses = json.loads(run("info", self.out, "--json")[0])["recordings"][0]["streams"][0]["losses"]
        self.assertEqual(losses[0]["reason"], "block 1 of B (timeslot 15) failed: the algorithm returned 42")
        # A crash is told so, too; one input needs no name.
        self.write("B.0.sds", plain((5, b"b"), (15, b"overwrite")))
        out = run("replay", *inputs, "-a", TABLE, expect=1)[0]
        self.assertIn("FAILED    block 1 of B (timeslot 15): ", out)


main()
