#include "class_cover.hpp"
#include "time_span.hpp"

#include <algorithm>

namespace sds {

namespace {

// `ranges`: of each stream by its id; "": of the whole recording.
std::map<std::string, double> covered_of_streams(const LabelFile& labels,
                                                 const std::map<std::string, TimeRanges>& ranges) {
  ClassCover cover;
  std::map<std::string, double> seconds;
  for (const auto& label : labels.labels) {
    seconds[label.name] = 0;
    const auto of_stream = ranges.find(label.stream);
    if (of_stream == ranges.end() || label.begin >= label.end) continue;
    for (const auto& part : both(of_stream->second, {{labels.seconds_of(label.begin), labels.seconds_of(label.end)}}))
      cover.add(label.name, part);
  }
  for (const auto& [name, covered] : cover.seconds()) seconds[name] = covered;
  return seconds;
}

}  // namespace

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
  return covered_seconds(labels, std::vector<std::string>{stream}, within);
}

std::map<std::string, double> covered_seconds(const LabelFile& labels, const std::vector<std::string>& streams,
                                              const TimeRanges& within) {
  ClassCover cover;
  for (const auto& label : labels.labels) {
    if (!label.stream.empty() && std::find(streams.begin(), streams.end(), label.stream) == streams.end()) continue;
    const TimeSpan span{labels.seconds_of(label.begin), labels.seconds_of(label.end)};
    if (!overlaps(within, span.begin, span.end)) continue;
    for (const auto& part : both(within, {span})) cover.add(label.name, part);
  }
  return cover.seconds();
}

Expected<std::map<std::string, double>> labelled_seconds(const Recording& recording, const LabelFile& labels) {
  std::map<std::string, TimeRanges> spans;
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    auto span = time_span(recording, i);
    if (!span) return fail(span);
    if (!*span) continue;
    spans.emplace(recording.streams()[i].id, TimeRanges{**span});
    TimeSpan& all = spans.emplace("", TimeRanges{**span}).first->second.front();
    all = {std::min(all.begin, (*span)->begin), std::max(all.end, (*span)->end)};
  }
  return covered_of_streams(labels, spans);
}

std::map<std::string, double> labelled_seconds(const LabelFile& labels, std::map<std::string, TimeRanges> sampled) {
  TimeRanges all;
  for (const auto& [stream, ranges] : sampled) all = either(all, ranges);
  sampled[""] = std::move(all);
  return covered_of_streams(labels, sampled);
}

}  // namespace sds
