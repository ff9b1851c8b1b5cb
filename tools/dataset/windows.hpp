// The windows of a dataset, recording by recording: of one stream, cut by samples, or of several, cut by time. Values
// go to scratch files, the rest is in memory.
#pragma once

#include <string>
#include <vector>

#include "channel_values.hpp"
#include "dataset.hpp"
#include "label_file.hpp"
#include "sds/format/steps.hpp"
#include "sds/format/stream_losses.hpp"

namespace sds {

/// What the windows of one recording have of one stream.
struct WindowTensor {
  std::string stream;                 ///< its id; empty: the only one
  std::filesystem::path values;       ///< a scratch file: rows of one float a channel, window after window
  std::vector<std::string> channels;  ///< names
  std::size_t samples = 0;            ///< of a window, by the sample-frequency
  std::vector<std::uint32_t> counts;  ///< samples that each window has; empty: `samples`

  [[nodiscard]] std::size_t count(std::size_t window) const { return counts.empty() ? samples : counts[window]; }
};

/// The windows of one recording.
struct RecordingWindows {
  std::vector<WindowTensor> tensors;
  std::vector<std::string> classes;  ///< one a window; empty: none
  std::vector<double> begins;
  std::uint64_t unlabelled = 0;
  std::vector<WindowCounts> unusual;  ///< of several streams: windows with other numbers of samples
  std::vector<std::string> notes;
  std::optional<Error> error;
};

/// Says where no window reaches across, as BreakFinder has it.
class WindowBreaks {
 public:
  /// Reads the stream, to know its gaps. `recording` must outlive this.
  static Expected<WindowBreaks> of(const Recording& recording, std::size_t stream, const OnProgress& on_progress);
  void see(const BlockView& block) { broken_ = breaks_.before(block, !losses_.before(block).empty()) || broken_; }
  /// Whether there is such a place in front of the samples of the block that was seen last.
  bool before(const SampleRun& samples, const Metadata& metadata);
  /// When the samples so far end, by the sample-frequency.
  [[nodiscard]] double end() const { return end_; }

 private:
  WindowBreaks(BreakFinder breaks, const Recording& recording, std::size_t stream)
      : breaks_(std::move(breaks)), losses_(recording, stream) {}
  BreakFinder breaks_;
  StreamLosses losses_;
  double end_ = 0;
  bool broken_ = false;
};

/// The class that most of [begin, end) has for these streams, if that is at least the share of it; "" if none has.
std::string window_class(const LabelFile& labels, const std::vector<std::string>& streams, double begin, double end,
                         double least_share);

/// Appends the chosen values of samples `at` to `at + count` of a run to `rows`, one float each.
void append_values(const SampleRun& samples, std::size_t at, std::size_t count, const Metadata& metadata,
                   const std::vector<ChannelRef>& values, std::vector<float>& rows);

/// Of one stream, each of equally many samples. `scratch`: where the values go.
Expected<void> cut_windows(const DatasetItem& item, const WindowOptions& options, const std::filesystem::path& scratch,
                           RecordingWindows& windows, const OnProgress& on_progress);

/// Of several streams (WindowOptions::streams), each with all their samples of one span of time.
Expected<void> cut_joint_windows(const DatasetItem& item, const WindowOptions& options,
                                 const std::filesystem::path& scratch, RecordingWindows& windows,
                                 const OnProgress& on_progress);

}  // namespace sds
