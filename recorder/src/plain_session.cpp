#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <map>

#include "sds/format/names.hpp"
#include "sds/format/plain.hpp"
#include "sds/recorder/session_writer.hpp"

namespace sds {

namespace {

// Follows the records of a byte stream without looking at their data: counts blocks, and knows what is unfinished.
class RecordCounter {
 public:
  void push(ByteView bytes) {
    while (!bytes.empty()) {
      if (left_ > 0) {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
        bytes = bytes.subspan(count);
        left_ -= count;
        if (left_ == 0) ++blocks;
        continue;
      }
      const std::size_t count = std::min(8 - header_.size(), bytes.size());
      append_bytes(header_, bytes.first(count));
      bytes = bytes.subspan(count);
      if (header_.size() < 8) return;
      size_ = left_ = load_le<std::uint32_t>(header_.data() + 4);
      header_.clear();
      if (left_ == 0) ++blocks;
    }
  }
  [[nodiscard]] std::string unfinished() const {
    if (!header_.empty()) return fmt::format("the last block has {} of its 8 header bytes", header_.size());
    if (left_ > 0) return fmt::format("the last block has {} of its {} bytes", size_ - left_, size_);
    return "";
  }
  std::uint64_t blocks = 0;

 private:
  Bytes header_;
  std::uint64_t size_ = 0;
  std::uint64_t left_ = 0;
};

struct PlainStream {
  std::string name;
  std::unique_ptr<PlainWriter> writer;
  RecordCounter records;
  std::uint64_t bytes = 0;
};

class PlainSession final : public SessionWriter {
 public:
  explicit PlainSession(SessionOptions options) : options_(std::move(options)) {}

  Expected<void> open_stream(std::uint32_t handle, const std::string& name) override {
    const auto path =
        options_.directory / SdsFileName{name, std::to_string(options_.label), options_.playback}.to_string();
    std::error_code error;
    if (std::filesystem::exists(path, error)) {
      auto backup = path;
      backup += ".bak";
      std::filesystem::rename(path, backup, error);
      if (error) return fail_errno(error.value(), "cannot keep the existing file as .bak", path);
    }
    auto sink = OutputFile::create(path, IfExists::fail);
    if (!sink) return fail(sink);
    spdlog::info("record   {} -> {}", name, path.string());
    summary_.files.push_back(path);
    PlainStream& stream = streams_[handle];
    stream.name = name;
    stream.writer = std::make_unique<PlainWriter>(std::move(*sink));
    return {};
  }

  Expected<void> write(std::uint32_t handle, ByteView bytes) override {
    PlainStream& stream = streams_.at(handle);
    stream.records.push(bytes);
    stream.bytes += bytes.size();
    return stream.writer->append_raw(bytes);
  }

  Expected<void> close_stream(std::uint32_t handle, const std::string& reason) override {
    auto node = streams_.extract(handle);
    if (node.empty()) return {};
    PlainStream& stream = node.mapped();
    summary_.blocks += stream.records.blocks;
    summary_.raw_bytes += stream.bytes;
    const std::string unfinished = stream.records.unfinished();
    if (!unfinished.empty())
      summary_.losses.push_back(fmt::format("{}: {}; kept as the file's torn end", stream.name, unfinished));
    if (!reason.empty()) summary_.losses.push_back(fmt::format("{}: {}", stream.name, reason));
    return stream.writer->close();
  }

  Expected<void> flush() override {
    for (auto& [handle, stream] : streams_)
      if (auto done = stream.writer->flush(); !done) return done;
    return {};
  }

  Expected<SessionSummary> finish() override {
    summary_.stored_bytes = summary_.raw_bytes;
    return summary_;
  }

 private:
  SessionOptions options_;
  std::map<std::uint32_t, PlainStream> streams_;
  SessionSummary summary_;
};

}  // namespace

Expected<std::unique_ptr<SessionWriter>> make_plain_session(const SessionOptions& options) {
  return std::make_unique<PlainSession>(options);
}

}  // namespace sds
