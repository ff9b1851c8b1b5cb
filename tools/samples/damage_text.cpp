#include "damage_text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sds {

namespace {

constexpr const char* kStillRecorded =
    "not closed: it is still being recorded; what came after the last flush is not in it yet";
// Without a log nothing is flushed.
constexpr const char* kStillRecordedWithoutLog =
    "not closed: it is still being recorded; what is not in a section yet is not in it";

}  // namespace

std::string damage_text(const Damage& damage) {
  return damage.bytes > 0 ? fmt::format("at byte {}: {}", damage.offset, damage.reason) : damage.reason;
}

bool nothing_is_lost(const std::vector<Damage>& damages) {
  return std::all_of(damages.begin(), damages.end(), [](const Damage& damage) { return damage.harmless; });
}

std::optional<std::string> lost_streams_text(const Recording& recording) {
  const auto lost = recording.sdsz() ? recording.sdsz()->streams_lost_before() : 0;
  if (lost == 0) return std::nullopt;
  if (lost == 1) return "a stream of what it was made of is lost there";
  return fmt::format("{} streams of what it was made of are lost there", lost);
}

bool is_closed(const Recording& recording) {
  if (recording.sdsz()) return recording.sdsz()->complete();
  return std::none_of(recording.streams().begin(), recording.streams().end(),
                      [](const StreamInfo& stream) { return stream.being_written; });
}

std::optional<std::string> why_not_closed(const Recording& recording) {
  if (is_closed(recording)) return std::nullopt;
  if (!recording.sdsz()) return kStillRecorded;
  const SdszReader& reader = *recording.sdsz();
  if (reader.being_written()) return reader.has_log() ? kStillRecorded : kStillRecordedWithoutLog;
  if (!reader.has_log()) return std::nullopt;
  if (reader.in_use() == ByteSource::InUse::unknown)
    return "not closed: it is perhaps still being recorded, else its writer died; what came after the last flush is "
           "not "
           "known";
  return "not closed: its writer ended before it could be; what came after the last flush cannot be known";
}

}  // namespace sds
