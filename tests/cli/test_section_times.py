"""Times of a `.sdsz` are of samples, not of what its sections' headers say of blocks: where blocks are empty, or longer than the
others, or a section is damaged, queries and ends are those of the plain file."""
import json
import random
import subprocess
from fractions import Fraction

from harness import SDS, Case, main, run
from held import counting, true_ranges

FOREVER = (Fraction(0), Fraction(10 ** 9))


class SectionTimes(Case):
    def recording(self, blocks, rate):
        """Blocks (tick in ms, number of samples) whose samples count from 0: the plain file, and packed in one section and in
        sections of a few thousand samples."""
        data, metadata = counting(blocks, rate)
        self.write("S.sds.yml", metadata)
        file = self.write("S.0.sds", data)
        run("pack", file, "-o", self.path("S.sdsz"), "-f", "--section-kib", "16")
        run("pack", file, "-o", self.path("one.sdsz"), "-f", "--section-kib", "16384")
        return file, self.path("S.sdsz"), self.path("one.sdsz")

    def answer(self, *args):
        """Of a recording that may be damaged."""
        done = subprocess.run([SDS, *args, "--json"], capture_output=True, text=True, timeout=300)
        self.assertIn(done.returncode, (0, 1, 3), done.stderr)
        return json.loads(done.stdout)

    def check_queries(self, blocks, rate, conditions, parts=((),)):
        """`conditions`: as text, and what a sample's number says."""
        files = self.recording(blocks, rate)
        for text, holds in conditions:
            for part in parts:
                begin, end = map(Fraction, map(str, part)) if part else FOREVER
                ranges, count = true_ranges(blocks, rate, begin, end, holds)
                for path in files:
                    options = ("--from", part[0], "--to", part[1]) if part else ()
                    report = json.loads(run("query", path, text, "--json", *options, expect=0 if ranges else 1)[0])
                    where = (path, rate, text, part)
                    self.assertEqual(report["samples"], count, where)
                    self.assertEqual(len(report["ranges"]), len(ranges), (where, report["ranges"][:5], ranges[:5]))
                    for said, true in zip(report["ranges"], ranges):
                        self.assertAlmostEqual(said["from"], float(true[0]), 9, where)
                        self.assertAlmostEqual(said["to"], float(true[1]), 9, where)

    def test_an_empty_block_is_no_sample(self):
        samples = [(5000 + 10 * k, 1) for k in range(6000)]  # 5 to 65 s
        half = samples[:3000]
        for blocks in ([(0, 0)] + samples, samples + [(70000, 0)],
                       # Sections of empty blocks only: in front, between, behind.
                       [(k, 0) for k in range(4500)] + samples,
                       half + [(35000 + k, 0) for k in range(4500)] + [(t + 5000, n) for t, n in samples[3000:]],
                       samples + [(65000 + k, 0) for k in range(4500)]):
            for rate in (100, None):
                self.check_queries(blocks, rate, (("i >= 0", lambda i: True), ("i < 3000", lambda i: i < 3000),
                                                  ("i >= 3000", lambda i: i >= 3000)),
                                   ((), (4, 6.5), (36, 39)))

    def test_a_block_that_runs_into_the_next_section_is_true_as_long_as_it_lasts(self):
        # 1366 blocks of one sample are a section.
        for long_one in (1363, 1364, 1365, 1366):
            blocks = [(12 * k, 8 if k == long_one else 1) for k in range(4000)]
            before = sum(n for _, n in blocks[:1366])
            self.check_queries(blocks, 100, ((f"i < {before}", lambda i: i < before), (f"i >= {before}", lambda i: i >= before)))

    def test_whatever_the_blocks_are_packed_ones_answer_as_plain_ones(self):
        for seed in range(5):
            rng = random.Random(seed)
            rate = rng.choice([100, 1000, 40, None])
            step = 1000 * 5 // (rate or 500)
            sizes = rng.choice([[5], [5, 5, 5, 0], [0, 1, 5, 5, 20], [5] * 50 + [200], [5] * 300 + [0]])
            at, blocks = 100000, []
            for _ in range(5000):
                blocks.append((at, rng.choice(sizes)))
                at += step if rng.random() > 0.1 else rng.randrange(0, 2 * step)
                if rng.random() < 0.0006:
                    at = max(0, at - step * rng.choice([1, 90, 1500]))
            total = sum(n for _, n in blocks)
            a, b = sorted(rng.sample(range(total), 2))
            last = max(t for t, _ in blocks) / 1000
            parts = [()]
            for _ in range(2):
                begin = rng.uniform(99, last)
                parts.append((round(begin, 3), round(begin + rng.uniform(0.001, 20), 3)))
            self.check_queries(blocks, rate, (("i >= 0", lambda i: True), (f"i >= {a}", lambda i: i >= a),
                                              (f"i < {a} or i > {b}", lambda i: i < a or i > b),
                                              (f"i >= {a} and i != {b}", lambda i: i >= a and i != b)), parts)

    def test_a_damaged_section_moves_no_end(self):
        # Without a rate a block lasts the mean step of all that are told of, 4.5 ms.
        ticks = [9 * (k // 2) + 3 * (k % 2) + (2000 if k > 5000 else 0) for k in range(8001)]
        _, path, _ = self.recording([(t, 1) for t in ticks], None)
        end = max(ticks) / 1000 + (max(ticks) - min(ticks)) / 8000 / 1000
        with open(path, "rb") as file:
            sound = file.read()
        magic = b"\x89SDSZ\r\n\x1a\x02\x03"  # of a header of a data section, version 2
        index = sound.rindex(b"\x89SDSZ\r\n\x1a\x02\x09")
        sections = [at for at in range(index) if sound.startswith(magic, at)]
        self.assertGreater(len(sections), 4)
        for damaged in ([], [1], [0], [2, 3], [len(sections) - 1]):
            content = bytearray(sound)
            for section in damaged:
                content[sections[section] + 80 + 60] ^= 0x55
            with open(path, "wb") as file:
                file.write(content)
            stream = self.answer("info", path)["recordings"][0]["streams"][0]
            report = self.answer("check", path, "--quality")["recordings"][0]
            drawn = self.answer("plot", path, "-o", self.path("p.html"), "-f")
            said = {"info": (stream["begin"], stream["end"]),
                    "check": (report["streams"][0]["begin"], report["streams"][0]["end"]),
                    "quality": (0, report["quality"]["streams"][0]["duration_s"]), "plot": (drawn["begin"], drawn["end"])}
            if damaged != [len(sections) - 1]:
                said["query"] = (0, self.answer("query", path, "i != 5")["ranges"][-1]["to"])
            for command, (begin, until) in said.items():
                self.assertEqual(begin, 0, (command, damaged))
                self.assertAlmostEqual(until, end, 9, (command, damaged))


if __name__ == "__main__":
    main()
