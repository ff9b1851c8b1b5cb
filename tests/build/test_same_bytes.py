"""Programs of two builds, one for another processor and under an emulator, are asked the same: they write the same bytes.
test_same_bytes.py NATIVE_BUILD OTHER_BUILD EMULATOR..."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), os.path.join(HERE, "..", "oracle")]
OTHER, EMULATOR = os.path.abspath(sys.argv[2]), sys.argv[3:]

import peers

peers.use("numpy")

import numpy as np

from harness import BUILD, SOURCE, Case, main, plain
from plain_recordings import Recording
from random_recordings import random_recording

# (build, what runs its programs, environment): AVX2 and the plain kernels here, NEON there.
MACHINES = {"avx2": (BUILD, [], {}), "plain": (BUILD, [], {"SDSKIT_KERNELS": "plain"}), "other": (OTHER, EMULATOR, {})}


def write_file(path, content):
    with open(path, "wb") as out:
        out.write(content)


class SameBytes(Case):
    """All commands run in a folder of their machine's own, with names relative to it: no path shows in what they write."""

    def setUp(self):
        super().setUp()
        for machine in MACHINES:
            os.mkdir(self.path(machine))

    def everywhere(self, write):
        for machine in MACHINES:
            write(self.path(machine))

    def same(self, *args, expect=(0,), timed=False):
        """Runs sds on each machine; compares what it said, unless it is `timed`, and all files. `{lib}` in an argument is its
        build's folder of libraries."""
        said = {}
        for machine, (build, emulator, variables) in MACHINES.items():
            command = [*emulator, os.path.join(build, "bin", "sds"), *(str(a).replace("{lib}", os.path.join(build, "lib")) for a in args)]
            done = subprocess.run(command, capture_output=True, cwd=self.path(machine), env={**os.environ, **variables}, timeout=300)
            self.assertIn(done.returncode, expect, f"{machine}: {' '.join(command)}\n{done.stdout}\n{done.stderr}")
            said[machine] = (done.returncode, done.stdout, done.stderr)
            if not timed:
                self.assertEqual(said[machine], said["avx2"], f"{machine}: {args}")
        self.same_files()

    def files_of(self, machine):
        found = {}
        for folder, _, names in os.walk(self.path(machine)):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as content:
                    found[os.path.relpath(path, self.path(machine))] = content.read()
        return found

    def same_files(self):
        first = self.files_of("avx2")
        for machine in MACHINES:
            files = self.files_of(machine)
            self.assertEqual(files.keys(), first.keys())
            self.assertEqual([name for name in files if files[name] != first[name]], [], machine)

    def test_random_recordings_are_packed_and_measured_alike(self):
        for seed in range(400, 407):
            with self.subTest(seed=seed):
                streams = random_recording(seed)
                names = [f"{seed}/{stream.file_name}" for stream in streams]

                def write(folder, streams=streams, names=names, seed=seed):
                    os.mkdir(os.path.join(folder, str(seed)))
                    for stream, name in zip(streams, names):
                        write_file(os.path.join(folder, name), stream.plain())
                        if stream.metadata:
                            write_file(os.path.join(folder, str(seed), f"{stream.name}.sds.yml"), stream.metadata)
                self.everywhere(write)
                for level in (0, 1, 2):
                    self.same("pack", *names, "-o", f"{seed}.sdsz", "-l", level, "--section-kib", 16 + 48 * level, "-f")
                    self.same("unpack", f"{seed}.sdsz", "-d", f"{seed}/{level}")
                    self.same("stats", f"{seed}.sdsz", "--json", expect=(0, 3))  # some have no metadata

    def test_answers_edits_and_exports_are_alike(self):
        for seed in (1, 2, 3):
            with self.subTest(seed=seed):
                recording = Recording(seed)
                self.everywhere(lambda folder, seed=seed: Recording(seed).write(folder))
                names = [f"{stream.name}.0.sds" for stream in recording.streams]
                self.same("pack", *names, "-o", "r.sdsz", "-l", 2, "-f")
                for question in (["info"], ["info", "--json"], ["check", "--quality", "--json"], ["stats", "--exact", "--json"], ["label", "list", "--json"]):
                    self.same(*question, "r.sdsz", expect=(0, 1))
                self.same("query", "r.sdsz", "A.x > 100 and A.y < 2", "--json", expect=(0, 1))
                for stream in recording.streams:
                    if stream.rate:
                        self.same("resample", "r.sdsz", "-s", stream.name, "--channel", "x", "--rate", float(stream.rate) * 0.7, "-o", f"{seed}{stream.name}.sdsz")
                for kind, output in (("csv", "csv"), ("hdf5", ".h5"), ("npz", "npz"), ("mcap", ".mcap"), ("wav", "wav")):
                    if kind != "wav" or any(stream.rate for stream in recording.streams):
                        self.same("export", kind, "r.sdsz", "-o", f"{seed}{output}")
                self.same("plot", "r.sdsz", "-o", f"{seed}.html")

    def test_algorithms_and_features_give_the_same_outputs(self):
        rng = np.random.default_rng(5)
        t = np.arange(48000) / 16000
        sound = np.round(9000 * np.sin(2 * np.pi * (200 + 900 * t) * t) + rng.normal(0, 60, t.size)).astype("<i2")
        motion = (np.cumsum(rng.normal(0, 0.2, (3000, 6)), axis=0) % 4 - 2).astype("<f4")

        def write(folder):
            def file(name, content):
                write_file(os.path.join(folder, name), content)
            file("Mic.0.sds", plain(*[(20 * i, sound[320 * i:320 * i + 320].tobytes()) for i in range(150)]))
            file("Mic.sds.yml", b"sds:\n  name: Mic\n  frequency: 16000\n  content:\n    - {value: left, type: int16_t, scale: 3.0517578125e-05}\n")
            file("Imu.0.sds", plain(*[(100 * i, motion[10 * i:10 * i + 10].tobytes()) for i in range(300)]))
            with open(os.path.join(SOURCE, "data", "motion", "Imu.sds.yml"), "rb") as yaml:
                file("Imu.sds.yml", yaml.read())
            for name, stages in {
                    "mfcc": ["filter: {highpass: 80, order: 2}", "window: {length: 16000, stride: 8000}",
                             "mfcc: {convention: tensorflow, frame: {length: 640, stride: 320}, filters: 40, low: 20, high: 4000, coefficients: 10}"],
                    "mfe": ["window: {length: 8000, stride: 4000}",
                            "mfe: {convention: edge-impulse, frame: {length: 320, stride: 160}, filters: 32, low: 100}"],
                    "fft": ["window: {length: 512, stride: 128}", "fft: {taper: hann, output: power}"],
                    "features": ["window: {length: 400, stride: 100}", "features: [mean, rms, kurtosis, zero-crossings]"]}.items():
                file(f"{name}.yml", ("pipeline:\n  name: Out\n  input: Mic\n  stages:\n" + "".join(f"    - {stage}\n" for stage in stages)).encode())
        self.everywhere(write)
        for name in ("mfcc", "mfe", "fft", "features"):
            with self.subTest(pipeline=name):
                self.same("replay", "Mic.0.sds", "-p", f"{name}.yml", "-o", f"{name}.sdsz", timed=True)
                self.same("export", "csv", f"{name}.sdsz", "-o", f"{name}.csv")
        # In the program itself: the emulator cannot start the one that hosts algorithms.
        self.same("replay", "Imu.0.sds", "-a", "{lib}/motion.so", "--in-process", "--in", "Imu", "--out", "ML_Out:9", "-o", "motion.sdsz", timed=True)


if __name__ == "__main__":
    main()
