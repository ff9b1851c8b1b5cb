// What of a recording cannot be read. Readers and their cursors find it at different times and on different threads;
// it belongs to the recording, and whoever reads the recording can ask for all of it.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace sds {

/// A stretch of a file that could not be read, or blocks of a stream that are missing, as far as known.
struct Damage {
  std::uint64_t offset = 0;  ///< in the file; 0 with `bytes` 0: nowhere in particular
  std::uint64_t bytes = 0;
  std::string reason;
  std::optional<std::size_t> stream = {};         ///< whose blocks are missing; none: not known
  std::uint64_t first_block = 0;                  ///< ordinal of the first missing block
  std::optional<std::uint64_t> blocks = {};       ///< how many blocks are missing; none: not known
  std::optional<std::uint64_t> first_tick = {};   ///< of the missing blocks, where it is known
  std::optional<std::uint64_t> last_tick = {};    ///< the same
  std::optional<std::uint64_t> after_tick = {};   ///< of the last block before them, where it is known
  std::optional<std::uint64_t> before_tick = {};  ///< of the first block behind them, where it is known
  bool harmless = false;                          ///< known to have cost nothing
  bool torn_end = false;                          ///< bytes at the end of the stream that are no whole block
  bool has_doubts = false;                        ///< what it may have cost is among the doubts of each stream

  bool operator==(const Damage&) const = default;
};

/// What a damaged section has cost, for people: "20 blocks are lost (ticks 100 to 290)".
std::string blocks_are_lost(std::uint64_t blocks, std::uint64_t first_tick, std::uint64_t last_tick);

/// Blocks of a stream, by their ordinals.
struct BlockRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// Collects damage, each once, in the order in which it was found. Thread-safe.
class DamageLog {
 public:
  /// At most this many are kept; what else there is is counted.
  static constexpr std::size_t max_kept = 10'000;

  void add(const Damage& damage);
  /// With one more for all that were not kept, which has the number of their blocks.
  [[nodiscard]] std::vector<Damage> all() const;
  /// Of those that were kept, what has cost blocks of a stream: what was found after the first `begin` of that.
  [[nodiscard]] std::vector<Damage> losses(std::size_t stream, std::size_t begin) const;
  [[nodiscard]] std::size_t count() const;
  /// Of the damage that was not kept, what blocks of a stream it has cost: those that were found after the first
  /// `begin`.
  [[nodiscard]] std::vector<BlockRange> untold_losses(std::size_t stream, std::size_t begin) const;

 private:
  mutable std::mutex mutex_;
  std::vector<Damage> damages_;
  std::unordered_map<std::size_t, std::vector<std::size_t>> losses_;  // of each stream, among them
  std::unordered_set<std::size_t> known_;                             // hashes of what was added
  std::size_t count_ = 0;
  std::uint64_t untold_blocks_ = 0;                                  // of those that were not kept
  bool untold_unknown_ = false;                                      // one of them does not know how many
  bool untold_harmless_ = true;                                      // each of them has cost nothing
  std::unordered_map<std::size_t, std::vector<BlockRange>> untold_;  // by stream
};

}  // namespace sds
