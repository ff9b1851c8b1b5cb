#include "sds/tools/class_cover.hpp"
#include "sds/tools/time_span.hpp"

#include <algorithm>
#include <set>

namespace sds {

void ClassCover::add(const std::string& name, const TimeSpan& span) {
  if (span.begin < span.end) spans_[name].push_back(span);
}

std::map<std::string, double> ClassCover::seconds() const {
  std::map<std::string, double> seconds;
  for (const auto& [name, spans] : spans_) seconds[name] = total_seconds(normalized(spans));
  return seconds;
}

std::string class_with_most(const std::map<std::string, double>& seconds) {
  const auto most = std::max_element(seconds.begin(), seconds.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == seconds.end() ? "" : most->first;
}

std::map<std::string, double> covered_seconds(const LabelFile& labels, const std::string& stream,
                                              const TimeRanges& within) {
  ClassCover cover;
  for (const auto& label : labels.labels) {
    if (!label.stream.empty() && label.stream != stream) continue;
    const TimeSpan span{labels.seconds_of(label.begin), labels.seconds_of(label.end)};
    if (!overlaps(within, span.begin, span.end)) continue;
    for (const auto& part : both(within, {span})) cover.add(label.name, part);
  }
  return cover.seconds();
}

Expected<std::map<std::string, double>> labelled_seconds(const Recording& recording, const LabelFile& labels,
                                                         const std::vector<std::size_t>& streams) {
  std::map<std::string, TimeSpan> spans;  // by stream; "": of all
  std::set<std::string> others;
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    if (!streams.empty() && std::find(streams.begin(), streams.end(), i) == streams.end()) {
      others.insert(recording.streams()[i].id);
      continue;
    }
    auto span = time_span(recording, i);
    if (!span) return fail(span);
    if (!*span) continue;
    spans.emplace(recording.streams()[i].id, **span);
    TimeSpan& all = spans.emplace("", **span).first->second;
    all = {std::min(all.begin, (*span)->begin), std::max(all.end, (*span)->end)};
  }
  ClassCover cover;
  std::map<std::string, double> seconds;
  for (const auto& label : labels.labels) {
    if (others.count(label.stream) > 0) continue;
    seconds[label.name] = 0;
    const auto span = spans.find(label.stream);
    if (span == spans.end()) continue;
    cover.add(label.name, {std::max(span->second.begin, labels.seconds_of(label.begin)),
                           std::min(span->second.end, labels.seconds_of(label.end))});
  }
  for (const auto& [name, covered] : cover.seconds()) seconds[name] = covered;
  return seconds;
}

Expected<std::string> main_class(const Recording& recording, std::size_t stream, const TimeRanges& within) {
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  auto span = time_span(recording, stream);
  if (!span) return fail(span);
  if (!*span) return "";
  return class_with_most(covered_seconds(*labels, recording.streams()[stream].id, both(within, {**span})));
}

}  // namespace sds
