// What the sections and the log of a stream tell together.
#include "sds/format/limits.hpp"
#include "sds/format/sdsz_reader.hpp"

namespace sds {

std::optional<std::uint64_t> SdszStream::last_tick() const {
  const bool in_log = !log.empty() && (data.empty() || log.back().end_block() > data.back().header.end_block());
  if (in_log) return log.back().last_tick;
  return data.empty() ? std::nullopt : std::optional(data.back().header.last_tick);
}

bool SdszStream::ascends() const {
  std::uint64_t end = 0;  // of the blocks before
  std::uint64_t last = 0;
  // Sections and pieces that share blocks agree about those.
  const auto goes_on = [&](std::uint64_t first_block, std::uint64_t its_end, std::uint64_t first_tick,
                           std::uint64_t its_last) {
    if ((first_block >= end ? first_tick : its_last) < last) return false;
    end = its_end;
    last = its_last;
    return true;
  };
  auto piece = log.begin();
  const auto pieces_go_on = [&](std::uint64_t before) {
    for (; piece != log.end() && piece->first_block < before; ++piece) {
      if (piece->end_block() <= end) continue;
      if (piece->unsorted || !piece->first_tick || !piece->last_tick) return false;
      if (!goes_on(piece->first_block, piece->end_block(), *piece->first_tick, *piece->last_tick)) return false;
    }
    return true;
  };
  for (const auto& section : data) {
    const SectionHeader& header = section.header;
    if (!pieces_go_on(header.first_block)) return false;
    if ((header.flags & SectionHeader::flag_unsorted) != 0) return false;
    if (header.end_block() > end &&
        !goes_on(header.first_block, header.end_block(), header.first_tick, header.last_tick))
      return false;
  }
  return pieces_go_on(limits::max_blocks + 1);
}

}  // namespace sds
