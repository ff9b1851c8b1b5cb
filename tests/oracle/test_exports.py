"""Exports of random recordings hold the samples, times and labels that an independent reading of the plain files gives, by
docs/time.md and docs/exports.md: whole, a part, normalized."""
import csv
import io
import math
import os
import re
import sys
from collections import Counter
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]

import peers

peers.use("numpy", "h5py", "mcap", "soundfile", "yaml")

import h5py
import json
import numpy as np
import soundfile
import yaml
from mcap.reader import make_reader

from harness import main
from oracle_case import Oracle, answer, part_of, run


class Asked:
    """One way to ask for an export: options, and what is in it."""

    def __init__(self, recording, options=(), part=None, normalized=False, only=None):
        self.options = [*options]
        if part:
            texts, (self.begin, self.end) = part
            self.options += ["--from", texts[0], "--to", texts[1]]
        else:
            self.begin = self.end = None
        if normalized:
            self.options.append("--normalize")
        if only:
            self.options += ["-s", only]
        self.normalized = normalized
        self.recording = recording
        # Streams without a sample in the part are left out, and labels about them.
        self.streams = [s for s in recording.streams if only in (None, s.name) and self.samples(s)[0]]

    def samples(self, stream):
        """(numbers of the samples, their times as doubles)"""
        counts, clock = stream.sample_counts(), stream.clock
        first, last = min(counts), max(counts) + 1
        if self.begin is not None:
            first, last = math.ceil(self.begin * clock), math.ceil(self.end * clock)
        kept = [i for i, n in enumerate(counts) if first <= n < last]
        shift = counts[0] if self.normalized else 0
        return kept, [(counts[i] - shift) / clock for i in kept]

    def empty(self):
        return not self.streams

    def samples_in(self, stream, begin, end):
        """Which of the samples are in [begin, end), fractions: by whole numbers of 1 / `clock` s."""
        counts = stream.sample_counts()
        shift = counts[0] if self.normalized else 0
        first, last = (math.ceil(edge * stream.clock) + shift for edge in (begin, end))
        return tuple(i for i, n in enumerate(self.samples(stream)[0]) if first <= counts[n] < last)

    def labels(self):
        """How often each (class, stream, begin, end), to six digits."""
        told = Counter()
        for (name, stream, begin, end), count in self.exact_labels().items():
            told[name, stream, round(float(begin), 6), round(float(end), 6)] += count
        return told

    def exact_labels(self):
        """How often each (class, stream, begin, end): shortened to the part, moved with the samples, as fractions."""
        told = Counter()
        shifts = {s.name: s.begin() if self.normalized else 0 for s in self.streams}
        for label in self.recording.labels:
            if label.stream and label.stream not in shifts:
                continue
            begin, end = label.span()
            if self.begin is not None:
                begin, end = max(begin, self.begin), min(end, self.end)
                if begin >= end:
                    continue
            if label.stream or len(set(shifts.values())) == 1:
                moves = [(label.stream, shifts[label.stream] if label.stream else next(iter(shifts.values())))]
            else:
                moves = list(shifts.items())
            for stream, shift in moves:
                told[label.name, stream, begin - shift, end - shift] += 1
        return told


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


class Exports(Oracle):
    def asked(self, recording):
        rng = np.random.default_rng(len(recording.streams[0].ticks))
        only = recording.streams[-1].name
        for question in (Asked(recording), Asked(recording, part=part_of(recording, rng)), Asked(recording, normalized=True),
                         Asked(recording, part=part_of(recording, rng), normalized=True),
                         Asked(recording, part=part_of(recording, rng), only=only)):
            if not question.empty():
                yield question

    def same_labels(self, question, classes, streams, spans, times_of=None):
        said = Counter((text(c), text(s), round(float(a), 6), round(float(b), 6))
                       for c, s, (a, b) in zip(classes, streams, spans))
        self.assertEqual(said, question.labels(), question.options)
        if times_of is None:
            return
        # Which samples lie in each label, by the doubles that are told and by exact fractions.
        told = Counter((text(c), text(s), stream, tuple(np.flatnonzero((np.asarray(times_of[stream]) >= a) & (np.asarray(times_of[stream]) < b))))
                       for c, s, (a, b) in zip(classes, streams, spans) for stream in times_of if text(s) in ("", stream))
        true = Counter()
        for stream in question.streams:
            for (name, about, begin, end), count in question.exact_labels().items():
                if about in ("", stream.name):
                    true[name, about, stream.name, question.samples_in(stream, begin, end)] += count
        self.assertEqual(told, true, question.options)

    def test_npz(self):
        def check(recording, files, folder):
            for question in self.asked(recording):
                out = os.path.join(folder, "x.npz")
                run("export", "npz", *files, "-o", out, "-f", *question.options)
                with np.load(out) as data:
                    self.assertEqual({n for n in data if len(n) == 1}, {s.name for s in question.streams})
                    for stream in question.streams:
                        kept, times = question.samples(stream)
                        self.assertEqual(times, list(data[f"{stream.name}.time"]), question.options)
                        np.testing.assert_array_equal(data[stream.name]["x"], stream.x[kept])
                        np.testing.assert_array_equal(data[stream.name]["y"], stream.y[kept])
                    spans = data["labels.time"] if "labels.time" in data else []
                    classes, streams = (data[k] if k in data else [] for k in ("labels.class", "labels.stream"))
                    self.same_labels(question, classes, streams, spans,
                                     {s.name: data[f"{s.name}.time"] for s in question.streams})
        self.each(check)

    def test_hdf5(self):
        def check(recording, files, folder):
            for question in self.asked(recording):
                out = os.path.join(folder, "x.h5")
                run("export", "hdf5", *files, "-o", out, "-f", *question.options)
                with h5py.File(out) as data:
                    group = next(iter(data.values()))
                    self.assertEqual(set(group) - {"labels"}, {s.name for s in question.streams})
                    for stream in question.streams:
                        kept, times = question.samples(stream)
                        self.assertEqual(times, list(group[stream.name]["time"]), question.options)
                        np.testing.assert_array_equal(group[stream.name]["x"], stream.x[kept])
                        np.testing.assert_array_equal(group[stream.name]["y"], stream.y[kept])
                    labels = group.get("labels")
                    self.same_labels(question, *(([], [], []) if labels is None else (
                        labels["class"], labels["stream"], np.stack([labels["begin"], labels["end"]], axis=1))),
                        {s.name: group[s.name]["time"][:] for s in question.streams})
        self.each(check)

    def test_csv(self):
        def check(recording, files, _):
            for question in self.asked(recording):
                for stream in question.streams:
                    kept, times = question.samples(stream)
                    if not kept:
                        continue
                    options = [o for o in question.options if o not in ("-s", stream.name)]
                    rows = list(csv.reader(io.StringIO(run("export", "csv", *files, "-s", stream.name, *options))))
                    self.assertEqual(times, [float(row[0]) for row in rows[1:]], question.options)
                    np.testing.assert_array_equal([float(row[1]) for row in rows[1:]], stream.x[kept] * 0.5 - 3)
        self.each(check)

    def qeexo_values(self, folder, files, options, names):
        """Of each stream the values of x, row after row."""
        out = os.path.join(folder, "q.csv")
        run("export", "qeexo", *files, "-o", out, "-f", *options)
        with open(out, newline="") as file:
            rows = list(csv.reader(file))
        column = {name: rows[0].index(name.lower()) for name in names if name.lower() in rows[0]}
        return {name: [int(x) for row in rows[1:] for x in re.findall(r"\[(-?\d+), ", row[at])] for name, at in column.items()}

    def test_qeexo(self):
        csv.field_size_limit(1 << 26)
        def check(recording, files, folder):
            for question in self.asked(recording):
                got = self.qeexo_values(folder, files, question.options, [s.name for s in question.streams])
                for stream in question.streams:
                    self.assertEqual(got[stream.name], list(stream.x[question.samples(stream)[0]]), question.options)
        self.each(check)

    def test_parts_by_label_have_the_samples_in_the_labels(self):
        def check(recording, files, folder):
            for name in {label.name for label in recording.labels}:
                chosen = {}
                for stream in recording.streams:
                    kept = [k for a, b in recording.events(stream.name).get(name, ())
                            for k in stream.samples_within(Fraction(a, 1000), Fraction(b, 1000))]
                    chosen[stream.name] = list(stream.x[sorted(set(kept))])
                if not any(chosen.values()):
                    run("export", "qeexo", *files, "-o", os.path.join(folder, "q.csv"), "-f", "--label", name, expect=(2,))
                    continue
                said = self.qeexo_values(folder, files, ["--label", name], chosen)
                self.assertEqual({n: said.get(n, []) for n in chosen}, chosen, name)
                run("export", "npz", *files, "-o", os.path.join(folder, "l.npz"), "-f", "--label", name)
                with np.load(os.path.join(folder, "l.npz")) as data:
                    self.assertEqual({n: list(data[n]["x"]) if n in data else [] for n in chosen}, chosen, name)
                stats = {(c["stream"], c["channel"]): c for c in answer("stats", *files, "--label", name)["channels"]}
                for stream, values in chosen.items():
                    said = stats.get((stream, "x"), {"count": 0})
                    self.assertEqual(said["count"], len(values), (name, stream))
                    if values:
                        self.assertEqual((said["min"], said["max"]), (min(values) * 0.5 - 3, max(values) * 0.5 - 3))
        self.each(check)

    def test_label_tables_and_tracks(self):
        def check(recording, files, folder):
            if len(files) > 1:
                return  # labels are of one file
            questions = [Asked(recording), Asked(recording, normalized=True)]
            for question in questions + [Asked(recording, normalized=True, only=s.name) for s in recording.streams]:
                times = {stream.name: question.samples(stream)[1] for stream in question.streams}
                rows = list(csv.DictReader(io.StringIO(run("label", "export", *files, "--format", "csv", *question.options))))
                spans = [(float(row["from"]), float(row["to"])) for row in rows]
                self.same_labels(question, [r["class"] for r in rows], [r["stream"] for r in rows], spans, times)
                if question.normalized and len(times) > 1:
                    continue
                rows = [line.split("\t") for line in run("label", "export", *files, *question.options).splitlines()]
                spans = [(float(row[0]), float(row[1])) for row in rows]
                names = [label.name for label in recording.labels if label.stream in ("", *times)]
                self.assertEqual(sorted(names), sorted(r[2] for r in rows))
                for stream in question.streams:
                    at = np.array(times[stream.name])
                    told = Counter((r[2], tuple(np.flatnonzero((at >= a) & (at < b)))) for r, (a, b) in zip(rows, spans))
                    true = Counter()
                    for (name, _, begin, end), count in question.exact_labels().items():
                        true[name, question.samples_in(stream, begin, end)] += count
                    self.assertEqual(told, true, question.options)
        self.each(check)

    def test_mcap(self):
        def check(recording, files, folder):
            for question in self.asked(recording):
                out = os.path.join(folder, "x.mcap")
                run("export", "mcap", *files, "-o", out, "-f", *question.options)
                with open(out, "rb") as file:
                    reader = make_reader(file)
                    told = {stream.name: ([], []) for stream in question.streams}
                    for _, channel, message in reader.iter_messages(log_time_order=False):
                        times, values = told[channel.topic[1:]]
                        times.append(message.log_time)
                        values.append(json.loads(message.data)["x"])
                    log_times = told
                    metadata = {m.name: m.metadata for m in reader.iter_metadata()}
                for stream in question.streams:
                    kept, times = question.samples(stream)
                    said = told[stream.name]
                    self.assertEqual(len(said[0]), len(kept), question.options)
                    if kept:
                        true = np.array(times) * 1e9
                        np.testing.assert_array_less(abs(np.array(said[0], float) - true), 1.5 + abs(true) / 2**50)
                    np.testing.assert_array_equal(said[1], stream.x[kept] * 0.5 - 3)
                told = metadata.get("sds-labels")
                labels = yaml.safe_load(told["yaml"])["labels"]["intervals"] if told else []
                times = [[int(t) / 1e9 for t in line.split()] for line in told["log-times"].splitlines()] if told else []
                self.same_labels(question, [l["class"] for l in labels], [l.get("stream", "") for l in labels], times,
                                 {name: np.array(said[0]) / 1e9 for name, said in log_times.items()})
        self.each(check)

    def test_wav(self):
        def check(recording, files, folder):
            for question in self.asked(recording):
                if question.normalized:
                    continue
                for stream in question.streams:
                    kept, _ = question.samples(stream)
                    if not kept or stream.rate is None or stream.rate < 1:
                        continue
                    out = os.path.join(folder, "x.wav")
                    options = [o for o in question.options if o not in ("-s", stream.name)]
                    run("export", "wav", *files, "-s", stream.name, "-o", out, "-f", *options)
                    data, rate = soundfile.read(out, dtype="float32")
                    self.assertEqual(rate, round(stream.rate))
                    np.testing.assert_array_equal(data[:, 0], stream.x[kept])
                    np.testing.assert_array_equal(data[:, 1], stream.y[kept])
        self.each(check)

    def test_windows_of_several_streams(self):
        near = Fraction(2, 10**9)  # an instant, and one that is not it but so near, may be taken for each other

        def check(recording, files, folder):
            if len(files) > 1:  # each of several plain files would be a recording
                return
            rated = [s for s in recording.streams if s.rate is not None]
            for count in {min(2, len(rated)), len(rated)} - {0, 1}:
                check_streams(recording, files, folder, rated[:count])

        def check_streams(recording, files, folder, streams):
            common = [(0, Fraction(10**12))]
            for stream in streams:
                common = [(max(a, c), min(b, d)) for a, b in common for c, d in self.stretches(stream) if max(a, c) < min(b, d)]
            longest = max((b - a for a, b in common), default=Fraction(0))
            window = Fraction(f"{float(longest) / 4.5:.3f}")
            stride = Fraction(f"{float(window) * 0.6:.3f}")
            if stride == 0 or max(s.rate for s in streams) * window > 500_000 or stride * max(s.rate for s in streams) < 1:
                return
            options = [o for s in streams for o in ("-s", s.name)]
            run("export", "npz", *files, *options, "--window", f"{float(window):.3f}s", "--stride", f"{float(stride):.3f}s",
                "--unlabelled", "-f", "-o", os.path.join(folder, "joint"))
            begins = []
            for a, b in common:
                if abs((b - a - window) / stride - round((b - a - window) / stride)) * stride < near and (b - a - window) % stride != 0:
                    return
                begins += [a + k * stride for k in range(math.floor((b - a - window) / stride) + 1)]
            with np.load(os.path.join(folder, "joint", "train.npz")) as file:
                data = dict(file)
            np.testing.assert_allclose(data["begin"], [float(b) for b in begins], rtol=1e-15, atol=1e-9)
            names = [str(n) for n in data["classes"]]
            for stream in streams:
                times, (x, y) = stream.sample_times(), stream.physical()
                at_float = np.array([float(t) for t in times])
                xs, counts = data["x." + stream.name], data["count." + stream.name]
                self.assertEqual(xs.shape[1], max(1, round(window * stream.rate), max(counts)))
                for i, begin in enumerate(begins):
                    edges = (begin, begin + window)
                    some = np.flatnonzero((at_float >= float(edges[0]) - 1e-6) & (at_float <= float(edges[1]) + 1e-6))
                    if any(0 < abs(times[k] - edge) < near for k in some for edge in edges):
                        continue
                    kept = [k for k in some if edges[0] <= times[k] < edges[1] and k >= self.first_of(stream, edges[0])]
                    self.assertEqual(counts[i], len(kept), (stream.name, i))
                    np.testing.assert_array_equal(xs[i, :len(kept), 0], x[kept].astype(np.float32))
                    np.testing.assert_array_equal(xs[i, :len(kept), 1], y[kept].astype(np.float32))
                    self.assertTrue(np.isnan(xs[i, len(kept):]).all())
            for i, begin in enumerate(begins):
                shares = sorted((self.share(recording, n, [s.name for s in streams], begin, begin + window), n) for n in ("walk", "run", "rest"))
                if abs(shares[2][0] - Fraction(1, 2)) < Fraction(1, 10**6) or shares[2][0] - shares[1][0] < Fraction(1, 10**6) and shares[1][0] > 0:
                    continue
                said = names[data["y"][i]] if data["y"][i] >= 0 else ""
                self.assertEqual(said, shares[2][1] if shares[2][0] > Fraction(1, 2) else "", f"window {i}")
        self.each(check)

    def stretches(self, stream):
        """[begin, end) between gaps; none begins where one before it reaches."""
        stretches, until = [], Fraction(-1)
        for first, last in stream.pieces():
            blocks = range(stream.block_of(first), stream.block_of(last - 1) + 1)
            begin = max(stream.block_time(blocks[0]), until)
            until = max(begin, *(stream.block_time(i) + stream.sizes[i] / stream.rate for i in blocks))
            stretches.append((begin, until))
        return stretches

    def first_of(self, stream, time):
        """The first sample of the piece that a window that begins at `time` lies in."""
        for (first, _), (begin, end) in zip(stream.pieces(), self.stretches(stream)):
            if begin - Fraction(1, 10**9) <= time < end:
                return first
        raise AssertionError(f"{float(time)} is in no piece of {stream.name}")

    def share(self, recording, name, streams, begin, end):
        """How much of [begin, end) labels of a class cover that are about one of the streams, or the whole recording."""
        covered, until = Fraction(0), begin
        for a, b in sorted(l.span() for l in recording.labels if l.name == name and l.stream in ("", *streams)):
            a, b = max(a, until), min(b, end)
            if b > a:
                covered, until = covered + b - a, b
        return covered / (end - begin)


if __name__ == "__main__":
    main()
