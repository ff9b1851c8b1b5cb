#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "command.hpp"
#include "damage_text.hpp"
#include "duration_text.hpp"
#include "opened.hpp"
#include "shell_text.hpp"

namespace sds::cli {

namespace {

void print_channel(const ChannelComparison& c) {
  fmt::print("  {:<20} {:>12} {:>12} {:>14} {:>14}\n", c.name, grouped(c.values), grouped(c.different),
             fmt::format("{:.6g}", c.max_difference), fmt::format("{:.6g}", c.mean_difference));
  if (c.first)
    fmt::print("    first difference: tick {} ({} s), sample {}{}: {} against {}\n", c.first->tick,
               seconds_text(c.first->seconds), c.first->sample,
               c.first->element > 0 ? fmt::format(", element {}", c.first->element) : "", c.first->text_a(),
               c.first->text_b());
  const auto told = c.told();
  for (const auto& stretch : told) fmt::print("    {}\n", stretch.text());
  if (!told.empty() && c.stretch_count > told.size())
    fmt::print("    and {} more such stretches\n", grouped(c.stretch_count - told.size()));
}

nlohmann::json stretches_json(const ChannelComparison& c) {
  auto list = nlohmann::json::array();
  for (const auto& s : c.stretches)
    list.push_back({{"from_tick", s.from_tick},
                    {"to_tick", s.to_tick},
                    {"from_s", s.from_s},
                    {"to_s", s.to_s},
                    {"values", s.values},
                    {"max_difference", s.max_difference}});
  return list;
}

bool g_reported = false;

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage:
      return "usage";
    case ErrorCode::bad_input:
      return "bad_input";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::limit:
      return "limit";
    case ErrorCode::exists:
      return "exists";
    case ErrorCode::algorithm:
      return "algorithm";
    case ErrorCode::interrupted:
      return "interrupted";
    default:
      return "io";
  }
}

// What each stage of a pipeline took; the rest of the wall clock's time is reading, writing and, beside stages that
// work at the same time, nothing.
void print_stages(const std::vector<StageTimes>& stages) {
  for (const auto& stage : stages) {
    const auto us = [&](double fraction) {
      return static_cast<double>(stage.durations.percentile(fraction).count()) / 1e3;
    };
    const double total = std::chrono::duration<double>(stage.total).count();
    if (stage.durations.count() == 0) {
      fmt::print("    {:<28} {:>10} in all\n", stage.name, human_seconds(total));
    } else {
      fmt::print("    {:<28} {:>10} in all, {} times: p50 {:.1f} us, p99 {:.1f} us, max {:.1f} us\n", stage.name,
                 human_seconds(total), grouped(stage.durations.count()), us(0.5), us(0.99),
                 static_cast<double>(stage.durations.max().count()) / 1e3);
    }
  }
}

void print_failures(const RunReport& r) {
  for (const auto& line : failure_lines(r)) fmt::print("  FAILED    {}\n", visible_text(line));
  if (r.failure_count > r.failures.size())
    fmt::print("  FAILED    {} blocks in all; the first {}{} are told above\n", grouped(r.failure_count),
               r.failures.size() - (r.finished ? 0 : 1), r.finished ? "" : ", and the last one,");
}

nlohmann::json failure_json(const AlgorithmFailure& failure) {
  nlohmann::json json{
      {"stream", nullptr}, {"block", nullptr}, {"timeslot", nullptr}, {"reason", utf8_text(failure.reason)}};
  if (!failure.ordinal) return json;
  json["stream"] = failure.stream;
  json["block"] = *failure.ordinal;
  json["timeslot"] = failure.timeslot;
  return json;
}

nlohmann::json durations_json(const DurationHistogram& durations) {
  const auto ns = [&](double fraction) { return durations.percentile(fraction).count(); };
  return {{"count", durations.count()}, {"total_ns", durations.total().count()},
          {"p50_ns", ns(0.5)},          {"p90_ns", ns(0.9)},
          {"p99_ns", ns(0.99)},         {"max_ns", durations.max().count()}};
}

nlohmann::json number(double value, const std::string& exact) {
  return exact.empty() ? nlohmann::json(value) : nlohmann::json::parse(exact);
}

// JSON has no numbers for what is none, or infinite.
void tell_not_finite(nlohmann::json& json) {
  if (json.is_structured()) {
    for (auto& part : json) tell_not_finite(part);
  } else if (json.is_number_float() && !std::isfinite(json.get<double>())) {
    const auto value = json.get<double>();
    json = std::isnan(value) ? nlohmann::json(nullptr) : nlohmann::json(value > 0 ? "inf" : "-inf");
  }
}

}  // namespace

nlohmann::json value_json(const ExactNumber& value, bool whole) {
  if (!whole) return value.rounded();
  return std::isnan(value.rounded()) ? nlohmann::json() : nlohmann::json::parse(value.digits());
}

void print_json(const nlohmann::json& report, std::FILE* to) {
  g_reported = true;
  auto whole = report;
  tell_not_finite(whole);
  if (whole.contains("damages") && !whole.contains("not_closed")) whole["not_closed"] = not_closed_json();
  for (const auto& error : errors_told())
    whole["errors"].push_back(
        {{"code", name_of(error.code)}, {"path", text_or_null(error.path)}, {"message", error.message}});
  // Whether standard output took it is seen at the end.
  (void)std::fputs((whole.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n").c_str(), to);
}

void print_json_errors() {
  if (g_reported || errors_told().empty()) return;
  auto report = nlohmann::json::object();
  if (has_opened_recordings()) report["damages"] = damages_json();
  print_json(report);
}

void print_comparison(const RecordingComparison& result, std::string_view equal_where) {
  for (const auto& s : result.streams) {
    fmt::print("stream {}{}: {} compared, {} identical\n", s.a, s.a == s.b ? "" : " against " + s.b,
               counted(s.blocks, "block"), grouped(s.identical));
    for (const auto& note : s.notes) fmt::print("  note: {}\n", note);
    for (const auto& name : s.channels_only_a) fmt::print("  channel {} only in A\n", name);
    for (const auto& name : s.channels_only_b) fmt::print("  channel {} only in B\n", name);
    if (s.only_a > 0) fmt::print("  {} only in A, first at tick {}\n", counted(s.only_a, "block"), *s.first_only_a);
    if (s.only_b > 0) fmt::print("  {} only in B, first at tick {}\n", counted(s.only_b, "block"), *s.first_only_b);
    if (s.size_mismatches > 0)
      fmt::print("  {} of different sizes or odd bytes, first at tick {}\n", counted(s.size_mismatches, "block"),
                 *s.first_size_mismatch);
    if (s.losses_only_a > 0)
      fmt::print("  losses stated only in A: {}, the first {}\n", grouped(s.losses_only_a),
                 s.first_loss_only_a->text());
    if (s.losses_only_b > 0)
      fmt::print("  losses stated only in B: {}, the first {}\n", grouped(s.losses_only_b),
                 s.first_loss_only_b->text());
    fmt::print("  {:<20} {:>12} {:>12} {:>14} {:>14}\n", "channel", "values", "different", "max |A-B|", "mean |A-B|");
    for (const auto& channel : s.channels) print_channel(channel);
    if (s.decisions > 0)
      fmt::print("  the same channel is the largest in {} of {} samples ({:.2f} %)\n", grouped(s.agreeing),
                 grouped(s.decisions), 100.0 * static_cast<double>(s.agreeing) / static_cast<double>(s.decisions));
  }
  for (const auto& id : result.only_a) fmt::print("stream {} only in A\n", id);
  for (const auto& id : result.only_b) fmt::print("stream {} only in B\n", id);
  if (result.only_a.size() == 1 && result.only_b.size() == 1)
    fmt::print("  (-s {}={} compares these)\n", result.only_a[0], result.only_b[0]);
  double largest = 0;
  for (const auto& s : result.streams)
    for (const auto& channel : s.channels) largest = std::max(largest, channel.max_difference);
  if (!result.equal()) {
    fmt::print("DIFFERENT\n");
  } else if (largest > 0) {
    fmt::print("equal within {:.6g}{}\n", largest, equal_where);
  } else {
    fmt::print("equal{}\n", equal_where);
  }
}

namespace {

nlohmann::json loss_json(const StatedLoss& loss) {
  nlohmann::json json{{"reason", loss.reason}, {"after_tick", nullptr}, {"before_tick", nullptr}};
  if (loss.after_tick) json["after_tick"] = *loss.after_tick;
  if (loss.before_tick) json["before_tick"] = *loss.before_tick;
  return json;
}

}  // namespace

nlohmann::json comparison_json(const RecordingComparison& result) {
  nlohmann::json json{{"equal", result.equal()}, {"only_a", result.only_a}, {"only_b", result.only_b}};
  json["streams"] = nlohmann::json::array();
  for (const auto& s : result.streams) {
    nlohmann::json stream{{"a", s.a},
                          {"b", s.b},
                          {"equal", s.equal()},
                          {"blocks", s.blocks},
                          {"identical", s.identical},
                          {"blocks_only_a", s.only_a},
                          {"blocks_only_b", s.only_b},
                          {"size_mismatches", s.size_mismatches},
                          {"losses_only_a", s.losses_only_a},
                          {"losses_only_b", s.losses_only_b},
                          {"channels_only_a", s.channels_only_a},
                          {"channels_only_b", s.channels_only_b},
                          {"notes", s.notes}};
    if (s.decisions > 0) stream["argmax"] = {{"samples", s.decisions}, {"agreeing", s.agreeing}};
    if (s.first_only_a) stream["first_only_a_tick"] = *s.first_only_a;
    if (s.first_only_b) stream["first_only_b_tick"] = *s.first_only_b;
    if (s.first_loss_only_a) stream["first_loss_only_a"] = loss_json(*s.first_loss_only_a);
    if (s.first_loss_only_b) stream["first_loss_only_b"] = loss_json(*s.first_loss_only_b);
    stream["channels"] = nlohmann::json::array();
    for (const auto& c : s.channels) {
      nlohmann::json channel{{"name", c.name},
                             {"values", c.values},
                             {"different", c.different},
                             {"max_difference", c.max_difference},
                             {"mean_difference", c.mean_difference},
                             {"stretch_count", c.stretch_count},
                             {"stretches", stretches_json(c)}};
      if (c.first)
        channel["first"] = {{"tick", c.first->tick},
                            {"seconds", c.first->seconds},
                            {"sample", c.first->sample},
                            {"element", c.first->element},
                            {"a", number(c.first->a, c.first->exact_a)},
                            {"b", number(c.first->b, c.first->exact_b)}};
      stream["channels"].push_back(channel);
    }
    json["streams"].push_back(stream);
  }
  return json;
}

namespace {

// "CHANNEL=NUMBER", or a number for all channels; each once.
Expected<void> parse_by_channel(const std::string& option, const std::vector<std::string>& texts,
                                Expected<double> (*parse)(const std::string&), std::map<std::string, double>& of,
                                double& of_all) {
  std::set<std::string> channels;
  for (const auto& text : texts) {
    const std::size_t equals = text.rfind('=');
    const std::string channel = equals == std::string::npos ? "" : text.substr(0, equals);
    const auto value = parse(text.substr(equals == std::string::npos ? 0 : equals + 1));
    if (equals == 0 || !value)
      return fail(ErrorCode::usage, fmt::format("{} '{}' is not [CHANNEL=]{}", option, text,
                                                value ? std::string("NUMBER") : value.error().message));
    if (!channels.insert(channel).second)
      return fail(ErrorCode::usage, fmt::format("{} is given twice for {}", option,
                                                channel.empty() ? "all channels" : "'" + channel + "'"));
    (equals == std::string::npos ? of_all : of[channel]) = *value;
  }
  return {};
}

Expected<double> tolerance_from(const std::string& text) {
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec == std::errc{} && read.ptr == text.data() + text.size() && value >= 0 && !std::isinf(value)) return value;
  return fail(ErrorCode::usage, "ABS");
}

Expected<double> share_from(const std::string& text) {
  auto share = parse_share(text);
  if (share && *share >= 0 && *share <= 1) return share;
  return fail(ErrorCode::usage, "R, a share from 0 to 1 (100%)");
}

}  // namespace

Expected<void> parse_tolerances(const std::vector<std::string>& absolute, const std::vector<std::string>& relative,
                                CompareOptions& options) {
  auto parsed = parse_by_channel("--tolerance", absolute, tolerance_from, options.absolute, options.absolute_all);
  if (!parsed) return parsed;
  return parse_by_channel("--relative", relative, share_from, options.relative, options.relative_all);
}

void print_run(const RunReport& r) {
  fmt::print("  blocks    {} delivered ({}), {} outputs\n", grouped(r.blocks), human_bytes(r.input_bytes),
             grouped(r.outputs));
  if (!r.input_fingerprint.empty())
    fmt::print("  input     {}\n  output    {}\n", r.input_fingerprint, r.output_fingerprint);
  const auto us = [&](double fraction) { return static_cast<double>(r.durations.percentile(fraction).count()) / 1e3; };
  if (r.durations.count() > 0)
    fmt::print("  execution p50 {:.1f} us, p90 {:.1f} us, p99 {:.1f} us, max {:.1f} us\n", us(0.5), us(0.9), us(0.99),
               static_cast<double>(r.durations.max().count()) / 1e3);
  print_stages(r.stages);
  if (r.recorded_seconds > 0)
    fmt::print("  time      {} for {} of recording: {:.0f} times real time\n", human_seconds(r.wall_seconds),
               human_seconds(r.recorded_seconds), r.recorded_seconds / r.wall_seconds);
  if (r.peak_memory > 0) fmt::print("  memory    {} at most\n", human_bytes(r.peak_memory));
  if (r.gaps > 0) fmt::print("  gaps      {} in the recording: windows began anew behind them\n", grouped(r.gaps));
  if (r.gaps_in_time > 0)
    fmt::print("  gaps      {} in time, or steps back: windows began anew behind them\n", grouped(r.gaps_in_time));
  if (r.restarts > 0)
    fmt::print("  restarts  {} behind frames that failed: what follows began anew\n", grouped(r.restarts));
  if (r.passed_blocks > 0)
    fmt::print("  PASSED    the end of {} of {} blocks, by up to {} bytes, first that of {}\n",
               grouped(r.passed_blocks), grouped(r.blocks), grouped(r.passed_bytes),
               block_text(r, r.first_passed_stream, r.first_passed));
  print_failures(r);
  for (const auto& damage : r.damages) fmt::print("  DAMAGE    {}\n", damage_text(damage));
}

nlohmann::json run_json(const RunReport& r) {
  nlohmann::json failures = nlohmann::json::array();
  for (const auto& failure : r.failures) failures.push_back(failure_json(failure));
  nlohmann::json damages = nlohmann::json::array();
  for (const auto& damage : r.damages)
    damages.push_back({{"offset", damage.offset}, {"blocks", or_null(damage.blocks)}, {"reason", damage.reason}});
  nlohmann::json measured = durations_json(r.durations);
  measured["wall_seconds"] = r.wall_seconds;
  measured["peak_memory"] = r.peak_memory;
  if (!r.stages.empty()) measured["stages"] = nlohmann::json::array();
  for (const auto& stage : r.stages) {
    auto entry = stage.durations.count() > 0 ? durations_json(stage.durations) : nlohmann::json::object();
    entry["name"] = stage.name;
    entry["total_ns"] = stage.total.count();
    measured["stages"].push_back(std::move(entry));
  }
  return {{"ok", r.ok() && nothing_is_lost(r.damages)},
          {"input_fingerprint", r.input_fingerprint},
          {"output_fingerprint", r.output_fingerprint},
          {"blocks", r.blocks},
          {"input_bytes", r.input_bytes},
          {"outputs", r.outputs},
          {"recorded_seconds", r.recorded_seconds},
          {"gaps", r.gaps},
          {"gaps_in_time", r.gaps_in_time},
          {"restarts", r.restarts},
          {"passed_ends",
           {{"blocks", r.passed_blocks},
            {"max_bytes", r.passed_bytes},
            {"first_block", r.first_passed},
            {"first_stream", r.passed_blocks > 0 ? nlohmann::json(r.first_passed_stream) : nlohmann::json()}}},
          {"failure_count", r.failure_count},
          {"failures", failures},
          {"damages", damages},
          {"measured", measured}};
}

}  // namespace sds::cli
