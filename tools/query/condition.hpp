// Conditions on channels: 'ax > 2 and temperature < 30', parsed once, evaluated over many samples at a time, or over
// the range of a whole section's values to know without reading it what can and what must be true in it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sds/format/error.hpp"
#include "sds/format/exact_value.hpp"

namespace sds {

/// All that is known of a value: it lies in [low, high], or may be no number.
struct ValueRange {
  double low = 0;
  double high = 0;
  bool maybe_nan = false;
  bool wide = false;  ///< integers of 64 bits, of which doubles do not tell all digits
};

enum class Verdict { never, maybe, always };

/// Grammar, loosest first: or, and, not, comparisons (< <= > >= == !=), + -, * /, unary -, and as the smallest parts
/// numbers, channels, abs(x), sqrt(x), min(x, y), max(x, y), parentheses. Channels are `ax`, `scores[2]`, `Imu.ax`, or
/// in backticks where the name is not a plain word. Comparisons with NaN are false, but `!=` is true. All is of
/// doubles; comparisons with integers of 64 bits are exact where they need no more than sums, differences and extremes.
class Condition {
 public:
  enum class Kind : std::uint8_t {
    number,
    channel,
    negate,
    abs,
    sqrt,
    min,
    max,
    add,
    subtract,
    multiply,
    divide,
    less,
    less_equal,
    greater,
    greater_equal,
    equal,
    not_equal,
    logical_and,
    logical_or,
    logical_not,
  };
  struct Node {
    Kind kind = Kind::number;
    double number = 0;
    std::size_t channel = 0;  ///< index in channels()
    std::size_t left = 0;     ///< indices of nodes that stand before this one
    std::size_t right = 0;
    ExactNumber exact = 0.0;  ///< a number with all digits
  };

  /// Errors (ErrorCode::usage) name the column. At most 1000 nodes, nested at most 100 deep.
  static Expected<Condition> parse(const std::string& text);

  [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }
  [[nodiscard]] std::size_t root() const { return nodes_.size() - 1; }
  /// The channels' names as written, each once.
  [[nodiscard]] const std::vector<std::string>& channels() const { return channels_; }

  /// Evaluates node `root` for `count` samples. columns[c] points to the values of channel c; those that the node does
  /// not use may be null. wide[c]: the same with all digits, of integers of 64 bits; null of others. The result has one
  /// byte a sample, 0 or 1.
  void evaluate(std::size_t root, const std::vector<const double*>& columns,
                const std::vector<const ExactNumber*>& wide, std::size_t count,
                std::vector<std::uint8_t>& result) const;

  /// What node `root` can be where channel c lies in ranges[c].
  [[nodiscard]] Verdict verdict(std::size_t root, const std::vector<ValueRange>& ranges) const;

 private:
  friend class ConditionParser;
  [[nodiscard]] bool has_wide(std::size_t index, const std::vector<const ExactNumber*>& wide) const;
  [[nodiscard]] bool is_rounded(std::size_t index) const;
  std::vector<Node> nodes_;
  std::vector<std::string> channels_;
};

bool is_logical(Condition::Kind kind);
bool is_comparison(Condition::Kind kind);

}  // namespace sds
