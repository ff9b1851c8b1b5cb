// Power cuts and kills at any moment of a recording: what flush() said is safe is safe. The disk is simulated: the
// operations of a real session are written down, and every cut leaves what a disk may have of them.
#include <gtest/gtest.h>

#include <cstdlib>

#include "faults/recorded_disk.hpp"
#include "faults/session.hpp"
#include "sds/format/partial_file.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::Folder;
using test::Operation;
using test::Random;
using test::RecordingFileSystem;
using test::Session;
using test::SimulatedDisk;

int cuts() {
  const char* wanted = std::getenv("SDSKIT_POWER_CUTS");
  return wanted != nullptr ? std::atoi(wanted) : 1000;
}

// A session that ran to its end, and what it did to the disk.
struct Recorded {
  explicit Recorded(Durability durability, std::uint64_t seed)
      : session(
            dir / "walk.sdsz", durability, [this] { return system->log().size(); }, seed) {
    system = std::make_unique<RecordingFileSystem>();
    const auto done = session.run();
    EXPECT_TRUE(done) << done.error().to_string();
    log = system->log();
    session.stop();
    system.reset();
  }
  test::TempDir dir;
  std::unique_ptr<RecordingFileSystem> system;
  Session session;
  std::vector<Operation> log;
};

TEST(PowerCut, EveryFlushedBlockSurvivesIt) {
  const test::TempDir dir;
  const auto path = dir / "cut";
  int broken = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Recorded recorded(Durability::power, seed);
    ASSERT_GT(recorded.session.promises().size(), 10u);
    Random random(seed);
    for (int i = 0; i < cuts() / 5; ++i) {
      const std::size_t at = random.below(recorded.log.size() + 1);
      test::make_folder(path, SimulatedDisk(recorded.log, at).cut(random));
      const auto what = test::broken_promise(path / "walk.sdsz", recorded.session, recorded.session.promised(at));
      if (what && ++broken <= 10)
        ADD_FAILURE() << "session " << seed << ", cut " << i << " after operation " << at << ": " << *what;
    }
  }
  EXPECT_EQ(broken, 0);
}

TEST(PowerCut, AtTheEndOfASessionNothingIsInDanger) {
  const test::TempDir dir;
  const Recorded recorded(Durability::power, 1);
  Random random(1);
  for (int i = 0; i < 20; ++i) {
    test::make_folder(dir / "cut", SimulatedDisk(recorded.log, recorded.log.size()).cut(random));
    const auto& streams = recorded.session.streams();
    for (std::size_t s = 0; s < streams.size(); ++s)
      EXPECT_EQ(test::read_blocks(dir / "cut" / "walk.sdsz", s), streams[s].given);
  }
}

// Without this the test above would be satisfied by a simulation that never loses anything.
TEST(PowerCut, WithoutSyncingTheSimulationLosesBlocks) {
  const test::TempDir dir;
  Recorded recorded(Durability::power, 1);
  std::erase_if(recorded.log, [](const Operation& o) { return o.kind == Operation::Kind::sync; });
  Random random(1);
  int broken = 0;
  for (int i = 0; i < 50; ++i) {
    test::make_folder(dir / "cut", SimulatedDisk(recorded.log, recorded.log.size()).cut(random));
    if (test::broken_promise(dir / "cut" / "walk.sdsz", recorded.session, recorded.session.promised())) ++broken;
  }
  EXPECT_GT(broken, 10);
}

TEST(PowerCut, WithoutSyncedNamesTheSimulationLosesFiles) {
  const test::TempDir dir;
  Recorded recorded(Durability::power, 1);
  std::erase_if(recorded.log, [](const Operation& o) { return o.kind == Operation::Kind::sync_directory; });
  Random random(1);
  int broken = 0;
  for (int i = 0; i < 50; ++i) {
    const std::size_t at = random.below(recorded.log.size() + 1);
    test::make_folder(dir / "cut", SimulatedDisk(recorded.log, at).cut(random));
    if (test::broken_promise(dir / "cut" / "walk.sdsz", recorded.session, recorded.session.promised(at))) ++broken;
  }
  EXPECT_GT(broken, 5);
}

TEST(Kill, EveryFlushedBlockSurvivesItAtEveryOperation) {
  const test::TempDir dir;
  const Recorded recorded(Durability::process, 2);
  Random random(2);
  for (std::size_t at = 0; at <= recorded.log.size(); ++at) {
    // A write that is under way may have come to any length.
    auto log = std::vector(recorded.log.begin(), recorded.log.begin() + static_cast<std::ptrdiff_t>(at));
    if (at > 0 && log.back().kind == Operation::Kind::write)
      log.back().data.resize(random.below(log.back().data.size() + 1));
    test::make_folder(dir / "killed", SimulatedDisk(log, at).all());
    const std::size_t before = at > 0 && recorded.log[at - 1].kind == Operation::Kind::write ? at - 1 : at;
    const auto what =
        test::broken_promise(dir / "killed" / "walk.sdsz", recorded.session, recorded.session.promised(before));
    ASSERT_FALSE(what) << "killed in operation " << at << ": " << *what;
  }
}

TEST(PowerCut, AFileThatIsMadeIsCompleteOrNotThere) {
  const test::TempDir dir;
  const std::string before(3000, 'b');
  const std::string after(5000, 'a');
  std::vector<Operation> log;
  std::size_t kept = 0;
  std::size_t replaced = 0;
  {
    RecordingFileSystem system;
    const auto make = [&](const std::string& text, IfExists if_exists) {
      auto file = PartialFile::create(dir / "walk.csv", if_exists).value();
      for (std::size_t at = 0; at < text.size(); at += 700)
        ASSERT_TRUE(file.sink().append(as_bytes(text.substr(at, 700))));
      ASSERT_TRUE(file.keep());
    };
    make(before, IfExists::fail);
    kept = system.log().size();
    make(after, IfExists::overwrite);
    replaced = system.log().size();
    log = system.log();
  }
  Random random(3);
  int seen_none = 0;
  int seen_before = 0;
  for (int i = 0; i < cuts(); ++i) {
    const std::size_t at = random.below(log.size() + 1);
    const Folder folder = SimulatedDisk(log, at).cut(random);
    const auto found = folder.find("walk.csv");
    if (found == folder.end()) {
      ++seen_none;
      EXPECT_LT(at, kept);
    } else if (at < replaced && found->second == before) {
      ++seen_before;
    } else {
      EXPECT_EQ(found->second, after) << "cut after operation " << at;
      EXPECT_GT(at, kept);
    }
  }
  EXPECT_GT(seen_none, 0);
  EXPECT_GT(seen_before, 0);
}

}  // namespace
}  // namespace sds
