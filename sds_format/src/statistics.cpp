#include "sds/format/statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels.hpp"

namespace sds {

namespace {

template <class T>
ColumnStatistics of_integers(ByteView values) {
  ColumnStatistics s;
  const std::size_t n = values.size() / sizeof(T);
  if (n == 0) return s;
  T low = std::numeric_limits<T>::max();
  T high = std::numeric_limits<T>::lowest();
  // Exact for all but 64-bit types: a section has fewer than 2^26 values.
  using Sum = std::conditional_t<sizeof(T) == 8, double, std::int64_t>;
  Sum sum = 0;
  if constexpr (sizeof(T) <= 2) {
    // Short sums fit 32 bits, which the compiler does eight at a time.
    for (std::size_t begin = 0; begin < n; begin += 32768) {
      std::int32_t part = 0;
      for (std::size_t i = begin; i < std::min(n, begin + 32768); ++i) {
        const T value = load_le<T>(values.data() + i * sizeof(T));
        low = value < low ? value : low;
        high = value > high ? value : high;
        part += value;
      }
      sum += part;
    }
  } else {
    for (std::size_t i = 0; i < n; ++i) {
      const T value = load_le<T>(values.data() + i * sizeof(T));
      low = std::min(low, value);
      high = std::max(high, value);
      sum += static_cast<Sum>(value);
    }
  }
  s.count = n;
  s.min = static_cast<double>(low);
  s.max = static_cast<double>(high);
  s.sum = static_cast<double>(sum);
  return s;
}

template <class T>
ColumnStatistics of_floats(ByteView values) {
  // Eight interleaved partial results, combined in order: fast, and the same everywhere.
  constexpr std::size_t kLanes = 8;
  std::array<T, kLanes> low;
  std::array<T, kLanes> high;
  std::array<double, kLanes> sum{};
  std::array<std::uint32_t, kLanes> nans{};
  low.fill(std::numeric_limits<T>::infinity());
  high.fill(-std::numeric_limits<T>::infinity());
  const std::size_t n = values.size() / sizeof(T);
  const auto take = [&](std::size_t lane, T value) {
    const bool ok = !std::isnan(value);
    low[lane] = value < low[lane] ? value : low[lane];
    high[lane] = value > high[lane] ? value : high[lane];
    sum[lane] += ok ? static_cast<double>(value) : 0.0;
    nans[lane] += ok ? 0 : 1;
  };
  std::size_t i = 0;
  if constexpr (sizeof(T) == 4) {
    i = n / kLanes * kLanes;
    kernels::best().statistics_f32(reinterpret_cast<const float*>(values.data()), i, low.data(), high.data(),
                                   sum.data(), nans.data());
  }
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) take(lane, load_le<T>(values.data() + (i + lane) * sizeof(T)));
  for (; i < n; ++i) take(i % kLanes, load_le<T>(values.data() + i * sizeof(T)));
  ColumnStatistics s;
  for (std::size_t lane = 0; lane < kLanes; ++lane) s.nan_count += nans[lane];
  s.count = n - s.nan_count;
  if (s.count == 0) return s;
  s.min = static_cast<double>(*std::min_element(low.begin(), low.end()));
  s.max = static_cast<double>(*std::max_element(high.begin(), high.end()));
  for (std::size_t lane = 0; lane < kLanes; ++lane) s.sum += sum[lane];
  return s;
}

template <bool Signed>
ColumnStatistics of_24_bits(ByteView values) {
  Bytes wide(values.size() / 3 * 4);
  for (std::size_t i = 0; i < values.size() / 3; ++i) {
    const auto b = [&](std::size_t k) { return std::uint32_t{static_cast<std::uint8_t>(values[3 * i + k])}; };
    const std::uint32_t raw = b(0) | b(1) << 8 | b(2) << 16;
    store_le(wide.data() + 4 * i, Signed ? static_cast<std::int32_t>(raw << 8) >> 8 : static_cast<std::int32_t>(raw));
  }
  return of_integers<std::int32_t>(wide);
}

}  // namespace

void ColumnStatistics::encode(Bytes& out) const {
  append_le(out, count);
  append_le(out, nan_count);
  append_le(out, min);
  append_le(out, max);
  append_le(out, sum);
}

ColumnStatistics ColumnStatistics::decode(const std::byte* p) {
  return {load_le<std::uint64_t>(p), load_le<std::uint64_t>(p + 8), load_le<double>(p + 16), load_le<double>(p + 24),
          load_le<double>(p + 32)};
}

ColumnStatistics statistics_of(ScalarType type, ByteView values) {
  switch (type) {
    case ScalarType::u8:
      return of_integers<std::uint8_t>(values);
    case ScalarType::i8:
      return of_integers<std::int8_t>(values);
    case ScalarType::u16:
      return of_integers<std::uint16_t>(values);
    case ScalarType::i16:
      return of_integers<std::int16_t>(values);
    case ScalarType::u24:
      return of_24_bits<false>(values);
    case ScalarType::i24:
      return of_24_bits<true>(values);
    case ScalarType::u32:
      return of_integers<std::uint32_t>(values);
    case ScalarType::i32:
      return of_integers<std::int32_t>(values);
    case ScalarType::u64:
      return of_integers<std::uint64_t>(values);
    case ScalarType::i64:
      return of_integers<std::int64_t>(values);
    case ScalarType::f32:
      return of_floats<float>(values);
    case ScalarType::f64:
      return of_floats<double>(values);
  }
  return {};
}

}  // namespace sds
