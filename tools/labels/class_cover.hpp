// How long what was labelled is: by this go the classes of windows, the balance of a dataset and its splits, and names
// that are made of a recording's main class.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "label_file.hpp"

namespace sds {

/// Seconds that labels of each class cover. What several labels of one class cover, of two authors for instance, counts
/// once, in whatever order they come.
class ClassCover {
 public:
  void add(const std::string& name, const TimeSpan& span);
  [[nodiscard]] std::map<std::string, double> seconds() const;

 private:
  std::map<std::string, std::vector<TimeSpan>> spans_;
};

/// The class with most seconds, of equal ones the first by name; empty if there is none.
std::string class_with_most(const std::map<std::string, double>& seconds);

/// How many seconds of `within` the labels of each class cover, for a stream, or several: those that are about it, or
/// one of them, and those about the whole recording.
std::map<std::string, double> covered_seconds(const LabelFile& labels, const std::vector<std::string>& streams,
                                              const TimeRanges& within);
std::map<std::string, double> covered_seconds(const LabelFile& labels, const std::string& stream,
                                              const TimeRanges& within);

/// How many seconds of a recording the labels of each class cover, from its begin to its end, whatever is missing
/// between: those about a stream of its time, the others of the time of all. Classes whose labels lie outside of it are
/// there, with 0.
Expected<std::map<std::string, double>> labelled_seconds(const Recording& recording, const LabelFile& labels);

/// The same of the time that has samples; `sampled`: of each stream that counts (SampledTime::ranges()), by its id.
std::map<std::string, double> labelled_seconds(const LabelFile& labels, std::map<std::string, TimeRanges> sampled);

}  // namespace sds
