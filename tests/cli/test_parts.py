"""What is exported of a part of a recording, of one of its streams, and of several recordings: values, times, labels,
gaps and the seconds of a dataset are those of the part."""
import json
import os

import peers

peers.use()

import numpy as np
import soundfile

from harness import Case, main, plain, run


class Parts(Case):
    def stream(self, name, begin_ms=0, blocks=100, missing=(), label="0", rate=100):
        """A plain file at 100 Hz, 10 samples each 100 ms; sample k of the first block's count has the value k."""
        self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: {rate}\n  content:\n"
                                      "    - {value: x, type: int32_t}\n")
        return self.write(f"{name}.{label}.sds", plain(*[
            (begin_ms + 100 * k, np.arange(10 * k, 10 * k + 10, dtype="<i4").tobytes())
            for k in range(blocks) if k not in missing]))

    def pack(self, name, *files):
        run("pack", *files, "-o", self.path(name))
        return self.path(name)

    def label(self, name, *labels, head=""):
        """Labels (class, from, to[, stream[, author]])."""
        text = "labels:\n  version: 1\n" + head + "  intervals:\n"
        for label in labels:
            extra = "".join(f", {key}: {value}" for key, value in zip(("stream", "author"), label[3:]) if value)
            text += f"    - {{class: {label[0]}, from: {label[1]}, to: {label[2]}{extra}}}\n"
        return self.write(name, text)

    # Gaps

    def test_a_gap_in_a_part_is_seen_by_the_whole_stream(self):
        # 1.0 to 5.0 s are missing: a block on either side tells nothing of the usual step.
        recording = self.pack("g.sdsz", self.stream("G", missing=range(10, 50)))
        for form in ("wav", "edge-impulse"):
            for part, gaps in ((["--from", 0.95, "--to", 5.05], 1), ([], 1), (["--from", 0, "--to", 8], 1),
                               (["--from", 0.5, "--to", 1], 0), (["--from", 3, "--to", 6], 0),
                               (["--from", 5, "--to", 8], 0), (["--to", 3], 0)):
                out = self.path("o.wav" if form == "wav" else "o.json")
                for source in (recording, self.path("G.0.sds")):
                    _, err = run("export", form, source, *part, "-o", out, "-f")
                    self.assertEqual("1 gap in time is closed" in err, gaps == 1, (form, part, err))

    def test_what_is_a_gap_depends_on_blocks_that_are_not_in_the_part(self):
        # Mostly blocks of 2 samples each 20 ms; a long one of 100 samples is followed 40 ms late, which is no gap of
        # the blocks around it alone (half of 1 s is 500 ms), but twice the usual step.
        self.write("U.sds.yml", "sds:\n  name: U\n  sample-frequency: 100\n  content:\n    - {value: x, type: int16_t}\n")
        blocks = [(20 * k, bytes(4)) for k in range(500)]
        blocks += [(10_000, bytes(200)), (11_000, bytes(200)), (12_040, bytes(200)), (13_040, bytes(200))]
        blocks += [(14_040 + 20 * k, bytes(4)) for k in range(500)]
        plain_file = self.write("U.0.sds", plain(*blocks))
        gaps = json.loads(run("check", plain_file, "--json")[0])["recordings"][0]["streams"][0]["gaps"]["count"]
        self.assertEqual(gaps, 1)
        _, err = run("export", "wav", plain_file, "-o", self.path("u.wav"))
        self.assertIn("U: 1 gap in time is closed", err)
        for begin, end, there in ((10.5, 13.5, True), (9.5, 14.5, True), (12.1, 14.5, False)):
            _, err = run("export", "wav", plain_file, "--from", begin, "--to", end, "-o", self.path("u.wav"), "-f")
            self.assertEqual("1 gap in time is closed" in err, there, err)

    def test_stretches_that_are_joined_are_told(self):
        recording = self.pack("a.sdsz", self.stream("A"))
        self.label("a.labels.yml", ("knock", 1, 1.2), ("knock", 3, 3.2), ("knock", 5, 5.2))
        _, err = run("export", "wav", recording, "--label", "knock", "-o", self.path("a.wav"))
        self.assertIn("A: 3 stretches of the time are joined: audio files have none", err)
        self.assertNotIn("gap", err)
        values, _ = soundfile.read(self.path("a.wav"), dtype="int32")
        np.testing.assert_array_equal(values, [*range(100, 120), *range(300, 320), *range(500, 520)])
        self.assertEqual(run("export", "wav", recording, "--from", 1, "--to", 2, "-o", self.path("b.wav"))[1].count("joined"), 0)


if __name__ == "__main__":
    main()
