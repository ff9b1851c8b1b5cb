// A source of bytes whose readers can be asked to end, wherever they are.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "sds/format/byte_source.hpp"

namespace sds {

/// Another source; once `stop` is true every read fails with ErrorCode::interrupted.
class StoppableSource final : public ByteSource {
 public:
  StoppableSource(std::shared_ptr<const ByteSource> source, std::function<bool()> stop)
      : source_(std::move(source)), stop_(std::move(stop)) {}

  [[nodiscard]] const std::filesystem::path& path() const override { return source_->path(); }
  [[nodiscard]] Expected<std::uint64_t> size() const override { return source_->size(); }
  [[nodiscard]] Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (stop_()) return fail(ErrorCode::interrupted, "interrupted");
    return source_->read(offset, out);
  }
  [[nodiscard]] InUse in_use() const override { return source_->in_use(); }

 private:
  std::shared_ptr<const ByteSource> source_;
  std::function<bool()> stop_;
};

}  // namespace sds
