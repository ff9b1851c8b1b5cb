#include "opened.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "clock_fit.hpp"
#include "command.hpp"
#include "damage_text.hpp"
#include "losses_within.hpp"
#include "report.hpp"
#include "wants_to_end.hpp"

namespace sds::cli {

namespace {

constexpr std::size_t kMostTold = 20;  // of one recording

struct Opened {
  std::vector<std::string> streams;  // their ids
  std::shared_ptr<DamageLog> damages;
  std::optional<LossesWithin> part;
};

// By path: in an order that threads do not decide. A recording that is opened twice tells of both looks.
std::mutex g_mutex;
std::multimap<std::string, Opened> g_opened;

// Recordings that were not closed, by path: whether to say so, and the words.
struct NotClosed {
  bool untold = false;
  std::string text;
};
std::map<std::string, NotClosed> g_not_closed;

std::string stream_of(const Damage& damage, const std::vector<std::string>& streams) {
  return damage.stream && *damage.stream < streams.size() ? streams[*damage.stream] : std::string();
}

nlohmann::json to_json(const Damage& damage, const std::string& recording, const std::string& stream) {
  return {{"recording", recording},
          {"stream", damage.stream ? nlohmann::json(stream) : nlohmann::json(nullptr)},
          {"blocks", or_null(damage.blocks)},
          {"first_tick", or_null(damage.first_tick)},
          {"last_tick", or_null(damage.last_tick)},
          {"after_tick", or_null(damage.after_tick)},
          {"before_tick", or_null(damage.before_tick)},
          {"offset", damage.offset},
          {"bytes", damage.bytes},
          {"reason", damage.reason}};
}

// "at byte 1234: " and "Imu: ", where they are known.
std::string place_of(const Damage& damage, const std::string& stream) {
  return (damage.bytes > 0 ? fmt::format("at byte {}: ", damage.offset) : "") + (stream.empty() ? "" : stream + ": ");
}

// All damage by path, each once.
std::map<std::string, std::vector<std::pair<Damage, std::string>>> all_damages() {
  const std::lock_guard lock(g_mutex);
  std::map<std::string, std::vector<std::pair<Damage, std::string>>> all;
  for (const auto& [path, opened] : g_opened)
    for (const auto& damage : opened.damages->all()) {
      if (opened.part && !opened.part->concern(damage)) continue;
      auto& known = all[path];
      const bool told = std::any_of(known.begin(), known.end(), [&](const auto& k) { return k.first == damage; });
      if (!told) known.emplace_back(damage, stream_of(damage, opened.streams));
    }
  return all;
}

}  // namespace

Expected<void> refuse_companion(const std::filesystem::path& path) {
  const auto type = path.extension();
  if (type == ".yml" || type == ".yaml")
    return fail(ErrorCode::bad_input, "is no recording: name the .sds or .sdsz that it is beside", path);
  if (path.string().ends_with(".sdsz.wal") || path.string().ends_with(".sdsz.wal.new"))
    return fail(ErrorCode::bad_input, "is the log of a recording: name the .sdsz, and it is read with it", path);
  return {};
}

namespace {

Expected<void> refuse_folder(const std::filesystem::path& path) {
  std::error_code failed;
  if (!std::filesystem::is_directory(path, failed)) return {};
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(path, failed), end; !failed && entry != end; entry.increment(failed))
    if (entry->path().extension() == ".sds" || entry->path().extension() == ".sdsz")
      names.push_back(entry->path().filename().string());
  std::sort(names.begin(), names.end());
  const std::size_t count = names.size();
  names.resize(std::min<std::size_t>(count, 5));
  return fail(ErrorCode::io,
              count == 0 ? std::string("is a directory, without recordings")
                         : fmt::format("is a directory: name the recordings in it: {}{}", fmt::join(names, ", "),
                                       count > names.size() ? fmt::format(" and {} more", count - names.size()) : ""),
              path);
}

// Any bytes are a torn end: of a file that is not even named like a recording, they are none.
Expected<void> check_plain(const std::filesystem::path& path) {
  if (path.extension() == ".sds") return {};
  auto reader = PlainReader::open(path);
  if (!reader) return fail(reader);
  auto block = reader->next();
  if (!block) return fail(block);
  if (*block || !reader->tail()) return {};
  return fail(ErrorCode::bad_input, "is no recording: " + reader->tail()->reason, path);
}

Expected<Recording> open(std::span<const std::filesystem::path> paths, const Recording::Options& options, bool untold) {
  for (const auto& path : paths)
    for (auto ok : {refuse_companion(path), refuse_folder(path)})
      if (!ok) return fail(ok);
  auto recording = open_until_end(paths, options);
  if (!recording) return recording;
  if (!recording->sdsz())
    for (const auto& stream : recording->streams()) {
      if (stream.being_written) continue;  // its first block may not have come yet
      if (auto ok = check_plain(stream.path); !ok) return fail(ok);
    }
  if (!is_closed(*recording)) {
    auto text = why_not_closed(*recording);  // else its missing end is told as damage
    const std::lock_guard lock(g_mutex);
    g_not_closed.emplace(recording->path().string(), NotClosed{untold && text, text.value_or("")});
  }
  return recording;
}

}  // namespace

Expected<Recording> open_untold(std::span<const std::filesystem::path> paths, const Recording::Options& options) {
  return open(paths, options, false);
}

Expected<Recording> open_recording(std::span<const std::filesystem::path> paths, const Recording::Options& options) {
  auto recording = open(paths, options, true);
  if (!recording) return recording;
  const auto apart = clocks_apart(*recording);
  Opened opened;
  opened.streams = stream_ids(*recording);
  opened.damages = recording->damage_log();
  const std::lock_guard lock(g_mutex);
  if (g_opened.count(recording->path().string()) == 0) {
    for (const auto& text : apart) warn(recording->path().string() + ": " + text);
    for (const auto& stream : recording->streams())
      for (const auto& text : stream.metadata ? stream.metadata->notes : std::vector<std::string>{})
        warn(fmt::format("{}: metadata of {}: {}", recording->path().string(), stream.id, text));
  }
  g_opened.emplace(recording->path().string(), std::move(opened));
  return recording;
}

Expected<Recording> open_recording(const std::filesystem::path& path, const Recording::Options& options) {
  return open_recording(std::span(&path, 1), options);
}

void tell_only_within(const Recording& recording, const StreamTimes& within) {
  LossesWithin part(recording, within);
  const std::lock_guard lock(g_mutex);
  for (auto& [path, opened] : g_opened)
    if (opened.damages == recording.damage_log()) opened.part = part;
}

bool has_opened_recordings() {
  const std::lock_guard lock(g_mutex);
  return !g_opened.empty();
}

nlohmann::json damages_json() {
  auto list = nlohmann::json::array();
  for (const auto& [path, damages] : all_damages())
    for (const auto& [damage, stream] : damages) list.push_back(to_json(damage, path, stream));
  return list;
}

nlohmann::json damages_json(const std::vector<Damage>& damages, const std::filesystem::path& recording,
                            const std::vector<std::string>& streams) {
  auto list = nlohmann::json::array();
  for (const auto& damage : damages) list.push_back(to_json(damage, recording.string(), stream_of(damage, streams)));
  return list;
}

nlohmann::json not_closed_json() {
  const std::lock_guard lock(g_mutex);
  auto list = nlohmann::json::array();
  for (const auto& [path, open] : g_not_closed) list.push_back(path);
  return list;
}

std::optional<std::string> tell_not_closed(const Recording& recording) {
  const std::lock_guard lock(g_mutex);
  const auto open = g_not_closed.find(recording.path().string());
  if (open == g_not_closed.end() || open->second.text.empty()) return std::nullopt;
  open->second.untold = false;
  return open->second.text;
}

std::string describe(const Damage& damage, const std::vector<std::string>& streams) {
  return place_of(damage, stream_of(damage, streams)) + damage.reason;
}

std::vector<std::string> stream_ids(const Recording& recording) {
  std::vector<std::string> ids;
  for (const auto& stream : recording.streams()) ids.push_back(stream.id);
  return ids;
}

int tell_damages(int exit_code) {
  for (const auto& [path, open] : g_not_closed)
    if (open.untold) note(path + ": " + open.text);
  bool any = false;
  for (const auto& [path, damages] : all_damages()) {
    std::uint64_t blocks = 0;
    bool harmless = true;
    for (std::size_t i = 0; i < damages.size(); ++i) {
      const auto& [damage, stream] = damages[i];
      blocks += damage.blocks.value_or(0);
      harmless = harmless && damage.harmless;
      if (i >= kMostTold) continue;
      warn(fmt::format("{}: {}{}", path, place_of(damage, stream), damage.reason));
    }
    if (damages.size() > kMostTold) warn(fmt::format("{}: ... and {} more", path, damages.size() - kMostTold));
    if (harmless) continue;
    any = true;
    tell("sds: error: {}: is damaged{}: the result is of what could be read\n", path,
         blocks > 0 ? fmt::format(", {} {} lost", counted(blocks, "block"), blocks == 1 ? "is" : "are") : "");
  }
  return exit_code == 0 && any ? 3 : exit_code;
}

}  // namespace sds::cli
