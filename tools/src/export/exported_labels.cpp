#include "export/exported_labels.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sds/tools/label_tools.hpp"
#include "sds/tools/sample_reader.hpp"

namespace sds {

double ExportedLabels::seconds_of(const Label& label, std::uint64_t tick) const {
  const auto origin = origins.contains(label.stream) ? origins.find(label.stream) : origins.find("");
  return file.seconds_of(tick) - (origin == origins.end() ? 0 : origin->second);
}

Expected<ExportedLabels> exported_labels(const Recording& recording, const std::vector<std::size_t>& streams,
                                         bool normalize, std::vector<std::string>& notes) {
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  ExportedLabels exported{std::move(*labels), {}};
  if (!normalize || exported.file.labels.empty()) return exported;
  std::vector<std::string> with_values;
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    const StreamInfo& stream = recording.streams()[i];
    auto first = first_tick(recording, i);
    if (!first) return fail(first);
    if (!*first) continue;
    exported.origins[stream.id] = seconds(**first, stream.tick_frequency());
    if (std::find(streams.begin(), streams.end(), i) != streams.end() && !why_no_samples(stream))
      with_values.push_back(stream.id);
  }
  if (with_values.empty()) return exported;
  const double origin = exported.origins[with_values.front()];
  exported.origins[""] = origin;
  if (std::all_of(with_values.begin(), with_values.end(),
                  [&](const std::string& id) { return exported.origins[id] == origin; }))
    return exported;
  const std::size_t divided = divide_by_stream(exported.file, with_values);
  if (divided > 0)
    notes.push_back(
        fmt::format("{} of the whole recording {} told once for each stream: their times begin at "
                    "different blocks",
                    divided == 1 ? "1 label" : fmt::format("{} labels", divided), divided == 1 ? "is" : "are"));
  return exported;
}

}  // namespace sds
