// Labels made from the data: activity by energy, and classes from an algorithm's scores (docs/labels.md). Both say
// nothing of time without samples.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "label_ticks.hpp"
#include "sds/format/exact_value.hpp"
#include "sds/format/progress.hpp"

namespace sds {

/// Segmentation by energy: the level of a frame is the square root of the sum of the variances of the chosen channels,
/// each about its own mean in the frame, in physical units: of one channel the RMS about the mean, of an accelerometer
/// that of its vector. Frames above `threshold` are active. Without a threshold: the noise floor (10th percentile of
/// the frames' levels) times `factor`. What is no finite number does not count; a frame with less than two in
/// each channel parts what is on its sides as a gap does; one of a single sample, as at the end of a stretch, goes
/// with the frame in front of it.
struct ActivityOptions {
  std::vector<std::string> channels;  ///< empty: all
  double frame_s = 0.05;
  std::optional<double> threshold;
  double factor = 4;
  double min_active_s = 0.2;  ///< shorter activity is none
  double min_silent_s = 0.2;  ///< shorter silence is none
  std::string active = "active";
  std::string silent;  ///< class of what is not active; empty: no label
};
struct ActivityReport {
  std::size_t frames = 0;
  std::size_t without_level = 0;    ///< of them
  std::optional<double> floor;      ///< 10th percentile of the levels; not known where no frame has one
  std::optional<double> threshold;  ///< as given, or what comes of the floor
};
Expected<ActivityReport> label_activity(const Recording& recording, std::size_t stream, const ActivityOptions& options,
                                        std::vector<TimedLabel>& labels, const OnProgress& on_progress);

/// Labels from scores that an algorithm gave: each sample of `stream` names the channel with the largest value, up to
/// the next sample; runs of one class become a label with their mean score as confidence where it lies in 0..1.
struct ScoreOptions {
  std::vector<std::string> channels;  ///< the scores; empty: all single-element channels
  ExactNumber threshold = -1e300;     ///< a largest value below it names no class
  double min_duration_s = 0;
};
Expected<void> label_scores(const Recording& recording, std::size_t stream, const ScoreOptions& options,
                            std::vector<TimedLabel>& labels, const OnProgress& on_progress);

}  // namespace sds
