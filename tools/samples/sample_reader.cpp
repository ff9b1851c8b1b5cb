#include "sample_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "sds/format/elapsed.hpp"

namespace sds {

namespace {

// Of the first block that the recording tells of, whether it can be read or not.
std::optional<std::uint64_t> first_tick_of(const Recording& recording, std::size_t index) {
  if (!recording.sdsz()) return std::nullopt;
  const SdszStream& stream = recording.sdsz()->streams()[index];
  if (!stream.log.empty() &&
      (stream.data.empty() || stream.log.front().first_block < stream.data.front().header.first_block))
    return stream.log.front().first_tick;
  if (stream.data.empty()) return std::nullopt;
  return stream.data.front().header.first_tick;
}

}  // namespace

Expected<std::optional<std::uint64_t>> first_tick(const Recording& recording, std::size_t index) {
  if (const auto known = first_tick_of(recording, index)) return known;
  auto cursor = recording.cursor(index);
  if (!cursor) return fail(cursor);
  auto block = (*cursor)->next();
  if (!block) return fail(block);
  return *block ? std::optional((*block)->tick) : std::nullopt;
}

std::optional<std::string> why_no_samples(const StreamInfo& stream) {
  if (stream.metadata_error) return stream.metadata_error->to_string();
  if (!stream.metadata)
    return fmt::format("it has no metadata ({}.sds.yml, or name one with -y)", stream.description.name);
  if (stream.metadata->image) return "it holds images";
  return std::nullopt;
}

Expected<std::vector<std::size_t>> choose_streams(const Recording& recording, const std::vector<std::string>& ids) {
  std::vector<std::size_t> streams;
  for (const auto& id : ids) {
    auto found = recording.find_stream(id);
    if (!found) return fail(found);
    streams.push_back(*found);
  }
  if (ids.empty())
    for (std::size_t i = 0; i < recording.streams().size(); ++i) streams.push_back(i);
  return streams;
}

SectionFilter time_filter(const Recording& recording, std::size_t stream, const TimeRanges& ranges) {
  if (!recording.sdsz() || ranges == all_time) return {};
  const auto& sections = recording.sdsz()->streams()[stream].data;
  const Frequency frequency = recording.streams()[stream].tick_frequency();
  const auto& metadata = recording.streams()[stream].metadata;
  std::unordered_set<std::uint64_t> unwanted;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const SectionHeader& header = sections[i].header;
    if ((header.flags & SectionHeader::flag_unsorted) != 0) continue;
    const double first = seconds(header.first_tick, frequency);
    const double last = seconds(header.last_tick, frequency);
    // The last block reaches beyond its own time: up to the next section as a rule, and with some room to spare. Its
    // samples are the section's at most. In front of a step back nobody knows how far.
    double end = std::numeric_limits<double>::infinity();
    if (i + 1 < sections.size() && sections[i + 1].header.first_tick >= header.last_tick)
      end = std::max({last + std::max(1.0, 2 * (last - first)), seconds(sections[i + 1].header.first_tick, frequency),
                      metadata && metadata->sample_frequency && metadata->sample_bytes > 0
                          ? seconds(header.last_tick, frequency, header.raw_bytes / metadata->sample_bytes,
                                    *metadata->sample_frequency)
                          : last});
    if (!overlaps(ranges, first, end)) unwanted.insert(sections[i].offset);
  }
  return [unwanted](const IndexEntry& section) { return unwanted.count(section.offset) == 0; };
}

Expected<SampleReader> SampleReader::open(const Recording& recording, std::size_t index, const SampleOptions& options,
                                          OnProgress on_progress, Executor* executor) {
  const StreamInfo& stream = recording.streams()[index];
  if (stream.metadata_error) return tl::unexpected<Error>(*stream.metadata_error);
  if (!stream.metadata)
    return fail(ErrorCode::bad_input,
                fmt::format("stream {} has no metadata ({}.sds.yml, or name one with -y): its bytes cannot be decoded",
                            stream.id, stream.description.name),
                stream.path);
  if (stream.metadata->image)
    return fail(ErrorCode::unsupported,
                fmt::format("stream {} holds images, which have no table of values (sds export images)", stream.id),
                stream.path);
  if (options.times == SampleTimes::rate && !stream.metadata->sample_frequency)
    return fail(ErrorCode::usage, fmt::format("the metadata of {} has no sample-frequency", stream.id), stream.path);
  SampleReader reader;
  reader.id_ = stream.id;
  reader.metadata_ = &*stream.metadata;
  reader.options_ = options;
  if (options.times == SampleTimes::metadata)
    reader.options_.times = stream.metadata->sample_frequency ? SampleTimes::rate : SampleTimes::block;
  reader.tick_frequency_ = stream.tick_frequency();
  reader.on_progress_ = std::move(on_progress);
  reader.origin_ = first_tick_of(recording, index);
  if (recording.sdsz()) reader.losses_ = recording.sdsz()->streams()[index].gaps;
  SectionFilter wanted = options.sections;
  // Up to which block samples are spread only who reads it knows: the next section may be damaged.
  if (!wanted && reader.options_.times != SampleTimes::interpolate)
    wanted = time_filter(recording, index, options.within);
  auto cursor = recording.cursor(index, executor, std::move(wanted));
  if (!cursor) return fail(cursor);
  reader.cursor_ = std::move(*cursor);
  return reader;
}

Expected<const SampleRun*> SampleReader::next() {
  const bool interpolates = options_.times == SampleTimes::interpolate;
  for (;;) {
    if (take_run()) return &run_;
    if (ended_) return nullptr;
    auto block = cursor_->next();
    if (!block) return fail(block);
    if (!*block) {
      ended_ = true;
      pass_losses(std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<double>::infinity());
      if (held_) {
        out_ = std::move(*held_);
        held_.reset();
        fill(out_.tick, out_.tick + last_distance_, out_.data);
      }
      continue;
    }
    const BlockView& b = **block;
    if (!origin_) origin_ = b.tick;
    if (options_.on_block) options_.on_block(b);
    pass_losses(b.ordinal, seconds(b.tick, tick_frequency_));
    if (b.data.size() % metadata_->sample_bytes != 0) ++odd_blocks_;
    unreported_ += b.data.size() + 8;
    if (unreported_ >= (1u << 18))
      if (auto go_on = report(on_progress_, std::exchange(unreported_, 0)); !go_on) return fail(go_on);
    if (!interpolates) {
      fill(b.tick, b.tick, b.data);
      continue;
    }
    const bool any = held_.has_value();
    if (any) {
      std::swap(out_, *held_);
      last_distance_ = b.tick > out_.tick ? b.tick - out_.tick : 0;
    } else {
      held_ = HeldBlock();
    }
    held_->tick = b.tick;
    held_->data.assign(b.data.begin(), b.data.end());
    if (any) fill(out_.tick, b.tick, out_.data);
  }
}

// Makes a block the one that runs are taken from.
void SampleReader::fill(std::uint64_t tick, std::uint64_t next_tick, ByteView data) {
  times_.resize(data.size() / metadata_->sample_bytes);
  for (std::size_t k = 0; k < times_.size(); ++k)
    times_[k] = sample_time(tick, next_tick, k, times_.size(), origin_of_times());
  next_ = 0;
  next_tick_ = next_tick;
  tick_ = tick;
  data_ = data.data();
}

// Sets run_ to the next wanted samples of the block; false if there are none left.
bool SampleReader::take_run() {
  const bool all = options_.within == all_time;
  const auto wanted = [&](std::size_t k) {
    return all || contains(options_.within,
                           options_.normalize ? sample_time(tick_, next_tick_, k, times_.size(), 0) : times_[k]);
  };
  while (next_ < times_.size() && !wanted(next_)) ++next_;
  if (next_ >= times_.size()) return false;
  std::size_t end = all ? times_.size() : next_ + 1;
  while (end < times_.size() && wanted(end)) ++end;
  run_ = {tick_, next_, end - next_, data_ + next_ * metadata_->sample_bytes,
          std::span<const double>(times_).subspan(next_, end - next_)};
  next_ = end;
  return true;
}

double SampleReader::sample_time(std::uint64_t tick, std::uint64_t next_tick, std::size_t k, std::size_t count,
                                 std::uint64_t origin) const {
  // A block before the first one (descending timeslots) has a negative time when normalised.
  if (options_.times == SampleTimes::rate)
    return tick < origin ? seconds_since({origin - tick, tick_frequency_}, {k, *metadata_->sample_frequency})
                         : seconds(tick - origin, tick_frequency_, k, *metadata_->sample_frequency);
  const double time =
      tick < origin ? -seconds(origin - tick, tick_frequency_) : seconds(tick - origin, tick_frequency_);
  if (options_.times != SampleTimes::interpolate || k == 0 || next_tick <= tick) return time;
  return time + static_cast<double>(k) / static_cast<double>(count) * seconds(next_tick - tick, tick_frequency_);
}

// A loss lies between the block before it and the one behind it.
void SampleReader::pass_losses(std::uint64_t before_block, double until_s) {
  for (; losses_passed_ < losses_.size() && losses_[losses_passed_].before_block <= before_block; ++losses_passed_) {
    const Gap& loss = losses_[losses_passed_];
    if (overlaps(options_.within, std::min(seconds(loss.after_tick, tick_frequency_), until_s), until_s))
      losses_within_.push_back(loss);
  }
}

std::vector<std::string> SampleReader::notes_of_losses(const char* what_becomes_of_them) const {
  const auto& lost = losses_within_;
  if (lost.empty()) return {};
  const bool one = lost.size() == 1;
  return {fmt::format("{}: {} loss{} of the recording {} {}: {}{}", id_, lost.size(), one ? "" : "es",
                      one ? "is" : "are", what_becomes_of_them, one ? "" : "the first: ", lost.front().reason)};
}

std::vector<std::string> SampleReader::notes() const {
  std::vector<std::string> notes;
  if (odd_blocks_ > 0)
    notes.push_back(fmt::format("{}: {} blocks have bytes left over after their last whole sample of {} bytes", id_,
                                odd_blocks_, metadata_->sample_bytes));
  return notes;
}

tl::unexpected<Error> no_stream_with_values(const Recording& recording, const std::vector<std::string>& why) {
  std::string message = "there is no stream with values";
  for (std::size_t i = 0; i < why.size(); ++i) message += (i == 0 ? ": " : "; ") + why[i];
  return fail(ErrorCode::bad_input, message, recording.path());
}

Expected<void> need_values(const Recording& recording, const std::vector<std::size_t>& streams) {
  std::vector<std::string> why;
  for (const std::size_t i : streams) {
    const StreamInfo& stream = recording.streams()[i];
    const auto reason = why_no_samples(stream);
    if (!reason) return {};
    why.push_back(stream.id + ": " + *reason);
  }
  return no_stream_with_values(recording, why);
}

}  // namespace sds
