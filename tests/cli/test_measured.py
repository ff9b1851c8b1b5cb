"""What queries, labels and quality say of signals that are known: of sensors off their nominal rate, of durations that are exactly
the limit, of values far from the first one."""
import json
import os
import random
import re
import struct
import subprocess
from fractions import Fraction

import peers

peers.use()

import numpy as np

from harness import Case, SDS, main, plain, run, sample_of


class Measured(Case):
    def stream(self, name, values, rate=100, true_rate=None, block=100, kind="int16_t", begin_ms=0):
        """A plain file with ticks of 1 ms; blocks begin at the true rate."""
        self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: {rate}\n  content:\n    - {{value: v, type: {kind}}}\n")
        values = np.asarray(values, dtype={"int16_t": "<i2", "double": "<f8", "float": "<f4"}[kind])
        blocks = [(begin_ms + round(1000 * k / (true_rate or rate)), values[k:k + block].tobytes()) for k in range(0, len(values), block)]
        return self.write(f"{name}.0.sds", plain(*blocks))

    def said(self, *args):
        """What a command says as JSON; a query that finds nothing, or what is not sound, is no failure here."""
        done = subprocess.run([SDS, *map(str, args), "--json"], capture_output=True, text=True, timeout=300)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return json.loads(done.stdout)

    def intervals(self, recording, condition, *options):
        rows = self.said("query", recording, condition, *options)["ranges"]
        return [(row["from"], row["to"]) for row in rows]

    def test_a_value_is_stuck_as_long_as_its_samples_hold_over_steps_back_too(self):
        # 300 samples of 7, in whose middle the clock steps back by 15 s, or by 0.5 s into the run itself; at 10 ms each.
        self.write("prof.yml", "quality:\n  max-stuck: 2.9\n")
        for rate, back in ((100, 15000), (100, 500), (None, 15000)):
            ticks = [100 * k - back * (k >= 215) for k in range(300)]
            values = [[7] * 10 if 200 <= k < 230 else [(10 * k + i) * 37 % 1000 + 8 for i in range(10)] for k in range(300)]
            self.write("S.sds.yml", "sds:\n  name: S\n" + (f"  sample-frequency: {rate}\n" if rate else "") + "  content:\n    - {value: v, type: int16_t}\n")
            plain_file = self.write("S.0.sds", plain(*[(t, struct.pack("<10h", *v)) for t, v in zip(ticks, values)]))
            run("pack", plain_file, "-o", self.path("S.sdsz"), "-f")
            # Without a rate all ten samples of a block have its time, and the mean step is from the earliest to the latest.
            step = 0.01 if rate else (max(ticks) - min(ticks)) / 299 / 1000
            seconds = 300 * 0.01 if rate else 14 * 0.1 + step + 15 * 0.1
            for file in (plain_file, self.path("S.sdsz")):
                report = self.said("check", file, "--profile", self.path("prof.yml"))
                channel = report["recordings"][0]["quality"]["streams"][0]["channels"][0]
                self.assertEqual((channel["longest_run"], channel["longest_run_at_s"]), (300, 20))
                self.assertAlmostEqual(channel["longest_run_s"], seconds, places=9)
                self.assertIn("stuck", json.dumps(report["recordings"][0]["quality"]["broken"]))

    def test_a_value_is_stuck_no_longer_where_blocks_of_a_fast_sensor_overlap(self):
        # 2 % fast at 1000 Hz: a block of 100 samples begins 98 ms behind the one before, which is over 2 ms later. 7 are samples
        # 1050 to 2049: block 10 begins at 0.980 s, its sample 50 is at 1.030 s; block 20 begins at 1.960 s, its sample 50, the
        # next number, is at 2.010 s. Or those from 1100 to 2099: block 11 begins at 1.078 s; block 20 is over at 2.060 s, and the
        # next number is the first one of block 21, 2 ms before that.
        self.write("limit.yml", "quality:\n  max-stuck: 0.983\n")
        for first, begin, end in ((1050, 1.03, 2.01), (1100, 1.078, 2.06)):
            values = np.arange(4000) * 37 % 1000 + 8
            values[first:first + 1000] = 7
            one = self.stream("F", values, 1000, Fraction(100_000, 98))
            run("pack", one, "-o", self.path("F.sdsz"), "-f")
            for file in (one, self.path("F.sdsz")):
                report = self.said("check", file, "--profile", self.path("limit.yml"))
                self.assertEqual(self.found(report, "longest_run"), 1000)
                self.assertAlmostEqual(self.found(report, "longest_run_at_s"), begin, places=9)
                self.assertAlmostEqual(self.found(report, "longest_run_s"), end - begin, places=9)
                self.assertEqual(report["recordings"][0]["quality"]["broken"], [])
                self.assertEqual(self.intervals(file, "v == 7"), [(begin, end)])

    def test_a_fast_sensor_is_asked_the_same_packed_or_not(self):
        # 2 % fast: a block of 100 samples lasts 98 ms, and its last samples are behind the begin of the next.
        # Samples 3200 to 4199 are 1. Block 32 begins at 1 + 3200 / 1020 s = 4.137 s; block 41 at 5.020 s, and its last
        # sample is at 5.119 s. Block 42 begins at 5.118 s: its first sample not before that is at 5.120 s.
        values = np.zeros(20_000)
        values[3200:4200] = 1
        one = self.stream("A", values, 1000, 1020, begin_ms=1000)
        run("pack", one, "-o", self.path("A.sdsz"), "--section-kib", 16)
        for recording in (one, self.path("A.sdsz")):
            self.assertEqual(self.intervals(recording, "v > 0.5"), [(4.137, 5.12)])
            self.assertEqual(self.intervals(recording, "v > 0.5", "--from", 0, "--to", 100), [(4.137, 5.12)])
        for condition in ("v < 0.5", "v >= 0", "not (v > 0.5)", "v > 0.5 or v < -1"):
            for part in ((), ("--from", 2, "--to", 9)):
                self.assertEqual(self.intervals(one, condition, *part), self.intervals(self.path("A.sdsz"), condition, *part))

    def test_sensors_of_any_speed_are_asked_the_same_packed_or_not(self):
        rng = random.Random(5)
        for case in sample_of(range(12)):
            block = rng.choice((1, 10, 100, 1000))
            values = np.zeros(20_000)
            for _ in range(6):
                begin = rng.randrange(0, 20_000)
                values[begin:begin + rng.choice((1, block, 3000))] = rng.randrange(1, 4)
            one = self.stream(f"R{case}", values, 1000, 1000 * rng.uniform(0.95, 1.05), block)
            run("pack", one, "-o", self.path(f"R{case}.sdsz"), "--section-kib", 16)
            for condition in ("v > 0.5", "v < 0.5", "v >= 0", "not (v > 1)"):
                for part in ((), ("--from", 3, "--to", 11)):
                    with self.subTest(case=case, block=block, condition=condition, part=part):
                        self.assertEqual(self.intervals(one, condition, *part), self.intervals(self.path(f"R{case}.sdsz"), condition, *part))

    def test_a_duration_that_is_exactly_the_limit_is_not_below_it(self):
        # 20 bursts of 20 samples, 0.2 s, with 130 samples from one begin to the next.
        values = np.zeros(3000)
        for k in range(20):
            values[130 * k + 50:130 * k + 70] = 1
        one = self.stream("E", values)
        self.assertEqual(len(self.intervals(one, "v > 0", "--min-duration", 0.2)), 20)
        self.assertEqual(len(self.intervals(one, "v > 0", "--min-duration", 0.201)), 0)
        self.assertEqual(len(self.intervals(one, "v <= 0", "--merge-gap", 0.2)), 1)
        self.assertEqual(len(self.intervals(one, "v <= 0", "--merge-gap", 0.199)), 21)
        out = run("label", "auto", one, "--scores", "E", "--min-duration", 0.2, "--score-threshold", 0.5)[0]
        self.assertIn("made 20,", out)
        run("label", "auto", one, "--scores", "E", "--threshold", 0.5, expect=2)
        run("label", "auto", one, "-s", "E", "--min-duration", 0.2, expect=2)

    def activity(self, recording, *options):
        """(labels, what is said) of label auto."""
        labels = recording[:-4] + ".labels.yml"
        if os.path.exists(labels):
            os.remove(labels)
        said = run("label", "auto", recording, *options)[0]
        rows = json.loads(run("label", "list", recording, "--json")[0])["labels"]
        return [(row["class"], row["from"], row["to"]) for row in rows], said

    def test_a_frame_is_judged_by_the_numbers_in_it(self):
        # 12 s, of which those from 4 to 8 s are loud; a frame is five samples, any of which is no number.
        signs = np.where(np.arange(1200) % 2 == 0, 1.0, -1.0)
        for at in range(5):
            for nothing in (np.nan, np.inf, -np.inf):
                values = signs * np.repeat([1, 100, 1], 400)
                values[at::5] = nothing
                self.assertEqual(self.activity(self.stream("S", values, kind="double"))[0], [("active", 4, 8)], (at, nothing))
        # Numbers of 1 and -1, as many of each, have a level of 1, however many they are.
        for gone in ((), (0, 1), (0, 3, 4, 7), range(8)):
            values = signs.copy()
            for k in gone:
                values[k::10] = np.nan
            one = self.stream("S", values, kind="float")
            self.assertEqual(self.activity(one, "--frame", "0.1", "--threshold", 0.999)[0], [("active", 0, 12)])
            self.assertEqual(self.activity(one, "--frame", "0.1", "--threshold", 1.001)[0], [])

    def test_nothing_is_said_of_frames_without_a_number(self):
        values = np.where(np.arange(1200) % 2 == 0, 1.0, -1.0) * np.repeat([1, 100, 1], 400)
        values[500:550] = np.nan
        labels, said = self.activity(self.stream("S", values, kind="double"), "--silent", "quiet")
        self.assertEqual(labels, [("quiet", 0, 4), ("active", 4, 5), ("active", 5.5, 8), ("quiet", 8, 12)])
        self.assertIn("240 frames of 0.05 s, 10 of them with less than two numbers; noise floor", said)
        labels, said = self.activity(self.stream("S", np.full(100, np.nan), kind="float"), "--silent", "quiet")
        self.assertEqual(labels, [])
        self.assertIn("20 frames of 0.05 s, 20 of them with less than two numbers; noise floor ?, threshold ?", said)
        told = self.said("label", "auto", self.path("S.0.sds"))
        self.assertEqual(told["activity"], {"frames": 20, "frames_without_level": 20, "noise_floor": None, "threshold": None})

    def test_one_number_has_no_level(self):
        # Every tenth of a second, or of a fifth: a frame of 50 ms has one sample.
        for hz in (5, 10, 20):
            values = np.where(np.arange(20 * hz) % 4 < 2, 1.0, -1.0) * np.repeat([1, 50], 10 * hz)
            one = self.stream("S", values, rate=hz, kind="double")
            done = self.activity(one, "--silent", "quiet")
            self.assertEqual(done[0], [], hz)
            self.assertIn(f"{20 * hz} frames of 0.05 s, {20 * hz} of them with less than two numbers; noise floor ?", done[1])
            self.assertIn("--frame", run("label", "auto", one)[1])
            self.assertEqual(self.activity(one, "--frame", 5 / hz, "--silent", "quiet")[0], [("quiet", 0, 10), ("active", 10, 20)])
        # Of 460 ms the last frame has one sample: it goes with the one in front of it, and is no silence.
        noise = np.random.default_rng(3).normal(0, 1, (6, 46))
        noise[2] *= 100
        blocks = [(2460 * k, noise[k].astype("<f8").tobytes()) for k in range(6)]
        self.write("G.sds.yml", "sds:\n  name: G\n  sample-frequency: 100\n  content:\n    - {value: v, type: double}\n")
        labels, said = self.activity(self.write("G.0.sds", plain(*blocks)))
        self.assertEqual([(name, begin) for name, begin, _ in labels], [("active", 4.92)])
        self.assertTrue(5.38 <= labels[0][2] <= 5.42, labels)  # into the pause, but not for longer than a frame
        # In front of others that are alone it has none: a clock that is 2 ms early once gives 1 frame two samples, and 1198 one.
        ticks = 1000 + np.round(np.arange(1200) * 1000 / 19.9).astype(int)
        ticks[1] -= 2
        values = np.random.default_rng(1).normal(0, 1, 1200) * np.repeat([0.01, 10], [200, 1000])
        self.write("E.sds.yml", "sds:\n  name: E\n  sample-frequency: 20\n  content:\n    - {value: v, type: double}\n")
        early = self.write("E.0.sds", plain(*[(int(t), struct.pack("<d", v)) for t, v in zip(ticks, values)]))
        labels, said = self.activity(early, "--silent", "quiet", "--threshold", 1)
        self.assertIn("1,199 frames of 0.05 s, 1,198 of them with less than two numbers", said)
        self.assertEqual(labels, [("quiet", 1, 1.1)])  # the third sample is two frames behind the first one
        # Where times jitter about the frame's length, each sample is in a label, or alone in a frame that is counted.
        steps = np.random.default_rng(2).integers(970, 1031, 400)
        ticks = np.concatenate([[0], np.cumsum(steps)[:-1]])
        self.write("J.sds.yml", "sds:\n  name: J\n  sample-frequency: 1\n  content:\n    - {value: v, type: double}\n")
        jitters = self.write("J.0.sds", plain(*[(int(t), struct.pack("<d", k % 7)) for k, t in enumerate(ticks)]))
        done = self.activity(jitters, "--silent", "quiet", "--frame", 1, "--threshold", 1e9)
        outside = sum(not any(begin <= t / 1000 < end for _, begin, end in done[0]) for t in ticks)
        frames = []
        for t in ticks:
            if not frames or t >= frames[-1][0] + 1000:
                frames.append([t])
            else:
                frames[-1].append(t)
        alone, free = 0, False  # whether the frame in front can take one
        for f, before in zip(frames, [[-10_000]] + frames):
            taken = free and len(f) == 1 and f[0] < before[0] + 2000
            alone += len(f) == 1 and not taken
            free = len(f) > 1
        self.assertGreater(alone, 50)
        self.assertEqual(outside, alone)
        self.assertIn(f"{alone} of them with less than two numbers", done[1])
        # A sample that is alone between others that are no numbers tells nothing.
        values = np.where(np.arange(600) % 2 == 0, 1.0, -1.0)
        values[200:300] = np.nan
        values[202:300:5] = 1
        labels, said = self.activity(self.stream("S", values, kind="double"), "--silent", "quiet", "--threshold", 0.5)
        self.assertEqual(labels, [("active", 0, 2), ("active", 3, 6)])

    def test_the_level_of_several_channels_is_that_of_their_vector(self):
        # Each channel deviates by 1 about its own mean: the three by the square root of 3. One without a number adds nothing.
        rows = np.where(np.arange(1200) % 2 == 0, 1.0, -1.0)[:, None] + [5, -700, 0]
        for channels, level in ((3, 3 ** 0.5), (1, 1), (4, 3 ** 0.5)):
            values = rows[:, :channels] if channels < 4 else np.column_stack([rows, np.full(1200, np.nan)])
            self.write("V.sds.yml", "sds:\n  name: V\n  sample-frequency: 100\n  content:\n" +
                       "".join(f"    - {{value: c{k}, type: float}}\n" for k in range(channels)))
            one = self.write("V.0.sds", plain(*[(100 * k, values[10 * k:10 * k + 10].astype("<f4").tobytes()) for k in range(120)]))
            self.assertEqual(self.activity(one, "--frame", "0.1", "--threshold", level * 0.999)[0], [("active", 0, 12)])
            self.assertEqual(self.activity(one, "--frame", "0.1", "--threshold", level * 1.001)[0], [])

    def test_what_no_gap_would_be_seen_of_is_not_known_to_be_whole(self):
        # 20 samples of 100 Hz a block, three together every 600 ms: half of the steps are 0. 5 s are missing, or nothing.
        for missing in (5000, 0):
            ticks = [600 * (k // 3) + (missing if k >= 30 else 0) for k in range(60)]
            self.write("T.sds.yml", "sds:\n  name: T\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
            one = self.write("T.0.sds", plain(*((t, np.arange(20, dtype="<i2").tobytes()) for t in ticks)))
            stream = self.said("check", one, "--quality")
            self.assertIsNone(self.found(stream, "missing_samples"))
            self.assertIsNone(self.found(stream, "late_blocks"))
            self.assertIsNone(self.found(stream, "gaps"))
            out = run("check", one, "--quality")[0]
            self.assertEqual(out.count("not known: half of the blocks come together with the one before"), 2)
            self.assertEqual(self.broken(one, "  max-missing: 0.5\n  max-late: 0.5\n"),
                             ["T: share of samples missing is not known: the limit of 0.5 cannot be judged",
                              "T: share of blocks late is not known: the limit of 0.5 cannot be judged"])
        # Of one block, and of two, it is known.
        for count in (1, 2):
            one = self.write("T.0.sds", plain(*((200 * k, np.arange(20, dtype="<i2").tobytes()) for k in range(count))))
            self.assertEqual(self.found(self.said("check", one, "--quality"), "missing_samples"), 0)

    def test_the_time_of_a_class_is_one_in_text_and_json(self):
        # 10 s of A, and B from 4 to 8 s: of labels about B that is all that there is.
        for name, begin, count in (("A", 0, 1000), ("B", 4000, 400)):
            self.stream(name, np.arange(count), begin_ms=begin)
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("t.sdsz"))
        self.write("t.labels.yml", "labels:\n  version: 1\n  intervals:\n    - {class: a, from: 9, to: 12}\n"
                                   "    - {class: b, from: 3, to: 4.5, stream: B}\n    - {class: c, from: 3, to: 9, stream: B}\n"
                                   "    - {class: d, from: 1, to: 2, stream: B}\n    - {class: e, from: 1, to: 2, stream: X}\n")
        true = {"a": 1, "b": 0.5, "c": 4, "d": 0, "e": 0}
        self.assertEqual(self.said("label", "list", self.path("t.sdsz"))["classes"], true)
        self.assertEqual(self.said("label", "list", self.path("t.sdsz"), "-c", "c")["classes"], {"c": 4})
        told = dict(re.findall(r"^(\w): 1 label, (.*) labelled", run("label", "list", self.path("t.sdsz"))[0], re.M))
        self.assertEqual(told, {"a": "1.000 s", "b": "500 ms", "c": "4.000 s", "d": "0 ms", "e": "0 ms"})

    def test_labels_of_scores_end_with_the_samples(self):
        # 5 s of 10 Hz, a gap of 100 s, 5 s: by the sample frequency each part ends a tenth behind its last sample.
        self.write("M.sds.yml", "sds:\n  name: M\n  sample-frequency: 10\n  content:\n    - {value: a, type: float}\n    - {value: b, type: float}\n")
        scores = np.asarray([[1, 0]], dtype="<f4").tobytes()
        blocks = [(begin + 100 * k, scores) for begin in (0, 105_000) for k in range(50)]
        one = self.write("M.0.sds", plain(*blocks))
        run("label", "auto", one, "--scores", "M")
        rows = run("label", "list", one, "--json")[0]
        self.assertEqual([(r["class"], r["from"], r["to"]) for r in json.loads(rows)["labels"]], [("a", 0, 5), ("a", 105, 110)])
        run("label", "check", one)

    def test_noise_does_not_depend_on_the_first_value(self):
        # The noise floor is the smallest deviation of 256 values in a row, here of one part in ten million.
        for base, sigma in ((101_325, 0.005), (1e6, 0.03), (1e4, 0.0005)):
            values = base + np.random.default_rng(1).normal(0, sigma, 10_240)
            values[0] = 0
            one = self.stream("P", values, kind="double")
            floor = values.reshape(-1, 256).std(axis=1).min()
            noise = self.found(self.said("check", one, "--quality"), "noise")
            self.assertLess(abs(noise / floor - 1), 1e-3)

    def broken(self, recording, limits):
        """What a profile says of a recording."""
        self.write("limits.yml", "quality:\n" + limits)
        report = self.said("check", recording, "--profile", self.path("limits.yml"))
        run("check", recording, "--profile", self.path("limits.yml"), expect=1 if report["recordings"][0]["quality"]["broken"] else 0)
        return report["recordings"][0]["quality"]["broken"]

    def test_values_that_are_not_looked_at_are_told(self):
        self.write("W.sds.yml", "sds:\n  name: W\n  sample-frequency: 10\n  content:\n    - {value: v, type: uint8_t, dim-x: 1027}\n")
        one = self.write("W.0.sds", plain(*[(100 * k, bytes([k]) * 1027) for k in range(3)]))
        self.assertEqual(self.found(self.said("check", one, "--quality"), "values_left_out"), 3)
        self.assertIn("3 values behind the first 1,024 are not looked at", run("check", one, "--quality")[0])

    def test_a_limit_on_what_is_not_known_is_not_kept(self):
        # Of fewer than 256 numbers there is no noise floor; of equal ones it is 0.
        values = np.random.default_rng(0).normal(0, 1, 256)
        for count, noise in ((255, None), (256, values.std())):
            one = self.stream("F", values[:count], kind="double")
            said = self.found(self.said("check", one, "--quality"), "noise")
            self.assertEqual(said is None, noise is None)
            self.assertEqual(self.broken(one, "  max-noise: 2\n"), [] if noise else ["F.v: noise floor is not known: the limit of 2 cannot be judged"])
        self.assertEqual(self.found(self.said("check", self.stream("C", np.full(256, 5)), "--quality"), "noise"), 0)
        # Nor is there anything of a channel without a number.
        one = self.stream("N", np.full(300, np.nan), kind="float")
        channel = self.said("check", one, "--quality", "--against", one)
        for of in ("min", "max", "mean", "deviation", "noise", "range_used", "longest_run_at_s", "psi", "ks"):
            self.assertIsNone(self.found(channel, of), of)
        self.assertNotIn("nan ", run("check", one, "--quality", "--against", one)[0])
        broken = self.broken(one, "  max-stuck: 1\n  max-clipped: 0\n  min: -1\n  max: 1\n  max-offset: 1\n  max-noise: 1\n")
        self.assertEqual([line.split(" is not known")[0] for line in broken], [f"N.v: {of}" for of in ("stuck for (s)", "offset", "noise floor", "minimum", "maximum")])
        empty = self.write("M.0.sds", plain((0, b""), (100, b"")))
        self.write("M.sds.yml", "sds:\n  name: M\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        self.assertEqual(self.broken(empty, "  max-stuck: 1\n"), ["M.v: stuck for (s) is not known: the limit of 1 cannot be judged"])
        self.write("psi.yml", "quality:\n  dataset: {max-psi: 1, min-class-share: 0.1}\n")
        out = run("check", one, "--profile", self.path("psi.yml"), "--against", one, expect=1)[0]
        self.assertIn("N.v: population stability index is not known", out)
        self.assertIn("dataset: share of classes is not known", out)
        # Nor of one side without any.
        run("pack", one, "-o", self.path("nan.sdsz"))
        one = self.stream("N", np.arange(300), kind="float")
        for now, before in ((one, self.path("nan.sdsz")), (self.path("nan.sdsz"), one)):
            report = self.said("check", now, "--quality", "--against", before)
            for of in ("psi", "ks"):
                self.assertIsNone(self.found(report, of), of)
        # And of no sample no share is anything.
        self.write("Z.sds.yml", "sds:\n  name: Z\n  sample-frequency: 10\n  content:\n    - {value: v, type: uint8_t}\n")
        broken = self.broken(self.write("Z.0.sds", b""), "  max-missing: 0.5\n  max-late: 0.5\n  max-clipped: 0.5\n  max-nan: 0.5\n")
        self.assertEqual([line.split(" is not known")[0] for line in broken],
                         ["Z: share of samples missing", "Z: share of blocks late", "Z.v: share clipped", "Z.v: share not a number"])
        # One block tells no rate, and blocks with a gap among them no drift of it.
        one = self.stream("O", np.arange(100))
        report = self.said("check", one, "--quality")
        for of in ("true_hz", "drift_ppm", "interval_s"):
            self.assertIsNone(self.found(report, of), of)
        self.assertEqual([line.split(" is not known")[0] for line in self.broken(one, "  max-rate-error: 0.1\n  max-drift-ppm: 100\n")],
                         ["O: rate error", "O: rate drift (ppm)"])

    def test_what_is_stuck_longest_is_stuck_by_time(self):
        # Six values of 7 in 0.6 s; then 3, twice, with 20 s between.
        self.write("S.sds.yml", "sds:\n  name: S\n  content:\n    - {value: v, type: int16_t}\n")
        values = [1, 2, 7, 7, 7, 7, 7, 7, 1, 3, 3, 5]
        times = [100 * k for k in range(10)] + [20_900, 21_000]
        one = self.write("S.0.sds", plain(*((t, np.int16(v).tobytes()) for t, v in zip(times, values))))
        said = self.said("check", one, "--quality")
        self.assertAlmostEqual(self.found(said, "longest_run_s"), 20.1, places=6)
        self.assertEqual(self.found(said, "longest_run"), 2)

    def uneven(self, sizes, rate, gap=None, gap_s=0):
        """Blocks of these sizes with ticks of 1 ms, as the sensor's samples are there; behind block `gap` some time is missing."""
        self.write("U.sds.yml", f"sds:\n  name: U\n  sample-frequency: {rate}\n  content:\n    - {{value: a, type: int16_t}}\n"
                                "    - {value: b, type: int16_t}\n")
        blocks, first, at = [], 0, 1000
        for k, size in enumerate(sizes):
            numbers = np.arange(first, first + size)
            values = np.stack([numbers // 10_000, np.where(numbers % 2, 500, -500)], axis=1).astype("<i2")
            late = gap_s * 1000 if gap is not None and k > gap else 0
            blocks.append((int(at + Fraction(first * 1000) / Fraction(rate) + late), values.tobytes()))
            first += size
        return self.write("U.0.sds", plain(*blocks))

    def test_every_command_sees_the_gaps_of_uneven_blocks_and_of_short_ones(self):
        # 10 blocks of 10 ms to one of 100 ms, behind which 15 ms are missing; blocks of half a tick; of a quarter of a tick, and
        # some of 6.8 ticks; by turns of a sample and of 100.
        for sizes, rate, gap, gap_s in (([100 if k % 10 == 9 else 10 for k in range(300)], "1000", 199, 0.015),
                                        ([8] * 4000, "16000", 1999, 10), ([4] * 4000, "1600", 1999, 1),
                                        ([300 if k % 500 == 499 else 10 for k in range(4000)], "44100", 1999, 10),
                                        ([1 if k % 2 else 100 for k in range(2000)], "44100", 999, 10)):
            for missing in (0, 1):
                with self.subTest(rate=rate, first=sizes[:2], missing=missing):
                    one = self.uneven(sizes, rate, gap if missing else None, gap_s)
                    before = sum(sizes[:gap + 1]) / float(rate)
                    quality = self.said("check", one, "--quality")["recordings"][0]
                    said = quality["quality"]["streams"][0]
                    self.assertEqual((quality["streams"][0]["gaps"]["count"], said["late_blocks"]), (missing, missing))
                    self.assertAlmostEqual(said["missing_samples"], missing * gap_s * float(rate),
                                           delta=max(0.01 * gap_s, 0.001) * float(rate) * missing)
                    self.assertAlmostEqual(said["true_hz"] / float(rate), 1, delta=0.003)
                    sound = run("export", "wav", one, "-o", self.path("a.wav"), "-f")[1]
                    self.assertEqual("1 gap in time is closed" in sound, bool(missing), sound)
                    run("label", "auto", one, "-s", "U", "--channel", "b", "--active", "on", "--threshold", 1, "--labels", self.path("l.yml"))
                    made = self.said("label", "list", one, "--labels", self.path("l.yml"))["labels"]
                    os.remove(self.path("l.yml"))
                    self.assertEqual(len(made), 1 + missing, made)
                    if missing:
                        self.assertAlmostEqual(made[0]["to"], 1 + before, delta=0.003)
                        self.assertAlmostEqual(made[1]["from"], 1 + before + gap_s, delta=0.003)
                    last = made[-1]["to"]
                    run("label", "add", one, "-c", "all", "--from", 1, "--to", last, "-s", "U", "--labels", self.path("U.0.labels.yml"))
                    classes = self.said("check", one, "--quality")["recordings"][0]["quality"]["classes"]
                    os.remove(self.path("U.0.labels.yml"))
                    self.assertAlmostEqual(classes["all"], last - 1 - missing * gap_s, delta=0.003)

    def test_blocks_that_share_ticks_say_nothing_of_jitter(self):
        one = self.uneven([8] * 4000, "16000")
        said = self.said("check", one, "--quality")["recordings"][0]["quality"]["streams"][0]
        self.assertEqual(sum(said["jitter"]), 0)
        self.assertNotIn("Jitter", run("check", one, "--quality")[0])

    RATES = ((1600, 1000), (44_100, 1000), (48_000, 1000), (333.3, 1000), (1600, 32_768), (6667.3, 1_000_000))

    def bursts(self, name, rate, ticks, off, begin=0):
        """Bursts of random lengths, in blocks of 37 samples whose ticks are those of a sensor `off` from its rate, with a gap."""
        rng = np.random.default_rng(round(rate))
        count = 37 * 200
        values = np.zeros(count, dtype="<i2")
        for _ in range(40):
            at = rng.integers(0, count)
            values[at:at + rng.integers(1, 60)] = rng.integers(10, 500)
        self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  tick-frequency: {ticks}\n  sample-frequency: {rate}\n"
                                      "  content:\n    - {value: v, type: int16_t}\n")
        blocks = [(begin + round(ticks * (k / (rate * off) + (k >= 37 * 90) * 0.5)), values[k:k + 37].tobytes())
                  for k in range(0, count, 37)]
        return self.write(f"{name}.0.sds", plain(*blocks)), values

    def exported(self, recording, *part):
        done = subprocess.run([SDS, "export", "csv", str(recording), *part], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return np.array([[float(cell) for cell in row.split(",")] for row in done.stdout.splitlines()[1:]])

    def is_chosen(self, times, ranges):
        return np.any([(times >= begin) & (times < end) for begin, end in ranges], axis=0)

    def test_labels_of_a_query_choose_the_samples_that_the_query_chose(self):
        for case, ((rate, ticks), off) in enumerate((rate, off) for rate in self.RATES for off in (1, 0.99, 1.01)):
            one, values = self.bursts(f"Q{case}", rate, ticks, off, begin=7)
            everything = self.exported(one)
            ranges = self.intervals(one, "v > 5")
            run("query", one, "v > 5", "--add-label", "burst")
            with self.subTest(rate=rate, ticks=ticks, off=off):
                got = self.exported(one, "--label", "burst")
                np.testing.assert_array_equal(got, everything[self.is_chosen(everything[:, 0], ranges)])
                if np.all(np.diff(everything[:, 0]) > 0):  # no block begins before the one before it is over
                    np.testing.assert_array_equal(got[:, 1], values[values > 5])

    def test_labels_that_are_added_to_coarser_ones_choose_their_samples_too(self):
        for case, (rate, ticks) in enumerate(self.RATES):
            one, values = self.bursts(f"C{case}", rate, ticks, 1)
            everything = self.exported(one)
            self.write(f"C{case}.0.labels.yml", "labels:\n  tick-frequency: 100\n  intervals:\n    - {class: old, begin: 3, end: 17}\n")
            ranges = self.intervals(one, "v > 5")
            run("query", one, "v > 5", "--add-label", "burst")
            with self.subTest(rate=rate, ticks=ticks):
                np.testing.assert_array_equal(self.exported(one, "--label", "burst"), everything[self.is_chosen(everything[:, 0], ranges)])
                labels = self.said("label", "list", one, "-c", "old")["labels"]
                self.assertEqual([(l["from"], l["to"]) for l in labels], [(0.03, 0.17)])

    def test_labels_of_activity_choose_the_samples_that_were_active(self):
        # Frames of 64 samples: the edges of labels are samples, and so are the label's. Noise of 1, bursts of 100.
        for case, (rate, ticks) in enumerate(self.RATES):
            count, frame = 64 * 120, 64
            rng = np.random.default_rng(case)
            active = np.zeros(count, dtype=bool)
            active[64 * 30:64 * 50] = active[64 * 80:64 * 99] = True
            values = np.round(rng.normal(0, np.where(active, 1000, 10))).astype("<i2")
            self.write(f"A{case}.sds.yml", f"sds:\n  name: A{case}\n  tick-frequency: {ticks}\n  sample-frequency: {rate}\n"
                                           "  content:\n    - {value: v, type: int16_t}\n")
            # One block: its samples are exactly at k / rate.
            one = self.write(f"A{case}.0.sds", plain((0, values.tobytes())))
            seconds = frame / rate
            run("label", "auto", one, "--frame", f"{seconds:.12f}", "--threshold", 100, "--min-active", 0, "--min-silent", 0)
            with self.subTest(rate=rate, ticks=ticks):
                np.testing.assert_array_equal(self.exported(one, "--label", "active")[:, 1], values[active])

    def test_labels_that_are_added_or_imported_choose_the_samples_of_their_times(self):
        one, values = self.bursts("I", 1600, 1000, 1)
        everything = self.exported(one)
        for begin, end in ((0.100625, 0.20125), (0.3003, 0.4001), (0.5, 0.6)):
            chosen = everything[self.is_chosen(everything[:, 0], [(begin, end)])]
            run("label", "add", one, "-c", "x", "--from", begin, "--to", end)
            np.testing.assert_array_equal(self.exported(one, "--label", "x"), chosen)
            run("label", "move", one, "-n", 1, "--by", 0.000625)
            moved = self.is_chosen(everything[:, 0], [(begin + 0.0006249, end + 0.0006249)])
            np.testing.assert_array_equal(self.exported(one, "--label", "x"), everything[moved])
            run("label", "rm", one, "--all")
            self.write("track.txt", f"{begin}\t{end}\ty\n")
            run("label", "import", one, "-i", self.path("track.txt"))
            np.testing.assert_array_equal(self.exported(one, "--label", "y"), chosen)
            run("label", "rm", one, "--all")
            self.write("labels.csv", f"class,from,to\nz,{begin},{end}\n")
            run("label", "import", one, "-i", self.path("labels.csv"))
            np.testing.assert_array_equal(self.exported(one, "--label", "z"), chosen)
            run("label", "rm", one, "--all")

    def test_labels_that_ticks_hold_leave_the_ticks_as_they_are(self):
        one, _ = self.bursts("T", 1600, 1000, 1)
        run("label", "add", one, "-c", "x", "--from", 0.1, "--to", 0.25)
        with open(self.path("T.0.labels.yml")) as file:
            self.assertIn("tick-frequency: 1000\n", file.read())
        run("label", "add", one, "-c", "x", "--from-tick", 300, "--to-tick", 400)
        self.assertEqual([(l["from"], l["to"]) for l in self.said("label", "list", one)["labels"]], [(0.1, 0.25), (0.3, 0.4)])

    def ticks_of(self, path):
        """The ticks of a label file, and its labels."""
        text = self.read(path).decode()
        return (re.search("tick-frequency: (.*)", text)[1],
                [(int(begin), int(end)) for begin, end in re.findall(r"begin: (\d+), end: (\d+)", text)])

    def test_labels_are_moved_by_the_ticks_that_the_time_is(self):
        one, _ = self.bursts("M", 1000, 1000, 1)
        sensor, _ = self.bursts("S", 1600, 1000, 1)
        edges = [(10_000 + 7 * k, 10_003 + 7 * k) for k in range(1000)]
        for recording, name in ((one, "M.0.labels.yml"), (sensor, "S.0.labels.yml")):
            for by, ticks in (("-10", -10_000), ("-9.9", -9900), ("-9.7", -9700), ("0.1", 100), ("-200ms", -200), ("1234.567", 1_234_567)):
                self.write(name, "labels:\n  intervals:\n" + "".join(
                    f"    - {{class: w, begin: {begin}, end: {end}}}\n" for begin, end in edges))
                run("label", "move", recording, "--all", "--by", by)
                with self.subTest(recording=recording, by=by):
                    self.assertEqual(self.ticks_of(name), ("1000", [(begin + ticks, end + ticks) for begin, end in edges]))

    def test_labels_that_are_moved_by_parts_of_ticks_keep_their_length_and_choose_their_samples(self):
        # 0.0003 s are 3 ticks of 10 kHz, which hold those of 1 ms.
        one, _ = self.bursts("P", 1600, 1000, 1)
        self.write("P.0.labels.yml", "labels:\n  intervals:\n    - {class: w, begin: 300, end: 400}\n    - {class: x, begin: 500, end: 600}\n")
        everything = self.exported(one)
        run("label", "move", one, "-n", 1, "--by", "0.0003")
        self.assertEqual(self.ticks_of("P.0.labels.yml"), ("10000", [(3003, 4003), (5000, 6000)]))
        chosen = self.is_chosen(everything[:, 0], [(0.3003, 0.4003)])
        np.testing.assert_array_equal(self.exported(one, "--label", "w"), everything[chosen])
        run("label", "move", one, "-n", 1, "--by", "-0.4", expect=2)
        self.assertEqual(self.ticks_of("P.0.labels.yml"), ("10000", [(3003, 4003), (5000, 6000)]))

    def test_labels_that_are_moved_forth_and_back_are_where_they_were(self):
        one, _ = self.bursts("F", 1600, 1000, 1)
        # 0.1234567 s are whole in ticks of 10 MHz, which hold 8000 Hz; 66.673 MHz and 10 MHz have none below
        # 2^31 Hz in common, but 533.384 MHz hold 66.673 MHz and 8 kHz.
        for head, edges, by, told in (("8000", (805, 2005), "0.1234567", None),
                                      ("66673000", (8_000_001, 9_000_001), "0.1234567", round(0.1234567 * 533_384_000))):
            self.write("F.0.labels.yml", f"labels:\n  tick-frequency: {head}\n  intervals:\n    - {{class: w, begin: {edges[0]}, end: {edges[1]}}}\n")
            for _ in range(3):
                for sign in ("", "-"):
                    with self.subTest(head=head, sign=sign):
                        _, err = run("label", "move", one, "--all", f"--by={sign}{by}")
                        if told:
                            self.assertIn(f"moved by {sign}{told / 533_384_000} s", err)
                        else:
                            self.assertNotIn("moved by", err)
            ticks, labels = self.ticks_of("F.0.labels.yml")
            self.assertEqual([Fraction(edge, int(ticks)) for edge in labels[0]], [Fraction(edge, int(head)) for edge in edges])

    def test_labels_of_clocks_that_ran_for_days_choose_their_samples(self):
        # No ticks hold the times of 44,100 Hz and ticks of 1 ms, and of 333.3 Hz and ticks of 1/32,768 s.
        for begin_s in sample_of((0, 43_200, 86_399, 100_000, 118_784)):
            plains, times = [], {}
            for name, rate, ticks, per in (("A", 44_100, 1000, 200), ("B", 333.3, 32_768, 20)):
                self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  tick-frequency: {ticks}\n  sample-frequency: {rate}\n"
                                              "  content:\n    - {value: v, type: int32_t}\n")
                exact = Fraction(str(rate))
                begins = [begin_s * ticks + int(ticks * k / exact) for k in range(0, 2000, per)]
                plains.append(self.write(f"{name}.0.sds", plain(*(
                    (begin, np.arange(per * k, per * k + per, dtype="<i4").tobytes()) for k, begin in enumerate(begins)))))
                times[name] = [Fraction(begins[i // per], ticks) + (i % per) / exact for i in range(2000)]
            run("pack", *plains, "-o", self.path("days.sdsz"), "-f")
            for at in range(103, 1901, 300):
                self.write("days.labels.yml", "labels:\n  tick-frequency: 32768\n  intervals: []\n")
                edges = [float(times["A"][at]), float(times["A"][at + 50])]
                run("label", "add", self.path("days.sdsz"), "-c", "w", "-s", "B", "--from", repr(float(times["B"][7])),
                    "--to", repr(float(times["B"][50])))
                run("label", "add", self.path("days.sdsz"), "-c", "w", "-s", "A", "--from", repr(edges[0]), "--to", repr(edges[1]))
                with self.subTest(begin_s=begin_s, at=at):
                    self.assert_chooses({"A": [i for i, time in enumerate(times["A"]) if times["A"][at] <= time < times["A"][at + 50]],
                                         "B": list(range(7, 50))}, self.path("days.sdsz"))

    def test_labels_of_activity_share_no_sample(self):
        # Blocks whose ticks are cut begin before the samples in front of them are over.
        for rate, per, ticks, off in ((44_100, 100, 1000, 1), (333.3, 7, 100, 1), (1600, 10, 1000, 1.01), (6667.3, 16, 1000, 0.99)):
            count = int(rate * 2) // per * per
            values = np.array([(100 if i % 2 else -100) if i * 14 // count % 2 else i % 3 for i in range(count)], dtype="<i2")
            self.write("O.sds.yml", f"sds:\n  name: O\n  tick-frequency: {ticks}\n  sample-frequency: {rate}\n"
                                    "  content:\n    - {value: v, type: int16_t}\n")
            one = self.write("O.0.sds", plain(*((int(ticks * k / (rate * off)), values[k:k + per].tobytes()) for k in range(0, count, per))))
            everything = self.exported(one)
            for frame in sample_of(("7ms", "13ms", "20ms", "50ms", "100ms")):
                if os.path.exists(self.path("O.0.labels.yml")):
                    os.remove(self.path("O.0.labels.yml"))
                run("label", "auto", one, "--active", "act", "--silent", "sil", "--threshold", 20, "--frame", frame,
                    "--min-active", "20ms", "--min-silent", "20ms")
                with self.subTest(rate=rate, frame=frame):
                    run("label", "check", one)
                    labels = self.said("label", "list", one)["labels"]
                    self.assertEqual([l["to"] for l in labels[:-1]], [l["from"] for l in labels[1:]])
                    both = sum(len(self.exported(one, "--label", name)) for name in ("act", "sil"))
                    self.assertEqual(both, len(everything))

    def test_times_with_units_are_those_without(self):
        # 10 kHz: sample k is at k / 10,000 s, which the decimal number is nearest to.
        one = self.stream("U", np.arange(400), 10_000)
        for k in sample_of(range(1, 400, 7)):
            for begin in (f"{k / 10:.1f}ms", f"{k * 100}us", f"0.{k:04}"):
                self.assertEqual(self.exported(one, "--from", begin)[0, 1], k, begin)

    SENSORS = {"B": (333.3, 1000, 33), "C": (44_100, 44_100, 441), "A": (1600, 1000, 80)}

    def sensors_with_labels(self, seed):
        """Three plain files, each with a label "w" from one of its samples to another; which samples these are."""
        rng, plains, chosen = random.Random(seed), [], {}
        for name, (rate, ticks, per) in self.SENSORS.items():
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  tick-frequency: {ticks}\n  sample-frequency: {rate}\n"
                                          "  content:\n    - {value: v, type: int32_t}\n")
            exact, count = Fraction(str(rate)), int(2 * rate / per) * per
            begins = [int(ticks * k / exact) for k in range(0, count, per)]
            plains.append(self.write(f"{name}.0.sds", plain(*(
                (begin, np.arange(per * k, per * k + per, dtype="<i4").tobytes()) for k, begin in enumerate(begins)))))
            times = [Fraction(begins[i // per], ticks) + (i % per) / exact for i in range(count)]
            begin, end = sorted(rng.sample(times, 2))
            chosen[name] = [i for i, time in enumerate(times) if begin <= time < end]
            if os.path.exists(self.path(f"{name}.0.labels.yml")):
                os.remove(self.path(f"{name}.0.labels.yml"))
            run("label", "add", plains[-1], "-c", "w", "--from", repr(float(begin)), "--to", repr(float(end)), "--stream", name)
        return plains, chosen

    def assert_chooses(self, chosen, *recordings):
        run("export", "npz", *recordings, "--label", "w", "-o", self.path("w.npz"), "-f")
        with np.load(self.path("w.npz")) as arrays:
            for name, samples in chosen.items():
                self.assertEqual([int(v) for v in arrays[name]["v"].ravel()], samples, name)

    def test_labels_of_several_files_choose_the_samples_that_each_chooses_by_itself(self):
        # 8000 Hz hold the times of A, 3.333 MHz those of B, 44,100 Hz those of C: no ticks hold all.
        for seed in sample_of(range(8)):
            with self.subTest(seed=seed):
                plains, chosen = self.sensors_with_labels(seed)
                for one, name in zip(plains, self.SENSORS):
                    self.assert_chooses({name: chosen[name]}, one)
                self.assert_chooses(chosen, *plains)
                self.assert_chooses(chosen, *plains[::-1])
                run("pack", *plains, "-o", self.path("packed.sdsz"), "-f")
                self.assert_chooses(chosen, self.path("packed.sdsz"))
                run("merge", *plains, "--no-align", "-o", self.path("merged.sdsz"), "-f")
                self.assert_chooses(chosen, self.path("merged.sdsz"))
                self.write("packed.labels.yml", "labels:\n  tick-frequency: 1000\n  intervals: []\n")
                run("label", "merge", self.path("packed.sdsz"), *(
                    word for name in self.SENSORS for word in ("--with", self.path(f"{name}.0.labels.yml"))))
                self.assert_chooses(chosen, self.path("packed.sdsz"))

    def test_labels_of_recordings_that_are_aligned_stay_on_their_samples(self):
        # Each begins a second behind the first one; rows 37 apart change their label.
        said = [("walk", "run")[i // 37 % 2] for i in range(1000)]
        rates = {"A": 333.3, "B": 44_100, "C": 26, "D": 1600}
        for name, rate in rates.items():
            begin = 1_717_000_000 + (name != "A")
            self.write(f"{name}.csv", f"timestamp_ns,{name.lower()},label\n" + "".join(
                f"{begin * 10**9 + round(Fraction(i * 10**9) / Fraction(str(rate)))},{i},{said[i]}\n" for i in range(1000)))
            run("import", "csv", self.path(f"{name}.csv"), "-o", self.path(f"{name}.sdsz"), "--tick-frequency", 1000)
        for pair in ("AB", "AC", "AD", "BD", "DB", "CD", "DC", "ABD", "ADB"):
            _, err = run("merge", *(self.path(f"{name}.sdsz") for name in pair), "-o", self.path(f"{pair}.sdsz"))
            self.assertEqual("rounded" in err, len(pair) > 2)  # 3.333 MHz, 441 kHz and 8 kHz: 3.9 GHz
            for name in pair:
                for word in ("walk", "run"):
                    with self.subTest(pair=pair, name=name, word=word):
                        got = self.exported(self.path(f"{pair}.sdsz"), "-s", name, "--label", word)[:, 1]
                        np.testing.assert_array_equal(got, [i for i in range(1000) if said[i] == word])
        for one, other in (("BD", "DB"), ("CD", "DC"), ("ABD", "ADB")):
            self.assertEqual(self.ticks_of(f"{one}.labels.yml")[0], self.ticks_of(f"{other}.labels.yml")[0])
        # 66.673 MHz and 3.333 MHz have no ticks below 2^31 Hz in common.
        for name, ticks in (("B", 66_673_000), ("D", 3_333_000)):
            self.write(f"{name}.labels.yml", f"labels:\n  tick-frequency: {ticks}\n  intervals:\n    - {{class: x, begin: 20001, end: 3000001}}\n")
        for order in ("BD", "DB"):
            _, err = run("merge", *(self.path(f"{name}.sdsz") for name in order), "-o", self.path("both.sdsz"), "-f")
            self.assertRegex(err, r"1 label is rounded to ticks of 66673000 Hz: no ticks hold those of all recordings")

    def test_values_that_a_filter_would_make_infinite_are_not_resampled(self):
        values = np.arange(2000.0)
        values[1005] = 1e39
        one = self.stream("L", values, kind="double")
        err = run("resample", one, "-s", "L", "--rate", 50, "-o", self.path("l.sdsz"), expect=3)[1]
        self.assertIn("L: 1 value is beyond 1e+37 (of v)", err)
        values[1005], values[1010] = 1e37, -1e37
        one = self.stream("L", values, kind="double")
        run("resample", one, "-s", "L", "--rate", 50, "-o", self.path("l.sdsz"))
        self.assertTrue(np.isfinite(self.exported(self.path("l.sdsz"))).all())

    def listed(self, recording):
        return [(l["class"], l["from"], l["to"]) for l in self.said("label", "list", recording)["labels"]]

    def summaries(self, name, values, scale=1.0, offset=0.0, kind="double", block=100):
        """A packed stream of these values, and what `info`, `stats` and `stats --exact` say of them: text, dict, dict."""
        values = np.asarray(values, dtype={"double": "<f8", "int16_t": "<i2"}[kind])
        self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: 100\n"
                                      f"  content:\n    - {{value: v, type: {kind}, scale: {scale!r}, offset: {offset!r}}}\n")
        one = self.write(f"{name}.0.sds", plain(*((10 * k, values[k:k + block].tobytes()) for k in range(0, len(values), block))))
        run("pack", one, "-o", self.path(f"{name}.sdsz"))
        row = next(line for line in run("info", self.path(f"{name}.sdsz"))[0].splitlines() if line.startswith("    v "))
        return row, *(self.said("stats", self.path(f"{name}.sdsz"), *how)["channels"][0] for how in ([], ["--exact"]))

    def test_extremes_and_means_are_the_same_by_index_and_by_samples(self):
        inf = float("inf")
        number = lambda x: None if x is None or np.isnan(x) else x if np.isfinite(x) else "inf" if x > 0 else "-inf"
        for case, (raw, scale, offset, kind) in enumerate((
                ([1e308, 1.5e308] * 500, 1, 0, "double"), ([1, 2, inf], 1, 0, "double"), ([1, -inf, 2], 1, 0, "double"),
                ([inf, -inf, 3], 1, 0, "double"), ([inf] * 4, -1, 0, "double"), ([1, inf, 2, -inf, np.nan], 0, 3, "double"),
                ([inf, inf], 0, 1, "double"), ([1e308, -1e308], 10, 0, "double"), (range(-100, 201), -1, 7, "int16_t"),
                ([1e300, 3e300], -1e-3, 1e297, "double"))):
            with np.errstate(all="ignore"):
                values = np.asarray(raw, dtype="f8") * scale + offset
                values = values[~np.isnan(values)]
                least, most = (np.min(values), np.max(values)) if len(values) else (None, None)
                mean = float(np.sum(values.astype(np.longdouble)) / len(values)) if len(values) else None
            row, indexed, exact = self.summaries(f"E{case}", raw, scale, offset, kind)
            with self.subTest(case=case):
                for found in (indexed, exact):
                    self.assertEqual((found["count"], found["nan"]), (len(values), len(raw) - len(values)))
                    self.assertEqual((found["min"], found["max"]), (number(least), number(most)))
                    if number(mean) is None or isinstance(number(mean), str):
                        self.assertEqual(found["mean"], number(mean))
                    else:
                        np.testing.assert_allclose(found["mean"], mean, rtol=1e-14)
                if len(values):
                    told = re.search(r"(\S+) to (\S+), mean ([^,\s]+)", row)
                    np.testing.assert_allclose([float(t) for t in told.groups()], [least, most, mean], rtol=1e-5)
                    self.assertNotIn("-nan", row)

    def test_deviations_of_values_of_any_size(self):
        for power in (-310, -170, -150, 0, 150, 300):
            unit = float(f"1e{power}")
            _, _, exact = self.summaries("D", [unit, 3 * unit] * 200)
            os.remove(self.path("D.sdsz"))
            quality = self.said("check", self.path("D.0.sds"), "--quality")
            with self.subTest(power=power):
                np.testing.assert_allclose(exact["deviation"], unit, rtol=1e-6)
                np.testing.assert_allclose(self.found(quality, "deviation"), unit, rtol=1e-6)
                np.testing.assert_allclose(self.found(quality, "noise"), unit, rtol=1e-6)

    def test_what_is_no_number_and_what_is_infinite_are_told_alike(self):
        # JSON has neither: NaN is null, infinities are texts.
        one, other = self.stream("S", [1, np.nan, 3], kind="double"), self.stream("T", [1, 2, np.inf], kind="double")
        found = self.said("compare", one, other, "-s", "S=T")["streams"][0]["channels"][0]
        self.assertEqual((found["different"], found["max_difference"]), (2, "inf"))
        self.assertEqual((found["first"]["a"], found["first"]["b"]), (None, 2))
        found = self.said("stats", other)["channels"][0]
        self.assertEqual((found["max"], found["mean"], found["deviation"]), ("inf", "inf", None))

    def test_integers_of_64_bits_are_compared_with_doubles_exactly(self):
        for number, (a, b, difference) in enumerate(((2**64 - 1, 2.0**64, 1), (2**64 - 1, 2.0**64 - 2048, 2047), (2**63, 2.0**63, 0),
                                                     (2**53 + 1, 2.0**53, 1), (2**64 - 1, 2.0**65, 2**64 + 1))):
            for name, kind, data in (("A", "uint64_t", np.uint64(a)), ("B", "double", np.float64(b))):
                self.write(f"{name}{number}.sds.yml", f"sds:\n  name: {name}{number}\n  sample-frequency: 100\n"
                                                      f"  content:\n    - {{value: v, type: {kind}}}\n")
                self.write(f"{name}{number}.0.sds", plain((0, data.tobytes())))
            found = self.said("compare", self.path(f"A{number}.0.sds"), self.path(f"B{number}.0.sds"), "-s",
                              f"A{number}=B{number}")["streams"][0]["channels"][0]
            with self.subTest(a=a, b=b):
                self.assertEqual((found["different"], found["max_difference"]), (int(difference != 0), float(difference)))

    def test_no_frame_of_activity_has_samples_of_both_sides_of_a_gap(self):
        # 100 Hz, blocks of 10. 0 up to 1.2 s, a gap of 0.2 s, then 1000: both sides are silent, and so is every frame of 0.5 s.
        self.write("G.sds.yml", "sds:\n  name: G\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        blocks = [(100 * k + (200 if k >= 12 else 0), np.full(10, 0 if k < 12 else 1000, dtype="<i2").tobytes()) for k in range(40)]
        one = self.write("G.0.sds", plain(*blocks))
        run("label", "auto", one, "--frame", 0.5, "--threshold", 100, "--silent", "rest")
        self.assertEqual(self.listed(one), [("rest", 0, 1.2), ("rest", 1.4, 4.2)])

    def test_a_gap_ends_labels_of_scores_without_a_sample_frequency_too(self):
        # A score every 100 ms, and none for 2 s: the last one before lasts the usual step.
        self.write("N.sds.yml", "sds:\n  name: N\n  content:\n    - {value: a, type: float}\n    - {value: b, type: float}\n")
        score = np.asarray([[1, 0]], dtype="<f4").tobytes()
        one = self.write("N.0.sds", plain(*((begin + 100 * k, score) for begin in (0, 3000) for k in range(10))))
        run("label", "auto", one, "--scores", "N")
        self.assertEqual([l[:2] for l in self.listed(one)], [("a", 0), ("a", 3)])
        self.assertEqual(self.listed(one)[0][2], 1)

    def found(self, tree, key):
        if isinstance(tree, dict):
            if key in tree:
                return tree[key]
            tree = list(tree.values())
        for item in tree if isinstance(tree, list) else ():
            if (value := self.found(item, key)) is not None:
                return value
        return None


    def test_a_gap_is_seen_where_blocks_are_shorter_than_half_a_tick(self):
        # 16 kHz in blocks of 4 samples, 0.25 ms: three of four steps are 0 ticks of 1 ms. After 1,000 blocks 0.5 s are missing.
        one = self.stream("Q", np.arange(16_000), 16_000, block=4)
        shared = [(k // 4 + (500 if k >= 1000 else 0), bytes(8)) for k in range(4000)]
        for blocks, gaps in ((shared, 1), ([(k // 4, bytes(8)) for k in range(4000)], 0)):
            self.write("Q.0.sds", plain(*blocks))
            self.assertEqual(self.said("check", one)["recordings"][0]["streams"][0]["gaps"]["count"], gaps)
            quality = self.found(self.said("check", one, "--quality"), "quality")["streams"][0]
            self.assertEqual(quality["late_blocks"], gaps)
            self.assertLessEqual(abs(quality["missing_samples"] - gaps * 8000), 32)  # ticks are 16 samples
        # Of longer ones that are sent three together it is not known; short ones that are sent ten together now and then have none.
        for name, rate, blocks, none in (("T", 1000, [(k // 3 * 30, bytes(20)) for k in range(300)], None),
                                         ("U", 16_000, [(k // 40 * 10, bytes(8)) for k in range(4000)], {"count": 0, "block": 0, "ticks": 0})):
            self.stream(name, [0], rate)
            self.write(f"{name}.0.sds", plain(*blocks))
            found = self.said("check", self.path(f"{name}.0.sds"))["recordings"][0]["streams"][0]
            self.assertEqual(found["gaps"], none, name)

    def test_a_time_is_the_nearest_double(self):
        # 4294963.864001201 lies near the middle between two doubles; nearest is that of sample 4: tick + 4 / 333.3.
        exact = Fraction(4_294_963_852, 1000) + 4 / Fraction("333.3")
        self.assertEqual(repr(float(exact)), "4294963.864001201")
        self.write("S.sds.yml", "sds:\n  name: S\n  sample-frequency: 333.3\n  content:\n    - {value: i, type: int8_t}\n")
        one = self.write("S.0.sds", plain((4_294_963_852, bytes(range(7)))))
        rows = run("export", "csv", one, "--from", "4294963.864001201")[0].splitlines()[1:]
        self.assertEqual([row.split(",")[1] for row in rows], ["4", "5", "6"])


    def test_conditions_tell_integers_of_64_bits_apart(self):
        # More sections than one, so that what the index says of them decides for some, which it says in doubles.
        near, count = 2 ** 53, 3000
        a = [near - 1500 + k for k in range(count)]
        b = [2 ** 64 - 1 - (k * 7919) % count for k in range(count)]
        f = [float(k % 5) for k in range(count)]
        self.write("S.sds.yml", "sds:\n  name: S\n  sample-frequency: 1000\n  content:\n    - {value: a, type: int64_t}\n"
                                "    - {value: b, type: uint64_t}\n    - {value: f, type: double}\n")
        plain_file = self.write("S.0.sds", plain(*[
            (10 * k, b"".join(struct.pack("<qQd", *row) for row in list(zip(a, b, f))[10 * k : 10 * k + 10]))
            for k in range(count // 10)]))
        run("pack", plain_file, "-o", self.path("S.sdsz"), "--section-kib", 16)
        for condition, true in (
                (f"a == {near + 1}", lambda a, b, f: a == near + 1), (f"a > {near}", lambda a, b, f: a > near),
                (f"a >= {near + 3} and a < {near + 6}", lambda a, b, f: near + 3 <= a < near + 6),
                (f"a != {near + 1}", lambda a, b, f: a != near + 1), (f"0 - a == -{near + 1}", lambda a, b, f: a == near + 1),
                (f"a - {near} == 1", lambda a, b, f: a - near == 1), (f"{near + 1} <= a", lambda a, b, f: a >= near + 1),
                (f"b == {2 ** 64 - 2}", lambda a, b, f: b == 2 ** 64 - 2), (f"b < {2 ** 64 - 1}", lambda a, b, f: b < 2 ** 64 - 1),
                (f"min(a, {near + 1}) == {near + 1}", lambda a, b, f: a > near), (f"a - {near} == f", lambda a, b, f: a - near == f),
                (f"not a <= {near + 1} or f > 3.5", lambda a, b, f: a > near + 1 or f > 3.5),
                (f"abs(a - {near + 1}) < 2", lambda a, b, f: abs(a - near - 1) < 2),
                ("a / 3 > 0.1", lambda a, b, f: True)):
            expected = sum(map(true, a, b, f))
            for one in (plain_file, self.path("S.sdsz")):
                out = run("query", one, condition, "--json", expect=0 if expected else 1)[0]
                self.assertEqual(json.loads(out)["samples"], expected, (condition, one))


if __name__ == "__main__":
    main()
