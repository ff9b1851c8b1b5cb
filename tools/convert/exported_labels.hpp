// Labels as an export tells them: on the same clock as the samples.
#pragma once

#include <string>
#include <vector>

#include "label_tools.hpp"

namespace sds {

struct ExportedLabels {
  LabelFile file;
  LabelOrigins origins;

  /// Seconds from the origin of the label's stream.
  [[nodiscard]] double seconds_of(const Label& label, std::uint64_t tick) const;
};

/// The labels of a recording of which `streams` are exported, those that have samples: labels about them and about the
/// whole recording, shortened to `within`, of the whole recording to where any of the streams is. With `normalize` each
/// stream's times count from its first block, and labels with them; where these are not the same, a label of the whole
/// recording becomes one of each of the streams, and a note says so.
Expected<ExportedLabels> exported_labels(const Recording& recording, const std::vector<std::size_t>& streams,
                                         const StreamTimes& within, bool normalize, std::vector<std::string>& notes);

}  // namespace sds
