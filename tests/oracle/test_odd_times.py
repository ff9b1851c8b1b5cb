"""Blocks that are empty, that differ in length and overlap those behind them, and clocks that step back: what the commands answer
is what an independent reading of the plain files gives, by docs/time.md, packed in one section and in many as well."""
import csv
import functools
import io
import os
import sys
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]

import peers

peers.use("numpy")

import numpy as np

from harness import main
from oracle_case import SCRATCH, SEEDS, Oracle, answer, run
from plain_recordings import Recording


@functools.cache
def odd_recording_of(seed):
    """(recording, its forms: (name, files))"""
    folder = os.path.join(SCRATCH.name, f"odd{seed}")
    os.mkdir(folder)
    recording = Recording(seed, odd=True)
    plain = recording.write(folder)
    forms = [("plain", plain)]
    for name, size in (("sections", 16), ("section", 16384)):
        packed = os.path.join(folder, name + ".sdsz")
        run("pack", *plain, "-o", packed, "--section-kib", size)
        forms.append((name, [packed]))
    return recording, forms


def parts_of(stream, seed):
    """Times within a stream, with three decimals; some begin or end on a block."""
    rng = np.random.default_rng(seed)
    for _ in range(3):
        edges = []
        for _ in range(2):
            at = float(stream.block_time(int(rng.integers(0, len(stream.ticks)))))
            edges.append(max(0, round(at + (float(rng.normal()) if rng.random() < 0.5 else 0), 3)))
        if edges[0] != edges[1]:
            yield min(edges), max(edges)


class OddTimes(Oracle):
    def each_form(self, check):
        for seed in SEEDS:
            recording, forms = odd_recording_of(seed)
            for form, files in forms:
                for stream in recording.streams:
                    with self.subTest(seed=seed, form=form, stream=stream.name):
                        check(stream, files, seed)

    def test_begin_end_and_gaps(self):
        def check(stream, files, _):
            for command in ("info", "check"):
                report = answer(command, *files, expect=(0, 1))
                said = {s["id"]: s for r in report["recordings"] for s in r["streams"]}[stream.name]
                self.assertEqual(said["blocks"], len(stream.ticks))
                self.near(said["begin"], stream.begin())
                self.near(said["end"], stream.end())
                if command == "check":
                    self.assertEqual(said["gaps"]["count"], stream.check_gaps())
        self.each_form(check)

    def test_samples_of_the_whole_and_of_parts(self):
        def check(stream, files, seed):
            x, _ = stream.physical()
            times = np.array(stream.seconds())
            for part in [None, *parts_of(stream, seed)]:
                kept = np.arange(len(times)) if part is None else stream.samples_within(*map(Fraction, map(str, part)))
                options = () if part is None else ("--from", part[0], "--to", part[1])
                out = run("export", "csv", *files, "-s", stream.name, *options, expect=(0,) if len(kept) else (2,))
                rows = list(csv.reader(io.StringIO(out)))[1:]
                self.assertEqual([float(row[0]) for row in rows], list(times[kept]), part)
                self.assertEqual([float(row[1]) for row in rows], list(x[kept]), part)
                report = answer("stats", *files, "-s", stream.name, *options, expect=(0,) if len(kept) else (2,))
                if len(kept):
                    said = {c["channel"]: c for c in report["channels"]}["x"]
                    self.assertEqual((said["count"], said["min"], said["max"]), (len(kept), x[kept].min(), x[kept].max()), part)
        self.each_form(check)

    def test_queries(self):
        def check(stream, files, seed):
            if len(files) > 1:  # a query takes one recording
                files = [path for path in files if os.path.basename(path) == f"{stream.name}.0.sds"]
            x, y = stream.physical()
            conditions = ((f"{stream.name}.x > 20", x > 20), (f"not ({stream.name}.x > 20)", ~(x > 20)),
                          (f"{stream.name}.x > -500", x > -500), (f"{stream.name}.x > 0 and {stream.name}.y != 1", (x > 0) & (y != 1)))
            for condition, holds in conditions:
                expected = stream.true_ranges(holds)
                times = np.array(stream.seconds())
                for part in [None, *parts_of(stream, seed)]:
                    options = () if part is None else ("--from", part[0], "--to", part[1])
                    a, b = (Fraction(0), Fraction(10 ** 12)) if part is None else map(Fraction, map(str, part))
                    true = [(max(begin, a), min(end, b)) for begin, end in expected]
                    true = [(begin, end) for begin, end in true if begin < end]
                    report = answer("query", *files, condition, *options, expect=(0, 1))
                    self.assertEqual(len(report["ranges"]), len(true), f"{condition} {part}")
                    for said, (begin, end) in zip(report["ranges"], true):
                        self.near(said["from"], begin)
                        self.near(said["to"], end)
                    self.assertEqual(report["samples"], int(np.sum(holds & (times >= float(a)) & (times < float(b)))), condition)
        self.each_form(check)

    def test_cuts(self):
        def check(stream, files, seed):
            out = os.path.join(SCRATCH.name, "odd_cut.sdsz")
            for a, b in parts_of(stream, seed):
                kept = stream.blocks_within(Fraction(str(a)), Fraction(str(b)))
                run("cut", *files, "-s", stream.name, "--from", a, "--to", b, "-o", out, "-f", expect=(0,) if kept else (2,))
                if not kept:
                    continue
                said = answer("info", out)["recordings"][0]["streams"][0]
                self.assertEqual((said["blocks"], said["samples"]), (len(kept), sum(stream.sizes[i] for i in kept)), (a, b))
                self.assertEqual((said["first_tick"], said["last_tick"]), (stream.ticks[kept[0]], stream.ticks[kept[-1]]), (a, b))
        self.each_form(check)


if __name__ == "__main__":
    main()
