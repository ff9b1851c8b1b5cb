#include "linear_predictor.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace sds {

namespace {

using kernels::lanes;
using kernels::max_order;

// Frames that share their coefficients: speech changes quickly, machines do not.
constexpr std::array<std::size_t, 2> kBlockFrames{1024, 8192};
constexpr std::size_t kHistory = lanes * max_order;
constexpr std::array<int, 4> kOrders{4, 8, 12, 16};

// The blocks of a column: full ones, the last with what is left over if that is less than half a block.
template <class F>
void for_each_block(std::size_t frames, std::size_t block_frames, F&& f) {
  for (std::size_t begin = 0; begin < frames;) {
    std::size_t count = std::min(block_frames, frames - begin);
    if (frames - begin - count < block_frames / 2) count = frames - begin;
    f(begin, count);
    begin += count;
  }
}

// Within 0.01, by exactly rounded operations only: the choice it serves must be the same on every machine.
double log2_roughly(double x) {
  int exponent = 0;
  const double m = std::frexp(x, &exponent);  // 0.5 to 1
  return exponent - 1 + (m - 0.5) * (2.9142 - (m - 0.5) * 1.8284);
}

std::uint16_t zigzag(std::uint16_t d) {
  return static_cast<std::uint16_t>(static_cast<std::uint16_t>(d << 1) ^ static_cast<std::uint16_t>(0 - (d >> 15)));
}

std::uint16_t unzigzag(std::uint16_t z) {
  return static_cast<std::uint16_t>((z >> 1) ^ static_cast<std::uint16_t>(0 - (z & 1)));
}

}  // namespace

struct LinearPredictor::Model {
  int order = 4;
  int shift = 1;
  std::array<std::int16_t, lanes * max_order> coefficients{};  // [i - 1][lane]
};

// The predictors of all lanes, for the order that takes the fewest bits.
struct LinearPredictor::Solution {
  int order = 4;
  double bits = 0;  // for the residuals of the block and the coefficients, roughly
  std::array<std::array<double, max_order + 1>, lanes> a{};
};

void LinearPredictor::correlate(const std::int16_t* frames, std::size_t count, int order, Correlation& r) {
  if (window_.size() != count) {  // a quarter tapered at each end, by a cubic: no libm, the same on every machine
    window_.resize(count);
    const std::size_t taper = std::max<std::size_t>(1, count / 4);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t edge = std::min(i, count - 1 - i);
      const double x = (static_cast<double>(edge) + 0.5) / static_cast<double>(taper);
      window_[i] = edge >= taper ? 1.0f : static_cast<float>(x * x * (3 - 2 * x));
    }
  }
  scratch_.resize((count + max_order) * lanes);
  kernels_.autocorrelate(frames, window_.data(), count, order, scratch_.data(), r.data());
}

// Autocorrelation method with Levinson-Durbin recursion (Makhoul 1975), per lane; one order for all lanes.
LinearPredictor::Solution LinearPredictor::solve(const Correlation& r, std::size_t count, int max) {
  std::array<Solution, kOrders.size()> solutions{};
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    std::array<double, max_order + 1> a{};
    double error = r[lane] * (1 + 1e-9) + 1e-3;
    bool stable = true;
    std::size_t next = 0;
    for (std::size_t i = 1; i <= static_cast<std::size_t>(max); ++i) {
      if (stable) {
        double k = r[lanes * i + lane];
        for (std::size_t j = 1; j < i; ++j) k -= a[j] * r[lanes * (i - j) + lane];
        k /= error;
        if (std::abs(k) < 1 && error > 1e-3) {
          const std::array<double, max_order + 1> before = a;
          for (std::size_t j = 1; j < i; ++j) a[j] = before[j] - k * before[i - j];
          a[i] = k;
          error *= 1 - k * k;
        } else {
          stable = false;
        }
      }
      if (static_cast<int>(i) == kOrders[next]) {
        // The entropy of a normal distribution, and 16 bits a coefficient.
        const double variance = error / static_cast<double>(count) + 1.0 / 12;
        solutions[next].order = static_cast<int>(i);
        solutions[next].a[lane] = a;
        solutions[next].bits +=
            static_cast<double>(count) * (0.5 * log2_roughly(variance) + 2.05) + 16.0 * static_cast<double>(i);
        ++next;
      }
    }
  }
  std::size_t best = 0;
  for (std::size_t s = 1; s < kOrders.size() && kOrders[s] <= max; ++s)
    if (solutions[s].bits < solutions[best].bits) best = s;
  return solutions[best];
}

LinearPredictor::Model LinearPredictor::quantise(const Solution& solution) {
  Model model;
  model.order = solution.order;
  double largest = 1e-9;
  for (const auto& a : solution.a)
    for (const double c : a) largest = std::max(largest, std::abs(c));
  model.shift = 14;
  while (model.shift > 1 && std::ldexp(largest, model.shift) > 32700) --model.shift;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    double carried = 0;  // the rounding error of one coefficient goes to the next
    for (std::size_t i = 1; i <= static_cast<std::size_t>(model.order); ++i) {
      const double exact = std::ldexp(solution.a[lane][i], model.shift) + carried;
      const double rounded = std::clamp(std::nearbyint(exact), -32767.0, 32767.0);
      carried = exact - rounded;
      model.coefficients[lanes * (i - 1) + lane] = static_cast<std::int16_t>(rounded);
    }
  }
  return model;
}

double LinearPredictor::estimate_bits(const std::int16_t* y, std::size_t n, int max) {
  const std::size_t frames = n / lanes;
  const std::size_t look = std::clamp<std::size_t>(frames / 16, 256, kBlockFrames[0]);
  // Short blocks: each place by itself. Long ones: one predictor for what the places have in common.
  Correlation all{};
  double separate = 0;
  for (std::size_t place = 0; place < 3; ++place) {
    Correlation r{};
    frames_.resize(std::max(frames_.size(), lanes * look));
    kernels_.interleave(y + (frames - look) * place / 2, frames, look, frames_.data());
    correlate(frames_.data(), look, max, r);
    separate += solve(r, look, max).bits * static_cast<double>(kBlockFrames[0]) / static_cast<double>(look);
    for (std::size_t i = 0; i < r.size(); ++i) all[i] += r[i];
  }
  // The coefficients of a long block are shared by more frames than were looked at.
  const Solution common = solve(all, 3 * look, max);
  const double coefficients = 16.0 * common.order * lanes;
  const double joint = (common.bits - coefficients) * static_cast<double>(kBlockFrames[0]) / static_cast<double>(look) +
                       coefficients * 3 * static_cast<double>(kBlockFrames[0]) / static_cast<double>(kBlockFrames[1]);
  block_frames_ = separate < joint ? kBlockFrames[0] : kBlockFrames[1];
  return std::min(separate, joint) / static_cast<double>(3 * kBlockFrames[0] * lanes);
}

void LinearPredictor::encode(const std::int16_t* y, std::size_t n, int max, std::uint16_t* z, Bytes& parameters) {
  const std::size_t frames = n / lanes;
  frames_.resize(kHistory + lanes * frames);
  std::fill_n(frames_.begin(), kHistory, std::int16_t{0});
  kernels_.interleave(y, frames, frames, frames_.data() + kHistory);
  residuals_.resize(lanes * frames);
  append_le(parameters, static_cast<std::uint32_t>(block_frames_));
  for_each_block(frames, block_frames_, [&](std::size_t begin, std::size_t count) {
    const std::int16_t* block = frames_.data() + kHistory + lanes * begin;
    Correlation r{};
    correlate(block, count, max, r);
    const Model model = quantise(solve(r, count, max));
    append_le(parameters, static_cast<std::uint8_t>(model.order));
    append_le(parameters, static_cast<std::uint8_t>(model.shift));
    append_bytes(parameters,
                 std::as_bytes(std::span(model.coefficients).first(lanes * static_cast<std::size_t>(model.order))));
    kernels_.predict(block, count, model.coefficients.data(), model.order, model.shift,
                     residuals_.data() + lanes * begin);
  });
  kernels_.deinterleave(reinterpret_cast<const std::int16_t*>(residuals_.data()), frames,
                        reinterpret_cast<std::int16_t*>(z));
  for (std::size_t i = lanes * frames; i < n; ++i) z[i] = zigzag(static_cast<std::uint16_t>(y[i] - y[i - 1]));
}

Expected<void> LinearPredictor::decode(ByteReader& in, const std::uint16_t* z, std::size_t n, std::int16_t* y) {
  const std::size_t frames = n / lanes;
  frames_.resize(kHistory + lanes * frames);
  std::fill_n(frames_.begin(), kHistory, std::int16_t{0});
  residuals_.resize(lanes * frames);
  kernels_.interleave(reinterpret_cast<const std::int16_t*>(z), frames, frames,
                      reinterpret_cast<std::int16_t*>(residuals_.data()));
  const auto block_frames = in.number<std::uint32_t>();
  bool ok = n >= min_values && block_frames && *block_frames >= 256;
  for_each_block(ok ? frames : 0, block_frames.value_or(1), [&](std::size_t begin, std::size_t count) {
    if (!ok) return;
    const auto order = in.number<std::uint8_t>();
    const auto shift = in.number<std::uint8_t>();
    ok = shift && (*order == 4 || *order == 8 || *order == 12 || *order == 16) && *shift >= 1 && *shift <= 14;
    const auto stored = ok ? in.take(2 * lanes * *order) : std::nullopt;
    ok = stored.has_value();
    if (!ok) return;
    std::array<std::int16_t, lanes * max_order> coefficients{};
    std::memcpy(coefficients.data(), stored->data(), stored->size());
    kernels_.reconstruct(residuals_.data() + lanes * begin, count, coefficients.data(), *order, *shift,
                         frames_.data() + kHistory + lanes * begin);
  });
  if (!ok) return fail(ErrorCode::bad_input, "column: malformed predictor");
  kernels_.deinterleave(frames_.data() + kHistory, frames, y);
  for (std::size_t i = lanes * frames; i < n; ++i)
    y[i] = static_cast<std::int16_t>(static_cast<std::uint16_t>(y[i - 1]) + unzigzag(z[i]));
  return {};
}

}  // namespace sds
