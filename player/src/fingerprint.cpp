#include "sds/player/fingerprint.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <new>

namespace sds {

struct Fingerprint::State {
  XXH3_state_t* hash = XXH3_createState();
  State() {
    if (hash == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(hash);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { XXH3_freeState(hash); }
};

Fingerprint::Fingerprint() : state_(std::make_unique<State>()) {}
Fingerprint::~Fingerprint() = default;
Fingerprint::Fingerprint(Fingerprint&&) noexcept = default;
Fingerprint& Fingerprint::operator=(Fingerprint&&) noexcept = default;

void Fingerprint::add(std::uint32_t stream, std::uint64_t tick, const Frequency& frequency, ByteView data) {
  std::array<std::byte, 24> head;
  store_le(head.data(), tick);
  store_le(head.data() + 8, frequency.numerator);
  store_le(head.data() + 12, frequency.denominator);
  store_le(head.data() + 16, stream);
  store_le(head.data() + 20, static_cast<std::uint32_t>(data.size()));
  XXH3_128bits_update(state_->hash, head.data(), head.size());
  XXH3_128bits_update(state_->hash, data.data(), data.size());
}

std::string Fingerprint::hex() const {
  const XXH128_hash_t digest = XXH3_128bits_digest(state_->hash);
  return fmt::format("{:016x}{:016x}", digest.high64, digest.low64);
}

}  // namespace sds
