// Which sessions a recording is a part of: what a split keeps together.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "sds/format/recording.hpp"
#include "sds/format/source_fingerprint.hpp"

namespace sds {

/// The session of what is made of `recording`: its own, and an id where it has none, that all parts of it get.
inline Properties session_from(const Recording& recording) {
  Properties session = recording.sdsz() ? recording.sdsz()->session() : Properties{};
  if (session.get("id").value_or("").empty()) session.set("id", SourceFingerprint().add(recording).to_string());
  return session;
}

/// The session's id, and the ids of all that were merged into it (`sessions`, with spaces between).
inline std::vector<std::string> sessions_of(const Recording& recording) {
  const Properties session = session_from(recording);
  std::vector<std::string> ids{session.get("id").value_or("")};
  std::istringstream merged(session.get("sessions").value_or(""));
  for (std::string id; merged >> id;) ids.push_back(id);
  return ids;
}

}  // namespace sds
