"""What suites leave for whoever looks into a test that failed: outputs, and the commands that show it again."""
import json
import os
import shlex
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from harness import BUILD, MOTION, SDS, SOURCE, Case, main, plain, run

WORKER = os.path.join(BUILD, "python", "example_worker.py")


class SuiteHelp(Case):
    def setUp(self):
        super().setUp()
        # Names that a shell would take apart.
        self.folder_of_tests = os.path.join(self.folder.name, "it's here")
        os.mkdir(self.folder_of_tests)
        self.write("it's here/In.0.sds", plain(*((i, bytes([i, 2 * i])) for i in range(20))))
        self.write("it's here/Few.0.sds", plain(*((i, bytes([i, 2 * i])) for i in range(5))))
        for name in ("In", "Few"):
            self.write(f"it's here/{name}.sds.yml", f"sds:\n  name: {name}\n  content:\n    - {{value: 'a=b', type: uint8_t}}\n"
                                                    "    - {value: c, type: uint8_t}\n")
        self.write("it's here/p.yml", "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 1}\n")

    def suite(self, *lines):
        return self.write("it's here/s.yml", "suite:\n  name: s\n  cases:\n    - name: c\n" + "".join(f"      {l}\n" for l in lines))

    def again(self, suite, expect=1):
        """The commands of the only test, run in a shell in a folder of their own: their exit codes and outputs."""
        test = json.loads(run("test", suite, "--json", expect=expect)[0])["tests"][0]
        commands = [note[len("again: "):] for note in test["notes"] if note.startswith("again: ")]
        done = []
        for command in commands:
            self.assertEqual(shlex.split(command)[0], "sds")
            done.append(self.shell(command))
        return test, done

    def shell(self, command, shell="sh"):
        return subprocess.run([shell, "-c", f"{shlex.quote(SDS)} {command[4:]}"], cwd=self.folder.name, capture_output=True, text=True,
                              errors="surrogateescape", env={**os.environ, "TMPDIR": self.folder.name})

    def expect_other(self, *lines):
        """A suite whose expectation has another value in block 7."""
        suite = self.suite("recordings: In.0.sds", "pipeline: p.yml", "expected: expected.sdsz", *lines)
        run("test", self.suite("recordings: In.0.sds", "pipeline: p.yml", "expected: expected.sdsz"), "--update")
        suite = self.suite("recordings: In.0.sds", "pipeline: p.yml", "expected: expected.sdsz", *lines)
        self.write("it's here/In.0.sds", plain(*((i, bytes([i, 2 * i + (i == 7)])) for i in range(20))))
        return suite

    def test_the_commands_show_what_the_test_showed(self):
        suite = self.expect_other("timeout-ms: 500", "memory-limit-mib: 100", "repeat: 2", "check-reset: true", 'compare: "Out"',
                                  'compare-channels: ["a\\\\=b", c]', "tolerance: {c: 0.5, 'a=b': 3}", "relative-tolerance: 0.001")
        test, (replayed, compared) = self.again(suite)
        self.assertEqual(replayed.returncode, 0, replayed.stderr)
        self.assertEqual(compared.returncode, 1, compared.stderr)
        self.assertIn("first difference: tick 7", compared.stdout)
        words = shlex.split(next(n for n in test["notes"] if n.startswith("again: sds replay"))[len("again: "):])
        for option in (("--timeout", "500"), ("--memory", "100"), ("--repeat", "2")):
            self.assertIn(option, list(zip(words, words[1:])))
        self.assertIn("--check-reset", words)
        # What came is what the test compared: within the tolerance it is equal.
        self.assertEqual(run("test", self.suite("recordings: In.0.sds", "pipeline: p.yml", "expected: expected.sdsz",
                                                "tolerance: {c: 1}"))[1], "")

    def test_commands_of_several_tests_do_not_meet(self):
        # Twice, and of two tests: each shows its own.
        for name in ("In", "Few"):
            run("pack", self.path("it's here", f"{name}.0.sds"), "-o", self.path("it's here", f"{name}.sdsz"))
        self.write("it's here/f.yml", "pipeline:\n  name: Out\n  input: Few\n  stages:\n    - window: {length: 1}\n")
        text = ("suite:\n  name: s\n  cases:\n    - {name: a, recordings: In.sdsz, pipeline: p.yml, expected: 'e-{recording}.sdsz'}\n"
                "    - {name: b, recordings: Few.sdsz, pipeline: f.yml, expected: 'e-{recording}.sdsz'}\n")
        suite = self.write("it's here/s.yml", text)
        run("test", suite, "--update")
        for name, other in (("In", bytes([9])), ("Few", bytes([8]))):
            self.write(f"it's here/{name}.0.sds", plain(*((i, other + bytes([i])) for i in range(20))))
            run("pack", self.path("it's here", f"{name}.0.sds"), "-o", self.path("it's here", f"{name}.sdsz"), "--force")
        tests = json.loads(run("test", suite, "--json", expect=1)[0])["tests"]
        commands = [n[len("again: "):] for t in tests for n in t["notes"] if n.startswith("again: ")]
        self.assertEqual(len(commands), 4)
        for _ in range(2):
            done = [self.shell(c) for c in commands]
            self.assertEqual([d.returncode for d in done], [0, 1, 0, 1])

    def test_a_library_with_inputs_outputs_and_a_configuration(self):
        suite = self.suite("recordings: In.0.sds", f"algorithm: {MOTION}", "in: In", "out: O:9", "input-buffer-bytes: 64",
                           "expected: none.sdsz")
        test, done = self.again(suite)
        self.assertEqual(done[0].returncode, 1, done[0].stderr)  # as the test: its blocks are not those of an IMU
        self.assertIn("FAILED", done[0].stdout)
        self.assertEqual(len(done), 1)  # there is nothing to compare with yet
        words = shlex.split(next(n for n in test["notes"] if "replay" in n))
        for option in (("--in", "In"), ("--out", "O:9"), ("--input-buffer", "64")):
            self.assertIn(option, list(zip(words, words[1:])))

    def test_a_worker(self):
        command = f"[{sys.executable}, {os.path.relpath(WORKER, self.folder.name)}]"
        suite = self.suite("recordings: In.0.sds", f"worker: {command}", "config: '-x y'", "limits: {real-time: 1000000000}")
        here = {"cwd": self.folder.name}  # from where a worker's words are understood
        test = json.loads(run("test", suite, "--json", expect=1, **here)[0])["tests"][0]
        words = shlex.split(next(n for n in test["notes"] if n.startswith("again: "))[len("again: "):])
        self.assertIn("--config=-x y", words)
        self.assertIn(f"{sys.executable} {os.path.relpath(WORKER, self.folder.name)}", words)
        suite = self.suite("recordings: In.0.sds", f"worker: [sh, -c, 'exec {sys.executable} {WORKER}']", "limits: {real-time: 1000000000}")
        test = json.loads(run("test", suite, "--json", expect=1)[0])["tests"][0]
        self.assertEqual([n for n in test["notes"] if n.startswith("again: ")], [])
        self.assertIn(f"no command shows it again: --worker cannot take the word 'exec {sys.executable} {WORKER}' of 'worker:', which is "
                      "empty or has a space", test["notes"])
        suite = self.suite("recordings: In.0.sds", f"worker: {command}", "config: '@x'", "limits: {real-time: 1000000000}")
        test = json.loads(run("test", suite, "--json", expect=1, **here)[0])["tests"][0]
        self.assertIn("no command shows it again: 'config:' begins with '@', which --config takes for a file", test["notes"], test)

    def test_what_the_commands_write_is_no_recording_of_the_suite(self):
        for name, value in (("b-c", 1), ("c", 2)):
            self.write("it's here/In.0.sds", plain((0, bytes([value, 0]))))
            run("pack", self.path("it's here", "In.0.sds"), "-o", self.path(f"{name}.sdsz"))
        self.write("p.yml", "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 1}\n")
        text = ("suite:\n  name: s\n  cases:\n    - {name: a, recordings: '[b]*.sdsz', pipeline: p.yml, limits: {real-time: 1.0e9}}\n"
                "    - {name: a-b, recordings: 'c*.sdsz', pipeline: p.yml, limits: {real-time: 1.0e9}}\n"
                "    - {name: all, recordings: '*.sdsz', pipeline: p.yml, limits: {real-time: 1.0e9}}\n")
        suite = self.write("s.yml", text)
        tests = json.loads(run("test", suite, "--json", expect=1)[0])["tests"]
        commands = [n[len("again: "):] for t in tests for n in t["notes"] if n.startswith("again: ")]
        self.assertEqual(len({shlex.split(c)[-2] for c in commands[:2]}), 2)  # a/b-c and a-b/c
        for command in commands:
            self.assertEqual(self.shell(command).returncode, 0)
        self.assertEqual(sorted(n for n in os.listdir(self.folder.name) if n.endswith(".sdsz") and not n.startswith(".")),
                         ["b-c.sdsz", "c.sdsz"])
        self.assertEqual([t["name"] for t in json.loads(run("test", suite, "--json", expect=1)[0])["tests"]],
                         ["a/b-c", "a-b/c", "all/b-c", "all/c"])

    def test_names_that_are_no_text(self):
        self.write("p.yml", "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 1}\n")
        self.write("In.sds.yml", self.read("it's here/In.sds.yml").decode())
        names = [b"In.a\nb\x01'\"$\\.sds", b"In.\xff\xfe1.sds", b"In.\xff\xfd1.sds", b"In.\xef\xbf\xbe.sds", "In.ä.sds".encode()]
        for name in names:
            with open(os.path.join(os.fsencode(self.folder.name), name), "wb") as f:
                f.write(plain((0, b"\1\2")))
        suite = self.write("s.yml", "suite:\n  name: s\n  cases:\n    - {name: a, recordings: In.*.sds, pipeline: p.yml, "
                                    "limits: {real-time: 1.0e9}}\n")
        page, junit = self.path("r.html"), self.path("r.xml")
        out = run("test", suite, "--html", page, "--junit", junit, expect=1, errors="surrogateescape")[0]
        tests = ElementTree.parse(junit).getroot().findall(".//testcase")
        self.assertEqual(sorted(t.get("name") for t in tests),
                         sorted(["a/In.a\nb\\x01'\"$\\", "a/In.\\xff\\xfe1", "a/In.\\xff\\xfd1", "a/In.\\ufffe", "a/In.ä"]))
        ElementTree.fromstring(self.read("r.html").decode("utf-8").split("\n", 1)[1])
        results = self.path("r.json")
        merged = json.loads(run("test", suite, "--shard", "1/1", "--results", results, "--json", expect=1)[0])["tests"]
        self.assertIn("a/In.\\xff\\xfe1", [t["name"] for t in merged])
        run("test", "merge", results, expect=1)
        commands = [line.split("again: ")[1] for line in out.splitlines() if "again: " in line]
        self.assertEqual(len(commands), len(names))
        for command in commands:
            done = self.shell(command, "bash")
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_outputs_of_tests_that_fail_are_kept(self):
        suite = self.expect_other()
        keep = self.path("kept")
        out, _ = run("test", suite, "--keep", keep, expect=1)
        kept = os.path.join(keep, "c", "In.0.sdsz")
        self.assertIn(f"note: what came out is kept in {kept}", out)
        run("compare", kept, os.path.join(self.folder_of_tests, "expected.sdsz"), expect=1)
        again = self.path("again.sdsz")
        run("replay", os.path.join(self.folder_of_tests, "In.0.sds"), "-p", os.path.join(self.folder_of_tests, "p.yml"), "-o", again)
        self.assertEqual(run("compare", kept, again)[0].splitlines()[-1], "equal")
        # They are not replaced; with --force they are, and go where the test passes.
        self.assertIn("exists", run("test", suite, "--keep", keep, expect=4)[1])
        run("test", suite, "--keep", keep, "--force", expect=1)
        self.assertTrue(os.path.exists(kept))
        run("test", suite, "--update")
        run("test", suite, "--keep", keep, "--force")
        self.assertFalse(os.path.exists(kept))
        # What cannot be replaced is refused before anything goes.
        self.write("it's here/In.0.sds", plain((0, b"ab")))
        run("test", suite, "--keep", keep, expect=1)
        self.assertIn("must name a folder", run("test", suite, "--keep", "", expect=2)[1])

    def test_the_page_draws_what_differs(self):
        suite = self.expect_other()
        page = self.path("r.html")
        out = json.loads(run("test", suite, "--json", "--html", page, "--shard", "1/1", "--results", self.path("r.json"), expect=1)[0])
        picture, = out["tests"][0]["pictures"]
        self.assertEqual((picture["title"], picture["first_s"]), ("Out.c", 0.007))
        self.assertEqual(picture["expected"], [2.0 * i for i in range(20)])
        self.assertEqual(picture["came"], [2.0 * i + (i == 7) for i in range(20)])
        self.assertEqual(picture["came_s"], [i / 1000 for i in range(20)])
        with open(page) as f:
            root = ElementTree.fromstring(f.read().split("\n", 1)[1])
        lines = {line.get("class"): line.get("points").split() for line in root.iter("polyline")}
        self.assertEqual(sorted(lines), ["came", "expected"])
        # From the first sample at the left to the last one at the right; only sample 7 is drawn elsewhere, higher up.
        for points in lines.values():
            self.assertEqual([p.split(",")[0] for p in (points[0], points[-1])], ["0.0", "640.0"])
        other = [i for i, (a, b) in enumerate(zip(lines["came"], lines["expected"])) if a != b]
        self.assertEqual(other, [7])
        self.assertLess(float(lines["came"][7].split(",")[1]), float(lines["expected"][7].split(",")[1]))
        self.assertEqual(root.find(".//line").get("x1"), f"{640 * 7 / 19:.1f}")
        self.assertIn("Out.c: expected and came, 0 s to 0.019 s, values 0 to 38", "".join(root.find(".//figcaption").itertext()))
        # The same page from the results of parts.
        run("test", "merge", self.path("r.json"), "--html", self.path("merged.html"), expect=1)
        self.assertEqual(self.read("merged.html"), self.read("r.html"))

    def pictures(self, expected, came, expected_yaml, came_yaml):
        """Of blocks of an algorithm that copies its input: pictures in JSON, and the page."""
        for data, yaml, options, code in ((expected, expected_yaml, ["--update"], 0),
                                          (came, came_yaml, ["--json", "--html", self.path("r.html"), "--force"], 1)):
            self.write("it's here/In.0.sds", plain(*data))
            self.write("it's here/O.sds.yml", yaml)
            size = len(data[0][1])
            suite = self.suite("recordings: In.0.sds", f"algorithm: {os.path.join(BUILD, 'lib', 'copies.so')}", "in: In", f"out: 'O:{size}'",
                               "out-yaml: O.sds.yml", "expected: e.sdsz")
            out, _ = run("test", suite, *options, expect=code)
        return json.loads(out)["tests"][0]["pictures"], ElementTree.fromstring(self.read("r.html").decode().split("\n", 1)[1])

    def test_both_sides_are_drawn_around_the_same_time_and_of_the_same_channel(self):
        yaml = "sds:\n  name: O\n  tick-frequency: {0}\n  content:\n    - {{value: y, type: uint8_t}}\n    - {{value: {1}, type: uint8_t}}\n"
        expected = [(10 * i, bytes([i, 7])) for i in range(200)]
        for which in (0, 1):
            came = [(t, bytes([d[0] + (50 if i == 150 and which == 0 else 0), d[1] + (50 if i == 150 and which == 1 else 0)]))
                    for i, (t, d) in enumerate(expected)]
            for frequency in (100, 1000):
                (picture,), _ = self.pictures(expected, came, yaml.format(1000, "y"), yaml.format(frequency, "y"))
                self.assertEqual(picture["expected"], [float(d[which]) for _, d in expected[90:200]])
                self.assertEqual(picture["came"], [float(d[which]) for _, d in came[90:200]])
                times = [i / 100 for i in range(90, 200)]
                self.assertEqual(picture["expected_s"], times)
                self.assertEqual(picture["came_s"], times)
            os.remove(self.path("it's here", "e.sdsz"))

    def test_several_blocks_of_one_tick_are_not_mistaken(self):
        yaml = "sds:\n  name: O\n  content:\n    - {value: y, type: uint8_t}\n"
        expected = [(i // 100, bytes([i % 100])) for i in range(300)]
        came = [(t, bytes([d[0] + (50 if i == 199 else 0)])) for i, (t, d) in enumerate(expected)]
        (picture,), _ = self.pictures(expected, came, yaml, yaml)
        self.assertEqual(picture["came"], [float(d[0]) for _, d in came[139:260]])

    def test_one_value_alone_is_a_dot(self):
        yaml = "sds:\n  name: O\n  content:\n    - {value: y, type: float}\n"
        def blocks(values):
            return [(i, struct.pack("<f", v)) for i, v in enumerate(values)]
        nan = float("nan")
        _, page = self.pictures(blocks([3]), blocks([4]), yaml, yaml)
        self.assertEqual([(c.get("class"), c.get("cx"), c.get("cy")) for c in page.iter("circle")],
                         [("expected", "320.0", "125.0"), ("came", "320.0", "5.0")])
        os.remove(self.path("it's here", "e.sdsz"))
        _, page = self.pictures(blocks([1, nan, 3, nan, 5, 6]), blocks([1, nan, 4, nan, 5, 6]), yaml, yaml)
        self.assertEqual([c.get("class") for c in page.iter("circle")], ["expected", "expected", "came", "came"])
        self.assertEqual([len(l.get("points").split()) for l in page.iter("polyline")], [2, 2])

    def test_long_recordings_are_drawn_around_the_first_difference(self):
        values = [i % 251 for i in range(5000)]
        def recording(values):
            self.write("it's here/In.0.sds", plain(*((i, bytes(values[2 * i:2 * i + 2])) for i in range(2500))))
        recording(values)
        suite = self.suite("recordings: In.0.sds", "pipeline: p.yml", "expected: expected.sdsz")
        run("test", suite, "--update")
        values[2 * 2000 + 1] ^= 255
        recording(values)
        picture, = json.loads(run("test", suite, "--json", expect=1)[0])["tests"][0]["pictures"]
        self.assertEqual(picture["came"], [float(values[2 * i + 1]) for i in range(1940, 2061)])

    def test_a_test_that_passes_needs_no_help(self):
        suite = self.suite("recordings: In.0.sds", "pipeline: p.yml", "repeat: 2")
        test = json.loads(run("test", suite, "--keep", self.path("kept"), "--json")[0])["tests"][0]
        self.assertEqual([n for n in test["notes"] if "again" in n or "kept" in n], [])
        self.assertFalse(os.path.exists(self.path("kept")))


if __name__ == "__main__":
    main()
