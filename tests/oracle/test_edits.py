"""Merges, cuts, labels and splits of random recordings, and queries over several streams, against an independent reading of the
plain files, by docs/time.md, docs/labels.md and docs/exports.md."""
import os
import shutil
import struct
import sys
from collections import Counter
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]

import peers

peers.use("numpy", "yaml")

import numpy as np
import yaml

from harness import main
from oracle_case import SEEDS, Oracle, answer, part_of, recording_of, run
from plain_recordings import Label


def blocks_of(path):
    """[(timeslot, data)] of a plain .sds file."""
    with open(path, "rb") as file:
        data = file.read()
    at, blocks = 0, []
    while at < len(data):
        slot, size = struct.unpack_from("<II", data, at)
        blocks.append((slot, data[at + 8:at + 8 + size]))
        at += 8 + size
    return blocks


def labels_of(path):
    """How often each (class, stream, begin, end)."""
    if not os.path.exists(path):
        return Counter()
    with open(path) as file:
        labels = yaml.safe_load(file)["labels"]
    hz = labels.get("tick-frequency", 1000)
    return Counter((l["class"], l.get("stream", ""), Fraction(l["begin"]) / hz, Fraction(l["end"]) / hz)
                   for l in labels["intervals"] or [])


def joined(spans):
    result = []
    for begin, end in sorted(s for s in spans if s[0] < s[1]):
        if result and begin <= result[-1][1]:
            result[-1][1] = max(result[-1][1], end)
        else:
            result.append([begin, end])
    return result


def common(a, b):
    """Of two lists of spans in order."""
    both, i, k = [], 0, 0
    while i < len(a) and k < len(b):
        both.append([max(a[i][0], b[k][0]), min(a[i][1], b[k][1])])
        if a[i][1] < b[k][1]:
            i += 1
        else:
            k += 1
    return joined(both)


def seconds(spans):
    return sum((end - begin for begin, end in joined(spans)), Fraction(0))


def annotation(labels, instant):
    """The class at an instant: of labels that overlap the one that begins last, then the one that ends first, then by name."""
    over = [l for l in labels if l.begin <= instant < l.end]
    return min(over, key=lambda l: (-l.begin, l.end, l.name)).name if over else ""


def agreement(a, b):
    """({(class of a, class of b): ms}, Cohen's kappa or None) of two lists of labels; streams that labels are about
    are annotated one by one."""
    table = Counter()
    edges = sorted({edge for l in a + b for edge in (l.begin, l.end)})
    streams = sorted({l.stream for l in a + b} - {""}) or [""]
    for stream in streams:
        left, right = ([l for l in side if l.stream in ("", stream)] for side in (a, b))
        for begin, end in zip(edges, edges[1:]):
            table[annotation(left, begin), annotation(right, begin)] += end - begin
    whole = sum(table.values())
    if whole == 0:
        return table, None
    agreed = Fraction(sum(t for (x, y), t in table.items() if x == y), whole)
    of_a, of_b = Counter(), Counter()
    for (x, y), t in table.items():
        of_a[x] += t
        of_b[y] += t
    chance = sum(Fraction(of_a[name] * of_b[name], whole * whole) for name in of_a)
    return table, None if chance == 1 else (agreed - chance) / (1 - chance)


class Edits(Oracle):
    def test_merged_streams_are_the_inputs_and_labels_are_about_what_they_were_about(self):
        for first, second in zip(SEEDS[::2], SEEDS[1::2]):
            with self.subTest(seeds=(first, second)):
                folder = recording_of(first)[3]
                inputs = []
                for seed in (first, second):
                    recording, _, packed, _ = recording_of(seed)
                    inputs.append(os.path.join(folder, f"in{seed}.sdsz"))
                    shutil.copy(packed, inputs[-1])
                    shutil.copy(packed[:-5] + ".labels.yml", inputs[-1][:-5] + ".labels.yml")
                out = os.path.join(folder, "merged.sdsz")
                run("merge", *inputs, "--no-align", "-o", out, "-f")
                plain = os.path.join(folder, "merged")
                run("unpack", out, "-d", plain, "-f", expect=(0, 3))
                names = {s["id"]: s["blocks"] for r in answer("info", out)["recordings"] for s in r["streams"]}
                expected = Counter()
                for seed in (first, second):
                    recording = recording_of(seed)[0]
                    taken = [{s.name for s in recording_of(other)[0].streams} for other in (first, second) if other != seed][0]
                    called = {}
                    for stream in recording.streams:
                        label = f"in{seed}" if seed == second and stream.name in taken else "0"
                        called[stream.name] = f"{stream.name}.{label}" if stream.name in taken else stream.name
                        self.assertEqual(names[called[stream.name]], len(stream.ticks))
                        with open(os.path.join(plain, f"{stream.name}.{label}.sds"), "rb") as file:
                            self.assertEqual(file.read(), stream.content())
                    for l in recording.labels:
                        for about in [l.stream] if l.stream else called:
                            expected[l.name, called[about], *l.span()] += 1
                # Equal labels are told once.
                self.assertEqual(set(labels_of(out[:-5] + ".labels.yml")), set(expected))

    def test_cuts_keep_the_blocks_and_shorten_the_labels_to_the_time_asked_for(self):
        def check(recording, files, folder):
            rng = np.random.default_rng(len(recording.labels))
            if rng.random() < 0.5:
                texts, (a, b) = part_of(recording, rng)
            else:  # a short part, which may lie between two blocks, or begin where one ends
                stream = recording.streams[int(rng.integers(0, len(recording.streams)))]
                at = stream.block_time(int(rng.integers(0, len(stream.ticks)))) + Fraction(int(rng.integers(-5, 50)), 1000)
                texts = [f"{max(0.0, float(at)):.3f}", f"{max(0.0, float(at)) + 0.002:.3f}"]
                a, b = map(Fraction, texts)
            out = os.path.join(folder, "cut.sdsz")
            kept = {s.name: s.blocks_within(a, b) for s in recording.streams}
            if a == b:
                return
            run("cut", *files, "--from", texts[0], "--to", texts[1], "-o", out, "-f", expect=(0,) if any(kept.values()) else (2,))
            told = run.errors
            if not any(kept.values()):
                return
            shutil.rmtree(os.path.join(folder, "cut"), ignore_errors=True)
            run("unpack", out, "-d", os.path.join(folder, "cut"), expect=(0, 3))
            for s in recording.streams:
                ends = np.cumsum(s.sizes)
                rows = s.content()
                whole = [(s.ticks[i] & 0xFFFFFFFF, 6 * size, 8 * i + 6 * int(ends[i] - size)) for i, size in enumerate(s.sizes)]
                self.assertEqual(blocks_of(os.path.join(folder, "cut", f"{s.name}.0.sds")),
                                 [(whole[i][0], rows[whole[i][2] + 8:whole[i][2] + 8 + whole[i][1]]) for i in kept[s.name]])
                self.assertEqual(f"{s.name}: nothing of it is in the part" in told, not kept[s.name])
            expected = Counter()
            for l in recording.labels:
                begin, end = max(l.span()[0], a), min(l.span()[1], b)
                if begin < end:
                    expected[l.name, l.stream, begin, end] += 1
            self.assertEqual(labels_of(out[:-5] + ".labels.yml"), expected)
        self.each(check)

    def test_queries_over_two_streams(self):
        def check(recording, files, _):
            if len(files) > 1 or len(recording.streams) < 2:
                return
            a, b = recording.streams[:2]
            true_of = {s.name: (s.true_ranges(s.physical()[0] > 0), s.true_ranges(s.physical()[1] < 0)) for s in (a, b)}
            false_of = {s.name: (s.true_ranges(~(s.physical()[0] > 0)), s.true_ranges(~(s.physical()[1] < 0))) for s in (a, b)}
            # Where a stream has no sample, neither a comparison of it nor its `not` is true.
            not_both = joined(false_of["A"][0] + false_of["B"][1])
            neither = common(false_of["A"][0], false_of["B"][1])
            for condition, true in (("A.x > 0 and B.y < 0", common(true_of["A"][0], true_of["B"][1])),
                                    ("A.x > 0 or B.y < 0", joined(true_of["A"][0] + true_of["B"][1])),
                                    ("(A.x > 0 or A.y < 0) and B.x > 0",
                                     common(joined(true_of["A"][0] + true_of["A"][1]), true_of["B"][0])),
                                    ("not (A.x > 0 and B.y < 0)", not_both), ("not (A.x > 0) or not (B.y < 0)", not_both),
                                    ("not (A.x > 0 or B.y < 0)", neither), ("not (A.x > 0) and not (B.y < 0)", neither),
                                    ("not not (A.x > 0 and not (B.y < 0))", common(true_of["A"][0], false_of["B"][1]))):
                said = answer("query", *files, condition, expect=(0, 1))["ranges"]
                self.assertEqual(len(said), len(true), condition)
                for range_, (begin, end) in zip(said, true):
                    self.near(range_["from"], begin)
                    self.near(range_["to"], end)
        self.each(check)

    def test_agreement_of_two_annotators(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                recording, _, _, folder = recording_of(seed)
                rng = np.random.default_rng(seed)
                sides = []
                for name in ("a", "b"):
                    labels = [Label(rng, recording.streams, Fraction(0), Fraction(10)) for _ in range(int(rng.integers(0, 7)))]
                    if rng.random() < 0.5:
                        for label in labels:
                            label.stream = str(rng.choice(["", "B"]))
                    if sides and rng.random() < 0.3:
                        labels = list(rng.permutation(sides[0]))
                    sides.append(labels)
                    with open(os.path.join(folder, f"{name}.labels.yml"), "w") as out:
                        out.write("labels:\n  version: 1\n  intervals:" + ("\n" if labels else " []\n"))
                        out.writelines(label.yaml() for label in labels)
                report = answer("label", "compare", os.path.join(folder, "a.labels.yml"), os.path.join(folder, "b.labels.yml"),
                                expect=(0, 1))
                table, kappa = agreement(*sides)
                said = {(row["a"], row["b"]): row["seconds"] for row in report["table"] if row["seconds"]}
                self.assertEqual(set(said), {pair for pair, ms in table.items() if ms})
                for pair, time in said.items():
                    self.near(time, Fraction(table[pair], 1000))
                if kappa is None:
                    self.assertIsNone(report["kappa"])
                else:
                    self.near(report["kappa"], kappa)

    def test_splits_have_every_recording_once_and_the_seconds_of_its_classes(self):
        rng = np.random.default_rng(1)
        for first in range(SEEDS.start, SEEDS.stop - 5, 6):
            group = range(first, first + 6)
            with self.subTest(seeds=group):
                folder = recording_of(first)[3]
                inputs = []
                for seed in group:
                    _, _, packed, _ = recording_of(seed)
                    inputs.append(os.path.join(folder, f"s{seed}.sdsz"))
                    shutil.copy(packed, inputs[-1])
                    shutil.copy(packed[:-5] + ".labels.yml", inputs[-1][:-5] + ".labels.yml")
                manifests = []
                for order in (inputs, [inputs[i] for i in rng.permutation(6)]):
                    out = os.path.join(folder, "dataset")
                    run("export", "csv", *order, "-s", "A", "--split", "50/25/25", "--seed", 3, "-f", "-o", out)
                    with open(os.path.join(out, "manifest.yml")) as file:
                        manifests.append(yaml.safe_load(file)["dataset"])
                parts = [{r["name"]: r["part"] for r in m["recordings"]} for m in manifests]
                self.assertEqual(parts[0], parts[1])
                self.assertEqual(sorted(parts[0]), sorted(f"s{seed}" for seed in group))
                self.assertEqual(len(set(parts[0].values())), 3)
                for said in manifests[0]["recordings"]:
                    recording = recording_of(int(said["name"][1:]))[0]
                    stream = recording.streams[0]
                    if stream.rate is None:
                        continue
                    sampled = stream.sampled()
                    for name in {l.name for l in recording.labels if l.stream in ("", "A")}:
                        spans = [list(l.span()) for l in recording.labels if l.name == name and l.stream in ("", "A")]
                        self.near(said["class-seconds"].get(name, 0), seconds(common(joined(spans), sampled)), 1e-3)
                    path = os.path.join(folder, "dataset", said["part"], f"{said['name']}.csv")
                    if not os.path.exists(path):
                        path = path[:-4] + ".A.csv"
                    with open(path) as file:
                        self.assertEqual(sum(1 for _ in file) - 1, sum(stream.sizes))


if __name__ == "__main__":
    main()
