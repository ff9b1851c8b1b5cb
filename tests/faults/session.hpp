// A recording session as the server makes one: streams that come and go, small sections, flushes, a gap, clock pairs.
// It knows what it gave, and how much of that flush() said is safe.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sds/format/sdsz_writer.hpp"
#include "support/recordings.hpp"

namespace sds::test {

struct SessionStream {
  std::string name;
  std::vector<TestBlock> given;  // what append() took, with 32-bit timeslots
};

/// A moment at which flush() or close() had succeeded.
struct Promise {
  std::size_t operations = 0;         // of the file system up to then
  std::vector<std::size_t> promised;  // blocks of each stream
};

class Session {
 public:
  /// `operations` tells how many the file system has seen.
  Session(std::filesystem::path path, Durability durability, std::function<std::size_t()> operations,
          std::uint64_t seed = 1)
      : path_(std::move(path)), durability_(durability), operations_(std::move(operations)), random_(seed) {}

  /// Runs until the end, or the first error.
  Expected<void> run() {
    if (auto done = begin(); !done) return done;
    for (int round = 0; round < 90; ++round)
      if (auto done = play(round); !done) return done;
    return close();
  }

  Expected<void> begin() {
    SdszWriterOptions options;
    options.section_bytes = 1024;
    options.durability = durability_;
    auto writer = SdszWriter::create(path_, session_properties(), options);
    if (!writer) return fail(writer);
    writer_.emplace(std::move(*writer));
    if (auto done = add_stream("Imu", int16_metadata(3)); !done) return done;
    return add_stream("Log", "");
  }

  /// One round of the session.
  Expected<void> play(int round) {
    if (round >= 30 && streams_.size() < 3)
      if (auto done = add_stream("Late", int16_metadata(1)); !done) return done;
    const auto tick = static_cast<std::uint32_t>(round * 100);
    if (auto done = append(0, tick, 60); !done) return done;
    if (auto done = append(0, tick + 50, 60); !done) return done;
    if (round % 4 == 0)
      if (auto done = append(1, tick, 20 + random_.below(900)); !done) return done;
    if (round >= 30 && round % 10 == 0)
      if (auto done = append(2, tick, 40); !done) return done;
    if (round == 44)
      if (auto done = writer_->add_gap(0, "the link was down"); !done) return done;
    if (round % 25 == 5)
      if (auto done = add_clock(0, tick); !done) return done;
    if (round % 7 == 6) return flush();
    return {};
  }

  Expected<void> flush() {
    auto done = writer_->flush();
    if (done && durability_ != Durability::none) promise();
    return done;
  }

  Expected<void> close() {
    auto done = writer_->close();
    if (done) promise();
    return done;
  }

  void stop() { writer_.reset(); }
  SdszWriter& writer() { return *writer_; }
  [[nodiscard]] bool created() const { return writer_.has_value(); }
  [[nodiscard]] const std::vector<SessionStream>& streams() const { return streams_; }
  [[nodiscard]] const std::vector<Promise>& promises() const { return promises_; }
  /// What was promised before operation `operations` came.
  [[nodiscard]] std::vector<std::size_t> promised(std::size_t operations) const {
    std::vector<std::size_t> counts;
    for (const auto& promise : promises_)
      if (promise.operations <= operations) counts = promise.promised;
    counts.resize(streams_.size());
    return counts;
  }
  [[nodiscard]] std::vector<std::size_t> promised() const { return promised(SIZE_MAX); }

 private:
  static Properties session_properties() {
    Properties properties;
    properties.set("tool", "test");
    return properties;
  }

  Expected<void> add_stream(const std::string& name, const std::string& metadata) {
    auto id = writer_->add_stream({name, "0", false, "", metadata.empty() ? "" : name + ".sds.yml", metadata});
    if (!id) return fail(id);
    streams_.push_back({name, {}});
    return {};
  }

  Expected<void> append(std::uint32_t stream, std::uint32_t timeslot, std::size_t bytes) {
    TestBlock block{timeslot, std::string(bytes, '\0')};
    for (auto& byte : block.data) byte = static_cast<char>(random_.next() >> 20 & 0x3F);
    // What the failing call was given counts as taken: it may turn up, and must then be right.
    streams_[stream].given.push_back(block);
    return writer_->append(stream, timeslot, as_bytes(block.data));
  }

  Expected<void> add_clock(std::uint32_t stream, std::uint32_t tick) {
    return writer_->add_clock(stream, {tick + 50, 1'700'000'000'000'000'000 + std::uint64_t{tick} * 1'000'000, tick});
  }

  void promise() {
    Promise now{operations_(), {}};
    for (const auto& stream : streams_) now.promised.push_back(stream.given.size());
    promises_.push_back(std::move(now));
  }

  std::filesystem::path path_;
  Durability durability_;
  std::function<std::size_t()> operations_;
  Random random_;
  std::optional<SdszWriter> writer_;
  std::vector<SessionStream> streams_;
  std::vector<Promise> promises_;
};

/// What is wrong with the recording at `path`, if anything: every block that was promised must be there, in order,
/// once; what else is there must be what was given, and where something is missing behind the promised blocks, it is
/// said.
inline std::optional<std::string> broken_promise(const std::filesystem::path& path, const Session& session,
                                                 const std::vector<std::size_t>& promised) {
  std::size_t total = 0;
  for (const auto count : promised) total += count;
  auto recording = Recording::open(path);
  if (!recording) {
    if (total == 0) return {};
    return "cannot be opened: " + recording.error().to_string();
  }
  for (std::size_t s = 0; s < session.streams().size(); ++s) {
    const auto& [name, given] = session.streams()[s];
    std::vector<TestBlock> got;
    bool loss_is_said = false;
    auto index = recording->find_stream(name);
    if (index) {
      auto cursor = recording->cursor(*index);
      if (!cursor) return cursor.error().to_string();
      for (;;) {
        auto block = (*cursor)->next();
        if (!block) return block.error().to_string();
        if (!*block) break;
        loss_is_said = loss_is_said || (*block)->after_loss;
        got.push_back({(*block)->timeslot, std::string(as_text((*block)->data))});
      }
      loss_is_said = loss_is_said || (*cursor)->damage_count() > 0;
    }
    const std::string where = name + ": ";
    if (got.size() < promised[s])
      return where + std::to_string(got.size()) + " blocks of " + std::to_string(promised[s]) + " that were flushed";
    std::size_t at = 0;
    for (std::size_t i = 0; i < got.size(); ++i, ++at) {
      const std::size_t expected = at;
      while (at < given.size() && !(given[at] == got[i])) ++at;
      if (at == given.size()) return where + "block " + std::to_string(i) + " is none that was given there";
      if (at != expected && expected < promised[s]) return where + "block " + std::to_string(expected) + " is missing";
      if (at != expected && !loss_is_said && recording->damages().empty())
        return where + "a hole at block " + std::to_string(expected) + " of which nothing is said";
    }
  }
  return {};
}

}  // namespace sds::test
