"""Random recordings as plain `.sds` files with metadata: the same seed makes the same ones. Each stream knows what its
layout must be, by the page and the C rules for bit-fields, not by asking sdskit."""
import struct

import numpy as np

# YAML type: (type number of the layout, dtype)
TYPES = {"uint8_t": (0, "u1"), "int8_t": (1, "i1"), "uint16_t": (2, "<u2"), "int16_t": (3, "<i2"),
         "uint32_t": (6, "<u4"), "int32_t": (7, "<i4"), "uint64_t": (8, "<u8"), "int64_t": (9, "<i8"),
         "float": (10, "<f4"), "double": (11, "<f8")}
DTYPES = dict(TYPES.values())
SPECIAL = [np.nan, np.inf, -np.inf, -0.0, 1e30, 5e-324]


def integers(rng, dtype, count):
    """Values such as sensors give, and such as they do not, wrapped to the type."""
    bits = 8 * np.dtype(dtype).itemsize
    t, size = np.arange(count), 2.0 ** rng.integers(1, min(bits, 40))
    wave = size * np.sin(t / rng.uniform(3, 300)) + rng.normal(0, max(1, size / 2.0 ** rng.integers(2, 12)), count)
    style = rng.integers(8)
    if style == 0:
        values = np.full(count, int(rng.integers(-9, 99)))
    elif style == 1:
        values = int(rng.integers(-1000, 1000)) + t * int(rng.integers(-70000, 70000))
    elif style == 2:
        values = rng.normal(0, size, count)
    elif style in (3, 4):
        values = wave
    elif style == 5:  # a walk; its steps may be wider than 16 bits
        values = np.cumsum(rng.integers(-(1 << 20), 1 << 20, count) >> int(rng.integers(0, 21)))
    elif style == 6:  # far from 0, with a slope
        values = int(rng.integers(0, 1 << 40)) + t * int(rng.integers(1, 1 << 17)) + rng.integers(0, 50, count)
    else:
        values = np.frombuffer(rng.bytes(8 * count), "<i8") >> int(rng.integers(0, 64))
    values = np.array(values, np.float64).astype(np.int64) if style in (2, 3, 4) else values.astype(np.int64)
    if rng.random() < 0.2 and count:  # rare spikes
        values = values.copy()
        values[rng.integers(0, count, 1 + count // 50)] += int(rng.integers(1, 1 << 15))
    return values.astype(np.uint64).astype(f"<u{bits // 8}").view(dtype)


def floats(rng, dtype, count):
    style = rng.integers(5)
    if style < 3:  # multiples of a quantum, as an ADC's values times its scale are
        quantum = rng.choice([0.01, 0.125, 1 / 3, 9.80665 / 4096, 1e-6, 1.0])
        numbers = integers(rng, "<i4" if style else "<i2", count)
        values = (numbers.astype(dtype) * np.dtype(dtype).type(quantum)) if style == 2 else numbers * quantum
    elif style == 3:
        values = rng.normal(rng.uniform(-5, 5), 10.0 ** rng.integers(-6, 6), count)
    else:
        values = np.frombuffer(rng.bytes(8 * count), dtype)[:count]
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array(values).astype(dtype)
        if rng.random() < 0.4 and count:
            values[rng.integers(0, count, 1 + count // int(rng.integers(2, 200)))] = rng.choice(SPECIAL)
    if rng.random() < 0.05:
        values[:] = np.nan
    return values


class RandomStream:
    def __init__(self, rng, name):
        self.name, self.label = name, str(rng.choice(["0", "1", "walk", "a.b", ""]))
        self.playback = bool(rng.random() < 0.2)
        self.layout, columns, content = [], [], []  # layout: (type number, byte offset, elements)
        self.behind_bits = False  # whether the last field is one of bits
        shape = rng.choice(["fields"] * 8 + ["audio", "none"])
        count = int(rng.choice([0, 1, rng.integers(2, 300), rng.integers(300, 3000), rng.integers(4096, 12000)],
                               p=[0.03, 0.04, 0.23, 0.4, 0.3]))
        for i in range(int(rng.integers(1, 7)) if shape == "fields" else 0):
            size = sum(column.shape[1] for column in columns)
            if size * count < 200_000:
                columns += self.add_field(rng, i, count, content, size)
        if shape == "audio":
            channels = int(rng.integers(1, 4))
            content.append(f"audio: {{bit-depth: 24, channels: {channels}, format: pcm}}")
            self.layout = [(5, 3 * i, 1) for i in range(channels)]
            columns = [integers(rng, "<i4", count).view(np.uint8).reshape(-1, 4)[:, :3] for _ in range(channels)]
        elif shape == "none":
            columns = [np.frombuffer(rng.bytes(8 * count), np.uint8).reshape(count, 8) >> int(rng.integers(0, 7))]
        self.metadata = None
        if content:
            lines = "".join(f"    - {entry}\n" for entry in content)
            self.metadata = f"sds:\n  name: {name}\n  sample-frequency: 100\n  content:\n{lines}# end \u20ac\n".encode()
        self.sample_bytes = sum(column.shape[1] for column in columns)
        self.blocks = self.cut(rng, np.hstack(columns))
        self.tail = b"" if rng.random() < 0.8 else rng.bytes(int(rng.integers(1, 8)))

    def add_field(self, rng, i, count, content, at):
        """Adds a value, an array or two bit-fields; returns its columns as rows of bytes."""
        name = str(rng.choice(list(TYPES)))
        number, dtype = TYPES[name]
        size, form = np.dtype(dtype).itemsize, rng.choice(["value"] * 6 + ["array", "bits"])
        dims = ""
        elements = 1
        if form == "array":
            x, y = int(rng.integers(1, 13)), int(rng.integers(1, 9))
            elements, dims = x * y, f", dim-x: {x}, dim-y: {y}" if y > 1 else f", dim-x: {x}"
        # C begins a unit of bit-fields behind others at a multiple of its size.
        if form == "bits" and number < 10 and (not self.behind_bits or at % size == 0):
            self.behind_bits = True
            low = int(rng.integers(1, 8 * size))
            # The bits of two neighbours that fill a unit; other neighbours of the same type do not share it.
            content += [f'{{value: b{i}, type: "{name}:{low}"}}', f'{{value: c{i}, type: "{name}:{8 * size - low}"}}']
        else:
            self.behind_bits = False
            content.append(f"{{value: v{i}, type: {name}{dims}}}")
        make = floats if number >= 10 else integers
        single = [(number, at + k * size, 1) for k in range(elements)]
        self.layout += single if elements <= 64 else [(number, at, elements)]
        return [make(rng, dtype, count).view(np.uint8).reshape(count, size) for _ in range(elements)]

    def cut(self, rng, samples):
        """[(timeslot, bytes)]: the samples in blocks, regular or not."""
        blocks, at, style = [], 0, rng.choice(["even", "uneven", "odd"], p=[0.6, 0.2, 0.2])
        per_block = int(rng.integers(1, 200))
        while at < len(samples):
            take = per_block if style == "even" else int(rng.integers(0, 2 * per_block + 1))
            data = samples[at : at + take].tobytes()
            if style == "odd" and rng.random() < 0.3:
                data += rng.bytes(int(rng.integers(1, 2 * self.sample_bytes)))
            blocks.append(data)
            at += take
        slots = np.arange(len(blocks), dtype=np.int64) * int(rng.integers(0, 50))
        slots += int(rng.choice([0, 7, (1 << 32) - 50, (1 << 31) - 30, rng.integers(0, 1 << 32)]))
        style = rng.integers(5)
        if style == 1:
            slots += rng.integers(0, 9, len(slots))
        elif style == 2 and len(slots):  # steps back and far forward
            slots[rng.integers(0, len(slots), 3)] -= int(rng.integers(0, 1 << 33))
        elif style == 3 and rng.random() < 0.3:
            slots = rng.integers(0, 1 << 32, len(slots))
        return [(int(slot) % (1 << 32), data) for slot, data in zip(slots, blocks)]

    @property
    def file_name(self):
        return ".".join([self.name] + [self.label] * bool(self.label) + ["p"] * self.playback + ["sds"])

    def plain(self):
        return b"".join(struct.pack("<II", slot, len(data)) + data for slot, data in self.blocks) + self.tail

    def column_values(self, blocks):
        """The values of each layout column of single elements in `blocks`, as NumPy arrays."""
        whole = b"".join(data[: len(data) // self.sample_bytes * self.sample_bytes] for _, data in blocks)
        table = np.frombuffer(whole, np.uint8).reshape(-1, self.sample_bytes)
        for number, at, elements in self.layout:
            if elements > 1:
                continue
            if number == 5:  # 24 bits: the upper three bytes of an int32, shifted down
                wide = np.zeros((len(table), 4), np.uint8)
                wide[:, 1:] = table[:, at : at + 3]
                yield wide.view("<i4")[:, 0] >> 8
            else:
                dtype = np.dtype(DTYPES[number])
                yield np.ascontiguousarray(table[:, at : at + dtype.itemsize]).view(dtype)[:, 0]


def random_recording(seed):
    rng = np.random.default_rng(seed)
    return [RandomStream(rng, f"S{i}") for i in range(int(rng.choice([1, 2, 3, 4, 5], p=[0.4, 0.3, 0.15, 0.1, 0.05])))]
