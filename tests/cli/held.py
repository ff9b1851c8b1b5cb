"""Recordings whose samples say their own number, and when a condition holds, worked out from their blocks by docs/time.md,
with exact fractions."""
import struct
from fractions import Fraction

from harness import plain


def counting(blocks, rate):
    """Blocks (tick in ms, number of samples) whose samples count from 0: the plain file of a stream S, and its metadata."""
    parts, at = [], 0
    for tick, count in blocks:
        parts.append((tick, struct.pack(f"<{count}I", *range(at, at + count))))
        at += count
    return plain(*parts), ("sds:\n  name: S\n" + (f"  sample-frequency: {rate}\n" if rate else "") +
                           "  content:\n    - {value: i, type: uint32_t}\n")


def joined(ranges):
    """[begin, end] in order, those that touch as one."""
    found = []
    for begin, end in sorted(ranges):
        if found and begin <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([begin, end])
    return found


def true_ranges(blocks, rate, begin, end, holds):
    """(ranges, number of samples) in [begin, end) of blocks (tick in ms, number of samples) for whose samples, which count
    from 0, `holds(number)`: each until the next sample; for one interval where that is earlier, and the last one."""
    ms = [t for t, _ in blocks]
    interval = Fraction(1, rate) if rate else Fraction(max(ms) - min(ms), 1000 * (len(ms) - 1))
    times = [Fraction(t, 1000) + (k * interval if rate else 0) for t, count in blocks for k in range(count)]
    ranges = []
    for i in (i for i in range(len(times)) if holds(i)):
        later = i + 1 < len(times) and times[i + 1] >= times[i]
        at, until = max(times[i], begin), min(times[i + 1] if later else times[i] + interval, end)
        if at < until:
            ranges.append((at, until))
    return joined(ranges), sum(begin <= t < end for i, t in enumerate(times) if holds(i))
