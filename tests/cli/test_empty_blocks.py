"""Blocks without samples, and short blocks behind longer ones: gaps in time lie between blocks that have samples, and each
sample has its label."""
import json
import os
import struct

from harness import Case, main, plain, run

ONCE = [(100 * k, 10) for k in range(20)]
AGAIN = [(4000 + 100 * k, 10) for k in range(20)]


class EmptyBlocks(Case):
    def recordings(self, blocks, rate=100):
        """Blocks (tick in ms, number of samples) whose samples count from 0, as a plain file and packed."""
        self.write("S.sds.yml", f"sds:\n  name: S\n  sample-frequency: {rate}\n  content:\n    - {{value: i, type: int32_t}}\n")
        parts, at = [], 0
        for tick, count in blocks:
            parts.append((tick, struct.pack(f"<{count}i", *range(at, at + count))))
            at += count
        file = self.write("S.0.sds", plain(*parts))
        run("pack", file, "-o", self.path("S.sdsz"), "-f")
        return file, self.path("S.sdsz")

    def labelled(self, path):
        """[from, to) of the labels, and the samples that they have."""
        labels = json.loads(run("label", "list", path, "--json")[0])["labels"]
        rows = [run("export", "csv", path, "--label", name)[0].splitlines()[1:] for name in {l["class"] for l in labels}]
        return [(l["from"], l["to"]) for l in labels], sorted(int(row.split(",")[1]) for some in rows for row in some)

    def test_they_neither_make_nor_hide_a_gap(self):
        # 2.0 to 4.0 s have no samples.
        for empty in ([], [3000], [2000], [4000], range(2000, 4000, 100), [2000, 2001, 2002], [100, 150, 1200, 3000, 5050]):
            blocks = sorted(ONCE + AGAIN + [(t, 0) for t in empty], key=lambda block: (block[0], block[1]))
            for path in self.recordings(blocks):
                where = (list(empty), path)
                report = json.loads(run("check", path, "--quality", "--json")[0])["recordings"][0]
                self.assertEqual(report["streams"][0]["gaps"]["count"], 1, where)
                quality = report["quality"]["streams"][0]
                self.assertEqual((quality["late_blocks"], quality["missing_samples"], quality["blocks"]),
                                 (1, 200, len(blocks)), where)
                err = run("export", "wav", path, "-o", self.path("a.wav"), "-f")[1]
                self.assertIn("S: 1 gap in time is closed", err, where)
                for part, gaps in ((("--from", 0, "--to", 3), 0), (("--from", 1, "--to", 5), 1)):
                    err = run("export", "wav", path, "-o", self.path("a.wav"), "-f", *part)[1]
                    self.assertEqual("1 gap in time is closed" in err, gaps == 1, (where, part))
                run("label", "auto", path, "--scores", "S", "--score-channel", "i")
                self.assertEqual(self.labelled(path), ([(0, 2), (4, 6)], list(range(400))), where)
                run("label", "rm", path, "--all")
                run("label", "add", path, "-c", "x", "--from", 0, "--to", 100, "-s", "S")
                report = json.loads(run("check", path, "--quality", "--json")[0])["recordings"][0]
                self.assertEqual(report["quality"]["classes"], {"x": 4.0}, where)
                run("label", "rm", path, "--all")
                run("resample", path, "--rate", "50", "-o", self.path("r.sdsz"), "-f")
                rows = run("export", "csv", self.path("r.sdsz"))[0].splitlines()[1:]
                times = [float(row.split(",")[0]) for row in rows]
                self.assertEqual((len(times), [t for t in times if 2 <= t < 4]), (200, []), where)

    def test_seconds_of_a_class_begin_and_end_with_samples(self):
        for path in self.recordings([(0, 0)] + [(1000 + t, n) for t, n in ONCE] + [(9000, 0)]):
            run("label", "add", path, "-c", "x", "--from", 0, "--to", 100, "-s", "S")
            report = json.loads(run("check", path, "--quality", "--json")[0])["recordings"][0]
            self.assertEqual(report["quality"]["classes"], {"x": 2.0}, path)
            os.remove(self.path(os.path.basename(path).rsplit(".sds", 1)[0] + ".labels.yml"))

    def test_a_short_block_behind_a_longer_one_leaves_no_sample_without_a_label(self):
        # 1000 Hz: the block of 900 ms lasts until 1.0 s, the one of 995 ms until 0.998 s.
        full = [(100 * k, 100) for k in range(10)] + [(995, 3)]
        for behind, ends in (([], [1.0]), ([(1503 + 100 * k, 100) for k in range(10)], [1.0, 2.503])):
            for path in self.recordings(full + behind, 1000):
                for ask in (("--scores", "S", "--score-channel", "i"),
                            ("-s", "S", "--active", "a", "--silent", "s", "--threshold", 1e9)):
                    run("label", "auto", path, *ask)
                    labels, samples = self.labelled(path)
                    self.assertEqual([end for _, end in labels], ends, (path, ask))
                    self.assertEqual(samples, list(range(sum(n for _, n in full + behind))), (path, ask))
                    run("label", "check", path)
                    run("label", "rm", path, "--all")

    def test_samples_that_reach_beyond_a_short_stretch_have_a_label_too(self):
        # The block of 0.9 s lasts until 1.15 s; the short ones behind it have gaps in time behind them.
        blocks = [(100 * k, 100) for k in range(9)] + [(900, 250), (905, 2), (1000, 2)]
        blocks += [(1100 + 100 * k, 100) for k in range(9)]
        for path in self.recordings(blocks, 1000):
            self.assertEqual(json.loads(run("check", path, "--json")[0])["recordings"][0]["streams"][0]["gaps"]["count"], 2)
            run("label", "auto", path, "--scores", "S", "--score-channel", "i")
            self.assertEqual(self.labelled(path)[1], list(range(sum(n for _, n in blocks))), path)


if __name__ == "__main__":
    main()
