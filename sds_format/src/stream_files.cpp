#include "sds/format/stream_files.hpp"

#include <map>

#include "sds/format/names.hpp"

namespace sds {

namespace {

bool is_yaml(std::string_view name) { return name.ends_with(".yml") || name.ends_with(".yaml"); }

}  // namespace

std::vector<StreamFiles> plain_files_of(std::span<const StreamDescription> streams) {
  FileNames names;
  std::vector<StreamFiles> all;
  for (const auto& stream : streams) {
    StreamFiles& files = all.emplace_back();
    files.recorded = stream.file_name.empty() ? SdsFileName{stream.name, stream.label, stream.playback}.to_string()
                                              : stream.file_name;
    // Data under a name that metadata, labels or suites have would be read as such.
    files.data = names.take(files.recorded, is_yaml(files.recorded) ? ".sds" : "");
  }
  std::map<std::string, std::pair<std::string, const std::string*>> known;  // by recorded name: name and content
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const std::string& wanted = streams[i].metadata_file_name;
    if (wanted.empty()) continue;
    const std::string& text = streams[i].metadata_text;
    const auto found = known.find(wanted);
    if (found == known.end()) {
      all[i].metadata = names.take(wanted);
      known.emplace(wanted, std::pair(all[i].metadata, &text));
    } else if (*found->second.second == text) {
      all[i].metadata = found->second.first;
    } else {
      std::string stem = all[i].data;
      if (stem.ends_with(".sds")) stem.resize(stem.size() - 4);
      all[i].metadata = names.take(stem, ".sds.yml");
    }
  }
  return all;
}

}  // namespace sds
