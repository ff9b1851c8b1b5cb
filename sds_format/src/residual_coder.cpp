#include "residual_coder.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "zstd_context.hpp"

namespace sds {

namespace {

using kernels::miniblock;

constexpr int kClasses = 40;
constexpr std::uint32_t kSmallClass = 256;  // miniblocks: fewer are not worth a code of their own

// Two classes an octave of the mean. Classes of one k differ only in their statistics.
int class_of(std::uint32_t sum) {
  const std::uint32_t m = sum + 16;
  const int exponent = std::max(4, static_cast<int>(std::bit_width(m)) - 1);  // m is at least 16
  const int half = static_cast<int>(m >> (exponent - 1)) & 1;
  return exponent < 5 ? 0 : 2 * (exponent - 5) + half + 1;
}

// Low bits that are packed instead of Huffman-coded: what is left has a mean of 8 to 16.
int low_bits_of(int c) {
  const int exponent = c == 0 ? 4 : (c - 1) / 2 + 5;
  return std::max(0, exponent - 10);
}

}  // namespace

struct ResidualCoder::Contexts {
  ZstdCompressor compressor = make_zstd_compressor();
  ZstdDecompressor decompressor = make_zstd_decompressor();
  Contexts() {
    // Huffman coding only: matches are hardly looked for, literals are always coded. The small hash table keeps the
    // start of a stream cheap.
    ZSTD_CCtx_setParameter(compressor.get(), ZSTD_c_compressionLevel, -50);
    ZSTD_CCtx_setParameter(compressor.get(), ZSTD_c_experimentalParam5, 1);  // literal compression: enabled
    ZSTD_CCtx_setParameter(compressor.get(), ZSTD_c_windowLog, 17);
    ZSTD_CCtx_setParameter(compressor.get(), ZSTD_c_hashLog, 6);
    ZSTD_CCtx_setParameter(compressor.get(), ZSTD_c_contentSizeFlag, 0);
  }
};

ResidualCoder::ResidualCoder(const kernels::Table& kernels)
    : kernels_(kernels), contexts_(std::make_unique<Contexts>()) {}
ResidualCoder::~ResidualCoder() = default;

// u32 stored size, then the zstd frame, or the symbols themselves where the size says that they did not shrink.
void ResidualCoder::append_stream(ByteView symbols, Bytes& out) {
  const std::size_t bound = ZSTD_compressBound(symbols.size());
  if (frame_.size() < bound) frame_.resize(bound);
  const std::size_t size =
      ZSTD_compress2(contexts_->compressor.get(), frame_.data(), frame_.size(), symbols.data(), symbols.size());
  const bool shrunk = !ZSTD_isError(size) && size < symbols.size();
  const ByteView stored = shrunk ? ByteView(frame_).first(size) : symbols;
  append_le(out, static_cast<std::uint32_t>(stored.size()));
  append_bytes(out, stored);
}

bool ResidualCoder::read_stream(ByteReader& in, std::span<std::byte> symbols) {
  const auto size = in.number<std::uint32_t>();
  const auto stored = size ? in.take(*size) : std::nullopt;
  if (!stored) return false;
  if (stored->size() == symbols.size()) {
    std::copy(stored->begin(), stored->end(), symbols.begin());
    return true;
  }
  const std::size_t got = ZSTD_decompressDCtx(contexts_->decompressor.get(), symbols.data(), symbols.size(),
                                              stored->data(), stored->size());
  return is_decompressed(got) && got == symbols.size();
}

void ResidualCoder::encode(const std::uint16_t* z, std::size_t n, Bytes& out) {
  const std::size_t blocks = (n + miniblock - 1) / miniblock;
  sums_.resize(blocks);
  classes_.resize(blocks);
  symbols_.resize(blocks * miniblock);
  kernels_.sum_miniblocks(z, blocks, sums_.data());
  std::array<std::uint32_t, kClasses> count{};
  for (std::size_t b = 0; b < blocks; ++b) {
    classes_[b] = static_cast<std::uint8_t>(class_of(sums_[b]));
    ++count[classes_[b]];
  }
  // A small class joins its neighbour below if that packs as many bits.
  std::array<std::uint8_t, kClasses> joined{};
  int last = -1;
  for (int c = 0; c < kClasses; ++c) {
    const auto i = static_cast<std::size_t>(c);
    joined[i] = static_cast<std::uint8_t>(c);
    if (count[i] == 0) continue;
    const auto l = static_cast<std::size_t>(std::max(last, 0));
    if (last >= 0 && low_bits_of(last) == low_bits_of(c) && (count[i] < kSmallClass || count[l] < kSmallClass)) {
      joined[i] = static_cast<std::uint8_t>(last);
      count[l] += count[i];
      count[i] = 0;
    } else {
      last = c;
    }
  }
  std::array<std::size_t, kClasses> next{};
  std::size_t at = 0;
  for (std::size_t c = 0; c < kClasses; ++c) {
    next[c] = at;
    at += count[c] * miniblock;
  }
  escaped_.clear();
  if (low_.size() < blocks * miniblock * 2) low_.resize(blocks * miniblock * 2);
  std::size_t low_bytes = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint16_t* block = z + b * miniblock;
    classes_[b] = joined[classes_[b]];
    std::uint8_t* high = symbols_.data() + next[classes_[b]];
    next[classes_[b]] += miniblock;
    const int k = low_bits_of(classes_[b]);
    if (kernels_.take_high(block, k, high))
      for (std::size_t i = 0; i < miniblock; ++i)
        if (high[i] == 255) escaped_.push_back(block[i]);
    kernels_.pack_low(block, k, reinterpret_cast<std::uint8_t*>(low_.data() + low_bytes));
    low_bytes += 16 * static_cast<std::size_t>(k);
  }
  append_le(out, static_cast<std::uint32_t>(escaped_.size()));
  append_bytes(out, std::as_bytes(std::span(escaped_)));
  append_le(out, static_cast<std::uint32_t>(low_bytes));
  append_bytes(out, ByteView(low_).first(low_bytes));
  append_stream(std::as_bytes(std::span(classes_)), out);
  at = 0;
  for (std::size_t c = 0; c < kClasses; ++c) {
    if (count[c] == 0) continue;
    append_stream(std::as_bytes(std::span(symbols_)).subspan(at, count[c] * miniblock), out);
    at += count[c] * miniblock;
  }
}

Expected<void> ResidualCoder::decode(ByteView in, std::size_t n, std::uint16_t* z) {
  const auto bad = [] { return fail(ErrorCode::bad_input, "column: malformed residuals"); };
  const std::size_t blocks = (n + miniblock - 1) / miniblock;
  ByteReader reader(in);
  const auto escaped_count = reader.number<std::uint32_t>();
  if (!escaped_count || *escaped_count > reader.left() / 2) return bad();
  const ByteView escaped = *reader.take(std::size_t{2} * *escaped_count);
  const auto low_bytes = reader.number<std::uint32_t>();
  const auto low = low_bytes ? reader.take(*low_bytes) : std::nullopt;
  if (!low) return bad();
  classes_.resize(blocks);
  if (!read_stream(reader, std::as_writable_bytes(std::span(classes_)))) return bad();
  std::array<std::size_t, kClasses> count{};
  std::size_t low_expected = 0;
  for (const std::uint8_t c : classes_) {
    if (c >= kClasses) return bad();
    ++count[c];
    low_expected += 16 * static_cast<std::size_t>(low_bits_of(c));
  }
  if (low_expected != low->size()) return bad();
  symbols_.resize(blocks * miniblock);
  std::array<std::size_t, kClasses> next{};
  std::size_t at = 0;
  for (std::size_t c = 0; c < kClasses; ++c) {
    next[c] = at;
    if (count[c] == 0) continue;
    const std::size_t size = count[c] * miniblock;
    if (!read_stream(reader, std::as_writable_bytes(std::span(symbols_)).subspan(at, size))) return bad();
    at += size;
  }
  if (reader.left() != 0) return bad();
  const auto* packed = reinterpret_cast<const std::uint8_t*>(low->data());
  std::size_t escapes_used = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    const int k = low_bits_of(classes_[b]);
    const std::uint8_t* high = symbols_.data() + next[classes_[b]];
    next[classes_[b]] += miniblock;
    std::uint16_t* block = z + b * miniblock;
    const bool any = kernels_.join(high, packed, k, block);
    packed += std::ptrdiff_t{16} * k;
    if (!any) continue;
    for (std::size_t i = 0; i < miniblock; ++i) {
      if (high[i] != 255) continue;
      if (escapes_used == *escaped_count) return bad();
      block[i] = load_le<std::uint16_t>(escaped.data() + 2 * escapes_used++);
    }
  }
  if (escapes_used != *escaped_count) return bad();
  return {};
}

}  // namespace sds
