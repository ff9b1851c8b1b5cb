#include "dataset.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <set>
#include <tuple>

#include "class_cover.hpp"
#include "json_text.hpp"
#include "label_tools.hpp"
#include "sampled_time.hpp"
#include "sds/format/names.hpp"
#include "sds/player/fingerprint.hpp"
#include "session_ids.hpp"

namespace sds {

namespace {

std::string group_of(const DatasetItem& item, const Recording& recording, const std::string& by) {
  if (by == "recording" || by == "session") return item.name;
  if (by == "label") {
    for (const auto& stream : recording.streams())
      if (auto name = class_in_label(stream.description.label); !name.empty()) return name;
    return "";
  }
  const auto value = recording.sdsz() ? recording.sdsz()->session().get(by).value_or("") : "";
  return by == "device" ? without_port(value) : value;
}

// What has the same content, or is of one session, is in one group, whatever their groups were: that of the first name.
void join_groups(std::vector<DatasetItem>& items, bool by_session) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::tie(items[a].group, items[a].name) < std::tie(items[b].group, items[b].name);
  });
  std::map<std::string, std::string> group_with;  // by what is shared
  std::map<std::string, std::string> joined;      // a group, and the one that it is part of
  const auto root = [&](std::string name) {
    for (auto at = joined.find(name); at != joined.end(); at = joined.find(name)) name = at->second;
    return name;
  };
  for (const std::size_t i : order) {
    const DatasetItem& item = items[i];
    std::vector<std::string> shared{"content " + item.fingerprint};
    if (by_session)
      for (const auto& id : item.sessions) shared.push_back("session " + id);
    for (const auto& what : shared) {
      const auto a = root(group_with.emplace(what, item.group).first->second);
      const auto b = root(item.group);
      if (a != b) joined.emplace(std::max(a, b), std::min(a, b));
    }
  }
  for (auto& item : items) item.group = root(item.group);
}

}  // namespace

Expected<DatasetItem> describe_item(const std::filesystem::path& path, const Recording& recording,
                                    const SplitOptions& options, const OnProgress& on_progress,
                                    const std::vector<std::size_t>& streams, const StreamTimes& within,
                                    const std::string& name) {
  DatasetItem item;
  item.name = name.empty() ? path.stem().string() : name;
  item.path = path;
  Fingerprint fingerprint;
  std::map<std::string, TimeRanges> sampled;
  std::set<std::string> others;  // streams that are not asked for
  for (std::size_t s = 0; s < recording.streams().size(); ++s) {
    auto cursor = recording.cursor(s);
    if (!cursor) return fail(cursor);
    const Frequency ticks = recording.streams()[s].tick_frequency();
    SampledTime time(recording, s);
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) break;
      fingerprint.add(static_cast<std::uint32_t>(s), (*block)->tick, ticks, (*block)->data);
      time.add(**block);
      if (auto go_on = report(on_progress, (*block)->data.size() + 8); !go_on) return fail(go_on);
    }
    if (streams.empty() || std::find(streams.begin(), streams.end(), s) != streams.end()) {
      if (auto finished = time.finish(on_progress); !finished) return fail(finished);
      sampled.emplace(recording.streams()[s].id, both(time.ranges(), within.of(s)));
    } else {
      others.insert(recording.streams()[s].id);
    }
  }
  item.fingerprint = fingerprint.hex();
  // Of samples, as those of classes are: where any of the streams has some.
  TimeRanges all_sampled;
  for (const auto& [stream, ranges] : sampled) all_sampled = either(all_sampled, ranges);
  item.seconds = total_seconds(all_sampled);
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  std::erase_if(labels->labels, [&](const Label& label) { return others.contains(label.stream); });
  shorten_labels(*labels, recording, within);
  item.classes = labelled_seconds(*labels, std::move(sampled));
  auto sessions = sessions_of(recording);
  if (!sessions) return fail(sessions);
  item.sessions = std::move(*sessions);
  item.group = group_of(item, recording, options.by);
  if (item.group.empty())
    return fail(ErrorCode::usage,
                fmt::format("the recording says nothing of its '{}', by which the split is to be made", options.by),
                path);
  return item;
}

std::vector<std::string> empty_parts(const std::vector<DatasetItem>& items, const SplitOptions& options) {
  std::set<std::string> groups;
  for (const auto& item : items) groups.insert(item.group);
  std::vector<std::string> texts;
  for (std::size_t p = 0; p < part_names.size(); ++p) {
    const bool any = std::any_of(items.begin(), items.end(), [&](const DatasetItem& item) { return item.part == p; });
    if (options.shares[p] > 0 && !any)
      texts.push_back(fmt::format("{} gets nothing: there {} {} group{} of recordings only, and none is divided",
                                  part_names[p], groups.size() == 1 ? "is" : "are", groups.size(),
                                  groups.size() == 1 ? "" : "s"));
  }
  return texts;
}

void assign_parts(std::vector<DatasetItem>& items, const SplitOptions& options) {
  if (options.by != "recording") join_groups(items, options.by == "session");
  struct Group {
    std::uint64_t order = 0;
    std::string name;
    std::vector<DatasetItem*> items;
    std::map<std::string, double> classes;
  };
  std::map<std::string, Group> by_name;
  std::map<std::string, double> totals;
  for (auto& item : items) {
    Group& group = by_name[item.group];
    group.name = item.group;
    group.items.push_back(&item);
    auto classes = item.classes;
    if (classes.empty()) classes[""] = item.seconds;
    for (const auto& [name, time] : classes) {
      group.classes[name] += time;
      totals[name] += time;
    }
  }
  std::vector<Group> groups;
  for (auto& [name, group] : by_name) {
    group.order = XXH3_64bits_withSeed(name.data(), name.size(), options.seed);
    groups.push_back(std::move(group));
  }
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return std::tie(a.order, a.name) < std::tie(b.order, b.name); });
  double sum = 0;
  for (const double share : options.shares) sum += share;
  std::array<std::map<std::string, double>, 3> have;
  for (auto& group : groups) {
    std::size_t best = 0;
    double most = -1e300;
    for (std::size_t p = 0; p < 3; ++p) {
      if (options.shares[p] <= 0) continue;
      // How much of what the group has is lacking, relative to what the part is to get.
      double lack = 0;
      for (const auto& [name, time] : group.classes) {
        const double wanted = options.shares[p] / sum * totals[name];
        if (wanted > 0) lack += time * (1 - (have[p][name] + 0.5 * time) / wanted);
      }
      if (lack > most) {
        most = lack;
        best = p;
      }
    }
    for (const auto& [name, time] : group.classes) have[best][name] += time;
    for (DatasetItem* item : group.items) item->part = best;
  }
  for (std::size_t p = 0; p < 3; ++p) {
    std::array<std::vector<Group*>, 3> of_part;
    for (auto& group : groups) of_part[group.items.front()->part].push_back(&group);
    if (options.shares[p] <= 0 || !of_part[p].empty()) continue;
    // From the part with most groups, the one with the least time.
    auto& fullest = *std::max_element(of_part.begin(), of_part.end(),
                                      [](const auto& a, const auto& b) { return a.size() < b.size(); });
    if (fullest.size() < 2) continue;
    const auto time = [](const Group* group) {
      double total = 0;
      for (const auto& [name, seconds] : group->classes) total += seconds;
      return total;
    };
    Group* least = *std::min_element(fullest.begin(), fullest.end(),
                                     [&](const Group* a, const Group* b) { return time(a) < time(b); });
    for (DatasetItem* item : least->items) item->part = p;
  }
}

namespace {

// Recordings of one name are told from each other by their folders.
std::string source_of(const DatasetItem& item) {
  const auto file = item.path.filename();
  if (item.name == item.path.stem().string()) return file.string();
  return (item.path.parent_path().filename() / file).generic_string();
}

}  // namespace

std::string manifest(const std::vector<DatasetItem>& items, const SplitOptions& split, const std::string& format,
                     const WindowOptions* windows, const std::vector<std::string>& files) {
  std::string out = "dataset:\n  version: 1\n";
  out += fmt::format("  format: {}\n  seed: {}\n  split-by: {}\n", format, split.seed, json_string(split.by));
  out += fmt::format("  shares: [{}, {}, {}]\n", split.shares[0], split.shares[1], split.shares[2]);
  if (windows != nullptr) {
    out += fmt::format("  window: {{seconds: {}, stride: {}, label-share: {}, unlabelled: {}", windows->window_s,
                       windows->stride_s, windows->min_label_share, windows->keep_unlabelled);
    if (windows->streams.size() == 1) out += ", stream: " + json_string(windows->streams.front());
    if (windows->streams.size() > 1) {
      std::string list;
      for (const auto& stream : windows->streams) list += (list.empty() ? "" : ", ") + json_string(stream);
      out += ", streams: [" + list + "]";
    }
    out += "}\n";
  }
  out += "  parts:\n";
  const auto class_list = [](const std::map<std::string, double>& classes) {
    std::string list;
    for (const auto& [name, time] : classes)
      list += fmt::format("{}{}: {:.3f}", list.empty() ? "" : ", ", json_string(name), time);
    return "{" + list + "}";
  };
  for (std::size_t p = 0; p < part_names.size(); ++p) {
    std::size_t recordings = 0;
    double time = 0;
    std::uint64_t count = 0;
    std::map<std::string, double> classes;
    for (const auto& item : items) {
      if (item.part != p) continue;
      ++recordings;
      time += item.seconds;
      count += item.windows;
      for (const auto& [name, s] : item.classes) classes[name] += s;
    }
    if (recordings == 0) continue;
    out += fmt::format("    {}: {{recordings: {}, seconds: {:.3f}{}, class-seconds: {}}}\n", part_names[p], recordings,
                       time, windows != nullptr ? fmt::format(", windows: {}", count) : "", class_list(classes));
  }
  out += "  recordings:\n";
  for (const auto& item : items)
    out += fmt::format(
        "    - {{name: {}, source: {}, part: {}, group: {}, fingerprint: \"{}\", seconds: {:.3f}{}, class-seconds: "
        "{}}}\n",
        json_string(item.name), json_string(source_of(item)), part_names[item.part], json_string(item.group),
        item.fingerprint, item.seconds, windows != nullptr ? fmt::format(", windows: {}", item.windows) : "",
        class_list(item.classes));
  out += "  files:\n";
  for (const auto& file : files) out += fmt::format("    - {}\n", json_string(file));
  return out;
}

}  // namespace sds
