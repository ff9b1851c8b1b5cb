#include "sds/player/player.hpp"

#include <algorithm>
#include <numeric>
#include <thread>

namespace sds {

namespace {

constexpr std::chrono::milliseconds kAskEach{50};

}  // namespace

Expected<Player> Player::open(const Recording& recording, const Options& options) {
  Player player;
  player.speed_ = options.speed;
  player.ask_ = options.ask;
  std::vector<std::size_t> streams = options.streams;
  if (streams.empty()) {
    streams.resize(recording.streams().size());
    std::iota(streams.begin(), streams.end(), std::size_t{0});
  }
  for (const std::size_t stream : streams) {
    auto cursor = recording.cursor(stream, options.executor);
    if (!cursor) return fail(cursor);
    Source source;
    source.cursor = std::move(*cursor);
    source.frequency = recording.streams()[stream].tick_frequency();
    player.sources_.push_back(std::move(source));
  }
  for (std::size_t i = 0; i < player.sources_.size(); ++i) {
    auto more = player.advance(player.sources_[i]);
    if (!more) return fail(more);
    if (*more) player.heap_.push_back(i);
  }
  std::make_heap(player.heap_.begin(), player.heap_.end(),
                 [&](std::size_t a, std::size_t b) { return player.later(a, b); });
  return player;
}

Expected<bool> Player::advance(Source& source) {
  auto block = source.cursor->next();
  if (!block) return fail(block);
  if (!*block) return false;
  source.head = **block;
  source.due_tick = std::max(source.due_tick, source.head.tick);
  return true;
}

bool Player::later(std::size_t a, std::size_t b) const {
  const auto order = compare(Instant{sources_[a].due_tick, sources_[a].frequency},
                             Instant{sources_[b].due_tick, sources_[b].frequency});
  return order == std::strong_ordering::equal ? a > b : order == std::strong_ordering::greater;
}

Expected<std::optional<ReplayEvent>> Player::next() {
  const auto later_than = [this](std::size_t a, std::size_t b) { return later(a, b); };
  if (delivered_) {
    // The delivered block's data had to stay valid until now.
    Source& source = sources_[*delivered_];
    ++source.ordinal;
    auto more = advance(source);
    if (!more) return fail(more);
    if (*more) {
      heap_.push_back(*delivered_);
      std::push_heap(heap_.begin(), heap_.end(), later_than);
    }
    delivered_.reset();
  }
  if (heap_.empty()) return std::nullopt;
  std::pop_heap(heap_.begin(), heap_.end(), later_than);
  const std::size_t index = heap_.back();
  heap_.pop_back();
  delivered_ = index;
  const Source& source = sources_[index];
  if (speed_ > 0)
    if (auto waited = wait_until_due(source); !waited) return fail(waited);
  fingerprint_.add(static_cast<std::uint32_t>(index), source.head.tick, source.frequency, source.head.data);
  return ReplayEvent{index, source.ordinal, source.head};
}

Expected<void> Player::wait_until_due(const Source& source) {
  // In floating point: at a small speed it may be longer than any clock lasts.
  using Seconds = std::chrono::duration<double>;
  const double due = seconds(source.due_tick, source.frequency);
  if (!start_seconds_) {
    start_seconds_ = due;
    start_ = std::chrono::steady_clock::now();
  }
  const Seconds at((due - *start_seconds_) / speed_);
  for (;;) {
    const Seconds left = at - (std::chrono::steady_clock::now() - start_);
    if (left <= Seconds::zero()) return {};
    std::this_thread::sleep_for(std::min<Seconds>(left, kAskEach));
    if (!ask_) continue;
    if (auto go_on = ask_(); !go_on) return go_on;
  }
}

std::size_t Player::damage_count() const {
  std::size_t count = 0;
  for (const auto& source : sources_) count += source.cursor->damage_count();
  return count;
}

std::vector<Damage> Player::damages() const {
  std::vector<Damage> all;
  for (const auto& source : sources_) {
    const auto some = source.cursor->damages();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace sds
