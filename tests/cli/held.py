"""When a condition holds, worked out from the blocks of a recording by docs/time.md, with exact fractions."""
from fractions import Fraction


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
    joined = []
    for at, until in sorted(ranges):
        if joined and at <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], until)
        else:
            joined.append([at, until])
    return joined, sum(begin <= t < end for i, t in enumerate(times) if holds(i))
