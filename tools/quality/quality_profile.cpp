#include <fmt/format.h>

#include <cmath>
#include <set>

#include "quality.hpp"
#include "sds/format/yaml_map.hpp"
#include "value_text.hpp"

namespace sds {

namespace {

QualityLimits parse_limits(YamlMap& map) {
  QualityLimits limits;
  limits.max_clipped = map.number("max-clipped");
  limits.max_nan = map.number("max-nan");
  limits.max_stuck_s = map.number("max-stuck");
  limits.max_offset = map.number("max-offset");
  limits.max_noise = map.number("max-noise");
  limits.min = map.exact_number("min");
  limits.max = map.exact_number("max");
  return limits;
}

void parse_profile(const YAML::Node& root, QualityProfile& profile) {
  YamlMap top(root, "the file");
  YamlMap map(top.need("quality"), "quality");
  profile.max_missing = map.number("max-missing");
  profile.max_late = map.number("max-late");
  profile.max_rate_error = map.number("max-rate-error");
  profile.max_drift_ppm = map.number("max-drift-ppm");
  profile.min_duration_s = map.number("min-duration");
  profile.all = parse_limits(map);
  const YAML::Node channels = map.find("channels");
  if (channels.IsDefined()) {
    if (!channels.IsMap()) yaml_problem(channels, "'channels:' must hold channels, each with its limits");
    for (const auto& item : channels) {
      YamlMap one(item.second, "channel " + item.first.Scalar());
      profile.channels[item.first.Scalar()] = parse_limits(one);
      one.finish();
    }
  }
  const YAML::Node dataset = map.find("dataset");
  if (dataset.IsDefined()) {
    YamlMap one(dataset, "dataset");
    profile.min_class_share = one.number("min-class-share");
    profile.classes = one.strings("classes");
    profile.max_psi = one.number("max-psi");
    profile.max_ks = one.number("max-ks");
    one.finish();
  }
  map.finish();
  top.finish();
}

QualityLimits limits_of(const QualityProfile& profile, const std::string& stream, const std::string& value) {
  QualityLimits limits = profile.all;
  for (const auto& key : {value, fmt::format("{}.{}", stream, value)}) {
    const auto found = profile.channels.find(key);
    if (found == profile.channels.end()) continue;
    const auto take = [](auto& to, const auto& from) {
      if (from) to = from;
    };
    take(limits.max_clipped, found->second.max_clipped);
    take(limits.max_nan, found->second.max_nan);
    take(limits.max_stuck_s, found->second.max_stuck_s);
    take(limits.max_offset, found->second.max_offset);
    take(limits.max_noise, found->second.max_noise);
    take(limits.min, found->second.min);
    take(limits.max, found->second.max);
  }
  return limits;
}

// Judges numbers by limits. What is not known does not keep one.
class Judge {
 public:
  explicit Judge(std::vector<std::string>& problems) : problems_(problems) {}
  void at_most(const std::string& where, const char* what, double value, const std::optional<double>& limit) {
    if (limit && is_known(where, what, value, number(*limit)) && value > *limit)
      breaks(where, what, number(value), "more", number(*limit));
  }
  void at_least(const std::string& where, const char* what, double value, const std::optional<double>& limit) {
    if (limit && is_known(where, what, value, number(*limit)) && value < *limit)
      breaks(where, what, number(value), "less", number(*limit));
  }
  void within(const std::string& where, const ValueQuality& v, const QualityLimits& limits) {
    const auto text = [&](const ExactNumber& value) { return value_text(value, v.whole && value.is_whole()); };
    if (limits.min && is_known(where, "minimum", rounded(v.min), text(*limits.min)) && v.min < *limits.min)
      breaks(where, "minimum", text(v.min), "less", text(*limits.min));
    if (limits.max && is_known(where, "maximum", rounded(v.max), text(*limits.max)) && v.max > *limits.max)
      breaks(where, "maximum", text(v.max), "more", text(*limits.max));
  }

 private:
  static std::string number(double value) { return fmt::format("{:.6g}", value); }
  bool is_known(const std::string& where, const char* what, double value, const std::string& limit) {
    if (!std::isnan(value)) return true;
    problems_.push_back(fmt::format("{}: {} is not known: the limit of {} cannot be judged", where, what, limit));
    return false;
  }
  void breaks(const std::string& where, const char* what, const std::string& value, const char* than,
              const std::string& limit) {
    problems_.push_back(fmt::format("{}: {} {}, {} than {}", where, what, value, than, limit));
  }
  std::vector<std::string>& problems_;
};

double share(std::optional<std::uint64_t> part, std::uint64_t whole) {
  return !part || whole == 0 ? unknown_quality : static_cast<double>(*part) / static_cast<double>(whole);
}

// One value alone is not stuck; of none it is not known.
double seconds_stuck(const ValueQuality& v) {
  if (v.longest_run == 0) return unknown_quality;
  return v.longest_run > 1 ? v.longest_run_s : 0;
}

}  // namespace

Expected<QualityProfile> QualityProfile::load(const std::filesystem::path& path) {
  QualityProfile profile;
  auto done = read_yaml_file(path, [&](const YAML::Node& root) { parse_profile(root, profile); });
  if (!done) return fail(done);
  return profile;
}

std::vector<std::string> broken_limits(const QualityProfile& profile, const RecordingQuality& quality) {
  std::vector<std::string> problems;
  Judge judge(problems);
  judge.at_least(quality.path, "lasts (s)", quality.duration_s, profile.min_duration_s);
  for (const auto& s : quality.streams) {
    judge.at_most(s.id, "share of samples missing", share(s.missing, s.samples + s.missing.value_or(0)),
                  profile.max_missing);
    judge.at_most(s.id, "share of blocks late", share(s.late, s.blocks), profile.max_late);
    if (s.nominal_hz)
      judge.at_most(s.id, "rate error", std::abs(s.true_hz / *s.nominal_hz - 1), profile.max_rate_error);
    judge.at_most(s.id, "rate drift (ppm)", std::abs(s.drift_ppm), profile.max_drift_ppm);
    for (const auto& v : s.values) {
      const QualityLimits limits = limits_of(profile, s.id, v.name);
      const std::string where = s.id + "." + v.name;
      const std::uint64_t all = v.count + v.nan + v.infinite;
      judge.at_most(where, "share clipped", share(v.clipped, all), limits.max_clipped);
      judge.at_most(where, "share not a number", share(v.nan + v.infinite, all), limits.max_nan);
      judge.at_most(where, "stuck for (s)", seconds_stuck(v), limits.max_stuck_s);
      judge.at_most(where, "offset", std::abs(v.mean), limits.max_offset);
      judge.at_most(where, "noise floor", v.noise, limits.max_noise);
      judge.within(where, v, limits);
    }
  }
  return problems;
}

std::vector<std::string> broken_dataset_limits(const QualityProfile& profile,
                                               const std::vector<RecordingQuality>& recordings) {
  std::vector<std::string> problems;
  std::map<std::string, double> classes;
  double total = 0;
  for (const auto& recording : recordings)
    for (const auto& [name, time] : recording.classes) {
      classes[name] += time;
      total += time;
    }
  std::set<std::string> values;
  for (const auto& recording : recordings)
    for (const auto& stream : recording.streams)
      for (const auto& value : stream.values) {
        values.insert(value.name);
        values.insert(fmt::format("{}.{}", stream.id, value.name));
      }
  for (const auto& [name, limits] : profile.channels)
    if (values.count(name) == 0) problems.push_back(fmt::format("dataset: no channel {}, which has limits", name));
  for (const auto& name : profile.classes)
    if (classes.count(name) == 0) problems.push_back(fmt::format("dataset: no label of class {}", name));
  Judge judge(problems);
  if (classes.empty()) judge.at_least("dataset", "share of classes", unknown_quality, profile.min_class_share);
  for (const auto& [name, time] : classes)
    judge.at_least("dataset", ("share of class " + name).c_str(), time / total, profile.min_class_share);
  return problems;
}

std::vector<std::string> broken_drift_limits(const QualityProfile& profile, const std::vector<Drift>& drifts) {
  std::vector<std::string> problems;
  Judge judge(problems);
  for (const auto& drift : drifts) {
    judge.at_most(drift.name, "population stability index", drift.psi, profile.max_psi);
    judge.at_most(drift.name, "Kolmogorov-Smirnov statistic", drift.ks, profile.max_ks);
  }
  return problems;
}

}  // namespace sds
