#include "class_scores.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace sds {

ClassScores::ClassScores(const Metadata& metadata, std::vector<std::string> names,
                         const std::vector<ChannelRef>& values)
    : metadata_(&metadata), names_(std::move(names)) {
  for (const auto& value : values) sums_.push_back({value});
}

Expected<ClassScores> ClassScores::of(const Metadata& metadata, const std::vector<std::string>& classes) {
  const std::vector<ChannelRef> values = all_values(metadata);
  std::vector<std::string> names;
  for (const auto& value : values) {
    const Channel& channel = metadata.channels[value.channel];
    names.push_back(channel.count() == 1 ? channel.name : std::to_string(value.element));
  }
  if (classes.empty()) return ClassScores(metadata, std::move(names), values);
  const auto has = [](const std::vector<std::string>& all, const std::string& name) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  if (std::none_of(classes.begin(), classes.end(), [&](const auto& name) { return has(names, name); })) {
    if (classes.size() == names.size()) return ClassScores(metadata, classes, values);
    return fail(ErrorCode::bad_input, fmt::format("the output {} has {} values, and 'classes' names {}; there is: {}",
                                                  metadata.name, names.size(), classes.size(), fmt::join(names, ", ")));
  }
  for (const auto& name : classes)
    if (!has(names, name))
      return fail(ErrorCode::bad_input, fmt::format("there is no class '{}' in the output {}; there is: {}", name,
                                                    metadata.name, fmt::join(names, ", ")));
  std::vector<std::string> picked;
  std::vector<ChannelRef> picked_values;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!has(classes, names[i])) continue;
    picked.push_back(names[i]);
    picked_values.push_back(values[i]);
  }
  return ClassScores(metadata, std::move(picked), picked_values);
}

void ClassScores::add(const std::byte* sample) {
  ++samples_;
  for (auto& sum : sums_) {
    const Channel& channel = channel_of(sum);
    if (is_wide(channel)) {
      sum.whole += *whole_value(channel, sample, sum.value.element);
    } else {
      sum.physical += raw_value(channel, sample, sum.value.element) * channel.scale + channel.offset;
    }
  }
}

void ClassScores::clear() {
  samples_ = 0;
  for (auto& sum : sums_) sum.whole = 0, sum.physical = 0;
}

long double ClassScores::mean(const Sum& sum) const {
  const Channel& channel = channel_of(sum);
  if (!is_wide(channel)) return sum.physical / static_cast<double>(samples_);
  // In two parts: the sum may have more digits than any floating-point number.
  const auto count = static_cast<WholeNumber>(samples_);
  const WholeNumber quotient = sum.whole / count;
  const WholeNumber rest = sum.whole % count;
  const long double stored =
      static_cast<long double>(quotient) + static_cast<long double>(rest) / static_cast<long double>(samples_);
  return channel.is_raw() ? stored : static_cast<double>(stored) * channel.scale + channel.offset;
}

bool ClassScores::is_above(const Sum& a, const Sum& b) const {
  const Channel& in_a = channel_of(a);
  const Channel& in_b = channel_of(b);
  const bool is_exact = is_wide(in_a) && is_wide(in_b) && in_a.scale == in_b.scale && in_a.offset == in_b.offset;
  if (!is_exact || in_a.scale == 0) return mean(a) > mean(b);
  return in_a.scale > 0 ? a.whole > b.whole : a.whole < b.whole;
}

std::string ClassScores::leader() const {
  const Sum* best = nullptr;
  for (const auto& sum : sums_)
    if (!std::isnan(mean(sum)) && (best == nullptr || is_above(sum, *best))) best = &sum;
  return best == nullptr ? "not a number" : names_[static_cast<std::size_t>(best - sums_.data())];
}

std::map<std::string, long double> ClassScores::means() const {
  std::map<std::string, long double> all;
  for (std::size_t i = 0; i < sums_.size(); ++i)
    if (const long double value = mean(sums_[i]); !std::isnan(value)) all[names_[i]] = value;
  return all;
}

}  // namespace sds
