#include "value_text.hpp"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "sds/format/bytes.hpp"
#include "sds/format/exact_value.hpp"

namespace sds {

namespace {

template <class T>
char* write_shortest(char* out, T value) {
  if (std::isnan(value)) return std::copy_n("nan", 3, out);
  return std::to_chars(out, out + max_number_chars, value).ptr;
}

}  // namespace

char* write_number(char* out, double value) { return write_shortest(out, value); }
char* write_number(char* out, float value) { return write_shortest(out, value); }

std::string value_text(const ExactNumber& value, bool whole, int digits) {
  if (whole) return std::isnan(value.rounded()) ? "?" : value.digits();
  // What is not a number has a sign that says nothing.
  const double number = value.rounded();
  return fmt::format("{:.{}g}", std::isnan(number) ? std::abs(number) : number, digits);
}

TextCaches::Cache* TextCaches::of(const Channel& channel) {
  if (channel.bits != 0 || size_of(channel.type) > 2) return nullptr;
  const auto key = std::make_tuple(channel.type, std::bit_cast<std::uint64_t>(channel.scale),
                                   std::bit_cast<std::uint64_t>(channel.offset));
  const auto found = caches_.find(key);
  if (found != caches_.end()) return &found->second;
  if (caches_.size() >= max_caches) return nullptr;
  Cache& cache = caches_[key];
  cache.values = std::size_t{1} << (8 * size_of(channel.type));
  return &cache;
}

ChannelText::ChannelText(const Channel& channel, TextCaches& caches)
    : channel_(channel), whole_(channel.is_raw() && !is_float(channel.type)), cache_(caches.of(channel)) {}

char* ChannelText::write(char* out, const std::byte* sample, std::size_t index) {
  return cache_ == nullptr ? write_slow(out, sample, index) : write_small(out, sample, index);
}

char* ChannelText::write_small(char* out, const std::byte* sample, std::size_t index) {
  constexpr std::size_t kValuesPerAsking = 16;
  if (cache_->texts.empty()) {
    if (++cache_->asked < cache_->values / kValuesPerAsking) return write_slow(out, sample, index);
    cache_->texts.resize(cache_->values);
  }
  const std::byte* p = sample + channel_.byte_offset + index * size_of(channel_.type);
  const std::size_t key = size_of(channel_.type) == 1 ? load_le<std::uint8_t>(p) : load_le<std::uint16_t>(p);
  TextCaches::Text& cached = cache_->texts[key];
  if (cached.length == 0) {
    std::array<char, max_number_chars> text;
    const auto length = static_cast<std::size_t>(write_slow(text.data(), sample, index) - text.data());
    if (length > cached.text.size()) return std::copy_n(text.data(), length, out);
    std::memcpy(cached.text.data(), text.data(), length);
    cached.length = static_cast<std::uint8_t>(length);
  }
  std::memcpy(out, cached.text.data(), cached.text.size());  // more than needed, but of a fixed size
  return out + cached.length;
}

char* ChannelText::write_slow(char* out, const std::byte* sample, std::size_t index) const {
  const std::byte* p = sample + channel_.byte_offset + index * size_of(channel_.type);
  if (channel_.type == ScalarType::f32 && channel_.is_raw()) return write_number(out, load_le<float>(p));
  if (whole_ && channel_.bits == 0) {
    // 64-bit integers do not all fit a double.
    if (channel_.type == ScalarType::u64)
      return std::to_chars(out, out + max_number_chars, load_le<std::uint64_t>(p)).ptr;
    if (channel_.type == ScalarType::i64)
      return std::to_chars(out, out + max_number_chars, load_le<std::int64_t>(p)).ptr;
  }
  if (whole_ && is_wide(channel_)) {
    const std::string digits = exact_value(channel_, sample, index).digits();
    return std::copy(digits.begin(), digits.end(), out);
  }
  const double raw = raw_value(channel_, sample, index);
  if (whole_) return std::to_chars(out, out + max_number_chars, static_cast<std::int64_t>(raw)).ptr;
  return write_number(out, channel_.is_raw() ? raw : raw * channel_.scale + channel_.offset);
}

}  // namespace sds
