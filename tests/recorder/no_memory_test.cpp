// Every single allocation fails in turn: what came is in the recording or told, and nothing is there that did not come.
#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <mutex>
#include <regex>
#include <sstream>

#include "sds/recorder/sdsio_connection.hpp"
#include "server_fixture.hpp"
#include "support/no_memory.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::NoMemory;
using test::plain;
using test::TestBlock;

constexpr Arrival kThen{1000, 1000, true};

std::vector<TestBlock> blocks_from(std::uint32_t first, std::uint32_t last) {
  std::vector<TestBlock> blocks;
  for (std::uint32_t i = first; i <= last; ++i)
    blocks.push_back({i, std::string(100, static_cast<char>('a' + i % 26))});
  return blocks;
}

// Blocks that came, of those that a loss tells: {not in the recording, came}.
std::pair<std::size_t, std::size_t> told(const std::vector<std::string>& losses) {
  for (const auto& loss : losses) {
    std::smatch match;
    if (std::regex_search(loss, match, std::regex("([0-9]+) of the ([0-9]+) blocks that came are not")))
      return {std::stoul(match[1]), std::stoul(match[2])};
  }
  return {0, 0};
}

TEST(WithoutMemory, APackedSessionCountsWhatItCannotTake) {
  bool happened = true;
  for (long spared = 0; happened; ++spared) {
    const test::TempDir dir;
    SessionOptions options;
    options.directory = dir.path();
    auto session = make_packed_session(options);
    ASSERT_TRUE(session);
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks_from(0, 2))), kThen));
    ASSERT_TRUE((*session)->flush());
    const std::string bytes = plain(blocks_from(3, 22));
    const ByteView all = as_bytes(bytes);
    Expected<void> done;
    {
      const NoMemory lack(spared);
      done = (*session)->write(1, all.first(500), kThen);  // four blocks, and most of one
      if (done) done = (*session)->write(1, all.subspan(500), kThen);
      happened = NoMemory::happened();
    }
    if (done) continue;  // what it was for could be done without
    EXPECT_EQ(done.error().system_error, ENOMEM);
    const auto summary = (*session)->abandon("out of memory");
    session->reset();
    const std::size_t kept = test::read_blocks(dir / "recording.0.sdsz").size();
    const auto [missing, came] = told(summary.losses);
    EXPECT_TRUE(came == 7 || came == 23) << spared << ": " << came;
    EXPECT_EQ(missing, came - kept) << spared;
  }
}

TEST(WithoutMemory, APlainSessionTellsWhatItCannotTake) {
  bool happened = true;
  for (long spared = 0; happened; ++spared) {
    const test::TempDir dir;
    SessionOptions options;
    options.directory = dir.path();
    auto session = make_plain_session(options, "A");
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    const std::string bytes = plain(blocks_from(0, 22));
    Expected<void> done;
    {
      const NoMemory lack(spared);
      done = (*session)->write(1, as_bytes(bytes), kThen);
      happened = NoMemory::happened();
    }
    if (done) continue;
    const auto summary = (*session)->abandon("out of memory");
    EXPECT_EQ(std::filesystem::file_size(dir / "A.0.sds"), 0u);
    EXPECT_EQ(summary.losses, std::vector<std::string>{"A: out of memory; 2484 bytes that came are not in the file"});
  }
}

TEST(WithoutMemory, AStreamThatCannotBeOpenedLeavesNoFile) {
  for (const bool packed : {true, false}) {
    bool happened = true;
    for (long spared = 0; happened; ++spared) {
      const test::TempDir dir;
      SessionOptions options;
      options.directory = dir.path();
      options.packed = packed;
      const std::string name = "a stream whose name needs memory";
      std::unique_ptr<SessionWriter> session;
      bool opened = false;
      {
        const NoMemory lack(spared);
        try {
          auto made = make_session(options, name);
          if (made) session = std::move(*made);
          opened = session && session->open_stream(1, name);
        } catch (const std::bad_alloc&) {
        }
        happened = NoMemory::happened();
      }
      if (session && !opened) (void)session->abandon("out of memory");
      session.reset();
      EXPECT_EQ(std::filesystem::is_empty(dir.path()), !opened) << packed << " " << spared;
    }
  }
}

// A connection that records stream A.
class Connection {
 public:
  Connection() {
    options_.directory = dir_.path();
    options_.free_bytes = [this] {
      while (holds_) std::this_thread::yield();
      return std::optional(std::uint64_t{1} << 40);
    };
    shared_ = std::make_unique<ServerShared>(options_);
    SdsioConnection::Host host;
    host.output_ready = [] {};
    host.post_opened = [this](std::uint32_t handle, const Expected<void>& opened) {
      handle_ = opened ? handle : 0;
      opened_ = true;
    };
    host.post_resume = [] {};
    host.post_give_up = [](const Error&) {};
    host.playback_done = [] {};
    host.session_ended = [] {};
    connection_ = std::make_unique<SdsioConnection>(*shared_, "device", nullptr, host);
    Bytes open;
    append_bytes(open, sdsio::Header{sdsio::Command::open, 0, 1, 1}.encode());
    append_bytes(open, as_bytes(std::string("A")));
    (void)receive(open);
    while (!opened_) std::this_thread::yield();
    connection_->opened(handle_, {});
    (void)connection_->advance();
  }

  Expected<bool> receive(const Bytes& bytes) {
    const auto buffer = connection_->buffer();
    std::copy(bytes.begin(), bytes.end(), buffer.begin());
    return connection_->received(bytes.size());
  }
  // A WRITE for each block.
  Bytes writes(const std::vector<TestBlock>& blocks) const {
    Bytes bytes;
    for (const auto& block : blocks) {
      const std::string data = plain({block});
      append_bytes(bytes,
                   sdsio::Header{sdsio::Command::write, handle_, 0, static_cast<std::uint32_t>(data.size())}.encode());
      append_bytes(bytes, as_bytes(data));
    }
    return bytes;
  }
  void end(std::unique_ptr<RecorderThread> recorder) {
    std::atomic<bool> finished{false};
    holds_ = false;
    recorder->finish([&] { finished = true; });
    while (!finished) std::this_thread::yield();
  }
  std::filesystem::path file() const { return dir_ / "recording.0.sdsz"; }
  std::string reason() const { return Recording::open(file())->sdsz()->streams()[0].gaps.at(0).reason; }
  // What was sent and is in the recording, from the first block on.
  std::size_t kept(const std::vector<TestBlock>& sent) const {
    const auto there = test::read_blocks(file());
    for (std::size_t i = 0; i < there.size(); ++i) {
      EXPECT_EQ(there[i].timeslot, sent.at(i).timeslot);
      EXPECT_EQ(there[i].data, sent.at(i).data);
    }
    EXPECT_TRUE(Recording::open(file())->sdsz()->streams()[0].tail.empty());
    return there.size();
  }
  SdsioConnection& operator*() { return *connection_; }
  // The recorder stands still, and the queue is full, until end().
  void hold() {
    holds_ = true;
    shared_->recorders.queued_bytes += std::uint64_t{1} << 40;
    (void)receive(writes(blocks_from(0, 0)));
  }

 private:
  test::TempDir dir_;
  ServerOptions options_;
  std::unique_ptr<ServerShared> shared_;
  std::atomic<bool> opened_{false};
  std::atomic<bool> holds_{false};
  std::uint32_t handle_ = 0;
  std::unique_ptr<SdsioConnection> connection_;
};

constexpr std::size_t kMessage = 16 + 108;  // of a block of 100 bytes

TEST(WithoutMemory, MessagesThatCannotBeTakenAreNotTakenForBlocks) {
  const auto sent = blocks_from(0, 99);
  bool happened = true;
  for (long spared = 0; happened; ++spared) {
    Connection device;
    const Bytes bytes = device.writes(sent);
    std::copy(bytes.begin(), bytes.end(), (*device).buffer().begin());
    bool taken = true;
    {
      const NoMemory lack(spared);
      try {
        (void)(*device).received(bytes.size());
      } catch (const std::bad_alloc&) {
        taken = false;
      }
      happened = NoMemory::happened();
    }
    const std::size_t left = (*device).bytes_not_looked_at();
    device.end((*device).disconnected("out of memory", ""));
    // The header of the message that could not be taken was looked at.
    EXPECT_EQ(device.kept(sent) * kMessage + (left > 0 ? 16 : 0), bytes.size() - left) << spared;
    if (taken) EXPECT_EQ(left, 0u);
  }
}

TEST(WithoutMemory, ADisconnectionTellsWhatItCannotHandOver) {
  const auto sent = blocks_from(0, 99);
  bool happened = true;
  for (long spared = 0; happened; ++spared) {
    Connection device;
    device.hold();  // what comes last is still with the connection
    const Bytes bytes = device.writes({sent.begin() + 1, sent.end()});
    std::copy(bytes.begin(), bytes.end(), (*device).buffer().begin());
    EXPECT_FALSE((*device).received(bytes.size()).value_or(true));
    std::unique_ptr<RecorderThread> recorder;
    bool handed_over = true;
    {
      const NoMemory lack(spared);
      try {
        recorder = (*device).disconnected("disconnected", "");
      } catch (const std::bad_alloc&) {
        handed_over = false;
        recorder = (*device).dropped(0);
      }
      happened = NoMemory::happened();
    }
    device.end(std::move(recorder));
    const std::size_t kept = device.kept(sent);
    const std::string reason = device.reason();
    if (handed_over) {
      EXPECT_EQ(kept, sent.size()) << spared;
      EXPECT_EQ(reason, "disconnected");
    } else if (kept == sent.size()) {
      EXPECT_EQ(reason, "out of memory") << spared;
    } else {
      EXPECT_EQ(reason, "out of memory: " + std::to_string((sent.size() - kept) * 108) +
                            " bytes that had come, and what comes behind them, were not taken")
          << spared;
    }
  }
}

TEST(WithoutMemory, ABatchThatFindsNoPlaceInTheQueueIsUnchanged) {
  RecorderShared shared;
  std::atomic<bool> goes_on{false};
  RecorderThread::Options options;
  options.make_session = [&](const SessionOptions&, const std::string&) -> Expected<std::unique_ptr<SessionWriter>> {
    while (!goes_on) std::this_thread::yield();
    return fail(ErrorCode::io, "none");
  };
  RecorderThread recorder(std::move(options), shared,
                          {[](std::uint32_t, const Expected<void>&) {}, [] {}, [](const Error&) {}});
  recorder.open_stream(1, "S", {});
  std::uint64_t accepted = 0;
  for (const bool may_wait : {true, false}) {
    bool failed = false;
    while (!failed && accepted < 10) {  // there may be place for one
      ReceivedBatch batch;
      batch.bytes.resize(10);
      batch.slices.push_back({1, 0, 10, false});
      try {
        const NoMemory lack(0);
        may_wait ? (void)recorder.try_push(batch) : recorder.push(batch);
        ++accepted;
      } catch (const std::bad_alloc&) {
        failed = true;
        EXPECT_EQ(batch.bytes.size(), 10u);
        EXPECT_EQ(batch.slices.size(), 1u);
      }
    }
    EXPECT_TRUE(failed);
    EXPECT_EQ(shared.queued_bytes, 10 * accepted);
    EXPECT_EQ(shared.queued_data, 10 * accepted);
  }
  goes_on = true;
}

// Fails at its second write.
class FailsOnce final : public SessionWriter {
 public:
  Expected<void> open_stream(std::uint32_t, const std::string&) override { return {}; }
  Expected<void> write(std::uint32_t, ByteView, const Arrival&) override {
    if (++writes_ == 2) throw std::bad_alloc();
    return {};
  }
  Expected<void> close_stream(std::uint32_t, const std::string&) override { return {}; }
  Expected<void> flush() override { return {}; }
  Expected<SessionSummary> finish() override { return SessionSummary{}; }
  SessionSummary abandon(const std::string& reason) override {
    if (++abandoned_ < 3) throw std::bad_alloc();
    SessionSummary summary;
    summary.files = {"F"};
    summary.losses = {"S: " + reason};
    return summary;
  }

 private:
  int writes_ = 0;
  int abandoned_ = 0;
};

TEST(WithoutMemory, WhatComesBehindAFailureIsCountedAndTheLossIsTold) {
  std::ostringstream text;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text)));
  {
    RecorderShared shared;
    RecorderThread::Options options;
    options.device = "device";
    options.make_session = [](const SessionOptions&, const std::string&) -> Expected<std::unique_ptr<SessionWriter>> {
      return std::make_unique<FailsOnce>();
    };
    std::atomic<int> errors{0};
    {
      RecorderThread recorder(std::move(options), shared,
                              {[](std::uint32_t, const Expected<void>&) {}, [] {}, [&](const Error&) { ++errors; }});
      recorder.open_stream(1, "S", {});
      ReceivedBatch batch;
      batch.bytes.resize(60);
      for (std::size_t i = 0; i < 6; ++i) batch.slices.push_back({1, 10 * i, 10, false});
      recorder.push(batch);
    }
    EXPECT_EQ(errors, 1);
    EXPECT_TRUE(shared.lacked_memory || shared.first_loss);
  }
  spdlog::set_default_logger(before);
  EXPECT_NE(text.str().find("device: S: recording stopped: out of memory"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("device: S: 40 bytes came behind the end of its recording"), std::string::npos)
      << text.str();
}

TEST(WithoutMemory, AnAnswerToAnOpenIsGivenAgain) {
  RecorderShared shared;
  RecorderThread::Options options;
  options.make_session = [](const SessionOptions&, const std::string&) -> Expected<std::unique_ptr<SessionWriter>> {
    return std::make_unique<FailsOnce>();
  };
  std::atomic<int> opened{0};
  std::atomic<int> errors{0};
  {
    RecorderThread recorder(std::move(options), shared,
                            {[&](std::uint32_t, const Expected<void>& done) {
                               EXPECT_TRUE(done);
                               if (++opened < 3) throw std::bad_alloc();
                             },
                             [] {}, [&](const Error&) { ++errors; }});
    recorder.open_stream(1, "S", {});
    recorder.close_stream(1, "");
  }
  EXPECT_EQ(opened, 3);
  EXPECT_EQ(errors, 0);
  EXPECT_FALSE(shared.lacked_memory || shared.first_loss);
}

// What is logged, kept without memory.
class KeptLog final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  KeptLog() { text_.reserve(1 << 20); }
  [[nodiscard]] bool says(const std::string& what) const { return text_.find(what) != std::string::npos; }
  [[nodiscard]] const std::string& text() const { return text_; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (text_.size() + message.payload.size() + 1 > text_.capacity()) return;
    text_.append(message.payload.data(), message.payload.size());
    text_ += '\n';
  }
  void flush_() override {}

 private:
  std::string text_;
};

class ServerWithoutMemory : public test::ServerTest, public ::testing::WithParamInterface<bool> {};

TEST_P(ServerWithoutMemory, RecordsOrTellsAndServesTheNext) {
  constexpr std::uint32_t kSent = 40;
  std::string session = test::message(sdsio::Command::open, 0, 1, "A");
  const auto sent = blocks_from(0, kSent - 1);
  for (const auto& block : sent) session += test::message(sdsio::Command::write, 1, 0, plain({block}));
  session += test::message(sdsio::Command::close, 1, 0, "");
  const auto before = spdlog::default_logger();
  bool happened = true;
  // Which allocation is which hangs on the threads: not each of them has to be met, but most are.
  for (long spared = 0; happened && !HasFailure(); ++spared) {
    const auto log = std::make_shared<KeptLog>();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", log));
    spdlog::default_logger()->set_error_handler([](const std::string&) {});
    ServerOptions options;
    options.packed = GetParam();
    start(options);
    {
      const test::NoMemoryElsewhere lack(spared);
      test::send_raw(port_, session);
      happened = test::NoMemoryElsewhere::happened();
    }
    test::send_raw(port_, session);  // of a device that comes later
    stop();
    std::size_t whole = 0;
    std::size_t short_ones = 0;
    for (const auto& file : std::filesystem::directory_iterator(dir_.path())) {
      if (file.path().extension() == ".wal") continue;  // of a recording that was given up
      const auto there = test::read_blocks(file.path());
      ASSERT_LE(there.size(), sent.size()) << spared;
      EXPECT_TRUE(std::equal(there.begin(), there.end(), sent.begin())) << spared;
      ++(there.size() == sent.size() ? whole : short_ones);
    }
    EXPECT_GE(whole, 1u) << spared << log->text();
    if (whole < 2)
      EXPECT_TRUE(!served_ || log->says("sent away") || log->says("loss")) << spared << "\n" << log->text();
    if (short_ones > 0) EXPECT_FALSE(served_) << spared << "\n" << log->text();
    for (const auto& file : std::filesystem::directory_iterator(dir_.path())) std::filesystem::remove(file.path());
  }
  spdlog::set_default_logger(before);
}

INSTANTIATE_TEST_SUITE_P(Formats, ServerWithoutMemory, ::testing::Bool(),
                         [](const auto& format) { return format.param ? "Packed" : "Plain"; });

}  // namespace
}  // namespace sds
