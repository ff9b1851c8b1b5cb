#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <ctime>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "command.hpp"
#include "opened.hpp"
#include "progress.hpp"
#include "sds/format/sdsz_index.hpp"

namespace sds::cli {

namespace {

struct Options {
  InputOptions input;
  bool json = false;
};

struct ColumnFacts {
  ColumnStatistics statistics;
  std::string pipeline;  // of the stream's first section
  bool known = false;    // statistics are of the whole stream
};

// What is known of a stream: from the index and section headers in a .sdsz, from a walk over the blocks in plain files.
struct StreamFacts {
  std::uint64_t blocks = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t samples = 0;
  std::uint64_t first_tick = 0;
  std::uint64_t last_tick = 0;
  std::vector<ColumnFacts> columns;  // by the layout's columns; empty for plain files
  Layout layout;
};

std::string utc_text(const std::string& utc_ns) {
  std::uint64_t ns = 0;
  if (std::from_chars(utc_ns.data(), utc_ns.data() + utc_ns.size(), ns).ec != std::errc{}) return utc_ns;
  const auto t = static_cast<std::time_t>(ns / 1'000'000'000);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03} UTC", fmt::gmtime(t), ns / 1'000'000 % 1000);
}

void merge(ColumnStatistics& into, const ColumnStatistics& s) {
  if (s.count > 0) {
    into.min = into.count == 0 ? s.min : std::min(into.min, s.min);
    into.max = into.count == 0 ? s.max : std::max(into.max, s.max);
  }
  into.count += s.count;
  into.nan_count += s.nan_count;
  into.sum += s.sum;
}

// What the index says of each stream's columns; the index is read once, however many streams there are.
struct IndexedColumns {
  std::size_t sections = 0;
  bool whole = true;  // every section has statistics
  std::vector<ColumnStatistics> columns;
};

std::vector<IndexedColumns> read_statistics(const SdszReader& reader) {
  std::vector<IndexedColumns> streams(reader.streams().size());
  if (!reader.complete()) return {};
  auto done =
      for_each_statistics(*reader.file(), [&](const IndexEntry& section, std::span<const ColumnStatistics> statistics) {
        if (section.header.stream >= streams.size()) return;
        IndexedColumns& stream = streams[section.header.stream];
        if (stream.sections++ == 0) stream.columns.resize(statistics.size());
        if (statistics.empty() || statistics.size() != stream.columns.size()) stream.whole = false;
        for (std::size_t c = 0; c < std::min(statistics.size(), stream.columns.size()); ++c)
          merge(stream.columns[c], statistics[c]);
      });
  return done ? streams : std::vector<IndexedColumns>();
}

// What the first section of each column is stored as. A section that cannot be read is damage.
void take_pipelines(const Recording& recording, std::size_t index, StreamFacts& facts) {
  const SdszReader& reader = *recording.sdsz();
  const SdszStream& stream = reader.streams()[index];
  if (stream.data.empty()) return;
  const IndexEntry& first = stream.data.front();
  auto payload = reader.payload(first);
  auto summary = payload ? summarize(*payload) : fail(payload);
  if (!summary) {
    Damage damage = reader.missing(index, first.header.first_block, first.header.end_block());
    damage.offset = first.offset;
    damage.bytes = first.header.section_bytes();
    damage.reason = summary.error().message;
    recording.damage_log()->add(damage);
    return;
  }
  for (std::size_t c = 0; c < facts.columns.size() && c + 3 < summary->columns.size(); ++c)
    facts.columns[c].pipeline = describe(summary->columns[c + 3]);
}

StreamFacts facts_of_packed(const Recording& recording, std::size_t index, const std::vector<IndexedColumns>& indexed) {
  const SdszStream& stream = recording.sdsz()->streams()[index];
  const StreamInfo& info = recording.streams()[index];
  StreamFacts facts;
  facts.blocks = stream.block_count;
  facts.raw_bytes = stream.raw_bytes;
  facts.stored_bytes = stream.stored_bytes;
  facts.layout = stream.layout;
  if (!stream.data.empty()) {
    facts.first_tick = stream.data.front().header.first_tick;
    facts.last_tick = stream.data.back().header.last_tick;
  }
  if (info.metadata && info.metadata->sample_bytes > 0)
    facts.samples = (facts.raw_bytes - std::min(facts.raw_bytes, 8 * facts.blocks)) / info.metadata->sample_bytes;
  facts.columns.resize(stream.layout.columns.size());
  take_pipelines(recording, index, facts);
  if (index >= indexed.size() || stream.log_needed) return facts;
  const IndexedColumns& known = indexed[index];
  if (!known.whole || known.sections != stream.data.size()) return facts;
  // Only columns of single elements have statistics, in their order.
  std::size_t s = 0;
  for (std::size_t c = 0; c < facts.columns.size(); ++c) {
    if (stream.layout.columns[c].elements != 1 || s >= known.columns.size()) continue;
    facts.columns[c].statistics = known.columns[s++];
    facts.columns[c].known = true;
  }
  return facts;
}

Expected<StreamFacts> facts_of_plain(const Recording& recording, std::size_t index, const OnProgress& on_progress) {
  auto cursor = recording.cursor(index);
  if (!cursor) return fail(cursor);
  const StreamInfo& info = recording.streams()[index];
  const std::size_t sample_bytes = info.metadata ? info.metadata->sample_bytes : 0;
  StreamFacts facts;
  facts.raw_bytes = facts.stored_bytes = info.raw_bytes;
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) break;
    if (facts.blocks++ == 0) facts.first_tick = (*block)->tick;
    facts.last_tick = (*block)->tick;
    if (sample_bytes > 0) facts.samples += (*block)->data.size() / sample_bytes;
    if (facts.blocks % 1024 == 0)
      if (auto go_on = on_progress(0); !go_on) return fail(go_on);
  }
  return facts;
}

std::string type_text(const Channel& channel) {
  std::string text(name_of(channel.type));
  if (channel.bits != 0) text += fmt::format(":{}", channel.bits);
  if (channel.dim_y != 1) text += fmt::format("[{}]", channel.dim_y);
  if (channel.count() != 1) text += fmt::format("[{}]", channel.dim_x);
  return text;
}

// The column that holds a channel by itself, if there is one: bit-fields share theirs, arrays have several.
const ColumnFacts* column_of(const Channel& channel, const StreamFacts& facts) {
  for (std::size_t c = 0; c < facts.columns.size(); ++c)
    if (facts.layout.columns[c].byte_offset == channel.byte_offset && channel.bits == 0) return &facts.columns[c];
  return nullptr;
}

std::string range_text(const Channel& channel, const ColumnFacts* column) {
  if (column == nullptr || !column->known || column->statistics.count == 0 || channel.count() != 1) return "";
  const auto physical = [&](double raw) { return raw * channel.scale + channel.offset; };
  const auto& s = column->statistics;
  std::string text = fmt::format("{:.6g} to {:.6g}, mean {:.6g}", physical(s.min), physical(s.max),
                                 physical(s.sum / static_cast<double>(s.count)));
  if (s.nan_count > 0) text += fmt::format(", {} NaN", s.nan_count);
  return text;
}

void print_stream(const StreamInfo& info, const StreamFacts& facts) {
  const Frequency ticks = info.tick_frequency();
  const double duration = facts.blocks > 1 ? seconds(facts.last_tick, ticks) - seconds(facts.first_tick, ticks) : 0;
  fmt::print("\nstream {}{}\n", info.id,
             info.metadata && !info.metadata->description.empty() ? ": " + info.metadata->description : "");
  fmt::print("  {} blocks{}, {} ({} to {} s, tick {} Hz)\n", grouped(facts.blocks),
             info.metadata ? fmt::format(", {} samples", grouped(facts.samples)) : "", human_seconds(duration),
             seconds(facts.first_tick, ticks), seconds(facts.last_tick, ticks), ticks.hz());
  if (info.metadata) {
    std::string rates;
    if (info.metadata->sample_frequency)
      rates += fmt::format("sample-frequency {} Hz{}", info.metadata->sample_frequency->hz(),
                           info.metadata->legacy_frequency ? " (older key `frequency`)" : "");
    if (info.metadata->block_frequency)
      rates += fmt::format("{}block-frequency {} Hz", rates.empty() ? "" : ", ", info.metadata->block_frequency->hz());
    if (!rates.empty()) fmt::print("  {}\n", rates);
  }
  if (facts.stored_bytes != facts.raw_bytes && facts.stored_bytes > 0)
    fmt::print("  {} as plain .sds, {} stored, ratio {:.2f}\n", human_bytes(facts.raw_bytes),
               human_bytes(facts.stored_bytes),
               static_cast<double>(facts.raw_bytes) / static_cast<double>(facts.stored_bytes));
  else
    fmt::print("  {}\n", human_bytes(facts.raw_bytes));
  if (info.metadata_error) fmt::print("  metadata cannot be read: {}\n", info.metadata_error->to_string());
  if (!info.metadata) return;
  if (info.metadata->image)
    fmt::print("  image {} {} x {}, {} a frame\n", info.metadata->image->pixel_format, info.metadata->image->width,
               info.metadata->image->height, human_bytes(info.metadata->image->frame_bytes));
  std::size_t shown = 0;
  fmt::print("    {:<16} {:<12} {:<16} {:<16}{}\n", "channel", "type", "scale", "unit",
             facts.columns.empty() ? "" : "stored as               range");
  for (const auto& channel : info.metadata->channels) {
    if (++shown > 64) {
      fmt::print("    ... and {} more\n", info.metadata->channels.size() - 64);
      break;
    }
    const ColumnFacts* column = column_of(channel, facts);
    const std::string scale =
        channel.offset == 0 ? fmt::format("{}", channel.scale) : fmt::format("{} + {}", channel.scale, channel.offset);
    std::string row =
        fmt::format("    {:<16} {:<12} {:<16} {:<16}", channel.name, type_text(channel), scale, channel.unit);
    if (column != nullptr) row += fmt::format("{:<23} {}", column->pipeline, range_text(channel, column));
    row.erase(row.find_last_not_of(' ') + 1);
    fmt::print("{}\n", row);
  }
}

void print_session(const Recording& recording) {
  const auto& reader = recording.sdsz();
  auto size = reader->file()->size();
  const std::uint64_t raw = total_bytes(recording);
  fmt::print("{}: .sdsz recording, {} stream{}, {}", recording.path().string(), recording.streams().size(),
             recording.streams().size() == 1 ? "" : "s", human_bytes(size ? *size : 0));
  if (size && *size > 0)
    fmt::print(" ({} as plain .sds, ratio {:.2f})", human_bytes(raw),
               static_cast<double>(raw) / static_cast<double>(*size));
  fmt::print("\n");
  for (const auto& [key, value] : reader->session().items())
    fmt::print("  {:<14} {}\n", key == "start-utc-ns" ? "start" : key, key == "start-utc-ns" ? utc_text(value) : value);
  if (!reader->complete()) fmt::print("  not closed: still being recorded, or its recorder was killed\n");
  for (const auto& stream : reader->streams())
    for (const auto& gap : stream.gaps)
      fmt::print("  loss           {} after tick {}: {}\n", stream.description.name, gap.after_tick, gap.reason);
  for (const auto& damage : reader->damages())
    fmt::print("  damage         at byte {}: {}\n", damage.offset, damage.reason);
}

nlohmann::json to_json(const StreamInfo& info, const StreamFacts& facts) {
  nlohmann::json json{{"id", info.id},
                      {"name", info.description.name},
                      {"label", info.description.label},
                      {"playback", info.description.playback},
                      {"file", info.file_name()},
                      {"blocks", facts.blocks},
                      {"raw_bytes", facts.raw_bytes},
                      {"stored_bytes", facts.stored_bytes},
                      {"tick_frequency_hz", info.tick_frequency().hz()},
                      {"first_tick", facts.first_tick},
                      {"last_tick", facts.last_tick}};
  if (info.metadata_error) json["metadata_error"] = info.metadata_error->to_string();
  if (!info.metadata) return json;
  json["samples"] = facts.samples;
  json["description"] = info.metadata->description;
  if (info.metadata->sample_frequency) json["sample_frequency_hz"] = info.metadata->sample_frequency->hz();
  if (info.metadata->block_frequency) json["block_frequency_hz"] = info.metadata->block_frequency->hz();
  json["channels"] = nlohmann::json::array();
  for (const auto& channel : info.metadata->channels) {
    nlohmann::json c{{"name", channel.name},
                     {"type", type_text(channel)},
                     {"scale", channel.scale},
                     {"offset", channel.offset},
                     {"unit", channel.unit}};
    if (const ColumnFacts* column = column_of(channel, facts); column != nullptr) {
      c["pipeline"] = column->pipeline;
      if (column->known && column->statistics.count > 0 && channel.count() == 1) {
        c["raw_min"] = column->statistics.min;
        c["raw_max"] = column->statistics.max;
        c["raw_mean"] = column->statistics.sum / static_cast<double>(column->statistics.count);
        c["nan_count"] = column->statistics.nan_count;
      }
    }
    json["channels"].push_back(c);
  }
  return json;
}

int run_info(const Options& o) {
  int exit_code = 0;
  nlohmann::json all = nlohmann::json::array();
  bool first = true;
  for (const auto& path : o.input.paths) {
    auto recording = o.input.open_one(path);
    if (!recording) {
      exit_code = std::max(exit_code, fail_with(recording.error()));
      continue;
    }
    if (!o.json && !std::exchange(first, false)) fmt::print("\n");
    Progress progress("reading " + path.filename().string(), 0);
    nlohmann::json streams = nlohmann::json::array();
    if (!o.json) {
      if (recording->sdsz()) {
        print_session(*recording);
      } else {
        fmt::print("{}: plain .sds\n", path.string());
      }
    }
    const auto indexed = recording->sdsz() ? read_statistics(*recording->sdsz()) : std::vector<IndexedColumns>();
    for (std::size_t i = 0; i < recording->streams().size(); ++i) {
      const StreamInfo& info = recording->streams()[i];
      auto facts = recording->sdsz() ? Expected<StreamFacts>(facts_of_packed(*recording, i, indexed))
                                     : facts_of_plain(*recording, i, progress.callback());
      if (!facts) return fail_with(facts.error());
      if (o.json) {
        streams.push_back(to_json(info, *facts));
      } else {
        print_stream(info, *facts);
      }
    }
    if (!o.json) continue;
    nlohmann::json json{{"recording", path.string()}, {"streams", streams}, {"damages", damages_json(*recording)}};
    if (recording->sdsz()) {
      json["session"] = nlohmann::json::object();
      for (const auto& [key, value] : recording->sdsz()->session().items()) json["session"][key] = value;
      json["complete"] = recording->sdsz()->complete();
    }
    all.push_back(json);
  }
  if (o.json) fmt::print("{}\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  return exit_code;
}

}  // namespace

void add_info(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("info", "Show what is in recordings: streams, channels, rates, sizes, statistics");
  auto o = std::make_shared<Options>();
  o->input.add_to(*command, "Recordings, each by itself (.sds or .sdsz)", true);
  command->add_flag("--json", o->json, "Report as JSON: an array with one entry a recording");
  command->footer("Example: sds info walk.sdsz");
  command->callback([o, &run] { run = [o] { return run_info(*o); }; });
}

}  // namespace sds::cli
