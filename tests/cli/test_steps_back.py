"""A clock that steps back: begin, end, parts and queries of a `.sdsz`, some of whose sections are not read, are those of
the blocks, worked out here from the ticks."""
import json
import random
from fractions import Fraction

from harness import Case, main, run
from held import counting, true_ranges


class StepsBack(Case):
    def recording(self, blocks, rate):
        """Blocks (tick in ms, number of samples) whose samples count from 0: the plain file and the packed one, its
        sections of a few thousand samples."""
        data, metadata = counting(blocks, rate)
        self.write("S.sds.yml", metadata)
        file = self.write("S.0.sds", data)
        run("pack", file, "-o", self.path("S.sdsz"), "-f", "--section-kib", "16")
        return file, self.path("S.sdsz")

    def test_begin_and_end_are_those_of_the_earliest_and_the_latest_block(self):
        # 10 to 50 s, then 5 to 25 s; a longer block at the step; the latest tick twice, in two
        # sections; and a block whose samples are over long behind the last one.
        forth = [(10000 + 10 * k, 1) for k in range(4000)] + [(5000 + 10 * k, 1) for k in range(2000)]
        long_one = forth[:4000] + [(50000, 200)] + forth[4000:]
        twice = long_one + [(50000, 300)] + forth[:3000]
        overlapped = [(10 * k, 1) for k in range(3000)] + [(30000, 5000)] + [(30010 + 10 * k, 1) for k in range(4000)]
        for blocks, begin, end in ((forth, 5, 50), (long_one, 5, 52), (twice, 5, 53), (overlapped, 0, 80)):
            for path in self.recording(blocks, 100):
                report = json.loads(run("plot", path, "-o", self.path("p.html"), "-f", "--json")[0])
                self.assertEqual((report["begin"], report["end"]), (begin, end), path)
                stream = json.loads(run("info", path, "--json")[0])["recordings"][0]["streams"][0]
                self.assertEqual(stream["samples"], sum(n for _, n in blocks))
                err = run("export", "csv", path, "--from", 1000, expect=2)[1]
                self.assertIn(f"[{begin}, {end}) s", err, path)
                run("label", "add", path, "-c", "x", "--from", begin, "--to", end)
                run("label", "check", path)
                run("label", "rm", path, "--all")

    def test_what_holds_in_sections_that_are_not_read_ends_where_the_next_ones_in_the_file_begin(self):
        random.seed(12)
        for rate, size in ((1000, 5), (100, 1), (None, 1), (40, 3)):
            step = 10 if rate is None else 1000 * size // rate
            for back in ([3000], [1500, 4200]):
                ticks, at = [], 100000
                for k in range(6000):
                    at -= random.choice([step * 80, step * 550, step * 1200]) if k in back else 0
                    ticks.append((at, size))
                    at += step
                files = self.recording(ticks, rate)
                edge = back[0] * size
                for text, holds in (("i >= 0", lambda i: True), (f"i >= {edge}", lambda i: i >= edge),
                                    (f"i < {edge}", lambda i: i < edge), (f"i >= {edge} and i != {edge + 333 * size}",
                                                                     lambda i: i >= edge and i != edge + 333 * size)):
                    a = 100 + random.randrange(2000 * step) / 1000
                    for part in ((), (a, a + random.randrange(1, 3000 * step) / 1000)):
                        begin, end = map(Fraction, map(str, part)) if part else (Fraction(0), Fraction(10 ** 9))
                        ranges, count = true_ranges(ticks, rate, begin, end, holds)
                        for path in files:
                            options = ("--from", part[0], "--to", part[1]) if part else ()
                            done = run("query", path, text, "--json", *options, expect=0 if ranges else 1)
                            report = json.loads(done[0])
                            where = (path, rate, back, text, part)
                            self.assertEqual(report["samples"], count, where)
                            self.assertEqual(len(report["ranges"]), len(ranges), where)
                            for said, true in zip(report["ranges"], ranges):
                                self.assertAlmostEqual(said["from"], float(true[0]), 9, where)
                                self.assertAlmostEqual(said["to"], float(true[1]), 9, where)


if __name__ == "__main__":
    main()
