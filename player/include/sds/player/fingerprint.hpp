// The fingerprint of a replay: two replays are equal when their fingerprints are.
#pragma once

#include <memory>
#include <string>

#include "sds/format/block.hpp"
#include "sds/format/time.hpp"

namespace sds {

/// XXH3-128 over a sequence of blocks: for each its exact time (tick and tick frequency), the number of its stream,
/// its size and its bytes.
class Fingerprint {
 public:
  Fingerprint();
  ~Fingerprint();
  Fingerprint(Fingerprint&&) noexcept;
  Fingerprint& operator=(Fingerprint&&) noexcept;

  void add(std::uint32_t stream, std::uint64_t tick, const Frequency& frequency, ByteView data);

  /// 32 hexadecimal digits; more may be added afterwards.
  [[nodiscard]] std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sds
