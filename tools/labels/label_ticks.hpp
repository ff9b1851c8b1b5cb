// The ticks of label files that are made: fine enough that a label chooses the very samples that lie in its time. All
// that makes labels of times places them here.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "label_file.hpp"

namespace sds {

/// The slowest ticks that hold all of both; nothing where these are too fast to be told (2^31 Hz and more).
std::optional<Frequency> common_ticks(const Frequency& a, const Frequency& b);

/// The same, where a number of seconds tells these ticks apart up to that time.
std::optional<Frequency> common_until(double latest_s, const Frequency& a, const Frequency& b);

/// The tick that an instant is on, or the last one before: a sample on an edge is in a label that begins there, and in
/// none that ends there.
std::uint64_t last_tick_until(const Instant& instant, const Frequency& ticks);

/// The slowest whole ticks that hold a decimal number of seconds with up to nine digits behind the point; nothing of
/// others.
std::optional<Frequency> decimal_ticks(double time_s);

/// 1 GHz, 100 MHz, 10 MHz and 1 MHz, as far as they are finer: where no ticks hold all, the first that hold those of a
/// file.
std::vector<Frequency> finer_decimals(const Frequency& ticks);

/// The label with the same times in other ticks, to the nearest.
Label in_ticks(Label label, const Frequency& from, const Frequency& to);

/// The frequencies that times of samples consist of: the ticks of their blocks, and the sample-frequency.
void add_frequencies(const Frequency& ticks, const std::optional<Metadata>& metadata, std::vector<Frequency>& all);
std::vector<Frequency> sample_frequencies(const Recording& recording, std::span<const std::size_t> streams);
std::vector<Frequency> sample_frequencies(const Recording& recording);

/// By how much the sum of two times that are doubles, and of the exact ones that these stand for, may differ.
inline double sum_error(const TimeSpan& span) { return std::max(std::abs(span.begin), std::abs(span.end)) * 0x1p-51; }

/// A label whose edges are times, in seconds; its ticks say nothing yet.
struct TimedLabel {
  Label label;
  TimeSpan span;
  double precision_s = 0;  ///< of text that was cut there
  double error_s = 0;      ///< of times that are sums, and so may be off by an ulp or two: sum_error()
};

struct PlacedLabels {
  LabelFile file;           ///< in the order they came
  std::size_t rounded = 0;  ///< that may have lost or won a sample: no ticks hold their edges and those of samples
};

/// Labels that are to go into a file with these ticks, where they hold all edges; where they do not, in the slowest
/// ticks that hold those of the file and all times of samples (sample_frequencies()). An edge between two of these is
/// on the next one: no sample lies before it. Where no ticks hold all samples, they are such that hold the edges, if
/// any do; else the finest decimal ones, down to 1 ns, and an edge is on the last one that is not behind it, so that a
/// sample at the edge is in a label that begins there, and in none that ends there. Fails where an edge is no time of a
/// recording.
Expected<PlacedLabels> place_labels(std::vector<TimedLabel> labels, const Frequency& ticks,
                                    const std::vector<Frequency>& of_samples);

struct ShiftedLabels {
  std::size_t rounded = 0;  ///< all or none
  double by_s = 0;          ///< by how much they were moved
};

/// Moves the labels of these indices by a time, all by the same number of ticks, in which the file is then: its own,
/// where the time is a whole number of them (of the decimal number that a person wrote), else those that hold it, too.
/// Where there are none it is as place_labels() chooses them, by the nearest number, which is the same forth and back.
/// Fails, and changes nothing, where an edge would be no time of a recording.
Expected<ShiftedLabels> shift_labels(LabelFile& file, const std::vector<std::size_t>& indices, double by_s,
                                     const std::vector<Frequency>& of_samples);

}  // namespace sds
