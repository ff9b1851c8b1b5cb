#include "sds/format/column.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "integer_form.hpp"
#include "kernels.hpp"
#include "linear_predictor.hpp"
#include "residual_coder.hpp"
#include "zstd_context.hpp"

namespace sds {

namespace {

// Columns shorter than this are stored as they are, unless they are constant.
constexpr std::size_t kMinBytes = 32;
// Choices are made on this many values from the middle of a column.
constexpr std::size_t kSampleValues = 2048;

// Calls f with an unsigned value of the width; 24-bit elements have no such type.
template <class F>
bool with_unsigned(std::size_t width, F&& f) {
  switch (width) {
    case 1:
      return f(std::uint8_t{});
    case 2:
      return f(std::uint16_t{});
    case 4:
      return f(std::uint32_t{});
    case 8:
      return f(std::uint64_t{});
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
void to_differences(ByteView values, std::byte* out) {
  U previous = 0;
  for (std::size_t i = 0; i < values.size() / sizeof(U); ++i) {
    const U value = load_le<U>(values.data() + i * sizeof(U));
    store_le<U>(out + i * sizeof(U), zigzag(static_cast<U>(value - previous)));
    previous = value;
  }
}

template <class U>
void from_differences(std::span<std::byte> values) {
  U value = 0;
  for (std::size_t i = 0; i < values.size() / sizeof(U); ++i) {
    value = static_cast<U>(value + unzigzag(load_le<U>(values.data() + i * sizeof(U))));
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
  return values.size() > width && std::memcmp(values.data(), values.data() + width, values.size() - width) == 0;
}

template <class U>
bool is_ramp(ByteView values) {
  const std::size_t n = values.size() / sizeof(U);
  if (n < 3) return false;
  const auto at = [&](std::size_t i) { return load_le<U>(values.data() + i * sizeof(U)); };
  const U step = static_cast<U>(at(1) - at(0));
  for (std::size_t i = 2; i < n; ++i)
    if (static_cast<U>(at(i) - at(i - 1)) != step) return false;
  return true;
}

std::size_t padded(std::size_t n) { return (n + kernels::miniblock - 1) / kernels::miniblock * kernels::miniblock; }

}  // namespace

struct ColumnCoder::State {
  const kernels::Table& kernels;
  ZstdCompressor compressor = make_zstd_compressor();
  ZstdDecompressor decompressor = make_zstd_decompressor();
  ResidualCoder residual_coder;
  IntegerConverter converter;
  LinearPredictor linear;
  Bytes differences;
  Bytes shuffled;
  Bytes trial;
  Bytes parameters;
  std::vector<std::int16_t> integers;
  std::vector<std::uint16_t> residuals;
  std::vector<std::uint16_t> other_residuals;
  std::vector<std::uint32_t> sums;

  explicit State(const kernels::Table& table)
      : kernels(table), residual_coder(table), converter(table), linear(table) {}

  /// Appends the zstd frame of `bytes` to `out`; returns its size.
  std::size_t compress(ByteView bytes, int level, Bytes& out) {
    const std::size_t at = out.size();
    out.resize(at + ZSTD_compressBound(bytes.size()));
    const std::size_t size =
        ZSTD_compressCCtx(compressor.get(), out.data() + at, out.size() - at, bytes.data(), bytes.size(), level);
    const std::size_t kept = ZSTD_isError(size) ? bytes.size() : size;  // an error can only be lack of memory
    out.resize(at + std::min(kept, out.size() - at));
    return kept;
  }

  /// Byte shuffle and zstd, of the values themselves or of their differences.
  ColumnHeader encode_general(ScalarType type, ByteView values, Level level, Bytes& out) {
    const std::size_t width = size_of(type);
    ColumnHeader header;
    header.codec = ColumnCodec::zstd;
    ByteView input = values;
    differences.resize(values.size());
    const bool delta = !is_float(type) && with_unsigned(width, [&](auto u) {
      to_differences<decltype(u)>(values, differences.data());
      return true;
    });
    if (delta) {
      header.codec = ColumnCodec::delta_zstd;
      input = differences;
    }
    shuffled.resize(values.size());
    shuffle(input.data(), input.size(), width, shuffled.data());
    compress(shuffled, level == Level::dense ? 9 : 1, out);
    return header;
  }

  /// What the class coder will make of the residuals, in units of a quarter of a bit for each value of a
  /// miniblock.
  std::uint64_t cost(const std::vector<std::uint16_t>& z, std::size_t n) {
    const std::size_t blocks = padded(n) / kernels::miniblock;
    sums.resize(blocks);
    kernels.sum_miniblocks(z.data(), blocks, sums.data());
    std::uint64_t total = 0;
    for (const std::uint32_t sum : sums) {
      const std::uint32_t m = sum + 16;
      const int exponent = std::max(4, static_cast<int>(std::bit_width(m)) - 1);  // m is at least 16
      total += static_cast<unsigned>(4 * exponent) + ((m >> static_cast<unsigned>(exponent - 2)) & 3);
    }
    return total;
  }

  struct Choice {
    Predictor predictor = Predictor::delta;
    double bits = 0;  ///< for a value, roughly
  };

  /// By what it costs on eight stretches of the column.
  Choice choose_difference(std::size_t n) {
    constexpr std::size_t kStretch = 2 * kernels::miniblock;
    const std::size_t stretches = std::clamp<std::size_t>(n / kStretch, 1, 8);
    std::uint64_t best = UINT64_MAX;
    Choice choice;
    for (const Predictor p : {Predictor::delta, Predictor::slope, Predictor::none}) {
      std::uint64_t total = 0;
      std::size_t blocks = 0;
      for (std::size_t s = 0; s < stretches; ++s) {
        const std::size_t begin = n / stretches * s;
        const std::size_t count = std::min(kStretch, n - begin);
        other_residuals.assign(padded(count), 0);
        kernels.difference(integers.data() + begin, count, static_cast<int>(p), other_residuals.data());
        // The first values have nothing before them here, but do in the column.
        std::fill_n(other_residuals.begin(), std::min<std::size_t>(2, count), std::uint16_t{0});
        total += cost(other_residuals, count);
        blocks += padded(count) / kernels::miniblock;
      }
      if (total >= best) continue;
      best = total;
      // A geometric distribution of mean m has an entropy of about log2(m) + 1.4 bits; a miniblock sums up 2^7 values.
      choice = {p, static_cast<double>(total) / (4.0 * static_cast<double>(blocks)) - 7 + 1.4};
    }
    return choice;
  }

  /// The column in `integers`, coded by `predictor` into `residuals` (and `parameters`).
  void predict(std::size_t n, Predictor predictor, int max_order = 0) {
    residuals.resize(padded(n));
    std::fill(residuals.begin() + static_cast<std::ptrdiff_t>(n), residuals.end(), std::uint16_t{0});
    parameters.clear();
    if (predictor == Predictor::linear) {
      linear.encode(integers.data(), n, max_order, residuals.data(), parameters);
    } else {
      kernels.difference(integers.data(), n, static_cast<int>(predictor), residuals.data());
    }
  }

  /// Leaves the residuals of linear prediction in place if they cost less than those of `predictor`, else those.
  void choose_by_cost(std::size_t n, Predictor& predictor) {
    constexpr std::uint64_t kBitsOfCost = kernels::miniblock / 4;  // a quarter of a bit for each value of a miniblock
    predict(n, predictor);
    const std::uint64_t simple = cost(residuals, n) * kBitsOfCost;
    std::swap(residuals, other_residuals);
    (void)linear.estimate_bits(integers.data(), n, kernels::max_order);
    predict(n, Predictor::linear, kernels::max_order);
    if (cost(residuals, n) * kBitsOfCost + 8 * parameters.size() < simple) {
      predictor = Predictor::linear;
    } else {
      std::swap(residuals, other_residuals);
      parameters.clear();
    }
  }

  /// False if the column has no integer form, or is better off with the general codec. Appends nothing if the column is
  /// best stored as it is.
  bool encode_residuals(ScalarType type, ByteView values, Level level, ColumnHeader& header, Bytes& out) {
    const std::size_t n = values.size() / size_of(type);
    IntegerForm form;
    integers.resize(padded(n));
    if (!converter.to_integers(type, values, form, integers.data())) return false;
    const Choice choice = choose_difference(n);
    if (is_noise(type, n, choice.bits)) return true;  // raw, which is what `header` says so far
    if (prefers_general(type, values, choice.bits)) return false;
    header.codec = ColumnCodec::residuals;
    header.quantised = form.quantum != 0;
    header.predictor = choice.predictor;
    const bool long_enough = n >= LinearPredictor::min_values;
    if (level == Level::dense && long_enough) {
      choose_by_cost(n, header.predictor);
    } else {
      // Linear prediction costs about half the speed: the fast level takes it only where little else helps, and it
      // much.
      constexpr int kFastOrder = 8;
      if (long_enough && choice.bits > 8 && linear.estimate_bits(integers.data(), n, kFastOrder) < choice.bits - 0.5)
        header.predictor = Predictor::linear;
      predict(n, header.predictor, kFastOrder);
    }
    form.encode(out);
    append_le(out, static_cast<std::uint32_t>(parameters.size()));
    append_bytes(out, parameters);
    residual_coder.encode(residuals.data(), n, out);
    return true;
  }

  /// True if no predictor saves anything: the values fill their type evenly.
  bool is_noise(ScalarType type, std::size_t n, double predicted_bits) {
    const auto width_bits = static_cast<double>(8 * size_of(type));
    if (predicted_bits <= width_bits) return false;
    return n < LinearPredictor::min_values ||
           linear.estimate_bits(integers.data(), n, kernels::max_order) > width_bits - 0.25;
  }

  /// True if matches, which only zstd finds, clearly beat prediction: few distinct values, long runs, repeated
  /// patterns.
  bool prefers_general(ScalarType type, ByteView values, double predicted_bits) {
    // Residuals of several bits have no matches worth the search, in real data.
    if (predicted_bits > 4) return false;
    const std::size_t width = size_of(type);
    const std::size_t n = values.size() / width;
    const std::size_t count = std::min(n, kSampleValues);
    trial.clear();
    encode_general(type, values.subspan((n - count) / 2 * width, count * width), Level::fast, trial);
    return 8.0 * static_cast<double>(trial.size()) < 0.75 * std::max(predicted_bits, 0.2) * static_cast<double>(count);
  }

  Expected<void> decode_residuals(const ColumnHeader& header, ScalarType type, ByteView stored,
                                  std::span<std::byte> values) {
    const auto bad = [] { return fail(ErrorCode::bad_input, "column: malformed residuals"); };
    const std::size_t n = values.size() / size_of(type);
    ByteReader reader(stored);
    auto form = IntegerForm::decode(reader, type, n);
    if (!form) return fail(form);
    const auto parameter_bytes = reader.number<std::uint32_t>();
    const auto parameter_view = parameter_bytes ? reader.take(*parameter_bytes) : std::nullopt;
    if (!parameter_view) return bad();
    residuals.resize(padded(n));
    integers.resize(padded(n));
    if (auto done = residual_coder.decode(*reader.take(reader.left()), n, residuals.data()); !done) return done;
    if (header.predictor == Predictor::linear) {
      ByteReader parameter_reader(*parameter_view);
      if (auto done = linear.decode(parameter_reader, residuals.data(), n, integers.data()); !done) return done;
      if (parameter_reader.left() != 0) return bad();
    } else {
      if (header.predictor > Predictor::linear || !parameter_view->empty()) return bad();
      kernels.integrate(residuals.data(), n, static_cast<int>(header.predictor), integers.data());
    }
    converter.from_integers(type, *form, integers.data(), values);
    return {};
  }
};

ColumnCoder::ColumnCoder() : ColumnCoder(kernels::best()) {}
ColumnCoder::ColumnCoder(const kernels::Table& kernels) : state_(std::make_unique<State>(kernels)) {}
ColumnCoder::~ColumnCoder() = default;
ColumnCoder::ColumnCoder(ColumnCoder&&) noexcept = default;
ColumnCoder& ColumnCoder::operator=(ColumnCoder&&) noexcept = default;

ColumnHeader ColumnCoder::encode(ScalarType type, ByteView values, Level level, Bytes& out) {
  const std::size_t width = size_of(type);
  ColumnHeader header;
  const std::size_t at = out.size();
  if (values.size() % width == 0 && is_constant(values, width)) {
    header.codec = ColumnCodec::constant;
    append_bytes(out, values.first(width));
  } else if (level != Level::store && values.size() >= kMinBytes && values.size() % width == 0) {
    if (!is_float(type) && with_unsigned(width, [&](auto u) { return is_ramp<decltype(u)>(values); })) {
      header.codec = ColumnCodec::ramp;
      append_bytes(out, values.first(2 * width));
    } else if (!state_->encode_residuals(type, values, level, header, out)) {
      header = state_->encode_general(type, values, level, out);
    }
    if (out.size() - at >= values.size()) {
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
  if (values.size() % width != 0 && header.codec != ColumnCodec::raw) return bad("a fraction of a value");
  switch (header.codec) {
    case ColumnCodec::raw:
      if (stored.size() != values.size()) return bad("raw column of the wrong size");
      std::copy(stored.begin(), stored.end(), values.begin());
      return {};
    case ColumnCodec::constant:
      if (stored.size() != width) return bad("constant column of the wrong size");
      if (!with_unsigned(width, [&](auto u) {
            using U = decltype(u);
            const U value = load_le<U>(stored.data());
            for (std::size_t i = 0; i < values.size(); i += sizeof(U)) store_le<U>(values.data() + i, value);
            return true;
          }))
        for (std::size_t i = 0; i < values.size(); i += width) std::memcpy(values.data() + i, stored.data(), width);
      return {};
    case ColumnCodec::ramp: {
      const bool done = stored.size() == 2 * width && with_unsigned(width, [&](auto u) {
                          using U = decltype(u);
                          U value = load_le<U>(stored.data());
                          const U step = static_cast<U>(load_le<U>(stored.data() + width) - value);
                          for (std::size_t i = 0; i < values.size(); i += width, value = static_cast<U>(value + step))
                            store_le<U>(values.data() + i, value);
                          return true;
                        });
      return done ? Expected<void>{} : bad("malformed ramp");
    }
    case ColumnCodec::zstd:
    case ColumnCodec::delta_zstd: {
      state_->shuffled.resize(values.size());
      const std::size_t size = ZSTD_decompressDCtx(state_->decompressor.get(), state_->shuffled.data(),
                                                   state_->shuffled.size(), stored.data(), stored.size());
      if (!is_decompressed(size) || size != values.size()) return bad("does not decompress");
      unshuffle(state_->shuffled.data(), values.size(), width, values.data());
      if (header.codec == ColumnCodec::zstd) return {};
      const bool done = with_unsigned(width, [&](auto u) {
        from_differences<decltype(u)>(values);
        return true;
      });
      return done ? Expected<void>{} : bad("differences of a type that has none");
    }
    case ColumnCodec::residuals:
      return state_->decode_residuals(header, type, stored, values);
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
      return "delta, shuffle, zstd";
    case ColumnCodec::ramp:
      return "ramp";
    case ColumnCodec::residuals: {
      constexpr const char* kNames[] = {"classes", "delta, classes", "slope, classes", "LPC, classes"};
      const auto p = static_cast<std::size_t>(header.predictor);
      return std::string(header.quantised ? "quantum, " : "") + (p < std::size(kNames) ? kNames[p] : "unknown");
    }
  }
  return "unknown";
}

}  // namespace sds
