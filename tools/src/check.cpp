#include "sds/tools/check.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sds/tools/stream_checker.hpp"

namespace sds {

namespace {

// Verifies the checksums of the sections that no cursor reads; data sections are verified as they are decoded.
Expected<void> check_sections(const SdszReader& reader, RecordingCheck& result, const OnProgress& on_progress) {
  for (const auto& entry : reader.sections().entries) {
    ++result.sections;
    if (entry.header.kind == SectionKind::data) continue;
    auto payload = reader.payload(entry);
    if (!payload) {
      if (payload.error().code == ErrorCode::io) return fail(payload);
      const auto known = [&](const Damage& damage) { return damage.offset == entry.offset; };
      if (std::none_of(result.damages.begin(), result.damages.end(), known))
        result.damages.push_back(
            {entry.offset, SectionHeader::bytes + entry.header.stored_bytes, payload.error().message});
    }
    if (auto go_on = report(on_progress, 0); !go_on) return go_on;
  }
  return {};
}

}  // namespace

Expected<RecordingCheck> check(const Recording& recording, const CheckOptions& options, const OnProgress& on_progress) {
  RecordingCheck result;
  if (const auto& reader = recording.sdsz()) {
    result.damages = reader->damages();
    if (!reader->complete()) {
      const bool logged = reader->log_file() != nullptr;
      result.notes.push_back(logged ? "not closed: still being recorded, or its recorder was killed; what was not yet "
                                      "in the file comes from the log beside it"
                                    : "not closed: still being recorded, or its recorder was killed");
      // The end of a file that is being written is no damage.
      if (!result.damages.empty() && result.damages.back().offset + result.damages.back().bytes == reader->sections().end)
        result.notes.push_back(fmt::format("{} bytes at the end are an unfinished section", result.damages.back().bytes)),
            result.damages.pop_back();
    } else if (!reader->sections().from_index) {
      result.damages.push_back({0, 0, "the index is lost or damaged; the recording was read without it"});
    }
    if (auto done = check_sections(*reader, result, on_progress); !done) return fail(done);
  }
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    auto cursor = recording.cursor(i);
    if (!cursor) return fail(cursor);
    StreamChecker checker(recording.streams()[i], options);
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
    stream.damages = (*cursor)->damages();
    stream.tail = (*cursor)->tail();
    if (recording.sdsz())
      for (const auto& gap : recording.sdsz()->streams()[i].gaps) stream.recorded_losses.push_back(gap.reason);
    result.streams.push_back(std::move(stream));
  }
  return result;
}

bool RecordingCheck::sound() const {
  return damages.empty() && std::all_of(streams.begin(), streams.end(),
                                        [](const StreamCheck& stream) { return stream.problems().empty(); });
}

}  // namespace sds
