"""What the commands answer about random recordings is what an independent reading of the plain files gives, by docs/time.md."""
import csv
import io
import json
import os
import shutil
import sys
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]

import peers

peers.use("numpy")

import numpy as np

from harness import main
from oracle_case import Oracle, answer, run


class Answers(Oracle):
    def test_info_and_check_say_when_streams_begin_and_end_and_where_gaps_are(self):
        def check(recording, files, _):
            for command in ("info", "check"):
                report = answer(command, *files)
                streams = {s["id"]: s for r in report["recordings"] for s in r["streams"]}
                for stream in recording.streams:
                    said = streams[stream.name]
                    self.assertEqual(said["blocks"], len(stream.ticks))
                    self.assertEqual((said["first_tick"], said["last_tick"]), (stream.ticks[0], stream.ticks[-1]))
                    self.near(said["begin"], stream.begin())
                    self.near(said["end"], stream.end())
                    self.near(said["duration"], stream.end() - stream.begin())
                    if command == "check":
                        self.assertEqual(said["gaps"]["count"], stream.check_gaps())
        self.each(check)

    def test_csv_has_every_sample_at_its_time(self):
        def check(recording, files, _):
            for stream in recording.streams:
                rows = list(csv.reader(io.StringIO(run("export", "csv", *files, "-s", stream.name))))
                self.assertEqual(rows[0], ["timeslot", "x", "y"])
                got = np.array([[float(v or "nan") for v in row] for row in rows[1:]])
                x, y = stream.physical()
                self.assertEqual(stream.seconds(), list(got[:, 0]))
                np.testing.assert_array_equal(got[:, 1], x)
                np.testing.assert_array_equal(got[:, 2].astype(np.float32), stream.y)
        self.each(check)

    def test_statistics(self):
        def check(recording, files, _):
            for options in ((), ("--exact",)):
                channels = {(c["stream"], c["channel"]): c
                            for c in answer("stats", *files, *options)["channels"]}
                for stream in recording.streams:
                    for name, values in zip("xy", stream.physical()):
                        said, numbers = channels[stream.name, name], values[~np.isnan(values)]
                        self.assertEqual((said["count"], said["nan"]), (len(numbers), len(values) - len(numbers)))
                        if len(numbers) == 0:
                            continue
                        self.assertEqual((said["min"], said["max"]), (numbers.min(), numbers.max()))
                        self.assertAlmostEqual(said["mean"], numbers.mean(), delta=1e-6)
        self.each(check)

    def test_queries(self):
        def check(recording, files, _):
            if len(files) > 1:
                return
            for stream in recording.streams:
                x, y = stream.physical()
                for condition, holds in ((f"{stream.name}.x > 20", x > 20), (f"{stream.name}.y < 0", y < 0),
                                         (f"not ({stream.name}.y < 0)", ~(y < 0)),
                                         (f"{stream.name}.x > 0 and {stream.name}.y != 1", (x > 0) & (y != 1))):
                    report = answer("query", *files, condition, expect=(0, 1))
                    expected = stream.true_ranges(holds)
                    self.assertEqual(len(report["ranges"]), len(expected), condition)
                    for said, (begin, end) in zip(report["ranges"], expected):
                        self.near(said["from"], begin)
                        self.near(said["to"], end)
                    # A part of the time has what the whole has in it.
                    a, b = (round(float(stream.begin() + (stream.end() - stream.begin()) * k / 5), 3) for k in (1, 3))
                    if a >= b:
                        continue
                    report = answer("query", *files, condition, "--from", a, "--to", b, expect=(0, 1))
                    part = [(max(begin, Fraction(str(a))), min(end, Fraction(str(b)))) for begin, end in expected]
                    part = [(begin, end) for begin, end in part if begin < end]
                    self.assertEqual(len(report["ranges"]), len(part), f"{condition} {a} {b}")
                    for said, (begin, end) in zip(report["ranges"], part):
                        self.near(said["from"], begin)
                        self.near(said["to"], end)
        self.each(check)

    def test_labels_of_a_query_choose_the_samples_that_lie_in_its_intervals(self):
        def check(recording, files, folder):
            if len(files) > 1:
                return
            copy = os.path.join(folder, "asked", os.path.basename(files[0]))
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            for stream in recording.streams:
                shutil.copy(files[0], copy)
                if not copy.endswith(".sdsz"):
                    shutil.copy(os.path.join(os.path.dirname(files[0]), stream.name + ".sds.yml"), os.path.dirname(copy))
                with open(os.path.splitext(copy)[0] + ".labels.yml", "w") as out:
                    out.write("labels:\n  tick-frequency: 50\n  intervals:\n    - {class: rest, begin: 1, end: 3}\n")
                ranges = answer("query", copy, f"{stream.name}.x > 20", expect=(0, 1))["ranges"]
                if not ranges:
                    continue
                run("query", copy, f"{stream.name}.x > 20", "--add-label", "asked", "--count")
                if not recording.has_exact_labels(stream):
                    continue
                for other in recording.streams:
                    times = np.array(other.seconds())
                    chosen = np.any([(times >= r["from"]) & (times < r["to"]) for r in ranges], axis=0)
                    out = run("export", "csv", copy, "-s", other.name, "--label", "asked", expect=(0, 2))
                    got = [float(line.split(",")[0]) for line in out.splitlines()[1:]]
                    self.assertEqual(got, list(times[chosen]), (stream.name, other.name))
        self.each(check)

    def test_windows_hold_the_samples_and_the_class_that_they_say(self):
        def check(recording, files, folder):
            for stream in recording.streams:
                if stream.rate is None or len(files) > 1:  # each of several plain files would be a recording
                    continue
                size, step = 8, 5
                if sum(stream.sizes) < size:
                    continue
                run("export", "npz", *files, "-s", stream.name, "--window", f"{float(size / stream.rate):.9f}s", "--stride",
                    f"{float(step / stream.rate):.9f}s", "--unlabelled", "-f", "-o", os.path.join(folder, "windows"),
                    expect=(0, 3))
                starts = [at for first, last in stream.pieces() for at in range(first, last - size + 1, step)]
                if not starts:
                    continue
                with np.load(os.path.join(folder, "windows", "train.npz")) as file:
                    data = dict(file)
                times = stream.sample_times()
                self.assertEqual([float(times[at]) for at in starts], list(data["begin"]))
                x, y = stream.physical()
                names = [n.decode() if isinstance(n, bytes) else str(n) for n in data["classes"]]
                for i, at in enumerate(starts):
                    np.testing.assert_array_equal(data["x"][i, :, 0], x[at:at + size].astype(np.float32))
                    np.testing.assert_array_equal(data["x"][i, :, 1], y[at:at + size].astype(np.float32))
                    begin, end = times[at], times[at + size - 1] + 1 / stream.rate
                    shares = sorted((recording.share(n, stream.name, begin, end), n) for n in ("walk", "run", "rest"))
                    if abs(shares[2][0] - Fraction(1, 2)) < Fraction(1, 10**6) or shares[2][0] == shares[1][0] > 0:
                        continue
                    said = names[data["y"][i]] if data["y"][i] >= 0 else ""
                    self.assertEqual(said, shares[2][1] if shares[2][0] > Fraction(1, 2) else "", f"window {i}")
        self.each(check)

    def test_parts_have_their_samples_labels_and_gaps(self):
        def check(recording, files, folder):
            for stream in recording.streams:
                rng = np.random.default_rng(len(stream.ticks))
                x, _ = stream.physical()
                for _ in range(3):
                    a, b = sorted(int(1000 * t) for t in rng.uniform(float(stream.begin()), float(stream.end()), 2))
                    kept = stream.samples_within(Fraction(a, 1000), Fraction(b, 1000))
                    if len(kept) == 0:
                        continue
                    part = ("-s", stream.name, "--from", a / 1000, "--to", b / 1000, "-f")
                    run("export", "npz", *files, *part, "--physical", "-o", os.path.join(folder, "part.npz"))
                    with np.load(os.path.join(folder, "part.npz")) as data:
                        np.testing.assert_array_equal(data[stream.name]["x"], x[kept])
                        said = [] if "labels.class" not in data else sorted(
                            (str(n), str(s), *(round(1000 * t) for t in span)) for n, s, span in
                            zip(data["labels.class"], data["labels.stream"], data["labels.time"]))
                    self.assertEqual(said, recording.labels_within(stream.name, a, b), (a, b))
                    if stream.rate is None:
                        continue
                    first, last = stream.block_of(kept[0]), stream.block_of(kept[-1])
                    gaps = sum(first <= i < last for i in stream.gap_steps())
                    notes = json.loads(run("export", "wav", *files, *part, "--json", "-o", os.path.join(folder, "part.wav")))
                    told = [int(note.split()[1]) for note in notes["outputs"][0]["notes"] if " in time " in note]
                    self.assertEqual(sum(told), gaps, (a, b, notes))
        self.each(check)

    def test_edge_impulse_has_a_file_an_event(self):
        def check(recording, files, folder):
            for stream in recording.streams:
                events = recording.events(stream.name)
                if stream.rate is None or not events:
                    continue
                stem = os.path.basename(files[0]).rsplit(".", 1)[0]
                x, _ = stream.physical()
                expected, not_finite = {}, False
                for name, spans in events.items():
                    for n, (begin, end) in enumerate(spans):
                        kept = stream.samples_within(Fraction(begin, 1000), Fraction(end, 1000))
                        number = f".{n + 1}" if len(spans) > 1 else ""
                        not_finite = not_finite or bool(np.isnan(stream.y[kept]).any())
                        if len(kept) > 0:
                            expected[f"{name}.{stem}{number}.json"] = list(x[kept])
                out = os.path.join(folder, "events." + stream.name + "." + os.path.splitext(files[0])[1][1:])
                if not_finite:  # Edge Impulse takes none
                    run("export", "edge-impulse", *files, "-s", stream.name, "-o", out + "/", expect=(3,))
                    continue
                run("export", "edge-impulse", *files, "-s", stream.name, "-o", out + "/", expect=(0,) if expected else (2,))
                got = {}
                for name in os.listdir(out) if expected else []:
                    with open(os.path.join(out, name)) as file:
                        got[name] = [row[0] for row in json.load(file)["payload"]["values"]]
                self.assertEqual(got, expected)
        self.each(check)

    def test_cuts_keep_the_blocks_that_have_a_part_in_the_time(self):
        def check(recording, files, folder):
            for stream in recording.streams:
                if stream.rate is None:
                    continue
                rng = np.random.default_rng(len(stream.ticks))
                a, b = sorted(rng.uniform(float(stream.begin()), float(stream.end()), 2))
                a, b = round(a, 3), round(b, 3)
                kept = stream.blocks_within(Fraction(str(a)), Fraction(str(b)))
                if a == b or not kept:
                    continue
                out = os.path.join(folder, "cut.sdsz")
                run("cut", *files, "-s", stream.name, "--from", a, "--to", b, "-o", out, "-f")
                run("unpack", out, "-d", os.path.join(folder, "cut"), "-f", expect=(0, 3))
                with open(os.path.join(folder, "cut", f"{stream.name}.0.sds"), "rb") as file:
                    data = file.read()
                at, slots = 0, []
                while at < len(data):
                    slots.append(int.from_bytes(data[at:at + 4], "little"))
                    at += 8 + int.from_bytes(data[at + 4:at + 8], "little")
                self.assertEqual(slots, [stream.ticks[i] & 0xFFFFFFFF for i in kept])
        self.each(check)


if __name__ == "__main__":
    main()
