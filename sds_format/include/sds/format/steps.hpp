// The steps from block to block of a stream: the longest, those that are gaps, and where the stream does not go on. In
// memory that does not grow with the number of blocks.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "sds/format/block.hpp"
#include "sds/format/progress.hpp"
#include "sds/format/recording.hpp"

namespace sds {

/// Something found at a block, counted from 0.
struct Finding {
  std::uint64_t count = 0;  ///< how often it was found
  std::uint64_t block = 0;  ///< the first, or the worst, of them
  std::uint64_t ticks = 0;  ///< its size, where it has one
};

/// The largest deviation of a sequence t[0], t[1], ... from the straight line through its first and last value, found
/// in one pass: the farthest point lies on the convex hull, and only the hull is kept.
class DeviationFinder {
 public:
  void add(std::uint64_t index, std::int64_t value);
  /// The index and the size of the largest |t[n] - (t[0] + n * (t[last] - t[0]) / last)|, rounded to whole ticks.
  [[nodiscard]] Finding largest() const;

 private:
  struct Point {
    std::int64_t x;
    std::int64_t y;
  };
  static void extend(std::vector<Point>& hull, Point point, int side);
  std::vector<Point> upper_;
  std::vector<Point> lower_;
};

/// How many samples a block has for steps: all of them, or without a sample frequency 1 if there is any. Steps lead
/// from a block with samples to the next one: one of none is passed over, whatever its tick.
class StepSamples {
 public:
  StepSamples() = default;
  explicit StepSamples(const std::optional<Metadata>& metadata);
  [[nodiscard]] std::uint64_t of(const BlockView& block) const {
    const std::uint64_t samples = block.data.size() / sample_bytes_;
    return has_rate_ || samples == 0 ? samples : 1;
  }

 private:
  std::size_t sample_bytes_ = 1;
  bool has_rate_ = false;
};

/// Counts the steps from block to block of one stream, and tells which are gaps. A step is as long as the samples of
/// the earlier block last, and what it is longer is its excess. A gap is an excess of more than half of the usual step,
/// and more than two ticks, for that much is rounding of the device's clock. The usual step is the median. How long a
/// sample lasts is the median of the steps' own ratios, by samples (or by steps, where that is nearer to the nominal
/// rate): gaps do not move it. Where the usual step is below 100 ticks a single one tells little: it is those of all
/// steps that are no gaps by their samples, found in rounds that begin with the sample frequency. Where at least half
/// of the steps are 0, and half of the blocks shorter than a tick by the sample frequency, blocks share ticks: the
/// usual step is the median of the others, and a gap's excess is more than that and another half (or two ticks). Of
/// streams without a sample frequency every block counts as one sample. Where there is one step only, nobody knows what
/// is usual: it is judged by the nominal rate. Every command that speaks of gaps in time between blocks means these.
class StepCounter {
 public:
  struct Step {
    std::uint64_t ticks = 0;
    std::uint64_t samples = 0;  ///< of the earlier block
    std::uint64_t count = 0;    ///< how often it was seen
    std::uint64_t block = 0;    ///< where first: the number of the later block
    double excess = 0;          ///< ticks; above 0 of a gap
    double missing = 0;         ///< of a gap: samples that would have lasted so long
    bool gap = false;
  };
  /// `nominal_ticks`: how long a sample lasts by the sample frequency; 0: there is none.
  explicit StepCounter(double nominal_ticks = 0) : nominal_ticks_(nominal_ticks) {}
  StepCounter(StepCounter&&) = default;
  StepCounter& operator=(StepCounter&&) = default;
  StepCounter(const StepCounter&) = delete;
  StepCounter& operator=(const StepCounter&) = delete;
  ~StepCounter() = default;
  /// To block number `block` from the one before it, which holds `samples`.
  void add(std::uint64_t step, std::uint64_t block, std::uint64_t samples);
  [[nodiscard]] Finding longest() const;
  [[nodiscard]] Finding gaps() const;
  /// Whether gaps would be seen: not where half of the steps are 0 because longer blocks are sent together.
  [[nodiscard]] bool knows_gaps() const { return steps_.empty() || rule().usual > 0; }
  /// The median step, in ticks; 0 if there is none.
  [[nodiscard]] std::uint64_t median() const { return median_from(0); }
  /// All of them, those with the largest ratio of ticks to samples last.
  [[nodiscard]] std::vector<Step> steps() const;

 private:
  struct Rule {
    double ticks_per_sample = 0;
    double usual = 0;          // ticks of a step
    bool share_ticks = false;  // most steps are 0, for blocks are shorter than a tick
    [[nodiscard]] double excess(std::uint64_t ticks, std::uint64_t samples) const {
      return static_cast<double>(ticks) - ticks_per_sample * static_cast<double>(samples);
    }
    [[nodiscard]] bool is_gap(std::uint64_t ticks, std::uint64_t samples) const;
  };
  [[nodiscard]] Rule rule() const;
  // With the ticks of a sample that the steps have that are no gaps; 0: none.
  [[nodiscard]] Rule fitted(Rule rule) const;
  [[nodiscard]] double median_ratio() const;
  [[nodiscard]] bool share_ticks() const;
  // Of the steps of at least so many ticks.
  [[nodiscard]] std::uint64_t median_from(std::uint64_t least) const;
  struct Key {
    std::uint64_t ticks;
    std::uint64_t samples;
    bool operator<(const Key& other) const;
  };
  struct Seen {
    std::uint64_t count;
    std::uint64_t block;
  };
  double nominal_ticks_;
  // The max_steps with the largest ratios.
  static constexpr std::size_t max_steps = 65536;
  std::map<Key, Seen> steps_;
  std::pair<const Key, Seen>* last_ = nullptr;  // of steps_, in which elements stay where they are
};

/// Ticks that a sample lasts by the sample frequency; 0 without one.
double nominal_ticks(const Frequency& ticks, const std::optional<Metadata>& metadata);

/// Which steps of a stream are gaps, by all of its blocks: what a part of it does not tell.
class GapRule {
 public:
  /// Reads the stream; `executor` decodes ahead.
  static Expected<GapRule> of(const Recording& recording, std::size_t stream, const OnProgress& on_progress,
                              Executor* executor = nullptr);
  /// All steps of a stream are known already.
  static GapRule of(const StepCounter& steps);
  /// A step of so many ticks behind a block of so many samples (1, where the stream has no sample frequency).
  [[nodiscard]] bool is_gap(std::uint64_t ticks, std::uint64_t samples) const {
    return gaps_.contains({ticks, samples});
  }

 private:
  std::set<std::pair<std::uint64_t, std::uint64_t>> gaps_;
};

/// Follows the blocks of a stream, and tells where windows and filters must not reach across: at gaps in time, at
/// losses, and where the clock steps back.
class BreakFinder {
 public:
  /// Reads the stream, to know its gaps.
  static Expected<BreakFinder> of(const Recording& recording, std::size_t stream, const OnProgress& on_progress,
                                  Executor* executor = nullptr);
  /// For every block, in order: whether it does not go on where the one before it ended. `lost`: there is a loss. A
  /// block without samples breaks nothing but by a loss.
  [[nodiscard]] bool before(const BlockView& block, bool lost);

 private:
  BreakFinder(GapRule gaps, const StepSamples& samples) : gaps_(std::move(gaps)), samples_(samples) {}
  GapRule gaps_;
  StepSamples samples_;
  bool any_ = false;
  std::uint64_t previous_tick_ = 0;
  std::uint64_t previous_samples_ = 0;
};

}  // namespace sds
