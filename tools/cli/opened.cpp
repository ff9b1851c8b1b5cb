#include "opened.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "command.hpp"

namespace sds::cli {

namespace {

constexpr std::size_t kMostTold = 20;  // of one recording

struct Opened {
  std::vector<std::string> streams;  // their ids
  std::shared_ptr<DamageLog> damages;
};

// By path: in an order that threads do not decide. A recording that is opened twice tells of both looks.
std::mutex g_mutex;
std::multimap<std::string, Opened> g_opened;

std::string stream_of(const Damage& damage, const std::vector<std::string>& streams) {
  return damage.stream && *damage.stream < streams.size() ? streams[*damage.stream] : std::string();
}

template <class T>
nlohmann::json or_null(const std::optional<T>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

nlohmann::json to_json(const Damage& damage, const std::string& stream) {
  return {{"stream", damage.stream ? nlohmann::json(stream) : nlohmann::json(nullptr)},
          {"blocks", or_null(damage.blocks)},
          {"first_tick", or_null(damage.first_tick)},
          {"last_tick", or_null(damage.last_tick)},
          {"after_tick", or_null(damage.after_tick)},
          {"before_tick", or_null(damage.before_tick)},
          {"offset", damage.offset},
          {"bytes", damage.bytes},
          {"reason", damage.reason}};
}

// All damage by path, each once.
std::map<std::string, std::vector<std::pair<Damage, std::string>>> all_damages() {
  const std::lock_guard lock(g_mutex);
  std::map<std::string, std::vector<std::pair<Damage, std::string>>> all;
  for (const auto& [path, opened] : g_opened)
    for (const auto& damage : opened.damages->all()) {
      auto& known = all[path];
      const bool told = std::any_of(known.begin(), known.end(), [&](const auto& k) { return k.first == damage; });
      if (!told) known.emplace_back(damage, stream_of(damage, opened.streams));
    }
  return all;
}

}  // namespace

Expected<Recording> open_recording(std::span<const std::filesystem::path> paths, const Recording::Options& options) {
  auto recording = Recording::open(paths, options);
  if (!recording || !recording->sdsz()) return recording;
  Opened opened;
  for (const auto& stream : recording->streams()) opened.streams.push_back(stream.id);
  opened.damages = recording->damage_log();
  const std::lock_guard lock(g_mutex);
  g_opened.emplace(recording->path().string(), std::move(opened));
  return recording;
}

Expected<Recording> open_recording(const std::filesystem::path& path, const Recording::Options& options) {
  return open_recording(std::span(&path, 1), options);
}

nlohmann::json damages_json() {
  auto list = nlohmann::json::array();
  for (const auto& [path, damages] : all_damages())
    for (const auto& [damage, stream] : damages) {
      list.push_back(to_json(damage, stream));
      list.back()["recording"] = path;
    }
  return list;
}

nlohmann::json damages_json(const Recording& recording) {
  std::vector<std::string> streams;
  for (const auto& stream : recording.streams()) streams.push_back(stream.id);
  return damages_json(recording.damages(), streams);
}

nlohmann::json damages_json(const std::vector<Damage>& damages, const std::vector<std::string>& streams) {
  auto list = nlohmann::json::array();
  for (const auto& damage : damages) list.push_back(to_json(damage, stream_of(damage, streams)));
  return list;
}

int tell_damages(int exit_code) {
  bool any = false;
  for (const auto& [path, damages] : all_damages()) {
    any = true;
    std::uint64_t blocks = 0;
    for (std::size_t i = 0; i < damages.size(); ++i) {
      const auto& [damage, stream] = damages[i];
      blocks += damage.blocks.value_or(0);
      if (i >= kMostTold) continue;
      warn(fmt::format("{}: {}{}{}", path, damage.bytes > 0 ? fmt::format("at byte {}: ", damage.offset) : "",
                       stream.empty() ? "" : stream + ": ", damage.reason));
    }
    if (damages.size() > kMostTold) warn(fmt::format("{}: ... and {} more", path, damages.size() - kMostTold));
    fmt::print(stderr, "sds: error: {}: is damaged{}: the result is of what could be read\n", path,
               blocks > 0 ? fmt::format(", {} blocks are lost", grouped(blocks)) : "");
  }
  return exit_code == 0 && any ? 3 : exit_code;
}

}  // namespace sds::cli
