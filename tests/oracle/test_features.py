"""The stages of pipelines that compute features against NumPy, in double precision and from the formulas of docs/features.md."""
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]

import peers

peers.use("numpy")

import numpy as np

from harness import Case, main, plain, run


def blocks_in(data):
    at = 0
    while at < len(data):
        tick, size = struct.unpack_from("<II", data, at)
        yield tick, data[at + 8:at + 8 + size]
        at += 8 + size


def windows_of(values, length, stride):
    return [values[i:i + length] for i in range(0, len(values) - length + 1, stride)]


def hann(length):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def mel(hertz):
    return 1127.0 * np.log(1.0 + np.asarray(hertz, float) / 700.0)


def tensorflow_matrix(filters, bins, rate, low, high):
    """tf.signal.linear_to_mel_weight_matrix, by its description."""
    edges = np.linspace(mel(low), mel(high), filters + 2)
    spectrum = mel(np.linspace(0, rate / 2, bins)[1:])[:, None]
    up = (spectrum - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - spectrum) / (edges[2:] - edges[1:-1])
    return np.vstack([np.zeros(filters), np.maximum(0, np.minimum(up, down))])


def edge_impulse_matrix(filters, bins, rate, low, high):
    hertz = 700 * (np.exp(np.linspace(mel(low), mel(high), filters + 2) / 1127) - 1)
    hertz[-1] -= 0.001
    edges = np.floor((2 * (bins - 1) + 1) * hertz / rate).astype(int)
    matrix = np.zeros((bins, filters))
    for f in range(filters):
        left, middle, right = edges[f:f + 3]
        for b in range(left, right + 1):
            if left < b <= middle:
                matrix[b, f] = (b - left) / (middle - left)
            if middle <= b < right:
                matrix[b, f] = (right - b) / (right - middle)
    return matrix


def dct(values, orthonormal):
    """Rows' DCT-II: y[k] = sqrt(2 / N) sum x[n] cos(pi k (2 n + 1) / 2 N)."""
    n = values.shape[1]
    table = np.cos(np.pi * np.outer(2 * np.arange(n) + 1, np.arange(n)) / (2 * n)) * np.sqrt(2 / n)
    if orthonormal:
        table[:, 0] *= np.sqrt(0.5)
    return values @ table


def tensorflow(window, rate, frame, stride, fft, filters, low, high, offset, coefficients=None):
    frames = np.array(windows_of(window, frame, stride)) * hann(frame)
    energies = np.abs(np.fft.rfft(frames, fft)) @ tensorflow_matrix(filters, fft // 2 + 1, rate, low, high)
    logs = np.log(energies + offset)
    return logs if coefficients is None else dct(logs, False)[:, :coefficients]


def sliding(rows, window):
    around = np.pad(rows, ((window // 2, window // 2), (0, 0)), "symmetric")
    return np.array([around[i:i + window] for i in range(len(rows))])


def edge_impulse(window, rate, frame, stride, fft, filters, low, high, gain, emphasis, noise_floor=None, coefficients=None,
                 normalise=0):
    signal = window * gain
    signal = signal - emphasis * np.roll(signal, 1)
    power = np.abs(np.fft.rfft(np.array(windows_of(signal, frame, stride)), fft)) ** 2 / fft
    energies = power @ edge_impulse_matrix(filters, fft // 2 + 1, rate, low, high)
    if coefficients is None:
        level = (10 * np.log10(np.maximum(energies, 1e-30)) - noise_floor) / (12 - noise_floor)
        return np.minimum(np.around(np.clip(level, 0, 1) * 256), 255) / 256
    rows = dct(np.log(np.where(energies == 0, 1e-10, energies)), True)[:, :coefficients]
    total = power.sum(axis=1)
    rows[:, 0] = np.log(np.where(total == 0, 1e-10, total))
    if normalise:
        rows = rows - sliding(rows, normalise).mean(axis=1)
        rows = rows / (sliding(rows, normalise).std(axis=1) + 1e-10)
    return rows


def sections_of(order, cutoff, rate, highpass):
    """Butterworth's filter by the poles of the analogue one and the bilinear transform: numerator and denominator in 1/z."""
    warped = 2 * rate * np.tan(np.pi * cutoff / rate)
    poles = warped * np.exp(1j * np.pi * (2 * np.arange(order) + order + 1) / (2 * order))
    if highpass:
        poles = warped ** 2 / poles
    poles = (2 * rate + poles) / (2 * rate - poles)
    denominator = np.real(np.poly(poles))
    numerator = np.poly(np.full(order, 1.0 if highpass else -1.0))
    at = -1.0 if highpass else 1.0  # where the filter lets through all
    return numerator * np.polyval(denominator, at) / np.polyval(numerator, at), denominator


def filtered(values, numerator, denominator):
    out = np.zeros(len(values))
    for i in range(len(values)):
        n = min(i + 1, len(numerator))
        out[i] = np.dot(numerator[:n], values[i::-1][:n]) - np.dot(denominator[1:n], out[i - 1::-1][:n - 1] if i else [])
    return out


class Features(Case):
    def setUp(self):
        super().setUp()
        self.rng = np.random.default_rng(13)

    def sound(self, samples, rate=16000):
        """A stream Mic of int16 with scale 1/32768: tones, noise and silence, in blocks of many sizes."""
        t = np.arange(samples) / rate
        loud = 9000 * np.sin(2 * np.pi * 440 * t) + 3000 * np.sin(2 * np.pi * (300 + 1500 * t) * t)
        values = np.round(loud * (np.sin(2 * np.pi * 3 * t) > -0.2) + self.rng.normal(0, 40, samples)).astype("<i2")
        blocks, at = [], 0
        while at < samples:
            size = int(self.rng.integers(1, 700))
            blocks.append((round(at * 1000 / rate), values[at:at + size].tobytes()))
            at += size
        self.write("Mic.0.sds", plain(*blocks))
        self.write("Mic.sds.yml", f"sds:\n  name: Mic\n  frequency: {rate}\n  content:\n    - value: left\n      type: int16_t\n"
                                  f"      scale: {1 / 32768!r}\n")
        return values.astype(float)

    def motion(self, samples):
        values = self.rng.normal(0, 2, (samples, 3)).astype("<f4")
        values[:, 2] = np.round(values[:, 2])
        self.write("Imu.0.sds", plain(*[(i * 10, values[i:i + 7].tobytes()) for i in range(0, samples, 7)]))
        self.write("Imu.sds.yml", "sds:\n  name: Imu\n  frequency: 100\n  content:\n" +
                   "".join(f"    - value: a{axis}\n      type: float\n" for axis in "xyz"))
        return values.astype(float)

    def run_stages(self, recording, *stages, expect=0):
        """What the last stage gives, block by block, as its own type; and the outputs' metadata."""
        name = recording.split(".")[0]
        pipeline = self.write("p.yml", f"pipeline:\n  name: Out\n  input: {name}\n  stages:\n" +
                              "".join(f"    - {stage}\n" for stage in stages))
        done = run("replay", self.path(recording), "-p", pipeline, "-o", self.path("out.sdsz"), "--force", expect=expect)
        if expect:
            return done[0] + done[1]
        run("unpack", self.path("out.sdsz"), "-d", self.path("out"), "--force")
        with open(self.path("out", "Out.0.p.sds"), "rb") as data, open(self.path("out", "Out.sds.yml")) as text:
            metadata = text.read()
            kind = "<i4" if "int32_t" in metadata else "<f4"
            return [np.frombuffer(block, kind).astype(float) for _, block in blocks_in(data.read())], metadata

    def assert_near(self, got, expected, tolerance):
        self.assertEqual(len(got), len(expected))
        for a, b in zip(got, expected):
            self.assertEqual(a.shape, b.shape)
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max()))

    def test_transforms_are_those_of_numpy(self):
        values = self.motion(3000)
        for length, fft, taper, output in ((4, 4, "none", "magnitude"), (50, 64, "hann", "power"), (128, 1024, "hamming", "magnitude"),
                                           (1000, 1024, "none", "power"), (1, 4, "none", "magnitude")):
            chosen = "" if fft == 1 << max(2, (length - 1).bit_length()) else f"length: {fft}, "
            got, metadata = self.run_stages("Imu.0.sds", f"window: {{length: {length}, stride: 37}}",
                                            f"fft: {{{chosen}taper: {taper}, output: {output}}}")
            factors = {"none": np.ones(length), "hann": hann(length), "hamming": 0.08 + 0.92 * hann(length)}[taper]
            spectra = [np.abs(np.fft.rfft(w * factors[:, None], fft, axis=0)).T.ravel() for w in windows_of(values, length, 37)]
            self.assert_near(got, [s ** 2 if output == "power" else s for s in spectra], 2e-6)
            self.assertIn(f"ax.bin{min(fft // 2, 1)}" if 3 * (fft // 2 + 1) <= 1024 else "dim-x", metadata)

    def test_every_bin_of_a_single_tone_of_every_length(self):
        for bits in range(2, 14):
            length = 1 << bits
            bin_of_tone = length // 4 - (length > 8)
            tone = np.cos(2 * np.pi * bin_of_tone * np.arange(length) / length).astype("<f4")
            self.write("T.0.sds", plain((0, tone.tobytes())))
            self.write("T.sds.yml", "sds:\n  name: T\n  frequency: 1000\n  content:\n    - value: v\n      type: float\n")
            got, _ = self.run_stages("T.0.sds", f"window: {{length: {length}}}", "fft: {}")
            expected = np.zeros(length // 2 + 1)
            expected[bin_of_tone] = length / 2
            self.assert_near(got, [expected], 3e-6)

    def test_mel_filters_as_tensorflow_has_them(self):
        values = self.sound(16000) / 32768
        for frame, stride, fft, filters, low, high in ((480, 320, 512, 40, 20, 4000), (400, 160, 1024, 80, 80, 7600),
                                                       (256, 256, 256, 10, 0, 8000)):
            options = (f"convention: tensorflow, frame: {{length: {frame}, stride: {stride}}}, fft: {fft}, filters: {filters}, "
                       f"low: {low}, high: {high}")
            windows = windows_of(values, 4000, 1234)
            got, metadata = self.run_stages("Mic.0.sds", "window: {length: 4000, stride: 1234}", f"mfe: {{{options}}}")
            self.assert_near(got, [tensorflow(w, 16000, frame, stride, fft, filters, low, high, 1e-6).ravel() for w in windows], 2e-5)
            got, _ = self.run_stages("Mic.0.sds", "window: {length: 4000, stride: 1234}",
                                     f"mfcc: {{{options}, log-offset: 0.001, coefficients: 10}}")
            self.assert_near(got, [tensorflow(w, 16000, frame, stride, fft, filters, low, high, 1e-3, 10).ravel() for w in windows],
                             2e-5)
        self.assertIn("t1.mel9", metadata)

    def test_a_window_is_one_frame_unless_told(self):
        values = self.sound(8000) / 32768
        got, metadata = self.run_stages("Mic.0.sds", "window: {length: 400, stride: 160}", "mfcc: {convention: tensorflow, filters: 20}")
        expected = [tensorflow(w, 16000, 400, 400, 512, 20, 0, 8000, 1e-6, 13).ravel() for w in windows_of(values, 400, 160)]
        self.assert_near(got, expected, 2e-5)
        self.assertIn("value: 'mfcc12'", metadata)

    def test_short_windows_are_filled_up_to_the_least_transform(self):
        raw = self.sound(60) / 32768
        for length in (1, 2, 3, 4, 5):
            got, _ = self.run_stages("Mic.0.sds", f"window: {{length: {length}}}", "fft: {}")
            self.assert_near(got, [np.abs(np.fft.rfft(w, 8 if length > 4 else 4)) for w in windows_of(raw, length, length)], 1e-6)
            got, _ = self.run_stages("Mic.0.sds", f"window: {{length: {length}}}", "mfe: {convention: tensorflow, filters: 1}")
            expected, _ = self.run_stages("Mic.0.sds", f"window: {{length: {length}}}", "mfe: {convention: tensorflow, filters: 1, "
                                                       f"fft: {8 if length > 4 else 4}}}")
            self.assert_near(got, expected, 1e-9)

    def test_mel_filters_as_edge_impulse_has_them(self):
        raw = self.sound(16000)
        stages = ("convert: {to: int16, gain: 32768}", "window: {length: 4000, stride: 1500}")
        for frame, stride, fft, filters, low, high in ((320, 160, 256, 32, 0, 8000), (320, 320, 512, 40, 300, 8000),
                                                       (200, 100, 256, 20, 80, 3000)):
            options = (f"convention: edge-impulse, frame: {{length: {frame}, stride: {stride}}}, fft: {fft}, filters: {filters}, "
                       f"low: {low}, high: {high}")
            same = (16000, frame, stride, fft, filters, low, high)
            windows = windows_of(raw, 4000, 1500)
            got, _ = self.run_stages("Mic.0.sds", *stages, f"mfe: {{{options}, noise-floor: -60}}")
            expected = [edge_impulse(w, *same, 1 / 32768, 0.98, noise_floor=-60).ravel() for w in windows]
            self.assert_near(got, expected, 1 / 256 + 1e-6)  # single precision may round to the next step
            self.assertLess(sum(np.sum(a != b) for a, b in zip(got, expected)), 0.002 * sum(b.size for b in expected))
            for normalise in (0, 1, 7, 101):
                got, _ = self.run_stages("Mic.0.sds", *stages, f"mfcc: {{{options}, pre-emphasis: 0.9, coefficients: 12, "
                                                               f"normalise: {normalise}}}")
                expected = [edge_impulse(w, *same, 1, 0.9, coefficients=12, normalise=normalise).ravel() for w in windows]
                self.assert_near(got, expected, 5e-4 if normalise else 1e-5)  # small deviations make errors large

    def test_filters_as_their_transfer_function_says(self):
        values = self.motion(1500)
        for order in range(1, 9):
            for cutoff, highpass in ((3.0, True), (12.5, False), (45.0, False)):
                got, _ = self.run_stages("Imu.0.sds", f"filter: {{{'highpass' if highpass else 'lowpass'}: {cutoff}, order: {order}}}")
                sections = sections_of(order, cutoff, 100, highpass)
                expected = np.stack([filtered(values[:, c], *sections) for c in range(3)], axis=1)
                np.testing.assert_allclose(np.concatenate(got).reshape(-1, 3), expected, rtol=0, atol=2e-6)
        got, _ = self.run_stages("Imu.0.sds", "filter: {highpass: 2, lowpass: 20}")
        high, low = sections_of(2, 2, 100, True), sections_of(2, 20, 100, False)
        expected = np.stack([filtered(filtered(values[:, c], *high), *low) for c in range(3)], axis=1)
        np.testing.assert_allclose(np.concatenate(got).reshape(-1, 3), expected, rtol=0, atol=2e-6)

    def test_low_cutoffs_are_what_they_are_or_refused(self):
        def constant(rate, samples):
            self.write("C.0.sds", plain((0, np.full(samples, 1000, "<i2").tobytes())))
            self.write("C.sds.yml", f"sds:\n  name: C\n  frequency: {rate}\n  content:\n    - {{value: v, type: int16_t}}\n")
        for rate, cutoff, samples in ((48000, 10, 48000), (48000, 1, 400000), (16000, 0.5, 300000)):
            constant(rate, samples)
            got, _ = self.run_stages("C.0.sds", f"filter: {{lowpass: {cutoff}}}")
            # Of 1 the filter's answer, exactly: what is left of the step after so many samples, from its two poles.
            k = 2 * np.pi * cutoff * samples / rate
            left = np.exp(-k / np.sqrt(2)) * (np.cos(k / np.sqrt(2)) + np.sin(k / np.sqrt(2)))
            self.assertAlmostEqual(got[0][-1] / 1000, 1 - left, delta=1e-4)
        constant(48000, 100000)
        got, _ = self.run_stages("C.0.sds", "filter: {lowpass: 20, arithmetic: fixed}")
        self.assertAlmostEqual(got[0][-1] / 256, 1000, delta=10)
        for options in ("lowpass: 1.0e-20", "highpass: 1.0e-30"):
            self.assertIn("is beyond what doubles hold", self.run_stages("C.0.sds", f"filter: {{{options}}}", expect=3))
        # SciPy's butter(8, 20, fs=48000, output="sos"), to six digits: all of its gain is in the first section.
        sos = ("sections: [[2.916e-24, 5.832e-24, 2.916e-24, -1.994883, 0.994890], [1, 2, 1, -1.995628, 0.995635], "
               "[1, 2, 1, -1.997086, 0.997093], [1, 2, 1, -1.998975, 0.998982]]")
        for options in ("lowpass: 6.9", "lowpass: 1", "lowpass: 0.5", "lowpass: 0.00073265377, order: 1", "lowpass: 23970, order: 4", "lowpass: 23997, order: 8", "highpass: 23850, order: 8", sos):
            self.assertIn("'arithmetic: fixed'", self.run_stages("C.0.sds", f"filter: {{{options}, arithmetic: fixed}}", expect=3), options)

    def test_whole_numbers_are_near_doubles_wherever_they_are_taken(self):
        values = self.rng.integers(-10000, 10000, 8000).astype("<i2")
        self.write("C.0.sds", plain((0, values.tobytes())))
        self.write("C.sds.yml", "sds:\n  name: C\n  frequency: 16000\n  content:\n    - {value: v, type: int16_t}\n")
        taken = 0
        for cutoff in (2, 10, 40, 200, 1000, 4000, 7000, 7600, 7900, 7990):
            for options in (f"lowpass: {cutoff}, order: 1", f"lowpass: {cutoff}, order: 3", f"highpass: {cutoff}, order: 4",
                            f"lowpass: {cutoff}, order: 8"):
                try:
                    got, _ = self.run_stages("C.0.sds", f"filter: {{{options}, arithmetic: fixed}}")
                except AssertionError as refused:
                    self.assertIn("arithmetic: fixed", str(refused))
                    continue
                expected, _ = self.run_stages("C.0.sds", f"filter: {{{options}}}")
                taken += 1
                np.testing.assert_allclose(got[0] / 256, expected[0], rtol=0, atol=3, err_msg=options)
        self.assertGreater(taken, 15)

    def test_what_sections_round_is_counted_behind_all_of_them(self):
        def worst(sections):
            """Units by which rounding moves the last output: of every section that of up to one unit, through 1 - 1/z, its poles and what follows."""
            rounded = [[round(c * 2 ** 29) / 2 ** 29 for c in s] for s in sections]
            total = 0
            for i, own in enumerate(rounded):
                response = filtered(np.eye(1, 2000)[0], [1, -1, 0], [1, *own[3:]])
                for later in rounded[i + 1:]:
                    response = filtered(response, later[:3], [1, *later[3:]])
                total += np.abs(response).sum() / 2
            return total

        # SciPy's butter(8, 600, fs=16000, output="sos"): all of its gain is in the first section.
        sos = [[2.101483638e-08, 4.202967275e-08, 2.101483638e-08, -1.582427576, 0.6273925624], [1, 2, 1, -1.628620217, 0.6748977757],
               [1, 2, 1, -1.721472904, 0.7703888903], [1, 2, 1, -1.860028682, 0.9128817577]]
        shared = [[b * 2.101483638e-08 ** 0.25 / (1 if i else 2.101483638e-08) for b in s[:3]] + s[3:] for i, s in enumerate(sos)]
        narrow = [[0.02, 0, -0.02, -1.9 * r, r * r] for r in (0.98, 0.985, 0.99)]
        self.sound(2000)
        for sections, taken in ((sos, False), (shared, True), ([[0.003, 0, 0, 0, 0]] + [[3.9, 0, 0, 0, 0]] * 4, True),
                                ([[0.003, 0, 0, 0, 0]] + [[3.9, 0, 0, 0, 0]] * 5, False), (narrow, True),
                                ([[0.01, 0, 0, 0, 0], *narrow, [2, 0, 0, 0, 0], [1.5, 0, 0, 0, 0]], True),
                                ([[0.001, 0, 0, 0, 0], *narrow, [3.9, 0, 0, 0, 0], [3.9, 0, 0, 0, 0], [3.9, 0, 0, 0, 0], [3.9, 0, 0, 0, 0],
                                  [3.9, 0, 0, 0, 0]], False)):
            self.assertEqual(worst(sections) <= 512, taken, worst(sections))
            stage = f"filter: {{sections: {sections}, arithmetic: fixed}}"
            if not taken:
                self.assertIn("would be heard", self.run_stages("Mic.0.sds", stage, expect=3))
                continue
            got, _ = self.run_stages("Mic.0.sds", stage)
            expected, _ = self.run_stages("Mic.0.sds", f"filter: {{sections: {sections}}}")
            np.testing.assert_allclose(np.concatenate(got), np.concatenate(expected) * 32768 * 256, rtol=1e-4, atol=worst(sections) + 100)

    def test_a_filter_of_many_slow_sections_is_looked_at_in_no_time(self):
        self.sound(100)
        slow = "[1, -1, 0, -0.99999999, 0]"
        fast = "[1, 0, 0, -0.5, 0]"
        for sections in ([slow] * 64, [slow, fast] * 32, [fast] * 64):
            self.assertIn("would be heard", self.run_stages(
                "Mic.0.sds", f"filter: {{sections: [{', '.join(sections)}], arithmetic: fixed}}", expect=3))

    def test_what_grows_without_end_fails(self):
        values = np.array([3e38, -3e38, 3e38, -3e38] + [1] * 16, "<f4")
        self.write("F.0.sds", plain(*[(i, values[i:i + 4].tobytes()) for i in range(0, 20, 4)]))
        self.write("F.sds.yml", "sds:\n  name: F\n  frequency: 1000\n  content:\n    - value: v\n      type: float\n")
        self.assertIn("beyond what a float holds", self.run_stages("F.0.sds", "filter: {highpass: 100, order: 4}", expect=1))
        run("unpack", self.path("out.sdsz"), "-d", self.path("out"), expect=3)
        with open(self.path("out", "Out.0.p.sds"), "rb") as data:
            got = np.concatenate([np.frombuffer(block, "<f4") for _, block in blocks_in(data.read())])
        sections = sections_of(4, 100, 1000, True)
        np.testing.assert_allclose(got, filtered(values[4:], *sections), rtol=0, atol=1e-6)
        for section, message in (("[1, 0, 0, -3, 0]", "not stable"), ("[1, 0, 0, 0, 1.5]", "not stable"), ("[.inf, 0, 0, 0, 0]", "number")):
            self.assertIn(message, self.run_stages("F.0.sds", f"filter: {{sections: [{section}]}}", expect=3))

    def test_what_is_no_number_stays_so(self):
        values = self.sound(1000).astype("<f4")
        values[450] = np.nan
        self.write("Mic.0.sds", plain((0, values.tobytes())))
        self.write("Mic.sds.yml", "sds:\n  name: Mic\n  frequency: 16000\n  content:\n    - value: v\n      type: float\n")
        for stage in ("fft: {}", "mfe: {convention: tensorflow, filters: 10}", "mfe: {convention: edge-impulse, filters: 10}",
                      "mfcc: {convention: edge-impulse, filters: 10, normalise: 0, coefficients: 10}", "features: [mean, min, max, rms, "
                      "stdev, skewness, kurtosis, zero-crossings]"):
            got, _ = self.run_stages("Mic.0.sds", "window: {length: 200}", stage)
            self.assertEqual([bool(np.isnan(g).any()) for g in got], [False, False, True, False, False], stage)
            self.assertTrue(np.isnan(got[2]).all(), stage)
    def test_sections_and_whole_numbers(self):
        raw = self.sound(6000)
        section = (0.2, -0.1, 0.05, -1.2, 0.5)
        expected = filtered(raw, section[:3], (1, *section[3:]))
        options = f"sections: [[{', '.join(map(str, section))}]]"
        got, metadata = self.run_stages("Mic.0.sds", f"filter: {{{options}}}")
        np.testing.assert_allclose(np.concatenate(got), expected / 32768, rtol=0, atol=1e-5)
        got, metadata = self.run_stages("Mic.0.sds", f"filter: {{{options}, arithmetic: fixed}}")
        self.assertIn("int32_t", metadata)
        self.assertIn("scale:", metadata)
        # The coefficients times 2^29, exact arithmetic, and the rest carried on.
        c = [round(x * 2 ** 29) for x in section]
        x1 = x2 = y1 = y2 = rest = 0
        exact = []
        for x in (256 * int(value) for value in raw):
            total = c[0] * x + c[1] * x1 + c[2] * x2 - c[3] * y1 - c[4] * y2 + rest
            y = total // 2 ** 29
            rest = total - y * 2 ** 29
            x1, x2, y1, y2 = x, x1, y, y1
            exact.append(y)
        self.assertEqual(np.concatenate(got).astype(int).tolist(), exact)
        np.testing.assert_allclose(np.array(exact) / 256, expected, rtol=0, atol=0.02)
        self.assertIn(f"scale: {1 / 32768 / 256}", metadata)

    def test_a_filter_begins_anew_behind_what_is_no_number(self):
        values = np.arange(1, 31, dtype="<f4")
        values[12] = np.nan
        self.write("F.0.sds", plain(*[(i, values[i:i + 5].tobytes()) for i in range(0, 30, 5)]))
        self.write("F.sds.yml", "sds:\n  name: F\n  frequency: 1000\n  content:\n    - value: v\n      type: float\n")
        self.assertIn("no number", self.run_stages("F.0.sds", "filter: {lowpass: 100, order: 1}", expect=1))
        run("unpack", self.path("out.sdsz"), "-d", self.path("out"), expect=3)  # the block that is missing
        with open(self.path("out", "Out.0.p.sds"), "rb") as data:
            got = [np.frombuffer(block, "<f4") for _, block in blocks_in(data.read())]
        sections = sections_of(1, 100, 1000, False)
        np.testing.assert_allclose(np.concatenate(got[:2]), filtered(values[:10], *sections), rtol=1e-5)
        np.testing.assert_allclose(np.concatenate(got[2:]), filtered(values[15:], *sections), rtol=1e-5)

    def test_statistics(self):
        values = self.motion(600)
        values_of = {
            "mean": lambda w: w.mean(axis=0), "min": lambda w: w.min(axis=0), "max": lambda w: w.max(axis=0),
            "rms": lambda w: np.sqrt((w ** 2).mean(axis=0)), "stdev": lambda w: w.std(axis=0),
            "skewness": lambda w: ((w - w.mean(axis=0)) ** 3).mean(axis=0) / w.std(axis=0) ** 3,
            "kurtosis": lambda w: ((w - w.mean(axis=0)) ** 4).mean(axis=0) / w.std(axis=0) ** 4 - 3,
            "zero-crossings": lambda w: ((w[1:] < 0) != (w[:-1] < 0)).sum(axis=0)}
        names = list(values_of)
        for chosen in (names, names[::-1], ["rms"]):
            got, metadata = self.run_stages("Imu.0.sds", "window: {length: 50, stride: 20}", f"features: [{', '.join(chosen)}]")
            expected = [np.stack([values_of[n](w) for n in chosen], axis=1).ravel() for w in windows_of(values, 50, 20)]
            self.assert_near(got, expected, 1e-6)
            self.assertIn(f"value: 'az.{chosen[-1]}'", metadata)
        got, _ = self.run_stages("Imu.0.sds", "window: {length: 1}", "features: [stdev, skewness, kurtosis]")
        self.assertEqual(sum(np.abs(g).sum() for g in got), 0)  # no spread

    def test_what_does_not_fit_is_told(self):
        self.motion(100)
        self.sound(1000)
        window = "window: {length: 50}"
        for recording, stages, message in (
                ("Imu.0.sds", ["fft: {}"], "put a window stage before it"),
                ("Imu.0.sds", [window, "fft: {length: 32}"], "longer than the transform of 32"),
                ("Imu.0.sds", [window, "fft: {length: 48}"], "power of two"),
                ("Imu.0.sds", [window, "fft: {output: phase}"], "must be one of: magnitude, power"),
                ("Imu.0.sds", [window, "mfe: {convention: tensorflow, filters: 4}"], "put a select stage before it"),
                ("Mic.0.sds", [window, "mfe: {filters: 4}"], "convention"),
                ("Mic.0.sds", [window, "mfe: {convention: tensorflow, filters: 4, noise-floor: -40}"], "noise-floor"),
                ("Mic.0.sds", [window, "mfe: {convention: tensorflow, filters: 4, coefficients: 4}"], "coefficients"),
                ("Mic.0.sds", [window, "mfcc: {convention: edge-impulse, filters: 4, log-offset: 1}"], "log-offset"),
                ("Mic.0.sds", [window, "mfe: {convention: tensorflow, filters: 4, rate: 8000}"], "'rate:' has no effect"),
                ("Mic.0.sds", [window, "mfe: {convention: tensorflow, filters: 4, high: 9000}"], "half of the rate"),
                ("Mic.0.sds", [window, "mfe: {convention: edge-impulse, filters: 60, fft: 64}"], "fewer filters or a longer"),
                ("Mic.0.sds", [window, "mfe: {convention: tensorflow, filters: 4, frame: {length: 60}}"], "longer than the window"),
                ("Mic.0.sds", [window, "mfcc: {convention: tensorflow, filters: 4, coefficients: 5}"], "coefficients"),
                ("Mic.0.sds", [window, "filter: {lowpass: 100}"], "before the window stage"),
                ("Mic.0.sds", [window, "mfcc: {convention: tensorflow, filters: 4, log-offset: 1.0e39}"], "must be a number"),
                ("Mic.0.sds", [window, "mfe: {convention: edge-impulse, filters: 1, high: 0.0005}"], "fewer filters or a longer"),
                ("Mic.0.sds", [window, "mfe: {convention: edge-impulse, filters: 1, high: 0.01}"], "fewer filters or a longer"),
                ("Mic.0.sds", ["window: {length: 900}", "mfcc: {convention: edge-impulse, filters: 40, coefficients: 40, normalise: 10001, "
                               "frame: {length: 4, stride: 1}}"], "not normalised by so many"),
                ("Mic.0.sds", ["window: {length: 40000}", "mfe: {convention: tensorflow, filters: 1, fft: 32768, frame: {length: 32768, "
                                "stride: 1}}"], "too much for a window"),
                ("Mic.0.sds", [window, "fft: {length: 32768}", "smooth: {count: 100000}"], "more than 32 MiB"),
                ("Mic.0.sds", ["filter: {lowpass: 8000}"], "half of the 16000 Hz"),
                ("Mic.0.sds", ["filter: {}"], "needs 'highpass:', 'lowpass:' or 'sections:'"),
                ("Mic.0.sds", ["filter: {lowpass: 100, sections: [[1, 0, 0, 0, 0]]}"], "sections"),
                ("Mic.0.sds", ["filter: {sections: [[1, 0, 0, 0, 0]], order: 2}"], "order"),
                ("Mic.0.sds", ["filter: {sections: [[4, 0, 0, 0, 0]], arithmetic: fixed}"], "between -4 and 4"),
                ("Mic.0.sds", ["filter: {sections: [[1.0e-12, 0, 0, -1.9, 0.91]], arithmetic: fixed}"], "do not hold this filter"),
                ("Imu.0.sds", ["filter: {lowpass: 10, arithmetic: fixed}"], "up to 16 bits"),
                ("Imu.0.sds", [window, "features: [mean, media]"], "no feature 'media'; there is: mean, min"),
                ("Imu.0.sds", [window, "features: [mean, mean]"], "twice"),
                ("Imu.0.sds", [window, "features: []"], "must name some of")):
            with self.subTest(stages[-1]):
                self.assertIn(message, self.run_stages(recording, *stages, expect=3))


if __name__ == "__main__":
    main()
