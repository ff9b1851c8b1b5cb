// The scores that an algorithm gives to classes, sample by sample, and which class leads. Integers of 64 bits are
// summed and compared as such, for a double does not hold them all.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "channel_values.hpp"

namespace sds {

class ClassScores {
 public:
  /// Of an output with this metadata, which stay where they are. `classes` that name channels pick them: an output may
  /// hold other things, too. Where none of them is a channel, they name all values in turn.
  static Expected<ClassScores> of(const Metadata& metadata, const std::vector<std::string>& classes);

  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] std::uint64_t samples() const { return samples_; }
  void add(const std::byte* sample);
  void clear();
  /// The class with the largest mean, the first of equals; "not a number" where none is a number.
  [[nodiscard]] std::string leader() const;
  /// Means in physical units, by class. What is no number is no score.
  [[nodiscard]] std::map<std::string, long double> means() const;

 private:
  struct Sum {
    ChannelRef value;
    WholeNumber whole = 0;  ///< of wide channels, stored
    double physical = 0;    ///< of others
  };

  ClassScores(const Metadata& metadata, std::vector<std::string> names, const std::vector<ChannelRef>& values);
  [[nodiscard]] const Channel& channel_of(const Sum& sum) const { return metadata_->channels[sum.value.channel]; }
  [[nodiscard]] long double mean(const Sum& sum) const;
  [[nodiscard]] bool is_above(const Sum& a, const Sum& b) const;

  const Metadata* metadata_;
  std::vector<std::string> names_;
  std::vector<Sum> sums_;
  std::uint64_t samples_ = 0;
};

}  // namespace sds
