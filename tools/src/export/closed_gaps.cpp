#include "export/closed_gaps.hpp"

#include <fmt/format.h>

namespace sds {

void ClosedGaps::add(const SampleRun& run) {
  // Of one block, several runs may be wanted.
  const bool same_block = blocks_ > 0 && run.tick == tick_ && run.first > first_;
  first_ = run.first;
  if (!same_block && blocks_ > 0 && run.tick >= tick_) steps_.add(run.tick - tick_, blocks_, samples_);
  samples_ = has_rate_ ? run.first + run.count : 1;
  if (same_block) return;
  tick_ = run.tick;
  ++blocks_;
}

std::vector<std::string> ClosedGaps::notes(const SampleReader& reader, const std::string& stream,
                                           const std::string& why) const {
  std::vector<std::string> notes;
  if (const auto gaps = steps_.gaps().count; gaps > 0)
    notes.push_back(fmt::format("{}: {} gap{} in time {} closed: {}", stream, gaps, gaps == 1 ? "" : "s",
                                gaps == 1 ? "is" : "are", why));
  for (auto& note : reader.notes_of_losses("closed")) notes.push_back(std::move(note));
  return notes;
}

}  // namespace sds
