// What goes along when blocks of one recording are written into another: gaps and damage at their place, and what a
// report says of what could not come along.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "edit.hpp"
#include "label_file.hpp"
#include "sds/format/names.hpp"
#include "sds/format/stream_losses.hpp"

namespace sds {

/// Records each loss as a gap behind the stream's last block.
inline Expected<void> add_gaps(SdszWriter& writer, SdszWriter::StreamId id,
                               const std::vector<StreamLosses::Loss>& losses) {
  for (const auto& loss : losses)
    if (auto done = writer.add_gap(id, loss.reason); !done) return done;
  return {};
}

/// A torn end is no block, and stays behind: a loss that is recorded, and noted.
inline Expected<void> leave_tail(SdszWriter& writer, SdszWriter::StreamId stream, const std::string& id,
                                 const BlockCursor& cursor, const StreamLosses& losses, EditReport& report) {
  const auto tail = cursor.tail();
  if (!tail) return {};
  report.notes.push_back(fmt::format("{}: the torn end is left out: at byte {}: {}", id, tail->offset, tail->reason));
  const auto loss = losses.torn_end();
  return loss ? writer.add_gap(stream, loss->reason) : Expected<void>{};
}

/// A stream's clock pairs; none in plain files.
inline std::span<const ClockPair> clocks_of(const Recording& recording, std::size_t stream) {
  return recording.sdsz() ? std::span(recording.sdsz()->streams()[stream].clocks) : std::span<const ClockPair>();
}

/// Whether a recording has labels, be they none, where the names of its streams would say a class: then a copy has
/// them, too, or the names would count.
inline bool names_give_way(const Recording& recording) {
  return !label_files(recording).empty() &&
         std::any_of(recording.streams().begin(), recording.streams().end(),
                     [](const StreamInfo& stream) { return !class_in_label(stream.description.label).empty(); });
}

/// The labels of what is left of `recording`: of `streams`, as they are called by themselves, and the time `within`.
Expected<LabelFile> labels_of_part(const Recording& recording, const std::vector<std::size_t>& streams,
                                   const TimeRanges& within, EditReport& report);
/// The labels of `recording`; none, and a note, where they are malformed. That they cannot be read is an error.
Expected<std::optional<LabelFile>> sound_labels_of(const Recording& recording, std::vector<std::string>& notes);

}  // namespace sds
