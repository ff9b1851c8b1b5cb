// The samples of a stream, a block at a time, each with its time: what every export, query and plot starts from.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sds/format/progress.hpp"
#include "sds/format/recording.hpp"
#include "time_ranges.hpp"

namespace sds {

enum class SampleTimes {
  metadata,     ///< with `sample-frequency:` as `rate`, without it as `block` (schema 3.1)
  rate,         ///< sample k of a block is at block time + k / sample frequency
  block,        ///< all samples of a block share its time
  interpolate,  ///< samples spread evenly up to the next block's time, as Arm's converter does
};

/// Which samples are wanted, and how their times are told.
struct SampleOptions {
  SampleTimes times = SampleTimes::metadata;
  bool normalize =
      false;  ///< times count from the stream's first block: of a `.sdsz` the first it tells of, read or not
  TimeRanges within = all_time;  ///< samples at other times are left out; of the recording's clock, normalized or not
  SectionFilter sections;        ///< instead of what `within` says: the sections of a `.sdsz` to read
  std::function<void(const BlockView&)> on_block;  ///< called for each block before its samples come; may be empty
};

/// Neighbouring samples of one block. Valid until the reader's next call.
struct SampleRun {
  std::uint64_t tick = 0;           ///< of the block
  std::size_t first = 0;            ///< index of the first of these samples in its block
  std::size_t count = 0;            ///< samples, at least 1
  const std::byte* data = nullptr;  ///< `count` samples of the metadata's `sample_bytes`, one after the other
  std::span<const double> times;    ///< seconds, one a sample
};

/// Reads one stream in order. Damage does not stop it: what cannot be read is left out (Recording::damages()).
class SampleReader {
 public:
  /// Fails if the stream has no usable metadata, or holds images, or `rate` is asked for where there is none.
  /// `recording`, and `executor` if there is one, must outlive the reader.
  static Expected<SampleReader> open(const Recording& recording, std::size_t stream, const SampleOptions& options,
                                     OnProgress on_progress, Executor* executor = nullptr);

  /// The next samples, or null at the end.
  [[nodiscard]] Expected<const SampleRun*> next();

  [[nodiscard]] const Metadata& metadata() const { return *metadata_; }
  /// The tick from which times count with `normalize`; nothing if no block is known yet.
  [[nodiscard]] std::optional<std::uint64_t> origin() const { return origin_; }
  /// After the end: what was left out, and why, as sentences. Damage is in Recording::damages().
  [[nodiscard]] std::vector<std::string> notes() const;
  /// After the end: the recorded losses that lie, or have a part, within the time that was asked for.
  [[nodiscard]] const std::vector<Gap>& losses() const { return losses_within_; }
  /// The same as a sentence for who cannot hand them on, and says so: "Imu: 1 loss of the recording is closed: ...".
  [[nodiscard]] std::vector<std::string> notes_of_losses(const char* what_becomes_of_them) const;
  /// Blocks so far with bytes left over after their last whole sample.
  [[nodiscard]] std::uint64_t odd_blocks() const { return odd_blocks_; }

 private:
  bool take_run();
  struct HeldBlock {
    std::uint64_t tick = 0;
    Bytes data;
  };
  SampleReader() = default;
  void fill(std::uint64_t tick, std::uint64_t next_tick, ByteView data);
  void pass_losses(std::uint64_t before_block, double until_s);
  [[nodiscard]] double sample_time(std::uint64_t tick, std::uint64_t next_tick, std::size_t k, std::size_t count,
                                   std::uint64_t origin) const;
  [[nodiscard]] std::uint64_t origin_of_times() const { return options_.normalize ? origin_.value_or(0) : 0; }

  std::string id_;
  const Metadata* metadata_ = nullptr;
  SampleOptions options_;
  Frequency tick_frequency_;
  std::unique_ptr<BlockCursor> cursor_;
  OnProgress on_progress_;
  std::uint64_t unreported_ = 0;
  std::uint64_t odd_blocks_ = 0;
  std::optional<std::uint64_t> origin_;
  std::uint64_t last_distance_ = 0;
  std::optional<HeldBlock> held_;  // to interpolate, a block waits for its successor's time
  HeldBlock out_;
  bool ended_ = false;
  std::vector<Gap> losses_;        // of the stream, ascending in blocks
  std::size_t losses_passed_ = 0;  // by the blocks that were read
  std::vector<Gap> losses_within_;
  std::vector<double> times_;        // of the block that runs are taken from
  std::size_t next_ = 0;             // its first sample that was not looked at
  std::uint64_t tick_ = 0;           // its tick
  std::uint64_t next_tick_ = 0;      // the next one's, to interpolate
  const std::byte* data_ = nullptr;  // and its bytes
  SampleRun run_;
};

/// Sections of a `.sdsz` stream that surely hold no sample within `ranges` are not wanted; empty if all are.
SectionFilter time_filter(const Recording& recording, std::size_t stream, const TimeRanges& ranges);

/// The tick of a stream's first block, from which its times count with `normalize`: of a `.sdsz` the first that it
/// tells of, whether that can be read or not. Nothing without blocks.
Expected<std::optional<std::uint64_t>> first_tick(const Recording& recording, std::size_t stream);

/// The streams named by `ids`, or all of them if there are none.
Expected<std::vector<std::size_t>> choose_streams(const Recording& recording, const std::vector<std::string>& ids);

/// The failure of who finds no stream that it could take: ErrorCode::bad_input, with `why` each one is left out.
tl::unexpected<Error> no_stream_with_values(const Recording& recording, const std::vector<std::string>& why);

/// Why `stream` has no table of values, as a sentence; nothing if it has one.
std::optional<std::string> why_no_samples(const StreamInfo& stream);
/// Fails, with the reason of each, where none of these streams has a table of values.
Expected<void> need_values(const Recording& recording, const std::vector<std::size_t>& streams);

}  // namespace sds
