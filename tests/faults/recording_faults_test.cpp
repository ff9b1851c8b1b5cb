// A recording on a disk that fails at every single operation, in every way: what flush() said is safe is readable,
// every error is reported, and nothing after it claims success.
#include <gtest/gtest.h>

#include "faults/faulty_file_system.hpp"
#include "faults/session.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::Fault;
using test::FaultyFileSystem;
using test::Session;

constexpr Fault kFaults[] = {Fault::short_write, Fault::interrupted, Fault::io_error, Fault::disk_full,
                             Fault::stays_full};

bool is_harmless(Fault fault) { return fault == Fault::short_write || fault == Fault::interrupted; }

class RecordingFaults : public ::testing::TestWithParam<Durability> {
 protected:
  Session session() {
    return Session(dir_ / "walk.sdsz", GetParam(), [] { return std::size_t{0}; });
  }
  std::filesystem::path path() const { return dir_ / "walk.sdsz"; }

  // Runs `body` once for each operation of a session and each fault, in an empty folder.
  void for_every_fault(const std::function<void(std::size_t at, Fault fault)>& body) {
    std::size_t count = 0;
    {
      FaultyFileSystem system;
      Session whole = session();
      ASSERT_TRUE(whole.run());
      whole.stop();
      count = system.operations();
    }
    faultless_ = test::read_file(path());
    ASSERT_GT(count, 30u);
    for (std::size_t at = 1; at <= count; ++at)
      for (const Fault fault : kFaults) {
        for (const auto& entry : std::filesystem::directory_iterator(dir_.path()))
          std::filesystem::remove(entry.path());
        body(at, fault);
        if (HasFatalFailure() || HasNonfatalFailure()) return;
      }
  }

  void expect_promises_kept(const Session& session, const std::string& what) {
    const auto broken = test::broken_promise(path(), session, session.promised());
    EXPECT_FALSE(broken) << what << ": " << *broken;
  }

  test::TempDir dir_;
  std::string faultless_;
};

std::string text(std::size_t at, Fault fault, const FaultyFileSystem& system) {
  return std::to_string(at) + " (" + system.failed() + "), " + test::name_of(fault);
}

TEST_P(RecordingFaults, WhatWasFlushedIsReadableAndTheErrorIsReported) {
  std::vector<std::string> unseen;
  for_every_fault([&](std::size_t at, Fault fault) {
    FaultyFileSystem system(at, fault);
    Session s = session();
    const auto done = s.run();
    const std::string what = text(at, fault, system);
    if (!done) {
      EXPECT_FALSE(is_harmless(fault) && system.failed().substr(0, 5) != "close")
          << what << ": " << done.error().to_string();
      EXPECT_FALSE(done.error().message.empty());
      EXPECT_FALSE(done.error().path.empty()) << what;
    } else if (!system.failed().empty() && !is_harmless(fault) && system.failed() != "close walk.sdsz.wal" &&
               system.failed() != "sync walk.sdsz.wal" && system.failed() != "truncate walk.sdsz" &&
               !(system.failed() == "reserve walk.sdsz" && fault == Fault::io_error)) {
      // (A log that is deleted need not be closed well: nothing in it is needed any more. One that cannot be forced to
      // the disk is replaced by another. Where no room can be reserved, or given back, nothing is lacking but that.)
      unseen.push_back(what);
    }
    if (done) {
      EXPECT_EQ(test::read_file(path()), faultless_) << what;
    }
    const bool created = s.created();
    s.stop();
    if (created) expect_promises_kept(s, what);
  });
  for (const auto& what : unseen) ADD_FAILURE() << "nobody noticed the fault of operation " << what;
}

TEST_P(RecordingFaults, AfterAnErrorNothingSucceeds) {
  for_every_fault([&](std::size_t at, Fault fault) {
    FaultyFileSystem system(at, fault);
    Session s = session();
    const auto done = s.run();
    if (done || !s.created() || s.streams().size() < 2) return;
    const std::string what = text(at, fault, system);
    ASSERT_TRUE(s.writer().failure()) << what;
    EXPECT_EQ(s.writer().failure()->message, done.error().message) << what;
    EXPECT_FALSE(s.writer().append(0, 99999, as_bytes("xxxxxx"))) << what;
    EXPECT_FALSE(s.writer().add_gap(0, "no")) << what;
    EXPECT_FALSE(s.writer().add_clock(0, {99999, 1, 1})) << what;
    EXPECT_FALSE(s.writer().seal(0)) << what;
    EXPECT_FALSE(s.flush()) << what;
    EXPECT_FALSE(s.close()) << what;
    EXPECT_FALSE(s.close()) << what;
    s.stop();
    expect_promises_kept(s, what);
  });
}

TEST_P(RecordingFaults, AFailedCreateLeavesNothing) {
  for_every_fault([&](std::size_t at, Fault fault) {
    FaultyFileSystem system(at, fault);
    Session s = session();
    const auto done = s.run();
    if (s.created()) return;
    ASSERT_FALSE(done);
    EXPECT_TRUE(std::filesystem::is_empty(dir_.path()) || system.failed().substr(0, 6) == "unlink")
        << text(at, fault, system);
  });
}

// A disk that is full for a while: the writer goes on where it was, and nothing is lost or doubled.
TEST_P(RecordingFaults, ResumingWritesWhatAFaultlessDiskHas) {
  for_every_fault([&](std::size_t at, Fault fault) {
    if (fault != Fault::disk_full && fault != Fault::io_error) return;
    FaultyFileSystem system(at, fault);
    Session s = session();
    auto done = s.begin();
    if (!s.created() || s.streams().size() < 2) return;
    int failures = 0;
    for (int round = 0; round <= 90; ++round) {
      done = round < 90 ? s.play(round) : s.close();
      if (done) continue;
      const std::string what = text(at, fault, system);
      const bool sync_failed = system.failed().substr(0, 4) == "sync";
      auto resumed = s.writer().resume();
      EXPECT_FALSE(resumed && sync_failed) << what;  // what the system dropped cannot be had back
      ASSERT_EQ(++failures, 1) << what << ": it failed once, but resume() does not help: " << done.error().to_string();
      if (!resumed) {
        EXPECT_TRUE(sync_failed || system.failed().substr(0, 5) == "close")
            << what << ": " << resumed.error().to_string();
        s.stop();
        return expect_promises_kept(s, what);
      }
      // flush() and close() are asked for again; what append() and the others were given is taken.
      if (round == 90) --round;
    }
    s.stop();
    expect_promises_kept(s, text(at, fault, system));
  });
}

INSTANTIATE_TEST_SUITE_P(Each, RecordingFaults,
                         ::testing::Values(Durability::none, Durability::process, Durability::power),
                         [](const auto& one) {
                           return one.param == Durability::none      ? "none"
                                  : one.param == Durability::process ? "process"
                                                                     : "power";
                         });

}  // namespace
}  // namespace sds
