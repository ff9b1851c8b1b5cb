"""The keyword spotter of data/keyword: its features against NumPy, and its suite on words that are spoken here."""
import json
import os
import shutil
import subprocess
import sys
import unittest

import peers

from harness import ADDRESS_SANITIZER, SDS, SOURCE, Case, engine, main, plain, run

peers.use("numpy")

import numpy as np

KEYWORD = os.path.join(SOURCE, "data", "keyword")
EDGES = [3, 6, 9, 13, 17, 22, 27, 33, 39, 46, 54, 63, 73, 84, 97, 111, 127, 144, 163, 185, 210, 237]
METADATA = "sds:\n  name: Microphone\n  sample-frequency: 16000\n  content:\n    - {value: mono, type: int16_t}\n"


def features_of(samples):
    """In double precision: 4 log2(1 + energy) - 128 of each band, a row every 320 samples."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), 512)[::320]
    power = np.abs(np.fft.rfft(frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)))) ** 2
    bins = np.arange(257)
    bands = [np.minimum((bins - a) / (b - a), (c - bins) / (c - b)).clip(0) for a, b, c in zip(EDGES, EDGES[1:], EDGES[2:])]
    return 4 * np.log2(1 + 256 * power @ np.array(bands).T) - 128


def mel(hz):
    return 1127 * np.log(1 + hz / 700)


class Features(Case):
    def features(self, samples):
        one = self.write("Microphone.0.sds", plain(*((i // 16, samples[i:i + 320].astype("<i2").tobytes())
                                                     for i in range(0, len(samples), 320))))
        self.write("Microphone.sds.yml", METADATA)
        run("replay", one, "-p", os.path.join(KEYWORD, "features.yml"), "--out-yaml", os.path.join(KEYWORD, "Features.sds.yml"),
            "-o", self.path("f.sdsz"), "-f", "--repeat", "2")
        run("unpack", self.path("f.sdsz"), "-o", self.path("plain"), "-f")
        with open(self.path("plain", "Features.0.p.sds"), "rb") as f:
            data = f.read()
        self.assertEqual(len(data) % 28, 0)
        return np.frombuffer(b"".join(data[at + 8:at + 28] for at in range(0, len(data), 28)), "i1").reshape(-1, 20).astype(int)

    def test_they_are_the_energies_that_numpy_computes(self):
        rng = np.random.default_rng(1)
        t = np.arange(8000) / 16000
        sounds = [rng.normal(0, level, 8000) for level in (300, 3000, 12000)]
        sounds += [amplitude * np.sin(2 * np.pi * hz * t) + rng.normal(0, 100, 8000) for hz, amplitude in ((200, 30000), (3210, 9000))]
        sounds += [32767 * np.sign(np.sin(2 * np.pi * 440 * t) + 1e-9)]
        for k, sound in enumerate(sounds):
            samples = np.clip(np.rint(sound), -32768, 32767)
            difference = self.features(samples) - features_of(samples)
            # Rounded down, and linear between powers of two: 4 (log2(1 + m) - m) is at most 0.345. Bands of a square wave or a
            # tone that are empty have the rounding of 15 bits in them.
            loud = features_of(samples) > features_of(samples).max(axis=1, keepdims=True) - 48
            self.assertLessEqual(difference[loud].max(), 0.1, k)
            self.assertGreater(difference[loud].min(), -1.6, k)

    def test_of_silence_there_is_nothing(self):
        self.assertTrue((self.features(np.zeros(3200)) == -128).all())

    def test_nothing_overflows(self):
        rng = np.random.default_rng(2)
        # The loudest tone that there is, and full scale at random.
        for samples in (np.where(np.cos(2 * np.pi * 32 * np.arange(1600) / 512) >= 0, 32767, -32768), rng.choice([-32768, 32767], 1600)):
            found, true = self.features(samples), features_of(samples)
            top = true.argmax(axis=1)
            self.assertLess(abs(np.take_along_axis(found - true, top[:, None], 1)).max(), 1.6)

    def test_the_bands_lie_at_equal_distances_in_mel(self):
        steps = np.diff(mel(np.array(EDGES) * 31.25))
        self.assertLess(abs(steps - steps.mean()).max(), 31.25 * 1127 / (700 + 94))  # a bin at the lowest edge
        with open(os.path.join(KEYWORD, "keyword_features.c")) as f:
            text = f.read()
        numbers = text[text.index("edges["):].split("{")[1].split("}")[0]
        self.assertEqual([int(n) for n in numbers.split(",")], EDGES)


@unittest.skipIf(shutil.which("espeak-ng") is None, "espeak-ng is not there")
@unittest.skipIf(ADDRESS_SANITIZER, "the answers are looked at where it is fast")
@engine("tflm")
class Spotter(Case):
    def speak(self, what, count, folder):
        subprocess.run([sys.executable, os.path.join(KEYWORD, "speak.py"), what, folder, "--count", str(count), "--sds", SDS],
                       check=True, capture_output=True)

    def suite(self):
        """The suite and what it names, beside the recordings."""
        data = self.path("data")
        os.makedirs(data)
        os.symlink(KEYWORD, os.path.join(data, "keyword"))
        for name in ("keyword.yml", "keyword-suite.yml"):
            shutil.copy(os.path.join(SOURCE, "data", name), data)
        return os.path.join(data, "keyword-suite.yml")

    def test_its_suite_passes_on_voices_and_noise_that_training_has_not_heard(self):
        recordings = self.path("keyword-data")
        self.speak("held-out", 3, recordings)
        self.speak("noise", 1, recordings)
        out, _ = run("test", self.suite(), "--json")
        tests = {t["name"]: t for t in json.loads(out)["tests"]}
        self.assertEqual(sorted(tests), ["noise/noise-00"] + [f"words/held-out-0{k}" for k in range(3)])
        self.assertTrue(all(t["status"] == "passed" for t in tests.values()))
        # What is spoken is what the labels say: each keyword six times, and nothing else.
        for k in range(3):
            labels = json.loads(run("label", "list", os.path.join(recordings, f"held-out-0{k}.sdsz"), "--json")[0])["labels"]
            self.assertEqual({w: sum(l["class"] == w for l in labels) for w in ("yes", "no", "start", "stop")},
                             {w: 6 for w in ("yes", "no", "start", "stop")})
            self.assertEqual(len(labels), 24)

    def test_the_same_seed_speaks_the_same_samples(self):
        prints = []
        for folder in ("one", "two"):
            self.speak("training", 1, self.path(folder))
            names = sorted(n for n in os.listdir(self.path(folder)) if n.endswith(".sdsz"))
            self.assertEqual(names, ["noise-00.sdsz", "voice-00.sdsz"])
            for name in names:
                run("export", "wav", self.path(folder, name), "-o", self.path(folder, name + ".wav"))
            prints.append([self.read(folder, name + ".wav") for name in names] +
                          [self.read(folder, name.replace(".sdsz", ".labels.yml")) for name in names])
        self.assertEqual(prints[0], prints[1])

    def test_training_labels_lie_around_words_and_share_no_time(self):
        self.speak("training", 1, self.path("t"))
        run("label", "check", self.path("t", "voice-00.sdsz"))
        labels = json.loads(run("label", "list", self.path("t", "voice-00.sdsz"), "--json")[0])["labels"]
        words = [l for l in labels if l["class"] != "other"]
        self.assertEqual(len(words), 24)
        for l in words:
            self.assertAlmostEqual(l["to"] - l["from"], 0.5, 4)
        for before, after in zip(labels, labels[1:]):
            self.assertGreaterEqual(after["from"] - before["to"], 0.0999)


main()
