// sds cut: a part of a recording.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "edit.hpp"
#include "label_tools.hpp"
#include "new_recording.hpp"
#include "sds/format/if_damaged.hpp"
#include "sds/format/names.hpp"
#include "sds/format/source_fingerprint.hpp"
#include "sds/format/steps.hpp"
#include "session_ids.hpp"
#include "stream_copy.hpp"
#include "time_span.hpp"

namespace sds {

namespace {

// Clock pairs of the time asked for, and of each piece of it the last one before and the first one behind: what a fit
// needs to know of the clock there.
std::vector<ClockPair> clocks_within(std::span<const ClockPair> clocks, const Frequency& ticks,
                                     const TimeRanges& within) {
  std::vector<ClockPair> sorted(clocks.begin(), clocks.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.tick < b.tick; });
  std::vector<bool> wanted(sorted.size());
  for (const auto& range : within) {
    const auto first = std::partition_point(
        sorted.begin(), sorted.end(), [&](const ClockPair& pair) { return seconds(pair.tick, ticks) < range.begin; });
    const auto last = std::partition_point(
        first, sorted.end(), [&](const ClockPair& pair) { return seconds(pair.tick, ticks) < range.end; });
    const auto from = static_cast<std::size_t>(first - sorted.begin());
    const auto to = static_cast<std::size_t>(last - sorted.begin());
    for (std::size_t i = from == 0 ? 0 : from - 1; i < std::min(to + 1, sorted.size()); ++i) wanted[i] = true;
  }
  std::vector<ClockPair> chosen;
  for (std::size_t i = 0; i < sorted.size(); ++i)
    if (wanted[i]) chosen.push_back(sorted[i]);
  return chosen;
}

class StreamCutter {
 public:
  StreamCutter(const Recording& recording, std::size_t index, const TimeRanges& within, SdszWriter& writer,
               EditReport& report)
      : recording_(recording),
        stream_(recording.streams()[index]),
        index_(index),
        within_(within),
        writer_(writer),
        report_(report),
        losses_(recording, index),
        samples_(stream_.metadata) {}

  Expected<void> run(const OnProgress& on_progress) {
    auto id = writer_.add_stream(stream_.description);
    if (!id) return fail(id);
    id_ = *id;
    const std::uint64_t blocks_before = report_.blocks;
    TimeRanges reached = within_;
    if (!has_rate()) {
      auto all = blocks_in_time(recording_, index_);
      if (!all) return fail(all);
      all_ = *all;
      // A block that is so long may be of a section that ends long before the part.
      const double lasts = all_.end_of_block(0);
      for (auto& span : reached) span.begin -= lasts;
      reached = normalized(std::move(reached));
    }
    auto cursor = recording_.cursor(index_, nullptr, time_filter(recording_, index_, reached));
    if (!cursor) return fail(cursor);
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) break;
      if (auto go_on = sds::report(on_progress, (*block)->data.size() + 8); !go_on) return go_on;
      if (auto done = take(**block); !done) return done;
    }
    for (const auto& loss : losses_.at_end())
      if (within_.back().end > seconds(loss.after_tick, stream_.tick_frequency()))
        if (auto done = writer_.add_gap(id_, loss.reason); !done) return done;
    if (within_.back().end > seconds(last_tick(), stream_.tick_frequency()))
      if (auto done = leave_tail(writer_, id_, stream_.id, **cursor, losses_, report_); !done) return done;
    for (const auto& pair : clocks_within(clocks_of(recording_, index_), stream_.tick_frequency(), within_))
      if (auto done = writer_.add_clock(id_, pair); !done) return done;
    if (report_.blocks == blocks_before && within_ != all_time)
      report_.notes.push_back(stream_.id + ": nothing of it is in the part");
    return writer_.end_stream(id_);
  }

 private:
  [[nodiscard]] bool has_rate() const {
    return stream_.metadata && stream_.metadata->sample_frequency && stream_.metadata->sample_bytes > 0;
  }

  // Of the stream's last block, whether it was read or not.
  [[nodiscard]] std::uint64_t last_tick() const {
    std::uint64_t last = last_tick_;
    if (recording_.sdsz())
      for (const auto& entry : recording_.sdsz()->streams()[index_].data) last = std::max(last, entry.header.last_tick);
    return last;
  }

  Expected<void> take(const BlockView& block) {
    const Frequency ticks = stream_.tick_frequency();
    const double begin = seconds(block.tick, ticks);
    for (const auto& loss : losses_.before(block))
      if (overlaps(within_, seconds(std::min(loss.after_tick, block.tick), ticks), begin))
        if (auto done = writer_.add_gap(id_, loss.reason); !done) return done;
    last_tick_ = block.tick;
    double end = begin;
    if (const std::uint64_t samples = samples_.of(block); samples > 0)
      end = has_rate() ? seconds(block.tick, ticks, samples, *stream_.metadata->sample_frequency)
                       : all_.end_of_block(block.tick);
    if (!overlaps(within_, begin, end)) return {};
    ++report_.blocks;
    return writer_.append_at(id_, block.tick, block.data);
  }

  const Recording& recording_;
  const StreamInfo& stream_;
  std::size_t index_;
  const TimeRanges& within_;
  SdszWriter& writer_;
  EditReport& report_;
  StreamLosses losses_;
  StepSamples samples_;
  SdszWriter::StreamId id_ = 0;
  std::uint64_t last_tick_ = 0;
  BlocksInTime all_;  // of a stream without a sample frequency
};

}  // namespace

Expected<std::optional<LabelFile>> sound_labels_of(const Recording& recording, std::vector<std::string>& notes) {
  auto labels = labels_of(recording);
  if (labels) return std::move(*labels);
  if (is_unread(labels.error())) return fail(labels);
  notes.push_back("the labels are left behind: " + labels.error().to_string());
  return std::nullopt;
}

Expected<LabelFile> labels_of_part(const Recording& recording, const std::vector<std::size_t>& streams,
                                   const TimeRanges& within, EditReport& report) {
  auto sound = sound_labels_of(recording, report.notes);
  if (!sound) return fail(sound);
  if (!*sound) return LabelFile{};
  LabelFile* const labels = &**sound;
  if (auto note = note_of_rounded(*labels)) report.notes.push_back(std::move(*note));
  LabelFile left;
  left.tick_frequency = labels->tick_frequency;
  left.classes = labels->classes;
  // What is left may be called by a shorter name.
  std::vector<SdsFileName> names;
  for (const std::size_t s : streams) {
    const auto& description = recording.streams()[s].description;
    names.push_back({description.name, description.label, description.playback});
  }
  const auto ids = ids_of_streams(names);
  std::map<std::string, std::string> left_as;
  for (std::size_t i = 0; i < streams.size(); ++i) left_as.emplace(recording.streams()[streams[i]].id, ids[i]);
  for (auto& label : labels->labels) {
    if (!label.stream.empty()) {
      const auto stream = left_as.find(label.stream);
      if (stream == left_as.end()) continue;
      label.stream = stream->second;
    }
    left.labels.push_back(std::move(label));
  }
  shorten_labels(left, recording, within);
  report.labels = left.labels.size();
  left.sort();
  return left;
}

namespace {

// Why no block is left: an error, as nobody wants an empty recording.
tl::unexpected<Error> nothing_left(const Recording& recording, const std::vector<std::size_t>& streams) {
  auto covered = spans_text(recording, streams);
  if (!covered) return fail(covered);
  return fail(recording.damages().empty() ? ErrorCode::usage : ErrorCode::bad_input,
              "nothing is left: no block lies in the time that was asked for; " + *covered, recording.path());
}

}  // namespace

Expected<EditReport> cut(const Recording& recording, const std::vector<std::size_t>& streams, const TimeRanges& within,
                         const std::filesystem::path& output, const EditOptions& options,
                         const OnProgress& on_progress) {
  if (within.empty()) return nothing_left(recording, streams);
  std::vector<FileInUse> labels;
  for (const auto& path : label_files(recording)) labels.emplace_back(path);
  auto session = session_from(recording);
  if (!session) return fail(session);
  session->set("tool", "sdskit cut");
  SourceFingerprint source;
  source.add(recording);
  for (const auto& span : within) source.add(fmt::format("{} {}", span.begin, span.end));
  auto made_of = source.to_string();
  if (!made_of) return fail(made_of);
  session->set("source", std::move(*made_of));
  auto made = NewRecording::create(output, *session, options.level, options.force);
  if (!made) return fail(made);
  EditReport report;
  report.streams = streams.size();
  for (const std::size_t index : streams)
    if (auto done = StreamCutter(recording, index, within, (*made)->writer(), report).run(on_progress); !done)
      return fail(done);
  report.raw_bytes = (*made)->writer().raw_bytes();
  if (report.blocks == 0) return nothing_left(recording, streams);
  const auto left = labels_of_part(recording, streams, within, report);
  if (!left) return fail(left);
  const bool any = !left->labels.empty() || !left->classes.empty() || names_give_way(recording);
  if (auto done = (*made)->finish(report.notes, any ? &*left : nullptr); !done) return fail(done);
  return report;
}

}  // namespace sds
