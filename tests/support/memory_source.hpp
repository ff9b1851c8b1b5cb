// Bytes in memory as a reader's source.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "sds/format/byte_source.hpp"

namespace sds::test {

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  const std::filesystem::path& path() const override { return path_; }
  Expected<std::uint64_t> size() const override { return bytes_.size(); }
  Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset >= bytes_.size()) return 0;
    const std::size_t count = std::min<std::size_t>(out.size(), bytes_.size() - offset);
    std::copy_n(reinterpret_cast<const std::byte*>(bytes_.data()) + offset, count, out.begin());
    return count;
  }

 private:
  std::string bytes_;
  std::filesystem::path path_ = "memory";
};

}  // namespace sds::test
