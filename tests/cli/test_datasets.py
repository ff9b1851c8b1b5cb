"""Labels, quality, queries, edits and plots from the command line."""
import json
import math
import os
import re
import struct
import subprocess
import unittest
from fractions import Fraction

from harness import Case, SDS, SHARED, SOURCE, main, plain, run


def wave(count, rate=100, loud=(), offset=0.0):
    """Samples (x, y) of a quiet noise that is loud within the given spans of seconds."""
    state, rows = 1, []
    for i in range(count):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        noise = (state >> 16) % 21 - 10
        t = i / rate
        level = 1000 if any(a <= t < b for a, b in loud) else 0
        rows.append((int(noise + level * math.sin(2 * math.pi * 5 * t) + offset), i % 1000))
    return rows


class Datasets(Case):
    def recording(self, name="Imu", rows=None, rate=100, block=10, start=0, ticks=None, pack=True):
        rows = rows if rows is not None else wave(1000)
        self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: {rate}\n  content:\n"
                                      "    - {value: x, type: int16_t, scale: 0.5, unit: G}\n    - {value: y, type: int16_t}\n")
        blocks = []
        for k, i in enumerate(range(0, len(rows), block)):
            tick = ticks[k] if ticks else start + 1000 * i // rate
            blocks.append((tick, b"".join(struct.pack("<hh", *r) for r in rows[i:i + block])))
        path = self.write(f"{name}.0.sds", plain(*blocks))
        if not pack:
            return path
        run("pack", path, "-o", self.path(name + ".sdsz"), "-f")
        return self.path(name + ".sdsz")

    # Labels

    def test_labels_are_added_listed_renamed_moved_and_removed(self):
        rec = self.recording()
        run("label", "add", rec, "-c", "walk", "--from", 1, "--to", 2.5, "--author", "ann", "--note", 'so "so", no: yes', "--confidence", 0.75)
        run("label", "add", rec, "-c", "no", "--from-tick", 100, "--to-tick", 400, "-s", "Imu")
        text = self.read("Imu.labels.yml").decode()
        self.assertEqual(text, 'labels:\n  version: 1\n  tick-frequency: 1000\n  intervals:\n'
                               '    - {class: "no", begin: 100, end: 400, from: 0.1, to: 0.4, stream: Imu}\n'
                               '    - {class: walk, begin: 1000, end: 2500, from: 1, to: 2.5, author: ann, confidence: 0.75, note: "so \\"so\\", no: yes"}\n')
        listed = json.loads(run("label", "list", rec, "--json")[0])["labels"]
        self.assertEqual(listed[1]["note"], 'so "so", no: yes')
        run("label", "rename", rec, "-c", "no", "--to", "nope")
        run("label", "move", rec, "-n", 2, "--by", 0.5)
        run("label", "move", rec, "-n", 1, "--to", 0.6)
        self.assertEqual([(e["class"], e["begin"], e["end"]) for e in json.loads(run("label", "list", rec, "--json")[0])["labels"]],
                         [("nope", 100, 600), ("walk", 1500, 3000)])
        run("label", "rm", rec, "-c", "nope")
        self.assertIn("walk: 1 label, 1.500 s", run("label", "list", rec)[0])
        run("label", "rm", rec, "-n", 7, expect=2)
        run("label", "add", rec, "-c", "x", "--from", 3, "--to", 2, expect=2)
        run("label", "add", rec, "-c", "x", "--from", -1, "--to", 2, expect=2)

    def test_the_very_same_label_is_added_once(self):
        rec = self.recording()
        add = ["label", "add", rec, "-c", "walk", "--from", 1, "--to", 2]
        run(*add)
        before = self.read("Imu.labels.yml")
        for again in (add, [*add[:-4], "--from-tick", 1000, "--to-tick", 2000]):
            self.assertIn("added nothing: the very same label is there already, 1 label in all", run(*again)[0])
            self.assertEqual(self.read("Imu.labels.yml"), before)
        for other in (["--author", "ann"], ["-s", "Imu"], ["--note", "x"], ["--confidence", 0.5]):
            self.assertIn("added walk", run(*add, *other)[0])
        self.assertEqual(len(json.loads(run("label", "list", rec, "--json")[0])["labels"]), 5)

    def test_ticks_of_edges_are_those_of_the_recording(self):
        for name, ticks, rate in (("Imu", 1000, 1600), ("Mic", 32768, 16000)):
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  tick-frequency: {ticks}\n  sample-frequency: {rate}\n"
                                          "  content:\n    - {value: x, type: int16_t}\n")
            self.write(f"{name}.0.sds", plain(*[(ticks * k // 10, bytes(2 * rate // 10)) for k in range(50)]))
        rec = self.path("both.sdsz")
        run("pack", self.path("Imu.0.sds"), self.path("Mic.0.sds"), "-o", rec)
        by_tick = ["-c", "x", "--from-tick", 1500, "--to-tick", 2500]
        run("label", "add", rec, *by_tick)
        run("label", "add", rec, "-c", "fine", "--from", 1.000625, "--to", 3)  # finer ticks of the file
        self.assertIn("added nothing: the very same label", run("label", "add", rec, *by_tick)[0])
        run("label", "add", rec, *by_tick, "-s", "Mic")
        def told():
            return {(l["class"], l["stream"]): (l["from"], l["to"]) for l in json.loads(run("label", "list", rec, "--json")[0])["labels"]}
        self.assertEqual(told(), {("x", ""): (1.5, 2.5), ("fine", ""): (1.000625, 3), ("x", "Mic"): (1500 / 32768, 2500 / 32768)})
        run("label", "move", rec, "-n", 1, "--to-tick", 32768)  # that of Mic
        run("label", "move", rec, "-n", 3, "--from-tick", 1200)
        self.assertEqual(told(), {("x", ""): (1.2, 2.5), ("fine", ""): (1.000625, 3), ("x", "Mic"): (1500 / 32768, 1)})

    def test_labels_that_are_made_end_between_the_samples_of_all_streams(self):
        # Ten scores, the last of which ends at a third of a second; samples of 44.1 kHz lie on either side of it.
        self.write("Sc.sds.yml", "sds:\n  name: Sc\n  content:\n    - {value: a, type: int8_t}\n    - {value: b, type: int8_t}\n")
        self.write("Sc.0.sds", plain(*[(t, bytes([1, 0] if k < 3 else [0, 1])) for k, t in enumerate(
            (0, 33, 67, 100, 133, 167, 200, 233, 267, 300))]))
        self.write("M.sds.yml", "sds:\n  name: M\n  sample-frequency: 44100\n  content:\n    - {value: x, type: int16_t}\n")
        self.write("M.0.sds", plain(*[(100 * k, bytes(2 * 4410)) for k in range(5)]))
        rec = self.path("rec.sdsz")
        run("pack", self.path("Sc.0.sds"), self.path("M.0.sds"), "-o", rec)
        of_m = {"a": Fraction(1, 10), "b": Fraction(1, 3)}
        for how in (["label", "auto", rec, "--scores", "Sc"], ["label", "auto", rec, "--scores", "Sc", "--scores-from", self.path("Sc.0.sds")]):
            run(*how)
            for name, end in of_m.items():
                rows = run("export", "csv", rec, "-s", "M", "--label", name)[0].splitlines()[1:]
                begin = Fraction(1, 10) if name == "b" else 0
                inside = [k for k in range(5 * 4410) if begin <= Fraction(k, 44100) < end]
                self.assertEqual(len(rows), len(inside))
                self.assertAlmostEqual(float(rows[-1].split(",")[0]), inside[-1] / 44100, places=9)
            run("label", "rm", rec, "--all")
        run("query", rec, "Sc.b > 0", "--add-label", "q")
        self.assertEqual(len(run("export", "csv", rec, "-s", "M", "--label", "q")[0].splitlines()) - 1,
                         len([k for k in range(5 * 4410) if Fraction(1, 10) <= Fraction(k, 44100) < of_m["b"]]))

    def three_rates(self, ticks=1000):
        """Streams whose samples' times no ticks below 2^31 Hz hold; the times of each."""
        times = {}
        for name, rate, block, blocks in (("A", "333.3", 20, 20), ("B", "6667.3", 400, 20), ("C", "44100", 4410, 12)):
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  tick-frequency: {ticks}\n  sample-frequency: {rate}\n"
                                          "  content:\n    - {value: x, type: uint32_t}\n")
            begins = [int(ticks + Fraction(ticks * block * k) / Fraction(rate)) for k in range(blocks)]
            self.write(f"{name}.0.sds", plain(*[
                (begin, struct.pack(f"<{block}I", *range(block * k, block * (k + 1)))) for k, begin in enumerate(begins)]))
            times[name] = [Fraction(begin, ticks) + k / Fraction(rate) for begin in begins for k in range(block)]
        run("pack", *[self.path(f"{name}.0.sds") for name in "ABC"], "-o", self.path("abc.sdsz"))
        return self.path("abc.sdsz"), times

    def test_labels_hold_their_samples_where_no_ticks_hold_all(self):
        rec, times = self.three_rates()
        for first in range(3, 300, 37):
            begin, end = times["A"][first], times["A"][first + 9]
            for how in (["label", "add", rec, "-c", "q", "--from", repr(float(begin)), "--to", repr(float(end))],
                        ["query", rec, f"A.x >= {first} and A.x < {first + 9}", "--add-label", "q"]):
                self.assertNotIn("rounded", run(*how)[1])
                for name, samples in times.items():
                    rows = run("export", "csv", rec, "-s", name, "--label", "q")[0].splitlines()[1:]
                    self.assertEqual([int(row.split(",")[1]) for row in rows],
                                     [k for k, time in enumerate(samples) if begin <= time < end], (name, how))
                run("label", "rm", rec, "--all")
        # What nothing holds is told.
        err = run("label", "add", rec, "-c", "q", "--from", repr(17 / 13), "--to", 1.5)[1]
        self.assertIn("1 label is rounded to ticks of 1000000000 Hz: no ticks hold those of the file and the times of samples", err)

    def test_labels_that_were_exported_are_known_where_no_ticks_hold_all(self):
        rec, _ = self.three_rates(ticks=1000000)
        for begin, end in ((3.778, 4.3), (2.5, 2.6), (3.001, 3.1)):
            run("label", "add", rec, "-c", "y", "--from", begin, "--to", end)
        before = self.read("abc.labels.yml")
        for options in ([], ["--normalize"]):
            for form in ("csv", "txt"):
                out = self.path("l." + form)
                run("label", "export", rec, "-o", out, *options, *(["-s", "A"] if options else []), "-f")
                self.assertIn("imported 0, 3 labels in all", run("label", "import", rec, "-i", out, *options)[0])
                self.assertEqual(self.read("abc.labels.yml"), before)
        # Nor does a label beside them move them that needs finer ticks.
        run("label", "export", rec, "-o", self.path("l.csv"), "--normalize", "-f")
        with open(self.path("l.csv"), "a") as f:
            f.write("z,0.4000001,0.5,,,,\n")
        self.assertIn("imported 1, 4 labels in all", run("label", "import", rec, "-i", self.path("l.csv"), "--normalize")[0])

    def test_labels_move_by_the_nearest_time_where_no_ticks_hold_all(self):
        rec, _ = self.three_rates()
        run("label", "add", rec, "-c", "y", "--from", 2.5, "--to", 2.6)
        for by, begin in (("-1ns", 2.499999999), ("1ns", 2.5), ("0.1234567", 2.6234567), ("-0.1234567", 2.5)):
            self.assertNotIn("rounded", run("label", "move", rec, "--all", f"--by={by}")[1])
            label = json.loads(run("label", "list", rec, "--json")[0])["labels"][0]
            self.assertEqual((label["from"], round(label["to"] - label["from"], 12)), (begin, 0.1))
        for by in ("-0.3ns", "0.3ns"):
            self.assertIn("1 label is rounded to ticks of 1000000000 Hz", run("label", "move", rec, "--all", f"--by={by}")[1])
            self.assertEqual(json.loads(run("label", "list", rec, "--json")[0])["labels"][0]["from"], 2.5)

    def test_known_classes_stay_known_when_labels_come(self):
        rec = self.recording(rows=wave(1000, loud=((2, 4),)))
        head = "labels:\n  classes: [walk, rest]\n  intervals:\n    - {class: walk, from: 1, to: 2}\n"
        self.write("l.csv", "class,from,to\nrun,5,6\n")
        self.write("o.labels.yml", "labels:\n  intervals:\n    - {class: run, from: 5, to: 6}\n")
        self.write("p.labels.yml", "labels:\n  classes: [run]\n  intervals:\n    - {class: run, from: 5, to: 6}\n")
        classes = lambda: re.search(r"classes: \[(.*)\]", self.read("Imu.labels.yml").decode()).group(1)
        for command, known in ((["label", "import", rec, "-i", self.path("l.csv")], "walk, rest"),
                               (["label", "merge", rec, "--with", self.path("o.labels.yml")], "walk, rest"),
                               (["label", "merge", rec, "--with", self.path("p.labels.yml")], "walk, rest, run"),
                               (["label", "auto", rec, "-s", "Imu", "--channel", "x"], "walk, rest"),
                               (["query", rec, "y >= 0", "--add-label", "run"], "walk, rest")):
            self.write("Imu.labels.yml", head)
            run(*command)
            self.assertEqual(classes(), known, command)
        # A recording without labels takes the list over; one that has some and no list knows any class.
        os.remove(self.path("Imu.labels.yml"))
        run("label", "merge", rec, "--with", self.path("p.labels.yml"))
        self.assertEqual(classes(), "run")
        self.write("Imu.labels.yml", "labels:\n  intervals:\n    - {class: walk, from: 1, to: 2}\n")
        run("label", "merge", rec, "--with", self.path("p.labels.yml"))
        self.assertNotIn("classes", self.read("Imu.labels.yml").decode())

    def test_activity_ends_at_gaps_and_losses(self):
        # Active throughout; 4 to 7 s are missing, and a loss is known there of a copy. On either side is its own activity.
        rows = wave(1000, loud=((0, 20),))
        ticks = [100 * k if k < 40 else 100 * k + 3000 for k in range(100)]
        rec = self.recording(rows=rows, ticks=ticks)
        run("label", "auto", rec, "-s", "Imu", "--channel", "x", "--threshold", 1, "--active", "act")
        listed = lambda: [(e["class"], e["from"], e["to"]) for e in json.loads(run("label", "list", rec, "--json")[0])["labels"]]
        self.assertEqual(listed(), [("act", 0, 4), ("act", 7, 13)])
        # 0.1 s of silence before the gap and 0.1 s behind it are shorter than --min-silent, though together they were not;
        # activity of 0.15 s that a gap divides is too short on either side.
        rows = wave(1000, loud=((1, 3.9), (4.1, 6)))
        rec = self.recording(rows=rows, ticks=ticks)
        run("label", "auto", rec, "-s", "Imu", "--channel", "x", "--threshold", 50, "--active", "act", "--min-silent", 0.15)
        self.assertEqual(listed(), [("act", 1, 4), ("act", 7.1, 9)])

    def test_a_files_name_gives_way_to_labels(self):
        """Accel.rig1.sds is of rig1 until somebody says what is in it; Imu.rock.1.sds is a take of rock."""
        for name, implied in (("Accel.rig1", "rig1"), ("Imu.rock.1", "rock"), ("Imu.0", None), ("Imu.3.2", None)):
            stream = name.split(".")[0]
            self.recording(stream, pack=False)
            os.rename(self.path(stream + ".0.sds"), self.path(name + ".sds"))
            rec = self.path(name + ".sdsz")
            run("pack", self.path(name + ".sds"), "-o", rec)
            listed = lambda: [e["class"] for e in json.loads(run("label", "list", rec, "--json")[0])["labels"]]
            self.assertEqual(listed(), [implied] if implied else [])
            run("label", "add", rec, "-c", "knock", "--from", 1, "--to", 5)
            self.assertEqual(listed(), ["knock"])
            os.remove(self.path(name + ".labels.yml"))
            run("query", rec, "x > -1e9", "--add-label", "all")
            self.assertEqual(listed(), ["all"])
            os.remove(self.path(name + ".sds"))
            os.remove(rec)
            os.remove(self.path(name + ".labels.yml"))
        self.recording("Imu", pack=False)
        os.rename(self.path("Imu.0.sds"), self.path("Imu.7.sds"))
        _, err = run("export", "csv", self.path("Imu.7.sds"), "--split", "50/50", "--split-by", "label", "-o", self.path("set"), expect=2)
        self.assertIn("the recording says nothing of its 'label'", err)

    def test_labels_of_a_stream_follow_it_where_its_name_changes(self):
        recordings = []
        for name in ("left", "right"):
            rec = self.recording()
            os.rename(rec, self.path(name + ".sdsz"))
            recordings.append(self.path(name + ".sdsz"))
            run("label", "add", recordings[-1], "-c", name, "-s", "Imu", "--from", 1, "--to", 2)
        run("merge", *recordings, "-o", self.path("both.sdsz"), "--no-align")
        ids = [s["id"] for s in json.loads(run("info", self.path("both.sdsz"), "--json")[0])["recordings"][0]["streams"]]
        listed = lambda name: {e["class"]: e["stream"] for e in json.loads(run("label", "list", self.path(name), "--json")[0])["labels"]}
        self.assertEqual(listed("both.sdsz"), dict(zip(("left", "right"), ids)))
        self.assertEqual(len(set(ids)), 2)
        run("label", "check", self.path("both.sdsz"))
        run("cut", self.path("both.sdsz"), "-s", ids[1], "-o", self.path("one.sdsz"))
        self.assertEqual(listed("one.sdsz"), {"right": "Imu"})

    def test_check_finds_overlaps_unknown_classes_and_what_lies_outside(self):
        rec = self.recording()
        self.write("Imu.labels.yml", "labels:\n  classes: [walk, rest]\n  intervals:\n    - {class: walk, from: 0, to: 2}\n"
                                     "    - {class: rest, from: 1.5, to: 3}\n    - {class: rum, from: 4, to: 5}\n"
                                     "    - {class: rest, from: 9, to: 11}\n    - {class: walk, begin: 6000, end: 6000}\n"
                                     "    - {class: walk, from: 7, to: 8, stream: Nope}\n")
        out, _ = run("label", "check", rec, expect=1)
        for expected in ("label 2, line 5: rest [1.5, 3) s overlaps label 1, line 4: walk [0, 2) s", "label 3, line 6: rum [4, 5) s: the class is not among 'classes:'",
                         "label 4, line 7: rest [9, 11) s lies outside of the recording, [0, 10) s", "label 5, line 8: walk [6, 6) s is empty",
                         "line 9: walk [7, 8) s: the recording has no stream 'Nope'", "6 labels, 5 problems"):
            self.assertIn(expected, out)
        self.write("Imu.labels.yml", "labels:\n  intervals:\n    - {class: walk, from: 0, to: 2}\n    - {class: rest, from: 2, to: 10}\n")
        self.assertIn("2 labels, good", run("label", "check", rec)[0])

    def test_broken_label_files_are_errors_with_their_line(self):
        rec = self.recording()
        for text, expected in (("", "no 'labels:' at the top"), ("labels: [\n", "line 2"),
                               ("labels:\n  intervals:\n    - {class: a, from: 2, to: 1}\n", "line 3: the label ends (tick 1000) before it begins (2000)"),
                               ("labels:\n  intervals:\n    - {class: a, begin: 1, from: 2, end: 5}\n", "line 3: 'from: 2' is tick 2000, but 'begin:' says 1"),
                               ("labels:\n  intervals:\n    - {class: a, begin: x, end: 5}\n", "line 3: "),
                               ("labels:\n  intervals:\n    - {class: a, begin: 1}\n", "line 3: neither 'end:' (ticks) nor 'to:' (seconds)"),
                               ("labels:\n  intervals:\n    - {begin: 1, end: 2}\n", "line 3: "),
                               ("labels:\n  intervals:\n    - {class: a, begin: 1, end: 2, confidence: 2}\n", "between 0 and 1"),
                               ("labels:\n  intervals:\n    - {class: a, begin: 1, end: 2, colour: red}\n", "line 3: "),
                               ("labels:\n  version: 2\n", "line 2: "), ("labels:\n  tick-frequency: 0\n", "line 2: "),
                               (b"labels:\n  \xff\n", "not valid UTF-8")):
            self.write("Imu.labels.yml", text)
            for command in (["label", "list", rec], ["label", "check", rec], ["label", "add", rec, "-c", "x", "--from", 1, "--to", 2]):
                _, err = run(*command, expect=3)
                self.assertIn("Imu.labels.yml: ", err)
                self.assertIn(expected, err)
            self.assertEqual(self.read("Imu.labels.yml"), text if isinstance(text, bytes) else text.encode())

    def test_no_command_writes_labels_that_none_can_read(self):
        rec = self.recording()
        run("label", "add", rec, "-c", "walk", "--from", 1, "--to", 2)
        before = self.read("Imu.labels.yml")
        latin = os.fsdecode(b"w\xe4lk")
        add = ["label", "add", rec, "--from", 2, "--to", 3]
        self.write("ok.txt", "3\t4\tone\n")
        for command, expected in (
                ([*add, "-c", ""], "the class must not be empty"), ([*add, "-c", latin], "the class is not valid UTF-8"),
                ([*add, "-c", "x", "--author", latin], "the author is not valid UTF-8"),
                ([*add, "-c", "x", "--note", latin], "the note is not valid UTF-8"),
                (["label", "rename", rec, "-c", "walk", "--to", ""], "the class must not be empty"),
                (["label", "rename", rec, "-c", "walk", "--to", latin], "the class is not valid UTF-8"),
                (["label", "import", rec, "-i", self.path("ok.txt"), "--author", latin], "the author is not valid UTF-8"),
                (["label", "auto", rec, "-s", "Imu", "--threshold", 0, "--active", latin], "the class is not valid UTF-8"),
                (["label", "auto", rec, "-s", "Imu", "--silent", latin], "the class is not valid UTF-8"),
                (["label", "auto", rec, "-s", "Imu", "--active", ""], "--active and --silent are both empty"),
                (["query", rec, "y >= 0", "--add-label", ""], "the class must not be empty"),
                (["query", rec, "y > 32767", "--add-label", ""], "the class must not be empty"),
                (["query", rec, "y >= 0", "--add-label", latin], "the class is not valid UTF-8")):
            _, err = run(*command, expect=2)
            self.assertIn(expected, err)
            self.assertEqual(self.read("Imu.labels.yml"), before, command)
        # Odd, and read again: everything that YAML has a meaning for, and what looks like something else.
        odd = ["~", "null", "NULL", "nULL", "TRUE", "yEs", "1", "-", "a: b", "#", "'", '"', "\\", "\t", "\x7f", "\u0085", "\u2028", "\ufeff", " ", "ä", "{}", "a\nb", "\r"]
        for i, text in enumerate(odd):
            run("label", "add", rec, "-c", text, "--from", 3 + i / 10, "--to", 3.05 + i / 10, "--author", text, "--note", text)
        listed = json.loads(run("label", "list", rec, "--json")[0])["labels"][1:]
        self.assertEqual([(e["class"], e["author"], e["note"]) for e in listed], [(text, text, text) for text in odd])

    def test_classes_that_no_label_has_are_named_with_those_there_are(self):
        rec = self.recording()
        for name in ("walk", "rest", "walk"):
            run("label", "add", rec, "-c", name, "--from", 1, "--to", 2, "--note", name)
        before = self.read("Imu.labels.yml")
        for command in (["rm", "-c", "wlk"], ["rm", "-c", "wlk", "-n", 1], ["move", "-c", "wlk", "--by", 1], ["rename", "-c", "wlk", "--to", "x"]):
            _, err = run("label", command[0], rec, *command[1:], expect=2)
            self.assertIn("no label has the class 'wlk'; there are: rest, walk", err)
        _, err = run("cut", rec, "--label", "wlk", "-o", self.path("c.sdsz"), expect=2)
        self.assertIn("no label has the class 'wlk'; there are: rest, walk", err)
        self.assertIn("no label is chosen", run("label", "rm", rec, expect=2)[1])
        self.assertEqual(self.read("Imu.labels.yml"), before)

    def test_labels_are_counted_when_they_are_new(self):
        rec = self.recording(rows=wave(1000, loud=((2, 4), (6, 7))))
        out, _ = run("label", "auto", rec, "-s", "Imu", "--channel", "x", "--threshold", 1e9)
        self.assertIn("made no labels", out)
        self.assertFalse(os.path.exists(self.path("Imu.labels.yml")))
        _, err = run("query", rec, "y > 5000", "--add-label", "loud", expect=1)
        self.assertIn("Imu.labels.yml: 0 labels of class loud added", err)
        self.assertFalse(os.path.exists(self.path("Imu.labels.yml")))
        query = ["query", rec, "y >= 100 and y < 200 or y >= 300 and y < 400", "--add-label", "loud"]
        self.assertIn(": 2 labels of class loud added\n", run(*query)[1])
        before = self.read("Imu.labels.yml")
        self.assertIn(": 0 labels of class loud added, 2 were there already\n", run(*query)[1])
        run("label", "rm", rec, "-n", 2)
        self.assertIn(": 1 label of class loud added, 1 was there already\n", run(*query)[1])
        self.assertEqual(self.read("Imu.labels.yml"), before)
        self.assertIn("made 2, 2 of them new, 4 labels in all", run("label", "auto", rec, "-s", "Imu", "--channel", "x")[0])
        self.assertIn("made 2, 0 of them new, 4 labels in all", run("label", "auto", rec, "-s", "Imu", "--channel", "x")[0])

    def test_labels_come_from_file_names_as_arm_has_them(self):
        path = self.recording(pack=False)
        os.rename(path, self.path("Imu.walk.sds"))
        listed = json.loads(run("label", "list", self.path("Imu.walk.sds"), "--json")[0])["labels"]
        self.assertEqual([(e["class"], e["from"], e["to"]) for e in listed], [("walk", 0, 10)])

    def test_labels_go_through_audacity_and_csv(self):
        rec = self.recording(start=5000)
        for a, b, name in ((6, 7.25, "one"), (8, 9, "two, three")):
            run("label", "add", rec, "-c", name, "--from", a, "--to", b)
        before = self.read("Imu.labels.yml")
        self.assertEqual(run("label", "export", rec, "--normalize")[0], "1.000000\t2.250000\tone\n3.000000\t4.000000\ttwo, three\n")
        for name, extra in (("l.txt", []), ("l.csv", []), ("n.txt", ["--normalize"])):
            run("label", "export", rec, "-o", self.path(name), *extra)
            os.remove(self.path("Imu.labels.yml"))
            run("label", "import", rec, "-i", self.path(name), *extra)
            self.assertEqual(self.read("Imu.labels.yml"), before)
        for name, text, expected in (("b.txt", "1\t2\ta\n1 2 b\n", "line 2: expected start, end and text"), ("b.txt", "1\t1,5\ta\n", "line 1: '1,5' is no number"),
                                     ("b.txt", "3\t2\ta\n", "line 1: the label ends"), ("b.csv", "class,from\na,1\n", "line 1: the header has no column 'to'"),
                                     ("b.csv", "class,from,to\na,1\n", "line 2: 2 columns"), ("b.csv", "class,from,to\n,1,2\n", "line 2: the class is empty"),
                                     ("b.csv", "class,from,to,strem\na,1,2,Imu\n", "line 1: column 4, 'strem', is unknown"),
                                     ("b.csv", "class,from,to,class\na,1,2,b\n", "line 1: column 4, 'class', is there twice"),
                                     ("b.csv", "class,from,to,stream\na,1,2,Imu\na,1,2,Z\n", "line 3: no stream 'Z'; there is: Imu"),
                                     ("b.csv", "class,from,to,confidence\na,1,2,7\n", "line 2: the confidence")):
            self.write(name, text)
            _, err = run("label", "import", rec, "-i", self.path(name), expect=3)
            self.assertIn(expected, err)
        self.assertEqual(self.read("Imu.labels.yml"), before)

    def test_what_a_label_track_does_not_keep_is_told(self):
        rec = self.recording()
        run("label", "add", rec, "-c", "a", "--from", 1, "--to", 2)
        self.assertEqual(run("label", "export", rec)[1], "")
        run("label", "add", rec, "-c", "b", "--from", 2, "--to", 3, "--stream", "Imu", "--note", "n")
        self.assertIn("an Audacity track has no place for the labels' streams, notes", run("label", "export", rec)[1])
        run("label", "add", rec, "-c", "c\td", "--from", 3, "--to", 4, "--author", "x", "--confidence", 0.5)
        out, err = run("label", "export", rec, "-o", self.path("l.txt"))
        self.assertIn("has no place for the labels' streams, authors, confidences, notes", err)
        self.assertIn("tabs and ends of lines in classes are written as spaces", err)
        before = self.read("Imu.labels.yml")
        # A table keeps all of it: a label of the whole recording stays one.
        self.assertEqual(run("label", "export", rec, "-o", self.path("l.csv"), "-s", "Imu")[1], "")
        os.remove(self.path("Imu.labels.yml"))
        self.assertIn("line 1: the column 'stream' says", run("label", "import", rec, "-i", self.path("l.csv"), "-s", "Imu", expect=3)[1])
        run("label", "import", rec, "-i", self.path("l.csv"))
        self.assertEqual(self.read("Imu.labels.yml"), before)
        run("label", "export", rec, "-o", self.path("l.csv"), "-f", "-s", "Imu", "--normalize")
        os.remove(self.path("Imu.labels.yml"))
        run("label", "import", rec, "-i", self.path("l.csv"), "-s", "Imu", "--normalize")
        self.assertEqual(self.read("Imu.labels.yml"), before)

    def test_a_merge_of_labels_takes_ticks_that_hold_both(self):
        rec = self.recording()
        # 32768 and 1000 have 2^15 * 5^3; no frequency below 2^31 has the two primes.
        for of_a, of_b, ticks, exact in ((1000, 100, 1000, True), (1000, 48000, 48000, True), (1000, 32768, 4096000, True),
                                         (999983, 1000003, 999983, False)):
            self.write("Imu.labels.yml", f"labels:\n  tick-frequency: {of_a}\n  intervals:\n    - {{class: a, begin: 1000, end: 2001}}\n")
            self.write("b.yml", f"labels:\n  tick-frequency: {of_b}\n  intervals:\n    - {{class: b, begin: 201, end: 300}}\n")
            _, err = run("label", "merge", rec, "--with", self.path("b.yml"))
            self.assertEqual("is rounded to ticks of 999983 Hz" in err, not exact, err)
            self.assertIn(f"  tick-frequency: {ticks}\n", self.read("Imu.labels.yml").decode())
            told = {l["class"]: (Fraction(l["begin"], ticks), Fraction(l["end"], ticks)) for l in json.loads(run("label", "list", rec, "--json")[0])["labels"]}
            self.assertEqual(told["a"], (Fraction(1000, of_a), Fraction(2001, of_a)))
            if exact:
                self.assertEqual(told["b"], (Fraction(201, of_b), Fraction(300, of_b)))

    def test_two_annotators_are_compared_by_time_and_kappa(self):
        self.write("a.yml", "labels:\n  intervals:\n    - {class: walk, from: 0, to: 6}\n    - {class: rest, from: 6, to: 10}\n")
        self.write("b.yml", "labels:\n  tick-frequency: 100\n  intervals:\n    - {class: walk, from: 0, to: 5}\n    - {class: rest, from: 5, to: 10}\n")
        out = json.loads(run("label", "compare", self.path("a.yml"), self.path("b.yml"), "--json")[0])
        # Agreed 9 of 10 s; expected by chance .6 * .5 + .4 * .5 = .5: kappa is .8.
        self.assertAlmostEqual(out["agreed_s"], 9)
        self.assertAlmostEqual(out["kappa"], 0.8)

    def test_merging_keeps_each_label_once_and_joins_neighbours(self):
        rec = self.recording()
        self.write("Imu.labels.yml", "labels:\n  intervals:\n    - {class: walk, from: 0, to: 2}\n")
        self.write("b.yml", "labels:\n  tick-frequency: 100\n  intervals:\n    - {class: walk, from: 0, to: 2}\n    - {class: walk, from: 2.3, to: 3}\n")
        run("label", "merge", rec, "--with", self.path("b.yml"))
        self.assertIn("walk: 2 labels, 2.700 s", run("label", "list", rec)[0])
        run("label", "merge", rec, "--join", 0.5)
        self.assertIn("walk: 1 label, 3.000 s", run("label", "list", rec)[0])

    def test_activity_is_found_by_energy_and_classes_by_scores(self):
        rec = self.recording(rows=wave(1000, loud=((2, 4), (7, 8))))
        run("label", "auto", rec, "--channel", "x", "--active", "loud", "--silent", "still", "--frame", 0.2)
        labels = [(e["class"], round(e["from"], 1), round(e["to"], 1)) for e in json.loads(run("label", "list", rec, "--json")[0])["labels"]]
        self.assertEqual(labels, [("still", 0, 2), ("loud", 2, 4), ("still", 4, 7), ("loud", 7, 8), ("still", 8, 10)])
        self.write("Scores.sds.yml", "sds:\n  name: Scores\n  content:\n    - {value: yes, type: float}\n    - {value: \"no\", type: float}\n")
        self.write("Scores.0.sds", plain(*[(100 * i, struct.pack("<ff", 0.9 if 3 <= i < 7 else 0.1, 0.6)) for i in range(10)]))
        run("label", "auto", self.path("Scores.0.sds"), "--scores", "Scores")
        labels = [(e["class"], e["from"], e["to"], e["confidence"]) for e in json.loads(run("label", "list", self.path("Scores.0.sds"), "--json")[0])["labels"]]
        self.assertEqual(labels, [("no", 0, 0.3, 0.6), ("yes", 0.3, 0.7, 0.9), ("no", 0.7, 1.0, 0.6)])

    # Quality

    def quality(self, *args, expect=0):
        return json.loads(run("check", *args, "--quality", "--json", expect=expect)[0])

    def test_quality_knows_rate_gaps_clipping_stuck_values_and_noise(self):
        rows = wave(1000)
        for i in range(300, 320):
            rows[i] = (32767, rows[i][1])
        for i in range(500, 650):
            rows[i] = (123, rows[i][1])
        ticks = [100 * k + (500 if k >= 80 else 0) for k in range(100)]
        rec = self.recording(rows=rows, ticks=ticks)
        stream = self.quality(rec)["recordings"][0]["quality"]["streams"][0]
        self.assertAlmostEqual(stream["true_hz"], 100, delta=0.01)
        self.assertEqual((stream["missing_samples"], stream["late_blocks"]), (50, 1))
        x = stream["channels"][0]
        self.assertEqual((x["clipped"], x["longest_run"]), (20, 150))
        self.assertAlmostEqual(x["longest_run_s"], 1.5, delta=0.011)
        self.assertAlmostEqual(x["longest_run_at_s"], 5)
        self.assertEqual((x["max"], x["range_used"]), (32767 / 2, 32767 / 32768))
        self.assertAlmostEqual(x["noise"], 3.0, delta=0.5)

    def test_quality_sees_nan_drift_of_the_clock_and_jitter(self):
        self.write("F.sds.yml", "sds:\n  name: F\n  sample-frequency: 10\n  content:\n    - {value: f, type: float}\n")
        ticks, tick = [], 0
        for k in range(200):
            ticks.append(tick)
            tick += 1000 if k < 100 else 1001
        self.write("F.0.sds", plain(*[(t, struct.pack("<10f", *([math.nan] if k == 3 else [0.5]), *([math.inf] if k == 4 else [k / 7]), *[i + k for i in range(8)]))
                                      for k, t in enumerate(ticks)]))
        stream = self.quality(self.path("F.0.sds"))["recordings"][0]["quality"]["streams"][0]
        self.assertAlmostEqual(stream["drift_ppm"], -999, delta=5)
        self.assertEqual((stream["channels"][0]["nan"], stream["channels"][0]["infinite"]), (1, 1))
        self.assertEqual(sum(stream["jitter"]), 199)

    def test_a_profile_decides_the_exit_code(self):
        rec = self.recording()
        self.write("p.yml", "quality:\n  max-missing: 0\n  max-rate-error: 0.01\n  max-clipped: 0\n  max-noise: 100\n  channels:\n    Imu.x: {min: -100, max: 100, max-noise: 10}\n")
        run("check", rec, "--profile", self.path("p.yml"))
        self.write("p.yml", "quality:\n  min-duration: 60\n  channels:\n    x: {max: 1, max-offset: 0.0}\n    y: {max-stuck: 0}\n  dataset: {classes: [walk]}\n")
        out, _ = run("check", rec, "--profile", self.path("p.yml"), expect=1)
        for expected in ("lasts (s) 10, less than 60", "Imu.x: maximum 5, more than 1", "Imu.x: offset", "dataset: no label of class walk"):
            self.assertIn(expected, out)
        self.write("p.yml", "quality:\n  channels:\n    x: {max: 100}\n    Imu.z: {max: 1}\n    Imo.x: {max: 1}\n")
        out, _ = run("check", rec, "--profile", self.path("p.yml"), expect=1)
        self.assertIn("dataset: no channel Imo.x, which has limits", out)
        self.assertIn("dataset: no channel Imu.z, which has limits", out)
        self.assertNotIn("no channel x", out)
        self.write("p.yml", "quality:\n  max-mising: 0\n")
        _, err = run("check", rec, "--profile", self.path("p.yml"), expect=3)
        self.assertIn("p.yml: line 2: ", err)

    def test_a_dataset_is_balanced_and_drift_is_seen(self):
        a = self.recording("A", rows=wave(1000))
        b = self.recording("B", rows=wave(1000))
        run("label", "add", a, "-c", "walk", "--from", 0, "--to", 9)
        run("label", "add", b, "-c", "rest", "--from", 0, "--to", 1)
        self.write("p.yml", "quality:\n  dataset: {min-class-share: 0.2, max-psi: 0.25}\n")
        self.assertIn("no effect without --against", run("check", a, b, "--profile", self.path("p.yml"), expect=2)[1])
        out, _ = run("check", a, b, "--profile", self.path("p.yml"), "--against", a, expect=1)
        self.assertIn("dataset: share of class rest 0.1, less than 0.2", out)
        same = self.recording("Imu", rows=wave(1000))
        os.rename(same, self.path("first.sdsz"))
        moved = self.recording("Imu", rows=wave(1000, offset=15))
        drift = {d["channel"]: d for d in self.quality(moved, "--against", self.path("first.sdsz"))["dataset"]["drift"]}
        self.assertGreater(drift["Imu.x"]["psi"], 1)
        self.assertAlmostEqual(drift["Imu.x"]["ks"], 15 / 21, delta=0.05)
        self.assertLess(drift["Imu.y"]["ks"], 1e-9)

    # Queries

    def ranges(self, rec, condition, *options, expect=0):
        out, _ = run("query", rec, condition, "--json", *options, expect=expect)
        result = json.loads(out)
        return [(r["from"], r["to"]) for r in result["ranges"]], result

    def test_a_query_gives_the_same_from_plain_and_packed(self):
        rows = [(100 if 300 <= i < 320 or i == 999 else 0, i % 1000) for i in range(1000)]
        plain_path = self.recording(rows=rows, pack=False)
        packed = self.recording(rows=rows)
        for condition, expected in (("x > 2", [(3, 3.2), (9.99, 10)]), ("x >= 50 and y < 500", [(3, 3.2)]), ("not (x < 50) or y == 7", [(0.07, 0.08), (3, 3.2), (9.99, 10)]),
                                    ("abs(-x) == 50", [(3, 3.2), (9.99, 10)]), ("max(x, y) > 998 - 1 * 2", [(9.97, 10)]), ("Imu.y / 2 <= 0.5", [(0, 0.02)]),
                                    ("x > 1e9", []), ("`y` != 3 && x > 10", [(3, 3.2), (9.99, 10)])):
            for rec in (plain_path, packed):
                got, _ = self.ranges(rec, condition, expect=0 if expected else 1)
                self.assertEqual(got, expected, condition)
        self.assertEqual(self.ranges(packed, "x > 2", "--merge-gap", 7)[0], [(3, 10)])
        self.assertEqual(self.ranges(packed, "x > 2", "--min-duration", 0.1)[0], [(3, 3.2)])
        self.assertEqual(self.ranges(packed, "y >= 0", "--from", 1, "--to", 2)[0], [(1, 2)])
        self.assertEqual(run("query", packed, "x > 2", "--rows")[0].splitlines()[1:3], ["3,50,300", "3.01,50,301"])
        self.assertIn("2 intervals, 210 ms, 21 samples", run("query", packed, "x > 2", "--count")[0])
        run("label", "add", packed, "-c", "late", "--from", 9, "--to", 10)
        self.assertEqual(self.ranges(packed, "x > 2", "--label", "late")[0], [(9.99, 10)])
        run("query", packed, "x > 2", "--add-label", "hit")
        self.assertIn("hit: 2 labels", run("label", "list", packed)[0])

    def test_streams_of_different_rates_are_joined_by_time(self):
        self.recording(rows=[(i, 0) for i in range(1000)], pack=False)
        self.write("T.sds.yml", "sds:\n  name: T\n  content:\n    - {value: t, type: int16_t}\n")
        self.write("T.0.sds", plain(*[(1000 * k, struct.pack("<h", 20 + k)) for k in range(10)]))
        rec = self.path("both.sdsz")
        run("pack", self.path("Imu.0.sds"), self.path("T.0.sds"), "-o", rec)
        self.assertEqual(self.ranges(rec, "x >= 150 and t < 25")[0], [(3, 5)])
        self.assertEqual(self.ranges(rec, "x >= 400 or t <= 20")[0], [(0, 1), (8, 10)])
        self.assertEqual(self.ranges(rec, "not (t > 21)")[0], [(0, 2)])
        _, err = run("query", rec, "x > t", expect=2)
        self.assertIn("channels of one stream", err)

    def test_sections_that_cannot_match_are_not_read_and_the_answer_is_the_same(self):
        rows = [((i // 20000) * 100 + i % 50, (i * 7) % 1000) for i in range(400_000)]
        path = self.recording(rows=rows, rate=1000, block=1000, pack=False)
        run("pack", path, "-o", self.path("s.sdsz"), "-f")
        for condition in ("x > 900", "x < 30 and y > 10", "x >= 300 and x < 400", "x > 500 or x < 20", "not (x > 60)", "x + 10 > 500", "0 - x > -100", "x != 3"):
            got, result = self.ranges(self.path("s.sdsz"), condition)
            expected, _ = self.ranges(path, condition)
            self.assertEqual(got, expected, condition)
            plan = result["plan"][0]
            self.assertEqual(plan["sections"], plan["sections_read"] + plan["sections_never"] + plan["sections_always"])
        _, result = self.ranges(self.path("s.sdsz"), "x > 900")
        self.assertEqual(result["plan"][0]["sections_never"], result["plan"][0]["sections"] - result["plan"][0]["sections_read"])
        self.assertGreater(result["plan"][0]["sections_never"], 0)
        _, err = run("query", self.path("s.sdsz"), "x > 900", "--explain")
        self.assertRegex(err, r"plan: Imu: \d+ of 2 sections read")
        # Of a part of the time only its own samples count, also where a section matches throughout.
        got, result = self.ranges(self.path("s.sdsz"), "x >= 0", "--from", 1, "--to", 2)
        self.assertEqual((got, result["samples"]), ([(1, 2)], 1000))
        # Without its index, all is read, and the answer stays.
        content = self.read("s.sdsz")
        self.write("cut.sdsz", content[:-100])
        got, result = self.ranges(self.path("cut.sdsz"), "x > 900")  # warns: nothing is missing
        self.assertEqual(got, self.ranges(path, "x > 900")[0])

    def test_wrong_conditions_are_told_where(self):
        rec = self.recording()
        for condition, expected in (("", "column 1: the condition ends too early"), ("x >", "ends too early"), ("x > 1 y", "column 7: 'y' was not expected here"),
                                    ("(x > 1", "')' is missing"), ("x", "a condition compares something"), ("z > 1", "no channel 'z'; there is: Imu.x, Imu.y"),
                                    ("x and y", "join comparisons"), ("(x > 1) + 1 > 0", "a comparison is no number"), ("1 > 0", "about no channel"),
                                    ("x > 1abc", "this is no number"), ("x[0 > 1", "']' is missing"), ("`x > 1", "backtick"), ("(" * 200 + "x", "nested too deep"),
                                    ("x > 1" + " and x > 1" * 2000, "too long"), ("x > $", "'$' was not expected")):
            _, err = run("query", rec, condition, expect=2)
            self.assertIn(expected, err)

    def test_stats_from_the_index_are_those_of_the_data(self):
        rec = self.recording(rows=wave(100_000))
        fast = json.loads(run("stats", rec, "--json")[0])["channels"]
        slow = json.loads(run("stats", rec, "--json", "--exact")[0])["channels"]
        for a, b in zip(fast, slow):
            self.assertTrue(a["from_index"] and not b["from_index"])
            self.assertEqual([a[k] for k in ("count", "nan", "min", "max")], [b[k] for k in ("count", "nan", "min", "max")])
            self.assertAlmostEqual(a["mean"], b["mean"], places=9)
            self.assertIsNone(a["deviation"])
            self.assertGreater(b["deviation"], 0)

    def test_stats_of_values_without_a_mean_or_with_a_large_one(self):
        self.write("S.sds.yml", "sds:\n  name: S\n  sample-frequency: 100\n  content:\n    - {value: a, type: double}\n")
        # By arithmetic: the mean of 1e308, 1e308 and -1e308 is a third of it, and they are 2/3, 2/3 and 4/3 of it off.
        for values, mean, deviation in (((1, math.inf, 3), "inf", None), ((math.inf, -math.inf, 1), None, None),
                                        ((1e308, 1e308, -1e308), 1e308 / 3, 1e308 / 3 * math.sqrt(8)), ((5,), 5, 0)):
            self.write("S.0.sds", plain(*[(10 * k, struct.pack("<d", value)) for k, value in enumerate(values)]))
            run("pack", self.path("S.0.sds"), "-o", self.path("S.sdsz"), "-f")
            for options in ([], ["--exact"], ["--from", 0]):
                told = json.loads(run("stats", self.path("S.sdsz"), "--json", *options)[0])["channels"][0]
                for key, true in (("mean", mean), ("deviation", deviation)):
                    if key == "deviation" and told["from_index"]:
                        self.assertIsNone(told[key])
                    elif true in (None, "inf"):
                        self.assertEqual(told[key], true, (values, options))
                    else:
                        self.assertAlmostEqual(told[key] / (true or 1), 1 if true else 0, places=12)
                self.assertNotIn("-nan", run("stats", self.path("S.sdsz"), *options)[0])

    # Edits

    def test_a_cut_keeps_whole_blocks_and_their_labels(self):
        rec = self.recording()
        run("label", "add", rec, "-c", "walk", "--from", 1, "--to", 6)
        run("label", "add", rec, "-c", "rest", "--from", 8, "--to", 9)
        run("cut", rec, "--from", 2.05, "--to", 4, "-o", self.path("c.sdsz"))
        rows = run("export", "csv", self.path("c.sdsz"))[0].splitlines()
        self.assertEqual((rows[1].split(",")[0], rows[-1].split(",")[0], len(rows) - 1), ("2", "3.99", 200))
        self.assertEqual([(e["class"], e["from"], e["to"]) for e in json.loads(run("label", "list", self.path("c.sdsz"), "--json")[0])["labels"]], [("walk", 2.05, 4)])
        run("cut", rec, "--label", "rest", "-o", self.path("c.sdsz"), "-f")
        self.assertEqual(len(run("export", "csv", self.path("c.sdsz"))[0].splitlines()), 101)
        run("cut", rec, "--where", "y >= 500 and y < 510", "-o", self.path("c.sdsz"), "-f")
        self.assertEqual(len(run("export", "csv", self.path("c.sdsz"))[0].splitlines()), 11)
        run("cut", rec, "--from", 1, "--to", 2, "-o", self.path("c.sdsz"), expect=4)
        self.write("e.labels.yml", "labels: {}\n")
        _, err = run("cut", rec, "--from", 1, "--to", 2, "-o", self.path("e.sdsz"), expect=4)
        self.assertIn("e.labels.yml: exists already", err)
        self.assertFalse(os.path.exists(self.path("e.sdsz")))
        run("cut", rec, "--from", 3, "--to", 2, "-o", self.path("d.sdsz"), expect=2)

    def test_a_cut_with_nothing_left_is_no_recording(self):
        rec = self.recording(start=5000)  # 1000 samples at 100 Hz: [5, 15) s
        run("label", "add", rec, "-c", "walk", "--from", 6, "--to", 7)
        for what in (["--from", 500, "--to", 600], ["--to", 5], ["--from", 15], ["--where", "y > 5000"],
                     ["--label", "walk", "--from", 8]):
            _, err = run("cut", rec, *what, "-o", self.path("n.sdsz"), expect=2)
            self.assertIn("nothing is left: no block lies in the time that was asked for; Imu has [5, 15) s", err)
            self.assertEqual([n for n in os.listdir(self.path()) if n.startswith("n.")], [], what)

    def test_merge_needs_clocks_or_says_so(self):
        a = self.recording("A")
        b = self.recording("B")
        _, err = run("merge", a, b, "-o", self.path("m.sdsz"), expect=2)
        self.assertIn("has no clock pairs", err)
        run("merge", a, b, "--no-align", "-o", self.path("m.sdsz"))
        for name in "AB":
            self.assertEqual(run("export", "csv", self.path("m.sdsz"), "-s", name)[0], run("export", "csv", self.path(name + ".sdsz"))[0])
        run("merge", a, a, "--no-align", "-o", self.path("n.sdsz"))
        self.assertEqual(json.loads(run("stats", self.path("n.sdsz"), "--json")[0])["channels"][2]["stream"], "A.A")

    def test_merge_moves_recordings_onto_the_first_ones_clock(self):
        # CSV with UTC times gives clock pairs: B begins 2.5 s after A.
        for name, t0 in (("a", 1.7e9), ("b", 1.7e9 + 2.5)):
            self.write(name + ".csv", "time,x\n" + "".join(f"{t0 + i / 100:.2f},{i}\n" for i in range(1000)))
            run("import", "csv", self.path(name + ".csv"), "-o", self.path(name + ".sdsz"))
        out, err = run("merge", self.path("a.sdsz"), self.path("b.sdsz"), "-o", self.path("m.sdsz"))
        self.assertIn("a.sdsz: its clock is the one that the others are fitted to; ", out)
        self.assertRegex(out, r"b\.sdsz: its first block is moved by \+2\.0\d+ s \(± \d+\.\d ms\) to fit the first "
                              r"recording's clock; [^;]*, taken as nominal: ")
        self.assertEqual(err, "")
        # On B's clock A would begin at -2.5 s.
        _, err = run("merge", self.path("b.sdsz"), self.path("a.sdsz"), "-o", self.path("n.sdsz"), expect=2)
        self.assertRegex(err, r"a\.sdsz: stream a: tick 0 would lie before the clock of \S*b\.sdsz began: name this recording first")
        rows = run("export", "csv", self.path("m.sdsz"), "-s", "b")[0].splitlines()
        self.assertAlmostEqual(float(rows[1].split(",")[0]), 2.5, places=3)

    def test_resampling_keeps_a_tone_and_drops_what_would_alias(self):
        rate = 1000
        rows = [(round(8000 * math.sin(2 * math.pi * 20 * i / rate)), round(8000 * math.sin(2 * math.pi * 330 * i / rate))) for i in range(5000)]
        rec = self.recording(rows=rows, rate=rate, block=100)
        run("resample", rec, "--rate", 200, "-o", self.path("r.sdsz"))
        out = [[float(v) for v in line.split(",")] for line in run("export", "csv", self.path("r.sdsz"))[0].splitlines()[1:]]
        self.assertEqual(len(out), 1000)
        for t, x, y in out[100:900]:
            self.assertAlmostEqual(x, 4000 * math.sin(2 * math.pi * 20 * t), delta=2)
            self.assertLess(abs(y), 1)
        run("resample", rec, "--rate", 0, "-o", self.path("q.sdsz"), expect=2)
        run("resample", rec, "--rate", 1000000, "-o", self.path("q.sdsz"), expect=2)

    # Plots

    def test_pages_hold_everything_and_escape_what_comes_from_the_recording(self):
        rec = self.recording()
        run("label", "add", rec, "-c", "</script><b>", "--from", 1, "--to", 2)
        run("plot", rec, "-o", self.path("p.html"))
        page = self.read("p.html").decode()
        self.assertNotIn("</script><b>", page)
        self.assertIn("&lt;/script&gt;&lt;b&gt;", page)
        self.assertEqual(page.count("<script>"), page.count("</script>"))
        self.assertNotIn("http://", re.sub(r"http://www\.w3\.org/\S*", "", re.sub(r"/\*.*?\*/", "", page.split("<script>var P")[1], flags=re.S)))
        _, err = run("plot", rec, "-o", self.path("p.html"), expect=4)
        self.assertIn("exists already", err)
        run("plot", rec, "-o", self.path("p.gif"), expect=2)
        run("plot", rec, "-o", self.path("q.html"), "--from", 50, expect=2)
        _, err = run("plot", rec, "-o", self.path("q.html"), expect=4, env={**os.environ, "SDSKIT_DYGRAPHS": self.path("none")})
        self.assertIn("libjs-dygraphs", err)

    def test_pictures_are_drawn_by_gnuplot_or_say_what_is_missing(self):
        rec = self.recording(rows=wave(1000, loud=((2, 4),)))
        run("label", "add", rec, "-c", "it's", "--from", 1, "--to", 6)
        _, err = run("plot", rec, "-o", self.path("p.png"), expect=4, env={**os.environ, "PATH": "/nowhere"})
        self.assertIn("gnuplot-nox", err)
        if subprocess.run(["which", "gnuplot"], capture_output=True).returncode != 0:
            self.skipTest("gnuplot is not installed")
        run("plot", rec, "-o", self.path("p.png"), "--with", rec, "--below", rec)
        self.assertEqual(self.read("p.png")[:8], b"\x89PNG\r\n\x1a\n")
        run("plot", rec, "-o", self.path("p.svg"))
        self.assertIn(b"it's", self.read("p.svg").replace(b"&#39;", b"'").replace(b"&apos;", b"'"))

    @unittest.skipUnless(os.path.isdir(SHARED), "needs ../shared")
    def test_real_recordings_are_assessed_queried_and_drawn(self):
        motion = os.path.join(SHARED, "recordings", "motion", "ML_In.0.sds")
        stream = self.quality(motion)["recordings"][0]["quality"]["streams"][0]
        # The board's clock and its sensor's do not agree: the data sheet's 52 Hz are 55.
        self.assertAlmostEqual(stream["true_hz"], 55.29, delta=0.05)
        run("query", motion, "z > 1.02", "--count")
        run("plot", motion, "-o", self.path("m.html"))


if __name__ == "__main__":
    main()
