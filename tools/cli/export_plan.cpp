#include "export_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "label_file.hpp"
#include "opened.hpp"
#include "sds/format/names.hpp"
#include "time_span.hpp"

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

void tell_rounded(const LabelFile& labels, PlannedExport& plan) {
  if (auto note = note_of_rounded(labels)) plan.notes.push_back(std::move(*note));
}

// Where the labels are that were asked for, within the rest of what was: of each stream those that are about it, or
// about the whole recording.
Expected<StreamTimes> labelled(const Recording& recording, const PartOptions& part,
                               const std::vector<std::size_t>& streams, LookedAt& looked) {
  auto file = labels_of(recording);
  if (!file) return fail(file);
  tell_rounded(*file, looked.plan);
  std::set<std::string> missing(part.labels.begin(), part.labels.end());
  std::set<std::string> classes;
  for (const auto& label : file->labels) {
    if (!is_about(label, recording, streams)) {
      looked.of_others.insert(label.name);
      continue;
    }
    classes.insert(label.name);
    missing.erase(label.name);
  }
  looked.labels = place_of_labels(recording);
  looked.classes.assign(classes.begin(), classes.end());
  looked.lacks.assign(missing.begin(), missing.end());
  PartOptions times = part;
  times.labels.clear();
  auto within = times.ranges(recording);
  if (!within) return fail(within);
  return labelled_times(recording, *file, part.labels, streams, *within);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "'" : " or '") + name + "'";
  return text;
}

// An event: where one label, or several that overlap, say the same class.
struct Event {
  std::string name;
  TimeSpan span;
};

// Of the classes that were asked for (none: of all), about a stream, as far as they lie in the time that was; by their
// begin.
std::vector<Event> events_of(const LabelFile& labels, const std::string& stream, const PartOptions& part,
                             const TimeRanges& within) {
  std::vector<Event> all;
  for (const auto& label : labels.labels) {
    if (!label.stream.empty() && label.stream != stream) continue;
    if (!part.labels.empty() && std::find(part.labels.begin(), part.labels.end(), label.name) == part.labels.end())
      continue;
    for (const auto& span : both(within, {{labels.seconds_of(label.begin), labels.seconds_of(label.end)}}))
      all.push_back({label.name, span});
  }
  std::stable_sort(all.begin(), all.end(), [](const Event& a, const Event& b) {
    return std::tie(a.span.begin, a.name) < std::tie(b.span.begin, b.name);
  });
  std::vector<Event> events;
  std::map<std::string, std::size_t> last;  // of each class
  for (const auto& event : all) {
    const auto before = last.find(event.name);
    if (before != last.end() && event.span.begin < events[before->second].span.end) {
      TimeSpan& span = events[before->second].span;
      span.end = std::max(span.end, event.span.end);
      continue;
    }
    last[event.name] = events.size();
    events.push_back(event);
  }
  return events;
}

std::vector<std::string> classes_of(const std::vector<Event>& events) {
  std::set<std::string> classes;
  for (const auto& event : events) classes.insert(event.name);
  return {classes.begin(), classes.end()};
}

// A class as a file's name can begin with it: Edge Impulse takes it up to the first dot.
std::string without_dots(std::string name, PlannedExport& plan) {
  if (name.find('.') == std::string::npos) return name;
  const std::string before = name;
  std::replace(name.begin(), name.end(), '.', '_');
  const std::string note =
      fmt::format("the class {} is written as {}: Edge Impulse takes it up to the first dot", before, name);
  if (std::find(plan.notes.begin(), plan.notes.end(), note) == plan.notes.end()) plan.notes.push_back(note);
  return name;
}

// Makes of a stream that becomes a file in a folder one file an event, of what is labelled.
// `others`: there are labels of other streams that are exported.
Expected<void> divide_by_event(const Recording& recording, const ExportRequest& request, const TimeRanges& times,
                               bool others, PlannedStream stream, PlannedExport& plan) {
  if (!request.class_name.empty() && request.part.labels.empty()) {
    stream.wanted = without_dots(request.class_name, plan) + "." + stream.wanted;
    plan.streams.push_back(std::move(stream));
    return {};
  }
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  const std::string& id = recording.streams()[stream.index].id;
  if (request.part.labels.empty() && events_of(*labels, id, {}, all_time).empty()) {
    if (others) {
      plan.notes.push_back(fmt::format("stream {} is left out: no label is about it (-s chooses it all the same)", id));
      return {};
    }
    plan.notes.push_back(
        fmt::format("stream {}: no label is about it: from the name {} Edge Impulse takes '{}' for the class "
                    "(--class gives one)",
                    id, stream.wanted, stream.wanted.substr(0, stream.wanted.find('.'))));
    plan.streams.push_back(std::move(stream));
    return {};
  }
  const auto events = events_of(*labels, id, request.part, times);
  const auto name_of = [&](const Event& event) {
    return without_dots(request.class_name.empty() ? event.name : request.class_name, plan);
  };
  std::map<std::string, std::size_t> counts;
  std::vector<TimeSpan> covered;
  for (const auto& event : events) {
    ++counts[name_of(event)];
    covered.push_back(event.span);
  }
  std::map<std::string, std::size_t> numbers;
  for (const auto& event : events) {
    const std::string name = name_of(event);
    PlannedStream one{stream.index, {event.span}, name + "." + stream.wanted, {}};
    if (counts[name] > 1) one.wanted += fmt::format(".{}", ++numbers[name]);
    plan.streams.push_back(std::move(one));
  }
  if (!request.part.labels.empty()) return {};
  auto span = time_span(recording, stream.index);
  if (!span) return fail(span);
  if (*span && !without(both({**span}, times), normalized(covered)).empty())
    plan.notes.push_back(fmt::format("stream {}: what has no label is left out: each label becomes a file", id));
  return {};
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
  PartOptions times = request.part;
  times.labels.clear();
  const auto times_asked_for = times.ranges(recording);
  if (!times_asked_for) return fail(times_asked_for);
  plan.within = *times_asked_for;
  if (!request.part.labels.empty()) {
    auto within = labelled(recording, request.part, *streams, looked);
    if (!within) return fail(within);
    plan.within = std::move(*within);
  }
  tell_only_within(recording, plan.within);
  if (!request.part.labels.empty() && looked.lacks.size() == request.part.labels.size()) {
    looked.nothing = Error{ErrorCode::usage, "has no label of class " + joined(looked.lacks), plan.paths.front(), {}};
    return {};
  }
  const bool files = request.per_stream && (request.many || request.to_folder || streams->size() > 1);
  bool by_label = false;  // whether labels say what is left of the streams
  bool any_events = false;
  if (files && request.file_an_event) {
    auto labels = labels_of(recording);
    if (!labels) return fail(labels);
    tell_rounded(*labels, plan);
    any_events = std::any_of(streams->begin(), streams->end(), [&](std::size_t s) {
      return !events_of(*labels, recording.streams()[s].id, {}, all_time).empty();
    });
  }
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
    if (streams->size() > 1 && !request.part.labels.empty() && plan.within.of(stream).empty()) {
      plan.notes.push_back(left_out_by_label(info.id, request.part.labels));
      by_label = true;
      continue;
    }
    PlannedStream planned{stream, plan.within.of(stream), {}, {}};
    if (files)
      planned.wanted =
          request.many || request.named_by_recording ? plan.stem + (streams->size() > 1 ? "." + info.id : "") : info.id;
    if (files && request.file_an_event && !why) {
      if (auto done = divide_by_event(recording, request, *times_asked_for, any_events, std::move(planned), plan);
          !done)
        return done;
      by_label = true;
      continue;
    }
    if (!files && request.file_an_event && (request.class_name.empty() || !request.part.labels.empty())) {
      auto labels = labels_of(recording);
      if (!labels) return fail(labels);
      tell_rounded(*labels, plan);
      const auto events = events_of(*labels, info.id, request.part, *times_asked_for);
      if (events.empty() && !request.part.labels.empty()) {
        looked.nothing = Error{ErrorCode::usage, "has no label in the time that was asked for", plan.paths.front(), {}};
        return {};
      }
      if (events.size() > 1)
        return fail(ErrorCode::usage,
                    fmt::format("{} labels of {} would be joined in one file: choose a directory with -o, one that "
                                "exists or ends in /, for a file each; --multi-label keeps them beside one file",
                                events.size(), joined(classes_of(events))),
                    recording.path());
      const std::string taken = request.file_name.substr(0, request.file_name.find('.'));
      if (events.empty() || events.front().name != taken)
        plan.notes.push_back(fmt::format(
            "stream {}: {}: from the name {} Edge Impulse takes '{}' for the class", info.id,
            events.empty() ? "there is no label" : fmt::format("the label '{}' is not kept", events.front().name),
            request.file_name, taken));
    }
    plan.streams.push_back(std::move(planned));
  }
  const bool by_event = std::any_of(plan.streams.begin(), plan.streams.end(),
                                    [&](const PlannedStream& one) { return one.within != plan.within.of(one.index); });
  if (plan.streams.empty() && by_label) {
    looked.nothing = Error{ErrorCode::usage, "has no label in the time that was asked for", plan.paths.front(), {}};
    return {};
  }
  if (plan.streams.empty()) return no_stream_with_values(recording, plan.notes);
  if (plan.within == StreamTimes() && !by_event) return {};
  std::vector<PlannedStream> left;
  bool any_readable = false;  // of what is not, the export says why
  bool any_samples = false;
  for (const auto& planned : plan.streams) {
    const StreamInfo& info = recording.streams()[planned.index];
    const bool readable = request.images ? info.metadata && info.metadata->image : !why_no_samples(info);
    SampleOptions samples = request.samples;
    samples.within = planned.within;
    const bool samples_left = readable && has_samples(recording, planned.index, samples, on_progress);
    any_readable = any_readable || readable;
    any_samples = any_samples || samples_left;
    if (samples_left || !readable) left.push_back(planned);
  }
  if (any_readable && !any_samples) {
    looked.nothing = nothing_within(recording, *streams);
    return {};
  }
  for (const auto& planned : plan.streams) {
    if (std::any_of(left.begin(), left.end(), [&](const auto& one) {
          return one.index == planned.index && one.within == planned.within && one.wanted == planned.wanted;
        }))
      continue;
    plan.notes.push_back(by_event
                             ? fmt::format("{} is left out: there is no sample where that label is", planned.wanted)
                             : fmt::format("stream {} is left out: it has no sample in the time that was asked for",
                                           recording.streams()[planned.index].id));
  }
  plan.streams = std::move(left);
  return {};
}

}  // namespace

std::vector<std::size_t> PlannedExport::stream_indices() const {
  std::vector<std::size_t> indices;
  for (const auto& stream : streams) indices.push_back(stream.index);
  return indices;
}

Expected<std::vector<NamedInput>> name_inputs(std::vector<std::vector<std::filesystem::path>> groups,
                                              std::vector<std::string>& notes) {
  std::vector<NamedInput> inputs;
  std::set<std::string> taken;
  for (auto& group : groups) {
    const std::string stem = group.front().stem().string();
    taken.insert(stem);
    inputs.push_back({std::move(group), stem});
  }
  // Those of one name in the order of their paths.
  std::vector<NamedInput*> order;
  for (auto& input : inputs) order.push_back(&input);
  std::stable_sort(order.begin(), order.end(), [](const NamedInput* a, const NamedInput* b) {
    return std::tie(a->name, a->paths.front()) < std::tie(b->name, b->paths.front());
  });
  std::error_code ignored;
  std::vector<const NamedInput*> alike;
  std::string stem;
  for (NamedInput* input : order) {
    if (input->name != stem) alike.clear();
    stem = input->name;
    for (const NamedInput* other : alike)
      if (std::filesystem::equivalent(input->paths.front(), other->paths.front(), ignored))
        return fail(ErrorCode::usage, "is named twice", input->paths.front());
    if (!alike.empty()) {
      int number = 2;
      while (!taken.insert(fmt::format("{}~{}", stem, number)).second) ++number;
      input->name = fmt::format("{}~{}", stem, number);
      notes.push_back(fmt::format("{} is called {} here: {} has the same name", input->paths.front().string(),
                                  input->name, alike.front()->paths.front().string()));
    }
    alike.push_back(input);
  }
  return inputs;
}

LookedAt look_at(const NamedInput& input, const Recording::Options& options, const ExportRequest& request,
                 const OnProgress& on_progress) {
  LookedAt looked;
  looked.plan.paths = input.paths;
  looked.plan.stem = input.name;
  auto recording = open_recording(input.paths, options);
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
      return fail(ErrorCode::usage,
                  std::any_of(looked_at.begin(), looked_at.end(),
                              [&](const LookedAt& looked) { return looked.of_others.contains(name); })
                      ? only_about_others(name)
                      : no_such_class(all, name),
                  looked_at.size() == 1 ? looked_at.front().labels : std::filesystem::path());
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
