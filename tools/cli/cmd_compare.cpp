#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "progress.hpp"
#include "sds/tools/compare.hpp"

namespace sds::cli {

namespace {

struct Options {
  std::vector<std::filesystem::path> paths;
  std::filesystem::path metadata;
  std::vector<std::string> tolerances;
  std::vector<std::string> streams;
  double relative = 0;
  bool json = false;
};

std::string text_of(double value) { return fmt::format("{}", value); }

void print_channel(const ChannelComparison& c) {
  fmt::print("  {:<20} {:>12} {:>12} {:>14} {:>14}\n", c.name, grouped(c.values), grouped(c.different),
             fmt::format("{:.6g}", c.max_difference), fmt::format("{:.6g}", c.mean_difference));
  if (c.first)
    fmt::print("    first difference: tick {} ({} s), sample {}{}: {} against {}\n", c.first->tick,
               text_of(c.first->seconds), c.first->sample,
               c.first->element > 0 ? fmt::format(", element {}", c.first->element) : "", text_of(c.first->a),
               text_of(c.first->b));
}

void print_text(const RecordingComparison& result) {
  for (const auto& s : result.streams) {
    fmt::print("stream {}{}: {} blocks compared, {} identical\n", s.a, s.a == s.b ? "" : " against " + s.b,
               grouped(s.blocks), grouped(s.identical));
    for (const auto& note : s.notes) fmt::print("  note: {}\n", note);
    if (s.only_a > 0) fmt::print("  {} blocks only in A, first at tick {}\n", grouped(s.only_a), *s.first_only_a);
    if (s.only_b > 0) fmt::print("  {} blocks only in B, first at tick {}\n", grouped(s.only_b), *s.first_only_b);
    if (s.size_mismatches > 0)
      fmt::print("  {} blocks of different sizes or odd bytes, first at tick {}\n", grouped(s.size_mismatches),
                 *s.first_size_mismatch);
    fmt::print("  {:<20} {:>12} {:>12} {:>14} {:>14}\n", "channel", "values", "different", "max |A-B|", "mean |A-B|");
    for (const auto& channel : s.channels) print_channel(channel);
  }
  for (const auto& id : result.only_a) fmt::print("stream {} only in A\n", id);
  for (const auto& id : result.only_b) fmt::print("stream {} only in B\n", id);
  fmt::print("{}\n", result.equal() ? "equal" : "DIFFERENT");
}

// JSON has no infinity.
nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(text_of(value));
}

nlohmann::json to_json(const RecordingComparison& result) {
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
                          {"notes", s.notes}};
    if (s.first_only_a) stream["first_only_a_tick"] = *s.first_only_a;
    if (s.first_only_b) stream["first_only_b_tick"] = *s.first_only_b;
    stream["channels"] = nlohmann::json::array();
    for (const auto& c : s.channels) {
      nlohmann::json channel{{"name", c.name},
                             {"values", c.values},
                             {"different", c.different},
                             {"max_difference", number(c.max_difference)},
                             {"mean_difference", number(c.mean_difference)}};
      if (c.first)
        channel["first"] = {{"tick", c.first->tick},       {"seconds", c.first->seconds}, {"sample", c.first->sample},
                            {"element", c.first->element}, {"a", number(c.first->a)},     {"b", number(c.first->b)}};
      stream["channels"].push_back(channel);
    }
    json["streams"].push_back(stream);
  }
  return json;
}

Expected<CompareOptions> parse(const Options& o) {
  CompareOptions options;
  options.relative = o.relative;
  for (const auto& text : o.tolerances) {
    const std::size_t equals = text.rfind('=');
    double value = 0;
    const char* end = text.data() + text.size();
    if (equals == std::string::npos || equals == 0 ||
        std::from_chars(text.data() + equals + 1, end, value).ptr != end || !(value >= 0))
      return fail(ErrorCode::usage, fmt::format("--tolerance '{}' is not CHANNEL=ABS", text));
    options.absolute[text.substr(0, equals)] = value;
  }
  for (const auto& text : o.streams) {
    const std::size_t equals = text.find('=');
    options.streams.emplace_back(text.substr(0, equals), equals == std::string::npos ? text : text.substr(equals + 1));
  }
  return options;
}

int run_compare(const Options& o) {
  auto options = parse(o);
  if (!options) return fail_with(options.error());
  Recording::Options open_options;
  if (!o.metadata.empty()) open_options.metadata = o.metadata;
  auto a = Recording::open(o.paths[0], open_options);
  if (!a) return fail_with(a.error());
  auto b = Recording::open(o.paths[1], open_options);
  if (!b) return fail_with(b.error());
  Progress progress("comparing", total_bytes(*a));
  auto result = compare_recordings(*a, *b, *options, progress.callback());
  if (!result) return fail_with(result.error());
  for (const auto& stream : result->streams)
    for (const auto& recording : {&*a, &*b})
      if (recording->streams()[0].metadata_error && stream.a == recording->streams()[0].id)
        warn(recording->streams()[0].metadata_error->to_string());
  if (o.json) {
    fmt::print("{}\n", to_json(*result).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    print_text(*result);
  }
  return result->equal() ? 0 : 1;
}

}  // namespace

void add_compare(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("compare", "Compare two recordings value by value, aligned by tick");
  auto o = std::make_shared<Options>();
  command->add_option("recordings", o->paths, "A and B (.sds or .sdsz)")->required()->expected(2)->type_name("A B");
  command->add_option("-y,--yaml", o->metadata, "Metadata file for plain .sds input")->type_name("FILE");
  command
      ->add_option("-s,--stream", o->streams,
                   "Compare only this stream; ID_A=ID_B where the names differ. May be given several times")
      ->type_name("ID");
  command
      ->add_option("--tolerance", o->tolerances,
                   "Values of CHANNEL may differ by ABS, in physical units. May be given several times")
      ->type_name("CHANNEL=ABS");
  command->add_option("--relative", o->relative, "Values may differ by R times the larger of the two")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("R");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(
      "Exit code 0 if equal within the tolerances, 1 if not.\n\n"
      "Example: sds compare replayed.sdsz session.sdsz -s ML_Out --tolerance idle=0.01");
  command->callback([o, &run] { run = [o] { return run_compare(*o); }; });
}

}  // namespace sds::cli
