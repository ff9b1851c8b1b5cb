"""How commands are called, and what they say to a command line that they do not understand."""
import json
import os
import struct

from harness import Case, main, plain, run


class Words(Case):
    def setUp(self):
        super().setUp()
        # 5 s at 100 Hz: x is the number of the sample.
        for name in "AB":
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: 100\n  content:\n"
                                          "    - {value: x, type: int16_t}\n    - {value: y, type: int16_t}\n")
            self.write(f"{name}.0.sds", plain(*[(100 * i, struct.pack("<20h", *(v for k in range(10) for v in (10 * i + k, 0))))
                                                for i in range(50)]))
        self.rec = self.path("rec.sdsz")
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.rec)

    def refused(self, *args, said, expect=2):
        _, err = run(*args, expect=expect)
        self.assertIn(said, err)
        return err

    def test_an_option_takes_one_value_wherever_it_stands(self):
        run("export", "csv", "-s", "A", self.rec, "-o", self.path("a.csv"))
        run("export", "npz", "-s", "A", "-s", "B", self.rec, "-o", self.path("a.npz"))
        run("plot", "-s", "A", self.rec, "--channel", "x", "-o", self.path("a.html"))
        run("cut", "--to", 1, "-s", "A", self.rec, "-o", self.path("c.sdsz"))
        out, _ = run("stats", "-s", "A", self.rec, "--json")
        self.assertEqual({c["stream"] for c in json.loads(out)["channels"]}, {"A"})
        out, _ = run("stats", "-s", "A", "-s", "B", self.rec, "--json")
        self.assertEqual({c["stream"] for c in json.loads(out)["channels"]}, {"A", "B"})
        run("label", "add", self.rec, "-c", "a", "--from", 1, "--to", 2)
        run("label", "rm", "-n", 1, self.rec)
        self.refused("replay", "-i", "A", self.rec, said="nothing to replay into")
        self.refused("check", "--against", self.rec, said="recording is required")
        self.assertNotIn("--stream ID ...", run("stats", "--help")[0])

    def test_the_nearest_name_is_told(self):
        for args, said in ((["info", self.rec, "--jsn"], "sds info has no option --jsn: is it --json?"),
                           (["label", "export", self.rec, "--form=csv"], "sds label export has no option --form: is it --format?"),
                           (["check", self.rec, "-o", "x"], "sds check has no option -o; there are --help --yaml"),
                           (["bench", self.rec, "-o", self.path("x")], "sds bench has no option -o"),
                           (["inof", "x"], "sds has no 'inof': is it info?"),
                           (["hlep"], "sds has no 'hlep': is it help?"),
                           (["unknown"], "sds has no 'unknown'; there are serve, info, check"),
                           (["serve", "--port", 1], "sds serve has no option --port; sds serve socket has: it stands behind socket"),
                           (["export", "json", self.rec], "sds export has no 'json'; there are csv, wav, flac"),
                           (["import", "wav", "a.wav"], "sds import has no 'wav'; there are csv, audio, qeexo"),
                           (["label"], "sds label: say which: add, list"),
                           (["unpack", self.rec, self.rec], "recording: 1 at most, and 2 are given"),
                           (["info", self.rec, "-y"], "--yaml needs a value: FILE"),
                           (["info"], "recording is required")):
            err = self.refused(*args, said=said)
            self.assertEqual(err.count("sds: error"), 1, err)
        self.assertNotIn("there are", self.refused("inof", said="is it info?"))
        self.assertIn("`sds export csv --help`", self.refused("export", "csv", self.rec, "--jsn", said="--jsn"))
        errors = json.loads(run("info", self.rec, "--nothing", "--json", expect=2)[0])["errors"]
        self.assertEqual([e["code"] for e in errors], ["usage"])
        self.assertIn("has no option --nothing", errors[0]["message"])

    def test_help_of_what_is_not_there(self):
        self.refused("help", "nosuch", said="sds has no 'nosuch'; there are serve, info")
        self.refused("nosuch", "--help", said="sds has no 'nosuch'")
        self.refused("help", "export", "cvs", said="sds export has no 'cvs': is it csv?")
        self.refused("info", self.rec, "--jsn", "--help", said="sds info has no option --jsn")

    def test_a_flag_takes_no_value(self):
        for word in ("--json=5", "--json=false"):
            self.refused("info", word, self.rec, said="--json takes no value")

    def test_help_of_a_command(self):
        self.assertEqual(run("help", "label", "add")[0], run("label", "add", "--help")[0])
        self.assertEqual(run("help")[0], run("--help")[0])

    def test_times_have_units_everywhere(self):
        rows = lambda *args: run("export", "csv", self.rec, "-s", "A", *args)[0].count("\n") - 1
        for begin, end, seconds in (("1s", "2500ms", 1.5), ("1000000us", "0:02", 1), ("0:00:01.5", "0.05min", 1.5),
                                    (1, "2.25", 1.25), ("-1s", "1e9ns", 1)):
            self.assertEqual(rows("--from", begin, "--to", end), round(100 * seconds), (begin, end))
            self.assertEqual(rows("--start-timeslot", begin, "--stop-timeslot", end), round(100 * seconds))
        out, _ = run("query", self.rec, "A.x >= 0", "--from", "500ms", "--to", "1.5s", "--min-duration", "10ms", "--json")
        self.assertAlmostEqual(json.loads(out)["seconds"], 1)
        run("label", "add", self.rec, "-c", "a", "--from", "0:01", "--to", "2s")
        run("label", "move", self.rec, "-n", 1, "--by", "250ms")
        label = json.loads(run("label", "list", self.rec, "--json")[0])["labels"][0]
        self.assertEqual((label["from"], label["to"]), (1.25, 2.25))
        run("plot", self.rec, "--from", "1s", "--to", "2s", "-o", self.path("p.html"))
        run("export", "npz", self.rec, "-s", "A", "--window", "500ms", "--unlabelled", "-o", self.path("w"))
        for bad in ("1x", "1:62", "s", "", "1:2:3:4", "--5", "nan", "1.5:30"):
            self.refused("export", "csv", self.rec, "--from=" + bad if bad else "--from=x", said="is no time: write 12.5, 500ms")
        self.refused("export", "csv", self.rec, "--from", "1,5", said="numbers have a decimal point: 1.5")
        self.refused("export", "npz", self.rec, "--window", "1,5s", "-o", self.path("n"), said="numbers have a decimal point: 1.5s")
        self.refused("replay", self.rec, "--timeout", "0.5ms", said="no whole number of milliseconds")
        self.refused("replay", self.rec, "--timeout", "10s", said="nothing to replay into")
        self.refused("serve", "socket", "--flush-interval", "2h", said="not in range 1 to 3600000")
        self.refused("serve", "socket", "--port", 99999, said="not in range 0 to 65535")
        self.refused("import", "csv", "x", "-o", "y.sdsz", "--skip-lines", "abc", said="--skip-lines: 'abc' is no number that it takes")
        self.refused("label", "auto", self.rec, "--factor", "1,5", said="numbers have a decimal point: 1.5")

    def test_whole_numbers_are_not_negative_nor_octal(self):
        for bad, why in (("-5", ": none is negative"), ("18446744073709551616", ": it is too large"), ("1.5", ""), ("0x10", ""), ("abc", "")):
            for args in (["label", "add", self.rec, "-c", "a", "--to-tick", 5000, "--from-tick"],
                         ["label", "add", self.rec, "-c", "a", "--from", 1, "--to-tick"],
                         ["label", "move", self.rec, "-n", 1, "--to-tick"], ["label", "rm", self.rec, "--number"],
                         ["export", "csv", self.rec, "-o", self.path("o/"), "--seed"], ["export", "csv", self.rec, "--jobs"],
                         ["import", "csv", "x", "-o", "y.sdsz", "--skip-lines"], ["pack", self.rec, "--threads"],
                         ["plot", self.rec, "--width"], ["serve", "socket", "--max-devices"]):
                with self.subTest(args=args, bad=bad):
                    self.refused(*args[:-1], f"{args[-1]}={bad}", said=f"{args[-1]}: '{bad}' is no number that it takes{why}")
        self.refused("label", "add", self.rec, "-c", "a", "--from", 1, "--to-tick", 2**64 - 1, said="is no time of a recording")
        run("label", "add", self.rec, "-c", "a", "--from-tick", "010", "--to-tick", "0100")
        label = json.loads(run("label", "list", self.rec, "--json")[0])["labels"][0]
        self.assertEqual((label["from"], label["to"]), (0.01, 0.1))

    def test_frequencies_and_shares_have_units(self):
        out = self.path("r.sdsz")
        rate = lambda: json.loads(run("info", out, "--json")[0])["recordings"][0]["streams"][0]
        for text, hz in (("50", 50), ("50Hz", 50), ("0.025kHz", 25)):
            run("resample", self.rec, "-s", "A", "--rate", text, "-o", out, "-f")
            self.assertEqual(len(run("export", "csv", out)[0].splitlines()) - 1, 5 * hz, rate())
        self.refused("resample", self.rec, "-s", "A", "--rate", "33,3", "-o", out, "-f", said="decimal point: 33.3")
        table = self.write("t.csv", "x\n1\n2\n")
        run("import", "csv", table, "--rate", "100Hz", "--tick-rate", "10kHz", "-o", self.path("t.sdsz"))
        run("import", "csv", table, "--rate", "100Hz", "--tick-frequency", "10kHz", "-o", self.path("u.sdsz"))
        self.assertEqual(self.read("t.sdsz"), self.read("u.sdsz"))
        for name in ("--tick-rate", "--tick-frequency", "-t"):
            found = json.loads(run("check", self.path("A.0.sds"), name, "2kHz", "--json")[0])
            self.assertEqual(found["recordings"][0]["streams"][0]["tick_frequency_hz"], 2000)
        self.assertIn("--tick-frequency", run("check", "--help")[0])
        self.assertNotIn("--tick-rate", run("check", "--help")[0])
        # The label covers 60 % of the window from 1 to 2 s.
        run("label", "add", self.rec, "-c", "a", "--from", 1, "--to", 1.6)
        run("export", "npz", self.rec, "-s", "A", "--window", "1s", "--label-share", "60%", "-o", self.path("w"))
        self.refused("export", "npz", self.rec, "-s", "A", "--window", "1s", "--label-share", "61%", "-o", self.path("v"),
                     said="no window is left", expect=3)
        self.refused("export", "npz", self.rec, "--window", "1s", "--label-share", "161%", "-o", self.path("v"), said="not within 0 and 1")

    def test_words_are_words(self):
        for args in (["resample", self.rec, "--rate", 50, "-o", self.path("r.sdsz"), "--quality", "2"],
                     ["export", "csv", self.rec, "--times", "3"], ["import", "csv", "x", "-o", "y.sdsz", "--type", "4"]):
            self.refused(*args, said=f"'{args[-1]}' is none of ")
        self.refused("resample", self.rec, "--rate", 50, "-o", self.path("r.sdsz"), "--quality", "bst", said="none of best, fast, medium")
        for page in (["resample"], ["export", "csv"], ["export", "edge-impulse"], ["import", "csv"]):
            self.assertNotIn("->", run(*page, "--help")[0])
        self.assertIn("--width N (200 to 20000)", run("plot", "--help")[0])
        self.assertIn("--timeout TIME (1 to 86400000)=10000", run("replay", "--help")[0])

    def test_what_is_no_recording_is_told_with_a_way_out(self):
        os.mkdir(self.path("s1"))
        self.refused("info", self.path("s1"), said="is a directory, without recordings", expect=4)
        os.rename(self.rec, self.path("s1", "rec.sdsz"))
        self.refused("info", self.path("s1"), said="is a directory: name the recordings in it: rec.sdsz", expect=4)
        rec = self.path("s1", "rec.sdsz")
        self.refused("recover", self.path("A.0.sds"), said="`sds pack` keeps what can be read", expect=3)
        self.refused("label", "compare", rec, rec, said="name label files, such as " + self.path("s1", "rec.labels.yml"))
        self.refused("merge", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("m.sdsz"), said="`sds pack` makes one recording")
        table = self.write("t.csv", "time,x\n0,1\n1,2\n")
        for args in (["import", "csv", table], ["cut", rec, "--to", 1], ["recover", rec], ["pack", self.path("A.0.sds")]):
            self.refused(*args, "-o", self.path("no", "x.sdsz"), said=f"cannot create: there is no directory {self.path('no')}", expect=4)
        self.refused("export", "npz", rec, "-s", "A", "--window", "200s", "-o", self.path("w"),
                     said="no window is left: it has 3 min 20.0 s, and the longest recording 5.000 s", expect=3)

    def test_check_sums_up(self):
        bad = self.write("C.0.sds", plain((0, b"12"))[:-1])
        out, _ = run("check", self.rec, bad, self.path("A.0.sds"), expect=1)
        self.assertEqual(out.splitlines()[-1], "3 recordings: 2 sound, 1 not")
        out, _ = run("check", "-q", self.rec, bad, self.path("A.0.sds"), expect=1)
        self.assertEqual(out.splitlines(), [f"{self.rec}: sound", f"{bad}: NOT SOUND", f"{self.path('A.0.sds')}: sound",
                                            "3 recordings: 2 sound, 1 not"])
        self.assertEqual(run("check", "-q", self.rec)[0], f"{self.rec}: sound\n")

    def test_changes_of_labels_report_as_json(self):
        js = lambda *args, expect=0: json.loads(run("label", *args, "--json", expect=expect)[0])
        file = self.path("rec.labels.yml")
        add = js("add", self.rec, "-c", "a", "--from", 1, "--to", 2)
        self.assertEqual((add["added"], add["label_count"], add["file"]), (1, 1, file))
        self.assertEqual(js("add", self.rec, "-c", "a", "--from", 1, "--to", 2)["added"], 0)
        self.assertEqual(js("move", self.rec, "-n", 1, "--by", 1)["moved"], 1)
        self.assertEqual(js("rename", self.rec, "-c", "a", "--to", "b")["renamed"], 1)
        self.assertEqual(js("export", self.rec, "-o", self.path("l.csv"))["label_count"], 1)
        self.refused("label", "export", self.rec, "--json", said="standard output has the labels")
        self.assertEqual(js("check", self.rec)["recordings"], [{"recording": self.rec, "label_count": 1, "problems": []}])
        js("add", self.rec, "-c", "c", "--from", 100, "--to", 200)
        self.assertEqual(len(js("check", self.rec, expect=1)["recordings"][0]["problems"]), 1)
        self.assertEqual(js("rm", self.rec, "--all")["removed"], 2)
        self.assertEqual(js("import", self.rec, "-i", self.path("l.csv"))["imported"], 1)
        self.assertEqual(js("merge", self.rec, "--with", file)["added"], 0)
        made = js("auto", self.rec, "-s", "A", "--channel", "y", "--threshold", 1)
        self.assertEqual((made["made"], made["added"]), (0, 0))
        made = js("auto", self.rec, "-s", "A", "--channel", "y", "--threshold", 1, "--silent", "still")
        self.assertEqual((made["made"], made["label_count"]), (1, 2))

    def test_output_of_unpack(self):
        run("unpack", self.rec, "-o", self.path("one"))
        run("unpack", self.rec, "-d", self.path("two"))
        self.assertEqual(sorted(os.listdir(self.path("one"))), sorted(os.listdir(self.path("two"))))


if __name__ == "__main__":
    main()
