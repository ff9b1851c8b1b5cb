#include "sds/format/damage.hpp"

#include <algorithm>

namespace sds {

void DamageLog::add(const Damage& damage) {
  const std::lock_guard lock(mutex_);
  if (std::find(damages_.begin(), damages_.end(), damage) != damages_.end()) return;
  ++count_;
  if (damages_.size() < max_kept) damages_.push_back(damage);
}

std::vector<Damage> DamageLog::all() const {
  const std::lock_guard lock(mutex_);
  return damages_;
}

std::size_t DamageLog::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace sds
