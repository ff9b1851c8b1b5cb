"""What is in pictures and pages: lines that end where there is no data, spectrograms beneath their streams, names of
labels, and clock times."""
import base64
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import time
import unittest

import peers

peers.use("numpy")

import numpy as np

from harness import SDS, Case, main, plain, run

NONE, NAN = None, math.nan


class Plots(Case):
    def stream(self, name, values, block=10, rate=100, missing=(), type="float", unit="", step_ms=None):
        """A plain file with one channel; blocks of `missing` are left out."""
        self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: {rate}\n  content:\n"
                                      f"    - {{value: x, type: {type}{', unit: ' + unit if unit else ''}}}\n")
        data = np.asarray(values, {"float": "<f4", "int16_t": "<i2"}[type])
        step = step_ms or 1000 * block / rate
        return self.write(f"{name}.0.sds", plain(*[(round(step * k), data[block * k:block * (k + 1)].tobytes())
                                                   for k in range(len(data) // block) if k not in missing]))

    def page(self, *args):
        run("plot", *args, "-o", self.path("p.html"), "-f")
        return self.read("p.html").decode()

    def series(self, page, panel=0):
        """Times of the points of the first series of a panel, None where its line is interrupted."""
        data = eval(re.findall(r"data:(\[.*?\]\])\}", page)[panel], {"null": NONE, "NaN": NAN})
        return [None if row[1][1] != row[1][1] else row[0] for row in data if row[1] is not None]

    def breaks(self, points):
        """(the time before, the time behind) of each interruption."""
        return [(points[i - 1], points[i + 1]) for i, t in enumerate(points) if t is None]

    def curves(self, svg):
        """The x coordinates of the line of the first series, stretch by stretch."""
        stretches = []
        for path in re.findall(r"<path\s+stroke='rgb\( 47, 111, 178\)'\s+d='([^']*)'", svg):
            for stretch in path.split("M")[1:]:
                stretches.append([float(p.split(",")[0]) for p in re.findall(r"-?[\d.]+,-?[\d.]+", stretch)])
        return stretches

    def test_a_picture_is_the_same_each_time_and_names_nothing_of_its_making(self):
        rec = self.stream("A", [NAN, 1, NAN, 2, 3, 4, 5, 6, 7, 8] * 10, rate=400)
        pictures = []
        for name in ("p.svg", "q.svg"):
            run("plot", rec, "-o", self.path(name))
            pictures.append(self.read(name).decode())
        self.assertEqual(*pictures)
        self.assertNotIn(".dat", pictures[0])

    def test_lines_end_at_gaps_and_where_values_are_no_numbers(self):
        values = np.sin(np.arange(1000) / 20)
        values[700:720] = math.nan  # 7.0 to 7.2 s
        rec = self.stream("A", values, missing=range(30, 45))  # 3.0 to 4.5 s
        breaks = self.breaks(self.series(self.page(rec)))
        self.assertEqual([(round(a, 2), round(b, 2)) for a, b in breaks], [(2.99, 4.5), (6.99, 7.2)])
        # Jitter is no gap, nor a sensor that is slower than it says; a stream without a rate has none.
        self.assertEqual(self.breaks(self.series(self.page(self.stream("S", np.arange(1000), step_ms=103)))), [])
        self.write("T.sds.yml", "sds:\n  name: T\n  content:\n    - {value: x, type: float}\n")
        slow = self.write("T.0.sds", plain(*[(t, struct.pack("<f", 1)) for t in (0, 1000, 2000, 60_000, 61_000)]))
        self.assertEqual(self.breaks(self.series(self.page(slow))), [])
        if shutil.which("gnuplot"):
            run("plot", rec, "-o", self.path("p.svg"))
            stretches = self.curves(self.read("p.svg").decode())
            # 1600 pixels less 90 are 10 s.
            x = lambda t: 70 + t * 151
            ends = [(min(s), max(s)) for s in stretches if len(s) > 5]
            for (a, b), (begin, end) in zip(ends, ((0, 2.99), (4.5, 6.99), (7.2, 9.99)), strict=True):
                self.assertAlmostEqual(a, x(begin), delta=3)
                self.assertAlmostEqual(b, x(end), delta=3)

    def test_lines_from_the_index_end_at_gaps_and_losses(self):
        # 250 s in sections of half a second; missing are 50 to 60 s and 100.25 to 110.75 s.
        rng = np.random.default_rng(1)
        rec = self.stream("A", rng.integers(-30000, 30000, 4_000_000), block=160, rate=16000, type="int16_t",
                          missing=[*range(5000, 6000), *range(10_025, 11_075)])
        run("pack", rec, "-o", self.path("a.sdsz"), "--section-kib", 16)
        out, _ = run("plot", self.path("a.sdsz"), "--width", 200, "-o", self.path("p.html"))
        self.assertIn("drawn from the index", out)
        breaks = self.breaks(self.series(self.read("p.html").decode()))
        self.assertEqual(len(breaks), 2, breaks)
        for (a, b), (begin, end) in zip(breaks, ((50, 60), (100.25, 110.75))):
            self.assertAlmostEqual(a, begin, delta=0.6)
            self.assertAlmostEqual(b, end, delta=0.6)

    def test_a_spectrogram_stands_beneath_its_stream(self):
        tone = lambda hz: (8000 * np.sin(2 * np.pi * hz * np.arange(16000) / 8000)).astype("<i2")
        for name, hz in (("main", 1000), ("other", 3000)):
            self.write("Mic.sds.yml", "sds:\n  name: Mic\n  sample-frequency: 8000\n  content:\n"
                                      "    - audio: {bit-depth: 16, channels: 1, format: pcm}\n")
            samples = tone(hz)
            self.write("Mic.0.sds", plain(*[(10 * k, samples[80 * k:80 * k + 80].tobytes()) for k in range(200)]))
            run("pack", self.path("Mic.0.sds"), "-o", self.path(name + ".sdsz"))
        page = self.page(self.path("main.sdsz"), "--below", self.path("other.sdsz"))
        order = re.findall(r'<h2>([^<]*)</h2>|<canvas id="(spectrum\d)"', page)
        self.assertEqual([a or b for a, b in order], ["Mic", "spectrum0", "other: Mic", "spectrum1"])
        for found, hz in zip(re.findall(r'columns:(\d+),rows:(\d+),max_hz:(\d+),bytes:"([^"]*)"', page), (1000, 3000), strict=True):
            columns, rows, top = map(int, found[:3])
            levels = np.frombuffer(base64.b64decode(found[3]), np.uint8).reshape(rows, columns)
            loudest = levels[:, columns // 2].argmax()
            self.assertAlmostEqual((loudest + 0.5) / rows * top, hz, delta=top / rows)
        if shutil.which("gnuplot"):
            run("plot", self.path("main.sdsz"), "--below", self.path("other.sdsz"), "-o", self.path("p.svg"))
            texts = re.findall(r"<text>\s*([^<]*?)\s*</text>", self.read("p.svg").decode())
            self.assertEqual([t for t in texts if t in ("Mic", "other: Mic", "kHz")], ["Mic", "kHz", "other: Mic", "kHz"])

    def test_channels_of_another_unit_that_have_no_panel_are_told(self):
        one = self.stream("A", np.arange(100), unit="G")
        run("pack", one, "-o", self.path("one.sdsz"))
        run("pack", self.stream("A", np.arange(100), unit="mg"), "-o", self.path("two.sdsz"))
        _, err = run("plot", self.path("one.sdsz"), "--with", self.path("two.sdsz"), "-o", self.path("p.html"))
        self.assertIn("two: x is left out: there is no panel of a stream A in mg that it could go into", err)

    def dots(self, svg):
        """The x coordinates of the dots of the first series."""
        return [float(x) for x in re.findall(r"<use xlink:href='#gpPt6' transform='translate\(([\d.]+),[^>]*color='rgb\( 47, 111, 178\)'", svg)]

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_values_without_neighbours_are_dots(self):
        values = np.full(1000, math.nan)
        values[::100] = np.arange(10)  # at 0, 1, ... s
        values[501] = 5                # a line from 5.00 to 5.01 s
        run("plot", self.stream("A", values), "-o", self.path("p.svg"))
        found = self.dots(self.read("p.svg").decode())
        lone = [t for t in range(10) if t != 5]
        self.assertEqual(len(found), 2 * len(lone))  # of the smallest and the largest value in a column
        for x, t in zip(sorted(found)[::2], lone, strict=True):
            self.assertAlmostEqual(x, 70 + 1510 * t / 10, delta=2)

    def test_what_has_nothing_in_the_time_is_told(self):
        one = self.stream("A", np.arange(1000))
        late = self.write("B.sds.yml", self.read("A.sds.yml").decode().replace("A", "B")) and self.write(
            "B.0.sds", plain(*[(1_000_000 + 100 * k, np.arange(10, dtype="<f4").tobytes()) for k in range(500)]))
        for how in ("--below", "--with"):
            for picture in ("p.svg", "p.html"):
                out, err = run("plot", one, how, late, "-o", self.path(picture), expect=3)
                self.assertIn("B.0.sds: has nothing to draw in 0 to 10 s: B has [1000, 1050) s", err)
        # With something else to draw it is a warning, and the picture is made.
        nan = self.stream("C", np.full(1000, math.nan))
        for picture in ("p.svg", "p.html"):
            _, err = run("plot", one, nan, "-o", self.path(picture), "-f")
            self.assertIn("C has nothing to draw in 0 to 10 s", err)
        _, err = run("plot", nan, "-o", self.path("p.svg"), "-f", expect=3)
        self.assertNotIn("plot.gp", err)

    def test_a_channel_that_is_not_there_is_named_with_those_that_are(self):
        _, err = run("plot", self.stream("A", np.arange(100)), "--channel", "X", "-o", self.path("p.html"), expect=2)
        self.assertIn("no channel 'X'; there is: x", err)

    def test_overlapping_and_short_labels_have_rows_and_names(self):
        rec = self.stream("A", np.arange(6000))  # 60 s
        labels = [("walk", 2, 30), ("run", 10, 40), ("hop", 12, 20), ("mark1", 50, 50.001), ("mark2", 50.5, 50.501), ("end", 59.999, 60)]
        for name, begin, end in labels:
            run("label", "add", rec, "-c", name, "--from", begin, "--to", end)
        out = json.loads(run("plot", rec, "-o", self.path("p.html"), "--json")[0])
        self.assertEqual((out["panel_count"], out["label_count"]), (1, 6))
        rows = {name: int(row) for name, row in re.findall(r'\{name:"(\w+)",begin:[\d.]+,end:[\d.]+,row:(\d+)', self.read("p.html").decode())}
        self.assertEqual(set(rows), {name for name, *_ in labels})
        self.assertEqual(len({rows["walk"], rows["run"], rows["hop"]}), 3)
        self.assertNotEqual(rows["mark1"], rows["mark2"])  # no room for a name between them
        if not shutil.which("gnuplot"):
            return
        run("plot", rec, "-o", self.path("p.svg"))
        svg = self.read("p.svg").decode()
        texts = re.findall(r"<text>\s*([^<]*?)\s*</text>", svg)
        for name, *_ in labels:
            self.assertEqual(texts.count(name), 1, name)
        # The bars: at least a pixel, in the colour of the label (opacity 0.8).
        bars = [[tuple(map(float, p.split(","))) for p in points.split()]
                for points in re.findall(r"fill-opacity = '0.80+'[^>]*points = '([^']*)'", svg)]
        bars = sorted((min(x for x, _ in bar), max(x for x, _ in bar), min(y for _, y in bar)) for bar in bars)
        for (left, right, _), (_, begin, end) in zip(bars, labels, strict=True):
            self.assertAlmostEqual(left, 70 + 1510 * begin / 60, delta=1.1)
            self.assertGreaterEqual(right - left, 0.9)
            self.assertAlmostEqual(right, 70 + 1510 * end / 60, delta=1.6)
        self.assertEqual(len({top for *_, top in bars[:3]}), 3)

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_names_of_curves_stand_above_the_panel(self):
        run("plot", self.stream("A", np.arange(100)), "-o", self.path("p.svg"))
        svg = self.read("p.svg").decode()
        y = {text: float(at) for at, text in re.findall(r'translate\([\d.]+,([\d.]+)\)"[^>]*>\s*<text>\s*([^<]*?)\s*</text>', svg)}
        top = min(at for text, at in y.items() if re.fullmatch(r"[\d.]+", text) and at > 0)
        self.assertLess(y["\u25A0 x"], top)
        self.assertEqual(y["\u25A0 x"], y["A"])

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_times_that_no_clock_tells_are_seconds(self):
        self.write("A.sds.yml", "sds:\n  name: A\n  frequency: 0.000001\n  tick-frequency: 0.000001\n"
                                "  content:\n    - {value: x, type: float}\n")
        for end in (3e9, 4e15):
            rec = self.write("A.0.sds", plain(*[(round(end / 1e6 / 3 * k), struct.pack("<f", k)) for k in range(4)]))
            run("plot", rec, "-o", self.path("p.svg"), "-f")
            texts = re.findall(r"<text>\s*([^<]*?)\s*</text>", self.read("p.svg").decode())
            self.assertIn("seconds", texts)
            self.assertTrue(any(re.fullmatch(r"[\d.]+e\+\d+", t) and float(t) <= end for t in texts), texts)
            run("plot", rec, "-o", self.path("p.html"), "-f")

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_a_picture_that_takes_long_can_be_interrupted(self):
        os.mkdir(self.path("bin"))
        with open(self.path("bin", "gnuplot"), "w") as f:
            f.write("#!/bin/sh\nexec sleep 1000\n")
        os.chmod(self.path("bin", "gnuplot"), 0o755)
        environment = dict(os.environ, PATH=self.path("bin") + ":" + os.environ["PATH"])
        rec = self.stream("A", np.arange(100))
        for number in (signal.SIGINT, signal.SIGTERM):
            plot = subprocess.Popen([SDS, "plot", rec, "-o", self.path("p.png")], env=environment, stderr=subprocess.DEVNULL)
            time.sleep(0.5)
            plot.send_signal(number)
            self.assertEqual(plot.wait(timeout=30), 130)
            self.assertFalse(os.path.exists(self.path("p.png")))

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_pictures_name_every_class_and_long_ones_have_clock_times(self):
        rec = self.stream("A", np.zeros(3 * 3600), block=10, rate=1)
        for k, name in enumerate(("knock", "scrape", "rëst")):
            run("label", "add", rec, "-c", name, "--from", 1000 + 10 * k, "--to", 1001 + 10 * k)  # too short for its name
        run("plot", rec, "-o", self.path("p.svg"))
        svg = self.read("p.svg").decode()
        texts = re.findall(r"<text>\s*([^<]*?)\s*</text>", svg)
        for name in ("knock", "scrape", "rëst"):
            self.assertEqual(texts.count("\u25A0 " + name), 1, texts)
        self.assertTrue({"0:15:00", "1:00:00", "2:45:00"} <= set(texts), texts)
        run("plot", rec, "--to", 500, "-o", self.path("p.svg"), "-f")
        texts = re.findall(r"<text>\s*([^<]*?)\s*</text>", self.read("p.svg").decode())
        self.assertTrue({"100", "500"} <= set(texts), texts)
        self.assertFalse([t for t in texts if ":" in t])
        run("plot", rec, "-o", self.path("p.png"))


if __name__ == "__main__":
    main()
