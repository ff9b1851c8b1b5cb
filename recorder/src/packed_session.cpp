#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <map>
#include <random>

#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "sds/format/plain.hpp"
#include "sds/recorder/session_writer.hpp"

namespace sds {

namespace {

std::uint64_t utc_now_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

constexpr std::chrono::seconds kClockInterval{10};

struct PackedStream {
  std::string name;
  SdszWriter::StreamId id = 0;
  BlockParser parser;
  std::uint64_t blocks = 0;
  TickUnwrapper ticks;
  std::uint64_t last_tick = 0;
  bool tail_only = false;
  std::chrono::steady_clock::time_point next_clock{};
};

class PackedSession final : public SessionWriter {
 public:
  PackedSession(SessionOptions options, std::filesystem::path path, SdszWriter writer)
      : options_(std::move(options)), path_(std::move(path)), writer_(std::move(writer)) {}

  Expected<void> open_stream(std::uint32_t handle, const std::string& name) override {
    StreamDescription description;
    description.name = name;
    // A stream that is opened, closed and opened again in one session gets the next label.
    description.label = std::to_string(labels_[name]++);
    description.playback = options_.playback;
    for (const char* ending : {".sds.yml", ".sds.yaml"}) {
      const auto metadata = options_.directory / (name + ending);
      std::error_code ignored;
      if (!std::filesystem::is_regular_file(metadata, ignored)) continue;
      auto text = read_small_file(metadata, limits::max_metadata_bytes);
      if (!text) return fail(text);
      description.metadata_file_name = metadata.filename().string();
      description.metadata_text = std::move(*text);
      break;
    }
    if (description.metadata_file_name.empty()) {
      spdlog::warn("{}: no {}.sds.yml in {}: blocks are recorded as plain bytes", name, name,
                   options_.directory.string());
    } else if (auto parsed = Metadata::parse(description.metadata_text, description.metadata_file_name); !parsed) {
      spdlog::warn("{}: {}: blocks are recorded as plain bytes", name, parsed.error().to_string());
    }
    auto id = writer_.add_stream(description);
    if (!id) return fail(id);
    spdlog::info("record   {} -> {}", name, path_.string());
    streams_[handle] = PackedStream{name, *id, {}, 0, {}, 0, false, {}};
    return {};
  }

  Expected<void> write(std::uint32_t handle, ByteView bytes) override {
    PackedStream& stream = streams_.at(handle);
    auto done = stream.parser.push(bytes, [&](std::uint32_t timeslot, ByteView data) {
      ++stream.blocks;
      stream.last_tick = stream.ticks.next(timeslot);
      return writer_.append(stream.id, timeslot, data);
    });
    if (!done) return done;
    const auto now = std::chrono::steady_clock::now();
    if (stream.blocks > 0 && now >= stream.next_clock && !stream.tail_only) {
      stream.next_clock = now + kClockInterval;
      if (auto added = writer_.add_clock(stream.id, {stream.last_tick, utc_now_ns()}); !added) return added;
    }
    if (!stream.parser.is_raw()) return {};
    stream.tail_only = true;  // no block structure from here on: keep the bytes as they come
    return writer_.append_tail(stream.id, stream.parser.take_rest());
  }

  Expected<void> close_stream(std::uint32_t handle, const std::string& reason) override {
    auto node = streams_.extract(handle);
    if (node.empty()) return {};
    PackedStream& stream = node.mapped();
    summary_.blocks += stream.blocks;
    std::string loss = reason;
    if (stream.tail_only) loss += (loss.empty() ? "" : "; ") + std::string("a block of an absurd size was announced");
    if (stream.parser.rest_bytes() > 0)
      loss += fmt::format("{}the last block is incomplete ({} bytes of it came)", loss.empty() ? "" : "; ",
                          stream.parser.rest_bytes());
    if (stream.blocks > 0)
      if (auto added = writer_.add_clock(stream.id, {stream.last_tick, utc_now_ns()}); !added) return added;
    if (!loss.empty()) {
      summary_.losses.push_back(stream.name + ": " + loss);
      if (auto added = writer_.add_gap(stream.id, loss); !added) return added;
    }
    const Bytes rest = stream.parser.take_rest();
    if (rest.empty()) return {};
    return writer_.append_tail(stream.id, rest);
  }

  Expected<void> flush() override { return writer_.flush(); }

  Expected<SessionSummary> finish() override {
    summary_.files = {path_};
    summary_.raw_bytes = writer_.raw_bytes();
    if (auto closed = writer_.close(); !closed) return fail(closed);
    summary_.stored_bytes = writer_.stored_bytes();
    return summary_;
  }

 private:
  SessionOptions options_;
  std::filesystem::path path_;
  SdszWriter writer_;
  std::map<std::uint32_t, PackedStream> streams_;
  std::map<std::string, std::uint32_t> labels_;
  SessionSummary summary_;
};

}  // namespace

Expected<std::unique_ptr<SessionWriter>> make_packed_session(const SessionOptions& options) {
  std::random_device entropy;
  const std::uint64_t now = utc_now_ns();
  Properties session;
  session.set("id", fmt::format("{:016x}-{:08x}{:08x}", now, entropy(), entropy()));
  session.set("start-utc-ns", std::to_string(now));
  session.set("tool", "sdskit serve");
  if (!options.device.empty()) session.set("device", options.device);
  SdszWriterOptions writer_options;
  writer_options.level = options.level;
  writer_options.durability = options.sync ? Durability::power : Durability::process;
  writer_options.executor = options.executor;
  for (std::uint32_t number = 0;; ++number) {
    const auto path = options.directory / fmt::format("recording.{}{}.sdsz", number, options.playback ? ".p" : "");
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) continue;
    auto writer = SdszWriter::create(path, session, writer_options);
    if (!writer && std::filesystem::exists(path, ignored)) continue;  // another session was faster
    if (!writer) return fail(writer);
    return std::make_unique<PackedSession>(options, path, std::move(*writer));
  }
}

}  // namespace sds
