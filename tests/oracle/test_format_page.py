"""FORMAT.md is enough: a decoder written from the page alone reads what sdskit writes, byte for byte, and loses the
same blocks as sdskit where a file is damaged; and sdskit reads a file that was made by hand from the page.
SDSKIT_ORACLE_RECORDINGS is the number of random recordings, SDSKIT_ORACLE_FIRST the seed of the first."""
import glob
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "cli"), HERE]

import peers

peers.use("numpy", "xxhash", "zstandard")

import numpy as np
import zstandard

from harness import DEVICE, SDS, SOURCE, Case, Server, device, main, plain, run, wait_until
from random_recordings import random_recording
from sdsz_decoder import DATA, FOOTER, INDEX, STREAM, Unreadable, decode, hash64
from test_serve import open_stream, write

RECORDINGS = int(os.environ.get("SDSKIT_ORACLE_RECORDINGS", "100"))
FIRST = int(os.environ.get("SDSKIT_ORACLE_FIRST", "0"))


def unwrapped(blocks):
    """The ticks of blocks of which nothing but the timeslots is known."""
    ticks = []
    for slot, _ in blocks:
        if not ticks:
            ticks.append(slot)
            continue
        step = np.array([slot - ticks[-1]], np.int64).astype(np.int32)
        ticks.append(ticks[-1] + int(step[0]) if ticks[-1] + int(step[0]) >= 0 else slot)
    return ticks


def streams_so_far(path):
    """The streams of a recording that is being written, of which there may be nothing yet."""
    try:
        return list(decode(path).streams.values())
    except (FileNotFoundError, Unreadable):
        return []


def properties(pairs):
    """A property list of the page."""
    return struct.pack("<I", len(pairs)) + b"".join(
        struct.pack("<H", len(key)) + key.encode() + struct.pack("<I", len(value)) + value
        for key, value in pairs.items())


def column(codec, data):
    return struct.pack("<BBBBI", codec, 0, 0, 0, len(data)), data


class HandMade:
    """A recording made section by section, as the page says."""

    def __init__(self, session):
        self.content, self.number, self.identity, self.places = b"", 0, hash64(session), []

    def header(self, kind, payload, number, stream=0, flags=0, raw=None, blocks=0, ticks=(0, 0), first_block=0):
        header = bytes.fromhex("89 53 44 53 5A 0D 0A 1A 02") + struct.pack(
            "<BHIIIIIQQQQQ", kind, flags, stream, len(payload), len(payload) if raw is None else raw, blocks,
            number, *ticks, hash64(payload), first_block, self.identity)
        return header + struct.pack("<Q", hash64(header))

    def add(self, kind, payload, **fields):
        header = self.header(kind, payload, self.number, **fields)
        self.places.append([header, len(self.content)])
        self.content, self.number = self.content + header + payload, self.number + 1

    def close(self, statistics={}):
        """An index of what stands in `places`, and a footer. `statistics`: by the number of a section, of one column."""
        at = len(self.content)
        self.add(9, struct.pack("<QI", 0, len(self.places))
                 + b"".join(header + struct.pack("<QI", offset, number in statistics) + statistics.get(number, b"")
                            + bytes(4) for number, (header, offset) in enumerate(self.places)),
                 stream=0xFFFFFFFF)
        self.add(10, struct.pack("<QQ", at, self.number), stream=0xFFFFFFFF)


def payload_of(made, number):
    header, offset = made.places[number]
    return made.content[offset + len(header) : made.places[number + 1][1]]


class FormatPage(Case):
    def pack(self, seed, kib=None):
        """The streams of a random recording, and the .sdsz that sds makes of them."""
        streams, rng = random_recording(seed), np.random.default_rng(seed + 10**6)
        for stream in streams:
            self.write(stream.file_name, stream.plain())
            if stream.metadata is not None:
                self.write(stream.name + ".sds.yml", stream.metadata)
        level, kib = str(rng.integers(3)), str(kib or rng.choice([16, 64, 256, 1024]))
        packed = self.path(f"{seed}.sdsz")
        run("pack", *(self.path(s.file_name) for s in streams), "-o", packed, "--level", level, "--section-kib", kib)
        for stream in streams:
            os.remove(self.path(stream.file_name))
            if stream.metadata is not None:
                os.remove(self.path(stream.name + ".sds.yml"))
        return streams, packed

    def test_random_recordings_come_back_with_their_statistics(self):
        codecs = set()
        for seed in range(FIRST, FIRST + RECORDINGS):
            with self.subTest(seed=seed):
                streams, packed = self.pack(seed)
                recording = decode(packed)
                self.assertEqual((recording.problems, recording.index, recording.closed), ([], [], True))
                self.assertEqual(len(recording.streams), len(streams))
                for number, stream in enumerate(streams):
                    self.compare(stream, recording.streams[number])
                for section in recording.sections:
                    if section.kind == DATA:
                        self.compare_statistics(streams[section.stream], section)
                        codecs.update(section.codecs)
                os.remove(packed)
        if FIRST == 0 and RECORDINGS >= 100:  # in these every codec and predictor comes up; others may lack a rare one
            self.assertEqual({codec for codec, _, _ in codecs}, {0, 1, 2, 3, 4, 5})
            self.assertEqual({(predictor, q) for codec, predictor, q in codecs if codec == 4},
                             {(predictor, q) for predictor in range(4) for q in (0, 1)})

    def compare(self, stream, decoded):
        self.assertEqual(decoded.file_name, stream.file_name)
        self.assertEqual(decoded.properties.get("metadata"), stream.metadata)
        self.assertEqual(decoded.layout, stream.layout)
        self.assertEqual((decoded.announced, decoded.missing), (len(stream.blocks), []))
        self.assertEqual([(slot, data) for _, slot, data in decoded.blocks.values()], stream.blocks)
        self.assertEqual([tick for tick, _, _ in decoded.blocks.values()], unwrapped(stream.blocks))
        self.assertEqual(decoded.plain(), stream.plain())

    def compare_statistics(self, stream, section):
        size = 40 * sum(1 for _, _, elements in stream.layout if elements == 1)
        if len(stream.layout) > 256 or size > max(1024, section.raw_size / 16):
            size = 0
        self.assertEqual(len(section.statistics), size // 40)
        if size == 0:
            return
        blocks = stream.blocks[section.first_block : section.first_block + section.blocks]
        columns = stream.column_values(blocks)
        for values, (count, nans, low, high, total) in zip(columns, section.statistics, strict=True):
            numbers = values[~np.isnan(values)]
            self.assertEqual((count, nans), (len(numbers), len(values) - len(numbers)))
            expected = (float(numbers.min()), float(numbers.max())) if count else (0, 0)
            self.assertEqual((low, high), expected)
            with np.errstate(over="ignore", invalid="ignore"):
                sizes, rough = np.abs(numbers.astype(np.float64)).sum(), numbers.astype(np.float64).sum()
            if math.isfinite(sizes):  # the order in which a double sum is made is free
                self.assertLessEqual(abs(total - math.fsum(numbers.tolist())), (count + 1) * 2.0**-53 * sizes)
            elif not np.isfinite(numbers).all():
                self.assertEqual(repr(total), repr(float(rough)))

    def test_the_golden_files(self):
        folder = os.path.join(SOURCE, "tests", "sds_format", "golden")
        files = glob.glob(os.path.join(folder, "*.sdsz"))
        self.assertTrue(files)
        for path in files:
            recording = decode(path)
            self.assertEqual((recording.problems, recording.index), ([], [] if recording.closed else None))
            for stream in recording.streams.values():
                self.assertEqual(stream.missing, [])
                if os.path.basename(path) == "v2-killed.sdsz" and stream.file_name == "B.0.sds":  # make_killed.cpp
                    blocks = [(25 * i * 3 * 10**9, struct.pack("<I", 25 * i)) for i in range(20)]
                    self.assertEqual([(tick, data) for tick, _, data in stream.blocks.values()], blocks)
                    continue
                # Both formats hold the same otherwise.
                killed = "v1-killed." if path.endswith("-killed.sdsz") else ""
                with open(os.path.join(folder, killed + stream.file_name), "rb") as f:
                    self.assertEqual(stream.plain(), f.read())

    def test_the_worked_example_of_the_page(self):
        with open(os.path.join(SOURCE, "sds_format", "FORMAT.md")) as page:
            dump = page.read().split("```hexdump\n")[1].split("```")[0]
        path = self.write("example.sdsz", b"".join(bytes.fromhex(line[6:].split(";")[0]) for line in dump.splitlines()))
        recording = decode(path)
        self.assertEqual((recording.problems, recording.index), ([], []))
        self.assertEqual(recording.streams[0].plain(), plain((10, struct.pack("<3h", 100, 101, 103)),
                                                             (20, struct.pack("<2h", 100, 101))))

    def test_sdskit_reads_a_file_made_by_hand_from_the_page(self):
        session = properties({"tool": b"by hand", "device": b"none"})
        made = HandMade(session)
        add = made.add
        zstd = zstandard.ZstdCompressor().compress
        yaml = b"sds:\n  name: W\n  content:\n    - {value: t, type: uint16_t}\n"
        add(1, zstd(session), stream=0xFFFFFFFF, flags=1, raw=len(session))
        add(2, properties({"name": b"W", "label": b"", "metadata-file": b"W.sds.yml", "metadata": yaml,
                           "layout": struct.pack("<BII", 2, 0, 1), "file": b"odd name.bin"}))
        add(200, b"a kind of a later version", stream=0xFFFFFFFF)
        ticks = [5, 3 * 2**32 + 7, 2**33 + 1]  # steps that the rule would not make; one goes back
        columns = [column(0, struct.pack("<3Q", *ticks)), column(0, struct.pack("<3I", 4, 0, 3)), column(0, b"r"),
                   column(5, struct.pack("<2H", 65535, 2))]
        add(3, struct.pack("<II", 4, 0) + b"".join(h for h, _ in columns) + b"".join(d for _, d in columns),
            flags=6, raw=31, blocks=3, ticks=(5, 2**33 + 1))
        add(5, properties({"reason": b"by hand"}), ticks=(2**33 + 1,) * 2, first_block=5)
        add(6, struct.pack("<QQQ", 5, 10**18, 77), ticks=(2**33 + 1,) * 2, first_block=5)
        columns = [column(1, struct.pack("<I", 9)), column(1, bytes(4)), column(0, b""), column(0, b"")]
        add(3, struct.pack("<II", 4, 0) + b"".join(h for h, _ in columns) + b"".join(d for _, d in columns),
            raw=16, blocks=2, ticks=(2**33 + 9,) * 2, first_block=5)
        add(4, b"ta", ticks=(2**33 + 9,) * 2, first_block=7)
        add(4, b"il", ticks=(2**33 + 9,) * 2, first_block=7)
        recording = self.agree(made.content)
        stream = recording.streams[0]
        self.assertEqual((recording.problems, recording.closed, stream.missing), ([], False, [(3, 5)]))
        self.assertEqual([tick for tick, _, _ in stream.blocks.values()], [*ticks, 2**33 + 9, 2**33 + 9])
        self.assertEqual(stream.plain(), plain((5, bytes([255, 255, 2, 0])), (7, b""), (1, bytes([5, 0]) + b"r"),
                                               (9, b""), (9, b"")) + b"tail")
        self.assertEqual((stream.gaps, stream.clocks), ([(5, "by hand")], [(5, 10**18, 77)]))
        self.assertIn("by hand", run("check", self.path("damaged.sdsz"), expect=1)[0])

    def test_an_index_that_lies_costs_no_sound_section(self):
        session = properties({"tool": b"by hand"})
        for lie in (2, 50, 2**63):  # the block that the index says section 3 begins with; it has the second
            made = HandMade(session)
            made.add(1, session, stream=0xFFFFFFFF)
            description = {"name": b"W", "label": b"", "layout": b""}
            made.add(2, properties(description))
            for block in range(6):
                columns = [column(1, struct.pack("<I", block)), column(1, struct.pack("<I", 2)), column(0, b"ab")]
                payload = struct.pack("<II", 3, 0) + b"".join(h for h, _ in columns) + b"".join(d for _, d in columns)
                made.add(3, payload, raw=10, blocks=1, ticks=(block, block), first_block=block)
            self.agree(made.content)
            at = made.places[3][1]
            made.places[3][0] = made.header(3, payload_of(made, 3), 3, raw=10, blocks=1, ticks=(1, 1), first_block=lie)
            made.add(2, properties({**description, "blocks": struct.pack("<Q", 6)}))
            made.close()
            content = bytearray(made.content)
            content[at + 40] ^= 1
            got, said = self.recovered(content)
            self.assertEqual([tick for tick, _, _ in got.streams[0].blocks.values()], [0, 2, 3, 4, 5], said)
            self.assertIn("1 block is lost (block 1", said)
            self.assertNotIn("stand twice", said)

    # ---------------------------------------------------------------- damage

    def agree(self, content, log=None):
        """Decodes `content`; sds unpack must leave the same bytes, or refuse it as well. Returns the recording."""
        path, out = self.write("damaged.sdsz", bytes(content)), self.path("out")
        if log is not None:
            self.write("damaged.sdsz.wal", bytes(log))
        try:
            recording = decode(path)
        except Unreadable:
            self.assertNotEqual(subprocess.run([SDS, "unpack", path, "-d", out, "--force"],
                                               capture_output=True).returncode, 0)
            return None
        done = subprocess.run([SDS, "unpack", path, "-d", out, "--force"], capture_output=True, text=True)
        self.assertIn(done.returncode, (0, 3), done.stderr)  # 3: something is missing, the rest was written
        for stream in recording.streams.values():
            # not assertEqual: its message would compare megabytes
            self.assertTrue(stream.plain() == self.read("out", stream.file_name),
                            f"{stream.file_name} differs; missing {stream.missing}, problems {recording.problems}")
        return recording

    def test_both_lose_the_same_of_damaged_recordings(self):
        rng, lost = np.random.default_rng(FIRST + 5), 0
        for seed in range(FIRST + 10000, FIRST + 10000 + max(2, RECORDINGS // 20)):
            streams, packed = self.pack(seed, kib=16)
            with open(packed, "rb") as f:
                content = f.read()
            sections = decode(packed).sections
            data = [s for s in sections if s.kind == DATA]
            unindexed = content[: next(s.offset for s in sections if s.kind == INDEX)]
            if not data:
                continue
            section = data[rng.integers(len(data))]
            begin = section.offset + len(section.header)
            with self.subTest(seed=seed, damage="a byte of a payload"):
                bad = bytearray(content)
                bad[int(rng.integers(begin, section.end))] ^= 1 << int(rng.integers(8))
                recording = self.agree(bad)
                first = section.first_block
                self.assertEqual(recording.streams[section.stream].missing, [(first, first + section.blocks)])
                lost += section.blocks
            with self.subTest(seed=seed, damage="a byte of a header, without index"):
                bad = bytearray(unindexed)
                bad[int(rng.integers(section.offset, begin))] ^= 1 << int(rng.integers(8))
                recording = self.agree(bad)
                self.assertEqual(recording.streams[section.stream].missing, [(first, first + section.blocks)])
            with self.subTest(seed=seed, damage="bytes cut out, without index"):
                at, size = int(rng.integers(begin, section.end)), int(rng.integers(1, 300))
                recording = self.agree(unindexed[:at] + unindexed[at + size :])
                touched = [s for s in data if s.offset < at + size and s.end > at]
                for number, stream in recording.streams.items():  # the sections that were touched, and no others
                    self.assertEqual(set(range(len(streams[number].blocks))) - set(stream.blocks),
                                     {b for s in touched if s.stream == number
                                      for b in range(s.first_block, s.first_block + s.blocks)})
            with self.subTest(seed=seed, damage="bytes put in, without index"):
                self.agree(unindexed[:at] + rng.bytes(size) + unindexed[at:])
            with self.subTest(seed=seed, damage="a section twice, and a stranger's"):
                at = data[rng.integers(len(data))].offset
                stranger = bytearray(section.header)
                stranger[28:32] = struct.pack("<I", 10**6)
                stranger[64:72] = bytes(8)
                stranger[72:] = struct.pack("<Q", hash64(bytes(stranger[:72])))
                twice = content[section.offset : section.end]
                stranger += content[begin : section.end]
                recording = self.agree(unindexed[:at] + twice + stranger + unindexed[at:])
                self.assertEqual([s.missing for s in recording.streams.values()], [[]] * len(streams))
            with self.subTest(seed=seed, damage="a damaged section, and its sound copy behind"):
                bad = bytearray(unindexed[: section.end])
                bad[-1] ^= 1
                recording = self.agree(bad + twice + unindexed[section.end :])
                self.assertEqual([s.missing for s in recording.streams.values()], [[]] * len(streams))
            with self.subTest(seed=seed, damage="another recording before and behind"):
                path = os.path.join(SOURCE, "tests", "sds_format", "golden", "v1.sdsz")
                with open(path, "rb") as f:
                    other = f.read()[: int(rng.integers(2000))]  # at most 4 sections: those of this recording are more
                self.agree(other + unindexed + other)
            with self.subTest(seed=seed, damage="cut off"):
                self.agree(content[: int(rng.integers(1, len(content)))])
            with self.subTest(seed=seed, damage="any byte, without index"):
                bad = bytearray(unindexed)
                bad[int(rng.integers(len(bad)))] ^= 1 << int(rng.integers(8))
                self.agree(bad)
        self.assertGreater(lost, 0)

    def recovered(self, content):
        """What sds recover keeps of `content`: the decoded recording, and what it said."""
        path, out = self.write("broken.sdsz", bytes(content)), self.path("recovered.sdsz")
        done = subprocess.run([SDS, "recover", path, "-o", out, "--force"], capture_output=True, text=True)
        self.assertIn(done.returncode, (0, 3), done.stderr)
        return decode(out), done.stdout

    def test_recover_finds_sections_wherever_they_stand(self):
        streams, packed = self.pack(FIRST + 21, kib=16)
        with open(packed, "rb") as f:
            content = f.read()
        whole = decode(packed)
        data = [s for s in whole.sections if s.kind == DATA]
        blocks = {n: list(s.blocks.values()) for n, s in whole.streams.items()}
        neighbours = [(a, b) for a, b in zip(data, data[1:]) if a.end == b.offset]
        self.assertGreater(len(neighbours), 2)
        for a, b in neighbours[:20]:  # index and footer stay where they were, and are sound
            with self.subTest(swapped=a.sequence):
                got, said = self.recovered(content[: a.offset] + content[b.offset : b.end] + content[a.offset : a.end]
                                           + content[b.end :])
                self.assertEqual({n: list(s.blocks.values()) for n, s in got.streams.items()}, blocks)
                self.assertNotIn("MISSING", said)
        first, last = data[1], data[-2]
        hole = first.offset + len(first.header) + 5
        moved = bytearray(content)
        moved[last.offset + len(last.header) + 5 : last.offset + len(last.header) + 5] = bytes(9)
        del moved[hole : hole + 9]  # what stands between the two is nine bytes before its place
        got, said = self.recovered(moved)
        lost = {(s.stream, s.first_block + i) for s in (first, last) for i in range(s.blocks)}
        for number, stream in whole.streams.items():
            self.assertEqual(list(got.streams[number].blocks.values()),
                             [b for n, b in stream.blocks.items() if (number, n) not in lost])
        # And a section whose header is damaged is had by the index.
        bad = bytearray(content)
        bad[first.offset + 30] ^= 1
        got, said = self.recovered(bad)
        self.assertEqual({n: list(s.blocks.values()) for n, s in got.streams.items()}, blocks)
        self.assertIn("a damaged section header; the index has it, too", said)
        self.assertNotIn("MISSING", said)
        self.assertIn("nothing is missing", said)

    def test_the_first_header_else_an_index_that_covers_the_file_says_whose_it_is(self):
        _, packed = self.pack(FIRST + 21, kib=16)
        _, other = self.pack(FIRST + 31, kib=16)
        with open(packed, "rb") as f:
            content = f.read()
        with open(other, "rb") as f:
            strange = f.read()
        whole, stranger = decode(packed), decode(other)
        begin = next(s.offset for s in whole.sections if s.kind == DATA)
        size = max(s.end for s in stranger.sections if s.end <= begin + 3000)
        # Its first sections are another recording's: they say whose the file is.
        spliced = strange[:size] + content[size:]
        got, said = self.recovered(spliced)
        there = {s.stream for s in stranger.sections if s.kind == STREAM and s.end <= size}
        self.assertEqual([s.properties["name"] for s in got.streams.values()],
                         [s.properties["name"] for n, s in stranger.streams.items() if n in there])
        kept = {(s.stream, s.first_block + i) for s in stranger.sections if s.kind == DATA and s.end <= size
                for i in range(s.blocks)}
        for number in there:
            self.assertEqual(list(got.streams[number].blocks.values()),
                             [b for n, b in stranger.streams[number].blocks.items() if (number, n) in kept])
        self.assertIn("the recording has no end", said)
        # Where the first header is damaged, as a file system may leave it, the index does.
        got, said = self.recovered(bytes([spliced[0] ^ 1]) + spliced[1:])
        self.assertEqual([s.properties["name"] for s in got.streams.values()],
                         [s.properties["name"] for s in whole.streams.values()])
        gone = {(s.stream, s.first_block + i) for s in whole.sections if s.kind == DATA and s.offset < size
                for i in range(s.blocks)}
        for number, stream in whole.streams.items():
            self.assertEqual(list(got.streams[number].blocks.values()),
                             [b for n, b in stream.blocks.items() if (number, n) not in gone])

    def test_of_several_recordings_in_one_file_the_one_with_most_sections_counts(self):
        parts, sessions = [], []
        for seed in (31, 32, 33):
            _, packed = self.pack(FIRST + seed, kib=16)
            with open(packed, "rb") as f:
                content = f.read()
            whole = decode(packed)
            sessions.append(whole.session)
            parts.append([content[s.offset : s.end] for s in whole.sections])
        n = min(len(p) for p in parts) - 2  # without index and footer
        self.assertGreater(n, 12)
        for counts in ((n, n, 3), (n, n - 3, n // 2), (n // 2, n - 3, n), (n // 2, n, n - 3), (3, n, n)):
            for damaged in (False, True):
                with self.subTest(counts=counts, damaged=damaged):
                    spliced = [b"".join(p[:c]) for p, c in zip(parts, counts)]
                    if damaged:  # of each the first header: what follows is searched
                        spliced = [bytes([s[0] ^ 1]) + s[1:] for s in spliced]
                    recording = self.agree(b"".join(spliced))
                    if not damaged:
                        self.assertEqual(recording.session, sessions[counts.index(max(counts))])

    # ---------------------------------------------------------------- log

    def test_a_killed_server_leaves_file_and_log(self):
        blocks = [(i, b"block %d " % i + b"x" * (i % 50)) for i in range(2000)]
        with Server(self.folder.name, "--flush-interval", "20") as server:
            board = subprocess.Popen([DEVICE, "--port", server.port, "--seconds", "3600"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            connection = socket.create_connection(("127.0.0.1", int(server.port)), timeout=30)
            try:
                handle = open_stream(connection, "A")
                for block in blocks:
                    write(connection, handle, plain(block))

                def has_all():
                    streams = [s for path in glob.glob(self.path("*.sdsz")) for s in streams_so_far(path)]
                    return (any(len(s.blocks) == len(blocks) and s.properties["name"] == b"A" for s in streams)
                            and sum(len(s.blocks) > 1 for s in streams) >= 5)

                wait_until(has_all, "the log has all blocks of A and some of the board's")
                server.stop(signal.SIGKILL)
            finally:
                connection.close()
                board.kill()
                board.wait()
        for path in sorted(glob.glob(self.path("*.sdsz"))):
            recording = decode(path)
            self.assertFalse(recording.closed)
            self.assertGreater(recording.from_log, 0)
            with open(path, "rb") as content, open(path + ".wal", "rb") as log:
                content, log = content.read(), log.read()
            again = self.agree(content, log)
            self.assertEqual([s.missing for s in again.streams.values()], [[]] * len(again.streams))
            for stream in again.streams.values():
                if stream.properties["name"] == b"A":
                    self.assertEqual([(slot, data) for _, slot, data in stream.blocks.values()], blocks)
            bad = bytearray(log)
            bad[len(bad) // 2] ^= 4
            self.agree(content, bad)
            self.agree(content, log[: len(log) * 2 // 3])
            self.agree(content + b"torn section", log)

    def test_a_recording_that_sds_serve_closed(self):
        with Server(self.folder.name) as server:
            device(server, "--seconds", 5, "--speed", "max")
        recording = decode(self.path("recording.0.sdsz"))
        self.assertEqual((recording.problems, recording.index, recording.closed), ([], [], True))
        self.assertEqual(sum(len(s.blocks) for s in recording.streams.values()), 400)
        self.assertTrue(any(s.clocks for s in recording.streams.values()))
        self.assertEqual([(s.announced, s.missing) for s in recording.streams.values()],
                         [(len(s.blocks), []) for s in recording.streams.values()])
        with open(self.path("recording.0.sdsz"), "rb") as f:
            self.agree(f.read())

    def test_sealed_sections_and_log_are_joined_by_ordinals(self):
        rng = np.random.default_rng(FIRST + 7)
        blocks = [(i, rng.bytes(4096)) for i in range(1500)]  # over 1 MiB: some of it is sealed, the rest in the log
        with Server(self.folder.name, "--flush-interval", "20") as server:
            with socket.create_connection(("127.0.0.1", int(server.port)), timeout=30) as connection:
                handle = open_stream(connection, "A")
                for block in blocks:
                    write(connection, handle, plain(block))
                path = self.path("recording.0.sdsz")
                wait_until(lambda: any(len(s.blocks) == len(blocks) for s in streams_so_far(path)), "all is flushed")
                server.stop(signal.SIGKILL)
        with open(path, "rb") as content, open(path + ".wal", "rb") as log:
            content, log = content.read(), log.read()
        recording = decode(path)
        self.assertEqual([(slot, data) for _, slot, data in recording.streams[0].blocks.values()], blocks)
        self.assertTrue(0 < recording.from_log < len(blocks))
        data = [s for s in recording.sections if s.kind == DATA]
        self.agree(content, log)
        for section in data:
            bad = bytearray(content)
            bad[section.offset + int(rng.integers(80))] ^= 32
            again = self.agree(bad, log).streams[0]
            for first, last in again.missing:  # what the log still has comes back; nothing comes twice
                self.assertTrue(section.first_block <= first < last <= section.first_block + section.blocks)


if __name__ == "__main__":
    main()
