// Which sessions a recording is a part of: what a split keeps together.
#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "sds/format/recording.hpp"
#include "sds/format/source_fingerprint.hpp"

namespace sds {

/// What a copy has of the session of `recording`: all but `lock`, which is said of the writer of that file only; and
/// how many streams nothing is left of, which the numbers in a copy do not tell.
inline Properties copied_session(const Recording& recording) {
  Properties copy;
  if (!recording.sdsz()) return copy;
  for (const auto& [key, value] : recording.sdsz()->session().items())
    if (key != "lock") copy.set(key, value);
  if (const auto lost = recording.sdsz()->lost_streams(); lost > 0) copy.set("lost-streams", std::to_string(lost));
  return copy;
}

/// The session of what is made of `recording`: its own, and an id where it has none, that all parts of it get.
inline Expected<Properties> session_from(const Recording& recording) {
  Properties session = copied_session(recording);
  if (!session.get("id").value_or("").empty()) return session;
  auto id = SourceFingerprint().add(recording).to_string();
  if (!id) return fail(id);
  session.set("id", std::move(*id));
  return session;
}

/// The session's id, and the ids of all that were merged into it (`sessions`, with spaces between).
inline Expected<std::vector<std::string>> sessions_of(const Recording& recording) {
  const auto session = session_from(recording);
  if (!session) return fail(session);
  std::vector<std::string> ids{session->get("id").value_or("")};
  std::istringstream merged(session->get("sessions").value_or(""));
  for (std::string id; merged >> id;) ids.push_back(id);
  return ids;
}

/// The address in what a session says of its device, whose port is another for every connection: "192.168.0.7" of
/// "192.168.0.7:50123".
inline std::string without_port(const std::string& device) {
  const auto colon = device.rfind(':');
  if (colon == std::string::npos || colon + 1 == device.size()) return device;
  const bool port = std::all_of(device.begin() + static_cast<std::ptrdiff_t>(colon) + 1, device.end(),
                                [](char c) { return c >= '0' && c <= '9'; });
  const bool bare_ipv6 = device.find(':') != colon && device[colon - 1] != ']';
  return port && !bare_ipv6 ? device.substr(0, colon) : device;
}

}  // namespace sds
