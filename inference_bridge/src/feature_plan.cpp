#include "feature_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "feature_stages.hpp"

namespace sds::pipeline {

namespace {

// One of these words, by its number; the first where the key is absent and not needed.
std::size_t choice(YamlMap& map, const std::string& key, const std::vector<std::string>& words, bool needed = false) {
  const YAML::Node node = needed ? map.need(key) : map.find(key);
  if (!node.IsDefined()) return 0;
  const std::string word = yaml_string(node, key);
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end())
    yaml_problem(node, fmt::format("'{}: {}' must be one of: {}", key, word, fmt::join(words, ", ")));
  return static_cast<std::size_t>(found - words.begin());
}

// What a float holds.
float single(YamlMap& map, const std::string& key, double otherwise) {
  const auto value = static_cast<float>(map.number(key, otherwise));
  if (!std::isfinite(value)) yaml_problem(map.find(key), fmt::format("'{}:' must be a number", key));
  return value;
}

// A number above 0 (Hz); 0 where the key is absent.
double frequency(YamlMap& map, const std::string& key) {
  const YAML::Node node = map.find(key);
  if (!node.IsDefined()) return 0;
  const double value = yaml_number(node, key);
  if (!(value > 0) || !std::isfinite(value) || !std::isfinite(static_cast<float>(value)) ||
      static_cast<float>(value) == 0)
    yaml_problem(node, fmt::format("'{}:' must be above 0 Hz", key));
  return value;
}

// A power of two; 0 where the key is absent.
std::uint32_t transform_length(YamlMap& map, const std::string& key) {
  const YAML::Node node = map.find(key);
  if (!node.IsDefined()) return 0;
  const auto length = static_cast<std::uint32_t>(yaml_integer(node, key, SDS_FFT_MIN, SDS_FFT_MAX));
  if (sds_fft_floats(length) == 0) yaml_problem(node, fmt::format("'{}: {}' must be a power of two", key, length));
  return length;
}

StagePtr read_fft(YamlMap& map) {
  Fft fft;
  fft.length = transform_length(map, "length");
  fft.taper = static_cast<sds_taper_t>(choice(map, "taper", {"none", "hann", "hamming"}));
  fft.power = choice(map, "output", {"magnitude", "power"}) == 1;
  return make_fft(fft);
}

// Keys of the other convention, or of the other of MFE and MFCC, are never asked for, and so unknown.
StagePtr read_mfcc(YamlMap& map, bool is_cepstrum) {
  Mfcc mfcc;
  mfcc.kind = is_cepstrum ? "mfcc" : "mel";
  sds_mfcc_config_t& c = mfcc.config;
  const bool is_tensorflow = choice(map, "convention", {"tensorflow", "edge-impulse"}, true) == 0;
  c.mel.convention = is_tensorflow ? SDS_MEL_TENSORFLOW : SDS_MEL_EDGE_IMPULSE;
  c.mel.rate = static_cast<float>(frequency(map, "rate"));
  if (const auto node = map.find("frame"); node.IsDefined()) {
    YamlMap frame(node, "'frame'");
    c.mel.frame_length = static_cast<std::uint32_t>(yaml_integer(frame.need("length"), "length", 1, SDS_FFT_MAX));
    c.frame_stride = static_cast<std::uint32_t>(frame.integer("stride", c.mel.frame_length, 1, 1u << 24));
    frame.finish();
  }
  c.mel.fft_length = transform_length(map, "fft");
  c.mel.filters = static_cast<std::uint32_t>(yaml_integer(map.need("filters"), "filters", 1, 1024));
  c.mel.low = single(map, "low", 0);
  if (!(c.mel.low >= 0)) yaml_problem(map.node(), "'low:' must be 0 Hz or more");
  c.mel.high = static_cast<float>(frequency(map, "high"));
  if (is_cepstrum)
    c.coefficients =
        static_cast<std::uint32_t>(map.integer("coefficients", std::min(13u, c.mel.filters), 1, c.mel.filters));
  if (is_tensorflow) {
    c.log_offset = single(map, "log-offset", 1e-6);
    if (!(c.log_offset >= 0)) yaml_problem(map.node(), "'log-offset:' must be 0 or more");
    return make_mfcc(mfcc);
  }
  c.gain = is_cepstrum ? 1.0f : 1.0f / 32768;
  c.pre_emphasis = 0.98f;
  if (is_cepstrum) {
    c.pre_emphasis = single(map, "pre-emphasis", 0.98);
    c.normalise = static_cast<std::uint32_t>(map.integer("normalise", 101, 0, 10001));
    if (c.normalise != 0 && c.normalise % 2 == 0) yaml_problem(map.node(), "'normalise:' must be an odd number, or 0");
  } else {
    c.noise_floor = single(map, "noise-floor", -52);
    if (!(c.noise_floor < 0)) yaml_problem(map.node(), "'noise-floor:' must be below 0 dB");
  }
  return make_mfcc(mfcc);
}

sds_biquad_t read_section(const YAML::Node& node) {
  if (!node.IsSequence() || node.size() != 5) yaml_problem(node, "a section is [b0, b1, b2, a1, a2]");
  double c[5];
  for (std::size_t i = 0; i < 5; ++i) {
    c[i] = yaml_number(node[i], "sections");
    if (!std::isfinite(c[i])) yaml_problem(node[i], "a coefficient must be a number");
  }
  const sds_biquad_t section{c[0], c[1], c[2], c[3], c[4]};
  if (sds_biquad_is_stable(&section) == 0)
    yaml_problem(node, "the section is not stable: what comes out of it would grow without end");
  return section;
}

StagePtr read_filter(YamlMap& map) {
  Filter filter;
  if (const double cutoff = frequency(map, "highpass"); cutoff != 0)
    filter.butterworth.push_back({SDS_HIGHPASS, cutoff});
  if (const double cutoff = frequency(map, "lowpass"); cutoff != 0) filter.butterworth.push_back({SDS_LOWPASS, cutoff});
  if (!filter.butterworth.empty()) {
    filter.order = static_cast<std::uint32_t>(map.integer("order", 2, 1, SDS_BUTTERWORTH_MAX));
    filter.rate = frequency(map, "rate");
  } else {
    const auto sections = map.find("sections");
    if (!sections.IsDefined()) yaml_problem(map.node(), "a filter needs 'highpass:', 'lowpass:' or 'sections:'");
    if (!sections.IsSequence() || sections.size() == 0 || sections.size() > SDS_FILTER_MAX)
      yaml_problem(sections, "'sections:' must be a list of 1 to 64 sections [b0, b1, b2, a1, a2]");
    for (const auto& section : sections) filter.sections.push_back(read_section(section));
  }
  filter.fixed = choice(map, "arithmetic", {"float", "fixed"}) == 1;
  return make_filter(std::move(filter));
}

StagePtr read_statistics(const YAML::Node& node) {
  auto names = yaml_strings(node, "features");
  const auto& known = statistics_names();
  if (names.empty()) yaml_problem(node, fmt::format("'features:' must name some of: {}", fmt::join(known, ", ")));
  for (const auto& name : names)
    if (std::find(known.begin(), known.end(), name) == known.end())
      yaml_problem(node, fmt::format("no feature '{}'; there is: {}", name, fmt::join(known, ", ")));
  refuse_repeated(node, "feature", names);
  return make_statistics(std::move(names));
}

}  // namespace

bool is_feature_stage(const std::string& kind) {
  return kind == "fft" || kind == "mfe" || kind == "mfcc" || kind == "filter" || kind == "features";
}

StagePtr make_feature_stage(const std::string& kind, const YAML::Node& node) {
  if (kind == "features") return read_statistics(node);
  YamlMap map(node, fmt::format("stage '{}'", kind));
  StagePtr made = kind == "fft" ? read_fft(map) : kind == "filter" ? read_filter(map) : read_mfcc(map, kind == "mfcc");
  map.finish();
  return made;
}

}  // namespace sds::pipeline
