"""What the oracle's test modules share: random recordings, written once and packed once, and the program.
SDSKIT_ORACLE_RECORDINGS is the number of random recordings, SDSKIT_ORACLE_FIRST the seed of the first."""
import functools
import json
import os
import subprocess
import sys
import tempfile
import unittest
from fractions import Fraction

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]

from harness import SDS
from plain_recordings import Recording

FIRST = int(os.environ.get("SDSKIT_ORACLE_FIRST", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("SDSKIT_ORACLE_RECORDINGS", "60")))
SCRATCH = tempfile.TemporaryDirectory(prefix="sdskit-oracle-")


def run(*args, expect=(0,)):
    done = subprocess.run([SDS, *map(str, args)], capture_output=True, text=True, timeout=120)
    if done.returncode not in expect:
        raise AssertionError(f"sds {' '.join(map(str, args))}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    run.errors = done.stderr
    return done.stdout


def answer(*args, expect=(0,)):
    return json.loads(run(*args, "--json", expect=expect))


@functools.cache
def recording_of(seed):
    """(recording, plain files, packed file, a folder to work in)"""
    folder = os.path.join(SCRATCH.name, str(seed))
    os.mkdir(folder)
    recording = Recording(seed)
    plain = recording.write(folder)
    packed = os.path.join(folder, "all.sdsz")
    run("pack", *plain, "-o", packed)
    os.mkdir(os.path.join(folder, "out"))
    return recording, plain, packed, os.path.join(folder, "out")


class Oracle(unittest.TestCase):
    def each(self, check):
        """Each recording as plain files and packed."""
        for seed in SEEDS:
            recording, plain, packed, folder = recording_of(seed)
            for form, files in (("plain", plain), ("packed", [packed])):
                with self.subTest(seed=seed, form=form):
                    check(recording, files, folder)

    def near(self, said, true, within=1e-9):
        self.assertLessEqual(abs(said - float(true)), within, f"{said} is not {float(true)}")


def part_of(recording, rng):
    """Two times within the recording, with three decimals: ([from, to] as text, as fractions)."""
    first = min(s.begin() for s in recording.streams)
    last = max(s.end() for s in recording.streams)
    points = sorted(float(first) + float(last - first) * rng.uniform(0, 1, 2))
    texts = [f"{p:.3f}" for p in points]
    return texts, [Fraction(t) for t in texts]
