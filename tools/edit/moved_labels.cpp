#include "moved_labels.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sds {

namespace {

__extension__ typedef __int128 Wide;

// So many ticks of `from`, in those of `to`.
struct Shift {
  Shift(std::int64_t ticks, const Frequency& from, const Frequency& to) {
    const Wide numerator = Wide{ticks} * to.numerator * from.denominator;
    const Wide denominator = Wide{to.denominator} * from.numerator;
    is_whole = numerator % denominator == 0;
    last_before = numerator / denominator - (!is_whole && ticks < 0 ? 1 : 0);
  }
  Wide last_before;
  bool is_whole;
};

}  // namespace

void EdgeShifts::begin() {
  std::sort(edges_.begin(), edges_.end());
  edges_.erase(std::unique(edges_.begin(), edges_.end()), edges_.end());
  shifts_.resize(edges_.size(), shift_);
}

void EdgeShifts::set(std::uint64_t from, std::uint64_t to, std::int64_t shift) {
  auto at = std::lower_bound(edges_.begin(), edges_.end(), from);
  for (; at != edges_.end() && *at < to; ++at) shifts_[static_cast<std::size_t>(at - edges_.begin())] = shift;
}

void EdgeShifts::add(std::uint64_t tick, std::uint64_t moved_tick) {
  if (any_) set(tick_, tick, shift_);
  tick_ = tick;
  shift_ = static_cast<std::int64_t>(moved_tick - tick);
  if (!any_) std::fill(shifts_.begin(), shifts_.end(), shift_);
  any_ = true;
}

std::int64_t EdgeShifts::at(const Instant& edge) const {
  const std::uint64_t tick = last_tick_until(edge, frequency_);
  if (any_ && tick >= tick_) return shift_;
  const auto at = std::lower_bound(edges_.begin(), edges_.end(), tick);
  return at == edges_.end() ? shift_ : shifts_[static_cast<std::size_t>(at - edges_.begin())];
}

Expected<void> move_with_blocks(LabelFile& file, const std::map<std::string, EdgeShifts>& by_stream) {
  const Frequency before = file.tick_frequency;
  // The shift of an edge, in ticks of `to`, for each that is moved.
  const auto shift_of = [&](const EdgeShifts& shifts, std::uint64_t edge, const Frequency& to) {
    return Shift(shifts.at({edge, before}), shifts.frequency(), to);
  };
  const auto for_each_edge = [&](const auto& visit) {
    for (std::size_t i = 0; i < file.labels.size(); ++i)
      if (const auto shifts = by_stream.find(file.labels[i].stream); shifts != by_stream.end())
        for (std::uint64_t* edge : {&file.labels[i].begin, &file.labels[i].end}) visit(shifts->second, *edge, i);
  };
  double latest_s = 0;
  for_each_edge([&](const EdgeShifts& shifts, std::uint64_t edge, std::size_t /*label*/) {
    const double moved_s = static_cast<double>(shifts.at({edge, before})) / shifts.frequency().hz();
    latest_s = std::max(latest_s, file.seconds_of(edge) + std::max(0.0, moved_s));
  });
  Frequency ticks = before;
  for_each_edge([&](const EdgeShifts& shifts, std::uint64_t edge, std::size_t /*label*/) {
    if (shift_of(shifts, edge, ticks).is_whole) return;
    if (const auto common = common_until(latest_s, ticks, shifts.frequency())) ticks = *common;
  });
  const std::vector<Label> labels = file.labels;
  std::vector<bool> is_rounded(file.labels.size());
  bool fits = true;
  for_each_edge([&](const EdgeShifts& shifts, std::uint64_t& edge, std::size_t label) {
    const Shift shift = shift_of(shifts, edge, ticks);
    if (!shift.is_whole) is_rounded[label] = true;
    const Wide moved = Wide{convert_tick(edge, before, ticks)} + shift.last_before;
    fits = fits && moved >= 0 && moved <= Wide{1} << 53;
    edge = static_cast<std::uint64_t>(moved);
  });
  // Where a block is moved by less than the one before, a short label that ends with it would end before it begins: it
  // goes with the block that it begins in.
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Label& label = file.labels[i];
    if (label.end > label.begin || labels[i].end <= labels[i].begin || !by_stream.contains(label.stream)) continue;
    label.end = label.begin + convert_tick(labels[i].end, before, ticks) - convert_tick(labels[i].begin, before, ticks);
    is_rounded[i] = true;
  }
  if (!fits) return fail(ErrorCode::usage, "a label would lie before the clock began: name this recording first");
  for (auto& label : file.labels)
    if (by_stream.find(label.stream) == by_stream.end()) label = in_ticks(std::move(label), before, ticks);
  file.tick_frequency = ticks;
  file.rounded += static_cast<std::size_t>(std::count(is_rounded.begin(), is_rounded.end(), true));
  return {};
}

}  // namespace sds
