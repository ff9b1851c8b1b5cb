"""A second decoder of `.sdsz` and its write-ahead log, written from sds_format/FORMAT.md alone.

It shares no line with the C++ library and was written without a look at it: where the two agree, the page says enough
to read a recording without sdskit. It is slow and keeps everything in memory. Damage does not raise: what is wrong
stands in `Recording.problems`, what is lost in `Stream.missing`. `Unreadable` is raised for what is no recording.
"""
import os
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import xxhash
from sdsz_codecs import U8, U32, U64, WIDTHS, Bytes, Damaged, decode_column, to_u64, unzstd

MAGIC = bytes.fromhex("89 53 44 53 5A 0D 0A 1A")
LOG_MAGIC = {1: bytes.fromhex("89 53 44 53 57 0D 0A 1A"), 2: bytes.fromhex("89 53 44 53 57 32 0A 1A")}
SESSION, STREAM, DATA, TAIL, GAP, CLOCK, INDEX, FOOTER = 1, 2, 3, 4, 5, 6, 9, 10
MIB = 1 << 20
LIMITS = {SESSION: MIB, STREAM: 4 * MIB, DATA: 64 * MIB, GAP: 4096, CLOCK: 64, INDEX: 2 * MIB, FOOTER: 64}
MAX_BLOCK, MAX_FRAME, MAX_SECTIONS, MAX_STREAMS, MAX_BLOCK_NUMBER = 32 * MIB, 64 * MIB, 1 << 20, 65536, 1 << 48


class Unreadable(Exception):
    """Not a recording, or one of a later version."""


def hash64(data, seed=0):
    return xxhash.xxh3_64_intdigest(data, seed)


@dataclass
class Section:
    header: bytes
    offset: int
    version: int
    kind: int
    flags: int
    stream: int
    stored_size: int
    raw_size: int
    blocks: int
    sequence: int
    first_tick: int
    last_tick: int
    first_block: int | None  # None in version 1, until it was counted
    recording: int | None
    payload: bytes | None = None  # decompressed, unless it is data; None if damaged
    statistics: list = field(default_factory=list)  # (count, NaN count, min, max, sum)
    codecs: list = field(default_factory=list)  # (codec, predictor, quantised) of each column of a data section

    @property
    def end(self):
        return self.offset + len(self.header) + self.stored_size


def header_at(data, offset):
    """The section whose valid header stands at `offset`, or None."""
    if data[offset : offset + 8] != MAGIC:
        return None
    version = data[offset + 8] if offset + 8 < len(data) else 0
    size = 64 if version == 1 else 80
    header = data[offset : offset + size]
    if len(header) < size or int.from_bytes(header[-8:], "little") != hash64(header[:-8]):
        return None
    if version > 2:
        raise Unreadable(f"format version {version}")
    first_block, recording = struct.unpack_from("<QQ", header, 56) if version == 2 else (None, None)
    return Section(header, offset, *struct.unpack_from("<BBHIIIIIQQ", header, 8), first_block, recording)


def walk(data, problems):
    """All sections of the recording in the order of their sequence, each with its payload if that is sound."""
    found, at = [], 0
    while at < len(data):
        begin = data.find(MAGIC, at)
        while begin >= 0 and (section := header_at(data, begin)) is None:
            begin = data.find(MAGIC, begin + 1)
        if begin != at:
            problems.append(f"no section from byte {at} to {begin if begin >= 0 else len(data)}")
        if begin < 0:
            break
        section.payload = sound_payload(data, section, problems)
        found.append(section)
        # Where the payload is damaged its size may point astray: there may be sections within.
        trusted = section.payload is not None or section.end == len(data) or header_at(data, section.end)
        at = section.end if trusted else begin + len(section.header)
        if len(found) > MAX_SECTIONS:
            raise Unreadable("too many sections")
    headers = Counter((s.version, s.recording) for s in found)
    most, sections = max(headers, key=headers.get, default=None), {}  # the first one of equals
    for section in found:
        known = sections.get(section.sequence)
        if (section.version, section.recording) != most:
            problems.append(f"byte {section.offset}: a section of another recording")
        elif known is None or known.payload is None:
            sections[section.sequence] = section
        else:
            problems.append(f"byte {section.offset}: section {section.sequence} stands already at {known.offset}")
    return [sections[sequence] for sequence in sorted(sections)]


def sound_payload(data, section, problems):
    stored = data[section.end - section.stored_size : section.end]
    sums = int.from_bytes(section.header[48:56], "little")
    try:
        if section.raw_size > LIMITS.get(section.kind, 64 * MIB):
            raise Damaged("larger than the limit")
        if len(stored) < section.stored_size:
            raise Damaged("cut off")
        if hash64(stored) != sums:
            raise Damaged("its checksum is wrong")
        if section.kind == DATA:
            return stored
        payload = unzstd(stored, section.raw_size) if section.flags & 1 else stored
        if len(payload) != section.raw_size:
            raise Damaged("its raw size is wrong")
        return payload
    except Damaged as damage:
        problems.append(f"section {section.sequence} at byte {section.offset}: {damage}")
        return None


def property_list(payload):
    r, properties = Bytes(payload), {}
    for _ in range(r.u32()):
        key = r.take(r.fields("H")[0]).decode("utf-8", "replace")
        properties[key] = r.take(r.u32())
    r.end()
    return properties


@dataclass
class Stream:
    number: int
    properties: dict
    layout: list  # (type, byte offset, elements)
    sample_bytes: int
    announced: int | None = None  # blocks, by the closing description
    known: int = 0  # so many blocks there were at least
    blocks: dict = field(default_factory=dict)  # ordinal -> (tick, timeslot, bytes)
    tail: bytes = b""
    gaps: list = field(default_factory=list)  # (ordinal of the next block, reason)
    clocks: list = field(default_factory=list)  # (tick, utc ns, monotonic ns)

    @property
    def file_name(self):
        name, label = self.properties["name"].decode(), self.properties.get("label", b"").decode()
        parts = [name] + [label] * bool(label) + ["p"] * (self.properties.get("playback") == b"1") + ["sds"]
        return self.properties.get("file", ".".join(parts).encode()).decode()

    @property
    def missing(self):
        """Ordinals of the blocks that there were and that are not here: [(first, last + 1)]."""
        total = max(self.known, self.announced or 0)
        here = [-1, *sorted(self.blocks), total]
        return [(a + 1, b) for a, b in zip(here, here[1:]) if b > a + 1]

    def plain(self):
        """The blocks that are here, and the tail, as a plain `.sds` file."""
        records = [struct.pack("<II", slot, len(data)) + data for _, (_, slot, data) in sorted(self.blocks.items())]
        return b"".join(records) + self.tail


def describe(section):
    properties = property_list(section.payload)
    r, layout, at = Bytes(properties.get("layout", b"")), [], 0
    while r.at < len(r.data):
        kind, offset, elements = r.fields("BII")
        if kind >= len(WIDTHS) or offset != at or elements == 0:
            raise Damaged("a layout with gaps or of unknown types")
        layout.append((kind, offset, elements))
        at += WIDTHS[kind] * elements
    if section.stream >= MAX_STREAMS or "name" not in properties:
        raise Damaged("a stream without name or number")
    announced = int.from_bytes(properties["blocks"], "little") if "blocks" in properties else None
    return Stream(section.stream, properties, layout, at, announced)


def unwrap(tick, slot, next_slot):
    """The tick of the block after one with `tick` and timeslot `slot`, by the rule."""
    step = (next_slot - slot) % (1 << 32)
    tick += step - (1 << 32) * (step >= 1 << 31)
    return tick if tick >= 0 else next_slot


def decode_data(section, stream):
    """[(tick, timeslot, bytes)] of a data section; sets its statistics."""
    r, count = Bytes(section.payload), section.blocks
    columns, statistics = r.fields("II")
    if columns != 3 + len(stream.layout) or section.flags & 1:
        raise Damaged("columns that the layout does not have, or a data section in one zstd frame")
    headers = [r.fields("BBBBI") for _ in range(columns)]
    section.statistics = [r.fields("QQddd") for _ in range(statistics)]
    section.codecs = [header[:3] for header in headers]

    def column(at, values, kind):
        codec, predictor, _, _, size = headers[at]
        return decode_column(codec, predictor, r.take(size), values, kind)

    wide = bool(section.flags & 4)
    slots = to_u64(column(0, count, U64 if wide else U32)).tolist()
    sizes = to_u64(column(1, count, U32)).astype(np.int64)
    if count and (sizes.max() > MAX_BLOCK or sizes.sum() + 8 * count != section.raw_size):
        raise Damaged("block sizes do not fit the raw size")
    samples = sizes // stream.sample_bytes if stream.layout else sizes * 0
    rests = sizes - samples * stream.sample_bytes
    rest = column(2, int(rests.sum()), U8).tobytes()
    table = np.empty((int(samples.sum()), stream.sample_bytes), np.uint8)
    for at, (kind, offset, elements) in enumerate(stream.layout):
        size = elements * WIDTHS[kind]
        table[:, offset : offset + size] = column(3 + at, len(table) * elements, kind).reshape(len(table), size)
    r.end()
    if wide:
        ticks, slots = slots, [tick % (1 << 32) for tick in slots]
    else:
        ticks = [section.first_tick][:count]
        for before, slot in zip(slots, slots[1:]):
            ticks.append(unwrap(ticks[-1], before, slot))
    if count and (ticks[0] % (1 << 32) != slots[0] or ticks[0] != section.first_tick or ticks[-1] != section.last_tick):
        raise Damaged("ticks do not fit the header")
    if any(b < a for a, b in zip(ticks, ticks[1:])) != bool(section.flags & 2):
        raise Damaged("the flag of descending ticks is wrong")
    flat, sample_ends, rest_ends = table.tobytes(), np.cumsum(samples * stream.sample_bytes), np.cumsum(rests)
    return [(tick, slot, flat[s - n * stream.sample_bytes : s] + rest[e - m : e]) for tick, slot, s, n, e, m in
            zip(ticks, slots, sample_ends.tolist(), samples.tolist(), rest_ends.tolist(), rests.tolist())]


def check_index(data, sections):
    """None if there is no footer; else what is wrong with the index ([]: all as the sections walked say)."""
    footer = next((s for s in reversed(sections) if s.kind == FOOTER and s.payload is not None), None)
    if footer is None:
        return None
    wrong, entries = [], []
    try:
        offset, count = Bytes(footer.payload).fields("QQ")
        if count != footer.sequence:
            wrong.append(f"the footer counts {count} sections and is number {footer.sequence}")
        by_offset = {s.offset: s for s in sections}
        while offset:
            section = by_offset.pop(offset, None)  # popped: a chain that runs in circles ends
            if section is None or section.kind != INDEX or section.payload is None:
                raise Damaged(f"no sound index section at {offset}")
            r = Bytes(section.payload)
            offset, number = r.fields("QI")
            part = []
            for _ in range(number):
                header, at, statistics = r.take(len(section.header)), *r.fields("QI")
                statistics = [r.fields("QQddd") for _ in range(statistics)]
                part.append((at, header, statistics, r.take(r.u32()) if section.version > 1 else b""))
            r.end()
            entries = part + entries
    except Damaged as damage:
        return wrong + [str(damage)]
    walked = [(s.offset, s.header, s.statistics if s.kind == DATA else [],
               s.payload if s.kind in (GAP, CLOCK) and s.version > 1 else b"")
              for s in sections if s.kind not in (INDEX, FOOTER)]
    if repr(entries) != repr(walked):  # repr: NaN is equal to NaN
        wrong.append("entries differ from the sections walked")
    return wrong


def read_log(path, problems):
    """(version, recording, frames) of a log, frames as [(stream, first ordinal, first tick or None, records)]."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except FileNotFoundError:
        return None
    version = next((v for v, magic in LOG_MAGIC.items() if data[:8] == magic), None)
    at, head = (24, 40) if version == 2 else (16, 32)
    if version is None or len(data) < at:
        problems.append(f"{path}: no log")
        return None
    frames = []
    while at < len(data):
        found, frame = at, None
        while (found := data.find(b"FRAM", found)) >= 0 and (frame := frame_at(data, found, head)) is None:
            found += 1
        if found != at:  # a last frame may be cut off: that costs nothing that was flushed
            if frame is not None:
                problems.append(f"{path}: no frame from byte {at} to {found}")
            elif at + head <= len(data) and at + head + int.from_bytes(data[at + 4 : at + 8], "little") <= len(data):
                problems.append(f"{path}: no frame from byte {at} on")
        if frame is None:
            break
        at = found + head + len(frame[4])
        if above_limits(frame):
            problems.append(f"{path}: the frame at byte {found} is above the limits")
        else:
            frames.append(frame)
    return version, int.from_bytes(data[8:16], "little"), frames


def frame_at(data, at, head):
    if at + head > len(data):
        return None
    size, stream, blocks, first_block = struct.unpack_from("<IIIQ", data, at + 4)
    if size > MAX_FRAME or blocks > MAX_SECTIONS or at + head + size > len(data):
        return None
    records, sums = data[at + head : at + head + size], int.from_bytes(data[at + head - 8 : at + head], "little")
    if head == 40:
        expected = hash64(records, hash64(data[at : at + 32] + data[8:24]))
    else:
        expected = hash64(records) ^ 31 * hash64(data[at : at + 24]) % (1 << 64)
    tick = int.from_bytes(data[at + 24 : at + 32], "little") if head == 40 else None
    return (stream, blocks, first_block, tick, records) if sums == expected else None


def above_limits(frame):
    stream, blocks, first_block, _, records = frame
    r = Bytes(records)
    sizes = [len(r.take(r.fields("II")[1])) for _ in range(blocks)]
    return stream >= MAX_STREAMS or first_block > MAX_BLOCK_NUMBER or max(sizes) > MAX_BLOCK


@dataclass
class Recording:
    session: dict
    streams: dict  # number -> Stream
    sections: list
    closed: bool  # there is a footer
    index: list | None  # what is wrong with the index; None without footer
    problems: list
    from_log: int = 0  # blocks that were taken from the log


def join(recording, log):
    """Adds the blocks that stand in no sound section."""
    for number, blocks, first_block, tick, records in log:
        stream, r, slot = recording.streams.get(number), Bytes(records), None
        if stream is None:
            recording.problems.append(f"the log has blocks of stream {number}, which is not described")
            continue
        for ordinal in range(first_block, first_block + blocks):
            before = stream.blocks.get(ordinal - 1)
            slot_before, (slot, size) = slot, r.fields("II")
            if slot_before is not None:
                tick = unwrap(tick, slot_before, slot)
            elif tick is None:  # version 1 has no first tick
                tick = unwrap(before[0], before[1], slot) if before else slot
            data = r.take(size)
            if ordinal not in stream.blocks:
                stream.blocks[ordinal] = (tick, slot, data)
                recording.from_log += 1
        r.end()
        stream.known = max(stream.known, first_block + blocks)


def decode(path):
    """The recording in the file `path`, joined with its log. Raises Unreadable."""
    problems = []
    logs = [read_log(os.fspath(path) + end, problems) for end in (".wal", ".wal.new")]  # before the file
    with open(path, "rb") as f:
        data = f.read()
    sections = walk(data, problems)
    if not sections:
        raise Unreadable("no section")
    version, identity = sections[0].version, sections[0].recording
    recording = Recording({}, {}, sections, any(s.kind == FOOTER for s in sections), None, problems)
    for section in (s for s in sections if s.payload is not None and s.kind in (SESSION, STREAM)):
        try:
            if section.kind == STREAM:
                recording.streams[section.stream] = describe(section)  # the last one has the number of blocks
            else:
                recording.session = property_list(section.payload)
                if version == 1:
                    identity = hash64(section.payload)
                elif hash64(section.payload) != identity:
                    problems.append("the id of the recording is not that of its session")
        except Damaged as damage:
            problems.append(f"section {section.sequence}: {damage}")
    for section in sections:
        if section.kind in (DATA, TAIL, GAP, CLOCK):
            place(recording, section)
    recording.index = check_index(data, sections)
    for log in filter(None, logs):
        if log[:2] == (version, identity):
            join(recording, log[2])
        else:
            problems.append("a log of another recording")
    return recording


def place(recording, section):
    """Gives what a section holds to its stream."""
    stream = recording.streams.get(section.stream)
    if stream is None:
        recording.problems.append(f"section {section.sequence} of a stream that is not described")
        return
    if section.first_block is None:
        section.first_block = stream.known
    stream.known = max(stream.known, section.first_block + section.blocks)
    if section.payload is None:
        return
    try:
        if section.kind == DATA:
            blocks = dict(enumerate(decode_data(section, stream), section.first_block))
            if stream.blocks.keys().isdisjoint(blocks):  # else another one has them
                stream.blocks.update(blocks)
        elif section.kind == TAIL:
            stream.tail += section.payload
        elif section.kind == GAP:
            stream.gaps.append((section.first_block, property_list(section.payload)["reason"].decode()))
        else:
            stream.clocks.append(Bytes(section.payload).fields("QQQ" if section.version > 1 else "QQ"))
    except (Damaged, KeyError, ValueError) as damage:
        recording.problems.append(f"section {section.sequence}: {damage}")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        it = decode(argument)
        print(argument, it.session, "closed" if it.closed else "not closed", it.index, it.problems)
        for s in it.streams.values():
            print(" ", s.file_name, len(s.blocks), "blocks; missing", s.missing, s.gaps, s.clocks, len(s.tail))
