// How well events that were found agree with labels: which label each event finds, and how late.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sds/format/time.hpp"

namespace sds {

/// A class for [begin, end).
struct EventLabel {
  std::string name;
  Instant begin;
  Instant end;
};

/// A class at an instant.
struct FoundEvent {
  std::string name;
  Instant at;
};

/// Counts, and what follows from them. Rates without a case are NaN.
struct EventScore {
  std::uint64_t labels = 0;
  std::uint64_t found = 0;     ///< events
  std::uint64_t right = 0;     ///< events that find a label; as many labels are found
  double onset_sum_s = 0;      ///< of the right events: how far behind its label's begin each is; before it: negative
  double largest_onset_s = 0;  ///< the largest of them without its sign

  EventScore& operator+=(const EventScore& other);
  [[nodiscard]] double precision() const;  ///< right of found
  [[nodiscard]] double recall() const;     ///< right of labels
  [[nodiscard]] double f1() const;         ///< the harmonic mean of both: 2 right / (found + labels)
  [[nodiscard]] double mean_onset_s() const;
};

struct EventMatch {
  std::map<std::string, EventScore> by_class;
  std::vector<std::size_t> missed;                         ///< labels that no event finds, ascending
  std::vector<std::size_t> wrong;                          ///< events that find no label, ascending
  std::vector<std::pair<std::size_t, std::size_t>> right;  ///< a label, and the event that finds it

  [[nodiscard]] EventScore all() const;
};

/// Whether two instants lie farther apart than so many nanoseconds, exactly.
bool are_farther_apart(const Instant& a, const Instant& b, std::uint64_t ns);

/// An event finds a label of its class if it lies from `tolerance_ns` before its begin to as much behind its end, both
/// included. No label is found twice, and no event finds two: of all ways to pair them one that pairs most, where
/// events in the order of time find, of the labels that each can, the one that ends first. Times are compared exactly.
EventMatch match_events(std::span<const EventLabel> labels, std::span<const FoundEvent> events,
                        std::uint64_t tolerance_ns);

}  // namespace sds
