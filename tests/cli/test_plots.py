"""What is in pictures and pages: lines that end where there is no data, spectrograms beneath their streams, names of
labels, and clock times."""
import base64
import math
import re
import shutil
import struct
import unittest

import peers

peers.use("numpy")

import numpy as np

from harness import Case, main, plain, run

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
