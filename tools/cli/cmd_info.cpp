#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <ctime>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "clock_fit.hpp"
#include "command.hpp"
#include "damage_text.hpp"
#include "opened.hpp"
#include "progress_line.hpp"
#include "query.hpp"
#include "report.hpp"
#include "sds/format/if_damaged.hpp"
#include "sds/format/sdsz_index.hpp"
#include "shell_text.hpp"
#include "time_span.hpp"
#include "value_text.hpp"

namespace sds::cli {

namespace {

struct InfoArguments {
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
  std::optional<std::uint64_t> first_tick;  // none without blocks
  std::optional<std::uint64_t> last_tick;
  std::optional<TimeSpan> span;   // of the samples, in seconds
  std::uint64_t first_block = 0;  // ordinals of these two
  std::uint64_t last_block = 0;
  std::vector<ColumnFacts> columns;  // by the layout's columns; empty for plain files
  Layout layout;
  std::vector<ValueSummary> read;            // where the index does not tell what a channel's values are
  std::map<std::size_t, Extremes> extremes;  // that the index rounds, by the number of the channel's first value
};

std::string utc_text(const std::string& utc_ns) {
  std::uint64_t ns = 0;
  if (std::from_chars(utc_ns.data(), utc_ns.data() + utc_ns.size(), ns).ec != std::errc{}) return utc_ns;
  const auto t = static_cast<std::time_t>(ns / 1'000'000'000);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03} UTC", fmt::gmtime(t), ns / 1'000'000 % 1000);
}

// What the index says of each stream's columns; the index is read once, however many streams there are.
struct IndexedColumns {
  std::size_t sections = 0;
  bool whole = true;  // every section has statistics
  std::vector<ColumnStatistics> columns;
};

// None where the index has them not; a read that fails is an error.
Expected<std::vector<IndexedColumns>> read_statistics(const SdszReader& reader) {
  std::vector<IndexedColumns> streams(reader.streams().size());
  if (!reader.complete()) return std::vector<IndexedColumns>();
  auto done =
      for_each_statistics(*reader.file(), [&](const IndexEntry& section, std::span<const ColumnStatistics> statistics) {
        const auto index = reader.index_of(section.header.stream);
        if (!index) return;
        IndexedColumns& stream = streams[*index];
        if (stream.sections++ == 0) stream.columns.resize(statistics.size());
        if (statistics.empty() || statistics.size() != stream.columns.size()) stream.whole = false;
        for (std::size_t c = 0; c < std::min(statistics.size(), stream.columns.size()); ++c)
          add_statistics(stream.columns[c], statistics[c]);
      });
  if (done) return streams;
  if (is_unread(done.error())) return fail(done);
  return std::vector<IndexedColumns>();
}

// What the first section of each column is stored as; false if it is damaged.
Expected<bool> take_pipelines(const SdszReader& reader, const IndexEntry& first, StreamFacts& facts) {
  auto payload = reader.payload(first);
  auto summary = payload ? summarize(*payload) : fail(payload);
  if (!summary && is_unread(summary.error())) return fail(summary);
  if (!summary) return false;
  for (std::size_t c = 0; c < facts.columns.size() && c + 3 < summary->columns.size(); ++c)
    facts.columns[c].pipeline = describe(summary->columns[c + 3]);
  return true;
}

// Of the block `ordinal`; blocks come in any order.
void take_tick(std::uint64_t ordinal, std::uint64_t tick, StreamFacts& facts) {
  if (!facts.first_tick || ordinal < facts.first_block) {
    facts.first_block = ordinal;
    facts.first_tick = tick;
  }
  if (!facts.last_tick || ordinal >= facts.last_block) {
    facts.last_block = ordinal;
    facts.last_tick = tick;
  }
}

// The column that holds a channel by itself, if there is one: bit-fields share theirs, arrays have several.
const ColumnFacts* column_of(const Channel& channel, const StreamFacts& facts) {
  for (std::size_t c = 0; c < facts.columns.size(); ++c)
    if (facts.layout.columns[c].byte_offset == channel.byte_offset && channel.bits == 0) return &facts.columns[c];
  return nullptr;
}

// Whether what `range_text()` tells of a channel has to be read.
bool is_undecided(const Channel& channel, const StreamFacts& facts) {
  const ColumnFacts* column = column_of(channel, facts);
  return column != nullptr && column->known && channel.count() == 1 && !physical_summary(channel, column->statistics);
}

// What only the log has. With it the cursor comes to the section `damaged`, if there is one, and notes what is lost.
Expected<void> take_log(const Recording& recording, std::size_t index, const IndexEntry* damaged, StreamFacts& facts) {
  const StreamInfo& info = recording.streams()[index];
  const std::uint64_t from = damaged != nullptr ? damaged->header.first_block : 0;
  const std::uint64_t to = damaged != nullptr ? damaged->header.end_block() : 0;
  auto cursor = recording.cursor(index, nullptr, [damaged](const IndexEntry& entry) {
    return damaged != nullptr && entry.offset == damaged->offset;
  });
  if (!cursor) return fail(cursor);
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) return {};
    take_tick((*block)->ordinal, (*block)->tick, facts);
    if ((*block)->ordinal >= from && (*block)->ordinal < to) continue;  // counted with the section
    ++facts.blocks;
    facts.raw_bytes += 8 + (*block)->data.size();
    facts.stored_bytes += 8 + (*block)->data.size();
    if (info.metadata && info.metadata->sample_bytes > 0)
      facts.samples += (*block)->data.size() / info.metadata->sample_bytes;
  }
}

// Only columns of single elements have statistics, in their order.
void take_statistics(const SdszStream& stream, const IndexedColumns& known, StreamFacts& facts) {
  if (!known.whole || known.sections != stream.data.size()) return;
  std::size_t s = 0;
  for (std::size_t c = 0; c < facts.columns.size(); ++c) {
    if (stream.layout.columns[c].elements != 1 || s >= known.columns.size()) continue;
    facts.columns[c].statistics = known.columns[s++];
    facts.columns[c].known = !stream.log_needed;
  }
}

// With all digits, where the index does not have them.
Expected<void> take_extremes(const Recording& recording, std::size_t index, StreamFacts& facts,
                             const OnProgress& on_progress) {
  const auto& metadata = recording.streams()[index].metadata;
  if (!metadata || std::none_of(metadata->channels.begin(), metadata->channels.end(), [&](const Channel& channel) {
        const ColumnFacts* column = column_of(channel, facts);
        return is_wide(channel) && column != nullptr && column->known;
      }))
    return {};
  const auto statistics = load_statistics(*recording.sdsz()->file(), recording.sdsz()->streams()[index].number);
  if (!statistics) return fail(statistics);
  auto extremes = rounded_extremes(recording, index, all_values(*metadata), *statistics, on_progress);
  if (!extremes) return fail(extremes);
  facts.extremes = std::move(*extremes);
  return {};
}

Expected<StreamFacts> facts_of_packed(const Recording& recording, std::size_t index,
                                      const std::vector<IndexedColumns>& indexed, const OnProgress& on_progress) {
  const SdszReader& reader = *recording.sdsz();
  const SdszStream& stream = reader.streams()[index];
  const StreamInfo& info = recording.streams()[index];
  StreamFacts facts;
  facts.stored_bytes = stream.stored_bytes;
  facts.layout = stream.layout;
  for (const auto& entry : stream.data) {
    facts.blocks += entry.header.block_count;
    facts.raw_bytes += entry.header.raw_bytes;
    if (entry.header.block_count == 0) continue;
    take_tick(entry.header.first_block, entry.header.first_tick, facts);
    take_tick(entry.header.end_block() - 1, entry.header.last_tick, facts);
  }
  facts.columns.resize(stream.layout.columns.size());
  if (index < indexed.size()) take_statistics(stream, indexed[index], facts);
  if (info.metadata && std::any_of(info.metadata->channels.begin(), info.metadata->channels.end(),
                                   [&](const Channel& channel) { return is_undecided(channel, facts); })) {
    auto read = summarize_values(recording, {index}, true, {}, on_progress);
    if (read) {
      facts.read = std::move(*read);
    } else if (read.error().code != ErrorCode::limit) {
      return fail(read);
    }
  }
  if (auto done = take_extremes(recording, index, facts, on_progress); !done) return fail(done);
  if (info.metadata && info.metadata->sample_bytes > 0) {
    // Blocks may hold bytes that are no whole sample: where the index counts the samples, it is right.
    const auto counted = std::find_if(facts.columns.begin(), facts.columns.end(), [](const ColumnFacts& c) {
      return c.statistics.count + c.statistics.nan_count > 0;
    });
    facts.samples = counted != facts.columns.end()
                        ? counted->statistics.count + counted->statistics.nan_count
                        : (facts.raw_bytes - std::min(facts.raw_bytes, 8 * facts.blocks)) / info.metadata->sample_bytes;
  }
  const IndexEntry* first = stream.data.empty() ? nullptr : &stream.data.front();
  bool damaged = false;
  if (first != nullptr) {
    const auto taken = take_pipelines(reader, *first, facts);
    if (!taken) return fail(taken);
    damaged = !*taken;
  }
  if (damaged || stream.log_needed)
    if (auto done = take_log(recording, index, damaged ? first : nullptr, facts); !done) return fail(done);
  for (const auto& entry : stream.tail) facts.raw_bytes += entry.header.raw_bytes;
  auto span = time_span(recording, index);
  if (!span) return fail(span);
  facts.span = *span;
  return facts;
}

Expected<StreamFacts> facts_of_plain(const Recording& recording, std::size_t index, const OnProgress& on_progress) {
  auto cursor = recording.cursor(index);
  if (!cursor) return fail(cursor);
  const StreamInfo& info = recording.streams()[index];
  const std::size_t sample_bytes = info.metadata ? info.metadata->sample_bytes : 0;
  StreamFacts facts;
  facts.raw_bytes = facts.stored_bytes = info.raw_bytes;
  BlocksInTime in_time(info.tick_frequency(), info.metadata);
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) break;
    ++facts.blocks;
    in_time.add((*block)->tick, (*block)->data.size());
    take_tick((*block)->ordinal, (*block)->tick, facts);
    if (sample_bytes > 0) facts.samples += (*block)->data.size() / sample_bytes;
    if (facts.blocks % 1024 == 0)
      if (auto go_on = on_progress(0); !go_on) return fail(go_on);
  }
  if (facts.blocks > 0) facts.span = in_time.span();
  return facts;
}

std::string type_text(const Channel& channel) {
  std::string text(name_of(channel.type));
  if (channel.bits != 0) text += fmt::format(":{}", channel.bits);
  if (channel.dim_y != 1) text += fmt::format("[{}]", channel.dim_y);
  if (channel.count() != 1) text += fmt::format("[{}]", channel.dim_x);
  return text;
}

// The number of the channel's first value, of all.
std::size_t value_of(const Metadata& metadata, const Channel& channel) {
  std::size_t value = 0;
  for (const Channel* before = metadata.channels.data(); before != &channel; ++before) value += before->count();
  return value;
}

std::string range_text(const Metadata& metadata, const Channel& channel, const StreamFacts& facts) {
  const ColumnFacts* column = column_of(channel, facts);
  if (column == nullptr || !column->known || column->statistics.count == 0 || channel.count() != 1) return "";
  auto summary = physical_summary(channel, column->statistics);
  const std::size_t value = value_of(metadata, channel);
  if (!summary && !facts.read.empty()) summary = facts.read[value];
  if (!summary) return "";
  if (const auto exact = facts.extremes.find(value); exact != facts.extremes.end() && need_all_digits(channel)) {
    summary->min = exact->second.min;
    summary->max = exact->second.max;
  }
  std::string text = summary->count == 0
                         ? ""
                         : fmt::format("{} to {}, mean {:.6g}", value_text(summary->min, summary->whole),
                                       value_text(summary->max, summary->whole), summary->mean);
  if (summary->nan_count > 0) text += fmt::format("{}{} NaN", text.empty() ? "" : ", ", summary->nan_count);
  return text;
}

void print_stream(const StreamInfo& info, const StreamFacts& facts) {
  const Frequency ticks = info.tick_frequency();
  fmt::print("\nstream {}{}\n", info.id,
             info.metadata && !info.metadata->description.empty() ? ": " + info.metadata->description : "");
  fmt::print("  {}{}", counted(facts.blocks, "block"), info.metadata ? ", " + counted(facts.samples, "sample") : "");
  if (facts.span)
    fmt::print(", {} ({} to {} s, tick {} Hz)", human_seconds(facts.span->end - facts.span->begin),
               seconds_text(facts.span->begin), seconds_text(facts.span->end), ticks.hz());
  fmt::print("\n");
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
    if (column != nullptr)
      row += fmt::format("{:<23} {}", column->pipeline, range_text(*info.metadata, channel, facts));
    row.erase(row.find_last_not_of(' ') + 1);
    fmt::print("{}\n", row);
  }
}

std::uint64_t log_bytes(const std::filesystem::path& recording) {
  std::uint64_t bytes = 0;
  for (const auto& log : {wal_path(recording), new_wal_path(recording)}) {
    std::error_code none;
    const auto size = std::filesystem::file_size(log, none);
    if (!none) bytes += size;
  }
  return bytes;
}

void print_session(const Recording& recording, std::uint64_t raw) {
  const auto& reader = recording.sdsz();
  std::uint64_t stored = 0;
  if (const auto size = reader->file()->size()) stored = *size;
  const std::uint64_t log = reader->has_log() ? log_bytes(recording.path()) : 0;
  fmt::print("{}: .sdsz recording, {}, {}{}", recording.path().string(), counted(recording.streams().size(), "stream"),
             human_bytes(stored), log > 0 ? fmt::format(" and a log of {}", human_bytes(log)) : "");
  if (stored > 0)
    fmt::print(" ({} as plain .sds, ratio {:.2f})", human_bytes(raw),
               static_cast<double>(raw) / static_cast<double>(stored + log));
  fmt::print("\n");
  for (const auto& [key, value] : reader->session().items()) {
    if (key == "lost-streams") continue;  // in words, below
    fmt::print("  {:<14} {}\n", key == "start-utc-ns" ? "start" : key, key == "start-utc-ns" ? utc_text(value) : value);
  }
  if (const auto lost = lost_streams_text(recording)) fmt::print("  loss           {}\n", *lost);
  if (const auto open = tell_not_closed(recording)) fmt::print("  {}\n", *open);
  for (const auto& text : utc_steps(recording)) fmt::print("  clock          {}\n", text);
  const auto ids = stream_ids(recording);
  for (std::size_t i = 0; i < ids.size(); ++i)
    for (const auto& gap : reader->streams()[i].gaps)
      fmt::print("  loss           {} after tick {}: {}\n", ids[i], gap.after_tick, visible_text(gap.reason));
  for (const auto& damage : reader->damages()) fmt::print("  damage         {}\n", describe(damage, ids));
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
                      {"first_tick", or_null(facts.first_tick)},
                      {"last_tick", or_null(facts.last_tick)},
                      {"begin", facts.span ? nlohmann::json(facts.span->begin) : nlohmann::json(nullptr)},
                      {"end", facts.span ? nlohmann::json(facts.span->end) : nlohmann::json(nullptr)},
                      {"duration", facts.span ? facts.span->end - facts.span->begin : 0}};
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
        Channel raw = channel;
        raw.scale = 1;
        raw.offset = 0;
        const auto exact = facts.extremes.find(value_of(*info.metadata, channel));
        const Extremes extremes =
            exact != facts.extremes.end() ? exact->second : Extremes{column->statistics.min, column->statistics.max};
        c["raw_min"] = value_json(extremes.min, is_whole(raw));
        c["raw_max"] = value_json(extremes.max, is_whole(raw));
        const auto summary = physical_summary(raw, column->statistics);
        c["raw_mean"] = summary ? nlohmann::json(summary->mean) : nlohmann::json(nullptr);
        c["nan_count"] = column->statistics.nan_count;
      }
    }
    json["channels"].push_back(c);
  }
  return json;
}

Expected<std::vector<StreamFacts>> facts_of(const Recording& recording, const OnProgress& on_progress) {
  std::vector<StreamFacts> all;
  const auto indexed = recording.sdsz() ? read_statistics(*recording.sdsz()) : Expected<std::vector<IndexedColumns>>();
  if (!indexed) return fail(indexed);
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    auto facts = recording.sdsz() ? facts_of_packed(recording, i, *indexed, on_progress)
                                  : facts_of_plain(recording, i, on_progress);
    if (!facts) return fail(facts);
    all.push_back(std::move(*facts));
  }
  return all;
}

nlohmann::json to_json(const Recording& recording, const std::vector<StreamFacts>& facts) {
  nlohmann::json json{{"recording", recording.path().string()}, {"streams", nlohmann::json::array()}};
  for (std::size_t i = 0; i < facts.size(); ++i) {
    json["streams"].push_back(to_json(recording.streams()[i], facts[i]));
    if (!recording.sdsz()) continue;
    auto& losses = json["streams"].back()["losses"] = nlohmann::json::array();
    for (const auto& gap : recording.sdsz()->streams()[i].gaps)
      losses.push_back({{"after_tick", gap.after_tick}, {"before_block", gap.before_block}, {"reason", gap.reason}});
  }
  if (!recording.sdsz()) return json;
  json["session"] = nlohmann::json::object();
  for (const auto& [key, value] : recording.sdsz()->session().items()) json["session"][key] = value;
  json["complete"] = recording.sdsz()->complete();
  json["utc_steps"] = utc_steps(recording);
  return json;
}

void print_text(const Recording& recording, const std::vector<StreamFacts>& facts) {
  if (recording.sdsz()) {
    std::uint64_t raw = 0;
    for (const auto& stream : facts) raw += stream.raw_bytes;
    print_session(recording, raw);
  } else {
    fmt::print("{}: plain .sds\n", recording.path().string());
  }
  for (std::size_t i = 0; i < facts.size(); ++i) print_stream(recording.streams()[i], facts[i]);
}

int run_info(const InfoArguments& o) {
  int exit_code = 0;
  nlohmann::json all = nlohmann::json::array();
  bool first = true;
  for (const auto& path : o.input.paths) {
    auto recording = o.input.open_one(path);
    Progress progress("reading " + path.filename().string(), 0);
    auto facts =
        recording ? facts_of(*recording, progress.callback()) : Expected<std::vector<StreamFacts>>(fail(recording));
    if (!facts) {
      exit_code = std::max(exit_code, fail_with(facts.error()));
      if (facts.error().code == ErrorCode::interrupted) return exit_code;
      continue;
    }
    if (o.json) {
      all.push_back(to_json(*recording, *facts));
      continue;
    }
    if (!std::exchange(first, false)) fmt::print("\n");
    print_text(*recording, *facts);
  }
  if (o.json) print_json({{"recordings", all}, {"damages", damages_json()}});
  return exit_code;
}

}  // namespace

void add_info(Command& app, Run& run) {
  auto* command = app.add_subcommand("info", "Show what is in recordings: streams, channels, rates, sizes, statistics");
  auto o = std::make_shared<InfoArguments>();
  o->input.add_to(*command, "Recordings, each by itself (.sds or .sdsz)", true);
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer("Example: sds info walk.sdsz");
  command->callback([o, &run] { run = [o] { return run_info(*o); }; });
}

}  // namespace sds::cli
