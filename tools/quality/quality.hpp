// Is the data any good? What `sds check --quality` says beyond soundness: timing against the nominal rate, and what
// each channel's values look like; balance of a dataset and drift between two; thresholds from a YAML profile.
#pragma once

#include <array>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sample_reader.hpp"
#include "sds/format/exact_value.hpp"

namespace sds {

/// What is not known, as the noise of a few values or the mean of none.
inline constexpr double unknown_quality = std::numeric_limits<double>::quiet_NaN();

/// One value (a channel, or an element of one), in physical units where not said otherwise. Numbers that are not known
/// are unknown_quality.
struct ValueQuality {
  std::string name;
  std::string unit;
  std::uint64_t count = 0;  ///< finite values
  std::uint64_t nan = 0;
  std::uint64_t infinite = 0;
  ExactNumber min = unknown_quality;
  ExactNumber max = unknown_quality;
  bool whole = false;                  ///< is_whole()
  double mean = unknown_quality;       ///< the DC offset; the nearest double, as all that follows is
  double deviation = unknown_quality;  ///< standard deviation
  /// Values at the limits of an integer type or bit-field; else, in floats and in integers that use at least 45 % of
  /// their type, plateaus: three and more equal to the stream's largest or smallest value in a row, after a step of at
  /// least 7 % of the range of the values up to there, other than zero. What a saturated sensor gives.
  std::uint64_t clipped = 0;
  std::uint64_t longest_run = 0;            ///< equal values in a row
  double longest_run_s = 0;                 ///< its duration
  double longest_run_at = unknown_quality;  ///< when it begins
  /// Noise floor: the smallest standard deviation of 256 neighbours that are not all equal; 0 where all neighbours are.
  double noise = unknown_quality;
  double range_used = unknown_quality;  ///< largest magnitude as a share of what an integer type holds
  /// Evenly spaced through the recording, at most max_kept: what drift is judged by.
  std::vector<float> kept;
  static constexpr std::size_t max_kept = 16384;
};

struct StreamQuality {
  std::string id;
  std::uint64_t samples = 0;
  std::uint64_t blocks = 0;
  double duration_s = 0;
  std::optional<double> nominal_hz;    ///< the metadata's sample-frequency
  double true_hz = unknown_quality;    ///< samples a second by the device's clock
  double drift_ppm = unknown_quality;  ///< true rate of the second half against the first; of 16 blocks without gaps
  /// Samples that gaps between blocks have swallowed, and blocks that came more than half an interval late; nothing
  /// where gaps cannot be seen (StepCounter::knows_gaps()).
  std::optional<std::uint64_t> missing = 0;
  std::optional<std::uint64_t> late = 0;
  double interval_s = unknown_quality;  ///< median step between blocks
  /// Steps by how far they are from the median step: up to 1, 5, 10, 25, 50, 100 %, and beyond.
  static constexpr std::array<double, 6> jitter_limits{0.01, 0.05, 0.1, 0.25, 0.5, 1.0};
  std::array<std::uint64_t, 7> jitter{};
  std::vector<ValueQuality> values;   ///< at most max_values
  std::uint64_t values_left_out = 0;  ///< of a sample, those behind them
  static constexpr std::size_t max_values = 1024;
  std::string without_values;  ///< why `values` is empty
};

struct RecordingQuality {
  std::string path;
  std::string device;                     ///< from the session, if it says
  double duration_s = 0;                  ///< from the first begin of a stream to the last end
  std::map<std::string, double> classes;  ///< labelled seconds
  std::vector<StreamQuality> streams;
};

Expected<RecordingQuality> assess(const Recording& recording, const OnProgress& on_progress);

/// How the values of one channel differ between two sets of recordings.
struct Drift {
  std::string name;  ///< "Imu.ax"
  // Not known where one side has no values.
  double psi = unknown_quality;  ///< population stability index over ten quantile bins of the reference, shares of 0
                                 ///< taken as 1e-4
  double ks = unknown_quality;   ///< two-sample Kolmogorov-Smirnov statistic
};
std::vector<Drift> drift_between(const std::vector<RecordingQuality>& reference,
                                 const std::vector<RecordingQuality>& now);

/// Limits; absent ones do not count.
struct QualityLimits {
  std::optional<double> max_clipped;  ///< shares of the values
  std::optional<double> max_nan;
  std::optional<double> max_stuck_s;
  std::optional<double> max_offset;  ///< of |mean|
  std::optional<double> max_noise;
  std::optional<ExactNumber> min;
  std::optional<ExactNumber> max;
};
struct QualityProfile {
  std::optional<double> max_missing;     ///< share of the samples that should be there
  std::optional<double> max_late;        ///< share of the blocks
  std::optional<double> max_rate_error;  ///< |true / nominal - 1|
  std::optional<double> max_drift_ppm;
  std::optional<double> min_duration_s;           ///< of a recording
  QualityLimits all;                              ///< every channel
  std::map<std::string, QualityLimits> channels;  ///< by "ax" or "Imu.ax"; what is said here stands instead
  std::optional<double> min_class_share;          ///< of the labelled time of a dataset
  std::vector<std::string> classes;               ///< that must be there
  std::optional<double> max_psi;
  std::optional<double> max_ks;

  /// Reads a profile (docs/quality.md); errors name the line.
  static Expected<QualityProfile> load(const std::filesystem::path& path);
};

/// What breaks the profile, as sentences.
std::vector<std::string> broken_limits(const QualityProfile& profile, const RecordingQuality& quality);
std::vector<std::string> broken_dataset_limits(const QualityProfile& profile,
                                               const std::vector<RecordingQuality>& recordings);
std::vector<std::string> broken_drift_limits(const QualityProfile& profile, const std::vector<Drift>& drifts);

}  // namespace sds
