"""Random plain recordings, and what is true of them: written from the documents (docs/command-line.md, docs/labels.md,
docs/exports.md, sds_format/FORMAT.md), with exact fractions for times. Nothing here is taken from the C++ code."""
import math
import os
import struct
from fractions import Fraction

import numpy as np

from held import joined

TICKS = [1000, 32768, 48000, 1_000_000]
RATES = ["1/64", "1/2", "0.1", "26", "99.99", "100", "416", "1600", "16000", "44100", "48000"]


def median(numbers):
    return sorted(numbers)[(len(numbers) - 1) // 2] if numbers else 0


class Stream:
    """Blocks of int16 `x` (scale 0.5, offset -3) and float `y` (of some streams sometimes NaN): `ticks` (64 bits), `sizes` in samples.
    An `odd` one has blocks that are empty or longer than the others, and a clock that steps back."""

    def __init__(self, rng, name, odd=False):
        self.name = name
        self.tick_frequency = int(rng.choice(TICKS))
        self.rate_text = str(rng.choice(RATES)) if rng.random() < 0.85 else None
        self.rate = Fraction(self.rate_text) if self.rate_text else None
        paced = self.rate or Fraction(50)
        # No more than a sample a tick, or times of samples are beyond what ticks can tell.
        while paced * 4 > self.tick_frequency:
            self.tick_frequency *= 10
        usual = int(rng.choice([1, 2, 7, 64, 500, 500, 4096])) if self.rate else 1
        # A step of 2^31 ticks and more would be one back: with gaps of 30 blocks, blocks of 2^26 are far enough from it.
        while usual > 1 and usual / paced * self.tick_frequency > 1 << 26:
            usual //= 2
        count = int(rng.integers(2, 60 if usual < 1000 else 8))
        if odd:  # enough for several sections
            count *= 1 + 900 // (6 * usual + 8)
        self.sizes = [usual] * count
        if rng.random() < 0.5:
            self.sizes[-1] = int(rng.integers(1, usual + 1))
        truth = Fraction(int(rng.integers(-100, 101)), 10_000)  # the sensor's clock is up to 1 % off, a few by a third
        if rng.random() < 0.1:
            truth = Fraction(int(rng.choice([-3333, 3333])), 10_000)
        jitter = float(rng.choice([0, 0, 0.1]))
        start = int(rng.choice([0, 5, 1 << 20, (1 << 32) - 40]))
        at = Fraction(0)
        self.ticks, self.gaps = [], []
        for i in range(count):
            if i > 0 and rng.random() < 0.08:
                at += Fraction(usual, 1) / paced * int(rng.integers(2, 30))
                self.gaps.append(i)
            late = Fraction(rng.random() * jitter) * usual / paced
            self.ticks.append(start + round((at + late) * self.tick_frequency))
            at += Fraction(self.sizes[i]) / (paced * (1 + truth))
        # The first timeslot is the first tick.
        turns = self.ticks[0] >> 32 << 32
        self.ticks = [tick - turns for tick in self.ticks]
        if odd:
            self.make_odd(rng, usual)
        total = sum(self.sizes)
        self.x = rng.integers(-300, 300, total).astype("<i2")
        if odd:  # what holds for long, or never
            levels = np.repeat(rng.integers(-300, 300, len(self.sizes) // 9 + 1), 9)[:len(self.sizes)]
            self.x = (self.x // 30 + np.repeat(levels, self.sizes)).astype("<i2")
        self.y = (np.cumsum(rng.normal(size=total)) / 4).astype("<f4")
        missing = rng.random(total) < 0.02
        if count % 2:  # what has some is no longer taken everywhere
            self.y[missing] = np.nan
        self.told = None  # times of samples as doubles, when they are asked for

    def make_odd(self, rng, usual):
        style = rng.integers(4)
        for i in range(len(self.sizes)):
            if style in (0, 2) and rng.random() < 0.2:
                self.sizes[i] = 0
            if style in (1, 2) and rng.random() < 0.1:
                self.sizes[i] = int(rng.integers(1, 4 * usual + 1))
        if style in (2, 3) or rng.random() < 0.3:
            at = int(rng.integers(1, len(self.ticks)))
            back = int(min(self.ticks[at] - self.ticks[0], 1 << 30) * rng.random())
            self.ticks[at:] = [tick - back for tick in self.ticks[at:]]
        if sum(self.sizes) == 0:
            self.sizes[-1] = usual

    def content(self):
        """As a plain .sds file has it."""
        at, out = 0, b""
        for tick, size in zip(self.ticks, self.sizes):
            rows = np.zeros(size, [("x", "<i2"), ("y", "<f4")])
            rows["x"], rows["y"] = self.x[at:at + size], self.y[at:at + size]
            out += struct.pack("<II", tick & 0xFFFFFFFF, 6 * size) + rows.tobytes()
            at += size
        return out

    def write(self, folder):
        path = os.path.join(folder, f"{self.name}.0.sds")
        with open(path, "wb") as out:
            out.write(self.content())
        rate = f"  sample-frequency: {float(self.rate)}\n" if self.rate else ""
        with open(os.path.join(folder, f"{self.name}.sds.yml"), "w") as out:
            out.write(f"sds:\n  name: {self.name}\n  tick-frequency: {self.tick_frequency}\n{rate}  content:\n"
                      "    - {value: x, type: int16_t, scale: 0.5, offset: -3}\n    - {value: y, type: float}\n")
        return path

    # What is true

    def block_time(self, i):
        return Fraction(self.ticks[i], self.tick_frequency)

    def sample_times(self):
        """Sample k of a block is at block time + k / sample-frequency; without one at the block's time."""
        clock = self.clock
        return [Fraction(n, clock) for n in self.sample_counts()]

    def sample_counts(self):
        """The same as whole numbers of 1 / `clock` s: dividing one by the other gives the nearest double."""
        step = self.rate.denominator * self.tick_frequency if self.rate else 0
        turn = self.clock // self.tick_frequency
        return [tick * turn + k * step for tick, size in zip(self.ticks, self.sizes) for k in range(size)]

    def seconds(self):
        clock = self.clock
        return [n / clock for n in self.sample_counts()]

    @property
    def clock(self):
        return self.tick_frequency * (self.rate.numerator if self.rate else 1)

    def begin(self):
        return Fraction(min(self.ticks), self.tick_frequency)

    def mean_step(self):
        return Fraction(max(self.ticks) - min(self.ticks), self.tick_frequency * (len(self.ticks) - 1))

    def end(self):
        """Where the last of all samples is over; without a rate, the mean step of the blocks behind the latest one's time."""
        times = [self.block_time(i) for i in range(len(self.ticks))]
        return max(at + (size / self.rate if self.rate else self.mean_step()) for at, size in zip(times, self.sizes))

    def check_gaps(self):
        return len(self.gap_steps())

    def sampled(self):
        """[begin, end) of the time that has samples, of streams with a rate: from a block to the next one, but where a gap
        is only as long as the block's samples last."""
        gaps = set(self.gap_steps())
        ranges = []
        for i, size in enumerate(self.sizes):
            begin, end = self.block_time(i), self.block_time(i) + size / self.rate
            if i + 1 < len(self.sizes) and i not in gaps:
                end = self.block_time(i + 1)
            if ranges and ranges[-1][1] >= begin:
                ranges[-1][1] = max(ranges[-1][1], end)
            else:
                ranges.append([begin, end])
        return ranges

    def sample_ticks(self):
        """How long a sample lasts: the median of the steps' ratios, each with the weight of its samples, or without where
        that is nearer to the rate; without a rate each block counts as one. Where the median step is below 100 ticks: the ticks by the samples of what is no gap."""
        return self.gap_rule()[0]

    def gap_steps(self):
        """Blocks behind which there is a gap: steps longer than the samples of the earlier block last, by more than half the
        median step and two ticks."""
        return self.gap_rule()[1]

    def gap_rule(self):
        # Steps lead from a block with samples to the next one; those of the clock back are none.
        blocks = [i for i, size in enumerate(self.sizes) if size]
        pairs = [(i, k) for i, k in zip(blocks, blocks[1:]) if self.ticks[k] >= self.ticks[i]]
        steps = [self.ticks[k] - self.ticks[i] for i, k in pairs]
        sizes = [self.sizes[i] if self.rate else 1 for i, _ in pairs]
        nominal = self.tick_frequency / self.rate if self.rate else 0
        usual, shared = median(steps), 0
        if not steps:
            return nominal, []
        if self.rate and len(steps) == 1:  # nobody knows what is usual
            usual = nominal * sizes[0]

        def gaps(sample):
            return [n for n, step in enumerate(steps)
                    if usual > 0 and step - sample * sizes[n] - shared > max(Fraction(usual) / 2, 2)]

        def told(sample):
            return sample, [pairs[n][0] for n in gaps(sample)]

        if self.rate and len(steps) == 1:
            return told(nominal)
        ratios = sorted((Fraction(step, size), size) for step, size in zip(steps, sizes))
        below = np.cumsum([size for _, size in ratios])
        ratio = ratios[int(np.argmax(2 * below >= below[-1]))][0]
        alone = ratios[(len(ratios) - 1) // 2][0]
        off = lambda ticks: max(ticks / nominal, nominal / ticks)
        if nominal and alone > 0 and ratio > Fraction(3, 2) * alone and off(alone) < off(ratio):
            ratio = alone  # blocks in front of gaps have half of the samples
        coarse = usual < 100
        if usual == 0 and nominal and 2 * sum(nominal * size < 1 for size in sizes) >= len(sizes):
            usual = shared = median([step for step in steps if step > 0])  # blocks that share ticks
        for sample in [nominal or ratio, ratio] if coarse and usual else []:
            for _ in range(8):
                rest = set(range(len(steps))) - set(gaps(sample))
                if 2 * sum(sizes[n] for n in rest) < sum(sizes):
                    break  # most would be missing: the rate is wrong
                sample = Fraction(sum(steps[n] for n in rest), sum(sizes[n] for n in rest))
            else:
                return told(sample)
        return told(ratio)

    def samples_within(self, begin, end):
        """Numbers of the samples in [begin, end), by the doubles that their times are told as."""
        if self.told is None:
            self.told = np.array(self.seconds())
        return np.flatnonzero((self.told >= float(begin)) & (self.told < float(end)))

    def block_of(self, sample):
        return int(np.searchsorted(np.cumsum(self.sizes), sample, side="right"))

    def physical(self):
        return self.x * 0.5 - 3, self.y.astype(float)

    def samples_behind_steps_back(self):
        """Numbers of the first samples of blocks that the clock steps back to."""
        blocks = [i for i, size in enumerate(self.sizes) if size]
        return [sum(self.sizes[:k]) for i, k in zip(blocks, blocks[1:]) if self.ticks[k] < self.ticks[i]]

    def pieces(self):
        """[begin, end) in samples between gaps."""
        edges = [0] + [sum(self.sizes[:i + 1]) for i in self.gap_steps()] + [sum(self.sizes)]
        return list(zip(edges, edges[1:]))

    def true_ranges(self, condition):
        """When it holds: a sample's values hold until the next sample of its stream; the last one's, and where the next
        one's time is earlier, for one sample interval."""
        times = self.sample_times()
        interval = 1 / self.rate if self.rate else self.mean_step()
        ranges = []
        for i, holds in enumerate(condition):
            until = times[i + 1] if i + 1 < len(times) and times[i + 1] >= times[i] else times[i] + interval
            if holds and until > times[i]:
                ranges.append([times[i], until])
        return joined(ranges)

    def blocks_within(self, begin, end):
        """Numbers of the blocks that have a part in [begin, end): without a rate, a block lasts the mean step."""
        def lasts(i):
            return self.sizes[i] / self.rate if self.rate else self.mean_step() * (self.sizes[i] > 0)

        times = [self.block_time(i) for i in range(len(self.sizes))]
        return [i for i, at in enumerate(times) if at < end and (at + lasts(i) > begin or at == begin)]


class Label:
    def __init__(self, rng, streams, first, last):
        span = last - first
        points = sorted(float(first) + float(span) * rng.uniform(-0.1, 1.1, 2))
        edges = [max(0, round(p * 1000)) for p in points]  # in ms
        # Many edges are a block's, and so a sample's: nobody may lose it.
        whole = [int(t * 1000) for s in streams for t in map(s.block_time, range(len(s.ticks))) if (t * 1000).denominator == 1]
        edges = [int(rng.choice(whole)) if whole and rng.random() < 0.6 else edge for edge in edges]
        self.begin, self.end = sorted(edges)
        self.end = max(self.end, self.begin + 1)
        self.name = str(rng.choice(["walk", "run", "rest"]))
        self.stream = str(rng.choice(["", streams[0].name]))

    def span(self):
        return Fraction(self.begin, 1000), Fraction(self.end, 1000)

    def yaml(self):
        stream = f", stream: {self.stream}" if self.stream else ""
        return f"    - {{class: {self.name}, begin: {self.begin}, end: {self.end}{stream}}}\n"


class Recording:
    def __init__(self, seed, odd=False):
        rng = np.random.default_rng(seed)
        self.streams = [Stream(rng, name, odd) for name in "ABCDE"[:int(rng.choice([1, 2, 2, 3, 3, 5]))]]
        first = min(s.begin() for s in self.streams)
        last = max(s.end() for s in self.streams)
        self.labels = [Label(rng, self.streams, first, last) for _ in range(int(rng.integers(0, 6)))]
        self.rng = rng

    def write(self, folder):
        paths = [stream.write(folder) for stream in self.streams]
        with open(paths[0][:-4] + ".labels.yml", "w") as out:
            out.write("labels:\n  version: 1\n  intervals:" + ("\n" if self.labels else " []\n"))
            out.writelines(label.yaml() for label in self.labels)
        return paths

    def has_exact_labels(self, stream):
        """Whether a label file in 1/50 s can hold the times of all samples of a stream: in ticks below 2^31 Hz, of which
        there are fewer than 2^52 up to its end."""
        frequencies = [Fraction(50), Fraction(stream.tick_frequency)] + ([stream.rate] if stream.rate else [])
        ticks = Fraction(math.lcm(*(f.numerator for f in frequencies)), math.gcd(*(f.denominator for f in frequencies)))
        return ticks.numerator < 1 << 31 and ticks * stream.end() < 1 << 52

    def labels_within(self, stream, begin, end):
        """(class, stream, begin, end) in ms of what labels about a stream, or about all, have in [begin, end)."""
        cut = [(l.name, l.stream, max(l.begin, begin), min(l.end, end)) for l in self.labels if l.stream in ("", stream)]
        return sorted(label for label in cut if label[2] < label[3])

    def events(self, stream):
        """By class what its labels cover, in ms, one that overlaps another with it."""
        events = {}
        for label in sorted(self.labels, key=lambda l: l.begin):
            if label.stream not in ("", stream):
                continue
            of_class = events.setdefault(label.name, [])
            if of_class and label.begin < of_class[-1][1]:
                of_class[-1][1] = max(of_class[-1][1], label.end)
            else:
                of_class.append([label.begin, label.end])
        return events

    def share(self, name, stream, begin, end):
        """How much of [begin, end) labels of a class cover, be they of the stream or of the whole recording."""
        spans = sorted((max(Fraction(l.begin, 1000), begin), min(Fraction(l.end, 1000), end)) for l in self.labels
                       if l.name == name and l.stream in ("", stream))
        covered, until = Fraction(0), begin
        for a, b in spans:
            a = max(a, until)
            if b > a:
                covered, until = covered + b - a, b
        return covered / (end - begin)
