// `sds label compare`: how far two label files agree, over time or by events.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sds::cli {

struct LabelComparison {
  std::vector<std::filesystem::path> files;  // two
  bool events = false;
  double tolerance_s = 0.2;
  std::string stream;
  bool json = false;
};

int run_label_compare(const LabelComparison& options);

}  // namespace sds::cli
