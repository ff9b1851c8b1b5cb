#include "feature_stages.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "sds/format/limits.hpp"

namespace sds::pipeline {

namespace {

tl::unexpected<Error> misfit(std::string message) { return fail(ErrorCode::bad_input, std::move(message)); }

// What the rounding of whole numbers may do, in units of the last place; values of up to 16 bits get 8 more for it.
constexpr double kMostNoise = 512;
constexpr int kMoreBits = 8;

// More columns are not told apart by name.
constexpr std::size_t kMaxNamed = 1024;

double physical_of(const FrameType& type, ByteView data, std::size_t row, std::size_t column) {
  return physical_value(type, data.data() + row * type.row_bytes() + column * size_of(type.type), column);
}

// Rows a second.
Expected<double> rate_of(const FrameType& in, double told) {
  const auto rate = in.row_frequency();
  const double own = rate ? rate->hz() : 0;
  if (own == 0 && told == 0) return misfit("what comes in has no sample-frequency: say 'rate:'");
  if (own != 0 && told != 0) return misfit(fmt::format("'rate:' has no effect: {} Hz come in", own));
  return own != 0 ? own : told;
}

// What the stages that work on whole windows have in common.
class WindowFeatureStage : public Stage {
 public:
  Expected<FrameType> bind(const FrameType& in) final {
    if (in.rows == 0) return misfit("features are of windows: put a window stage before it");
    in_ = in;
    auto names = bind_features();
    if (!names) return fail(names);
    FrameType out;
    out.type = ScalarType::f32;
    out.rows = 1;
    out.columns = features_;
    if (features_ * sizeof(float) > limits::max_block_bytes)
      return misfit(fmt::format("{} features of a window are more than 32 MiB", features_));
    if (features_ <= kMaxNamed) out.names = std::move(*names);
    out.tick_frequency = in.tick_frequency;
    results_.resize(features_);
    return out;
  }

  Expected<void> push(const Frame& frame, const Emit& emit) final {
    for (std::size_t c = 0; c < in_.columns; ++c) {
      for (std::size_t r = 0; r < in_.rows; ++r) column_[r] = static_cast<float>(physical_of(in_, frame.data, r, c));
      const std::size_t each = features_ / in_.columns;
      compute(column_, std::span(results_).subspan(c * each, each));
    }
    return emit({frame.tick, std::as_bytes(std::span<const float>(results_)), frame.block, {}});
  }

  Expected<void> reset() final { return {}; }

 protected:
  /// Sets features_, a multiple of the columns, and column_'s room; returns the features' names, if they are not too
  /// many.
  virtual Expected<std::vector<std::string>> bind_features() = 0;
  /// `column` has the window's rows at its begin, and may be overwritten.
  virtual void compute(std::span<float> column, std::span<float> features) = 0;

  // Each column's name before each of these, where there are several columns or they have names.
  [[nodiscard]] std::vector<std::string> of_each_column(const std::vector<std::string>& names) const {
    std::vector<std::string> all;
    if (features_ > kMaxNamed) return all;
    all.reserve(features_);
    for (std::size_t c = 0; c < in_.columns; ++c)
      for (const auto& name : names) {
        if (in_.names.size() == in_.columns)
          all.push_back(fmt::format("{}.{}", in_.names[c], name));
        else
          all.push_back(in_.columns == 1 ? name : fmt::format("v{}.{}", c, name));
      }
    return all;
  }

  FrameType in_;
  std::size_t features_ = 0;
  std::vector<float> column_;

 private:
  std::vector<float> results_;
};

class FftStage final : public WindowFeatureStage {
 public:
  explicit FftStage(const Fft& fft) : fft_(fft) {}

 private:
  Expected<std::vector<std::string>> bind_features() override {
    if (in_.rows > SDS_FFT_MAX) return misfit(fmt::format("a transform is of no more than {} rows", int{SDS_FFT_MAX}));
    std::uint32_t length = fft_.length;
    if (length == 0) length = std::max<std::uint32_t>(SDS_FFT_MIN, std::bit_ceil(static_cast<std::uint32_t>(in_.rows)));
    if (length < in_.rows)
      return misfit(fmt::format("a window of {} rows is longer than the transform of {}", in_.rows, length));
    memory_.resize(sds_fft_floats(length));
    sds_fft_init(&transform_, length, memory_.data());
    taper_.resize(in_.rows);
    sds_taper(fft_.taper, static_cast<std::uint32_t>(in_.rows), taper_.data());
    column_.resize(length + 2);
    const std::size_t bins = length / 2 + 1;
    features_ = in_.columns * bins;
    std::vector<std::string> names;
    for (std::size_t k = 0; k < bins && bins <= kMaxNamed; ++k) names.push_back(fmt::format("bin{}", k));
    return of_each_column(names);
  }

  void compute(std::span<float> column, std::span<float> features) override {
    for (std::size_t r = 0; r < taper_.size(); ++r) column[r] *= taper_[r];
    std::fill(column.begin() + static_cast<std::ptrdiff_t>(taper_.size()), column.end(), 0.0f);
    sds_fft_forward(&transform_, column.data());
    for (std::size_t k = 0; k < features.size(); ++k) {
      const double re = column[2 * k];
      const double im = column[2 * k + 1];
      const double power = re * re + im * im;
      features[k] = static_cast<float>(fft_.power ? power : std::sqrt(power));
    }
  }

  Fft fft_;
  sds_fft_t transform_{};
  std::vector<float> memory_;
  std::vector<float> taper_;
};

class MfccStage final : public WindowFeatureStage {
 public:
  explicit MfccStage(const Mfcc& mfcc) : config_(mfcc.config), kind_(mfcc.kind) {}

 private:
  Expected<std::vector<std::string>> bind_features() override {
    if (in_.columns != 1)
      return misfit(
          fmt::format("it takes windows of one column, and gets {}: put a select stage before it", in_.columns));
    auto rate = rate_of(in_, config_.mel.rate);
    if (!rate) return fail(rate);
    config_.samples = static_cast<std::uint32_t>(in_.rows);
    config_.mel.rate = static_cast<float>(*rate);
    if (config_.mel.frame_length == 0) config_.mel.frame_length = config_.samples;
    if (config_.frame_stride == 0) config_.frame_stride = config_.mel.frame_length;
    if (config_.mel.frame_length > SDS_FFT_MAX)
      return misfit(
          fmt::format("a frame has no more than {} samples: say 'frame: {{length, stride}}'", int{SDS_FFT_MAX}));
    if (config_.mel.fft_length == 0)
      config_.mel.fft_length = std::max<std::uint32_t>(SDS_FFT_MIN, std::bit_ceil(config_.mel.frame_length));
    if (config_.mel.high == 0) config_.mel.high = config_.mel.rate / 2;
    memory_.resize(sds_mfcc_floats(&config_));
    ranges_.resize(std::size_t{2} * config_.mel.filters);
    if (const char* problem = sds_mfcc_init(&mfcc_, &config_, memory_.data(), ranges_.data())) return misfit(problem);
    column_.resize(in_.rows);
    features_ = std::size_t{mfcc_.frames} * mfcc_.features;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < features_ && features_ <= kMaxNamed; ++i) {
      const std::string value = fmt::format("{}{}", kind_, i % mfcc_.features);
      names.push_back(mfcc_.frames == 1 ? value : fmt::format("t{}.{}", i / mfcc_.features, value));
    }
    return names;
  }

  void compute(std::span<float> column, std::span<float> features) override {
    sds_mfcc(&mfcc_, column.data(), features.data());
  }

  sds_mfcc_config_t config_;
  const char* kind_;
  sds_mfcc_t mfcc_{};
  std::vector<float> memory_;
  std::vector<std::uint16_t> ranges_;
};

constexpr std::array kStatistics{
    std::pair{"mean", &sds_statistics_t::mean},         std::pair{"min", &sds_statistics_t::min},
    std::pair{"max", &sds_statistics_t::max},           std::pair{"rms", &sds_statistics_t::rms},
    std::pair{"stdev", &sds_statistics_t::stdev},       std::pair{"skewness", &sds_statistics_t::skewness},
    std::pair{"kurtosis", &sds_statistics_t::kurtosis}, std::pair{"zero-crossings", &sds_statistics_t::zero_crossings}};

class StatisticsStage final : public WindowFeatureStage {
 public:
  explicit StatisticsStage(std::vector<std::string> names) : names_(std::move(names)) {
    for (const auto& name : names_)
      for (const auto& [known, member] : kStatistics)
        if (name == known) members_.push_back(member);
  }

 private:
  Expected<std::vector<std::string>> bind_features() override {
    column_.resize(in_.rows);
    features_ = in_.columns * members_.size();
    return of_each_column(names_);
  }

  void compute(std::span<float> column, std::span<float> features) override {
    sds_statistics_t all;
    sds_statistics(column.data(), column.size(), 1, &all);
    for (std::size_t i = 0; i < members_.size(); ++i) features[i] = all.*members_[i];
  }

  std::vector<std::string> names_;
  std::vector<float sds_statistics_t::*> members_;
};

class FilterStage final : public Stage {
 public:
  explicit FilterStage(Filter filter) : filter_(std::move(filter)) {}

  Expected<FrameType> bind(const FrameType& in) override {
    if (in.rows != 0) return misfit("a filter goes on from block to block: put it before the window stage");
    if (auto designed = design(in); !designed) return fail(designed);
    in_ = in;
    FrameType out = in;
    if (filter_.fixed) {
      if (auto bound = bind_fixed(); !bound) return fail(bound);
      out.type = ScalarType::i32;
      for (double& scale : out.scale) scale = std::ldexp(scale, -kMoreBits);
    } else {
      out.type = ScalarType::f32;
      out.scale = {1.0};
      out.offset = {0.0};
    }
    (void)reset();
    return out;
  }

  Expected<void> push(const Frame& frame, const Emit& emit) override {
    const std::size_t rows = frame.data.size() / in_.row_bytes();
    filtered_.resize(rows * in_.columns * sizeof(float));
    for (std::size_t i = 0; i < rows * in_.columns; ++i) {
      std::byte* to = filtered_.data() + i * sizeof(float);
      if (filter_.fixed) {
        store_le(to, fixed(frame.data.data() + i * size_of(in_.type), i % in_.columns));
        continue;
      }
      double value = physical_of(in_, frame.data, i / in_.columns, i % in_.columns);
      if (!std::isfinite(value)) return fail_block(frame, "a value is no number, or infinite");
      for (std::size_t s = 0; s < filter_.sections.size(); ++s)
        value = sds_biquad(&filter_.sections[s], &states_[i % in_.columns * filter_.sections.size() + s], value);
      const auto filtered = static_cast<float>(value);
      if (!std::isfinite(filtered)) return fail_block(frame, "a value grows beyond what a float holds");
      store_le(to, filtered);
    }
    return emit({frame.tick, filtered_, frame.block, frame.times});
  }

  Expected<void> reset() override {
    states_.assign(in_.columns * filter_.sections.size(), {});
    fixed_states_.assign(filter_.fixed ? states_.size() : 0, {});
    return {};
  }

 private:
  Expected<void> fail_block(const Frame& frame, const char* why) {
    (void)reset();
    observer_->note_failure(number_, frame.block, fmt::format("filter: {}", why));
    return {};
  }

  Expected<void> design(const FrameType& in) {
    if (filter_.butterworth.empty()) return {};
    auto rate = rate_of(in, filter_.rate);
    if (!rate) return fail(rate);
    for (const auto& wanted : filter_.butterworth) {
      std::array<sds_biquad_t, SDS_BUTTERWORTH_MAX> sections{};
      const auto count = sds_butterworth(wanted.pass, filter_.order, wanted.cutoff, *rate, sections.data());
      if (count == 0)
        return misfit(fmt::format("{} Hz is not below half of the {} Hz that come in", wanted.cutoff, *rate));
      if (auto kept = keep_designed({sections.data(), count}, wanted, *rate); !kept) return kept;
    }
    return {};
  }

  // Coefficients are rounded to doubles: a filter that is another one then is refused.
  Expected<void> keep_designed(std::span<const sds_biquad_t> sections, const Filter::Butterworth& wanted, double rate) {
    filter_.sections.insert(filter_.sections.end(), sections.begin(), sections.end());
    if (sds_filter_is_exact(sections.data(), static_cast<std::uint32_t>(sections.size()), wanted.pass, wanted.cutoff,
                            rate) != 0)
      return {};
    return misfit(fmt::format("a cutoff of {} Hz at {} Hz is beyond what doubles hold", wanted.cutoff, rate));
  }

  Expected<void> bind_fixed() {
    if (is_float(in_.type) || is_wider_than_float(in_.type))
      return misfit(fmt::format("whole numbers of up to 16 bits are filtered with 'arithmetic: fixed', not {}",
                                name_of(in_.type)));
    if (std::any_of(in_.offset.begin(), in_.offset.end(), [](double offset) { return offset != 0; }))
      return misfit("values with an offset are not filtered with 'arithmetic: fixed'");
    std::vector<sds_biquad_t> rounded;
    for (const auto& section : filter_.sections) {
      sds_biquad_q29_t fixed{};
      if (sds_biquad_to_q29(&section, &fixed) != 0)
        return misfit("coefficients lie between -4 and 4 with 'arithmetic: fixed'");
      fixed_sections_.push_back(fixed);
      sds_biquad_of_q29(&fixed, &rounded.emplace_back());
    }
    const auto count = static_cast<std::uint32_t>(rounded.size());
    if (!(sds_filter_q29_noise(fixed_sections_.data(), count) <= kMostNoise))
      return misfit(
          "with 'arithmetic: fixed' the rounding of values would be heard: poles lie too close to the unit circle, or "
          "sections have too much gain behind others");
    if (!(sds_filter_error(filter_.sections.data(), rounded.data(), count) <= 0.01))
      return misfit("the coefficients of 'arithmetic: fixed' do not hold this filter: it would be another one");
    return {};
  }

  std::int32_t fixed(const std::byte* stored, std::size_t column) {
    auto value = static_cast<std::int32_t>(load_value(in_.type, stored)) * (1 << kMoreBits);
    for (std::size_t s = 0; s < fixed_sections_.size(); ++s)
      value = sds_biquad_q29(&fixed_sections_[s], &fixed_states_[column * fixed_sections_.size() + s], value);
    return value;
  }

  Filter filter_;
  FrameType in_;
  std::vector<sds_biquad_state_t> states_;  // of each column, each section
  std::vector<sds_biquad_q29_t> fixed_sections_;
  std::vector<sds_biquad_q29_state_t> fixed_states_;
  Bytes filtered_;
};

}  // namespace

StagePtr make_fft(const Fft& fft) { return std::make_unique<FftStage>(fft); }
StagePtr make_mfcc(const Mfcc& mfcc) { return std::make_unique<MfccStage>(mfcc); }
StagePtr make_filter(Filter filter) { return std::make_unique<FilterStage>(std::move(filter)); }
StagePtr make_statistics(std::vector<std::string> names) { return std::make_unique<StatisticsStage>(std::move(names)); }

const std::vector<std::string>& statistics_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    all.reserve(kStatistics.size());
    for (const auto& [name, member] : kStatistics) all.emplace_back(name);
    return all;
  }();
  return names;
}

}  // namespace sds::pipeline
