#include "integer_form.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace sds {

namespace {

constexpr std::uint64_t kRange = 65535;

template <class T>
void load_wide(ByteView values, std::vector<std::int64_t>& wide) {
  wide.resize(values.size() / sizeof(T));
  for (std::size_t i = 0; i < wide.size(); ++i)
    wide[i] = static_cast<std::int64_t>(load_le<T>(values.data() + i * sizeof(T)));
}

void load_24(ByteView values, bool is_signed, std::vector<std::int64_t>& wide) {
  wide.resize(values.size() / 3);
  for (std::size_t i = 0; i < wide.size(); ++i) {
    const auto b = [&](std::size_t k) { return std::uint32_t{static_cast<std::uint8_t>(values[3 * i + k])}; };
    const std::uint32_t raw = b(0) | b(1) << 8 | b(2) << 16;
    wide[i] = is_signed ? static_cast<std::int32_t>(raw << 8) >> 8 : static_cast<std::int64_t>(raw);
  }
}

template <class T>
void store_wide(const std::int64_t* wide, std::span<std::byte> values) {
  for (std::size_t i = 0; i < values.size() / sizeof(T); ++i)
    store_le(values.data() + i * sizeof(T), static_cast<T>(wide[i]));
}

std::int64_t wrapping_sub(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

std::int64_t wrapping_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

// Integers of a range below 2^16, or with steps of one.
bool fit_wide(const std::vector<std::int64_t>& wide, IntegerForm& form, std::int16_t* y) {
  if (wide.empty()) return false;
  const auto fit = [&](auto&& at, std::size_t begin) {
    std::int64_t low = std::numeric_limits<std::int64_t>::max();
    std::int64_t high = std::numeric_limits<std::int64_t>::min();
    for (std::size_t i = begin; i < wide.size(); ++i) {
      low = std::min(low, at(i));
      high = std::max(high, at(i));
    }
    if (begin >= wide.size() || static_cast<std::uint64_t>(wrapping_sub(high, low)) > kRange) return false;
    form.base = wrapping_add(low, (wrapping_sub(high, low) + 1) / 2);
    for (std::size_t i = begin; i < wide.size(); ++i) y[i] = static_cast<std::int16_t>(wrapping_sub(at(i), form.base));
    return true;
  };
  form.steps = false;
  if (fit([&](std::size_t i) { return wide[i]; }, 0)) return true;
  form.steps = true;
  form.first = wide[0];
  y[0] = 0;
  return fit([&](std::size_t i) { return wrapping_sub(wide[i], wide[i - 1]); }, 1);
}

// To the nearest integer, without a call: exact for what is compared with kLimit.
constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52
constexpr double kLimit = 1073741824.0;
double nearest(double x) { return (x + kMagic) - kMagic; }

bool matches(double x, double quantum, double inverse, bool single_precision, double& k) {
  k = nearest(x * inverse);
  if (!(std::abs(k) < kLimit)) return false;
  const double back = k * quantum;
  return single_precision ? static_cast<float>(back) == static_cast<float>(x) : back == x;
}

// The estimate from the sample's smallest step, made exact by least squares over ever larger values.
double refine(double quantum, const std::vector<double>& by_size) {
  for (std::size_t n = 16;; n *= 4) {
    n = std::min(n, by_size.size());
    double xk = 0;
    double kk = 0;
    const double inverse = 1 / quantum;
    for (std::size_t i = 0; i < n; ++i) {
      const double k = nearest(by_size[i] * inverse);
      xk += by_size[i] * k;
      kk += k * k;
    }
    if (kk > 0) quantum = xk / kk;
    if (n == by_size.size()) return quantum;
  }
}

void add_nice_values_near(double q, std::vector<double>& candidates) {
  if (!(q > 0) || !std::isfinite(q)) return;
  candidates.push_back(q);
  candidates.push_back(static_cast<double>(static_cast<float>(q)));
  for (int digits = 1; digits <= 9; ++digits) {
    std::array<char, 32> text;
    const auto written =
        std::to_chars(text.data(), text.data() + text.size(), q, std::chars_format::scientific, digits - 1);
    double rounded = 0;
    std::from_chars(text.data(), written.ptr, rounded);
    candidates.push_back(rounded);
  }
  const double inverse = std::nearbyint(1 / q);
  if (inverse >= 1) candidates.push_back(1 / inverse);
  // Fractions of powers of two, as converters have them; in units of standard gravity and of degrees, too.
  for (const double unit : {1.0, 9.80665, 9.81, 0.017453292519943295}) {
    for (int shift = 0; shift <= 24; ++shift) {
      const double part = std::nearbyint(std::ldexp(q / unit, shift));
      if (part >= 1 && part < 1e6 && std::abs(std::ldexp(part, -shift) * unit - q) < 1e-5 * q) {
        candidates.push_back(std::ldexp(part, -shift) * unit);
        break;
      }
    }
  }
}

}  // namespace

double find_quantum(std::span<const double> sample, bool single_precision) {
  std::vector<double> finite;
  for (const double x : sample)
    if (std::isfinite(x)) finite.push_back(x);
  if (finite.size() < 8) return 0;
  std::vector<double> candidates;
  for (const double power : {1.0, 0.1, 0.01, 0.001, 1e-4, 1e-5, 1e-6, 1e-7}) candidates.push_back(power);
  // The finest power of two in the values: floats always are multiples of it, and it may be the resolution.
  int finest = 1024;
  for (const double x : finite) {
    if (x == 0) continue;
    int exponent = 0;
    const auto mantissa = static_cast<std::int64_t>(std::ldexp(std::abs(std::frexp(x, &exponent)), 53));
    finest = std::min(finest, exponent - 53 + __builtin_ctzll(static_cast<std::uint64_t>(mantissa)));
  }
  if (finest < 1024) candidates.push_back(std::ldexp(1.0, finest));
  std::vector<double> sorted = finite;
  std::sort(sorted.begin(), sorted.end());
  double step = 0;
  const double span = std::max(std::abs(sorted.front()), std::abs(sorted.back()));
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    const double d = sorted[i] - sorted[i - 1];
    // Smaller than the type can tell apart at this size is rounding, not resolution.
    if (d > span * (single_precision ? 2e-7 : 4e-16) && (step == 0 || d < step)) step = d;
  }
  if (step > 0) {
    std::vector<double> by_size = finite;
    std::sort(by_size.begin(), by_size.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
    for (int divisor = 1; divisor <= 3; ++divisor) add_nice_values_near(refine(step / divisor, by_size), candidates);
  }
  double best = 0;
  double best_range = std::numeric_limits<double>::infinity();
  for (const double quantum : candidates) {
    if (!(quantum > 0) || !std::isfinite(quantum) || !std::isfinite(1 / quantum)) continue;
    double range = 0;
    bool all = true;
    const double inverse = 1 / quantum;
    for (const double x : finite) {
      double k = 0;
      if (!matches(x, quantum, inverse, single_precision, k)) {
        all = false;
        break;
      }
      range = std::max(range, std::abs(k));
    }
    if (all && range < best_range) {
      best = quantum;
      best_range = range;
    }
  }
  return best;
}

void IntegerForm::encode(Bytes& out) const {
  append_le(out, static_cast<std::uint8_t>((steps ? 1 : 0) | (quantum != 0 ? 2 : 0)));
  append_le(out, base);
  if (steps) append_le(out, first);
  if (quantum == 0) return;
  append_le(out, quantum);
  append_le(out, static_cast<std::uint32_t>(exception_index.size()));
  append_bytes(out, std::as_bytes(std::span(exception_index)));
  append_bytes(out, exception_values);
}

Expected<IntegerForm> IntegerForm::decode(ByteReader& in, ScalarType type, std::size_t count) {
  const auto bad = [] { return fail(ErrorCode::bad_input, "column: malformed integer form"); };
  IntegerForm form;
  const auto flags = in.number<std::uint8_t>();
  const auto base = in.number<std::int64_t>();
  if (!base || *flags > 3 || ((*flags & 2) != 0) != is_float(type)) return bad();
  form.base = *base;
  form.steps = (*flags & 1) != 0;
  if (form.steps) {
    const auto first = in.number<std::int64_t>();
    if (!first) return bad();
    form.first = *first;
  }
  if (!is_float(type)) return form;
  const auto quantum = in.number<double>();
  const auto exceptions = in.number<std::uint32_t>();
  if (!exceptions || !std::isfinite(*quantum) || *quantum == 0 || *exceptions > count) return bad();
  if (form.base < -2147450880 || form.base > 2147450879) return bad();  // base and 16 bits more stay within 32
  form.quantum = *quantum;
  const auto indexes = in.take(std::size_t{4} * *exceptions);
  const auto values = indexes ? in.take(size_of(type) * *exceptions) : std::nullopt;
  if (!values) return bad();
  for (std::uint32_t i = 0; i < *exceptions; ++i) {
    form.exception_index.push_back(load_le<std::uint32_t>(indexes->data() + std::size_t{4} * i));
    if (form.exception_index.back() >= count) return bad();
  }
  form.exception_values.assign(values->begin(), values->end());
  return form;
}

bool IntegerConverter::to_integers(ScalarType type, ByteView values, IntegerForm& form, std::int16_t* y) {
  form = IntegerForm{};
  const std::size_t n = values.size() / size_of(type);
  switch (type) {
    case ScalarType::i16:
      std::memcpy(y, values.data(), 2 * n);
      return true;
    case ScalarType::u16:
      form.base = 32768;
      for (std::size_t i = 0; i < n; ++i)
        y[i] = static_cast<std::int16_t>(load_le<std::uint16_t>(values.data() + 2 * i) ^ 0x8000);
      return true;
    case ScalarType::i8:
      for (std::size_t i = 0; i < n; ++i) y[i] = static_cast<std::int16_t>(load_le<std::int8_t>(values.data() + i));
      return true;
    case ScalarType::u8:
      for (std::size_t i = 0; i < n; ++i) y[i] = static_cast<std::uint8_t>(values[i]);
      return true;
    case ScalarType::u24:
    case ScalarType::i24:
      load_24(values, type == ScalarType::i24, wide_);
      return fit_wide(wide_, form, y);
    case ScalarType::u32:
      load_wide<std::uint32_t>(values, wide_);
      return fit_wide(wide_, form, y);
    case ScalarType::i32:
      load_wide<std::int32_t>(values, wide_);
      return fit_wide(wide_, form, y);
    case ScalarType::u64:
    case ScalarType::i64:
      load_wide<std::int64_t>(values, wide_);
      return fit_wide(wide_, form, y);
    case ScalarType::f32:
    case ScalarType::f64:
      return floats_to_integers(type, values, form, y);
  }
  return false;
}

bool IntegerConverter::floats_to_integers(ScalarType type, ByteView values, IntegerForm& form, std::int16_t* y) {
  const std::size_t n = values.size() / size_of(type);
  const bool single = type == ScalarType::f32;
  const auto at = [&](std::size_t i) {
    return single ? static_cast<double>(load_le<float>(values.data() + 4 * i)) : load_le<double>(values.data() + 8 * i);
  };
  // Eight stretches of up to 24 neighbours, spread over the column.
  std::vector<double> sample;
  const std::size_t stretch = std::min<std::size_t>(24, std::max<std::size_t>(1, n / 8));
  for (std::size_t s = 0; s < 8; ++s)
    for (std::size_t i = 0; i < stretch && s * (n / 8) + i < n; ++i) sample.push_back(at(s * (n / 8) + i));
  form.quantum = find_quantum(sample, single);
  if (form.quantum == 0) return false;
  scaled_.resize(n);
  std::int32_t low = 0;
  std::int32_t high = 0;
  // Blocks are copied nowhere: packed values of a column are aligned as the allocator aligns them.
  const std::size_t wrong = single ? kernels_.quantise_f32(reinterpret_cast<const float*>(values.data()), n,
                                                           form.quantum, scaled_.data(), &low, &high)
                                   : kernels_.quantise_f64(reinterpret_cast<const double*>(values.data()), n,
                                                           form.quantum, scaled_.data(), &low, &high);
  if (wrong > n / 32) return false;
  if (wrong > 0) {
    const std::size_t width = size_of(type);
    low = std::numeric_limits<std::int32_t>::max();
    high = std::numeric_limits<std::int32_t>::min();
    std::int32_t previous = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double back = scaled_[i] * form.quantum;
      const float back_single = static_cast<float>(back);
      if (std::memcmp(single ? static_cast<const void*>(&back_single) : &back, values.data() + i * width, width) != 0) {
        form.exception_index.push_back(static_cast<std::uint32_t>(i));
        append_bytes(form.exception_values, values.subspan(i * width, width));
        scaled_[i] = previous;
      }
      previous = scaled_[i];
      low = std::min(low, previous);
      high = std::max(high, previous);
    }
  }
  if (static_cast<std::uint64_t>(std::int64_t{high} - low) <= kRange) {
    form.base = std::int64_t{low} + (std::int64_t{high} - low + 1) / 2;
    kernels_.narrow(scaled_.data(), n, static_cast<std::int32_t>(form.base), y);
    return true;
  }
  wide_.assign(scaled_.begin(), scaled_.end());
  return fit_wide(wide_, form, y);
}

void IntegerConverter::from_integers(ScalarType type, const IntegerForm& form, const std::int16_t* y,
                                     std::span<std::byte> values) {
  const std::size_t n = values.size() / size_of(type);
  if (n == 0) return;
  const auto put_exceptions = [&] {
    const std::size_t width = size_of(type);
    for (std::size_t e = 0; e < form.exception_index.size(); ++e)
      std::memcpy(values.data() + form.exception_index[e] * width, form.exception_values.data() + e * width, width);
  };
  if (!form.steps) {
    const auto base = static_cast<std::int32_t>(form.base);
    switch (type) {
      case ScalarType::i16:
        if (form.base != 0) break;
        std::memcpy(values.data(), y, 2 * n);
        return;
      case ScalarType::f32:
        kernels_.scale_f32(y, n, base, form.quantum, reinterpret_cast<float*>(values.data()));
        return put_exceptions();
      case ScalarType::f64:
        kernels_.scale_f64(y, n, base, form.quantum, reinterpret_cast<double*>(values.data()));
        return put_exceptions();
      case ScalarType::u16:
        for (std::size_t i = 0; i < n; ++i)
          store_le(values.data() + 2 * i, static_cast<std::uint16_t>(static_cast<std::uint16_t>(y[i]) +
                                                                     static_cast<std::uint16_t>(form.base)));
        return;
      case ScalarType::u32:
      case ScalarType::i32:
        for (std::size_t i = 0; i < n; ++i)
          store_le(values.data() + 4 * i, static_cast<std::uint32_t>(static_cast<std::uint32_t>(form.base) +
                                                                     static_cast<std::uint32_t>(y[i])));
        return;
      default:
        break;
    }
  }
  wide_.resize(n);
  std::int64_t value = form.first;
  for (std::size_t i = 0; i < n; ++i) {
    const std::int64_t v = wrapping_add(y[i], form.base);
    if (form.steps) {
      if (i > 0) value = wrapping_add(value, v);
      wide_[i] = value;
    } else {
      wide_[i] = v;
    }
  }
  switch (type) {
    case ScalarType::u8:
    case ScalarType::i8:
      return store_wide<std::uint8_t>(wide_.data(), values);
    case ScalarType::u16:
    case ScalarType::i16:
      return store_wide<std::uint16_t>(wide_.data(), values);
    case ScalarType::u24:
    case ScalarType::i24:
      for (std::size_t i = 0; i < n; ++i) {
        const auto v = static_cast<std::uint64_t>(wide_[i]);
        for (std::size_t b = 0; b < 3; ++b) values[3 * i + b] = static_cast<std::byte>(v >> (8 * b));
      }
      return;
    case ScalarType::u32:
    case ScalarType::i32:
      return store_wide<std::uint32_t>(wide_.data(), values);
    case ScalarType::u64:
    case ScalarType::i64:
      return store_wide<std::uint64_t>(wide_.data(), values);
    case ScalarType::f32:
      for (std::size_t i = 0; i < n; ++i)
        store_le(values.data() + 4 * i, static_cast<float>(static_cast<double>(wide_[i]) * form.quantum));
      return put_exceptions();
    case ScalarType::f64:
      for (std::size_t i = 0; i < n; ++i) store_le(values.data() + 8 * i, static_cast<double>(wide_[i]) * form.quantum);
      return put_exceptions();
  }
}

}  // namespace sds
