"""Resampled streams, quality reports, labels by activity and statistics of parts, against an independent reading of the plain
files, by docs/time.md, docs/command-line.md, docs/quality.md and docs/labels.md."""
import bisect
import os
import struct
import sys
from collections import Counter
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]

import peers

peers.use("numpy", "yaml")

import numpy as np

from harness import main
from oracle_case import SCRATCH, SEEDS, Oracle, answer, part_of, recording_of, run
from plain_recordings import Recording
from sdsz_decoder import decode
from test_edits import blocks_of, labels_of


def folder_of(name, seed):
    folder = os.path.join(SCRATCH.name, f"{name}{seed}")
    os.mkdir(folder)
    return folder


def near_tick(tick, time, frequency):
    return abs(tick - time * frequency) <= Fraction(1, 2) + Fraction(1, 1000)


def held_by(times, until, edges):
    """How long the samples between these hold, each side of an edge by itself."""
    return sum(max(until[a:b]) - min(times[a:b]) for a, b in zip(edges, edges[1:]))


class Measures(Oracle):
    def test_statistics_of_a_part_are_those_of_its_samples(self):
        def check(recording, files, _):
            rng = np.random.default_rng(len(recording.labels))
            for _ in range(3):
                texts, (a, b) = part_of(recording, rng)
                if a == b:
                    continue
                kept = {s.name: s.samples_within(a, b) for s in recording.streams}
                none = all(len(k) == 0 for k in kept.values())
                report = answer("stats", *files, "--from", texts[0], "--to", texts[1], expect=(2,) if none else (0,))
                if none:
                    self.assertIn("no sample is in the time that was asked for", report["errors"][0]["message"])
                    continue
                channels = {(c["stream"], c["channel"]): c for c in report["channels"]}
                for stream in recording.streams:
                    for name, values in zip("xy", stream.physical()):
                        said, values = channels[stream.name, name], values[kept[stream.name]]
                        numbers = values[~np.isnan(values)]
                        self.assertEqual((said["count"], said["nan"]), (len(numbers), len(values) - len(numbers)))
                        if len(numbers) == 0:
                            self.assertEqual((said["min"], said["max"], said["mean"]), (None, None, None))
                            continue
                        self.assertEqual((said["min"], said["max"]), (numbers.min(), numbers.max()))
                        self.assertAlmostEqual(said["mean"], numbers.mean(), delta=1e-6)
                        self.assertAlmostEqual(said["deviation"], numbers.std(), delta=1e-6)
        self.each(check)

    def test_quality_is_that_of_the_blocks_and_values(self):
        def check(recording, files, _):
            report = answer("check", *files, "--quality")
            said_of = {s["id"]: s for r in report["recordings"] for s in r["quality"]["streams"]}
            for stream in recording.streams:
                said = said_of[stream.name]
                times, samples = stream.sample_times(), sum(stream.sizes)
                self.assertEqual((said["blocks"], said["samples"]), (len(stream.ticks), samples))
                self.near(said["duration_s"], stream.end() - stream.begin())
                steps = [int(step) for step in np.diff(stream.ticks)]
                usual = stream.sample_ticks()
                held = [usual * (size if stream.rate else 1) for size in stream.sizes[:-1]]
                gaps = stream.gap_steps()
                self.assertEqual(said["late_blocks"], len(gaps))
                covered = Fraction(sum(steps) - sum(steps[i] - held[i] for i in gaps), stream.tick_frequency)
                self.assertAlmostEqual(said["true_hz"] / float(sum(stream.sizes[:-1]) / covered), 1, delta=1e-9)
                if stream.rate:
                    self.near(said["nominal_hz"], stream.rate)
                    missing = sum(round((steps[i] - held[i]) / usual) for i in gaps)
                    self.assertLessEqual(abs(said["missing_samples"] - missing), len(gaps), (said["true_hz"], said["nominal_hz"]))
                off = [abs(step - own) / own for step, own in zip(steps, held)]
                limits = [Fraction(n, 100) for n in (1, 5, 10, 25, 50, 100)]
                if not any(abs(o - limit) < Fraction(1, 10**9) for o in off for limit in limits):
                    buckets = Counter(bisect.bisect_left(limits, o) for o in off)
                    self.assertEqual(said["jitter"], [buckets[i] for i in range(7)])
                for channel, values in zip(said["channels"], stream.physical()):
                    numbers = values[~np.isnan(values)]
                    self.assertEqual((channel["count"], channel["nan"], channel["infinite"]),
                                     (len(numbers), len(values) - len(numbers), 0))
                    if len(numbers) == 0:
                        self.assertEqual({channel[of] for of in ("min", "max", "mean", "deviation", "noise")}, {None})
                        continue
                    self.assertEqual((channel["min"], channel["max"]), (numbers.min(), numbers.max()))
                    self.assertAlmostEqual(channel["mean"], numbers.mean(), delta=1e-6)
                    self.assertAlmostEqual(channel["deviation"], numbers.std(), delta=1e-6)
                    pieces = numbers[:len(numbers) // 256 * 256].reshape(-1, 256).std(axis=1)
                    if len(pieces) == 0:  # too few do not tell
                        self.assertIsNone(channel["noise"])
                    else:
                        self.assertAlmostEqual(channel["noise"], min(pieces), delta=1e-6)
                x = stream.physical()[0]
                channel = said["channels"][0]
                self.assertAlmostEqual(channel["range_used"], np.abs(stream.x.astype(int)).max() / 32768, delta=1e-12)
                # Runs of equal values: each holds until the next sample; the last one, and one whose next is earlier, for one
                # interval. What blocks that overlap hold at once counts once, what both sides of a step back hold twice.
                interval = 1 / stream.rate if stream.rate else stream.mean_step()
                edges = [0, *(int(i) + 1 for i in np.flatnonzero(np.diff(x))), samples]
                until = [b if b >= a else a + interval for a, b in zip(times, times[1:])] + [times[-1] + interval]
                back = stream.samples_behind_steps_back()
                ends = [times[a] + held_by(times, until, [a, *(i for i in back if a < i < b), b]) for a, b in zip(edges, edges[1:])]
                # The longest in time of those that have two values, or the first value.
                runs = [(end - times[a], a, b - a) for a, b, end in zip(edges, edges[1:], ends) if b - a > 1]
                held, first, longest = max(runs, key=lambda run: (run[0], -run[1]), default=(ends[0] - times[0], 0, 1))
                until = times[first] + held
                self.assertEqual(channel["longest_run"], longest)
                self.near(channel["longest_run_at_s"], times[first])
                self.near(channel["longest_run_s"], until - times[first])
        self.each(check)

    def test_resampled_streams_have_the_times_gaps_labels_and_values_of_the_input(self):
        for seed in SEEDS:
            recording, folder = Recording(seed), folder_of("resample", seed)
            rng = np.random.default_rng(seed)
            for stream in recording.streams:
                if stream.rate is None:
                    continue
                # A constant, and a ramp with a sine of a hundredth of the rate, anew in each piece.
                stream.x[:] = 40
                for begin, end in stream.pieces():
                    n = np.arange(end - begin)
                    stream.y[begin:end] = 3 + n * 0.01 + np.sin(2 * np.pi * n / 100 + begin)
            paths = recording.write(folder)
            packed = os.path.join(folder, "all.sdsz")
            run("pack", *paths, "-o", packed)
            for stream in recording.streams:
                if stream.rate is None:
                    continue
                with self.subTest(seed=seed, stream=stream.name):
                    ratio = Fraction(str(rng.choice(["0.5", "2", "0.7", "3.1", "0.04"])))
                    rate = Fraction(f"{float(stream.rate * ratio):.6f}")
                    out = os.path.join(folder, "out.sdsz")
                    run("resample", packed, "-s", stream.name, "--rate", f"{float(rate):.6f}", "-o", out, "-f")
                    run("unpack", out, "-d", os.path.join(folder, "plain"), "-f", expect=(0, 3))
                    self.check_resampled(stream, rate, blocks_of(os.path.join(folder, "plain", f"{stream.name}.0.sds")))
                    self.assertEqual(labels_of(out[:-5] + ".labels.yml"),
                                     Counter((l.name, l.stream, *l.span()) for l in recording.labels if l.stream in ("", stream.name)))

    def test_resampled_streams_keep_clock_pairs_and_losses(self):
        folder = folder_of("clocks", 0)
        with open(os.path.join(folder, "t.csv"), "w") as out:
            out.write("time,x\n" + "".join(f"{1.7e9 + i / 100:.2f},{i}\n" for i in range(1000)))
        with open(os.path.join(folder, "t.wav"), "wb") as out:  # 2,000 of 20,000 bytes are there
            out.write(struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 20036, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", 20000))
            out.write(bytes(2000))
        for form, name, rate, code in (("csv", "t.csv", 50, 0), ("audio", "t.wav", 8000, 3)):
            source, out = os.path.join(folder, form + ".sdsz"), os.path.join(folder, form + ".out.sdsz")
            run("import", form, os.path.join(folder, name), "-o", source, expect=(code,))
            run("resample", source, "-s", "t", "--rate", rate, "-o", out)
            before, after = (decode(path).streams[0] for path in (source, out))
            self.assertEqual(after.clocks, before.clocks)
            self.assertEqual([reason for _, reason in after.gaps], [reason for _, reason in before.gaps])
            self.assertEqual((len(before.clocks), len(before.gaps)), (1, 0) if form == "csv" else (0, 1))

    def check_resampled(self, stream, rate, blocks):
        first_blocks = [0, *(i + 1 for i in stream.gap_steps()), len(stream.ticks)]
        begins = [stream.ticks[i] & 0xFFFFFFFF for i in first_blocks[:-1]]
        at = 0
        for n, ((begin, end), first, last) in enumerate(zip(stream.pieces(), first_blocks, first_blocks[1:])):
            length = end - begin
            # The first output is the first sample. A piece that is shorter than a sample of the output has none.
            if at == len(blocks) or blocks[at][0] != begins[n]:
                self.assertLessEqual(length * rate / stream.rate, 1 + Fraction(1, 10**6))
                continue
            behind = at + 1
            while behind < len(blocks) and blocks[behind][0] not in begins[n + 1:]:
                behind += 1
            starts = np.cumsum([0, *stream.sizes[first:last]])
            made, values = 0, []
            for slot, data in blocks[at:behind]:
                position = made * stream.rate / rate  # in samples of the input, since the piece began
                times = [stream.block_time(first + k) + (position - int(starts[k])) / stream.rate
                         for k in range(last - first)
                         if starts[k] <= position + Fraction(1, 10**6) and (k + 1 == last - first or position <= starts[k + 1] + Fraction(1, 10**6))]
                self.assertTrue(any(near_tick(slot, time % Fraction(1 << 32, stream.tick_frequency), stream.tick_frequency)
                                    for time in times), (slot, [float(t) * stream.tick_frequency for t in times]))
                values.append(np.frombuffer(data, "<f4").reshape(-1, 2))
                made += len(data) // 8
            values = np.concatenate(values)
            self.assertLess(abs(made - length * rate / stream.rate), 1 + Fraction(1, 10**6))
            positions = np.arange(made) * float(stream.rate / rate)
            np.testing.assert_allclose(values[:, 0], 17, rtol=1e-5)
            true = 3 + positions * 0.01 + np.sin(2 * np.pi * positions / 100 + begin)
            if rate * 10 > stream.rate and length > 100:  # the sine is well within the new band
                off = np.abs(values[:, 1] - true) - 1e-5 * np.abs(true)
                within = 0.001 if rate * 4 >= stream.rate else 0.007
                self.assertLessEqual(off[positions <= length - 1].max(), within)
                self.assertLessEqual(off.max(), max(within, 0.004))
            at = behind
        self.assertEqual(at, len(blocks))

    def test_activity_is_where_the_signal_is_louder(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                folder, rng = folder_of("activity", seed), np.random.default_rng(seed)
                rate = int(rng.choice([100, 400, 1600]))
                block = rate // 10
                # Bursts of 20 times the noise, with silence between, in blocks of 0.1 s; sometimes a gap in one.
                loud = np.concatenate([np.repeat([False, True], rng.integers(5, 15, 2)) for _ in range(5)] + [[False] * 8])
                steps = np.full(len(loud), 100)
                lost = [int(i) for i in np.flatnonzero(rng.random(len(loud)) < 0.05) if 0 < i < len(loud) - 1]
                steps[lost] += 1000
                ticks = 5000 + np.concatenate([[0], np.cumsum(steps[1:])])
                values = rng.normal(size=(len(loud), block, 2)) * np.where(loud, 20, 1)[:, None, None] + [3, -500]
                with open(os.path.join(folder, "S.0.sds"), "wb") as out:
                    for tick, rows in zip(ticks, values):
                        out.write(struct.pack("<II", int(tick), 8 * block) + rows.astype("<f4").tobytes())
                with open(os.path.join(folder, "S.sds.yml"), "w") as out:
                    out.write(f"sds:\n  name: S\n  sample-frequency: {rate}\n  content:\n"
                              "    - {value: a, type: float}\n    - {value: b, type: float}\n")
                path = os.path.join(folder, "S.0.sds")
                run("label", "auto", path, "-s", "S", "--threshold", "6", "--silent", "quiet", "--min-active", "0.15", "--min-silent", "0.15")
                # Of each stretch without a gap, runs of loud and of quiet blocks; what is shorter than 0.15 s depends on the frames.
                expected, begin = [], 0
                for i in range(1, len(loud) + 1):
                    if i == len(loud) or loud[i] != loud[begin] or i in lost:
                        expected.append(("active" if loud[begin] else "quiet", int(ticks[begin]), int(ticks[i - 1]) + 100))
                        begin = i
                said = sorted((name, begin, end) for name, _, begin, end in labels_of(path[:-4] + ".labels.yml"))
                said = sorted(said, key=lambda l: l[1])
                if any(end - begin < 200 for _, begin, end in expected):
                    continue
                self.assertEqual([name for name, _, _ in said], [name for name, _, _ in expected])
                for (_, begin, end), (_, true_begin, true_end) in zip(said, expected):
                    self.assertLessEqual(abs(begin * 1000 - true_begin), 51)
                    self.assertLessEqual(abs(end * 1000 - true_end), 51)


if __name__ == "__main__":
    main()
