"""What is above the limits of FORMAT.md costs itself and nothing else, whatever its checksum says: recordings and logs
made by hand from the page."""
import json
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]

import peers

peers.use("numpy", "xxhash", "zstandard")

from harness import Case, main, plain, run
from sdsz_decoder import decode, hash64
from test_format_page import HandMade, column, properties

MOST = 32 << 20  # bytes of a block
TOO_LARGE = MOST + 1
REFUSED = f"a block of {TOO_LARGE} bytes; at most {MOST}"
SESSION = properties({"tool": b"by hand"})
DATA, GAP = 3, 5  # kinds of sections


def recording(*numbers, **described):
    """Begins one of streams A, B, ... of these numbers; `described`: metadata and layout, if they have any."""
    made = HandMade(SESSION)
    made.add(1, SESSION, stream=0xFFFFFFFF)
    for number, name in zip(numbers, "ABCD"):
        made.add(2, properties({"name": name.encode(), "label": b"0", "layout": b"", **described}), stream=number)
    return made


def add_blocks(made, stream, first, sizes, fill=b"x"):
    """A data section of blocks of these sizes, all of their bytes the same; timeslots are ordinals."""
    slots = range(first, first + len(sizes))
    columns = [column(0, struct.pack(f"<{len(sizes)}I", *slots)), column(0, struct.pack(f"<{len(sizes)}I", *sizes)),
               column(1, fill)]
    made.add(DATA, struct.pack("<II", 3, 0) + b"".join(h for h, _ in columns) + b"".join(d for _, d in columns),
             stream=stream, raw=sum(sizes) + 8 * len(sizes), blocks=len(sizes), ticks=(slots[0], slots[-1]),
             first_block=first)


def log_of(made, *frames):
    """A log of frames (stream, first ordinal, blocks of bytes); timeslots are ordinals."""
    seal = struct.pack("<QQ", made.identity, 0)
    log = bytes.fromhex("89 53 44 53 57 32 0A 1A") + seal
    for stream, first, blocks in frames:
        records = plain(*enumerate(blocks, first))
        head = struct.pack("<4sIIIQQ", b"FRAM", len(records), stream, len(blocks), first, first % 2**32)
        log += head + struct.pack("<Q", hash64(records, hash64(head + seal))) + records
    return log


class Limits(Case):
    def unpacked(self, made, files, log=None, expect=3):
        """Unpacks; the folder holds these files (name -> bytes), no others, and so says the decoder of the page."""
        self.packed, out = self.write("in.sdsz", made.content), self.path("out")
        if log is not None:
            self.write("in.sdsz.wal", log)
        run("unpack", self.packed, "-o", out, "-f", expect=expect)
        self.assertEqual(sorted(os.listdir(out)), sorted(files))
        for name, content in files.items():
            self.assertTrue(self.read("out", name) == content, name)
        decoded = {s.file_name: s.plain() for s in decode(self.packed).streams.values()}
        self.assertTrue(decoded == files, list(decoded))

    def check_told(self, told):
        """check says it, in text and JSON alike, and exits as for damage."""
        text, _ = run("check", self.packed, expect=1)
        self.assertIn(told, text)
        report, _ = run("check", self.packed, "--json", expect=1)
        self.assertIn(told, report)

    def check_results(self, files):
        """recover, pack and cut keep what is sound, and what they make is sound."""
        for command in (["recover"], ["pack"], ["cut", "--from", "0"]):
            with self.subTest(command=command[0]):
                made = self.path("made.sdsz")
                run(command[0], self.packed, *command[1:], "-o", made, "-f", expect=3)
                recording = decode(made)
                self.assertEqual((recording.problems, recording.index), ([], []))
                self.assertEqual({s.file_name: s.plain() for s in recording.streams.values()}, files)

    def test_a_section_with_a_block_above_the_limit_is_a_damaged_one(self):
        for gap in (False, True):  # a recorded loss within the section, which so is no copy
            with self.subTest(gap=gap):
                made = recording(0, 1)
                add_blocks(made, 0, 0, [4, 4])
                add_blocks(made, 0, 2, [TOO_LARGE, 8])
                if gap:
                    made.add(GAP, properties({"reason": b"lost"}), ticks=(2, 2), first_block=3)
                add_blocks(made, 0, 4, [3, 0])
                add_blocks(made, 1, 0, [5], b"b")
                files = {"A.0.sds": plain((0, b"xxxx"), (1, b"xxxx"), (4, b"xxx"), (5, b"")),
                         "B.0.sds": plain((0, b"bbbbb"))}
                self.unpacked(made, files)
                self.check_told(REFUSED)
                self.check_results(files)

    def test_a_frame_of_the_log_with_a_block_above_the_limit_is_a_damaged_one(self):
        made = recording(0, 1)
        add_blocks(made, 0, 0, [4, 4])
        small = (0, 3, [b"c", b"d"]), (1, 0, [b"e"])
        log = log_of(made, (0, 2, [b"x" * TOO_LARGE]), *small)
        files = {"A.0.sds": plain((0, b"xxxx"), (1, b"xxxx"), (3, b"c"), (4, b"d")), "B.0.sds": plain((0, b"e"))}
        self.unpacked(made, files, log)
        self.check_told(f"the log beside it is damaged: {40 + 8 + TOO_LARGE} bytes from its byte 24 on cannot be "
                        f"read; the frame at its byte 24: {REFUSED}")
        self.check_results(files)

    def test_the_last_frame_of_the_log_may_be_the_one_above_the_limit(self):
        made = recording(0)
        log = log_of(made, (0, 0, [b"a"]), (0, 1, [b"x" * TOO_LARGE]))
        self.unpacked(made, {"A.0.sds": plain((0, b"a"))}, log)
        self.check_told("the frame at its byte 73: " + REFUSED)

    def test_frames_of_streams_and_blocks_above_the_limit_are_damaged_ones(self):
        for frame, told in (((65536, 0, [b"x"]), "stream number 65536 is out of range"),
                            ((0, 2**48 + 1, [b"x"]), f"block number {2**48 + 1} is out of range")):
            with self.subTest(told=told):
                made = recording(0)
                self.unpacked(made, {"A.0.sds": plain((0, b"a"))}, log_of(made, frame, (0, 0, [b"a"])))
                self.check_told("the frame at its byte 24: " + told)

    def test_sections_of_streams_above_the_limit_are_damaged_ones(self):
        for number in (65536, 0xFFFFFFFF):
            for kind in (GAP, DATA):
                with self.subTest(number=number, kind=kind):
                    made = recording(0)
                    add_blocks(made, 0, 0, [1])
                    if kind == DATA:
                        add_blocks(made, number, 0, [1])
                    else:
                        made.add(GAP, properties({"reason": b"lost"}), stream=number)
                    self.unpacked(made, {"A.0.sds": plain((0, b"x"))})
                    self.check_told(f"stream number {number} is out of range")

    def test_a_block_at_the_limit_is_one(self):
        made = recording(0)
        add_blocks(made, 0, 0, [MOST])
        self.unpacked(made, {"A.0.sds": plain((0, b"x" * MOST), (1, b"y" * MOST))},
                      log_of(made, (0, 1, [b"y" * MOST])))
        out, _ = run("check", self.packed, expect=1)
        self.assertNotIn("at most", out)

    # ---------------------------------------------------------------- numbers of streams

    def test_a_number_makes_no_streams_below_it(self):
        made = recording(0, 65535)
        add_blocks(made, 0, 0, [1], b"a")
        add_blocks(made, 65535, 0, [2], b"b")
        files = {"A.0.sds": plain((0, b"a")), "B.0.sds": plain((0, b"bb"))}
        self.unpacked(made, files)
        self.assertLess(len(made.content), 1000)
        told = "the descriptions of 65534 streams are lost, and all else that told of them; the first is stream 1"
        self.check_told(told)
        self.check_results(files)
        report = json.loads(run("info", self.packed, "--json", expect=3)[0])
        self.assertEqual([s["id"] for s in report["recordings"][0]["streams"]], ["A", "B"])
        self.assertEqual([d["reason"] for d in report["damages"] if "descr" in d["reason"]], [told])

    def test_copies_say_that_streams_are_lost(self):
        made = recording(0, 2, 5)
        for number in (0, 2, 5):
            add_blocks(made, number, 0, [4], b"abcdef"[number:number + 1])
        made.close({})
        packed, copy = self.write("in.sdsz", made.content), self.path("copy.sdsz")
        run("check", packed, expect=1)
        for command in (["recover", packed], ["pack", packed], ["cut", packed, "--to", "100"], ["merge", "--no-align", packed, self.write("two.sdsz", made.content)]):
            run(*command, "-o", copy, "-f", expect=3)
            told = f"{6 if command[0] == 'merge' else 3} streams of what it was made of are lost there"
            self.assertIn(told, run("check", copy, expect=1)[0], command)
            info, _ = run("info", copy)
            self.assertIn(f"  loss           {told}\n", info)
            self.assertNotIn("lost-streams", info)
            # And so do copies of copies.
            run("pack", copy, "-o", self.path("again.sdsz"), "-f")
            self.assertIn(told, run("check", self.path("again.sdsz"), expect=1)[0])

    def test_sections_of_other_kinds_are_skipped(self):
        # Kind 7 is reserved, 50 unknown; what stands where others have their stream is not known to be one.
        for kind, number in ((7, 3), (50, 11), (50, 70001)):
            made = recording(0)
            add_blocks(made, 0, 0, [4], b"a")
            made.add(kind, b"?", stream=number)
            made.close({})
            packed = self.write("in.sdsz", made.content)
            with self.subTest(kind=kind, number=number):
                self.assertIn("SOUND", run("check", packed)[0].upper())
                streams = json.loads(run("info", packed, "--json")[0])["recordings"][0]["streams"]
                self.assertEqual([s["id"] for s in streams], ["A"])

    def test_the_index_knows_streams_by_their_numbers(self):
        yaml = b"sds:\n  name: V\n  content:\n    - {value: v, type: uint16_t}\n"
        made = recording(0, 9, **{"metadata-file": b"V.sds.yml", "metadata": yaml, "layout": struct.pack("<BII", 2, 0, 1)})
        values, statistics = {0: [1, 2, 3], 9: [70, 90]}, {}
        for number, some in values.items():
            statistics[made.number] = struct.pack("<QQddd", len(some), 0, min(some), max(some), sum(some))
            columns = [column(1, bytes(4)), column(1, struct.pack("<I", 2 * len(some))), column(0, b""),
                       column(0, struct.pack(f"<{len(some)}H", *some))]
            stored = b"".join(h for h, _ in columns), statistics[made.number], b"".join(d for _, d in columns)
            made.add(DATA, struct.pack("<II", 4, 1) + b"".join(stored), stream=number, raw=8 + 2 * len(some), blocks=1)
        made.close(statistics)
        packed = self.write("in.sdsz", made.content)
        report = json.loads(run("stats", packed, "--json", expect=3)[0])
        self.assertEqual([(s["stream"], s["from_index"], s["count"], s["min"], s["max"], s["mean"])
                          for s in report["channels"]], [("A", True, 3, 1, 3, 2), ("B", True, 2, 70, 90, 80)])
        plan = json.loads(run("query", packed, "B.v > 90", "--json", expect=1)[0])["plan"]
        self.assertEqual([(p["stream"], p["sections_never"], p["sections_read"]) for p in plan], [("B", 1, 0)])
        self.assertIn("all else that told of them", run("info", packed, expect=3)[1])

    def test_a_number_that_a_frame_or_a_gap_names_makes_one_stream(self):
        made = recording(0)
        made.add(GAP, properties({"reason": b"lost"}), stream=7)
        self.packed = self.write("in.sdsz", made.content)
        self.write("in.sdsz.wal", log_of(made, (0, 0, [b"a"]), (65535, 0, [b"z"])))
        out = self.path("out")
        run("unpack", self.packed, "-o", out, expect=3)
        self.assertEqual(sorted(os.listdir(out)), ["A.0.sds", "lost_65535.sds", "lost_7.sds"])
        self.assertEqual(self.read("out", "lost_65535.sds"), plain((0, b"z")))
        self.check_told("the descriptions of 65533 streams are lost")
        self.check_told("the description of stream 65535 is lost: its name and metadata are not known")


if __name__ == "__main__":
    main()
