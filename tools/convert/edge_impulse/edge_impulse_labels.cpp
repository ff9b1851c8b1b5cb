#include "edge_impulse_labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sds {

namespace {

__extension__ typedef unsigned __int128 Wide;

// The millisecond of a file in which its sample `index` lies; rounded up: the first one behind it.
std::uint64_t millisecond_of(std::uint64_t index, const Frequency& rate, bool up = false) {
  return static_cast<std::uint64_t>((Wide{index} * 1000 * rate.denominator + (up ? rate.numerator - 1 : 0)) /
                                    rate.numerator);
}

// From the folder of a dataset's part. Edge Impulse takes its validation set from what it trains with.
const char* category_of(const std::filesystem::path& path) {
  const auto part = path.has_parent_path() ? path.begin()->string() : "";
  if (part == "train" || part == "validation") return "training";
  return part == "test" ? "testing" : "split";
}

nlohmann::ordered_json label_of(const LabelledFile& file, const std::string& path, const InfoLabelsOptions& options,
                                bool rest_given, std::vector<std::string>& notes) {
  const bool none =
      std::all_of(file.runs.begin(), file.runs.end(), [](const ClassRun& run) { return run.name.empty(); });
  if (none && !rest_given) {
    notes.push_back(fmt::format("{}: there is no label: it is told as unlabeled (--rest-class gives a class)", path));
    return {{"type", "unlabeled"}};
  }
  auto labels = nlohmann::ordered_json::array();
  std::uint64_t first = 0;
  std::uint64_t rest = 0;
  std::size_t too_short = 0;
  for (const auto& run : file.runs) {
    const std::uint64_t end = first + run.count;
    const std::uint64_t start_index = options.in_samples ? first : millisecond_of(first, file.rate);
    const std::uint64_t end_index =
        options.in_samples ? end : millisecond_of(end, file.rate, &run == &file.runs.back());
    if (run.name.empty()) rest += run.count;
    first = end;
    if (end_index <= start_index) {
      ++too_short;
      continue;
    }
    labels.push_back({{"label", run.name.empty() ? options.rest : run.name},
                      {"startIndex", start_index},
                      {"endIndex", end_index - 1}});
  }
  if (rest > 0 && !rest_given)
    notes.push_back(fmt::format(
        "{}: {} of its {} samples have no label, and Edge Impulse wants one of each: they are '{}' (--rest-class)",
        path, rest, first, options.rest));
  if (too_short > 0)
    notes.push_back(fmt::format("{}: {} label{} within a millisecond {} left out (--label-index samples keeps all)",
                                path, too_short, too_short == 1 ? "" : "s", too_short == 1 ? "is" : "are"));
  return {{"type", "multi-label"}, {"labels", std::move(labels)}};
}

}  // namespace

void ClassRuns::add(double time_s) {
  const auto after = classes_.upper_bound(time_s);
  const std::string& name = after == classes_.begin() ? std::string() : std::prev(after)->second;
  if (runs_.empty() || runs_.back().name != name) runs_.push_back({0, name});
  ++runs_.back().count;
}

std::string info_labels(std::vector<LabelledFile> files, const std::filesystem::path& folder,
                        const InfoLabelsOptions& options, bool rest_given, std::vector<std::string>& notes) {
  std::sort(files.begin(), files.end(), [](const LabelledFile& a, const LabelledFile& b) { return a.path < b.path; });
  auto list = nlohmann::ordered_json::array();
  bool validation = false;
  for (const auto& file : files) {
    const auto path = file.path.lexically_relative(folder);
    validation = validation || (path.has_parent_path() && *path.begin() == "validation");
    const std::string name = path.generic_string();
    list.push_back({{"path", name},
                    {"name", path.stem().string()},
                    {"category", category_of(path)},
                    {"label", label_of(file, name, options, rest_given, notes)}});
  }
  if (validation)
    notes.emplace_back(
        "info.labels has no validation set: Edge Impulse takes one from what it trains with, and gets "
        "the files in validation as training");
  const nlohmann::ordered_json document{{"version", 1}, {"files", std::move(list)}};
  return document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace sds
