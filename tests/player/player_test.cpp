#include "sds/player/player.hpp"

#include <gtest/gtest.h>

#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::plain;

std::string metadata(const std::string& tick_frequency) {
  return "sds:\n  name: T\n  tick-frequency: " + tick_frequency + "\n  content:\n    - {value: v, type: uint8_t}\n";
}

struct Played {
  std::string order;  // first byte of each block
  std::string fingerprint;
};

Played play(const Recording& recording, Player::Options options = {}) {
  auto player = Player::open(recording, options);
  EXPECT_TRUE(player);
  Played played;
  for (;;) {
    auto event = player->next();
    EXPECT_TRUE(event);
    if (!*event) break;
    played.order += (*event)->block.data.empty() ? "." : std::string(as_text((*event)->block.data)).substr(0, 1);
  }
  played.fingerprint = player->fingerprint();
  return played;
}

class PlayerTest : public ::testing::Test {
 protected:
  std::filesystem::path add(const std::string& name, const std::vector<test::TestBlock>& blocks,
                            const std::string& tick_frequency = "1000") {
    test::write_file(dir_ / (name + ".sds.yml"), metadata(tick_frequency));
    test::write_file(dir_ / (name + ".0.sds"), plain(blocks));
    return dir_ / (name + ".0.sds");
  }
  test::TempDir dir_;
};

TEST_F(PlayerTest, DeliversByTimeThenStreamThenOrdinal) {
  const std::vector<std::filesystem::path> paths{add("A", {{1, "a"}, {3, "b"}, {3, "c"}}),
                                                 add("B", {{1, "d"}, {2, "e"}, {3, "f"}})};
  auto recording = Recording::open(paths, {});
  EXPECT_EQ(play(*recording).order, "adebcf");
  EXPECT_EQ(play(*recording, {{1, 0}, 0}).order, "daefbc");
  EXPECT_EQ(play(*recording, {{1}, 0}).order, "def");
}

TEST_F(PlayerTest, ComparesDifferentTickFrequenciesExactly) {
  // 1 tick of 3 Hz lies between 333 and 334 ticks of 1 kHz.
  const std::vector<std::filesystem::path> paths{add("A", {{1, "a"}}, "3"), add("B", {{333, "b"}, {334, "c"}})};
  EXPECT_EQ(play(*Recording::open(paths, {})).order, "bac");
}

TEST_F(PlayerTest, GoesOnAcrossTheWrapAround) {
  const std::vector<std::filesystem::path> paths{add("A", {{0xFFFFFFFE, "a"}, {2, "b"}}),
                                                 add("B", {{0xFFFFFFFF, "c"}, {1, "d"}})};
  EXPECT_EQ(play(*Recording::open(paths, {})).order, "acdb");
}

TEST_F(PlayerTest, NeverReordersOneStream) {
  const std::vector<std::filesystem::path> paths{add("A", {{5, "a"}, {2, "b"}, {6, "c"}}),
                                                 add("B", {{3, "d"}, {7, "e"}})};
  EXPECT_EQ(play(*Recording::open(paths, {})).order, "dabce");
}

TEST_F(PlayerTest, TheFingerprintDependsOnContentNotOnContainerSectionsOrPacing) {
  const auto blocks = test::wave_blocks(300, 5, 2);
  test::write_file(dir_ / "Test.sds.yml", test::int16_metadata(2));
  test::write_file(dir_ / "Test.0.sds", plain(blocks));
  const std::string expected = play(*Recording::open(dir_ / "Test.0.sds")).fingerprint;
  for (const std::uint32_t section_bytes : {100u, 5000u, 1u << 20}) {
    for (const Level level : {Level::store, Level::fast, Level::dense}) {
      SdszWriterOptions options;
      options.section_bytes = section_bytes;
      options.level = level;
      test::write_packed(dir_ / "a.sdsz", blocks, test::int16_metadata(2), options);
      EXPECT_EQ(play(*Recording::open(dir_ / "a.sdsz")).fingerprint, expected);
    }
  }
  EXPECT_EQ(play(*Recording::open(dir_ / "Test.0.sds"), {{}, 1000}).fingerprint, expected);
  auto changed = blocks;
  changed[200].data[3] ^= 1;
  test::write_file(dir_ / "Test.0.sds", plain(changed));
  EXPECT_NE(play(*Recording::open(dir_ / "Test.0.sds")).fingerprint, expected);
}

TEST_F(PlayerTest, PacingTakesTheTimeItSays) {
  const auto path = add("A", {{0, "a"}, {100, "b"}});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(play(*Recording::open(path), {{}, 2}).order, "ab");
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(50));
}

TEST_F(PlayerTest, WhoIsAskedEndsTheWaitingForABlockThatIsFarOff) {
  const auto recording = Recording::open(add("A", {{0, "a"}, {3'600'000, "b"}}));
  for (const double speed : {1.0, 1e-300}) {
    int asked = 0;
    Player::Options options;
    options.speed = speed;
    options.ask = [&asked]() -> Expected<void> {
      if (++asked < 3) return {};
      return fail(ErrorCode::interrupted, "enough");
    };
    auto player = Player::open(*recording, options);
    ASSERT_TRUE(player);
    EXPECT_TRUE(player->next());
    const auto second = player->next();
    ASSERT_FALSE(second) << speed;
    EXPECT_EQ(second.error().message, "enough");
    EXPECT_EQ(asked, 3);
  }
}

TEST_F(PlayerTest, EmptyStreamsAreNoProblem) {
  const std::vector<std::filesystem::path> paths{add("A", {}), add("B", {{1, ""}})};
  EXPECT_EQ(play(*Recording::open(paths, {})).order, ".");
}

}  // namespace
}  // namespace sds
