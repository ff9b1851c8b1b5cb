#include "check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "clock_fit.hpp"
#include "damage_text.hpp"
#include "sds/format/if_damaged.hpp"
#include "stream_checker.hpp"

namespace sds {

namespace {

Damage costs_no_block(Damage damage) {
  damage.blocks = 0;
  return damage;
}

// How many sections the index tells of that do not stand there so.
std::size_t count_differing(const std::vector<IndexEntry>& indexed, const std::vector<IndexEntry>& there) {
  std::map<std::uint64_t, const SectionHeader*> headers;
  for (const auto& entry : there) headers.emplace(entry.offset, &entry.header);
  return static_cast<std::size_t>(std::count_if(indexed.begin(), indexed.end(), [&](const IndexEntry& entry) {
    const auto found = headers.find(entry.offset);
    return found == headers.end() || found->second->encode() != entry.header.encode();
  }));
}

// Looks at every section as it stands in the file, not as the index says: headers, checksums, sequence. Data sections
// are verified as they are decoded.
Expected<void> check_container(const SdszReader& reader, RecordingCheck& result, const OnProgress& on_progress) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> told;  // where, and how many bytes
  for (const auto& damage : reader.damages()) told.emplace(damage.offset, damage.bytes);
  const auto add = [&](const Damage& damage) {
    if (damage.bytes == 0 || told.emplace(damage.offset, damage.bytes).second) reader.damage_log()->add(damage);
  };
  // As sds recover finds it.
  auto walked = load_sections(*reader.file(), {.walk = true, .with_index = true, .verify = true});
  if (!walked) return fail(walked);
  // Of one that grows, what the reader looks at.
  const std::uint64_t end = reader.sections().end;
  for (const auto& damage : walked->damages)
    if (damage.offset < end) add(damage);
  result.sections = walked->sections;
  if (reader.sections().from_index)
    if (const auto differing = count_differing(reader.sections().entries, walked->entries); differing > 0)
      add(costs_no_block(
          {0, 0,
           fmt::format("the index tells of {} section{} that stand{} elsewhere or otherwise in the file; "
                       "sds recover goes by what stands there",
                       differing, differing == 1 ? "" : "s", differing == 1 ? "s" : "")}));
  for (const auto& entry : walked->entries) {
    if (entry.header.kind == SectionKind::data || entry.end() > end) continue;
    auto payload = reader.payload(entry);
    if (!payload && is_unread(payload.error())) return fail(payload);
    if (!payload) add(costs_no_block({entry.offset, entry.header.section_bytes(), payload.error().message}));
    if (auto go_on = report(on_progress, 0); !go_on) return go_on;
  }
  if (walked->complete) {
    auto indexed = load_sections(*reader.file(), {});
    if (!indexed) return fail(indexed);
    if (!indexed->from_index)
      add(costs_no_block({0, 0, "the index is lost or damaged; the recording can be read without it"}));
    return {};
  }
  // Without a log the end was lost later, and the reader says so.
  if (!reader.has_log() && !reader.being_written()) return {};
  if (walked->unfinished.bytes > 0)
    result.notes.push_back(fmt::format("{} bytes at the end are an unfinished section", walked->unfinished.bytes));
  return {};
}

}  // namespace

Expected<RecordingCheck> check(const Recording& recording, const CheckOptions& options, const OnProgress& on_progress) {
  RecordingCheck result;
  result.closed = is_closed(recording);
  if (const auto open = why_not_closed(recording)) {
    // Of what nobody writes any more nothing is to come: its end is as unknown as that of a copy, which has a gap
    // there.
    const bool grows = !recording.sdsz() || recording.sdsz()->being_written();
    if (grows) result.notes.push_back(*open);
    if (!grows) result.damages.push_back(costs_no_block({0, 0, *open}));
  }
  if (const auto lost = lost_streams_text(recording)) result.damages.push_back(costs_no_block({0, 0, *lost}));
  for (const auto& text : clocks_apart(recording)) result.notes.push_back(text);
  for (const auto& text : utc_steps(recording)) result.notes.push_back(text);
  if (recording.sdsz())
    if (auto done = check_container(*recording.sdsz(), result, on_progress); !done) return fail(done);
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    auto cursor = recording.cursor(i);
    if (!cursor) return fail(cursor);
    StreamChecker checker(recording, i, options);
    std::uint64_t unreported = 0;
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) break;
      checker.add(**block);
      unreported += (*block)->data.size() + 8;
      if (unreported < (1u << 18)) continue;
      if (auto go_on = report(on_progress, std::exchange(unreported, 0)); !go_on) return fail(go_on);
    }
    auto stream = checker.finish();
    if (!recording.streams()[i].being_written) stream.tail = (*cursor)->tail();  // else more of it is to come
    if (recording.sdsz())
      for (const auto& gap : recording.sdsz()->streams()[i].gaps) stream.recorded_losses.push_back(gap.reason);
    result.streams.push_back(std::move(stream));
  }
  for (const auto& damage : recording.damages()) {
    if (damage.torn_end) continue;  // told by itself
    const bool of_stream = damage.stream && *damage.stream < result.streams.size();
    (of_stream ? result.streams[*damage.stream].damages : result.damages).push_back(damage);
  }
  return result;
}

bool RecordingCheck::sound() const {
  return damages.empty() && std::all_of(streams.begin(), streams.end(),
                                        [](const StreamCheck& stream) { return stream.problems().empty(); });
}

}  // namespace sds
