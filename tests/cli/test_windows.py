"""Windows of several streams, cut by time: every stream's samples of a span, none across a gap of any of them. What is
expected is NumPy's arithmetic on what the streams are made of."""
import json
import os

import peers

peers.use()

import h5py
import numpy as np
import yaml

from harness import Case, main, plain, run


class Windows(Case):
    def stream(self, name, rate, seconds=10, block=None, late=0, step=None, missing=(), begin=0, scale=1):
        """A plain file: sample k has the value k. Blocks of `block` samples each `step` ms, from `begin` ms on."""
        block = block or rate // 10
        step = step or 1000 * block // rate
        self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: {rate}\n  content:\n"
                                      f"    - {{value: x, type: int32_t, scale: {scale}}}\n    - {{value: y, type: float}}\n")
        rows = np.zeros(int(seconds * 1000 // step) * block, [("x", "<i4"), ("y", "<f4")])
        rows["x"] = np.arange(len(rows))
        rows["y"] = -rows["x"]
        return self.write(f"{name}.0.sds", plain(*[
            (begin + step * k + (late if k % 7 == 3 else 0), rows[block * k:block * (k + 1)].tobytes())
            for k in range(len(rows) // block) if k not in missing]))

    def pack(self, name, *files):
        run("pack", *files, "-o", self.path(name))
        return self.path(name)

    def label(self, name, *labels):
        self.write(name, "labels:\n  version: 1\n  intervals:\n" + "".join(
            f"    - {{class: {l[0]}, from: {l[1]}, to: {l[2]}{f', stream: {l[3]}' if len(l) > 3 else ''}}}\n" for l in labels))

    def windows(self, *args, form="npz", expect=0):
        """(arrays of train.npz or .h5, stderr)"""
        _, err = run("export", form, *args, "-f", "-o", self.path("set"), expect=expect)
        if form == "npz":
            with np.load(self.path("set", "train.npz")) as z:
                return dict(z), err
        with h5py.File(self.path("set", "train.h5")) as f:
            return {k: f[k][:] if f[k].dtype.kind != "S" else np.array([t.decode() for t in f[k][:]]) for k in f}, err

    def test_values_that_are_no_finite_numbers_are_told(self):
        files = []
        for name, rate in (("Imu", 100), ("Mic", 1600)):
            files.append(self.stream(name, rate))
            data = bytearray(self.read(f"{name}.0.sds"))
            for k in (3, 250, 251):  # samples of 8 bytes, behind a head of 8 bytes a block
                at = 8 * k + 8 * (k // (rate // 10) + 1) + 4
                data[at:at + 4] = np.float32(np.inf if k == 3 else np.nan).tobytes()
            self.write(f"{name}.0.sds", bytes(data))
        rec = self.pack("r.sdsz", *files)
        for form in ("npz", "hdf5"):
            for stride, where in (("1s", "apart"), ("500ms", "each sample is in two")):
                with self.subTest(form=form, where=where):
                    data, err = self.windows(rec, "-s", "Imu", "--window", "1s", "--stride", stride, "--unlabelled", form=form)
                    count = int(np.sum(~np.isfinite(data["x"])))
                    self.assertGreaterEqual(count, 3)
                    self.assertIn(f"r: Imu: {count} values are no finite numbers in windows", err)
                    data, err = self.windows(rec, "-s", "Imu", "-s", "Mic", "--window", "1s", "--stride", stride, "--unlabelled", form=form)
                    for name in ("Imu", "Mic"):
                        count = int(np.sum(~np.isfinite(data["x." + name])))
                        self.assertIn(f"r: {name}: {count} values are no finite numbers in windows", err)

    def test_a_window_has_all_streams_of_one_span(self):
        rec = self.pack("r.sdsz", self.stream("Imu", 100), self.stream("Mic", 1600, scale=0.5))
        self.label("r.labels.yml", ("walk", 0, 5), ("run", 5, 10, "Mic"))
        data, err = self.windows(rec, "-s", "Imu", "-s", "Mic", "--window", "2s", "--stride", "500ms")
        self.assertEqual(err, "")
        self.assertEqual(set(data), {"x.Imu", "count.Imu", "channels.Imu", "x.Mic", "count.Mic", "channels.Mic", "y", "recording",
                                     "begin", "classes", "recordings"})
        begins = np.arange(0, 8.001, 0.5)
        np.testing.assert_array_equal(data["begin"], begins)
        np.testing.assert_array_equal(data["x.Imu"][:, :, 0], (100 * begins)[:, None] + np.arange(200))
        np.testing.assert_array_equal(data["x.Mic"][:, :, 0], ((1600 * begins)[:, None] + np.arange(3200)) / 2)
        np.testing.assert_array_equal(data["x.Mic"][:, :, 1], -(1600 * begins)[:, None] - np.arange(3200))
        self.assertEqual(set(data["count.Imu"]), {200})
        self.assertEqual(set(data["count.Mic"]), {3200})
        self.assertEqual(data["x.Imu"].dtype, np.float32)
        self.assertEqual(data["count.Imu"].dtype, np.int32)
        self.assertEqual(list(data["channels.Mic"]), ["x", "y"])
        # The one from 4 s on has a second of either: of equal ones the first by name.
        self.assertEqual([data["classes"][i] for i in data["y"]], ["walk"] * 8 + ["run"] * 9)
        window = yaml.safe_load(self.read("set", "manifest.yml"))["dataset"]["window"]
        self.assertEqual(window["streams"], ["Imu", "Mic"])
        hdf5, _ = self.windows(rec, "-s", "Imu", "-s", "Mic", "--window", "2s", "--stride", "500ms", form="hdf5")
        self.assertEqual(set(hdf5), set(data))
        for name in data:
            np.testing.assert_array_equal(hdf5[name], data[name], name)
        # Labels about a stream that is not there say nothing.
        data, _ = self.windows(rec, "-s", "Imu", "-s", "Mic", "--window", "2s")
        np.testing.assert_array_equal(data["begin"], [0, 2, 4, 6, 8])

    def test_windows_begin_where_the_last_stream_does_and_break_at_gaps_of_any(self):
        # Imu lacks [3, 3.5) s, Mic begins at 0.25 s and lacks [6, 6.1) s.
        rec = self.pack("r.sdsz", self.stream("Imu", 100, missing=range(30, 35)),
                        self.stream("Mic", 1600, begin=250, seconds=9, block=80, missing=(115, 116)))
        data, _ = self.windows(rec, "-s", "Mic", "-s", "Imu", "--window", "1s", "--unlabelled")
        np.testing.assert_array_equal(data["begin"], [0.25, 1.25, 3.5, 4.5, 6.1, 7.1, 8.1])
        imu = np.round(data["begin"] * 100)[:, None] + np.arange(100)
        np.testing.assert_array_equal(data["x.Imu"][:, :, 0], imu)
        np.testing.assert_array_equal(data["x.Mic"][:, :, 0], np.round((data["begin"] - 0.25) * 1600)[:, None] + np.arange(1600))
        self.assertTrue((data["y"] == -1).all())

    def test_late_and_missing_samples_are_told(self):
        # One per cent slow: 10 samples each 101 ms. Mic is exact.
        rec = self.pack("slow.sdsz", self.stream("Slow", 100, step=101, seconds=20), self.stream("Mic", 1000, seconds=19))
        data, err = self.windows(rec, "-s", "Slow", "-s", "Mic", "--window", "1s", "--unlabelled")
        times = np.array([101 * k + 10 * i for k in range(198) for i in range(10)])  # ms
        begins = 1000 * np.arange(19)
        counts = [int(((times >= b) & (times < b + 1000)).sum()) for b in begins]
        np.testing.assert_array_equal(data["count.Slow"], counts)
        self.assertEqual(data["x.Slow"].shape, (19, 100, 2))
        for i, b in enumerate(begins):
            there = np.flatnonzero((times >= b) & (times < b + 1000))
            np.testing.assert_array_equal(data["x.Slow"][i, :len(there), 0], there)
            self.assertTrue(np.isnan(data["x.Slow"][i, len(there):]).all())
        fewer = sum(c < 100 for c in counts)
        self.assertGreater(fewer, 0)
        self.assertIn(f"slow: Slow: of 19 windows {fewer} have fewer samples than the sample-frequency gives, and 0 more: "
                      f"{min(counts)} to {max(counts)}, not 100", err)
        self.assertNotIn("Mic", err)
        out, _ = run("export", "npz", rec, "-s", "Slow", "-s", "Mic", "--window", "1s", "--unlabelled", "-f", "-o", self.path("set"), "--json")
        self.assertEqual(json.loads(out)["streams"], [
            {"stream": "Slow", "samples": 100, "most_samples": max(counts), "windows_with_fewer": fewer, "windows_with_more": 0},
            {"stream": "Mic", "samples": 1000, "most_samples": 1000, "windows_with_fewer": 0, "windows_with_more": 0}])
        # A fast one has more, and all of them are there; a block that comes late is in the window that its ticks say.
        rec = self.pack("fast.sdsz", self.stream("Fast", 100, step=99, seconds=20), self.stream("Late", 1000, seconds=19, late=30))
        data, err = self.windows(rec, "-s", "Fast", "-s", "Late", "--window", "1s", "--stride", "350ms", "--unlabelled")
        fast = np.array([99 * k + 10 * i for k in range(202) for i in range(10)])
        late = np.array([100 * k + 30 * (k % 7 == 3) + i for k in range(190) for i in range(100)])
        for name, times, nominal in (("Fast", fast, 100), ("Late", late, 1000)):
            counts = [int(((times >= b) & (times < b + 1000)).sum()) for b in range(0, 18001, 350)]
            np.testing.assert_array_equal(data["count." + name], counts)
            self.assertEqual(data["x." + name].shape, (len(counts), max(nominal, *counts), 2))
            self.assertIn(f": {name}: of {len(counts)} windows {sum(c < nominal for c in counts)} have fewer samples than the "
                          f"sample-frequency gives, and {sum(c > nominal for c in counts)} more", err)
            for i, b in enumerate(range(0, 18001, 350)):
                np.testing.assert_array_equal(data["x." + name][i, :counts[i], 0], np.flatnonzero((times >= b) & (times < b + 1000)))

    def test_streams_slower_than_the_window_have_none_or_one(self):
        rec = self.pack("r.sdsz", self.stream("Imu", 100), self.stream("T", 1, block=1))
        data, err = self.windows(rec, "-s", "Imu", "-s", "T", "--window", "500ms", "--unlabelled")
        self.assertEqual(err, "")
        np.testing.assert_array_equal(data["count.T"], [1, 0] * 10)
        self.assertEqual(data["x.T"].shape, (20, 1, 2))
        np.testing.assert_array_equal(np.isnan(data["x.T"][:, 0, 0]), [False, True] * 10)

    def test_blocks_of_any_size(self):
        # A stream in one block, in blocks of a sample, and in blocks longer than the windows.
        rec = self.pack("r.sdsz", self.stream("One", 1000, block=10_000), self.stream("Small", 100, block=1), self.stream("Long", 100, block=250))
        data, err = self.windows(rec, "-s", "One", "-s", "Small", "-s", "Long", "--window", "900ms", "--stride", "70ms", "--unlabelled")
        self.assertEqual(err, "")
        begins = 70 * np.arange(131)
        np.testing.assert_allclose(data["begin"], begins / 1000, rtol=1e-14)
        for name, step, count in (("One", 1, 900), ("Small", 10, 90), ("Long", 10, 90)):
            np.testing.assert_array_equal(data["count." + name], [count] * 131)
            np.testing.assert_array_equal(data["x." + name][:, :, 0], (begins // step)[:, None] + np.arange(count))

    def test_several_recordings_channels_and_a_split(self):
        recs = [self.pack(f"{n}.sdsz", self.stream("Imu", 100, seconds=4 + i), self.stream("Mic", 1600, seconds=5)) for i, n in enumerate("abcd")]
        options = ["-s", "Imu", "-s", "Mic", "--window", "1s", "--unlabelled", "--split", "50/50", "--channel", "x", "--channel", "Mic.y"]
        contents = []
        for jobs, order in ((1, recs), (3, recs[::-1])):
            run("export", "npz", *order, *options, "-j", jobs, "-f", "-o", self.path("set"))
            contents.append({n: self.read("set", n) for n in sorted(os.listdir(self.path("set")))})
        self.assertEqual(contents[0], contents[1])
        seen = {}
        for part in ("train", "test"):
            with np.load(self.path("set", part + ".npz")) as z:
                self.assertEqual((list(z["channels.Imu"]), list(z["channels.Mic"])), (["x"], ["x", "y"]))
                for r, b, x in zip(z["recording"], z["begin"], z["x.Mic"]):
                    seen[str(z["recordings"][r]), float(b)] = x
        self.assertEqual(sorted(seen), [(n, float(b)) for i, n in enumerate("abcd") for b in range(min(4 + i, 5))])
        for (_, begin), x in seen.items():
            np.testing.assert_array_equal(x[:, 0], 1600 * begin + np.arange(1600))
            np.testing.assert_array_equal(x[:, 1], -x[:, 0])

    def test_what_is_asked_for_has_to_be_there(self):
        rec = self.pack("r.sdsz", self.stream("Imu", 100), self.stream("Mic", 1600))
        one = self.pack("one.sdsz", self.path("Imu.0.sds"))
        other = self.pack("other.sdsz", self.path("Imu.0.sds"), self.stream("Mic", 800))
        pair = ["-s", "Imu", "-s", "Mic"]
        for args, said, code in (([rec, *pair, "-s", "Nope"], "Nope", 2),
                                 ([rec, "-s", "Imu", "-s", "Imu"], "stream Imu is named twice", 2),
                                 ([rec, *pair, "--channel", "Imu.x"], "no channel of stream Mic is chosen with --channel", 2),
                                 ([rec, *pair, "--channel", "x", "--channel", "z"], "no channel 'z' in any of the streams", 2),
                                 ([rec], "choose one with -s, or several for windows of all of them", 2),
                                 ([rec, one, *pair], "Mic", 2),
                                 ([rec, other, *pair], "one dataset needs one shape", 3),
                                 ([rec, *pair, "--stride", "0.00001"], "more windows than samples", 2)):
            _, err = run("export", "npz", "--window", "1s", "--unlabelled", *args, "-o", self.path("x"), expect=code)
            self.assertIn(said, err)
            self.assertFalse(os.path.exists(self.path("x")))
        _, err = run("export", "npz", rec, *pair, "--window", "11s", "--unlabelled", "-o", self.path("x"), expect=3)
        self.assertIn("no window is left", err)


if __name__ == "__main__":
    main()
