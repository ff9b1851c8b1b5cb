#include "export_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "opened.hpp"
#include "sds/format/names.hpp"
#include "sds/tools/class_cover.hpp"
#include "sds/tools/label_file.hpp"
#include "sds/tools/time_span.hpp"

namespace sds::cli {

namespace {

// Whether anything of a stream would be exported. What cannot be read counts: the export says why.
bool has_samples(const Recording& recording, std::size_t index, const SampleOptions& options,
                 const OnProgress& on_progress) {
  const StreamInfo& stream = recording.streams()[index];
  if (stream.metadata && stream.metadata->image) {
    auto cursor = recording.cursor(index, nullptr, time_filter(recording, index, options.within));
    if (!cursor) return true;
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return true;
      if (!*block) return false;
      if (!report(on_progress, (*block)->data.size() + 8)) return true;
      if (contains(options.within, seconds((*block)->tick, stream.tick_frequency()))) return true;
    }
  }
  auto reader = SampleReader::open(recording, index, options, on_progress);
  if (!reader) return true;
  auto run = reader->next();
  return !run || *run != nullptr;
}

Error nothing_within(const Recording& recording, const std::vector<std::size_t>& streams) {
  auto covered = spans_text(recording, streams);
  if (!covered) return covered.error();
  return {recording.damages().empty() ? ErrorCode::usage : ErrorCode::bad_input,
          "nothing is left to export: no sample lies in the time that was asked for; " + *covered,
          recording.path(),
          {}};
}

// Where the labels are that were asked for, within the rest of what was.
Expected<TimeRanges> labelled(const Recording& recording, const PartOptions& part, LookedAt& looked) {
  auto file = labels_of(recording);
  if (!file) return fail(file);
  std::vector<TimeSpan> spans;
  std::set<std::string> missing(part.labels.begin(), part.labels.end());
  std::set<std::string> classes;
  for (const auto& label : file->labels) {
    classes.insert(label.name);
    if (std::find(part.labels.begin(), part.labels.end(), label.name) == part.labels.end()) continue;
    missing.erase(label.name);
    spans.push_back({file->seconds_of(label.begin), file->seconds_of(label.end)});
  }
  looked.classes.assign(classes.begin(), classes.end());
  looked.lacks.assign(missing.begin(), missing.end());
  PartOptions times = part;
  times.labels.clear();
  auto within = times.ranges(recording);
  if (!within) return within;
  return both(*within, normalized(std::move(spans)));
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "'" : " or '") + name + "'";
  return text;
}

// The class with which a file's name begins.
Expected<std::string> class_for_name(const Recording& recording, std::size_t stream, const TimeRanges& within,
                                     const ExportRequest& request) {
  if (!request.class_name.empty()) return request.class_name;
  if (request.part.labels.size() == 1) return request.part.labels.front();
  return main_class(recording, stream, within);
}

Expected<void> plan(const Recording& recording, const ExportRequest& request, const OnProgress& on_progress,
                    LookedAt& looked) {
  PlannedExport& plan = looked.plan;
  auto streams = choose_streams(recording, request.streams);
  if (!streams) return fail(streams);
  if (streams->empty()) return fail(ErrorCode::bad_input, "there is no stream to export", recording.path());
  if (request.images && request.streams.empty()) {
    std::erase_if(*streams, [&](std::size_t s) {
      return !recording.streams()[s].metadata || !recording.streams()[s].metadata->image;
    });
    if (streams->empty()) return fail(ErrorCode::usage, "no stream holds images", recording.path());
  }
  auto within =
      request.part.labels.empty() ? request.part.ranges(recording) : labelled(recording, request.part, looked);
  if (!within) return fail(within);
  plan.within = *within;
  tell_only_within(recording, plan.within);
  if (!request.part.labels.empty() && looked.lacks.size() == request.part.labels.size()) {
    looked.nothing = Error{ErrorCode::usage, "has no label of class " + joined(looked.lacks), plan.paths.front(), {}};
    return {};
  }
  const bool files = request.per_stream && (request.many || request.to_folder || streams->size() > 1);
  SampleOptions samples = request.samples;
  samples.within = plan.within;
  for (const std::size_t stream : *streams) {
    const StreamInfo& info = recording.streams()[stream];
    // Exporting everything leaves out what the format has no place for, and says so; asking for it is an error.
    std::optional<std::string> why = why_no_samples(info);
    if (!why && request.needs_rate && !info.metadata->sample_frequency &&
        !(request.block_rate_does && info.metadata->block_frequency))
      why = "it has no sample-frequency";
    if (files && request.streams.empty() && why) {
      plan.notes.push_back(fmt::format("stream {} is left out: {}", info.id, *why));
      continue;
    }
    PlannedStream planned{stream, {}, {}};
    if (files) {
      planned.wanted = request.many ? plan.stem + (streams->size() > 1 ? "." + info.id : "") : info.id;
      if (request.class_in_name) {
        auto name = class_for_name(recording, stream, plan.within, request);
        if (!name) return fail(name);
        if (!name->empty()) planned.wanted = *name + "." + planned.wanted;
      }
    }
    plan.streams.push_back(std::move(planned));
  }
  if (plan.streams.empty()) return no_stream_with_values(recording, plan.notes);
  if (plan.within == all_time) return {};
  std::vector<PlannedStream> left;
  bool any_readable = false;  // of what is not, the export says why
  bool any_samples = false;
  for (const auto& planned : plan.streams) {
    const StreamInfo& info = recording.streams()[planned.index];
    const bool readable = request.images ? info.metadata && info.metadata->image : !why_no_samples(info);
    const bool samples_left = readable && has_samples(recording, planned.index, samples, on_progress);
    any_readable = any_readable || readable;
    any_samples = any_samples || samples_left;
    if (samples_left || !readable) left.push_back(planned);
  }
  if (any_readable && !any_samples) {
    looked.nothing = nothing_within(recording, *streams);
    return {};
  }
  if (!files) return {};
  for (const auto& planned : plan.streams)
    if (std::none_of(left.begin(), left.end(), [&](const auto& one) { return one.index == planned.index; }))
      plan.notes.push_back(fmt::format("stream {} is left out: it has no sample in the time that was asked for",
                                       recording.streams()[planned.index].id));
  plan.streams = std::move(left);
  return {};
}

}  // namespace

std::vector<std::size_t> PlannedExport::stream_indices() const {
  std::vector<std::size_t> indices;
  for (const auto& stream : streams) indices.push_back(stream.index);
  return indices;
}

LookedAt look_at(const std::vector<std::filesystem::path>& paths, const Recording::Options& options,
                 const ExportRequest& request, const OnProgress& on_progress) {
  LookedAt looked;
  looked.plan.paths = paths;
  looked.plan.stem = paths.front().stem().string();
  auto recording = open_recording(paths, options);
  auto done = recording ? plan(*recording, request, on_progress, looked) : Expected<void>(fail(recording));
  if (!done) looked.plan.error = done.error();
  return looked;
}

Expected<std::vector<PlannedExport>> choose_exports(std::vector<LookedAt> looked_at, const ExportRequest& request,
                                                    std::vector<std::string>& notes) {
  LabelFile all;  // of every class that there is one label
  for (const auto& looked : looked_at) {
    for (const auto& name : looked.classes) {
      Label label;
      label.name = name;
      all.labels.push_back(std::move(label));
    }
  }
  const bool failures = std::any_of(looked_at.begin(), looked_at.end(),
                                    [](const LookedAt& looked) { return looked.plan.error.has_value(); });
  for (const auto& name : request.part.labels) {
    const bool any = std::any_of(all.labels.begin(), all.labels.end(), [&](const Label& l) { return l.name == name; });
    if (!any && !failures)
      return fail(ErrorCode::usage, no_such_class(all, name),
                  looked_at.size() == 1 ? label_path(looked_at.front().plan.paths.front()) : std::filesystem::path());
  }
  std::vector<PlannedExport> exports;
  std::optional<Error> nothing;
  for (auto& looked : looked_at) {
    if (!looked.nothing) {
      exports.push_back(std::move(looked.plan));
      continue;
    }
    notes.push_back(looked.nothing->to_string() + ": left out");
    // Damaged is the worse one.
    if (!nothing || looked.nothing->exit_code() > nothing->exit_code()) nothing = looked.nothing;
  }
  if (exports.empty() && nothing) return tl::unexpected<Error>(*nothing);
  return exports;
}

void name_files(std::vector<PlannedExport>& plans, const std::string& extension) {
  std::vector<std::size_t> order(plans.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return plans[a].stem < plans[b].stem; });
  const std::string ending = "." + extension;
  std::map<std::string, FileNames> folders;
  for (const std::size_t i : order) {
    PlannedExport& plan = plans[i];
    for (auto& stream : plan.streams) {
      if (stream.wanted.empty()) continue;
      stream.name = folders[plan.folder].take(stream.wanted, ending);
      if (stream.name == stream.wanted + ending) continue;
      const bool taken = FileNames().take(stream.wanted, ending) != stream.name;
      plan.notes.push_back(
          fmt::format("{} is written as {}: {}", stream.wanted + ending, stream.name,
                      taken ? "another file of this export has that name" : "that is no plain name of a file"));
    }
  }
}

}  // namespace sds::cli
