"""The columns of `.sdsz`: zstd frames, codecs, residuals, prediction. Part of sdsz_decoder.py, and like it written from
sds_format/FORMAT.md alone ("Data sections" and what follows)."""
import struct

import numpy as np
import zstandard

WIDTHS = [1, 1, 2, 2, 3, 3, 4, 4, 8, 8, 4, 8]  # of the layout's types u8, i8, u16, ...
FLOATS = {10: "<f4", 11: "<f8"}
U8, U32, U64 = 0, 6, 8


class Damaged(Exception):
    """A part of the file that is not as the page says."""


def unzstd(data, size):
    """The contents of one zstd frame, which must have `size` bytes."""
    try:
        if zstandard.frame_content_size(data) > size:
            raise Damaged("a zstd frame of more than was announced")
        out = zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Damaged(f"zstd: {error}") from error
    if len(out) != size:
        raise Damaged(f"a zstd frame has {len(out)} bytes, not {size}")
    return out


class Bytes:
    """Reads little-endian fields one after the other; Damaged where there are too few bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if size > len(self.data) - self.at:
            raise Damaged("too few bytes")
        self.at += size
        return self.data[self.at - size : self.at]

    def fields(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def u32(self):
        return self.fields("I")[0]

    def array(self, dtype, count):
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        if self.at != len(self.data):
            raise Damaged("bytes are left over")


def to_u64(values):
    """Values as rows of bytes -> as unsigned 64-bit numbers."""
    wide = np.zeros((len(values), 8), np.uint8)
    wide[:, : values.shape[1]] = values
    return wide.view("<u8")[:, 0]


def to_bytes(numbers, width):
    return np.ascontiguousarray(numbers).astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]


def unzigzag(numbers):
    return (numbers >> np.uint64(1)) ^ (np.uint64(0) - (numbers & np.uint64(1)))


def decode_column(codec, predictor, data, count, kind):
    """The values of a column of `count` values of layout type `kind`, as rows of bytes."""
    width = WIDTHS[kind]
    if count == 0:
        if data:
            raise Damaged("bytes in an empty column")
        return np.zeros((0, width), np.uint8)
    if codec == 0 and len(data) == count * width:
        return np.frombuffer(data, np.uint8).reshape(count, width)
    if codec == 1 and len(data) == width:
        return np.repeat(np.frombuffer(data, np.uint8).reshape(1, width), count, axis=0)
    if codec in (2, 3):
        values = np.frombuffer(unzstd(data, count * width), np.uint8).reshape(width, count).T
        return values if codec == 2 else to_bytes(np.cumsum(unzigzag(to_u64(values)), dtype=np.uint64), width)
    if codec == 4:
        return decode_residuals(Bytes(data), predictor, count, kind)
    if codec == 5 and len(data) == 2 * width:
        first, second = to_u64(np.frombuffer(data, np.uint8).reshape(2, width))
        return to_bytes(np.arange(count, dtype=np.uint64) * np.subtract(second, first, dtype=np.uint64) + first, width)
    raise Damaged(f"codec {codec} with {len(data)} bytes for {count} values")


def decode_residuals(r, predictor, count, kind):
    flags, base = r.fields("Bq")
    first = r.fields("q")[0] if flags & 1 else 0
    if flags > 3 or bool(flags & 2) != (kind in FLOATS):
        raise Damaged("an unknown form of residuals")
    if flags & 2:
        quantum, exceptions = r.fields("dI")
        if exceptions > count or not np.isfinite(quantum) or quantum == 0 or not -2147450880 <= base <= 2147450879:
            raise Damaged("quantum, base or exceptions out of bounds")
        index, exact = r.array("<u4", exceptions), r.array(FLOATS[kind], exceptions)
        if exceptions and index.max() >= count:
            raise Damaged("an exception behind the column")
    parameters = Bytes(r.take(r.u32()))
    residuals = unzigzag(decode_coded(r, count)).astype(np.int64)
    numbers = predict(predictor, residuals, parameters) + np.int64(base)
    if flags & 1:
        numbers[0] = first
        numbers = np.cumsum(numbers)
    if not flags & 2:
        return to_bytes(numbers.view(np.uint64), WIDTHS[kind])
    with np.errstate(over="ignore"):
        values = (numbers.astype(np.float64) * quantum).astype(FLOATS[kind])
    values[index] = exact
    return values.view(np.uint8).reshape(count, -1)


def predict(predictor, residuals, parameters):
    """y of its residuals."""
    if predictor == 3:
        return linear(residuals, parameters)
    parameters.end()
    y = residuals.copy()
    if predictor == 2:
        y[1:] = np.cumsum(y[1:])
    if predictor in (1, 2):
        y = np.cumsum(y)
    elif predictor != 0:
        raise Damaged("an unknown predictor")
    return y.astype(np.int16).astype(np.int64)


def linear(residuals, parameters):
    lane = len(residuals) // 8
    r = residuals[: 8 * lane].reshape(8, lane).T
    y = np.zeros((16 + lane, 8), np.int64)  # 16 zeros before each lane
    length = parameters.u32()
    if length < 256:
        raise Damaged("a block of linear prediction is too short")
    begins = list(range(0, lane, length))
    if len(begins) > 1 and 2 * (lane - begins[-1]) < length:
        begins.pop()
    for begin, end in zip(begins, begins[1:] + [lane]):
        order, shift = parameters.fields("BB")
        if order not in (4, 8, 12, 16) or not 1 <= shift <= 14:
            raise Damaged("order or shift of linear prediction out of bounds")
        weights = parameters.array("<i2", order * 8).reshape(order, 8)[::-1].astype(np.int64)  # oldest value first
        for t in range(begin, end):
            total = np.einsum("ol,ol->l", weights, y[16 + t - order : 16 + t]) + (1 << shift - 1)
            y[16 + t] = ((total.astype(np.int32) >> shift) + r[t]).astype(np.int16)
    parameters.end()
    values = y[16:].T.reshape(-1)
    last = values[-1:] if lane else np.zeros(1, np.int64)
    behind = np.cumsum(np.concatenate([last, residuals[8 * lane :]]))[1:]
    return np.concatenate([values, behind.astype(np.int16).astype(np.int64)])


def decode_coded(r, count):
    """The zigzag residuals of a column, as unsigned 64-bit numbers."""
    def stream(size):
        data = r.take(r.u32())
        return np.frombuffer(data if len(data) == size else unzstd(data, size), np.uint8)

    escapes = r.array("<u2", r.u32())
    low = np.frombuffer(r.take(r.u32()), "<u2")
    classes = stream(-(-count // 128)).astype(np.int64)
    if classes.max() > 2 * (22 - 5) + 2:  # the sum of 128 residuals is below 2^23
        raise Damaged("an unknown class of a miniblock")
    bits = np.where(classes > 0, np.maximum(0, 5 + (classes - 1) // 2 - 10), 0)
    out = np.zeros((len(classes), 128), np.uint64)
    for c in np.unique(classes):
        out[classes == c] = stream(128 * int(np.count_nonzero(classes == c))).reshape(-1, 128)
    r.end()
    escaped = out == 255
    begin = np.cumsum(bits) - bits  # of each miniblock in `low`, in words of 8 lanes
    if len(low) != 8 * bits.sum() or np.count_nonzero(escaped) != len(escapes):
        raise Damaged("low bits or escapes do not fit the classes")
    low = low.reshape(-1, 8)
    for k in np.unique(bits[bits > 0]):
        words = low[begin[bits == k][:, None] + np.arange(k)]  # [miniblock][word][lane]
        lanes = np.ascontiguousarray(words.transpose(0, 2, 1)).view(np.uint8)
        each = np.unpackbits(lanes, axis=2, bitorder="little").reshape(-1, 8, 16, k)  # [miniblock][l][r][bit]
        number = (each.astype(np.uint64) << np.arange(k, dtype=np.uint64)).sum(axis=3, dtype=np.uint64)
        out[bits == k] = out[bits == k] << np.uint64(k) | number.transpose(0, 2, 1).reshape(-1, 128)
    out[escaped] = escapes
    return out.reshape(-1)[:count]
