#include "sds/format/column.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>

namespace sds {

namespace {

// Elements of 1, 2, 4 and 8 bytes have a native type; 24-bit ones are shuffled but not predicted.
template <class F>
bool with_unsigned(std::size_t width, F&& f) {
  switch (width) {
    case 1:
      f(std::uint8_t{});
      return true;
    case 2:
      f(std::uint16_t{});
      return true;
    case 4:
      f(std::uint32_t{});
      return true;
    case 8:
      f(std::uint64_t{});
      return true;
    default:
      return false;
  }
}

template <class U>
U zigzag(U difference) {
  constexpr int kTop = 8 * sizeof(U) - 1;
  return static_cast<U>(static_cast<U>(difference << 1) ^ static_cast<U>(U{0} - static_cast<U>(difference >> kTop)));
}

template <class U>
U unzigzag(U coded) {
  return static_cast<U>(static_cast<U>(coded >> 1) ^ static_cast<U>(U{0} - static_cast<U>(coded & 1)));
}

template <class U>
void to_residuals(ByteView values, unsigned order, std::byte* out) {
  const std::size_t n = values.size() / sizeof(U);
  U previous = 0;
  U previous_difference = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const U value = load_le<U>(values.data() + i * sizeof(U));
    const U difference = static_cast<U>(value - previous);
    const U residual = order == 2 ? static_cast<U>(difference - previous_difference) : difference;
    store_le<U>(out + i * sizeof(U), zigzag(residual));
    previous = value;
    previous_difference = difference;
  }
}

template <class U>
void from_residuals(std::span<std::byte> values, unsigned order) {
  const std::size_t n = values.size() / sizeof(U);
  U value = 0;
  U difference = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const U residual = unzigzag(load_le<U>(values.data() + i * sizeof(U)));
    difference = order == 2 ? static_cast<U>(difference + residual) : residual;
    value = static_cast<U>(value + difference);
    store_le<U>(values.data() + i * sizeof(U), value);
  }
}

// All first bytes of the elements, then all second bytes, and so on; the remainder of an odd length stays in place.
void shuffle(const std::byte* in, std::size_t bytes, std::size_t width, std::byte* out) {
  const std::size_t n = bytes / width;
  for (std::size_t b = 0; b < width; ++b)
    for (std::size_t i = 0; i < n; ++i) out[b * n + i] = in[i * width + b];
  std::copy(in + n * width, in + bytes, out + n * width);
}

void unshuffle(const std::byte* in, std::size_t bytes, std::size_t width, std::byte* out) {
  const std::size_t n = bytes / width;
  for (std::size_t b = 0; b < width; ++b)
    for (std::size_t i = 0; i < n; ++i) out[i * width + b] = in[b * n + i];
  std::copy(in + n * width, in + bytes, out + n * width);
}

bool is_constant(ByteView values, std::size_t width) {
  return values.size() > width && values.size() % width == 0 &&
         std::equal(values.begin() + static_cast<std::ptrdiff_t>(width), values.end(), values.begin());
}

}  // namespace

struct ColumnCoder::State {
  ZSTD_CCtx* compressor = ZSTD_createCCtx();
  ZSTD_DCtx* decompressor = ZSTD_createDCtx();
  Bytes residuals;
  Bytes shuffled;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    ZSTD_freeCCtx(compressor);
    ZSTD_freeDCtx(decompressor);
  }

  /// Appends the zstd frame of `bytes` to `out`; returns its size.
  std::size_t compress(ByteView bytes, int level, Bytes& out) {
    const std::size_t at = out.size();
    out.resize(at + ZSTD_compressBound(bytes.size()));
    const std::size_t size =
        ZSTD_compressCCtx(compressor, out.data() + at, out.size() - at, bytes.data(), bytes.size(), level);
    const std::size_t kept = ZSTD_isError(size) ? bytes.size() : size;  // an error can only be lack of memory
    out.resize(at + std::min(kept, out.size() - at));
    return kept;
  }
};

ColumnCoder::ColumnCoder() : state_(std::make_unique<State>()) {}
ColumnCoder::~ColumnCoder() = default;
ColumnCoder::ColumnCoder(ColumnCoder&&) noexcept = default;
ColumnCoder& ColumnCoder::operator=(ColumnCoder&&) noexcept = default;

ColumnHeader ColumnCoder::encode(ScalarType type, ByteView values, Level level, Bytes& out) {
  const std::size_t width = size_of(type);
  ColumnHeader header;
  const std::size_t at = out.size();
  if (is_constant(values, width)) {
    header.codec = ColumnCodec::constant;
    append_bytes(out, values.first(width));
  } else if (level != Level::store && values.size() >= 16) {
    ByteView input = values;
    if (!is_float(type) && values.size() % width == 0) {
      state_->residuals.resize(values.size());
      header.order = 1;
      if (with_unsigned(width, [&](auto u) { to_residuals<decltype(u)>(values, 1, state_->residuals.data()); })) {
        header.codec = ColumnCodec::delta_zstd;
        input = state_->residuals;
      }
    }
    if (header.codec == ColumnCodec::raw) {
      header.codec = ColumnCodec::zstd;
      header.order = 0;
    }
    state_->shuffled.resize(values.size());
    shuffle(input.data(), input.size(), width, state_->shuffled.data());
    if (state_->compress(state_->shuffled, level == Level::fast ? 1 : 9, out) >= values.size()) {
      out.resize(at);
      header = ColumnHeader{};
    }
  }
  if (header.codec == ColumnCodec::raw) append_bytes(out, values);
  header.stored_bytes = static_cast<std::uint32_t>(out.size() - at);
  return header;
}

Expected<void> ColumnCoder::decode(const ColumnHeader& header, ScalarType type, ByteView stored,
                                   std::span<std::byte> values) {
  const std::size_t width = size_of(type);
  const auto bad = [](std::string_view why) { return fail(ErrorCode::bad_input, fmt::format("column: {}", why)); };
  switch (header.codec) {
    case ColumnCodec::raw:
      if (stored.size() != values.size()) return bad("raw column of the wrong size");
      std::copy(stored.begin(), stored.end(), values.begin());
      return {};
    case ColumnCodec::constant:
      if (stored.size() != width || values.size() % width != 0) return bad("constant column of the wrong size");
      for (std::size_t i = 0; i < values.size(); i += width)
        std::copy(stored.begin(), stored.end(), values.begin() + static_cast<std::ptrdiff_t>(i));
      return {};
    case ColumnCodec::zstd:
    case ColumnCodec::delta_zstd: {
      state_->shuffled.resize(values.size());
      const std::size_t size = ZSTD_decompressDCtx(state_->decompressor, state_->shuffled.data(),
                                                   state_->shuffled.size(), stored.data(), stored.size());
      if (ZSTD_isError(size) || size != values.size()) return bad("does not decompress");
      unshuffle(state_->shuffled.data(), values.size(), width, values.data());
      if (header.codec == ColumnCodec::zstd) return {};
      if (header.order != 1 && header.order != 2) return bad("unknown delta order");
      if (values.size() % width != 0 ||
          !with_unsigned(width, [&](auto u) { from_residuals<decltype(u)>(values, header.order); }))
        return bad("delta of a type that has none");
      return {};
    }
  }
  return bad(fmt::format("unknown codec {}", static_cast<int>(header.codec)));
}

std::string describe(const ColumnHeader& header) {
  switch (header.codec) {
    case ColumnCodec::raw:
      return "raw";
    case ColumnCodec::constant:
      return "constant";
    case ColumnCodec::zstd:
      return "shuffle, zstd";
    case ColumnCodec::delta_zstd:
      return header.order == 2 ? "delta 2, shuffle, zstd" : "delta, shuffle, zstd";
  }
  return "unknown";
}

}  // namespace sds
