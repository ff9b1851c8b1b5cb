// What is thrown away of a link before anything on it is understood.
#pragma once

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace sds {

class ThrownAway {
 public:
  void add(std::size_t bytes, const std::string& name) {
    bytes_ += bytes;
    if (told_ || std::chrono::steady_clock::now() - begin_ < kPatience) return;
    told_ = true;
    spdlog::warn(
        "device   {}: it sends without a pause: where its messages begin can only be seen behind one. Reset it", name);
  }
  /// That it is over.
  void tell(const std::string& name) const {
    if (bytes_ > 0) spdlog::info("device   {}: {} bytes that came before it was silent are thrown away", name, bytes_);
  }

 private:
  static constexpr std::chrono::seconds kPatience{3};
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::uint64_t bytes_ = 0;
  bool told_ = false;
};

}  // namespace sds
