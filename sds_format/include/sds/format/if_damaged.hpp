// What is damaged is gone on from; what could not be read is not, for it may be well.
#pragma once

#include <utility>

#include "sds/format/error.hpp"

namespace sds {

/// True where the system refused a read, or the user ended it: nobody knows then what is there, so the error is passed
/// on.
[[nodiscard]] inline bool is_unread(const Error& error) {
  return error.code == ErrorCode::io || error.code == ErrorCode::interrupted;
}

/// What stands in for a result that failed: `instead`, if it was damaged; an error that is no damage stays one.
template <class T, class Failed>
[[nodiscard]] Expected<T> if_damaged(const Failed& failed, T instead) {
  if (is_unread(failed.error())) return fail(failed);
  return instead;
}

}  // namespace sds
