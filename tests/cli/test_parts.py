"""What is exported of a part of a recording, of one of its streams, and of several recordings: values, times, labels,
gaps and the seconds of a dataset are those of the part."""
import json
import os
import random
import re
import shutil
import struct
import subprocess

import peers

peers.use()

import h5py
import mcap.reader
import numpy as np
import soundfile
import yaml

from harness import Case, SDS, main, plain, run
from test_damage import sections


class Parts(Case):
    def stream(self, name, begin_ms=0, blocks=100, missing=(), label="0", rate=100):
        """A plain file at 100 Hz, 10 samples each 100 ms; sample k of the first block's count has the value k."""
        self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: {rate}\n  content:\n"
                                      "    - {value: x, type: int32_t}\n")
        return self.write(f"{name}.{label}.sds", plain(*[
            (begin_ms + 100 * k, np.arange(10 * k, 10 * k + 10, dtype="<i4").tobytes())
            for k in range(blocks) if k not in missing]))

    def pack(self, name, *files):
        run("pack", *files, "-o", self.path(name))
        return self.path(name)

    def label(self, name, *labels, head=""):
        """Labels (class, from, to[, stream[, author]])."""
        text = "labels:\n  version: 1\n" + head + "  intervals:\n"
        for label in labels:
            extra = "".join(f", {key}: {value}" for key, value in zip(("stream", "author"), label[3:]) if value)
            text += f"    - {{class: {label[0]}, from: {label[1]}, to: {label[2]}{extra}}}\n"
        return self.write(name, text)

    def labels_in(self, path):
        """Labels as (class, stream, from, to) in an npz, HDF5 or MCAP file."""
        if path.endswith(".npz"):
            with np.load(path) as z:
                if "labels.class" not in z:
                    return []
                return [(str(c), str(s), *map(float, t)) for c, s, t in
                        zip(z["labels.class"], z["labels.stream"], z["labels.time"])]
        if path.endswith(".h5"):
            with h5py.File(path) as f:
                group = next(iter(f.values())).get("labels")
                return [] if group is None else [(c.decode(), s.decode(), b, e) for c, s, b, e in zip(
                    group["class"][:], group["stream"][:], group["begin"][:], group["end"][:])]
        with open(path, "rb") as f:
            for record in mcap.reader.make_reader(f).iter_metadata():
                if record.name == "sds-labels":
                    labels = yaml.safe_load(record.metadata["yaml"])["labels"]["intervals"]
                    times = [[int(t) / 1e9 for t in line.split()] for line in record.metadata["log-times"].splitlines()]
                    return [(l["class"], l.get("stream", ""), *t) for l, t in zip(labels, times)]
        return []

    # Gaps

    def test_a_gap_in_a_part_is_seen_by_the_whole_stream(self):
        # 1.0 to 5.0 s are missing: a block on either side tells nothing of the usual step.
        recording = self.pack("g.sdsz", self.stream("G", missing=range(10, 50)))
        for form in ("wav", "edge-impulse"):
            for part, gaps in ((["--from", 0.95, "--to", 5.05], 1), ([], 1), (["--from", 0, "--to", 8], 1),
                               (["--from", 0.5, "--to", 1], 0), (["--from", 3, "--to", 6], 0),
                               (["--from", 5, "--to", 8], 0), (["--to", 3], 0)):
                out = self.path("o.wav" if form == "wav" else "o.json")
                for source in (recording, self.path("G.0.sds")):
                    _, err = run("export", form, source, *part, "-o", out, "-f")
                    self.assertEqual("1 gap in time is closed" in err, gaps == 1, (form, part, err))

    def test_what_is_a_gap_depends_on_blocks_that_are_not_in_the_part(self):
        # Mostly blocks of 2 samples each 20 ms; a long one of 100 samples is followed 40 ms late, which is no gap of
        # the blocks around it alone (half of 1 s is 500 ms), but twice the usual step.
        self.write("U.sds.yml", "sds:\n  name: U\n  sample-frequency: 100\n  content:\n    - {value: x, type: int16_t}\n")
        blocks = [(20 * k, bytes(4)) for k in range(500)]
        blocks += [(10_000, bytes(200)), (11_000, bytes(200)), (12_040, bytes(200)), (13_040, bytes(200))]
        blocks += [(14_040 + 20 * k, bytes(4)) for k in range(500)]
        plain_file = self.write("U.0.sds", plain(*blocks))
        gaps = json.loads(run("check", plain_file, "--json")[0])["recordings"][0]["streams"][0]["gaps"]["count"]
        self.assertEqual(gaps, 1)
        _, err = run("export", "wav", plain_file, "-o", self.path("u.wav"))
        self.assertIn("U: 1 gap in time is closed", err)
        for begin, end, there in ((10.5, 13.5, True), (9.5, 14.5, True), (12.1, 14.5, False)):
            _, err = run("export", "wav", plain_file, "--from", begin, "--to", end, "-o", self.path("u.wav"), "-f")
            self.assertEqual("1 gap in time is closed" in err, there, err)

    def test_a_block_without_a_rate_lasts_the_mean_step(self):
        # Blocks of T each 100 ms, up to 1 s; of A each 100 ms with 10 samples, up to 0.5 s.
        self.write("T.sds.yml", "sds:\n  name: T\n  block-frequency: 10\n  content:\n    - {value: t, type: int16_t}\n")
        thermometer = self.write("T.0.sds", plain(*[(100 * k, struct.pack("<h", k + 1)) for k in range(10)]))
        fast = self.stream("A", blocks=5)
        packed = self.pack("r.sdsz", thermometer, fast)
        self.label("r.labels.yml", ("blink", 0.015, 0.02))
        def kept(*options, source=packed, expect=0):
            shutil.rmtree(self.path("out"), ignore_errors=True)
            _, err = run("cut", source, *options, "-o", self.path("c.sdsz"), "-f", expect=expect)
            if expect:
                return err
            run("unpack", self.path("c.sdsz"), "-d", self.path("out"))
            data = self.read("out", "T.0.sds")
            return [struct.unpack_from("<IIh", data, at)[::2] for at in range(0, len(data), 10)], err
        for source in (packed, thermometer):
            for options, blocks in ((["--from", 0.015, "--to", 0.02], [0]), (["--from", 0.1, "--to", 0.11], [1]),
                                    (["--from", 0.3, "--to", 0.31], [3]), (["--from", 0.25, "--to", 0.45], [2, 3, 4]),
                                    (["--from", 0.95, "--to", 2], [9]), (["--where", "t == 2", "--to", 0.12], [1])):
                with self.subTest(source=source, options=options):
                    self.assertEqual(kept(*options, source=source)[0], [(100 * k, k + 1) for k in blocks])
        self.assertEqual(kept("--label", "blink", "-s", "T")[0], [(0, 1)])
        self.assertIn("nothing is left", kept("-s", "T", "--from", 1, "--to", 2, expect=2))
        # What the query finds there, the cut has.
        self.assertEqual(run("query", packed, "t > 0", "--from", 0.015, "--to", 0.02)[0], "0.015000\t0.020000\t0.005000\n")
        self.assertNotIn("nothing of it", kept("--from", 0.4, "--to", 0.5)[1])
        self.assertIn("A: nothing of it is in the part", kept("--from", 0.5, "--to", 0.6)[1])

    def test_stretches_that_are_joined_are_told(self):
        recording = self.pack("a.sdsz", self.stream("A"))
        self.label("a.labels.yml", ("knock", 1, 1.2), ("knock", 3, 3.2), ("knock", 5, 5.2))
        _, err = run("export", "wav", recording, "--label", "knock", "-o", self.path("a.wav"))
        self.assertIn("A: 3 stretches of the time are joined: audio files have none", err)
        self.assertNotIn("gap", err)
        values, _ = soundfile.read(self.path("a.wav"), dtype="int32")
        np.testing.assert_array_equal(values, [*range(100, 120), *range(300, 320), *range(500, 520)])
        self.assertEqual(run("export", "wav", recording, "--from", 1, "--to", 2, "-o", self.path("b.wav"))[1].count("joined"), 0)

    # Labels

    def test_samples_spread_up_to_the_next_block_have_their_times_in_every_part(self):
        # Jitter, and a pause of 80 s; eight blocks of 1,000 samples in a section of 16 KiB.
        rng = np.random.default_rng(3)
        ticks = [10000 * k + int(rng.integers(-800, 801)) * (k > 0) + 80000 * (k > 8) for k in range(36)]
        self.write("P.sds.yml", "sds:\n  name: P\n  sample-frequency: 100\n  content:\n    - {value: x, type: uint16_t}\n")
        whole = self.write("P.0.sds", plain(*[(t, (np.arange(1000) + 1000 * k).astype("<u2").tobytes()) for k, t in enumerate(ticks)]))
        packed = self.path("P.sdsz")
        run("pack", whole, "-o", packed, "--section-kib", 16)

        def rows(blocks):
            ends = [ticks[b] for b in blocks[1:]]
            ends.append(ticks[blocks[-1]] + ends[-1] - ticks[blocks[-2]])
            return [((ticks[b] + k * (end - ticks[b]) / 1000) / 1000, (1000 * b + k) % 65536) for b, end in zip(blocks, ends) for k in range(1000)]

        damaged = bytearray(self.read("P.sdsz"))
        counts = [s[4] for s in sections(damaged) if s[2] == 3]
        damaged[[s for s in sections(damaged) if s[2] == 3][2][0] + 100] ^= 1
        left = [*range(sum(counts[:2])), *range(sum(counts[:3]), 36)]
        self.write("D.sdsz", bytes(damaged))
        parts = [(ticks[1] / 1000, (ticks[k] - 1) / 1000) for k in (7, 8, 9, 12)] + [(100, 130), (70, 75), (165, 250), (345, 355)]
        for file, blocks in ((whole, range(36)), (packed, range(36)), (self.path("D.sdsz"), left)):
            truth = rows(list(blocks))
            for begin, end in parts:
                done = subprocess.run([SDS, "export", "csv", file, "--times", "interpolate", "--from", str(begin), "--to", str(end)],
                                      capture_output=True, text=True)
                self.assertIn(done.returncode, (0, 3) if file.endswith("D.sdsz") else (0,), done.stderr)
                out = done.stdout
                said = [tuple(map(float, line.split(","))) for line in out.splitlines()[1:]]
                wanted = [row for row in truth if begin <= row[0] < end]
                self.assertEqual(len(said), len(wanted), (file, begin, end))
                self.assertTrue(np.allclose(said, wanted, rtol=0, atol=1e-6), (file, begin, end))

    def test_labels_beside_any_of_the_files_are_those_of_the_recording(self):
        a, b, c = self.stream("A"), self.stream("B"), self.stream("C", label="sit")
        files = (a, b, c)
        self.label("B.0.labels.yml", ("talk", 1, 2), ("walk", 3, 4, "B"))
        said = {("talk", "B", 1, 2), ("walk", "B", 3, 4), ("sit", "C", 0, 10)}
        def told(path):
            return {(l["class"], l["stream"], l["from"], l["to"]) for l in
                    json.loads(run("label", "list", path, "--json")[0])["labels"]}
        for order in ((a, b, c), (a, c, b), (c, b, a)):
            with self.subTest(order=order):
                for form in ("npz", "h5", "mcap"):
                    out = self.path("o." + form)
                    _, err = run("export", form.replace("h5", "hdf5"), *order, "-o", out, "-f")
                    self.assertEqual(set(self.labels_in(out)), said)
                run("pack", *order, "-o", self.path("p.sdsz"), "-f")
                self.assertEqual(told(self.path("p.sdsz")), said)
                run("cut", *order, "-o", self.path("c.sdsz"), "-f")
                self.assertEqual(told(self.path("c.sdsz")), said)
                run("cut", *order, "--label", "talk", "-o", self.path("c.sdsz"), "-f")
                self.assertEqual(told(self.path("c.sdsz")), {("talk", "B", 1, 2), ("sit", "C", 1, 2)})
                self.assertIn("3 labels", run("plot", *order, "-o", self.path("p.html"), "-f")[0])
                _, err = run("cut", *order, "-o", self.path("n.sdsz"), "--label", "nope", expect=2)
                self.assertIn("there are: sit, talk, walk", err)
                self.assertNotIn("A.0.labels.yml", err)
                self.assertIn("there are: sit, talk, walk",
                              run("export", "csv", *order, "--label", "nope", "-o", self.path("t/"), expect=2)[1])
        # Beside the first one it is of all, and need not be said of one of them again.
        self.label("A.0.labels.yml", ("talk", 1, 2), ("rest", 5, 6))
        self.label("C.sit.labels.yml", ("nap", 1, 2))
        run("export", "npz", *files, "-o", self.path("o.npz"), "-f")
        self.assertEqual(set(self.labels_in(self.path("o.npz"))),
                         {("talk", "", 1, 2), ("rest", "", 5, 6), ("walk", "B", 3, 4), ("nap", "C", 1, 2)})
        # Of ticks that those of the first file do not hold.
        with open(self.path("B.0.labels.yml"), "w") as f:
            f.write("labels:\n  version: 1\n  tick-frequency: 32768\n  intervals:\n    - {class: talk, begin: 1, end: 3}\n")
        run("export", "npz", *files, "-o", self.path("o.npz"), "-f")
        self.assertIn(("talk", "B", 1 / 32768, 3 / 32768), self.labels_in(self.path("o.npz")))
        # What cannot be read is an error wherever it lies.
        self.write("B.0.labels.yml", "labels: {version: 1, intervals: [{class: x}]}\n")
        self.assertIn("B.0.labels.yml: line 1", run("export", "npz", *files, "-o", self.path("o.npz"), "-f", expect=3)[1])

    def test_the_class_of_a_name_counts_beside_label_files_of_others(self):
        a, b, c = self.stream("A"), self.stream("B", label="walk"), self.stream("C")
        self.label("A.0.labels.yml", ("sit", 2, 5))
        walk = ("walk", "B", 0, 10)
        def told(*paths):
            return {(l["class"], l["stream"], l["from"], l["to"]) for l in
                    json.loads(run("label", "list", *paths, "--json")[0])["labels"]}
        for order, sit in (((a, b, c), ("sit", "", 2, 5)), ((b, a, c), ("sit", "A", 2, 5)), ((c, b, a), ("sit", "A", 2, 5))):
            with self.subTest(order=order):
                run("pack", *order, "-o", self.path("p.sdsz"), "-f")
                run("cut", *order, "-o", self.path("c.sdsz"), "-f")
                run("merge", *order, "--no-align", "-o", self.path("m.sdsz"), "-f")
                self.assertEqual(told(self.path("p.sdsz")), {sit, walk})
                self.assertEqual(told(self.path("c.sdsz")), {sit, walk})
                self.assertEqual(told(self.path("m.sdsz")), {("sit", "A", 2, 5), walk})
                self.assertEqual(run("stats", *order, "--label", "walk", "--json")[0].replace(order[0], ""),
                                 run("stats", self.path("p.sdsz"), "--label", "walk", "--json")[0].replace(self.path("p.sdsz"), ""))
                shutil.rmtree(self.path("u"), ignore_errors=True)
                run("unpack", self.path("p.sdsz"), "-o", self.path("u/"))
                files = [self.path("u", os.path.basename(f)) for f in order]
                run("pack", *files, "-o", self.path("again.sdsz"), "-f")
                self.assertEqual(told(self.path("again.sdsz")), {sit, walk})
                self.assertIn(walk, told(self.path("u", "B.walk.sds")))
        # A label file beside it says that it is none, be it the only one and empty.
        os.remove(self.path("A.0.labels.yml"))
        self.label("B.walk.labels.yml")
        run("pack", a, b, c, "-o", self.path("p.sdsz"), "-f")
        self.assertEqual(told(self.path("p.sdsz")), set())

    def test_labels_of_several_files_that_no_ticks_hold_are_told(self):
        files = self.stream("A"), self.stream("B")
        for name, ticks in (("A", 3333000), ("B", 66673000)):
            self.label(f"{name}.0.labels.yml", ("sit", f"{1 + 1 / ticks:.12f}", 2), head=f"  tick-frequency: {ticks}\n")
        told = "1 label is rounded to ticks of 66673000 Hz: no ticks hold those of all files"
        self.assertIn(told, run("pack", *files, "-o", self.path("p.sdsz"))[1])
        self.assertIn(told, run("cut", *files, "--from", 1, "-o", self.path("c.sdsz"))[1])
        self.assertIn(told, run("export", "npz", *files, "-o", self.path("o.npz"))[1])
        self.assertNotIn("rounded", run("label", "list", self.path("p.sdsz"))[1])
        for command in (["export", "csv", "--label", "sit", "-o", self.path("csv/")], ["export", "npz", "--label", "sit", "-o", self.path("l.npz")],
                        ["export", "wav", "--label", "sit", "-o", self.path("wav/")], ["export", "qeexo", "-o", self.path("q.csv")],
                        ["export", "edge-impulse", "-o", self.path("e/")], ["export", "edge-impulse", "--multi-label", "-o", self.path("m/")],
                        ["stats", "--label", "sit"], ["plot", "-o", self.path("p.html")]):
            with self.subTest(command=command):
                self.assertEqual(run(*command, *files)[1].count(told), 1)
        self.assertNotIn(told, run("stats", *files)[1])

    def test_a_label_chooses_time_of_the_stream_that_it_is_about(self):
        both = self.pack("ab.sdsz", self.stream("A"), self.stream("B"))
        self.label("ab.labels.yml", ("sit", 1, 2, "B"), ("sit", 4, 4.5), ("sit", 6, 7, "A"), ("lie", 8, 9, "B"))
        a, b = [*range(400, 450), *range(600, 700)], [*range(100, 200), *range(400, 450)]
        told = [("sit", "B", 1, 2), ("sit", "", 4, 4.5), ("sit", "A", 6, 7)]
        for form, suffix in (("npz", "npz"), ("hdf5", "h5"), ("mcap", "mcap")):
            out = self.path("x." + suffix)
            run("export", form, both, "--label", "sit", "-o", out)
            if form == "npz":
                z = np.load(out)
                got = {n: list(z[n]["x"]) for n in "AB"}
                self.assertEqual(list(z["A.time"]), [k / 100 for k in a])
            elif form == "hdf5":
                with h5py.File(out) as f:
                    got = {n: list(f["ab"][n]["x"]) for n in "AB"}
            else:
                got = {"A": [], "B": []}
                with open(out, "rb") as f:
                    for _, channel, message in mcap.reader.make_reader(f).iter_messages():
                        got[channel.topic[1:]].append(json.loads(message.data)["x"])
            self.assertEqual(got, {"A": a, "B": b}, form)
            self.assertEqual(self.labels_in(out), told)
        for form, suffix in (("csv", "csv"), ("wav", "wav"), ("edge-impulse", "json")):
            run("export", form, both, "--label", "sit", *(["--multi-label"] if form == "edge-impulse" else []), "-o", self.path(form) + "/")
        rows = {n: self.read("csv", n + ".csv").decode().splitlines()[1:] for n in "AB"}
        self.assertEqual({n: [int(row.split(",")[1]) for row in rows[n]] for n in "AB"}, {"A": a, "B": b})
        self.assertEqual({n: list(soundfile.read(self.path("wav", n + ".wav"), dtype="int32")[0]) for n in "AB"}, {"A": a, "B": b})
        self.assertEqual({n: self.values("edge-impulse", f"ab.{n}.json") for n in "AB"}, {"A": a, "B": b})
        run("export", "qeexo", both, "--label", "sit", "-o", self.path("q.csv"))
        cells = [row for row in self.read("q.csv").decode().splitlines()[1:]]
        self.assertEqual(len(cells), 10 + 5 + 10)  # blocks of 100 ms in rows of 50 ms
        # The seconds of a dataset are those of what is in it.
        run("export", "csv", both, "--label", "sit", "--split", "100/0", "-o", self.path("set"))
        item = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]["recordings"][0]
        self.assertEqual((item["seconds"], item["class-seconds"]), (2.5, {"sit": 2.5}))
        # A stream about which no label says the class has no part in it.
        for form, out in (("npz", "y.npz"), ("hdf5", "y.h5"), ("mcap", "y.mcap"), ("csv", "y/")):
            _, err = run("export", form, both, "--label", "lie", "-o", self.path("") + out)
            self.assertIn("stream A is left out: no label of the class 'lie' that is about it lies in the time that was asked for", err)
        self.assertEqual([n for n in np.load(self.path("y.npz")).files if n[0] in "AB"], ["B", "B.time", "B.metadata"])
        self.assertEqual(os.listdir(self.path("y")), ["B.csv"])
        _, err = run("export", "npz", both, "--label", "lie", "--to", 8, "-o", self.path("z.npz"), expect=2)
        self.assertIn("has no label in the time that was asked for", err)

    def test_the_edges_of_shortened_labels_are_those_that_were_asked_for(self):
        # A sample each 0.1 ms: label ticks of 1 ms do not hold the edges.
        recording = self.pack("a.sdsz", self.stream("A", rate=10000, blocks=40))
        for head, begin, end, told in (("  tick-frequency: 1000\n", 0.10055, 0.30005, (0.10055, 0.30005)),
                                       ("  tick-frequency: 32768\n", 0.125123, 0.3, (0.125123, 0.3)),
                                       ("  tick-frequency: 44100\n", 0.2, 0.30000001, (0.2, 0.30000001))):
            self.label("a.labels.yml", ("x", 0, 0.5), ("y", 0.25, 4), head=head)
            for suffix in ("npz", "h5", "mcap"):
                out = self.path("x." + suffix)
                form = {"h5": "hdf5"}.get(suffix, suffix)
                run("export", form, recording, "--from", f"{begin:.9f}", "--to", f"{end:.9f}", "-f", "-o", out)
                x, y = self.labels_in(out)
                if suffix == "mcap" or told[1] == 0.30000001:  # ns; and 44100 with 10^8 has no ticks below 2^31
                    np.testing.assert_allclose((*x[2:], *y[2:]), (*told, 0.25, told[1]), atol=3e-5)
                    self.assertLessEqual(x[2], told[0])
                    self.assertGreaterEqual(x[3], told[1])
                else:
                    self.assertEqual((*x[2:], *y[2:]), (*told, 0.25, told[1]))
            run("cut", recording, "--from", f"{begin:.9f}", "--to", f"{end:.9f}", "-f", "-o", self.path("cut.sdsz"))
            run("export", "npz", self.path("cut.sdsz"), "-f", "-o", self.path("cut.npz"))
            x, y = self.labels_in(self.path("cut.npz"))
            np.testing.assert_allclose((*x[2:], *y[2:]), (*told, 0.25, told[1]), atol=3e-5 if told[1] == 0.30000001 else 0)

    def test_labels_of_a_part_are_shortened_to_it(self):
        recording = self.pack("a.sdsz", self.stream("A"))
        self.label("a.labels.yml", ("walk", 1, 4), ("shake", 3.5, 8), ("rest", 9, 10))
        for suffix in ("npz", "h5", "mcap"):
            form = {"h5": "hdf5"}.get(suffix, suffix)
            out = self.path("p." + suffix)
            run("export", form, recording, "--from", 2, "--to", 5, "-o", out)
            self.assertEqual(self.labels_in(out), [("walk", "", 2, 4), ("shake", "", 3.5, 5)])
            run("export", form, recording, "--label", "walk", "-o", out, "-f")
            self.assertEqual(self.labels_in(out), [("walk", "", 1, 4), ("shake", "", 3.5, 4)])
            # Two stretches: of the label that covers both, a piece each.
            run("export", form, recording, "--label", "walk", "--label", "rest", "-o", out, "-f")
            self.assertEqual(self.labels_in(out), [("walk", "", 1, 4), ("shake", "", 3.5, 4), ("rest", "", 9, 10)])
            run("export", form, recording, "--from", 2, "--to", 5, "--normalize", "-o", out, "-f")
            self.assertEqual(self.labels_in(out), [("walk", "", 2, 4), ("shake", "", 3.5, 5)])
            run("export", form, recording, "--from", 8.2, "--to", 8.8, "-o", out, "-f")
            self.assertEqual(self.labels_in(out), [])
            run("export", form, recording, "-o", out, "-f")
            self.assertEqual(self.labels_in(out), [("walk", "", 1, 4), ("shake", "", 3.5, 8), ("rest", "", 9, 10)])

    def test_a_label_that_spans_two_stretches_becomes_two(self):
        recording = self.pack("a.sdsz", self.stream("A"))
        self.label("a.labels.yml", ("all", 0, 10), ("knock", 1, 2), ("knock", 4, 5))
        run("export", "npz", recording, "--label", "knock", "-o", self.path("p.npz"))
        self.assertEqual(self.labels_in(self.path("p.npz")),
                         [("all", "", 1, 2), ("knock", "", 1, 2), ("all", "", 4, 5), ("knock", "", 4, 5)])

    def test_labels_of_other_streams_are_not_exported(self):
        recording = self.pack("ab.sdsz", self.stream("A"), self.stream("B"))
        self.label("ab.labels.yml", ("both", 1, 2), ("a", 2, 3, "A"), ("b", 3, 4, "B"), ("c", 4, 5, "C"))
        for suffix in ("npz", "h5", "mcap"):
            out = self.path("s." + suffix)
            _, err = run("export", {"h5": "hdf5"}.get(suffix, suffix), recording, "-s", "A", "-o", out)
            self.assertEqual(self.labels_in(out), [("both", "", 1, 2), ("a", "A", 2, 3)])
            self.assertIn("1 label about a stream that the recording does not have is left out", err)
            run("export", {"h5": "hdf5"}.get(suffix, suffix), recording, "-o", out, "-f")
            self.assertEqual(self.labels_in(out), [("both", "", 1, 2), ("a", "A", 2, 3), ("b", "B", 3, 4)])

    def test_a_part_of_several_recordings_goes_into_one_hdf5_file(self):
        recordings = []
        for name in "abc":
            recordings.append(self.pack(name + ".sdsz", self.stream("A")))
        self.label("a.labels.yml", ("walk", 1, 2))
        self.label("c.labels.yml", ("walk", 3, 3.5))
        run("export", "hdf5", *recordings, "--from", 2.5, "--to", 3.25, "-o", self.path("t.h5"))
        with h5py.File(self.path("t.h5")) as f:
            for name in "abc":
                np.testing.assert_array_equal(f[name]["A"]["x"], range(250, 325))
                np.testing.assert_array_equal(f[name]["A"]["time"], np.arange(250, 325) / 100)
            np.testing.assert_array_equal(f["c/labels/end"], [3.25])
        _, err = run("export", "hdf5", *recordings, "--label", "walk", "-o", self.path("l.h5"))
        self.assertRegex(err, r"note: \S*b\.sdsz: has no label of class 'walk': left out")
        with h5py.File(self.path("l.h5")) as f:
            self.assertEqual(sorted(f), ["a", "c"])
            np.testing.assert_array_equal(f["a/A/x"], range(100, 200))
            np.testing.assert_array_equal(f["c/A/x"], range(300, 350))

    # Normalized times

    def test_normalized_labels_are_those_of_the_exports(self):
        # A from 1 s, B from 3 s on: 4 to 6 s are 3 to 5 s of A and 1 to 3 s of B.
        recording = self.pack("r.sdsz", self.stream("A", 1000), self.stream("B", 3000))
        self.label("r.labels.yml", ("all", 4, 6), ("own", 4, 6, "B"))
        expected = [("all", "A", 3, 5), ("all", "B", 1, 3), ("own", "B", 1, 3)]
        run("export", "npz", recording, "--normalize", "-o", self.path("r.npz"))
        self.assertEqual(sorted(self.labels_in(self.path("r.npz"))), expected)
        _, err = run("label", "export", recording, "--normalize", "-o", self.path("l.csv"))
        self.assertIn("1 label of the whole recording is told once for each stream", err)
        rows = [line.split(",") for line in self.read("l.csv").decode().splitlines()[1:]]
        self.assertEqual(sorted((r[0], r[3], float(r[1]), float(r[2])) for r in rows), expected)
        # An Audacity track has no streams: one has to be chosen.
        _, err = run("label", "export", recording, "--normalize", expect=2)
        self.assertIn("the streams begin at different blocks: choose the one that times count from with -s", err)
        self.assertEqual(run("label", "export", recording, "--normalize", "-s", "A")[0], "3.000000\t5.000000\tall\n")
        self.assertEqual(run("label", "export", recording, "--normalize", "-s", "B")[0],
                         "1.000000\t3.000000\tall\n1.000000\t3.000000\town\n")
        # And the same way in.
        before = json.loads(run("label", "list", recording, "--json")[0])["labels"]
        os.remove(self.path("r.labels.yml"))
        run("label", "import", recording, "--normalize", "-i", self.path("l.csv"))
        back = json.loads(run("label", "list", recording, "--json")[0])["labels"]
        self.assertEqual([(l["class"], l["from"], l["to"], l["stream"]) for l in back],
                         [("all", 4, 6, "A"), ("all", 4, 6, "B"), ("own", 4, 6, "B")])
        self.assertEqual([(l["class"], l["from"], l["to"]) for l in before], [("all", 4, 6), ("own", 4, 6)])
        self.write("t.txt", "1\t3\tknock\n")
        _, err = run("label", "import", recording, "--normalize", "-i", self.path("t.txt"), expect=2)
        self.assertIn("choose the one that times count from with -s", err)
        run("label", "import", recording, "--normalize", "-s", "B", "-i", self.path("t.txt"))
        self.assertEqual([(l["from"], l["to"], l["stream"]) for l in
                          json.loads(run("label", "list", recording, "-c", "knock", "--json")[0])["labels"]], [(4, 6, "B")])
        self.write("n.csv", "class,from,to,stream\nx,1,2,\n")
        _, err = run("label", "import", recording, "--normalize", "-i", self.path("n.csv"), expect=3)
        self.assertIn("line 2: says no stream", err)
        self.write("n.csv", "class,from,to,stream\nx,1,2,Nope\n")
        _, err = run("label", "import", recording, "--normalize", "-i", self.path("n.csv"), expect=3)
        self.assertIn("line 2: there is no stream 'Nope'", err)

    def test_labels_of_other_streams_choose_nothing(self):
        recording = self.pack("r.sdsz", self.stream("A", 1000), self.stream("B", 1000))
        self.label("r.labels.yml", ("sit", 4, 6, "B"), ("walk", 2, 3), ("walk", 4, 5, "B"))
        for form, out in (("csv", "a.csv"), ("npz", "a.npz"), ("wav", "a.wav"), ("hdf5", "a.h5"), ("edge-impulse", "a.json")):
            with self.subTest(form=form):
                _, err = run("export", form, recording, "-s", "A", "--label", "sit", "-o", self.path(out), expect=2)
                self.assertIn("no label of the class 'sit' is about a stream that is chosen", err)
                self.assertFalse(os.path.exists(self.path(out)))
        _, err = run("cut", recording, "-s", "A", "--label", "sit", "-o", self.path("a.sdsz"), expect=2)
        self.assertIn("no label of the class 'sit' is about a stream that is chosen", err)
        for name, seconds in (("A", [(2, 3)]), ("B", [(2, 3), (4, 5)])):
            run("export", "npz", recording, "-s", name, "--label", "walk", "-o", self.path("p.npz"), "-f")
            with np.load(self.path("p.npz")) as z:
                self.assertEqual(list(z[f"{name}.time"]), [t for a, b in seconds for t in [(100 * a + k) / 100 for k in range(100)]])
        self.assertIn("no label has the class 'nope'",
                      run("export", "csv", recording, "-s", "A", "--label", "nope", expect=2)[1])

    def test_the_seconds_of_a_manifest_are_of_samples_like_those_of_its_classes(self):
        # 2 s of samples, a gap of 3 s, 1 s of samples.
        self.write("G.sds.yml", "sds:\n  name: G\n  sample-frequency: 100\n  content:\n    - {value: x, type: int32_t}\n")
        ticks = [100 * k for k in range(20)] + [5000 + 100 * k for k in range(10)]
        self.write("G.0.sds", plain(*[(t, np.arange(10, dtype="<i4").tobytes()) for t in ticks]))
        recording = self.pack("g.sdsz", self.path("G.0.sds"))
        self.label("g.labels.yml", ("all", 0, 6))
        for options, seconds in (([], 3), (["--from", "1", "--to", "5.5"], 1.5)):
            run("export", "csv", recording, "--split", "100/0", "-o", self.path("set"), "-f", *options)
            data = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]
            for told in (data["recordings"][0], data["parts"]["train"]):
                self.assertEqual((told["seconds"], told["class-seconds"]), (seconds, {"all": seconds}))

    def test_a_labelled_part_may_be_normalized(self):
        recording = self.pack("r.sdsz", self.stream("A", 1000))
        self.label("r.labels.yml", ("walk", 4, 6))
        run("export", "npz", recording, "--label", "walk", "--normalize", "-o", self.path("r.npz"))
        with np.load(self.path("r.npz")) as z:
            np.testing.assert_array_equal(z["A.time"], np.arange(300, 500) / 100)
            np.testing.assert_array_equal(z["A"]["x"], range(300, 500))
        self.assertEqual(self.labels_in(self.path("r.npz")), [("walk", "", 3, 5)])
        rows = run("export", "csv", recording, "--label", "walk", "--normalize")[0].splitlines()
        self.assertEqual((rows[1], rows[-1], len(rows)), ("3,300", "4.99,499", 201))

    # Datasets of parts

    def test_seconds_of_a_dataset_are_those_of_the_part(self):
        recordings = []
        for i, name in enumerate("abcd"):
            recordings.append(self.pack(name + ".sdsz", self.stream("A", 100 * i), self.stream("B", blocks=300)))
            self.label(name + ".labels.yml", ("walk", 1, 4), ("rest", 4, 9), ("b", 0, 30, "B"))
        for args, seconds, classes in (([], 30, {"walk": 3, "rest": 5, "b": 30}),
                                       (["-s", "A"], 10, {"walk": 3, "rest": 5}),
                                       (["--from", 2, "--to", 6], 4, {"walk": 2, "rest": 2, "b": 4}),
                                       (["-s", "A", "--label", "rest"], 5, {"rest": 5}),
                                       (["-s", "A", "--label", "rest", "--to", 5], 1, {"rest": 1})):
            for form in ("csv", "hdf5"):
                run("export", form, *recordings, *args, "--split", "50/50", "-o", self.path("set"), "-f")
                manifest = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]
                for recording in manifest["recordings"]:
                    self.assertEqual((recording["seconds"], recording["class-seconds"]), (seconds, classes), args)
                self.assertEqual(manifest["parts"]["train"]["seconds"], 2 * seconds)

    def test_recordings_of_one_name_get_names_of_their_own(self):
        paths = []
        for i, folder in enumerate(("left", "right", "other")):
            os.mkdir(self.path(folder))
            recording = self.pack("w.sdsz", self.stream("A", 1000 * i))
            os.rename(recording, self.path(folder, "w.sdsz"))
            paths.append(self.path(folder, "w.sdsz"))
        left, right, other = paths
        os.rename(other, self.path("w~2.sdsz"))
        other = self.path("w~2.sdsz")
        first = {"w": 0, "w~3": 1, "w~2": 2}  # seconds at which each begins: left is before right
        for order in ((left, right, other), (other, right, left)):
            _, err = run("export", "csv", *order, "-o", self.path("out"), "-f")
            self.assertRegex(err, r"note: \S*right/w\.sdsz is called w~3 here: \S*left/w\.sdsz has the same name")
            self.assertEqual({n[:-4]: float(self.read("out", n).splitlines()[1].split(b",")[0])
                              for n in os.listdir(self.path("out"))}, first)
            run("export", "hdf5", *order, "-o", self.path("all.h5"), "-f")
            with h5py.File(self.path("all.h5")) as f:
                self.assertEqual({name: f[name]["A/time"][0] for name in f}, first)
            run("export", "npz", *order, "--window", "1s", "--unlabelled", "-o", self.path("set"), "-f")
            with np.load(self.path("set", "train.npz")) as z:
                self.assertEqual({str(z["recordings"][r]): b for r, b in zip(z["recording"][::10], z["begin"][::10])}, first)
            manifest = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]
            self.assertEqual({r["name"]: r["source"] for r in manifest["recordings"]},
                             {"w": "w.sdsz", "w~2": "w~2.sdsz", "w~3": "right/w.sdsz"})
        _, err = run("export", "csv", left, self.path("left", "..", "left", "w.sdsz"), "-o", self.path("twice"), expect=2)
        self.assertIn("is named twice", err)

    # Edge Impulse: a file an event

    def values(self, *names):
        return [row[0] for row in json.loads(self.read(*names))["payload"]["values"]]

    def test_each_label_becomes_a_file_of_its_class(self):
        recording = self.pack("Accel.sdsz", self.stream("Accel"))
        # Two authors say the same knock; a scrape overlaps the second one.
        self.label("Accel.labels.yml", ("knock", 1, 1.2, "", "ann"), ("knock", 1.1, 1.3, "", "bob"), ("knock", 2, 2.2),
                   ("scrape", 2.1, 4), ("knock", 4, 4.1), ("knock", 4.1, 4.3))
        expected = {"knock.Accel.1.json": range(100, 130), "knock.Accel.2.json": range(200, 220),
                    "knock.Accel.3.json": range(400, 410), "knock.Accel.4.json": range(410, 430),
                    "scrape.Accel.json": range(210, 400)}
        _, err = run("export", "edge-impulse", recording, "-o", self.path("all") + "/")
        self.assertIn("stream Accel: what has no label is left out: each label becomes a file", err)
        self.assertEqual({n: self.values("all", n) for n in os.listdir(self.path("all"))},
                         {n: list(v) for n, v in expected.items()})
        # The class that was asked for, and nothing else; one after the other they do not collide.
        os.mkdir(self.path("one"))
        for name in ("knock", "scrape"):
            _, err = run("export", "edge-impulse", recording, "--label", name, "-o", self.path("one"))
            self.assertEqual(err, "")
        self.assertEqual({n: self.values("one", n) for n in os.listdir(self.path("one"))},
                         {n: list(v) for n, v in expected.items()})
        run("export", "edge-impulse", recording, "--from", 1.15, "--to", 2.15, "-o", self.path("part") + "/")
        self.assertEqual({n: self.values("part", n) for n in os.listdir(self.path("part"))},
                         {"knock.Accel.1.json": list(range(115, 130)), "knock.Accel.2.json": list(range(200, 215)),
                          "scrape.Accel.json": list(range(210, 215))})
        run("export", "edge-impulse", recording, "--label", "knock", "--class", "hit", "--to", 3, "-o", self.path("hit") + "/")
        self.assertEqual(sorted(os.listdir(self.path("hit"))), ["hit.Accel.1.json", "hit.Accel.2.json"])
        run("export", "edge-impulse", recording, "--class", "hit", "-o", self.path("whole") + "/")
        self.assertEqual(self.values("whole", "hit.Accel.json"), list(range(1000)))
        # In one file there is place for one.
        _, err = run("export", "edge-impulse", recording, "--label", "knock", "-o", self.path("x.json"), expect=2)
        self.assertIn("4 labels of 'knock' would be joined in one file", err)
        self.assertFalse(os.path.exists(self.path("x.json")))
        _, err = run("export", "edge-impulse", recording, "-o", self.path("x.json"), expect=2)
        self.assertIn("5 labels of 'knock' or 'scrape' would be joined in one file", err)
        self.assertFalse(os.path.exists(self.path("x.json")))
        _, err = run("export", "edge-impulse", recording, "--label", "scrape", "-o", self.path("scrape.1.json"))
        self.assertEqual(err, "")
        _, err = run("export", "edge-impulse", recording, "--label", "scrape", "-o", self.path("x.json"))
        self.assertIn("the label 'scrape' is not kept: from the name x.json Edge Impulse takes 'x' for the class", err)
        # What is named like no file is a folder, for one recording as for two.
        run("export", "edge-impulse", recording, "-o", self.path("named"))
        self.assertEqual(sorted(os.listdir(self.path("named"))), sorted(expected))
        self.assertEqual(self.values("x.json"), list(range(210, 400)))
        _, err = run("export", "edge-impulse", recording, "--from", 8, "-o", self.path("none") + "/", expect=2)
        self.assertIn("has no label in the time that was asked for", err)
        self.assertFalse(os.path.exists(self.path("none")))
        # A label of another stream says nothing of this one, in a file or in a folder.
        both = self.pack("ab.sdsz", self.stream("A"), self.stream("B"))
        self.label("ab.labels.yml", ("a", 1, 2, "A"))
        for out in (self.path("y.json"), self.path("y") + "/"):
            _, err = run("export", "edge-impulse", both, "-s", "B", "--label", "a", "-o", out, expect=2)
            self.assertIn("no label of the class 'a' is about a stream that is chosen", err)
            self.assertFalse(os.path.exists(out))

    def test_labels_of_a_stream_become_files_of_it_and_recordings_without_labels_one(self):
        both = self.pack("ab.sdsz", self.stream("A"), self.stream("B"))
        self.label("ab.labels.yml", ("a", 1, 2, "A"), ("all", 3, 4), ("late", 20, 21))
        bare = self.pack("bare.sdsz", self.stream("A"))
        _, err = run("export", "edge-impulse", both, bare, "-o", self.path("out"))
        self.assertEqual({n: self.values("out", n) for n in os.listdir(self.path("out"))},
                         {"a.ab.A.json": list(range(100, 200)), "all.ab.A.json": list(range(300, 400)),
                          "all.ab.B.json": list(range(300, 400)), "bare.json": list(range(1000))})
        self.assertIn("late.ab.A is left out: there is no sample where that label is", err)

    def test_a_gap_within_an_event_is_told(self):
        recording = self.pack("g.sdsz", self.stream("G", missing=range(10, 50)))
        self.label("g.labels.yml", ("x", 0.9, 5.1), ("y", 6, 7))
        _, err = run("export", "edge-impulse", recording, "-o", self.path("out") + "/")
        self.assertEqual(err.count("1 gap in time is closed"), 1)
        self.assertEqual(self.values("out", "x.g.json"), [*range(90, 100), *range(500, 510)])
    # Options of datasets

    def test_what_is_kept_together_by_a_split(self):
        recordings = []
        for name, label in (("a", "rock.1"), ("b", "rock.2"), ("c", "pop"), ("d", "jazz.7")):
            begin = 1000 * (1 + ord(name) - ord("a"))
            recordings.append(self.pack(name + ".sdsz", self.stream("Imu", begin, label=label)))
        def groups(*args):
            run("export", "csv", *recordings, "--split", "50/50", *args, "-o", self.path("set"), "-f")
            manifest = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]
            return {r["name"]: r["group"] for r in manifest["recordings"]}, {r["name"]: r["part"] for r in manifest["recordings"]}
        for seed in range(1, 9):
            group, part = groups("--split-by", "label", "--seed", seed)
            self.assertEqual(group, {"a": "rock", "b": "rock", "c": "pop", "d": "jazz"})
            self.assertEqual(part["a"], part["b"])
            self.assertEqual(len(set(groups("--split-by", "tool", "--seed", seed)[1].values())), 1)  # all are packed
        self.assertEqual(groups()[0], dict(zip("abcd", "abcd")))
        _, err = run("export", "csv", *recordings, "--split", "50/50", "--split-by", "nope", "-o", self.path("s2"), expect=2)
        self.assertIn("the recording says nothing of its 'nope'", err)
        self.assertFalse(os.path.exists(self.path("s2")))

    def test_each_plain_file_is_a_recording_where_that_is_said(self):
        a, b = self.stream("A"), self.stream("B", 1000)
        packed = self.pack("p.sdsz", self.stream("C"))
        def exported(*args):
            run("export", "csv", *args, "-o", self.path("o"))
            names = sorted(os.listdir(self.path("o")))
            for name in names:
                os.remove(self.path("o", name))
            return names
        self.assertEqual(exported(a, b), ["A.csv", "B.csv"])
        self.assertEqual(exported(a, b, "--each"), ["A.0.csv", "B.0.csv"])
        self.assertEqual(exported(a, packed, b), ["A.0.A.csv", "A.0.B.csv", "p.csv"])
        self.assertEqual(exported(a, packed, b, "--each"), ["A.0.csv", "B.0.csv", "p.csv"])
        run("export", "hdf5", a, b, "--each", "-o", self.path("e.h5"))
        with h5py.File(self.path("e.h5")) as f:
            self.assertEqual(sorted(f), ["A.0", "B.0"])
            self.assertEqual(f["B.0/B/time"][0], 1)
        _, err = run("export", "csv", a, b, "--split", "50/50", "-o", self.path("s"), expect=2)
        self.assertIn("plain .sds files would be the streams of one recording: pack them, or say --each", err)
        run("export", "csv", a, b, "--each", "--split", "50/50", "-o", self.path("s"))
        manifest = yaml.safe_load(self.read("s", "manifest.yml"))["dataset"]
        self.assertEqual([r["name"] for r in manifest["recordings"]], ["A.0", "B.0"])
        _, err = run("export", "csv", packed, "--each", "-o", self.path("x.csv"), expect=2)
        self.assertIn("--each is for plain .sds files", err)

    def test_the_share_of_a_label_decides_the_class_of_a_window(self):
        # Windows of 1 s: the first is covered 0.3 by a; the second 0.5 by a and 0.4 by b; the third by nothing; the
        # fourth all by b, 0.6 of it by two authors.
        recording = self.pack("w.sdsz", self.stream("A", blocks=40))
        self.label("w.labels.yml", ("a", 0.7, 1.5), ("b", 1.5, 1.9), ("b", 3, 4, "", "ann"), ("b", 3.4, 4, "", "bob"))
        for share, expected in ((None, [-1, "a", -1, "b"]), (0.3, ["a", "a", -1, "b"]), (0.31, [-1, "a", -1, "b"]),
                                (0.5, [-1, "a", -1, "b"]), (0.51, [-1, -1, -1, "b"]), (1, [-1, -1, -1, "b"]),
                                (0, ["a", "a", -1, "b"])):
            options = [] if share is None else ["--label-share", share]
            for keep in (True, False):
                _, err = run("export", "npz", recording, "--window", "1s", *options, *(["--unlabelled"] if keep else []),
                             "-o", self.path("d"), "-f")
                with np.load(self.path("d", "train.npz")) as z:
                    got = [str(z["classes"][y]) if y >= 0 else -1 for y in z["y"]]
                    kept = [(i, c) for i, c in enumerate(expected) if keep or c != -1]
                    self.assertEqual(got, [c for _, c in kept], (share, keep))
                    np.testing.assert_array_equal(z["begin"], [i for i, _ in kept])
                    for row, (i, _) in zip(z["x"], kept):
                        np.testing.assert_array_equal(row[:, 0], range(100 * i, 100 * i + 100))
                left_out = expected.count(-1)
                told = "1 window has no label that covers enough of it" if left_out == 1 else f"{left_out} windows have no label that covers enough of them"
                self.assertEqual(told in err, not keep, err)
                window = yaml.safe_load(self.read("d", "manifest.yml"))["dataset"]["window"]
                self.assertEqual((window["label-share"], window["unlabelled"]), (0.5 if share is None else share, keep))
        run("export", "npz", recording, "--window", "1s", "--label-share", 1.5, "-o", self.path("x"), expect=2)

    def test_a_query_of_a_part_of_a_damaged_recording_is_that_of_the_whole(self):
        # v is 3 or 4 for 4 min, then 5 or 6, then 3 or 4, then 0 or 1. A section is lost: what held before it holds on.
        def ranges(*args):
            done = subprocess.run([SDS, "query", *map(str, args), "--json"], capture_output=True, text=True, timeout=60)
            return [(r["from"], r["to"]) for r in json.loads(done.stdout)["ranges"]]

        values = [3] * 2400 + [5] * 2400 + [3] * 2400 + [0] * 2400
        rng = random.Random(1)
        blocks = [(100 * i, struct.pack("<10h", *(value + rng.randint(0, 1) for _ in range(10)))) for i, value in enumerate(values)]
        self.write("Q.sds.yml", "sds:\n  name: Q\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        self.write("Q.0.sds", plain(*blocks))
        run("pack", self.path("Q.0.sds"), "-o", self.path("q.sdsz"), "--section-kib", 16)
        content = self.read("q.sdsz")
        data = [s for s in sections(content) if s[2] == 3]
        self.assertGreater(len(data), 8)
        samples = np.concatenate([np.frombuffer(data, "<i2") for _, data in blocks])
        holds = {"v > 2": samples > 2, "v >= 5": samples >= 5, "v < 5": samples < 5, "v != 3": samples != 3, "not (v > 3)": samples <= 3,
                 "v == 4": samples == 4}
        for lost in (0, 1, 4, len(data) // 2, len(data) // 2 + 1, len(data) - 2, len(data) - 1):
            broken = bytearray(content)
            at, size, _, stored, count = data[lost]
            broken[at + size + stored // 2] ^= 4
            rec = self.write("broken.sdsz", bytes(broken))
            start = sum(s[4] for s in data[:lost]) * 0.1
            first = sum(s[4] for s in data[:lost]) * 10
            for condition, true in holds.items():
                whole = ranges(rec, condition)
                # The index knows sections that are true or false throughout; in others what was before holds on.
                true, gone = true.copy(), slice(first, first + 10 * count)
                if true[gone].any() and not true[gone].all():
                    true[gone] = lost > 0 and true[first - 1]
                edges = np.flatnonzero(np.diff(np.concatenate([[0], true, [0]]))).reshape(-1, 2) / 100
                if lost < len(data) - 1:
                    np.testing.assert_allclose(whole, edges, atol=1e-9, err_msg=str((lost, condition)))
                for a, b in ((start + 1, start + count * 0.1 - 1), (start - 5, start + 1), (start + 2, start + 120), (1, 300)):
                    a, b = max(0, round(a, 1)), round(b, 1)
                    expected = [(max(begin, a), min(end, b)) for begin, end in whole if min(end, b) > max(begin, a)]
                    self.assertEqual(ranges(rec, condition, "--from", a, "--to", b), expected, (lost, condition, a, b))

    def test_windows_and_resample_end_at_the_gaps_that_check_counts(self):
        # Blocks of 10 samples at nominal 100 Hz; steps in ms. A sensor of twice and of half the rate has no gaps, and three
        # steps of 40 ms more than usual are none where blocks are usually 100 ms apart, but are where these are 50 ms.
        for steps, gaps in (([50] * 39, []), ([200] * 39, []), ([100] * 10 + [140] * 3 + [100] * 26, []),
                            ([50] * 10 + [90] * 3 + [50] * 26, [11, 12, 13]), ([100] * 10 + [400] + [100] * 28, [11]),
                            ([100] * 20 + [-500] + [100] * 18, [21]), ([101], []), ([1000], [1]), ([1000, 1000], [])):
            ticks = np.cumsum([1000, *steps])
            with open(self.path("S.0.sds"), "wb") as out:
                out.write(plain(*((int(t), np.arange(10 * i, 10 * i + 10, dtype="<i2").tobytes()) for i, t in enumerate(ticks))))
            self.write("S.sds.yml", "sds:\n  name: S\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
            back = sum(step < 0 for step in steps)
            checked = json.loads(run("check", self.path("S.0.sds"), "--json", expect=1 if back else 0)[0])
            self.assertEqual(checked["recordings"][0]["streams"][0]["gaps"]["count"], len(gaps) - back, steps)
            run("export", "npz", self.path("S.0.sds"), "-s", "S", "--window", "200ms", "--stride", "100ms", "--unlabelled", "-f", "-o", self.path("d"), expect=0 if len(steps) > len(gaps) else 3)
            begins = [i for i in range(len(steps)) if i + 1 not in gaps]
            if begins:
                with np.load(self.path("d", "train.npz")) as data:
                    self.assertEqual([int(row[0, 0]) // 10 for row in data["x"]], begins, steps)
            report = json.loads(run("resample", self.path("S.0.sds"), "-s", "S", "--rate", 50, "-f", "-o", self.path("r.sdsz"), "--json")[0])
            told = [note for note in report["notes"] if "starts the filter anew" in note]
            self.assertEqual(told, [f"S: {len(gaps)} gap{'' if len(gaps) == 1 else 's'}, each starts the filter anew"] if gaps else [], steps)

    def test_normalized_rows_of_qeexo_count_from_the_first_block_of_all(self):
        recording = self.pack("r.sdsz", self.stream("A", 1010), self.stream("B", 3020))
        def times(*args):
            run("export", "qeexo", recording, *args, "-o", self.path("q.csv"), "-f")
            return [float(line.split(",")[0]) for line in self.read("q.csv").decode().splitlines()[1:]]
        # Rows of 50 ms are named by their ends: the block at 1010 ms is in the row up to 1050.
        self.assertEqual(times()[0], 1050)
        self.assertEqual(times("--normalize")[0], 50)
        self.assertEqual(times("--normalize", "-s", "B")[0], 50)  # of which the first block is at 3020
        # Samples stay in the row of their block: those from 5 s on of the blocks at 4910 and 4920 are in the row up to 4950.
        self.assertEqual(times("--from", 5)[0], 4950)
        self.assertEqual(times("--from", 5, "--normalize")[0], 3950)
        self.assertEqual([t - 1000 for t in times()], times("--normalize"))
        for row in times("--interval", 0.2):
            self.assertEqual(row % 200, 0)

    def test_qeexo_takes_the_samples_of_a_part_not_blocks(self):
        # A second of 100 samples a block: sample k is at k / 100 s.
        self.write("Q.sds.yml", "sds:\n  name: Q\n  sample-frequency: 100\n  content:\n    - {value: x, type: int16_t}\n")
        one = self.write("Q.0.sds", plain(*[(1000 * b, np.arange(100 * b, 100 * b + 100, dtype="<i2").tobytes()) for b in range(4)]))
        self.label("Q.0.labels.yml", ("sit", 0.2, 0.8), ("walk", 1.45, 2.1), ("sit", 1.0, 1.3))
        def rows(*args):
            run("export", "qeexo", one, *args, "-o", self.path("q.csv"), "-f")
            found = re.findall(r"^(\d+),\W*\[(.*)\]\W*,(\w*)\r?$", self.read("q.csv").decode(), re.M)
            return [(int(end), [int(x) for x in cell.split(",")], name) for end, cell, name in found]
        self.assertEqual(rows("--from", 0.2, "--to", 0.8), [(50, list(range(20, 80)), "sit")])
        self.assertEqual(rows("--from", 1.9, "--to", 2.05), [(1050, list(range(190, 200)), "walk"), (2050, list(range(200, 205)), "walk")])
        self.assertEqual(rows("--label", "walk"), [(1050, list(range(145, 200)), "walk"), (2050, list(range(200, 210)), "walk")])
        self.assertEqual(rows("--label", "sit"), [(50, list(range(20, 80)), "sit"), (1050, list(range(100, 130)), "sit")])
        self.assertEqual(rows("--label", "sit", "--label", "walk", "--from", 1), [
            (1050, [*range(100, 130), *range(145, 200)], "sit"), (2050, list(range(200, 210)), "walk")])
        # Of labels that overlap it is the one that sds label compare takes: begins last, else ends first, else the first by name.
        for labels, name in (([("a", 0, 4), ("b", 0, 3)], "b"), ([("b", 0, 3), ("a", 0, 3)], "a"), ([("b", 0, 3.5), ("a", 0.1, 4)], "b")):
            self.label("Q.0.labels.yml", *labels)
            self.assertEqual(rows()[0][2], name)

    def test_statistics_by_label_are_of_each_stream_by_itself(self):
        # Sample k of a stream has the value k and is at k / 100 s. Labels about A have 1 to 2 s, about B 4 to 6 s, of all 8 to 8.5 s.
        both = self.pack("ab.sdsz", self.stream("A"), self.stream("B"), self.stream("C"))
        self.label("ab.labels.yml", ("sit", 1, 2, "A"), ("sit", 4, 6, "B"), ("run", 8, 8.5), ("run", 2, 3, "B"))
        def said(*args, expect=0):
            out, err = run("stats", both, *args, "--json", expect=expect)
            return {c["stream"]: (c["count"], c["min"], c["max"]) for c in json.loads(out).get("channels", [])}, err
        got, err = said("--label", "sit")
        self.assertEqual(got, {"A": (100, 100, 199), "B": (200, 400, 599)})
        self.assertIn("stream C is left out: no label of the class 'sit' that is about it lies in the time that was asked for", err)
        got, err = said("--label", "run")
        self.assertEqual((got, err), ({"A": (50, 800, 849), "B": (150, 200, 849), "C": (50, 800, 849)}, ""))
        self.assertEqual(said("--label", "sit", "--from", 1.5, "--to", 4.1, "-s", "A", "-s", "B")[0], {"A": (50, 150, 199), "B": (10, 400, 409)})
        self.assertEqual(said("--label", "sit", "-s", "B")[0], {"B": (200, 400, 599)})
        self.assertIn("no sample is in the time", said("--label", "sit", "--from", 7, expect=2)[1])
        said("--label", "sit", "-s", "C", expect=2)

    def test_streams_of_which_nothing_is_chosen_are_left_out_of_every_format(self):
        recording = self.pack("ab.sdsz", self.stream("A"), self.stream("B", begin_ms=20_000))  # of A is [0, 10), of B [20, 30) s
        for form, out in (("hdf5", "a.h5"), ("npz", "a.npz"), ("mcap", "a.mcap"), ("qeexo", "a.csv"), ("csv", "a/"), ("wav", "w/")):
            _, err = run("export", form, recording, "--from", 1, "--to", 2, "-o", self.path("") + out)
            self.assertIn("stream B is left out: it has no sample in the time that was asked for", err, form)
        with h5py.File(self.path("a.h5")) as f, np.load(self.path("a.npz")) as z:
            self.assertEqual(set(f["ab"]), {"A"})
            self.assertEqual({name.split(".")[0] for name in z}, {"A"})
        self.assertTrue(self.read("a.csv").decode().startswith("timeslot,a,label"))

    def test_edge_impulse_leaves_streams_out_that_no_label_is_about(self):
        recording = self.pack("ab.sdsz", self.stream("A"), self.stream("B"))
        self.label("ab.labels.yml", ("sit", 1, 2, "B"))
        _, err = run("export", "edge-impulse", recording, "-o", self.path("all/"))
        self.assertIn("stream A is left out: no label is about it", err)
        self.assertEqual(os.listdir(self.path("all")), ["sit.ab.B.json"])
        # Chosen by itself it has no label that says what it is: a file, and a warning, as of a recording without labels.
        _, err = run("export", "edge-impulse", recording, "-s", "A", "-o", self.path("one/"))
        self.assertIn("stream A: no label is about it: from the name ab Edge Impulse takes 'ab' for the class", err)
        self.assertEqual(os.listdir(self.path("one")), ["ab.json"])

    # Label files by name

    def test_labels_in_another_file(self):
        recording = self.pack("w.sdsz", self.stream("A"))
        self.label("w.labels.yml", ("walk", 1, 2))
        before = self.read("w.labels.yml")
        other = ["--labels", self.path("mine.yml")]
        listed = lambda *args: [(l["class"], l["from"], l["to"]) for l in
                                json.loads(run("label", "list", recording, *args, "--json")[0])["labels"]]
        for command in (["list"], ["export"], ["check"], ["rm", "--all"], ["rename", "-c", "a", "--to", "b"]):
            run("label", command[0], recording, *command[1:], *other, expect=4 if command[0] in ("list", "export", "check") else 2)
            self.assertFalse(os.path.exists(self.path("mine.yml")), command)
        run("label", "add", recording, "-c", "a", "--from", 3, "--to", 4, *other)
        self.write("t.txt", "5\t6\tb\n")
        run("label", "import", recording, "-i", self.path("t.txt"), *other)
        run("label", "merge", recording, "--with", self.path("w.labels.yml"), *other)
        run("label", "rename", recording, "-c", "a", "--to", "c", *other)
        run("label", "move", recording, "-c", "c", "--by", 0.5, *other)
        self.assertEqual(listed(*other), [("walk", 1, 2), ("c", 3.5, 4.5), ("b", 5, 6)])
        self.assertEqual(run("label", "export", recording, *other)[0],
                         "1.000000\t2.000000\twalk\n3.500000\t4.500000\tc\n5.000000\t6.000000\tb\n")
        self.assertIn("3 labels, good", run("label", "check", recording, *other)[0])
        run("label", "auto", recording, "--threshold", 0, "--labels", self.path("auto.yml"))
        self.assertEqual(listed("--labels", self.path("auto.yml")), [("active", 0, 10)])
        self.assertEqual((self.read("w.labels.yml"), listed()), (before, [("walk", 1, 2)]))

    def test_all_labels_are_removed(self):
        plain_file = self.stream("A", label="walk")
        self.label("A.walk.labels.yml", ("a", 1, 2), ("b", 2, 3), ("a", 3, 4), head="  classes: [a, b]\n")
        labels = lambda: yaml.safe_load(self.read("A.walk.labels.yml"))["labels"]
        for more in (["-c", "a"], ["-n", 1]):
            _, err = run("label", "rm", plain_file, "--all", *more, expect=2)
            self.assertIn("--all is every label", err)
            run("label", "move", plain_file, "--all", *more, "--by", 1, expect=2)
        self.assertEqual(len(labels()["intervals"]), 3)
        run("label", "move", plain_file, "--all", "--by", 1)
        self.assertEqual([(l["class"], l["from"]) for l in labels()["intervals"]], [("a", 2), ("b", 3), ("a", 4)])
        self.assertIn("removed 3, 0 labels in all", run("label", "rm", plain_file, "--all")[0])
        # The file stays, so that the name of the recording does not become a class again, and so do the known classes.
        self.assertEqual((labels()["intervals"], labels()["classes"]), ([], ["a", "b"]))
        self.assertEqual(json.loads(run("label", "list", plain_file, "--json")[0])["labels"], [])
        self.assertIn("there are no labels", run("label", "rm", plain_file, "--all", expect=2)[1])


if __name__ == "__main__":
    main()
