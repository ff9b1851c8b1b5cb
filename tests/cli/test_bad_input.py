"""Wrong input and wrong usage: one clear error, the right exit code, nothing left behind."""
import fcntl
import json
import os
import signal
import struct
import subprocess
import time

from harness import MOTION, SDS, Case, main, plain, run

YAML = "sds:\n  name: T\n  content:\n    - value: v\n      type: int16_t\n"


class Usage(Case):
    def test_help_and_version(self):
        self.assertIn("serve", run("--help")[0])
        self.assertRegex(run("--version")[0], r"^sds \(sdskit\) \d+\.\d+\.\d+\n$")
        for command in (["serve", "socket"], ["info"], ["check"], ["pack"], ["unpack"], ["replay"], ["compare"],
                        ["export", "csv"]):
            self.assertIn("Usage:", run(*command, "--help")[0])

    def test_wrong_usage_exits_with_2(self):
        run(expect=2)
        self.assertIn("sds has no 'unknown'", run("unknown", expect=2)[1])
        self.assertIn("sds serve has no option --port", run("serve", "--port", 1, expect=2)[1])
        self.assertIn("--sync: is --durability power", run("serve", "socket", "--sync", "--durability", "none", expect=2)[1])
        self.assertNotIn("=process Excludes", run("serve", "socket", "--help")[0])
        run("pack", "x.sds", expect=2)
        run("pack", "x.sds", "-o", "y.sdsz", "--level", "7", expect=2)
        run("export", expect=2)
        run("export", "csv", "x.sds", "--times", "sometimes", expect=2)
        run("serve", "socket", "--netif", "nosuch0", expect=2)
        self.write("a.0.sds", plain((1, b"ab")))
        a = self.path("a.0.sds")
        self.assertIn("STREAM:BYTES", run("replay", a, "-a", MOTION, "--out", "Out", expect=2)[1])
        self.assertIn("no stream 'x'", run("replay", a, "-a", MOTION, "--in", "x", "--out", "O:1", expect=2)[1])
        self.assertIn("[CHANNEL=]ABS", run("compare", a, a, "--tolerance", "v", expect=2)[1])


class Input(Case):
    def test_missing_files_exit_with_4(self):
        for command in (["info"], ["check"], ["unpack"], ["export", "csv"]):
            _, err = run(*command, self.path("none.sds"), expect=4)
            self.assertIn("none.sds: cannot open: No such file or directory", err)

    def test_truncated(self):
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain((1, b"ab"), (2, b"cd"))[:-1])
        out, _ = run("check", a, expect=1)
        self.assertIn("ERROR: T: at byte 10: block size 2 runs past the end of the file (1 bytes left)", out)
        out, err = run("export", "csv", a)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertIn("warning: " + a + ": at byte 10: T: a torn end: block size 2 runs past the end", err)
        self.assertEqual(err.count("torn end"), 1)

    def test_a_wrong_size_in_a_plain_file_is_damage(self):
        # A flipped bit in the size of the third block: of 200 blocks of 20 bytes, two are found.
        self.write("T.sds.yml", YAML)
        bad = bytearray(plain(*((i, bytes(20)) for i in range(200))))
        bad[2 * 28 + 4 + 1] ^= 0x40
        a = self.write("T.0.sds", bytes(bad))
        run("check", a, expect=1)
        packed = self.path("a.sdsz")
        for rec in (a, packed):
            for command in (["info"], ["stats", "--exact"], ["query", "v > 1"], ["export", "csv", "-o", self.path("t.csv"), "-f"],
                            ["cut", "--from", 0, "-o", self.path("c.sdsz"), "-f"], ["plot", "-o", self.path("p.svg"), "-f"],
                            ["pack", "-o", packed, "-f"]):
                if rec == packed and command[0] in ("pack", "info"):
                    continue  # info answers from the index
                _, err = run(command[0], *command[1:1 + (command[0] == "export")], rec, *command[1 + (command[0] == "export"):],
                             expect=3)
                self.assertEqual(err.count("a torn end: "), 1, (command, err))
                self.assertIn("is damaged: the result is of what could be read", err)
            out, _ = run("info" if rec == a else "stats", rec, *([] if rec == a else ["--exact"]), "--json", expect=3)
            damage, = json.loads(out)["damages"]
            self.assertEqual((damage["stream"], damage["bytes"]), ("T", 198 * 28))
        run("check", self.path("c.sdsz"), expect=1)

    def test_a_block_with_a_wrong_size_makes_no_torn_end_harmless(self):
        # Of 2,000 blocks of 100 bytes, block 1100 claims 90,000: what is left behind it is 7,100 bytes, 66 blocks.
        self.write("T.sds.yml", YAML)
        bad = bytearray(plain(*((i, bytes(range(1, 101))) for i in range(2000))))
        bad[1100 * 108 + 4:1100 * 108 + 8] = (90000).to_bytes(4, "little")
        a = self.write("T.0.sds", bytes(bad))
        packed = self.path("a.sdsz")
        run("pack", a, "-o", packed, expect=3)
        for rec in (a, packed):
            run("query", rec, "v > 1000", expect=3)
            run("check", rec, expect=1)
        # A torn end of less than a block is a warning, also where no block is read.
        small = self.write("T.1.sds", plain(*((i, bytes(100)) for i in range(50))) + b"1234567890")
        run("pack", small, "-o", self.path("small.sdsz"))
        for rec in (small, self.path("small.sdsz")):
            self.assertIn("a torn end", run("query", rec, "v > 1000", expect=1)[1])
            self.assertIn("a torn end", run("export", "csv", rec)[1])

    def test_a_torn_end_is_judged_alike_in_a_plain_file_and_packed(self):
        # Sizes that alternate have a sum that is a multiple of the number of blocks. Their mean is 40: four of that are a block.
        differ = [(100 * k, bytes([20, 60][k % 2])) for k in range(50)]
        alike = [(100 * k, bytes(40)) for k in range(50)]
        for blocks, tail, harmless in ((differ, 100, True), (differ, 168, True), (differ, 169, False), (alike, 48, True),
                                       (alike, 49, False), (alike, 168, False), (alike[:1], 48, True), (alike[:1], 100, False)):
            with self.subTest(f"{len(blocks)} of {len(blocks[0][1])} {tail}"):
                self.write("Q.0.sds", plain(*blocks) + struct.pack("<II", 5000, 0x7fffffff) + bytes(tail - 8))
                code = 0 if harmless else 3
                run("pack", self.path("Q.0.sds"), "-o", self.path("q.sdsz"), "--section-kib", 16, "-f", expect=code)
                run("info", self.path("Q.0.sds"), expect=code)
                run("info", self.path("q.sdsz"), expect=code)
                run("unpack", self.path("q.sdsz"), "-d", self.path("q"), "-f", expect=code)

    def test_empty(self):
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", b"")
        self.assertIn("sound", run("check", a)[0])
        run("info", a)
        self.assertEqual(run("export", "csv", a)[0], "timeslot,v\n")
        run("pack", a, "-o", self.path("e.sdsz"))
        self.assertIn("sound", run("check", self.path("e.sdsz"))[0])
        self.write("empty.sdsz", b"")
        self.assertIn("an empty file is no .sdsz recording", run("info", self.path("empty.sdsz"), expect=3)[1])

    def test_bit_flipped_recording(self):
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain(*((i, bytes([i % 256, 0]) * 50) for i in range(2000))))
        run("pack", a, "-o", self.path("a.sdsz"), "--section-kib", "16")
        good = self.read("a.sdsz")
        bad = bytearray(good)
        bad[len(bad) // 2] ^= 1
        self.write("a.sdsz", bytes(bad))
        out, _ = run("check", self.path("a.sdsz"), expect=1)
        self.assertIn("NOT SOUND", out)
        _, err = run("unpack", self.path("a.sdsz"), "-d", self.path("out"), expect=3)
        self.assertIn("checksum mismatch", err)

    def test_zero_length_blocks(self):
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain((1, b""), (2, b"ab"), (3, b"")))
        self.assertIn("3 (2 empty)", run("check", a)[0])
        self.assertEqual(run("export", "csv", a)[0], "timeslot,v\n0.002,25185\n")

    def test_wrong_yaml(self):
        self.write("T.sds.yml", "sds:\n  name: T\n  content:\n    - value: v\n      type: int12_t\n")
        a = self.write("T.0.sds", plain((1, b"ab")))
        for command in (["check"],):
            self.assertIn("line 5: 'type: int12_t' is unknown", run(*command, a, expect=1)[0])
        _, err = run("export", "csv", a, expect=3)
        self.assertIn("T.sds.yml: line 5", err)
        _, err = run("pack", a, "-o", self.path("a.sdsz"))
        self.assertIn("kept as text", err)
        run("unpack", self.path("a.sdsz"), "-d", self.path("out"))
        self.assertEqual(self.read("out", "T.sds.yml"), self.read("T.sds.yml"))

    def test_a_key_that_stands_twice_is_an_error(self):
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain((1, b"ab")))
        run("label", "add", a, "-c", "x", "--from", "0", "--to", "1", "--labels", self.path("good.labels.yml"))
        labels = self.read("good.labels.yml").decode()
        motion = f"algorithm: {MOTION}, out: 'O:9'"
        cases = (
            ("suite.yml", f"suite:\n  name: t\n  cases:\n    - {{name: c, recordings: T.0.sds, {motion},\n       limits: {{p99-us: 1, p99-us: 2}}}}\n",
             "line 5: the key 'p99-us' is there twice", lambda f: run("test", f, expect=3)),
            ("anchor.yml", f"suite:\n  name: t\n  cases:\n    - {{&n name: c, recordings: T.0.sds, {motion},\n       *n : d}}\n",
             "line 5: the key 'name' is there twice", lambda f: run("test", f, expect=3)),
            ("p.yml", "pipeline:\n  name: P\n  input: T\n  stages:\n    - window: {length: 1}\n      record: A\n      record: B\n",
             "line 7: the key 'record' is there twice", lambda f: run("replay", a, "--pipeline", f, expect=3)),
            ("profile.yml", "profile:\n  streams:\n    T: {channels: {}}\n    T: {channels: {}}\n",
             "line 4: the key 'T' is there twice", lambda f: run("check", a, "--profile", f, expect=3)),
            ("x.labels.yml", labels.replace("class: x", "class: x, class: y"),
             "the key 'class' is there twice", lambda f: run("label", "list", a, "--labels", f, expect=3)),
            ("m.yml", YAML + "      scale: 2\n      scale: 3\n",
             "line 7: the key 'scale' is there twice", lambda f: run("export", "csv", a, "-y", f, expect=3)),
            ("map.yml", "columns:\n  a: {type: int8}\n  a: {type: int16}\n",
             "line 3: the key 'a' is there twice",
             lambda f: run("import", "csv", self.write("t.csv", "time,a\n0,1\n"), "--map", f, "-o", self.path("t.sdsz"), expect=3)),
        )
        for name, text, message, command in cases:
            with self.subTest(name):
                self.assertIn(message, command(self.write(name, text))[1])

    def test_non_utf8(self):
        self.write("T.sds.yml", b"sds:\n  name: caf\xe9\n")
        a = self.write("T.0.sds", plain((1, b"ab")))
        self.assertIn("not valid UTF-8", run("check", a, expect=1)[0])
        json.loads(run("check", a, "--json", expect=1)[0])
        odd = self.write("odd\udcff.0.sds", plain((1, b"ab")))
        json.loads(run("info", odd, "--json")[0])

    def test_wrapping_and_unsorted(self):
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain((2**32 - 1, b"ab"), (0, b"cd")))
        self.assertIn("Wrap-arounds", run("check", a)[0])
        b = self.write("T.1.sds", plain((5, b"ab"), (3, b"cd"), (6, b"ef")))
        self.assertIn("timeslot not in ascending order in block 1", run("check", b, expect=1)[0])
        self.assertEqual(len(run("export", "csv", b)[0].splitlines()), 4)
        # Back by 2147.4 s, which is less than half the range.
        c = self.write("T.2.sds", plain((2147400, b"ab"), (0, b"cd")))
        self.assertIn(" -35 min 47.4 s", run("check", c, expect=1)[0])

    def test_metadata_by_option(self):
        yaml = self.write("other.yml", YAML)
        a = self.write("T.0.sds", plain((1, b"ab")))
        self.assertIn("no metadata", run("export", "csv", a, expect=3)[1])
        self.assertEqual(run("export", "csv", a, "-y", yaml)[0], "timeslot,v\n0.001,25185\n")

    def test_algorithms_that_are_none(self):
        a = self.write("T.0.sds", plain((1, b"ab")))
        self.assertIn("no such algorithm library", run("replay", a, "-a", "none.so", "--out", "O:1", expect=4)[1])
        text = self.write("text.so", "no library")
        self.assertIn("cannot be loaded", run("replay", a, "-a", text, "--out", "O:1", expect=3)[1])
        out, _ = run("replay", a, "-a", MOTION, "--out", "O:9", expect=1)
        self.assertIn("FAILED    block 0 (timeslot 1): the algorithm returned -1", out)
        many = self.write("M.0.sds", plain(*((i, b"ab") for i in range(200))))
        out, _ = run("replay", many, "-a", MOTION, "--out", "O:9", expect=1)
        self.assertEqual(out.count("returned -1"), 1, "what is the same is told once")
        self.assertIn("returned -1; and so 99 others: 1, 2, 3, 4, 5 ... 99", out)
        self.assertIn("FAILED    200 blocks in all", out)
        self.assertIn("input buffer is for libraries", run("replay", a, "-a", MOTION, "--out", "O:9", "--in-process",
                                                           "--input-buffer", "100", expect=2)[1])
        pipeline = self.write("p.yml", b"pipeline:\n  name: O\n  input: A\n  stages:\n    - window: {length: 1}\n"
                              b"    - argmax: true\n")
        both = ("replay", a, "--out", "O:9", "--input-buffer", "100", "--a")
        self.assertIn("input buffer is for libraries", run(*both, pipeline, "--b", pipeline, expect=2)[1])
        self.assertIn("returned -1", run(*both, MOTION, "--b", pipeline, expect=1)[0])

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full here")
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain(*((i, b"abcd" * 100) for i in range(3000))))
        with open("/dev/full", "w") as full:
            done = subprocess.run([SDS, "export", "csv", a], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 4)
        self.assertIn("No space left on device", done.stderr)

    def test_where_nobody_hears_a_message_the_work_and_the_exit_code_are_the_same(self):
        torn = self.write("torn.0.sds", plain((1, b"x")) + b"123")
        good = self.path("good.sdsz")
        commands = ((["check", torn], 1), (["check", self.path("nosuch.sdsz")], 4),
                    (["pack", torn, "-o", good, "-f"], 0), (["unpack", good, "-d", self.path("d"), "-f"], 0),
                    (["label", "add", good, "-c", "a", "--from", 0, "--to", 0.001], 0))
        for command, code in commands:
            for redirection in ("2>&-", "2>/dev/full"):
                done = subprocess.run(["sh", "-c", f'"$0" "$@" {redirection}', SDS, *map(str, command)],
                                      stdout=subprocess.PIPE)
                self.assertEqual(done.returncode, code, (command, redirection))
        with open(good, "rb") as f:
            self.assertNotIn(b"torn end kept", f.read())  # the message must not have gone into the file
        self.assertEqual(self.read("d", "torn.0.sds"), self.read("torn.0.sds"))
        self.assertEqual(run("label", "list", good)[0].count(" a "), 1)  # the very same label, twice
        # With all three closed, too: an answer that cannot be written is an error, and nothing else is.
        for command, code in ((["check", torn], 4), (["pack", torn, "-o", good, "-f"], 4)):
            done = subprocess.run(["sh", "-c", '"$0" "$@" <&- >&- 2>&-', SDS, *command])
            self.assertEqual(done.returncode, code, command)
        run("check", good, expect=1)

    def test_a_report_that_cannot_be_written_is_an_error(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full here")
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain(*((i, b"abcd" * 100) for i in range(300))))
        packed = self.path("a.sdsz")
        run("pack", a, "-o", packed)
        for command in (["check", a], ["check", packed, "--json"], ["info", packed], ["info", packed, "--json"], ["stats", packed],
                        ["stats", packed, "--json"], ["recover", packed, "-o", self.path("r.sdsz"), "-f", "--json"],
                        ["compare", a, a, "--json"], ["query", packed, "v > 0"], ["label", "list", a, "--json"], ["--help"],
                        ["pack", a, "-o", self.path("b.sdsz"), "-f"], ["export", "csv", a]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([SDS, *command], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 4, command)
            self.assertIn("standard output: cannot write: No space left on device", done.stderr, command)

    def test_what_is_no_recording_is_refused(self):
        yaml = self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain((1, b"ab")))
        for command in (["info", a, yaml], ["check", yaml], ["pack", yaml, "-o", self.path("x.sdsz")]):
            _, err = run(*command, expect=3)
            self.assertIn("T.sds.yml: is no recording: name the .sds or .sdsz that it is beside", err)
        run("pack", a, "-o", self.path("a.sdsz"))
        self.assertIn("every stream of the recording has metadata already", run("info", "-y", yaml, self.path("a.sdsz"), expect=2)[1])
        for name, content in (("README.md", b"# Text, not blocks"), ("data.csv", b"t_ms,v\n1,2\n3,4\n")):
            self.assertIn(name + ": is no recording: ", run("info", self.write(name, content), expect=3)[1])
            run("pack", self.path(name), "-o", self.path("x.sdsz"), expect=3)
        run("query", self.path("a.sdsz"), "v > 0", "-s", "T", expect=2)
        self.assertIn("no stream 'Rmap'", run("query", self.path("a.sdsz"), "v > 0", "--rows", "-s", "Rmap", expect=2)[1])
        _, err = run("cut", self.path("a.sdsz"), "--from", 100, "-o", self.path("c.sdsz"), expect=2)
        self.assertIn("no block lies in the time that was asked for", err)

    def test_unknown_keys_of_metadata_are_told_by_every_command(self):
        self.write("T.sds.yml", "sds:\n  name: T\n  colour: red\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t, scael: 2}\n")
        a = self.write("T.0.sds", plain(*[(10 * k, struct.pack("<h", k)) for k in range(100)]))
        packed = self.path("T.sdsz")
        run("pack", a, "-o", packed)
        for recording in (a, packed):
            for command in (["info"], ["check"], ["check", "--quality"], ["stats"], ["query", "v > 1"], ["cut", "--to", "0.5", "-o", self.path("c.sdsz"), "-f"],
                            ["export", "csv"], ["export", "wav", "-o", self.path("a.wav"), "-f"], ["export", "npz", "-o", self.path("a.npz"), "-f"],
                            ["pack", "-o", self.path("p.sdsz"), "-f"], ["resample", "--rate", 50, "-o", self.path("r.sdsz"), "-f"], ["label", "list"],
                            ["plot", "-o", self.path("a.html"), "-f"]):
                with self.subTest(command, recording=recording):
                    words = 2 if command[0] in ("export", "label") else 1
                    out, err = run(*command[:words], recording, *command[words:])
                    for told in ("line 3: unknown key 'colour'", "line 6: unknown key 'scael'"):
                        if command[0] == "check":  # its report has it
                            self.assertEqual(out.count(told), 1)
                        else:
                            self.assertEqual(err.count(f"sds: warning: {recording}: metadata of T: {told}"), 1, err)

    def test_with_json_an_error_is_json_for_every_command(self):
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain((0, struct.pack("<hh", 1, 2)), (5, struct.pack("<hh", 3, 4))))
        no = self.path("none.sdsz")
        out = self.path("o.sdsz")
        for command, code, exit_code in (
                (["info", no], "io", 4), (["check", no], "io", 4), (["stats", no], "io", 4), (["stats", a, "-s", "nope"], "usage", 2),
                (["query", a, "v >"], "usage", 2), (["query", a, "w > 1"], "usage", 2), (["cut", a, "--from", 500, "-o", out], "usage", 2),
                (["merge", a, "-o", out], "usage", 2), (["resample", a, "--rate", 0, "-o", out], "usage", 2), (["compare", a, no], "io", 4),
                (["export", "csv", no, "-o", self.path("o.csv")], "io", 4), (["export", "csv", a], "usage", 2), (["export", "npz", no, "-o", self.path("o.npz")], "io", 4),
                (["label", "list", no], "io", 4), (["label", "list", a, "-c", "nope"], "usage", 2), (["pack", no, "-o", out], "io", 4),
                (["unpack", no, "-d", self.path("d")], "io", 4), (["recover", no, "-o", out], "io", 4), (["bench", no], "io", 4),
                (["import", "csv", no, "-o", out], "io", 4), (["import", "csv", a, "-o", out], "bad_input", 3), (["test", no], "io", 4),
                (["info", a, "--nope"], "usage", 2), (["pack", a, "-o", self.path("x.sds")], "usage", 2), (["nope"], "usage", 2)):
            with self.subTest(command):
                printed, err = run(*command, "--json", expect=exit_code)
                report = json.loads(printed)
                self.assertIn(code, [error["code"] for error in report["errors"]])
                for error in report["errors"]:
                    self.assertIn(error["message"], err)
                if exit_code == 4:
                    self.assertEqual(report["errors"][0]["path"], no)
                if command != ["export", "csv", a]:  # which is a table without --json
                    self.assertEqual(run(*command, expect=exit_code)[0], "")
        self.assertNotIn("errors", json.loads(run("info", a, "--json")[0]))
        report = json.loads(run("info", a, no, "--json", expect=4)[0])
        self.assertEqual((len(report["recordings"]), len(report["errors"])), (1, 1))

    def test_deep_conditions_take_no_time(self):
        # -3 ... 3: of 7 values 4 have a square of more than 1.
        values = [i % 7 - 3 for i in range(700)]
        self.write("t.csv", "time,a\n" + "".join(f"{i / 100},{v}\n" for i, v in enumerate(values)))
        run("import", "csv", self.path("t.csv"), "-o", self.path("t.sdsz"))
        deep = {"abs(" * 199 + "a" + ")" * 199 + " > 1": 400, "not " * 900 + "abs(a) > 1": 400,
                "max(1, " * 198 + "abs(a)" + ")" * 198 + " > 1": 400, "0" + " + abs(a" * 190 + ")" * 190 + " > 1": 300,
                "(" * 90 + "sqrt(abs(sqrt(abs(a * a)))) > 1.1" + ")" * 90: 400}
        for condition, count in deep.items():
            with self.subTest(condition[:20]):
                started = time.monotonic()
                run("query", self.path("t.sdsz"), condition, "--count", expect=0 if count else 1)
                self.assertLess(time.monotonic() - started, 5)
                if count:
                    rows = run("query", self.path("t.sdsz"), condition, "--rows")[0].splitlines()
                    self.assertEqual(len(rows) - 1, count)
        for condition in ("abs(" * 20_000 + "a" + ")" * 20_000 + " > 1", "(" * 20_000, "max(1, " * 10_000,
                          "0 + (" * 20_000, "not (" * 20_000, "not " * 20_000 + "a > 1",
                          "abs(" * 200 + "a" + ")" * 200 + " > 1"):
            err = run("query", self.path("t.sdsz"), condition, expect=2)[1]
            self.assertTrue("the condition is too long" in err or "nested too deep" in err, err[-200:])

    def test_a_closed_pipe_ends_quietly(self):
        self.write("T.sds.yml", YAML)
        a = self.write("T.0.sds", plain(*((i, b"abcd" * 1000) for i in range(3000))))
        done = subprocess.run(f"{SDS} export csv {a} | head -n 2", shell=True, capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        self.assertEqual(len(done.stdout.splitlines()), 2)

    def test_ctrl_c_leaves_nothing_half_done(self):
        block = os.urandom(1 << 20)
        with open(self.path("T.0.sds"), "wb") as f:
            for i in range(400):
                f.write(plain((i, block)))

        def half_done():
            return [name for name in os.listdir(self.path()) if name.endswith(".partial")]

        # timeout(1) signals its child, and then its group.
        for n, signals in enumerate(((signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM))):
            process = subprocess.Popen([SDS, "pack", self.path("T.0.sds"), "-o", self.path(f"{n}.sdsz"), "--level", "2"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while process.poll() is None and not half_done():
                time.sleep(0.001)
            for number in signals:
                process.send_signal(number)
                time.sleep(0.001)
            _, err = process.communicate(timeout=60)
            if process.returncode != 0:  # else it was faster than we
                self.assertEqual(process.returncode, 130)
                self.assertIn("interrupted", err)
                self.assertFalse(os.path.exists(self.path(f"{n}.sdsz")))
            self.assertEqual(half_done(), [])

    def test_a_file_whose_first_block_is_being_written_is_no_bad_one(self):
        block = plain((0, bytes(20)))
        for name in ("S.0.sds", "taken.bin"):
            for size in range(2 * len(block)):
                path = self.write(name, (2 * block)[:size])
                with open(path, "r+b") as writer:
                    fcntl.lockf(writer, fcntl.LOCK_EX)  # as its recorder has it
                    said = run("info", path)
                self.assertIn("it is still being recorded", "".join(said), (name, size))
        path = self.write("taken.bin", block[:20])  # nobody writes it
        run("info", path, expect=3)


if __name__ == "__main__":
    main()
