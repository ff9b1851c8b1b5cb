// Plays a recording: all blocks of the chosen streams in one total order, at any speed, always the same.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "sds/format/recording.hpp"
#include "sds/player/fingerprint.hpp"

namespace sds {

/// A block on its way to an algorithm. `block.data` stays valid until the player's next call.
struct ReplayEvent {
  std::size_t stream = 0;     ///< position in the player's list of streams
  std::uint64_t ordinal = 0;  ///< of the block in its stream, from 0
  BlockView block;
};

/// Delivers blocks by (time, order of the streams, ordinal), where time is the exact fraction tick / tick frequency.
///
/// A stream is never reordered: a block whose tick lies before its predecessor's is delivered right behind it, as the
/// device's algorithm saw it. The order depends on nothing else: not on container, threads, pacing or machine.
class Player {
 public:
  struct Options {
    std::vector<std::size_t> streams;  ///< of the recording, in the order that breaks ties; empty: all
    double speed = 0;                  ///< 1: as recorded, 0.5: half as fast; 0: as fast as it goes
    Executor* executor = nullptr;      ///< decodes ahead; must outlive the player
    /// Called now and then while it waits; an error of it ends the waiting, and is next()'s.
    std::function<Expected<void>()> ask = {};
  };
  /// `recording` must outlive the player.
  static Expected<Player> open(const Recording& recording, const Options& options);

  /// The next event, or nothing at the end. With a speed it waits until the event is due.
  [[nodiscard]] Expected<std::optional<ReplayEvent>> next();

  /// Over everything delivered so far.
  [[nodiscard]] std::string fingerprint() const { return fingerprint_.hex(); }
  /// What could not be read and was therefore not delivered.
  [[nodiscard]] std::vector<Damage> damages() const;
  [[nodiscard]] std::size_t damage_count() const;

 private:
  struct Source {
    std::unique_ptr<BlockCursor> cursor;
    Frequency frequency;
    std::uint64_t ordinal = 0;
    std::uint64_t due_tick = 0;  // the largest tick so far: when the head is delivered
    BlockView head;
  };
  Player() = default;
  [[nodiscard]] Expected<bool> advance(Source& source);
  [[nodiscard]] bool later(std::size_t a, std::size_t b) const;
  [[nodiscard]] Expected<void> wait_until_due(const Source& source);

  std::vector<Source> sources_;
  std::vector<std::size_t> heap_;  // of sources that have a head, the earliest on top
  std::optional<std::size_t> delivered_;
  Fingerprint fingerprint_;
  double speed_ = 0;
  std::function<Expected<void>()> ask_;
  std::optional<double> start_seconds_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace sds
