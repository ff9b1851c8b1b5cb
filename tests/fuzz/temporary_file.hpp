// The fuzzer's bytes as a file.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <string>

class TemporaryFile {
 public:
  TemporaryFile(const std::uint8_t* data, std::size_t size) : descriptor_(::memfd_create("fuzz", 0)) {
    while (size > 0) {
      const ssize_t put = ::write(descriptor_, data, size);
      if (put <= 0) break;
      data += put;
      size -= static_cast<std::size_t>(put);
    }
  }
  ~TemporaryFile() { ::close(descriptor_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};
