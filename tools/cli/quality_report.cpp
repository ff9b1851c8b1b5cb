#include "quality_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "report.hpp"
#include "value_text.hpp"

namespace sds::cli {

namespace {

std::string percent(std::uint64_t part, std::uint64_t whole) {
  if (part == 0) return "0";
  const double share = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  return share < 0.01 ? fmt::format("{}", part) : fmt::format("{:.2f} %", share);
}

nlohmann::json count_json(std::optional<std::uint64_t> count) { return count ? nlohmann::json(*count) : nullptr; }

// "-" for what is not known.
std::string known(double number, const char* format = "{:.5g}") {
  return std::isnan(number) ? "-" : fmt::format(fmt::runtime(format), number);
}
std::string known(const ExactNumber& number, bool whole) {
  return std::isnan(rounded(number)) ? "-" : value_text(number, whole, 5);
}

void print_stream(const StreamQuality& s) {
  fmt::print("quality of {}: {} in {}, {}\n", s.id, counted(s.samples, "sample"), counted(s.blocks, "block"),
             human_seconds(s.duration_s));
  if (!std::isnan(s.true_hz)) {
    std::string rate = fmt::format("{:.6g} Hz by the device's clock", s.true_hz);
    if (s.nominal_hz)
      rate += fmt::format(", nominal {:.6g} ({:+.3f} %)", *s.nominal_hz, 100 * (s.true_hz / *s.nominal_hz - 1));
    if (!std::isnan(s.drift_ppm)) rate += fmt::format(", second half {:+.0f} ppm", s.drift_ppm);
    fmt::print("  {:<10}: {}\n", "Rate", rate);
  }
  if (s.missing && s.late)
    fmt::print("  {:<10}: {} missing, {} late\n", "Gaps", counted(*s.missing, "sample"), counted(*s.late, "block"));
  else
    fmt::print("  {:<10}: {}\n", "Gaps", gaps_not_known);
  static constexpr std::array names{"1 %", "5 %", "10 %", "25 %", "50 %", "100 %", "more"};
  std::string jitter;
  for (std::size_t i = 0; i < s.jitter.size(); ++i)
    if (s.jitter[i] > 0)
      jitter += fmt::format("{}{}{}: {}", jitter.empty() ? "" : ", ", i + 1 < names.size() ? "to " : "", names[i],
                            grouped(s.jitter[i]));
  if (!jitter.empty()) fmt::print("  {:<10}: of {}: {}\n", "Jitter", human_seconds(s.interval_s), jitter);
  if (!s.without_values.empty()) {
    fmt::print("  {:<10}: not looked at: {}\n", "Values", s.without_values);
    return;
  }
  std::size_t of_extremes = 11;
  for (const auto& v : s.values)
    for (const auto* extreme : {&v.min, &v.max}) of_extremes = std::max(of_extremes, known(*extreme, v.whole).size());
  fmt::print("  {:<16} {:>{}} {:>{}} {:>11} {:>11} {:>11} {:>9} {:>9} {:>10} {:>7}\n", "channel", "min", of_extremes,
             "max", of_extremes, "offset", "deviation", "noise", "clipped", "nan/inf", "stuck", "range");
  std::size_t shown = 0;
  for (const auto& v : s.values) {
    if (++shown > 40) {
      fmt::print("  ... and {} more (--json has all)\n", s.values.size() - 40);
      break;
    }
    const std::uint64_t all = v.count + v.nan + v.infinite;
    fmt::print("  {:<16} {:>{}} {:>{}} {:>11} {:>11} {:>11} {:>9} {:>9} {:>10} {:>7}\n",
               v.unit.empty() ? v.name : fmt::format("{} ({})", v.name, v.unit), known(v.min, v.whole), of_extremes,
               known(v.max, v.whole), of_extremes, known(v.mean), known(v.deviation), known(v.noise),
               percent(v.clipped, all), percent(v.nan + v.infinite, all),
               v.longest_run > 1 ? human_seconds(v.longest_run_s) : "-",
               v.range_used > 0 ? fmt::format("{:.0f} %", 100 * v.range_used) : "-");
  }
  if (s.values_left_out > 0)
    fmt::print("  {} behind the first {} not looked at\n", counted(s.values_left_out, "value"),
               grouped(StreamQuality::max_values) + (s.values_left_out == 1 ? " is" : " are"));
}

struct Tally {
  double total_s = 0;
  std::map<std::string, double> classes;  // labelled seconds
  std::map<std::string, std::size_t> devices;
};

Tally tally(const std::vector<RecordingQuality>& recordings) {
  Tally sum;
  for (const auto& r : recordings) {
    sum.total_s += r.duration_s;
    if (!r.device.empty()) ++sum.devices[r.device];
    for (const auto& [name, time] : r.classes) sum.classes[name] += time;
  }
  return sum;
}

}  // namespace

void print_quality(const RecordingQuality& quality, const std::vector<std::string>& broken) {
  for (const auto& stream : quality.streams) print_stream(stream);
  for (const auto& problem : broken) fmt::print("  LIMIT: {}\n", problem);
}

nlohmann::json quality_json(const RecordingQuality& quality, const std::vector<std::string>& broken) {
  nlohmann::json json{{"device", quality.device},
                      {"duration_s", quality.duration_s},
                      {"classes", quality.classes},
                      {"broken", broken},
                      {"streams", nlohmann::json::array()}};
  for (const auto& s : quality.streams) {
    nlohmann::json stream{{"id", s.id},
                          {"samples", s.samples},
                          {"blocks", s.blocks},
                          {"duration_s", s.duration_s},
                          {"true_hz", s.true_hz},
                          {"nominal_hz", s.nominal_hz ? nlohmann::json(*s.nominal_hz) : nlohmann::json(nullptr)},
                          {"drift_ppm", s.drift_ppm},
                          {"missing_samples", count_json(s.missing)},
                          {"late_blocks", count_json(s.late)},
                          {"interval_s", s.interval_s},
                          {"jitter_limits", StreamQuality::jitter_limits},
                          {"jitter", s.jitter},
                          {"values_left_out", s.values_left_out},
                          {"channels", nlohmann::json::array()}};
    for (const auto& v : s.values)
      stream["channels"].push_back({{"name", v.name},
                                    {"unit", v.unit},
                                    {"count", v.count},
                                    {"nan", v.nan},
                                    {"infinite", v.infinite},
                                    {"min", value_json(v.min, v.whole)},
                                    {"max", value_json(v.max, v.whole)},
                                    {"mean", v.mean},
                                    {"deviation", v.deviation},
                                    {"noise", v.noise},
                                    {"clipped", v.clipped},
                                    {"longest_run", v.longest_run},
                                    {"longest_run_s", v.longest_run_s},
                                    {"longest_run_at_s", v.longest_run_at},
                                    {"range_used", v.range_used}});
    json["streams"].push_back(stream);
  }
  return json;
}

void print_dataset(const std::vector<RecordingQuality>& recordings, const std::vector<Drift>& drifts,
                   const std::vector<std::string>& broken) {
  if (recordings.size() > 1) {
    const auto [total, classes, devices] = tally(recordings);
    fmt::print("dataset: {}, {}\n", counted(recordings.size(), "recording"), human_seconds(total));
    double labelled = 0;
    for (const auto& [name, time] : classes) labelled += time;
    for (const auto& [name, time] : classes)
      fmt::print("  {:<16} {:>14} {:>6.1f} %\n", name, human_seconds(time), labelled > 0 ? 100 * time / labelled : 0);
    for (const auto& [name, count] : devices) fmt::print("  device {}: {}\n", name, counted(count, "recording"));
  }
  if (!drifts.empty()) {
    fmt::print("drift against the reference: {:<24} {:>8} {:>8}\n", "", "PSI", "KS");
    for (const auto& drift : drifts)
      fmt::print("  {:<50} {:>8} {:>8}{}\n", drift.name, known(drift.psi, "{:.3f}"), known(drift.ks, "{:.3f}"),
                 drift.psi > 0.25  ? "  large"
                 : drift.psi > 0.1 ? "  moderate"
                                   : "");
  }
  for (const auto& problem : broken) fmt::print("  LIMIT: {}\n", problem);
}

nlohmann::json dataset_json(const std::vector<RecordingQuality>& recordings, const std::vector<Drift>& drifts,
                            const std::vector<std::string>& broken) {
  nlohmann::json json{{"recordings", recordings.size()}, {"broken", broken}, {"drift", nlohmann::json::array()}};
  const auto [total, classes, devices] = tally(recordings);
  json["duration_s"] = total;
  json["classes"] = classes;
  json["devices"] = devices;
  for (const auto& drift : drifts)
    json["drift"].push_back({{"channel", drift.name}, {"psi", drift.psi}, {"ks", drift.ks}});
  return json;
}

}  // namespace sds::cli
