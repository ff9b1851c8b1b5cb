// Where a recording's bytes come from: a file today, ranges of an object store or an archive later. Readers know
// nothing else of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "sds/format/error.hpp"

namespace sds {

/// Positioned reads of something that may still grow. Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// What it is called in messages.
  [[nodiscard]] virtual const std::filesystem::path& path() const = 0;

  /// The size now, in bytes.
  [[nodiscard]] virtual Expected<std::uint64_t> size() const = 0;

  /// Reads up to `out.size()` bytes at `offset`; fewer only at the end.
  [[nodiscard]] virtual Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const = 0;

  /// Whether somebody writes it at this moment.
  enum class InUse { no, yes, unknown };
  [[nodiscard]] virtual InUse in_use() const { return InUse::no; }

  /// Reads exactly `out.size()` bytes at `offset`; anything less is ErrorCode::bad_input.
  [[nodiscard]] Expected<void> read_exactly(std::uint64_t offset, std::span<std::byte> out) const;
};

}  // namespace sds
