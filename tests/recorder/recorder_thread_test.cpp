// Recorders that share a full disk: who waits for what, and what is written when a device leaves or the server stops.
#include "sds/recorder/recorder_thread.hpp"

#include <gtest/gtest.h>

#include "sds/format/wal.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::plain;
using test::TestBlock;

// A block that cannot be compressed; as plain `.sds` it has 8 bytes more.
TestBlock noise(std::uint32_t timeslot, std::size_t bytes) {
  test::Random random(timeslot);
  TestBlock block{timeslot, {}};
  while (block.data.size() < bytes) block.data += static_cast<char>(random.next() >> 32);
  return block;
}

class Recorders : public ::testing::Test {
 protected:
  // A recorder with stream 1 open: "0" records into recording.0.sdsz.
  struct Recorder {
    std::atomic<bool> opened{false};
    std::atomic<bool> finished{false};
    std::unique_ptr<RecorderThread> thread;

    void push(const std::vector<TestBlock>& blocks) {
      ReceivedBatch batch;
      for (const auto& block : blocks) {
        const std::string bytes = plain({block});
        batch.slices.push_back({1, batch.bytes.size(), bytes.size(), false});
        append_bytes(batch.bytes, as_bytes(bytes));
      }
      thread->push(batch);
    }
    void push_each(const std::vector<TestBlock>& blocks) {
      for (const auto& block : blocks) push({block});
    }
    void leave(const std::string& reason) {
      thread->close_stream(1, reason);
      thread->finish([this] { finished = true; });
    }
  };

  std::unique_ptr<Recorder> record(const std::vector<TestBlock>& first) {
    auto recorder = std::make_unique<Recorder>();
    RecorderThread::Options options;
    options.flush_interval = std::chrono::milliseconds(1);
    options.space.retry = std::chrono::milliseconds(1);
    options.space.on_full = on_full_;
    options.space.keep_free = keep_free_;
    options.space.free_bytes = [this] { return std::optional(free_bytes()); };
    options.look_interval = look_interval_;
    recorder->thread = std::make_unique<RecorderThread>(
        std::move(options), shared_,
        RecorderThread::Callbacks{
            [r = recorder.get()](std::uint32_t, const Expected<void>& opened) { r->opened = opened.has_value(); },
            [] {}, [](const Error&) {}});
    recorder->thread->open_stream(1, "S", session());
    while (!recorder->opened) std::this_thread::yield();
    recorder->push(first);
    const auto path = file(made_++);
    while (test::read_blocks(path).size() < first.size()) std::this_thread::yield();
    return recorder;
  }
  SessionOptions session() const {
    SessionOptions session;
    session.directory = dir_.path();
    return session;
  }
  std::filesystem::path file(int number) const { return dir_ / ("recording." + std::to_string(number) + ".sdsz"); }

  std::uint64_t used_bytes() const {
    std::uint64_t used = 0;
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path()))
      if (const auto size = entry.file_size(gone); !gone) used += size;
    return used;
  }
  // As on a disk of which the recordings take what they take.
  std::uint64_t free_bytes() const {
    // Others have time to go by what was, meanwhile.
    if (slow_looks_ && shared_.seal_wanted > 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    const std::uint64_t used = used_bytes();
    return size_ > used ? size_ - used : 0;
  }
  void leave_free(std::uint64_t bytes) { size_ = used_bytes() + bytes; }

  static void leave_and_end(Recorder& recorder) {
    recorder.leave("disconnected");
    while (!recorder.finished) std::this_thread::yield();
  }
  // As the server does it.
  static void stop(const std::vector<std::unique_ptr<Recorder>>& recorders) {
    for (const auto& recorder : recorders) recorder->leave("the server was stopped");
    for (const auto& recorder : recorders) recorder->thread->expect_stop();
    for (const auto& recorder : recorders) recorder->thread->stop_waiting();
    for (const auto& recorder : recorders)
      while (!recorder->finished) std::this_thread::yield();
  }

  // Five recordings with 200 kB in their logs, whose devices have blocks of 10 kB each in hand on a full disk.
  std::vector<std::unique_ptr<Recorder>> record_until_full(std::uint64_t free, std::uint32_t in_hand) {
    std::vector<std::unique_ptr<Recorder>> recorders;
    for (int i = 0; i < 5; ++i) recorders.push_back(record({noise(1, 200'000)}));
    leave_free(free);
    for (const auto& recorder : recorders) recorder->push_each(noises(in_hand));
    for (const auto& recorder : recorders)
      while (!recorder->thread->waits_for_space()) std::this_thread::yield();
    return recorders;
  }
  static std::vector<TestBlock> noises(std::uint32_t count) {
    std::vector<TestBlock> blocks;
    for (std::uint32_t i = 2; i < count + 2; ++i) blocks.push_back(noise(i, 10'000));
    return blocks;
  }

  test::TempDir dir_;
  std::atomic<std::uint64_t> size_{1u << 30};
  int made_ = 0;
  OnFull on_full_ = OnFull::wait;
  std::uint64_t keep_free_ = 0;
  std::atomic<bool> slow_looks_{false};
  std::chrono::milliseconds look_interval_{1000};
  RecorderShared shared_;
};

// Both have 100 kB in the log: 140 kB each, at most, close them, and 40 kB take what A has sent, in log and section.
// Devices that are there may have four times 100 kB in hand: that keeps both waiting, but not what A had sent when it
// left.
// After a silence of almost a range blocks come that span another one: the last of them says which range is meant,
// also where each has a message of its own.
TEST_F(Recorders, BlocksThatCameTogetherAreReadTogether) {
  constexpr double kRange = 4294967296.0;  // 4.29 s
  test::write_file(dir_ / "S.sds.yml",
                   "sds:\n  name: S\n  frequency: 1\n  tick-frequency: 1000000000\n  content:\n"
                   "  - value: v\n    type: uint8_t\n");
  auto recorder = record({{7, "a"}});
  ReceivedBatch batch;
  batch.arrival.monotonic_ns = static_cast<std::uint64_t>(2.0 * kRange);
  batch.arrival.prompt = true;
  std::vector<std::uint64_t> ticks{7};
  for (const double ranges : {0.95, 1.3, 1.6, 1.97}) {
    ticks.push_back(7 + static_cast<std::uint64_t>(ranges * kRange));
    const std::string bytes = plain({{static_cast<std::uint32_t>(ticks.back()), "b"}});
    batch.slices.push_back({1, batch.bytes.size(), bytes.size(), false});
    append_bytes(batch.bytes, as_bytes(bytes));
  }
  recorder->thread->push(batch);
  leave_and_end(*recorder);
  const auto recording = Recording::open(file(0));
  auto cursor = *recording->cursor(0);
  for (const auto tick : ticks) EXPECT_EQ((**cursor->next()).tick, tick);
}

TEST_F(Recorders, WhatADeviceHadSentWhenItLeftIsWrittenWhereThereIsSpaceForThat) {
  auto a = record({noise(1, 100'000)});
  auto b = record({noise(1, 100'000)});
  leave_free(500'000);
  a->push({noise(2, 20'000)});
  while (!a->thread->waits_for_space()) std::this_thread::yield();
  a->thread->release_reserve();  // as the connection does when it sees that the device has gone
  leave_and_end(*a);
  EXPECT_EQ(test::read_blocks(file(0)), (std::vector<TestBlock>{noise(1, 100'000), noise(2, 20'000)}));
  EXPECT_TRUE(Recording::open(file(0))->sdsz()->complete());
  // B's device is there: it goes on waiting.
  b->push({noise(2, 20'000)});
  while (!b->thread->waits_for_space()) std::this_thread::yield();
  leave_and_end(*b);
  EXPECT_EQ(test::read_blocks(file(1)).size(), 2u);
}

// The sections take 5 * 350 kB, and 45 kB a recording are enough to close it: 1.975 MB, and each may
// have 100 kB in hand. Written twice, it would be more than there is.
TEST_F(Recorders, AStopLosesNothingThatHasItsPlace) {
  const auto recorders = record_until_full(2'500'000, 15);
  stop(recorders);
  for (int i = 0; i < 5; ++i) {
    auto recording = Recording::open(file(i));
    ASSERT_TRUE(recording->sdsz()->complete());
    EXPECT_EQ(recording->sdsz()->streams()[0].gaps.at(0).reason, "the server was stopped");
    EXPECT_EQ(test::read_blocks(file(i)).size(), 16u);
  }
  EXPECT_FALSE(shared_.first_loss);
}

// A has 100 kB in the log, B 500 kB, and 40 kB close a recording: 680 kB of 700 kB are spoken for. What is sealed takes
// no more, for the log gives it back; but with the 540 kB that B may still need, A's 200 kB have no place. When B has
// sealed, too, they do.
TEST_F(Recorders, WhoStopsOnAFullDiskHasTheSpaceThatOthersLeaveWhenTheySeal) {
  on_full_ = OnFull::stop;
  look_interval_ = std::chrono::milliseconds(1);
  auto a = record({noise(1, 100'000)});
  auto b = record({noise(1, 500'000)});
  leave_free(700'000);
  a->push({noise(2, 200'000)});
  leave_and_end(*a);
  EXPECT_EQ(test::read_blocks(file(0)).size(), 2u);
  EXPECT_EQ(Recording::open(file(0))->sdsz()->streams()[0].gaps.at(0).reason, "disconnected");
  leave_and_end(*b);
  EXPECT_EQ(test::read_blocks(file(1)).size(), 1u);
}

// As before, but somebody else has taken the space that B needs: it does not seal, which would end it.
TEST_F(Recorders, WhoGoesOnSealsNothingForOthersWhereThereIsNoSpaceForThat) {
  on_full_ = OnFull::stop;
  look_interval_ = std::chrono::milliseconds(1);
  auto a = record({noise(1, 100'000)});
  auto b = record({noise(1, 500'000)});
  leave_free(300'000);
  a->push({noise(2, 200'000)});
  leave_and_end(*a);
  EXPECT_EQ(test::read_blocks(file(0)).size(), 1u);
  EXPECT_GT(std::filesystem::file_size(wal_path(file(1))), 500'000u);
  leave_free(2'000'000);
  b->push({noise(2, 1000)});
  leave_and_end(*b);
  EXPECT_EQ(test::read_blocks(file(1)).size(), 2u);
}

// B has 850 kB open that take next to nothing once they are a section: who asks for them has space for all it has,
// however much there was beside what is spoken for.
TEST_F(Recorders, WhoStopsOnAFullDiskHasWhatOthersSealHoweverNearTheEdgeItCame) {
  on_full_ = OnFull::stop;
  look_interval_ = std::chrono::milliseconds(1);
  int made = 0;
  for (std::uint64_t room = 60'000; room < 600'000; room += 30'000) {
    leave_free(std::uint64_t{1} << 30);
    std::vector<TestBlock> even;
    for (std::uint32_t i = 1; i <= 10; ++i) even.push_back({i, std::string(85'000, 'b')});
    auto b = record(even);
    auto a = record({noise(1, 30'000)});
    made += 2;
    leave_free(shared_.unwritten.used() + room);
    slow_looks_ = true;
    std::vector<TestBlock> blocks;
    for (std::uint32_t i = 2; i <= 25; ++i) blocks.push_back(noise(i, 30'000));
    for (std::size_t i = 0; i < blocks.size(); i += 8)
      a->push({blocks.begin() + static_cast<std::ptrdiff_t>(i), blocks.begin() + static_cast<std::ptrdiff_t>(i) + 8});
    leave_and_end(*a);
    slow_looks_ = false;
    EXPECT_EQ(test::read_blocks(file(made - 1)).size(), 25u) << room;
    leave_free(std::uint64_t{1} << 30);
    leave_and_end(*b);
    EXPECT_EQ(test::read_blocks(file(made - 2)).size(), 10u);
  }
}

// 43 kB have their place in 60 kB: they go into it, and not into a section each.
TEST_F(Recorders, WhoStopsWithSpaceForAllThatCameLosesNothing) {
  on_full_ = OnFull::stop;
  auto a = record({noise(1, 20'000)});
  leave_free(shared_.unwritten.used() + 60'000);
  std::vector<TestBlock> blocks;
  for (std::uint32_t i = 2; i <= 401; ++i) blocks.push_back(noise(i, 100));
  a->push(blocks);
  leave_and_end(*a);
  EXPECT_EQ(test::read_blocks(file(0)).size(), 401u);
  EXPECT_LT(std::filesystem::file_size(file(0)), 75'000u);
}

// The reserve is for what came, not for what begins.
TEST_F(Recorders, WhoWasStoppedBeginsNothingNewOutOfTheReserve) {
  on_full_ = OnFull::stop;
  keep_free_ = 1'000'000;
  auto a = record({noise(1, 10'000)});
  leave_free(900'000);
  a->push({noise(2, 10'000)});
  ReceivedBatch close;
  close.slices.push_back({1, 0, 0, true});
  a->thread->push(close);
  a->opened = true;
  a->thread->open_stream(2, "T", session());
  while (a->opened) std::this_thread::yield();
  EXPECT_EQ(test::read_blocks(file(0)).size(), 2u);
  EXPECT_FALSE(std::filesystem::exists(file(1)));
}

// A and B have sent 100 kB, and then nothing: they have nothing in hand. The logs' 200 kB are written once more, 40 kB
// close each, and four times B's 20 kB are what it may have in hand, and twice that what is written: 400 kB at most.
TEST_F(Recorders, DevicesThatAreSilentHaveNothingInHand) {
  look_interval_ = std::chrono::milliseconds(1);
  auto a = record({noise(1, 100'000)});
  auto b = record({noise(1, 100'000)});
  while (shared_.in_hand.used() > 0) std::this_thread::yield();
  leave_free(450'000);
  b->push({noise(2, 20'000)});
  while (test::read_blocks(file(1)).size() < 2) std::this_thread::yield();
  a->leave("disconnected");
  b->leave("disconnected");
  while (!a->finished || !b->finished) std::this_thread::yield();
}

// 1 MB in the logs and 1.26 MB are what there is, for the logs give back what is sealed. 5 * 200 kB of it go to that,
// and 5 * 40 kB to what closes the recordings: 1.06 MB are left for the 1.5 MB in hand. Each may lack the space for one
// more block.
TEST_F(Recorders, AStopWithoutSpaceForAllKeepsWhatHasItsPlaceAndClosesEveryRecording) {
  const auto recorders = record_until_full(1'260'000, 30);
  stop(recorders);
  std::size_t kept = 0;
  for (int i = 0; i < 5; ++i) {
    auto recording = Recording::open(file(i));
    ASSERT_TRUE(recording->sdsz()->complete());
    const std::size_t blocks = test::read_blocks(file(i)).size();
    const std::string lost =
        "; " + std::to_string((31 - blocks) * 10'008) + " bytes that came are lost: the disk was full";
    EXPECT_EQ(recording->sdsz()->streams()[0].gaps.at(0).reason,
              "the server was stopped" + (blocks == 31 ? std::string() : lost));
    kept += blocks - 1;
  }
  EXPECT_GE(kept, (1'060'000u - 5 * 10'008) / 10'008);
  EXPECT_LT(kept, 150u);
  EXPECT_LE(used_bytes(), size_);
  EXPECT_TRUE(shared_.first_loss);
}

// A session that fails in a way that nothing can be made of: there is no memory.
class NoMemory : public SessionWriter {
 public:
  Expected<void> open_stream(std::uint32_t, const std::string&) override { return {}; }
  Expected<void> write(std::uint32_t, ByteView, const Arrival&) override { throw std::bad_alloc(); }
  Expected<void> close_stream(std::uint32_t, const std::string&) override { return {}; }
  Expected<void> flush() override { return {}; }
  Expected<void> seal() override { return {}; }
  Expected<void> trim() override { return {}; }
  std::uint64_t unwritten_bytes() const override { return 0; }
  std::optional<Error> missing_file() override { return std::nullopt; }
  Expected<SessionSummary> finish() override { return SessionSummary{}; }
  SessionSummary abandon(const std::string&) override {
    if (++abandoned_ < 5) throw std::bad_alloc();
    SessionSummary summary;
    summary.losses = {"S: all of it"};
    return summary;
  }

 private:
  int abandoned_ = 0;
};

// Each callback finds no memory for a while.
TEST(RecorderWithoutMemory, TellsInTheEndWhatItHasToTell) {
  RecorderShared shared;
  const auto fails_at_first = [](std::atomic<int>& calls, std::atomic<bool>& told) {
    if (++calls < 4) throw std::bad_alloc();
    told = true;
  };
  std::atomic<int> error_calls{0};
  std::atomic<int> finished_calls{0};
  std::atomic<bool> opened{false};
  std::atomic<bool> error{false};
  std::atomic<bool> finished{false};
  RecorderThread::Options options;
  options.make_session = [](const SessionOptions&, const std::string&) -> Expected<std::unique_ptr<SessionWriter>> {
    return std::make_unique<NoMemory>();
  };
  RecorderThread recorder(std::move(options), shared,
                          {[&](std::uint32_t, const Expected<void>& result) { opened = result.has_value(); }, [] {},
                           [&](const Error& e) {
                             EXPECT_EQ(e.message, "out of memory");
                             fails_at_first(error_calls, error);
                           }});
  recorder.open_stream(1, "S", {});
  while (!opened) std::this_thread::yield();
  ReceivedBatch batch;
  batch.bytes.resize(10);
  batch.slices.push_back({1, 0, 10, false});
  recorder.push(batch);
  while (!error) std::this_thread::yield();
  EXPECT_TRUE(shared.first_loss);
  recorder.finish([&] { fails_at_first(finished_calls, finished); });
  while (!finished) std::this_thread::yield();
}

// A session that fails, and writes down what is asked of it.
struct FailingSession final : NoMemory {
  FailingSession(std::string& asked_calls, Error write_error, bool can_end, bool can_close)
      : calls(asked_calls), error(std::move(write_error)), ends(can_end), closes(can_close) {}
  Expected<void> write(std::uint32_t, ByteView, const Arrival&) override {
    calls += "write ";
    return tl::unexpected<Error>(error);
  }
  Expected<void> close_stream(std::uint32_t, const std::string& reason) override {
    calls += "close(" + reason + ") ";
    return closes ? Expected<void>{} : tl::unexpected<Error>(error);
  }
  bool prepare_end() override {
    calls += "prepare ";
    return ends;
  }
  Expected<SessionSummary> finish() override {
    calls += "finish ";
    return SessionSummary{};
  }
  SessionSummary abandon(const std::string& reason) override {
    calls += "abandon(" + reason + ") ";
    return {};
  }
  std::string& calls;
  Error error;
  bool ends;
  bool closes;
};

// A recording is closed only where nothing is hidden by that, and nobody needs more what it takes.
TEST(RecorderOnABrokenDisk, ClosesWhatCanBeClosedAndLeavesTheRestAsAKillDoes) {
  struct Case {
    int system_error;
    bool ends;
    bool closes;
    std::string calls;
    OnFull on_full = OnFull::wait;
  };
  const std::string closed = "close(recording stopped: it fails) ";
  const std::string given_up = "abandon(recording stopped: it fails) ";
  for (const auto& c : {Case{EIO, true, true, "write prepare " + closed + "finish "},
                        Case{EIO, false, true, "write prepare " + given_up},
                        Case{EIO, true, false, "write prepare " + closed + given_up},
                        Case{ENOSPC, true, true, "write " + given_up}, Case{ENOMEM, true, true, "write " + given_up},
                        Case{ENOSPC, true, true, "write prepare " + closed + "finish ", OnFull::stop},
                        Case{ENOSPC, false, true, "write prepare " + given_up, OnFull::stop},
                        Case{ENOSPC, true, false, "write prepare " + closed + given_up, OnFull::stop}}) {
    RecorderShared shared;
    std::string calls;
    std::atomic<bool> opened{false};
    std::atomic<int> errors{0};
    std::atomic<bool> finished{false};
    RecorderThread::Options options;
    options.space.on_full = c.on_full;
    options.make_session = [&](const SessionOptions&, const std::string&) -> Expected<std::unique_ptr<SessionWriter>> {
      return std::make_unique<FailingSession>(calls, Error{ErrorCode::io, "it fails", {}, {}, c.system_error}, c.ends,
                                              c.closes);
    };
    RecorderThread recorder(std::move(options), shared,
                            {[&](std::uint32_t, const Expected<void>& result) { opened = result.has_value(); }, [] {},
                             [&](const Error&) { ++errors; }});
    recorder.open_stream(1, "S", {});
    while (!opened) std::this_thread::yield();
    ReceivedBatch batch;
    batch.bytes.resize(10);
    batch.slices.push_back({1, 0, 10, false});
    recorder.push(batch);
    while (errors == 0) std::this_thread::yield();
    recorder.finish([&] { finished = true; });
    while (!finished) std::this_thread::yield();
    EXPECT_EQ(calls, c.calls);
    EXPECT_TRUE(shared.first_loss);
  }
}

TEST(RecorderOnABrokenDisk, ARecordingThatCannotBeMadeOnceIsMade) {
  for (const int error : {EIO, EACCES}) {
    RecorderShared shared;
    const test::TempDir dir;
    std::atomic<int> opened{0};
    std::atomic<int> made{0};
    RecorderThread::Options options;
    options.make_session = [&](const SessionOptions& session, const std::string& name) {
      if (++made == 1)
        return Expected<std::unique_ptr<SessionWriter>>(
            tl::unexpected<Error>(Error{ErrorCode::io, "it fails", {}, {}, error}));
      return make_session(session, name);
    };
    RecorderThread recorder(
        std::move(options), shared,
        {[&](std::uint32_t, const Expected<void>& result) { opened = result ? 1 : 2; }, [] {}, [&](const Error&) {}});
    SessionOptions session;
    session.directory = dir.path();
    recorder.open_stream(1, "S", session);
    while (opened == 0) std::this_thread::yield();
    EXPECT_EQ(opened == 1, error == EIO);  // what nobody may write is not tried again
    EXPECT_EQ(made, error == EIO ? 2 : 1);
  }
}

TEST(RecorderWithoutMemory, WakesWhoWasRefusedAllTheSame) {
  RecorderShared shared;
  std::atomic<int> calls{0};
  std::atomic<bool> opened{false};
  std::atomic<bool> goes_on{false};
  test::TempDir dir;
  RecorderThread::Options options;
  options.make_session = [&](const SessionOptions& session, const std::string& first) {
    while (!goes_on) std::this_thread::yield();
    return make_session(session, first);
  };
  std::atomic<bool> space{false};
  RecorderThread recorder(std::move(options), shared,
                          {[&](std::uint32_t, const Expected<void>& result) { opened = result.has_value(); },
                           [&] {
                             if (++calls < 4) throw std::bad_alloc();
                             space = true;
                           },
                           [](const Error& e) { ADD_FAILURE() << e.message; }});
  SessionOptions session;
  session.directory = dir.path();
  recorder.open_stream(1, "S", session);
  bool refused = false;
  for (int i = 0; i < 1000 && !refused; ++i) {
    ReceivedBatch batch;
    append_bytes(batch.bytes, as_bytes(plain({noise(static_cast<std::uint32_t>(i), 100)})));
    batch.slices.push_back({1, 0, batch.bytes.size(), false});
    refused = !recorder.try_push(batch);
  }
  ASSERT_TRUE(refused);
  goes_on = true;
  while (!space) std::this_thread::yield();
  EXPECT_TRUE(opened);
}

}  // namespace
}  // namespace sds
