// Edge Impulse's `info.labels`: which class the samples of its files have, where one file has several ("Edge Impulse
// labels" and "Multi-label" in its documentation). A sample has one class there, and every sample has one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "sds/format/time.hpp"

namespace sds {

/// Neighbouring samples of a file that have one class.
struct ClassRun {
  std::uint64_t count = 0;
  std::string name;  ///< empty: no label is there
};

/// Finds the runs of a file's samples. `classes`: what is the class from a time on (class_timeline()).
class ClassRuns {
 public:
  explicit ClassRuns(std::map<double, std::string> classes) : classes_(std::move(classes)) {}
  void add(double time_s);
  [[nodiscard]] std::vector<ClassRun> take() { return std::move(runs_); }

 private:
  std::map<double, std::string> classes_;
  std::vector<ClassRun> runs_;
};

/// A file of samples, and what they are.
struct LabelledFile {
  std::filesystem::path path;
  Frequency rate;
  std::vector<ClassRun> runs;
};

struct InfoLabelsOptions {
  std::string rest = "unlabelled";  ///< the class of samples without a label
  bool in_samples = true;           ///< edges count samples, not milliseconds
};

/// The text of the file `folder`/info.labels about these files in it or below. Files in the folders `train`,
/// `validation` and `test` are told as such, the others as ones to be shared out. One without any label is
/// "unlabeled", unless `rest_given`. What it does not keep is in `notes`.
std::string info_labels(std::vector<LabelledFile> files, const std::filesystem::path& folder,
                        const InfoLabelsOptions& options, bool rest_given, std::vector<std::string>& notes);

}  // namespace sds
