// Compares two recordings, stream by stream, block by block, value by value.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "sds/format/progress.hpp"
#include "sds/format/recording.hpp"

namespace sds {

/// How far two values may lie apart and still count as equal: |a - b| <= absolute, or <= relative * max(|a|, |b|).
/// Infinities equal themselves, and NaN equals NaN; beside anything else no tolerance is wide enough.
struct Tolerance {
  double absolute = 0;
  double relative = 0;
};

struct CompareOptions {
  /// Among names of channels: all of them.
  static constexpr const char* all_channels = "";

  std::map<std::string, double> absolute;  ///< by channel name: absolute tolerance in physical units
  double absolute_all = 0;                 ///< for channels that `absolute` does not name
  std::map<std::string, double> relative;  ///< by channel name: relative tolerance
  double relative_all = 0;                 ///< for channels that `relative` does not name
  /// Of `absolute` and `relative`, names that are for other recordings, too: no error where no channel has them; the
  /// name all_channels stands for `absolute_all` and `relative_all`, which bytes without metadata have no use for.
  std::set<std::string> absolute_may_be_idle;
  std::set<std::string> relative_may_be_idle;
  bool argmax = false;                                       ///< also count samples with the same largest value
  std::vector<std::pair<std::string, std::string>> streams;  ///< pairs of ids to compare; empty: all, by id
  /// Pairs of channels to compare, in the streams that have one of them; empty: all, by name.
  std::vector<std::pair<std::string, std::string>> channels;
};

struct FirstDifference {
  std::uint64_t tick = 0;     ///< of the block
  double seconds = 0;         ///< of the sample, where there is a `sample-frequency`; else of the block
  std::uint64_t sample = 0;   ///< within the block
  std::uint64_t element = 0;  ///< of the channel
  double a = 0;
  double b = 0;
  // Where one of the channels has integers of 64 bits, and the values are whole: all digits; else empty.
  std::string exact_a;
  std::string exact_b;
  std::uint64_t block_a = 0;  ///< number of the block in its stream; of `tick` are perhaps several
  std::uint64_t block_b = 0;

  [[nodiscard]] std::string text_a() const;
  [[nodiscard]] std::string text_b() const;
};

/// Values of a channel that differ, fewer than ten samples from one to the next.
struct DifferentStretch {
  std::uint64_t from_tick = 0;  ///< of the block with the first of them
  std::uint64_t to_tick = 0;    ///< of the block with the last one
  double from_s = 0;            ///< of the samples, where there is a `sample-frequency`; else of the blocks
  double to_s = 0;
  std::uint64_t values = 0;
  double max_difference = 0;  ///< |a - b|

  /// "3 values from 1.25 s to 1.5 s (ticks 1250 to 1500), by up to 0.5"
  [[nodiscard]] std::string text() const;
};

struct ChannelComparison {
  static constexpr std::size_t max_stretches = 100;

  std::string name;
  std::uint64_t values = 0;
  std::uint64_t different = 0;  ///< beyond the tolerance
  double max_difference = 0;    ///< |a - b| of all values; infinite where one is not finite
  double mean_difference = 0;
  double max_beyond = 0;  ///< the same of those that are different
  double mean_beyond = 0;
  std::optional<FirstDifference> first;
  std::uint64_t stretch_count = 0;
  std::vector<DifferentStretch> stretches;  ///< the first ones
  std::size_t channel_a = 0;                ///< in the metadata, where several may have one name
  std::size_t channel_b = 0;

  /// The first five; none where `first` says it all.
  [[nodiscard]] std::span<const DifferentStretch> told() const;
};

/// Something that a recording states to be missing: between two blocks, as far as there are any.
struct StatedLoss {
  std::optional<std::uint64_t> after_tick;
  std::optional<std::uint64_t> before_tick;
  std::string reason;

  /// "between the ticks 5 and 9 (the disk was full)"
  [[nodiscard]] std::string text() const;
};

struct StreamComparison {
  std::string a;  ///< ids
  std::string b;
  std::uint64_t blocks = 0;     ///< with a partner of the same tick
  std::uint64_t identical = 0;  ///< of them, byte for byte
  std::uint64_t only_a = 0;
  std::uint64_t only_b = 0;
  std::optional<std::uint64_t> first_only_a;  ///< tick
  std::optional<std::uint64_t> first_only_b;
  std::uint64_t size_mismatches = 0;  ///< pairs of different sizes
  std::optional<std::uint64_t> first_size_mismatch;
  std::uint64_t losses_only_a = 0;  ///< stated between two common blocks, where the other side states none
  std::uint64_t losses_only_b = 0;
  std::optional<StatedLoss> first_loss_only_a;
  std::optional<StatedLoss> first_loss_only_b;
  std::vector<ChannelComparison> channels;   ///< one named "bytes" where there is no metadata
  std::vector<std::string> channels_only_a;  ///< without a partner of the same name and number of elements
  std::vector<std::string> channels_only_b;
  std::uint64_t decisions = 0;  ///< with CompareOptions::argmax: samples
  std::uint64_t agreeing = 0;   ///< of them, with the same value the largest in both
  std::vector<std::string> notes;

  [[nodiscard]] bool equal() const;
};

struct RecordingComparison {
  std::vector<StreamComparison> streams;
  std::vector<std::string> only_a;  ///< streams without a partner
  std::vector<std::string> only_b;
  /// Of CompareOptions::absolute_may_be_idle and relative_may_be_idle, what is for no channel that is compared.
  std::set<std::string> idle_absolute;
  std::set<std::string> idle_relative;

  [[nodiscard]] bool equal() const;
};

/// "A=B", or "A" for one name on both sides; `\=` stands for a = in a name, and `\\` for a backslash.
std::vector<std::pair<std::string, std::string>> name_pairs(const std::vector<std::string>& texts);

/// Blocks are paired by tick, and among blocks of one tick by order; channels by name. Physical values are compared:
/// each recording may store them in a type and scale of its own. They are doubles, but for integers of 64 bits,
/// which are compared exactly where scales and offsets are the same, or whole numbers. What only one side has is a
/// difference: streams, channels, blocks, and losses, unless the other side is a plain `.sds`, which cannot state any.
/// Metadata of a compared stream that cannot be read are an error.
Expected<RecordingComparison> compare_recordings(const Recording& a, const Recording& b, const CompareOptions& options,
                                                 const OnProgress& on_progress);

}  // namespace sds
