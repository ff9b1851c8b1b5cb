#include "exported_labels.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sample_reader.hpp"
#include "sds/format/elapsed.hpp"

namespace sds {

double ExportedLabels::seconds_of(const Label& label, std::uint64_t tick) const {
  return seconds_since(origins.of(label.stream).value_or(Instant{}), {tick, file.tick_frequency});
}

Expected<ExportedLabels> exported_labels(const Recording& recording, const std::vector<std::size_t>& streams,
                                         const StreamTimes& within, bool normalize, std::vector<std::string>& notes) {
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  if (auto note = note_of_rounded(*labels)) notes.push_back(std::move(*note));
  ExportedLabels exported{std::move(*labels), {}};
  std::vector<std::size_t> with_values;
  std::vector<std::string> ids;
  for (const std::size_t i : streams) {
    if (why_no_samples(recording.streams()[i])) continue;
    with_values.push_back(i);
    ids.push_back(recording.streams()[i].id);
  }
  std::size_t strange = 0;  // about streams that there are not
  const std::vector<Label> all = std::move(exported.file.labels);
  exported.file.labels.clear();
  for (const auto& label : all) {
    if (!label.stream.empty() && std::find(ids.begin(), ids.end(), label.stream) == ids.end()) {
      if (std::none_of(recording.streams().begin(), recording.streams().end(),
                       [&](const StreamInfo& stream) { return stream.id == label.stream; }))
        ++strange;
      continue;
    }
    exported.file.labels.push_back(label);
  }
  shorten_labels(exported.file, recording, within);
  if (strange > 0)
    notes.push_back(fmt::format("{} about a stream that the recording does not have {} left out",
                                strange == 1 ? "1 label" : fmt::format("{} labels", strange),
                                strange == 1 ? "is" : "are"));
  if (!normalize || exported.file.labels.empty()) return exported;
  auto origins = LabelOrigins::first_blocks(recording, with_values);
  if (!origins) return fail(origins);
  exported.origins = std::move(*origins);
  if (exported.origins.one_for_all()) return exported;
  std::erase_if(ids, [&](const std::string& id) { return !exported.origins.of(id); });
  const std::size_t divided = divide_by_stream(exported.file, ids);
  if (divided > 0)
    notes.push_back(
        fmt::format("{} of the whole recording {} told once for each stream: their times begin at "
                    "different blocks",
                    divided == 1 ? "1 label" : fmt::format("{} labels", divided), divided == 1 ? "is" : "are"));
  return exported;
}

}  // namespace sds
