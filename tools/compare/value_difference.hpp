// How far two values of two recordings lie apart.
#pragma once

#include <string>

#include "sds/format/metadata.hpp"

namespace sds {

/// The difference of two channels' values, which may have types, scales and offsets of their own. Where one of them has
/// integers of 64 bits it is that of the exact values, rounded once: of stored values where scale and offset are the
/// same, of physical ones where all scales and offsets are whole numbers. Others are compared as doubles.
class ValueDifference {
 public:
  /// Keeps both.
  ValueDifference(const Channel& a, const Channel& b);

  /// |a - b| of element `i` of two samples, whose physical values as doubles are told; infinite where one of them is
  /// not finite, and the other something else. NaN equals NaN.
  [[nodiscard]] double of(const std::byte* a, const std::byte* b, std::size_t i, double physical_a,
                          double physical_b) const;

  /// All digits of the physical values, where the channels have integers of 64 bits and these are whole; else empty.
  [[nodiscard]] std::string digits_of_a(const std::byte* sample, std::size_t i) const {
    return digits_of(*a_, sample, i);
  }
  [[nodiscard]] std::string digits_of_b(const std::byte* sample, std::size_t i) const {
    return digits_of(*b_, sample, i);
  }

 private:
  [[nodiscard]] std::string digits_of(const Channel& channel, const std::byte* sample, std::size_t i) const;

  const Channel* a_;
  const Channel* b_;
  bool wide_;  // one of them
  bool scaled_alike_;
  bool exact_;
};

}  // namespace sds
